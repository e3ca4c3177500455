"""What the Attributes tab says, as HTML."""

import html
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from simvis_app.page.pair.asked import PairAsked
from simvis_app.service import words
from simvis_app.service.attributes.asking import SIDES_SEEN, PairInWords, with_attributes
from simvis_app.service.attributes.telling import apart, phi, terms_in_units, weights_line, why_not
from simvis_core.attributes.ranker import NO_ATTRIBUTE, AttributeTerms

FEWER = "Drop a picture into both places of the Compare tab first."
TERMS_SAID = {
    "confidence": "how sure the network is of it",
    "overlap": "how far the similarity map lies where it is",
    "prior": "how often more of it raises a score",
}


def without(label: str) -> str:
    """Why a network has no attributes, and which have."""
    having = " or ".join(words.network_label(name) for name in with_attributes())
    return (
        f"{label} has no attributes: an attribute is a set of ImageNet classes, and the network must have kept the "
        f"classifier that tells them. Choose {having} as the backbone on the Compare tab."
    )


def pair_line(found: PairInWords, asked: PairAsked) -> str:
    """Which pair is told, and that it is seen as the attributes were learnt where the Compare tab sees it otherwise."""
    assert asked.files is not None
    a, b = (html.escape(Path(file).name) for file in asked.files)
    network, side = found.pair.network, found.known.short_side
    how = f"{html.escape(str(network.pooling))} pooling, views of {side} pixels"
    said = (
        f"<p>Pictures <b>{a}</b> and <b>{b}</b>: score <b>{words.three(found.pair.score)}</b> under "
        f"{html.escape(network.name)}, {how}.</p>"
    )
    own = (str(network.pooling), side)
    seen = (asked.pooling, network.preprocess.whole_cells(asked.short_side))
    other = (
        ""
        if own == seen
        else f"The Compare tab shows this pair under {seen[0]} pooling at {seen[1]} pixels; attributes were learnt "
        f"under {own[0]} at {own[1]}, so it is told as it is seen so."
    )
    return words.warning(other, *found.pair.warnings) + said


def sentence(found: PairInWords) -> str:
    """The pair in words, large; below, what lacks where nothing explains it, and how often such words are right."""
    ranking = found.ranking
    said = ranking.sentence()
    best = ranking.attributes[0]
    score, needed = apart(best.score, ranking.threshold)
    lacks = (
        f" The best, {html.escape(best.name)}, reaches {score}; an attribute is named from {needed} on."
        if said == NO_ATTRIBUTE
        else ""
    )
    return (
        f'<h2 class="in-words">{html.escape(said[0].upper() + said[1:])}.</h2>'
        f'<p class="measured-words">{lacks} {_measured(found.known.tested.get(found.preset, {}))}</p>'
    )


def _measured(tested: Mapping[str, Any]) -> str:
    """How often the words of this network and preset were right on photographs that nothing was learnt on."""
    if not tested:
        return ""
    right, all_same = tested["named_is_true"], tested["named_of_pairs_that_do_not"]
    between = (
        "" if right["low"] is None else f" (95 % interval {100 * right['low']:.0f} to {100 * right['high']:.0f} %)"
    )
    return (
        f"Take it as a hint: on labelled photographs of other things, what is named first is true of both pictures in "
        f"{100 * right['mean']:.0f} % of the cases{between}, and of pairs that share no attribute "
        f"{100 * all_same['mean']:.0f} % get one all the same."
    )


def why(found: PairInWords, name: str) -> str:
    """The place of an attribute, and why it is named or not: the sentence that the command prints."""
    ranking = found.ranking
    place = f"Place {ranking.place(name)} of {len(ranking.attributes)}. "
    return f'<p class="why-not">{place}{html.escape(why_not(ranking, name))}.</p>'


def bars(found: PairInWords, name: str) -> str:
    """An attribute's three terms as bars of 0..1, each with its weight, and as it was in its own unit; then the sum."""
    ranking = found.ranking
    one, best = ranking.attributes[ranking.place(name) - 1], ranking.attributes[0]
    other, units = None if one is best else best, terms_in_units(found, one)
    beside = f'<p class="beside">The thin lines mark the best attribute, {html.escape(best.name)}.</p>' if other else ""
    rows = "".join(
        _bar(term, TERMS_SAID[term], getattr(one, term), getattr(other, term, None), units[term])
        for term in phi(ranking)
    )
    needed = f"{weights_line(ranking)}: the dashed line"
    total = _bar("explains", _sum(found, one), one.score, getattr(other, "score", None), needed, ranking.threshold)
    return f'<div class="term-bars">{rows}{total}</div>{beside}'


def _bar(name: str, said: str, value: float, other: float | None, unit: str, threshold: float | None = None) -> str:
    marks = "".join(
        f'<i class="{kind}" style="left:{100 * min(at, 1):.1f}%"></i>'
        for kind, at in (("other", other), ("needed", threshold))
        if at is not None
    )
    return (
        f'<div class="term-bar" data-term="{name}"><p><b>{name}</b> <b class="value">{value:.2f}</b> '
        f"<span>{html.escape(said)}</span></p>"
        f'<div class="track" aria-hidden="true"><i class="fill" style="width:{100 * value:.1f}%"></i>{marks}</div>'
        f'<p class="unit">{html.escape(unit)}</p></div>'
    )


def _sum(found: PairInWords, one: AttributeTerms) -> str:
    return "= " + " + ".join(f"{weight:.2f} x {getattr(one, term):.2f}" for term, weight in phi(found.ranking).items())


def own_note(found: PairInWords) -> str:
    """What the similarity maps are, with their verdict."""
    verdict = words.VERDICTS[found.pair.verdict]
    both = SIDES_SEEN[found.preset] == 2
    read = "Red speaks for it, blue against it." if both else "This preset looks at picture A only."
    return f"{verdict[0].upper()}{verdict[1:]}. {read}"


def where_note(found: PairInWords) -> str:
    """What an attribute's maps are, with their verdict."""
    verdict = found.known.model.verdict
    return f"{verdict[0].upper()}{verdict[1:]}. Red: the attribute is here; blue: its contrary."


def caption(found: PairInWords) -> str:
    """What the table says above."""
    return f"All {len(found.ranking.attributes)} attributes, best first. Choose one to see where it is and why."


def dividing(found: PairInWords) -> str:
    """What stands between the attributes that explain and the others."""
    learnt = "" if found.ranking.own_weights else ", which was learnt for other weights"
    return f"Below {words.three(found.ranking.threshold)}{learnt}: not enough to be named"


def weights_note(found: PairInWords) -> str:
    """Whose weights these are."""
    if found.ranking.own_weights:
        return "<p>As learnt for this network and preset.</p>"
    return (
        "<p><b>Your weights.</b> The threshold and the figures about how often words are right belong to the learnt "
        "ones.</p>"
    )
