"""Where an evaluation's records lie: one line each, added as they come, and read back however a run ended."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from simvis_core.errors import SimvisError
from simvis_core.evaluation.cases import Case
from simvis_core.files.reading import fields
from simvis_core.files.writing import write_whole
from simvis_core.trust.measuring import Asked

RECORDS = "measured.jsonl"
BEFORE = {"resizing": "reference", "two_sided": False}  # what was the only way, so that older settings do not name it
SETTINGS_FILE = "evaluation.json"
Record = dict[str, Any]


class Records:
    """The records of one evaluation in a folder: appended a line at a time, so that a stopped one goes on.

    Raises SimvisError for a folder that holds an evaluation with other settings, and one that cannot be written.

    >>> import tempfile
    >>> from simvis_core.evaluation.cases import Case
    >>> from simvis_core.evaluation.records import Records
    >>> from simvis_core.trust.measuring import Asked
    >>> case = Case("a | b", "same", picture=lambda: None, others=(), same=True)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     records = Records(folder, {"pairs": 1})
    ...     records.has("tiny", case, Asked("rise"))
    ...     records.add({"network": "tiny", "case": "a | b", "explainer": "rise", "seed": 0, "gap": 0.1})
    ...     records.has("tiny", case, Asked("rise")), len(Records(folder, {"pairs": 1}).known)
    ...
    False
    (True, 1)
    """

    def __init__(self, folder: str | Path, settings: Mapping[str, Any]) -> None:
        self.folder = Path(folder)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._check(settings)
            self.known = self._read()
        except OSError as error:
            raise _unwritable(self.folder, error) from error

    def has(self, network: str, case: Case, asked: Asked) -> bool:
        """Whether this was measured before."""
        return (network, case.name, asked.explainer, asked.seed) in self._keys

    def add(self, record: Record) -> None:
        """Writes a record; once this returns, it is kept. Raises SimvisError where it cannot be written."""
        try:
            with open(self.folder / RECORDS, "a", encoding="utf-8") as file:
                file.write(json.dumps(record, allow_nan=False) + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise _unwritable(self.folder, error) from error
        self.known.append(record)
        self._keys.add(_key(record))

    def _check(self, settings: Mapping[str, Any]) -> None:
        """Settings must be those of the records; of tables of settings, entries may join."""
        path, wanted = self.folder / SETTINGS_FILE, json.loads(json.dumps(settings))
        known = path.exists() or path.is_symlink()
        unnamed = {key: value for key, value in BEFORE.items() if key in wanted}
        found = unnamed | _settings_in(path) if known else wanted
        differs = sorted(key for key in {*found, *wanted} if not _agree(found.get(key), wanted.get(key)))
        if differs:
            raise SimvisError(
                f"'{self.folder}', which holds an evaluation with another {', '.join(differs)}",
                "the same settings, to go on with it",
                "name another folder, or delete this one",
            )
        joined = {key: found[key] | value if isinstance(value, dict) else value for key, value in wanted.items()}
        if joined != found or not known:
            write_whole(path, (json.dumps(joined, indent=2) + "\n").encode())

    def _read(self) -> list[Record]:
        """What is there, each measurement once; lines that cannot be read are dropped, and measured again."""
        path = self.folder / RECORDS
        text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
        found = {_key(record): record for record in map(_record, text.splitlines()) if record is not None}
        if text and (len(found) < len(text.splitlines()) or not text.endswith("\n")):
            write_whole(path, "".join(json.dumps(record) + "\n" for record in found.values()).encode())
        self._keys = set(found)
        return list(found.values())


def _record(line: str) -> Record | None:
    """A line's record; None for one that was cut off or damaged."""
    try:
        record = json.loads(line)
        hash(_key(record))
        return dict(record)
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _unwritable(folder: Path, error: OSError) -> SimvisError:
    return SimvisError(
        f"'{folder}', which cannot be written ({error.strerror})", "a folder that can", "name another folder"
    )


def _settings_in(path: Path) -> dict[str, Any]:
    """Raises SimvisError for settings that are damaged: what the records belong to is not known then."""
    return fields(path, "name another folder with --out, or delete this one")


def _agree(found: Any, wanted: Any) -> bool:
    if isinstance(found, dict) and isinstance(wanted, dict):
        return all(found[key] == wanted[key] for key in found.keys() & wanted.keys())
    return bool(found == wanted)


def _key(record: Record) -> tuple[str, str, str, int]:
    return record["network"], record["case"], record["explainer"], record["seed"]
