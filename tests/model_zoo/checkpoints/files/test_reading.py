"""Reading a file of weights: by its content, without running anything, in bounded time."""

import argparse
import collections
import datetime
import decimal
import enum
import functools
import io
import os
import pathlib
import pickle
import struct
import time
import types
import uuid
import zipfile

import numpy
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from model_zoo.checkpoints.files.parametrisations import folded
from model_zoo.checkpoints.files.reading import read_checkpoint
from model_zoo.checkpoints.files.tree import MOST_TENSORS
from simvis_core import SimvisError

WEIGHT = torch.arange(6.0).reshape(2, 3)
STATE = {"a.weight": WEIGHT, "a.bias": torch.tensor([1.0, -2.0])}


def saved(path, content, **options):
    torch.save(content, path, **options)
    return path


def read(path):
    return read_checkpoint(path).tensors


def refusal(path):
    with pytest.raises(SimvisError) as caught:
        read_checkpoint(path)
    return str(caught.value)


def same(found, wanted):
    assert list(found) == list(wanted)
    assert all(torch.equal(found[key], wanted[key]) and found[key].dtype == wanted[key].dtype for key in wanted)


# Whatever a file is called, its content says what it is


@pytest.mark.parametrize("name", ["M.PTH", "checkpoint", "m.pkl", "m.model", "m.weights", "m.safetensors", "5f1e0a"])
@pytest.mark.parametrize("kind", ["archive", "old", "safetensors"])
def test_a_file_is_read_by_its_content(tmp_path, name, kind):
    path = tmp_path / name
    if kind == "safetensors":
        save_file(STATE, path)
    else:
        saved(path, STATE, _use_new_zipfile_serialization=kind == "archive")
    found = read_checkpoint(path)
    assert {key: tensor.tolist() for key, tensor in found.tensors.items()} == {k: t.tolist() for k, t in STATE.items()}
    assert found.ordered == (kind != "safetensors")


@pytest.mark.parametrize("first", [b"\x80\x02", b"PK"])
def test_a_safetensors_file_whose_length_begins_like_another_kind(tmp_path, first):
    header = b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    header = header.ljust(int.from_bytes(first, "little"))
    (tmp_path / "x.pt").write_bytes(struct.pack("<Q", len(header)) + header + struct.pack("<f", 2.5))
    same(read(tmp_path / "x.pt"), {"a": torch.tensor([2.5])})


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (b"\x1f\x8b\x08", "packed by gzip; wanted a checkpoint of PyTorch or safetensors: unpack it"),
        (b"\x89HDF\r\n\x1a\n\0", "an HDF5 file"),
        (b"\x93NUMPY\x01", "a numpy array"),
        (b"\0" * 257 + b"ustar", "a tar archive"),
        (b"\x08\x07", "no PyTorch file and no .safetensors"),
    ],
)
def test_other_kinds_of_files_are_named(tmp_path, head, words):
    (tmp_path / "x.pth").write_bytes(head)
    assert words in refusal(tmp_path / "x.pth")


def test_the_list_of_a_sharded_checkpoint_is_no_checkpoint(tmp_path):
    (tmp_path / "model.safetensors.index.json").write_text('{"weight_map": {}}')
    assert "a list of the files that hold the weights" in refusal(tmp_path / "model.safetensors.index.json")


# Values beside the weights


class Options(dict):
    pass


class Loose:
    def __init__(self):
        self.rate, self.names = 0.1, ["a"]


class Colour(enum.Enum):
    RED = "red"


class Rows(list):
    pass


