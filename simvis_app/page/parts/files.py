"""A view's picture as a file that the browser fetches."""

from pathlib import Path
from weakref import WeakKeyDictionary

from gradio.data_classes import FileData

from simvis_app.service.files import kept
from simvis_core.files.writing import jpeg
from simvis_core.pictures.views import View

_pictures: WeakKeyDictionary[View, str] = WeakKeyDictionary()


def picture_file(view: View) -> FileData:
    """The view's part of the picture as a JPEG; encoded once for each view."""
    path = _pictures.get(view)
    if path is None or not Path(path).is_file():
        path = _pictures[view] = kept(jpeg(view.picture()), "view.jpeg")
    return FileData(path=path)
