"""What the network saw of a gallery's pictures, as small files for the browser: made once, found again by a name."""

import os
from pathlib import Path

from simvis_app.service.files import kept, still_kept
from simvis_app.service.sessions.cache import BoundedCache
from simvis_core.galleries.gallery import Gallery
from simvis_core.pictures.thumbnails import seen_part
from simvis_core.pictures.views import Framing
from simvis_core.stores.contract import Row

Shown = tuple[str, float]  # a file inside gradio's cache folder, and its width over height
MOST = 50_000  # files that are remembered, some 300 bytes each


class Thumbnails:
    """The files of thumbnails that were shown lately: reading 24 of them costs more than the search that found them."""

    def __init__(self) -> None:
        self._shown: BoundedCache[Shown] = BoundedCache(MOST, lambda _: 1)

    def shown(self, gallery: Gallery, row: Row, framing: Framing) -> Shown | None:
        """A row's thumbnail, cut as the framing cuts; None for a picture that is gone.

        It is read again where the gallery's own thumbnail is another by now, or gradio has deleted the copy.
        """
        written = _written(gallery.thumbnail_file(row.sha256))
        if written is None:
            return _made(gallery, row, framing)
        key = (str(gallery.folder), row.sha256, framing, written)
        shown = self._shown.held(key)
        if shown is not None and still_kept(shown[0]):
            return shown
        made = _made(gallery, row, framing)
        return None if made is None else self._shown.put(key, made)


def _written(file: Path) -> tuple[int, int] | None:
    """When a file was last written, and its length; None for one that is not there."""
    try:
        found = os.stat(file)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def _made(gallery: Gallery, row: Row, framing: Framing) -> Shown | None:
    data = gallery.thumbnail(row)
    if data is None:
        return None
    small, aspect = seen_part(data, framing)
    return kept(small, "thumbnail.jpg"), aspect
