"""A checkpoint series on disk: the steps of one training, each as the tensors that differ from a named base."""

import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from jaxtyping import Float
from safetensors import SafetensorError
from torch import Tensor

from simvis_core.errors import SimvisError
from simvis_core.networks.network import EmbeddingNetwork
from simvis_core.networks.states import digest
from simvis_core.progress.manifests import (
    Manifest,
    SeriesBase,
    SeriesStep,
    damaged_file,
    read_manifest,
    read_stored,
)

State = Mapping[str, Tensor]


@dataclass(frozen=True, eq=False)
class Series:
    """The steps of one training, read from ``folder``; weights are read when they are asked for.

    ``architecture`` and ``pooling`` are the zoo's names, ``short_side`` the views' in pixels (None: the network's own).
    ``about`` tells seed, versions, data's fingerprint, loss and options. A state's names are ``backbone.NAME`` and
    ``head.NAME``.

    >>> import tempfile
    >>> import torch
    >>> from simvis_core.progress.series import open_files
    >>> from simvis_core.progress.series_files import SeriesFiles
    >>> state = {"backbone.weight": torch.ones(2, 2)}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     files = SeriesFiles(folder, "run", "mobilenet_v2", "avg")
    ...     _ = files.add(100, state, loss=0.5, figures={"map_at_r": 0.25}, embeddings=(("a.jpg",), torch.ones(1, 3)))
    ...     series = open_files(folder)
    ...     series.at(100).loss, series.state(100)["backbone.weight"].tolist(), series.embeddings(100)
    ...     series.whole_state(100)["backbone.weight"].shape
    ...
    (0.5, [[1.0, 1.0], [1.0, 1.0]], (('a.jpg',), tensor([[1., 1., 1.]])))
    torch.Size([2, 2])
    """

    folder: Path
    name: str
    architecture: str
    pooling: str
    base: SeriesBase | None
    short_side: int | None
    about: Mapping[str, Any]
    steps: tuple[SeriesStep, ...]

    def at(self, step: int) -> SeriesStep:
        """The record of a step. Raises SimvisError for one that the series does not hold."""
        found = next((one for one in self.steps if one.step == step), None)
        if found is None:
            there = ", ".join(str(one.step) for one in self.steps)
            raise SimvisError(f"step {step} of '{self.name}'", f"one of {there or 'none'}", "choose one of these")
        return found

    def state(self, step: int) -> dict[str, Tensor]:
        """The tensors that the step stores, by name: those that differ from the base; half precision as float32.

        Raises SimvisError for a step that is not there, and for a file that is missing, torn or changed.
        """
        stored = self.at(step).weights
        if stored is None:
            return {}
        content = read_stored(self.folder, stored)
        try:
            tensors = safetensors.torch.load(content)
        except SafetensorError as error:
            raise damaged_file(self.folder, stored, "is no file of tensors") from error
        return {key: one.float() if one.dtype == torch.float16 else one for key, one in tensors.items()}

    def whole_state(self, step: int, base_state: State | None = None) -> dict[str, Tensor]:
        """The network's whole state at a step: ``base_state`` with what the step changed.

        Raises SimvisError as `state` does, and for a ``base_state`` that is not the one the series was stored against.
        """
        changed = self.state(step)
        if self.base is None:
            return changed
        given = {} if base_state is None else dict(base_state)
        if base_digest(given) != self.base.sha256:
            drawn = "" if self.base.seed is None else f" drawn with seed {self.base.seed}"
            raise SimvisError(
                f"other weights of {self.base.name}{drawn} than '{self.name}' began with",
                f"those of sha256 {self.base.sha256[:12]}",
                "open it with the versions that its manifest names, or train again",
            )
        for name in self.at(step).without:
            given.pop(name, None)
        return given | changed

    def embeddings(self, step: int) -> tuple[tuple[str, ...], Float[Tensor, "N D"]] | None:
        """The gallery's pictures and their embeddings at a step, float32 read from half precision (11 bits).

        None for a step without. Raises SimvisError as `state` does.
        """
        stored = self.at(step).gallery
        if stored is None:
            return None
        content = read_stored(self.folder, stored)
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
                pictures, rows = arrays["pictures"].tolist(), torch.from_numpy(arrays["embeddings"]).float()
        except (ValueError, KeyError, OSError, zipfile.BadZipFile) as error:
            raise damaged_file(self.folder, stored, "is no gallery of a series") from error
        return tuple(pictures), rows

    @property
    def labels(self) -> tuple[str, ...] | None:
        """The classes of the gallery's pictures, in their order, where the training told them.

        >>> from pathlib import Path
        >>> from simvis_core.progress.series import Series
        >>> about = {"labels": ["owl", "owl"]}
        >>> Series(Path("run"), "run", "mobilenet_v2", "avg", None, None, about, ()).labels
        ('owl', 'owl')
        """
        labels = self.about.get("labels")
        return tuple(map(str, labels)) if isinstance(labels, list) else None

    def check_files(self) -> None:
        """Raises SimvisError for a step whose file is missing or of another size; contents are checked when read.

        >>> from pathlib import Path
        >>> from simvis_core.progress.series import Series
        >>> Series(Path("run"), "run", "mobilenet_v2", "avg", None, None, {}, ()).check_files()
        """
        for stored in (one for step in self.steps for one in (step.weights, step.gallery) if one is not None):
            try:
                size = (self.folder / stored.name).stat().st_size
            except OSError as error:
                raise damaged_file(self.folder, stored, f"cannot be read ({error.strerror})") from error
            if size != stored.size:
                raise damaged_file(self.folder, stored, f"is torn: {size} of {stored.size} bytes")


