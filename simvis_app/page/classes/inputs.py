"""What the Classes tab's events are told, read by what it means."""

from dataclasses import dataclass

from simvis_app.page.choices import ORDER
from simvis_app.page.classes.widgets import Widgets
from simvis_app.page.galleries.cards import Wanted, wanted_of
from simvis_app.page.galleries.choice import Place, place_of
from simvis_app.page.updates import Values, by_name


@dataclass(frozen=True)
class ClassInputs:
    """The tab as an event finds it; ``wanted`` is what is asked of the members that are shown."""

    place: Place = Place()  # noqa: RUF009 - it never changes
    label: str = ""
    order: str = ORDER.default
    wanted: Wanted = Wanted()  # noqa: RUF009 - it never changes
    outside: str | None = None
    refused: str = ""
    curve_spaces: tuple[str, ...] = ()
    pairs: int = 0
    working: str = ""


def read(values: Values, widgets: Widgets) -> ClassInputs:
    """The values by what they mean; an emptied list counts as nothing chosen, an emptied number as none."""
    found = by_name(values, widgets)
    grid = found.pop("grid", None)
    emptied = {
        "label": found.get("label") or "",
        "curve_spaces": tuple(found.get("curve_spaces") or ()),
        "pairs": int(found.get("pairs") or 0),
    }
    return ClassInputs(
        **found | emptied,
        refused=widgets.refusals.unseen(values),
        place=place_of(values, widgets.choice),
        wanted=Wanted() if grid is None else wanted_of(grid),
    )
