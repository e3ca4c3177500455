"""All that a training needs to go on as if it had never stopped, in one file that is there whole or not at all."""

import io
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from simvis_core.errors import SimvisError
from simvis_core.files.writing import write_folder
from simvis_core.learning.loop import Learner

FORMAT = 1
ELSEWHERE = "train again into another folder"


def save_learner(path: Path, learner: Learner, notes: Mapping[str, Any] | None = None) -> Path:
    """Writes module, loss, optimiser, step, PyTorch's random states and ``notes`` (plain values) to a file.

    It is written under a temporary name and renamed, so that whoever stops in between leaves the file before it.
    Raises SimvisError where it cannot be written, on a full disk, say.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from torch import nn
    >>> from simvis_core.learning.loop import Learner, optimiser_for
    >>> from simvis_core.learning.saving import load_learner, save_learner
    >>> def learner(step):
    ...     module = nn.Linear(2, 2)
    ...     return Learner(module, nn.MSELoss(), optimiser_for([(list(module.parameters()), 0.1)]), step)
    ...
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     one, other = learner(step=7), learner(step=0)
    ...     file = save_learner(Path(folder, "state.pt"), one, {"best": 0.5})
    ...     notes = load_learner(file, other)
    ...
    >>> notes, other.step, bool((other.module.weight == one.module.weight).all())
    ({'best': 0.5}, 7, True)
    """
    content = io.BytesIO()
    torch.save(
        {
            "format": FORMAT,
            "step": learner.step,
            "module": learner.module.state_dict(),
            "loss": learner.loss.state_dict(),
            "optimiser": learner.optimiser.state_dict(),
            "random": torch.get_rng_state(),
            "random_cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
            "notes": dict(notes or {}),
        },
        content,
    )
    return write_folder(path.parent, {path.name: content.getvalue()})[0]


def load_learner(path: Path, learner: Learner) -> dict[str, Any]:
    """Fills the learner, and PyTorch's random states, from a file of `save_learner`; gives its notes.

    Nothing that the file holds is run. Raises SimvisError for a file that is missing, damaged, of a later version, or
    of another network, loss or optimiser; the learner may then be half filled.

    >>> from pathlib import Path
    >>> from torch import nn
    >>> from simvis_core.learning.loop import Learner, optimiser_for
    >>> from simvis_core.learning.saving import load_learner
    >>> module = nn.Linear(2, 2)
    >>> learner = Learner(module, nn.MSELoss(), optimiser_for([(list(module.parameters()), 0.1)]))
    >>> load_learner(Path("nowhere.pt"), learner)
    Traceback (most recent call last):
        ...
    simvis_core.errors.SimvisError: Got 'nowhere.pt', which is missing; wanted ...
    """
    saved = _read(path)
    try:
        learner.module.load_state_dict(saved["module"])
        learner.loss.load_state_dict(saved["loss"])
        learner.optimiser.load_state_dict(saved["optimiser"])
    except (RuntimeError, ValueError, KeyError) as error:
        raise SimvisError(
            f"'{path.name}' of another training ({' '.join(str(error).split())[:160]})",
            "one of the same network, loss and options",
            ELSEWHERE,
        ) from error
    learner.step = int(saved["step"])
    torch.set_rng_state(saved["random"])
    if torch.cuda.is_available() and saved["random_cuda"]:
        torch.cuda.set_rng_state_all(saved["random_cuda"])
    return dict(saved["notes"])


def _read(path: Path) -> dict[str, Any]:
    wanted = "the file as a training left it"
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise SimvisError(f"'{path.name}', which is missing", wanted, ELSEWHERE) from error
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError) as error:
        raise SimvisError(f"'{path.name}', which is damaged", wanted, ELSEWHERE) from error
    if not isinstance(saved, dict) or "format" not in saved:
        raise SimvisError(f"'{path.name}', which is no training's state", wanted, ELSEWHERE)
    if saved["format"] != FORMAT:
        raise SimvisError(
            f"'{path.name}' of format {saved['format']}", f"format {FORMAT}", "use the SimVis that wrote it"
        )
    return saved
