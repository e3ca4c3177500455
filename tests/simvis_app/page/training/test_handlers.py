"""The Training tab's events: what each is told, what it answers, what stays as it is, and what it shares."""

import json
import shutil
import zipfile

import gradio as gr
import pytest
import torch

from simvis_app.api.training import _check, _names, training_steps
from simvis_app.page.address.address import read as read_address
from simvis_app.page.training.inputs import Offered, TrainingQuestion, read
from simvis_app.page.training.sharing import TrainingSharing
from simvis_app.page.training.step_viewer import Steps, StepsData, StepViewer
from simvis_app.service.links import LinkedPictures
from simvis_app.service.series.folders import SeriesFolders
from simvis_app.service.series.studies import Studies
from simvis_app.service.sessions.budget import Budget
from simvis_app.service.sessions.session import Session
from simvis_core import EmbeddingNetwork, Preprocess, SimvisError
from simvis_core.progress.watcher import Watcher
from simvis_core.progress.watching import WatchedPair
from simvis_core.steps import run
from tests.small_series import small_series


@pytest.fixture(scope="module")
def folder(tmp_path_factory, photos):
    made = tmp_path_factory.mktemp("series")
    small_series(made / "first", photos, on_objects=0.5, even=0.25)
    small_series(made / "second", photos, seed=50, steps=(0, 20))
    return made


@pytest.fixture
def studies(folder, tmp_path):
    return Studies(Session(), SeriesFolders((folder,), bundled=tmp_path))


@pytest.fixture
def tab(driven, studies):
    return driven.training(studies)


def last(answers):
    """What the page holds after all of an event's answers."""
    held = {}
    for answer in answers:
        held |= answer
    return held


def test_without_a_choice_the_first_series_shows_its_gallerys_first_picture(tab, studies):
    held = last(tab.look())
    study = held["viewer"].studies[0]
    assert (study.name, study.own) == ("first", studies.gallery("first").pictures[0])
    assert held["series"]["value"] == "first"
    assert held["beside"]["choices"] == [("none", ""), ("second", "second")]
    assert [caption for _, caption in held["samples"]["value"]][:2] == ["ape/ape_0.png", "bee/bee_0.png"]
    assert "timm/test_resnet, trained with avg pooling, by the loss" in held["about"]
    assert held["notice"] == held["progress"] == ""
    assert held["shown_for"][0] == TrainingQuestion()
    assert "to see which queries" in held["compared"]


def test_curves_are_drawn_for_what_is_known_and_the_rest_is_named(tab, studies):
    widgets = tab.handlers.widgets
    values = dict.fromkeys((widgets.series, widgets.beside, widgets.step), "") | {
        widgets.refusals.refused: (),
        widgets.refusals.seen: 0,
    }
    values |= {widgets.query: None, widgets.offered: Offered(), widgets.shown_for: None}
    *_, told = tab.handlers.look(values)
    figures = [told[plot]["value"] for plot in widgets.curves]
    titles = [figure.layout.title.text for figure in figures if figure is not None]
    assert len(titles) == 6
    map_at_r, on_objects, score, *_ = figures
    assert list(on_objects.data[0].y) == [0.5, 0.6, 0.7]
    assert [trace.name for trace in on_objects.data] == ["the series", "an even map"]
    assert [trace.name for trace in map_at_r.data] == ["the series"]  # of its gallery: the training measured none
    assert list(score.data[0].x) == [0, 10, 20]
    assert {figure.layout.shapes[0].x0 for figure in figures} == {20}
    *_, told = tab.handlers.look(values | {widgets.series: "second"})
    assert [told[plot]["visible"] for plot in widgets.curves] == [True, False, True, True, True, True]
    assert "share of the map on shared objects" in told[widgets.curves_said]


def test_a_second_series_stands_beside_the_first_with_who_is_right(tab, studies):
    held = last(tab.look(series="first", beside="second"))
    assert [study.name for study in held["viewer"].studies] == ["first", "second"]
    found = studies.compared("first", "second")
    assert f"Only first finds the class first for {len(found.only_first)}" in held["compared"]
    assert len(held["only_first"]["value"]) == len(found.only_first)
    assert held["offered"].only_second == found.only_second


def test_nothing_is_made_again_for_what_is_on_the_page(tab):
    held = last(tab.look(series="first"))
    kept = {"shown_for": held["shown_for"], "offered": held["offered"]}
    again = list(tab.look(series="first", **kept))
    assert [answer for answer in again if answer] == []
    told = last(tab.look(series="first", refused=("shown before", "no picture"), seen=1, **kept))
    assert told == {"notice": "no picture", "seen": 2}
    other = last(tab.look(series="first", beside="second", shown_for=held["shown_for"], offered=held["offered"]))
    assert "samples" not in other
    assert other["offered"].samples == held["offered"].samples


