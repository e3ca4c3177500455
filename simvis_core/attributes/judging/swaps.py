"""What an attribute does to a score: one picture of the pair gives way to its nearest with, or without, it."""

from typing import NamedTuple

import torch
from torch import Tensor

from simvis_core.attributes.judging.looks import Looks


class Swap(NamedTuple):
    """How the score changes, None where it cannot be said (no such picture; the first does, or does not, show it).

    ``removed``: how much it falls when the first picture, which shows the attribute, gives way to its nearest without;
    ``inserted``: how much it rises when the first, which does not, gives way to its nearest with it;
    ``with_less_without``: the score of the nearest with the attribute less that of the nearest without. Of the three
    only the last is not made lower by the mere change of the picture, since both are strangers.
    """

    removed: float | None
    inserted: float | None
    with_less_without: float | None


def swap(looks: Looks, pair: tuple[int, int], attribute: int) -> Swap:
    """The change of a pair's score with one attribute of the first picture; all figures in units of the cosine.

    A picture stands in for another of its kind alone, and neither picture of the pair does. Source: Plummer 2020,
    section 4 (removal and insertion); the difference of both is ours.

    >>> import torch
    >>> from simvis_core.attributes.datasets.labels import AttributeLabels
    >>> from simvis_core.attributes.judging.looks import Looks
    >>> from simvis_core.attributes.judging.swaps import swap
    >>> from simvis_core.decomposition import Decomposition
    >>> units = [(1.0, 0.0), (0.8, 0.6), (0.96, 0.28), (0.6, 0.8)]
    >>> splits = [Decomposition(torch.tensor([[unit]]), torch.zeros(2)) for unit in units]
    >>> labels = AttributeLabels(tuple("abcd"), ("",) * 4, ("fur",), torch.tensor([[1.0], [1], [1], [0]]))
    >>> found = swap(Looks(labels, ("",) * 4, [], splits), (0, 1), 0)
    >>> round(found.removed, 3), found.inserted, round(found.with_less_without, 3)
    (-0.16, None, -0.024)
    """
    a, b = pair
    scores = looks.embeddings @ looks.embeddings[b]
    values = looks.labels.values[:, attribute]
    candidates = torch.tensor([kind == looks.kinds[a] for kind in looks.kinds])
    candidates[[a, b]] = False
    near = looks.embeddings @ looks.embeddings[a]
    with_it, without = (_nearest(near, candidates & (values == value)) for value in (1, 0))
    own, there, gone = (None if at is None else float(scores[at]) for at in (a, with_it, without))
    shows = float(values[a])
    return Swap(_less(own, gone) if shows == 1 else None, _less(there, own) if shows == 0 else None, _less(there, gone))


def _nearest(near: Tensor, candidates: Tensor) -> int | None:
    return int(near.masked_fill(~candidates, -torch.inf).argmax()) if bool(candidates.any()) else None


def _less(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one - other
