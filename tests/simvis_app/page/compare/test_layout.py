"""The Compare tab's handlers as plain functions, and the app as it is built."""

import io
import json
import zipfile
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import numpy as np
import pytest
import torch
from PIL import Image

import model_zoo
from simvis_app.page import build_app
from simvis_app.page.address import address
from simvis_app.page.compare.handlers import Handlers
from simvis_app.page.parts.pair_viewer import PairViewer
from simvis_app.service import words
from simvis_app.service.galleries.galleries import Galleries
from simvis_app.service.links import LinkedPictures
from simvis_app.service.sessions.session import Session, Settings
from simvis_core import SimvisError
from simvis_core.pairs.export import Export
from simvis_core.pictures.overlays import common_scale, overlay
from tests.twins import TWINS

VIEWER = {"key": "", "pin": None, "mode": "share", "ground": "colours"}


@pytest.fixture
def handlers(session, tmp_path):
    return Handlers(session, LinkedPictures(tmp_path / "links"))


@pytest.fixture
def asked(files):
    """Pictures and settings as the page sends them."""
    return [*map(str, files), "tiny", "avg", 3.0, 16, "whole", None]


def shown(answer):
    """Notice, score, ledger and viewer of a comparison."""
    return dict(zip(("notice", "score", "ledger", "credits", "method", "viewer"), answer, strict=False))


def test_a_pair_fills_every_panel(handlers, asked, pair):
    answer = handlers.compare(*asked, VIEWER, 2, None)
    page = shown(answer)
    assert page["notice"] == ""
    assert f"{pair.score:.3f}" in page["score"]
    assert f"= {pair.score:.3f} " in page["ledger"]
    assert page["viewer"][0].score == pair.score
    assert None not in answer[:13]


@pytest.mark.parametrize("missing", [(0,), (1,), (0, 1)])
def test_a_missing_picture_is_asked_for(handlers, asked, missing):
    for place in missing:
        asked[place] = None
    answer = handlers.compare(*asked, VIEWER, 2, None)
    assert "Drop a picture into both places" in answer[0]
    assert shown(answer)["score"] == ""
    assert shown(answer)["viewer"] is None
    assert len(answer) == len(handlers.compare(*asked, VIEWER, 2, None))


def test_a_refused_pair_answers_as_many_outputs_as_an_explained_one(handlers, asked):
    good = handlers.compare(*asked, VIEWER, 2, None)
    bad = handlers.compare(None, *asked[1:], VIEWER, 2, None)
    assert len(good) == len(bad)


def test_a_bad_picture_is_a_sentence_with_its_markup_escaped(handlers, asked, tmp_path):
    path = tmp_path / "<img src=x onerror=alert(1)>.jpg"
    asked[0] = str(path)  # not there: the sentence names it
    notice = handlers.compare(*asked, VIEWER, 2, None)[0]
    assert "<img" not in notice
    assert "&lt;img" in notice


def test_a_pin_stays_with_its_pair_and_leaves_with_it(handlers, asked):
    pin = {"side": "a", "row": 1, "col": 1}
    key = shown(handlers.compare(*asked, VIEWER, 2, None))["viewer"][1]
    held = {"key": key, "pin": pin, "mode": "cosine", "ground": "colours"}
    for changes in ({3: "max"}, {2: "other"}):
        values = [changes.get(place, value) for place, value in enumerate(asked)]
        assert shown(handlers.compare(*values, held, 2, None))["viewer"][1:] == (key, pin, "cosine")
    turned = [asked[1], asked[0], *asked[2:]]
    assert shown(handlers.compare(*turned, held, 2, None))["viewer"][2] is None
    larger = [24 if place == 5 else value for place, value in enumerate(asked)]
    assert shown(handlers.compare(*larger, held, 2, None))["viewer"][2] is None


def test_a_links_pin_is_used_once(handlers, asked):
    pin = {"side": "b", "row": 0, "col": 1}
    answer = handlers.compare(*asked, VIEWER, 2, pin)
    assert shown(answer)["viewer"][2] == pin
    assert answer[13] is None


def test_k_is_held_to_the_number_of_features(handlers, asked):
    for k in (1280, None, 0, -5, 2.7):
        answer = handlers.compare(*asked, VIEWER, k, None)
        slider = next(part for part in answer if isinstance(part, dict) and "maximum" in part)
        assert slider["maximum"] == 5
        assert 1 <= slider["value"] <= 5
    for k in (None, 0, 10**9):
        assert handlers.top_k(*asked, k)[1]


