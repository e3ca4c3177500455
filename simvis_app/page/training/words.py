"""Sentences of the Training tab."""

import html
from collections.abc import Sequence

from model_zoo.training.gallery import gallery_name
from simvis_app.service import words
from simvis_app.service.series.folders import NONE, WholeSeries
from simvis_app.service.series.looking import StudyProgress
from simvis_core.files.numbers import three
from simvis_core.progress.queries.hits import QueriedStep, RightQueries, StepHit, Study

NOTES = {True: "right class", False: "another class", None: ""}
EMPTY = (
    "<p>There is no checkpoint series here yet. A series holds a network at several steps of its training; "
    f"{html.escape(NONE.replace('`', ''))}.</p>"
)
NOBODY = "<p>Choose a second series to see which queries one network gets right and the other wrong.</p>"


def title(hit: StepHit) -> str:
    """What a hit is called."""
    return hit.title or gallery_name(hit.picture)


def about(study: Study) -> str:
    """What was trained, and how it pools."""
    return f"{study.architecture}, {study.pooling} pooling"


def query_line(study: Study) -> str:
    """What is searched for, and what the pictures of a row are."""
    if study.watch:
        return "Each row is a pair that was watched while the network learned."
    name = "your picture" if study.own is None else gallery_name(study.own)
    return f"Searched for: {name}. In each pair below it stands on the left, the hit on the right."


def left_name(study: Study, hit: StepHit) -> str:
    """What the left picture of a row is, for whoever cannot see it."""
    return f"First picture of {title(hit)}" if study.watch else f"The query, as {title(hit)} matches it"


def without_maps(hit: StepHit) -> str:
    """Why a hit has no maps; empty where it has."""
    return f"No maps: {hit.gone}." if hit.gone else ""


def step_line(study: Study, one: QueriedStep, named: bool = False) -> str:
    """What is seen at a step, in one sentence or two; ``named`` where another series stands beside it."""
    begun = f"{study.name}, step {one.step.step}:" if named else f"At step {one.step.step}"
    if study.watch:
        return f"{begun} {_watched(study, one)}"
    if not one.hits:
        return f"{begun} the gallery holds nothing to be found."
    best, known = one.hits[0], [hit.right for hit in one.hits if hit.right is not None]
    said = f"{begun} the best hit is {title(best)} (score {three(best.score)})"
    if known:
        said += f"; {sum(known)} of {len(known)} hits are of the query's class"
    return f"{said}.{_focus(study, one)}"


def _watched(study: Study, one: QueriedStep) -> str:
    """What is seen of the watched pairs on average."""
    figures, first = one.step.figures, study.steps[0].step
    said = (
        f"the watched pairs score {three(figures['score'])} on average" if "score" in figures else "pairs were watched"
    )
    if "concentration" in figures:
        said += f"; half of it comes from {words.whole_percent(figures['concentration'])} of the places"
    before = first.figures.get("concentration")
    if before is not None and first.step != one.step.step and "concentration" in figures:
        said += f" ({words.whole_percent(before)} at step {first.step})"
    return f"{said}."


def _focus(study: Study, one: QueriedStep) -> str:
    """How narrow the map of the followed pair is, and was at the first step."""
    if one.pair is None or one.pair.concentration is None:
        return ""
    first = study.steps[0]
    here = f" Half of the query's score with {gallery_name(study.followed)} comes from "
    here += f"{words.whole_percent(one.pair.concentration)} of the places"
    if first is one or first.pair is None or first.pair.concentration is None:
        return f"{here}."
    return f"{here} ({words.whole_percent(first.pair.concentration)} at step {first.step.step})."


def progress(doing: str, told: StudyProgress) -> str:
    """How far a study is, as a bar and a sentence; ``doing`` names the series."""
    said = html.escape(f"{doing}: {told.doing}")
    return f'<p>{said}</p><progress aria-label="How far it is" max="{told.of}" value="{told.done}"></progress>'


def troubles(studies: Sequence[Study]) -> str:
    """What is left out of each series, and why."""
    sentences = [f"{study.name}: {one}" for study in studies for one in study.troubles]
    return words.warning(*sentences)


def series_line(whole: WholeSeries, carried: bool, count: int) -> str:
    """What a series is, as HTML."""
    series, steps = whole.series, [one.step for one in whole.steps]
    facts = [f"{series.architecture}", f"trained with {series.pooling or 'its own'} pooling"]
    loss = series.about.get("loss")
    facts += [f"by the loss '{loss}'"] if isinstance(loss, str) else []
    where = f"its own gallery of {count} pictures" if carried else f"the {count} sample photographs"
    base = (
        ""
        if series.base is None
        else f" It began as {series.base.name}" + ("." if series.base.seed is None else " with random weights.")
    )
    kept = f"{len(steps)} steps from {steps[0]} to {steps[-1]}"
    said = f"{', '.join(facts)}; {kept}.{base} Queries are searched in {where}."
    return f"<p>{html.escape(said)}</p>"


def watch_line(study_name: str) -> str:
    """What stands in the place of a series' facts for a watch, as HTML."""
    said = f"'{study_name}' is what a Watcher saw of fixed pairs while a network learned; it keeps no networks."
    return f"<p>{html.escape(said)}</p>"


def compared(found: RightQueries, first: str, second: str) -> str:
    """Which of two networks gets how many queries right, each at its last step."""
    if not found.asked:
        return "<p>The two galleries have no pictures with classes in common, so there is nothing to compare.</p>"
    alike = len(found.asked) - len(found.only_first) - len(found.only_second)
    said = (
        f"Each of {len(found.asked)} gallery pictures is searched for among the others, by each series' last network. "
        f"Only {first} finds the class first for {len(found.only_first)}, only {second} for {len(found.only_second)}; "
        f"for {alike} both do, or neither."
    )
    said += " Choose one below to see both networks' maps." if alike < len(found.asked) else ""
    return f"<p>{html.escape(said)}</p>"


def left_out_curves(missing: Sequence[str]) -> str:
    """Which figures have no curve."""
    if not missing:
        return ""
    return f"<p>Not drawn, because neither the series nor this query has it: {html.escape(', '.join(missing))}.</p>"
