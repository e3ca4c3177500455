"""What the panel says of concepts, the mean and the residual."""

import html
from collections.abc import Sequence

from simvis_app.service import words
from simvis_app.service.concepts import MEAN, RESIDUAL
from simvis_core import SimvisError
from simvis_core.attributes.concepts import ConceptPair, ConceptTotals
from simvis_core.attributes.dictionaries.dictionary import UNNAMED

SHARED = "what all pictures share"
REST = "in no concept"
OTHERS = "all others"
MATRIX = "Which concept of A goes with which of B"
FIRES = "Where this concept fires most in the sample photographs, strongest first; the cell is framed:"


def title(split: ConceptPair, of: int) -> str:
    """What a part is called: a concept's name with its number, since two may have one name."""
    if of in (MEAN, RESIDUAL):
        return {MEAN: SHARED, RESIDUAL: REST}[of]
    name = split.dictionary.name(of)
    return f"{name} concept, no. {of}" if name == UNNAMED else f"{name} (concept {of})"


def choice(split: ConceptPair, of: int) -> str:
    """A part in the list: its name and what it carries."""
    carried = _carried(split.mean_totals, of)
    return f"{title(split, of)}: {words.number(carried)} ({words.percent(carried, split.mean_totals.score)})"


def said(split: ConceptPair, listed: int) -> str:
    """The sum: how many concepts carry how much, the mean, and what is in none."""
    totals = split.mean_totals
    firing = int((totals.concepts != 0).sum())
    named = float(totals.concepts.sum())
    more = f", the strongest {listed} of them below" if firing > listed else ""
    parts = [
        f"{firing} of {split.dictionary.size} concepts carry {words.of_score(named, totals.score)}{more}",
        f"{SHARED}, {words.number(totals.mean)} ({words.percent(totals.mean, totals.score)})",
        f"{REST}, {words.number(totals.residual)} ({words.percent(totals.residual, totals.score)})",
    ]
    return f"<p>{'; '.join(parts)}. These add up to the score.</p>"


def matrix(split: ConceptPair, count: int) -> str:
    """Which concept of A goes with which of B, as a table in a fold: the strongest ones, and all others together.

    It sums to what concepts alone carry; what the mean or what is in no concept has part in is told below.
    """
    listed = split.strongest(count).tolist()
    others = [of for of in range(split.dictionary.size) if of not in listed]
    groups = [([of], html.escape(title(split, of))) for of in listed] + ([(others, OTHERS)] if others else [])
    head = "".join(f"<th scope='col'>{name}</th>" for _, name in groups)
    rows = "".join(
        f"<tr><th scope='row'>{name}</th>"
        + "".join(f"<td>{words.number(float(split.matrix[of][:, to].sum()))}</td>" for to, _ in groups)
        + "</tr>"
        for of, name in groups
    )
    both, score = float(split.matrix.sum()), split.mean_totals.score
    return (
        f"<details><summary>{MATRIX}</summary><div class='wide'><table class='measured'>"
        f"<thead><tr><th scope='col'>A, down; B, across</th>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
        f"<p>Together {words.of_score(both, score)}. In the rest, {words.number(score - both)}, {SHARED} or what is "
        f"{REST} has part on one side.</p></details>"
    )


def note(split: ConceptPair, of: int) -> str:
    """What a part carries in each direction, and how much of that is in no cell."""
    both = _carried(split.mean_totals, of)
    a, b = (_carried(split.totals(side), of) for side in ("a", "b"))
    told = f"It carries {words.of_score(both, split.mean_totals.score)}: {words.number(a)} on A's map, "
    told += f"{words.number(b)} on B's"
    if of < 0:
        return f"{told}."
    codes = split.split_a.codes[of], split.split_b.codes[of]
    return f"{told}. Its strength is {words.number(float(codes[0]))} in A, {words.number(float(codes[1]))} in B."


def places(split: ConceptPair, of: int, pictures: Sequence[str]) -> str:
    """The sample photographs' places that fire a concept most."""
    if not pictures:
        return ""
    name = html.escape(split.dictionary.name(of))
    shown = "".join(
        f'<img src="{picture}" alt="{place}. place where {name} fires">' for place, picture in enumerate(pictures, 1)
    )
    return f"<p>{FIRES}</p><div>{shown}</div>"


def without(error: SimvisError) -> str:
    """Why there are no concepts to show."""
    return f"<p>No concepts here: {html.escape(str(error))}</p>"


def _carried(totals: ConceptTotals, of: int) -> float:
    if of == MEAN:
        return totals.mean
    return totals.residual if of == RESIDUAL else float(totals.concepts[of])
