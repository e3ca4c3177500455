"""The row that shares: what a click comes to, and what travels to the page."""

import gradio as gr
import pytest

from simvis_app.page.parts import share_row
from simvis_app.page.parts.share_row import Download, Link, Refusal, ShareTold
from simvis_app.service import words
from simvis_app.service.files import kept
from simvis_core import SimvisError


def refused(*_):
    raise gr.Error(words.toast(SimvisError("'a<b>.png'", "a picture", "take another")), print_exception=False)


def test_a_click_comes_to_a_link_a_file_or_a_sentence(built):
    """A refusal is plain text again: the page sets it as text, not as HTML."""
    held = {}  # what an event hands over: each component with its value
    files = [lambda values: f"/x/{values[held['n']]}.{values[held['more']]}", refused]

    def page():
        with gr.Blocks() as app:
            row = share_row.share_row("Copy link", "Copied.", {"zip": "A zip", "png": "A picture"}, "here_")
            held.update(n=gr.State(3), more=gr.State("zip"))
            share_row.wire_share(row, {held["n"]}, lambda values: f"n={values[held['n']]}", files, held["more"])
        return app, row

    app, row = built(page)
    link, zipped, png = (function.fn for function in app.fns.values() if function.fn)
    values = {held["n"]: 3, held["more"]: "zip"}
    assert link(values) == Link("n=3", "Copied.")
    assert zipped(values) == Download("/x/3.zip")
    assert png(values) == Refusal(str(SimvisError("'a<b>.png'", "a picture", "take another")))
    ids = [button.elem_id for button in (row.link, *row.exports)]
    assert ids == ["here_link_button", "here_zip_button", "here_png_button"]


def test_what_travels_says_one_thing_and_twice_the_same_link_is_two(built):
    told = built(lambda: ShareTold(elem_id="t"))
    first, second = (told.postprocess(Link("a=1", "Copied.")) for _ in range(2))
    assert (first.query, first.said, first.file) == ("a=1", "Copied.", None)
    assert first.stamp != second.stamp
    path = kept(b"zip", "simvis.zip")
    sent = told.postprocess(Download(path))
    assert (sent.file.path, sent.name, sent.query, sent.said) == (path, "simvis.zip", None, "")
    assert told.postprocess(Refusal("No.")).said == "No."
    assert told.postprocess(None) == told.data_model()
    assert told.preprocess({"query": "x"}) is None


@pytest.mark.parametrize("error", [ValueError("a fault of ours"), SimvisError("a", "b", "c")])
def test_only_what_is_meant_for_a_visitor_is_told_beside_the_button(error):
    def broken(*_):
        raise error

    with pytest.raises(type(error)):
        share_row._told(broken)({})
