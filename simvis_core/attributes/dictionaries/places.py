"""Places of pictures: what dictionaries are learnt on, and where their concepts fire most."""

import random
from collections.abc import Collection, Generator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float
from torch import Tensor

from simvis_core.attributes.dictionaries.dictionary import Dictionary, Firing
from simvis_core.decomposition import Decomposition
from simvis_core.errors import SimvisError
from simvis_core.networks.network import EmbeddingNetwork
from simvis_core.pictures.opening import OWNERS, Limits, open_picture
from simvis_core.pictures.views import Framing

MOST_PLACES = 8192  # that are learnt on, drawn evenly from the pictures
FIRINGS = 8  # pictures that are kept of a concept
_TOGETHER = 32  # pictures whose codes are found at once

_Done = tuple[int, int]  # pictures done, of how many


@dataclass(frozen=True, eq=False)
class Gathered:
    """Places (N, D) of the pictures to learn from; every picture's embedding (P, D), file and label; what is left out.

    ``learnt`` says of each picture whether places were drawn from it.
    """

    places: Float[Tensor, "N D"]
    embeddings: Float[Tensor, "P D"]
    files: tuple[str, ...]
    labels: tuple[str, ...]
    learnt: tuple[bool, ...]
    left_out: dict[str, str] = field(default_factory=dict)


def picture_places(decomposition: Decomposition) -> Float[Tensor, "N D"]:
    """A picture's N cells, each as if the whole picture were like it: N times the cell, plus the bias.

    Their mean is the embedding, so that a dictionary learnt on places is one for embeddings, and least-squares codes
    of the places average to the picture's.

    >>> import torch
    >>> from simvis_core import Decomposition
    >>> from simvis_core.attributes.dictionaries.places import picture_places
    >>> picture = Decomposition(torch.tensor([[[0.5, 0.0], [0.25, 0.5]]]), torch.tensor([0.0, 0.25]))
    >>> picture_places(picture), picture.embedding
    (tensor([[1.0000, 0.2500],
            [0.5000, 1.2500]]), tensor([0.7500, 0.7500]))
    """
    cells = decomposition.cells.flatten(0, 1)
    return cells * len(cells) + decomposition.bias


