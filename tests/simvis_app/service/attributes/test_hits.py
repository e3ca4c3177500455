"""Hits held to an attribute or ordered by it: what stays, what is counted and said, and where there are none."""

import json
import math
from dataclasses import replace

import pytest
import torch

from model_zoo.attributes import fitted
from simvis_app.service.attributes import hits
from simvis_app.service.attributes.hits import AttributeWish
from simvis_app.service.attributes.hits_in_words import by_attribute, sure_note
from simvis_app.service.galleries.answers import search_json, search_sheet
from simvis_app.service.galleries.asking import attribute_wish
from simvis_app.service.galleries.galleries import Asked, Galleries
from simvis_core import SimvisError
from simvis_core.attributes.stored import stored_confidences
from simvis_core.galleries.regions import Box
from simvis_core.galleries.search import embedding_of
from simvis_core.stores.contract import Row
from simvis_core.stores.edge import EdgeIndex
from tests.simvis_app.attribute_cases import GROUPS, SETTINGS, known
from tests.simvis_app.conftest import PLAIN, TinySession, indexed

BOX = Box(0.1, 0.1, 0.5, 0.6)


@pytest.fixture(scope="module")
def gallery(photos, tmp_path_factory):
    """Twelve pictures under a network with attributes, and under one without."""
    galleries = Galleries(TinySession(), tmp_path_factory.mktemp("attributes"))
    indexed(galleries, "animals", photos, SETTINGS)
    indexed(galleries, "animals", photos, PLAIN)
    indexed(galleries, "animals", photos, replace(SETTINGS, short_side=32))
    yield galleries
    galleries.close()


@pytest.fixture(autouse=True)
def _known(monkeypatch):
    model = known()  # of one network: what it computes is compared bit for bit
    monkeypatch.setattr(fitted, "attributes_of", lambda name, network: model)


def space_of(gallery, settings=SETTINGS):
    return gallery.space("animals", gallery.target("animals", settings).name)


@pytest.fixture
def asked(gallery, photos):
    return Asked(str(photos / "bee" / "bee_0.png"), "animals", space_of(gallery).name)


def ids(answer):
    return [one.row.id for one in answer.found]


def by_hand(gallery, answer, name):
    """Confidence by row's id, each row by itself."""
    model, column = known().model, list(GROUPS).index(name)
    return {
        row.id: stored_confidences(model, embedding_of(row)[None], 2.0)[0, column].item()
        for row in gallery.index.scan(answer.space, embeddings=True)
    }


@pytest.mark.parametrize("regions", [(), (BOX,)], ids=["whole", "region"])
@pytest.mark.parametrize("name", GROUPS)
def test_a_filter_keeps_the_searchs_order_and_a_rerank_has_the_surest_first(gallery, asked, name, regions):
    asked = replace(asked, regions=regions)
    plain = gallery.search(asked, 20)
    kept, ranked = (gallery.search(replace(asked, attribute=AttributeWish(name, use)), 20) for use in hits.LOOKED_AT)
    sure = by_hand(gallery, plain, name)
    assert ids(kept) == [id for id in ids(plain) if sure[id] > 1.5]
    assert ids(ranked) == sorted(ids(plain), key=lambda one: -sure[one])
    assert (kept.total, ranked.total, kept.ranked, ranked.ranked) == (len(ids(kept)), 11, 11, 11)
    for answer in (kept, ranked):
        assert (answer.attribute.looked, answer.attribute.showing) == (11, len(ids(kept)))
        for one in answer.found:
            assert answer.attribute.of(one.row) == pytest.approx(sure[one.row.id], abs=1e-4)
            assert one.score == next(other.score for other in plain.found if other.row.id == one.row.id)
            assert one.stale == ""


def test_something_is_kept_and_something_is_left_out(gallery, asked):
    shown = [gallery.search(replace(asked, attribute=AttributeWish(name)), 20).total for name in GROUPS]
    assert any(0 < count < 11 for count in shown), shown


@pytest.mark.parametrize("use", hits.LOOKED_AT)
def test_pages_in_a_row_are_the_one_long_list_and_labels_hold_too(gallery, asked, use):
    asked = replace(asked, attribute=AttributeWish("arch", use))
    long = gallery.search(asked, 20)
    pages = [gallery.search(asked, 4, skip) for skip in (0, 4, 8)]
    assert [id for page in pages for id in ids(page)] == ids(long)
    assert {page.total for page in pages} == {long.total}
    cats = gallery.search(replace(asked, labels=("cat",)), 20)
    assert ids(cats) == [one.row.id for one in long.found if one.row.label == "cat"]
    assert cats.attribute.looked == 3


