"""Dropped files: what can be read takes its place, the rest leaves it as it was and is told in a sentence."""

import re
from pathlib import Path

import gradio as gr
import pytest
from gradio.data_classes import FileData
from PIL import Image

from simvis_app.page.parts.drops import PLACES, DropData, Dropped, PictureDrops, Refusals, accepted, wire_drops
from simvis_app.service.sessions.session import opened
from simvis_core import SimvisError


@pytest.fixture
def good(tmp_path):
    path = tmp_path / "good.png"
    Image.new("RGB", (40, 3), "red").save(path)
    return str(path)


@pytest.fixture
def bad(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("hello")
    return str(path)


def sentence(file, name):
    with pytest.raises(SimvisError) as refused:
        opened(file, name)
    return str(refused.value)


def test_a_file_that_can_be_read_takes_its_place_and_any_other_leaves_it(good, bad):
    before = ["old a", "old b"]
    assert accepted(Dropped((good, None)), before, ("A", "B")) == ([good, "old b"], "")
    assert accepted(Dropped((None, good)), [None, None], ("A", "B")) == ([None, good], "")
    held, said = accepted(Dropped((bad, good)), before, ("A", "B"))
    assert held == ["old a", good]
    assert sentence(bad, "A") in said
    assert "as picture A;" in said
    held, said = accepted(Dropped((bad,)), ["old"], ("",))
    assert held == ["old"]
    assert sentence(bad, "") in said
    assert accepted(Dropped(), before, ("A", "B")) == (before, "")


def test_what_could_not_be_sent_and_what_was_too_much_is_told(good):
    held, said = accepted(Dropped((good, good), more=3), [None, None], ("A", "B"))
    assert held == [good, good]
    assert "Got 5 files at once; wanted at most 2 pictures" in said
    held, said = accepted(Dropped((None,), ("<b>big</b>.jpg",), 1), ["old"], ("",))
    assert held == ["old"]
    assert "which the browser could not send" in said
    assert "at most one picture" in said
    assert "<b>" not in said
    assert said.count('role="alert"') == 1


def test_a_place_that_keeps_its_picture_is_not_told_of_it(built, good, bad):
    """Two drops in a row: the answer to the first must not put back what the second replaces."""

    def page():
        with gr.Blocks() as app:
            drops, places = PictureDrops(), [gr.Image(type="filepath") for _ in "ab"]
            refusals = Refusals.laid()
            wire_drops(drops.pair, drops, places, ("A", "B"), refusals, {"fn": None, "js": "() => {}"})
        return app, drops, places, refusals

    app, drops, (a, b), refusals = built(page)
    take, _ = (function.fn for function in app.fns.values())
    before = {a: "old a", b: "old b", refusals.refused: ("an older one",)}
    assert take(before | {drops: Dropped((None, good))}) == {b: good}
    assert take(before | {drops: Dropped((None, None))}) == gr.skip()  # an empty answer would be taken for a value
    told = take(before | {drops: Dropped((bad, None))})
    assert set(told) == {refusals.refused}
    older, notice = told[refusals.refused]
    assert older == "an older one"
    assert sentence(bad, "A") in notice


def test_a_notice_is_shown_once_though_an_answer_began_before_its_drop(built):
    refusals = built(Refusals.laid)
    told = ("first", "second")
    began = {refusals.refused: told[:1], refusals.seen: 0}
    assert refusals.unseen(began) == "first"
    counted = refusals.shown(began)  # a drop adds the second meanwhile
    after = {refusals.refused: told} | counted
    assert refusals.unseen(after) == "second"
    assert refusals.unseen({refusals.refused: told} | refusals.shown(after)) == ""
    assert refusals.shown({refusals.refused: told, refusals.seen: 2}) == {}
    assert refusals.unseen({}) == ""
    assert refusals.shown({}) == {}


def test_what_the_page_sends_is_read_and_its_places_are_told_to_the_script(built):
    drops = built(PictureDrops)
    sent = DropData(files=(None, FileData(path="/tmp/x.png")), failed=("a",), more=2)
    assert drops.preprocess(sent) == Dropped((None, "/tmp/x.png"), ("a",), 2)
    assert drops.preprocess(None) == drops.preprocess(drops.postprocess("anything")) == Dropped()
    script = drops.js_on_load
    assert "/*PLACES*/" not in script
    assert all(selector in script for places in PLACES.values() for selectors in places for selector in selectors)


def test_every_picture_slot_of_every_tab_is_a_place():
    """A slot that is no place would lose its picture to a drop."""
    slots = set()
    for file in (Path(__file__).parents[4] / "simvis_app" / "page").rglob("*.py"):
        for call in file.read_text(encoding="utf-8").split("PictureDrop(\n")[1:]:
            name = re.search(r'elem_id=f?"(\w+?)(?:_\{side\})?"', call)
            slots |= {f"#{name[1]}_{side}" for side in "ab"} if "{side}" in call[:600] else {f"#{name[1]}"}
    assert slots == {selectors[0] for places in PLACES.values() for selectors in places}
