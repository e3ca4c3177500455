"""`explain`: two pictures into a folder, a picture to share, or both."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simvis_app.commands.options import network_options, second_options
from simvis_app.service import defaults
from simvis_core.errors import SimvisError
from simvis_core.files.colours import GROUNDS

if TYPE_CHECKING:
    from simvis_app.service.sessions.session import Session, Settings
    from simvis_core.pairs.explanation import PairExplanation


def add(pair: argparse.ArgumentParser) -> None:
    """Adds the command's flags."""
    pair.add_argument("a", metavar="A", help="a picture file")
    pair.add_argument("b", metavar="B", help="a picture file")
    pair.add_argument(
        "--backbone",
        help=f"a name that `models` lists, {defaults.ARCHITECTURES_SAID} (default: {defaults.BACKBONE})",
    )
    pair.add_argument(
        "--pooling",
        help=f"{defaults.POOLINGS_SAID} (default: the network's own)",
    )
    pair.add_argument(
        "--view-size", type=int, help=f"short side of the view in pixels (default: about {defaults.SHORT_SIDE})"
    )
    pair.add_argument("--framing", default=defaults.FRAMING, help=defaults.FRAMINGS_SAID)
    pair.add_argument(
        "--method",
        choices=("sliding window", "RISE"),
        help="draw the maps by masks, RISE with 2000 a picture (default: a class token's by its last block's values, "
        "another black box's by a sliding window)",
    )
    pair.add_argument(
        "--standing",
        action="store_true",
        help="measure how high the score is for this network where that is not known: some 130 passes",
    )
    pair.add_argument(
        "--at",
        metavar="LAYER",
        help="draw the maps at another layer, such as blocks.2 or pixels: finer ones; 'list' prints those there are",
    )
    pair.add_argument(
        "--rule",
        choices=("frozen", "path"),
        help="what a place's part is there: with the network's gates held as they are (default), or along a path from "
        "a reference",
    )
    pair.add_argument(
        "--reference",
        action="append",
        metavar="WHAT",
        help="where the path starts: blur (default), mean, grey or a picture file; several are averaged",
    )
    network_options(pair)
    second_options(pair)
    pair.add_argument("--ground", choices=GROUNDS, default=GROUNDS[0], help="maps in colours, on grey, or as outlines")
    pair.add_argument("--png", metavar="FILE", help="one picture to share; without --out, nothing else is written")
    pair.add_argument("--out", metavar="DIR", help="folder for overlays, maps and manifest (default: out)")


def run(options: argparse.Namespace) -> None:
    """Explains a pair of files, by the same session as the page's, and writes the export."""
    from simvis_app.commands.opening import second_of, session_of

    _check_layer(options)
    _check_second(options)
    places = _places(options)
    session, backbone = session_of(options)
    settings = second_of(options, session, _pair_settings(options, session, backbone))
    if "list" in (options.at, options.at_b):
        _list_cuts(session, settings.sides["a" if options.at == "list" else "b"])
        return
    pair = _pair(options, session, settings)
    for warning in pair.warnings:
        print(f"simvis: {warning}", file=sys.stderr)
    _say(pair)
    stands = _standing(options, session, settings, pair.score)
    if stands:
        print(stands)
    for path in (path for place in places for path in pair.save(place, ground=options.ground, facts=_facts(options))):
        print(path)


def _say(pair: "PairExplanation") -> None:
    """Prints the score and what it splits into."""
    by = "" if pair.method == "decomposition" else f", map by {pair.method}"
    print(f"score {pair.score:.6f} ({pair.verdict}{by}{_depth(pair)})")
    if pair.network_b is not None:
        towers = (f"{side.upper()} by {net.name}, {net.pooling}" for side, net in pair.networks.items())
        print(f"  {'; '.join(towers)}; {_grid(pair)}")
    for name, part in pair.ledger.items() if pair.additive else ():
        print(f"  {name} {part:+.6f}")
    for side, parts in pair.bias_parts.items() if pair.network.depth else ():
        print(f"  bias of {side}: {', '.join(f'{name} {part:+.6f}' for name, part in parts.items())}")


def _check_layer(options: argparse.Namespace) -> None:
    """Raises SimvisError for options that do not go together."""
    if options.at is None and (options.rule or options.reference):
        raise SimvisError("--rule or --reference alone", "--at with it", "name the layer, or 'list'")
    if options.at is None and options.at_b not in (None, "list"):
        raise SimvisError("--at-b alone", "--at with it", "name A's layer, or 'list' for B's")
    if options.at is not None and options.method is not None:
        raise SimvisError("both --at and --method", "one way to draw the maps", "leave one of them out")
    if options.reference and options.rule != "path":
        raise SimvisError("--reference without --rule path", "the rule that has one", "add --rule path")


