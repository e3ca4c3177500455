"""Galleries behind the page: searches that add up, what does not fit, who may index what, and one run at a time."""

import json
import os
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from simvis_app.service import samples
from simvis_app.service.galleries import galleries as room
from simvis_app.service.galleries.galleries import SAMPLES, Asked, Galleries, settings_of
from simvis_app.service.sessions.session import content_hash
from simvis_core import SimvisError
from simvis_core.galleries.regions import Box, Brush, Point, region_weights
from simvis_core.galleries.search import query_map
from simvis_core.stores.contract import Row
from simvis_core.stores.edge import EdgeIndex
from tests.simvis_app.conftest import BLACK_BOX, CLASSES, NETWORK, PLAIN, TinySession, indexed, tiny

BOX = Box(0.1, 0.1, 0.5, 0.6)
REGIONS = {
    "box": (BOX,),
    "brush": (Brush(((0.2, 0.2), (0.7, 0.4)), 0.1),),
    "point": (Point(0.4, 0.6),),
    "several": (BOX, Point(0.9, 0.1), Box(0.5, 0.5, 0.5, 0.5, -1), Point(0.2, 0.2, -1)),
    "minus": (Box(0.0, 0.0, 0.4, 1.0, -1),),
}


@pytest.fixture(scope="session")
def query(photos):
    return str(photos / "bee" / "bee_0.png")


def ids(answer):
    return [one.row.id for one in answer.found]


def by_hand(library, space, vector, own):
    """Every other row's id and score, best first, in float64."""
    rows = [row for row in library.index.scan(space, embeddings=True) if row.sha256 != own]
    scores = {row.id: float(row.embedding.astype(np.float64) @ vector) for row in rows}
    return sorted(scores, key=scores.get, reverse=True), scores


# Searching


def test_a_whole_picture_finds_by_cosine_and_not_itself(library, space, query):
    answer = library.search(Asked(query, "animals", space.name), 20)
    own = content_hash(query)
    embedding = answer.picture.decomposition.embedding.double().numpy()
    order, scores = by_hand(library, space, embedding, own)
    assert ids(answer) == order
    assert (answer.total, answer.more, answer.weights) == (11, False, None)
    for one in answer.found:
        assert one.score == pytest.approx(scores[one.row.id], abs=1e-6)
        assert one.score == pytest.approx(one.cosine, abs=1e-6)
        assert one.row.sha256 != own
        assert one.stale == ""


@pytest.mark.parametrize("kind", REGIONS)
def test_a_regions_score_is_the_sum_of_the_query_map_inside_it(library, space, query, kind):
    asked = Asked(query, "animals", space.name, REGIONS[kind])
    answer = library.search(asked, 20)
    own = answer.picture.decomposition
    weights = region_weights(REGIONS[kind], answer.picture.view.size, own.grid)
    assert torch.equal(answer.weights, weights)
    assert len(answer.found) == 11
    for one in answer.found:
        inside = float((weights * query_map(own, one)).sum())
        assert one.score == pytest.approx(inside, abs=1e-6)
    found = [one.score for one in answer.found]
    assert found == sorted(found, reverse=True)
    order, _ = by_hand(library, space, answer.query.double().numpy(), answer.picture.sha256)
    assert ids(answer) == order


def test_a_region_and_its_opposite_rank_the_other_way_round(library, space, query):
    plus, minus = (
        library.search(Asked(query, "animals", space.name, (replace(BOX, sign=sign),)), 20) for sign in (1, -1)
    )
    assert ids(plus) == ids(minus)[::-1]
    assert [one.score for one in plus.found] == pytest.approx([-one.score for one in minus.found][::-1], abs=1e-6)


def test_a_region_of_everything_leaves_out_the_bias_only(library, space, query):
    whole = library.search(Asked(query, "animals", space.name, (Box(0, 0, 1, 1),)), 20)
    bias = whole.picture.decomposition.bias
    for one in whole.found:
        assert one.score + float(bias @ torch.from_numpy(one.row.embedding)) == pytest.approx(one.cosine, abs=1e-6)


@pytest.mark.parametrize("labels", [("cat",), ("cat", "dog"), ("bee",), ("cat", "cat")])
def test_labels_filter_and_the_total_counts_what_is_left(library, space, query, labels):
    answer = library.search(Asked(query, "animals", space.name, labels=labels), 20)
    assert {one.row.label for one in answer.found} == {label for label in labels if label in CLASSES}
    assert answer.total == len(answer.found) == 3 * len({*labels} & {"cat", "dog"}) + 2 * ("bee" in labels)
    assert answer.more is False


