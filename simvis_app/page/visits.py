"""Whose visit it is, and what Gradio remembers of it, without the copy of the whole page's configuration."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import gradio as gr
from gradio.routes import App
from gradio.state_holder import SessionState, StateHolder


def visitor_of(request: gr.Request | None) -> str:
    """Whose page it is; nobody's outside a request."""
    return str(request.session_hash) if request else ""


class Visit(SessionState):  # type: ignore[misc]
    """A visit's own values.

    Gradio copies the configuration of every component for each, for links of its own that this page does not have.
    Here that takes a tenth of a second in which nobody is answered, for each call of a program that names no session.
    """

    def __init__(self, blocks: gr.Blocks) -> None:
        super().__init__(SimpleNamespace(default_config=blocks.default_config, blocks=()))

    def _update_config(self, key: int) -> None:
        pass

    def _update_value_in_config(self, key: int, value: object) -> None:
        pass


class Visits(StateHolder):  # type: ignore[misc]
    """The visits, the one unused for longest forgotten first."""

    def __getitem__(self, session_id: str) -> Any:
        """The visit of that name, a new one where there is none."""
        if session_id not in self.session_data:
            self.session_data[session_id] = Visit(self.blocks)
        return super().__getitem__(session_id)


@asynccontextmanager
async def remembered(app: App) -> AsyncIterator[None]:
    """The life of a server that remembers visits so: for `app_kwargs` of `launch`."""
    app.state_holder = Visits()
    app.state_holder.set_blocks(app.get_blocks())
    yield
