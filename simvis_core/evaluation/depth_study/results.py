"""What the study of depths comes to: a row for each network and setting, and the sentences that go with it."""

from collections.abc import Callable, Sequence
from typing import Any

from simvis_core.evaluation.depth_study.choosing import TODAY, DefaultMap, default_map, mean_gap, picked
from simvis_core.evaluation.records import Record
from simvis_core.evaluation.table import TableRow
from simvis_core.pictures.fills import FILLS
from simvis_core.trust.faithfulness import Interval, interval

# A column's name, the part of the study it is of, and the number of a record.
STUDY_COLUMNS: dict[str, tuple[str, Callable[[Record], float | None]]] = {
    **{f"gap_{fill}": ("removal", lambda record, fill=fill: record[f"gap_{fill}"]) for fill in FILLS},  # type: ignore[misc]
    "gap": ("removal", mean_gap),
    "over_today": ("removal", lambda record: record["over_today"]),
    "joint_fitted": ("two-sided", lambda record: _over_fills(record, "fitted")),
    "joint_raw": ("two-sided", lambda record: _over_fills(record, "raw")),
    "joint_renormalised": ("two-sided", lambda record: _over_fills(record, "raw_renormalised")),
    "joint_renormalised_fitted": ("two-sided", lambda record: _over_fills(record, "fitted_renormalised")),
    "outer_fitted": ("two-sided", lambda record: _over_fills(record, "outer_fitted")),
    "outer_raw": ("two-sided", lambda record: _over_fills(record, "outer_raw")),
    "inside": ("rooms", lambda record: record.get("inside")),
    "pointing": ("rooms", lambda record: record.get("pointing")),
    "remainder": ("removal", lambda record: abs(record["remainder"]) if "remainder" in record else None),
    "passes": ("removal", lambda record: float(record["passes"])),
    "seconds": ("removal", lambda record: record["seconds"]),
}
STUDY_SHOWN = ("gap_blur", "gap_mean", "gap_grey", "over_today", "joint_fitted", "outer_fitted", "inside", "pointing")
COSTS = ("remainder", "passes", "seconds")


def study_rows(records: Sequence[Record], part: str = "removal", seed: int = 0) -> list[TableRow]:
    """A row for each network and setting with its means and their intervals over pairs; None where nothing is known.

    ``part`` "screening" gives the screening's rows. ``over_today`` is the gap, the mean of the fills, less today's
    map's on the same pair.

    >>> from simvis_core.evaluation.depth_study.results import study_rows
    >>> facts = {"kind": "removal", "case": "a | b", "network": "tiny", "passes": 1, "seconds": 0.1}
    >>> gaps = {f"gap_{fill}": 0.25 for fill in ("blur", "mean", "grey")}
    >>> [row] = study_rows([{**facts, **gaps, "explainer": "depth 0"}])
    >>> row["setting"], row["pairs"], row["gap_blur"].mean, row["over_today"], row["inside"]
    ('depth 0', 1, 0.25, None, None)
    """
    kinds = {part} if part == "screening" else {"removal", "two-sided", "rooms"}
    own = [record for record in records if record["kind"] in kinds]
    today = {(one["network"], one["case"]): one for one in own if one["explainer"] == TODAY and "gap_blur" in one}
    told = [_compared(record, today.get((record["network"], record["case"]))) for record in own]
    groups: dict[tuple[str, str], list[Record]] = {}
    for record in told:
        groups.setdefault((record["network"], record["explainer"]), []).append(record)
    return [_row(key, group, part, seed) for key, group in groups.items()]


def _compared(record: Record, today: Record | None) -> Record:
    """The record with its gap over today's on the same pair, where there is one and it is another map."""
    if today is None or "gap_blur" not in record or record["explainer"] == TODAY:
        return record | {"over_today": None}
    return record | {"over_today": mean_gap(record) - mean_gap(today)}


def _row(key: tuple[str, str], group: Sequence[Record], part: str, seed: int) -> TableRow:
    known = [record for record in group if "refused" not in record]
    row: dict[str, Any] = {
        "network": key[0],
        "setting": key[1],
        "pairs": sum(record["kind"] == part for record in known),
        "two_sided": sum(record["kind"] == "two-sided" for record in known),
        "rooms": sum(record["kind"] == "rooms" for record in known),
    }
    for name, (kind, number) in STUDY_COLUMNS.items():
        own = part if kind == "removal" else kind
        values = [number(record) for record in known if record["kind"] == own]
        row[name] = _interval([value for value in values if value is not None], seed)
    refused = next((record["refused"] for record in group if "refused" in record), "")
    return row | {"refused": refused}


