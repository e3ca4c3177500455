"""A pair's numbers in one compact file, for a viewer that looks them up without asking again."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from torch import Tensor

from simvis_core.pairs.explanation import PairExplanation
from simvis_core.pictures.overlays import common_scale

INT16_STEPS = 32767


@dataclass(frozen=True)
class PackedNumbers:
    """``content``, little-endian: map_a, map_b as float32; joint map, patch cosines as int16 steps of their scale.

    A value is ``step * scale / 32767``, off by at most scale / 65534. ``scale_*`` are the largest absolute values; a
    ``scale_cosine`` of 0 goes with a network that has no features to compare: that table is then left out.
    """

    content: bytes
    scale_map: float
    scale_share: float
    scale_cosine: float


def packed_numbers(pair: PairExplanation) -> PackedNumbers:
    """The two maps, the table of all pairs of cells, and the patch cosines.

    >>> from PIL import Image
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork, Preprocess, explain_pair
    >>> from simvis_core.pairs.packing import packed_numbers
    >>> net = EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8), preprocess=Preprocess(short_side=32, stride=8))
    >>> pair = explain_pair(net, Image.new("RGB", (60, 40), "orange"), Image.new("RGB", (40, 40), "red"))
    >>> len(packed_numbers(pair).content)  # (24 + 16 cells) * 4 bytes + 2 tables of 24 * 16 * 2 bytes
    1696
    """
    cosines = pair.patch_cosines
    tables = [pair.joint_map] if cosines is None else [pair.joint_map, cosines]
    scales = [_largest(table) for table in tables]
    content = b"".join(
        map.cpu().float().numpy().astype("<f4").tobytes() for map in (pair.map_a, pair.map_b)
    ) + b"".join(_steps(table, scale) for table, scale in zip(tables, scales, strict=True))
    return PackedNumbers(content, common_scale(pair.map_a, pair.map_b), *scales, *([0.0] if cosines is None else []))


def packed_map(map: Float[Tensor, "H W"], scale: float) -> bytes:
    """One map, row by row, as little-endian int16 steps of a scale that no value of it passes.

    >>> import torch
    >>> from simvis_core.pairs.packing import packed_map
    >>> packed_map(torch.tensor([[0.5, -0.25]]), scale=0.5).hex()
    'ff7f00c0'
    """
    return _steps(map, scale)


def _largest(table: Tensor) -> float:
    return float(table.abs().max())


def _steps(table: Tensor, scale: float) -> bytes:
    values = table.double().cpu().numpy()
    return np.round(values / scale * INT16_STEPS if scale > 0 else values * 0).astype("<i2").tobytes()
