"""The page's address: what is on screen as the query of a URL, written and read here by all tabs."""

import base64
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any
from urllib.parse import parse_qs, urlencode

from simvis_app.page import choices
from simvis_app.service.attributes.asking import weights_of
from simvis_app.service.marks import Marked, checked_regions
from simvis_core import SimvisError

LONGEST = 2**15  # characters of a query that are read
MARKS = 6000  # characters of marks in an address, which servers and people still take
STEPS = 127  # of a region's weight from 0 to its heaviest
FINE = 10_000  # steps of a mark's place over the picture's side
QUIET = frozenset(
    (
        *("pin", "mode", "marks", "exponent", "colours", "opacity", "method", "labels", "exact", "shows", "use"),
        *("explainers", "seed", "step", "attribute", "weights", "layer", "rule", "at", "by"),
    )
)
_PIN = re.compile(r"([ab])\.(\d{1,4})\.(\d{1,4})(?:\.(\d{1,4})\.(\d{1,4}))?", re.ASCII)
_REGION = re.compile(r"([ab])\.w(\d{0,4})\.((?:[A-Za-z0-9_-]{4})*(?:[A-Za-z0-9_-]{2,3})?)", re.ASCII)
_MARK = re.compile(r"(-?)([bpr])((?:\d{1,5}\.)*\d{1,5})(?:_([A-Za-z0-9_-]+))?", re.ASCII)


@dataclass(frozen=True)
class Address:
    """What is on screen, in values that were checked. A field that is None is as the page opens.

    Pictures are names, which `simvis_app.service.pictures` gives and finds; "" is an empty place. The fields are named
    as the query's parts are. ``at`` and ``by`` are layer and rule of a gallery's maps. ``label`` is the class that is
    shown, ``labels`` are those that a search is held to, ``shows`` is the attribute, which ``use`` filters or ranks its
    hits by; ``attribute`` is the Attributes tab's.
    """

    tab: str | None = None
    a: str | None = None
    b: str | None = None
    backbone: str | None = None
    pooling: str | None = None
    exponent: float | None = None
    short_side: int | None = None
    framing: str | None = None
    method: str | None = None
    colours: str | None = None
    opacity: float | None = None
    pin: dict[str, Any] | None = None
    mode: str | None = None
    layer: str | None = None
    rule: str | None = None
    q: str | None = None
    gallery: str | None = None
    space: str | None = None
    at: str | None = None
    by: str | None = None
    labels: tuple[str, ...] | None = None
    marks: tuple[Marked, ...] | None = None
    exact: bool | None = None
    shows: str | None = None
    use: str | None = None
    label: str | None = None
    order: str | None = None
    side: str | None = None
    explainers: tuple[str, ...] | None = None
    fill: str | None = None
    setting: str | None = None
    seed: int | None = None
    series: str | None = None
    other: str | None = None
    subject: str | None = None
    step: int | None = None
    preset: str | None = None
    attribute: str | None = None
    weights: str | None = None

    def over(self, opening: "Address") -> "Address":
        """The address, with what it leaves open taken from another."""
        return replace(opening, **{name: value for name, value in self.named().items() if value is not None})

    def beside(self, opening: "Address") -> "Address":
        """Only what differs from another."""
        other = opening.named()
        return Address(**{name: value for name, value in self.named().items() if value != other[name]})

    def named(self) -> dict[str, Any]:
        """Each field's value by its name."""
        return {one.name: getattr(self, one.name) for one in fields(self)}

    def query(self) -> str:
        """The query part of a URL, with every field that is not None."""
        parts = {name: FIELDS[name].write(value) for name, value in self.named().items() if value is not None}
        return urlencode(parts, safe="/:.,~")


def read(query: str) -> tuple[Address, list[SimvisError]]:
    """The address that a query names, and what in it cannot be read or is not offered; that is left open.

    Parts that are not ours are passed over.
    """
    if len(query) > LONGEST:
        return Address(), [SimvisError(f"an address of {len(query)} characters", f"at most {LONGEST}", "shorten it")]
    parts = {name: texts[0] for name, texts in parse_qs(query, keep_blank_values=True).items() if name in FIELDS}
    found: dict[str, Any] = {}
    wrong = []
    for name, text in parts.items():
        try:
            found[name] = FIELDS[name].read(text)
        except ValueError:
            wrong.append(not_offered(name, text))
    return Address(**found), wrong


def not_offered(name: str, text: str) -> SimvisError:
    """What to say of a part of a link that names nothing on this page."""
    shown = text if len(text) <= 80 else f"{text[:80]}..."
    return SimvisError(f"a link whose {name} is '{shown}'", "one that this page offers", "choose it by hand")


def pin_of(text: str) -> dict[str, Any]:
    """The pin that a link names: a cell, or a weight for each cell. Raises ValueError for any other text."""
    found = _PIN.fullmatch(text)
    if found:
        of = {} if found[4] is None else {"of": [int(found[4]), int(found[5])]}
        return {"side": found[1], "row": int(found[2]), "col": int(found[3]), **of}
    found = _REGION.fullmatch(text)
    if not found:
        raise ValueError(text)
    heaviest = int(found[2] or 100) / 100
    return {"side": found[1], "weights": [heaviest * weight for weight in _weights(found[3])]}


def _pin_text(pin: dict[str, Any]) -> str:
    """A cell as side.row.column, then its grid's rows and columns where that is another layer's.

    A region as side.w, its heaviest weight in hundredths if above 1, a byte a cell.
    """
    if "weights" not in pin:
        return ".".join(map(str, (pin["side"], pin["row"], pin["col"], *pin.get("of", ()))))
    heaviest = max(1.0, math.ceil(100 * max(map(abs, pin["weights"]))) / 100)
    steps = bytes(round(weight / heaviest * STEPS) % 256 for weight in pin["weights"])
    scale = "" if heaviest == 1 else round(100 * heaviest)
    return f"{pin['side']}.w{scale}.{base64.urlsafe_b64encode(steps).decode().rstrip('=')}"


