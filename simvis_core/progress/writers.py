"""Where numbers and pictures of a training go: a table of one's own, TensorBoard, Weights & Biases."""

import csv
import io
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from PIL import Image

from simvis_core.errors import SimvisError
from simvis_core.files.installed import installing
from simvis_core.files.writing import png, write_folder, write_whole

SCALARS, IMAGES = "scalars.csv", "images"
_COLUMNS = ("step", "name", "value")


@runtime_checkable
class Writer(Protocol):
    """What a training and a `Watcher` write to; three methods, so that one for another service is ten lines."""

    def scalars(self, step: int, numbers: Mapping[str, float]) -> None:
        """Keeps numbers of a step by their names; a name may have groups, as in ``pairs/score``."""

    def images(self, step: int, pictures: Mapping[str, Image.Image]) -> None:
        """Keeps RGB pictures of a step by their names."""

    def close(self) -> None:
        """Brings everything to its place; nothing is written afterwards."""


class CsvWriter:
    r"""Numbers as lines ``step,name,value`` of ``scalars.csv``, pictures as PNG files in ``images/NAME/STEP.png``.

    A line is there whole or, after a kill, dropped by the next writer. One that begins at a step that is there, as a
    resumed training does, drops the lines from that step on.

    Raises SimvisError for a folder that cannot be written.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from PIL import Image
    >>> from simvis_core.progress.writers import CsvWriter
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     writer = CsvWriter(folder)
    ...     writer.scalars(10, {"loss": 0.5})
    ...     writer.images(10, {"pair/a": Image.new("RGB", (4, 3))})
    ...     writer.close()
    ...     Path(folder, "scalars.csv").read_text(), Path(folder, "images/pair/a/000010.png").exists()
    ...
    ('step,name,value\n10,loss,0.5\n', True)
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._begun = False

    def scalars(self, step: int, numbers: Mapping[str, float]) -> None:
        """Appends a line for each number."""
        text = _lines([(step, name, float(number)) for name, number in numbers.items()])
        try:
            if not self._begun:
                self._begin(step)
            _append(self.folder / SCALARS, text)
        except OSError as error:
            raise _unwritable(self.folder, error) from error

    def images(self, step: int, pictures: Mapping[str, Image.Image]) -> None:
        """Writes a PNG file for each picture, whole or not at all."""
        for name, picture in pictures.items():
            write_folder(self.folder / IMAGES / _path(name), {f"{step:06d}.png": png(picture)})

    def close(self) -> None:
        """Nothing is left to do: each line is written when it comes."""

    def _begin(self, step: int) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / SCALARS
        kept = [row for row in _read(path) if row[0] < step] if path.exists() else []
        write_whole(path, (",".join(_COLUMNS) + "\n").encode() + _lines(kept))
        self._begun = True


def read_scalars(path: str | Path) -> list[tuple[int, str, float]]:
    """The numbers of a `CsvWriter`'s file: (step, name, value), in the order they were written.

    Raises SimvisError for a file that cannot be read or is another's.

    >>> import tempfile
    >>> from simvis_core.progress.writers import CsvWriter, read_scalars
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     CsvWriter(folder).scalars(10, {"loss": 0.5})
    ...     read_scalars(f"{folder}/scalars.csv")
    ...
    [(10, 'loss', 0.5)]
    """
    try:
        return _read(Path(path))
    except OSError as error:
        raise SimvisError(f"'{path}', which cannot be read ({error.strerror})", "a scalars.csv", "check it") from error


class TensorBoardWriter:
    """Writes an event file that ``tensorboard --logdir FOLDER`` shows.

    What a former run wrote there from the first step on that this one writes, as a resumed training does, is hidden.

    Raises SimvisError where the package is not installed.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from PIL import Image
    >>> from simvis_core.progress.writers import TensorBoardWriter
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     writer = TensorBoardWriter(folder)
    ...     writer.scalars(10, {"loss": 0.5})
    ...     writer.images(10, {"pair": Image.new("RGB", (4, 3))})
    ...     writer.close()
    ...     [path.name[:19] for path in Path(folder).iterdir()]
    ...
    ['events.out.tfevents']
    """

    def __init__(self, folder: str | Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415  (optional, and takes a second)
        except ImportError as error:
            raise _missing("tensorboard") from error
        self._made: Any = partial(SummaryWriter, str(folder))
        self._opened: Any = None

    def scalars(self, step: int, numbers: Mapping[str, float]) -> None:
        """A point of a curve for each number."""
        for name, number in numbers.items():
            self._events(step).add_scalar(name, number, step)

    def images(self, step: int, pictures: Mapping[str, Image.Image]) -> None:
        """A picture for each name, which TensorBoard shows with a slider over the steps."""
        for name, picture in pictures.items():
            self._events(step).add_image(name, np.asarray(picture.convert("RGB")), step, dataformats="HWC")

    def close(self) -> None:
        """Writes what is buffered, and ends the file."""
        if self._opened is not None:
            self._opened.close()

    def _events(self, step: int) -> Any:
        if self._opened is None:
            self._opened = self._made(purge_step=step)
        return self._opened


class WandbWriter:
    """Writes a run of Weights & Biases: offline (``wandb sync`` uploads it later) unless another mode is asked for.

    ``options`` go to ``wandb.init``. Steps must grow from call to call, as W&B asks.

    Raises SimvisError where the package is not installed.
    """

    def __init__(self, folder: str | Path, project: str = "simvis", mode: str = "offline", **options: Any) -> None:
        try:
            import wandb  # noqa: PLC0415  (optional, and takes seconds)
        except ImportError as error:
            raise _missing("wandb") from error
        self._wandb: Any = wandb  # Any: its types name what it takes, and change from release to release
        Path(folder).mkdir(parents=True, exist_ok=True)
        self._run: Any = self._wandb.init(dir=str(folder), project=project, mode=mode, **options)

    def scalars(self, step: int, numbers: Mapping[str, float]) -> None:
        """A point of a curve for each number."""
        self._run.log(dict(numbers), step=step)

    def images(self, step: int, pictures: Mapping[str, Image.Image]) -> None:
        """A picture for each name."""
        self._run.log({name: self._wandb.Image(picture) for name, picture in pictures.items()}, step=step)

    def close(self) -> None:
        """Ends the run; W&B's own process brings what is left to the disk in the moments after."""
        self._run.finish()


