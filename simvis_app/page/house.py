"""What the page's tabs share."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from simvis_app.page.parts.drops import PictureDrops
from simvis_app.service.galleries.galleries import Galleries
from simvis_app.service.links import LinkedPictures
from simvis_app.service.references import References
from simvis_app.service.sessions.session import Session

if TYPE_CHECKING:
    from simvis_app.page.compare.layout import Widgets


@dataclass
class House:
    """The server's state, the tabs themselves, and the Compare tab's widgets, where other tabs open their pairs.

    ``places`` are what holds each field of the page's address, by its name; a change of ``again[tab]`` fills that tab
    anew. ``picker`` is where Search's marks are.

    An event that turns to another of the ``tabs`` shows its progress elsewhere: Gradio's page copies all that stands in
    a component with progress, here the whole page, at every event there is.
    """

    session: Session
    pictures: LinkedPictures
    galleries: Galleries
    drops: PictureDrops
    references: References
    tabs: Any = None
    compare: "Widgets | None" = None
    places: dict[str, Any] = field(default_factory=dict)
    again: dict[str, Any] = field(default_factory=dict)
    picker: Any = None
