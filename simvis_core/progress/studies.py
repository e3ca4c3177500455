"""Many pairs over the steps of a training, in means with intervals: the first paper's figures 3, 5, 6 and 7."""

from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from torch.nn.functional import normalize

from simvis_core.errors import SimvisError
from simvis_core.files.charts import ChartLine, line_chart
from simvis_core.files.writing import table
from simvis_core.galleries.curves import CURVE_PAIRS, MeanCurve, mean_curve, same_class_pairs
from simvis_core.hotel_rooms.rooms import OBJECTS, PlantedPair, planted_pair, same_pair
from simvis_core.networks.network import EmbeddingNetwork
from simvis_core.pictures.views import Framing
from simvis_core.progress.series import Series
from simvis_core.progress.watching import FIGURES, PairFigures, WatchedPair, map_change, watched
from simvis_core.trust.faithfulness import Interval, interval

ROOM_KINDS = ("planted", "same")


@dataclass(frozen=True, eq=False)
class Followed:
    """Fixed pairs under a training's networks: ``rows`` has for each of ``steps`` the pairs' figures, in their order.

    >>> from simvis_core.progress.studies import Followed
    >>> found = Followed("run", (0, 100), ((), ()))
    >>> found.curve("score"), found.last
    ([], ())
    """

    name: str
    steps: tuple[int, ...]
    rows: tuple[tuple[PairFigures, ...], ...]

    def curve(self, figure: str) -> list[tuple[int, Interval]]:
        """A figure of `FIGURES` over the steps: its mean over the pairs that have it, with a 95 % interval.

        A step none of whose pairs has it is left out.
        """
        found = []
        for step, row in zip(self.steps, self.rows, strict=True):
            values = [value for one in row if (value := getattr(one, figure)) is not None]
            if values:
                found.append((step, interval(values)))
        return found

    @property
    def last(self) -> tuple[PairFigures, ...]:
        """The pairs' figures at the last step."""
        return self.rows[-1]


class Agreement(NamedTuple):
    """How alike two trainings' maps of one picture are: one less `map_change`, 0 to 1, means with intervals.

    ``chance`` compares each map with the other training's map of the pair that comes next, of another picture; None for
    one pair alone. ``maps`` is None where every pair has a map of zeros.
    """

    step: int
    other_step: int
    maps: Interval | None
    chance: Interval | None


def following(
    name: str,
    networks: Iterable[tuple[int, EmbeddingNetwork]],
    pairs: Sequence[WatchedPair],
    short_side: int | None = None,
    framing: Framing = "whole",
) -> Generator[tuple[int, int], None, Followed]:
    """Watches the pairs under each network, given with its step; yields the step and how many of its pairs are done.

    Networks are asked for one by one. Raises SimvisError for no pair and as `watched` does.

    >>> from PIL import Image
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork, Preprocess
    >>> from simvis_core.progress.studies import following
    >>> from simvis_core.progress.watching import WatchedPair
    >>> from simvis_core.steps import run
    >>> seen = Preprocess(short_side=32, stride=8)
    >>> nets = [(step, EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8), preprocess=seen)) for step in (0, 9)]
    >>> pair = WatchedPair("two", Image.new("RGB", (60, 40), "orange"), Image.new("RGB", (40, 40), "red"))
    >>> found = run(following("run", nets, [pair]))
    >>> [step for step, _ in found.curve("score")], [step for step, _ in found.curve("change")], found.last[0].name
    ([0, 9], [9], 'two')
    """
    if not pairs:
        raise SimvisError("no pair to follow", "one or more", "name two pictures, or rooms")
    steps: list[int] = []
    rows: list[tuple[PairFigures, ...]] = []
    for step, network in networks:
        before: tuple[PairFigures | None, ...] = rows[-1] if rows else (None,) * len(pairs)
        row: list[PairFigures] = []
        for pair, old in zip(pairs, before, strict=True):
            row.append(watched(network, pair, None if old is None else old.maps, short_side, framing))
            yield step, len(row)
        steps.append(step)
        rows.append(tuple(row))
    return Followed(name, tuple(steps), tuple(rows))


