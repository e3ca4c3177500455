"""What a gallery offers to choose from, found as a tab opens, and as another gallery is chosen."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import gradio as gr

from simvis_app.page import choices
from simvis_app.page.galleries.choice import GalleryChoice, Place, place_of
from simvis_app.page.galleries.fineness import COARSE, layers_of
from simvis_app.page.updates import Updates, Values, unchanged
from simvis_app.service import words
from simvis_app.service.galleries.galleries import SAMPLES, Galleries
from simvis_core import SimvisError

LOOK = 0.4  # seconds between two looks how far the samples are
Listed = list[tuple[str, str]]  # what a list shows and what it stands for


@dataclass(frozen=True)
class Waiting:
    """The samples are being indexed for the first time; ``said`` is how far, empty while nobody knows."""

    said: str


@dataclass(frozen=True)
class Offers:
    """What a gallery was indexed with, its labels, the layers for its maps, and what of each is chosen.

    ``notice`` is why it cannot be searched, empty where it can. ``galleries`` are all there are now, None where that
    was not asked.
    """

    gallery: str
    notice: str = ""
    spaces: Listed | None = None
    space: str | None = None
    labels: Listed | None = None
    kept: tuple[str, ...] = ()
    layers: Listed | None = None
    layer: str = ""
    rule: str = choices.RULE.default
    galleries: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Lists:
    """The components that show what is offered. A tab that does not filter by labels has no list of them."""

    notice: gr.HTML
    choice: GalleryChoice
    labels: gr.Dropdown | None = None


class OfferHandlers:
    """What both tabs do as they open and as another gallery is chosen."""

    def __init__(self, galleries: Galleries, lists: Lists) -> None:
        self.galleries, self.lists = galleries, lists

    def open_tab(self, values: Values) -> Iterator[Updates]:
        """The galleries as they are now, and what the one that is shown offers.

        A gallery that is being indexed for the first time is waited for, with its progress.
        """
        labels = values.get(self.lists.labels) or []
        try:
            for found in opening(self.galleries, place_of(values, self.lists.choice), labels):
                yield shown(found, self.lists)
        except SimvisError as error:
            yield {self.lists.notice: words.notice(str(error))}

    def choose_gallery(self, values: Values) -> Updates:
        """What the chosen gallery was indexed with, and its labels."""
        return shown(offered(self.galleries, place_of(values, self.lists.choice)), self.lists)


def opening(galleries: Galleries, place: Place, labels: Sequence[str]) -> Iterator[Waiting | Offers]:
    """What a tab that opens offers: of the gallery that was chosen, or of the first one where that is gone.

    Raises SimvisError where the galleries cannot be listed.
    """
    names = galleries.names()
    place = place if place.gallery in names else replace(place, gallery=names[0])
    while place.gallery == SAMPLES and galleries.preparing:
        running = galleries.running
        yield Waiting(words.waiting(place.gallery, running) if running else "")
        time.sleep(LOOK)
    yield replace(offered(galleries, place, labels), galleries=tuple(names))


def offered(galleries: Galleries, place: Place, labels: Sequence[str] = ()) -> Offers:
    """What a gallery offers; a notice and nothing to choose where it cannot be opened."""
    try:
        found = _choices(galleries, place, labels)
    except SimvisError as error:
        return Offers(place.gallery, words.notice(str(error)))
    failed = galleries.failed
    return replace(found, notice=words.notice(failed)) if failed and not found.spaces else found


def _choices(galleries: Galleries, place: Place, labels: Sequence[str]) -> Offers:
    spaces = galleries.spaces(place.gallery)
    named = {space.name: space for space in spaces}
    chosen = place.space if place.space in named else next(iter(named), None)
    counts = galleries.labels(named[chosen]) if chosen else {}
    layers = layers_of(galleries, place.gallery, chosen or "") if place.layer else [COARSE]
    return Offers(
        place.gallery,
        spaces=[(label, name) for name, label in words.space_labels(spaces).items()],
        space=chosen,
        labels=[(f"{name or 'no label'} ({count})", name) for name, count in counts.items()],
        kept=tuple(name for name in labels if name in counts),
        layers=layers,
        layer=next((layer for _, layer in layers if layer == place.layer), ""),
        rule=place.rule or choices.RULE.default,
    )


def shown(found: Waiting | Offers, lists: Lists) -> Updates:
    """The lists with what is offered."""
    if isinstance(found, Waiting):
        return {lists.notice: found.said} if found.said else unchanged()
    updates: Updates = {
        lists.notice: found.notice,
        lists.choice.space: gr.update(choices=found.spaces or [], value=found.space),
        lists.choice.layer: gr.update(choices=found.layers or [COARSE], value=found.layer),
        lists.choice.rule: found.rule,
        **({lists.choice.fineness.panel: gr.update(open=True)} if found.layer else {}),
    }
    if lists.labels is not None:
        updates[lists.labels] = gr.update(choices=found.labels or [], value=list(found.kept))
    if found.galleries is not None:
        updates[lists.choice.gallery] = gr.update(choices=list(found.galleries), value=found.gallery)
    return updates
