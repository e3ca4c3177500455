"""Weights that training kept in parts, put together again: weight norm and spectral norm, old and new."""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import torch
from torch import Tensor


class _Parts(NamedTuple):
    """What a kind calls its parts, with NAME for the tensor's own name, and how they give the tensor."""

    names: tuple[str, ...]
    joined: Callable[..., Tensor | None]


def folded(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors in their order, those kept in parts under the name that they have without.

    Weight norm: ``g v / |v|``, the norm over all axes on which g has one entry (Salimans and Kingma 2016, eq. 2).
    Spectral norm: ``W / (u . W v)``, as it stands in eval mode (Miyato et al. 2018, eq. 8). Parts that do not fit on
    each other stay as they are.
    """
    joined = dict(_joined(tensors))
    gone = {part for parts, _ in joined.values() for part in parts}
    first = {parts[0]: (name, tensor) for name, (parts, tensor) in joined.items()}
    kept: dict[str, Tensor] = {}
    for key, tensor in tensors.items():
        if key in first:
            kept[first[key][0]] = first[key][1]
        elif key not in gone:
            kept[key] = tensor
    return kept


def _joined(tensors: Mapping[str, Tensor]) -> Iterator[tuple[str, tuple[tuple[str, ...], Tensor]]]:
    for key in tensors:
        for kind in _KINDS:
            name = _named(key, kind.names[0])
            if name is None or name in tensors:
                continue
            keys = [_place(name, part) for part in kind.names]
            if all(one in tensors for one in keys):
                whole = kind.joined(*(tensors[one].float() for one in keys))
                if whole is not None:
                    yield name, (tuple(keys), whole)


def _place(name: str, pattern: str) -> str:
    owner, dot, last = name.rpartition(".")
    return owner + dot + pattern.replace("NAME", last)


def _named(key: str, pattern: str) -> str | None:
    """The name of the tensor whose part a key is; None for a key that is no part."""
    before, after = pattern.split("NAME")
    if before:  # parametrizations.NAME.original0
        owner, found, rest = key.rpartition(before)
        whole = found and rest.endswith(after) and (not owner or owner.endswith("."))
        return owner + rest.removesuffix(after) if whole else None
    return key.removesuffix(after) if key.endswith(after) and not key.endswith(f".{after}") else None


def _weight_norm(g: Tensor, v: Tensor) -> Tensor | None:
    if g.ndim == 0:
        return v * (g / v.norm())
    if g.ndim != v.ndim or any(one not in (1, size) for one, size in zip(g.shape, v.shape, strict=True)):
        return None
    axes = [axis for axis, size in enumerate(g.shape) if size == 1]
    return v * (g / torch.linalg.vector_norm(v, dim=axes, keepdim=True)) if axes else None


def _spectral_norm(weight: Tensor, u: Tensor, v: Tensor) -> Tensor | None:
    """The axis that counts as rows is the first, or for transposed convolutions the second: the one that fits u."""
    for axis in range(min(2, weight.ndim)):
        rows = weight.movedim(axis, 0).flatten(1)
        if u.ndim == v.ndim == 1 and rows.shape == (len(u), len(v)):
            return weight / torch.dot(u, rows @ v)
    return None


_KINDS = (
    _Parts(("NAME_g", "NAME_v"), _weight_norm),
    _Parts(("parametrizations.NAME.original0", "parametrizations.NAME.original1"), _weight_norm),
    _Parts(("NAME_orig", "NAME_u", "NAME_v"), _spectral_norm),
    _Parts(
        ("parametrizations.NAME.original", "parametrizations.NAME.0._u", "parametrizations.NAME.0._v"), _spectral_norm
    ),
)
