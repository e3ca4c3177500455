"""Learning attributes from labelled pictures, from the first picture seen to a folder that ranks a pair by them."""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from model_zoo.attributes.fitted import FittedAttributes, fitted_from
from model_zoo.attributes.fitting import Looked, learnt_of
from model_zoo.attributes.matches import Match, labelled_matches
from simvis_core.attributes.datasets.labels import AttributeLabels
from simvis_core.attributes.learnt.labelled import LabelledPictures
from simvis_core.attributes.learnt.layer import AttributeLayer, LearntAttributes
from simvis_core.attributes.learnt.layer_files import open_layer, save_layer
from simvis_core.attributes.learnt.precision import chance_precision, mean_precision
from simvis_core.attributes.learnt.seeing import SeenPictures, seeing
from simvis_core.attributes.learnt.training import LayerRecipe, learning_layer, parted
from simvis_core.errors import SimvisError
from simvis_core.files.writing import forget_unfinished
from simvis_core.learning.loop import LearningStep
from simvis_core.networks.network import EmbeddingNetwork
from simvis_core.trust.faithfulness import Interval

LAYER_FILE, STATE_FILE = "attributes.safetensors", "state.pt"


@dataclass(frozen=True)
class PicturesSeen:
    """How many pictures of how many have been run."""

    done: int
    all: int


AttributesEvent = PicturesSeen | LearningStep


@dataclass(frozen=True, eq=False)
class LearntOutcome:
    """What a learning came to: the file, its attributes, how well they are told on held-out pictures, and chance's."""

    file: Path
    layer: AttributeLayer
    precision: Interval
    chance: float
    learnt: int
    held_out: int
    left_out: Mapping[str, str]
    presets: Mapping[str, Any]


def learn_attributes(
    network: EmbeddingNetwork,
    labelled: LabelledPictures,
    recipe: LayerRecipe,
    out: str | Path,
    short_side: int,
    resumed: bool = False,
) -> Generator[AttributesEvent, None, LearntOutcome]:
    """Learns an attribute layer of the network from the pictures, and writes it to the folder ``out``.

    Tells every picture seen and every step. Precision is measured on the pictures that are held out; what the ranker
    needs beside the layer is learnt on half of them, and tested on the other half. Stopped at any moment and called
    again with ``resumed``, it goes on with equal numbers.

    Raises SimvisError for a folder that holds another run (or this one, unless it is resumed), for pictures that cannot
    be told apart, for a network whose embedding is no sum over cells, and for pictures that all share an attribute, or
    none of which do.
    """
    recipe.check()
    out = Path(out)
    if not resumed and ((out / LAYER_FILE).exists() or (out / STATE_FILE).exists()):
        raise SimvisError(f"'{out}', which holds a run", "a folder without one", "resume it, or name another folder")
    forget_unfinished(out, (LAYER_FILE, STATE_FILE))
    steps = seeing(network, labelled, short_side)
    while not isinstance(found := _next(steps), SeenPictures):
        yield PicturesSeen(*found)
    return (yield from _from_seen(found, recipe, out, short_side))


def _next(steps: Generator[tuple[int, int], None, SeenPictures]) -> tuple[int, int] | SeenPictures:
    try:
        return next(steps)
    except StopIteration as end:
        return end.value


def _from_seen(
    seen: SeenPictures, recipe: LayerRecipe, out: Path, short_side: int
) -> Generator[AttributesEvent, None, LearntOutcome]:
    parts = parted(seen, recipe)
    known, tested = _matches(seen, parts.held_out, recipe.seed)
    layer = yield from learning_layer(seen, parts.learnt, recipe, out / STATE_FILE)
    model = LearntAttributes(seen.network, layer)
    truth = seen.labelled.truth[parts.held_out]
    scores, chance = layer.scores(seen.features[parts.held_out]), chance_precision(truth)
    precision = mean_precision(scores, truth, recipe.seed)
    fitted = learnt_of(_looked(model, seen), known, tested)
    said = {
        "network": seen.network.name,
        "fingerprint": seen.network.fingerprint,
        "pooling": str(seen.network.pooling),
        "short_side": short_side,
        "recipe": asdict(recipe),
        "pictures": {"learnt": len(parts.learnt), "held_out": len(parts.held_out)},
        "precision": precision._asdict(),
        "chance": chance,
    }
    file = save_layer(out / LAYER_FILE, layer, said | fitted)
    left_out = seen.labelled.left_out
    counts = len(parts.learnt), len(parts.held_out)
    return LearntOutcome(file, layer, precision, chance, *counts, left_out, fitted["presets"])


def _looked(model: LearntAttributes, seen: SeenPictures) -> Looked:
    """Every picture as a class of its own."""
    labelled = seen.labelled
    shown = AttributeLabels(labelled.names, labelled.names, labelled.attributes, labelled.truth.double())
    return Looked(model, seen.activations, shown)


def _matches(seen: SeenPictures, held_out: Sequence[int], seed: int) -> tuple[list[Match], list[Match]]:
    """Pairs of held-out pictures to learn the ranker's weights on, and to test it on.

    Raises SimvisError where those to learn on all share an attribute, or none does.
    """
    embeddings = torch.stack([split.embedding.double() for split in seen.splits])
    halves = held_out[::2], held_out[1::2]
    known, tested = (labelled_matches(half, embeddings, seen.labelled.truth, seed) for half in halves)
    shared = _shared(known, seen.labelled.truth)
    if bool(shared.all()) or not bool(shared.any()):
        raise SimvisError(
            f"{len(shared)} pairs of held-out pictures, of which {int(shared.sum())} share an attribute",
            "some that do and some that do not",
            "label more pictures, or hold out more of them",
        )
    return known, tested


def _shared(matches: Sequence[Match], truth: Tensor) -> Tensor:
    return torch.tensor([bool((truth[one.a] & truth[one.b]).any()) for one in matches])


def learnt_attributes(folder: str | Path, network: EmbeddingNetwork) -> FittedAttributes:
    """The attributes of a folder of `learn_attributes`, for the network that learnt them.

    Raises SimvisError for a folder without them, for a damaged file, and for another network.
    """
    layer, told = open_layer(Path(folder) / LAYER_FILE)
    try:
        fingerprint, known = told["fingerprint"], {name: told[name] for name in ("priors", "presets", "short_side")}
        if fingerprint != network.fingerprint:
            raise SimvisError(
                f"attributes that {told['network']} learnt, for {network.name}",
                "the network that learnt them, with its own weights",
                "open that one, or learn them again",
            )
        return fitted_from(LearntAttributes(network, layer), known)
    except (KeyError, TypeError) as error:
        raise SimvisError(
            f"'{LAYER_FILE}' of '{folder}', which is damaged", "the file as it was written", "learn it again"
        ) from error


def network_of_attributes(folder: str | Path) -> str:
    """The name of the network that learnt the attributes of a folder. Raises SimvisError as `learnt_attributes`."""
    return str(open_layer(Path(folder) / LAYER_FILE)[1].get("network", ""))
