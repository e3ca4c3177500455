"""The names that pictures have in the page's address, and who may open them."""

import hashlib
import hmac
import os
import re
import threading
from collections import OrderedDict
from functools import lru_cache
from pathlib import Path

from simvis_app.service import samples
from simvis_app.service.files import served
from simvis_app.service.links import LinkedPictures
from simvis_app.service.sessions.session import content_hash
from simvis_core import SimvisError

OWN = "own/"
VISITORS, EACH = 10_000, 200  # whose own pictures are remembered, and how many of each
_KEY = re.compile(r"[0-9a-f]{32}")


class Pictures:
    """Samples and pictures of links have names that work for everybody, one's own pictures names for oneself.

    An own picture's name opens only with the key of the browser tab that put it on the page; it says nothing of the
    content, from which gradio makes a file's address. The file stays where gradio keeps uploads, which deletes it once
    it has not been used for a day.
    """

    def __init__(self, linked: LinkedPictures) -> None:
        self.linked = linked
        self._own: OrderedDict[bytes, OrderedDict[str, str]] = OrderedDict()
        self._lock = threading.Lock()

    def name(self, file: str | Path, key: str) -> str | None:
        """A picture's name for the visitor with this key; None for one's own picture without a key.

        Raises SimvisError for a file that cannot be opened.
        """
        digest = hash_of(file)
        sample = samples.credit(digest)
        if sample:
            return f"sample/{sample['file']}"
        return self.linked.name(file) or self._remembered(str(file), digest, key)

    def find(self, name: str, key: str) -> str:
        """A copy of the picture that the browser may fetch.

        Raises SimvisError for a name that is none, one of somebody else, and one no longer kept.
        """
        if not name.startswith(OWN):
            return served(self.linked.find(name))
        with self._lock:
            file = self._own.get(_visitor(key), OrderedDict()).get(name) if _KEY.fullmatch(key) else None
        if file is None or not os.path.isfile(file):
            raise SimvisError(
                "an address with somebody's own picture, which opens in that visitor's browser tab only, for a day",
                "a link made by 'Copy link'",
                "ask for one, or upload the picture again",
            )
        os.utime(file)
        return file

    def _remembered(self, file: str, digest: str, key: str) -> str | None:
        if not _KEY.fullmatch(key):
            return None
        name = OWN + hmac.new(key.encode(), digest.encode(), "sha256").hexdigest()[:32]
        os.utime(file)  # gradio deletes what has not been touched for a day
        with self._lock:
            files = self._own.setdefault(_visitor(key), OrderedDict())
            files[name] = file
            files.move_to_end(name)
            self._own.move_to_end(_visitor(key))
            while len(files) > EACH:
                files.popitem(last=False)
            while len(self._own) > VISITORS:
                self._own.popitem(last=False)
        return name


def hash_of(file: str | Path) -> str:
    """`content_hash`, computed once for a file that stays as it is. Raises as that does."""
    try:
        found = os.stat(file)
    except OSError:
        return content_hash(file)  # says what is wrong
    return _hashed(str(file), found.st_mtime_ns, found.st_size)


@lru_cache(maxsize=4096)
def _hashed(file: str, _mtime: int, _size: int) -> str:
    return content_hash(file)


def _visitor(key: str) -> bytes:
    """The key is not kept as it is."""
    return hashlib.sha256(key.encode()).digest()