def test_only_the_nearest_are_ordered_and_only_so_many_are_looked_at(gallery, asked, monkeypatch):
    monkeypatch.setattr(hits, "LOOKED_AT", {"filter": 5, "rerank": 3})
    monkeypatch.setattr("simvis_app.service.galleries.galleries.LOOKED_AT", {"filter": 5, "rerank": 3})
    nearest = ids(gallery.search(asked, 5))
    kept, ranked = (gallery.search(replace(asked, attribute=AttributeWish("arch", use)), 20) for use in hits.LOOKED_AT)
    assert set(ids(kept)) <= set(nearest)
    assert set(ids(ranked)) == set(nearest[:3])
    assert (kept.attribute.looked, ranked.attribute.looked, ranked.total) == (5, 3, 3)


def test_a_row_is_computed_once(gallery, asked, monkeypatch):
    asks = []
    gallery.attributes._known.put((asked.space, gallery._runs), hits.StoredConfidences(known().model, 2.0))
    monkeypatch.setattr(
        "simvis_core.attributes.stored.stored_confidences",
        lambda model, embeddings, length: asks.append(len(embeddings)) or torch.zeros(len(embeddings), 3),
    )
    for name in GROUPS:
        gallery.search(replace(asked, attribute=AttributeWish(name)), 20)
    assert asks == [11]
    gallery.attributes._known.put((asked.space, gallery._runs), hits.StoredConfidences(known().model, 2.0))


def test_embeddings_that_a_search_does_not_bring_are_read(gallery, asked, monkeypatch):
    asked = replace(asked, attribute=AttributeWish("dome", "rerank"))
    before = gallery.search(asked, 20)
    gallery.attributes._known.put((asked.space, gallery._runs), hits.StoredConfidences(known().model, 2.0))
    search = EdgeIndex.search
    bare = lambda *facts: [replace(hit, row=replace(hit.row, embedding=None)) for hit in search(*facts)]
    monkeypatch.setattr(EdgeIndex, "search", bare)
    assert ids(gallery.search(asked, 20)) == ids(before)


def test_single_hits_and_the_nearest_classes_have_their_confidence(gallery, asked):
    asked = replace(asked, attribute=AttributeWish("arch"))
    plain = gallery.search(replace(asked, attribute=None), 20)
    assert plain.attribute is None
    sure = by_hand(gallery, plain, "arch")
    for answer in (gallery.hits(asked, ids(plain)[:2]), gallery.best_of_classes(asked, whole=True)):
        assert answer.found
        for one in answer.found:
            assert answer.attribute.of(one.row) == pytest.approx(sure[one.row.id], abs=1e-4)


def test_what_is_prepared_is_not_computed_again(gallery, asked, monkeypatch):
    space = space_of(gallery)
    gallery.attributes._known.put((space.name, gallery._runs), hits.StoredConfidences(known().model, 2.0))
    monkeypatch.setattr(hits, "MOST_FILTERED", 11)
    gallery.prepare_attributes(space)  # too many: which ones a filter looks at hangs on the query
    kept = gallery.attributes._of_space(space, gallery._runs)
    everything = [row.id for row in gallery.index.scan(space)]
    assert kept.missing(everything) == everything
    monkeypatch.setattr(hits, "MOST_FILTERED", 12)
    gallery.prepare_attributes(space)
    assert kept.missing(everything) == []
    monkeypatch.setattr(hits.StoredConfidences, "add", lambda known, rows: pytest.fail(str(rows)) if rows else None)
    gallery.prepare_attributes(space)
    assert gallery.search(replace(asked, attribute=AttributeWish("arch", "rerank")), 20).total == 11
    with pytest.raises(SimvisError, match=f"attributes of {PLAIN.backbone}"):
        gallery.prepare_attributes(space_of(gallery, PLAIN))


# What is said


