"""Files the browser fetches: named by their content, written whole, written once."""

import hashlib
import io
import os
from pathlib import Path
from weakref import WeakKeyDictionary

from gradio.data_classes import FileData
from gradio.utils import get_upload_folder

from simvis_core import SimvisError, View
from simvis_core.export import write_whole

_pictures: WeakKeyDictionary[View, str] = WeakKeyDictionary()


def kept(content: bytes, name: str) -> str:
    """The path of a file with this content in gradio's cache folder.

    Gradio's own helpers write over a file of the same content in place; a browser that reads it then gets half.
    """
    path = Path(get_upload_folder()) / hashlib.sha256(content).hexdigest() / name
    if not still_kept(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, content)
    return str(path)


def still_kept(path: str | Path) -> bool:
    """Whether a file that `kept` wrote is still there; it is then kept for another day, after which gradio deletes."""
    try:
        os.utime(path)
    except FileNotFoundError:
        return False
    return True


def served(file: str | Path) -> str:
    """A copy of a picture of this server that the browser may fetch, wherever the picture lies.

    Gradio shows nothing from outside its cache, the working folder and the temporary one: a home's folders are neither.
    Raises SimvisError for a file that cannot be read.
    """
    try:
        return kept(Path(file).read_bytes(), Path(file).name)
    except OSError as error:
        raise SimvisError(
            f"the picture '{Path(file).name}', which this server cannot read ({error.strerror})",
            "a readable file",
            "upload the picture again",
        ) from error


def picture_file(view: View) -> FileData:
    """The view's part of the picture as a JPEG; encoded once for each view."""
    path = _pictures.get(view)
    if path is None or not Path(path).is_file():
        buffer = io.BytesIO()
        view.picture().save(buffer, "JPEG", quality=88)
        path = _pictures[view] = kept(buffer.getvalue(), "view.jpeg")
    return FileData(path=path)
