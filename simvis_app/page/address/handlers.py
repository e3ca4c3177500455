"""What the address's events do: what is on screen becomes an address, an address becomes what is on screen."""

import uuid
from collections.abc import Mapping
from typing import Any

import gradio as gr

from simvis_app.page import choices
from simvis_app.page.address import address
from simvis_app.page.address.address import FIELDS, Address
from simvis_app.page.compare.handlers import Handlers
from simvis_app.page.pair.networks import first
from simvis_app.service import samples, words
from simvis_app.service.galleries.galleries import SAMPLES, Galleries
from simvis_app.service.pictures import Pictures, hash_of
from simvis_app.service.sessions.session import Session
from simvis_core import SimvisError

PAIR = ("a", "b")
NETWORK = ("backbone", "pooling")
# What each tab shows depends on these fields.
SHOWS = {
    "Compare": (*PAIR, *choices.CHOICES, "pin"),
    "Search": ("q", "gallery", "space", "labels", "marks", "exact"),
    "Classes": ("gallery", "space", "label", "order"),
    "Trust": (*PAIR, *choices.CHOICES, *choices.TRUST),
}
PLACED = ("q", "gallery", "space")  # what marks lie on


def opening(session: Session) -> Address:
    """What the page shows when it is opened without an address."""
    pair, backbone = samples.pairs()[0], first(session)
    defaults: dict[str, Any] = {name: choice.default for name, choice in (choices.CHOICES | choices.TRUST).items()}
    return Address(
        **defaults
        | {"tab": address.TABS[0], "a": f"sample/{pair['a']}", "b": f"sample/{pair['b']}", "backbone": backbone}
        | {"mode": choices.MODE.default}
        | {"pooling": str(session.network(backbone).trained_pooling), "explainers": choices.DRAWN_BY.default}
        | {"q": f"sample/{pair['a']}", "gallery": SAMPLES, "labels": (), "marks": (), "exact": False}
        | {"order": choices.ORDER.default}
    )


