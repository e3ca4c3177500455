"""What the Compare tab answers, from what its components hold, and the app as it is built."""

import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import numpy as np
import pytest
import torch
from PIL import Image

import model_zoo
from simvis_app.page import TABS, build_app
from simvis_app.page.address import address
from simvis_app.service import samples, words
from simvis_app.service.galleries.galleries import Galleries
from simvis_app.service.sessions.session import Session
from simvis_core import SimvisError
from simvis_core.pairs.export import Export
from simvis_core.pictures.overlays import common_scale, overlay
from tests.simvis_app.page.compare.conftest import VIEWER
from tests.twins import TWINS

SHOWN = ("score", "ledger", "viewer", "topk_plot", "topk_maps", "feature_maps", "pooling_maps", "pooling_plot")


def by(asked, **changes):
    return replace(asked, **changes)


def test_a_pair_fills_every_panel(tab, asked, pair):
    page = tab.compare(asked)
    assert page["notice"] == ""
    assert f"{pair.score:.3f}" in page["score"]
    assert f"= {pair.score:.3f} " in page["ledger"]
    assert page["viewer"][0].score == pair.score
    assert all(page[name] not in (None, "") for name in SHOWN)


@pytest.mark.parametrize("missing", [("image_a",), ("image_b",), ("image_a", "image_b")])
def test_a_missing_picture_is_asked_for(tab, asked, missing):
    page = tab.compare(by(asked, **dict.fromkeys(missing)))
    assert "Drop a picture into both places" in page["notice"]
    assert all(page[name] in (None, "") for name in SHOWN)
    assert tab.compare(by(asked, **dict.fromkeys(missing)), refused=("not taken",))["notice"] == "not taken"


def test_a_refused_pair_empties_what_an_explained_one_fills(tab, asked):
    good, bad = tab.compare(asked), tab.compare(by(asked, image_a=None))
    assert set(good) - set(bad) == {"k", "link_pin"}  # a link's pin waits for its pair
    by_itself = {"said", "choice", "places", "maps", "rule", "depth_told"}  # concepts and dial, which follow the map
    filled = set(tab.told(dict.fromkeys(tab.outputs("compare")))) - {"seen"}
    assert set(bad) - by_itself < set(good) == filled - by_itself
    assert (good["progress"], good["stop"]["visible"], good["told"]) == ("", False, None)


def test_a_notice_about_dropped_files_stands_before_the_pairs_warnings(tab, asked):
    told = tab.compare(asked, refused=("shown before", "<p>not taken</p>"), seen=1)
    assert (told["notice"], told["seen"]) == ("<p>not taken</p>", 2)


def test_a_bad_picture_is_a_sentence_with_its_markup_escaped(tab, asked, tmp_path):
    path = tmp_path / "<img src=x onerror=alert(1)>.jpg"  # not there: the sentence names it
    notice = tab.compare(by(asked, image_a=str(path)))["notice"]
    assert "<img" not in notice
    assert "&lt;img" in notice


def test_a_pin_stays_with_its_pair_and_leaves_with_it(tab, asked):
    pin = {"side": "a", "row": 1, "col": 1}
    key = tab.compare(asked)["viewer"][1]
    held = {"key": key, "pin": pin, "mode": "cosine", "ground": "colours"}
    for changes in ({"pooling": "max"}, {"backbone": "other"}):
        assert tab.compare(by(asked, **changes), viewer=held)["viewer"][1:] == (key, pin, "cosine")
    turned = by(asked, image_a=asked.image_b, image_b=asked.image_a)
    assert tab.compare(turned, viewer=held)["viewer"][2] is None
    assert tab.compare(by(asked, short_side=24), viewer=held)["viewer"][2] is None


def test_a_links_pin_is_used_once(tab, asked):
    pin = {"side": "b", "row": 0, "col": 1}
    page = tab.compare(asked, link_pin=pin)
    assert page["viewer"][2] == pin
    assert page["link_pin"] is None
    held = VIEWER | {"key": page["viewer"][1], "pin": pin}
    assert tab.compare(asked, viewer=held, link_pin={})["viewer"][2] is None  # an empty one clears it


