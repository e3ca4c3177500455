"""Checkpoints damaged in every way that bytes, records, pickles and names can be, made of small ones that fit."""

import io
import json
import pickle
import random
import struct
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

# isort: off
import model_zoo  # (timm cannot be imported before it)

# isort: on
import timm
import torch
from safetensors.torch import save
from torch import Tensor, nn

ARCHITECTURE = "timm/test_efficientnet"
EXTREMES = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, (1 << 63) - 1, (1 << 64) - 1)
OPCODES = (
    b"().0123BDFGIJKLMNPQRSTUVX]abcdeghijlopqrstu}\x80\x81\x82\x85\x86\x87\x88\x89\x8a\x8b\x8c\x8d\x8e\x90\x93\x94\x95"
)


def opened(path: Path) -> object:
    """Opens it as a person's own checkpoint."""
    return model_zoo.open_checkpoint(path, ARCHITECTURE)


def seeds(folder: Path) -> list[Path]:
    """A small network in every container: archives, the old format, safetensors, pickles, modules, a program."""
    torch.manual_seed(0)
    trunk = timm.create_model(ARCHITECTURE.partition("/")[2], num_classes=0).eval()
    network = nn.Sequential(trunk, nn.Linear(trunk.num_features, 16), nn.BatchNorm1d(16)).eval()
    state = network.state_dict()
    beside = {"epoch": 3, "optimizer": {"state": {0: {"step": torch.tensor(7.0)}}, "param_groups": [{"lr": 0.1}]}}
    torch.save({"state_dict": state, **beside}, folder / "archive.pt")
    torch.save({"model": state, **beside}, folder / "old.pt", _use_new_zipfile_serialization=False)
    torch.save(network, folder / "module.pt")
    torch.save(network, folder / "old_module.pt", _use_new_zipfile_serialization=False)
    (folder / "weights.safetensors").write_bytes(save({key: tensor.contiguous() for key, tensor in state.items()}))
    (folder / "plain.pkl").write_bytes(pickle.dumps(dict(state), 4))
    (folder / "arrays.pkl").write_bytes(pickle.dumps({key: tensor.numpy() for key, tensor in state.items()}, 2))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.trace(network, torch.zeros(1, 3, 64, 64)).save(folder / "program.pt")
    return sorted(folder.iterdir())


def damaged(sound: list[Path], chance: random.Random, folder: Path) -> tuple[Path, str]:
    """One of the sound files with one kind of damage, under its own name, and in words what was done."""
    words = chance.choice([*DAMAGES])
    source = chance.choice(sound)
    data = DAMAGES[words](source, chance)
    while data is None:  # the damage is not for files of this kind
        source = chance.choice(sound)
        data = DAMAGES[words](source, chance)
    if words.startswith("spliced"):
        other = chance.choice(sound).read_bytes()
        at, start = chance.randrange(len(data)), chance.randrange(len(other))
        data = data[:at] + other[start:]
    (folder / source.name).write_bytes(data)
    return folder / source.name, f"{words}: {source.name}"


# Bytes


def _flipped(path: Path, chance: random.Random) -> bytes:
    """At either end or anywhere: the ends hold what tells the rest."""
    data = bytearray(path.read_bytes())
    span = chance.choice((64, 1024, len(data)))
    start = chance.choice((0, max(0, len(data) - span)))
    for _ in range(chance.choice((1, 2, 8, 64))):
        data[min(len(data) - 1, start + chance.randrange(span))] = chance.randrange(256)
    return bytes(data)


def _cut(path: Path, chance: random.Random) -> bytes:
    data = path.read_bytes()
    length = chance.choice((chance.randrange(64), chance.randrange(len(data)), len(data) - 1 - chance.randrange(64)))
    return data[:length] if chance.random() < 0.7 else data[length:]


def _whole(path: Path, _: random.Random) -> bytes:
    return path.read_bytes()


