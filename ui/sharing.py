"""A row of two buttons: a link to what is asked on a tab, and a zip of what is shown there."""

from collections.abc import Callable
from typing import Any

import gradio as gr

LINK_JS = """(query) => { if (!query) return ""; const link = location.origin + location.pathname + "?" + query;
  if (navigator.clipboard) navigator.clipboard.writeText(link).catch(() => {}); return link; }"""
_PRIVATE: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}


def share_row(link_button: str, link: str, export_button: str, prefix: str = "") -> list[Any]:
    """Lays the row out under its three texts: link button, query, link, export button, file."""
    with gr.Row():
        ask_link = gr.Button(link_button, size="sm", elem_id=f"{prefix}link_button")
        ask_export = gr.Button(export_button, size="sm", elem_id=f"{prefix}export_button")
    query = gr.Textbox(visible="hidden", elem_id=f"{prefix}link_query")
    shown = gr.Textbox(label=link, visible=False, elem_id=f"{prefix}link", interactive=False)
    file = gr.File(label="Export", visible=False, elem_id=f"{prefix}export_file", interactive=False)
    return [ask_link, query, shown, ask_export, file]


def wire_share(
    row: list[Any], inputs: list[Any], link: Callable[..., Any], export: Callable[..., Any], *shown_there: Any
) -> None:
    """Binds the row to what makes the query of a link, and to what makes the zip; that takes ``shown_there`` too."""
    ask_link, query, shown, ask_export, file = row
    asked = ask_link.click(link, inputs, [query, shown], **_PRIVATE)
    asked.success(None, query, shown, js=LINK_JS)
    ask_export.click(export, [*inputs, *shown_there], file, api_visibility="private", show_progress_on=ask_export)
