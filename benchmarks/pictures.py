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
    """Pairs of sample pictures in which none comes twice."""
    files = sorted((FOLDER / "pictures").glob("*/*.jpg"))
    return [files[2 * number : 2 * number + 2] for number in range(count)]
