"""The study of depths from its first case to its last: what is measured in which order, and gone on with."""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from simvis_core.errors import SimvisError
from simvis_core.evaluation.cases import Case, ViewAsked, folder_cases, room_cases
from simvis_core.evaluation.depth_study.choosing import picked
from simvis_core.evaluation.depth_study.measuring import (
    BESIDE,
    PEER,
    removal_records,
    room_records,
    study_question,
    two_sided_records,
)
from simvis_core.evaluation.depth_study.settings import SCREENED, DepthSetting, studied
from simvis_core.evaluation.records import Record, Records
from simvis_core.explainers.question import Question
from simvis_core.networks.network import EmbeddingNetwork
from simvis_core.pictures.opening import OWNERS, Limits
from simvis_core.trust.measuring import Asked

StudyPart = Literal["screening", "removal", "two-sided", "rooms"]
SCREENING_NETWORKS = 2
StudyMeasuring = Iterator[tuple[str, Record]]


@dataclass(frozen=True)
class StudySize:
    """How much is measured: pairs of the screening, of the study, of two-sided hiding, and drawn rooms.

    ``steps`` are each curve's in the study, ``screening_steps`` in the screening.
    """

    screening: int = 12
    pairs: int = 100
    two_sided: int = 20
    rooms: int = 24
    screening_steps: int = 11
    steps: int = 11
    seed: int = 0


def pairs_of(source: str | Path, size: StudySize, limits: Limits = OWNERS) -> tuple[list[Case], list[Case]]:
    """The screening's pairs and the study's: of one class each, drawn by the seed, and no pair in both.

    Raises SimvisError as `folder_cases` does, and for a folder with fewer pairs than one for each.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from simvis_core.evaluation.depth_study.running import StudySize, pairs_of
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("owl/1.png", "owl/2.png", "owl/3.png"):
    ...         Path(folder, name).parent.mkdir(exist_ok=True)
    ...         Path(folder, name).touch()
    ...     [len(some) for some in pairs_of(folder, StudySize(screening=1, pairs=2))]
    ...
    [1, 2]
    """
    wanted = size.screening + size.pairs
    same = [case for case in folder_cases(source, wanted, size.seed, limits) if case.same]
    random.Random(size.seed).shuffle(same)  # noqa: S311  (a draw of pairs keeps no secret)
    if len(same) <= size.screening:
        raise SimvisError(
            f"{len(same)} pairs of one class in '{source}'", f"more than {size.screening}", "name a larger folder"
        )
    return same[: size.screening], same[size.screening :]


def study_steps(
    kept: Records,
    networks: Mapping[str, EmbeddingNetwork],
    views: Mapping[str, ViewAsked],
    cases: tuple[Sequence[Case], Sequence[Case]],
    size: StudySize,
) -> Iterator[tuple[StudyPart, int, int]]:
    """Measures what is not yet recorded; yields after each case which part it is in, and how far.

    The screening runs on the first two networks; what it picks (`picked`) is the study's. Every record is kept as it
    is made, so that a run that was stopped loses a case at most.

    >>> import tempfile
    >>> from PIL import Image
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork, Preprocess
    >>> from simvis_core.evaluation.cases import Case, ViewAsked
    >>> from simvis_core.evaluation.depth_study.running import StudySize, study_steps
    >>> from simvis_core.evaluation.records import Records
    >>> backbone = nn.Sequential(nn.Conv2d(3, 4, 4, 4), nn.ReLU(), nn.Conv2d(4, 5, 2, 2))
    >>> net = EmbeddingNetwork(backbone, preprocess=Preprocess(short_side=16, stride=8))
    >>> one, two = (lambda side=side: Image.linear_gradient("L").resize((side, 40)) for side in (60, 40))
    >>> case, size = Case("one | two", "same", one, (two,), same=True), StudySize(1, 1, 0, 0, 3, 3)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     kept = Records(folder, {})
    ...     steps = [study_steps(kept, {"tiny": net}, {"tiny": ViewAsked()}, ([case], [case]), size) for _ in range(2)]
    ...     [list(some) for some in steps]
    ...
    [[('screening', 1, 1), ('removal', 1, 1)], []]
    """
    screening, pairs = cases
    first = dict(list(networks.items())[:SCREENING_NETWORKS])
    removal = partial(removal_records, steps=size.screening_steps, seed=size.seed)
    yield from _part(kept, "screening", first, views, screening, SCREENED, removal)
    settings = studied(*picked(kept.known))
    removal = partial(removal_records, steps=size.steps, seed=size.seed)
    yield from _part(kept, "removal", networks, views, pairs, settings, removal)
    both = partial(two_sided_records, seed=size.seed)
    yield from _part(kept, "two-sided", networks, views, pairs[: size.two_sided], settings, both)
    rooms = [case for case in room_cases(size.rooms, size.seed) if case.kind == "planted"] if size.rooms else []
    yield from _rooms(kept, networks, views, rooms, settings, size.seed)


def _rooms(
    kept: Records,
    networks: Mapping[str, EmbeddingNetwork],
    views: Mapping[str, ViewAsked],
    rooms: Sequence[Case],
    settings: Sequence[DepthSetting],
    seed: int,
) -> Iterator[tuple[StudyPart, int, int]]:
    """The planted rooms; CorrRISE beside them on the first network alone, as it takes longest by far."""
    for number, (name, network) in enumerate(networks.items()):
        peer = number == 0

        def located(
            question: Question, settings: Sequence[DepthSetting], case: Case, peer: bool = peer
        ) -> StudyMeasuring:
            assert case.mask is not None
            return room_records(question, case.mask(), settings, peer, seed)

        beside = (PEER[0],) if peer else ()
        yield from _part(kept, "rooms", {name: network}, views, rooms, settings, located, beside)


def _part(
    kept: Records,
    part: StudyPart,
    networks: Mapping[str, EmbeddingNetwork],
    views: Mapping[str, ViewAsked],
    cases: Sequence[Case],
    settings: Sequence[DepthSetting],
    measure: Callable[..., StudyMeasuring],
    beside: Sequence[str] = (),
) -> Iterator[tuple[StudyPart, int, int]]:
    total, done = len(cases) * len(networks), 0
    for case in cases:
        named = Case(f"{part}: {case.name}", part, case.picture, case.others, case.same, case.mask)
        for name, network in networks.items():
            done += 1
            wanted = [setting.name for setting in settings] + [*BESIDE, *beside]
            if all(kept.has(name, named, Asked(one)) for one in wanted):
                continue
            for record in _measured(named, network, views[name], settings, measure, wanted):
                if not kept.has(name, named, Asked(record["explainer"])):
                    kept.add({"network": name, **record})
            yield part, done, total


def _measured(
    case: Case,
    network: EmbeddingNetwork,
    seen: ViewAsked,
    settings: Sequence[DepthSetting],
    measure: Callable[..., StudyMeasuring],
    wanted: Sequence[str],
) -> Iterator[Record]:
    """The case's records; one whose picture cannot be read, or shows no region, says so once for all settings."""
    facts: dict[str, Any] = {"case": case.name, "kind": case.kind, "seed": 0}
    left = dict.fromkeys(wanted, "the view shows nothing of the region, or nothing else")
    try:
        question = study_question(case, network, seen)
        given = {"case": case} if case.kind == "rooms" else {}
        for name, record in measure(question, settings, **given):
            left.pop(name, None)
            yield facts | {"explainer": name, "score": question.score} | record
    except SimvisError as error:
        left = dict.fromkeys(left, str(error))
    for name, why in left.items():
        yield facts | {"explainer": name, "refused": why}
