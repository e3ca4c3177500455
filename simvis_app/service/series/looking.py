"""One picture looked at through every step of a series: its hits, their maps, and the pair that is followed."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from model_zoo.training.gallery import gallery_name, gallery_room, shared_objects
from simvis_app.service import samples
from simvis_app.service.files import kept
from simvis_app.service.series.folders import WholeSeries, left_out
from simvis_app.service.series.galleries import SeriesGallery, gallery_of
from simvis_app.service.series.networks import Embedded, StepNetworks, framing_of
from simvis_app.service.sessions.session import Pictured, content_hash
from simvis_core import EmbeddingNetwork, SimvisError
from simvis_core.files.writing import jpeg
from simvis_core.progress.manifests import SeriesStep
from simvis_core.progress.queries.hits import (
    FOUND,
    QueriedStep,
    StepHit,
    Study,
    gallery_figures,
    nearest_rows,
    step_hit,
)
from simvis_core.progress.watching import PairFigures, WatchedPair, watched
from simvis_core.steps import mapped

STEPS_SHOWN = 24  # of a series that are looked at: all of them, or as many, evenly
_OWN, _SOUGHT = 0.99, 20  # a gallery's picture may be the query itself from this cosine on, among so many
SHOWN_SIDE = 512  # pixels of a picture's longer side on the page
STALE_GALLERY = (
    "The stored embeddings of the gallery are not what the networks give for these pictures now: other pictures, or "
    "another way to read them. Hits are ranked by what is stored; scores and maps are the networks' own."
)


@dataclass(frozen=True)
class StudyProgress:
    """How far a study is: parts done of all, and what is being done."""

    done: int
    of: int
    doing: str


Studying = Generator[StudyProgress, None, Study]


@dataclass(frozen=True, eq=False)
class _Found:
    """A step's hits, and the figures of its gallery."""

    step: SeriesStep
    hits: tuple[StepHit, ...]
    figures: dict[str, float]


