"""Classes of a gallery: class similarity, typical members, score matrices, and which class a picture belongs to."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from simvis_core.decomposition import Decomposition
from simvis_core.errors import SimvisError
from simvis_core.stores.contract import Row, Space, VectorIndex


@dataclass(frozen=True, eq=False)
class ClassMembers:
    """The members of one class, the most typical first.

    ``typicality`` is each member's mean score with the other members; ``scores`` the cosine of every two.

    >>> import numpy as np
    >>> import torch
    >>> from simvis_core.galleries.classes import ClassMembers
    >>> from simvis_core.stores.contract import Row
    >>> rows = (Row("a" * 64, "1.jpg", "owl"), Row("b" * 64, "2.jpg", "owl"))
    >>> members = ClassMembers("owl", rows, torch.tensor([[1.0, 0.0], [0.6, 0.8]]), torch.tensor([0.6, 0.6]))
    >>> members.scores
    tensor([[1.0000, 0.6000],
            [0.6000, 1.0000]])
    >>> members.others(0)
    tensor([0.6000, 0.8000])
    """

    label: str
    rows: tuple[Row, ...]
    embeddings: Float[Tensor, "N D"]
    typicality: Float[Tensor, " N"]

    @property
    def scores(self) -> Float[Tensor, "N N"]:
        """The cosine of every two members."""
        return self.embeddings @ self.embeddings.T

    def others(self, member: int) -> Float[Tensor, " D"]:
        """The query of class similarity: the sum of the other members' unit embeddings (Stylianou 2019, 4.5)."""
        return self.embeddings.sum(0) - self.embeddings[member]


@dataclass(frozen=True, eq=False)
class ClassMeans:
    """Each class's mean unit embedding: its product with an embedding is the mean score with the class's members.

    >>> import torch
    >>> from simvis_core.galleries.classes import ClassMeans
    >>> means = ClassMeans(("jay", "owl"), (1, 2), torch.tensor([[0.0, 1.0], [0.75, 0.5]]))
    >>> means.scores  # a class of one member has no score within
    tensor([[   nan, 0.5000],
            [0.5000, 0.6250]])
    >>> means.nearest(torch.tensor([1.0, 0.0]), count=1)
    [(1, 0.75)]
    >>> means.without("jay", torch.tensor([0.0, 1.0])).labels
    ('owl',)
    """

    labels: tuple[str, ...]
    counts: tuple[int, ...]
    means: Float[Tensor, "K D"]

    @property
    def scores(self) -> Float[Tensor, "K K"]:
        """The mean score of every two classes' members; on the diagonal of two different members of one.

        A class of one member has no such score: NaN.
        """
        scores = self.means @ self.means.T
        count = torch.tensor(self.counts, dtype=scores.dtype)
        own = (scores.diagonal() * count**2 - count) / (count * (count - 1))
        return scores.diagonal_scatter(torch.where(count > 1, own, torch.nan))

    def without(self, label: str, embedding: Float[Tensor, " D"]) -> "ClassMeans":
        """The means without one member, of this label and embedding; a class of which it is the only one goes."""
        at = self.labels.index(label)
        rest = self.counts[at] - 1
        counts = (*self.counts[:at], *([rest] if rest else []), *self.counts[at + 1 :])
        labels = (*self.labels[:at], *([label] if rest else []), *self.labels[at + 1 :])
        own = ((self.means[at] * (rest + 1) - embedding.to(self.means)) / max(1, rest))[None]
        means = torch.cat([self.means[:at], own[: int(rest > 0)], self.means[at + 1 :]])
        return ClassMeans(labels, counts, means)

    def nearest(self, embedding: Float[Tensor, " D"], count: int) -> list[tuple[int, float]]:
        """The classes with the highest mean score, best first: (number of the class, mean score)."""
        scores = self.means @ embedding.to(self.means)
        return [(int(at), float(scores[at])) for at in scores.argsort(descending=True, stable=True)[:count]]


def class_members(index: VectorIndex, space: Space, label: str) -> ClassMembers:
    """The members of a class. Raises SimvisError for a label that no picture has.

    >>> import tempfile
    >>> import numpy as np
    >>> from simvis_core.galleries.classes import class_members
    >>> from simvis_core.stores.contract import Row, Space
    >>> from simvis_core.stores.edge import EdgeIndex
    >>> space = Space("birds", "tiny", "avg", 2, "0123")
    >>> vectors = np.float32([[1, 0], [0.6, 0.8]])
    >>> rows = [Row(letter * 64, f"{letter}.jpg", "owl", vector) for letter, vector in zip("ab", vectors)]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     index = EdgeIndex(folder)
    ...     index.upsert(space, rows)
    ...     class_members(index, space, "owl").typicality
    ...     index.close()
    ...
    2
    tensor([0.6000, 0.6000])
    """
    rows = sorted(index.scan(space, labels=[label], embeddings=True), key=lambda row: (row.file, row.sha256))
    if not rows:
        known = sorted(index.labels(space))
        near = ", ".join(f"'{name}'" for name in known[:8]) + (", ..." if len(known) > 8 else "")
        raise SimvisError(f"class '{label}'", f"one of the gallery's ({near or 'it has none'})", "choose one of these")
    embeddings = _stacked(rows)
    typicality = _typicality(embeddings)
    order = typicality.argsort(descending=True, stable=True).tolist()
    return ClassMembers(label, tuple(rows[at] for at in order), embeddings[order], typicality[order])


