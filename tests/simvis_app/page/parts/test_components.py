"""The page's own components: what the browser sends is not trusted, what it gets is what was computed."""

import math
import tempfile
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
from gradio.data_classes import FileData, GradioModel, ImageData
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from simvis_app.api.told import PictureDrop
from simvis_app.page.attributes.attribute_table import AttributeTable
from simvis_app.page.parts.drawing import MAPS, PagePart, filled
from simvis_app.page.parts.fields import ChangingChoice, HeldSlider, PoolingChoice
from simvis_app.page.parts.hit_grid import HitGrid
from simvis_app.page.parts.map_cards import MapCards
from simvis_app.page.parts.map_rows import MapRows
from simvis_app.page.parts.pair_viewer import PairData, PairViewer
from simvis_app.page.parts.region_picker import RegionPicker
from simvis_app.page.parts.share_row import ShareTold
from simvis_app.page.training.step_viewer import StepViewer
from simvis_app.service.marks import checked_pin, checked_weights
from simvis_core.files.colours import STOPS

GRIDS = {"a": [7, 11], "b": [2, 2]}


@pytest.mark.parametrize(
    "pin",
    [
        None,
        "a",
        [],
        {},
        {"side": "c", "row": 0, "col": 0},
        {"side": ["a"], "row": 0, "col": 0},
        {"side": "a"},
        {"side": "a", "row": 0},
        {"side": "a", "row": "0", "col": "0"},
        {"side": "a", "row": 0.0, "col": 0.0},
        {"side": "a", "row": True, "col": False},
        {"side": "a", "row": -1, "col": 0},
        {"side": "a", "row": 7, "col": 0},
        {"side": "a", "row": 0, "col": 11},
        {"side": "a", "row": 10**30, "col": 0},
        {"side": "a", "row": math.nan, "col": 0},
        {"side": "a", "row": math.inf, "col": 0},
        {"side": "a", "row": None, "col": None},
        {"side": "b", "row": 2, "col": 0},
    ],
)
def test_a_hostile_pin_counts_as_none(pin):
    assert checked_pin(pin, GRIDS) is None


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


@given(st.dictionaries(st.sampled_from(["side", "row", "col", "x"]), ANYTHING | st.integers(0, 12) | st.just("a")))
def test_only_cells_of_the_grid_pass(pin):
    checked = checked_pin(pin, GRIDS)
    if checked is not None:
        rows, columns = GRIDS[checked["side"]]
        assert 0 <= checked["row"] < rows
        assert 0 <= checked["col"] < columns
        assert list(checked) == ["side", "row", "col"]


WEIGHTS = [0.5, -1.0, 0.0, 2.0]


@pytest.mark.parametrize(
    "weights",
    [
        None,
        "abcd",
        (0.5, -1.0, 0.0, 2.0),
        [],
        [0.5] * 3,
        [0.5] * 5,
        [0, 0.0, 0, 0],
        [0.5, 0.5, 0.5, "1"],
        [0.5, 0.5, 0.5, None],
        [0.5, 0.5, 0.5, True],
        [0.5, 0.5, 0.5, [1]],
        [0.5, 0.5, 0.5, math.nan],
        [0.5, 0.5, 0.5, math.inf],
        [0.5, 0.5, 0.5, 10**400],
        [0.5, 0.5, 0.5, 33.5],
    ],
)
def test_hostile_weights_count_as_none(weights):
    assert checked_weights(weights, 4) is None
    assert checked_pin({"side": "b", "weights": weights, "row": 0, "col": 0}, GRIDS) is None


def test_a_region_of_the_grid_passes_and_nothing_else_with_it():
    assert checked_weights([1, -33, 0, 33.0], 4) == [1.0, -33.0, 0.0, 33.0]
    pin = {"side": "b", "weights": WEIGHTS, "row": 9, "x": "<script>"}
    assert checked_pin(pin, GRIDS) == {"side": "b", "weights": WEIGHTS}
    assert checked_pin({**pin, "side": "a"}, GRIDS) is None


def payload(**changes):
    """What the browser sends back about a pair."""
    file = {"path": "/nowhere"}
    data = {
        "key": "k",
        "score": 0.5,
        "grid_a": [7, 11],
        "grid_b": [2, 2],
        "aspect_a": 1.5,
        "aspect_b": 1.0,
        "scale_map": 1.0,
        "scale_share": 1.0,
        "scale_cosine": 1.0,
        "a": file,
        "b": file,
        "numbers": file,
    }
    return PairData(**data | changes)


