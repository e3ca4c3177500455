"""A gallery: a name, the embeddings of its pictures under any number of networks, and their thumbnails."""

import hashlib
import json
import os
import re
import shlex
import shutil
import unicodedata
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from simvis_core.errors import SimvisError
from simvis_core.files.installed import COMMAND
from simvis_core.files.reading import fields
from simvis_core.files.writing import write_folder
from simvis_core.networks.network import EmbeddingNetwork
from simvis_core.pictures.opening import OWNERS, Limits, open_picture
from simvis_core.pictures.resizing import RESIZINGS
from simvis_core.pictures.thumbnails import THUMBNAIL, is_whole, thumbnail
from simvis_core.pictures.views import Framing
from simvis_core.stores.contract import Row, Space, VectorIndex

FILE = "gallery.json"  # it holds the gallery's name
LONGEST_NAME = 100
MEND = f"index its pictures again, which mends it ({COMMAND} index FOLDER --name NAME), or delete that folder"
_FOLDER = re.compile(r"[A-Za-z0-9_]{0,40}_[0-9a-f]{12}")


@dataclass(frozen=True, eq=False)
class Gallery:
    """Pictures of one name: ``folder`` keeps thumbnails and what was indexed, ``index`` the embeddings.

    Each network, pooling and view has a space of its own in the index, so they never mix.

    >>> import tempfile
    >>> from PIL import Image
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork, Preprocess
    >>> from simvis_core.galleries.gallery import open_gallery
    >>> from simvis_core.galleries.indexing import index_pictures
    >>> from simvis_core.pictures.listing import listed
    >>> from simvis_core.stores.edge import EdgeIndex
    >>> net = EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8), preprocess=Preprocess(short_side=32, stride=8), name="tiny")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Image.new("RGB", (40, 40), "orange").save(f"{folder}/1.png")
    ...     index = EdgeIndex(f"{folder}/index")
    ...     gallery = open_gallery("birds", folder, index, create=True)
    ...     done = list(index_pictures(gallery, listed(folder), [net], short_side=32))
    ...     space = gallery.space(net, 32, "whole")
    ...     gallery.has(space), gallery.require(space), gallery.spaces() == [space]
    ...     gallery.as_indexed(net, 32, "whole").preprocess.resizing
    ...     [row] = index.scan(space)
    ...     small = gallery.thumbnail(row)
    ...     gallery.has_thumbnail(row.sha256), gallery.thumbnail_file(row.sha256).suffix
    ...     gallery.keep_thumbnail(row.sha256, small)
    ...     gallery.remove([row.id]), gallery.has(space)
    ...     gallery.delete()
    ...     index.close()
    ...
    (True, None, True)
    'quick'
    (True, '.jpg')
    (1, False)
    """

    name: str
    folder: Path
    index: VectorIndex

    def space(self, network: EmbeddingNetwork, short_side: int, framing: Framing) -> Space:
        """The space of this gallery's embeddings by the network under its pooling, of views of that kind.

        Raises SimvisError for a view that the network does not take, and for ``flatten`` over views of differing
        shapes.
        """
        network.preprocess.check(short_side, framing)
        fixed = network.preprocess.fixed_size
        if fixed is not None:  # every picture is seen at that size, and "square" as "whole"
            short_side, framing = min(fixed), "crop" if framing == "crop" else "whole"
        if network.pooling.name == "flatten" and framing == "whole" and fixed is None:
            raise SimvisError(
                "pooling 'flatten' over views of differing shapes",
                "embeddings of one length",
                "choose a square framing or another pooling",
            )
        precision = "bfloat16" if network.engine == "bf16" else "float32"
        kind = f"{short_side} {framing}"
        facts: tuple[object, ...] = (
            network.fingerprint,
            str(network.pooling),
            (fixed or short_side, framing),
            precision,
        )
        if network.preprocess.resizing != "reference":  # which was the only one, and nothing named it
            facts, kind = (*facts, network.preprocess.resizing), f"{kind} {network.preprocess.resizing}"
        fingerprint = hashlib.sha256(repr(facts).encode()).hexdigest()
        return Space(self.name, network.name, str(network.pooling), network.width(short_side), fingerprint, kind)

    def as_indexed(self, network: EmbeddingNetwork, short_side: int, framing: Framing) -> EmbeddingNetwork:
        """The network shrinking pictures as it did when this gallery was indexed with it; unchanged where it was not.

        A gallery that was indexed before there were two ways goes on in the old one. Raises as `space` does.
        """
        there = set(self.spaces())
        ways = [network, *(network.with_resizing(way) for way in RESIZINGS)]
        return next((way for way in ways if self.space(way, short_side, framing) in there), network)

    def spaces(self) -> list[Space]:
        """What the gallery has been indexed with."""
        return [space for space in self.index.spaces() if space.gallery == self.name]

    def has(self, space: Space) -> bool:
        """Whether pictures were indexed into this space."""
        return space in self.index.spaces() and self.index.count(space) > 0

    def require(self, space: Space) -> None:
        """Raises SimvisError, saying what the gallery was indexed with, where it is not this space."""
        if self.has(space):
            return
        there = sorted({f"{known.network} ({known.pooling})" for known in self.spaces()})
        same = f"{space.network} ({space.pooling})" in there
        raise SimvisError(
            f"gallery '{self.name}', which was indexed with {', '.join(there) or 'nothing'}"
            + (" but with other weights, preprocessing or views" if same else ""),
            f"{space.network} ({space.pooling}) as it is now",
            f"index it: {COMMAND} index FOLDER --name {shlex.quote(self.name)} --backbone {space.network} "
            f"--pooling {space.pooling}, or choose what it was indexed with",
        )

    def thumbnail(self, row: Row) -> bytes | None:
        """A small JPEG of a row's picture, kept once made; None where its file is gone, changed or unreadable."""
        kept = content(self.thumbnail_file(row.sha256))
        if kept is not None and is_whole(kept):
            return kept
        data = content(row.file)
        if data is None or hashlib.sha256(data).hexdigest() != row.sha256:
            return None
        try:
            small = thumbnail(open_picture(data, THUMBNAIL, OWNERS))
        except SimvisError:
            return None
        with suppress(SimvisError):  # in a folder that cannot be written it is made each time; indexing says so
            self.keep_thumbnail(row.sha256, small)
        return small

    def keep_thumbnail(self, sha256: str, small: bytes) -> None:
        """Writes a picture's thumbnail whole. Raises SimvisError where the folder cannot be written."""
        path = self.thumbnail_file(sha256)
        write_folder(path.parent, {path.name: small})

    def has_thumbnail(self, sha256: str) -> bool:
        """Whether a picture's thumbnail is kept, whole."""
        kept = content(self.thumbnail_file(sha256))
        return kept is not None and is_whole(kept)

    def thumbnail_file(self, sha256: str) -> Path:
        """Where a picture's thumbnail is kept."""
        return self.folder / "thumbnails" / sha256[:2] / f"{sha256}.jpg"

    def remove(self, ids: list[str]) -> int:
        """Takes pictures out of every space; gives how many rows went. The pictures' own files are left alone."""
        gone = 0
        for space in self.spaces():
            there = list(self.index.scan(space, ids))
            self.index.delete(space, [row.id for row in there])
            gone += len(there)
            for row in there:
                with suppress(OSError):  # what nothing points to any more does no harm
                    self.thumbnail_file(row.sha256).unlink()
        return gone

    def delete(self) -> None:
        """Removes the gallery whole, damaged or not; the pictures' own files are left alone.

        Raises SimvisError where the folder cannot be removed.
        """
        for space in self.spaces():
            self.index.drop(space)
        try:
            if self.folder.exists():
                shutil.rmtree(self.folder)
        except OSError as error:
            raise SimvisError(
                f"'{self.folder}', which cannot be removed ({error.strerror})",
                "a folder that can be written",
                "give the right to write it, and delete the gallery again",
            ) from error


