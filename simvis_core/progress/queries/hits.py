"""A query under the networks of a training: its best hits at each step, and which queries a network gets right."""

from collections.abc import Collection, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from simvis_core.decomposition import Decomposition
from simvis_core.learning.metrics import retrieval_figures
from simvis_core.networks.network import EmbeddingNetwork
from simvis_core.pictures.overlays import common_scale
from simvis_core.pictures.views import Framing
from simvis_core.progress.manifests import SeriesStep
from simvis_core.progress.watching import PairFigures
from simvis_core.progress.worst import disagreements

FOUND = 3  # of a query, as in Stylianou 2019, figure 5
STALE = 0.02  # how far a stored score may be from the network's own: half precision alone moves it by a thousandth


@dataclass(frozen=True, eq=False)
class StepHit:
    """A gallery's picture that a network finds for a query.

    ``told`` is the cosine by the gallery's embedding, ``score`` by the network's own (equal where there are no maps).
    Maps are signed, in units of the score, or None where ``gone`` says why there are none. ``right`` is whether query
    and hit are of one class, None where either's is not known. ``title`` is what it is called where that is not its
    file's name; ``asked`` is the name of another picture than the study's query in its place.

    >>> from simvis_core.progress.queries.hits import StepHit
    >>> StepHit("a.jpg", "owl", told=0.5, score=0.53).stale, StepHit("a.jpg", "owl", told=0.5, score=0.5).stale
    (True, False)
    """

    picture: str
    label: str
    told: float
    score: float
    query_map: Float[Tensor, "H W"] | None = None
    hit_map: Float[Tensor, "H2 W2"] | None = None
    right: bool | None = None
    gone: str = ""
    title: str = ""
    asked: str = ""

    @property
    def stale(self) -> bool:
        """Whether the gallery's embedding is not what the network gives for that picture now."""
        return abs(self.told - self.score) > STALE


@dataclass(frozen=True, eq=False)
class QueriedStep:
    """A query at one step: its best hits, best first, and the pair that is followed over all steps (None: no maps)."""

    step: SeriesStep
    hits: tuple[StepHit, ...]
    pair: PairFigures | None = None

    @property
    def scale(self) -> float:
        """The one scale of all maps of the step: their largest absolute value, in units of the score.

        >>> import torch
        >>> from simvis_core.progress.manifests import SeriesStep
        >>> from simvis_core.progress.queries.hits import QueriedStep, StepHit
        >>> maps = torch.tensor([[0.25, -0.5]]), torch.tensor([[0.125]])
        >>> QueriedStep(SeriesStep(0, None), (StepHit("a.jpg", "", 0.5, 0.5, *maps),)).scale
        0.5
        """
        maps = [map for hit in self.hits for map in (hit.query_map, hit.hit_map) if map is not None]
        return common_scale(*maps) if maps else 0.0


@dataclass(frozen=True)
class RightQueries:
    """The pictures that two galleries hold and that have a partner there, by whose network finds its class first.

    ``asked`` are all of them; ``only_first`` and ``only_second`` those that one network alone gets right.
    """

    asked: tuple[str, ...] = ()
    only_first: tuple[str, ...] = ()
    only_second: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Study:
    """A query over the steps of a series, in their order.

    ``own`` is the query's own name where it is one of the gallery's pictures, ``followed`` the hit that the steps'
    ``pair`` is made of with it. ``figures`` are the gallery's own figures by step. ``troubles`` say what is left out.
    ``images`` are the files of the query ("") and the hits, with their width over height. A ``watch`` has no query: its
    hits are the pairs that were watched, and then a step's worst queries.
    """

    name: str
    architecture: str
    pooling: str
    steps: tuple[QueriedStep, ...]
    own: str | None = None
    followed: str = ""
    figures: Mapping[int, Mapping[str, float]] = field(default_factory=dict)
    troubles: tuple[str, ...] = ()
    images: Mapping[str, tuple[str, float]] = field(default_factory=dict)
    watch: bool = False


def nearest_rows(
    embeddings: Float[Tensor, "N D"], query: Float[Tensor, " D"], k: int = FOUND, left_out: Collection[int] = ()
) -> list[tuple[int, float]]:
    """The rows of highest cosine with the query, best first, among equals in their order; a row of zeros is none.

    >>> import torch
    >>> from simvis_core.progress.queries.hits import nearest_rows
    >>> rows = torch.tensor([[0.0, 2.0], [3.0, 0.0], [0.5, 0.0]])
    >>> nearest_rows(rows, torch.tensor([1.0, 0.0]), k=2, left_out=[1])
    [(2, 1.0), (0, 0.0)]
    """
    rows, wanted = embeddings.detach().cpu().double(), query.detach().cpu().double()
    lengths = rows.norm(dim=1)
    cosines = (rows @ wanted) / (lengths * wanted.norm()).clamp_min(torch.finfo(torch.float64).tiny)
    order = cosines.sort(descending=True, stable=True).indices.tolist()
    known = [at for at in order if at not in left_out and lengths[at] > 0]
    return [(at, float(cosines[at])) for at in known[:k]]