@pytest.mark.parametrize(
    "value",
    [
        numpy.float64(0.8),
        numpy.arange(3.0),
        numpy.array(["a", "b"]),
        pathlib.PurePosixPath("/data"),
        datetime.datetime(2024, 5, 1, tzinfo=datetime.UTC),
        argparse.Namespace(lr=0.1),
        types.SimpleNamespace(lr=0.1),
        collections.defaultdict(list, {"a": [1]}),
        collections.Counter("aab"),
        collections.deque([1, 2]),
        decimal.Decimal("0.1"),
        uuid.UUID(int=5),
        functools.partial(nn.LayerNorm, eps=1e-6),
        {1, 2},
        frozenset({"a"}),
        {(1, 2): 3, None: 4, 5: 6},
        2**70,
        b"bytes",
        bytearray(b"bytes"),
        complex(1, 2),
        range(3),
        slice(1, 2),
        torch.float16,
        torch.device("cpu"),
        torch.Size([1]),
        nn.LayerNorm,
        Colour.RED,
        Options(lr=1),
        Loose(),
        Rows([1]),
        [torch.ones(2)],
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("old", [False, True])
def test_values_beside_the_weights_are_passed_over(tmp_path, value, old):
    path = saved(tmp_path / "x.pt", {"opts": value, "state": STATE}, _use_new_zipfile_serialization=not old)
    same(read(path), {f"state.{key}": tensor for key, tensor in STATE.items()})


def test_weights_in_a_class_of_dict_are_read(tmp_path):
    same(read(saved(tmp_path / "x.pt", Options(STATE))), STATE)
    same(read(saved(tmp_path / "y.pt", collections.defaultdict(None, STATE))), STATE)
    same(read(saved(tmp_path / "z.pt", [STATE, {"lr": 1}])), {f"0.{key}": tensor for key, tensor in STATE.items()})


def test_arrays_beside_tensors_are_told_and_alone_are_the_weights(tmp_path):
    arrays = {"w": numpy.arange(6, dtype="f4").reshape(3, 2).T, "n": numpy.array(3)}
    found = read_checkpoint(saved(tmp_path / "x.pt", {"means": arrays, **STATE}))
    same(found.tensors, STATE)
    assert found.unread == ("means.w, a numpy array", "means.n, a numpy array")
    for protocol in (2, 4):
        (tmp_path / "x.pkl").write_bytes(pickle.dumps({"model": arrays}, protocol))
        wanted = {f"model.{key}": torch.from_numpy(numpy.array(array)) for key, array in arrays.items()}
        same(read(tmp_path / "x.pkl"), wanted)


def test_tensors_in_a_plain_pickle(tmp_path):
    for protocol in (2, 4, 5):
        (tmp_path / "x.pkl").write_bytes(pickle.dumps(STATE, protocol))
        same(read(tmp_path / "x.pkl"), STATE)
        (tmp_path / "y.pkl").write_bytes(
            pickle.dumps({"state": STATE}, protocol)
        )  # a dict of one item is kept otherwise
        same(read(tmp_path / "y.pkl"), {f"state.{key}": tensor for key, tensor in STATE.items()})


def test_sparse_and_quantised_tensors_are_told(tmp_path):
    content = {**STATE, "s": torch.eye(3).to_sparse()}
    assert read_checkpoint(saved(tmp_path / "x.pt", content)).unread == ("s, numbers that are no plain tensor",)


@pytest.mark.parametrize("old", [False, True])
def test_a_network_pickled_as_a_whole_gives_its_state(tmp_path, old):
    network = nn.Sequential(nn.Conv2d(3, 4, 2), nn.Sequential(nn.BatchNorm2d(4), nn.ReLU()), nn.Linear(4, 2))
    path = saved(tmp_path / "x.pt", {"model": network}, _use_new_zipfile_serialization=not old)
    same(read(path), {f"model.{key}": tensor for key, tensor in network.state_dict().items()})
    same(read(saved(tmp_path / "y.pt", network)), network.state_dict())


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.bfloat16, torch.bool, torch.complex64, torch.int16])
@pytest.mark.parametrize("old", [False, True])
def test_every_type_and_every_view(tmp_path, dtype, old):
    whole = torch.arange(12.0).to(dtype)
    content = {"whole": whole, "part": whole.view(3, 4)[1:, ::2], "turned": whole.view(3, 4).T, "none": whole[:0]}
    found = read(saved(tmp_path / "x.pt", content, _use_new_zipfile_serialization=not old))
    assert {key: tensor.dtype for key, tensor in found.items()} == dict.fromkeys(content, dtype)
    for key, tensor in content.items():
        assert torch.equal(found[key].to(torch.complex64), tensor.to(torch.complex64))
    assert found["turned"].data_ptr() == found["whole"].data_ptr()  # storage stays shared


