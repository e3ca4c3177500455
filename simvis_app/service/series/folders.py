"""Which checkpoint series and watches the server has, and what of each is whole."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import model_zoo
from model_zoo.training.series import OpenedSeries
from simvis_core import SimvisError
from simvis_core.files.installed import COMMAND
from simvis_core.progress.manifests import MANIFEST, SeriesStep, read_manifest
from simvis_core.progress.series import Series, series_of
from simvis_core.progress.watches import WATCH, Watch, open_watch

BUNDLED = Path(model_zoo.__file__).parent / "series"  # in git; may be empty
NONE = f"train one (`{COMMAND} train --help`) and start with --series FOLDER"


@dataclass(frozen=True, eq=False)
class WholeSeries:
    """A series with the steps that are whole, and a sentence for each that is not.

    ``stamp`` is another once the folder holds other steps.
    """

    name: str
    opened: OpenedSeries
    stamp: str
    troubles: tuple[str, ...] = ()

    @property
    def series(self) -> Series:
        """What is on disk."""
        return self.opened.series

    @property
    def steps(self) -> tuple[SeriesStep, ...]:
        """The whole steps, in their order."""
        return self.opened.steps


@dataclass
class SeriesFolders:
    """The bundled series, those in the operator's ``folders``, and plain folders of an ``architecture``'s checkpoints.

    A folder is a series or what a `Watcher` wrote, or holds some of these. Nothing is read until it is asked for; a
    training may go on meanwhile.
    """

    folders: Sequence[Path] = ()
    architecture: str | None = None
    bundled: Path = BUNDLED
    _opened: dict[str, WholeSeries] = field(default_factory=dict)

    def names(self) -> list[str]:
        """The series' names, the operator's before the bundled ones; two of one name are told apart by their folders.

        A folder that cannot be listed holds none.
        """
        return list(self._paths())

    def open(self, name: str) -> WholeSeries:
        """The series of that name; again where its folder has changed.

        Raises SimvisError for a name that there is not, a damaged manifest, and one of whose steps none is whole.
        """
        paths = self._paths()
        if name not in paths:
            listed = ", ".join(f"'{one}'" for one in paths) or "none"
            raise SimvisError(f"series '{name}'", f"one of {listed}", "choose one of these" if paths else NONE)
        stamp = _stamp(paths[name])
        held = self._opened.get(name)
        if held is None or held.stamp != stamp:
            held = self._opened[name] = self._read(name, paths[name], stamp)
        return held

    def watch(self, name: str) -> Watch | None:
        """What a `Watcher` wrote there; None for a series, and for no name. Raises SimvisError for a damaged one."""
        path = self._paths().get(name)
        return open_watch(path) if path is not None and not (path / MANIFEST).exists() and _is_watch(path) else None

    def stamp(self, name: str) -> str:
        """Another text once the folder of that name holds other steps; empty for a name that there is not."""
        path = self._paths().get(name)
        return "" if path is None else _stamp(path)

    def _paths(self) -> dict[str, Path]:
        found: dict[str, Path] = {}
        for root in (*self.folders, self.bundled):
            for path in self._series_in(Path(root)):
                name = path.resolve().name
                if name in found and found[name].resolve() != path.resolve():
                    name = f"{path.resolve().parent.name}/{name}"
                found.setdefault(name, path)
        return found

    def _series_in(self, root: Path) -> list[Path]:
        if _is_one(root):
            return [root]
        try:
            inside = sorted(path for path in root.iterdir() if _is_one(path))
        except OSError:
            return []
        plain = self.architecture is not None and root in self.folders and not inside
        return [root] if plain else inside

    def _read(self, name: str, path: Path, stamp: str) -> WholeSeries:
        if not (path / MANIFEST).is_file():
            opened = model_zoo.open_series(path, self.architecture)
            return WholeSeries(name, opened, stamp)
        series = series_of(path, read_manifest(path))
        whole, troubles = _parted(series.steps, lambda step: replace(series, steps=(step,)).check_files())
        if not whole:
            raise SimvisError(
                f"'{name}', of which no step is whole" + (f" ({troubles[0]})" if troubles else ""),
                "one step at least",
                "take the folder as it was written, or train again",
            )
        return WholeSeries(name, OpenedSeries(replace(series, steps=whole)), stamp, troubles)


def _is_watch(path: Path) -> bool:
    return (path / WATCH).is_file()


def _is_one(path: Path) -> bool:
    return (path / MANIFEST).is_file() or _is_watch(path)


def _parted(
    steps: Sequence[SeriesStep], check: Callable[[SeriesStep], None]
) -> tuple[tuple[SeriesStep, ...], tuple[str, ...]]:
    """The steps that a check lets through, and what it says of the others."""
    whole, troubles = [], []
    for step in steps:
        try:
            check(step)
            whole.append(step)
        except SimvisError as error:
            troubles.append(left_out(step.step, error))
    return tuple(whole), tuple(troubles)


def left_out(step: int, error: SimvisError) -> str:
    """What to say of a step that cannot be shown."""
    return f"Step {step} is left out: {error.got}; {error.cure}."


def _stamp(path: Path) -> str:
    """What changes when a folder's steps do: a training replaces its manifest with each step."""
    watched = next((path / name for name in (MANIFEST, WATCH) if (path / name).is_file()), path)
    try:
        facts = watched.stat()
    except OSError:
        return ""
    return f"{path.resolve()}:{facts.st_mtime_ns}:{facts.st_size}"
