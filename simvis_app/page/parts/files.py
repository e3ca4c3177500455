"""A view's picture as a file that the browser fetches."""

import io
from pathlib import Path
from weakref import WeakKeyDictionary

from gradio.data_classes import FileData

from simvis_app.service.files import kept
from simvis_core.pictures.views import View

_pictures: WeakKeyDictionary[View, str] = WeakKeyDictionary()


def picture_file(view: View) -> FileData:
    """The view's part of the picture as a JPEG; encoded once for each view."""
    path = _pictures.get(view)
    if path is None or not Path(path).is_file():
        buffer = io.BytesIO()
        view.picture().save(buffer, "JPEG", quality=88)
        path = _pictures[view] = kept(buffer.getvalue(), "view.jpeg")
    return FileData(path=path)