def test_the_viewer_hands_on_a_checked_pin_and_mode():
    viewer = PairViewer()
    pin = {"side": "a", "row": 6, "col": 10}
    assert viewer.preprocess(payload(pin=pin, mode="cosine")) == {
        "key": "k",
        "pin": pin,
        "mode": "cosine",
        "ground": "colours",
    }
    assert viewer.preprocess(payload(pin={**pin, "row": 7}, mode="x")) == {
        "key": "k",
        "pin": None,
        "mode": "share",
        "ground": "colours",
    }
    assert viewer.preprocess(payload(ground="outline"))["ground"] == "outline"
    assert viewer.preprocess(payload(ground="blink"))["ground"] == "colours"
    assert viewer.preprocess(None) == {"key": "", "pin": None, "mode": "share", "ground": "colours"}


def test_the_viewer_hands_on_a_region_and_takes_one(pair):
    viewer = PairViewer()
    pin = {"side": "b", "weights": WEIGHTS}
    assert viewer.preprocess(payload(pin=pin))["pin"] == pin
    assert viewer.preprocess(payload(pin={**pin, "weights": WEIGHTS[:3]}))["pin"] is None
    rows, columns = pair.b.grid
    pin = {"side": "b", "weights": [0.25] * (rows * columns)}
    data = viewer.postprocess((pair, "key", pin, "share"))
    assert data.pin == pin
    assert viewer.preprocess(PairData(**data.model_dump()))["pin"] == pin
    assert viewer.postprocess((pair, "key", {**pin, "weights": pin["weights"][1:]}, "share")).pin is None


def test_the_viewer_sends_every_number_to_its_stated_precision(pair):
    data = PairViewer().postprocess((pair, "key", {"side": "b", "row": 1, "col": 0}, "cosine"))
    content = Path(data.numbers.path).read_bytes()
    (h, w), (h2, w2) = pair.a.grid, pair.b.grid
    n, m = h * w, h2 * w2
    assert len(content) == 4 * (n + m) + 2 * 2 * n * m
    maps = np.frombuffer(content, "<f4", n + m)
    assert np.array_equal(maps[:n].reshape(h, w), pair.map_a.numpy())
    assert np.array_equal(maps[n:].reshape(h2, w2), pair.map_b.numpy())
    tables = np.frombuffer(content, "<i2", offset=4 * (n + m)).astype(float).reshape(2, h, w, h2, w2)
    for steps, scale, wanted in (
        (tables[0], data.scale_share, pair.joint_map),
        (tables[1], data.scale_cosine, pair.patch_cosines),
    ):
        assert scale == float(wanted.abs().max())
        assert np.abs(steps * scale / 32767 - wanted.numpy()).max() <= scale / 65534 * (1 + 1e-6)
    assert data.scale_map == max(float(pair.map_a.abs().max()), float(pair.map_b.abs().max()))
    assert (data.key, data.score, data.mode) == ("key", pair.score, "cosine")
    assert (data.grid_a, data.grid_b) == ((h, w), (h2, w2))
    assert data.pin == {"side": "b", "row": 1, "col": 0}


def test_a_row_of_the_packed_table_is_the_point_map_of_the_cells_centre(pair):
    data = PairViewer().postprocess((pair, "key", None, "share"))
    (h, w), (h2, w2) = pair.a.grid, pair.b.grid
    offset = 4 * (h * w + h2 * w2)
    steps = np.frombuffer(Path(data.numbers.path).read_bytes(), "<i2", h * w * h2 * w2, offset)
    table = steps.astype(float).reshape(h, w, h2, w2) * data.scale_share / 32767
    side = 8  # view pixels of a cell
    for row, column in ((0, 0), (1, 2), (h - 1, w - 1)):
        wanted = pair.point_map("a", side * column + 3.5, side * row + 3.5).numpy()
        assert np.abs(table[row, column] - wanted).max() <= data.scale_share / 65534 + 1e-6


def test_the_viewer_shows_what_each_view_covers(pair):
    data = PairViewer().postprocess((pair, "key", None, "share"))
    for side, view in (("a", pair.view_a), ("b", pair.view_b)):
        with Image.open(getattr(data, side).path) as image:
            assert image.format == "JPEG"
            assert abs(image.width / image.height - getattr(data, f"aspect_{side}")) < 0.06
        assert getattr(data, f"aspect_{side}") == view.image.width / view.image.height


def test_a_pin_outside_the_new_grids_is_dropped(pair):
    assert PairViewer().postprocess((pair, "key", {"side": "a", "row": 63, "col": 0}, "share")).pin is None


def test_the_empty_viewer_has_a_value_that_comes_back(pair):
    """The page would send null back as text."""
    empty = PairViewer().postprocess(None)
    assert empty.numbers is None
    assert PairViewer().preprocess(PairData(**empty.model_dump())) == PairViewer().preprocess(None)


