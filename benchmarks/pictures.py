"""The pictures that are measured."""

import json
from pathlib import Path

from PIL import Image

from simvis_core import open_picture

FOLDER = Path(__file__).parent.parent / "sample_data"


def first_pair() -> tuple[Path, Path]:
    """The files of the first ready-made pair."""
    pair = json.loads((FOLDER / "pairs.json").read_text())[0]
    return FOLDER / "pictures" / pair["a"], FOLDER / "pictures" / pair["b"]


def first_images() -> tuple[Image.Image, Image.Image]:
    """The same, opened."""
    a, b = first_pair()
    return open_picture(a), open_picture(b)


def distinct_pairs(count: int) -> list[list[Path]]:
    """Different pairs of sample pictures; none comes twice until all have been there."""
    files = sorted((FOLDER / "pictures").glob("*/*.jpg"))
    rounds = [files[shift:] + files[:shift] for shift in range(2)]  # the second pairs each with its other neighbour
    return [files[at : at + 2] for files in rounds for at in range(0, len(files) - 1, 2)][:count]
