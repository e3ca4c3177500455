"""The pictures that links keep, so that they come back in another browser."""

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from PIL import Image

from simvis_app.service import samples
from simvis_app.service.sessions.session import content_hash
from simvis_core import SimvisError
from simvis_core.files.writing import write_folder

LIMIT = 2 * 2**30  # bytes of pictures kept for links; the ones unused for longest go first
_STORED = re.compile(r"[0-9a-f]{64}\.[a-z]{3,4}")
_SUFFIX = {"JPEG": "jpg", "MPO": "jpg", "PNG": "png", "WEBP": "webp", "GIF": "gif", "BMP": "bmp", "TIFF": "tiff"}


class LinkedPictures:
    """The folder of pictures that links name by their content; sample pictures are named by their own file."""

    def __init__(self, folder: Path, limit: int = LIMIT) -> None:
        self.folder, self.limit = folder, limit

    def name(self, file: str | Path) -> str | None:
        """The name of a picture that came by a link, as `files.served` names its copy; None for any other."""
        name = Path(file).name
        return name if _STORED.fullmatch(name) and (self.folder / name).is_file() else None

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


def _touch(path: Path) -> None:
    with suppress(OSError):  # a folder of another owner is read, and forgotten by that owner's rules
        os.utime(path)


def _suffix(file: str | Path) -> str:
    with Image.open(file) as image:
        return _SUFFIX.get(image.format or "", "png")
