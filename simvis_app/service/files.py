"""Files the browser fetches: named by their content, written whole, written once."""

import hashlib
import os
import tempfile
from pathlib import Path

from simvis_core import SimvisError
from simvis_core.files.writing import write_whole


def folder() -> Path:
    """Gradio's folder of files that the browser may fetch, by Gradio's own rule: this module does without Gradio."""
    return Path(os.environ.get("GRADIO_TEMP_DIR") or (Path(tempfile.gettempdir()) / "gradio").resolve())


def kept(content: bytes, name: str) -> str:
    """The path of a file with this content in gradio's cache folder.

    Gradio's own helpers write over a file of the same content in place; a browser that reads it then gets half.
    """
    path = folder() / hashlib.sha256(content).hexdigest() / name
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