def test_parameters_and_their_subclasses_are_tensors(tmp_path):
    parameter = nn.Parameter(WEIGHT.clone())
    buffer = nn.Buffer(torch.ones(2))
    found = read(saved(tmp_path / "x.pt", {"w": parameter, "b": buffer}))
    assert torch.equal(found["w"], WEIGHT)
    assert not found["w"].requires_grad


# Nothing runs


class Call:
    def __init__(self, function, *args):
        self.function, self.args = function, args

    def __reduce__(self):
        return self.function, self.args


@pytest.mark.parametrize("function", [os.system, exec, eval, pickle.loads, torch.load, getattr, pathlib.Path.touch])
@pytest.mark.parametrize("protocol", [2, 5])
def test_a_call_is_never_made(tmp_path, function, protocol):
    mark = tmp_path / "mark"
    ran = {os.system: f"touch {mark}", exec: f"open({str(mark)!r}, 'w')", eval: f"open({str(mark)!r}, 'w')"}
    path = tmp_path / "x.pt"
    path.write_bytes(pickle.dumps({**STATE, "x": Call(function, ran.get(function, mark))}, protocol))
    if function in ran:
        assert "which is refused: such a file can run any program" in refusal(path)
    else:
        same(read(path), STATE)
    assert not mark.exists()


# Damaged files, and files made to harm


def torn(path, change):
    data = bytearray(path.read_bytes())
    change(data)
    path.write_bytes(data)
    return path


def test_a_changed_weight_is_noticed_where_the_file_can_tell(tmp_path):
    path = saved(tmp_path / "x.pt", STATE)
    at = path.read_bytes().index(WEIGHT.numpy().tobytes())
    torn(path, lambda data: data.__setitem__(at + 2, data[at + 2] ^ 1))
    assert "damaged or cut short (x/data/0 is not as it was written)" in refusal(path)


def test_an_archive_written_without_sums_is_read(tmp_path):
    torch.serialization.set_crc32_options(False)
    try:
        path = saved(tmp_path / "x.pt", STATE)
    finally:
        torch.serialization.set_crc32_options(True)
    same(read(path), STATE)


def test_an_archive_of_a_version_to_come_and_names_that_are_no_text(tmp_path):
    def later(data):
        at = data.index(b"PK\x01\x02")
        data[at + 6] = 0xFF

    def unreadable(data):
        at = data.index(b"PK\x01\x02")
        data[at + 9] |= 8  # says UTF-8
        data[at + 46] = 0xFF

    for change in (later, unreadable):
        assert "damaged or cut short" in refusal(torn(saved(tmp_path / "x.pt", STATE), change))


def archive(path, pickled, **records):
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("x/data.pkl", pickled)
        for name, data in records.items():
            file.writestr(f"x/data/{name}", data)
    return path


def tensor_pickle(size, stride, offset=0, count=4):
    """A tensor of 32-bit numbers as torch.save pickles it, with any numbers in it."""

    class Persistent(pickle.Pickler):
        def persistent_id(self, value):
            return ("storage", torch.FloatStorage, "0", "cpu", count) if isinstance(value, io.StringIO) else None

    class Tensor:
        def __reduce__(self):
            return torch._utils._rebuild_tensor_v2, (io.StringIO(), offset, size, stride, False, None)

    buffer = io.BytesIO()
    Persistent(buffer, 2).dump({"a": Tensor()})
    return buffer.getvalue()


