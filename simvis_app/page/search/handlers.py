"""What the Search tab's events do: values by component in, what changes by component out."""

import html
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import gradio as gr

from simvis_app.page.galleries import fineness
from simvis_app.page.galleries.pairs import OpenedPair, PairOpening, public
from simvis_app.page.parts.hit_grid import Page
from simvis_app.page.parts.region_picker import Picked
from simvis_app.page.search.by_attribute import offered, prepare
from simvis_app.page.search.hits import DEEP_PAGE, PAGE, WHOLE, search_key
from simvis_app.page.search.inputs import Marks, SearchInputs, picture_key, picture_of, read, search_of
from simvis_app.page.search.live import LiveSearch
from simvis_app.page.search.why import Why, why_one, why_two
from simvis_app.page.search.widgets import Widgets
from simvis_app.page.updates import Updates, Values, unchanged
from simvis_app.service import samples, words
from simvis_app.service.attributes.hits_in_words import by_attribute
from simvis_app.service.files import served
from simvis_app.service.galleries.galleries import Answer
from simvis_app.service.sessions.depths import DepthAsked
from simvis_app.service.sessions.session import Pictured
from simvis_core import SimvisError
from simvis_core.pictures.view_warnings import view_warning


@dataclass(frozen=True)
class Ranked:
    """The first page of a search's hits, and what is said of them."""

    notice: str
    status: str
    page: Page


@dataclass(frozen=True)
class Searched:
    """The hits of a new picture or gallery, and the picture to mark on."""

    hits: Ranked
    picked: Picked


@dataclass(frozen=True)
class Unanswered:
    """Why a search has no hits; the picture to mark on where it can be shown all the same."""

    notice: str
    picked: Picked | None = None


@dataclass(frozen=True)
class Nearest:
    """The best of the nearest classes by what is marked and by the whole picture."""

    by_region: Page | None
    by_whole: Page | None


