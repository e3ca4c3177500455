"""State that is no plain tensor: equal states give equal fingerprints, and every change gives another."""

import argparse
import collections
import copy
import enum
import hashlib
import io
import threading
import warnings

import numpy
import pytest
import torch
from torch import nn

from model_zoo.running.devices import weight_bytes
from simvis_core import EmbeddingNetwork, Preprocess, SimvisError, explain_pair
from simvis_core.networks.states import digest, pieces, tensor_bytes


class Extra(nn.Module):
    """A backbone with state of its own making."""

    def __init__(self, state):
        super().__init__()
        self.layers, self.state = nn.Sequential(nn.Conv2d(3, 4, 16, 16), nn.ReLU()), state

    def forward(self, x):
        return self.layers(x)

    def get_extra_state(self):
        return self.state

    def set_extra_state(self, state):
        self.state = state


class Colour(enum.Enum):
    RED, BLUE = "red", "blue"


class Scaler:
    def __init__(self, rate):
        self.rate, self.owner = rate, self  # a cycle


class Pair(torch.Tensor):
    """A tensor that is kept as two, as libraries of quantisation make them."""

    @staticmethod
    def __new__(cls, one, other):
        return torch.Tensor._make_wrapper_subclass(cls, one.shape)

    def __init__(self, one, other):
        self.one, self.other = one, other

    def __tensor_flatten__(self):
        return ["one", "other"], {"kind": "pair"}

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        raise NotImplementedError(function)


def quantised(scale=0.5, weight=2.0):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.quantize_per_tensor(torch.tensor([weight * scale]), scale, 0, torch.qint8)


def per_channel(scales):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        row = torch.tensor(scales)
        return torch.quantize_per_channel(torch.ones(2, 3) * row[:, None], row, torch.zeros(2).long(), 0, torch.qint8)


def quietly(make):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch says that some layouts are in beta
        return make()


EYE = torch.eye(4)
# Each makes a state from a number: equal numbers give equal states, other numbers other ones.
STATES = {
    "dict": lambda n: {"version": n},
    "dict in another order": lambda n: {"a": 1, "b": n} if n != 1.5 else {"b": n, "a": 1},
    "list": lambda n: [1, [n]],
    "split": lambda n: ["a", "b"] if n == 1 else ["ab"] if n == 2 else ["a", "b", "c"],
    "set": lambda n: {str(n), "b", "c"},
    "none or word": lambda n: None if n == 1 else "None",
    "bytes": lambda n: bytes([int(n)]),
    "file": lambda n: io.BytesIO(bytes([int(n)])),
    "number's type": lambda n: 1 if n == 1 else 1.0 if n == 2 else True,
    "array": lambda n: numpy.array([n, 2.0]),
    "namespace": lambda n: argparse.Namespace(lr=n),
    "counter": lambda n: collections.Counter({"a": int(n)}),
    "enum": lambda n: Colour.RED if n == 1 else Colour.BLUE,
    "object": Scaler,
    "class": lambda n: nn.ReLU if n == 1 else nn.GELU,
    "dtype": lambda n: torch.float16 if n == 1 else torch.float32,
    "device": lambda n: torch.device("cpu") if n == 1 else torch.device("meta"),
    "tensor inside": lambda n: {"queue": torch.full((2,), float(n))},
    "sparse": lambda n: (EYE * n).to_sparse(),
    "sparse in two parts": lambda n: torch.sparse_coo_tensor([[0, 0], [1, 1]], [1.0, float(n)], (2, 2)),
    "sparse of another size": lambda n: torch.sparse_coo_tensor([[0]], [1.0], (int(n) + 1,)),
    "sparse rows": lambda n: quietly((EYE * n).to_sparse_csr),
    "sparse columns": lambda n: quietly((EYE * n).to_sparse_csc),
    "sparse blocks": lambda n: quietly(lambda: (EYE * n).to_sparse_bsr((2, 2))),
    "quantised": lambda n: quantised(weight=n),
    "quantised with the same integers": lambda n: quantised(scale=n),
    "quantised by channel": lambda n: per_channel([1.0, float(n)]),
    "nested": lambda n: quietly(lambda: torch.nested.nested_tensor([torch.ones(2), torch.ones(3) * n])),
    "a subclass": lambda n: Pair(torch.ones(2), torch.ones(2) * n),
    "of the accelerator's library": lambda n: (EYE * n).to_mkldnn(),
    "without numbers": lambda n: torch.ones(int(n), device="meta"),
    "complex": lambda n: torch.tensor([1 + 1j]) * n,
    "conjugate": lambda n: (torch.tensor([1 + 1j]) * n).conj(),
    "eight bits": lambda n: torch.tensor([float(n)]).to(torch.float8_e4m3fn),
    "none or empty": lambda n: torch.empty(0, int(n)) if n == 1 else torch.zeros(1),
}


