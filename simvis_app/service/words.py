"""Sentences about results, for the page."""

import html
from collections.abc import Mapping, Sequence

import model_zoo
from simvis_core import Decomposition, PairExplanation, half_share
from simvis_core.explainers.masks import MASKED
from simvis_core.files import numbers as written
from simvis_core.galleries.classes import ClassMembers
from simvis_core.galleries.curves import LEAST_SCORE, MeanCurve
from simvis_core.galleries.indexing import Progress
from simvis_core.pairs.sides import SIDES
from simvis_core.pairs.standing import Reference, standing
from simvis_core.stores.contract import Space

number, three, percent, of_score = written.number, written.three, written.percent, written.of_score
VERDICTS = {
    "exact": "exact: the cells add up to the score",
    "exact at this input": "exact at this input: the head's statistics are frozen at these pictures",
    "black box": "black box: this network's score is no sum over cells",
}
METHOD_LABELS = {"last-block values": "last-block values (at once)"} | {
    str(name): f"{name} ({method.waits})" for name, method in MASKED.items()
}
METHODS = {
    "decomposition": "",
    "last-block values": "Map by last-block values, an estimate: what each place gave to the network's class token in "
    "its last block. What the token had gathered in the blocks before is left out.",
    "none": "No map yet.",
} | {str(name): method.says for name, method in MASKED.items()}
INNER_NAMES = {"token": "its class token", "own": "a pooling of its own"}


# From this share of unrelated pairs on, a score that is higher is called so.
LEVELS = (
    (0.99, "Far more alike than unrelated pictures"),
    (0.9, "More alike than most unrelated pictures"),
    (0.6, "Only a little more alike than unrelated pictures"),
    (0.0, "No more alike than unrelated pictures"),
)
TELLS_APART = 0.7  # of a network's separation: .5 is a coin's
YOURS = "Your picture"
MEASURING = "How high this is for this network is being measured on the reference pictures."
TO_BE_SAID = '<p class="said-in-words">&nbsp;</p>'  # holds the place of a line
LISTED_SKIPPED = 20  # files that indexing left out


def toast(error: Exception) -> str:
    """A mistake for one of Gradio's toasts, which take their text for HTML: a name in it stays text."""
    return html.escape(str(error), quote=False)


def score_line(pair: PairExplanation, stands: str = "") -> str:
    """How the score stands in plain words, if that is known; then the score, large, with its name."""
    said = f'<p class="standing">{html.escape(stands)}</p>' if stands else ""
    name = '<span class="unit">similarity score (cosine, -1 to 1)</span>'
    return f'{said}<span class="big">{three(pair.score)}</span> {name}'


def stands(score: float, reference: Reference) -> str:
    """How high a score is for its network: beside pairs of unrelated pictures and of pictures of one class."""
    found = standing(score, reference)
    shares = (
        f"higher than {whole_percent(found.above_different)} of the pairs of unrelated reference pictures, and than "
        f"{whole_percent(found.above_same)} of the pairs of one class"
    )
    if reference.separation < TELLS_APART:
        return (
            f"Mind: this network hardly tells the reference pictures' classes apart "
            f"(unrelated pairs score {three(reference.different[len(reference.different) // 2])} too); "
            f"the score is {shares}."
        )
    level = next(words for least, words in LEVELS if found.above_different >= least)
    return f"{level} for this network: {shares}."


def whole_percent(share: float) -> str:
    """``63 %``; what is nearly all or nearly nothing is not rounded to it."""
    percent = 100 * share
    if 0 < percent < 1 or 99 < percent < 100:
        return "under 1 %" if percent < 1 else "over 99 %"
    return f"{percent:.0f} %" if percent < 100 else "all"


def in_words(sentence: str) -> str:
    """A pair's attributes in a line, and where more is told of them."""
    said = html.escape(sentence[0].upper() + sentence[1:])
    return f'<p class="said-in-words"><b>{said}</b> <span>(see Attributes)</span></p>'


def ledger_line(pair: PairExplanation) -> str:
    """``0.69 in the pictures + 0.05 from the bias = 0.74``: rounded, and adding up. Then verdict and what-if."""
    parts = (_sum(pair), f"<em>{VERDICTS[pair.verdict]}</em>", METHODS[pair.method], what_if(pair))
    return " &middot; ".join(part for part in parts if part)


