"""PyTorch archives and pickles, read into a tree of dicts and tensor descriptions; nothing in them runs."""

import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from model_zoo.checkpoints.files.inert_pickles import Pickle
from model_zoo.checkpoints.files.inert_values import Stored

_LEGACY = 0x1950A86A20F9469CFC6C  # the first of the five pickles that torch.save wrote before it wrote archives


class ForeignError(Exception):
    """A file that is sound but no checkpoint: what it holds, what is wanted, and the cure."""


def read_archive(path: Path) -> Any:
    """The tree in an archive of torch.save.

    Raises ForeignError for another kind of archive. What makes no sense raises one of `BROKEN`, and so does a record
    whose bytes were changed since it was written.
    """
    with path.open("rb") as file:
        _check_list(file)
        with zipfile.ZipFile(file) as archive:
            records = _Records(file, archive.infolist(), path.stat().st_size)
        pickled = Pickle(io.BytesIO(records.read(records.root + "data.pkl")), records.storage)
        tree = pickled.next()
        for stored in pickled.stored.values():
            _ = stored.data  # while the file is open
    return tree


def read_pickle(path: Path) -> Any:
    """The tree in a file of torch.save's old format, or in a plain pickle. Raises as `read_archive` does."""
    return _stream(io.BytesIO(path.read_bytes()), _unpacked)


def _stream(file: IO[bytes], unpacked: Callable[[bytes], Stored] | None) -> Any:
    data: dict[str, bytearray] = {}
    pickled = Pickle(file, data.__getitem__, unpacked)
    first = pickled.next()
    if first != _LEGACY:
        return first
    _version, system, tree, keys = (pickled.next() for _ in range(4))
    if isinstance(system, dict) and system.get("little_endian") is False:
        raise ForeignError(
            "numbers of a big-endian machine", "little-endian ones", "save it again on an ordinary machine"
        )
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise ValueError("no list of storages")
    for key in keys:
        size = struct.unpack("<q", file.read(8))[0] * pickled.stored[key].dtype.itemsize
        data[key] = _exactly(file, size)
    return tree


def _unpacked(packed: bytes) -> Stored:
    """A storage in a plain pickle is a whole file of torch.save; one within it again is nobody's."""
    stored = _stream(io.BytesIO(packed), None)
    if not isinstance(stored, Stored):
        raise ValueError("no storage in a storage's place")
    return stored


def _exactly(file: IO[bytes], size: int) -> bytearray:
    start = file.tell()
    left = file.seek(0, io.SEEK_END) - start
    file.seek(start)
    if not 0 <= size <= left:  # asked before it is read: the memory would be taken first
        raise EOFError(f"a record of {size} bytes where {left} are left")
    return bytearray(file.read(size))


def _check_list(file: IO[bytes]) -> None:
    """Before the archive's list of its files is read: one of many thousand takes seconds."""
    file.seek(0, io.SEEK_END)
    file.seek(-min(file.tell(), 1 << 16), io.SEEK_END)
    tail = file.read()
    end = tail.rfind(b"PK\x05\x06")
    if end < 0:
        raise ValueError("its end is missing")
    size = struct.unpack_from("<L", tail, end + 12)[0]
    long = tail.rfind(b"PK\x06\x06")
    if size == 0xFFFFFFFF and long >= 0:
        size = struct.unpack_from("<Q", tail, long + 40)[0]
    if size > LONGEST_LIST:
        raise ForeignError(
            "more files inside than any network has tensors", "a checkpoint", "save `model.state_dict()` only"
        )


class _Records:
    """The records of an archive that torch.save wrote, none of them compressed."""

    def __init__(self, file: IO[bytes], entries: list[zipfile.ZipInfo], size: int) -> None:
        self.file, self.left = file, size
        self.entries = {entry.filename: entry for entry in entries}
        self.sums = any(entry.CRC for entry in entries)  # PyTorch can be told to leave them out
        self.root = _root(list(self.entries))
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            # torch.save stores: a small file that unpacks to a large one is nobody's weights
            raise ForeignError("an archive of compressed files", "a checkpoint", "")
        if self._given("byteorder") == b"big":
            raise ForeignError("numbers of a big-endian machine", "little-endian ones", "")

    def storage(self, key: str) -> bytearray:
        return self.read(f"{self.root}data/{key}")

    def read(self, name: str) -> bytearray:
        """A record's bytes, found by the record's own header."""
        entry = self.entries[name]
        self.left -= entry.file_size
        if self.left < 0:
            raise ValueError("its records lie in each other")
        self.file.seek(entry.header_offset)
        header = _exactly(self.file, 30)
        names, extra = struct.unpack_from("<HH", header, 26)
        self.file.seek(names + extra, io.SEEK_CUR)
        data = _exactly(self.file, entry.file_size)
        if header[:4] != b"PK\x03\x04" or (self.sums and zlib.crc32(data) != entry.CRC):
            raise ValueError(f"{name} is not as it was written")
        return data

    def _given(self, name: str) -> bytearray:
        return self.read(self.root + name) if self.root + name in self.entries else bytearray()


def _root(names: list[str]) -> str:
    """What stands before the names of all records."""
    if any(name.endswith("/constants.pkl") for name in names):
        raise ForeignError("a TorchScript program", "weights only", "")
    root = next((name.removesuffix("data.pkl") for name in names if name.endswith("/data.pkl")), None)
    if root is None:
        holds = f"with {names[0]}" if names else "without files"
        raise ForeignError(f"a zip archive {holds}", "a checkpoint", "unpack it and give the file inside")
    return root


# What reading bytes that make no sense raises: zipfile, pickletools, struct and torch between them.
BROKEN = (
    OSError,
    RuntimeError,  # NotImplementedError among them: an archive of a version to come
    EOFError,
    LookupError,
    ValueError,  # UnicodeDecodeError among them
    OverflowError,
    MemoryError,
    struct.error,
    zipfile.BadZipFile,
)
LONGEST_LIST = 8 << 20  # bytes
