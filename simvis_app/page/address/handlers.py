"""What the address's events compute: what is on screen becomes an address, an address becomes what is on screen."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from simvis_app.page import choices
from simvis_app.page.address import address
from simvis_app.page.address.address import FIELDS, Address
from simvis_app.page.pair.networks import NetworkChosen, NetworkRefused, choose_network, first
from simvis_app.page.pair.places import COMPARE
from simvis_app.service import samples
from simvis_app.service.galleries.galleries import SAMPLES, Galleries
from simvis_app.service.pictures import Pictures, hash_of
from simvis_app.service.sessions.session import Session
from simvis_core import SimvisError

PAIR = ("a", "b")
QUERIES = ("q", "subject")  # pictures that stand alone: of a search, of a training
NETWORK = ("backbone", "pooling")
COMPARED = (*PAIR, *choices.CHOICES, "pin", *choices.DEPTH)  # what a comparison depends on
# What the page opens with.
OPENING = choices.CHOICES | choices.DEPTH | choices.MAPS | choices.TRUST | choices.ATTRIBUTES | choices.HITS
OPTIONAL = ("gallery", "space", "label", "series", "attribute", "weights", "shows")  # empty where nothing is chosen
PLACED = ("q", "gallery", "space")  # what marks lie on
Network = NetworkChosen | NetworkRefused | None  # None where it stays as it is


@dataclass(frozen=True)
class BarTold:
    """What the browser tells of its address, unchecked.

    ``before`` is the address of what is on screen, None where that is not known; ``key`` opens the visitor's own
    pictures; ``turn`` counts the questions, from 0 for a page that opens.
    """

    query: str
    before: str | None
    key: str
    turn: int


@dataclass(frozen=True)
class OnScreen:
    """What is on screen: the address's fields by name, as their components hold them; the viewer's and marks' own."""

    fields: Mapping[str, Any]
    viewer: Mapping[str, Any]
    picker: Mapping[str, Any]


@dataclass(frozen=True)
class Restored:
    """What an address brings on screen: fields by name, the network, the tab, and the tabs that are to be filled anew.

    A field that is not among them stays as it is; so does a network or tab that is None. ``wrong`` is what cannot be
    restored.
    """

    fields: dict[str, Any]
    network: Network
    tab: str | None
    asks: frozenset[str]
    wrong: list[SimvisError]


def opening(session: Session, tab: str, series: str | None = None) -> Address:
    """What the page shows when it is opened without an address, the given tab in front, and of trainings ``series``."""
    pair, backbone = samples.pairs()[0], first(session)
    defaults: dict[str, Any] = {name: choice.default for name, choice in OPENING.items()}
    return Address(
        **defaults
        | {"tab": tab, "a": f"sample/{pair['a']}", "b": f"sample/{pair['b']}", "backbone": backbone}
        | {"mode": choices.MODE.default}
        | {"pooling": str(session.network(backbone).trained_pooling), "explainers": choices.DRAWN_BY.default}
        | {"q": f"sample/{pair['a']}", "gallery": SAMPLES, "labels": (), "marks": (), "exact": False}
        | {"order": choices.ORDER.default, "series": series, "other": "", "subject": ""}
    )