def test_k_is_held_to_the_number_of_features(tab, asked):
    for k in (1280, None, 0, -5, 2.7):
        slider = tab.compare(asked, k=k)["k"]
        assert slider["maximum"] == 5
        assert 1 <= slider["value"] <= 5
    for k in (None, 0, 10**9):
        assert tab.told(tab.answers.top_k(tab.values(asked, k=k)), "top_k")["topk_maps"][1]


def test_where_a_feature_fires_is_shown_unless_the_list_has_lost_it(tab, asked, pair):
    listed = tab.compare(asked)["feature"]["choices"]
    for _, feature in listed[:2]:
        found = tab.told(tab.answers.feature(tab.values(asked, feature=feature)), "feature")["feature_maps"]
        assert found[1][0]["a"] == pytest.approx(pair.feature_map("a", feature).flatten().tolist(), rel=1e-4)
    assert tab.answers.feature(tab.values(asked, feature=None)) == gr.skip()


def test_a_flatten_of_two_shapes_is_a_sentence_with_a_cure(tab, asked, monkeypatch, tiny_network):
    monkeypatch.setattr(tiny_network, "head", None)
    asked = by(asked, pooling="flatten")
    assert "choose the square view" in tab.compare(asked)["notice"]
    page = tab.compare(by(asked, framing="square"))
    assert page["notice"] == ""
    assert page["viewer"][0].network.pooling.name == "flatten"


def linked(tab, asked, colours, opacity, viewer):
    return tab.values(asked, colours=colours, opacity=opacity, viewer=viewer)


def test_an_export_holds_what_is_shown(tab, asked, pair):
    pin = {"side": "a", "row": 1, "col": 2}
    path = tab.answers.export(linked(tab, asked, "purple-green", 0.5, VIEWER | {"pin": pin}))
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


def test_a_picture_to_share_is_the_pairs_figure_of_what_is_shown(tab, asked, pair):
    pin = {"side": "a", "row": 1, "col": 2}
    path = tab.answers.figure(linked(tab, asked, "purple-green", 0.5, VIEWER | {"pin": pin, "ground": "grey"}))
    assert Path(path).name == "simvis.png"
    view = pair.view_a
    x, y = (
        (at + 0.5) * side / cells - 0.5
        for at, side, cells in zip((2, 1), view.size[::-1], pair.a.grid[::-1], strict=True)
    )
    facts = {"files": {side: Path(file).name for side, file in zip("ab", asked.files, strict=True)}, "credit": ""}
    with Image.open(path) as drawn:
        assert drawn.tobytes() == Export(pair, ("a", x, y), "purple-green", 0.5, facts, None, "grey").figure().tobytes()
        assert json.loads(drawn.text["manifest"])["point"]["cell"] == [1, 2]


def test_an_export_draws_maps_as_they_lie_on_the_page(tab, asked, pair):
    path = tab.answers.export(linked(tab, asked, "purple-green", 0.5, VIEWER | {"ground": "outline"}))
    with zipfile.ZipFile(path) as archive, Image.open(io.BytesIO(archive.read("overlay_a.png"))) as drawn:
        scale = common_scale(pair.map_a, pair.map_b)
        expected = overlay(pair.view_a, pair.map_a, scale, "purple-green", 0.5, "outline")
        assert drawn.tobytes() == expected.tobytes()


def test_an_export_with_a_pinned_region_holds_its_map_and_weights(tab, asked, pair):
    rows, columns = pair.a.grid
    weights = [round(0.1 * at - 0.2, 3) for at in range(rows * columns)]
    viewer = {"key": "k", "pin": {"side": "a", "weights": weights}, "mode": "share", "ground": "colours"}
    path = tab.answers.export(linked(tab, asked, "purple-green", 0.5, viewer))
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
        path = tab.answers.export(linked(tab, asked, "purple-green", 0.5, {**viewer, "pin": pin}))
        with zipfile.ZipFile(path) as archive:
            assert "region_on_b.png" not in archive.namelist()


def test_a_region_goes_into_a_link_and_comes_back_to_the_viewer(tab, asked, pair):
    cells = pair.a.grid[0] * pair.a.grid[1]
    pin = {"side": "a", "weights": [at / cells - 0.4 for at in range(cells)]}
    query = tab.answers.link(linked(tab, asked, "teal-brown", 0.4, VIEWER | {"pin": pin}))
    found = address.read(query)[0].pin
    page = tab.compare(asked, link_pin=found)
    sent = tab.widgets.look.viewer.postprocess(page["viewer"]).pin
    assert sent["side"] == "a"
    assert sent["weights"] == pytest.approx(pin["weights"], abs=1 / 127)


