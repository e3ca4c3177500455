"""A picture over a training's steps: hits, maps and figures as a slow search gives them; what is torn is left out."""

import itertools
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image

import model_zoo
from simvis_app.service.series.answers import training_files
from simvis_app.service.series.folders import SeriesFolders
from simvis_app.service.series.looking import STEPS_SHOWN, evenly
from simvis_app.service.series.studies import Studies
from simvis_app.service.series.thumbs import Thumbs, first_of_each
from simvis_app.service.sessions.session import Session
from simvis_core import SimvisError, explain_pair, open_picture
from simvis_core.pairs.explanation import half_share
from simvis_core.progress.manifests import SeriesStep
from simvis_core.progress.queries.hits import nearest_rows
from simvis_core.steps import run
from tests.small_series import SIDE, small_series


@pytest.fixture(scope="module")
def folder(tmp_path_factory, photos):
    made = tmp_path_factory.mktemp("series")
    small_series(made / "first", photos, **{"map@r": 0.25})
    small_series(made / "second", photos, seed=50, steps=(0, 20))
    return made


@pytest.fixture
def studies(folder, tmp_path):
    return Studies(Session(), SeriesFolders((folder,), bundled=tmp_path))


@pytest.fixture
def query(studies):
    return studies.gallery("first").pictures[4]


def test_a_distractor_is_of_another_class_and_asks_for_nothing(tmp_path, photos, query):
    kind = Path(query).parent.name
    small_series(tmp_path / "series" / "among", photos, steps=(0,), asking=(kind,))
    studies = Studies(Session(), SeriesFolders((tmp_path / "series",), bundled=tmp_path))
    hits = run(studies.studying("among", query)).steps[0].hits
    assert [hit.right for hit in hits] == [Path(hit.picture).parent.name == kind for hit in hits]
    assert {hit.label for hit in hits} <= {kind, ""}
    gallery = studies.gallery("among")
    other = next(name for name, label in gallery.label.items() if not label)
    found = run(studies.studying("among", other)).steps[0].hits
    assert {hit.right for hit in found} == {None}  # its own class is not told


def test_each_step_has_its_own_hits_with_the_maps_of_an_explanation(studies, folder, query):
    study, told = None, []
    study = run(studies.studying("first", query), told.append)
    opened = model_zoo.open_series(folder / "first")
    pictures, _ = opened.series.embeddings(0)
    assert [one.step.step for one in study.steps] == [0, 10, 20]
    assert [one.done for one in told] == [0, 1, 2, 3, 4, 5]
    assert study.own == query
    for one in study.steps:
        network = opened.network(one.step.step)
        _, rows = opened.series.embeddings(one.step.step)
        near = nearest_rows(rows, rows[4], 3, left_out=[4])
        assert [hit.picture for hit in one.hits] == [pictures[row] for row, _ in near]
        for hit in one.hits:
            pair = explain_pair(network, open_picture(query), open_picture(hit.picture), SIDE, "square")
            assert hit.score == pytest.approx(pair.score, abs=1e-5)
            assert torch.allclose(hit.query_map, pair.map_a, atol=1e-6)
            assert torch.allclose(hit.hit_map, pair.map_b, atol=1e-6)
            assert hit.right == (Path(hit.picture).parent.name == Path(query).parent.name)
            assert not hit.stale
    assert study.troubles == ()


def test_the_pair_that_is_followed_is_the_last_steps_best_through_all_steps(studies, folder, query):
    study = run(studies.studying("first", query))
    assert study.followed == study.steps[-1].hits[0].picture
    network = model_zoo.open_series(folder / "first").network(10)
    pair = explain_pair(network, open_picture(query), open_picture(study.followed), SIDE, "square")
    found = study.steps[1].pair
    assert found.score == pytest.approx(pair.score, abs=1e-5)
    halves = [half_share(map, pair.score) for map in (pair.map_a, pair.map_b)]
    assert found.concentration == pytest.approx(sum(halves) / 2)
    assert study.steps[0].pair.change is None
    assert found.change > 0


