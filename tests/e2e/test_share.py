"""Links and exports: what was on screen comes back, on another machine or on disk."""

import io
import json
import re
import zipfile

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from simvis_app.service.sessions.session import Settings
from simvis_core.pairs.export import Export
from simvis_core.pictures.views import weights_at
from tests.e2e.test_search import HITS, drag, key
from tests.e2e.visitor import PICTURES, carried

pytestmark = [pytest.mark.browser, pytest.mark.network]


@pytest.fixture
def own(tmp_path):
    """Two pictures that are not samples, with names that need care."""
    files = tmp_path / "my picture & more.png", tmp_path / "100 % <b>.png"
    for source, file in zip(("cheetah/cheetah_1.jpg", "koala/koala_1.jpg"), files, strict=True):
        with Image.open(PICTURES / source) as image:
            image.save(file)
    return files


@pytest.mark.slow
def test_a_link_restores_pictures_settings_and_pin_for_somebody_else(visitor, visit, own, server):
    for side, file in zip("ab", own, strict=True):
        visitor.changing_the_score(lambda side=side, file=file: visitor.upload(side, file))
    visitor.changing_the_score(lambda: visitor.choose("#backbone", "MobileNetV2"))
    visitor.changing_the_score(lambda: visitor.choose("#pooling", "gem"))
    visitor.open("View and colours")
    visitor.changing_the_score(lambda: visitor.page.get_by_label("square, squeezed").check())
    visitor.choose("#colours", "teal-brown")
    visitor.page.get_by_label("cosine of the patches").check()
    visitor.click_cell("b", 1, 5, (7, 7))
    visitor.page.mouse.move(1, 1)
    visitor.at("#link_button").click()
    expect(visitor.at("#share_told [role=status]")).to_contain_text("Link copied")
    address = visitor.page.evaluate("navigator.clipboard.readText()")
    assert address.startswith(f"{server.address}/?")
    kept = list((server.home / ".cache" / "simvis" / "links").iterdir())
    assert sorted(path.read_bytes() for path in kept) == sorted(file.read_bytes() for file in own)

    friend = visit(address.removeprefix(f"{server.address}/"), stranger=True)
    expect(friend.at("#score .big")).to_have_text(visitor.text("#score .big"))
    expect(friend.at("#pair_viewer [role=status]")).to_have_text(visitor.status)
    assert friend.status.startswith("Pinned: cell 1,5 of B carries ")
    assert "by cosine" in friend.status
    assert friend.at("#backbone input").input_value() == "MobileNetV2"
    assert friend.at("#pooling input").input_value() == "gem"
    friend.open("View and colours")
    assert friend.page.get_by_label("square, squeezed").is_checked()
    assert friend.at("#colours input").input_value() == "teal-brown"
    friend.after_frames()
    assert np.array_equal(friend.canvas("a"), visitor.canvas("a"))
    for side in "ab":
        size = "(image) => [image.naturalWidth, image.naturalHeight]"
        assert friend.at(f"#image_{side} img").evaluate(size) == visitor.at(f"#image_{side} img").evaluate(size)
    friend.reload()
    expect(friend.at("#pair_viewer [role=status]")).to_have_text(visitor.status)


@pytest.mark.slow
def test_a_link_that_cannot_be_followed_says_why_and_the_page_works(visit):
    visitor = visit("?a=sample/../credits.json&b=/etc/passwd")
    expect(visitor.page.locator(".toast-wrap")).to_contain_text("Got ")
    assert visitor.score == pytest.approx(0.766, abs=0.01)
    visitor.changing_the_score(lambda: visitor.choose("#pooling", "max"))


@pytest.mark.slow
def test_a_link_to_a_network_out_of_reach_keeps_its_pictures_and_says_why(visit, session):
    names = ("cheetah/cheetah_1.jpg", "koala/koala_1.jpg")
    visitor = visit(f"?a=sample/{names[0]}&b=sample/{names[1]}&backbone=resnet18")
    expect(visitor.at("#network_notice")).to_contain_text("the card 'resnet18'")
    score = session.explain(*(PICTURES / name for name in names), Settings()).score
    expect(visitor.at("#score .big")).to_have_text(f"{score:.3f}")
    assert visitor.at("#backbone input").input_value() == "EfficientNet-Lite0"
    visitor.changing_the_score(lambda: visitor.choose("#pooling", "max"))


@pytest.mark.slow
def test_a_link_with_a_pin_that_is_no_cell_opens_without_one(visit):
    visitor = visit("?a=sample/cheetah/cheetah_1.jpg&b=sample/koala/koala_1.jpg&pin=a.63.63")
    expect(visitor.at("#score .big")).not_to_have_text("0.766")
    visitor.wait_ready()
    assert visitor.status.startswith("No point is pinned")


def shared(visitor, tab, server):
    """The query of the link that the tab's row copies, and the files of its zip."""
    visitor.at(f"#{tab}_link_button").click()
    expect(visitor.at(f"#{tab}_share_told [role=status]")).to_contain_text("Link copied")
    address = visitor.page.evaluate("navigator.clipboard.readText()")
    with visitor.page.expect_download() as waiting:
        visitor.at(f"#{tab}_export_button").click()
    expect(visitor.at(f"#{tab}_share_told [role=status]")).to_contain_text("Saved as simvis-")
    with zipfile.ZipFile(waiting.value.path()) as archive:
        return address.removeprefix(f"{server.address}/"), {name: archive.read(name) for name in archive.namelist()}


