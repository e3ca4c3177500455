"""Which pictures a training learns from and is tested on: class folders, a CSV, or drawn rooms, split by class."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Int
from PIL import Image

from simvis_core.errors import SimvisError
from simvis_core.hotel_rooms.rooms import room
from simvis_core.pictures.listing import listed
from simvis_core.pictures.opening import OWNERS, Limits, open_picture

ROOM_VIEWS = 10_000  # view numbers of an identity: no two pictures of a training show one scene
FIRST_ROOM = 200  # identities below it are left for tests: `evaluate rooms` takes its pairs from there
Opened = Callable[[int], Image.Image]  # a picture, given the short side in pixels that is enough


@dataclass(frozen=True, eq=False)
class Examples:
    """Pictures with their classes, read when they are asked for, and what was left out with the reason.

    ``validation`` are the places of those given for testing, where a split is given; else None. ``distractors`` are
    the places of those that only stand among what is searched in the test: they ask for nothing, and their label is "".
    """

    names: tuple[str, ...]
    labels: tuple[str, ...]
    opened: tuple[Opened, ...]
    left_out: dict[str, str] = field(default_factory=dict)
    validation: frozenset[int] | None = None
    distractors: frozenset[int] = frozenset()


@dataclass(frozen=True, eq=False)
class Split:
    """Places of the pictures that are learned from, and of those of the test."""

    training: Int[np.ndarray, " T"]
    validation: Int[np.ndarray, " V"]


def folder_examples(
    source: str | Path,
    validation: str | Path | None = None,
    distractors: str | Path | None = None,
    limits: Limits = OWNERS,
) -> Examples:
    """The pictures of class folders or a CSV; with a second source the test is on that one's pictures.

    Pictures without a class, and the only one of a class, are left out with that reason. A third source holds what
    else is searched in the test; those of its pictures whose class may be tested are left out: they would count as
    wrong. It may hold pictures that are learned from.

    Raises SimvisError as `listed` does, and where no class has two pictures.
    """
    sources = [source] if validation is None else [source, validation]
    pictures: dict[str, str] = {}
    left_out: dict[str, str] = {}
    tested: set[str] = set()
    for number, one in enumerate(sources):
        found = listed(one)
        left_out |= found.left_out
        kept, alone = _in_company(found.pictures)
        left_out |= alone
        _check_disjoint(pictures, kept, one)
        pictures |= kept
        tested |= set(kept) if number else set()
    classes = {pictures[name] for name in tested} if tested else set(pictures.values())
    beside = {} if distractors is None else _distractors(distractors, classes, left_out)
    names = (*pictures, *beside)
    return Examples(
        names,
        (*pictures.values(), *("" for _ in beside)),
        tuple(partial(_file, name, limits) for name in names),
        left_out,
        None if validation is None else frozenset(at for at, name in enumerate(pictures) if name in tested),
        frozenset(range(len(pictures), len(names))),
    )


def room_examples(identities: int, views: int, first: int = FIRST_ROOM) -> Examples:
    """Drawn hotel rooms: every identity is a class, shown in ``views`` scenes that no other picture shows.

    Raises SimvisError for fewer than 4 identities (half of them are for testing) or 2 views, and for too many.
    """
    if not (4 <= identities <= 1000 - first and 2 <= views <= ROOM_VIEWS):
        raise SimvisError(
            f"{identities} rooms in {views} views each",
            f"4 to {1000 - first} rooms in 2 to {ROOM_VIEWS} views",
            "ask for as many",
        )
    places = [(first + at, view) for at in range(identities) for view in range(views)]
    return Examples(
        tuple(f"room {identity}, view {view}" for identity, view in places),
        tuple(f"room {identity}" for identity, _ in places),
        tuple(partial(_room, identity, identity * ROOM_VIEWS + view) for identity, view in places),
    )


def split_by_class(examples: Examples, share: float, seed: int = 0, fold: tuple[int, int] | None = None) -> Split:
    """What is learned from and what is tested on: the given split, else classes of which none is learned from.

    Distractors stand on the side of the test. ``share`` is how much of the classes is for testing; ``fold`` (number
    from 0, of so many) takes instead that part of the classes in the order that ``seed`` shuffles them to, so that
    every class is tested in one fold.

    Raises SimvisError where fewer than two classes are left on either side, and for folds beside a given split.
    """
    learned = np.array([at not in examples.distractors for at in range(len(examples.names))])
    if examples.validation is not None:
        if fold is not None:
            raise SimvisError("folds beside a given split", "one of them", "leave the folds or --validation out")
        tested = np.array([at in examples.validation for at in range(len(examples.names))])
        return Split(np.flatnonzero(learned & ~tested), np.flatnonzero(~learned | tested))
    classes = sorted({label for label, one in zip(examples.labels, learned, strict=True) if one})
    order = np.random.default_rng([seed, len(classes)]).permutation(len(classes))
    chosen = order[: round(share * len(classes))] if fold is None else np.array_split(order, fold[1])[fold[0]]
    if not 2 <= len(chosen) <= len(classes) - 2:
        raise SimvisError(
            f"{len(chosen)} of {len(classes)} classes to test on",
            "two at least, and two to learn from",
            "add classes, or change how many are tested",
        )
    apart = {classes[at] for at in chosen.tolist()}
    tested = np.array([label in apart for label in examples.labels])
    return Split(np.flatnonzero(learned & ~tested), np.flatnonzero(~learned | tested))


def numbered_labels(labels: Sequence[str]) -> Int[np.ndarray, " N"]:
    """The classes as numbers from 0, in the order of their names; each "" is a class of its own behind them."""
    places = {label: at for at, label in enumerate(sorted(set(labels) - {""}))}
    return np.array([places.get(label, len(places) + at) for at, label in enumerate(labels)], dtype=np.int64)


def _in_company(pictures: dict[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Pictures whose class has another, and the rest with the reason."""
    count = Counter(pictures.values())
    kept = {file: label for file, label in pictures.items() if label and count[label] > 1}
    reasons = {
        file: "it has no class" if not label else f"the only picture of '{label}'" for file, label in pictures.items()
    }
    alone = {file: reasons[file] for file in pictures if file not in kept}
    if not kept:
        raise SimvisError(
            f"{len(pictures)} pictures of which no two are of one class ({next(iter(alone.values()))})",
            "classes with two pictures or more",
            "sort them into class folders, or label them in a CSV",
        )
    return kept, alone


def _distractors(source: str | Path, tested: set[str], left_out: dict[str, str]) -> dict[str, str]:
    """The pictures of no tested class; the others are added to what is left out. Raises SimvisError for none."""
    found = listed(source)
    kept = {file: label for file, label in found.pictures.items() if label not in tested}
    if not kept:
        raise SimvisError(
            f"'{source}', each of whose {len(found.pictures)} pictures is of a class that may be tested",
            "pictures of other classes to be told from",
            "name another folder, or what is tested by --validation",
        )
    left_out |= found.left_out
    left_out |= {
        file: f"a distractor of '{label}', which may be tested"
        for file, label in found.pictures.items()
        if file not in kept
    }
    return kept


def _check_disjoint(known: dict[str, str], more: dict[str, str], source: str | Path) -> None:
    both = next((file for file in more if file in known), None)
    if both is not None:
        raise SimvisError(f"'{Path(both).name}' to learn from and in '{source}'", "pictures on one side", "take it out")


def _file(name: str, limits: Limits, side: int) -> Image.Image:
    return open_picture(name, enough=side, limits=limits)


def _room(identity: int, view: int, side: int) -> Image.Image:
    return room(identity, view, (side, side)).image