class AddressHandlers:
    """What the events compute. ``shows`` are the page's tabs in their order, with the fields that each depends on."""

    def __init__(
        self,
        session: Session,
        shows: Mapping[str, tuple[str, ...]],
        galleries: Galleries,
        pictures: Pictures,
        series: str | None = None,
    ) -> None:
        self.session, self.shows, self.galleries, self.pictures = session, shows, galleries, pictures
        self.opening = opening(session, next(iter(shows)), series)

    def follow(self, bar: BarTold, screen: OnScreen) -> str:
        """The query of the address of what is on screen."""
        shown = dict(screen.fields)
        shown |= {name: shown[name] or None for name in OPTIONAL}
        files = {name: shown[name] for name in (*PAIR, *QUERIES)}
        hashes = {name: hash_of(file) for name, file in files.items() if file and _there(file)}
        viewer, picker = screen.viewer, screen.picker
        if shown["pin"] is None and viewer["key"].startswith(f"{hashes.get('a')}:{hashes.get('b')}:"):
            shown["pin"] = viewer["pin"]
        if shown["marks"] is None:
            shown["marks"] = picker["regions"] if picker["key"].startswith(f"{hashes.get('q')}:") else []
        shown |= {name: self._name(file, bar.key) for name, file in files.items()}
        shown["method"] = shown["method"] or "auto"
        return self.written(shown)

    def written(self, shown: Mapping[str, Any]) -> str:
        """The query for what is on screen: as far as it differs from the page as it opens, and can be read again."""
        found = Address(**{name: _readable(name, value) for name, value in shown.items()})
        return found.beside(self.opening).query()

    def restore(self, bar: BarTold, working: str) -> Restored:
        """What the address names, where it differs from what is on screen. ``working`` is the network by now."""
        found, wrong = self._read(bar.query)
        now = found.over(self.opening)
        before = None if bar.before is None else self._read(bar.before)[0].over(self.opening)
        changed = {name for name in FIELDS if before is None or getattr(now, name) != getattr(before, name)}
        fields = {name: getattr(now, name) for name in changed}
        network = self._network(now, working, fields)
        wrong += self._pictures(bar.key, fields)
        wrong += self._gallery(now, fields)
        _on_top(now, changed, fields)
        asks = frozenset() if bar.turn == 0 else self._asks(now, changed)  # a page that opens fills itself
        return Restored(fields, network, now.tab if "tab" in changed else None, asks, wrong)

    def _read(self, query: str) -> tuple[Address, list[SimvisError]]:
        """As `address.read`, the tab among those of the page."""
        found, wrong = address.read(query)
        if found.tab is None or found.tab in self.shows:
            return found, wrong
        return replace(found, tab=None), [address.not_offered("tab", found.tab), *wrong]

    def _name(self, file: str | None, key: str) -> str | None:
        if file is None:
            return ""
        return self.pictures.name(file, key) if _there(file) else None

    def _network(self, now: Address, working: str, fields: dict[str, Any]) -> Network:
        """The network with its pooling and exponent, in place of those fields; one that cannot be had keeps them."""
        if fields.keys().isdisjoint(NETWORK):
            return None
        network = choose_network(self.session, str(now.backbone), str(now.pooling), working)
        for name in NETWORK:
            fields.pop(name, None)
        if isinstance(network, NetworkRefused):
            return network
        fields.pop("exponent", None)
        pooling = str(now.pooling) if now.pooling in network.poolings else network.pooling
        return replace(network, pooling=pooling, exponent=now.exponent)

    def _pictures(self, key: str, fields: dict[str, Any]) -> list[SimvisError]:
        """Puts files in the place of names; a pair of which one is missing is left as it is."""
        wrong = []
        for names in (PAIR, *((name,) for name in QUERIES)):
            asked = {name: fields.pop(name) for name in names if name in fields}
            try:
                fields |= {name: self.pictures.find(text, key) if text else None for name, text in asked.items()}
            except SimvisError as error:
                wrong.append(error)
        return wrong

    def _gallery(self, now: Address, fields: dict[str, Any]) -> list[SimvisError]:
        """Leaves out a gallery that is not there, or not indexed so; while the samples are prepared nobody knows."""
        if self.galleries.preparing or fields.keys().isdisjoint(("gallery", "space")):
            return []
        try:
            self._require(str(now.gallery))
            if now.space:
                self.galleries.space(str(now.gallery), now.space)
        except SimvisError as error:
            fields.pop("gallery", None)
            fields.pop("space", None)
            return [error]
        return []

    def _require(self, gallery: str) -> None:
        names = self.galleries.names()
        if gallery not in names:
            listed = ", ".join(f"'{name}'" for name in names)
            raise SimvisError(f"a link to gallery '{gallery}', which is not here", f"one of {listed}", "choose one")

    def _asks(self, now: Address, changed: set[str]) -> frozenset[str]:
        """The tabs that are to be filled anew: the one in front, as one that is turned to fills itself; the pair's."""
        front = {name for name in (now.tab,) if name and not changed.isdisjoint(self.shows[name])}
        compare = {COMPARE} if not changed.isdisjoint(COMPARED) else set()
        return frozenset((front if "tab" not in changed else set()) | compare)


def _there(file: str) -> bool:
    try:
        hash_of(file)
    except SimvisError:
        return False
    return True


def _readable(name: str, value: Any) -> Any:
    """The value as an address holds it; None for one that no address can name, such as an emptied number."""
    if value is None:
        return None
    value = tuple(value) if isinstance(value, list) else value
    try:
        return FIELDS[name].read(FIELDS[name].write(value))
    except (ValueError, TypeError):
        return None


def _on_top(now: Address, changed: set[str], fields: dict[str, Any]) -> None:
    """A pin or marks that the next answer is to draw in the place of those on screen; empty ones clear them."""
    if not changed.isdisjoint(COMPARED):
        fields["pin"] = now.pin or {}
    if not changed.isdisjoint((*PLACED, "marks")):
        fields["marks"] = list(now.marks or ())