def test_a_label_that_nobody_has_is_a_sentence_with_the_nearest(library, space, query):
    with pytest.raises(SimvisError, match=r"the label 'cta', which no picture .* has; wanted .*'cat'"):
        library.search(Asked(query, "animals", space.name, labels=("cta",)), 20)


@pytest.mark.parametrize("regions", [(), REGIONS["several"]], ids=["whole", "regions"])
def test_pages_in_a_row_are_the_one_long_list(library, space, query, regions):
    asked = Asked(query, "animals", space.name, regions)
    long = library.search(asked, 20)
    pages = [library.search(asked, 4, skip) for skip in (0, 4, 8, 12)]
    assert [id for page in pages for id in ids(page)] == ids(long)
    assert [page.more for page in pages] == [True, True, False, False]
    assert {page.total for page in pages} == {11}


def test_a_picture_from_outside_leaves_nothing_out(library, space, tmp_path):
    Image.effect_noise((40, 30), 90).convert("RGB").save(tmp_path / "new.png")
    answer = library.search(Asked(str(tmp_path / "new.png"), "animals", space.name), 50)
    assert len(answer.found) == answer.total == 12


def test_pictures_named_by_id_have_the_search_s_numbers_in_the_asked_order(library, space, query):
    asked = Asked(query, "animals", space.name, REGIONS["several"])
    found = library.search(asked, 20).found
    wanted = [found[5], found[0]]
    again = library.hits(asked, [one.row.id for one in wanted])
    assert ids(again) == [one.row.id for one in wanted]
    assert [one.score for one in again.found] == [one.score for one in wanted]
    assert library.hits(asked, [Row("0" * 64, "").id]).found == []
    assert library.hits(asked, []).found == []


def test_the_best_of_the_nearest_classes_by_region_and_by_the_whole(library, space, query):
    asked = Asked(query, "animals", space.name, REGIONS["box"])
    for whole in (False, True):
        regions = () if whole else asked.regions
        long = library.search(replace(asked, regions=regions), 20).found
        best = {}
        for one in long:
            best.setdefault(one.row.label, one)
        answer = library.best_of_classes(asked, whole)
        assert ids(answer) == [one.row.id for one in list(best.values())[:3]]
        assert [one.score for one in answer.found] == [one.score for one in list(best.values())[:3]]
        assert len({one.row.label for one in answer.found}) == 3
        assert (answer.weights is None) == whole


@pytest.mark.parametrize(
    ("regions", "reason"),
    [
        ((Box(1.2, 0.1, 0.1, 0.1),), "no part of the view"),
        ((Box(0.5, 0.5, 0.0, 0.0),), "no part of the view"),
        ((Point(1.5, 0.5),), "choose a point inside"),
        ((BOX, replace(BOX, sign=-1)), "cancelling out"),
    ],
)
def test_a_region_of_nothing_is_a_sentence(library, space, query, regions, reason):
    with pytest.raises(SimvisError, match=reason):
        library.search(Asked(query, "animals", space.name, regions), 5)


def test_no_hits_can_be_asked_for_only_from_one_on(library, space, query):
    with pytest.raises(SimvisError, match="k = 0 hits"):
        library.search(Asked(query, "animals", space.name), 0)


def test_a_black_box_searches_by_the_whole_picture_and_refuses_a_region(library, black, query):
    answer = library.search(Asked(query, "animals", black.name), 20)
    assert len(answer.found) == 11
    assert answer.picture.decomposition.method == "none"
    with pytest.raises(SimvisError, match=f"a region for {BLACK_BOX} under avg, a black box"):
        library.search(Asked(query, "animals", black.name, REGIONS["box"]), 20)


def test_a_file_that_is_no_picture_is_a_sentence(library, space, tmp_path):
    for content, reason in ((b"text", "a file that is not a picture; wanted"), (b"", "zero bytes")):
        (tmp_path / "x.png").write_bytes(content)
        with pytest.raises(SimvisError, match=reason):
            library.search(Asked(str(tmp_path / "x.png"), "animals", space.name), 5)
    with pytest.raises(SimvisError, match="cannot be opened"):
        library.search(Asked(str(tmp_path / "missing.png"), "animals", space.name), 5)


def test_a_second_question_about_a_picture_runs_no_network(library, space, query):
    library.search(Asked(query, "animals", space.name), 5)
    before = library.session.forward_passes
    for regions in REGIONS.values():
        library.search(Asked(query, "animals", space.name, regions), 5)
    assert library.session.forward_passes == before


