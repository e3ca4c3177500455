"""What an evaluation's records come to: a row for each network, kind of case and explainer."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from simvis_core.evaluation.records import Record
from simvis_core.explainers.table import EXPLAINERS
from simvis_core.files import writing
from simvis_core.trust.faithfulness import Interval, RemovalCurve, interval, verification_curve
from simvis_core.trust.localisation import Transfer

TableRow = dict[str, Any]
# A column's name, and the number it averages; each has a 95 % interval beside it where there are several cases.
COLUMNS: dict[str, str] = {
    "insertion": "insertion",
    "deletion": "deletion",
    "difference": "gap",
    "over_random": "over_random",
    "insertion_rescaled": "insertion_rescaled",
    "deletion_rescaled": "deletion_rescaled",
    "inside": "inside",
    "pointing": "pointing",
    "iou": "iou",
    "randomised": "randomised",
    "stability": "stability",
    "joint_fitted": "joint_fitted",
    "joint_raw": "joint_raw",
    "joint_raw_renormalised": "joint_raw_renormalised",
    "joint_fitted_renormalised": "joint_fitted_renormalised",
    "outer_fitted": "outer_fitted",
    "outer_raw": "outer_raw",
}


def rows(records: Sequence[Record], seed: int = 0) -> list[TableRow]:
    """A row for each network, kind and explainer, in the order of the table of explainers.

    Means with their intervals; ``over_random`` is the difference less a random map's on the same case. What no case
    has (a picture that scores like its fill, a map that is refused) is None, and ``cases`` counts what was measured.

    >>> from simvis_core.evaluation.table import rows
    >>> facts = {"network": "tiny", "kind": "same", "explainer": "rise", "seed": 0, "passes": 2000, "seconds": 1.0}
    >>> [row] = rows([facts | {"case": name, "gap": gap} for name, gap in (("a | b", 0.25), ("a | c", 0.75))])
    >>> row["cases"], row["difference"].mean, row["inside"]
    (2, 0.5, None)
    """
    randoms = {(one["network"], one["case"]): one.get("gap") for one in records if one["explainer"] == "random"}
    groups: dict[tuple[str, str, str], list[Record]] = {}
    for record in records:
        key = (record["network"], record["kind"], record["explainer"])
        gap, chance = record.get("gap"), randoms.get((record["network"], record["case"]))
        over = None if gap is None or chance is None or record["explainer"] == "random" else gap - chance
        groups.setdefault(key, []).append(record | {"over_random": over})
    order = list(EXPLAINERS)
    networks = list(dict.fromkeys(record["network"] for record in records))
    kinds = list(dict.fromkeys(record["kind"] for record in records))
    found = sorted(groups, key=lambda key: (networks.index(key[0]), kinds.index(key[1]), order.index(key[2])))
    return [_row(key, groups[key], seed) for key in found]


def _row(key: tuple[str, str, str], group: Sequence[Record], seed: int) -> TableRow:
    measured = [record for record in group if "refused" not in record]
    row: TableRow = {"network": key[0], "kind": key[1], "explainer": key[2], "cases": len(measured)}
    for column, number in COLUMNS.items():
        row[column] = _interval([record.get(number) for record in measured], seed)
    row["area"] = _interval([record.get("area") for record in measured], seed)
    row["passes"] = _interval([float(record["passes"]) for record in measured], seed)
    row["seconds"] = _interval([record["seconds"] for record in measured], seed)
    refused = [record["refused"] for record in group if "refused" in record]
    row["refused"] = refused[0] if refused else ""
    return row


def _interval(values: Sequence[float | None], seed: int) -> Interval | None:
    known = [value for value in values if value is not None]
    return interval(known, seed) if known else None


def verification(records: Sequence[Record]) -> list[TableRow]:
    """How well pairs of one class and of two are told apart as pixels go, for each network and explainer.

    Pairs that share a planted object count as neither. Nothing where there are no pairs of both kinds.

    >>> from simvis_core.evaluation.table import verification
    >>> facts = {"network": "tiny", "explainer": "rise", "shares": [0.0, 1.0]}
    >>> alike = facts | {"kind": "same", "same": True, "deletion_curve": [0.9, 0.1]}
    >>> unlike = facts | {"kind": "different", "same": False, "deletion_curve": [0.2, 0.1]}
    >>> [row] = verification([alike, unlike])
    >>> row["pairs"], row["clean"], row["auc"]
    (2, 1.0, 0.75)
    """
    groups: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        if "refused" not in record and record["kind"] in ("same", "different"):
            groups.setdefault((record["network"], record["explainer"]), []).append(record)
    found = []
    for (network, explainer), group in groups.items():
        steps = Counter(len(record["deletion_curve"]) for record in group).most_common(1)[0][0]
        alike = [record for record in group if len(record["deletion_curve"]) == steps]  # a tiny picture has fewer
        same = torch.tensor([record["same"] for record in alike])
        if bool(same.all()) or not bool(same.any()):
            continue
        curve = verification_curve([removal_of(record, "deletion") for record in alike], same)
        found.append(
            {
                "network": network,
                "explainer": explainer,
                "pairs": len(alike),
                "clean": float(curve.accuracy[0]),
                "auc": curve.auc,
                "threshold": curve.threshold,
            }
        )
    return sorted(found, key=lambda row: (row["network"], list(EXPLAINERS).index(row["explainer"])))


def removal_of(record: Record, kind: Any) -> RemovalCurve:
    """A record's curve. ``shares`` are the deletion's; the insertion's mirror them.

    >>> from simvis_core.evaluation.table import removal_of
    >>> removal_of({"shares": [0.0, 0.5, 1.0], "deletion_curve": [0.75, 0.5, 0.25]}, "deletion").auc
    0.5
    """
    shares, scores = (torch.tensor(record[name], dtype=torch.float64) for name in ("shares", f"{kind}_curve"))
    return RemovalCurve(kind, shares if kind == "deletion" else (1 - shares).flip(0), scores)


def mean_curves(records: Sequence[Record]) -> dict[str, dict[str, dict[str, RemovalCurve]]]:
    """For each network and kind (as ``network, kind``) and explainer the mean of its curves.

    >>> from simvis_core.evaluation.table import mean_curves
    >>> facts = {"network": "tiny", "kind": "same", "explainer": "rise", "shares": [0.0, 1.0]}
    >>> ends = [facts | {"insertion_curve": [0.0, full], "deletion_curve": [full, 0.0]} for full in (1.0, 0.5)]
    >>> mean_curves(ends)["tiny, same"]["rise"]["deletion"].scores
    tensor([0.7500, 0.0000], dtype=torch.float64)
    """
    groups: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        if "refused" not in record:
            groups.setdefault((f"{record['network']}, {record['kind']}", record["explainer"]), []).append(record)
    found: dict[str, dict[str, dict[str, RemovalCurve]]] = {}
    for (place, explainer), group in groups.items():
        both = {}
        for kind in ("insertion", "deletion"):
            curves = [removal_of(record, kind) for record in group]
            steps = min(len(curve.scores) for curve in curves)  # a tiny picture has fewer
            alike = [curve for curve in curves if len(curve.scores) == steps]
            scores = torch.stack([curve.scores for curve in alike]).mean(0)
            both[kind] = RemovalCurve(curves[0].kind, alike[0].shares, scores)
        found.setdefault(place, {})[explainer] = both
    return found


def as_csv(table: Sequence[TableRow]) -> bytes:
    """The rows as CSV: a mean and both ends of its interval in three columns; empty where there is none.

    >>> from simvis_core.evaluation.table import as_csv
    >>> from simvis_core.trust.faithfulness import Interval
    >>> as_csv([{"network": "tiny", "inside": Interval(0.5, 0.4, 0.6, 12)}]).decode().split()
    ['network,inside,inside_low,inside_high', 'tiny,0.5,0.4,0.6']
    """
    plain = [_plain(row) for row in table]
    return writing.table(list(plain[0]) if plain else ["network"], plain)


def _plain(row: TableRow) -> Mapping[str, Any]:
    plain: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, Interval) or name in (*COLUMNS, "area", "passes", "seconds"):
            ends = (None, None, None) if value is None else (value.mean, value.low, value.high)
            plain |= dict(zip((name, f"{name}_low", f"{name}_high"), ends, strict=True))
        else:
            plain[name] = value
    return plain


def as_markdown(table: Sequence[TableRow], told: Sequence[TableRow] = ()) -> str:
    """The rows as Markdown tables, one for each network and kind, then verification.

    Columns without numbers are left out.

    >>> from simvis_core.evaluation.table import as_markdown, rows
    >>> facts = {"network": "tiny", "kind": "same", "explainer": "rise", "seed": 0, "passes": 2000, "seconds": 1.0}
    >>> print(as_markdown(rows([facts | {"case": "a | b", "gap": 0.25}])).strip())
    ### tiny, same
    <BLANKLINE>
    | explainer | cases | difference | passes | seconds |
    |---|---|---|---|---|
    | RISE | 1 | 0.250 | 2000 | 1.00 |
    """
    parts = []
    for place in dict.fromkeys((row["network"], row["kind"]) for row in table):
        parts.append(
            _section(f"{place[0]}, {place[1]}", [row for row in table if (row["network"], row["kind"]) == place])
        )
    if told:
        lines = [
            f"| {row['network']} | {_title(row)} | {row['pairs']} | {row['clean']:.3f} | {row['auc']:.3f} |"
            for row in told
        ]
        head = "| network | explainer | pairs | clean accuracy | mean accuracy while pixels go |\n|---|---|---|---|---|"
        parts.append("\n".join(["### Verification", "", head, *lines]))
    return "\n\n".join(parts) + "\n"


def transfer_row(found: Sequence[Transfer], seed: int = 0) -> TableRow:
    """The means of several pictures' transfer: PCK at 1 and 2 cells, beside a random place and the middle.

    >>> from simvis_core.evaluation.table import transfer_row
    >>> from simvis_core.trust.localisation import Transfer
    >>> row = transfer_row([Transfer(16, within=(0.5, 0.75), random=(0.1, 0.2), centre=(0.2, 0.4))])
    >>> row["points"], row["within_2"].mean
    (16, 0.75)
    """
    row: TableRow = {"pictures": len(found), "points": sum(one.points for one in found)}
    for name in ("within", "random", "centre"):
        for cells in (1, 2):
            row[f"{name}_{cells}"] = interval([getattr(one, name)[cells - 1] for one in found], seed)
    return row


def transfer_markdown(table: Sequence[TableRow]) -> str:
    """The rows as a Markdown table.

    >>> from simvis_core.evaluation.table import transfer_markdown, transfer_row
    >>> from simvis_core.trust.localisation import Transfer
    >>> found = [Transfer(16, within=(0.5, 0.75), random=(0.1, 0.2), centre=(0.2, 0.4))]
    >>> row = transfer_row(found) | {"network": "tiny", "warp": "turned by 20 degrees"}
    >>> transfer_markdown([row]).splitlines()[-1]
    '| tiny | turned by 20 degrees | 16 | 0.500 | 0.100 | 0.200 | 0.750 | 0.200 | 0.400 |'
    """
    head = "| network | warp | points | within 1 cell | random | centre | within 2 cells | random | centre |"
    names = [f"{name}_{cells}" for cells in (1, 2) for name in ("within", "random", "centre")]
    lines = [
        f"| {row['network']} | {row['warp']} | {row['points']} | {' | '.join(_cell(row[name]) for name in names)} |"
        for row in table
    ]
    return "\n".join([head, "|---" * 9 + "|", *lines]) + "\n"


def _section(title: str, table: Sequence[TableRow]) -> str:
    columns = [name for name in COLUMNS if any(row[name] is not None for row in table)]
    area = next((row["area"] for row in table if row["area"] is not None), None)
    heads = ["explainer", "cases", *(column.replace("_", " ") for column in columns), "passes", "seconds"]
    lines = [
        "| "
        + " | ".join([_title(row), str(row["cases"]), *(_cell(row[name]) for name in columns), *_costs(row)])
        + " |"
        for row in table
    ]
    note = (
        f"\n\nThe known pixels are {100 * area.mean:.1f} % of the picture: an even map has that much inside."
        if area
        else ""
    )
    note += "".join(f"\n\n{_title(row)}: {row['refused']}" for row in table if row["refused"])
    return "\n".join([f"### {title}", "", "| " + " | ".join(heads) + " |", "|---" * len(heads) + "|", *lines]) + note


def _title(row: TableRow) -> str:
    return EXPLAINERS[row["explainer"]].title


def _cell(value: Interval | None) -> str:
    if value is None:
        return ""
    return f"{value.mean:.3f}" + ("" if value.low is None else f" ({value.low:.3f} to {value.high:.3f})")


def _costs(row: TableRow) -> list[str]:
    form: Callable[[Interval | None, str], str] = lambda value, digits: (
        "" if value is None else f"{value.mean:{digits}}"
    )
    return [form(row["passes"], ".0f"), form(row["seconds"], ".2f")]
