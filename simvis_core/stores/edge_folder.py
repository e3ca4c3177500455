"""The folder of the embedded store: what each collection says of itself, and what is told where it cannot be used."""

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from simvis_core.errors import SimvisError
from simvis_core.files.installed import COMMAND
from simvis_core.files.reading import fields
from simvis_core.files.writing import write_whole
from simvis_core.stores.contract import Space, SpoiltError, rebuilding

SPACE = "space.json"
SHARD = "shard"
FREE = 128 * 2**20  # bytes that must be free: the store maps files into memory, where a full disk kills the process
_VIEW = re.compile(r"\d{1,5} (whole|square|crop)( quick)?")
AGAIN = f"index its gallery again as before, which mends it ({COMMAND} index FOLDER --name NAME), or delete that folder"


def collections_in(folder: Path) -> list[Space | SimvisError]:
    """What each collection of the folder is of; for one that does not tell any more, why and what mends it.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from simvis_core.stores.contract import Space
    >>> from simvis_core.stores.edge_folder import describe, collections_in
    >>> space = Space("birds", "tiny", "avg", 2, "0123")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Path(folder, space.name).mkdir()
    ...     len(collections_in(Path(folder)))  # one that does not say what it is of
    ...     describe(Path(folder, space.name), space)
    ...     collections_in(Path(folder)) == [space]
    ...
    1
    True
    """
    try:
        # A folder under another name is being made or removed.
        collections = sorted(path for path in folder.glob("simvis_*") if path.is_dir())
    except OSError as error:
        raise _unusable(folder, error) from error
    return [_described(collection) for collection in collections]


def describe(collection: Path, space: Space) -> None:
    """Writes what the collection is of, where that is not there or damaged: its name alone already says it.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from simvis_core.stores.contract import Space
    >>> from simvis_core.stores.edge_folder import describe
    >>> space = Space("birds", "tiny", "avg", 2, "0123")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Path(folder, space.name).mkdir()
    ...     describe(Path(folder, space.name), space)
    ...     [path.name for path in Path(folder, space.name).iterdir()]
    ...
    ['space.json']
    """
    if not isinstance(_described(collection), Space):
        write_whole(collection / SPACE, json.dumps(asdict(space)).encode())


def check_room(folder: Path) -> None:
    """Raises SimvisError where the folder cannot be made, or its disk is nearly full.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from simvis_core.stores.edge_folder import check_room
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     check_room(Path(folder, "new"))
    ...     Path(folder, "new").is_dir()
    ...
    True
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise _unusable(folder, error) from error
    if free < FREE:
        raise _full(folder, f"{free / 2**20:.0f} MiB free")


@contextmanager
def sentences_for(folder: Path, space: Space) -> Iterator[None]:
    """What the store raises as a sentence with a cure; what is neither the store's nor the disk's stays what it is.

    The store raises bare `Exception`s, and panics, which are none, over files that are cut off.

    >>> from pathlib import Path
    >>> from simvis_core.stores.contract import Space
    >>> from simvis_core.stores.edge_folder import sentences_for
    >>> with sentences_for(Path("galleries"), Space("birds", "tiny", "avg", 2, "0123")):
    ...     raise PermissionError(13, "Permission denied")
    ...
    Traceback (most recent call last):
        ...
    simvis_core.errors.SimvisError: Got 'galleries', which cannot be used (Permission denied); wanted a folder ...
    """
    try:
        yield
    except OSError as error:
        raise _unusable(folder, error) from error
    except BaseException as error:
        if type(error) is not Exception and type(error).__name__ != "PanicException":
            raise
        raise _sentence(folder, space, str(error)) from error


def _described(collection: Path) -> Space | SimvisError:
    try:
        return _space(fields(collection / SPACE, AGAIN), collection)
    except SimvisError as error:
        return error


def _space(facts: dict[str, Any], collection: Path) -> Space:
    here = f"'{SPACE}' of '{collection.name}'"
    try:
        space = Space(**facts)
    except TypeError as error:
        raise SimvisError(f"{here}, which another version of SimVis wrote", "one of this version", AGAIN) from error
    view = isinstance(space.view, str) and _VIEW.fullmatch(space.view)
    if space.name != collection.name or not view:
        raise SimvisError(f"{here}, which is of another collection", "the file as it was written", AGAIN)
    return space


def _sentence(folder: Path, space: Space, words: str) -> SimvisError:
    if "WouldBlock" in words:
        return SimvisError(
            f"gallery '{space.gallery}', which another process holds open (a running SimVis, perhaps)",
            "one process at a time",
            "close the other one, or share a Milvus server with --index-url",
        )
    if "No space left" in words:
        return _full(folder, "no room on the disk")
    denied = re.search(r"Permission denied|Read-only file system", words)
    if denied:
        return SimvisError(
            f"gallery '{space.gallery}', whose files cannot be written ({denied[0]})",
            "a folder that can be written, for searching too",
            "give the right to write it, or name another folder with --galleries",
        )
    return spoilt(space)


def spoilt(space: Space) -> SpoiltError:
    """What is told of a collection that does not hold any more what was written.

    >>> from simvis_core.stores.contract import Space
    >>> from simvis_core.stores.edge_folder import spoilt
    >>> spoilt(Space("birds", "tiny", "avg", 2, "0123")).got
    "gallery 'birds' under tiny (avg), whose files are damaged"
    """
    return SpoiltError(
        f"gallery '{space.gallery}' under {space.network} ({space.pooling}), whose files are damaged",
        "the files as they were written",
        rebuilding(space),
    )


def _unusable(folder: Path, error: OSError) -> SimvisError:
    return SimvisError(
        f"'{folder}', which cannot be used ({error.strerror})",
        "a folder that can be written",
        "name another with --galleries, or free some room",
    )


def _full(folder: Path, got: str) -> SimvisError:
    return SimvisError(f"{got} at '{folder}'", f"at least {FREE // 2**20} MiB", "free some room and index again")