# Networks that do not fit


def test_settings_come_back_from_a_space(shelf, own_photos):
    old = replace(PLAIN, pooling="max", resizing="reference")
    for settings in (PLAIN, replace(PLAIN, pooling="gem:4", short_side=40, framing="crop"), old):
        space = indexed(shelf, "animals", own_photos, settings)
        assert settings_of(space) == replace(settings, resizing=settings.resizing or "quick")
        assert shelf.search(Asked(str(own_photos / "ape" / "ape_0.png"), "animals", space.name), 20).total == 11


def test_a_gallery_that_is_not_indexed_so_is_a_sentence(library, space):
    for gallery, name in (("animals", "nosuchspace"), ("others", space.name), ("animals", "None"), ("animals", None)):
        with pytest.raises(SimvisError, match="not indexed with that network"):
            library.space(gallery, name)
    assert library.space("animals", space.name) == space


def with_other_weights(shelf):
    """The same server after its network's weights have changed."""
    session = TinySession()
    session.seed = 12
    return Galleries(session, shelf.home, pictures=shelf.pictures)


def test_changed_weights_are_a_sentence_that_names_what_was_indexed(shelf, own_photos):
    [space] = shelf.spaces("animals")
    shelf.close()
    later = with_other_weights(shelf)
    with pytest.raises(SimvisError, match=rf"indexed with {NETWORK} \(avg\) but with other weights"):
        later.search(Asked(str(own_photos / "ape" / "ape_0.png"), "animals", space.name), 5)
    later.close()


def test_old_weights_stay_refused_after_the_gallery_is_indexed_with_the_new(shelf, own_photos):
    """Two spaces of one label: the scores of one network's query with the other's rows would mean nothing."""
    [old] = shelf.spaces("animals")
    shelf.close()
    later = with_other_weights(shelf)
    new = indexed(later, "animals", own_photos)
    file = str(own_photos / "ape" / "ape_0.png")
    assert later.search(Asked(file, "animals", new.name), 5).found
    with pytest.raises(SimvisError, match="other weights"):
        later.search(Asked(file, "animals", old.name), 5)
    later.close()


# Another process


def test_a_locked_gallery_is_a_sentence_with_a_cure_until_it_is_free(shelf, own_photos):
    [space] = shelf.spaces("animals")
    shelf.close()
    other, late = EdgeIndex(shelf.home / "index"), Galleries(TinySession(), shelf.home)
    other.ensure(space)
    asked = Asked(str(own_photos / "ape" / "ape_0.png"), "animals", space.name)
    for question in (lambda: late.search(asked, 5), lambda: late.spaces("animals"), lambda: late.labels(space)):
        with pytest.raises(SimvisError, match=r"another process holds open.*--index-url"):
            question()
    assert late.names() == [SAMPLES, "animals"]
    pair = late.session.explain(asked.file, str(own_photos / "ape" / "ape_1.png"), PLAIN)
    assert -1 <= pair.score <= 1
    other.close()
    assert late.search(asked, 5).found
    late.close()


# Hits whose files have changed


def test_a_hit_whose_file_is_gone_or_another_is_stale(shelf, own_photos):
    [space] = shelf.spaces("animals")
    files = {name: own_photos / "cat" / f"cat_{at}.png" for at, name in enumerate(("gone", "other", "broken"))}
    files["gone"].unlink()
    Image.new("RGB", (30, 30), "teal").save(files["other"])
    files["broken"].write_bytes(b"text")
    answer = shelf.search(Asked(str(own_photos / "ape" / "ape_0.png"), "animals", space.name), 20)
    told = {one.row.file: shelf.hit(one, space) for one in answer.found}
    reasons = {"gone": "cannot be opened", "other": "has changed since it was indexed", "broken": "not a picture"}
    for name, file in files.items():
        one, picture = told.pop(str(file))
        assert reasons[name] in one.stale
        assert one.stale.endswith("index again")
        assert (picture is None) == (name != "other")
    assert all(one.stale == "" and picture is not None for one, picture in told.values())


def test_another_embedding_than_the_stored_one_is_stale(shelf, own_photos):
    [space] = shelf.spaces("animals")
    row = next(iter(shelf.index.scan(space)))
    turned = np.roll(np.eye(space.width, dtype=np.float32)[0], 3)
    shelf.index.upsert(space, [Row(row.sha256, row.file, row.label, turned)])
    answer = shelf.search(Asked(str(own_photos / "dog" / "dog_0.png"), "animals", space.name), 20)
    [one] = [one for one in answer.found if one.row.id == row.id]
    assert "gives it another embedding now" in shelf.hit(one, space)[0].stale