def test_a_newer_question_ends_the_older_one(tab, studies):
    older = tab.look(series="first")
    next(older)
    next(older)
    last(tab.look(series="second"))
    assert all("viewer" not in answer for answer in older)


def test_progress_is_told_on_the_way(tab, monkeypatch):
    monkeypatch.setattr("simvis_app.page.training.handlers.PAUSE", 0)
    told = [answer["progress"] for answer in tab.look(series="first") if "progress" in answer]
    assert any("first: step 10: searching the gallery" in one and 'max="6"' in one for one in told)
    assert told[-1] == ""


def test_an_unknown_series_is_said_and_another_shown(tab):
    held = last(tab.look(series="<b>gone</b>", beside="also gone"))
    assert held["series"]["value"] == "first"
    assert "There is no series &#x27;&lt;b&gt;gone&lt;/b&gt;&#x27; here." in held["notice"]
    assert len(held["viewer"].studies) == 1


def test_a_picture_that_cannot_be_read_is_said_and_the_choices_stay(tab, tmp_path):
    (tmp_path / "text.jpg").write_text("no picture")
    held = last(tab.look(series="second", query=str(tmp_path / "text.jpg")))
    assert "not a picture" in held["notice"]
    assert held["viewer"] is None
    assert held["series"]["value"] == "second"
    assert "value" not in held["query"]


def test_a_second_series_that_is_damaged_leaves_the_first(driven, folder, tmp_path):
    shutil.copytree(folder, tmp_path / "runs")
    (tmp_path / "runs" / "second" / "series.json").write_text("{}")
    tab = driven.training(Studies(Session(), SeriesFolders((tmp_path / "runs",), bundled=tmp_path)))
    held = last(tab.look(series="first", beside="second"))
    assert [study.name for study in held["viewer"].studies] == ["first"]
    assert "damaged" in held["notice"]
    held = last(tab.look(series="second"))
    assert "damaged" in held["notice"]
    assert held["series"]["value"] == "second"


def test_a_step_that_is_torn_is_named_beside_the_others(driven, folder, tmp_path):
    shutil.copytree(folder / "first", tmp_path / "runs" / "first")
    next((tmp_path / "runs" / "first").glob("step-000010-*")).unlink()
    tab = driven.training(Studies(Session(), SeriesFolders((tmp_path / "runs",), bundled=tmp_path)))
    held = last(tab.look())
    assert "first: Step 10 is left out" in held["notice"]
    assert [one.step.step for one in held["viewer"].studies[0].steps] == [0, 20]


def test_without_a_series_the_tab_says_how_to_get_one(driven, tmp_path):
    held = last(driven.training(Studies(Session(), SeriesFolders((), bundled=tmp_path))).look())
    assert "--series FOLDER" in held["about"]
    assert held["series"]["visible"] is False
    assert held["viewer"] is None


def test_a_picture_of_a_list_becomes_the_query(tab, studies):
    names = studies.gallery("first").pictures[3:5]
    values = tab.values(series="first", offered=Offered(only_first=names))
    taken = tab.handlers.take(values, "only_first", 1)[tab.handlers.widgets.query]
    with open(taken, "rb") as copy, open(names[1], "rb") as own:
        assert copy.read() == own.read()
    assert tab.handlers.take(values, "only_first", 7) == dict(gr.skip())
    assert tab.handlers.take(values, "samples", 0) == dict(gr.skip())
    with pytest.raises(gr.Error, match="gone"):
        tab.handlers.take(tab.values(series="first", offered=Offered(samples=("/gone/1.png",))), "samples", 0)


def test_what_a_browser_sends_for_a_step_is_a_number_or_none(tab):
    for text, step in {"": None, "40": 40, "-1": None, "x": None, "9" * 40: None, "²": None}.items():
        assert read(tab.values(step=text), tab.handlers.widgets).step == step
    viewer = StepViewer()
    assert [viewer.preprocess(StepsData(step=step)) for step in (None, 7, -1, 10**12)] == [None, 7, None, None]
    assert viewer.preprocess(None) is None


