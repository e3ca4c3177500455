"""How well embeddings retrieve their own class: recall@k, mAP, R-precision and MAP@R, for each query too."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from simvis_core.errors import SimvisError

SCORES_AT_ONCE = 2**22  # scores that are looked at together: 32 MiB, and as much for each of their five companions


@dataclass(frozen=True, eq=False)
class RetrievalFigures:
    """Leave-one-out retrieval: every embedding asks for the others of its label, all others are the reference.

    All figures are 0 to 1. Each tensor has an entry for each embedding, float64, in the order given; NaN where an
    embedding has no partner (no other of its label): such queries ask for nothing and count in no mean.
    ``first`` is the place of the nearest partner, 1 for the best. Source: Musgrave, Belongie, Lim, "A Metric Learning
    Reality Check" (ECCV 2020), section 3.2.

    >>> import torch
    >>> from simvis_core.learning.metrics import retrieval_figures
    >>> turned = torch.tensor([0.0, 0.1, 0.4, 0.9])
    >>> found = retrieval_figures(torch.stack([turned.cos(), turned.sin()], 1), torch.tensor([0, 0, 1, 1]))
    >>> found.recall(1), found.queries, found.lonely
    (0.75, 4, 0)
    >>> round(found.map_at_r, 4), round(found.map, 4), found.r_precision, found.worst(1)
    (0.75, 0.8333, 0.75, (2,))
    """

    first: Float[Tensor, " N"]
    precisions: Float[Tensor, " N"]  # average precision over all places
    precisions_at_r: Float[Tensor, " N"]  # average precision over the first R places, R partners there are
    shares_at_r: Float[Tensor, " N"]  # share of partners among the first R places

    @property
    def queries(self) -> int:
        """How many embeddings have a partner, and so count."""
        return int((~self.first.isnan()).sum())

    @property
    def lonely(self) -> int:
        """How many embeddings were left out: no other has their label."""
        return len(self.first) - self.queries

    def recall(self, k: int) -> float:
        """Share of the queries with a partner among their ``k`` nearest; NaN without queries."""
        return float((self.first[~self.first.isnan()] <= k).double().mean())

    @property
    def map(self) -> float:
        """Mean average precision over the whole ranking; NaN without queries."""
        return float(self.precisions.nanmean())

    @property
    def map_at_r(self) -> float:
        """MAP@R: mean average precision over the first R places; NaN without queries."""
        return float(self.precisions_at_r.nanmean())

    @property
    def r_precision(self) -> float:
        """Mean share of partners among the first R places; NaN without queries."""
        return float(self.shares_at_r.nanmean())

    def worst(self, count: int) -> tuple[int, ...]:
        """The queries of lowest MAP@R, worst first; among equals the one whose partner comes last, then in order."""
        known = [at for at in range(len(self.first)) if not bool(self.first[at].isnan())]
        known.sort(key=lambda at: (float(self.precisions_at_r[at]), -float(self.first[at]), at))
        return tuple(known[:count])

    def told(self, ks: Sequence[int] = (1,)) -> dict[str, float]:
        """The means by the names that logs and manifests use: ``recall@1``, ..., ``map``, ``r_precision``, ``map@r``.

        Raises SimvisError where no embedding has a partner, so that there is no mean.

        >>> import torch
        >>> from simvis_core.learning.metrics import retrieval_figures
        >>> retrieval_figures(torch.eye(2).repeat(2, 1), torch.tensor([0, 1, 0, 1])).told(ks=(1, 2))
        {'recall@1': 1.0, 'recall@2': 1.0, 'map': 1.0, 'r_precision': 1.0, 'map@r': 1.0}
        """
        if not self.queries:
            raise SimvisError(
                f"{len(self.first)} embeddings, none of which has another of its class",
                "at least one class with two",
                "add pictures or join classes",
            )
        recalls = {f"recall@{k}": self.recall(k) for k in ks}
        return {**recalls, "map": self.map, "r_precision": self.r_precision, "map@r": self.map_at_r}


def retrieval_figures(embeddings: Float[Tensor, "N D"], labels: Int[Tensor, " N"]) -> RetrievalFigures:
    """The figures of embeddings of any length under the cosine, with labels as whole numbers; computed in float64.

    Of equal scores the wrong ones come first: a network that gives one vector for every picture retrieves nothing.
    Time grows with N^2 (D + log R); beside the embeddings 200 MB of memory are enough for any N.

    Raises SimvisError for an embedding of zero length, or with NaN or infinity.

    >>> import torch
    >>> from simvis_core.learning.metrics import retrieval_figures
    >>> retrieval_figures(torch.eye(3), torch.tensor([0, 0, 1])).first
    tensor([2., 2., nan], dtype=torch.float64)
    """
    unit = _unit(embeddings)
    rows = max(1, SCORES_AT_ONCE // max(1, len(unit)))
    blocks = [_block(unit, labels, start, start + rows) for start in range(0, len(unit), rows)]
    columns = (torch.cat(column) for column in zip(*blocks, strict=True)) if blocks else (unit.new_zeros(0),) * 4
    return RetrievalFigures(*columns)


def map_at_r(embeddings: Float[Tensor, "N D"], labels: Int[Tensor, " N"]) -> float:
    """MAP@R of the embeddings, 0 to 1: mean over the queries of (1/R) sum_{i <= R} precision(i) x relevant(i).

    NaN where no embedding has a partner. Raises SimvisError for an embedding of zero or infinite length. Source:
    Musgrave, Belongie, Lim, "A Metric Learning Reality Check" (ECCV 2020), equation 2.

    >>> import torch
    >>> from simvis_core.learning.metrics import map_at_r
    >>> map_at_r(torch.tensor([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [0.1, 1.0]]), torch.tensor([0, 0, 1, 1]))
    1.0
    """
    return retrieval_figures(embeddings, labels).map_at_r


def _unit(embeddings: Tensor) -> Tensor:
    known = embeddings.detach().cpu().double()
    lengths = known.norm(dim=1, keepdim=True)
    if bool((~lengths.isfinite() | (lengths == 0)).any()):
        raise SimvisError(
            "an embedding of zero length or with NaN", "finite vectors with a direction", "check the network"
        )
    return known / lengths


def _block(unit: Tensor, labels: Tensor, start: int, stop: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The four figures of the queries from start to stop."""
    scores = unit[start:stop] @ unit.T
    labels = labels.cpu()
    alike = labels[start:stop, None] == labels
    rows = torch.arange(len(scores))
    partners = alike.clone()
    partners[rows, start + rows] = False
    counts = partners.sum(1)
    widest = max(1, int(counts.max()))
    # The partners' scores, highest first, filled up with -inf at the end.
    theirs = scores.masked_fill(~partners, -torch.inf).topk(min(widest, scores.shape[1]), 1).values
    return _figures(theirs, _ahead(scores.masked_fill_(alike, -torch.inf), theirs), counts)


