"""What the Search tab's events are told, read by what it means."""

from dataclasses import dataclass, replace

from simvis_app.page.galleries.cards import Wanted, wanted_of
from simvis_app.page.galleries.choice import Place, place_of
from simvis_app.page.galleries.fineness import depth_of
from simvis_app.page.search.widgets import Widgets
from simvis_app.page.updates import Values, by_name
from simvis_app.service.attributes.hits import AttributeWish
from simvis_app.service.galleries.galleries import Asked, Galleries
from simvis_app.service.marks import Marked
from simvis_app.service.sessions.depths import DepthAsked
from simvis_app.service.sessions.session import Pictured
from simvis_core.attributes.stored import AttributeUse
from simvis_core.galleries.regions import Box, Brush, Point, Region, Sign


@dataclass(frozen=True)
class Marks:
    """What is marked on the picture of that key."""

    key: str = ""
    regions: tuple[Marked, ...] = ()

    def lie_on(self, picture: Pictured) -> bool:
        """Whether they are this picture's; what follows # only tells one drawing of them from another."""
        return self.key.split("#")[0] == picture_key(picture)


@dataclass(frozen=True)
class SearchInputs:
    """The tab as an event finds it; ``wanted`` is what is asked of the grid that the event came from."""

    query: str | None = None
    place: Place = Place()  # noqa: RUF009 - it never changes
    labels: tuple[str, ...] = ()
    exact: bool = False
    attribute: str = ""
    use: AttributeUse = AttributeWish.use
    marks: Marks = Marks()
    wanted: Wanted = Wanted()  # noqa: RUF009 - it never changes
    said: str = ""
    pending: list[Marked] | None = None
    working: str = ""


def read(values: Values, widgets: Widgets) -> SearchInputs:
    """The values by what they mean."""
    found = by_name(values, widgets) | by_name(values, widgets.shows)
    picker = found.pop("picker", None)
    grid = next((values[grid] for grid in widgets.grids if grid in values), None)
    for name in ("grid", "by_region", "by_whole"):
        found.pop(name, None)
    return SearchInputs(
        **found | {"labels": tuple(found.get("labels") or ())},
        said=widgets.refusals.unseen(values),
        place=place_of(values, widgets.choice),
        marks=Marks() if picker is None else Marks(picker["key"], tuple(picker["regions"])),
        wanted=Wanted() if grid is None else wanted_of(grid),
    )


def search_of(inputs: SearchInputs, galleries: Galleries) -> Asked:
    """The search that is asked for, for a picture. Marks of another picture do not count.

    Neither does an attribute where the network has none, as the page says there. Raises SimvisError as
    `Galleries.space` does where there is an attribute, and as `Galleries.picture` where something is marked.
    """
    place = inputs.place
    asked = Asked(
        inputs.query or "",
        place.gallery,
        place.space,
        labels=inputs.labels or None,
        exact=inputs.exact,
        attribute=_wish(inputs, galleries),
        depth=_depth(inputs, galleries),
    )
    if not inputs.marks.regions:
        return asked
    same = inputs.marks.lie_on(picture_of(inputs, galleries))
    return replace(asked, regions=tuple(map(region_of, inputs.marks.regions)) if same else ())


def _wish(inputs: SearchInputs, galleries: Galleries) -> AttributeWish | None:
    place = inputs.place
    if not inputs.attribute or not galleries.attributes.has(galleries.space(place.gallery, place.space)):
        return None
    return AttributeWish(inputs.attribute, inputs.use)


def _depth(inputs: SearchInputs, galleries: Galleries) -> DepthAsked:
    place = inputs.place
    if not place.layer:
        return DepthAsked()
    return depth_of(galleries, galleries.space(place.gallery, place.space), place.layer, place.rule)


def picture_of(inputs: SearchInputs, galleries: Galleries) -> Pictured:
    """The picture to search for, as the gallery's network sees it. Raises SimvisError where it cannot be shown."""
    return galleries.picture(inputs.query or "", galleries.space(inputs.place.gallery, inputs.place.space))


def picture_key(picture: Pictured) -> str:
    """A text for the picture on which marks keep their place: another picture or view has another."""
    return f"{picture.sha256}:{picture.view.box}"


def region_of(marked: Marked) -> Region:
    """A region as the picker sends it, checked there."""
    sign: Sign = 1 if marked["sign"] > 0 else -1
    if marked["kind"] == "box":
        x, y, width, height = marked["box"]
        return Box(x, y, width, height, sign)
    if marked["kind"] == "brush":
        return Brush(tuple((x, y) for x, y in marked["points"]), marked["radius"], sign)
    x, y = marked["at"]
    return Point(x, y, sign)
