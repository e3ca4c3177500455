"""From what the Training tab asks to its answer, step by step: lists first, then one series, then the other."""

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, replace

from simvis_app.page.training import words as training_words
from simvis_app.page.training.answers import (
    Choices,
    TrainingAnswer,
    TrainingRefused,
    TrainingSaid,
    TrainingShown,
    TrainingUnderWay,
)
from simvis_app.page.training.inputs import Offered, TrainingInputs, TrainingQuestion
from simvis_app.service import words
from simvis_app.service.series.studies import Studies
from simvis_app.service.series.thumbs import OFFERED, Thumbs, first_of_each
from simvis_core import SimvisError
from simvis_core.progress.queries.hits import RightQueries, Study
from simvis_core.steps import mapped


@dataclass(frozen=True)
class Ready:
    """A question that can be asked: of which series (one or two), about which file, and what is said beside it."""

    question: TrainingQuestion
    names: tuple[str, ...]
    stamps: tuple[str, ...]
    file: str
    choices: Choices
    said: str = ""


class Asking:
    """The server's series, asked what the tab asks."""

    def __init__(self, studies: Studies) -> None:
        self.studies, self.thumbs = studies, Thumbs(studies)

    def answers(self, inputs: TrainingInputs, wanted: Callable[[], bool]) -> Iterator[TrainingAnswer]:
        """How far the answer is, then the answer; only what is to be said where the page shows it.

        It ends early once nobody has ``wanted`` it any more.
        """
        ready = self.ready(inputs)
        if isinstance(ready, TrainingRefused):
            yield ready
        elif inputs.shown_for == (ready.question, ready.stamps):
            yield TrainingSaid(ready.said)
        else:
            yield TrainingUnderWay("", ready.choices)
            yield from self._found(inputs, ready, wanted)

    def _found(self, inputs: TrainingInputs, ready: Ready, wanted: Callable[[], bool]) -> Iterator[TrainingAnswer]:
        """One series after the other; where only the second cannot be shown, the first with the reason."""
        studies: list[Study] = []
        try:
            for name in ready.names:
                for answer in self._study(name, ready, studies):
                    if not wanted():
                        return
                    yield answer
        except SimvisError as error:
            if not studies:
                yield TrainingRefused(str(error), ready.choices, ready.said)
                return
            ready = replace(ready, said=ready.said + words.notice(str(error)))
        yield self._shown(inputs, ready, tuple(studies))

    def ready(self, inputs: TrainingInputs) -> Ready | TrainingRefused:
        """What can be asked, or why nothing can be."""
        names, asked = tuple(self.studies.names()), inputs.question
        if not names:
            return TrainingRefused("", Choices(), inputs.said)
        missing = [name for name in (asked.series, asked.beside) if name and name not in names]
        said = inputs.said + words.notice(" ".join(f"There is no series '{name}' here." for name in missing))
        series = asked.series if asked.series in names else names[0]
        beside = asked.beside if asked.beside in names and asked.beside != series else ""
        choices = Choices(names, series, beside, "", None, inputs.offered)
        try:
            both = (series, beside) if beside else (series,)
            searched = not all(self.studies.watched(name) for name in both)
            choices = self._choices(inputs, replace(choices, searched=searched), series)
            file = self._query(asked.query, both, choices)
        except SimvisError as error:
            return TrainingRefused(str(error), choices, said)
        return Ready(asked, both, tuple(map(self.studies.stamp, both)), file, choices, said)

    def _choices(self, inputs: TrainingInputs, found: Choices, series: str) -> Choices:
        """With what the series is; its gallery's thumbnails where another series was on the page."""
        if self.studies.watched(series):
            offered = replace(inputs.offered, samples=())
            return replace(found, about=training_words.watch_line(series), samples=(), offered=offered)
        whole, gallery = self.studies.open(series), self.studies.gallery(series)
        about = training_words.series_line(whole, gallery.carried, len(gallery.pictures))
        before = None if inputs.shown_for is None else inputs.shown_for[1][0]
        if before == whole.stamp and inputs.offered.samples:
            return replace(found, about=about)
        names, thumbs = self.thumbs.of(series, first_of_each(gallery))
        return replace(found, about=about, samples=thumbs, offered=replace(inputs.offered, samples=names))

    def _query(self, chosen: str | None, names: tuple[str, ...], choices: Choices) -> str:
        """The picture that was chosen; else the first of a gallery, or none at all where all are watches."""
        series = next((name for name in names if not self.studies.watched(name)), None)
        if chosen or series is None:
            return chosen or ""
        if series != names[0]:
            return self.studies.file(series, self.studies.gallery(series).pictures[0])
        if not choices.offered.samples:
            raise SimvisError(
                f"no picture to search for, and '{series}', of whose gallery none is found", "one", "drop a picture"
            )
        return self.studies.file(series, choices.offered.samples[0])

    def _study(self, name: str, ready: Ready, found: list[Study]) -> Generator[TrainingAnswer, None, None]:
        steps = self.studies.studying(name, ready.file)
        found.append((yield from mapped(steps, lambda told: TrainingUnderWay(training_words.progress(name, told)))))

    def _shown(self, inputs: TrainingInputs, ready: Ready, studies: tuple[Study, ...]) -> TrainingShown:
        answer = TrainingShown(ready.question, ready.stamps, studies, ready.choices, inputs.step, ready.said)
        if len(studies) < 2 or any(study.watch for study in studies):
            return answer
        found: RightQueries = self.studies.compared(*ready.names)
        lists = [self.thumbs.of(ready.names[0], one[:OFFERED]) for one in (found.only_first, found.only_second)]
        offered = Offered(ready.choices.offered.samples, lists[0][0], lists[1][0])
        return replace(
            answer,
            compared=found,
            only=(lists[0][1], lists[1][1]),
            choices=replace(ready.choices, offered=offered),
        )
