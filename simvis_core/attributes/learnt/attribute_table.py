"""Labelled pictures from a CSV: a column for each attribute, or one column that names those that are true."""

import csv
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from simvis_core.attributes.learnt.labelled import LabelledPictures, file_opener, truth_table
from simvis_core.errors import SimvisError
from simvis_core.pictures.listing import FILE_COLUMNS, LABEL_COLUMNS
from simvis_core.pictures.opening import OWNERS, Limits

LISTED_COLUMN = "attributes"  # names what is true, with semicolons between
YES, NO = ("1", "yes", "true"), ("0", "no", "false")


@dataclass(frozen=True)
class _Row:
    """A row that can be read: the line that it ends on, its picture, and what is true of it."""

    line: int
    picture: str
    true: frozenset[str]


def labelled_table(
    file: str | Path, root: str | Path | None = None, known: Sequence[str] | None = None, limits: Limits = OWNERS
) -> LabelledPictures:
    r"""The pictures of a CSV with a column "file" (or path, image, picture), and what each row says is true.

    Either a column "attributes" names what is true, with semicolons between, or each further column is an attribute,
    with 1 or yes where it is true, and 0 or no where it is not. A column "label" (or class) is passed over. An empty
    entry says that it cannot be told, as in `read_labels`: nothing is learnt from such a row, which would have to say
    yes or no. An empty list is of a picture that shows none of the attributes. Files are sought from ``root``, the
    CSV's own folder unless it is given. With ``known`` there are no attributes but these.

    A row is left out, with its line and the reason, that names no file that is there, an attribute that is not known, a
    word that is neither yes nor no, or nothing, in the place of one; and a row with more fields than there are columns,
    or with what another row has said already. Of rows that contradict each other none is used.

    Raises SimvisError for a file that is not there or cannot be read as such a table, for an attribute that is two
    columns, and where no row is left.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from simvis_core.attributes.learnt.attribute_table import labelled_table
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Path(folder, "1.jpg").touch()
    ...     file = Path(folder, "truth.csv")
    ...     _ = file.write_text("file,fur,dome\n1.jpg,yes,no\n2.jpg,no,yes\n1.jpg,perhaps,no\n")
    ...     found = labelled_table(file)
    ...
    >>> found.attributes, found.truth.tolist()
    (('fur', 'dome'), [[True, False]])
    >>> for row, why in found.left_out.items():
    ...     print(f"{row}: {why}")
    ...
    truth.csv, line 3: 2.jpg: there is no such file
    truth.csv, line 4: 1.jpg: 'perhaps' for 'fur' is neither yes nor no
    """
    file = Path(file)
    home = Path(os.path.abspath(file.parent if root is None else root))
    left_out: dict[str, str] = {}
    rows: list[_Row] = []
    attributes: dict[str, None] = {}
    for line, fields, columns in _lines(file):
        told = f"{file.name}, line {line}: {fields[columns.file].strip() if len(fields) > columns.file else ''}"
        found = _row(line, fields, columns, home, known)
        if isinstance(found, str):
            left_out[told] = found
        else:
            rows.append(found)
        attributes |= dict.fromkeys(columns.attributes if columns.listed is None else ())
    kept = _agreeing(rows, file.name, left_out)
    named = _named(attributes, kept, known)
    if not kept:
        reason = f" ({next(iter(left_out.values()))})" if left_out else ""
        raise SimvisError(f"'{file.name}', of which no row can be used{reason}", "rows with pictures", "correct them")
    names = tuple(row.picture for row in kept)
    openers = tuple(file_opener(name, limits) for name in names)
    return LabelledPictures(names, openers, named, truth_table([row.true for row in kept], named), left_out)


@dataclass(frozen=True)
class _Columns:
    """Where the file's name stands, where the list of attributes does, if there is one, and each attribute's column."""

    file: int
    listed: int | None
    attributes: Mapping[str, int]
    count: int


