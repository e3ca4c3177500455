"""What the Search tab's events do: component values in, component values out."""

import hashlib
import time
import uuid
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr

from simvis_app.page.compare.handlers import Handlers
from simvis_app.page.parts.files import picture_file
from simvis_app.page.parts.hit_grid import HitCard, Page
from simvis_app.service import samples, words
from simvis_app.service.files import kept, served
from simvis_app.service.galleries.galleries import SAMPLES, Answer, Asked, Galleries, settings_of
from simvis_app.service.sessions.session import Pictured, Session
from simvis_core import SimvisError
from simvis_core.galleries.gallery import content
from simvis_core.galleries.regions import Box, Brush, Point, Region, Sign
from simvis_core.galleries.search import Found, difference_map, lead_map, query_maps
from simvis_core.pictures.overlays import common_scale
from simvis_core.pictures.view_warnings import view_warning
from simvis_core.stores.contract import Row

PAGE = 24  # hits that are shown at a time
SCALES = 10_000  # searches whose colour scale is remembered
WHOLE, MARKED = ":whole", ":marked"  # ends of the keys of the nearest classes
UNIT = "share of the score, per cell"
NO_WHY: list[Any] = ["<p>Press <em>Why this?</em> on a hit, or on two to compare them.</p>", None]  # sentence, grid
EMPTY: list[Any] = [*NO_WHY, None, None]  # and the classes' grids: what belongs to the search before
GONE = "its picture is gone"