def test_what_was_found_is_kept_until_the_folder_changes(folder, tmp_path, query, photos):
    shutil.copytree(folder / "second", tmp_path / "runs" / "second")
    studies = Studies(Session(), SeriesFolders((tmp_path / "runs",), bundled=tmp_path))
    study = run(studies.studying("second", query))
    passes = studies.session.forward_passes
    assert run(studies.studying("second", query)) is study
    assert studies.session.forward_passes == passes
    shutil.rmtree(tmp_path / "runs")
    small_series(tmp_path / "runs" / "second", photos, seed=50, steps=(0, 20, 30))
    assert studies.known("second", query) is None
    assert len(run(studies.studying("second", query)).steps) == 3


def test_a_gallery_that_is_not_carried_is_embedded_once_and_found_alike(folder, tmp_path, photos, query, monkeypatch):
    small_series(tmp_path / "runs" / "first", photos, gallery=False)
    monkeypatch.setattr("simvis_app.service.series.galleries.samples.PICTURES", photos)
    files = [{"file": str(path.relative_to(photos))} for path in sorted(photos.glob("*/*.png"))]
    monkeypatch.setattr("simvis_app.service.series.galleries.samples.credits_list", lambda: files)
    without = Studies(Session(), SeriesFolders((tmp_path / "runs",), bundled=tmp_path))
    told = []
    study = run(without.studying("first", query), told.append)
    carried = run(Studies(Session(), SeriesFolders((folder,), bundled=tmp_path)).studying("first", query))
    for one, other in zip(study.steps, carried.steps, strict=True):
        assert [hit.picture for hit in one.hits] == [hit.picture for hit in other.hits]
    assert any("embedding the gallery, 12 of 12" in one.doing for one in told)
    other_query, told = without.gallery("first").pictures[7], []
    run(without.studying("first", other_query), told.append)
    assert not any("embedding" in one.doing for one in told)


def test_another_file_than_the_gallerys_has_no_class_and_is_searched_among_all(studies, query, tmp_path):
    with Image.open(query) as image:
        image.save(tmp_path / "mine.bmp")
    study = run(studies.studying("first", str(tmp_path / "mine.bmp")))
    assert study.own is None
    assert study.steps[0].hits[0].picture == query
    assert {hit.right for one in study.steps for hit in one.hits} == {None}


def copied(folder, tmp_path):
    shutil.copytree(folder / "first", tmp_path / "runs" / "first")
    return tmp_path / "runs", Studies(Session(), SeriesFolders((tmp_path / "runs",), bundled=tmp_path))


def torn(path):
    path.write_bytes(path.read_bytes()[:-7])


def changed_inside(path):
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("kind", ["step", "gallery"])
@pytest.mark.parametrize("damage", [Path.unlink, torn, changed_inside])
def test_a_damaged_step_is_left_out_with_a_sentence_and_the_whole_ones_are_shown(folder, tmp_path, query, damage, kind):
    runs, studies = copied(folder, tmp_path)
    (file,) = (runs / "first").glob(f"{kind}-000010-*")
    damage(file)
    study = run(studies.studying("first", query))
    assert [one.step.step for one in study.steps] == [0, 20]
    (said,) = study.troubles
    assert said.startswith(f"Step 10 is left out: '{file.name}'")
    assert "train again" in said


def test_a_series_of_which_nothing_is_whole_says_so(folder, tmp_path, query):
    runs, studies = copied(folder, tmp_path)
    for file in (runs / "first").glob("gallery-*"):
        changed_inside(file)
    for file in (runs / "first").glob("step-*"):
        torn(file)
    with pytest.raises(SimvisError, match=r"'first', of which no step .* is torn"):
        run(studies.studying("first", query))


def test_a_damaged_manifest_and_an_unknown_name_say_so(folder, tmp_path, query):
    runs, studies = copied(folder, tmp_path)
    with pytest.raises(SimvisError, match="series 'third'; wanted one of 'first'"):
        run(studies.studying("third", query))
    torn(runs / "first" / "series.json")
    with pytest.raises(SimvisError, match=r"series\.json"):
        run(studies.studying("first", query))
    empty = Studies(Session(), SeriesFolders((), bundled=tmp_path / "none"))
    with pytest.raises(SimvisError, match="--series FOLDER"):
        run(empty.studying("first", query))