def room_pairs(
    count: int, kind: str = "planted", seed: int = 0, size: tuple[int, int] = (224, 320)
) -> list[WatchedPair]:
    """Pairs of drawn rooms with the pixels of what they share: one object each ("planted"), or all four ("same").

    The objects take turns; the rooms follow the seed. Raises SimvisError for another kind, and as `scene` does.

    >>> from simvis_core.progress.studies import room_pairs
    >>> [pair.name for pair in room_pairs(2, size=(64, 96))]
    ['headboard 0', 'lamp 1']
    """
    if kind not in ROOM_KINDS:
        raise SimvisError(f"rooms '{kind}'", f"one of {', '.join(ROOM_KINDS)}", "choose one of these")
    return [_room_pair(kind, at, seed + at, size) for at in range(count)]


def _room_pair(kind: str, at: int, seed: int, size: tuple[int, int]) -> WatchedPair:
    shared = OBJECTS[at % len(OBJECTS)]
    pair: PlantedPair = planted_pair(shared, seed, size) if kind == "planted" else same_pair(seed, seed, size)
    masks = pair.a.mask(*pair.shared), pair.b.mask(*pair.shared)
    name = f"{shared} {seed}" if kind == "planted" else f"room {seed}"
    return WatchedPair(name, pair.a.image, pair.b.image, masks)


def maps_agreement(one: Followed, other: Followed) -> list[Agreement]:
    """How alike the maps of two trainings are: at each step that both have, and at the last of each.

    Pairs with a map of zeros are left out. Raises SimvisError for other pairs in the two.

    >>> from simvis_core.progress.studies import Followed, maps_agreement
    >>> maps_agreement(Followed("a", (), ()), Followed("b", (), ()))
    []
    """
    _check_pairs(one, other)
    places = [(one.steps.index(step), other.steps.index(step)) for step in one.steps if step in other.steps]
    ends = (len(one.steps) - 1, len(other.steps) - 1)
    found = []
    for place, at in places + [ends] * (bool(one.steps and other.steps) and ends not in places):
        maps = [_alike(a, b) for a, b in zip(one.rows[place], other.rows[at], strict=True)]
        turned = (*other.rows[at][1:], *other.rows[at][:1])
        chance = [_alike(a, b) for a, b in zip(one.rows[place], turned, strict=True)] if len(turned) > 1 else []
        found.append(Agreement(one.steps[place], other.steps[at], _over(maps), _over(chance)))
    return found


def difference(one: Followed, other: Followed, figure: str) -> Interval | None:
    """A figure at the last step of one less that of the other, pair by pair, with a 95 % interval over the pairs.

    None where no pair has it in both. Raises SimvisError for other pairs in the two.

    >>> from simvis_core.progress.studies import Followed, difference
    >>> difference(Followed("a", (0,), ((),)), Followed("b", (0,), ((),)), "concentration") is None
    True
    """
    _check_pairs(one, other)
    both = [(getattr(a, figure), getattr(b, figure)) for a, b in zip(one.last, other.last, strict=True)]
    found = [a - b for a, b in both if a is not None and b is not None]
    return interval(found) if found else None


def step_curves(series: Series, count: int = CURVE_PAIRS, seed: int = 0) -> dict[int, MeanCurve]:
    """Mean contribution curves of the gallery's same-class pairs at each step that keeps its embeddings, by step.

    Every step has the same pairs (Stylianou 2019, fig. 3). Raises SimvisError for a series that tells no classes of its
    gallery's pictures, without two pictures of one class, and as `mean_curve` does.

    >>> import tempfile
    >>> import torch
    >>> from simvis_core.progress.series_files import SeriesFiles
    >>> from simvis_core.progress.studies import step_curves
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     files = SeriesFiles(folder, "run", "mobilenet_v2", "avg", about={"labels": ["owl", "owl"]})
    ...     kept = files.add(5, {"a": torch.ones(1)}, embeddings=(("1.jpg", "2.jpg"), torch.tensor([[0.8, 0.6]] * 2)))
    ...     {step: round(curve.share(1), 2) for step, curve in step_curves(kept).items()}
    ...
    {5: 0.64}
    """
    pairs = same_class_pairs(series.labels or (), count, seed)
    if not pairs:
        raise SimvisError(
            f"'{series.name}', which tells of no two pictures of one class", "a gallery with classes", "train again"
        )
    found = {}
    for step in series.steps:
        kept = series.embeddings(step.step)
        if kept is not None:
            unit = normalize(kept[1], dim=1)
            found[step.step] = mean_curve(*(unit[[pair[side] for pair in pairs]] for side in (0, 1)))
    return found


