"""What the study's records decide: steps and references by the screening, the default map by half of the pairs."""

import statistics
from collections.abc import Sequence
from typing import NamedTuple

from simvis_core.evaluation.depth_study.measuring import BESIDE
from simvis_core.evaluation.depth_study.settings import REFERENCES_SCREENED, STEPS_SCREENED, DepthSetting
from simvis_core.evaluation.records import Record
from simvis_core.pictures.fills import FILLS
from simvis_core.trust.faithfulness import Interval, interval

ENOUGH_OF_BEST = 0.98  # of the best gap: what fewer steps are taken for
DRAWN_WITHIN = 2.0  # seconds that a default map may take
TODAY = "depth 0"


class DefaultMap(NamedTuple):
    """The setting that is best on one half of the pairs, and its numbers on the other half.

    ``over_today`` is its gap less today's map's on the same pair.
    """

    name: str
    gap: Interval
    today: Interval
    over_today: Interval


def mean_gap(record: Record) -> float:
    """A record's gap between insertion and deletion, the mean of the three fills.

    >>> from simvis_core.evaluation.depth_study.choosing import mean_gap
    >>> round(mean_gap({"gap_blur": 0.25, "gap_mean": 0.125, "gap_grey": 0.0}), 3)
    0.125
    """
    return statistics.fmean(record[f"gap_{fill}"] for fill in FILLS)


def picked(records: Sequence[Record]) -> tuple[int, tuple[str, ...]]:
    """The steps and the references that the screening's records speak for.

    The reference whose map at depth 2 has the largest mean gap, over pairs, networks and fills; the fewest steps whose
    gap is at least 98 % of the best's. What no record has (every network was refused) leaves the usual ones.

    >>> from simvis_core.evaluation.depth_study.choosing import picked
    >>> from simvis_core.evaluation.depth_study.settings import REFERENCES_SCREENED, STEPS_SCREENED
    >>> gaps = {"path 2, blur, 4 steps": 0.25, "path 2, blur, 8 steps": 0.25, "path 2, mean, 8 steps": 0.5}
    >>> facts = {"kind": "screening", "case": "a | b"}
    >>> records = [{**facts, "explainer": name, **{f"gap_{fill}": gap for fill in ("blur", "mean", "grey")}}
    ...            for name, gap in gaps.items()]
    >>> picked(records)
    (4, ('mean',))
    """
    gaps = _gaps([record for record in records if record["kind"] == "screening"])
    references = [one for one in REFERENCES_SCREENED if one.name in gaps]
    steps = [one for one in STEPS_SCREENED if one.name in gaps]
    best = max((gaps[one.name] for one in steps), default=0.0)
    enough = [one for one in steps if gaps[one.name] >= (ENOUGH_OF_BEST if best > 0 else 1 / ENOUGH_OF_BEST) * best]
    usual = DepthSetting((2,))
    by_gap = lambda one: gaps[one.name]
    return (
        min((one.steps for one in enough), default=usual.steps),
        max(references, key=by_gap, default=usual).reference,
    )


def _gaps(records: Sequence[Record]) -> dict[str, float]:
    """Each setting's mean gap."""
    found: dict[str, list[float]] = {}
    for record in records:
        if "refused" not in record:
            found.setdefault(record["explainer"], []).append(mean_gap(record))
    return {name: statistics.fmean(values) for name, values in found.items()}


def default_map(records: Sequence[Record], seed: int = 0) -> DefaultMap | None:
    """The setting with the largest gap on every second pair, and what it has on the others; None for fewer than two.

    Only settings that draw within two seconds on average are candidates. A pair's gap is the mean over networks and
    fills, so that intervals are over pairs.

    >>> from simvis_core.evaluation.depth_study.choosing import default_map
    >>> def record(case, name, gap):
    ...     gaps = {f"gap_{fill}": gap for fill in ("blur", "mean", "grey")}
    ...     return {"kind": "removal", "case": case, "explainer": name, "network": "tiny", "seconds": 0.1, **gaps}
    ...
    >>> gaps = {"depth 0": 0.25, "path 1": 0.5}
    >>> found = default_map([record(case, name, gap) for case in "abc" for name, gap in gaps.items()])
    >>> found.name, found.over_today.mean, found.gap.pairs
    ('path 1', 0.25, 1)
    """
    removal = [record for record in records if record["kind"] == "removal" and "refused" not in record]
    cases = list(dict.fromkeys(record["case"] for record in removal))
    half = set(cases[::2])
    gaps = _gaps([record for record in removal if record["case"] in half])
    seconds: dict[str, list[float]] = {}
    for record in removal:
        seconds.setdefault(record["explainer"], []).append(record["seconds"])
    quick = [name for name in gaps if name not in BESIDE and statistics.fmean(seconds[name]) <= DRAWN_WITHIN]
    others = [case for case in cases if case not in half]
    by_pair = {case: _gaps([record for record in removal if record["case"] == case]) for case in others}
    if not quick or not all(TODAY in found for found in by_pair.values()) or not others:
        return None
    best = max(quick, key=lambda name: gaps[name])
    both = [(found[best], found[TODAY]) for found in by_pair.values() if best in found]
    if not both:
        return None
    return DefaultMap(
        best,
        interval([one for one, _ in both], seed),
        interval([one for _, one in both], seed),
        interval([one - other for one, other in both], seed),
    )