@pytest.mark.parametrize("name", STATES)
def test_equal_states_have_one_digest_and_others_another(name):
    make = STATES[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert digest(make(1)) == digest(make(1)) != digest(make(2)) == digest(make(2))


def test_the_order_of_a_dict_and_of_a_set_does_not_count_and_that_of_a_list_does():
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert digest({*"abcdef"}) == digest({*"fedcba"})
    assert digest([1, 2]) != digest([2, 1])
    assert digest((1,)) != digest([1])


@pytest.mark.parametrize("name", ["dict", "object", "sparse", "quantised", "nested", "array", "complex"])
def test_a_network_with_it_is_explained_saved_and_told_from_another(name, tmp_path, two_pictures):
    def network(number):
        torch.manual_seed(0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return EmbeddingNetwork(Extra(STATES[name](number)), "avg", None, Preprocess(short_side=64, stride=16))

    explain_pair(network(1), *two_pictures).save(tmp_path / "out")
    assert (tmp_path / "out").is_dir()
    assert network(1).fingerprint == network(1).fingerprint != network(2).fingerprint


def test_a_sparse_buffer_and_a_quantised_layer_are_state_too():
    module = nn.Sequential(nn.Conv2d(3, 4, 16, 16), nn.ReLU())
    module.register_buffer("adjacency", EYE.to_sparse())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module.add_module("packed", torch.ao.nn.quantized.dynamic.Linear(3, 2))
        other = copy.deepcopy(module)
        other.packed.set_weight_bias(quantised_matrix(), torch.zeros(2))
        prints = [EmbeddingNetwork(one).fingerprint for one in (module, copy.deepcopy(module), other)]
    assert prints[0] == prints[1] != prints[2]
    conv, eye = 3 * 4 * 16 * 16 + 4, 4 * (8 + 8 + 4)
    assert weight_bytes(EmbeddingNetwork(nn.Sequential(module[0]))) == 4 * conv
    module.packed = nn.Identity()
    assert weight_bytes(EmbeddingNetwork(module)) == 4 * conv + eye


def quantised_matrix():
    return torch.quantize_per_tensor(torch.ones(2, 3), 0.5, 0, torch.qint8)


def test_plain_tensors_count_as_they_always_did(tiny_network):
    """By hand, as fingerprints were made until 0.4.0: galleries that were indexed then are found again."""
    facts = (tiny_network.architecture, tiny_network.preprocess, tiny_network.backbone, tiny_network.head)
    found = hashlib.sha256(repr(facts).encode())
    for module in (tiny_network.backbone, tiny_network.head):
        for key, tensor in module.state_dict().items():
            found.update(key.encode() + tensor.contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    assert tiny_network.fingerprint == found.hexdigest()


def test_numbers_are_counted_where_tensors_hold_any():
    assert tensor_bytes({"a": torch.ones(3), "b": [torch.ones(2).to_sparse(), "word"]}) == 12 + 2 * (8 + 4)
    assert [*pieces(torch.ones(2, device="meta"))] == [b"torch.strided torch.float32 (2,) without numbers"]


def test_state_that_cannot_be_saved_is_a_sentence():
    network = EmbeddingNetwork(Extra({"lock": threading.Lock()}), "avg", None, Preprocess(short_side=64, stride=16))
    with pytest.raises(SimvisError, match=r"state holds a lock, which cannot be saved; wanted .*: give plain values"):
        _ = network.fingerprint