def _ahead(others: Float[Tensor, "b N"], theirs: Float[Tensor, "b R"]) -> Int[Tensor, "b R"]:
    """How many of the others' scores reach each partner's score or more."""
    rising = theirs.flip(1).contiguous()
    reached = torch.searchsorted(rising, others, right=True)  # how many partners each one stands in front of
    histogram = torch.zeros(len(others), theirs.shape[1] + 1, dtype=torch.long)
    histogram.scatter_add_(1, reached, torch.ones_like(reached))
    return histogram.flip(1).cumsum(1)[:, :-1]  # at least one, at least two, ...: from the best partner on


def _figures(theirs: Tensor, ahead: Tensor, counts: Int[Tensor, " b"]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    number = torch.arange(1, theirs.shape[1] + 1)
    real: Bool[Tensor, "b R"] = number <= counts[:, None]
    places = ahead + number
    precisions = torch.where(real, number / places.double(), 0.0)
    early = real & (places <= counts[:, None])
    share = 1 / counts.double()  # infinite for the lonely, who are set to NaN
    figures = (
        places[:, 0].double(),
        precisions.sum(1) * share,
        torch.where(early, precisions, 0.0).sum(1) * share,
        early.sum(1) * share,
    )
    lonely = counts == 0
    first, *others = (figure.masked_fill(lonely, torch.nan) for figure in figures)
    return first, others[0], others[1], others[2]
