"""A data set of pictures with attributes: what each shows, of which kind it is, and which pictures are for what."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from simvis_core.attributes.datasets.labels import AttributeLabels
from simvis_core.errors import SimvisError

DATASET_PARTS = ("train", "valid", "test")


@dataclass(frozen=True, eq=False)
class AttributeDataset:
    """Pictures with their attributes; a picture's class is what makes it alike others (an animal, an outfit).

    ``kinds`` says what a picture may be exchanged for: only pictures of its own kind ("" where there are no kinds).
    ``parts`` are the numbers of the pictures to train on, to learn weights and thresholds on, and to test on.

    >>> import torch
    >>> from simvis_core.attributes.datasets.dataset import AttributeDataset
    >>> from simvis_core.attributes.datasets.labels import AttributeLabels
    >>> labels = AttributeLabels(("a.jpg", "b.jpg"), ("cat", "dog"), ("fur",), torch.ones(2, 1))
    >>> data = AttributeDataset("pets", labels, ("", ""), {"train": (), "valid": (0,), "test": (1,)})
    >>> data.labels.rows(data.parts["test"]).classes
    ('dog',)
    """

    name: str
    labels: AttributeLabels
    kinds: tuple[str, ...]
    parts: Mapping[str, tuple[int, ...]]


def lines_of(file: Path, source: str) -> list[list[str]]:
    """The words of each line of a text file that is not empty.

    Raises SimvisError, saying where the file comes from, for one that is missing, empty, or no text.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from simvis_core.attributes.datasets.dataset import lines_of
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "classes.txt").write_text("1 antelope")
    ...     lines_of(Path(folder, "classes.txt"), "the archive")
    ...
    [['1', 'antelope']]
    """
    try:
        found = [line.split() for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise unread(file, source) from error
    if not found:
        raise unread(file, source)
    return found


def unread(file: Path, source: str) -> SimvisError:
    """The error for a file of a data set that is missing or damaged.

    >>> from pathlib import Path
    >>> from simvis_core.attributes.datasets.dataset import unread
    >>> error = unread(Path("awa2", "classes.txt"), "the archive AwA2-base.zip")
    >>> error.got, error.cure
    ("'classes.txt' in 'awa2', which is not there", 'take it from the archive AwA2-base.zip')
    """
    why = "is damaged" if file.exists() else "is not there"
    return SimvisError(
        f"'{file.name}' in '{file.parent}', which {why}",
        "the file of that name as it is published",
        f"take it from {source}",
    )