def open_gallery(name: str, home: str | Path, index: VectorIndex, create: bool = False) -> Gallery:
    """The gallery of that name. Raises SimvisError for one that is not there, unless it is to be made.

    Making one that is there writes its name again where the file with it is damaged.

    >>> import tempfile
    >>> from simvis_core.galleries.gallery import open_gallery
    >>> from simvis_core.stores.edge import EdgeIndex
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     index = EdgeIndex(f"{folder}/index")
    ...     open_gallery("birds", folder, index, create=True).name
    ...     open_gallery("birds", folder, index).folder.name[:6]
    ...     index.close()
    ...
    'birds'
    'birds_'
    """
    check_name(name)
    gallery = Gallery(name, Path(home) / _slug(name), index)
    if create and _name_in(gallery.folder) != name:
        write_folder(gallery.folder, {FILE: json.dumps({"name": name}).encode()})
    elif not create and name not in gallery_names(home, index):
        known = ", ".join(f"'{known}'" for known in gallery_names(home, index)) or "none yet"
        damaged = "".join(f" ({trouble})" for trouble in gallery_troubles(home, index))
        raise SimvisError(
            f"gallery '{name}'{damaged}",
            f"one that is there ({known})",
            f"make it with: {COMMAND} index FOLDER --name NAME",
        )
    return gallery