def _repeated(path: Path, chance: random.Random) -> bytes:
    """A piece once or many times more, or left out."""
    data = path.read_bytes()
    start, length = chance.randrange(len(data)), chance.choice((1, 8, 512, 65536))
    return data[:start] + data[start : start + length] * chance.choice((0, 2, 20)) + data[start + length :]


def _numbers(path: Path, chance: random.Random) -> bytes:
    """Numbers of 2, 4 or 8 bytes, at either end or anywhere, as large or small as can be."""
    data = bytearray(path.read_bytes())
    for _ in range(chance.choice((1, 3))):
        size = chance.choice((2, 4, 8))
        at = chance.choice(
            (0, chance.randrange(256), len(data) - 8 - chance.randrange(256), chance.randrange(len(data)))
        )
        data[at : at + size] = (chance.choice(EXTREMES) % (1 << 8 * size)).to_bytes(size, "little")
    return bytes(data)


# Archives


def _listed(path: Path, chance: random.Random) -> bytes | None:
    """Lies in an archive's list of files, in its end, or in a record's own header."""
    data = bytearray(path.read_bytes())
    if data[:2] != b"PK":
        return None
    for _ in range(chance.choice((1, 3))):
        mark, fields = chance.choice(ZIP_FIELDS)
        places = _places(data, mark)
        if places:
            at, (offset, size) = chance.choice(places), chance.choice(fields)
            data[at + offset : at + offset + size] = (chance.choice(EXTREMES) % (1 << 8 * size)).to_bytes(
                size, "little"
            )
    return bytes(data)


def _places(data: bytearray, mark: bytes) -> list[int]:
    found, at = [], data.find(mark)
    while at >= 0:
        found.append(at)
        at = data.find(mark, at + 1)
    return found


