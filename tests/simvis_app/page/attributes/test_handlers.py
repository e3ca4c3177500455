"""The Attributes tab's answers as plain functions: the sentence, one attribute, why not, weights, link and export."""

import csv
import io
import re
import zipfile
from dataclasses import fields, replace

import gradio as gr
import pytest

from model_zoo.attributes import fitted
from simvis_app.page.address import address
from simvis_app.page.attributes.answers import AttributesAnswers
from simvis_app.page.attributes.attribute_table import AttributeTable, Ranked
from simvis_app.page.attributes.handlers import AttributesHandlers
from simvis_app.page.attributes.layout import BEST, laid_out
from simvis_app.page.attributes.sharing import AttributesSharing
from simvis_app.page.pair.asked import PairAsked
from simvis_app.page.pair.places import LookFields, PairFields
from simvis_app.service.attributes.asking import AttributeAnswers, AttributesAsked
from simvis_app.service.attributes.telling import why_not
from simvis_app.service.links import LinkedPictures
from simvis_core.pictures.overlays import common_scale
from tests.simvis_app.attribute_cases import GROUPS, NETWORK, known
from tests.simvis_app.conftest import TinySession

UNPINNED = {"key": "", "pin": None, "mode": "share", "ground": "colours"}


class Tab:
    """The tab over fields of its own; its events are handed what the page would hold, by the components' names."""

    def __init__(self, widgets, links):
        self.widgets = widgets
        self.service = AttributeAnswers(TinySession())
        handlers = AttributesHandlers(self.service)
        self.answers = AttributesAnswers(widgets, handlers)
        self.sharing = AttributesSharing(handlers, LinkedPictures(links), widgets)

    def held(self, asked, **values):
        held = {getattr(self.widgets.pair, one.name): getattr(asked, one.name) for one in fields(asked)}
        usual = {"attribute": "", "preset": "simvis", "weights": "", "drawn": None}
        look = {"colours": "teal-brown", "opacity": 0.5, "viewer": UNPINNED}
        for name, value in (usual | look | values).items():
            held[getattr(self.widgets.look if name in look else self.widgets, name)] = value
        return held

    def __call__(self, event, asked, **values):
        """What the event of that name changes, by the components' names."""
        told = getattr(self.answers, event)(self.held(asked, **values))
        names = {getattr(self.widgets, one.name): one.name for one in fields(self.widgets) if one.name != "share"}
        return {names[component]: value for component, value in told.items()}

    def found(self, asked, **how):
        return self.service.explained(asked.files, NETWORK, asked.framing, AttributesAsked(**how))


@pytest.fixture
def threshold(monkeypatch):
    """Sets from which score on attributes explain."""

    def at(value):
        monkeypatch.setattr(fitted, "attributes_of", lambda name, network: known(value))

    at(0.0)
    return at


@pytest.fixture
def tab(threshold, tmp_path, built):
    def make():
        with gr.Blocks(analytics_enabled=False):
            return laid_out(*(kind(*(gr.State() for _ in fields(kind))) for kind in (PairFields, LookFields)))

    return Tab(built(make), tmp_path / "links")


@pytest.fixture
def asked(photos):
    """What the Compare tab holds: a view that attributes were not learnt at."""
    return PairAsked(*(str(photos / "bee" / f"bee_{number}.png") for number in (0, 1)), NETWORK, "avg", 3.0, 64)


ABOUT_ONE = {"why", "own_maps", "where_maps", "bars", "drawn"}
ABOUT_ALL = ABOUT_ONE | {"line", "sentence", "weighed", "table", "attribute"}
SLIDERS = {"confidence", "overlap", "prior"}


def test_the_pair_is_told_with_the_best_attribute_its_maps_and_its_terms(tab, asked):
    page, found = tab("show", asked), tab.found(asked)
    best = found.ranking.attributes[0]
    assert set(page) == ABOUT_ALL | SLIDERS
    assert f"Similar mostly because of: {', '.join(one.name for one in found.ranking.attributes)}." in page["sentence"]
    assert f"{found.pair.score:.3f}" in page["line"]
    assert "bee_0.png" in page["line"]
    assert "notice" not in page["line"]
    assert f"Place 1 of 3. {why_not(found.ranking, best.name)}." in page["why"]
    assert (page["table"].ranking, page["table"].chosen) == (found.ranking, best.name)
    assert [page[name] for name in ("confidence", "overlap", "prior")] == [0.5, 0.3, 0.2]
    assert page["attribute"]["choices"] == [(BEST, ""), *((name, name) for name in sorted(GROUPS))]
    for part, maps in (("own_maps", (found.pair.map_a, found.pair.map_b)), ("where_maps", found.maps(best.name))):
        pair, (row,), scale = page[part]
        assert pair.score == found.pair.score
        assert scale == common_scale(*maps)  # each row has its own
        for side, map in zip("ab", maps, strict=True):
            assert row[side] == pytest.approx(map.flatten().tolist(), rel=1e-4)
    assert page["where_maps"][1][0]["note"].startswith("Exact at this input.")
    shown = [float(number) for number in re.findall(r'class="value">([\d.]+)<', page["bars"])]
    assert shown == [round(value, 2) for value in (best.confidence, best.overlap, best.prior, best.score)]
    assert f"{abs(best.raw_confidence):.2f} log-odds" in page["bars"]