def test_what_is_left_out_is_counted_and_said_with_the_threshold(gallery, asked):
    told = gallery.search(replace(asked, attribute=AttributeWish("arch")), 20).attribute
    said = by_attribute(replace(told, looked=24, showing=12))
    assert said.startswith("12 of 24 shown: the others do not show 'arch'.")
    assert "a confidence above +1.5: the network gives its classes more than 66 % together (30 % is the mean" in said
    assert "usual length of embeddings (2.0)" in said
    assert by_attribute(replace(told, looked=3, showing=3)).startswith("3 of 3 shown: all show 'arch'.")
    assert by_attribute(replace(told, looked=9, showing=0)).startswith("None of 9 shown: no picture shows 'arch'.")
    many = replace(told, looked=10_000, showing=7)
    assert by_attribute(many).startswith("7 of the 10000 nearest shown: the others do not")
    order = replace(told, wish=AttributeWish("arch", "rerank"), looked=100, showing=9)
    assert by_attribute(order).startswith("Of the 100 nearest the surest of 'arch' come first; 9 of 100 show it.")


def test_the_stated_share_is_where_the_confidence_is_the_threshold(gallery, asked):
    told = gallery.search(replace(asked, attribute=AttributeWish("arch")), 20).attribute
    odds = math.log(told.share / (1 - told.share)) - math.log(told.usual_share / (1 - told.usual_share))
    assert odds == pytest.approx(told.shown_from)


def test_a_hits_note_has_its_confidence_and_a_damaged_row_none(gallery, asked):
    answer = gallery.search(replace(asked, attribute=AttributeWish("arch", "rerank")), 20)
    first, last = answer.found[0], answer.found[-1]
    assert sure_note(answer.attribute, first.row) == f"arch {answer.attribute.of(first.row):+.1f}"
    assert sure_note(answer.attribute, last.row).endswith(", not shown")
    damaged = replace(answer.attribute, confidences={first.row.id: math.nan})
    assert damaged.of(first.row) is damaged.of(Row("0" * 64, "")) is None
    assert sure_note(damaged, first.row) == "arch: not known"
    assert not damaged.shows(first.row)


def test_json_and_sheet_have_it(gallery, asked):
    asked = replace(asked, attribute=AttributeWish("arch", "rerank"))
    answer = gallery.search(asked, 20)
    told = json.loads(json.dumps(search_json(answer, paths=False), allow_nan=False))
    assert (told["attribute"]["name"], told["attribute"]["use"]) == ("arch", "rerank")
    assert (told["attribute"]["shown_above"], told["attribute"]["usual_length"]) == (1.5, 2.0)
    assert (told["attribute"]["looked_at"], told["total"]) == (11, 11)
    sure = [hit["confidence"] for hit in told["hits"]]
    assert sure == sorted(sure, reverse=True)
    page = search_sheet(gallery, answer).decode()
    assert f"arch {sure[0]:+.1f}" in page
    assert "surest of &#x27;arch&#x27; come first" in page or "surest of 'arch' come first" in page
    plain = search_json(gallery.search(replace(asked, attribute=None), 20))
    assert plain["attribute"] is None
    assert "confidence" not in plain["hits"][0]


# What is refused


def test_an_attribute_that_there_is_not_is_refused_with_the_nearest(gallery, asked):
    with pytest.raises(SimvisError, match=r"the attribute 'acrh'; wanted one of 3 \('arch', .*choose one of these"):
        gallery.search(replace(asked, attribute=AttributeWish("acrh")), 20)


def test_a_network_without_attributes_is_refused_before_anything_is_opened(gallery, asked):
    plain = space_of(gallery, PLAIN)
    assert not gallery.attributes.has(plain)
    assert gallery.attributes.has(space_of(gallery))
    with pytest.raises(SimvisError, match=r"attributes of mobilenet_v2; .* indexed with efficientnet_lite0 or"):
        gallery.search(replace(asked, space=plain.name, attribute=AttributeWish("arch")), 20)


def test_a_view_that_nothing_was_learnt_at_is_refused(gallery, asked):
    small = space_of(gallery, replace(SETTINGS, short_side=32))
    with pytest.raises(SimvisError, match="under avg pooling at 32 pixels; wanted avg pooling at 64, as they were"):
        gallery.search(replace(asked, space=small.name, attribute=AttributeWish("arch")), 20)


def test_no_hits_at_all_are_refused_with_an_attribute_too(gallery, asked):
    with pytest.raises(SimvisError, match="k = 0 hits"):
        gallery.search(replace(asked, attribute=AttributeWish("arch")), 0)


def test_a_wish_is_checked_where_it_comes_in():
    assert attribute_wish("", "filter") is None
    assert attribute_wish("arch", "rerank") == AttributeWish("arch", "rerank")
    with pytest.raises(SimvisError, match="the use 'sort' of an attribute; wanted filter or rerank"):
        attribute_wish("arch", "sort")