def step_hit(
    picture: str, label: str, told: float, query: Decomposition, hit: Decomposition, right: bool | None = None
) -> StepHit:
    """A hit with both maps of its pair: each cell's signed share of the score. A black box's maps are left out.

    >>> import torch
    >>> from simvis_core import Decomposition
    >>> from simvis_core.progress.queries.hits import step_hit
    >>> one = Decomposition(torch.tensor([[[0.6, 0.0], [0.0, 0.8]]]), torch.zeros(2))
    >>> found = step_hit("a.jpg", "owl", 0.99, one, one)
    >>> round(found.score, 6), found.query_map
    (1.0, tensor([[0.3600, 0.6400]]))
    """
    score = float(query.embedding.cpu().double() @ hit.embedding.cpu().double())
    if "none" in (query.method, hit.method):
        return StepHit(picture, label, told, score, right=right, gone="this network's score is no sum over places")
    maps = query.similarity_map(hit.embedding).cpu(), hit.similarity_map(query.embedding).cpu()
    return StepHit(picture, label, told, score, *maps, right)


def gallery_figures(embeddings: Float[Tensor, "N D"], labels: Sequence[str]) -> dict[str, float]:
    """``recall@1`` and ``map@r`` of a gallery whose pictures are each searched for among the others.

    Empty where no two are of one class, and for embeddings of zero or infinite length.

    >>> import torch
    >>> from simvis_core.progress.queries.hits import gallery_figures
    >>> gallery_figures(torch.eye(2).repeat(2, 1), ["owl", "jay", "owl", "jay"])
    {'recall@1': 1.0, 'map@r': 1.0}
    """
    places = _numbered(labels)
    if not _measurable(embeddings, places):
        return {}
    told = retrieval_figures(embeddings, torch.tensor(places)).told()
    return {name: told[name] for name in ("recall@1", "map@r")}


def right_queries(
    first: tuple[Sequence[str], Float[Tensor, "N D"]],
    second: tuple[Sequence[str], Float[Tensor, "M E"]],
    labels: Mapping[str, str],
) -> RightQueries:
    """Which pictures of two galleries (names with embeddings) are found by their class under one network only.

    Each of the pictures that both hold is searched for among the others of them; one without a class is left out.

    >>> import torch
    >>> from simvis_core.progress.queries.hits import right_queries
    >>> labels = {"a": "owl", "b": "owl", "c": "jay", "d": "jay"}
    >>> one = torch.tensor([[1.0, 0.0], [0.9, 0.4], [0.0, 1.0]])
    >>> found = right_queries((("a", "b", "c"), one), (("b", "a", "c"), torch.eye(3)[[1, 0, 0]]), labels)
    >>> found.asked, found.only_first, found.only_second
    (('a', 'b'), ('a',), ())
    """
    places = {name: at for at, name in enumerate(second[0])}
    shared = [(name, at, places[name]) for at, name in enumerate(first[0]) if name in places and labels.get(name)]
    names, mine, theirs = zip(*shared, strict=True) if shared else ((), (), ())
    classes = [labels[name] for name in names]
    found = disagreements(first[1][list(mine)], second[1][list(theirs)], classes) if shared else ()
    only = [tuple(names[one.query] for one in found if one.right == which) for which in (0, 1)]
    asked = tuple(name for name, label in zip(names, classes, strict=True) if classes.count(label) > 1)
    return RightQueries(asked, *only)


def embed_pictures(
    network: EmbeddingNetwork, images: Iterable[Image.Image | None], count: int, framing: Framing = "whole"
) -> Generator[tuple[int, int], None, Float[Tensor, "N D"]]:
    """The unit embeddings of ``count`` pictures, float32; zeros for None. Yields (done, all) after each.

    >>> from PIL import Image
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork, Preprocess
    >>> from simvis_core.progress.queries.hits import embed_pictures
    >>> from simvis_core.steps import run
    >>> net = EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8), preprocess=Preprocess(short_side=32, stride=8))
    >>> run(embed_pictures(net, [Image.new("RGB", (40, 40), "red"), None], 2)).norm(dim=1).round()
    tensor([1., 0.])
    """
    rows: list[Tensor | None] = []
    for image in images:
        view = None if image is None else network.view(image, framing=framing)
        rows.append(None if view is None else network.embed(view.pixels[None])[0].detach().cpu().float())
        yield len(rows), count
    width = next((len(row) for row in rows if row is not None), 1)
    return torch.stack([torch.zeros(width) if row is None else row for row in rows])


def _numbered(labels: Sequence[str]) -> list[int]:
    """Classes as numbers; a picture without a label is the only one of a class of its own."""
    places = {label: at for at, label in enumerate(sorted(set(labels)))}
    return [places[label] if label else len(places) + at for at, label in enumerate(labels)]


def _measurable(embeddings: Tensor, places: Sequence[int]) -> bool:
    sound = bool(embeddings.isfinite().all()) and bool((embeddings.norm(dim=1) > 0).all())
    return sound and len(set(places)) < len(places)
