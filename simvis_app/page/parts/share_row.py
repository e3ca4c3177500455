"""A row of buttons that share what a tab shows, a link and files, each by one click, with what came of it beside it."""

import html
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import gradio as gr
from gradio.data_classes import FileData, GradioModel

from simvis_app.page.parts.drawing import HERE, PagePart
from simvis_app.page.updates import Listener, Values


class ToldData(GradioModel):  # type: ignore[misc]
    """What the row is told: a link's query or a file, and a sentence. As it stands, nothing is said."""

    query: str | None = None
    file: FileData | None = None
    name: str = ""
    said: str = ""
    stamp: str = ""  # another for each answer, so that the second link of the same query is copied too


@dataclass(frozen=True)
class Link:
    """A query of the page's address, which the browser completes and copies; ``said`` once it is copied."""

    query: str
    said: str


@dataclass(frozen=True)
class Download:
    """A file's path, which the browser downloads under that file's name."""

    path: str


@dataclass(frozen=True)
class Refusal:
    """Why there is no link or no file."""

    said: str


class ShareTold(PagePart):
    """What came of a click, beside the buttons: copies a link, downloads a file, says so.

    Takes a `Link`, a `Download`, a `Refusal` or None; a link that the browser does not let us copy is shown as text.
    """

    data_model = ToldData
    files = HERE / "share_told"

    def preprocess(self, payload: object) -> None:
        """Nothing: it only tells."""

    def postprocess(self, value: Link | Download | Refusal | None) -> ToldData:
        """The page's data for it."""
        stamp = uuid.uuid4().hex
        if isinstance(value, Link):
            return ToldData(query=value.query, said=value.said, stamp=stamp)
        if isinstance(value, Download):
            return ToldData(file=FileData(path=value.path), name=Path(value.path).name, stamp=stamp)
        return ToldData() if value is None else ToldData(said=value.said, stamp=stamp)


@dataclass
class ShareRow:
    """The row's widgets. Set ``told`` to None when the tab shows something else."""

    link: gr.Button
    exports: list[gr.Button]
    told: ShareTold
    copied: str


def share_row(link: str, copied: str, exports: Mapping[str, str], prefix: str = "") -> ShareRow:
    """Lays the row out: the link's button, a button for each file (name: label), and what came of a click.

    ``copied`` is the sentence beside the button once a link is copied. The buttons are called ``link_button`` and
    ``NAME_button``, the sentences ``share_told``, all behind the prefix.
    """
    with gr.Row(elem_classes="share", equal_height=True):
        ask_link = gr.Button(link, size="sm", min_width=120, elem_id=f"{prefix}link_button")
        asked = [
            gr.Button(label, size="sm", min_width=120, elem_id=f"{prefix}{name}_button")
            for name, label in exports.items()
        ]
        told = ShareTold(elem_id=f"{prefix}share_told", min_width=160)
    return ShareRow(ask_link, asked, told, copied)


def wire_share(
    row: ShareRow,
    inputs: set[gr.blocks.Block],
    link: Callable[[Values], str],
    exports: Sequence[Callable[[Values], str]],
    *shown_there: gr.blocks.Block,
) -> None:
    """Binds the row: ``link`` gives a query, each of ``exports`` the path of a file; those take ``shown_there`` too.

    Values reach them by component. A ``gr.Error`` from either is told beside the buttons.
    """
    told = f"document.querySelector('#{row.told.elem_id} .told')"
    asks = [button.click for button in (row.link, *row.exports)]
    gr.on(asks, None, None, None, js=f"() => {{ {told}.textContent = 'One moment ...'; }}")
    options: Listener = {"outputs": row.told, "show_progress": "hidden", "api_visibility": "private"}
    row.link.click(_told(lambda values: Link(link(values), row.copied)), inputs, **options)
    for button, export in zip(row.exports, exports, strict=True):
        click = _told(partial(_exported, export))
        button.click(click, inputs.union(shown_there), **options)


def _exported(export: Callable[[Values], str], values: Values) -> Download:
    return Download(export(values))


def _told(make: Callable[[Values], Link | Download]) -> Callable[[Values], Link | Download | Refusal]:
    def answer(values: Values) -> Link | Download | Refusal:
        try:
            return make(values)
        except gr.Error as error:
            return Refusal(html.unescape(str(error.message)))  # an error is written for a toast, which reads HTML

    return answer