def test_a_flatten_of_two_shapes_is_a_sentence_with_a_cure(handlers, asked, monkeypatch, tiny_network):
    monkeypatch.setattr(tiny_network, "head", None)
    asked[3] = "flatten"
    assert "choose the square view" in handlers.compare(*asked, VIEWER, 2, None)[0]
    asked[6] = "square"
    page = shown(handlers.compare(*asked, VIEWER, 2, None))
    assert page["notice"] == ""
    assert page["viewer"][0].network.pooling.name == "flatten"


def test_an_export_holds_what_is_shown(handlers, asked, pair):
    pin = {"side": "a", "row": 1, "col": 2}
    path = handlers.export(*asked, "purple-green", 0.5, {"key": "k", "pin": pin, "mode": "share", "ground": "colours"})
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        files = {name: archive.read(name) for name in archive.namelist()}
    assert set(files) == {"overlay_a.png", "overlay_b.png", "point_on_b.png", "maps.npz", "manifest.json"}
    manifest = json.loads(files["manifest.json"])
    with np.load(io.BytesIO(files["maps.npz"])) as maps:
        assert abs(maps["map_a"].sum() + manifest["bias_part"]["a"] - manifest["score"]) < 1e-6
        assert np.allclose(maps["point_map"], pair.joint_map[1, 2].numpy(), atol=1e-6)
    assert manifest["point"]["cell"] == [1, 2]
    assert abs(manifest["point"]["share"] - float(pair.map_a[1, 2])) < 1e-6
    for side, view in (("a", pair.view_a), ("b", pair.view_b)):
        with Image.open(io.BytesIO(files[f"overlay_{side}.png"])) as image:
            assert image.size == view.image.size


def test_a_picture_to_share_is_the_pairs_figure_of_what_is_shown(handlers, asked, pair):
    pin = {"side": "a", "row": 1, "col": 2}
    path = handlers.figure(*asked, "purple-green", 0.5, VIEWER | {"pin": pin, "ground": "grey"})
    assert Path(path).name == "simvis.png"
    view = pair.view_a
    x, y = (
        (at + 0.5) * side / cells - 0.5
        for at, side, cells in zip((2, 1), view.size[::-1], pair.a.grid[::-1], strict=True)
    )
    facts = {"files": {side: Path(file).name for side, file in zip("ab", asked, strict=False)}, "credit": ""}
    with Image.open(path) as drawn:
        assert drawn.tobytes() == Export(pair, ("a", x, y), "purple-green", 0.5, facts, None, "grey").figure().tobytes()
        assert json.loads(drawn.text["manifest"])["point"]["cell"] == [1, 2]


def test_an_export_draws_maps_as_they_lie_on_the_page(handlers, asked, pair):
    path = handlers.export(*asked, "purple-green", 0.5, VIEWER | {"ground": "outline"})
    with zipfile.ZipFile(path) as archive, Image.open(io.BytesIO(archive.read("overlay_a.png"))) as drawn:
        scale = common_scale(pair.map_a, pair.map_b)
        expected = overlay(pair.view_a, pair.map_a, scale, "purple-green", 0.5, "outline")
        assert drawn.tobytes() == expected.tobytes()


def test_an_export_with_a_pinned_region_holds_its_map_and_weights(handlers, asked, pair):
    rows, columns = pair.a.grid
    weights = [round(0.1 * at - 0.2, 3) for at in range(rows * columns)]
    viewer = {"key": "k", "pin": {"side": "a", "weights": weights}, "mode": "share", "ground": "colours"}
    path = handlers.export(*asked, "purple-green", 0.5, viewer)
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        files = {name: archive.read(name) for name in archive.namelist()}
    assert set(files) == {"overlay_a.png", "overlay_b.png", "region_on_b.png", "maps.npz", "manifest.json"}
    table = torch.tensor(weights, dtype=torch.float64).reshape(rows, columns)
    with np.load(io.BytesIO(files["maps.npz"])) as maps:
        assert np.allclose(maps["region_weights"], table.numpy())
        assert np.allclose(maps["region_map"], pair.cells_map("a", table).numpy(), atol=1e-6)
        by_cells = np.einsum("hw,hwij->ij", table.numpy(), pair.joint_map.double().numpy())
        assert np.allclose(maps["region_map"], by_cells, atol=1e-6)
    for pin in ({"side": "a", "weights": weights[:-1]}, {"side": "b", "weights": [0.0] * 8}, {"side": "a"}):
        path = handlers.export(*asked, "purple-green", 0.5, {**viewer, "pin": pin})
        with zipfile.ZipFile(path) as archive:
            assert "region_on_b.png" not in archive.namelist()


