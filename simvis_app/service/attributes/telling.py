"""Attributes of a pair as sentences, as JSON and as files, for the command, the API and the page."""

import re
from typing import Any

from simvis_app.service.attributes.asking import SIDES_SEEN, PairInWords
from simvis_core.attributes.ranker import TERMS, AttributeRanking, AttributeTerms
from simvis_core.files import writing
from simvis_core.files.colours import DEFAULT_COLOURS
from simvis_core.pairs.sides import SIDES
from simvis_core.pictures.overlays import common_scale, overlay

OWN_MAPS = "the pair's own maps"
LOWER = "; the lower of both pictures counts"


def phi(ranking: AttributeRanking) -> dict[str, float]:
    """What each term counts, by its name; together 1."""
    return ranking.weights._asdict()


def weights_line(ranking: AttributeRanking) -> str:
    """The weights, and from which score on an attribute explains; says where that was learnt for other weights."""
    weights = ", ".join(f"{name} {value:.2f}" for name, value in phi(ranking).items())
    learnt = "" if ranking.own_weights else " (learnt for other weights)"
    return f"weights: {weights}; an attribute explains from {ranking.threshold:.2f}{learnt}"


def why_not(ranking: AttributeRanking, name: str) -> str:
    """What an attribute lacks: to the threshold, and to the best one in the term where most is missing.

    Raises SimvisError for a name that is none.
    """
    one, best = ranking.attributes[ranking.place(name) - 1], ranking.attributes[0]
    if one in ranking.chosen():
        return f"{name}: it is named"
    if one.score >= ranking.threshold:
        return f"{name}: it explains too, but others do better; {best.name} by {best.score - one.score:.2f}"
    score, needed = apart(one.score, ranking.threshold)
    short = f"{name}: not named, {score} lies below {needed}"
    missing = {term: weight * (getattr(best, term) - getattr(one, term)) for term, weight in phi(ranking).items()}
    worst = max(missing, key=lambda term: missing[term])
    if missing[worst] <= 0:
        return f"{short}, as the best does"
    return f"{short}; its {worst} is {getattr(one, worst):.2f}, that of {best.name} {getattr(best, worst):.2f}"


def apart(lower: float, higher: float) -> tuple[str, str]:
    """Two numbers with two decimals, or with as many more as it takes to tell them apart."""
    return next(
        ((f"{lower:.{digits}f}", f"{higher:.{digits}f}") for digits in range(2, 7) if _differ(lower, higher, digits)),
        (repr(lower), repr(higher)),
    )


def _differ(lower: float, higher: float, digits: int) -> bool:
    return f"{lower:.{digits}f}" != f"{higher:.{digits}f}"


def terms_in_units(found: PairInWords, one: AttributeTerms) -> dict[str, str]:
    """Each term of an attribute as it was before it was brought to 0..1, with its unit, by the term's name."""
    lower = LOWER if SIDES_SEEN[found.preset] == 2 else ""
    prior = found.known.priors[one.name]
    overlap = {
        "sane": f"cosine {one.raw_overlap:.2f} of both maps' positive parts",
        "simvis": f"{100 * one.raw_overlap:+.1f} % of the similarity map, beyond what an even map has there",
    }[found.preset]
    side = "above" if one.raw_confidence >= 0 else "below"
    told = f"more of it raises the score of {100 * prior.share:.0f} % of validation pairs (p = {prior.p:.2g})"
    half = "" if prior.used == prior.share else "; that is too unsure, so it counts as one half"
    return {
        "confidence": f"{abs(one.raw_confidence):.2f} log-odds {side} the reference pictures'{lower}",
        "overlap": f"{overlap}{lower}",
        "prior": told + half,
    }


def in_words_json(found: PairInWords) -> dict[str, Any]:
    """The answer as plain JSON; beside each prior the share of pairs it was made of, and its corrected p-value."""
    ranking = found.ranking
    priors = {name: {"prior_share": one.share, "prior_p": one.p} for name, one in found.known.priors.items()}
    return {
        "sentence": ranking.sentence(),
        "chosen": [one.name for one in ranking.chosen()],
        "score": found.pair.score,
        "preset": found.preset,
        "explainer": found.explainer or OWN_MAPS,
        "weights": phi(ranking),
        "threshold": ranking.threshold,
        "threshold_is_of_these_weights": ranking.own_weights,
        "maps_of_attributes": found.known.model.verdict,
        "attributes": [one._asdict() | priors[one.name] for one in ranking.attributes],
    }


def attribute_json(found: PairInWords, name: str) -> dict[str, Any]:
    """One attribute: its place from 1 on, why it is named or not, and where it is in both pictures, rows of cells.

    Raises SimvisError for a name that is none.
    """
    maps = {f"map_{side}": map.tolist() for side, map in zip(SIDES, found.maps(name), strict=True)}
    return {"place": found.ranking.place(name), "why_not": why_not(found.ranking, name)} | maps


def in_words_files(found: PairInWords) -> dict[str, bytes]:
    """Everything as files by name: the JSON, a table of all terms, and every attribute's map of both pictures."""
    told = in_words_json(found)
    maps = {
        f"{side} {name}": writing.array(map)
        for side, shown in zip(SIDES, found.shown, strict=True)
        for name, map in zip(found.known.model.names, shown.maps, strict=True)
    }
    return {
        "attributes.json": writing.manifest_json(told),
        "terms.csv": writing.table(list(told["attributes"][0]), told["attributes"]),
        "attribute_maps.npz": writing.npz(maps),
    }


def picture_files(
    found: PairInWords, name: str, colours: str = DEFAULT_COLOURS, opacity: float = 0.85
) -> dict[str, bytes]:
    """The pair's own maps and one attribute's over both pictures as PNG, and what they belong to.

    ``SIDE_similarity.png`` are on one scale, ``SIDE_NAME.png`` on another; ``manifest.json`` tells both, and has the
    pair, its network and the versions. ``similarity_maps.npz`` are the pair's maps as numbers. Raises SimvisError for a
    name that is none.
    """
    own, where = (found.pair.map_a, found.pair.map_b), found.maps(name)
    rows = {"similarity": own, re.sub(r"\W+", "_", name): where}
    scales = {label: common_scale(*maps) for label, maps in rows.items()}
    pictures = {
        f"{side}_{label}.png": writing.png(overlay(found.pair.side(side)[0], map, scales[label], colours, opacity))
        for label, maps in rows.items()
        for side, map in zip(SIDES, maps, strict=True)
    }
    facts: dict[str, object] = {"attribute": name, "scales": scales, "terms": list(TERMS)}
    return pictures | {
        "similarity_maps.npz": writing.npz({side: writing.array(map) for side, map in zip(SIDES, own, strict=True)}),
        "manifest.json": writing.manifest_json(found.pair.manifest() | facts),
    }
