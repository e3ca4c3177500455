"""Writing a checkpoint series step by step, so that its folder is whole at any moment."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

from simvis_core.errors import SimvisError
from simvis_core.files.writing import array, manifest_json, npz, write_folder
from simvis_core.progress.manifests import (
    MANIFEST,
    Manifest,
    SeriesBase,
    SeriesStep,
    StoredFile,
    read_manifest,
    stored_file,
)
from simvis_core.progress.series import Series, State, base_digest, series_of

_OURS = re.compile(r"\.?(step|gallery)-\d+-[0-9a-f]{12}\.(safetensors|npz).*|\.series\.json\..*")


class SeriesFiles:
    """Writes a series, step by step: at any moment the folder holds the steps added so far, whole.

    ``half`` stores matrices and kernels in half precision (11 bits; all that has one axis, such as a norm's statistics,
    and what does not fit, stay as they are). A folder that holds a series is refused unless ``resumed``, which goes on
    with it: it must be of this name, architecture, pooling, base and ``about``.

    Raises SimvisError for such a folder.
    """

    def __init__(
        self,
        folder: str | Path,
        name: str,
        architecture: str,
        pooling: str,
        *,
        base: SeriesBase | None = None,
        short_side: int | None = None,
        about: Mapping[str, Any] | None = None,
        half: bool = False,
        resumed: bool = False,
    ) -> None:
        self.folder, self.half = Path(folder), half
        plain = json.loads(json.dumps(dict(about or {}), allow_nan=False))  # as it will be read: lists, no tuples
        self.manifest = Manifest(name, architecture, pooling, base, short_side, plain)
        if (self.folder / MANIFEST).exists():
            self.manifest = _same_run(self.folder, self.manifest, resumed)
            _sweep(self.folder, self.manifest)

    def add(
        self,
        step: int,
        state: State,
        base_state: State | None = None,
        *,
        loss: float | None = None,
        figures: Mapping[str, float] | None = None,
        embeddings: tuple[Sequence[str], Tensor] | None = None,
        last: bool = False,
    ) -> Series:
        """Writes a step, its files first and the manifest last; a step of this number is replaced.

        Under ``last`` the steps behind it are dropped, as of a run that was cut off and is made again from here.

        ``base_state`` is the state of the base, from which only differing tensors are stored; ``embeddings`` are the
        names of a gallery's pictures with their vectors (N, D), kept in half precision.

        Raises SimvisError for a loss or figure that is no finite number, another base, and a folder that cannot be
        written (a full disk, say), which leaves the series as it was.

        >>> import tempfile
        >>> import torch
        >>> from simvis_core.progress.manifests import SeriesBase
        >>> from simvis_core.progress.series import base_digest
        >>> from simvis_core.progress.series_files import SeriesFiles
        >>> base = {"backbone.a": torch.ones(2), "backbone.b": torch.ones(2)}
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     files = SeriesFiles(folder, "run", "mobilenet_v2", "avg", base=SeriesBase("noise", base_digest(base)))
        ...     files.add(0, base, base).at(0).file is None
        ...     list(files.add(1, base | {"backbone.b": torch.zeros(2)}, base).state(1))
        ...
        True
        ['backbone.b']
        """
        measured = {name: float(number) for name, number in (figures or {}).items()}
        _check_finite(step, measured if loss is None else measured | {"loss": loss})
        base_state = self._checked(base_state or {})
        changed = {
            name: one for name, one in state.items() if name not in base_state or _differs(one, base_state[name])
        }
        without = tuple(sorted(base_state.keys() - state.keys()))
        files: dict[str, bytes] = {}
        weights = gallery = None
        if changed or self.manifest.base is None:
            content = safetensors.torch.save({name: _stored(one, self.half) for name, one in changed.items()})
            weights = _kept(files, f"step-{step:06d}", "safetensors", content)
        if embeddings is not None:
            gallery = _kept(files, f"gallery-{step:06d}", "npz", _gallery(*embeddings))
        added = SeriesStep(step, weights, without, None if loss is None else float(loss), measured, gallery)
        others = [one for one in self.manifest.steps if one.step < step or (one.step > step and not last)]
        manifest = replace(self.manifest, steps=tuple(sorted([*others, added], key=lambda one: one.step)))
        write_folder(self.folder, files)
        write_folder(self.folder, {MANIFEST: manifest_json(manifest.written())})
        self.manifest = manifest
        _sweep(self.folder, manifest)
        return self.series()

    def series(self) -> Series:
        """The steps added so far.

        >>> from simvis_core.progress.series_files import SeriesFiles
        >>> SeriesFiles("run", "run", "mobilenet_v2", "avg").series().steps
        ()
        """
        return series_of(self.folder, self.manifest)

    def _checked(self, base_state: State) -> State:
        base = self.manifest.base
        if base is not None and base_digest(base_state) != base.sha256:
            raise SimvisError(f"a base state that is not {base.name}'s", "the one the series names", "give its own")
        if base is None and base_state:
            raise SimvisError("a base state for a series without a base", "one that the series names", "name it")
        return base_state


def _same_run(folder: Path, wanted: Manifest, resumed: bool) -> Manifest:
    """The manifest that is there, of a run that may go on."""
    there = read_manifest(folder)
    cure = "name another folder, or resume that run with its own options"
    if not resumed:
        raise SimvisError(f"'{folder.name}', which holds the run '{there.name}'", "a folder without one", cure)
    fields = ("name", "architecture", "pooling", "base", "short_side", "about")
    other = [name for name in fields if getattr(there, name) != getattr(wanted, name)]
    about = [name for name in {**there.about, **wanted.about} if there.about.get(name) != wanted.about.get(name)]
    other = [f"about ({', '.join(about)})" if name == "about" else name for name in other]
    if other:
        raise SimvisError(f"'{folder.name}', a run of another {' and '.join(other)}", "the run that is resumed", cure)
    series_of(folder, there).check_files()
    return there


def _sweep(folder: Path, manifest: Manifest) -> None:
    """Removes files of steps that the manifest does not name: what a kill left behind, or a step that was replaced."""
    named = {one.name for step in manifest.steps for one in (step.weights, step.gallery) if one is not None}
    for path in folder.iterdir():
        if _OURS.fullmatch(path.name) and path.name not in named:
            path.unlink(missing_ok=True)


def _check_finite(step: int, numbers: Mapping[str, float]) -> None:
    wrong = next((name for name, number in numbers.items() if not math.isfinite(number)), None)
    if wrong is not None:
        raise SimvisError(
            f"{wrong} {numbers[wrong]} at step {step}", "a finite number", "lower the learning rate, or leave it out"
        )


def _differs(one: Tensor, other: Tensor) -> bool:
    return one.dtype != other.dtype or not torch.equal(one.detach().cpu(), other.detach().cpu())


def _stored(tensor: Tensor, half: bool) -> Tensor:
    plain = tensor.detach().cpu().contiguous().clone()
    if not (half and plain.is_floating_point() and plain.ndim > 1):
        return plain
    halved = plain.half()
    return halved if bool(halved.isfinite().all()) else plain


def _kept(files: dict[str, bytes], stem: str, ending: str, content: bytes) -> StoredFile:
    stored = stored_file(stem, ending, content)
    files[stored.name] = content
    return stored


def _gallery(pictures: Sequence[str], embeddings: Tensor) -> bytes:
    assert len(pictures) == len(embeddings)
    return npz({"pictures": np.array(list(pictures), dtype=np.str_), "embeddings": array(embeddings.detach().half())})