def test_a_region_goes_into_a_link_and_comes_back_to_the_viewer(handlers, asked, pair):
    cells = pair.a.grid[0] * pair.a.grid[1]
    pin = {"side": "a", "weights": [at / cells - 0.4 for at in range(cells)]}
    query = handlers.link(*asked, "teal-brown", 0.4, {"key": "k", "pin": pin, "mode": "share", "ground": "colours"})
    linked = address.read(query)[0].pin
    page = shown(handlers.compare(*asked, VIEWER, 2, linked))
    sent = PairViewer().postprocess(page["viewer"]).pin
    assert sent["side"] == "a"
    assert sent["weights"] == pytest.approx(pin["weights"], abs=1 / 127)


def test_a_pin_that_is_told_anew_has_a_key_of_its_own_and_stays_with_its_pair(handlers, asked):
    plain = shown(handlers.compare(*asked, VIEWER, 2, None))["viewer"][1]
    pins = [{"side": "b", "row": 0, "col": at} for at in (0, 1)]
    viewers = [shown(handlers.compare(*asked, {**VIEWER, "key": plain}, 2, pin))["viewer"] for pin in pins]
    keys = [viewer[1] for viewer in viewers]
    assert len({plain, *keys}) == 3
    assert {key.split("#")[0] for key in keys} == {plain}
    assert [viewer[2] for viewer in viewers] == pins
    held = {"key": keys[1], "pin": pins[0], "mode": "share", "ground": "colours"}
    again = shown(handlers.compare(*[*asked[:3], "max", *asked[4:]], held, 2, None))["viewer"]
    assert again[1:3] == (keys[1], pins[0])
    turned = shown(handlers.compare(asked[1], asked[0], *asked[2:], held, 2, None))["viewer"]
    assert turned[2] is None
    assert "#" not in turned[1]


@pytest.mark.parametrize(("size", "offered"), [(16, 16), (24, 24)])
def test_a_pair_from_another_tab_sets_the_choices_it_was_found_with(handlers, size, offered):
    settings = Settings("mobilenet_v2", "gem:4", size, "crop")
    backbone, pooling, exponent, short_side, framing, notice, _, network = handlers.opened(settings, "x")
    assert (backbone["value"], pooling["value"], framing, notice, network) == (
        *("mobilenet_v2", "gem", "crop", ""),
        "mobilenet_v2",
    )
    assert exponent["value"] == 4
    assert exponent["visible"] is True
    assert short_side["value"] == offered
    assert offered in [value for _, value in short_side["choices"]]
    assert handlers.opened(Settings("mobilenet_v2", "avg", 224), "x")[3] == 224
    assert handlers.opened(Settings("mobilenet_v2", "avg", 224), "x")[2]["visible"] is False


def test_a_pair_of_a_network_that_cannot_be_had_any_more_is_not_opened(handlers, monkeypatch):
    def load(name):
        raise SimvisError(f"the card '{name}', but nobody answers", "weights", "use another")

    monkeypatch.setattr(model_zoo, "load", load)
    with pytest.raises(gr.Error, match="'resnet18' cannot be loaded here"):
        handlers.opened(Settings("resnet18"), "mobilenet_v2")


VISITOR = SimpleNamespace(session_hash="anne")


@pytest.fixture
def black_box(handlers, tiny_network, monkeypatch):
    """The handlers of a network whose head cannot be split."""
    monkeypatch.setattr(tiny_network, "head", torch.nn.Sequential(torch.nn.Linear(6, 5), torch.nn.Softmax(-1)))
    return handlers


def test_a_black_box_shows_its_score_then_how_far_it_is_then_its_map(black_box, asked):
    first = shown(black_box.compare(*asked, VIEWER, 2, None, VISITOR))
    assert first["method"]["visible"] is True
    assert first["viewer"][0].method == "none"
    steps = list(black_box.draw(VIEWER, 2, VISITOR))
    assert all(part == gr.skip() for part in steps[0])
    assert "0 of " in steps[1][0]
    assert steps[1][1]["visible"] is True
    progress, stop, notice, *page = steps[-1]
    assert (progress, stop["visible"], notice) == ("", False, "")
    assert page[4][0].method == "sliding window"
    assert len({len(step) for step in steps}) == 1


def test_nothing_is_drawn_for_a_network_that_can_be_split_or_a_missing_picture(handlers, asked):
    for values in (asked, [None, *asked[1:]], [*asked[:3], "nosuchpooling", *asked[4:]]):
        assert handlers.compare(*values, VIEWER, 2, None, VISITOR)[-1] == ""
        assert len(list(handlers.draw(VIEWER, 2, VISITOR))) == 1
    stranger = SimpleNamespace(session_hash="carl")
    assert len(list(handlers.draw(VIEWER, 2, stranger))) == 1


