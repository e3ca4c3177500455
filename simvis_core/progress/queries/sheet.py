"""A query over a training as one page: at each step its best hits, both maps of a step on one scale."""

from collections.abc import Iterator, Mapping

import numpy as np
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from simvis_core.files.colours import laid
from simvis_core.files.numbers import three
from simvis_core.galleries.contact_sheet import Entry
from simvis_core.pictures.views import enlarge
from simvis_core.progress.queries.hits import Study

_HEIGHT = 160  # pixels of a picture
_GAP = 6


def step_entries(study: Study, pictures: Mapping[str, Image.Image], names: Mapping[str, str]) -> Iterator[Entry]:
    """An entry for each hit of each step: query and hit beside each other, each under its map.

    ``pictures`` are what the networks saw, by the name in the gallery, the query's by ""; a hit without one has none.
    ``names`` are what hits are called.

    >>> import torch
    >>> from PIL import Image
    >>> from simvis_core.progress.manifests import SeriesStep
    >>> from simvis_core.progress.queries.hits import QueriedStep, StepHit, Study
    >>> from simvis_core.progress.queries.sheet import step_entries
    >>> hit = StepHit("b.jpg", "owl", 0.5, 0.5, torch.ones(2, 3), torch.ones(2, 2))
    >>> study = Study("run", "mobilenet_v2", "avg", (QueriedStep(SeriesStep(100, None), (hit,)),))
    >>> pictures = {"": Image.new("RGB", (60, 40)), "b.jpg": Image.new("RGB", (40, 40))}
    >>> [entry] = step_entries(study, pictures, {"b.jpg": "owl/b.jpg"})
    >>> entry.number, entry.lines, entry.image.size
    ('0.500', ('step 100, hit 1', 'owl/b.jpg'), (406, 160))
    """
    for one in study.steps:
        for rank, hit in enumerate(one.hits, 1):
            lines = (f"step {one.step.step}, hit {rank}", names.get(hit.picture, hit.picture))
            sides = [(pictures.get(hit.asked), hit.query_map), (pictures.get(hit.picture), hit.hit_map)]
            drawn = [_under(image, map, one.scale) for image, map in sides if image is not None]
            yield Entry(_together(drawn) if len(drawn) == 2 else None, three(hit.score), lines, hit.gone)


def _under(image: Image.Image, map: Float[Tensor, "H W"] | None, scale: float) -> Image.Image:
    """The picture at its height on the sheet, under its map."""
    small = image.resize((max(1, round(image.width * _HEIGHT / image.height)), _HEIGHT), Image.Resampling.BICUBIC)
    if map is None:
        return small
    values: np.ndarray = enlarge(map.double(), (small.height, small.width)).numpy()
    return laid(small, values, scale)


def _together(images: list[Image.Image]) -> Image.Image:
    whole = Image.new("RGB", (sum(image.width for image in images) + _GAP, _HEIGHT), "white")
    whole.paste(images[0], (0, 0))
    whole.paste(images[1], (images[0].width + _GAP, 0))
    return whole
