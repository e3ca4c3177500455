"""What the page's tabs share."""

from dataclasses import dataclass, field
from typing import Any

from simvis_app.page.pair.places import PairPlaces
from simvis_app.page.parts.drops import PictureDrops
from simvis_app.service.attributes.asking import AttributeAnswers
from simvis_app.service.galleries.galleries import Galleries
from simvis_app.service.links import LinkedPictures
from simvis_app.service.references import References
from simvis_app.service.series.studies import Studies
from simvis_app.service.sessions.session import Session


@dataclass
class House:
    """The server's state, the tabs themselves, and where the Compare tab holds its pair, where other tabs open theirs.

    ``places`` are what holds each field of the page's address, by its name. ``shows`` are the tabs by name, in the
    order in which they stand, with the fields of the address that each one's panels depend on; a change of
    ``again[tab]`` fills that tab anew. ``picker`` is where Search's marks are.

    An event that turns to another of the ``tabs`` shows its progress elsewhere: Gradio's page copies all that stands in
    a component with progress, here the whole page, at every event there is.
    """

    session: Session
    pictures: LinkedPictures
    galleries: Galleries
    drops: PictureDrops
    references: References
    studies: Studies
    attributes: AttributeAnswers
    tabs: Any = None
    compare: PairPlaces | None = None
    places: dict[str, Any] = field(default_factory=dict)
    shows: dict[str, tuple[str, ...]] = field(default_factory=dict)
    again: dict[str, Any] = field(default_factory=dict)
    picker: Any = None