def test_a_link_or_file_of_a_missing_picture_is_refused_in_a_sentence(tab, asked):
    values = linked(tab, by(asked, image_b=None), "teal-brown", 0.4, VIEWER)
    for give in (tab.answers.link, tab.answers.export, tab.answers.figure):
        with pytest.raises(gr.Error, match="Drop a picture into both places first"):
            give(values)


def test_a_link_keeps_everything_that_is_chosen(tab, asked):
    chosen = by(asked, pooling="gem", exponent=4.5, short_side=384, framing="crop", method="RISE")
    viewer = VIEWER | {"mode": "cosine"}
    found, wrong = address.read(tab.answers.link(linked(tab, chosen, "teal-brown", 0.4, viewer)))
    assert wrong == []
    kept = (found.backbone, found.pooling, found.exponent, found.short_side, found.framing, found.method)
    assert kept == ("tiny", "gem", 4.5, 384, "crop", "RISE")
    assert (found.colours, found.opacity, found.mode) == ("teal-brown", 0.4, "cosine")
    assert address.read(tab.answers.link(linked(tab, asked, "teal-brown", 0.4, viewer)))[0].method == "auto"


def test_a_pin_that_is_told_anew_has_a_key_of_its_own_and_stays_with_its_pair(tab, asked):
    plain = tab.compare(asked)["viewer"][1]
    pins = [{"side": "b", "row": 0, "col": at} for at in (0, 1)]
    viewers = [tab.compare(asked, viewer={**VIEWER, "key": plain}, link_pin=pin)["viewer"] for pin in pins]
    keys = [viewer[1] for viewer in viewers]
    assert len({plain, *keys}) == 3
    assert {key.split("#")[0] for key in keys} == {plain}
    assert [viewer[2] for viewer in viewers] == pins
    held = {"key": keys[1], "pin": pins[0], "mode": "share", "ground": "colours"}
    assert tab.compare(by(asked, pooling="max"), viewer=held)["viewer"][1:3] == (keys[1], pins[0])
    turned = tab.compare(by(asked, image_a=asked.image_b, image_b=asked.image_a), viewer=held)["viewer"]
    assert turned[2] is None
    assert "#" not in turned[1]


VISITOR = SimpleNamespace(session_hash="anne")


@pytest.fixture
def black_box(tab, tiny_network, monkeypatch):
    """The tab with a network whose head cannot be split."""
    monkeypatch.setattr(tiny_network, "head", torch.nn.Sequential(torch.nn.Linear(6, 5), torch.nn.Softmax(-1)))
    return tab


def test_a_black_box_shows_its_score_then_how_far_it_is_then_its_map(black_box, asked):
    first = black_box.compare(asked, VISITOR)
    assert first["method"]["visible"] is True
    assert first["viewer"][0].method == "none"
    steps = list(black_box.draw(VISITOR))
    assert steps[0] == {}
    assert set(steps[1]) == {"progress", "stop"}
    assert "0 of " in steps[1]["progress"]
    assert steps[1]["stop"]["visible"] is True
    last = steps[-1]
    assert (last["progress"], last["stop"]["visible"], last["notice"]) == ("", False, "")
    assert last["viewer"][0].method == "sliding window"
    assert set(last) == set(black_box.told(dict.fromkeys(black_box.outputs("draw"))))


def test_nothing_is_drawn_for_a_network_that_can_be_split_or_a_missing_picture(tab, asked):
    for pair in (asked, by(asked, image_a=None), by(asked, pooling="nosuchpooling")):
        assert tab.compare(pair, VISITOR)["to_draw"] == ""
        assert list(tab.draw(VISITOR)) == [{}]
    assert list(tab.draw(SimpleNamespace(session_hash="carl"))) == [{}]


def test_each_drawing_that_is_to_follow_has_another_text(black_box, asked):
    texts = {black_box.compare(asked, VISITOR)["to_draw"] for _ in range(2)}
    assert len(texts) == 2
    list(black_box.draw(VISITOR))
    assert black_box.compare(asked, VISITOR)["to_draw"] == ""


