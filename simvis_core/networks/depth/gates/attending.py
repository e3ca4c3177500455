"""Attention: its weights are constants, the values are live."""

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from simvis_core.networks.depth.gates.calls import Call
from simvis_core.networks.depth.gates.rows import FrozenOperator, Gates, Refused, arguments

_SDPA = ("query", "key", "value", "attn_mask", "dropout_p", "is_causal", "scale", "enable_gqa")


@torch.no_grad()
def _attention(call: Call, _gates: Gates) -> Tensor:
    given = arguments(call, *_SDPA)
    if given.get("enable_gqa"):
        raise Refused("with grouped queries")
    query, key = given["query"].detach(), given["key"].detach()
    scale = query.shape[-1] ** -0.5 if given.get("scale") is None else given["scale"]
    logits = query @ key.transpose(-2, -1) * scale
    mask = given.get("attn_mask")
    if given.get("is_causal"):
        mask = torch.ones(logits.shape[-2:], dtype=torch.bool, device=logits.device).tril()
    return torch.softmax(_masked(logits, mask), dim=-1)


def _masked(logits: Tensor, mask: Tensor | None) -> Tensor:
    if mask is None:
        return logits
    return logits.masked_fill(~mask, -torch.inf) if mask.dtype == torch.bool else logits + mask.detach()


def _attended(kept: Tensor, call: Call) -> Tensor:
    value: Tensor = arguments(call, *_SDPA)["value"]
    return kept @ value


_HEADS = inspect.signature(functional.multi_head_attention_forward)


@torch.no_grad()
def _head_weights(call: Call, _gates: Gates) -> Tensor:
    """The attention (B, heads, L, S) of `torch.nn.MultiheadAttention`, whose tokens are (L, B, E)."""
    given = _HEADS.bind(*call.args, **call.kwargs).arguments
    unusual = ("bias_k", "bias_v", "key_padding_mask", "static_k", "static_v", "add_zero_attn")
    if any(given.get(name) is not None and given.get(name) is not False for name in unusual):
        raise Refused("with padding or keys of its own")
    queries, keys, _ = _projected(given)
    logits = queries @ keys.transpose(-2, -1) * queries.shape[-1] ** -0.5
    return torch.softmax(_masked(logits, given.get("attn_mask")), dim=-1)


def _projected(given: Mapping[str, Any]) -> list[Tensor]:
    """Queries, keys and values, each (B, heads, tokens, d)."""
    if given.get("use_separate_proj_weight"):
        weights = [given[f"{one}_proj_weight"] for one in "qkv"]
    else:
        weights = list(given["in_proj_weight"].chunk(3))
    biases = [None] * 3 if given["in_proj_bias"] is None else list(given["in_proj_bias"].chunk(3))
    tokens = (given["query"], given["key"], given["value"])
    return [
        functional.linear(one, weight, bias).unflatten(-1, (given["num_heads"], -1)).permute(1, 2, 0, 3)
        for one, weight, bias in zip(tokens, weights, biases, strict=True)
    ]


def _heads_joined(kept: Tensor, call: Call) -> tuple[Tensor, Tensor]:
    given = _HEADS.bind(*call.args, **call.kwargs).arguments
    together = (kept @ _projected(given)[2]).permute(2, 0, 1, 3).flatten(2)
    return functional.linear(together, given["out_proj_weight"], given["out_proj_bias"]), kept.mean(1)


PRODUCTS = FrozenOperator(_attention, _attended)
OF_HEADS = FrozenOperator(_head_weights, _heads_joined)
