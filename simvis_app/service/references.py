"""How scores of the reference pictures are spread, by network, pooling and view: a table, and what is measured here."""

import json
import queue
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import model_zoo
from simvis_app.service import samples
from simvis_app.service.sessions.cache import BoundedCache
from simvis_app.service.sessions.session import Session, Settings
from simvis_core import SimvisError
from simvis_core.pairs.standing import Reference, reference_steps
from simvis_core.steps import run

TABLE = samples.FOLDER / "standing.json"
OF_A_CLASS, ALONE = 4, 40  # pictures of a class that has several; classes of one picture
KEPT = 500  # references that were measured here
WAITING = 20  # that may wait to be measured


class References:
    """The reference of each network, pooling and view. What the table lacks is measured by one thread, in turn.

    Settings that cannot be measured (a view the pooling does not take) have none.
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        self._measured: BoundedCache[Reference] = BoundedCache(KEPT, lambda _: 1)
        self._refused: BoundedCache[str] = BoundedCache(KEPT, lambda _: 1)
        self._asked: queue.Queue[tuple[Any, Settings]] = queue.Queue(WAITING)
        self._under_way: set[Any] = set()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def held(self, settings: Settings) -> Reference | None:
        """The reference, from the table or measured before; None where it is not known. Raises as `network` does."""
        written = _written(settings)
        return self._measured.held(self._key(settings)) if written is None else written

    def ask(self, settings: Settings) -> bool:
        """Has a reference measured that is not known; whether it is on its way. Raises as `Session.network` does."""
        key = self._key(settings)
        if self.held(settings) is not None or self._refused.held(key) is not None:
            return False
        with self._starting:
            if key not in self._under_way:
                try:
                    self._asked.put_nowait((key, settings))
                except queue.Full:
                    return False  # another visit asks again
                self._under_way.add(key)
            if self._thread is None:
                self._thread = threading.Thread(target=self._measure_all, daemon=True)
                self._thread.start()
        return True

    def measured(self, settings: Settings) -> Reference:
        """The reference, measured at once if need be. Raises SimvisError as `reference_steps` does."""
        held = self.held(settings)
        return held if held is not None else run(self.session.in_turn(self._steps(settings)))[settings.pooling]

    def _measure_all(self) -> None:
        """What is asked for, one after the other, for as long as the server runs."""
        while True:
            key, settings = self._asked.get()
            try:
                found = self.measured(settings)
                self._measured.get(key, lambda found=found: found)  # type: ignore[misc]
            except SimvisError as error:
                self._refused.get(key, lambda error=error: str(error))  # type: ignore[misc]
            finally:
                self._under_way.discard(key)

    def _steps(self, settings: Settings) -> Any:
        network = self.session.network(settings.backbone)
        return reference_steps(network, pictures(), settings.short_side, settings.framing, [settings.pooling])

    def _key(self, settings: Settings) -> tuple[Any, ...]:
        network = self.session.network(settings.backbone)
        return network.fingerprint, settings.pooling, settings.short_side, settings.framing


@cache
def pictures() -> Mapping[str | Path, str]:
    """The reference pictures and their classes: up to four of each class with several, then the first lone ones."""
    files = sorted(entry["file"] for entry in samples.credits_list())
    sizes = Counter(_label(file) for file in files)
    several: Counter[str] = Counter()
    kept, alone = [], []
    for file in files:
        label = _label(file)
        several[label] += 1
        if sizes[label] == 1:
            alone.append(file)
        elif several[label] <= OF_A_CLASS:
            kept.append(file)
    step = max(1, len(alone) // ALONE)
    return {samples.PICTURES / file: _label(file) for file in [*kept, *alone[::step][:ALONE]]}


def _label(file: str) -> str:
    return file.partition("/")[0]


@cache
def _table() -> dict[str, Any]:
    return json.loads(TABLE.read_text())


def _written(settings: Settings) -> Reference | None:
    """The committed reference, if it was made with the weights that the card names."""
    if settings.backbone not in model_zoo.bundled():
        return None
    entry = _table().get(settings.backbone, {})
    if entry.get("weights") != model_zoo.card(settings.backbone).weights.sha256:
        return None
    known = entry["references"].get(_name(settings))
    if known is None:
        return None
    same, different = tuple(known["same"]), tuple(known["different"])
    return Reference(same, different, known["separation"], known["pictures"])


def _name(settings: Settings) -> str:
    return f"{settings.pooling} {settings.short_side} {settings.framing}"


def make_table(session: Session) -> dict[str, Any]:
    """The table of the bundled networks under their poolings, at the view that the page opens with."""
    table: dict[str, Any] = {}
    for name in model_zoo.bundled():
        network = session.network(name)
        side = network.preprocess.whole_cells(Settings.short_side)
        poolings = [pooling for pooling in network.poolings if pooling != "flatten"]
        names = {pooling: str(network.with_pooling(pooling).pooling) for pooling in poolings}
        found = run(reference_steps(network, pictures(), side, "whole", list(names.values())))
        named = {_name(Settings(name, pooling, side, "whole")): asdict(one) for pooling, one in found.items()}
        table[name] = {"weights": model_zoo.card(name).weights.sha256, "references": named}
    return table


if __name__ == "__main__":
    lines = (f'"{name}": {json.dumps(entry)}' for name, entry in make_table(Session()).items())
    TABLE.write_text("{\n" + ",\n".join(lines) + "\n}\n")
