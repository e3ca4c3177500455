"""The picker: of what the browser sends, regions inside the picture pass, and nothing else."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from simvis_app.page.parts.region_picker import PickerData, RegionPicker
from simvis_app.service.marks import MOST_POINTS, MOST_REGIONS, checked_regions

BOX = {"kind": "box", "sign": 1, "box": [0.1, 0.2, 0.3, 0.4]}
BRUSH = {"kind": "brush", "sign": -1, "radius": 0.04, "points": [[0.1, 0.2], [0.3, 0.4]]}
POINT = {"kind": "point", "sign": 1, "at": [0.5, 0.75]}


def test_good_regions_pass_as_they_are():
    assert checked_regions([BOX, BRUSH, POINT]) == [BOX, BRUSH, POINT]
    assert checked_regions([BOX | {"more": 1}]) == [BOX]
    assert checked_regions([POINT | {"at": [0, 1]}]) == [POINT | {"at": [0.0, 1.0]}]


@pytest.mark.parametrize(
    "region",
    [
        None,
        "box",
        [],
        {},
        {"kind": "box"},
        BOX | {"kind": "circle"},
        BOX | {"kind": ["box"]},
        BOX | {"kind": "point"},
        BOX | {"sign": 0},
        BOX | {"sign": 2},
        BOX | {"sign": True},
        BOX | {"sign": 1.0},
        BOX | {"sign": "1"},
        BOX | {"box": None},
        BOX | {"box": [0.1, 0.2, 0.3]},
        BOX | {"box": [0.1, 0.2, 0.3, "0.4"]},
        BOX | {"box": [0.1, 0.2, 0.3, True]},
        BOX | {"box": [0.1, 0.2, 0.3, math.nan]},
        BOX | {"box": [0.1, 0.2, 0.3, math.inf]},
        BOX | {"box": [0.1, 0.2, 0.3, 10**400]},
        BOX | {"box": [-0.1, 0.2, 0.3, 0.4]},
        BOX | {"box": [0.1, 0.2, 0.3, -0.4]},
        BOX | {"box": [0.1, 0.2, 0.0019, 0.4]},
        BOX | {"box": [0.1, 0.2, 0.3, 0.0]},
        BOX | {"box": [1.0, 0.2, 0.3, 0.4]},
        BRUSH | {"radius": 0},
        BRUSH | {"radius": -0.1},
        BRUSH | {"radius": 0.6},
        BRUSH | {"radius": math.nan},
        BRUSH | {"radius": True},
        BRUSH | {"radius": "0.1"},
        BRUSH | {"points": []},
        BRUSH | {"points": {}},
        BRUSH | {"points": [[0.1, 0.2], [0.1]]},
        BRUSH | {"points": [[0.1, 0.2], [0.1, 1.1]]},
        BRUSH | {"points": [[0.1, 0.2]] * (MOST_POINTS + 1)},
        POINT | {"at": None},
        POINT | {"at": [0.5]},
        POINT | {"at": [0.5, -0.01]},
        POINT | {"at": [0.5, None]},
    ],
)
def test_a_broken_region_is_dropped_and_stops_no_other(region):
    assert checked_regions([POINT, region, BOX]) == [POINT, BOX]


def test_boxes_are_clipped_to_the_picture():
    [region] = checked_regions([BOX | {"box": [0.75, -0.0005, 0.5, 1.0005]}])
    assert region["box"] == [0.75, 0.0, 0.25, 1.0]


def test_so_many_regions_and_points_count():
    assert checked_regions([BOX] * (MOST_REGIONS + 3)) == [BOX] * MOST_REGIONS
    longest = BRUSH | {"points": [[0.5, 0.5]] * MOST_POINTS}
    assert checked_regions([longest]) == [longest]


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=6,
)
NUMBERS = st.lists(st.floats(-0.5, 1.5) | st.floats() | st.booleans(), min_size=2, max_size=4)
REGION = st.fixed_dictionaries(
    {"kind": st.sampled_from(["box", "brush", "point", "x"]), "sign": st.sampled_from([1, -1, 0, True])},
    optional={
        "box": NUMBERS | ANYTHING,
        "at": NUMBERS | ANYTHING,
        "radius": st.floats(0, 1) | ANYTHING,
        "points": st.lists(NUMBERS, max_size=3) | ANYTHING,
    },
)


@given(st.lists(REGION | ANYTHING, max_size=4) | ANYTHING)
def test_whatever_comes_only_regions_of_the_picture_pass(sent):
    payload = PickerData(key="k", regions=sent)
    found = RegionPicker().preprocess(payload)
    assert found["key"] == "k"
    for region in found["regions"]:
        assert region["kind"] in ("box", "brush", "point")
        assert region["sign"] in (1, -1)
        places = region.get("points") or [region.get("at") or region["box"]]
        assert all(type(n) is float and 0 <= n <= 1 for place in places for n in place)
        if region["kind"] == "box":
            x, y, width, height = region["box"]
            assert min(width, height) >= 0.002
            assert x + width <= 1 + 1e-12
            assert y + height <= 1 + 1e-12
    assert checked_regions(found["regions"]) == found["regions"], "checked once is checked"


def test_the_picker_gets_picture_regions_and_map(pair):
    map = [0.5, -0.25, 0.0, 0.1, 0.2, -0.5]
    data = RegionPicker().postprocess((pair.view_a, "key", (2, 3), [BOX, {}], map, 0.5, "unit", "t"))
    assert (data.key, data.grid, data.regions, data.scale, data.unit) == ("key", (2, 3), [BOX], 0.5, "unit")
    assert data.ticket == "t"
    assert data.aspect == pair.view_a.aspect
    with Image.open(data.picture.path) as image:
        assert image.format == "JPEG"
    import base64

    steps = np.frombuffer(base64.b64decode(data.map), "<i2")
    assert np.abs(steps * 0.5 / 32767 - map).max() <= 0.5 / 65534 * (1 + 1e-6)
    assert RegionPicker().postprocess((pair.view_a, "key", (2, 3), [], None, 0.0, "", "")).map is None


def test_while_a_mark_moves_whatever_the_browser_calls_with_is_checked():
    asked = []
    picker = RegionPicker(moved=lambda ticket, regions: asked.append((ticket, regions)) or {"hits": []})
    [hits] = picker.server_fns
    assert hits({"ticket": "t", "regions": [BOX, {"kind": "circle"}, 3]}) == {"hits": []}
    assert hits({"ticket": "t"}) == {"hits": []}
    assert asked == [("t", [BOX]), ("t", [])]
    for told in (None, [], "t", {"regions": [BOX]}, {"ticket": 1, "regions": [BOX]}, {"ticket": None}):
        assert hits(told) is None
    assert len(asked) == 2
    assert RegionPicker().server_fns[0]({"ticket": "t"}) is None


def test_the_empty_picker_has_a_value_that_comes_back():
    empty = RegionPicker().postprocess(None)
    assert empty.picture is None
    assert RegionPicker().preprocess(PickerData(**empty.model_dump())) == {"key": "", "regions": []}
    assert RegionPicker().preprocess(None) == {"key": "", "regions": []}


def test_what_the_browser_adds_is_not_in_the_way():
    """It counts its turns in the value."""
    sent = RegionPicker().postprocess(None).model_dump() | {"turn": 3, "regions": [POINT]}
    assert RegionPicker().preprocess(PickerData(**sent))["regions"] == [POINT]


def test_python_finds_the_scripts_event():
    picker = RegionPicker()
    assert callable(picker.mark)
