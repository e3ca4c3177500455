"""`attributes learn`: attributes of one's own, learnt from a CSV, class folders or drawn rooms on any network."""

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from simvis_app.commands.options import network_options, positive
from simvis_app.service import defaults
from simvis_core.errors import SimvisError

if TYPE_CHECKING:
    from model_zoo.attributes.learning import AttributesEvent, LearntOutcome
    from simvis_core.attributes.learnt.labelled import LabelledPictures
    from simvis_core.attributes.learnt.training import LayerRecipe
    from simvis_core.pictures.opening import Limits

WAYS_LEARNT = ("simvis", "sane")  # as the core has them, as a test holds
TOLD_EACH = 5.0  # seconds


def add(learn: argparse.ArgumentParser) -> None:
    """Adds the command's flags."""
    source = learn.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--csv",
        metavar="FILE",
        help="a column file, and attributes with semicolons between or a column of 1 and 0 for each attribute, "
        "from which a row with an empty one, which cannot be told, is left out",
    )
    source.add_argument("--folders", metavar="DIR", help="class folders, each an attribute")
    source.add_argument("--rooms", type=positive, metavar="N", help="so many drawn hotel rooms, with 116 attributes")
    learn.add_argument("--root", metavar="DIR", help="where the CSV's files are sought (default: beside it)")
    learn.add_argument(
        "--known", action="append", metavar="NAME", help="an attribute that the CSV may name; others may not"
    )
    learn.add_argument("--out", required=True, metavar="DIR", help="where to write what is learnt")
    learn.add_argument("--resume", action="store_true", help="go on with the run that DIR holds")
    learn.add_argument(
        "--preset",
        choices=WAYS_LEARNT,
        default=WAYS_LEARNT[0],
        help="simvis: a 1 x 1 layer, whose maps add up; or sane: the released code's 3 x 3 layer with the map term "
        "(default: simvis)",
    )
    learn.add_argument(
        "--lambda", dest="map_weight", type=float, metavar="X", help="what the map term counts; 0 leaves it out"
    )
    learn.add_argument(
        "--kernel", type=positive, metavar="K", help="1 or 3: the layer is K x K (default: the preset's)"
    )
    learn.add_argument("--rate", type=float, metavar="X", help="the largest rate (default: the preset's)")
    learn.add_argument(
        "--epochs", type=positive, metavar="N", help="how often each picture is seen (default: the preset's)"
    )
    learn.add_argument("--held-out", type=float, metavar="SHARE", help="of the pictures, to measure on (default: 0.25)")
    learn.add_argument("--seed", type=int, default=0, help="of what is held out, the first weights, and the order")
    learn.add_argument("--backbone", help=f"the network (default: {defaults.BACKBONE})")
    learn.add_argument(
        "--view-size", type=positive, help=f"side of the square views in pixels (default: about {defaults.SHORT_SIDE})"
    )
    network_options(learn)


def run(options: argparse.Namespace) -> None:
    """Learns the attributes and writes them; prints how well they are told on pictures that are held out."""
    from model_zoo.attributes.learning import learn_attributes
    from simvis_app.commands.opening import session_of
    from simvis_core.steps import run as run_steps

    if options.csv is None and (options.root or options.known):
        raise SimvisError("--root or --known without --csv", "--csv with it", "name your table, or leave them out")
    recipe = _recipe(options)
    recipe.check()
    session, backbone = session_of(options)
    labelled = _labelled(options, session.limits)
    network = session.network(backbone)
    side = options.view_size or network.preprocess.whole_cells(defaults.SHORT_SIDE)
    network.preprocess.check(side, "square")
    steps = learn_attributes(network, labelled, recipe, Path(options.out), side, options.resume)
    _tell(run_steps(session.in_turn(steps), _Teller(recipe)), recipe)


def _recipe(options: argparse.Namespace) -> "LayerRecipe":
    from simvis_core.attributes.learnt.training import PRESETS_LEARNT

    said = {name: getattr(options, name) for name in ("map_weight", "kernel", "rate", "epochs", "held_out", "seed")}
    return replace(PRESETS_LEARNT[options.preset], **{name: value for name, value in said.items() if value is not None})


def _labelled(options: argparse.Namespace, limits: "Limits") -> "LabelledPictures":
    from simvis_core.attributes.learnt.attribute_table import labelled_table
    from simvis_core.attributes.learnt.labelled import labelled_folders, labelled_rooms

    if options.csv is not None:
        return labelled_table(options.csv, options.root, options.known, limits)
    if options.folders is not None:
        return labelled_folders(options.folders, limits)
    return labelled_rooms(options.rooms, options.seed)


class _Teller:
    """Says every few seconds how far it is."""

    def __init__(self, recipe: "LayerRecipe") -> None:
        self.epochs, self.told = recipe.epochs, monotonic()

    def __call__(self, event: "AttributesEvent") -> None:
        if monotonic() - self.told < TOLD_EACH:
            return
        self.told = monotonic()
        from model_zoo.attributes.learning import PicturesSeen

        if isinstance(event, PicturesSeen):
            said = f"{event.done} of {event.all} pictures seen"
        else:
            said = f"step {event.step}: loss {event.loss:.6f}"
        print(said, file=sys.stderr, flush=True)


def _tell(outcome: "LearntOutcome", recipe: "LayerRecipe") -> None:
    for name, why in outcome.left_out.items():
        print(f"simvis: left out: {name}: {why}", file=sys.stderr)
    term = f"the map term at lambda {recipe.map_weight:g}" if recipe.map_weight else "no map term"
    layer = f"{recipe.kernel} x {recipe.kernel} layer, {term}"
    print(f"{len(outcome.layer.names)} attributes learnt on {outcome.learnt} pictures ({layer})")
    found = outcome.precision
    ends = "" if found.low is None or found.high is None else f" ({found.low:.3f} to {found.high:.3f})"
    print(
        f"held out: {outcome.held_out} pictures; mean average precision of {found.pairs} attributes {found.mean:.3f}"
        f"{ends}, by chance about {outcome.chance:.3f}"
    )
    for preset, learnt in outcome.presets.items():
        tested = learnt["tested"]
        hit, chance = tested["best_is_true"]["mean"], tested["best_is_true_at_random"]["mean"]
        if hit is not None:
            print(
                f"{preset}: of {tested['pairs_that_share']} held-out pairs that share an attribute the best one is "
                f"true of both in {100 * hit:.0f} %, a random one in {100 * chance:.0f} %"
            )
    print(outcome.file)
