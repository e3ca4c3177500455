"""A gallery's worst queries: which picture of another class stands before the best of their own, and why."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from simvis_core.decomposition import Method
from simvis_core.networks.network import EmbeddingNetwork
from simvis_core.pairs.explain import explain_pair
from simvis_core.pictures.views import Framing, View


@dataclass(frozen=True, eq=False)
class LabelledPicture:
    """A picture of a gallery that is searched again at each step, with its class."""

    name: str
    label: str
    image: Image.Image


class WorstQuery(NamedTuple):
    """Indices of a query, of the nearest picture of another class, and of the nearest of its own; and their difference.

    ``margin`` is the score with the wrong one less the score with the right one, above 0.
    """

    query: int
    wrong: int
    right: int
    margin: float


@dataclass(frozen=True, eq=False)
class WhyWrong:
    """Maps of a worst query, signed, in units of the score.

    ``contrast`` (H, W) over the query: where it speaks for the wrong picture (above 0) and for the right one (below);
    with the biases' part it sums to the margin. ``wrong`` and ``right`` are these pictures' maps of the query.
    """

    contrast: Float[Tensor, "H W"]
    wrong: Float[Tensor, "H2 W2"]
    right: Float[Tensor, "H3 W3"]
    views: tuple[View, View, View]
    method: Method


def worst_queries(embeddings: Float[Tensor, "N D"], labels: Sequence[str], count: int) -> tuple[WorstQuery, ...]:
    """At most ``count`` queries whose nearest picture is of another class, by how far it is ahead, furthest first.

    The embeddings are unit vectors. A picture alone in its class asks for nothing. Of equal scores the first counts.

    >>> import torch
    >>> from simvis_core.progress.worst import worst_queries
    >>> unit = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.8, 0.6]])
    >>> [tuple(one[:3]) + (round(one.margin, 3),) for one in worst_queries(unit, ["owl", "owl", "jay"], count=5)]
    [(0, 2, 1, 0.8), (1, 2, 0, 0.6)]
    """
    unit = embeddings.detach().cpu().double()
    numbers = {label: number for number, label in enumerate(dict.fromkeys(labels))}
    own = torch.tensor([numbers[label] for label in labels])
    same = own[:, None] == own[None, :]
    scores = unit @ unit.T
    scores.fill_diagonal_(-torch.inf)  # nobody is an answer to itself
    right, wrong = scores.masked_fill(~same, -torch.inf).max(1), scores.masked_fill(same, -torch.inf).max(1)
    margins = wrong.values - right.values
    found = [at for at in range(len(labels)) if bool(margins[at].isfinite()) and float(margins[at]) > 0]
    found.sort(key=lambda at: (-float(margins[at]), at))
    return tuple(
        WorstQuery(at, int(wrong.indices[at]), int(right.indices[at]), float(margins[at])) for at in found[:count]
    )


def why_wrong(
    network: EmbeddingNetwork,
    pictures: tuple[Image.Image, Image.Image, Image.Image],
    short_side: int | None = None,
    framing: Framing = "whole",
) -> WhyWrong:
    """Why a query finds the wrong picture rather than the right one; ``pictures`` are query, wrong and right.

    Raises SimvisError as `explain_pair` does.

    >>> from PIL import Image
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork, Preprocess
    >>> from simvis_core.progress.worst import why_wrong
    >>> net = EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8), preprocess=Preprocess(short_side=32, stride=8))
    >>> found = why_wrong(net, tuple(Image.new("RGB", (60, 40), name) for name in ("orange", "red", "blue")))
    >>> found.contrast.shape, found.wrong.shape
    (torch.Size([4, 6]), torch.Size([4, 6]))
    """
    query, *others = pictures
    wrong, right = (explain_pair(network, query, other, short_side, framing) for other in others)
    contrast = (wrong.map_a - right.map_a).cpu()
    return WhyWrong(
        contrast, wrong.map_b.cpu(), right.map_b.cpu(), (wrong.view_a, wrong.view_b, right.view_b), wrong.method
    )


class Disagreement(NamedTuple):
    """A query that one network answers with its own class and the other does not; indices of the nearest of each.

    ``right`` says which of the two is right: 0 or 1.
    """

    query: int
    nearest: tuple[int, int]
    right: int


def disagreements(
    one: Float[Tensor, "N D"], other: Float[Tensor, "N D2"], labels: Sequence[str]
) -> tuple[Disagreement, ...]:
    """The queries that one of two networks gets right at first place and the other wrong, in their order.

    Both embed the pictures of ``labels``. A picture alone in its class asks for nothing. Of equal scores the first
    counts.

    >>> import torch
    >>> from simvis_core.progress.worst import disagreements
    >>> one = torch.tensor([[1.0, 0.0], [0.9, 0.4], [0.0, 1.0]])
    >>> disagreements(one, torch.eye(3)[[0, 1, 0]], ["owl", "owl", "jay"])
    (Disagreement(query=0, nearest=(1, 2), right=0),)
    """
    first, second = _nearest(one), _nearest(other)
    found = []
    for at, label in enumerate(labels):
        hits = [labels[nearest[at]] == label for nearest in (first, second)]
        if hits[0] != hits[1] and labels.count(label) > 1:
            found.append(Disagreement(at, (first[at], second[at]), hits.index(True)))
    return tuple(found)


def _nearest(embeddings: Float[Tensor, "N D"]) -> list[int]:
    unit = torch.nn.functional.normalize(embeddings.detach().cpu().double(), dim=1)
    scores = unit @ unit.T
    found: list[int] = scores.fill_diagonal_(-torch.inf).argmax(1).tolist()
    return found
