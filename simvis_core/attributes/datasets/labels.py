"""Which attributes pictures show: yes, no, or nobody can tell; as a table in memory and as a CSV file."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from simvis_core.errors import SimvisError

FIRST_COLUMNS = ("file", "label")  # what comes before the attributes in a file
ENTRIES = {"1": 1.0, "0": 0.0, "": float("nan")}


class SharedAttributes(NamedTuple):
    """Of two pictures: which attributes both show, and of which that can be told."""

    both: Bool[Tensor, " K"]
    known: Bool[Tensor, " K"]


@dataclass(frozen=True, eq=False)
class AttributeLabels:
    """N pictures with the class of each ("" for none) and K attributes: 1 shown, 0 not shown, NaN cannot be told.

    Raises SimvisError for values of another shape, and for a picture or an attribute that comes twice.

    >>> import torch
    >>> from simvis_core.attributes.datasets.labels import AttributeLabels
    >>> nan = float("nan")
    >>> values = torch.tensor([[1.0, 0.0], [1.0, nan], [nan, 1.0]])
    >>> labels = AttributeLabels(("a.jpg", "b.jpg", "c.jpg"), ("cat", "cat", "dog"), ("fur", "striped"), values)
    >>> both, known = labels.shared(0, 1)
    >>> both.tolist(), known.tolist()  # the first is not striped, so that both are not, whatever the second is
    ([True, False], [True, True])
    >>> labels.shared(0, 2).known.tolist(), labels.may_share.tolist()[1]
    ([False, True], [True, True, True])
    """

    pictures: tuple[str, ...]
    classes: tuple[str, ...]
    names: tuple[str, ...]
    values: Float[Tensor, "N K"]

    def __post_init__(self) -> None:
        if self.values.shape != (len(self.pictures), len(self.names)) or len(self.classes) != len(self.pictures):
            raise SimvisError(
                f"values of {tuple(self.values.shape)} for {len(self.pictures)} pictures of {len(self.classes)} "
                f"classes and {len(self.names)} attributes",
                "a value for each picture and attribute",
                "correct the table",
            )
        for kind, found in (("picture", self.pictures), ("attribute", self.names)):
            twice = sorted({one for one in found if found.count(one) > 1}) if len(set(found)) < len(found) else ()
            if twice:
                raise SimvisError(f"the {kind} '{twice[0]}' twice", "each once", "leave one of them")

    def shared(self, a: int, b: int) -> SharedAttributes:
        """What two pictures, by number, both show; it is known where both tell, or one of them says no."""
        one, other = self.values[a], self.values[b]
        both = (one == 1) & (other == 1)
        return SharedAttributes(both, both | (one == 0) | (other == 0))

    @cached_property
    def may_share(self) -> Bool[Tensor, "N N"]:
        """Whether two pictures share an attribute, or may as far as can be told."""
        possible = (self.values != 0).double()
        return possible @ possible.T > 0

    def columns(self, names: Sequence[str]) -> "AttributeLabels":
        """The pictures with only these attributes, in this order; one without a column is shown by none of them.

        >>> import torch
        >>> from simvis_core.attributes.datasets.labels import AttributeLabels
        >>> labels = AttributeLabels(("a.jpg",), ("",), ("fur", "dome"), torch.tensor([[1.0, 0.0]]))
        >>> labels.columns(["tower", "fur"]).values.tolist()
        [[0.0, 1.0]]
        """
        places = {name: place for place, name in enumerate(self.names)}
        nowhere = torch.zeros(len(self.pictures), dtype=self.values.dtype)
        found = [self.values[:, places[name]] if name in places else nowhere for name in names]
        return AttributeLabels(self.pictures, self.classes, tuple(names), torch.stack(found, 1))

    def rows(self, numbers: Sequence[int]) -> "AttributeLabels":
        """Some of the pictures, by number, in this order.

        >>> import torch
        >>> from simvis_core.attributes.datasets.labels import AttributeLabels
        >>> labels = AttributeLabels(("a.jpg", "b.jpg"), ("x", "y"), ("fur",), torch.tensor([[1.0], [0.0]]))
        >>> labels.rows([1]).pictures
        ('b.jpg',)
        """
        return AttributeLabels(
            tuple(self.pictures[number] for number in numbers),
            tuple(self.classes[number] for number in numbers),
            self.names,
            self.values[list(numbers)],
        )


def read_labels(file: str | Path) -> AttributeLabels:
    r"""A CSV with the columns file and label, then an attribute each: 1 shown, 0 not shown, empty cannot be told.

    Pictures are sought from the file's own folder, and come with their whole path.

    Raises SimvisError, naming the line, for a file that cannot be read, columns or values that are others, rows that
    contradict each other or come twice, and a picture that is missing.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from simvis_core.attributes.datasets.labels import read_labels
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Path(folder, "a.jpg").touch()
    ...     _ = Path(folder, "shown.csv").write_text("file,label,fur,striped\na.jpg,cat,1,\n")
    ...     labels = read_labels(Path(folder, "shown.csv"))
    ...
    >>> labels.names, labels.classes, labels.values
    (('fur', 'striped'), ('cat',), tensor([[1., nan]], dtype=torch.float64))
    """
    file = Path(file)
    rows: dict[str, tuple[str, tuple[float, ...]]] = {}
    lines: dict[str, int] = {}
    names: tuple[str, ...] = ()
    for line, row in _rows(file):
        names = tuple(row)[len(FIRST_COLUMNS) :]
        path = str(file.parent / row["file"])
        told = (row["label"], _values(file, line, row, names))
        if path in rows:
            alike = "the same again" if _alike(rows[path], told) else "contradicting it"
            raise _wrong(file, line, f"'{row['file']}' of line {lines[path]} once more, {alike}", "keep one of them")
        if not Path(path).is_file():
            raise _wrong(file, line, f"'{row['file']}', which is not there", "restore the picture, or take the row out")
        rows[path], lines[path] = told, line
    if not rows or not names:
        raise SimvisError(f"'{file.name}' without rows or attributes", "a row a picture", "check the file")
    values = torch.tensor([told for _, told in rows.values()], dtype=torch.float64)
    return AttributeLabels(tuple(rows), tuple(label for label, _ in rows.values()), names, values)


def _rows(file: Path) -> Iterator[tuple[int, Mapping[str, str]]]:
    try:
        with file.open(encoding="utf-8-sig", newline="") as opened:
            reader = csv.DictReader(opened, strict=True)
            columns = tuple(reader.fieldnames or ())
            if columns[: len(FIRST_COLUMNS)] != FIRST_COLUMNS or len(set(columns)) < len(columns):
                raise SimvisError(
                    f"'{file.name}' with the columns {', '.join(columns[:4]) or 'none'}",
                    f"{' and '.join(FIRST_COLUMNS)}, then each attribute once",
                    "correct its first line",
                )
            for row in reader:
                if None in row or None in row.values():
                    raise _wrong(file, reader.line_num, "another number of values than columns", "complete the row")
                yield reader.line_num, row
    except (csv.Error, UnicodeDecodeError, OSError) as error:
        raise SimvisError(
            f"'{file}', which cannot be read as CSV ({error})", "UTF-8 text with a line a picture", "save it as such"
        ) from error


def _values(file: Path, line: int, row: Mapping[str, str], names: Sequence[str]) -> tuple[float, ...]:
    for name in names:
        if row[name] not in ENTRIES:
            raise _wrong(file, line, f"'{row[name]}' for '{name}'", "write 1, 0, or nothing where it cannot be told")
    return tuple(ENTRIES[row[name]] for name in names)


def _alike(one: tuple[str, tuple[float, ...]], other: tuple[str, tuple[float, ...]]) -> bool:
    same = torch.equal(torch.tensor(one[1]).nan_to_num(-1), torch.tensor(other[1]).nan_to_num(-1))
    return one[0] == other[0] and same


def _wrong(file: Path, line: int, got: str, cure: str) -> SimvisError:
    return SimvisError(f"'{file.name}', line {line}: {got}", "one row of 1, 0 or nothing for each picture", cure)