class SearchHandlers:
    """What the tab's events do: each takes component values and gives component values."""

    def __init__(self, galleries: Galleries, compare: Handlers) -> None:
        self.galleries, self.compare = galleries, compare
        self._scales: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def open_tab(self, gallery: str, space: str | None, label: Any) -> Iterator[list[Any]]:
        """The galleries as they are now, and the choices of the one that is shown: notice, gallery, space, labels.

        A gallery that is being indexed for the first time is waited for, with its progress.
        """
        try:
            names = self.galleries.names()
            gallery = gallery if gallery in names else names[0]
            while gallery == SAMPLES and self.galleries.preparing:
                running = self.galleries.running
                yield [words.waiting(gallery, running) if running else gr.skip(), *[gr.skip()] * 3]
                time.sleep(0.4)
            notice, choices = self._chosen(gallery, space, label)
            yield [notice, gr.update(choices=names, value=gallery), *choices]
        except SimvisError as error:
            yield [words.notice(str(error)), *[gr.skip()] * 3]

    def _chosen(self, gallery: str, space: str | None, label: Any) -> tuple[str, list[Any]]:
        """Why a gallery cannot be searched, if it cannot; its choices, of which there are none then."""
        try:
            choices = self._choices(gallery, space, label)
        except SimvisError as error:
            return words.notice(str(error)), [gr.update(choices=[], value=None), gr.update(choices=[], value=[])]
        failed = self.galleries.failed
        return words.notice(failed) if failed and not self.galleries.spaces(gallery) else "", choices

    def choose_gallery(self, gallery: str, space: str | None) -> list[Any]:
        """What the chosen gallery was indexed with, and its labels."""
        notice, choices = self._chosen(gallery, space, None)
        return [notice, *choices]

    def search(
        self,
        file: str | None,
        gallery: str,
        space: str,
        labels: Any,
        picker: dict[str, Any],
        exact: bool = False,
        said: str = "",
        pending: list[Any] | None = None,
    ) -> list[Any]:
        """A new picture or gallery: notice, status, the picture to mark on, hits; then empty why and classes.

        ``said`` is a notice about a file that was dropped and not taken. Marks that are ``pending`` take the place of
        those on screen.
        """
        if file is None:
            return [said or words.notice("Drop a picture to search for it."), "", None, None, *EMPTY]
        try:
            picker = self._marked(file, gallery, space, picker, pending)
            asked = self.asked(file, gallery, space, labels, picker, exact)
            answer = self.galleries.search(asked, PAGE)
        except SimvisError as error:
            return [words.notice(str(error)), "", *self._only_picture(file, gallery, space, picker), *EMPTY]
        return [said, _status(answer), _picked(answer.picture, picker), self._page(answer), *EMPTY]

    def fill(self, *values: Any) -> list[Any]:
        """The same, and that no marks are pending any more."""
        return [*self.search(*values), None]

    def _marked(
        self, file: str, gallery: str, space: str, picker: dict[str, Any], pending: list[Any] | None
    ) -> dict[str, Any]:
        """The picker with what is to be marked: told anew, though the picture may be on screen."""
        if pending is None:
            return picker
        picture = self.galleries.picture(file, self.galleries.space(gallery, space))
        return {"key": f"{picture_key(picture)}#{uuid.uuid4().hex}", "regions": pending}

    def take(self, file: str | None) -> str:
        """A picture of the Compare tab, to search with."""
        if file is None:
            raise gr.Error("There is no such picture on the Compare tab: drop one there first.", print_exception=False)
        return file

    def offer_exact(self, gallery: str, space: str | None) -> Any:
        """Whether comparing every picture is another search than the usual one."""
        try:
            return gr.update(
                visible=bool(space) and self.galleries.by_graph(self.galleries.space(gallery, space or ""))
            )
        except SimvisError:
            return gr.update(visible=False)  # the search itself says why

    def show_example(self, event: gr.SelectData) -> str:
        """The chosen sample picture."""
        return served(samples.singles()[int(event.index)])

    def mark(
        self, file: str | None, gallery: str, space: str, labels: Any, picker: dict[str, Any], exact: bool = False
    ) -> list[Any]:
        """The same while regions are being marked: notice, status, hits; then an empty why."""
        if file is None or not picker["key"]:
            return [gr.skip()] * 5
        try:
            answer = self.galleries.search(self.asked(file, gallery, space, labels, picker, exact), PAGE)
        except SimvisError as error:
            return [words.notice(str(error)), *[gr.skip()] * 4]
        return ["", _status(answer), self._page(answer), *NO_WHY]

    def more(self, *values: Any) -> Any:
        """The next page of the hits that are shown; no change where they belong to an older search."""
        *chosen, grid = values
        answer = self._answer(chosen, grid["key"], grid["wanted"])
        return gr.skip() if answer is None else self._page(answer)

    def maps(self, *values: Any) -> list[Any]:
        """The hits from rank ``wanted`` on with their own maps, then the best of the nearest classes, both ways."""
        *chosen, grid = values
        answer = self._answer(chosen, grid["key"], grid["wanted"])
        if answer is None:
            return [gr.skip()] * 3
        return [self._page(answer, with_maps=True), *self._classes(answer.asked)]

    def why(self, *values: Any) -> list[Any]:
        """Why one hit and not another, or not the others at the top: a sentence, and the query's picture with the map.

        Nothing again where no hit is marked any more.
        """
        answer = self._hits(values[:-1], values[-1]["why"])
        if answer is None or len(answer.found) != len(values[-1]["why"]):
            return [gr.skip()] * 2
        if len(answer.found) == 2:
            return [_why(answer), self._why_page(answer, *answer.found)]
        return self._why_one(values[:-1], answer) if answer.found else NO_WHY

    def _why_one(self, chosen: Sequence[Any], answer: Answer) -> list[Any]:
        """Where one hit is ahead of the mean of the others at the top."""
        (hit,) = answer.found
        top = self.galleries.search(answer.asked, PAGE).found
        others = [one for one in top if one.row.id != hit.row.id]
        if not others:
            return ["<p>There is no other hit to compare with.</p>", None]
        lead = hit.score - sum(one.score for one in others) / len(others)
        mapped = answer.picture.decomposition.method != "none"
        said = words.why_one(words.file_name(hit.row.file), lead, len(others), mapped, answer.weights is not None)
        map = lead_map(answer.picture.decomposition, hit.row, [one.row for one in others], answer.weights)
        middle = self._why_card(answer, map, lead, "red: speaks for this hit, blue: for the others")
        card = replace(self._card(hit, None, answer), note="this hit")
        scale = common_scale(map)
        key = f"why:{search_key(answer)}:{hit.row.id}"
        return [said, Page(key, 0, 2, False, scale, scale, UNIT, True, [card, middle])]

    def open_pair(self, *values: Any) -> list[Any]:
        """The query and a hit for the Compare tab: the tab, both files, settings, pin; see `Widgets.opens`."""
        *chosen, grid, working = values
        answer = self._hits(chosen, [grid["chosen"]])
        if answer is None or not answer.found:
            raise gr.Error("This hit is not in the gallery any more; search again.", print_exception=False)
        pin = None
        if answer.weights is not None and not grid["key"].endswith(WHOLE):
            pin = {"side": "a", "weights": [round(value, 4) for value in answer.weights.flatten().tolist()]}
        files = [answer.asked.file, public(answer.found[0].row.file, self.galleries.session)]
        settings = self.compare.opened(settings_of(answer.space), working)
        return [gr.update(selected="Compare"), *files, *settings, pin]

    def _choices(self, gallery: str, space: str | None, label: Any) -> list[Any]:
        """What it was indexed with, and its labels."""
        spaces = self.galleries.spaces(gallery)
        names = [one.name for one in spaces]
        chosen = space if space in names else (names[0] if names else None)
        listed = [(label, name) for name, label in words.space_labels(spaces).items()]
        labels = self.galleries.labels(spaces[names.index(chosen)]) if chosen else {}
        offered = [(f"{name or 'no label'} ({count})", name) for name, count in labels.items()]
        kept_labels = [name for name in label or [] if name in labels]
        return [gr.update(choices=listed, value=chosen), gr.update(choices=offered, value=kept_labels)]

    def _only_picture(self, file: str, gallery: str, space: str, picker: dict[str, Any]) -> list[Any]:
        """The picture to mark on, where it can be shown although there are no hits."""
        try:
            picture = self.galleries.picture(file, self.galleries.space(gallery, space))
        except SimvisError:
            return [None, None]
        return [_picked(picture, picker), None]

    def asked(
        self, file: str, gallery: str, space: str, labels: Any, picker: dict[str, Any], exact: bool = False
    ) -> Asked:
        """The search that the widgets ask for. Marks of another picture do not count. Raises as `Galleries.space`."""
        asked = Asked(file, gallery, space or "", labels=tuple(labels) if labels else None, exact=exact)
        if not picker["regions"]:
            return asked
        picture = self.galleries.picture(file, self.galleries.space(gallery, space))
        same = _lies_on(picker, picture)
        return replace(asked, regions=tuple(map(region_of, picker["regions"])) if same else ())

    def _answer(self, chosen: Sequence[Any], key: str, skip: int) -> Answer | None:
        """The search that is on the page, from a rank on; None where the widgets ask for another by now."""
        if chosen[0] is None or not key:
            return None
        try:
            answer = self.galleries.search(self.asked(*chosen), PAGE, skip)
        except SimvisError:
            return None  # the search itself says why
        return answer if search_key(answer) == key else None

    def _hits(self, chosen: Sequence[Any], ids: list[str]) -> Answer | None:
        """Some of the pictures that were found, by their ids."""
        if chosen[0] is None or not all(ids):
            return None
        try:
            return self.galleries.hits(self.asked(*chosen), ids)
        except SimvisError as error:
            raise gr.Error(words.toast(error), print_exception=False) from error

    def _page(self, answer: Answer, with_maps: bool = False) -> Page:
        key = search_key(answer)
        hits = [self.galleries.hit(one, answer.space) if with_maps else (one, None) for one in answer.found]
        own, found = answer.picture.decomposition, [one for one, _ in hits]
        maps = query_maps(own, found, answer.weights) if own.method != "none" else [None] * len(found)
        cards = [self._card(one, hit, answer, map) for (one, hit), map in zip(hits, maps, strict=True)]
        scale_query, scale_hit = self._scale(key, answer)
        return Page(
            key=key,
            skip=answer.skip,
            total=answer.total,
            more=answer.more,
            scale_query=scale_query,
            scale_hit=scale_hit,
            unit=UNIT,
            always=False,
            hits=cards,
            late=with_maps or answer.skip > 0,
        )

    def _classes(self, asked: Asked) -> list[Any]:
        """The best of each of the three nearest classes, by what is marked and by the whole picture."""
        pages = []
        for whole in (False, True):
            answer = self.galleries.best_of_classes(asked, whole)
            page = self._page(answer, with_maps=True)
            page = replace(page, late=False)  # these grids show nothing else
            pages.append(replace(page, key=page.key + (WHOLE if whole else MARKED)) if page.hits else None)
        return pages

    def _why_page(self, answer: Answer, first: Found, second: Found) -> Page:
        """The query's picture under the difference, between the two hits."""
        difference = difference_map(answer.picture.decomposition, first.row, second.row, answer.weights)
        told = "red: speaks for the first, blue: for the second"
        middle = self._why_card(answer, difference, first.score - second.score, told)
        sides = [
            replace(self._card(one, None, answer), note=f"the {place}")
            for one, place in ((first, "first"), (second, "second"))
        ]
        key, scale = f"why:{search_key(answer)}:{first.row.id}:{second.row.id}", common_scale(difference)
        return Page(key, 0, 3, False, scale, scale, UNIT, True, [sides[0], middle, sides[1]])

    def _why_card(self, answer: Answer, map: Any, difference: float, note: str) -> HitCard:
        """The query's picture under a map of differences."""
        picture = answer.picture
        return HitCard(
            id=Row(picture.sha256, "").id,
            title="your picture",
            label="",
            score=words.signed(difference),
            note=note,
            image=picture_file(picture.view).path,
            aspect=picture.view.aspect,
            hit_grid=picture.decomposition.grid,
            hit_map=map.flatten().tolist(),
        )

    def _card(self, one: Found, hit: Pictured | None, answer: Answer, query_map: Any = None) -> HitCard:
        """A hit's card; its own map only where its picture was run."""
        thumbnail = self.galleries.thumbnail(one.row, answer.space)
        on_hit = None if hit is None or hit.decomposition.method == "none" else hit.decomposition
        return HitCard(
            id=one.row.id,
            title=words.file_name(one.row.file),
            label=one.row.label,
            score=words.three(one.score) if answer.weights is None else words.number(one.score),
            note="" if answer.weights is None else words.region_note(one.score, one.cosine),
            image=None if thumbnail is None else thumbnail[0],
            aspect=1.0 if thumbnail is None else thumbnail[1],
            query_grid=answer.picture.decomposition.grid,
            query_map=None if query_map is None else query_map.flatten().tolist(),
            hit_grid=(0, 0) if on_hit is None else on_hit.grid,
            hit_map=None if on_hit is None else on_hit.similarity_map(answer.query).flatten().tolist(),
            stale=one.stale or ("" if thumbnail is not None else GONE),
        )

    def _scale(self, key: str, answer: Answer) -> tuple[float, float]:
        """One scale for all pages of a search: what the query's picture shows with itself."""
        if key not in self._scales:
            own = answer.picture.decomposition
            map = own.similarity_map(own.embedding)
            carried = map if answer.weights is None else map * answer.weights.to(map)
            self._scales[key] = common_scale(carried), common_scale(own.similarity_map(answer.query))
            while len(self._scales) > SCALES:
                self._scales.popitem(last=False)
        return self._scales[key]


