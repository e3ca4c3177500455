"""`evaluate --depths`: which layers, rules, references and combinations of maps follow the score best."""

import argparse
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from simvis_app.service.sessions.session import Session
from simvis_core import EmbeddingNetwork, SimvisError
from simvis_core.evaluation.cases import ROOMS, ViewAsked
from simvis_core.evaluation.depth_study.results import flat, study_markdown, study_rows
from simvis_core.evaluation.depth_study.running import StudyPart, StudySize, pairs_of, study_steps
from simvis_core.evaluation.records import Records
from simvis_core.files.writing import table, write_folder

SECONDS = 10.0  # between two lines that say how far it is


def depth_options(evaluation: argparse.ArgumentParser) -> None:
    """Adds the study's own flags; --pairs, --steps, --seed, --out and the view's count for it, too."""
    usual = StudySize()
    evaluation.add_argument(
        "--depths", action="store_true", help="instead: the study of layers that maps are drawn at (hours)"
    )
    evaluation.add_argument(
        "--screening-pairs", type=int, default=usual.screening, help=f"of --depths (default: {usual.screening})"
    )
    evaluation.add_argument(
        "--screening-steps",
        type=int,
        default=usual.screening_steps,
        help=f"of its curves (default: {usual.screening_steps})",
    )
    evaluation.add_argument(
        "--two-sided-pairs", type=int, default=usual.two_sided, help=f"of --depths (default: {usual.two_sided})"
    )
    evaluation.add_argument(
        "--rooms", type=int, default=usual.rooms, help=f"drawn rooms of --depths (default: {usual.rooms})"
    )


def study(
    options: argparse.Namespace,
    session: Session,
    networks: Mapping[str, EmbeddingNetwork],
    views: Mapping[str, ViewAsked],
) -> list[Path]:
    """Measures, or goes on measuring, and writes depths.csv, screening.csv and depths.md beside the records.

    Raises SimvisError for drawn rooms alone, a folder with too few pairs, and records of another study.
    """
    if options.source == ROOMS:
        raise SimvisError("--depths with drawn rooms", "a folder of photographs", "name one; --rooms adds rooms to it")
    size = _size(options)
    cases = pairs_of(options.source, size, session.limits)
    kept = Records(options.out, _settings(options, size, networks))
    told = _DepthTeller()
    for part, done, total in study_steps(kept, networks, views, cases, size):
        told.step(part, done, total)
    return write_folder(
        kept.folder,
        {
            "depths.md": study_markdown(kept.known, size.seed).encode(),
            **{
                file: table(list(rows[0]) if rows else ["network"], rows)
                for file, rows in {
                    "depths.csv": flat(study_rows(kept.known, seed=size.seed)),
                    "screening.csv": flat(study_rows(kept.known, "screening", size.seed)),
                }.items()
            },
        },
    )


def _size(options: argparse.Namespace) -> StudySize:
    least = {"--screening-pairs": 1, "--pairs": 1, "--two-sided-pairs": 0, "--rooms": 0}
    for flag, fewest in least.items():
        given = getattr(options, flag.removeprefix("--").replace("-", "_"))
        if given < fewest:
            raise SimvisError(f"{flag} {given}", f"{fewest} or more", "ask for more")
    for flag, given in (("--steps", options.steps), ("--screening-steps", options.screening_steps)):
        if given < 2:
            raise SimvisError(f"{flag} {given}", "at least 2", "take 11")
    return StudySize(
        options.screening_pairs,
        options.pairs,
        options.two_sided_pairs,
        options.rooms,
        options.screening_steps,
        options.steps,
        options.seed,
    )


def _settings(options: argparse.Namespace, size: StudySize, networks: Mapping[str, EmbeddingNetwork]) -> dict[str, Any]:
    """What must be the same for records to belong together; networks may be added later."""
    return {
        "study": "depths",
        "source": str(Path(options.source).resolve()),
        **size.__dict__,
        "view": [options.view_size, options.framing],
        "engine": options.engine,
        "resizing": options.resizing,
        "fingerprints": {name: network.fingerprint for name, network in networks.items()},
    }


class _DepthTeller:
    """A line every few seconds on how far a part of the study is."""

    def __init__(self) -> None:
        self.last = float("-inf")

    def step(self, part: StudyPart, done: int, total: int) -> None:
        """One more case is measured."""
        now = time.monotonic()
        if now - self.last >= SECONDS or done == total:
            self.last = now
            print(f"{part}: {done} of {total}", file=sys.stderr, flush=True)