def test_rows_of_maps_carry_their_cells(pair):
    rows = [{"title": "t", "note": "n", "a": [0.5], "b": [-0.5]}]
    data = MapRows().postprocess((pair, rows, 0.5))
    assert (data.rows, data.scale, data.grid_a) == (rows, 0.5, pair.a.grid)
    assert MapRows().postprocess(None) is None
    assert MapRows().preprocess(data) is None
    assert data.unit == "share of the score, per cell"
    assert MapRows(unit="metres").postprocess((pair, rows, 0.5)).unit == "metres"


PARTS = [AttributeTable, HitGrid, MapCards, MapRows, PairViewer, RegionPicker, ShareTold, StepViewer]


@pytest.mark.parametrize("part", PARTS)
def test_a_part_is_its_three_files_and_its_data(part):
    """A template that evaluated its data would run what a file name says."""
    component = part()
    assert "${" not in component.html_template
    assert "{{" not in component.html_template
    assert component.css_template == part.files.with_suffix(".css").read_text()
    assert component.js_on_load.endswith(part.files.with_suffix(".js").read_text())
    assert component.get_config()["js_on_load"] == component.js_on_load
    assert component.get_config()["component_class_name"] == part.__name__
    assert issubclass(component.data_model, GradioModel)
    with pytest.raises(AttributeError, match="no_such_event"):
        component.no_such_event  # noqa: B018


def test_every_part_is_tried():
    assert set(PagePart.__subclasses__()) == set(PARTS)


@pytest.mark.parametrize("part", [part for part in PARTS if part not in (AttributeTable, ShareTold)])
def test_scripts_that_draw_know_the_colours(part):
    script = part().js_on_load
    assert script.startswith(MAPS)
    assert all(f'"{name}"' in script for name in STOPS)
    assert "/*STOPS*/" not in script
    assert "/*FADE*/" not in script


def test_a_script_is_filled_where_it_says_and_nowhere_else():
    assert (
        filled("a = /*A*/ [], b = /*B*/ {}, c = /*C*/ 10;", A=["\\1"], C=0.5) == 'a = ["\\\\1"], b = /*B*/ {}, c = 0.5;'
    )
    for script in ("a = [];", "/*A*/ [] /*A*/ []", "/*A*/ x"):
        with pytest.raises(ValueError, match=r"/\*A\*/ stands"):
            filled(script, A=1)


def test_a_drop_zone_hands_on_the_file_undecoded(monkeypatch):
    def decoded(*_, **__):
        raise AssertionError("a pixel was decoded before the size was checked")

    monkeypatch.setattr(Image, "open", decoded)
    with tempfile.NamedTemporaryFile(suffix=".jpg") as file:
        file.write(b"not a picture")
        file.flush()
        drop = PictureDrop(type="filepath")
        assert drop.preprocess(ImageData(path=file.name)) == file.name
        assert drop.preprocess(None) is None


def test_a_picture_in_the_request_instead_of_a_file_is_refused():
    with pytest.raises(gr.Error, match="upload the picture"):
        PictureDrop().preprocess(ImageData(url="data:image/png;base64,AAAA"))


@pytest.mark.parametrize(
    ("typed", "counts"), [(None, 1), (0, 1), (-7.5, 1), (1, 1), (2.5, 2.5), (20, 20), (1e9, 20), (math.inf, 20)]
)
def test_a_number_outside_a_slider_counts_as_the_nearest_inside(typed, counts):
    assert HeldSlider(1, 20, 3).preprocess(typed) == counts


def test_a_pooling_that_the_list_lost_meanwhile_is_handed_on_and_a_feature_is_not():
    assert PoolingChoice(["avg", "max"]).preprocess("catavgmax") == "catavgmax"
    assert PoolingChoice([]).preprocess(None) == ""
    features = ChangingChoice([("feature 743: 0.030", 743), ("feature 6: 0.022", 6)])
    assert features.preprocess(743) == 743
    for lost in (7, "743", None, [743], math.nan):
        assert features.preprocess(lost) is None


def test_a_map_that_the_list_lost_meanwhile_is_none():
    assert ChangingChoice([("RISE", "rise")]).preprocess("rise") == "rise"
    for lost in ("lime", None, ["rise"]):
        assert ChangingChoice([("RISE", "rise")]).preprocess(lost) is None
    assert ChangingChoice([]).preprocess("rise") is None


def test_files_of_the_page_are_named_by_their_content(pair):
    names = {PairViewer().postprocess((pair, key, None, "share")).numbers.path for key in ("one", "two")}
    assert len(names) == 1
    assert isinstance(MapRows().postprocess((pair, [], 1.0)).a, FileData)
