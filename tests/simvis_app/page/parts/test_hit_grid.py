"""The grid of hits: what it gets is what was found, what comes back is checked."""

import base64
import math
from urllib.parse import unquote

import numpy as np
import pytest
from gradio.processing_utils import move_files_to_cache
from hypothesis import given
from hypothesis import strategies as st

from simvis_app.page.parts.hit_grid import GridData, HitCard, HitGrid, Page, in_steps, is_id
from simvis_app.service.files import kept
from tests.simvis_app.page.parts.test_region_picker import ANYTHING

ID = "01234567-89ab-cdef-0123-456789abcdef"
OTHER = "f" * 36
ODD = "\"'><script>alert(1)</script>${x}{{y}} 🦊.jpg"


def card(**changes):
    given = {
        "id": ID,
        "title": ODD,
        "label": ODD,
        "score": "0.740",
        "note": "region carries 0.012 of 0.740",
        "image": None,
        "aspect": 1.5,
    }
    return HitCard(**given | changes)


def page(*cards, **changes):
    given = {
        "key": "k",
        "skip": 60,
        "total": 100,
        "more": True,
        "scale_query": 0.5,
        "scale_hit": 0.25,
        "unit": "u",
        "always": False,
        "hits": list(cards),
    }
    return Page(**given | changes)


def test_a_page_arrives_as_it_was_found(tmp_path):
    file = tmp_path / "thumb nail+.jpg"
    file.write_bytes(b"x")
    data = HitGrid().postprocess(page(card(image=str(file), stale="old"), card(id=OTHER)))
    assert (data.key, data.skip, data.total, data.more, data.always, data.unit) == ("k", 60, 100, True, False, "u")
    assert (data.scale_query, data.scale_hit) == (0.5, 0.25)
    first, second = data.hits
    assert (first.id, first.title, first.label, first.score, first.stale) == (ID, ODD, ODD, "0.740", "old")
    assert unquote(first.image) == str(file)
    assert (second.image, second.query_map, second.hit_map) == (None, None, None)
    assert data.model_dump_json()


def test_one_image_has_an_address_and_every_other_stands_in_its_place():
    """As gradio would address each by itself; and each is noted, so that gradio deletes it in time."""
    grid = HitGrid()
    files = [kept(name.encode(), name) for name in ("a b.jpg", "c'd(%2F)$&.jpg", "\u00e9?#.jpg")]
    data = grid.postprocess(page(card(), *(card(image=file) for file in files)))
    sample = move_files_to_cache(data.model_dump(), grid, postprocess=True)["sample"]
    for file, hit in zip(files, data.hits[1:], strict=True):
        alone = {"path": file, "meta": {"_type": "gradio.FileData"}}
        assert sample["url"].count(data.sample_image) == 1
        address = sample["url"].replace(data.sample_image, hit.image)
        assert address == move_files_to_cache(alone, grid, postprocess=True)["url"]
    assert set(files) <= grid.temp_files
    assert HitGrid().postprocess(page(card())).sample is None


def test_maps_travel_in_steps_of_their_own_scale():
    query, hit = [0.5, -0.5, 0.1], [0.25, -0.1]
    [data] = HitGrid().postprocess(page(card(query_grid=(1, 3), query_map=query, hit_grid=(2, 1), hit_map=hit))).hits
    for text, scale, wanted in ((data.query_map, 0.5, query), (data.hit_map, 0.25, hit)):
        steps = np.frombuffer(base64.b64decode(text), "<i2")
        assert np.abs(steps * scale / 32767 - wanted).max() <= scale / 65534 * (1 + 1e-6)
    assert (data.query_grid, data.hit_grid) == ((1, 3), (2, 1))


@given(st.lists(st.floats(-2, 2)), st.floats(0, 1, allow_subnormal=False))
def test_a_map_comes_back_to_half_a_step_and_is_cut_off_at_its_scale(map, scale):
    steps = np.frombuffer(base64.b64decode(in_steps(map, scale)), "<i2").astype(float)
    assert np.abs(steps * scale / 32767 - np.clip(map, -scale, scale)).max(initial=0) <= scale / 65534 * (1 + 1e-6)


def test_no_map_is_none():
    assert in_steps(None, 1.0) is None
    assert in_steps([], 1.0) == ""


def returned(**changes):
    """What the browser sends: the key and what is asked for, no hits."""
    return HitGrid().preprocess(GridData(**{"key": "k", "wanted": 60, "chosen": ID, "why": [ID, OTHER]} | changes))


def test_what_is_asked_for_passes():
    assert returned() == {"key": "k", "wanted": 60, "chosen": ID, "why": [ID, OTHER]}
    assert returned(wanted=1_000_000)["wanted"] == 1_000_000
    assert returned(chosen="", why=[]) == {"key": "k", "wanted": 60, "chosen": "", "why": []}


@pytest.mark.parametrize("wanted", [None, -1, 1_000_001, 10**30, True, 1.0, "1", math.nan, [1]])
def test_a_hostile_count_is_none_shown(wanted):
    assert returned(wanted=wanted)["wanted"] == 0


@pytest.mark.parametrize(
    "text", [None, 1, "", ID[:-1], ID + "0", ID.upper(), ID[:-1] + "\n", "g" * 36, ID + "\n", [ID]]
)
def test_what_is_no_id_counts_as_none(text):
    assert not is_id(text)
    assert returned(chosen=text)["chosen"] == ""
    assert returned(why=[ID, text])["why"] == []


@pytest.mark.parametrize("why", [None, ID, {}, (ID,), [ID, ID, ID], [[ID]]])
def test_a_hostile_question_is_none(why):
    assert returned(why=why)["why"] == []


@given(ANYTHING, ANYTHING, ANYTHING)
def test_whatever_comes_only_ids_and_counts_pass(wanted, chosen, why):
    found = returned(wanted=wanted, chosen=chosen, why=why)
    assert type(found["wanted"]) is int
    assert 0 <= found["wanted"] <= 1_000_000
    assert found["chosen"] == "" or is_id(found["chosen"])
    assert all(is_id(id) for id in found["why"])


def test_the_empty_grid_has_a_value_that_comes_back():
    empty = HitGrid().postprocess(None)
    nothing = {"key": "", "wanted": 0, "chosen": "", "why": []}
    assert HitGrid().preprocess(GridData(**empty.model_dump())) == nothing
    assert HitGrid().preprocess(None) == nothing


def test_python_finds_the_scripts_events_and_texts_are_no_markup():
    grid = HitGrid()
    assert "innerHTML" not in grid.js_on_load
    assert all(callable(event) for event in (grid.more, grid.open, grid.why))