class StudyUnderWay:
    """A picture's way through the steps of a series; ``made`` goes it."""

    def __init__(self, networks: StepNetworks, whole: WholeSeries, file: str) -> None:
        self.networks, self.whole, self.file = networks, whole, file
        self.gallery: SeriesGallery = gallery_of(whole)
        self.steps, passed = evenly(whole.steps)
        self.troubles = [*whole.troubles, *passed]
        self.own: str | None = None
        self.label: str | None = None  # the query's class, once it was sought; "" where it has none
        self.images: dict[str, tuple[str, float]] = {}

    def made(self) -> Studying:
        """Yields how far it is, ends with what was found; a step that cannot be shown is left out, with a sentence.

        Raises SimvisError where no step can be shown.
        """
        found: list[_Found] = []
        for at, step in enumerate(self.steps):
            try:
                found.append((yield from self._searched(at, step)))
            except SimvisError as error:
                self.troubles.append(left_out(step.step, error))
        if not found:
            raise SimvisError(
                f"'{self.whole.name}', of which no step can be shown ({self.troubles[-1]})",
                "one step at least",
                "take the folder as it was written, or train again",
            )
        followed = next((hit.picture for hit in found[-1].hits if not hit.gone), "")
        queried = yield from self._followed(found, followed)
        return self._study(found, queried, followed)

    def _searched(self, at: int, step: SeriesStep) -> Generator[StudyProgress, None, _Found]:
        """The query's hits at a step, and both maps of each."""
        told = partial(StudyProgress, at, 2 * len(self.steps))
        yield told(f"step {step.step}: searching the gallery")
        network = self.networks.network(self.whole, step)
        query = self._seen(network, self.file)
        doing = f"step {step.step}: embedding the gallery, "
        steps = self.networks.embeddings(self.whole, step, self.gallery)
        rows = yield from mapped(steps, lambda part: told(f"{doing}{part[0]} of {part[1]}"))
        if self.label is None:
            self._recognise(rows, query)
        left = () if self.own is None else (self.gallery.pictures.index(self.own),)
        self._keep("", query)
        near = nearest_rows(rows, query.decomposition.embedding, FOUND, left)
        hits = [self._hit(network, query, self.gallery.pictures[row], score) for row, score in near]
        return _Found(step, tuple(hits), gallery_figures(rows, self.gallery.labels))

    def _recognise(self, rows: Embedded, query: Pictured) -> None:
        """Whether the query is one of the gallery's pictures, the same file to the last bit, and its class."""
        near = nearest_rows(rows, query.decomposition.embedding, _SOUGHT)
        likely = [self.gallery.pictures[row] for row, score in near if score >= _OWN]
        self.own = next((one for one in likely if self._hash(one) == query.sha256), None)
        sample = samples.credit(query.sha256)
        folder = sample["file"].split("/")[0] if sample else ""
        known = folder if folder in self.gallery.labels else ""
        self.label = known if self.own is None else self.gallery.label[self.own]

    def _hash(self, picture: str) -> str:
        try:
            return content_hash(self._path(picture))
        except SimvisError:
            return ""

    def _hit(self, network: EmbeddingNetwork, query: Pictured, picture: str, told: float) -> StepHit:
        label = self.gallery.label[picture]
        right = label == self.label if self.label and (label or self.gallery.sure) else None
        try:
            hit = self._seen(network, self._path(picture))
        except SimvisError as error:
            return StepHit(picture, label, told, told, right=right, gone=f"{error.got}; {error.cure}")
        self._keep(picture, hit)
        return step_hit(picture, label, told, query.decomposition, hit.decomposition, right)

    def _followed(self, found: Sequence[_Found], followed: str) -> Generator[StudyProgress, None, list[QueriedStep]]:
        """The steps with the pair that is followed: the query and its best hit at the last step."""
        queried = list[QueriedStep]()
        pair: PairFigures | None = None
        for at, one in enumerate(found):
            yield StudyProgress(len(found) + at, 2 * len(found), f"step {one.step.step}: following the pair")
            network = self.networks.network(self.whole, one.step)
            if followed and network.verdict != "black box":
                pair = self._pair(network, followed, None if pair is None else (pair.map_a, pair.map_b))
            queried.append(QueriedStep(one.step, one.hits, pair))
        return queried

    def _pair(self, network: EmbeddingNetwork, followed: str, before: Any) -> PairFigures:
        session = self.networks.session
        images = [session.image(file) for file in (self.file, self._path(followed))]
        pair = WatchedPair(gallery_name(followed), images[0], images[1], self._masks(followed))
        framing = framing_of(self.whole)
        return session.turn(lambda: watched(network, pair, before, framing=framing))

    def _masks(self, followed: str) -> Any:
        """The pixels of what two rooms share; None for photographs, and for rooms without a common object."""
        one = None if self.own is None else gallery_room(self.whole.series, self.own)
        other = gallery_room(self.whole.series, followed)
        if one is None or other is None:
            return None
        shared = shared_objects(one, other)
        return (one.mask(*shared), other.mask(*shared)) if shared else None

    def _path(self, picture: str) -> str:
        return self.networks.files.file(self.whole, picture)

    def _seen(self, network: EmbeddingNetwork, file: str) -> Pictured:
        return self.networks.seen(network, file, framing_of(self.whole))

    def _keep(self, picture: str, seen: Pictured) -> None:
        """The file of what a network saw of a picture."""
        if picture not in self.images:
            self.images[picture] = kept(jpeg(seen.view.picture(SHOWN_SIDE)), "view.jpeg"), seen.view.aspect

    def _study(self, found: Sequence[_Found], queried: Sequence[QueriedStep], followed: str) -> Study:
        stale = any(hit.stale for one in found for hit in one.hits)
        return Study(
            self.whole.name,
            self.whole.series.architecture,
            str(self.whole.opened.pooling or self.whole.series.pooling),
            tuple(queried),
            self.own,
            followed,
            {one.step.step: one.figures for one in found},
            (*self.troubles, *([STALE_GALLERY] if stale else [])),
            self.images,
        )


def evenly(steps: Sequence[SeriesStep], most: int = STEPS_SHOWN) -> tuple[tuple[SeriesStep, ...], tuple[str, ...]]:
    """All steps, or as many, evenly, with the first and the last; and a sentence where some are passed over."""
    if len(steps) <= most:
        return tuple(steps), ()
    places = dict.fromkeys(round(at * (len(steps) - 1) / (most - 1)) for at in range(most))
    return tuple(steps[at] for at in places), (f"{most} of the {len(steps)} steps are shown.",)
