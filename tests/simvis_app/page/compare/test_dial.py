"""The dial of Compare, asked without a browser: what it offers, draws, refuses, links and exports."""

import base64
import html
import io
import json
import zipfile
from pathlib import Path

import gradio as gr
import numpy as np
import pytest

from simvis_app.page.address import address
from simvis_app.page.depth import depth_words
from simvis_app.page.depth.dial_answers import DialAnswers, fine_json
from simvis_app.page.pair.places import read_pair
from simvis_app.service.sessions.depths import DepthAsked
from simvis_core import SimvisError
from tests.simvis_app.page.compare.conftest import VIEWER

PIXELS = {"side": "a", "row": 7, "col": 9, "of": [16, 24]}


@pytest.fixture
def dial(tab):
    """The dial's answers, read by name."""
    held, viewer = tab.widgets.dial, tab.widgets.look.viewer
    answers = DialAnswers(held, tab.handlers.depths, viewer, lambda values: read_pair(values, tab.widgets.pair))

    class Dial:
        def draw(self, pair, **more):
            steps = answers.draw(tab.values(pair, **more), None)
            return [tab.told(step, "draw") for step in steps if step != gr.skip()]

        def point(self, pair, pin, **more):
            return answers.point(tab.values(pair, viewer=VIEWER | {"pin": pin}, **more))

    tab.outputs = lambda event, outputs=tab.outputs: held.told if event == "draw" else outputs(event)
    return Dial()


def unpacked(told, side):
    steps = np.frombuffer(base64.b64decode(told[f"map_{side}"]), "<i2").reshape(told[f"grid_{side}"])
    return steps * told["scale"] / 32767


def test_the_steps_name_their_grids_and_the_coarse_map_is_first_and_chosen(dial, asked, pair):
    (offered,) = dial.draw(asked)
    first, *rest = offered["layer"]["choices"]
    assert first == (f"coarse: {depth_words.grid(pair.a.grid)}", "")
    assert ("16 x 24", "pixels") in rest
    assert (offered["layer"]["value"], offered["rule"]["visible"]) == ("", False)
    assert "map_a" not in json.loads(offered["fine_maps"])


@pytest.mark.parametrize("rule", ["frozen", "path"])
def test_a_depth_is_told_as_a_sum_and_drawn_as_python_computes_it(dial, tab, asked, files, small, rule):
    first, *_, last = dial.draw(asked, layer="pixels", rule=rule)
    assert "Until then the coarse one is shown" in first["depth_told"]
    told = tab.handlers.depths.explained(*files, small(), DepthAsked("pixels", rule))
    again = dial.draw(asked, layer="pixels", rule=rule)
    drawn = json.loads([step["fine_maps"] for step in again if "fine_maps" in step][-1])
    for side in "ab":
        assert np.abs(unpacked(drawn, side) - told.side(side)[2].numpy()).max() <= drawn["scale"] / 65534 + 1e-9
    said = html.unescape(last["depth_told"])
    assert all(part in said for part in (*depth_words.PART_NAMES.values(), depth_words.RULE_SAID[rule]))
    assert "does not make it faithful" in said
    assert "value" not in last["layer"]  # the visitor may have chosen another meanwhile


def test_a_depth_of_little_is_marked_once_it_is_known(dial, tab, asked, monkeypatch):
    monkeypatch.setattr("simvis_app.page.depth.dial_answers.is_little", lambda pair: pair.a.grid == (16, 24))
    (offered,) = dial.draw(asked)
    assert not any("little" in said for said, _ in offered["layer"]["choices"])
    *_, last = dial.draw(asked, layer="pixels", rule="frozen")
    assert ("16 x 24 · little of the score", "pixels") in last["layer"]["choices"]


def test_a_layer_that_the_network_lacks_is_a_sentence_and_the_coarse_map(dial, asked):
    (told,) = dial.draw(asked, layer="blocks.<b>", rule="path")
    assert "no maps at &#x27;blocks.&lt;b&gt;&#x27;" in told["depth_told"]
    assert told["layer"]["value"] == ""
    assert "map_a" not in json.loads(told["fine_maps"])


def test_what_cannot_be_frozen_is_a_sentence_and_the_coarse_map(dial, asked, monkeypatch, tab):
    def refusing(*_):
        raise SimvisError("an operator", "another", "choose the rule 'path'")
        yield

    monkeypatch.setattr(tab.handlers.depths, "drawing", refusing)
    *_, last = dial.draw(asked, layer="pixels", rule="frozen")
    assert "an operator; wanted" in last["depth_told"]
    assert "The coarse map is shown." in last["depth_told"]


def test_a_pin_is_answered_at_its_own_cell_and_nothing_else_is(dial, tab, asked, files, small):
    told = json.loads(dial.point(asked, PIXELS, layer="pixels", rule="path"))
    frozen = tab.handlers.depths.explained(*files, small(), DepthAsked("pixels"))
    map = frozen.point_map("a", 9, 7)
    assert {name: told[name] for name in PIXELS} == PIXELS
    steps = np.frombuffer(base64.b64decode(told["map"]), "<i2").reshape(told["grid"])
    assert np.abs(steps * told["scale"] / 32767 - map.numpy()).max() <= told["scale"] / 65534 + 1e-9
    coarse = {"side": "a", "row": 0, "col": 1}
    for pin, layer in ((PIXELS, ""), (None, "pixels"), (coarse, "pixels"), ({"side": "a", "weights": [1.0]}, "pixels")):
        assert dial.point(asked, pin, layer=layer) == gr.skip()
    refused = json.loads(dial.point(asked, PIXELS, layer="nowhere"))
    assert "which the network does not have" in refused["refused"]


def test_link_and_export_carry_the_depth_and_the_fine_pin(tab, asked, monkeypatch, tmp_path):
    more = {
        "colours": "blue-red",
        "opacity": 0.5,
        "viewer": VIEWER | {"pin": PIXELS},
        "layer": "pixels",
        "rule": "path",
    }
    values = tab.values(asked, **more)
    found, wrong = address.read(tab.answers.link(values))
    assert (found.layer, found.rule, found.pin, wrong) == ("pixels", "path", PIXELS, [])
    with zipfile.ZipFile(io.BytesIO(Path(tab.answers.export(values)).read_bytes())) as files:
        manifest, maps = json.loads(files.read("manifest.json")), np.load(io.BytesIO(files.read("maps.npz")))
    assert manifest["depth"] == {"layer": "pixels", "rule": "path", "reference": "blur"}
    assert maps["map_a"].shape == (16, 24)
    assert manifest["point"]["cell"] == [7, 9]
    plain = tab.values(asked, **more | {"layer": "", "rule": "path", "viewer": VIEWER})
    assert address.read(tab.answers.link(plain))[0].layer is None


def test_a_fine_pin_is_read_back_and_a_wrong_one_is_refused():
    assert address.pin_of("b.3.4.28.44") == {"side": "b", "row": 3, "col": 4, "of": [28, 44]}
    for text in ("b.3.4.28", "b.3.4.28.44.1", "b.3.4.28.-4"):
        with pytest.raises(ValueError, match="b"):
            address.pin_of(text)


def test_fine_json_is_another_text_each_time(pair):
    one, other = fine_json(pair), fine_json(pair)
    assert one != other
    assert json.loads(one)["grid_a"] == list(pair.a.grid)