def test_what_the_compare_tab_sees_otherwise_is_told_as_it_was_learnt_and_said(tab, asked):
    page = tab("show", replace(asked, pooling="max", short_side=96))
    assert "under max pooling at 96 pixels; attributes were learnt under avg at 64" in page["line"]
    assert page["table"].ranking == tab("show", asked)["table"].ranking


def test_an_attribute_is_chosen_in_the_table_or_by_its_name_alike(tab, asked):
    by_row, by_name = tab("choose", asked, table="old fur"), tab("ask", asked, attribute="old fur")
    assert set(by_row) == ABOUT_ONE | {"attribute"}
    assert set(by_name) == ABOUT_ONE | {"table"}
    assert by_row["attribute"] == by_name["table"].chosen == "old fur"
    assert by_row["bars"] == by_name["bars"]
    assert "Where 'old fur' is" in by_row["where_maps"][1][0]["title"]


def test_why_not_is_the_commands_sentence_beside_the_best_ones_terms(tab, asked, threshold):
    ranking = tab.found(asked).ranking
    best, last = ranking.attributes[0], ranking.attributes[-1]
    threshold((best.score + last.score) / 2)
    page = tab("ask", asked, attribute=last.name)
    assert f"Place 3 of 3. {why_not(tab.found(asked).ranking, last.name)}." in page["why"]
    assert "lies below" in page["why"]
    assert f"thin lines mark the best attribute, {best.name}" in page["bars"]
    assert page["bars"].count('class="other"') == 4
    assert 'class="other"' not in tab("ask", asked, attribute=best.name)["bars"]


def test_a_name_that_is_none_tells_which_are_near_and_shows_the_best(tab, asked):
    page = tab("ask", asked, attribute="<domes>")
    assert "There is no attribute &#x27;&lt;domes&gt;&#x27;: try dome" in page["why"]
    assert page["table"].chosen == tab.found(asked).ranking.attributes[0].name


def test_where_nothing_explains_it_says_so_and_what_lacks(tab, asked, threshold):
    threshold(0.999)
    page, best = tab("show", asked), tab.found(asked).ranking.attributes[0]
    assert "No attribute explains this." in page["sentence"]
    assert f"The best, {best.name}, reaches {best.score:.2f}; an attribute is named from 1.00 on." in page["sentence"]
    data = AttributeTable().postprocess(page["table"])
    assert data.named == ()


def test_weights_are_the_visitors_until_they_are_put_back(tab, asked):
    page = tab("weigh", asked, confidence=0.0, overlap=0.0, prior=0.8)
    assert set(page) == ABOUT_ALL | {"weights"}  # the sliders stay under the visitor's hand
    assert page["weights"] == "0,0,0.8"
    assert [one.name for one in page["table"].ranking.attributes] == ["dome", "arch", "old fur"]
    assert "Your weights" in page["weighed"]
    assert "learnt for other weights" in page["bars"]
    assert "learnt for other weights" in page["table"].line
    shown = tab("show", asked, weights="0,0,0.8")
    assert [shown[name] for name in ("confidence", "overlap", "prior")] == [0, 0, 1]
    back = tab("reset", asked, weights="0,0,0.8")
    assert back["weights"] == ""
    assert back["table"].ranking == tab.found(asked).ranking
    assert "As learnt" in back["weighed"]
    assert tab("weigh", asked, confidence=0.5, overlap=0.3, prior=0.2)["weights"] == ""  # the learnt ones by hand
    nothing = tab("weigh", asked, confidence=0, overlap=0, prior=0)["line"]
    assert "one of them above 0" in nothing
    assert "nothing-told" not in nothing  # the sliders must stay


def test_maps_that_are_on_screen_are_not_sent_again(tab, asked):
    drawn = tab("show", asked)["drawn"]
    again = tab("weigh", asked, confidence=0.5, overlap=0.31, prior=0.2, drawn=drawn)
    assert not {"own_maps", "where_maps", "drawn"} & set(again)
    assert "where_maps" in tab("ask", asked, attribute="old fur", drawn=drawn)
    assert "where_maps" in tab("show", replace(asked, framing="square"), drawn=drawn)
    assert "where_maps" in tab("show", asked, preset="sane", drawn=drawn)  # its note is another


