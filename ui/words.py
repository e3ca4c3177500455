"""Sentences about results, for the page."""

import html

import model_zoo
from simvis_core import PairExplanation, half_share
from simvis_core.pairs import SIDES

VERDICTS = {
    "exact": "exact: the cells add up to the score",
    "exact at this input": "exact at this input: the head's statistics are frozen at these pictures",
    "black box": "black box: this network's score is no sum over cells",
}
METHOD_LABELS = {
    "last-block values": "last-block values (at once)",
    "sliding window": "sliding window (seconds)",
    "RISE": "RISE (minutes)",
}
METHODS = {
    "decomposition": "",
    "last-block values": "Map by last-block values, an estimate: what each place gave to the network's class token in "
    "its last block. What the token had gathered in the blocks before is left out.",
    "sliding window": "Map by a sliding window: how much the score falls while a window around the place is hidden. "
    "These falls need not add up to the score.",
    "RISE": "Map by RISE: how much higher the score is, on average, while the place is shown among random masks. "
    "These differences need not add up to the score.",
    "none": "No map yet.",
}
INNER_NAMES = {"token": "its class token", "own": "a pooling of its own"}
SUMS = {
    "decomposition": ("in the pictures", "from the bias"),
    "last-block values": ("in the map", "that it leaves out"),
}
UNITS = {
    "decomposition": "share of the score, per cell",
    "last-block values": "share of the score, per cell",
    "sliding window": "fall of the score while hidden",
    "RISE": "rise of the score while shown",
    "none": "",
}


def number(value: float) -> str:
    """Three decimals, or two significant digits for what would vanish."""
    if value == 0 or abs(value) >= 0.0095:
        return three(value)
    return f"{value:.2g}"


def three(value: float) -> str:
    """Three decimals; what rounds to zero has no sign."""
    return f"{round(value, 3) + 0.0:.3f}"


def percent(part: float, whole: float) -> str:
    """``4.2 %`` of the whole; nothing where the whole is 0."""
    return f"{100 * part / whole:.1f} %" if whole else ""


def of_score(part: float, score: float) -> str:
    """``0.031 of 0.742, 4.2 %``."""
    return ", ".join(text for text in (f"{number(part)} of {number(score)}", percent(part, score)) if text)


def score_line(pair: PairExplanation) -> str:
    """The score, large, with its name."""
    return f'<span class="big">{three(pair.score)}</span> <span class="unit">similarity score (cosine, -1 to 1)</span>'


def ledger_line(pair: PairExplanation) -> str:
    """``0.69 in the pictures + 0.05 from the bias = 0.74``: rounded, and adding up. Then verdict and what-if."""
    parts = (_sum(pair), f"<em>{VERDICTS[pair.verdict]}</em>", METHODS[pair.method], what_if(pair))
    return " &middot; ".join(part for part in parts if part)


def _sum(pair: PairExplanation) -> str:
    if pair.method not in SUMS:
        return ""
    score = round(pair.score, 3)
    bias = round(pair.score - pair.ledger["cells_cells"], 3)
    sign = "-" if bias < 0 else "+"
    inside, outside = SUMS[pair.method]
    return f"{three(score - bias)} {inside} {sign} {three(abs(bias))} {outside} = {three(score)}"


def progress(done: int, count: int, seconds: float) -> str:
    """How far the masks are after some seconds, as a bar with its numbers; nothing when there are none to run."""
    if not count:
        return ""
    left = f", about {duration(seconds / done * (count - done))} left" if done else ""
    text = f"Drawing the map: {done} of {count} masked pictures{left}"
    return f'<label class="progress">{text} <progress value="{done}" max="{count}">{text}</progress></label>'


def concentration(pair: PairExplanation) -> str:
    """How few cells carry half of the score in either picture."""
    parts = []
    for side in SIDES:
        share = half_share(pair.side(side)[2], pair.score)
        if share is None:
            return "no number of cells carries half of the score"
        parts.append(f"{100 * share:.0f} % of {side.upper()}'s cells")
    return f"half of the score: {', '.join(parts)}"


def what_if(pair: PairExplanation) -> str:
    """Says that a pooling is not the one the head was trained with; empty where it is."""
    trained = str(pair.network.trained_pooling)
    return "" if trained == str(pair.network.pooling) else f"what-if: trained with {INNER_NAMES.get(trained, trained)}"


def notice(text: str) -> str:
    """Plain text as a visible notice; it may quote a file name, so it is escaped."""
    return f'<div role="alert" class="notice">{html.escape(text)}</div>' if text else ""


def duration(seconds: float) -> str:
    """``20 s`` or ``3 min``."""
    return f"{max(1, round(seconds))} s" if seconds < 90 else f"{round(seconds / 60)} min"


def report(text: str) -> str:
    """What a load did, as a quiet notice."""
    return f'<div role="status" class="report">{html.escape(text)}</div>'


def network_label(name: str) -> str:
    """The network's title, with what it downloads."""
    card = model_zoo.card(name)
    return card.title if card.bundled else f"{card.title} (downloads {size(card)})"


def size(card: model_zoo.ModelCard) -> str:
    """How much a card downloads, as far as it is known before."""
    return f"{card.weights.megabytes:.0f} MB" if card.weights.megabytes else "its weights"


def card_text(name: str) -> str:
    """A card as Markdown."""
    card = model_zoo.card(name)
    pooling = f"Trained with {card.pooling} pooling, head: {card.head}."
    return (
        f"**{card.title}**. {card.note}\n\nTask: {card.task}. {pooling} Licence of the weights: {card.licence}. "
        f"Source: {card.origin}. Paper: {card.paper}."
    )
