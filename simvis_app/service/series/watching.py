"""What a `Watcher` saw of fixed pairs, and its worst queries, as the steps that the page shows."""

from collections.abc import Iterator

from PIL import Image

from simvis_app.service.files import kept
from simvis_app.service.series.folders import left_out
from simvis_app.service.series.looking import SHOWN_SIDE, Studying, StudyProgress, evenly
from simvis_core import SimvisError
from simvis_core.files.numbers import three
from simvis_core.files.writing import jpeg
from simvis_core.progress.manifests import SeriesStep
from simvis_core.progress.queries.hits import QueriedStep, StepHit, Study
from simvis_core.progress.watches import Watch, WatchedStep

PAIRS_SHOWN, WORST_SHOWN = 6, 2  # that are shown of a step
Images = dict[str, tuple[str, float]]


def watch_study(name: str, watch: Watch) -> Studying:
    """The watched pairs at each step; a step whose maps are damaged is left out, with a sentence. Runs no network.

    Raises SimvisError for damaged pictures, and where no step is whole.
    """
    pairs = watch.pairs[:PAIRS_SHOWN]
    images: Images = {}
    for pair in pairs:
        for side, stored in (("a", pair.a), ("b", pair.b)):
            images[f"{pair.name}/{side}"] = _kept(watch.kept_picture(stored))
    images[""] = images[f"{pairs[0].name}/a"]
    chosen, passed = evenly([SeriesStep(one.step, None, figures=one.figures) for one in watch.steps])
    troubles, found = list(passed), list[QueriedStep]()
    for at, step in enumerate(chosen):
        yield StudyProgress(at, len(chosen), f"step {step.step}")
        seen = watch.at(step.step)
        try:
            hits = [*_pairs(watch, seen), *_worst(watch, seen, images)]
        except SimvisError as error:
            troubles.append(left_out(step.step, error))
            continue
        found.append(QueriedStep(step, tuple(hits)))
    if not found:
        reason = f" ({troubles[-1]})" if troubles else ""
        raise SimvisError(f"'{name}', of which no step can be shown{reason}", "one step at least", "watch again")
    more = [f"{len(pairs)} of the {len(watch.pairs)} pairs are shown."] if len(pairs) < len(watch.pairs) else []
    return Study(name, watch.name, watch.pooling, tuple(found), troubles=(*troubles, *more), images=images, watch=True)


def _pairs(watch: Watch, seen: WatchedStep) -> Iterator[StepHit]:
    """Each pair as the pictures of a row."""
    for pair, figures in zip(watch.pairs[:PAIRS_SHOWN], seen.pairs, strict=False):
        score = figures["score"]
        maps = watch.map(seen.step, pair.name, "a"), watch.map(seen.step, pair.name, "b")
        yield StepHit(f"{pair.name}/b", "", score, score, *maps, title=pair.name, asked=f"{pair.name}/a")


def _worst(watch: Watch, seen: WatchedStep, images: Images) -> Iterator[StepHit]:
    """The worst queries: where the query speaks for the wrong picture rather than for the right one."""
    for place, one in enumerate(seen.worst[:WORST_SHOWN]):
        query, wrong = f"worst/{one.query}", f"worst/{one.wrong}"
        for key, stored in ((query, one.pictures[0]), (wrong, one.pictures[1])):
            if key not in images:
                images[key] = _kept(watch.kept_picture(stored))
        title = f"worst query: {one.query} finds {one.wrong}, not {one.right} (ahead by {three(one.margin)})"
        maps = watch.worst_map(seen.step, place, "contrast"), watch.worst_map(seen.step, place, "wrong")
        yield StepHit(wrong, "", one.margin, one.margin, *maps, right=False, title=title, asked=query)


def _kept(image: Image.Image) -> tuple[str, float]:
    aspect = image.width / image.height
    image.thumbnail((SHOWN_SIDE, SHOWN_SIDE))
    return kept(jpeg(image), "view.jpeg"), aspect
