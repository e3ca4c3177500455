"""Attributes of pictures of which only the unit embedding is kept: how sure one is, and which hits that leaves."""

import math
from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from simvis_core.attributes.class_groups import ClassGroups
from simvis_core.errors import SimvisError
from simvis_core.stores.contract import Row, in_batches

AttributeUse = Literal["filter", "rerank"]
ATTRIBUTE_USES: tuple[AttributeUse, ...] = get_args(AttributeUse)
MOST_ROWS = 100_000  # of which the confidences are kept: 44 MB for 110 attributes
ROWS_AT_ONCE = 2000  # rows whose class scores are in memory at a time


def stored_confidences(model: ClassGroups, embeddings: Float[Tensor, "N D"], length: float) -> Float[Tensor, "N K"]:
    """Each group's confidence in N pictures of unit embeddings, in log-odds, as if all of them had been so long.

    The softmax that `ClassGroups.confidences` asks depends on how long an embedding was before its unit norm, which
    nothing stored tells: at the picture's own length the numbers are the exact ones, at a usual length an estimate.
    They are computed in the precision of the embeddings, all by one product with the classifier and one with the
    groups, and lie within the logarithm of its smallest number (87 in float32), where a share is 0 or 1 in it.

    Raises SimvisError for embeddings of another width than the classifier's, and a length that is not above 0.

    >>> import torch
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork
    >>> from simvis_core.attributes.class_groups import ClassGroups
    >>> from simvis_core.attributes.stored import stored_confidences
    >>> net = EmbeddingNetwork(nn.Conv2d(3, 2, 8, 8))
    >>> model = ClassGroups(net, torch.eye(2), torch.zeros(2), {"fur": [0]}, {"fur": 0.5})
    >>> stored_confidences(model, torch.tensor([[0.6, 0.8], [1.0, 0.0]]), length=10)
    tensor([[-2.],
            [10.]])
    """
    if embeddings.shape[1] != model.weight.shape[1] or not 0 < length < math.inf:
        raise SimvisError(
            f"embeddings of {embeddings.shape[1]} numbers and a length of {length:g}",
            f"{model.weight.shape[1]} numbers and a length above 0",
            "ask with embeddings of the classifier's own network",
        )
    members = _members(model).to(embeddings)
    scores = length * (embeddings @ model.weight.to(embeddings).T) + model.bias.to(embeddings)
    odds = (scores - scores.amax(1, keepdim=True)).exp()
    least = torch.finfo(odds.dtype).tiny
    inside, outside = ((odds @ of.T).clamp_min(least).log() for of in (members, 1 - members))
    usual = torch.tensor(list(model.reference.values()), dtype=torch.float64).logit()
    return inside - outside - usual.to(embeddings)


def _members(model: ClassGroups) -> Tensor:
    """Which class is in which group (K, C), 1 or 0."""
    members = torch.zeros(len(model.groups), len(model.weight))
    for line, group in zip(members, model.groups.values(), strict=True):
        line[group] = 1
    return members


def chosen_places(confidences: Sequence[float], use: AttributeUse, shown_from: float) -> list[int]:
    """The places of the hits that an attribute leaves, in the order that it gives them.

    ``filter`` keeps those whose confidence is above ``shown_from``, in their order; ``rerank`` keeps all, the surest
    first, those of one confidence in their order. One that is not a number shows nothing and comes last.

    >>> from simvis_core.attributes.stored import chosen_places
    >>> sure = [0.5, 2.0, float("nan"), 3.0]
    >>> chosen_places(sure, "filter", shown_from=1), chosen_places(sure, "rerank", shown_from=1)
    ([1, 3], [3, 1, 0, 2])
    """
    if use == "filter":
        return [place for place, sure in enumerate(confidences) if sure > shown_from]
    ranked = [math.inf if math.isnan(sure) else -sure for sure in confidences]
    return sorted(range(len(ranked)), key=lambda place: ranked[place])


class StoredConfidences:
    """How sure a network is of each attribute in rows of a gallery, each row computed once, by `stored_confidences`.

    Beyond ``most`` rows those that are kept are forgotten, and computed again when they are asked for.

    >>> import numpy as np
    >>> import torch
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork
    >>> from simvis_core.attributes.class_groups import ClassGroups
    >>> from simvis_core.attributes.stored import StoredConfidences
    >>> from simvis_core.stores.contract import Row
    >>> net = EmbeddingNetwork(nn.Conv2d(3, 2, 8, 8))
    >>> model = ClassGroups(net, torch.eye(2), torch.zeros(2), {"fur": [0]}, {"fur": 0.5})
    >>> sure, owl = StoredConfidences(model, length=10), Row("a" * 64, "owl.jpg", "", np.float32([0.6, 0.8]))
    >>> sure.missing([owl.id]) == [owl.id], sure.add([owl]), sure.missing([owl.id])
    (True, None, [])
    >>> sure.of([owl.id], "fur")
    [-2.0]
    """

    def __init__(self, model: ClassGroups, length: float, most: int = MOST_ROWS) -> None:
        self.model, self.length, self.most = model, length, most
        self._places: dict[str, int] = {}
        self._table = torch.empty(0, len(model.names))

    def missing(self, ids: Sequence[str]) -> list[str]:
        """Those of the ids whose rows are not known yet."""
        return [id for id in ids if id not in self._places]

    def add(self, rows: Sequence[Row]) -> None:
        """Computes the confidences of rows with their embeddings; a row without one is passed over."""
        if len(self._places) + len(rows) > self.most:
            self._places, self._table = {}, self._table[:0]
        for together in in_batches((row for row in rows if row.embedding is not None), ROWS_AT_ONCE):
            embeddings = np.stack([row.embedding for row in together if row.embedding is not None])
            found = stored_confidences(self.model, torch.from_numpy(embeddings), self.length)
            for at, row in enumerate(together, start=len(self._table)):
                self._places[row.id] = at
            self._table = torch.cat([self._table, found])

    def of(self, ids: Sequence[str], name: str) -> list[float]:
        """One attribute's confidence in the rows of these ids, in log-odds; not-a-number for an unknown row.

        Raises SimvisError for an attribute that there is not.
        """
        if name not in self.model.groups:
            raise SimvisError(f"the attribute '{name}'", "one of the model's names", "choose one of these")
        column = [*self._table[:, self.model.names.index(name)].tolist(), math.nan]
        return [column[self._places.get(id, -1)] for id in ids]