def _over_fills(record: Record, name: str) -> float | None:
    values = [record.get(f"{name}_{fill}") for fill in FILLS]
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _interval(values: Sequence[float], seed: int) -> Interval | None:
    return interval(values, seed) if values else None


def flat(table: Sequence[TableRow]) -> list[TableRow]:
    """The rows with each mean and both ends of its interval as numbers of their own, for a CSV.

    >>> from simvis_core.evaluation.depth_study.results import flat
    >>> from simvis_core.trust.faithfulness import Interval
    >>> flat([{"setting": "depth 0", "inside": Interval(0.5, 0.4, 0.6, 12)}])
    [{'setting': 'depth 0', 'inside': 0.5, 'inside_low': 0.4, 'inside_high': 0.6}]
    """
    found = []
    for row in table:
        plain: dict[str, Any] = {}
        for name, value in row.items():
            if isinstance(value, Interval) or name in STUDY_COLUMNS:
                ends = (None, None, None) if value is None else value[:3]
                plain |= dict(zip((name, f"{name}_low", f"{name}_high"), map(_rounded, ends), strict=True))
            else:
                plain[name] = value
        found.append(plain)
    return found


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def study_markdown(records: Sequence[Record], seed: int = 0) -> str:
    """The study's tables and its decisions as Markdown.

    >>> from simvis_core.evaluation.depth_study.results import study_markdown
    >>> facts = {"kind": "removal", "network": "tiny", "passes": 1, "seconds": 0.1, "explainer": "depth 0"}
    >>> gaps = {f"gap_{fill}": 0.25 for fill in ("blur", "mean", "grey")}
    >>> said = study_markdown([{**facts, **gaps, "case": "a | b"}])
    >>> said.splitlines()[-1]
    '| depth 0 | 1 | 0.250 | 0.250 | 0.250 |  |  |  |  |  |  | 1 | 0.10 |'
    """
    steps, reference = picked(records)
    said = [f"The screening picks {steps} steps and the reference {' + '.join(reference)}.", _default(records, seed)]
    table = study_rows(records, seed=seed)
    for network in dict.fromkeys(row["network"] for row in table):
        said.append(_section(network, [row for row in table if row["network"] == network]))
    return "\n\n".join(one for one in said if one) + "\n"


def _default(records: Sequence[Record], seed: int) -> str:
    found = default_map(records, seed)
    if found is None:
        return ""
    return (
        f"Best on every second pair, of what draws within two seconds: **{found.name}**. On the other "
        f"{found.gap.pairs} pairs its gap is {_cell(found.gap)}, today's map's {_cell(found.today)}, the difference "
        f"{_cell(found.over_today)}{_verdict(found)}."
    )


def _verdict(found: DefaultMap) -> str:
    low, high = found.over_today.low, found.over_today.high
    if found.name == TODAY or low is None or high is None:
        return ""
    return ": more" if low > 0 else ": less" if high < 0 else ": no clear difference"


def _section(network: str, table: Sequence[TableRow]) -> str:
    heads = ["setting", "pairs", *(name.replace("_", " ") for name in (*STUDY_SHOWN, *COSTS))]
    lines = [_line(row) for row in table]
    both, rooms = (max(row[name] for row in table) for name in ("two_sided", "rooms"))
    refused = [f"{row['setting']}: {row['refused']}" for row in table if row["refused"] and not row["pairs"]]
    head = ["| " + " | ".join(heads) + " |", "|---|---:" + "|---:" * (len(heads) - 2) + "|"]
    return "\n".join(
        [f"### {network}", "", f"{both} pairs hidden on both sides, {rooms} rooms.", "", *refused, *head, *lines]
    )


def _line(row: TableRow) -> str:
    costs = [
        "" if row[name] is None else f"{row[name].mean:{form}}"
        for name, form in zip(COSTS, (".3f", ".0f", ".2f"), strict=True)
    ]
    return (
        "| "
        + " | ".join([row["setting"], str(row["pairs"]), *(_cell(row[name]) for name in STUDY_SHOWN), *costs])
        + " |"
    )


def _cell(value: Interval | None) -> str:
    if value is None:
        return ""
    return f"{value.mean:.3f}" + ("" if value.low is None else f" ({value.low:.3f} to {value.high:.3f})")
