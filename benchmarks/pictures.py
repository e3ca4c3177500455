"""The pictures that are measured."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
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


def large_images(count: int, size: tuple[int, int]) -> Iterator[Image.Image]:
    """Sample pictures of every class at another size (width, height), every second with noise in every pixel."""
    files = sorted((FOLDER / "pictures").glob("*/*.jpg"))
    noise = np.random.default_rng(0)
    for at, file in enumerate(files[:: len(files) // count][:count]):
        image = open_picture(file).resize(size)
        if at % 2:
            grey = noise.normal(0, 25, (size[1], size[0], 1))
            image = Image.fromarray((np.asarray(image) + grey).clip(0, 255).astype(np.uint8))
        yield image


def distinct_pairs(count: int) -> list[list[Path]]:
    """Different pairs of sample pictures; none comes twice until all have been there."""
    files = sorted((FOLDER / "pictures").glob("*/*.jpg"))
    rounds = [files[shift:] + files[:shift] for shift in range(2)]  # the second pairs each with its other neighbour
    return [files[at : at + 2] for files in rounds for at in range(0, len(files) - 1, 2)][:count]