def test_the_viewers_file_holds_all_steps_of_both_series_on_one_axis(studies):
    query = studies.gallery("first").pictures[2]
    both = [run(studies.studying(name, query)) for name in ("first", "second")]
    data = StepViewer().postprocess(Steps(both, 10))
    with open(data.numbers.path) as file:
        numbers = json.load(file)
    assert numbers["steps"] == [0, 10, 20]
    first, second = numbers["tracks"]
    assert (first["at"], second["at"]) == ([0, 1, 2], [0, 0, 1])
    assert (len(first["steps"]), len(second["steps"]), data.step) == (3, 2, 10)
    hit, found = second["steps"][1]["hits"][0], both[1].steps[1].hits[0]
    assert hit["score"] == f"{found.score:.3f}"
    assert hit["query"]["grid"] == list(found.query_map.shape)
    assert second["steps"][1]["said"].startswith("second, step 20: the best hit is ")
    assert StepViewer().postprocess(None).numbers is None


def test_a_link_and_a_file_give_what_is_on_the_page(tab, studies, tmp_path, photos):
    sharing = TrainingSharing(studies, LinkedPictures(tmp_path / "links"), tab.handlers.widgets)
    query = studies.gallery("first").pictures[1]
    asked = {"series": "first", "beside": "second", "query": query, "step": "10"}
    address, wrong = read_address(sharing.link(tab.values(**asked)))
    assert (address.tab, address.series, address.other, address.step, wrong) == ("Training", "first", "second", 10, [])
    assert (tmp_path / "links" / address.subject).is_file()
    with pytest.raises(gr.Error, match="without an answer"):
        sharing.export(tab.values(**asked))
    last(tab.look(**asked))
    with zipfile.ZipFile(sharing.export(tab.values(**asked))) as archive:
        told = json.loads(archive.read("training.json"))
    assert [one["series"] for one in told["series"]] == ["first", "second"]
    assert set(told["compared"]) == {"asked", "only_first", "only_second"}


def test_the_api_gives_the_same_numbers(studies):
    query = studies.gallery("first").pictures[2]
    told = []
    answer = run(training_steps(studies, ("first", "second"), query), told.append)
    study = run(studies.studying("second", query))
    assert answer["there_are"] == ["first", "second"]
    step = answer["series"][1]["steps"][1]
    assert step["hits"][0]["score"] == study.steps[1].hits[0].score
    assert step["hits"][0]["query_map"] == study.steps[1].hits[0].query_map.tolist()
    assert told[0] == {"done": 0, "of": 6, "series": "first", "doing": "step 0: searching the gallery"}
    assert json.loads(json.dumps(answer, allow_nan=False)) == answer
    assert str(query) not in json.dumps(answer)


def test_the_api_is_held_to_its_budget_and_names_what_is_not_there(studies):
    assert _names(studies, "", "second") == ("first", "second")
    for series, beside, reason in (("third", "", "series 'third'"), ("first", "first", "beside itself")):
        with pytest.raises(SimvisError, match=reason):
            _names(studies, series, beside)
    _check(studies, ("first",), Budget(18))
    with pytest.raises(SimvisError, match="3 steps of 'first'"):
        _check(studies, ("first",), Budget(17))


def test_a_watch_shows_its_pairs_without_a_query_and_beside_a_series(driven, folder, tmp_path, two_pictures):
    shutil.copytree(folder / "first", tmp_path / "runs" / "first")
    torch.manual_seed(2)
    net = EmbeddingNetwork(torch.nn.Conv2d(3, 5, 8, 8), preprocess=Preprocess(short_side=16, stride=8))
    Watcher(net, [WatchedPair("both", *two_pictures)], folder=tmp_path / "runs" / "watched").look(10)
    tab = driven.training(Studies(Session(), SeriesFolders((tmp_path / "runs",), bundled=tmp_path)))
    held = last(tab.look(series="watched"))
    assert "what a Watcher saw" in held["about"]
    assert (held["samples"]["visible"], held["query"]["visible"]) == (False, False)
    data = StepViewer().postprocess(held["viewer"])
    with open(data.numbers.path) as file:
        numbers = json.load(file)
    (hit,) = numbers["tracks"][0]["steps"][0]["hits"]
    assert (hit["title"], hit["asked"] != hit["image"]) == ("both", True)
    assert numbers["tracks"][0]["steps"][0]["said"].startswith("At step 10 the watched pairs score ")
    both = last(tab.look(series="watched", beside="first"))
    assert [study.watch for study in both["viewer"].studies] == [True, False]
    assert both["viewer"].studies[1].own is not None
    assert both["query"]["visible"] is True
    assert "to see which queries" in both["compared"]
    sharing = TrainingSharing(tab.handlers.studies, LinkedPictures(tmp_path / "links"), tab.handlers.widgets)
    address, _ = read_address(sharing.link(tab.values(series="watched")))
    assert (address.series, address.subject) == ("watched", None)