def _weights(text: str) -> list[float]:
    steps = _bytes(text)
    return [(step - 256 if step > STEPS else step) / STEPS for step in steps]


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def marks_of(text: str) -> tuple[Marked, ...]:
    """The marks that an address names. Raises ValueError for one that cannot be read or is none."""
    marks = [_mark(one) for one in text.split("~")] if text else []
    if checked_regions(marks) != marks:
        raise ValueError(text)
    return tuple(marks)


def _mark(text: str) -> Marked:
    found = _MARK.fullmatch(text)
    if not found:
        raise ValueError(text)
    minus, kind, places, strokes = found.groups()
    numbers = [int(place) / FINE for place in places.split(".")]
    region: Marked = {"kind": _KINDS[kind], "sign": -1 if minus else 1}
    if kind == "r":
        pairs = _bytes(strokes or "")
        steps = [int.from_bytes(pairs[at : at + 2], "big") / FINE for at in range(0, len(pairs) // 4 * 4, 2)]
        return region | {
            "radius": numbers[0],
            "points": [list(pair) for pair in zip(steps[::2], steps[1::2], strict=True)],
        }
    return region | ({"box": numbers} if kind == "b" else {"at": numbers})


def _marks_text(marks: tuple[Marked, ...]) -> str:
    """Each mark as kind and places; strokes are thinned, evenly, until the address stays short enough."""
    thinner = 1
    while len(text := "~".join(_mark_text(mark, thinner) for mark in marks)) > MARKS and thinner < 512:
        thinner *= 2
    return text


def _mark_text(mark: Marked, thinner: int) -> str:
    minus = "-" if mark["sign"] < 0 else ""
    if mark["kind"] == "brush":
        flat = [place for point in mark["points"][::thinner] for place in point]
        packed = b"".join(round(place * FINE).to_bytes(2, "big") for place in flat)
        return f"{minus}r{round(mark['radius'] * FINE)}_{base64.urlsafe_b64encode(packed).decode().rstrip('=')}"
    kind, places = ("b", mark["box"]) if mark["kind"] == "box" else ("p", mark["at"])
    return minus + kind + ".".join(str(round(place * FINE)) for place in places)


_KINDS = {"b": "box", "p": "point", "r": "brush"}


def texts_of(text: str) -> tuple[str, ...]:
    r"""Free texts that commas part; a backslash stands before a comma or one of theirs, ``\0`` for an empty text."""
    parts = re.findall(r"(?:[^,\\]|\\.)+", text, re.DOTALL)
    return tuple(re.sub(r"\\(.)", lambda found: found[1].replace("0", ""), one, flags=re.DOTALL) for one in parts)


def _texts(texts: tuple[str, ...]) -> str:
    return ",".join(re.sub(r"([,\\])", r"\\\1", one) or r"\0" for one in texts)


@dataclass(frozen=True)
class Part:
    """How a part of the query is read, checked, and written. ``read`` raises ValueError for what is not offered."""

    read: Callable[[str], Any]
    write: Callable[[Any], str] = str


def _held(text: str) -> str:
    """A name, which the page, the galleries, the session or `simvis_app.service.pictures` know or refuse."""
    if len(text) > 300:
        raise ValueError(text)
    return text


def _offered(choice: choices.Choice) -> Part:
    if isinstance(choice, choices.Several):
        return Part(lambda text: tuple(choice.read(text)), ",".join)
    return Part(choice.read)


def _weighed(text: str) -> str:
    """Weights of attributes' terms, as sliders of 0..1 hold them."""
    try:
        weights = weights_of(text)
    except SimvisError as error:
        raise ValueError(text) from error
    if weights is None or not all(0 <= weight <= 1 for weight in weights):
        raise ValueError(text)
    return ",".join(f"{weight:g}" for weight in weights)


def _exact(text: str) -> bool:
    return bool(choices.OneOf((0, 1)).read(text))


FIELDS: dict[str, Part] = {
    "tab": Part(_held),
    "a": Part(_held),
    "b": Part(_held),
    **{name: _offered(choice) for name, choice in choices.CHOICES.items()},
    "short_side": _offered(choices.Whole(choices.SHORT_SIDE.default, 4096)),  # hits open in the size of their gallery
    "pin": Part(pin_of, _pin_text),
    "mode": _offered(choices.MODE),
    **{name: _offered(choice) for name, choice in choices.DEPTH.items()},
    "q": Part(_held),
    "gallery": Part(_held),
    "space": Part(_held),
    **{name: _offered(choice) for name, choice in choices.MAPS.items()},
    "labels": Part(texts_of, _texts),
    "marks": Part(marks_of, _marks_text),
    "exact": Part(_exact, lambda exact: str(int(exact))),
    "shows": Part(_held),
    **{name: _offered(choice) for name, choice in choices.HITS.items()},
    "label": Part(_held),
    "order": _offered(choices.ORDER),
    **{name: _offered(choice) for name, choice in choices.TRUST.items()},
    "series": Part(_held),
    "other": Part(_held),
    "subject": Part(_held),
    "step": _offered(choices.Whole(0, 10**9)),
    **{name: _offered(choice) for name, choice in choices.ATTRIBUTES.items()},
    "attribute": Part(_held),
    "weights": Part(_weighed),
}
assert list(FIELDS) == [one.name for one in fields(Address)]