@pytest.mark.slow
def test_a_search_and_a_class_open_for_somebody_else_and_are_saved(visitor, visit, server):
    visitor.page.get_by_role("tab", name="Search").click()
    expect(visitor.at(HITS)).to_have_attribute("data-count", "24")
    whole = key(visitor)
    drag(visitor, 0.3, 0.2, 0.7, 0.8)
    expect(visitor.at(HITS)).not_to_have_attribute("data-key", whole)
    visitor.page.wait_for_timeout(500)  # a box sends marks while it moves
    query, files = shared(visitor, "search", server)
    marked, scores = key(visitor), visitor.at(f"{HITS} .hit .score").all_inner_texts()
    told = json.loads(files["search.json"])
    assert [f"{hit['score']:.3f}" for hit in told["hits"]] == [f"{float(score):.3f}" for score in scores[:24]]
    assert files["search.html"].count(b"<figure") == 25  # the query too

    visitor.page.get_by_role("tab", name="Classes").click()
    visitor.choose("#class_label", "taj_mahal (3)")
    expect(visitor.at("#class_status")).to_contain_text("taj_mahal")
    class_query, files = shared(visitor, "classes", server)
    assert json.loads(files["class.json"])["label"] == "taj_mahal"
    visitor.page.get_by_label("least typical first").check()
    expect(visitor.at("#classes_share_told [role=status]")).to_have_text("")

    friend = visit(query, stranger=True)
    expect(friend.at(HITS)).to_have_attribute("data-key", marked)
    another = visit(class_query, stranger=True)
    expect(another.at("#class_status")).to_contain_text("taj_mahal")


@pytest.mark.slow
def test_an_export_holds_pictures_numbers_and_the_pins_map(visitor, own, session):
    for side, file in zip("ab", own, strict=True):
        visitor.changing_the_score(lambda side=side, file=file: visitor.upload(side, file))
    pair = session.explain(*own, Settings())
    visitor.click_cell("a", 2, 3, pair.a.grid)
    visitor.page.mouse.move(1, 1)
    status = visitor.status
    with visitor.page.expect_download() as waiting:
        visitor.at("#export_button").click()
    with zipfile.ZipFile(waiting.value.path()) as archive:
        assert archive.testzip() is None
        files = {name: archive.read(name) for name in archive.namelist()}
    own_files = {name for name in files if not name.startswith("concepts/")}
    assert own_files == {"overlay_a.png", "overlay_b.png", "point_on_b.png", "maps.npz", "manifest.json"}
    assert json.loads(files["concepts/concepts.json"])["score"] == pytest.approx(pair.score, abs=1e-5)
    manifest = json.loads(files["manifest.json"])
    visitor.at("#pair_viewer .ground input[value=outline]").check()
    with visitor.page.expect_download() as waiting:
        visitor.at("#figure_button").click()
    assert waiting.value.suggested_filename == "simvis.png"
    expect(visitor.at("#share_told [role=status]")).to_have_text("Saved as simvis.png")
    with Image.open(waiting.value.path()) as figure:
        assert json.loads(figure.text["manifest"])["point"] == manifest["point"]
        point = (manifest["point"]["side"], manifest["point"]["x"], manifest["point"]["y"])
        drawn = Export(pair, point, facts=json.loads(figure.text["manifest"]), ground="outline").figure()
        assert figure.tobytes() == drawn.tobytes()
    for name, file in (("overlay_a.png", own[0]), ("overlay_b.png", own[1]), ("point_on_b.png", own[1])):
        with Image.open(io.BytesIO(files[name])) as overlay, Image.open(file) as picture:
            assert overlay.size == picture.size
    with np.load(io.BytesIO(files["maps.npz"])) as maps:
        for side in "ab":
            total = maps[f"map_{side}"].astype(float).sum() + manifest["bias_part"][side]
            assert total == pytest.approx(manifest["score"], abs=1e-6)
        assert np.allclose(maps["point_map"], pair.joint_map[2, 3].numpy(), atol=1e-6)
    assert manifest["score"] == pytest.approx(pair.score, abs=1e-6)
    assert f"{manifest['score']:.3f}" == visitor.text("#score .big")
    cell, side, share, _ = carried(status)
    point = manifest["point"]
    assert (tuple(point["cell"]), point["side"]) == (cell, side)
    assert share == pytest.approx(point["share"], abs=0.0006)
    weights = weights_at(point["x"], point["y"], pair.view_a.size, pair.a.grid)
    assert float(weights[2, 3]) == pytest.approx(1)


@pytest.mark.slow
def test_rapid_clicks_export_the_last_and_a_refused_clipboard_leaves_the_link_as_text(visitor, server):
    visitor.page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(new Error('refused')); }")
    visitor.at("#link_button").click()
    by_hand = visitor.at("#share_told input")
    expect(by_hand).to_have_value(re.compile(re.escape(server.address) + r"/\?a=sample"))
    assert by_hand.evaluate("(text) => text === document.activeElement && text.selectionEnd === text.value.length")
    places = [visitor.point("a", row, 4, (7, 11)) for row in range(6)]
    for place in places:
        visitor.page.mouse.click(*place)
    with visitor.page.expect_download() as waiting:
        visitor.at("#export_button").click()
    with zipfile.ZipFile(waiting.value.path()) as archive:
        manifest = json.loads(archive.read("manifest.json"))
    assert manifest["point"]["cell"] == [5, 4]
