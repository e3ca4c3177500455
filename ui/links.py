"""Links that bring back pictures, settings and the pin in another browser."""

import base64
import math
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from PIL import Image

from simvis_core import SimvisError
from simvis_core.export import write_folder
from ui import samples
from ui.session import content_hash

LIMIT = 2 * 2**30  # bytes of pictures kept for links; the ones unused for longest go first
_STORED = re.compile(r"[0-9a-f]{64}\.[a-z]{3,4}")
_PIN = re.compile(r"([ab])\.(\d{1,4})\.(\d{1,4})")
_REGION = re.compile(r"([ab])\.w(\d{0,4})\.((?:[A-Za-z0-9_-]{4})*(?:[A-Za-z0-9_-]{2,3})?)")
TAB = "tab"  # the part of a link that names its tab
STEPS = 127  # of a region's weight from 0 to its heaviest in a link
_SUFFIX = {"JPEG": "jpg", "MPO": "jpg", "PNG": "png", "WEBP": "webp", "GIF": "gif", "BMP": "bmp", "TIFF": "tiff"}


class LinkedPictures:
    """The folder of pictures that links name by their content; sample pictures are named by their own file."""

    def __init__(self, folder: Path, limit: int = LIMIT) -> None:
        self.folder, self.limit = folder, limit

    def keep(self, file: str | Path) -> str:
        """The name a link gives the picture; an uploaded one is copied, whole or not at all.

        Raises SimvisError where the folder cannot be written.
        """
        digest = content_hash(file)
        sample = samples.credit(digest)
        if sample:
            return f"sample/{sample['file']}"
        name = f"{digest}.{_suffix(file)}"
        if self._holds(name):
            _touch(self.folder / name)  # a new link is a use
        else:
            write_folder(self.folder, {name: Path(file).read_bytes()})
            self._forget_oldest()
        return name

    def find(self, name: str) -> str:
        """The file of a link's picture. Raises SimvisError for a name that is none, one no longer kept, or damaged."""
        sample = samples.path(name.removeprefix("sample/")) if name.startswith("sample/") else None
        path = sample or (self.folder / name if _STORED.fullmatch(name) else None)
        if path is None or not path.is_file():
            raise SimvisError(
                "a link to a picture that this server does not keep", "a link made here", "upload the picture again"
            )
        if not sample and not self._holds(name):
            raise SimvisError(
                "a link to a picture whose copy on this server is damaged",
                "the picture as it was",
                "upload the picture again and make a new link, which mends this one too",
            )
        if not sample:
            _touch(path)
        return str(path)

    def _holds(self, name: str) -> bool:
        """Whether the picture is there as it was: its name is what it holds."""
        path = self.folder / name
        try:
            return path.is_file() and content_hash(path) == path.stem
        except (OSError, SimvisError):
            return False

    def _forget_oldest(self) -> None:
        files = sorted((facts.st_mtime, facts.st_size, file) for file, facts in self._files())
        total = sum(size for _, size, _ in files)
        for _, size, file in files:
            if total <= self.limit:
                return
            with suppress(OSError):  # another process was first, or keeps it
                file.unlink()
            total -= size

    def _files(self) -> Iterator[tuple[Path, os.stat_result]]:
        for file in self.folder.glob("*.*"):
            with suppress(OSError):
                yield file, file.stat()


def query(picture_a: str, picture_b: str, settings: dict[str, Any], pin: dict[str, Any] | None, tab: str = "") -> str:
    """The query part of a link; to another tab than the first where one is named."""
    parts = {"a": picture_a, "b": picture_b} | ({TAB: tab} if tab else {})
    parts |= {key: ",".join(value) if isinstance(value, list) else str(value) for key, value in settings.items()}
    if pin:
        parts["pin"] = _pin_text(pin)
    return urlencode(parts, safe="/:.,")


def pin_of(text: str) -> dict[str, Any] | None:
    """The pin that a link names; None where there is none or it cannot be read."""
    found = _PIN.fullmatch(text)
    if found:
        return {"side": found[1], "row": int(found[2]), "col": int(found[3])}
    found = _REGION.fullmatch(text)
    if not found:
        return None
    heaviest = int(found[2] or 100) / 100
    return {"side": found[1], "weights": [heaviest * weight for weight in _weights(found[3])]}


def _pin_text(pin: dict[str, Any]) -> str:
    """A cell as side.row.column; a region as side.w, its heaviest weight in hundredths if above 1, a byte a cell."""
    if "weights" not in pin:
        return f"{pin['side']}.{pin['row']}.{pin['col']}"
    heaviest = max(1.0, math.ceil(100 * max(map(abs, pin["weights"]))) / 100)
    steps = bytes(round(weight / heaviest * STEPS) % 256 for weight in pin["weights"])
    scale = "" if heaviest == 1 else round(100 * heaviest)
    return f"{pin['side']}.w{scale}.{base64.urlsafe_b64encode(steps).decode().rstrip('=')}"


def _weights(text: str) -> list[float]:
    steps = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    return [(step - 256 if step > STEPS else step) / STEPS for step in steps]


def _touch(path: Path) -> None:
    with suppress(OSError):  # a folder of another owner is read, and forgotten by that owner's rules
        os.utime(path)


def _suffix(file: str | Path) -> str:
    with Image.open(file) as image:
        return _SUFFIX.get(image.format or "", "png")