def test_each_drawing_that_is_to_follow_has_another_text(black_box, asked):
    texts = {black_box.compare(*asked, VIEWER, 2, None, VISITOR)[-1] for _ in range(2)}
    assert len(texts) == 2
    list(black_box.draw(VIEWER, 2, VISITOR))
    assert black_box.compare(*asked, VIEWER, 2, None, VISITOR)[-1] == ""


@pytest.mark.parametrize("begun", [False, True])
def test_a_drawing_never_shows_what_its_visitor_does_not_ask_for_any_more(black_box, asked, begun):
    """Whether it has begun or waits its turn."""
    black_box.compare(*asked, VIEWER, 2, None, VISITOR)
    drawing = black_box.draw(VIEWER, 2, VISITOR)
    if begun:
        assert "of" in [next(drawing) for _ in range(3)][-1][0]
    asked[3] = "max"
    black_box.compare(*asked, VIEWER, 2, None, VISITOR)
    rest = list(drawing)
    if begun:
        assert all(part == gr.skip() for step in rest for part in step)
    else:  # it draws what was asked for last
        assert rest[-1][7][0].network.pooling.name == "max"
    if begun:
        other = SimpleNamespace(session_hash="bert")
        black_box.compare(*asked, VIEWER, 2, None, other)
        assert list(black_box.draw(VIEWER, 2, other))[-1][7][0].method == "sliding window"


def test_stop_ends_a_drawing_and_goes_back_to_the_map_that_is_shown(black_box, asked):
    black_box.compare(*asked, VIEWER, 2, None, VISITOR)
    list(black_box.draw(VIEWER, 2, VISITOR))
    again = [*asked[:-1], "RISE"]
    black_box.compare(*again, VIEWER, 2, None, VISITOR)
    drawing = black_box.draw(VIEWER, 2, VISITOR)
    next(drawing)
    said, button, method = black_box.stop(*again, VISITOR)
    assert "Stopped." in said
    assert button["visible"] is False
    assert method is None
    assert all(part == gr.skip() for step in drawing for part in step)


def test_an_upload_is_refused_where_the_owner_allows_none(handlers, tmp_path):
    (tmp_path / "x.pth").write_bytes(b"x")
    answer = handlers.open_model("avg", "tiny", None, str(tmp_path / "x.pth"), "timm/resnet18", "auto")
    assert "Got an uploaded checkpoint" in answer[0]
    assert "choose one first" in handlers.open_model("avg", "tiny", None, None, "timm/resnet18", "auto")[0]


def test_a_network_that_cannot_be_had_keeps_a_working_one(handlers, monkeypatch):
    def load(name):
        raise SimvisError(f"the card '{name}', but nobody answers", "weights", "use another")

    monkeypatch.setattr(model_zoo, "load", load)
    backbone, pooling, _, notice, card, last = handlers.choose_network("resnet18", "avg", "mobilenet_v2")
    assert backbone == last == "mobilenet_v2"
    assert pooling == gr.skip()
    assert "nobody answers" in notice
    assert model_zoo.card(backbone).title in card


def test_a_network_offers_the_poolings_its_head_takes(handlers):
    backbone, pooling, exponent, notice, card, last = handlers.choose_network("mobilenet_v2", "catavgmax", "tiny")
    assert (backbone["value"], last, notice) == ("mobilenet_v2", "mobilenet_v2", "")
    assert exponent["visible"] is False
    assert pooling["choices"] == ["avg", "max", "gem", "avgmax"]
    assert pooling["value"] == "avg"
    assert "MIT" in card
    assert handlers.choose_network("mobilenet_v2", "gem", "tiny")[1]["value"] == "gem"


@pytest.mark.parametrize("name", model_zoo.names())
def test_every_card_is_described(name):
    text, card = words.card_text(name), model_zoo.card(name)
    for part in (card.title, card.licence, card.origin, card.paper, card.task):
        assert part in text
    assert ("downloads" in words.network_label(name)) == (not card.bundled)


def test_the_app_builds_and_shows_only_its_twins_to_the_world(tmp_path, built):
    session = Session()
    app = built(lambda: build_app(session, tmp_path / "links", Galleries(session, tmp_path / "galleries")))
    public = set(app.get_api_info()["named_endpoints"])
    assert public == TWINS
    assert app.get_api_info()["unnamed_endpoints"] == {}
    assert not (tmp_path / "links").exists()
    assert not (tmp_path / "galleries").exists()
    # The browser copies everything inside a component that shows progress, at every event.
    turning = [one for one in app.fns.values() if any(isinstance(part, gr.Tabs) for part in one.outputs)]
    assert len(turning) >= 3
    assert not any(isinstance(part, gr.Tabs) for one in turning for part in one.show_progress_on or one.outputs)