def gallery_names(home: str | Path, index: VectorIndex) -> list[str]:
    """The galleries of this machine and those that the store knows, sorted; without folders that do not say theirs.

    >>> import tempfile
    >>> from simvis_core.galleries.gallery import gallery_names, open_gallery
    >>> from simvis_core.stores.edge import EdgeIndex
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     index = EdgeIndex(f"{folder}/index")
    ...     gallery = open_gallery("birds", folder, index, create=True)
    ...     gallery_names(folder, index)
    ...     index.close()
    ...
    ['birds']
    """
    here = {name for folder in _folders(home) if isinstance(name := _name_in(folder), str)}
    return sorted(here | {space.gallery for space in index.spaces()})


def gallery_troubles(home: str | Path, index: VectorIndex) -> list[SimvisError]:
    """What is damaged so that nobody can tell what it is: for each folder and each collection, and what mends it.

    Raises SimvisError for a folder of galleries that cannot be read.

    >>> import tempfile
    >>> from simvis_core.galleries.gallery import FILE, gallery_troubles, open_gallery
    >>> from simvis_core.stores.edge import EdgeIndex
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     index = EdgeIndex(f"{folder}/index")
    ...     gallery = open_gallery("birds", folder, index, create=True)
    ...     (gallery.folder / FILE).write_bytes(b"?")
    ...     [trouble.got[-18:] for trouble in gallery_troubles(folder, index)]
    ...     index.close()
    ...
    1
    [', which is damaged']
    """
    told = {_slug(space.gallery): space.gallery for space in index.spaces()}
    found = [(folder, name) for folder in _folders(home) if isinstance(name := _name_in(folder), SimvisError)]
    return index.damaged() + [_named(error, told.get(folder.name)) for folder, error in found]


def _folders(home: str | Path) -> list[Path]:
    """Galleries' folders, as their names begin and end."""
    try:
        return sorted(path for path in Path(home).glob("*") if _FOLDER.fullmatch(path.name) and path.is_dir())
    except OSError as error:
        raise SimvisError(
            f"'{home}', which cannot be read ({error.strerror})", "a folder of galleries", "name another --galleries"
        ) from error


def _name_in(folder: Path) -> str | SimvisError:
    """The name of the gallery in a folder; or what is wrong with the file that holds it."""
    try:
        name = fields(folder / FILE, MEND).get("name")
    except SimvisError as error:
        return error
    if not isinstance(name, str) or _slug(name) != folder.name:
        return SimvisError(f"'{FILE}' of '{folder.name}', which is damaged", "the gallery's name", MEND)
    return name


def _named(error: SimvisError, gallery: str | None) -> SimvisError:
    """The error with the gallery's name in it, where the store still knows that: it is searched as ever."""
    return error if gallery is None else SimvisError(f"gallery '{gallery}': {error.got}", error.wanted, error.cure)


def check_name(name: str) -> None:
    """Raises SimvisError for a gallery name that is empty, long, or has control characters or broken ones.

    >>> from simvis_core.galleries.gallery import check_name
    >>> check_name("birds of 2026")
    >>> check_name("")
    Traceback (most recent call last):
        ...
    simvis_core.errors.SimvisError: Got the gallery name ''; wanted 1 to 100 printable characters: choose ...
    """
    if not name.strip() or len(name) > LONGEST_NAME or {"Cc", "Cs"} & set(map(unicodedata.category, name)):
        raise SimvisError(
            f"the gallery name {name[:120]!r}", f"1 to {LONGEST_NAME} printable characters", "choose another name"
        )


def content(file: str | Path, limits: Limits = OWNERS) -> bytes | None:
    """A file's bytes, at most what a picture may have and one more; None where it cannot be read.

    >>> from simvis_core.galleries.gallery import content
    >>> content("no such file") is None
    True
    """
    if not os.path.isfile(file):  # opening a pipe would wait for ever
        return None
    try:
        with open(file, "rb") as opened:
            return opened.read(limits.bytes + 1)
    except (OSError, ValueError):
        return None


def _slug(name: str) -> str:
    readable = re.sub(r"[^A-Za-z0-9]+", "_", name)[:40]
    return f"{readable}_{hashlib.sha256(name.encode(errors='surrogatepass')).hexdigest()[:12]}"