def gathering(
    network: EmbeddingNetwork,
    pictures: Mapping[str, str],
    held_out: Collection[str] = (),
    short_side: int | None = None,
    framing: Framing = "whole",
    seed: int = 0,
    most: int = MOST_PLACES,
    limits: Limits = OWNERS,
) -> Generator[_Done, None, Gathered]:
    """Runs every picture (file: label) once; draws at most ``most`` places, evenly, from those that are not held out.

    Yields how many of how many are done. A picture that cannot be opened or has no embedding is left out, with the
    reason. The same seed draws the same places.

    Raises SimvisError for a network that cannot be split, and where no picture is left to learn from.

    >>> import tempfile
    >>> from PIL import Image
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork, Preprocess
    >>> from simvis_core.attributes.dictionaries.places import gathering
    >>> from simvis_core.steps import run
    >>> net = EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8), preprocess=Preprocess(short_side=32, stride=8), name="tiny")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Image.new("RGB", (60, 40), "orange").save(f"{folder}/1.png")
    ...     found = run(gathering(net, {f"{folder}/1.png": "colours", f"{folder}/2.png": "colours"}), told=print)
    ...
    (1, 2)
    (2, 2)
    >>> found.places.shape, found.embeddings.shape, found.labels, len(found.left_out)
    (torch.Size([24, 4]), torch.Size([1, 4]), ('colours',), 1)
    """
    _check_split(network)
    chance, generator = random.Random(seed), torch.Generator().manual_seed(seed)  # noqa: S311 (a sample, no secret)
    from_these = [file for file in pictures if file not in held_out]
    drawn_from = set(from_these if len(from_these) <= most else chance.sample(from_these, most))
    each = -(-most // max(1, len(drawn_from)))
    places, embeddings, files, left_out = [], [], [], {}
    for done, file in enumerate(pictures, start=1):
        try:
            picture = _decomposed(network, file, short_side, framing, limits)
        except SimvisError as error:
            left_out[file] = str(error)
        else:
            files.append(file)
            embeddings.append(picture.embedding.cpu())
            if file in drawn_from:
                all_of_it = picture_places(picture).cpu()
                places.append(all_of_it[torch.randperm(len(all_of_it), generator=generator)[:each]])
        yield done, len(pictures)
    if not places:
        raise SimvisError("no picture to learn from", "one or more that can be opened", "choose another folder")
    found = torch.cat(places)
    kept = found[torch.randperm(len(found), generator=generator)[:most]] if len(found) > most else found
    told = tuple(pictures[file] for file in files), tuple(file in drawn_from for file in files)
    return Gathered(kept, _stacked(embeddings), tuple(files), *told, left_out)


def firing(
    dictionary: Dictionary,
    network: EmbeddingNetwork,
    files: Sequence[str],
    short_side: int | None = None,
    framing: Framing = "whole",
    most: int = FIRINGS,
    limits: Limits = OWNERS,
) -> Generator[_Done, None, Dictionary]:
    """The dictionary with the places that fire each concept most: its largest codes, one place a picture, above 0.

    Yields how many pictures of how many are done; one that cannot be opened is passed over.

    Raises SimvisError for a network that cannot be split, and one whose embeddings have another width.

    >>> import tempfile
    >>> import torch
    >>> from PIL import Image
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork, Preprocess
    >>> from simvis_core.attributes.dictionaries.dictionary import dictionary_of
    >>> from simvis_core.attributes.dictionaries.places import firing
    >>> from simvis_core.steps import run
    >>> torch.manual_seed(0)
    <torch...
    >>> net = EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8), preprocess=Preprocess(short_side=32, stride=8), name="tiny")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Image.new("RGB", (60, 40), "orange").save(f"{folder}/1.png")
    ...     embedding = net.embed(net.view(Image.new("RGB", (60, 40), "orange")).pixels[None])
    ...     found = run(firing(dictionary_of(embedding), net, [f"{folder}/1.png"]))
    ...     [(place.cell, round(place.value, 3)) for place in found.firings[0]]
    ...
    [((0, 0), 1.0)]
    """
    _check_split(network)
    best: list[list[Firing]] = [[] for _ in range(dictionary.size)]
    waiting: list[tuple[str, Decomposition]] = []
    for done, file in enumerate(files, start=1):
        with suppress(SimvisError):  # `gathering` has told why
            waiting.append((file, _decomposed(network, file, short_side, framing, limits)))
        if len(waiting) == _TOGETHER or done == len(files):
            _fire(dictionary, waiting, best, most)
            waiting = []
        yield done, len(files)
    return replace(dictionary, firings=tuple(tuple(places) for places in best))


def _fire(
    dictionary: Dictionary, pictures: Sequence[tuple[str, Decomposition]], best: list[list[Firing]], most: int
) -> None:
    """Puts these pictures' strongest places among the best of each concept."""
    if not pictures:
        return
    places = [picture_places(picture) for _, picture in pictures]
    codes = dictionary.codes(torch.cat(places)).split([len(some) for some in places])
    for (file, picture), of_cells in zip(pictures, codes, strict=True):
        values, cells = of_cells.max(0)
        for concept, (value, cell) in enumerate(zip(values.tolist(), cells.tolist(), strict=True)):
            if value > 0:
                row, column = divmod(cell, picture.grid[1])
                best[concept].append(Firing(file, (row, column), picture.grid, value))
    for places_of_one in best:
        places_of_one.sort(key=lambda place: -place.value)
        del places_of_one[most:]


def _decomposed(
    network: EmbeddingNetwork, file: str, short_side: int | None, framing: Framing, limits: Limits
) -> Decomposition:
    with torch.inference_mode():
        return network.decompose(network.view(open_picture(file, limits=limits), short_side, framing).pixels)


def _stacked(embeddings: Sequence[Tensor]) -> Tensor:
    if len({len(one) for one in embeddings}) > 1:
        raise SimvisError(
            "embeddings of several widths", "one width", "choose a square framing, or another pooling than flatten"
        )
    return torch.stack(list(embeddings))


def _check_split(network: EmbeddingNetwork) -> None:
    if network.verdict == "black box":
        raise SimvisError(
            f"{network.name} ({network.pooling}), which cannot be split over cells",
            "a network whose verdict is exact",
            "choose another network or pooling",
        )