def _append(path: Path, text: bytes) -> None:
    """Adds the text whole or not at all."""
    with path.open("ab", buffering=0) as file:
        start = file.tell()
        try:
            while text:
                text = text[file.write(text) :]
        except OSError:
            file.truncate(start)
            raise


def _lines(rows: list[tuple[int, str, float]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def _read(path: Path) -> list[tuple[int, str, float]]:
    """The whole lines of the file; the last, where it has no end, is what a kill left."""
    text = path.read_bytes()
    whole = text[: text.rfind(b"\n") + 1].decode(errors="replace")
    rows = list(csv.reader(io.StringIO(whole)))
    try:
        if tuple(rows[0]) != _COLUMNS:
            raise ValueError
        return [(int(step), name, float(value)) for step, name, value in rows[1:]]
    except (ValueError, IndexError) as error:
        raise SimvisError(
            f"'{path}', which is no table of step, name and value", "one that a training wrote", "name another folder"
        ) from error


def _path(name: str) -> Path:
    """A picture's name as folders; what no file may be called becomes _."""
    parts = ["".join(c if c.isalnum() or c in "-_. @" else "_" for c in part) for part in name.split("/")]
    return Path(*(part if part.strip(". ") else "_" for part in parts))


def _unwritable(folder: Path, error: OSError) -> SimvisError:
    return SimvisError(
        f"'{folder}', which cannot be written ({error.strerror})", "a folder that can", "free some room or name another"
    )


def _missing(package: str) -> SimvisError:
    return SimvisError(f"no package {package} here", f"{package}, which is optional", installing("train", package))
