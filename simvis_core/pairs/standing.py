"""How high a score is for its network: beside those of unrelated pictures, and of pictures of one class."""

from bisect import bisect_left, bisect_right
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from simvis_core.errors import SimvisError
from simvis_core.networks.network import EmbeddingNetwork
from simvis_core.networks.poolings import Pooling
from simvis_core.pictures.opening import open_picture
from simvis_core.pictures.views import Framing

QUANTILES = 101  # quantiles that are kept of each kind of pairs
VIEWS_TOGETHER = 8  # views of one size in a forward pass


@dataclass(frozen=True)
class Reference:
    """The scores that one network, under one pooling and view, gives to pairs of reference pictures.

    ``same`` and ``different`` are quantiles of the pairs of one class and of two, in equal steps from the lowest score
    to the highest. ``separation`` is how often a pair of one class scores higher than one of two, 0 to 1 (ties count
    half): .5 for a network that cannot tell them apart. ``pictures`` were compared, every one with every other.
    """

    same: tuple[float, ...]
    different: tuple[float, ...]
    separation: float
    pictures: int


@dataclass(frozen=True)
class Standing:
    """The share of pairs, 0 to 1, that score lower than this score: of two classes, and of one class."""

    above_different: float
    above_same: float


def reference_of(embeddings: Float[Tensor, "N D"], labels: Sequence[str]) -> Reference:
    """The reference that N unit embeddings with their class labels make: every pair is one score.

    Raises SimvisError where no two pictures share a label, or all do.

    >>> import torch
    >>> from simvis_core.pairs.standing import reference_of
    >>> embeddings = torch.eye(4)[[0, 0, 1, 1]]
    >>> reference = reference_of(embeddings, ["cat", "cat", "dog", "dog"])
    >>> reference.separation, reference.pictures, reference.same[0], reference.different[-1]
    (1.0, 4, 1.0, 0.0)
    """
    embeddings = embeddings.detach().double().cpu()
    numbers = {label: number for number, label in enumerate(dict.fromkeys(labels))}
    codes = torch.tensor([numbers[label] for label in labels])
    first, second = torch.triu_indices(len(codes), len(codes), 1)
    scores, alike = (embeddings @ embeddings.T)[first, second], codes[first] == codes[second]
    same, different = scores[alike].sort().values, scores[~alike].sort().values
    if not len(same) or not len(different):
        raise SimvisError(
            f"{len(labels)} reference pictures of {len(numbers)} classes",
            "pairs of one class, and pairs of two",
            "choose reference pictures of several classes, some with two or more",
        )
    lower = torch.searchsorted(different, same) + torch.searchsorted(different, same, right=True)
    separation = float(lower.double().mean() / (2 * len(different)))
    return Reference(_quantiles(same), _quantiles(different), separation, len(labels))


def standing(score: float, reference: Reference) -> Standing:
    """Where a score stands among the reference's pairs; between two quantiles it is interpolated.

    >>> from simvis_core.pairs.standing import Reference, standing
    >>> reference = Reference(same=(0.5, 0.7, 0.9), different=(0.1, 0.3, 0.5), separation=0.95, pictures=6)
    >>> standing(0.6, reference)
    Standing(above_different=1.0, above_same=0.25)
    """
    return Standing(_share_below(score, reference.different), _share_below(score, reference.same))


def reference_steps(
    network: EmbeddingNetwork,
    pictures: Mapping[str | Path, str],
    short_side: int,
    framing: Framing = "whole",
    poolings: Sequence[str] = (),
) -> Generator[tuple[int, int], None, dict[str, Reference]]:
    """A network's reference under each of the poolings (without any: its own), from picture files and their labels.

    Yields (done, all) behind each forward pass of up to eight pictures, so that others can take turns; ends with the
    references by pooling. Each picture is run once for all poolings.

    Raises SimvisError for a picture that cannot be read, a pooling that does not fit, and as `reference_of` does.

    >>> import tempfile
    >>> from PIL import Image
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork, Preprocess
    >>> from simvis_core.pairs.standing import reference_steps
    >>> from simvis_core.steps import run
    >>> net = EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8), preprocess=Preprocess(short_side=32, stride=8))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     pictures = {f"{folder}/{name}.png": name[:3] for name in ("red1", "red2", "tan1", "tan2")}
    ...     for file, label in pictures.items():
    ...         Image.new("RGB", (40, 40), label).save(file)
    ...     found = run(reference_steps(net, pictures, short_side=32, poolings=["avg", "max"]))
    ...
    >>> sorted(found), found["avg"].pictures
    (['avg', 'max'], 4)
    """
    names = list(poolings) or [str(network.pooling)]
    networks = [network.with_pooling(Pooling.parse(name)) for name in names]
    tables: list[list[Tensor]] = [[] for _ in names]
    labels: list[str] = []
    yield 0, len(pictures)
    for pixels, of in _batches(network, pictures, short_side, framing):
        activations = network.activations(pixels)
        for table, one in zip(tables, networks, strict=True):
            table.append(one.embed_activations(activations).double().cpu())
        labels += of
        yield len(labels), len(pictures)
    return {name: reference_of(torch.cat(table), labels) for name, table in zip(names, tables, strict=True)}


def _batches(
    network: EmbeddingNetwork, pictures: Mapping[str | Path, str], short_side: int, framing: Framing
) -> Iterator[tuple[Tensor, list[str]]]:
    """Views of one size that go through the network together, with their labels."""
    waiting: dict[tuple[int, ...], list[tuple[Tensor, str]]] = {}
    for file, label in pictures.items():
        pixels = network.view(open_picture(file), short_side, framing).pixels
        batch = waiting.setdefault(tuple(pixels.shape), [])
        batch.append((pixels, label))
        if len(batch) == VIEWS_TOGETHER:
            yield _stacked(waiting.pop(tuple(pixels.shape)))
    for batch in waiting.values():
        yield _stacked(batch)


def _stacked(batch: Sequence[tuple[Tensor, str]]) -> tuple[Tensor, list[str]]:
    return torch.stack([pixels for pixels, _ in batch]), [label for _, label in batch]


def _quantiles(scores: Tensor) -> tuple[float, ...]:
    """In equal steps, to five digits: a table of them is committed."""
    levels = torch.linspace(0, 1, QUANTILES, dtype=torch.float64)
    return tuple(round(value, 5) for value in torch.quantile(scores, levels).tolist())


def _share_below(score: float, quantiles: Sequence[float]) -> float:
    low, high, last = bisect_left(quantiles, score), bisect_right(quantiles, score), len(quantiles) - 1
    if low < high:  # one or several quantiles are this very score: half of the pairs that have it lie below
        return (low + high - 1) / 2 / last
    if low in (0, len(quantiles)):
        return float(low > 0)
    before, after = quantiles[low - 1], quantiles[low]
    return (low - 1 + (score - before) / (after - before)) / last
