"""What learnt attributes are worth on drawn rooms: how well they are told, with and without the map term, and where."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

import model_zoo
from benchmarks.tables import Table
from simvis_core import EmbeddingNetwork
from simvis_core.attributes.learnt.labelled import LabelledPictures, labelled_room, labelled_rooms
from simvis_core.attributes.learnt.layer import AttributeLayer, LearntAttributes
from simvis_core.attributes.learnt.precision import average_precisions, shuffled_truth
from simvis_core.attributes.learnt.seeing import SeenPictures, seeing
from simvis_core.attributes.learnt.training import PRESETS_LEARNT, LayerRecipe, Parted, learning_layer, parted
from simvis_core.hotel_rooms.objects import OBJECTS
from simvis_core.hotel_rooms.truths import ROOM_ATTRIBUTES
from simvis_core.steps import run
from simvis_core.trust.faithfulness import interval

NETWORK, SIDE = "efficientnet_lite0", 224
ON_ROOMS = Path(model_zoo.__file__).parent / "series" / "rooms_avg"  # whose network learned to tell rooms apart
ROOMS, SEEDS = 1200, 5
FEW_ROOMS, FEW_SEEDS, FEW_EPOCHS = 120, 2, 2
LAMBDAS = (5e-3, 5e-5)  # the paper's, and a hundredth of it
LARGE = {("headboard", "shape"), ("headboard", "filling"), ("bedspread", "pattern"), ("bedspread", "scale")}
SHUFFLED, RANDOM = "labels shuffled", "a random ranking"


@dataclass(frozen=True)
class _Found:
    """What one layer came to on held-out rooms: each attribute's precision, and how its map falls on its object."""

    precisions: Tensor
    inside: Mapping[str, tuple[float, float]]


def tables(quick: bool) -> list[Table]:
    """Precision by way of learning, by what is told, and the share of the maps on their objects."""
    seen = run(seeing(model_zoo.load(NETWORK), _rooms(quick), SIDE))
    recipes = _recipes(quick)
    seeds = range(FEW_SEEDS if quick else SEEDS)
    found = {name: [_found(seen, replace(recipe, seed=seed)) for seed in seeds] for name, recipe in recipes.items()}
    shuffled = replace(seen, labelled=replace(seen.labelled, truth=shuffled_truth(seen.labelled.truth)))
    plain = next(iter(recipes))
    found[SHUFFLED] = [_found(shuffled, replace(recipes[plain], seed=seed)) for seed in seeds]
    own = run(seeing(_trained_on_rooms(), _rooms(quick), SIDE))
    trained = [_found(own, replace(recipes[plain], seed=seed)) for seed in seeds]
    chance = [_at_random(seen, replace(recipes[plain], seed=seed)) for seed in seeds]
    return [
        _precision(seen, {**found, RANDOM: chance}, plain),
        _by_what(seen, found[plain], trained, chance),
        _places(found),
    ]


def _rooms(quick: bool) -> LabelledPictures:
    return labelled_rooms(FEW_ROOMS if quick else ROOMS)


def _trained_on_rooms() -> EmbeddingNetwork:
    opened = model_zoo.open_series(ON_ROOMS)
    return opened.network(opened.steps[-1].step)


def _recipes(quick: bool) -> dict[str, LayerRecipe]:
    plain = PRESETS_LEARNT["simvis"]
    plain = replace(plain, epochs=FEW_EPOCHS) if quick else plain
    return {"without the map term": plain} | {
        f"with it, lambda {weight:g}": replace(plain, map_weight=weight) for weight in LAMBDAS
    }


def _found(seen: SeenPictures, recipe: LayerRecipe) -> _Found:
    parts = parted(seen, recipe)
    layer = run(learning_layer(seen, parts.learnt, recipe))
    scores = layer.scores(seen.features[parts.held_out])
    return _Found(average_precisions(scores, seen.labelled.truth[parts.held_out]), _inside(seen, parts, layer))


def _at_random(seen: SeenPictures, recipe: LayerRecipe) -> _Found:
    """What a ranking by chance has on the held-out rooms: more than the share of true ones, for they are few."""
    truth = seen.labelled.truth[parted(seen, recipe).held_out]
    scores = torch.rand(truth.shape, generator=torch.Generator().manual_seed(recipe.seed))
    return _Found(average_precisions(scores, truth), {})


