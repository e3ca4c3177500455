"""The class token's parts: against a loop over tokens, and as a sum that gives the block's own output."""

import numpy as np
import pytest
import torch
from torch import nn

from simvis_core.networks.attention import LastBlock, class_token_parts
from tests import references

TOKENS, WIDTH, HEADS = 6, 8, 2


def make(seed=0, gain=True, bias=True, activation=None):
    """The pieces of a pre-norm block in float64, every one of which matters."""
    torch.manual_seed(seed)
    norms = [nn.LayerNorm(WIDTH, eps=0.1).double() for _ in range(3)]
    for norm in norms:
        nn.init.uniform_(norm.weight, 0.5, 2)
        nn.init.uniform_(norm.bias, -1, 1)
    qkv, out = nn.Linear(WIDTH, 3 * WIDTH).double(), nn.Linear(WIDTH, WIDTH, bias=bias).double()
    scale = nn.BatchNorm1d(WIDTH, affine=False).double().eval() if gain else nn.Identity()
    if gain:
        nn.init.uniform_(scale.running_var, 0.2, 3)  # a diagonal gain without an offset
    mlp = nn.Sequential(norms[1], nn.Linear(WIDTH, 12).double(), activation or nn.GELU(), nn.Linear(12, WIDTH).double())

    def attend(tokens):
        q, k, v = qkv(tokens).unflatten(1, (3, HEADS, WIDTH // HEADS)).permute(1, 2, 0, 3)
        return q / (WIDTH // HEADS) ** 0.5, k, v

    block = LastBlock(norms[0], attend, out, scale, mlp, norms[2])
    return block, qkv, torch.randn(TOKENS, WIDTH, dtype=torch.float64)


def forward(block, tokens):
    """The block and the final norm as a transformer runs them, for all tokens."""
    q, k, v = block.attend(block.before(tokens))
    mixed = (torch.softmax(q @ k.transpose(1, 2), -1) @ v).permute(1, 0, 2).flatten(1)
    after = tokens + block.gain(block.out(mixed))
    return block.norm(after + block.mlp(after))


@pytest.fixture(autouse=True)
def without_gradients():
    with torch.inference_mode():
        yield


@pytest.mark.parametrize("gain", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_parts_and_rest_are_the_class_token(gain, bias):
    block, _, tokens = make(1, gain, bias)
    parts, rest = class_token_parts(block, tokens)
    assert parts.shape == (TOKENS, WIDTH)
    assert torch.allclose(parts.sum(0) + rest, forward(block, tokens)[0], atol=1e-9)


def test_an_mlp_that_cannot_be_split_belongs_to_the_rest():
    block, _, tokens = make(2, activation=nn.Softmax(-1))
    parts, rest = class_token_parts(block, tokens)
    assert torch.allclose(parts.sum(0) + rest, forward(block, tokens)[0], atol=1e-9)


def test_a_part_is_attention_times_value_through_the_output_layer():
    """With nothing behind attention but an identity norm the parts are the loop's terms themselves."""
    block, qkv, tokens = make(3, gain=False)
    silent = nn.Linear(WIDTH, WIDTH).double()
    nn.init.zeros_(silent.weight)
    nn.init.zeros_(silent.bias)
    block = LastBlock(block.before, block.attend, block.out, block.gain, nn.Sequential(silent), nn.Identity())
    wq, wk, wv = (weight.numpy() for weight in qkv.weight.chunk(3))
    bq, bk, bv = (bias.numpy() for bias in qkv.bias.chunk(3))
    norm = (block.before.weight.numpy(), block.before.bias.numpy(), block.before.eps)
    plain = {"norm": norm, "wq": wq, "wk": wk, "wv": wv, "bq": bq, "bk": bk, "bv": bv}
    plain |= {"wo": block.out.weight.numpy(), "heads": HEADS}
    slow = references.class_token_terms(tokens.tolist(), plain)
    assert np.allclose(class_token_parts(block, tokens)[0].numpy(), slow, atol=1e-9)


def test_a_token_nobody_looks_at_brings_nothing():
    block, _, tokens = make(4)
    attend = block.attend

    def blind(normed):
        queries, keys, values = attend(normed)
        return (
            queries,
            keys - 1e6 * torch.nn.functional.one_hot(torch.tensor(3), TOKENS)[None, :, None] * queries[:, :1],
            values,
        )

    parts, _ = class_token_parts(LastBlock(block.before, blind, block.out, block.gain, block.mlp, block.norm), tokens)
    assert parts[3].abs().max() < 1e-9 < parts[2].abs().max()
