"""Pictures of which it is known which attributes are true: of class folders, or drawn rooms."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool
from PIL import Image
from torch import Tensor

from simvis_core.errors import SimvisError
from simvis_core.hotel_rooms.objects import OBJECTS
from simvis_core.hotel_rooms.rooms import STYLES, Room, scene
from simvis_core.hotel_rooms.truths import ROOM_ATTRIBUTES, room_attributes
from simvis_core.pictures.listing import listed
from simvis_core.pictures.opening import OWNERS, Limits, open_picture

FIRST_VIEW = 2**31  # of labelled rooms: no picture of a training or an evaluation shows such a view

Opener = Callable[[int], Image.Image]  # a picture, given the short side in pixels that is enough


@dataclass(frozen=True, eq=False)
class LabelledPictures:
    """N pictures, read when they are asked for, K attributes, and which are true of which (N, K).

    ``left_out`` says what was left out, and why.

    >>> from simvis_core.attributes.learnt.labelled import labelled_rooms
    >>> rooms = labelled_rooms(3)
    >>> rooms.names, rooms.truth.shape, len(rooms.taken([2, 0]).names)
    (('room 0', 'room 1', 'room 2'), torch.Size([3, 116]), 2)
    """

    names: tuple[str, ...]
    opened: tuple[Opener, ...]
    attributes: tuple[str, ...]
    truth: Bool[Tensor, "N K"]
    left_out: Mapping[str, str] = field(default_factory=dict)

    def taken(self, places: Sequence[int]) -> "LabelledPictures":
        """These pictures alone, in this order; every attribute stays."""
        names, opened = tuple(self.names[at] for at in places), tuple(self.opened[at] for at in places)
        return replace(self, names=names, opened=opened, truth=self.truth[list(places)])


def learnable(labelled: LabelledPictures) -> LabelledPictures:
    """The pictures with those attributes alone that some of them have and some have not; the others are left out.

    Raises SimvisError for no pictures, where fewer than two attributes are left, and for more attributes than pictures:
    of these nothing could be told apart.

    >>> from simvis_core.attributes.learnt.labelled import labelled_rooms, learnable
    >>> found = learnable(labelled_rooms(200))
    >>> len(found.attributes)
    116
    """
    if not labelled.names:
        why = next(iter(labelled.left_out.values()), "none is named")
        raise SimvisError(f"no labelled picture that can be used ({why})", "some", "check files and labels")
    count = labelled.truth.sum(0)
    reasons = {
        name: "no picture has it" if have == 0 else "every picture has it"
        for name, have in zip(labelled.attributes, count.tolist(), strict=True)
        if have in (0, len(labelled.names))
    }
    kept = [at for at, name in enumerate(labelled.attributes) if name not in reasons]
    if len(kept) < 2:
        told = "; ".join(f"'{name}': {why}" for name, why in list(reasons.items())[:3])
        raise SimvisError(
            f"{len(kept)} attributes to tell apart in {len(labelled.names)} pictures ({told or 'no others are named'})",
            "two or more, each true of some pictures and not of others",
            "label more pictures",
        )
    if len(kept) > len(labelled.names):
        raise SimvisError(
            f"{len(kept)} attributes of {len(labelled.names)} pictures",
            "no more attributes than pictures",
            "label more pictures, or name fewer attributes",
        )
    said = {f"the attribute '{name}'": why for name, why in reasons.items()}
    names = tuple(labelled.attributes[at] for at in kept)
    return replace(labelled, attributes=names, truth=labelled.truth[:, kept], left_out={**labelled.left_out, **said})


def truth_table(of: Iterable[Iterable[str]], attributes: Sequence[str]) -> Bool[Tensor, "N K"]:
    """Which attribute is among those of which picture.

    >>> from simvis_core.attributes.learnt.labelled import truth_table
    >>> truth_table([["fur"], ["dome", "fur"]], ["dome", "fur"]).tolist()
    [[False, True], [True, True]]
    """
    rows = [[name in said for name in attributes] for said in map(frozenset, of)]
    return torch.tensor(rows, dtype=torch.bool).reshape(len(rows), len(attributes))


def labelled_folders(root: str | Path, limits: Limits = OWNERS) -> LabelledPictures:
    """The pictures of class folders, each with the name of its folder for an attribute; others are left out.

    Raises SimvisError as `listed` does.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from simvis_core.attributes.learnt.labelled import labelled_folders
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("cats/1.jpg", "dogs/1.jpg", "2.jpg"):
    ...         Path(folder, name).parent.mkdir(exist_ok=True)
    ...         Path(folder, name).touch()
    ...     found = labelled_folders(folder)
    ...
    >>> found.attributes, found.truth.tolist(), list(found.left_out.values())
    (('cats', 'dogs'), [[True, False], [False, True]], ['it lies in no class folder'])
    """
    found = listed(root)
    kept = {file: label for file, label in found.pictures.items() if label}
    alone = {file: "it lies in no class folder" for file, label in found.pictures.items() if not label}
    attributes = sorted(set(kept.values()))
    truth = truth_table([[label] for label in kept.values()], attributes)
    openers = tuple(file_opener(file, limits) for file in kept)
    return LabelledPictures(tuple(kept), openers, tuple(attributes), truth, {**found.left_out, **alone})


def file_opener(file: str, limits: Limits = OWNERS) -> Opener:
    """What opens a picture file, at a short side that is enough.

    >>> from simvis_core.attributes.learnt.labelled import file_opener
    >>> file_opener("gone.jpg")(224)
    Traceback (most recent call last):
        ...
    simvis_core.errors.SimvisError: Got 'gone.jpg', ...
    """
    return partial(_file, file, limits)


def _file(file: str, limits: Limits, side: int) -> Image.Image:
    return open_picture(file, enough=side, limits=limits)


def labelled_rooms(count: int, seed: int = 0) -> LabelledPictures:
    """Drawn hotel rooms, no two alike: the four objects of each have styles drawn by the seed, which say what is true.

    Raises SimvisError for a count below 1.

    >>> from simvis_core.attributes.learnt.labelled import labelled_rooms
    >>> rooms = labelled_rooms(2, seed=1)
    >>> rooms.opened[0](64).size, int(rooms.truth[0].sum()) > 10
    ((64, 64), True)
    """
    if count < 1:
        raise SimvisError(f"{count} rooms", "1 or more", "ask for some")
    attributes = tuple(ROOM_ATTRIBUTES)
    truth = truth_table([room_attributes(_styles(at, seed)) for at in range(count)], attributes)
    openers = tuple(partial(_drawn, at, seed) for at in range(count))
    return LabelledPictures(tuple(f"room {at}" for at in range(count)), openers, attributes, truth)


def labelled_room(number: int, seed: int, side: int) -> Room:
    """The room of that number among `labelled_rooms`, square, with the masks of its objects.

    >>> from simvis_core.attributes.learnt.labelled import labelled_room
    >>> sorted(labelled_room(0, seed=1, side=64).masks)
    ['bedspread', 'headboard', 'lamp', 'painting']
    """
    return scene(_styles(number, seed), FIRST_VIEW + seed * STYLES**2 + number, (side, side))


def _drawn(number: int, seed: int, side: int) -> Image.Image:
    return labelled_room(number, seed, side).image


def _styles(number: int, seed: int) -> dict[str, int]:
    drawn = np.random.default_rng([seed, number, 11]).integers(STYLES, size=len(OBJECTS))
    return dict(zip(OBJECTS, drawn.tolist(), strict=True))
