"""Sentences about results, for the page."""

from simvis_core import PairExplanation, half_share

VERDICTS = {
    "exact": "exact: the cells add up to the score",
    "exact at this input": "exact at this input: the head's statistics are frozen at these pictures",
    "black box": "black box: this network's score is no sum over cells",
}


def number(value: float) -> str:
    """Three decimals, or two significant digits for what would vanish."""
    if value == 0 or abs(value) >= 0.0095:
        return f"{value:.3f}"
    return f"{value:.2g}"


def percent(part: float, whole: float) -> str:
    """``4.2 %`` of the whole; nothing where the whole is 0."""
    return f"{100 * part / whole:.1f} %" if whole else ""


def of_score(part: float, score: float) -> str:
    """``0.031 of 0.742, 4.2 %``."""
    return ", ".join(text for text in (f"{number(part)} of {number(score)}", percent(part, score)) if text)


def score_line(pair: PairExplanation) -> str:
    """The score, large, with its name."""
    return f'<span class="big">{pair.score:.3f}</span> <span class="unit">similarity score (cosine, -1 to 1)</span>'


def ledger_line(pair: PairExplanation) -> str:
    """``0.690 in the pictures + 0.052 from the bias = 0.742``; the rounded numbers add up too. Then the verdict."""
    score = round(pair.score, 3)
    bias = round(pair.score - pair.ledger["cells_cells"], 3) + 0.0
    sign = "-" if bias < 0 else "+"
    sum_line = f"{score - bias:.3f} in the pictures {sign} {abs(bias):.3f} from the bias = {score:.3f}"
    return f"{sum_line} &middot; <em>{VERDICTS[pair.verdict]}</em>"


def concentration(pair: PairExplanation) -> str:
    """How few cells carry half of the score in either picture."""
    shares = {side.upper(): half_share(pair.side(side)[2], pair.score) for side in ("a", "b")}
    if None in shares.values():
        return "no number of cells carries half of the score"
    return "half of the score: " + ", ".join(f"{100 * share:.0f} % of {side}'s cells" for side, share in shares.items())


def what_if(pair: PairExplanation) -> str:
    """Says that a pooling is not the one the head was trained with; empty where it is."""
    trained = pair.network.trained_pooling
    return "" if str(trained) == str(pair.network.pooling) else f"what-if: trained with {trained}"
