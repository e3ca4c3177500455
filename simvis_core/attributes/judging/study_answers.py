"""Readers' answers read, held against the key, and summed up: accuracy and time by what they saw, with intervals."""

import csv
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from simvis_core.attributes.judging.study_design import CONDITIONS
from simvis_core.errors import SimvisError
from simvis_core.files.reading import fields
from simvis_core.trust.faithfulness import Interval, interval

ANSWER_COLUMNS = ("study", "reader", "form", "trial", "place", "condition", "side", "milliseconds")


class ReaderAnswer(NamedTuple):
    """One answer: whose, what it was shown with, whether it is right, and how long it took."""

    reader: str
    condition: str
    right: bool
    seconds: float


def read_answers(files: Sequence[str | Path], key: str | Path) -> list[ReaderAnswer]:
    r"""The answers of all files, each a reader's as the page saves it.

    Raises SimvisError, naming file and line, for a key that is none, a file that cannot be read or is another study's,
    an answer that the study does not have or not in that form, and a reader or a trial that comes twice.

    >>> import json, tempfile
    >>> from pathlib import Path
    >>> from simvis_core.attributes.judging.study_answers import ANSWER_COLUMNS, read_answers
    >>> key = {"study": "ab", "conditions": ["nothing"], "forms": [{"conditions": [0]}], "higher": ["left"]}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "key.json").write_text(json.dumps(key))
    ...     _ = Path(folder, "1.csv").write_text(",".join(ANSWER_COLUMNS) + "\nab,1,0,0,0,0,left,1500\n")
    ...     read_answers([Path(folder, "1.csv")], Path(folder, "key.json"))
    ...
    [ReaderAnswer(reader='1', condition='nothing', right=True, seconds=1.5)]
    """
    known = _key(Path(key))
    found: list[ReaderAnswer] = []
    readers: dict[str, str] = {}
    for file in map(Path, files):
        seen: set[str] = set()
        for line, row in _rows(file):
            if readers.setdefault(row["reader"], str(file)) != str(file):
                raise _wrong(file, line, f"reader {row['reader']}, who is in '{readers[row['reader']]}' too")
            if row["trial"] in seen:
                raise _wrong(file, line, f"trial {row['trial']} once more")
            seen.add(row["trial"])
            found.append(_answer(file, line, row, known))
    return found


def _key(file: Path) -> dict[str, Any]:
    cure = "name the key.json that was written with the study"
    known = fields(file, cure)
    lists = all(isinstance(known.get(name), list) for name in ("conditions", "forms", "higher"))
    if not lists or set(known["conditions"]) - set(CONDITIONS):
        raise SimvisError(f"'{file.name}', which is no key of a study", "the key as it was written", cure)
    return known


def _rows(file: Path) -> list[tuple[int, dict[str, str]]]:
    try:
        with file.open(encoding="utf-8-sig", newline="") as opened:
            reader = csv.DictReader(opened, strict=True)
            if tuple(reader.fieldnames or ()) != ANSWER_COLUMNS:
                raise SimvisError(
                    f"'{file.name}'", f"the columns {', '.join(ANSWER_COLUMNS)}", "take the page's own file"
                )
            rows = [(reader.line_num, row) for row in reader]
    except (csv.Error, UnicodeDecodeError, OSError) as error:
        raise SimvisError(
            f"'{file}', which cannot be read as CSV ({error})", "a reader's answers", "save it again"
        ) from error
    short = next((line for line, row in rows if None in row or None in row.values()), None)
    if short is not None or not rows:
        raise SimvisError(f"'{file.name}', line {short or 1}, which is cut off", "a reader's answers", "save it again")
    return rows


def _answer(file: Path, line: int, row: Mapping[str, str], known: Mapping[str, Any]) -> ReaderAnswer:
    if row["study"] != known["study"]:
        raise _wrong(file, line, f"an answer of study {row['study']}, not of {known['study']}")
    try:
        form, trial, condition = (int(row[name]) for name in ("form", "trial", "condition"))
        fits = min(form, trial) >= 0 and known["forms"][form]["conditions"][trial] == condition
        seconds = int(row["milliseconds"]) / 1000
    except (ValueError, IndexError) as error:
        raise _wrong(file, line, "numbers that the study does not have") from error
    if not fits or row["side"] not in ("left", "right") or seconds < 0:
        raise _wrong(file, line, f"'{row['side']}' to trial {trial} in form {form}, as nothing was asked")
    right = row["side"] == known["higher"][trial]
    return ReaderAnswer(row["reader"], str(known["conditions"][condition]), right, seconds)


def _wrong(file: Path, line: int, got: str) -> SimvisError:
    return SimvisError(f"'{file.name}', line {line}: {got}", "each reader's answers once, as saved", "check the files")


class ConditionResult(NamedTuple):
    """What readers did under one condition, over readers: accuracy, its lead over "map", and median seconds."""

    condition: str
    readers: int
    answers: int
    accuracy: Interval
    over_map: Interval | None
    seconds: Interval


def study_results(answers: Sequence[ReaderAnswer], seed: int = 0) -> list[ConditionResult]:
    """For each condition the mean over readers of their accuracy and of their median time; 95 % intervals draw readers.

    A single reader has no interval. ``over_map`` is each reader's own difference to the map alone; None for that one,
    and where no reader saw both.

    >>> from simvis_core.attributes.judging.study_answers import ReaderAnswer, study_results
    >>> said = [("map", True, 2.0), ("nothing", False, 4.0), ("nothing", True, 6.0)]
    >>> answers = [ReaderAnswer("1", *one) for one in said]
    >>> [(one.condition, one.accuracy.mean, one.seconds.mean) for one in study_results(answers)]
    [('nothing', 0.5, 5.0), ('map', 1.0, 2.0)]
    >>> study_results(answers)[0].over_map.mean
    -0.5
    """
    by: dict[str, dict[str, list[ReaderAnswer]]] = defaultdict(lambda: defaultdict(list))
    for answer in answers:
        by[answer.condition][answer.reader].append(answer)
    accuracy = {
        condition: {reader: statistics.fmean(one.right for one in own) for reader, own in readers.items()}
        for condition, readers in by.items()
    }
    found = []
    for condition, readers in sorted(by.items(), key=lambda one: CONDITIONS.index(one[0])):
        own, alone = accuracy[condition], accuracy.get("map", {})
        leads = [own[reader] - alone[reader] for reader in own if reader in alone and condition != "map"]
        times = [statistics.median(one.seconds for one in given) for given in readers.values()]
        found.append(
            ConditionResult(
                condition,
                len(readers),
                sum(map(len, readers.values())),
                interval(list(own.values()), seed),
                interval(leads, seed) if leads else None,
                interval(times, seed),
            )
        )
    return found