def _check_second(options: argparse.Namespace) -> None:
    """Raises SimvisError for options of B's network that do not go together, or not with others."""
    if options.checkpoint_b is None and (options.architecture_b or options.choices_b):
        raise SimvisError("--architecture-b or --choices-b alone", "--checkpoint-b with it", "name B's file")
    if options.checkpoint_b is not None and options.backbone_b is not None:
        raise SimvisError("both --backbone-b and --checkpoint-b", "one network for B", "leave one of them out")
    if options.checkpoint_b is not None and not (options.architecture_b or Path(options.checkpoint_b).is_dir()):
        raise SimvisError("--checkpoint-b alone", "--architecture-b with it", "name it, for example timm/resnet50")
    of_b = (options.backbone_b, options.checkpoint_b, options.pooling_b, options.view_size_b)
    if options.standing and any(of_b):
        raise SimvisError("--standing with two networks", "one, whose scores are known", "leave one of them out")


def _list_cuts(session: "Session", settings: "Settings") -> None:
    """Prints the layers that maps can be drawn at, each with its grid for a square view."""
    for cut in session.eager(settings).cuts:
        print(f"{cut.layer} {cut.grid[0]}x{cut.grid[1]}")


def _pair(options: argparse.Namespace, session: "Session", settings: "Settings") -> "PairExplanation":
    """The pair with all its maps, at the layer that is asked for."""
    if options.at is None:
        return session.explain_fully(options.a, options.b, settings, _told)
    from simvis_core.pictures.fills import FILLS

    given = options.reference or ["blur"]
    reference = [one if one in FILLS else session.image(one, f"--reference {one}") for one in given]
    pair = session.explain(options.a, options.b, settings)
    return pair.at(options.at, options.rule or "frozen", reference, options.at_b)


def _depth(pair: "PairExplanation") -> str:
    """At which layer the maps are, where it is not the last features."""
    facts = pair.manifest()["depth"]
    if not isinstance(facts, dict):
        return ""
    start = f" from {facts['reference']}" if "reference" in facts else ""
    other = pair.manifest()["depth_b"]
    both = f" and {other['layer']}" if isinstance(other, dict) and other["layer"] != facts["layer"] else ""
    return f", maps at {facts['layer']}{both} by the rule {facts['rule']}{start}, {_grid(pair)}"


def _grid(pair: "PairExplanation") -> str:
    return " and ".join(f"{one.grid[0]} x {one.grid[1]}" for one in (pair.a, pair.b)) + " cells"


def _places(options: argparse.Namespace) -> list[str]:
    """Where the export goes: a folder, a picture to share, or both."""
    png = options.png
    if png is not None and (Path(png).suffix.lower() != ".png" or Path(png).is_dir()):
        raise SimvisError(f"--png '{png}'", "a file's name that ends in .png", "choose another name")
    return [place for place in (options.out or (None if png else "out"), png) if place]


def _facts(options: argparse.Namespace) -> dict[str, Any]:
    """The files' names and credits, which the export keeps."""
    from simvis_app.service.samples import facts_of
    from simvis_app.service.sessions.session import content_hash

    files = [options.a, options.b]
    return facts_of(files, [content_hash(file) for file in files])


def _pair_settings(options: argparse.Namespace, session: "Session", backbone: str) -> "Settings":
    from simvis_app.service.sessions.session import Settings
    from simvis_core.pictures.views import Preprocess

    network = session.network(backbone)
    pooling = options.pooling or str(network.trained_pooling)
    usual = network.preprocess.whole_cells(Preprocess.short_side)
    size = usual if options.view_size is None else options.view_size
    return Settings(backbone, pooling, size, options.framing, options.method, insist=True)


def _standing(options: argparse.Namespace, session: "Session", settings: "Settings", score: float) -> str:
    """How high the score is for its network; empty where that is not known and not to be measured, and for two."""
    if settings.other is not None:
        return ""
    from simvis_app.service.references import References
    from simvis_app.service.words import stands

    references = References(session)
    reference = references.measured(settings) if options.standing else references.held(settings)
    return "" if reference is None else stands(score, reference)


def _told(done: int, count: int) -> None:
    """How far the masks are: on one line of a terminal, elsewhere once as it begins."""
    if sys.stderr.isatty():
        print(f"\r{done} of {count} masked pictures", end="\n" if done == count else "", file=sys.stderr, flush=True)
    elif done == 0:
        print(f"running {count} masked pictures", file=sys.stderr, flush=True)