def test_thumbnails_are_what_the_network_saw(shelf, own_photos):
    whole = indexed(shelf, "animals", own_photos)
    crop = indexed(shelf, "animals", own_photos, replace(PLAIN, framing="crop"))
    row = next(row for row in shelf.index.scan(whole) if row.file.endswith("ape_0.png"))
    assert shelf.thumbnail(row, whole)[1] == 1.5
    assert shelf.thumbnail(row, crop)[1] == 1.0
    assert Path(shelf.thumbnail(row, crop)[0]).is_file()
    assert shelf.thumbnail(Row("0" * 64, str(own_photos / "nosuchfile.png")), whole) is None


# Classes


def test_means_follow_the_gallery(shelf, own_photos):
    [space] = shelf.spaces("animals")
    assert shelf.means(space).labels == CLASSES
    assert shelf.means(space) is shelf.means(space)
    (own_photos / "cat").rename(own_photos / "kitten")
    indexed(shelf, "animals", own_photos)  # as many pictures as before
    assert shelf.means(space).labels == ("ape", "bee", "dog", "kitten")
    assert shelf.labels(space) == dict.fromkeys(("ape", "bee", "dog", "kitten"), 3)


def test_a_picture_s_own_part_is_left_out_of_its_class(library, space, photos):
    file = str(photos / "cat" / "cat_1.png")
    picture = library.picture(file, space)
    means = library.means_for(picture, space)
    at = means.labels.index("cat")
    assert means.counts[at] == 2
    others = [row.embedding for row in library.index.scan(space, labels=["cat"], embeddings=True) if row.file != file]
    assert np.allclose(means.means[at].numpy(), np.mean(others, axis=0), atol=1e-6)
    assert library.means(space).counts[at] == 3


def test_the_only_labelled_picture_has_no_class_to_belong_to(shelf, own_photos, tmp_path):
    alone = tmp_path / "alone"
    (alone / "cat").mkdir(parents=True)
    file = (own_photos / "cat" / "cat_0.png").rename(alone / "cat" / "cat_0.png")
    space = indexed(shelf, "alone", alone)
    with pytest.raises(SimvisError, match="labels"):
        shelf.means_for(shelf.picture(str(file), space), space)


# Who may index what


@pytest.mark.parametrize("folder", ["../..", "..", "/etc", "ape/..", "nosuchfolder", ".hidden", "ape\0", "./ape"])
def test_folders_that_the_owner_does_not_offer_are_refused(shelf, own_photos, folder):
    (own_photos / ".hidden").mkdir()
    assert shelf.folders() == [".", *CLASSES]
    with pytest.raises(SimvisError, match="one that this server's owner lets visitors index"):
        shelf.listing("new", folder)


def test_an_offered_folder_and_a_gallery_s_own_pictures_are_listed(shelf, own_photos):
    assert len(shelf.listing("new", ".").pictures) == 12
    assert {*shelf.listing("new", "ape").pictures} == {str(own_photos / "ape" / f"ape_{at}.png") for at in range(3)}
    assert {*shelf.listing("animals", None).pictures.values()} == {*CLASSES}
    with pytest.raises(SimvisError, match="which is empty"):
        shelf.listing("new", None)
    for name in ("", " ", "x" * 101, "a\nb", "\ud800"):
        with pytest.raises(SimvisError, match="the gallery name"):
            shelf.listing(name, "ape")


def test_the_samples_are_the_samples(shelf):
    assert {*map(os.path.basename, shelf.listing(SAMPLES, None).pictures)} == {
        os.path.basename(entry["file"]) for entry in samples.credits_list()
    }
    with pytest.raises(SimvisError, match="the name 'samples' for a folder"):
        shelf.listing(SAMPLES, "ape")


def test_without_an_offered_folder_only_the_samples_may_be_indexed(library):
    assert library.folders() == []
    assert library.may_index(SAMPLES)
    assert not library.may_index("animals")
    for gallery, folder in (("animals", None), ("animals", "."), (SAMPLES, "."), ("new", "../..")):
        with pytest.raises(SimvisError, match="owner lets visitors index"):
            library.listing(gallery, folder)


# Indexing


