"""Pictures that are dropped on the page, or chosen for a place that has one: they replace it if they can be read."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.data_classes import FileData, GradioModel

from simvis_app.page.parts.drawing import HERE, filled
from simvis_app.page.updates import Listener, Updates, Values, unchanged
from simvis_app.service import words
from simvis_app.service.sessions.session import opened
from simvis_core import SimvisError
from simvis_core.pictures.opening import STRANGERS, Limits

# Each event's places, in the order in which several files fill them: what a file may be dropped on, the picture's own
# component first.
PLACES: dict[str, tuple[tuple[str, ...], ...]] = {
    "pair": (
        ("#image_a", "#pair_viewer figure:nth-of-type(1)"),
        ("#image_b", "#pair_viewer figure:nth-of-type(2)"),
    ),
    "query": (("#query", "#picker"),),
    "outside": (("#outside",),),
    "subject": (("#subject",),),
}
ENOUGH = 32  # pixels of the short side: a file is decoded, as small as it may be, to see whether it can be


class DropData(GradioModel):  # type: ignore[misc]
    """What was dropped: a file for each place in its order, and the names of what could not be sent."""

    files: tuple[FileData | None, ...] = ()
    failed: tuple[str, ...] = ()
    more: int = 0


@dataclass(frozen=True)
class Dropped:
    """Paths for the event's places, None for one that is left as it is; what is to be said of the rest."""

    paths: tuple[str | None, ...] = ()
    failed: tuple[str, ...] = ()
    more: int = 0


@dataclass(frozen=True)
class Refusals:
    """The components that hold what is said of dropped files that were not taken: each notice is shown once.

    Drops and answers overlap. So a drop only adds to ``refused``, and what shows its notices only counts them in
    ``seen``: an answer that began before a drop takes nothing of it away.
    """

    refused: gr.State  # every notice, the oldest first
    seen: gr.State  # how many of them have been shown

    @classmethod
    def laid(cls) -> "Refusals":
        """Inside the app that is being built; nothing is told yet."""
        return cls(gr.State(()), gr.State(0))

    @property
    def asked(self) -> set[gr.State]:
        """The inputs of an event that shows the notices; its outputs hold ``seen``."""
        return {self.refused, self.seen}

    def unseen(self, values: Values) -> str:
        """The notices that are still to be shown, as HTML; empty for an event that shows none."""
        return "".join(values[self.refused][values[self.seen] :]) if self.refused in values else ""

    def shown(self, values: Values) -> Updates:
        """What an answer that shows `unseen` changes besides; nothing where there was none to show."""
        return {self.seen: len(values[self.refused])} if self.unseen(values) else {}


class PictureDrops(gr.HTML):  # type: ignore[misc]
    """Sees to every file that is dropped on the page. It shows nothing itself.

    Its events are the names in `PLACES`; as an input it gives `Dropped`. A file dropped elsewhere is let go: the
    browser would open it in the page's stead. Gradio's own picture takes a drop only while it is empty.
    """

    data_model = DropData
    limits = STRANGERS  # of the pictures; the app sets its session's

    def __init__(self, **options: object) -> None:
        script = filled((HERE / "drops.js").read_text(), PLACES=PLACES)
        super().__init__(
            value=None,
            html_template='<input type="file" accept="image/*" tabindex="-1" aria-hidden="true" hidden>',
            css_template="",
            js_on_load=script,
            apply_default_css=False,
            **options,
        )

    def preprocess(self, payload: DropData | None) -> Dropped:
        """The uploaded files' paths."""
        if payload is None:
            return Dropped()
        paths = tuple(str(file.path) if file is not None and file.path else None for file in payload.files)
        return Dropped(paths, tuple(map(str, payload.failed)), int(payload.more))

    def postprocess(self, _: object) -> DropData:
        """Nothing: it is only an input."""
        return DropData()


def accepted(
    dropped: Dropped, before: Sequence[str | None], names: Sequence[str], limits: Limits = STRANGERS
) -> tuple[list[str | None], str]:
    """What each place holds from now on, and a notice about what was not taken; empty where all of it was.

    A file that cannot be read leaves the place as it was. ``names`` are the places', for the sentence; "" for none.
    """
    held, said = list(before), [str(_unsent(name, limits)) for name in dropped.failed]
    for number, (path, name) in enumerate(zip(dropped.paths, names, strict=False)):
        if path is None:
            continue
        try:
            opened(path, name, ENOUGH, limits)
            held[number] = path
        except SimvisError as error:
            said.append(str(error))
    if dropped.more:
        said.append(str(_too_many(dropped.more, len(names))))
    return held, words.notice(" ".join(said))


def wire_drops(
    happened: Any, drops: PictureDrops, places: list[gr.Image], names: Sequence[str], refusals: Refusals, show: Listener
) -> None:
    """Binds one of the drops' events to the pictures it fills; ``show`` is the event that then shows them.

    What is to be said of files that were not taken is added to ``refusals``.
    """

    def take(values: Values) -> Updates:
        before = [values[place] for place in places]
        held, notice = accepted(values[drops], before, names, drops.limits)
        # A place that keeps its picture is not told of it: another file may be on its way there.
        changed = zip(places, held, before, strict=True)
        told: Updates = {refusals.refused: (*values[refusals.refused], notice)} if notice else {}
        filled_places = {place: now for place, now, then in changed if now != then}
        return told | filled_places or unchanged()

    quiet: Listener = {"show_progress": "hidden", "api_visibility": "private"}
    # Each drop counts: the newest alone would leave out what an earlier one brought to another place.
    taken = happened(
        take, {drops, *places, refusals.refused}, [*places, refusals.refused], trigger_mode="multiple", **quiet
    )
    taken.then(**show)


def _unsent(name: str, limits: Limits) -> SimvisError:
    return SimvisError(
        f"'{name}', which the browser could not send", f"a file of at most {limits.bytes >> 20} MB", "try another"
    )


def _too_many(more: int, places: int) -> SimvisError:
    fits = "one picture" if places == 1 else f"{places} pictures"
    return SimvisError(f"{more + places} files at once", f"at most {fits}", "drop the others one by one")