def _sum(pair: PairExplanation) -> str:
    return written.sum_of(pair.method, pair.score, pair.ledger["cells_cells"])


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


def warning(*sentences: str) -> str:
    """What to mind of a picture, as a quiet notice beside its answer; nothing where there is nothing."""
    said = " ".join(sentence for sentence in sentences if sentence)
    return f'<div role="status" class="notice">{html.escape(said)}</div>' if said else ""


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


def ranked_by(region: float | None) -> str:
    """What pictures are ranked by: the whole picture, or a region that carries so much of its score with itself, 1."""
    if region is None:
        return "by their score with the whole picture"
    return (
        "by the share of the score that the marked region carries; "
        f"with your own picture it carries {number(region)} of 1"
    )


def search_status(left_out: bool = False, near: bool = False) -> str:
    """Whether the query's own file is in the gallery, and whether a graph was searched; empty for neither."""
    own = ["Your own file is in the gallery and left out."] if left_out else []
    own += ["So many are searched along a graph, which may miss some."] if near else []
    return f"<p>{' '.join(own)}</p>" if own else ""


def estimate(picture: Decomposition) -> str:
    """What a black box's maps are, and how much they leave out of the picture's score with itself; else nothing."""
    if picture.verdict != "black box":
        return ""
    if picture.method == "none":
        none = "this network's score is no sum over places, so there are no maps and no regions."
        return f"<p><em>black box</em>: {none}</p>"
    left_out = float(picture.bias @ picture.embedding)
    return (
        f"<p><em>black box</em>: {METHODS[picture.method]} Of your picture's score with itself, 1, the map leaves out "
        f"{three(left_out)}.</p>"
    )


def region_note(share: float, cosine: float) -> str:
    """What a hit's number is a part of."""
    part = percent(share, cosine)
    return f"of the whole score {three(cosine)}" + (f" ({part})" if part else "")


def signed(value: float) -> str:
    """A difference with its sign, three decimals, or two significant digits for what would vanish."""
    return number(value) if value < 0 else f"+{number(value)}"


def why(first: str, second: str, difference: float, mapped: bool = True, region: bool = False) -> str:
    """What the difference map of two hits says, in a sentence."""
    better = "more" if difference >= 0 else "less"
    who = "What you marked carries" if region else "Your picture scores"
    read = "In the middle, red places speak for the first, blue ones for the second."
    black = "This network is a black box: its score is no sum over places, so there is no map of the difference."
    return (
        f"<p>{who} {number(abs(difference))} {better} with <em>{html.escape(first)}</em> than with "
        f"<em>{html.escape(second)}</em>. {read if mapped else black}</p>"
    )


def why_one(name: str, lead: float, others: int, mapped: bool = True, region: bool = False) -> str:
    """What the map of one hit's lead over the others says, in a sentence."""
    better = "more" if lead >= 0 else "less"
    who = "What you marked carries" if region else "Your picture scores"
    read = "Red places of your picture speak for this hit, blue ones for the others."
    black = "This network is a black box: its score is no sum over places, so there is no map of the difference."
    mean = "the other hit" if others == 1 else f"the mean of the {others} other hits at the top"
    return (
        f"<p>{who} {number(abs(lead))} {better} with <em>{html.escape(name)}</em> than with {mean}. "
        f"{read if mapped else black} Press <em>Why this?</em> on a second hit to compare the two.</p>"
    )


def space_label(network: str, pooling: str, view: str) -> str:
    """What a gallery was indexed with."""
    known = network_label(network) if network in model_zoo.names() else network
    seen = view.removesuffix(" quick") if view.endswith(" quick") else f"{view}, reference resizing"
    return f"{known}, {pooling}, view {seen}"


def space_labels(spaces: Sequence[Space]) -> dict[str, str]:
    """What each space is called in a list, by its name; two of one label are told apart by their fingerprints."""
    labels = [space_label(space.network, space.pooling, space.view) for space in spaces]
    return {
        space.name: label if labels.count(label) == 1 else f"{label}, weights {space.fingerprint[:6]}"
        for space, label in zip(spaces, labels, strict=True)
    }


