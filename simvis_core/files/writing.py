"""Writing an explanation to disk: every file is there whole or not at all."""

import csv
import io
import json
import os
import tempfile
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from simvis_core.errors import SimvisError


def write_folder(folder: str | Path, files: Mapping[str, bytes]) -> list[Path]:
    """Writes each file under a temporary name and renames it; gives the paths in order.

    Raises SimvisError where the folder cannot be made or written.

    >>> import tempfile
    >>> from simvis_core.files.writing import write_folder
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     [path.name for path in write_folder(folder, {"a.txt": b"one", "b.txt": b"two"})]
    ...
    ['a.txt', 'b.txt']
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return [write_whole(folder / name, content) for name, content in files.items()]
    except OSError as error:
        raise SimvisError(
            f"'{folder}', which cannot be written ({error.strerror})",
            "a folder that can",
            "name another folder or free some room",
        ) from error


def write_whole(path: Path, content: bytes) -> Path:
    """Writes a file so that a reader, or a crash, never meets half of it.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from simvis_core.files.writing import write_whole
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_whole(Path(folder, "a.txt"), b"one").read_bytes()
    ...
    b'one'
    """
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.chmod(temporary, 0o644)  # mkstemp gives 0600; an export is meant to be read
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    return path


def forget_unfinished(folder: Path, names: Iterable[str]) -> None:
    """Deletes what writers that were killed have left in a folder: temporary files of `write_whole` for these names.

    Names may have ``*``. For a folder that nobody else writes to at the moment.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from simvis_core.files.writing import forget_unfinished
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("a.txt", ".a.txt.k3j_x81b", ".vs.settings"):
    ...         _ = Path(folder, name).write_bytes(b"")
    ...     forget_unfinished(Path(folder), ["*.txt"])
    ...     sorted(path.name for path in Path(folder).iterdir())
    ...
    ['.vs.settings', 'a.txt']
    """
    for name in names:
        for path in folder.glob(f".{name}.????????"):  # as `tempfile.mkstemp` names them
            path.unlink(missing_ok=True)


def zipped(files: Mapping[str, bytes]) -> bytes:
    """The named contents as one zip archive (deflated), in their order.

    >>> from io import BytesIO
    >>> from zipfile import ZipFile
    >>> from simvis_core.files.writing import zipped
    >>> ZipFile(BytesIO(zipped({"a.txt": b"one"}))).namelist()
    ['a.txt']
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def png(image: Image.Image, texts: Mapping[str, str] | None = None) -> bytes:
    """The picture as PNG bytes, with texts that a reader of its metadata finds by their names.

    >>> import io
    >>> from PIL import Image
    >>> from simvis_core.files.writing import png
    >>> Image.open(io.BytesIO(png(Image.new("RGB", (4, 3)), {"manifest": "{}"}))).text
    {'manifest': '{}'}
    """
    buffer, told = io.BytesIO(), PngInfo()
    for name, text in (texts or {}).items():
        told.add_itxt(name, text)
    image.save(buffer, "PNG", pnginfo=told)
    return buffer.getvalue()


def jpeg(image: Image.Image, quality: int = 88) -> bytes:
    """The RGB picture as JPEG bytes, for looking at.

    >>> import io
    >>> from PIL import Image
    >>> from simvis_core.files.writing import jpeg
    >>> Image.open(io.BytesIO(jpeg(Image.new("RGB", (4, 3))))).size
    (4, 3)
    """
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def array(tensor: torch.Tensor) -> np.ndarray:
    """The tensor's numbers as they are; bfloat16, which numpy lacks, as float32.

    >>> import torch
    >>> from simvis_core.files.writing import array
    >>> array(torch.ones(2, dtype=torch.bfloat16))
    array([1., 1.], dtype=float32)
    """
    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).cpu().numpy()


def npy(array: np.ndarray) -> bytes:
    """The array as an NPY.

    >>> import io
    >>> import numpy as np
    >>> from simvis_core.files.writing import npy
    >>> np.load(io.BytesIO(npy(np.eye(1, 2))))
    array([[1., 0.]])
    """
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def npz(arrays: Mapping[str, np.ndarray]) -> bytes:
    """The arrays as a compressed NPZ.

    >>> import io
    >>> import numpy as np
    >>> from simvis_core.files.writing import npz
    >>> np.load(io.BytesIO(npz({"map_a": np.eye(2)})))["map_a"]
    array([[1., 0.],
           [0., 1.]])
    """
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def table(columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> bytes:
    """The rows as CSV under a line of names; None is an empty field. Raises ValueError for a name that is no column.

    >>> from simvis_core.files.writing import table
    >>> print(table(["map", "score"], [{"map": "rise", "score": 0.5}, {"map": "lime", "score": None}]).decode().strip())
    map,score
    rise,0.5
    lime,
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def manifest_json(manifest: Mapping[str, object]) -> bytes:
    """The manifest as indented JSON.

    >>> from simvis_core.files.writing import manifest_json
    >>> print(manifest_json({"score": 0.742}).decode().strip())
    {
      "score": 0.742
    }
    """
    return (json.dumps(manifest, indent=2, allow_nan=False) + "\n").encode()
