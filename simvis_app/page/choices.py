"""What the page offers to choose from; the first value, or the named default, is how it opens."""

from dataclasses import dataclass
from typing import Any

import model_zoo
from simvis_core import POOLINGS
from simvis_core.attributes.overlaps import PRESETS
from simvis_core.attributes.stored import ATTRIBUTE_USES
from simvis_core.decomposition import Method
from simvis_core.explainers.masks import MASKED
from simvis_core.explainers.table import EXPLAINERS
from simvis_core.files.colours import STOPS
from simvis_core.networks.depth.depth import RULE_NAMES
from simvis_core.networks.poolings import INNER
from simvis_core.pairs.sides import SIDES
from simvis_core.pictures.fills import FILLS
from simvis_core.pictures.views import FRAMINGS
from simvis_core.trust.measuring import MOST_SEED, SETTINGS

SIZES = {"quick: short side 224": 224, "fine: 384": 384, "finest: 512": 512}
METHODS: tuple[Method, ...] = ("last-block values", *MASKED)
FRAMES = dict(zip(("whole picture", "square, squeezed", "square, centre crop"), FRAMINGS, strict=True))


@dataclass(frozen=True)
class OneOf:
    """One of some values."""

    values: tuple[Any, ...]

    @property
    def default(self) -> Any:
        """The value the page opens with."""
        return self.values[0]

    def read(self, text: str) -> Any:
        """The value that a text names. Raises ValueError for one that is not offered."""
        return {str(value): value for value in self.values}[text] if text in map(str, self.values) else _refuse(text)


@dataclass(frozen=True)
class Named:
    """A name that the session knows or refuses."""

    default: str

    def read(self, text: str) -> str:
        """The name itself."""
        return text


@dataclass(frozen=True)
class Several:
    """Some of several names, separated by commas in a link."""

    names: tuple[str, ...]
    default: tuple[str, ...]

    def read(self, text: str) -> list[str]:
        """The names that a text lists. Raises ValueError for one that is not offered."""
        listed = [name for name in text.split(",") if name]
        return listed if set(listed) <= set(self.names) else _refuse(text)


@dataclass(frozen=True)
class Whole:
    """A whole number from 0 on."""

    default: int
    most: int

    def read(self, text: str) -> int:
        """The number that a text names. Raises ValueError for any other."""
        return int(text) if text.isdecimal() and int(text) <= self.most else _refuse(text)


@dataclass(frozen=True)
class Between:
    """A number in a range."""

    default: float
    least: float
    most: float

    def read(self, text: str) -> float:
        """The number that a text names. Raises ValueError for one outside the range."""
        value = float(text)
        return value if self.least <= value <= self.most else _refuse(text)


Choice = OneOf | Named | Several | Whole | Between


def _refuse(text: str) -> Any:
    raise ValueError(text)


BACKBONE = Named(model_zoo.names()[0])
POOLING = OneOf((*POOLINGS, *INNER))
EXPONENT = Between(3.0, 1.0, 20.0)
SHORT_SIDE = OneOf(tuple(SIZES.values()))
FRAMING = OneOf(FRAMINGS)
METHOD = OneOf(("auto", *METHODS))
COLOURS = OneOf(tuple(STOPS))
OPACITY = Between(0.85, 0.1, 1.0)
CHOICES: dict[str, Choice] = {
    "backbone": BACKBONE,
    "pooling": POOLING,
    "exponent": EXPONENT,
    "short_side": SHORT_SIDE,
    "framing": FRAMING,
    "method": METHOD,
    "colours": COLOURS,
    "opacity": OPACITY,
}

MODES = ("share", "cosine")  # what a point shows
MODE = OneOf(MODES)

LAYER = Named("")  # of the network, at which maps are drawn; empty for its last features
RULE = OneOf(tuple(sorted(RULE_NAMES, reverse=True)))  # the path first: under held gates cells carry little in front
DEPTH: dict[str, Choice] = {"layer": LAYER, "rule": RULE}
MAPS: dict[str, Choice] = {"at": LAYER, "by": RULE}  # the same of a gallery's pictures

ORDERS = {"most typical first": False, "least typical first": True}  # of a class's members, and whether it is reversed
ORDER = OneOf(tuple(ORDERS))

SIDE = OneOf(SIDES)
DRAWN_BY = Several(
    tuple(name for name, entry in EXPLAINERS.items() if not entry.baseline),
    ("decomposition", "grad_cam_normalised", "integrated_gradients"),
)
FILL = OneOf(tuple(FILLS))
HIDDEN_IN = OneOf(SETTINGS)
SEED = Whole(0, MOST_SEED)
PRESET = OneOf(tuple(sorted(PRESETS, reverse=True)))
ATTRIBUTES: dict[str, Choice] = {"preset": PRESET}
HITS: dict[str, Choice] = {"use": OneOf(ATTRIBUTE_USES)}  # what an attribute does to a search's hits
TRUST: dict[str, Choice] = {
    "side": SIDE,
    "explainers": DRAWN_BY,
    "fill": FILL,
    "setting": HIDDEN_IN,
    "seed": SEED,
}