def _inside(seen: SeenPictures, parts: Parted, layer: AttributeLayer) -> dict[str, tuple[float, float]]:
    """By object: the share of the positive maps of true attributes on the object, and the object's share of the room.

    Each a mean over the held-out rooms and the attributes of the object that are true there.
    """
    model = LearntAttributes(seen.network, layer)
    objects = [ROOM_ATTRIBUTES[name][0] for name in layer.names]
    told: dict[str, list[tuple[float, float]]] = {name: [] for name in OBJECTS}
    for at in parts.held_out:
        maps = model.activation_maps(seen.activations[at]).clamp(min=0)
        masks = _masks(int(seen.labelled.names[at].removeprefix("room ")), (maps.shape[1], maps.shape[2]))
        for which in seen.labelled.truth[at].nonzero()[:, 0].tolist():
            mask, whole = masks[objects[which]], float(maps[which].sum())
            if whole > 0:
                told[objects[which]].append((float((maps[which] * mask).sum()) / whole, float(mask.mean())))
    means = {name: np.mean(pairs, 0).tolist() for name, pairs in told.items()}
    return {name: (share, even) for name, (share, even) in means.items()}


@cache
def _masks(number: int, grid: tuple[int, int]) -> dict[str, Tensor]:
    """What part of each cell is each object's."""
    shown = labelled_room(number, 0, SIDE)
    return {
        name: adaptive_avg_pool2d(torch.from_numpy(mask).float()[None], grid)[0] for name, mask in shown.masks.items()
    }


def _precision(seen: SeenPictures, found: Mapping[str, Sequence[_Found]], plain: str) -> Table:
    names = seen.labelled.attributes
    large = [at for at, name in enumerate(names) if ROOM_ATTRIBUTES[name] in LARGE]
    rows = []
    for name, ways in found.items():
        whole, some = ([float(one.precisions[of].nanmean()) for one in ways] for of in (range(len(names)), large))
        gains = [one - other for one, other in zip(whole, _whole(found[plain]), strict=True)]
        gain = "-" if name in (plain, SHUFFLED, RANDOM) else _with_ends(gains, "+.4f")
        rows.append([name, _with_ends(whole), _with_ends(some), gain])
    notes = [
        f"{len(seen.labelled.names)} drawn rooms, {len(names)} attributes; a quarter of the rooms is held out; "
        f"{NETWORK}, views of {SIDE}. Mean average precision over the attributes, means over {len(found[plain])} seeds "
        "(which rooms are held out, the first weights, the order), with 95 % intervals over them. Large ones: shape "
        "and filling of the headboard, pattern and scale of the bedspread."
    ]
    columns = ["way of learning", "all attributes", "large ones", "gain by the map term"]
    return Table("Attributes learnt on rooms: mean average precision", columns, rows, notes)


def _whole(ways: Sequence[_Found]) -> list[float]:
    return [float(one.precisions.nanmean()) for one in ways]


def _with_ends(values: Sequence[float], form: str = ".3f") -> str:
    mean, low, high, _ = interval(values)
    ends = "" if low is None or high is None else f" ({low:{form}} to {high:{form}})"
    return f"{mean:{form}}{ends}"


def _by_what(seen: SeenPictures, *ways: Sequence[_Found]) -> Table:
    names, rows = seen.labelled.attributes, []
    for told in dict.fromkeys(ROOM_ATTRIBUTES[name] for name in names):
        of = [at for at, name in enumerate(names) if ROOM_ATTRIBUTES[name] == told]
        means = [_with_ends([float(one.precisions[of].nanmean()) for one in way]) for way in ways]
        rows.append([" ".join(told), str(len(of)), *means])
    columns = ["what is told", "attributes", NETWORK, ON_ROOMS.name, RANDOM]
    notes = [f"Without the map term. {ON_ROOMS.name}: the last step of the series that learned which rooms are alike."]
    return Table("By what is told of an object", columns, rows, notes)


def _places(found: Mapping[str, Sequence[_Found]]) -> Table:
    rows = []
    for name, ways in found.items():
        ratios = [[one.inside[of][0] / one.inside[of][1] for one in ways] for of in OBJECTS]
        rows.append([name, *(_with_ends(ratio, ".2f") for ratio in ratios)])
    areas = [next(iter(found.values()))[0].inside[of][1] for of in OBJECTS]
    notes = [
        "The share of the positive part of a true attribute's map that lies on its object, over what an even map has "
        f"there ({', '.join(f'{name} {area:.1%}' for name, area in zip(OBJECTS, areas, strict=True))} of the room): 1 "
        "is no better than even. Means over seeds, with 95 % intervals over them."
    ]
    return Table("Where the maps of learnt attributes lie", ["way of learning", *OBJECTS], rows, notes)