@pytest.mark.parametrize(
    "numbers",
    [
        {"size": (5,), "stride": (1,)},
        {"size": (2, 2), "stride": (2, 2)},
        {"size": (1,), "stride": (1,), "offset": 4},
        {"size": (2,), "stride": (-1,), "offset": 3},
        {"size": (-1,), "stride": (1,)},
        {"size": (2**62, 2**62), "stride": (2**62, 1)},
        {"size": (2**80,), "stride": (1,)},
        {"size": (2,), "stride": (1, 1)},
        {"size": (2.0,), "stride": (1,)},
        {"size": "ab", "stride": (1,)},
        {"size": (2,), "stride": (1,), "count": 2**61},
        {"size": (2,), "stride": (1,), "count": -1, "offset": None},
    ],
)
def test_a_tensor_beyond_its_storage_is_a_damaged_file(tmp_path, numbers):
    path = archive(tmp_path / "x.pt", tensor_pickle(**numbers), **{"0": bytes(16)})
    assert "damaged or cut short" in refusal(path)


def test_records_that_lie_in_each_other_do_not_fill_the_memory(tmp_path):
    state = {str(number): torch.ones(1000) for number in range(50)}
    path = saved(tmp_path / "x.pt", state)
    data = path.read_bytes()
    first = data.index(b"PK\x03\x04", 100)

    def onto_the_first(data):
        at = data.index(b"PK\x01\x02")
        while at >= 0:
            data[at + 16 : at + 20] = bytes(4)  # no sum, which would refuse it first
            if b"/data/" in data[at + 46 : at + 60]:
                data[at + 20 : at + 28] = struct.pack("<LL", len(data) // 4, len(data) // 4)
            at = data.find(b"PK\x01\x02", at + 4)

    assert first > 0
    assert "damaged or cut short (its records lie in each other)" in refusal(torn(path, onto_the_first))


def test_dicts_that_hold_each_other_many_times_over_end(tmp_path):
    tree = {"a": torch.ones(1)}
    for _ in range(30):
        tree = {"l": tree, "r": tree}
    start = time.perf_counter()
    words = refusal(saved(tmp_path / "x.pt", tree))
    assert f"more than {MOST_TENSORS} tensors" in words
    assert time.perf_counter() - start < 20


def test_very_many_tensors_end_before_they_are_read(tmp_path):
    header = ",".join(f'"{number}":{{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}' for number in range(200_000))
    (tmp_path / "x.safetensors").write_bytes(struct.pack("<Q", len(header) + 2) + b"{" + header.encode() + b"}")
    assert "a longer list than any network has tensors" in refusal(tmp_path / "x.safetensors")
    with (tmp_path / "x.pt").open("wb") as file:
        with zipfile.ZipFile(file, "w") as zipped:
            zipped.writestr("x/data.pkl", pickle.dumps({}, 2))
        data = bytearray((tmp_path / "x.pt").read_bytes())
    at = data.rindex(b"PK\x05\x06")
    data[at + 12 : at + 16] = struct.pack("<L", 30 << 20)
    (tmp_path / "x.pt").write_bytes(data)
    assert "more files inside than any network has tensors" in refusal(tmp_path / "x.pt")


SMALL = torch.zeros(())
# Much of something in a small file, which took from 3 seconds to many minutes.
MUCH = {
    "parts of a name": ({"a." * 20_000 + "b": SMALL}, "names of at most 1000 characters and 64 parts"),
    "characters of a name": ({"a" * 1001: SMALL}, "under a name of 1001 characters, aaaa"),
    "tensors": ({f"x{number}.y": SMALL for number in range(MOST_TENSORS + 1)}, f"more than {MOST_TENSORS} tensors"),
    "values": ({"a": list(range(700_000)), "b": SMALL}, "more than 600000 values"),
    "folded weights": ({f"x{n}.weight_{k}": torch.ones(2, 1) for n in range(4000) for k in "gv"}, ""),
    "dicts": ({str(number): {"a": SMALL} for number in range(9000)}, ""),
}


@pytest.mark.parametrize("name", MUCH)
def test_much_of_something_ends_soon(tmp_path, name):
    content, words = MUCH[name]
    path = saved(tmp_path / "x.pt", content)
    started = time.process_time()
    if words:
        assert words in refusal(path)
    else:
        assert read(path)
    assert time.process_time() - started < 12  # at most 2 on a quiet machine; minutes, where it does not end


def test_a_deep_nest_of_lists_is_passed_over(tmp_path):
    depth = 100_000
    pickled = pickle.dumps({**dict.fromkeys(STATE)}, 2)
    pickled = b"\x80\x02}(X\x01\x00\x00\x00a" + b"]" * depth + b"a" * (depth - 1) + b"X\x01\x00\x00\x00b]u."
    assert "holds no tensors" in refusal(archive(tmp_path / "x.pt", pickled))


@pytest.mark.parametrize(
    "pickled",
    [
        b"\x80\x02.",
        b"\x80\x02(((.",
        b"\x80\x02R.",
        b"\x80\x02NNR.",
        b"\x80\x02h\x05.",
        b"\x80\x02NQ.",
        b"\x80\x02}Nb0.",
        b"\x80\x02K\x01K\x02a.",
        b"\x80\x02K\x01K\x02K\x03s.",
        b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\x7f.",
        b"\x80\x05\x96\xff\xff\xff\xff\x00\x00\x00\x00.",
        b"\x80\x02\x82\x01.",
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n)R.",
        b"\x80\x02X\x02\x00\x00\x00\xff\xff.",
    ],
)
def test_pickles_that_make_no_sense(tmp_path, pickled):
    assert "damaged or cut short" in refusal(archive(tmp_path / "x.pt", pickled))
    (tmp_path / "y.pt").write_bytes(pickled)
    assert "damaged or cut short" in refusal(tmp_path / "y.pt")