def test_a_picture_that_cannot_be_read_is_blamed_and_no_step(studies, tmp_path):
    (tmp_path / "text.jpg").write_text("no picture")
    with pytest.raises(SimvisError, match="not a picture"):
        run(studies.studying("first", str(tmp_path / "text.jpg")))


def test_a_hit_whose_picture_is_gone_keeps_its_place_without_maps(folder, tmp_path, query):
    runs, studies = copied(folder, tmp_path)
    first = run(studies.studying("first", query)).steps[-1].hits[0]
    fresh = Studies(Session(), SeriesFolders((runs,), bundled=tmp_path))
    fresh.networks.files.file = lambda whole, picture, found=fresh.networks.files.file: (
        (_ for _ in ()).throw(SimvisError("it", "is", "gone")) if picture == first.picture else found(whole, picture)
    )
    study = run(fresh.studying("first", query))
    hit = study.steps[-1].hits[0]
    assert hit.picture == first.picture
    assert hit.query_map is None
    assert hit.gone == "it; gone"
    assert study.followed == study.steps[-1].hits[1].picture


def test_two_series_tell_whose_network_gets_which_query_right(studies):
    found = studies.compared("first", "second")
    rows = {name: studies.open(name).series.embeddings(20)[1] for name in ("first", "second")}
    gallery = studies.gallery("first")
    for at, picture in enumerate(gallery.pictures):
        right = []
        for name in ("first", "second"):
            ((best, _),) = nearest_rows(rows[name], rows[name][at], 1, left_out=[at])
            right.append(gallery.labels[best] == gallery.labels[at])
        assert (picture in found.only_first, picture in found.only_second) == (
            right == [True, False],
            right == [False, True],
        )
    assert found.asked == gallery.pictures


def test_series_are_found_in_folders_of_them_and_told_apart(folder, tmp_path):
    folders = SeriesFolders((folder / "first", folder), bundled=folder)
    assert folders.names() == ["first", "second"]
    shutil.copytree(folder / "first", tmp_path / "other" / "first")
    assert SeriesFolders((folder, tmp_path / "other"), bundled=tmp_path).names() == ["first", "second", "other/first"]
    assert SeriesFolders((tmp_path / "nowhere",), bundled=tmp_path / "nowhere").names() == []


def test_many_steps_are_thinned_evenly_and_the_ends_stay():
    steps = [SeriesStep(number, None) for number in range(101)]
    shown, said = evenly(steps)
    assert len(shown) == STEPS_SHOWN
    assert (shown[0].step, shown[-1].step) == (0, 100)
    assert {b.step - a.step for a, b in itertools.pairwise(shown)} <= {4, 5}
    assert said == (f"{STEPS_SHOWN} of the 101 steps are shown.",)
    assert evenly(steps[:3]) == (tuple(steps[:3]), ())


def test_one_picture_of_each_class_is_offered(studies):
    gallery = studies.gallery("first")
    names = first_of_each(gallery)
    assert [gallery.label[name] for name in names] == ["ape", "bee", "cat", "dog"]
    assert len(first_of_each(gallery, 2)) == 2
    kept, thumbs = Thumbs(studies).of("first", [*names, "/gone/owl/1.png"])
    assert kept == names
    assert next(caption for _, caption in thumbs) == "ape/ape_0.png"


def test_the_files_hold_every_number_and_no_folder_of_the_machine(studies, query):
    both = [run(studies.studying(name, query)) for name in ("first", "second")]
    files = training_files(both, studies.compared("first", "second"))
    assert set(files) == {"training.json", "figures.csv", "1-first.html", "2-second.html"}
    assert b"first,10,map@r,series,0.35" in files["figures.csv"]
    assert str(Path(query).parents[1]).encode() not in b"".join(files.values())
