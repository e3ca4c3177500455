"""Reading a checkpoint into tensors by their dotted names, without running anything that may be in the file."""

import argparse
import pickle
import re
import struct
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from simvis_core.errors import SimvisError

_SAVE_AGAIN = "save `model.state_dict()` instead, or convert it to .safetensors in a place you trust"


@dataclass(frozen=True)
class CheckpointFile:
    """What a checkpoint holds.

    ``tensors`` go by their dotted names, the dicts they lie in being parts of the name; ``nesting`` tells those dicts
    by the tensor's name ("" for none). ``ordered`` says whether the tensors come in the order in which the model
    registered them: a .safetensors file sorts them by name. ``words`` names the file, or the pair of files.
    """

    name: str
    words: str
    tensors: dict[str, Tensor]
    nesting: dict[str, str]
    ordered: bool


def read_checkpoint(path: Path) -> CheckpointFile:
    """The tensors of a file, or of pytorch-metric-learning's two: ``trunk_<suffix>`` with ``embedder_<suffix>``.

    The pair is found by either of its files, or by a folder that holds one pair only. A pair's tensors are named
    ``trunk.…`` and ``embedder.…``.

    Raises SimvisError for a file that is missing, damaged, of another kind, or that wants to run code.
    """
    _check_name(path)
    trunk = _only_trunk(path) if path.is_dir() else _beside("embedder", "trunk", path) or path
    embedder = _beside("trunk", "embedder", trunk)
    tree = _contents(trunk)
    if embedder is not None:
        tree = {"trunk": tree, "embedder": _contents(embedder)}
    found = list(_flat(tree, ()))
    if not found:
        raise SimvisError(f"'{trunk.name}', which holds no tensors", "the weights of a network", _SAVE_AGAIN)
    return CheckpointFile(
        _name(path, trunk, embedder),
        f"'{trunk.name}'" + (f" with '{embedder.name}'" if embedder else ""),
        {".".join((*nest, key)): tensor for nest, key, tensor in found},
        {".".join((*nest, key)): ".".join(nest) for nest, key, tensor in found},
        trunk.suffix != ".safetensors",
    )


def _check_name(path: Path) -> None:
    """A name longer than any file's is refused by the system each time it is asked about."""
    if len(path.name.encode(errors="surrogateescape")) > 255:
        raise SimvisError(f"'{path.name[:80]}...', which does not exist", "a checkpoint", "check the path")


def _only_trunk(folder: Path) -> Path:
    trunks = sorted(path for path in folder.glob("trunk*") if path.suffix in ENDINGS and path.is_file())
    if len(trunks) == 1:
        return trunks[0]
    names = ", ".join(path.name for path in trunks) or "no trunk_<suffix>.pth"
    raise SimvisError(
        f"the folder '{folder.name}' with {names}", "one checkpoint", "give the path of the file instead of the folder"
    )


def _beside(one: str, other: str, path: Path) -> Path | None:
    """``other_<suffix>`` for a path ``one_<suffix>``, where that file exists."""
    start, rest = path.name[: len(one)], path.name[len(one) :]
    partner = path.with_name(other + rest)
    return partner if start == one and rest[:1] in ("_", ".") and partner.is_file() else None


def _name(path: Path, trunk: Path, embedder: Path | None) -> str:
    if path.is_dir():
        return path.resolve().name
    stem = path.name
    while Path(stem).suffix in ENDINGS:
        stem = Path(stem).stem
    if embedder is None:
        return stem
    return f"{trunk.resolve().parent.name} {stem.partition('_')[2]}".strip()


def _flat(tree: Mapping[object, object], nest: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str, Tensor]]:
    if len(nest) > DEEPEST:
        raise SimvisError(f"a checkpoint with more than {DEEPEST} dicts in each other", "a checkpoint", _SAVE_AGAIN)
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flat(value, (*nest, str(key)))
        elif isinstance(value, Tensor) and value.layout == torch.strided and not value.is_meta:
            yield nest, str(key), _whole(str(key), value.detach())


def _whole(key: str, tensor: Tensor) -> Tensor:
    """A tensor all of whose numbers are in the file: one number repeated a million times would fill the memory."""
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        raise SimvisError(f"'{key}', which the file does not hold as a whole", "all of its numbers", _SAVE_AGAIN)
    return tensor