def _lines(file: Path) -> Iterator[tuple[int, list[str], _Columns]]:
    """Each row behind the first with its last line's number."""
    try:
        with open(file, encoding="utf-8-sig", newline="") as opened:
            reader = csv.reader(opened, strict=True)
            columns = _columns(file, next(reader, []))
            for fields in reader:
                if fields:
                    yield reader.line_num, fields, columns
    except (csv.Error, UnicodeDecodeError, OSError) as error:
        raise SimvisError(
            f"'{file}', which cannot be read as CSV ({error})", "UTF-8 text with a line a picture", "save it as such"
        ) from error


def _columns(file: Path, head: Sequence[str]) -> _Columns:
    names = [name.strip() for name in head]
    lower = [name.lower() for name in names]
    place = next((lower.index(name) for name in FILE_COLUMNS if name in lower), None)
    others = {at: name for at, name in enumerate(names) if at != place and name and lower[at] not in LABEL_COLUMNS}
    if place is None or not others:
        raise SimvisError(
            f"'{file}' with columns {', '.join(names) or 'none'}",
            f"a column {' or '.join(FILE_COLUMNS)}, and '{LISTED_COLUMN}' or one for each attribute",
            "name the columns in its first line, with commas between them",
        )
    twice = next((name for at, name in others.items() if name in names[:at]), None)
    if twice is not None:
        raise SimvisError(f"'{file.name}' with two columns '{twice}'", "one for each attribute", "rename one of them")
    listed = lower.index(LISTED_COLUMN) if LISTED_COLUMN in lower else None
    return _Columns(place, listed, {name: at for at, name in others.items()}, len(names))


def _row(line: int, fields: Sequence[str], columns: _Columns, home: Path, known: Sequence[str] | None) -> _Row | str:
    """The row, or why it cannot be used."""
    picture = fields[columns.file].strip() if len(fields) > columns.file else ""
    path = os.path.join(home, picture)
    if not picture:
        return "no file is named"
    if "\0" in path or not os.path.isfile(path):
        return "there is no such file"
    if len(fields) > columns.count:
        return f"{len(fields)} fields under {columns.count} columns"
    said = _said(fields, columns)
    if isinstance(said, str):
        return said
    unknown = [name for name in said if known is not None and name not in known]
    return f"the attribute '{unknown[0]}' is not known" if unknown else _Row(line, path, frozenset(said))


def _said(fields: Sequence[str], columns: _Columns) -> list[str] | str:
    """The attributes that a row says are true, or why it cannot be told."""
    if columns.listed is not None:
        words = fields[columns.listed].split(";") if len(fields) > columns.listed else []
        return [word.strip() for word in words if word.strip()]
    true = []
    for name, at in columns.attributes.items():
        word = fields[at].strip() if len(fields) > at else ""
        if not word:
            return f"nothing for '{name}', which says that it cannot be told: only yes and no can be learnt"
        if word.lower() not in (*YES, *NO):
            return f"'{word}' for '{name}' is neither yes nor no"
        if word.lower() in YES:
            true.append(name)
    return true


def _agreeing(rows: Iterable[_Row], file: str, left_out: dict[str, str]) -> list[_Row]:
    """One row of each picture; of pictures whose rows contradict each other none. What is left out is added."""
    by_picture: dict[str, list[_Row]] = {}
    for row in rows:
        by_picture.setdefault(os.path.realpath(row.picture), []).append(row)
    kept = []
    for same in by_picture.values():
        first, apart = same[0], frozenset[str]().union(*(row.true ^ same[0].true for row in same))
        if not apart:
            kept.append(first)
        for row in same if apart else same[1:]:
            others = ", ".join(str(other.line) for other in same if other is not row)
            why = f"contradicts line {others} on '{min(apart)}'" if apart else f"line {first.line} says so already"
            left_out[f"{file}, line {row.line}: {os.path.basename(row.picture)}"] = why
    return kept


def _named(columns: Iterable[str], rows: Iterable[_Row], known: Sequence[str] | None) -> tuple[str, ...]:
    """The attributes: those that are known, else the columns, else whatever is named, in the order of the alphabet."""
    if known is not None:
        return tuple(dict.fromkeys(known))
    return tuple(columns) or tuple(sorted({name for row in rows for name in row.true}))
