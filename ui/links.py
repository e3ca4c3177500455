"""The pictures that links keep, so that they come back in another browser."""

import os
import re
from contextlib import suppress
from pathlib import Path

from PIL import Image

from simvis_core import SimvisError
from simvis_core.export import write_folder
from ui import samples
from ui.session import content_hash

LIMIT = 2 * 2**30  # bytes of pictures kept for links; the ones unused for longest go first
_STORED = re.compile(r"[0-9a-f]{64}\.[a-z]{3,4}")
_SUFFIX = {"JPEG": "jpg", "MPO": "jpg", "PNG": "png", "WEBP": "webp", "GIF": "gif", "BMP": "bmp", "TIFF": "tiff"}


class LinkedPictures:
    """The folder of pictures that links name by their content; sample pictures are named by their own file."""

    def __init__(self, folder: Path, limit: int = LIMIT) -> None:
        self.folder, self.limit = folder, limit

    def name(self, file: str | Path) -> str | None:
        """The name of a picture that came by a link, as `ui.files.served` names its copy; None for any other."""
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
        if (self.folder / name).is_file():
            os.utime(self.folder / name)  # a new link is a use
        else:
            write_folder(self.folder, {name: Path(file).read_bytes()})
            self._forget_oldest()
        return name

    def find(self, name: str) -> str:
        """The file of a link's picture. Raises SimvisError for a name that is none, or one no longer kept."""
        sample = samples.path(name.removeprefix("sample/")) if name.startswith("sample/") else None
        path = sample or (self.folder / name if _STORED.fullmatch(name) else None)
        if path is None or not path.is_file():
            raise SimvisError(
                "a link to a picture that this server does not keep", "a link made here", "upload the picture again"
            )
        if not sample:
            with suppress(PermissionError):  # a folder of another owner is read, and forgotten by that owner's rules
                os.utime(path)
        return str(path)

    def _forget_oldest(self) -> None:
        files = sorted((file.stat().st_mtime, file.stat().st_size, file) for file in self.folder.glob("*.*"))
        total = sum(size for _, size, _ in files)
        for _, size, file in files:
            if total <= self.limit:
                return
            file.unlink(missing_ok=True)
            total -= size


def _suffix(file: str | Path) -> str:
    with Image.open(file) as image:
        return _SUFFIX.get(image.format or "", "png")