def _records(path: Path, chance: random.Random) -> bytes | None:
    """Whole records twice, missing, exchanged, empty, compressed, or one in another's place."""
    records = _archive(path)
    if records is None:
        return None
    for _ in range(chance.choice((1, 3))):
        one, other = chance.randrange(len(records)), chance.randrange(len(records))
        (name, data), (second, beside) = records[one], records[other]
        changed: list[tuple[str, bytes]] = chance.choice(
            (
                [(name, data)] * 2,
                [],
                [(name, beside)],
                [(name, b"")],
                [(second, data)],
                [(name, data[: len(data) // 2])],
            )
        )
        records[one : one + 1] = changed
        records = records or [("x/data.pkl", b"")]
    return _zipped(records, zipfile.ZIP_DEFLATED if chance.random() < 0.1 else zipfile.ZIP_STORED)


def _archive(path: Path) -> list[tuple[str, bytes]] | None:
    data = path.read_bytes()
    if data[:2] != b"PK":
        return None
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        return [(entry.filename, file.read(entry)) for entry in file.infolist()]


def _zipped(records: list[tuple[str, bytes]], how: int = zipfile.ZIP_STORED) -> bytes:
    made = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(made, "w", how) as file:
        warnings.simplefilter("ignore")  # two of one name
        for name, data in records:
            file.writestr(name, data)
    return made.getvalue()


# Pickles


def _pickled(path: Path, chance: random.Random) -> bytes | None:
    """Other opcodes, numbers and bytes in the pickle, in an archive with right sums."""
    records = _archive(path)
    if records is None:
        return None if path.suffix == ".safetensors" else _opcodes(path.read_bytes(), chance, 4096)
    return _zipped([(name, _opcodes(data, chance) if name.endswith("data.pkl") else data) for name, data in records])


def _opcodes(pickled: bytes, chance: random.Random, span: int = 1 << 20) -> bytes:
    data = bytearray(pickled)
    for _ in range(chance.choice((1, 2, 5, 20))):
        at = chance.randrange(min(span, len(data)))
        piece = chance.choice((bytes((chance.choice(OPCODES),)), bytes((chance.randrange(256),)), *MADE))
        drop = chance.choice((0, 1, len(piece)))
        data[at : at + drop] = piece
    return bytes(data)


# Headers of safetensors


def _header(path: Path, chance: random.Random) -> bytes | None:
    """Another length, or another list of the tensors: types, shapes, places, names, values twice or of another kind."""
    if path.suffix != ".safetensors":
        return None
    data = path.read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    if chance.random() < 0.2:
        other = chance.choice((*EXTREMES, length + chance.randrange(-9, 9), len(data) - 8)) % (1 << 64)
        return struct.pack("<Q", other) + data[8:]
    listed = json.loads(data[8 : 8 + length])
    for _ in range(chance.choice((1, 3, 10))):
        entry = listed[chance.choice([*listed])]
        key = chance.choice(("dtype", "shape", "data_offsets"))
        if isinstance(entry, dict):
            entry[key] = chance.choice(JSON)
    text = json.dumps(listed)
    if chance.random() < 0.3:
        text = chance.choice(
            (text.replace(",", ", ", 1) + "}", "[" * 10000, text[:-1] + "," + text[1:], f'{{"a":{text}}}')
        )
    return struct.pack("<Q", len(text)) + text.encode() + data[8 + length :]


# Names and shapes


def _state(path: Path, chance: random.Random) -> bytes | None:
    """A sound file of other tensors: renamed, left out, of other shapes, types, layouts and numbers, or twice."""
    tree = torch.load(path, weights_only=False) if path.name in ("archive.pt", "old.pt") else None
    if tree is None:
        return None
    state: dict[str, Any] = dict(tree.get("state_dict") or tree["model"])
    for _ in range(chance.choice((1, 2, 10, 60))):
        key = chance.choice([*state])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of quantised tensors, which files of before still hold
            state |= chance.choice(CHANGES)(key, state.pop(key), chance)
    made = io.BytesIO()
    nested = chance.choice(
        (state, {"state_dict": state}, {"model": state, "ema": state}, {"module": {"net": state}}, [state])
    )
    torch.save(nested, made, _use_new_zipfile_serialization=path.name == "archive.pt")
    return made.getvalue()


def _named(key: str, value: Any, chance: random.Random) -> dict[str, Any]:
    parts = key.split(".")
    parts[chance.randrange(len(parts))] = chance.choice(NAMES)
    return {".".join(parts): value}


def _is_plain(value: Any) -> bool:
    """Whether it is as it was: what is no plain tensor any more takes few other changes."""
    strided = isinstance(value, Tensor) and value.layout == torch.strided
    return strided and not value.is_meta and not value.is_quantized and not value.is_complex()


def _shaped(key: str, value: Any, chance: random.Random) -> dict[str, Any]:
    if not _is_plain(value):
        return {key: value}
    shapes: tuple[Callable[[Tensor], Tensor], ...] = (
        lambda one: one.flatten()[:0],
        lambda one: one.flatten(),
        lambda one: one[None],
        lambda one: one.expand(3, *one.shape),
        lambda one: one.T if one.ndim == 2 else one,
        lambda one: torch.cat([one.flatten(), one.flatten()]),
        lambda one: torch.empty((0,) * (chance.randrange(1, 5))),
        lambda one: torch.zeros(()),
        lambda one: one.flatten()[:1],
        lambda one: one.reshape(*[1] * 8, *one.shape),
    )
    return {key: chance.choice(shapes)(value)}


def _typed(key: str, value: Any, chance: random.Random) -> dict[str, Any]:
    if not _is_plain(value):
        return {key: value}
    types = (torch.float8_e4m3fn, torch.bfloat16, torch.complex64, torch.int64, torch.bool, torch.float64, torch.uint8)
    kinds: tuple[Callable[[Tensor], Any], ...] = (
        lambda one: one.to(chance.choice(types)),
        lambda one: one.to("meta"),
        lambda one: one.float().to_sparse(),
        lambda one: torch.quantize_per_tensor(one.float(), 0.1, 0, torch.qint8),
        lambda one: one * float("nan"),
        lambda one: one * 1e38 * 1e38,
        lambda one: nn.Parameter(one.float()),
        lambda one: one.numpy(),
        lambda one: one.tolist(),
        lambda one: {"weight": one},
        lambda one: None,
    )
    return {key: chance.choice(kinds)(value)}


def _doubled(key: str, value: Any, chance: random.Random) -> dict[str, Any]:
    return {key: value, f"{chance.choice(NAMES)}.{key}": value}


def _gone(key: str, value: Any, chance: random.Random) -> dict[str, Any]:
    return {} if chance.random() < 0.5 else {chance.choice(NAMES): value}


CHANGES: tuple[Callable[[str, Any, random.Random], dict[str, Any]], ...] = (_named, _shaped, _typed, _doubled, _gone)
NAMES = (
    *("", "0", "1", "-1", "99999999999", "weight", "bias", "p", "running_mean", "running_var", "num_batches_tracked"),
    *("weight_g", "weight_v", "weight_orig", "weight_u", "parametrizations", "original0", "original1", "_u", "_v"),
    *("blocks", "conv_stem", "head", "classifier", "module", "ema", "teacher", "embeddings", "encoder", "layer"),
    *("attention", "query", "mask_token", "decoder", "optimizer", "loss", "pos_embed", "é", "a" * 300, "x\0y", "..."),
)
JSON: tuple[Any, ...] = (
    *(None, True, -1, 0, 1.5, 1 << 70, "", "F32", "BF16", "F8_E4M3", "C64", "I64", "BOOL", "X"),
    *([], [0], [1], [0, 0], [0, 4], [4, 0], [-1, 4], [0, 1 << 62], [1 << 62, 1 << 62], [16, 256], [[0]], {}, {"a": 1}),
)
# Pieces of pickles that ask for much: sizes, tuples of many, calls, names, references to storages and to the memo.
MADE = (
    *(b"\x8d" + struct.pack("<Q", size) for size in (0, 1 << 31, (1 << 63) - 1)),
    *(b"B" + struct.pack("<I", size) for size in (0, 1 << 31, (1 << 32) - 1)),
    *(
        b"\x8a\xff",
        b"\x8b\xff\xff\xff\x7f",
        b"(" * 200,
        b"2" * 200,
        b"]" * 200,
        b"ctorch\nTensor\n",
        b"R",
        b"Q",
        b"b",
        b"s",
    ),
    *(
        b"h\x00",
        b"h\xff",
        b"j\xff\xff\xff\xff",
        b"r\xff\xff\xff\xff",
        b"J\xff\xff\xff\xff",
        b"M\xff\xff",
        b"u",
        b"t",
        b"0",
    ),
)
ZIP_FIELDS: tuple[tuple[bytes, tuple[tuple[int, int], ...]], ...] = (
    (b"PK\x01\x02", ((6, 2), (8, 2), (10, 2), (16, 4), (20, 4), (24, 4), (28, 2), (30, 2), (32, 2), (42, 4))),
    (b"PK\x03\x04", ((6, 2), (8, 2), (14, 4), (18, 4), (22, 4), (26, 2), (28, 2))),
    (b"PK\x05\x06", ((8, 2), (10, 2), (12, 4), (16, 4), (20, 2))),
)
DAMAGES: dict[str, Callable[[Path, random.Random], bytes | None]] = {
    "flipped bytes": _flipped,
    "cut": _cut,
    "spliced with another": _whole,
    "a piece repeated or left out": _repeated,
    "extreme numbers": _numbers,
    "lies in the archive's list": _listed,
    "records twice, exchanged, missing": _records,
    "other opcodes": _pickled,
    "another header": _header,
    "other names, shapes and types": _state,
}