def open_files(folder: str | Path) -> Series:
    """The series of a folder, as `SeriesFiles` wrote it.

    Raises SimvisError for a folder without one, a damaged manifest, one of a later SimVis, and for a step whose file is
    missing or torn.

    >>> import tempfile
    >>> import torch
    >>> from simvis_core.progress.series import open_files
    >>> from simvis_core.progress.series_files import SeriesFiles
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = SeriesFiles(folder, "run", "mobilenet_v2", "avg").add(7, {"backbone.a": torch.ones(1)})
    ...     [one.step for one in open_files(folder).steps]
    ...
    [7]
    """
    series = series_of(Path(folder), read_manifest(Path(folder)))
    series.check_files()
    return series


def base_digest(state: State) -> str:
    """The sha256, in hex, of a state's names and numbers, wherever they came from.

    >>> import torch
    >>> from simvis_core.progress.series import base_digest
    >>> base_digest({"a": torch.ones(1), "b": torch.zeros(1)}) == base_digest({"b": torch.zeros(1), "a": torch.ones(1)})
    True
    """
    return digest({name: tensor.detach() for name, tensor in state.items()})


def series_of(folder: Path, manifest: Manifest) -> Series:
    """The series that a manifest tells of, in its folder; no file is looked at.

    >>> from pathlib import Path
    >>> from simvis_core.progress.manifests import Manifest
    >>> from simvis_core.progress.series import series_of
    >>> series_of(Path("run"), Manifest("run", "mobilenet_v2", "avg", None, 128, {})).short_side
    128
    """
    return Series(folder, **{name: getattr(manifest, name) for name in manifest.__dataclass_fields__})


def network_state(network: EmbeddingNetwork) -> dict[str, Tensor]:
    """The network's tensors by name, ``backbone.NAME`` and ``head.NAME``: what a series stores of it; not copied.

    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork
    >>> from simvis_core.progress.series import network_state
    >>> list(network_state(EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8, bias=False), head=nn.Linear(4, 2, bias=False))))
    ['backbone.weight', 'head.weight']
    """
    state = {f"{OF_BACKBONE}{name}": one for name, one in network.backbone.state_dict().items()}
    head = {} if network.head is None else network.head.state_dict()
    return state | {f"{OF_HEAD}{name}": one for name, one in head.items()}


# What a state's names begin with.
OF_BACKBONE, OF_HEAD = "backbone.", "head."