def _status(answer: Answer) -> str:
    own = answer.picture.decomposition
    region = None if answer.weights is None else float((answer.weights * own.similarity_map(own.embedding)).sum())
    warned = words.warning(view_warning(answer.picture.view, words.YOURS))
    return warned + words.search_status(answer.total, region, answer.left_out, answer.near) + words.estimate(own)


def _why(answer: Answer) -> str:
    first, second = answer.found
    mapped = answer.picture.decomposition.method != "none"
    names = [words.file_name(one.row.file) for one in (first, second)]
    return words.why(names[0], names[1], first.score - second.score, mapped, answer.weights is not None)


def search_key(answer: Answer) -> str:
    """The same for the same search, whatever page of it."""
    asked = answer.asked
    facts = (answer.picture.sha256, asked.gallery, asked.space, asked.regions, asked.labels, asked.exact)
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:24]


def picture_key(picture: Pictured) -> str:
    """The same as long as marks on the picture keep their place."""
    return f"{picture.sha256}:{picture.view.box}"


def _lies_on(picker: dict[str, Any], picture: Pictured) -> bool:
    """Whether the picker's marks are this picture's; what follows # only tells one drawing of them from another."""
    return str(picker["key"]).split("#")[0] == picture_key(picture)


def _picked(picture: Pictured, picker: dict[str, Any]) -> Any:
    """The picture to mark on, with its marks."""
    key, regions = (picker["key"], picker["regions"]) if _lies_on(picker, picture) else (picture_key(picture), [])
    return (picture.view, key, picture.decomposition.grid, regions, None, 0.0, "")


def public(file: str, session: Session) -> str:
    """A copy of a gallery's picture that the browser may fetch; the owner's limits hold for it.

    Raises gr.Error where it cannot be read.
    """
    data = content(file)
    if data is None:
        raise gr.Error("This picture's file is gone; index the gallery again.", print_exception=False)
    session.admit(file)
    return kept(data, f"picture{Path(file).suffix.lower()}")


def region_of(marked: dict[str, Any]) -> Region:
    """A region as the picker sends it, checked there."""
    sign: Sign = 1 if marked["sign"] > 0 else -1
    if marked["kind"] == "box":
        x, y, width, height = marked["box"]
        return Box(x, y, width, height, sign)
    if marked["kind"] == "brush":
        return Brush(tuple((x, y) for x, y in marked["points"]), marked["radius"], sign)
    x, y = marked["at"]
    return Point(x, y, sign)