class SearchHandlers:
    """The tab's events; `search` and the others without values compute, `shown` tells the page."""

    def __init__(self, live: LiveSearch, widgets: Widgets, pairs: PairOpening) -> None:
        self.live, self.widgets, self.pairs = live, widgets, pairs
        self.galleries, self.pages = live.galleries, live.pages

    def fill(self, values: Values) -> Updates:
        """A new picture or gallery: what is said, the picture to mark on, the hits, and nothing of an older search.

        No marks are pending any more.
        """
        found = self.search(read(values, self.widgets))
        return shown(found, self.widgets) | self.widgets.refusals.shown(values)

    def mark(self, values: Values) -> Updates:
        """The hits while regions are being marked; they stay where what is marked cannot be searched for."""
        inputs = read(values, self.widgets)
        if inputs.query is None or not inputs.marks.key:
            return unchanged()
        try:
            answer = self.galleries.search(search_of(inputs, self.galleries), PAGE)
        except SimvisError as error:
            return {self.widgets.notice: words.notice(str(error))}
        return shown(self._ranked(answer), self.widgets)

    def more(self, values: Values) -> Updates:
        """The next page of the hits that are shown; no change where they belong to an older search."""
        answer = self._wanted(read(values, self.widgets))
        return unchanged() if answer is None else {self.widgets.grid: self.pages.page(answer)}

    def maps(self, values: Values) -> Iterator[Updates]:
        """The hits from rank ``wanted`` on with their own maps, then the best of the nearest classes, both ways.

        At a depth they come a few at a time, as the page goes on asking; the nearest classes after the first.
        """
        inputs = read(values, self.widgets)
        answer = self._wanted(inputs, DEEP_PAGE if inputs.place.layer else None)
        if answer is None:
            yield unchanged()  # Gradio empties the outputs of a generator that yields nothing
            return
        yield {self.widgets.grid: self.pages.page(answer, with_maps=True)}
        if not (answer.asked.depth.layer and answer.skip):
            by_region, by_whole = (self.pages.best_of_classes(answer.asked, whole) for whole in (False, True))
            yield shown(Nearest(by_region, by_whole), self.widgets)
            yield unchanged()  # else Gradio, as it ends, repeats the last step over what the page shows by now

    def why(self, values: Values) -> Updates:
        """Why one hit and not another, or not the others at the top; no change where a hit is gone.

        Nothing again where no hit is marked any more.
        """
        inputs = read(values, self.widgets)
        answer = self._hits(inputs, inputs.wanted.why)
        if answer is None or len(answer.found) != len(inputs.wanted.why):
            return unchanged()
        return shown(self._why(answer), self.widgets)

    def open_pair(self, values: Values) -> Updates:
        """The query and a hit on the Compare tab. Raises gr.Error where that hit is gone."""
        inputs = read(values, self.widgets)
        answer = self._hits(inputs, [inputs.wanted.chosen])
        if answer is None or not answer.found:
            raise gr.Error("This hit is not in the gallery any more; search again.", print_exception=False)
        pin = None
        if answer.weights is not None and not inputs.wanted.key.endswith(WHOLE):
            _, _, weights = self.galleries.asked_vector(replace(answer.asked, depth=DepthAsked()), answer.space)
            pin = {"side": "a", "weights": [round(value, 4) for value in weights.flatten().tolist()]}
        hit = public(answer.found[0].row.file, self.galleries.session)
        return self.pairs.shown(OpenedPair(answer.asked.file, hit, answer.space, pin), inputs.working)

    def take(self, file: str | None) -> Updates:
        """A picture of the Compare tab, to search with. Raises gr.Error where there is none."""
        if file is None:
            raise gr.Error("There is no such picture on the Compare tab: drop one there first.", print_exception=False)
        return {self.widgets.query: file}

    def show_example(self, event: gr.SelectData) -> Updates:
        """The chosen sample picture."""
        return {self.widgets.query: served(samples.singles()[int(event.index)])}

    def offer_exact(self, values: Values) -> Updates:
        """Whether comparing every picture is another search than the usual one."""
        place = read(values, self.widgets).place
        try:
            graph = bool(place.space) and self.galleries.by_graph(self.galleries.space(place.gallery, place.space))
        except SimvisError:
            graph = False  # the search itself says why
        return {self.widgets.exact: gr.update(visible=graph)}

    def offer_attributes(self, values: Values) -> Updates:
        """The attributes that hits can be held to, or the reason why there are none."""
        inputs = read(values, self.widgets)
        return offered(self.galleries, inputs.place, inputs.attribute, self.widgets.shows)

    def prepare_attributes(self, values: Values) -> None:
        """Reads a gallery while the visitor looks for an attribute: reading takes longest of a filter."""
        prepare(self.galleries, read(values, self.widgets).place)

    def search(self, inputs: SearchInputs) -> Searched | Unanswered:
        """The first hits. Marks that are pending take the place of those on screen."""
        if inputs.query is None:
            return Unanswered(inputs.said or words.notice("Drop a picture to search for it."))
        try:
            inputs = self._with_pending(inputs)
            answer = self.galleries.search(search_of(inputs, self.galleries), PAGE)
        except SimvisError as error:
            return Unanswered(inputs.said + words.notice(str(error)), self._only_picture(inputs))
        return Searched(
            self._ranked(answer, inputs.said), _picked(answer.picture, inputs.marks, self.live.ticket(answer.asked))
        )

    def _ranked(self, answer: Answer, said: str = "") -> Ranked:
        return Ranked(said, _status(answer), self.pages.page(answer))

    def _with_pending(self, inputs: SearchInputs) -> SearchInputs:
        """With what is to be marked: told anew, though the picture may be on screen."""
        if inputs.pending is None:
            return inputs
        key = f"{picture_key(picture_of(inputs, self.galleries))}#{uuid.uuid4().hex}"
        return replace(inputs, marks=Marks(key, tuple(inputs.pending)))

    def _only_picture(self, inputs: SearchInputs) -> Picked | None:
        """The picture to mark on, where it can be shown although there are no hits."""
        try:
            return _picked(picture_of(inputs, self.galleries), inputs.marks)
        except SimvisError:
            return None

    def _wanted(self, inputs: SearchInputs, count: int | None = None) -> Answer | None:
        """The search that is on the page, from a rank on; None where the widgets ask for another by now."""
        wanted = inputs.wanted
        if inputs.query is None or not wanted.key:
            return None
        try:
            answer = self.galleries.search(search_of(inputs, self.galleries), count or PAGE, wanted.wanted)
        except SimvisError:
            return None  # the search itself says why
        return answer if search_key(answer) == wanted.key else None

    def _hits(self, inputs: SearchInputs, ids: Sequence[str]) -> Answer | None:
        """Some of the pictures that were found, by their ids. Raises gr.Error where they cannot be looked up."""
        if inputs.query is None or not all(ids):
            return None
        try:
            return self.galleries.hits(search_of(inputs, self.galleries), ids)
        except SimvisError as error:
            raise gr.Error(words.toast(error), print_exception=False) from error

    def _why(self, answer: Answer) -> Why:
        if len(answer.found) == 2:
            return why_two(self.pages, answer)
        return why_one(self.pages, answer, self.galleries.search(answer.asked, PAGE).found) if answer.found else Why()


def shown(found: Ranked | Searched | Unanswered | Nearest | Why, widgets: Widgets) -> Updates:
    """The tab with what was found; a search takes away what belongs to the search before."""
    if isinstance(found, Why):
        return {widgets.why_said: found.said, widgets.why_grid: found.page}
    if isinstance(found, Nearest):
        return {widgets.by_region: found.by_region, widgets.by_whole: found.by_whole}
    if isinstance(found, Ranked):
        told = {widgets.notice: found.notice, widgets.status: found.status, widgets.grid: found.page}
        return told | shown(Why(), widgets)
    if isinstance(found, Searched):
        told = shown(found.hits, widgets)
    else:
        told = shown(Why(), widgets) | {widgets.notice: found.notice, widgets.status: "", widgets.grid: None}
    empty: Updates = {widgets.by_region: None, widgets.by_whole: None, widgets.pending: None}
    return told | empty | {widgets.picker: found.picked}


def _status(answer: Answer) -> str:
    warned = words.warning(view_warning(answer.picture.view, words.YOURS))
    told = "" if answer.attribute is None else f"<p>{html.escape(by_attribute(answer.attribute))}</p>"
    own = words.estimate(answer.picture.decomposition) + fineness.said(answer.picture, answer.asked.depth)
    return warned + words.search_status(answer.left_out, answer.near) + told + own


def _picked(picture: Pictured, marks: Marks, ticket: str = "") -> Picked:
    """The picture to mark on, with its marks, and the ticket of the search that they move in."""
    own = marks if marks.lie_on(picture) else Marks(picture_key(picture))
    return (picture.view, own.key, picture.decomposition.grid, list(own.regions), None, 0.0, "", ticket)
