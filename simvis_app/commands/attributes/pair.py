"""`attributes A B`: why two pictures are similar, in words, with every term of every attribute in the open."""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from simvis_app.commands.options import network_options, positive
from simvis_app.service import defaults

if TYPE_CHECKING:
    from simvis_app.service.attributes.asking import DrawnMaps, PairInWords
    from simvis_app.service.sessions.session import Session, Settings

_SIDES: Final[tuple[Literal["a"], Literal["b"]]] = ("a", "b")
HEADINGS = ("explains", "confidence", "overlap", "prior")


def add(pair: argparse.ArgumentParser) -> None:
    """Adds the command's flags."""
    pair.add_argument("a", metavar="A", help="a picture file")
    pair.add_argument("b", metavar="B", help="a picture file")
    pair.add_argument(
        "--backbone",
        help=f"efficientnet_lite0 or efficientnet_lite2, which have a classifier (default: {defaults.BACKBONE})",
    )
    pair.add_argument(
        "--attributes", type=Path, metavar="DIR", help="your own attributes instead, as `attributes learn` wrote them"
    )
    pair.add_argument("--framing", default=defaults.FRAMING, help=defaults.FRAMINGS_SAID)
    pair.add_argument(
        "--preset",
        default="simvis",
        help="sane, the paper's: cosine of both maps' positive parts, in the first picture; or simvis: the share of "
        "the signed map above an even one's, in both pictures (default: simvis)",
    )
    pair.add_argument(
        "--explainer",
        metavar="NAME",
        help="what draws the maps that attributes are to fit, such as rise or corr_rise (default: the pair's own maps)",
    )
    pair.add_argument(
        "--weights",
        nargs=3,
        type=float,
        metavar=("CONFIDENCE", "OVERLAP", "PRIOR"),
        help="what each term counts (default: as learnt)",
    )
    pair.add_argument("--top", type=positive, default=5, metavar="N", help="attributes that are printed (default: 5)")
    pair.add_argument("--why-not", action="append", default=[], metavar="NAME", help="print this attribute too")
    pair.add_argument("--json", action="store_true", help="print every attribute as JSON instead")
    pair.add_argument(
        "--out", metavar="DIR", help="write the JSON, a table of all terms, and the attributes' maps there"
    )
    network_options(pair)


def run(options: argparse.Namespace) -> None:
    """Prints the sentence and the terms behind it, and writes what was asked for."""
    from simvis_app.commands.opening import session_of
    from simvis_app.service.attributes.asking import AttributeAnswers, AttributesAsked
    from simvis_app.service.attributes.telling import in_words_files, in_words_json

    _name_network(options)
    session, backbone = session_of(options)
    answers = AttributeAnswers(session, options.attributes)
    settings = answers.settings(backbone, options.framing)
    for warning in session.explain_fully(options.a, options.b, settings).warnings:
        print(f"simvis: {warning}", file=sys.stderr)
    asked = AttributesAsked(options.preset, options.weights and tuple(options.weights))
    drawn = None if options.explainer is None else _drawn(options, session, settings)
    found = answers.explained((options.a, options.b), backbone, options.framing, asked, drawn)
    places = [found.ranking.place(name) for name in options.why_not]
    if options.json:
        print(json.dumps(in_words_json(found), indent=2))
    else:
        _print(options, found, places)
    if options.out is not None:
        _write(options.out, in_words_files(found))


def _name_network(options: argparse.Namespace) -> None:
    """Who names no network means the one that learnt the attributes."""
    from model_zoo.attributes.learning import network_of_attributes

    if options.attributes is not None and options.backbone is None and options.checkpoint is None:
        options.backbone = network_of_attributes(options.attributes)


def _drawn(options: argparse.Namespace, session: "Session", settings: "Settings") -> "DrawnMaps":
    """Each picture's map by the explainer that is asked for."""
    from simvis_app.service.attributes.asking import DrawnMaps
    from simvis_core.explainers.table import check_parameters, drawing
    from simvis_core.steps import run as run_steps

    inside = check_parameters(options.explainer, {}).looks_inside
    maps = []
    for side in _SIDES:
        question = session.question(options.a, options.b, settings, side)
        asked = replace(question, network=session.eager(settings)) if inside else question
        print(f"drawing the map of {side.upper()} by {options.explainer}", file=sys.stderr, flush=True)
        maps.append(run_steps(session.in_turn(drawing(options.explainer, asked))).map)
    return DrawnMaps(options.explainer, *maps)


def _print(options: argparse.Namespace, found: "PairInWords", places: Sequence[int]) -> None:
    from simvis_app.service.attributes.telling import weights_line, why_not

    ranking = found.ranking
    print(f"score {found.pair.score:.6f}: {ranking.sentence()}")
    wanted = sorted({*range(1, min(options.top, len(ranking.attributes)) + 1), *places})
    rows = {place: ranking.attributes[place - 1] for place in wanted}
    width = max(len(one.name) for one in rows.values())
    print(f"{'':>4}  {'':<{width}}  {'  '.join(HEADINGS)}")
    for place, one in rows.items():
        numbers = zip((one.score, one.confidence, one.overlap, one.prior), HEADINGS, strict=True)
        print(f"{place:>4}  {one.name:<{width}}  {'  '.join(f'{value:>{len(head)}.2f}' for value, head in numbers)}")
    print(weights_line(ranking))
    for name in options.why_not:
        print(why_not(ranking, name))
    print(f"maps of attributes: {found.known.model.verdict}")


def _write(folder: str, files: Mapping[str, bytes]) -> None:
    from simvis_core.files.writing import write_folder

    for path in write_folder(folder, files):
        print(path)
