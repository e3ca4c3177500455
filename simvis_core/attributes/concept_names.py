"""What attribute fires where a concept does: names for a dictionary's concepts, and "unnamed" where chance does it."""

from collections.abc import Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from simvis_core.attributes.dictionaries.dictionary import Dictionary
from simvis_core.attributes.dictionaries.places import picture_places
from simvis_core.attributes.ranker import AttributeModel
from simvis_core.errors import SimvisError
from simvis_core.networks.network import EmbeddingNetwork
from simvis_core.pictures.opening import OWNERS, Limits, open_picture
from simvis_core.pictures.views import Framing

CHANCE_DIRECTIONS = 256  # random directions that are named as concepts are, to see how like an attribute chance is
SURE = 0.95  # of those must be less like their best attribute than a concept is like its own


class ConceptName(NamedTuple):
    """The attribute that a concept is most like, and how like: a correlation, see `ConceptNames`."""

    name: str
    likeness: float


@dataclass(frozen=True, eq=False)
class ConceptNames:
    """The attribute that each concept is most like, and how like 95 of 100 random directions are to theirs at most.

    Likeness is the correlation, over all places of the pictures, of the concept's codes with the attribute's map, less
    what is common: each attribute's map is first told from the mean of all attributes' at the place (else the attribute
    of whatever is in the foreground names everything), and the mean of its correlations with all concepts is taken
    off. ``words`` are names only where the concept is more like its attribute than ``chance``.

    >>> from simvis_core.attributes.concept_names import ConceptName, ConceptNames
    >>> ConceptNames((ConceptName("dome", 0.6), ConceptName("fur", 0.2)), chance=0.3).words
    {0: 'dome'}
    """

    best: tuple[ConceptName, ...]
    chance: float

    @property
    def words(self) -> dict[int, str]:
        """The names of the concepts that are named by more than chance."""
        return {concept: one.name for concept, one in enumerate(self.best) if one.likeness > self.chance}


def naming(
    dictionary: Dictionary,
    network: EmbeddingNetwork,
    model: AttributeModel,
    files: Sequence[str],
    short_side: int | None = None,
    framing: Framing = "whole",
    limits: Limits = OWNERS,
    seed: int = 0,
) -> Generator[tuple[int, int], None, ConceptNames]:
    """Finds the attribute that fires where each concept does, over all places of the pictures.

    Yields how many pictures of how many are done; one that cannot be opened is passed over. The same seed draws the
    same random directions. Source: Bau 2017 (network dissection) names units by what they fire on; here by
    correlation, as both maps are signed.

    Raises SimvisError for a network of another width than the dictionary's, and where no picture can be opened.

    >>> import tempfile
    >>> import torch
    >>> from PIL import Image
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork, Preprocess
    >>> from simvis_core.attributes.class_groups import ClassGroups
    >>> from simvis_core.attributes.concept_names import naming
    >>> from simvis_core.attributes.dictionaries.dictionary import dictionary_of
    >>> from simvis_core.steps import run
    >>> net = EmbeddingNetwork(nn.Conv2d(3, 3, 8, 8), preprocess=Preprocess(short_side=32, stride=8))
    >>> groups = {"fur": [0], "dome": [2]}
    >>> model = ClassGroups(net, torch.eye(3), torch.zeros(3), groups, {"fur": 0.3, "dome": 0.3})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Image.effect_noise((60, 40), 99).convert("RGB").save(f"{folder}/1.png")
    ...     found = run(naming(dictionary_of(torch.eye(3)), net, model, [f"{folder}/1.png"]))
    ...
    >>> len(found.best), {one.name for one in found.best} <= {"fur", "dome"}
    (3, True)
    """
    dictionary.check_width(network.width(short_side))
    chance = torch.randn(
        CHANCE_DIRECTIONS, dictionary.width, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)
    )
    sums = _Sums.empty(dictionary.size + CHANCE_DIRECTIONS, len(model.names))
    for done, file in enumerate(files, start=1):
        with suppress(SimvisError):  # who names a folder is told of such a file when it is listed
            sums.add(
                *_fired(dictionary, chance, network, model, open_picture(file, limits=limits), short_side, framing)
            )
        yield done, len(files)
    if not sums.count:
        raise SimvisError("no picture to name concepts by", "one or more that can be opened", "choose another folder")
    known, drawn = sums.correlations().split([dictionary.size, CHANCE_DIRECTIONS])
    bound = float(_told_apart(drawn).max(1).values.quantile(SURE))
    likest, at = _told_apart(known).max(1)
    return ConceptNames(
        tuple(ConceptName(model.names[name], value) for name, value in zip(at.tolist(), likest.tolist(), strict=True)),
        bound,
    )


def _fired(
    dictionary: Dictionary,
    chance: Tensor,
    network: EmbeddingNetwork,
    model: AttributeModel,
    image: Image.Image,
    short_side: int | None,
    framing: Framing,
) -> tuple[Tensor, Tensor]:
    """At each place of a picture: the codes of all concepts and of the random directions, and all attributes."""
    with torch.inference_mode():
        seen = network.activations(network.view(image, short_side, framing).pixels[None]).one()
        places = picture_places(network.decompose_features(seen)).cpu().double()
        maps = model.activation_maps(seen).cpu().double()
    codes = torch.cat([dictionary.codes(places), (places - dictionary.mean) @ chance.T], dim=1)
    return codes, maps.flatten(1).T * len(places)


def _told_apart(correlations: Float[Tensor, "K A"]) -> Float[Tensor, "K A"]:
    """Less what any of these directions has with an attribute."""
    return correlations - correlations.mean(0)


@dataclass
class _Sums:
    """Sums over places, enough for every correlation: so that no place need be kept."""

    count: int
    codes: Tensor
    squares: Tensor
    maps: Tensor
    between_maps: Tensor
    products: Tensor

    @classmethod
    def empty(cls, codes: int, maps: int) -> "_Sums":
        sizes = (codes,), (codes,), (maps,), (maps, maps), (codes, maps)
        of_codes, squares, of_maps, between, products = (torch.zeros(*size, dtype=torch.float64) for size in sizes)
        return cls(0, of_codes, squares, of_maps, between, products)

    def add(self, codes: Tensor, maps: Tensor) -> None:
        """Takes in a picture's places, a row each."""
        self.count += len(codes)
        self.codes += codes.sum(0)
        self.squares += codes.square().sum(0)
        self.maps += maps.sum(0)
        self.between_maps += maps.T @ maps
        self.products += codes.T @ maps

    def correlations(self) -> Tensor:
        """Of each code with each attribute's map less the mean of all attributes', all of them of unit variance."""
        codes, maps = self.codes / self.count, self.maps / self.count
        spread = (self.squares / self.count - codes.square()).clamp(min=0).sqrt()
        covered = self.between_maps / self.count - torch.outer(maps, maps)
        own = covered.diagonal().clamp(min=0).sqrt()
        with_maps = _divided(self.products / self.count - torch.outer(codes, maps), torch.outer(spread, own))
        among = _divided(covered, torch.outer(own, own))
        left = with_maps - with_maps.mean(1, keepdim=True)
        return _divided(left, (among.diagonal() - 2 * among.mean(1) + among.mean()).clamp(min=0).sqrt())


def _divided(above: Tensor, below: Tensor) -> Tensor:
    """The quotient, and 0 where what is divided by is 0 but for rounding."""
    return torch.where(below > 1e-12, above / below.clamp(min=1e-12), torch.zeros((), dtype=above.dtype))
