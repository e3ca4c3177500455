"""Which pictures a gallery is to hold, and their labels: from class folders or from a CSV."""

import csv
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from simvis_core.errors import SimvisError

SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".gif", ".bmp"),
    *(".tif", ".tiff", ".avif", ".heic", ".heif", ".hif", ".ppm", ".pgm", ".pbm"),
)
_HIDDEN = ("thumbs.db", "desktop.ini", "ehthumbs.db")  # as Windows hides its own
FILE_COLUMNS = ("file", "path", "filename", "file_name", "image", "picture")
LABEL_COLUMNS = ("label", "class", "class_name", "category", "target")


@dataclass(frozen=True)
class Listing:
    """Files with their labels ("" for none), in a fixed order, and what was left out with the reason."""

    pictures: dict[str, str]
    left_out: dict[str, str] = field(default_factory=dict)


def listed(source: str | Path) -> Listing:
    """The pictures of a folder or of a CSV file.

    In a folder the first folder below it is the label, whatever lies deeper; pictures that lie in it directly have
    none. Hidden files and folders are passed over, other kinds of file are left out; links to folders are not
    followed. A CSV
    has a column "file" (or path, filename, image) and may have "label" (or class, category); its files are sought
    from its own folder.

    Raises SimvisError for a source that is not there, holds no picture, or is a CSV without such a column.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from simvis_core.pictures.listing import listed
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Path(folder, "cats").mkdir()
    ...     Path(folder, "cats", "1.jpg").touch()
    ...     Path(folder, "notes.txt").touch()
    ...     found = listed(folder)
    ...     list(found.pictures.values()), list(found.left_out.values())
    ...
    (['cats'], ['.txt files are not read'])
    """
    source = Path(os.path.abspath(source))
    if os.path.isdir(source):  # unlike Path.is_dir also false for a name that is too long
        found = _in_folder(source)
        wanted = f"pictures ({', '.join(SUFFIXES)})"
    elif source.suffix.lower() == ".csv" and os.path.isfile(source):
        found = _in_csv(source)
        wanted = "rows that name pictures that are there"
    else:
        raise SimvisError(f"'{source}'", "a folder of pictures, or a .csv file that is there", "check the name")
    if not found.pictures:
        reasons = f" ({next(iter(found.left_out.values()))})" if found.left_out else ""
        raise SimvisError(f"'{source}', which holds no picture{reasons}", wanted, "choose another folder")
    return found


def _in_folder(root: Path) -> Listing:
    pictures: dict[str, str] = {}
    left_out: dict[str, str] = {}

    def closed(error: OSError) -> None:
        left_out[_told(error.filename)] = "the folder cannot be opened"

    for folder, names, files in os.walk(root, onerror=closed):
        names[:] = sorted(name for name in names if not name.startswith("."))
        parts = Path(folder).relative_to(root).parts
        for file in sorted(files):
            path = os.path.join(folder, file)
            if file.startswith(".") or file.lower() in _HIDDEN:
                continue
            problem = _unlisted(path)
            if problem:
                left_out[_told(path)] = problem
            else:
                pictures[path] = parts[0] if parts else ""
    return Listing(pictures, left_out)


def _unlisted(path: str) -> str:
    """Why a file of a folder is left out before it is opened; nothing where it is not."""
    if not _writable(path):
        return "its name is not valid UTF-8"
    ending = Path(path).suffix.lower()
    if ending in SUFFIXES:
        return ""
    return f"{ending} files are not read" if ending else "its name has no ending, such as .jpg"


def _in_csv(file: Path) -> Listing:
    pictures: dict[str, str] = {}
    left_out: dict[str, str] = {}
    for number, name, label in _rows(file):
        path = os.path.join(file.parent, name)
        problem = _problem(name, path, label, pictures)
        if problem:
            left_out[f"{file.name}, line {number}: {name}"] = problem
        else:
            pictures[path] = label
    return Listing(pictures, left_out)


def _problem(name: str, path: str, label: str, known: Mapping[str, str]) -> str:
    if not name:
        return "no file is named"
    if not _writable(path) or "\0" in path or not os.path.isfile(path):
        return "there is no such file"
    if known.get(path, label) != label:
        return f"two labels: '{known[path]}' is kept, '{label}' is not"
    return ""


def _rows(file: Path) -> Iterator[tuple[int, str, str]]:
    """The number of each row's last line, the file that it names, and its label."""
    try:
        with open(file, encoding="utf-8-sig", newline="") as opened:
            reader = csv.DictReader(opened, strict=True)
            columns = {(name or "").strip().lower(): name for name in reader.fieldnames or ()}
            file_column = next((columns[name] for name in FILE_COLUMNS if name in columns), None)
            label_column = next((columns[name] for name in LABEL_COLUMNS if name in columns), None)
            if file_column is None:
                raise SimvisError(
                    f"'{file}' with columns {', '.join(columns) or 'none'}",
                    f"a column {' or '.join(FILE_COLUMNS)}",
                    "name the columns in its first line, with commas between them",
                )
            for row in reader:
                yield reader.line_num, (row[file_column] or "").strip(), (row.get(label_column or "") or "").strip()
    except (csv.Error, UnicodeDecodeError, OSError) as error:
        raise SimvisError(
            f"'{file}', which cannot be read as CSV ({error})", "UTF-8 text with a line a picture", "save it as such"
        ) from error


def _told(path: str) -> str:
    """A name as text, with bytes that are none written out as backslash, x and two digits."""
    return os.fsencode(path).decode(errors="backslashreplace")


def _writable(text: str) -> bool:
    """Whether the name can be stored as text; Python reads other bytes as lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