def test_a_second_run_is_refused_while_one_is_under_way_and_a_left_one_frees_the_place(shelf, own_photos):
    first = shelf.indexing("animals", shelf.listing("animals", "."), replace(PLAIN, pooling="max"))
    next(first)
    assert shelf.running is not None
    with pytest.raises(SimvisError, match="one at a time"):
        indexed(shelf, "other", own_photos)
    first.close()
    assert shelf.running is None
    assert len(shelf.labels(indexed(shelf, "animals", own_photos, replace(PLAIN, pooling="max")))) == 4


def test_progress_counts_up_to_all_of_them(shelf):
    seen = list(shelf.indexing("more", shelf.listing("more", "."), PLAIN, together=2))
    assert [one.done for one in seen] == sorted(one.done for one in seen)
    assert (seen[0].done, seen[-1].done, seen[-1].total, seen[-1].added) == (0, 12, 12, 12)
    assert shelf.running is None


def test_a_refused_network_frees_the_place_and_leaves_no_gallery(shelf, own_photos):
    for changes, reason in (
        ({"pooling": "flatten"}, "flatten"),
        ({"backbone": "nosuchnet"}, "nosuchnet"),
        ({"short_side": 33}, "33"),
    ):
        with pytest.raises(SimvisError, match=reason):
            indexed(shelf, "new", own_photos, replace(PLAIN, **changes))
        assert shelf.running is None
    assert shelf.names() == [SAMPLES, "animals"]


@pytest.fixture
def few_samples(monkeypatch, own_photos):
    monkeypatch.setattr(samples, "PICTURES", own_photos)


def test_the_samples_are_indexed_beside_the_page(shelf, few_samples):
    thread = shelf.index_samples(PLAIN)
    assert shelf.preparing
    thread.join(60)
    assert (shelf.failed, shelf.running, shelf.preparing) == ("", None, False)
    [space] = shelf.spaces(SAMPLES)
    assert shelf.index.count(space) == 12


def test_closing_ends_the_samples_indexing_and_keeps_what_is_there(shelf, few_samples, own_photos):
    with shelf.session._turn:
        thread = shelf.index_samples(PLAIN)
        threading.Timer(0.2, shelf.session._turn.release).start()
        shelf.close()
        assert not thread.is_alive()
        shelf.session._turn.acquire()
    assert (shelf.failed, shelf.running, shelf.preparing) == ("", None, False)
    assert all(shelf.index.count(space) < 12 for space in shelf.spaces(SAMPLES))
    assert shelf.index.count(indexed(shelf, SAMPLES, own_photos)) == 12


def test_the_samples_wait_until_the_page_is_served(shelf, few_samples):
    serving = threading.Event()
    thread = shelf.index_samples(PLAIN, serving)
    thread.join(0.3)
    assert shelf.preparing
    assert shelf.spaces(SAMPLES) == []
    serving.set()
    thread.join(60)
    assert shelf.index.count(shelf.spaces(SAMPLES)[0]) == 12


def test_closing_a_page_that_was_never_served_indexes_nothing(shelf, few_samples):
    thread = shelf.index_samples(PLAIN, threading.Event())
    shelf.close()
    assert not thread.is_alive()
    assert (shelf.running, shelf.preparing, shelf.spaces(SAMPLES)) == (None, False, [])


def test_samples_that_cannot_be_indexed_say_why(shelf, few_samples):
    shelf.index_samples(replace(PLAIN, pooling="flatten")).join(60)
    assert "flatten" in shelf.failed
    assert (shelf.running, shelf.preparing) == (None, False)


def test_a_store_that_cannot_be_opened_is_said_to_whoever_asks(tmp_path, few_samples):
    (tmp_path / "file").touch()
    galleries = Galleries(TinySession(), tmp_path / "file")
    galleries.index_samples(PLAIN).join(60)
    assert "cannot be written" in galleries.failed
    galleries.close()


def test_the_store_is_opened_once_however_many_ask_first(shelf, monkeypatch, tmp_path):
    opened = []

    def slow(folder, url):
        opened.append(folder)
        threading.Event().wait(0.05)
        return EdgeIndex(folder)

    monkeypatch.setattr(room, "open_index", slow)
    galleries = Galleries(TinySession(), tmp_path / "new")
    threads = [threading.Thread(target=lambda: galleries.index) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(opened) == 1
    galleries.close()


def test_what_a_network_sees_is_named_in_full(space):
    assert json.loads(json.dumps([space.view, space.network])) == ["32 whole quick", NETWORK]
    assert tiny(NETWORK).width(32) == space.width == 9
