"""What a file is by its first bytes, whatever its name ends in, and the tree that it holds."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from model_zoo.checkpoints.files.inert_values import RefusedError
from model_zoo.checkpoints.files.pickles import BROKEN, ForeignError, read_archive, read_pickle
from model_zoo.checkpoints.files.tree import MOST_TENSORS, SAVE_AGAIN
from simvis_core.errors import SimvisError


def contents(path: Path) -> tuple[Mapping[str, Any], bool]:
    """The tree of a file, and whether its tensors stand in the order in which the model registered them.

    A .safetensors file sorts them by name.

    Raises SimvisError for a file that is missing, damaged, of another kind, or that asks for what runs programs.
    """
    head = _head(path)
    if _is_safetensors(path, head):  # first: its length may begin with the bytes of the others
        return _guarded(path, _safetensors), False
    if head[:2] == b"PK":
        return _tree(path, _guarded(path, read_archive)), True
    if head[:1] == b"\x80":
        return _tree(path, _guarded(path, read_pickle)), True
    raise _foreign(path, head)


def damaged(path: Path, reason: object) -> SimvisError:
    """The sentence for bytes that make no sense."""
    words = " ".join(str(reason).split())[:120] or type(reason).__name__
    return SimvisError(
        f"'{path.name}', which cannot be read: it is damaged or cut short ({words})",
        "a whole checkpoint",
        "download or save it again",
    )


def _head(path: Path) -> bytes:
    if not path.is_file():
        raise SimvisError(f"'{path.name}', which does not exist", "a checkpoint", "check the path")
    try:
        with path.open("rb") as file:
            head = file.read(512)
    except OSError as error:
        raise damaged(path, error) from error
    if not head:
        raise SimvisError(f"'{path.name}', which is empty", "a checkpoint", "download or save it again")
    if head.startswith(b"version https://git-lfs"):
        raise SimvisError(f"'{path.name}', a git-lfs pointer to the weights", "the weights", "run `git lfs pull`")
    return head


def _is_safetensors(path: Path, head: bytes) -> bool:
    """Eight bytes of length, then JSON. A file of that name with another beginning is a damaged one."""
    length = int.from_bytes(head[:8], "little")
    begins = head[8:9] == b"{" and length < 1 << 40
    other = _is_text(head) or head[:2] == b"PK" or head[:2] in (b"\x80\x02", b"\x80\x04", b"\x80\x05")
    return begins or (path.suffix.casefold() == ".safetensors" and not other)


def _is_text(head: bytes) -> bool:
    return min(head) > 8  # every weights file has a length or an opcode below 9 in its head


def _foreign(path: Path, head: bytes) -> SimvisError:
    for start, at, words, cure in _FOREIGN:
        if head[at : at + len(start)] == start:
            return SimvisError(f"'{path.name}', {words}", "a checkpoint of PyTorch or safetensors", cure)
    if path.name.endswith(".index.json"):
        cure = "give the files that it lists as one: load them in Python and save the whole state dict"
        return SimvisError(f"'{path.name}', a list of the files that hold the weights", "the weights", cure)
    if _is_text(head):
        return SimvisError(f"'{path.name}', a text file", "a checkpoint", "download it again as a file")
    return SimvisError(f"'{path.name}', which is no PyTorch file and no .safetensors", "a checkpoint", SAVE_AGAIN)


def _guarded(path: Path, read: Any) -> Any:
    try:
        return read(path)
    except SimvisError:
        raise
    except RefusedError as error:
        raise _code(path, str(error)) from error
    except ForeignError as error:
        holds, wanted, cure = error.args
        raise SimvisError(f"'{path.name}', {holds}", wanted, cure or SAVE_AGAIN) from error
    except (*BROKEN, SafetensorError) as error:
        raise damaged(path, error) from error


def _tree(path: Path, tree: object) -> Mapping[str, Any]:
    """The dict at the root; a list or tuple of dicts, such as a model's and its optimizer's, goes by numbers."""
    if isinstance(tree, (list, tuple)) and any(isinstance(one, Mapping) for one in tree):
        return {str(place): one for place, one in enumerate(tree)}
    if isinstance(tree, Mapping):
        return tree
    raise SimvisError(f"'{path.name}', which holds a {type(tree).__name__}", "a dict of tensors", SAVE_AGAIN)


def _safetensors(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
    if length > MOST_TENSORS * 200:
        raise ForeignError(
            "with a longer list than any network has tensors", "a checkpoint", "save fewer tensors to a file"
        )
    with safe_open(path, framework="pt") as file:
        return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (no dict: it has only that method)


def _code(path: Path, call: str) -> SimvisError:
    return SimvisError(
        f"'{path.name}', a pickle that asks for {call}, which is refused: such a file can run any program when it is"
        " opened",
        "tensors only",
        SAVE_AGAIN,
    )


_UNPACK = "unpack it and give the file inside"
_FOREIGN: tuple[tuple[bytes, int, str, str], ...] = (
    (b"\x1f\x8b", 0, "a file packed by gzip", _UNPACK),
    (b"\xfd7zXZ", 0, "a file packed by xz", _UNPACK),
    (b"\x28\xb5\x2f\xfd", 0, "a file packed by zstd", _UNPACK),
    (b"BZh", 0, "a file packed by bzip2", _UNPACK),
    (b"ustar", 257, "a tar archive", _UNPACK),
    (b"\x89HDF", 0, "an HDF5 file, as Keras writes", SAVE_AGAIN),
    (b"\x93NUMPY", 0, "a numpy array", SAVE_AGAIN),
    (b"GGUF", 0, "a GGUF file", SAVE_AGAIN),
)
