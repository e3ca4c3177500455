"""What the Attributes tab's events are told, read by what it means."""

from dataclasses import dataclass, field

from simvis_app.page.attributes.layout import Widgets
from simvis_app.page.pair.asked import PairAsked, PairLook
from simvis_app.page.pair.places import read_look, read_pair
from simvis_app.page.updates import Values, by_name
from simvis_app.service.attributes.asking import AttributesAsked, weights_of


@dataclass(frozen=True)
class AttributesInputs:
    """The tab as an event finds it.

    An empty ``attribute`` is the best one, empty ``weights`` are the learnt ones. ``sliders`` are what the weights'
    sliders hold, and ``row`` is the table's chosen one. ``drawn`` is whose maps are on screen.
    """

    pair: PairAsked = field(default_factory=PairAsked)
    look: PairLook = field(default_factory=PairLook)
    attribute: str = ""
    preset: str = AttributesAsked.preset
    weights: str = ""
    sliders: tuple[float, ...] = ()
    row: str = ""
    drawn: tuple[str, str] | None = None

    @property
    def asked(self) -> AttributesAsked:
        """How attributes are ranked. Raises SimvisError for weights that are none."""
        return AttributesAsked(self.preset, weights_of(self.weights))


def read(values: Values, widgets: Widgets) -> AttributesInputs:
    """The values by what they mean."""
    held = by_name(values, widgets)
    told = {name: held[name] for name in ("attribute", "preset", "weights", "drawn") if name in held}
    sliders = tuple(values[slider] for slider in widgets.sliders if slider in values)
    row = held.get("table", "")
    return AttributesInputs(
        read_pair(values, widgets.pair), read_look(values, widgets.look), sliders=sliders, row=row, **told
    )
