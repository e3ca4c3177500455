"""`attributes A B`: why two pictures are similar, in words, with every term of every attribute in the open."""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Literal

from simvis_app.commands.options import network_options, positive
from simvis_app.service import defaults

if TYPE_CHECKING:
    from model_zoo.attributes.fitted import FittedAttributes
    from simvis_app.service.sessions.session import Session, Settings
    from simvis_core.attributes.ranker import AttributeRanking, AttributeTerms, Phi
    from simvis_core.pairs.explanation import PairExplanation

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
    from model_zoo.attributes.fitted import attributes_of
    from simvis_app.commands.opening import session_of

    session, backbone = session_of(options)
    known = attributes_of(backbone, session.network(backbone))
    settings = _pair_settings(options, session, backbone, known.short_side)
    pair = session.explain_fully(options.a, options.b, settings)
    for warning in pair.warnings:
        print(f"simvis: {warning}", file=sys.stderr)
    ranking = known.explain(pair, options.preset, _weights(options), _saliencies(options, session, settings))
    places = [ranking.place(name) for name in options.why_not]
    told = _told(options, pair, ranking, known)
    if options.json:
        print(json.dumps(told, indent=2))
    else:
        _print(options, pair, ranking, places)
        print(f"maps of attributes: {known.model.verdict}")
    if options.out is not None:
        _write(options.out, told, pair, known)


def _pair_settings(options: argparse.Namespace, session: "Session", backbone: str, short_side: int) -> "Settings":
    from simvis_app.service.sessions.session import Settings

    return Settings(backbone, str(session.network(backbone).trained_pooling), short_side, options.framing)


def _weights(options: argparse.Namespace) -> "Phi | None":
    from simvis_core.attributes.ranker import Phi

    return None if options.weights is None else Phi(*options.weights)


def _saliencies(options: argparse.Namespace, session: "Session", settings: "Settings") -> tuple[Any, Any] | None:
    """Each picture's map by the explainer that is asked for; None for the pair's own."""
    from simvis_core.explainers.table import check_parameters, drawing
    from simvis_core.steps import run as run_steps

    if options.explainer is None:
        return None
    inside = check_parameters(options.explainer, {}).looks_inside
    maps = []
    for side in _SIDES:
        question = session.question(options.a, options.b, settings, side)
        asked = replace(question, network=session.eager(settings)) if inside else question
        print(f"drawing the map of {side.upper()} by {options.explainer}", file=sys.stderr, flush=True)
        maps.append(run_steps(session.in_turn(drawing(options.explainer, asked))).map)
    return maps[0], maps[1]


def _told(
    options: argparse.Namespace, pair: "PairExplanation", ranking: "AttributeRanking", known: "FittedAttributes"
) -> dict[str, Any]:
    """The answer as plain JSON; beside each prior the share of pairs it was made of, and its corrected p-value."""
    priors = {name: {"prior_share": one.share, "prior_p": one.p} for name, one in known.priors.items()}
    return {
        "sentence": ranking.sentence(),
        "chosen": [one.name for one in ranking.chosen()],
        "score": pair.score,
        "preset": options.preset,
        "explainer": options.explainer or "the pair's own maps",
        "weights": _phi(ranking),
        "threshold": ranking.threshold,
        "threshold_is_of_these_weights": ranking.own_weights,
        "maps_of_attributes": known.model.verdict,
        "attributes": [one._asdict() | priors[one.name] for one in ranking.attributes],
    }


def _print(
    options: argparse.Namespace, pair: "PairExplanation", ranking: "AttributeRanking", places: Sequence[int]
) -> None:
    print(f"score {pair.score:.6f}: {ranking.sentence()}")
    wanted = sorted({*range(1, min(options.top, len(ranking.attributes)) + 1), *places})
    rows = {place: ranking.attributes[place - 1] for place in wanted}
    width = max(len(one.name) for one in rows.values())
    print(f"{'':>4}  {'':<{width}}  {'  '.join(HEADINGS)}")
    for place, one in rows.items():
        numbers = zip((one.score, one.confidence, one.overlap, one.prior), HEADINGS, strict=True)
        print(f"{place:>4}  {one.name:<{width}}  {'  '.join(f'{value:>{len(head)}.2f}' for value, head in numbers)}")
    weights = ", ".join(f"{name} {value:.2f}" for name, value in _phi(ranking).items())
    learnt = "" if ranking.own_weights else " (learnt for other weights)"
    print(f"weights: {weights}; an attribute explains from {ranking.threshold:.2f}{learnt}")
    for place in places:
        print(_why_not(ranking, ranking.attributes[place - 1]))


def _why_not(ranking: "AttributeRanking", one: "AttributeTerms") -> str:
    """What an attribute lacks: to the threshold, and to the best one in the term where most is missing."""
    best = ranking.attributes[0]
    if one in ranking.chosen():
        return f"{one.name}: it is named"
    if one.score >= ranking.threshold:
        return f"{one.name}: it explains too, but others do better; {best.name} by {best.score - one.score:.2f}"
    short = f"{one.name}: not named, {one.score:.2f} lies below {ranking.threshold:.2f}"
    missing = {name: phi * (getattr(best, name) - getattr(one, name)) for name, phi in _phi(ranking).items()}
    worst = max(missing, key=lambda name: missing[name])
    if missing[worst] <= 0:
        return f"{short}, as the best does"
    return f"{short}; its {worst} is {getattr(one, worst):.2f}, that of {best.name} {getattr(best, worst):.2f}"


def _phi(ranking: "AttributeRanking") -> dict[str, float]:
    return ranking.weights._asdict()


def _write(folder: str, told: Mapping[str, Any], pair: "PairExplanation", known: "FittedAttributes") -> None:
    from simvis_core.files.writing import array, manifest_json, npz, table, write_folder

    maps = {
        f"{side} {name}": array(map)
        for side, seen in zip(_SIDES, (pair.activations_a, pair.activations_b), strict=True)
        for name, map in zip(known.model.names, known.model.activation_maps(seen), strict=True)
    }
    files = {
        "attributes.json": manifest_json(told),
        "terms.csv": table(list(told["attributes"][0]), told["attributes"]),
        "attribute_maps.npz": npz(maps),
    }
    for path in write_folder(folder, files):
        print(path)