@pytest.mark.parametrize("begun", [False, True])
def test_a_drawing_never_shows_what_its_visitor_does_not_ask_for_any_more(black_box, asked, begun):
    """Whether it has begun or waits its turn."""
    black_box.compare(asked, VISITOR)
    drawing = black_box.draw(VISITOR)
    if begun:
        assert "of" in [next(drawing) for _ in range(3)][-1]["progress"]
    black_box.compare(by(asked, pooling="max"), VISITOR)
    rest = list(drawing)
    if not begun:  # it draws what was asked for last
        assert rest[-1]["viewer"][0].network.pooling.name == "max"
        return
    assert rest == [{}]
    other = SimpleNamespace(session_hash="bert")
    black_box.compare(asked, other)
    assert list(black_box.draw(other))[-1]["viewer"][0].method == "sliding window"


def test_stop_ends_a_drawing_and_goes_back_to_the_map_that_is_shown(black_box, asked):
    black_box.compare(asked, VISITOR)
    list(black_box.draw(VISITOR))
    again = by(asked, method="RISE")
    black_box.compare(again, VISITOR)
    drawing = black_box.draw(VISITOR)
    next(drawing)
    page = black_box.told(black_box.answers.stop(black_box.values(again), VISITOR), "stop")
    assert "Stopped." in page["progress"]
    assert page["stop"]["visible"] is False
    assert page["method"] is None
    assert list(drawing) == []


def test_who_leaves_is_drawn_for_no_longer(black_box, asked):
    black_box.compare(asked, VISITOR)
    drawing = black_box.draw(VISITOR)
    assert next(drawing) == {}
    assert "progress" in next(drawing)
    black_box.answers.leave(VISITOR)
    assert list(drawing) == [{}]


def test_a_ready_made_pair_fills_both_places(tab):
    page = tab.told(tab.answers.show_example(SimpleNamespace(index=1)), "show_example")
    pair = samples.pairs()[1]
    assert {name: Path(file).name for name, file in page.items()} == {
        f"image_{side}": Path(pair[side]).name for side in "ab"
    }


def test_a_chosen_pooling_shows_the_exponent_that_it_has(tab):
    shown = [tab.answers.choose_pooling(tab.values(pooling=pooling)) for pooling in ("gem", "max")]
    assert [tab.told(one, "choose_pooling")["exponent"]["visible"] for one in shown] == [True, False]


def test_a_network_that_cannot_be_had_keeps_a_working_one(tab, monkeypatch):
    def load(name):
        raise SimvisError(f"the card '{name}', but nobody answers", "weights", "use another")

    monkeypatch.setattr(model_zoo, "load", load)
    values = tab.values(backbone="resnet18", pooling="avg", network_working="mobilenet_v2")
    page = tab.told(tab.answers.choose_network(values), "choose_network")
    assert set(page) == {"backbone", "network_notice", "network_card", "network_working"}
    assert page["backbone"] == page["network_working"] == "mobilenet_v2"
    assert "nobody answers" in page["network_notice"]
    assert model_zoo.card("mobilenet_v2").title in page["network_card"]


def test_a_network_offers_the_poolings_its_head_takes(tab):
    def chosen(pooling):
        values = tab.values(backbone="mobilenet_v2", pooling=pooling, network_working="tiny")
        return tab.told(tab.answers.choose_network(values), "choose_network")

    page = chosen("catavgmax")
    assert (page["backbone"]["value"], page["network_working"], page["network_notice"]) == (
        *("mobilenet_v2", "mobilenet_v2"),
        "",
    )
    assert page["exponent"] == gr.update(visible=False)  # its value stays
    assert page["pooling"]["choices"] == ["avg", "max", "gem", "avgmax"]
    assert page["pooling"]["value"] == "avg"
    assert "MIT" in page["network_card"]
    assert chosen("gem")["pooling"]["value"] == "gem"


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
    assert [one.label for one in app.blocks.values() if isinstance(one, gr.Tab)] == list(TABS)
    assert not any(isinstance(part, gr.Tabs) for one in turning for part in one.show_progress_on or one.outputs)