def file_name(file: str) -> str:
    """A file's own name with the folder it lies in."""
    return "/".join(file.replace("\\", "/").split("/")[-2:])


def indexing(progress: Progress) -> str:
    """How far an indexing run is, with its speed and the time left."""
    share = progress.done / max(1, progress.total)
    left = "" if progress.seconds_left is None else f", about {progress.seconds_left:.0f} s left"
    return (
        f'<progress value="{share:.3f}" max="1"></progress> {progress.done} of {progress.total} pictures, '
        f"{progress.rate:.1f} a second{left}"
    )


def waiting(gallery: str, progress: Progress) -> str:
    """Why there are no hits yet."""
    return f"<p>Gallery '{html.escape(gallery)}' is being indexed. {indexing(progress)}</p>"


def troubles(sentences: Sequence[str]) -> str:
    """What is damaged, each with what mends it; the rest goes on, so it is no alert."""
    lines = "".join(f"<p>{html.escape(sentence)}</p>" for sentence in sentences)
    return f'<div role="status" class="notice">Left out, the rest goes on: {lines}</div>' if lines else ""


def indexed(progress: Progress, stopped: bool) -> str:
    """What an indexing run did, with the files that were left out."""
    head = "Stopped; what is indexed stays, and indexing again goes on from here. " if stopped else ""
    files = "".join(
        f"<li>{html.escape(file_name(file))}: {html.escape(why)}</li>"
        for file, why in list(progress.skipped.items())[:LISTED_SKIPPED]
    )
    more = len(progress.skipped) - LISTED_SKIPPED
    rest = f"<li>and {more} more</li>" if more > 0 else ""
    listed = f"<ul>{files}{rest}</ul>" if files else ""
    return f"<p>{head}{html.escape(progress.sentence())}.</p>{listed}"


def class_status(members: ClassMembers) -> str:
    """How large and how close a class is."""
    count = len(members.rows)
    if count < 2:
        return "<p>One picture: nothing to be alike with.</p>"
    mean = float(members.typicality.mean())
    names = [html.escape(file_name(members.rows[at].file)) for at in (0, -1)]
    return (
        f"<p>{count} pictures with a mean score of {three(mean)} among them. "
        f"Most typical: {names[0]} ({three(float(members.typicality[0]))}); "
        f"least typical: {names[1]} ({three(float(members.typicality[-1]))}).</p>"
    )


def typical(rank: int, count: int) -> str:
    """What a member's number is, and whether it stands at an end."""
    if count < 2:
        return "alone in its class"
    ends = {0: "most typical, ", count - 1: "least typical, "}
    return f"{ends.get(rank, '')}mean score with the others"


def nearest_classes(nearest: list[tuple[str, int, float]], left_out: bool = False) -> str:
    """The classes a picture is nearest to, and whether its own file is in the gallery, and left out."""
    own = "<p>This file is in the gallery; the classes are taken without it.</p>" if left_out else ""
    first, _, score = nearest[0]
    listed = "".join(
        f"<li>{html.escape(label)}: {three(mean)} ({count} picture{'s' if count != 1 else ''})</li>"
        for label, count, mean in nearest
    )
    return (
        f"<p>Nearest class: <strong>{html.escape(first)}</strong>, with a mean score of {three(score)}.</p>"
        f"<ol>{listed}</ol>{own}"
    )


def curve_table(curves: Mapping[str, MeanCurve]) -> str:
    """The numbers beside the mean curves."""
    rows = "".join(
        f'<tr><th scope="row">{html.escape(name)}</th>'
        f"<td>{100 * curve.share():.1f} %</td><td>{three(curve.score)}</td>"
        f"<td>{curve.pairs}</td><td>{curve.left_out}</td></tr>"
        for name, curve in curves.items()
    )
    names = (
        "pairs of",
        "the 10 strongest features carry",
        "mean score",
        "pairs",
        f"left out (score under {LEAST_SCORE})",
    )
    heads = "".join(f'<th scope="col">{name}</th>' for name in names)
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"