# Weights that training kept in parts


def state_of(module, seed=0):
    torch.manual_seed(seed)
    for parameter in module.parameters():
        nn.init.normal_(parameter)
    module(torch.randn(2, 3, 5, 5))
    return module.eval()


@pytest.mark.parametrize("axis", [0, 1, None])
@pytest.mark.parametrize("kind", ["old", "new"])
def test_weight_norm_is_folded(axis, kind):
    norm = nn.utils.weight_norm if kind == "old" else nn.utils.parametrizations.weight_norm
    with pytest.warns(FutureWarning) if kind == "old" else _nothing():
        layer = norm(nn.Conv2d(3, 4, 2), dim=axis)
    module = state_of(nn.Sequential(layer, nn.BatchNorm2d(4)))
    found = folded(module.state_dict())
    assert set(found) == set(nn.Sequential(nn.Conv2d(3, 4, 2), nn.BatchNorm2d(4)).state_dict())
    torch.testing.assert_close(found["0.weight"], module[0].weight.detach())


def _nothing():
    import contextlib

    return contextlib.nullcontext()


@pytest.mark.parametrize("make", [lambda: nn.Conv2d(3, 4, 2), lambda: nn.ConvTranspose2d(3, 4, 2)])
@pytest.mark.parametrize("kind", ["old", "new"])
def test_spectral_norm_is_folded(make, kind):
    norm = nn.utils.spectral_norm if kind == "old" else nn.utils.parametrizations.spectral_norm
    module = state_of(norm(make()))
    module(torch.randn(2, 3, 5, 5))
    found = folded(module.state_dict())
    assert set(found) == {"weight", "bias"}
    torch.testing.assert_close(found["weight"], module.weight.detach())


def test_parts_that_do_not_fit_and_plain_names_stay():
    odd = {"a.weight_g": torch.ones(3, 1), "a.weight_v": torch.ones(2, 2), "b_g": torch.ones(1), "_v": torch.ones(1)}
    assert list(folded(odd)) == list(odd)
    assert list(folded({"x.weight": WEIGHT, "x.weight_g": torch.ones(2, 1), "x.weight_v": WEIGHT})) == [
        "x.weight",
        "x.weight_g",
        "x.weight_v",
    ]
