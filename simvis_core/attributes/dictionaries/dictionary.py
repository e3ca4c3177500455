"""A dictionary: directions that embeddings are told in, where they come from, and what people call them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from simvis_core.attributes.dictionaries.coding import CODINGS
from simvis_core.errors import SimvisError
from simvis_core.networks.network import EmbeddingNetwork
from simvis_core.pictures.views import Framing

UNNAMED = "unnamed"


@dataclass(frozen=True)
class LearntFrom:
    """What a dictionary was learnt on: the kind, the network, how it saw the pictures, how many, and the seed.

    >>> from simvis_core.attributes.dictionaries.dictionary import LearntFrom
    >>> LearntFrom("pca", "efficientnet_lite0", "0f" * 32, "avg", 224, "whole", pictures=257).kind
    'pca'
    """

    kind: str
    network: str
    fingerprint: str
    pooling: str
    short_side: int
    framing: Framing
    pictures: int = 0
    places: int = 0
    seed: int = 0

    def check(self, network: EmbeddingNetwork) -> None:
        """Raises SimvisError for a network of other weights, or under another pooling.

        >>> from torch import nn
        >>> from simvis_core import EmbeddingNetwork
        >>> from simvis_core.attributes.dictionaries.dictionary import LearntFrom
        >>> net = EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8), name="tiny")
        >>> LearntFrom("pca", "tiny", net.fingerprint, "max", 224, "whole").check(net)
        Traceback (most recent call last):
            ...
        simvis_core.errors.SimvisError: Got a dictionary of tiny (max); wanted one of tiny (avg) with these ...
        """
        if (self.fingerprint, self.pooling) != (network.fingerprint, str(network.pooling)):
            raise SimvisError(
                f"a dictionary of {self.network} ({self.pooling})",
                f"one of {network.name} ({network.pooling}) with these weights",
                "choose the network and pooling it was learnt on, or learn one on these",
            )


@dataclass(frozen=True)
class Firing:
    """A place of a picture, its cell as (row, column) of the grid (rows, columns), and the code of a concept there."""

    picture: str
    cell: tuple[int, int]
    grid: tuple[int, int]
    value: float


@dataclass(frozen=True, eq=False)
class Dictionary:
    """K directions of unit length (K, D), the ``mean`` (D,) they are told from, and how codes are found; float64.

    A vector is ``codes @ directions + mean`` and a residual. ``names`` has a word for each concept, "" for none;
    ``firings`` the places that fire each most, the strongest first, where they were sought. `dictionary_of` makes one
    from any matrix.

    >>> import torch
    >>> from simvis_core.attributes.dictionaries.dictionary import dictionary_of
    >>> made = dictionary_of(torch.tensor([[0.0, 2.0, 0.0], [1.0, 0.0, 0.0]]), names=("blue", ""))
    >>> made.size, made.width, made.name(0), made.name(1)
    (2, 3, 'blue', 'unnamed')
    >>> made.codes(torch.tensor([[0.6, 0.0, 0.8]]))
    tensor([[0.0000, 0.6000]], dtype=torch.float64)
    >>> made.named({1: "arched openings"}).names
    ('blue', 'arched openings')
    """

    directions: Float[Tensor, "K D"]
    mean: Float[Tensor, " D"]
    coding: str
    names: tuple[str, ...]
    source: LearntFrom | None = None
    firings: tuple[tuple[Firing, ...], ...] = ()

    @property
    def size(self) -> int:
        """How many concepts there are."""
        return self.directions.shape[0]

    @property
    def width(self) -> int:
        """How many numbers an embedding has."""
        return self.directions.shape[1]

    def codes(self, vectors: Float[Tensor, "N D"]) -> Float[Tensor, "N K"]:
        """The codes of N vectors, each less the mean, in float64. Raises SimvisError for vectors of another width."""
        self.check_width(vectors.shape[1])
        return CODINGS[self.coding](vectors.detach().cpu().double() - self.mean, self.directions)

    def check_width(self, width: int) -> None:
        """Raises SimvisError for embeddings of another width.

        >>> import torch
        >>> from simvis_core.attributes.dictionaries.dictionary import dictionary_of
        >>> dictionary_of(torch.eye(3)).check_width(3)
        """
        if width != self.width:
            raise SimvisError(
                f"a dictionary of {self.width} numbers a direction, for embeddings of {width}",
                f"directions of {width} numbers",
                "learn one on this network's pictures, under this pooling",
            )

    def name(self, concept: int) -> str:
        """What people call a concept, or "unnamed"."""
        return self.names[concept] or UNNAMED

    def named(self, words: Mapping[int, str]) -> "Dictionary":
        """The dictionary with other names for some concepts, "" to take one away.

        Raises SimvisError for a concept that there is not.
        """
        wrong = next((concept for concept in words if not 0 <= concept < self.size), None)
        if wrong is not None:
            raise SimvisError(f"concept {wrong}", f"0 to {self.size - 1}", "choose one of the dictionary's")
        names = tuple(words.get(concept, name).strip() for concept, name in enumerate(self.names))
        return replace(self, names=names)


def dictionary_of(
    matrix: Float[Tensor, "K D"],
    mean: Float[Tensor, " M"] | None = None,
    coding: str = "least squares",
    names: tuple[str, ...] = (),
    source: LearntFrom | None = None,
) -> Dictionary:
    """A dictionary of a matrix's rows, which are brought to unit length: what a concept carries of a score stays.

    Without a ``mean`` it is zero. ``coding`` is "least squares" (codes of either sign) or "non-negative".

    Raises SimvisError for no row, a row that is zero or not finite, a mean of another width, a coding that there is
    not, and another number of names than rows.

    >>> import torch
    >>> from simvis_core.attributes.dictionaries.dictionary import dictionary_of
    >>> dictionary_of(torch.tensor([[3.0, 4.0]])).directions
    tensor([[0.6000, 0.8000]], dtype=torch.float64)
    """
    rows = matrix.detach().cpu().double()
    lengths = rows.norm(dim=1)
    wrong = torch.nonzero(~(lengths.isfinite() & (lengths > 0)))
    if not len(rows) or len(wrong):
        got = f"row {int(wrong[0])}, which is zero or not finite" if len(rows) else "a matrix without rows"
        raise SimvisError(f"a dictionary with {got}" if len(rows) else got, "directions", "leave that row out")
    if coding not in CODINGS:
        raise SimvisError(f"the coding '{coding}'", f"one of {', '.join(CODINGS)}", "choose one of these")
    centre = rows.new_zeros(rows.shape[1]) if mean is None else mean.detach().cpu().double()
    if len(centre) != rows.shape[1] or not bool(centre.isfinite().all()):
        raise SimvisError(
            f"a mean of {len(centre)} numbers, or one not finite", f"{rows.shape[1]} finite ones", "give another"
        )
    if len(names) not in (0, len(rows)):
        raise SimvisError(f"{len(names)} names of {len(rows)} concepts", "one for each", "leave some empty")
    return Dictionary(rows / lengths[:, None], centre, coding, names or ("",) * len(rows), source)
