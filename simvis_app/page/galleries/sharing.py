"""What the share rows of both tabs do with what they give away."""

from collections.abc import Mapping
from typing import Any

import gradio as gr

from simvis_app.page.parts.share_row import ShareRow
from simvis_app.service import words
from simvis_app.service.files import kept
from simvis_core import SimvisError
from simvis_core.files.writing import zipped


def refusal(error: SimvisError) -> gr.Error:
    """What cannot be shared, in a sentence that a share row shows beside its buttons."""
    return gr.Error(words.toast(error), print_exception=False)


def zip_file(name: str, files: Mapping[str, bytes]) -> str:
    """The path of a zip ``simvis-NAME.zip`` with these files, which the browser may fetch."""
    return kept(zipped(dict(files)), f"simvis-{name}.zip")


def forget(row: ShareRow, changes: list[Any]) -> None:
    """What was said of a link or a file is not to stay when something else is on screen."""
    for change in changes:
        change(None, None, row.told, js="() => null")
