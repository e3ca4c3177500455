"""What the endpoints share with the page: a picture as it was uploaded, and a mistake in Gradio's words."""

from collections.abc import Iterator
from contextlib import contextmanager

import gradio as gr
from gradio.data_classes import ImageData

from simvis_core.errors import SimvisError


class PictureDrop(gr.Image):  # type: ignore[misc]
    """A drop zone that hands on the uploaded file as it came: `open_picture` decides what can be read."""

    is_template = True

    def preprocess(self, payload: ImageData | None) -> str | None:
        """The path of the uploaded file, undecoded; None for an empty zone."""
        if payload is None:
            return None
        if payload.path is None:
            error = SimvisError("a picture as text in the request", "an uploaded file", "upload the picture")
            raise gr.Error(str(error), print_exception=False)
        return str(payload.path)


@contextmanager
def told() -> Iterator[None]:
    """A user's mistake as Gradio's error."""
    try:
        yield
    except SimvisError as error:
        raise gr.Error(str(error), print_exception=False) from error