def _contents(path: Path) -> Mapping[object, object]:
    _check_file(path)
    tree = _safetensors(path) if path.suffix == ".safetensors" else _pickled(path)
    if not isinstance(tree, Mapping):
        raise SimvisError(f"'{path.name}', which holds a {type(tree).__name__}", "a dict of tensors", _SAVE_AGAIN)
    return tree


def _check_file(path: Path) -> None:
    if not path.is_file():
        raise SimvisError(f"'{path.name}', which does not exist", "a checkpoint", "check the path")
    if path.suffix not in ENDINGS:
        raise SimvisError(f"'{path.name}'", f"a file that ends in {', '.join(ENDINGS)}", _SAVE_AGAIN)
    try:
        with path.open("rb") as file:
            head = file.read(512)
    except OSError as error:
        raise _damaged(path, error) from error
    _check_head(path, head)


def _check_head(path: Path, head: bytes) -> None:
    if not head:
        raise SimvisError(f"'{path.name}', which is empty", "a checkpoint", "download or save it again")
    if head.startswith(b"version https://git-lfs"):
        raise SimvisError(f"'{path.name}', a git-lfs pointer to the weights", "the weights", "run `git lfs pull`")
    if min(head) > 8:  # every weights file has a length or an opcode below 9 in its head
        raise SimvisError(f"'{path.name}', a text file", "a checkpoint", "download it again as a file")


def _safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise _damaged(path, error) from error


def _pickled(path: Path) -> object:
    """Only tensors and plain Python values are built; whatever else a pickle asks for is refused.

    timm's training script puts its options beside the weights, hence the one more class: it only holds values.
    """
    _check_pickled(path)
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "Unsupported operand" in str(error):
            raise _damaged(path, error) from error
        raise _code(path, re.findall(r"GLOBAL ([\w.]+)", str(error))) from error
    except _BROKEN as error:
        raise _damaged(path, error) from error


def _check_pickled(path: Path) -> None:
    with path.open("rb") as file:
        magic = file.read(2)
    if magic == b"PK":
        _check_archive(path)
    elif magic[:1] == b"\x80" and magic != b"\x80\x02":  # torch.save writes protocol 2
        raise _code(path, [])
    elif magic != b"\x80\x02":
        raise SimvisError(f"'{path.name}', which is no PyTorch file", "a checkpoint", _SAVE_AGAIN)


def _check_archive(path: Path) -> None:
    if not zipfile.is_zipfile(path):
        raise _damaged(path, "its end is missing")
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        packed = [entry.filename for entry in archive.infolist() if entry.compress_type != zipfile.ZIP_STORED]
    if any(name.endswith("/constants.pkl") for name in names):
        raise SimvisError(f"'{path.name}', a TorchScript program", "weights only", _SAVE_AGAIN)
    if not any(name.endswith("/data.pkl") for name in names):
        holds = f"with {names[0]}" if names else "without files"
        raise SimvisError(f"'{path.name}', a zip archive {holds}", "a checkpoint", "unpack it and give the file inside")
    if packed:  # torch.save stores: a small file that unpacks to a large one is nobody's weights
        raise SimvisError(f"'{path.name}', an archive of compressed files", "a checkpoint", _SAVE_AGAIN)


def _code(path: Path, calls: list[str]) -> SimvisError:
    asks = f" that asks for {calls[0]}" if calls else ""
    return SimvisError(
        f"'{path.name}', a pickle{asks}, which is refused: such a file can run any program when it is opened",
        "tensors only",
        _SAVE_AGAIN,
    )


def _damaged(path: Path, reason: object) -> SimvisError:
    words = " ".join(str(reason).split())[:120] or type(reason).__name__
    return SimvisError(
        f"'{path.name}', which cannot be read: it is damaged or cut short ({words})",
        "a whole checkpoint",
        "download or save it again",
    )


# What PyTorch's restricted unpickler raises at bytes that make no sense.
_BROKEN = (OSError, RuntimeError, EOFError, LookupError, ValueError, TypeError, AttributeError, struct.error)
torch.serialization.add_safe_globals([argparse.Namespace])  # once: the list is the whole process's
DEEPEST = 32
ENDINGS = (".safetensors", ".pt", ".pth", ".bin", ".ckpt", ".tar")
