"""A row of measurements as files: maps, numbers, curves, pictures, and what they belong to."""

from collections.abc import Iterator, Sequence

from simvis_core.errors import SimvisError
from simvis_core.explainers.table import EXPLAINERS
from simvis_core.files import writing
from simvis_core.files.colours import DEFAULT_COLOURS
from simvis_core.pairs.explanation import PairExplanation
from simvis_core.pairs.sides import Side
from simvis_core.pictures.overlays import common_scale, overlay
from simvis_core.trust.measuring import Measured, compared

NUMBERS = (
    *(
        "map",
        "explainer",
        "paper",
        "additive",
        "black_box",
        "unit",
        "strongest",
        "sum",
        "left",
        "compared",
        "difference",
    ),
    *("insertion", "deletion", "insertion_rescaled", "deletion_rescaled", "passes", "seconds"),
    *("setting", "seed", "fill", "steps", "parameters"),
)
CURVES = ("map", "kind", "share", "score")


def measured_files(
    pair: PairExplanation,
    side: Side,
    measured: Sequence[Measured],
    colours: str = DEFAULT_COLOURS,
    opacity: float = 0.85,
) -> dict[str, bytes]:
    """What was measured of one picture of a pair, by file name.

    ``maps.npz`` has each map as it was drawn, signed, in its own unit; ``measured.csv`` a row of numbers for each,
    ``curves.csv`` the score at every step, ``NAME.png`` each map over the picture, its strongest value at the end of
    the colours (units differ), and ``manifest.json`` the pair, the side and the versions. A map is compared with
    chance where the centre and random maps are among the measurements. Random maps carry their seed in their name.

    Raises SimvisError for no measurement, and for two that would have one name.

    >>> from PIL import Image
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork, Preprocess, explain_pair
    >>> from simvis_core.steps import run
    >>> from simvis_core.trust.files import measured_files
    >>> from simvis_core.trust.measuring import Asked, measuring, question_of
    >>> net = EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8), preprocess=Preprocess(short_side=32, stride=8))
    >>> pair = explain_pair(net, Image.new("RGB", (60, 40), "orange"), Image.new("RGB", (40, 40), "red"))
    >>> measured = run(measuring(question_of(pair, "a"), Asked("decomposition", steps=3)))
    >>> sorted(measured_files(pair, "a", [measured]))
    ['curves.csv', 'decomposition.png', 'manifest.json', 'maps.npz', 'measured.csv']
    """
    names = [_name(one) for one in measured]
    if not names:
        raise SimvisError("no measurement of this question", "one or more", "draw and measure first")
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise SimvisError(f"two measurements of '{twice}'", "one of each explainer", "write them apart")
    view, _, _ = pair.side(side)
    maps = {name: one.drawn.map for name, one in zip(names, measured, strict=True)}
    pictures = {f"{name}.png": overlay(view, map, common_scale(map), colours, opacity) for name, map in maps.items()}
    return {name: writing.png(picture) for name, picture in pictures.items()} | {
        "maps.npz": writing.npz({name: writing.array(map) for name, map in maps.items()}),
        "measured.csv": writing.table(NUMBERS, _numbers(names, measured)),
        "curves.csv": writing.table(CURVES, _steps(names, measured)),
        "manifest.json": writing.manifest_json(pair.manifest() | {"explained": side, "maps": names}),
    }


def _name(measured: Measured) -> str:
    seed = f"_seed_{measured.asked.seed}" if measured.asked.explainer == "random" else ""
    return measured.asked.explainer + seed


def _numbers(names: Sequence[str], measured: Sequence[Measured]) -> Iterator[dict[str, object]]:
    by_explainer = {one.asked.explainer: one for one in measured}
    randoms = [one for one in measured if one.asked.explainer == "random"]
    centre = by_explainer.get("centre")
    found = compared(by_explainer, randoms, centre) if centre and randoms else {}
    for name, one in zip(names, measured, strict=True):
        asked, drawn, entry = one.asked, one.drawn, EXPLAINERS[one.asked.explainer]
        yield {
            "map": name,
            "explainer": entry.title,
            "paper": entry.paper,
            "additive": entry.additive,
            "black_box": entry.black_box,
            "unit": entry.unit,
            "strongest": common_scale(drawn.map),
            "sum": float(drawn.map.sum()),
            "left": drawn.left,
            "compared": found.get(asked.explainer),
            "difference": one.gap,
            "insertion": one.insertion.auc,
            "deletion": one.deletion.auc,
            "insertion_rescaled": one.insertion.rescaled_auc,
            "deletion_rescaled": one.deletion.rescaled_auc,
            "passes": drawn.passes,
            "seconds": drawn.seconds,
            "setting": drawn.setting,
            "seed": asked.seed,
            "fill": asked.fill,
            "steps": len(one.deletion.shares),
            "parameters": "; ".join(f"{key}={value}" for key, value in drawn.parameters.items()),
        }


def _steps(names: Sequence[str], measured: Sequence[Measured]) -> Iterator[dict[str, object]]:
    for name, one in zip(names, measured, strict=True):
        for curve in (one.deletion, one.insertion):
            for share, score in zip(curve.shares.tolist(), curve.scores.tolist(), strict=True):
                yield {"map": name, "kind": curve.kind, "share": share, "score": score}