def class_means(index: VectorIndex, space: Space) -> ClassMeans:
    """Every class's mean, by label; pictures without a label are left out.

    Raises SimvisError for a gallery without labels.

    >>> import tempfile
    >>> import numpy as np
    >>> from simvis_core.galleries.classes import class_means
    >>> from simvis_core.stores.contract import Row, Space
    >>> from simvis_core.stores.edge import EdgeIndex
    >>> space = Space("birds", "tiny", "avg", 2, "0123")
    >>> vectors = np.float32([[1, 0], [0.6, 0.8]])
    >>> rows = [Row(letter * 64, f"{letter}.jpg", "owl", vector) for letter, vector in zip("ab", vectors)]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     index = EdgeIndex(folder)
    ...     index.upsert(space, rows)
    ...     class_means(index, space).means
    ...     index.close()
    ...
    2
    tensor([[0.8000, 0.4000]])
    """
    sums: dict[str, np.ndarray] = {}
    counts: dict[str, int] = {}
    for row in index.scan(space, embeddings=True):
        if row.label and row.embedding is not None:
            sums[row.label] = sums.get(row.label, 0.0) + row.embedding.astype(np.float64)
            counts[row.label] = counts.get(row.label, 0) + 1
    if not sums:
        raise SimvisError(
            f"gallery '{space.gallery}' without labels", "class folders or a CSV with labels", "index it with labels"
        )
    labels = tuple(sorted(sums))
    means = np.stack([sums[label] / counts[label] for label in labels]).astype(np.float32)
    return ClassMeans(labels, tuple(counts[label] for label in labels), torch.from_numpy(means))


def class_map(picture: Decomposition, others: Float[Tensor, " D"]) -> Float[Tensor, "H W"]:
    """Class similarity: where a picture looks like a class, one product (Stylianou 2019, 4.5).

    ``others`` is the sum of the members' unit embeddings without the picture's own; the map and the bias's part sum to
    the sum of its scores with them. Divide by their number for the mean.

    >>> import torch
    >>> from simvis_core import Decomposition
    >>> from simvis_core.galleries.classes import class_map
    >>> picture = Decomposition(torch.tensor([[[0.6, 0.1], [0.0, 0.7]]]), torch.zeros(2))
    >>> class_map(picture, others=torch.tensor([2.0, 0.0]))
    tensor([[1.2000, 0.0000]])
    """
    return picture.similarity_map(others.to(picture.embedding))


@dataclass(frozen=True)
class Quality:
    """How well a gallery finds its own: leave-one-out over the pictures that have another of their label."""

    queries: int
    recall_at_1: float
    mean_average_precision: float


def retrieval_quality(
    embeddings: Float[Tensor, "N D"], labels: Sequence[str], asked: Sequence[bool] | None = None
) -> Quality:
    """Recall at 1 and mean average precision, each picture asking all the others.

    Only labelled pictures with another of their label ask, and of these those that ``asked`` marks; every other
    picture is there to be confused with. Raises SimvisError where nobody can ask.

    >>> import torch
    >>> from simvis_core.galleries.classes import retrieval_quality
    >>> retrieval_quality(torch.eye(2)[[0, 0, 1, 1]], ["owl", "owl", "jay", "jay"])
    Quality(queries=4, recall_at_1=1.0, mean_average_precision=1.0)
    """
    scores = (embeddings @ embeddings.T).double()
    scores.fill_diagonal_(-torch.inf)
    code = {label: number for number, label in enumerate(set(labels))}
    codes = torch.tensor([code[label] for label in labels])
    same = (codes[:, None] == codes) & torch.tensor([bool(label) for label in labels])
    same.fill_diagonal_(False)
    queries = same.any(1) & (torch.tensor(list(asked)) if asked is not None else True)
    if not bool(queries.any()):
        raise SimvisError("no two pictures of one label", "a label with two pictures", "index class folders")
    hits = same.gather(1, scores.argsort(dim=1, descending=True, stable=True))[queries].double()
    ranks = torch.arange(1, hits.shape[1] + 1, dtype=torch.float64)
    precision = (hits.cumsum(1) / ranks * hits).sum(1) / hits.sum(1)
    return Quality(int(queries.sum()), float(hits[:, 0].mean()), float(precision.mean()))


def _typicality(embeddings: Tensor) -> Tensor:
    """Mean score with the others; a member alone has 0."""
    count = len(embeddings)
    scores = embeddings @ embeddings.T
    return (scores.sum(1) - scores.diagonal()) / max(1, count - 1)


def _stacked(rows: Sequence[Row]) -> Tensor:
    return torch.from_numpy(np.stack([row.embedding for row in rows if row.embedding is not None]))