def test_the_papers_preset_says_that_it_looks_at_one_picture(tab, asked):
    page = tab("show", asked, preset="sane")
    assert "picture A only" in page["own_maps"][1][0]["note"]
    assert "the lower of both pictures" not in page["bars"]
    assert page["table"].ranking == tab.found(asked, preset="sane").ranking


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"image_b": None}, "Drop a picture into both places"),
        ({"backbone": "resnet18"}, "resnet18 has no attributes: an attribute is a set of ImageNet classes"),
        ({"image_a": "gone.png"}, "gone.png"),
    ],
)
def test_what_cannot_be_told_is_said_and_nothing_else_is_shown(tab, asked, changes, said):
    page = tab("show", replace(asked, **changes))
    assert said in page["line"]
    assert all(page[name] in ("", None) for name in ABOUT_ALL - {"line", "attribute"})
    assert set(page) == ABOUT_ALL - {"attribute"}
    # Of a network without attributes, and without a pair, nothing can be chosen either.
    assert ("nothing-told" in page["line"]) == ("image_a" not in changes)
    with pytest.raises(gr.Error, match=re.escape(said[:20])):
        tab.sharing.export(tab.held(replace(asked, **changes)))


def test_the_networks_that_have_attributes_are_named_where_one_has_none(tab, asked):
    line = tab("show", replace(asked, backbone="mobilenet_v2"))["line"]
    assert "EfficientNet-Lite0" in line
    assert "EfficientNet-Lite2" in line


def test_how_often_words_are_right_is_said_where_it_was_measured(tab, asked, monkeypatch):
    share = {"mean": 0.69, "low": 0.56, "high": 0.82}
    tested = {"simvis": {"named_is_true": share, "named_of_pairs_that_do_not": {"mean": 0.26}}}
    monkeypatch.setattr(fitted, "attributes_of", lambda name, network: replace(known(), tested=tested))
    said = tab("show", asked)["sentence"]
    assert "69 % of the cases (95 % interval 56 to 82 %)" in said
    assert "26 % get one all the same" in said
    assert "Take it" not in tab("show", asked, preset="sane")["sentence"]
    share |= {"low": None}
    assert "interval" not in tab("show", asked)["sentence"]


def test_a_link_names_what_is_chosen_and_opens_it(tab, asked):
    query = tab.sharing.link(tab.held(asked, attribute="old fur", preset="sane", weights="0.5,0.25,0"))
    found, wrong = address.read(query)
    assert wrong == []
    assert (found.tab, found.attribute, found.preset, found.weights) == (
        "Attributes",
        "old fur",
        "sane",
        "0.5,0.25,0",
    )
    plain, _ = address.read(tab.sharing.link(tab.held(asked)))
    assert (plain.attribute, plain.weights) == (None, None)


@pytest.mark.parametrize("text", ["1,1", "a,b,c", "-1,1,1", "2,0,0", "nan,0,1", ""])
def test_a_link_with_other_weights_leaves_them_as_they_are(text):
    found, wrong = address.read(f"weights={text}")
    assert found.weights is None
    assert "weights" in str(wrong[0])


def test_an_export_holds_all_terms_all_maps_and_pictures_of_the_chosen_one(tab, asked):
    path = tab.sharing.export(tab.held(asked, attribute="old fur", weights="1,0,0"))
    with zipfile.ZipFile(path) as held:
        names = set(held.namelist())
        rows = list(csv.DictReader(io.StringIO(held.read("terms.csv").decode("utf-8-sig"))))
    assert {f"{side}_{label}.png" for side in "ab" for label in ("similarity", "old_fur")} < names
    assert {"attributes.json", "attribute_maps.npz", "similarity_maps.npz", "manifest.json"} < names
    assert [row["name"] for row in rows] == [one.name for one in tab.found(asked, weights=(1, 0, 0)).ranking.attributes]


def test_the_table_travels_small_and_tells_only_the_chosen_name(tab, asked):
    table, ranking = AttributeTable(), tab.found(asked).ranking
    data = table.postprocess(Ranked(ranking, "dome", "above", "below"))
    assert [row[0] for row in data.rows] == [one.name for one in ranking.attributes]
    assert [row[1] for row in data.rows] == pytest.approx([one.score for one in ranking.attributes], rel=1e-3)
    assert (data.chosen, data.threshold, data.said, data.line) == ("dome", 0.0, "above", "below")
    assert table.preprocess(data) == "dome"
    assert table.preprocess(None) == table.preprocess(table.postprocess(None)) == ""
