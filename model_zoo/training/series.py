"""Opening a checkpoint series: its networks, step by step, from SimVis's own folders or a plain one of checkpoints."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import Tensor

from model_zoo.checkpoints.choices import Choices
from model_zoo.checkpoints.opening import open_checkpoint
from model_zoo.training.numbered import numbered
from model_zoo.training.states import at_side, begun, drawn, state_of, with_state
from simvis_core.errors import SimvisError
from simvis_core.networks.network import EmbeddingNetwork
from simvis_core.networks.poolings import Pooling
from simvis_core.progress.manifests import MANIFEST, SeriesStep, StoredFile
from simvis_core.progress.series import Series, open_files

Answers = Choices | Mapping[str, Any] | str | Path | None


@dataclass(frozen=True, eq=False)
class OpenedSeries:
    """A training's networks by step. ``left_out`` are weights in a plain folder that are none of its steps."""

    series: Series
    pooling: str | Pooling | None = None
    left_out: tuple[str, ...] = ()

    @property
    def steps(self) -> tuple[SeriesStep, ...]:
        """The steps, in order, with what was measured at each."""
        return self.series.steps

    def network(self, step: int) -> EmbeddingNetwork:
        """The network at a step, in eval mode, of its own weights; its origin names series, step and architecture.

        Raises SimvisError for a step that is not there, is torn, changed, or of another architecture or head, and for
        a base that cannot be had.
        """
        series, words = self.series, f"step {step} of '{self.series.name}'"
        base_state = {} if series.base is None else self._base_state
        network = with_state(self._base, series.whole_state(step, base_state), words)
        network = at_side(network, series.short_side).with_pooling(self.pooling or series.pooling)
        network.trained_pooling = Pooling.parse(series.pooling)
        network.name = f"{series.name} step {step}"
        network.origin = f"{words}, {series.architecture} trained under {series.pooling}"
        return network

    @cached_property
    def _base(self) -> EmbeddingNetwork:
        """The network before its training, or for a series without one of random weights, which every step replaces."""
        series = self.series
        if series.base is None:
            return drawn(series.architecture, 0, series.pooling)
        return begun(series.base, series.pooling)

    @cached_property
    def _base_state(self) -> dict[str, Tensor]:
        return state_of(self._base)


@dataclass(frozen=True, eq=False)
class NumberedSeries(OpenedSeries):
    """A plain folder of numbered checkpoints, each opened by `open_checkpoint` when it is asked for."""

    choices: Answers = field(default=None)

    def network(self, step: int) -> EmbeddingNetwork:
        """The network of a numbered checkpoint, in eval mode; its origin names series, file and architecture.

        Raises SimvisError for a step that is not there, and as `open_checkpoint` does, naming the step.
        """
        series, words = self.series, f"step {step} of '{self.series.name}'"
        file = series.at(step).file
        assert file is not None
        path = series.folder / file
        try:
            network = open_checkpoint(path, series.architecture, self.pooling, choices=self.choices).network
        except SimvisError as error:
            if type(error) is not SimvisError:  # with questions of its own, which the caller answers
                raise
            raise SimvisError(f"{error.got} ({words})", error.wanted, error.cure) from error
        network.name = f"{series.name} step {step}"
        network.origin = f"{words}: {network.origin}"
        return network


def open_series(
    folder: str | Path,
    architecture: str | None = None,
    pooling: str | Pooling | None = None,
    choices: Answers = None,
) -> OpenedSeries:
    """The series of a folder: one that a training of SimVis wrote, or a plain folder of numbered checkpoints.

    A plain folder needs its ``architecture``, as `open_checkpoint` does; ``choices`` answer what its files do not tell.
    ``pooling`` is a what-if where it is not the trained one. Weights are read when a step's network is asked for.

    Raises SimvisError for a folder without either, a damaged series, and a series of another architecture.
    """
    folder = Path(folder)
    if not (folder / MANIFEST).exists() and architecture is not None:
        return _numbered_series(folder, architecture, pooling, choices)
    series = open_files(folder)
    if architecture not in (None, series.architecture):
        raise SimvisError(
            f"'{series.name}', a series of {series.architecture}",
            f"one of {architecture}",
            "leave the architecture out",
        )
    return OpenedSeries(series, pooling if pooling is None else Pooling.parse(pooling))


def _numbered_series(
    folder: Path, architecture: str, pooling: str | Pooling | None, choices: Answers
) -> NumberedSeries:
    found, left_out = numbered(folder)
    steps = tuple(SeriesStep(number, StoredFile(path.name, path.stat().st_size, "")) for number, path in found.items())
    trained = "" if pooling is None else str(Pooling.parse(pooling))
    series = Series(folder, folder.resolve().name, architecture, trained, None, None, {}, steps)
    return NumberedSeries(series, pooling, left_out, choices)