def study_files(studied: Sequence[Followed]) -> dict[str, bytes]:
    """What was followed, by file name: every number of every pair, the curves with their intervals, and their pictures.

    ``pairs.csv`` has a row for each training, step and pair, ``curves.csv`` one for each training, step and figure;
    ``FIGURE.svg`` draws one figure over the steps. Two trainings also have ``compared.csv``: their agreement and their
    differences.

    >>> from simvis_core.progress.studies import Followed, study_files
    >>> sorted(study_files([Followed("run", (0,), ((),))]))
    ['curves.csv', 'pairs.csv']
    """
    curves = {(one.name, figure): one.curve(figure) for one in studied for figure in FIGURES}
    files = {
        "pairs.csv": table(("series", "step", "pair", *FIGURES), _pair_rows(studied)),
        "curves.csv": table(("series", "step", "figure", *Interval._fields), _curve_rows(curves)),
    }
    if len(studied) == 2:
        files["compared.csv"] = table(_COMPARED, _compared_rows(*studied))
    for figure, words in FIGURES.items():
        lines = [_line(one.name, curves[one.name, figure]) for one in studied if curves[one.name, figure]]
        if lines and figure != "even":
            files[f"{figure}.svg"] = line_chart(lines, "steps of the training", words)
    return files


def _pair_rows(studied: Sequence[Followed]) -> Iterable[Mapping[str, object]]:
    for one in studied:
        for step, row in zip(one.steps, one.rows, strict=True):
            for pair in row:
                yield {"series": one.name, "step": step, "pair": pair.name} | {
                    figure: getattr(pair, figure) for figure in FIGURES
                }


def _curve_rows(curves: Mapping[tuple[str, str], list[tuple[int, Interval]]]) -> Iterable[Mapping[str, object]]:
    for (name, figure), curve in curves.items():
        for step, found in curve:
            yield {"series": name, "step": step, "figure": figure} | found._asdict()


def _compared_rows(one: Followed, other: Followed) -> Iterable[Mapping[str, object]]:
    for found in maps_agreement(one, other):
        for what, value in (("agreement of the maps", found.maps), ("agreement by chance", found.chance)):
            if value is not None:
                yield {"what": what, "step": found.step, "other_step": found.other_step} | value._asdict()
    for figure in FIGURES:
        gap = difference(one, other, figure)
        if gap is not None:
            ends = {"step": one.steps[-1], "other_step": other.steps[-1]}
            yield {"what": f"{figure}, {one.name} less {other.name}"} | ends | gap._asdict()


def _line(name: str, curve: Sequence[tuple[int, Interval]]) -> ChartLine:
    return ChartLine(name, [(step, found.mean, found.low, found.high) for step, found in curve])


def _check_pairs(one: Followed, other: Followed) -> None:
    names = [[pair.name for pair in followed.last] if followed.rows else [] for followed in (one, other)]
    if names[0] != names[1]:
        raise SimvisError(
            f"other pairs in '{one.name}' than in '{other.name}'", "one set of pairs", "follow both with it"
        )


def _alike(one: PairFigures, other: PairFigures) -> float | None:
    changes = [map_change(a, b) for a, b in zip(one.maps, other.maps, strict=True)]
    known = [change for change in changes if change is not None]
    return 1 - sum(known) / len(known) if len(known) == len(changes) else None


def _over(values: Sequence[float | None]) -> Interval | None:
    known = [value for value in values if value is not None]
    return interval(known) if known else None


_COMPARED = ("what", "step", "other_step", *Interval._fields)