class AddressHandlers:
    """What the events do: each takes component values and gives component values."""

    def __init__(self, compare: Handlers, galleries: Galleries, pictures: Pictures) -> None:
        self.compare, self.galleries, self.pictures = compare, galleries, pictures
        self.opening = opening(compare.session)

    def follow(self, bar: dict[str, Any], viewer: dict[str, Any], picker: dict[str, Any], *values: Any) -> Any:
        """The address of what is on screen, as `AddressBar` takes it; ``values`` in the order of FIELDS."""
        shown = dict(zip(FIELDS, values, strict=True))
        shown |= {name: shown[name] or None for name in ("gallery", "space", "label")}
        files = {name: shown[name] for name in (*PAIR, "q")}
        hashes = {name: hash_of(file) for name, file in files.items() if file and _there(file)}
        if shown["pin"] is None and viewer["key"].startswith(f"{hashes.get('a')}:{hashes.get('b')}:"):
            shown["pin"] = viewer["pin"]
        if shown["marks"] is None:
            shown["marks"] = picker["regions"] if picker["key"].startswith(f"{hashes.get('q')}:") else []
        shown |= {name: self._name(file, bar["key"]) for name, file in files.items()}
        shown["method"] = shown["method"] or "auto"
        return self.written(shown), bar["turn"]

    def written(self, shown: Mapping[str, Any]) -> str:
        """The query for what is on screen: as far as it differs from the page as it opens, and can be read again."""
        found = Address(**{name: _readable(name, value) for name, value in shown.items()})
        return found.beside(self.opening).query()

    def restore(self, bar: dict[str, Any], working: str) -> list[Any]:
        """What the address names, where it differs from what is on screen: the fields, network, tabs, and what to ask.

        What cannot be restored is said, and stays as it is.
        """
        found, wrong = address.read(bar["query"])
        now = found.over(self.opening)
        before = None if bar["before"] is None else address.read(bar["before"])[0].over(self.opening)
        changed = {name for name in FIELDS if before is None or getattr(now, name) != getattr(before, name)}
        outputs: dict[str, Any] = {name: _as_shown(name, getattr(now, name)) for name in changed}
        network = self._network(now, working, changed, outputs)
        wrong += self._pictures(now, bar["key"], outputs)
        wrong += self._gallery(now, outputs)
        _on_top(now, changed, outputs)
        for error in wrong:
            gr.Warning(words.toast(error), duration=None)
        tabs = gr.update(selected=now.tab) if "tab" in changed else gr.skip()
        asks = [gr.skip()] * len(SHOWS) if bar["turn"] == 0 else _asks(now, changed)  # a page that opens fills itself
        return [*(outputs.get(name, gr.skip()) for name in FIELDS), *network, tabs, *asks]

    def _name(self, file: str | None, key: str) -> str | None:
        if file is None:
            return ""
        return self.pictures.name(file, key) if _there(file) else None

    def _network(self, now: Address, working: str, changed: set[str], outputs: dict[str, Any]) -> list[Any]:
        """Notice, card and name of the network, with its poolings; one that cannot be had leaves the working one."""
        if changed.isdisjoint(NETWORK):
            return [gr.skip()] * 3
        backbone, offered, shown, *network = self.compare.choose_network(str(now.backbone), str(now.pooling), working)
        if "choices" in offered and now.pooling in offered["choices"]:
            offered["value"] = now.pooling
        outputs |= {"backbone": backbone, "pooling": offered}
        if "visible" in shown:
            outputs["exponent"] = gr.update(visible=offered.get("value") == "gem", value=now.exponent)
        return network

    def _pictures(self, now: Address, key: str, outputs: dict[str, Any]) -> list[SimvisError]:
        """Puts files in the place of names; a pair of which one is missing is left as it is."""
        wrong = []
        for names in (PAIR, ("q",)):
            asked = [name for name in names if name in outputs]
            try:
                found = {name: self.pictures.find(text, key) if (text := outputs[name]) else None for name in asked}
            except SimvisError as error:
                wrong.append(error)
                found = {}
            for name in asked:
                outputs.pop(name)
            outputs |= found
        return wrong

    def _gallery(self, now: Address, outputs: dict[str, Any]) -> list[SimvisError]:
        """Leaves out a gallery that is not there, or not indexed so; while the samples are prepared nobody knows."""
        if self.galleries.preparing or outputs.keys().isdisjoint(("gallery", "space")):
            return []
        try:
            self._require(str(now.gallery))
            if now.space:
                self.galleries.space(str(now.gallery), now.space)
        except SimvisError as error:
            outputs.pop("gallery", None)
            outputs.pop("space", None)
            return [error]
        return []

    def _require(self, gallery: str) -> None:
        names = self.galleries.names()
        if gallery not in names:
            listed = ", ".join(f"'{name}'" for name in names)
            raise SimvisError(f"a link to gallery '{gallery}', which is not here", f"one of {listed}", "choose one")


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


def _as_shown(name: str, value: Any) -> Any:
    """A field as its component takes it."""
    show = SHOWN.get(name)
    return value if show is None else show(value)


def _on_top(now: Address, changed: set[str], outputs: dict[str, Any]) -> None:
    """A pin or marks that the next answer is to draw in the place of those on screen; empty ones clear them."""
    if not changed.isdisjoint(SHOWS["Compare"]):
        outputs["pin"] = now.pin or {}
    if not changed.isdisjoint((*PLACED, "marks")):
        outputs["marks"] = list(now.marks or ())


def _asks(now: Address, changed: set[str]) -> list[Any]:
    """Another text for each tab that is to be filled anew; one that is turned to fills itself."""
    asked = {name for name, fields in SHOWS.items() if not changed.isdisjoint(fields) and name == now.tab}
    if "tab" in changed:
        asked.discard(str(now.tab))
    if not changed.isdisjoint(SHOWS["Compare"]):
        asked.add("Compare")
    return [uuid.uuid4().hex if name in asked else gr.skip() for name in address.TABS]


def _size(value: int) -> Any:
    """A view size that the page does not offer stands beside those that it does."""
    offered = choices.SIZES.items()
    if value in choices.SIZES.values():
        return gr.update(choices=list(offered), value=value)
    return gr.update(choices=[*offered, (f"as linked: {value}", value)], value=value)


SHOWN = {
    "short_side": _size,
    "method": lambda value: gr.update(choices=list(choices.METHODS), value=None if value == "auto" else value),
    "label": lambda value: gr.update(value=value) if value is None else gr.update(choices=[value], value=value),
    "labels": lambda value: gr.update(choices=list(value), value=list(value)),
    "explainers": list,
}
