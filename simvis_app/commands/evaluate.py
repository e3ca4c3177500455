"""`evaluate`: how faithful explainers are, on drawn rooms or on a folder of pictures."""

import argparse
import random
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from simvis_app.commands.depth_study import depth_options, study
from simvis_app.commands.opening import session_of
from simvis_app.commands.options import network_options
from simvis_app.service import defaults
from simvis_app.service.sessions.session import Session, Settings
from simvis_app.service.words import LISTED_SKIPPED
from simvis_core import EmbeddingNetwork, SimvisError, open_picture
from simvis_core.evaluation.cases import ROOMS, Case, ViewAsked, folder_cases, retrieval_cases, room_cases
from simvis_core.evaluation.measuring import question_for, records, refused
from simvis_core.evaluation.records import Record, Records
from simvis_core.evaluation.table import (
    as_csv,
    as_markdown,
    mean_curves,
    rows,
    transfer_markdown,
    transfer_row,
    verification,
)
from simvis_core.explainers.table import EXPLAINERS
from simvis_core.files.writing import write_folder
from simvis_core.pictures.listing import listed
from simvis_core.pictures.opening import Limits
from simvis_core.pictures.views import Preprocess
from simvis_core.trust.figures import removal_figure
from simvis_core.trust.localisation import WARPS, transfer
from simvis_core.trust.measuring import Asked, asked_of

QUICK_EXPLAINERS = ("decomposition", "grad_cam_normalised", "input_x_gradient", "integrated_gradients")
SECONDS = 5.0  # between lines that do not stay where they are
Network = tuple[str, EmbeddingNetwork, EmbeddingNetwork]  # its name in the table, itself, its twin for gradients


def add(evaluation: argparse.ArgumentParser) -> None:
    """Adds the command's flags."""
    evaluation.add_argument("source", metavar="SOURCE", help="rooms, class folders of pictures, or a CSV: file,label")
    evaluation.add_argument(
        "--network", action="append", help=f"may be given several times (default: {defaults.BACKBONE})"
    )
    evaluation.add_argument("--pooling", action="append", help="may be given several times (default: each one's own)")
    evaluation.add_argument(
        "--explainer", action="append", help="a name, or all; may be given several times (default: the quick ones)"
    )
    evaluation.add_argument(
        "--set", action="append", metavar="NAME.PARAMETER=NUMBER", help="rise.masks=500, for example"
    )
    evaluation.add_argument(
        "--pairs", type=int, default=defaults.PAIRS, help=f"pairs of each kind (default: {defaults.PAIRS})"
    )
    evaluation.add_argument("--hits", type=int, help="explain searches instead: each picture's so many nearest others")
    evaluation.add_argument(
        "--transfer", action="store_true", help="instead: do point maps find the same place in warped copies?"
    )
    evaluation.add_argument(
        "--setting", choices=("fixed", "pair"), default="fixed", help="what explainers hide parts of"
    )
    evaluation.add_argument("--fill", choices=("blur", "mean", "grey"), default="blur", help="what replaces pixels")
    evaluation.add_argument(
        "--steps", type=int, default=defaults.CURVE_STEPS, help=f"of each curve (default: {defaults.CURVE_STEPS})"
    )
    evaluation.add_argument("--seed", type=int, default=0, help="the same seed gives the same table")
    evaluation.add_argument("--checks", action="store_true", help="random weights and small shifts too")
    evaluation.add_argument(
        "--two-sided", action="store_true", help="too: what maps predict with parts of both pictures hidden"
    )
    evaluation.add_argument(
        "--view-size", type=int, help=f"short side of the views in pixels (default: about {defaults.SHORT_SIDE})"
    )
    evaluation.add_argument("--framing", default=defaults.FRAMING, help=defaults.FRAMINGS_SAID)
    evaluation.add_argument(
        "--out", default="evaluation", metavar="DIR", help="folder of the records; goes on from them"
    )
    depth_options(evaluation)
    network_options(evaluation)


def run(options: argparse.Namespace) -> None:
    """Measures explainers on rooms or a folder, and prints which files were written: a table and plots."""
    for path in evaluate(options, *session_of(options)):
        print(path)


def evaluate(options: argparse.Namespace, session: Session, backbone: str) -> list[Path]:
    """Measures, or goes on measuring, and writes table.csv, table.md and curves.html beside the records.

    Raises SimvisError for a name, number or folder that it cannot use.
    """
    if options.depths:
        asked = {name: eager for name, _, eager in _networks(options, session, backbone)}
        return study(options, session, asked, {name: _seen(options, network) for name, network in asked.items()})
    if options.transfer:
        measured = [network for _, network, _ in _networks(options, session, backbone)]
        return _transferred(options, measured, session.limits)
    explainers = _explainers(options)
    networks = list(_networks(options, session, backbone))
    views = [_seen(options, network) for _, network, _ in networks]
    cases = [
        _cases(options, network, seen, session.limits) for (_, network, _), seen in zip(networks, views, strict=True)
    ]
    kept = Records(options.out, _settings(options, explainers, networks))  # once nothing can be refused any more
    for network, seen, own in zip(networks, views, cases, strict=True):
        _measure(kept, *network, own, explainers, seen, (options.checks, options.two_sided))
    return _written(kept, {case.name for listed_cases in cases for case in listed_cases})


def _seen(options: argparse.Namespace, network: EmbeddingNetwork) -> ViewAsked:
    usual = network.preprocess.whole_cells(Preprocess.short_side)
    size = usual if options.view_size is None else options.view_size
    network.preprocess.check(size, options.framing)
    return ViewAsked(size, options.framing)


def _measure(
    kept: Records,
    name: str,
    network: EmbeddingNetwork,
    eager: EmbeddingNetwork,
    cases: Sequence[Case],
    explainers: Sequence[Asked],
    seen: ViewAsked,
    beside: tuple[bool, bool],
) -> None:
    tell = _Teller(name, len(cases) * len(explainers))
    for case in cases:
        missing = [asked for asked in explainers if not kept.has(name, case, asked)]
        tell.done += len(explainers) - len(missing)
        if not missing:
            continue
        for record in _records(case, network, eager, seen, missing, beside):
            kept.add({"network": name, **record})
            tell.step()


def _records(
    case: Case,
    network: EmbeddingNetwork,
    eager: EmbeddingNetwork,
    seen: ViewAsked,
    asked: Sequence[Asked],
    beside: tuple[bool, bool],
) -> Iterator[Record]:
    """The case's records; one whose picture cannot be read is refused as a whole, and the others go on."""
    try:
        question = question_for(case, network, seen)
    except SimvisError as error:
        yield from refused(case, asked, error)
        return
    yield from records(case, question, asked, replace(question, network=eager), *beside)


def _explainers(options: argparse.Namespace) -> list[Asked]:
    """What is asked for, and always the baselines."""
    named = list(options.explainer or QUICK_EXPLAINERS)
    if named == ["all"]:
        named = list(EXPLAINERS)
    given = _parameters(options.set or [])
    names = dict.fromkeys([*named, "centre", "random"])
    for name in given:
        if name not in names:
            raise SimvisError(f"--set for '{name}', which is not measured", "an explainer of this run", "name it too")
    if options.pairs < 1:
        raise SimvisError(f"{options.pairs} pairs", "at least 1", "ask for more")
    return [
        asked_of(name, options.setting, options.seed, options.fill, options.steps, given.get(name)) for name in names
    ]


def _parameters(given: Sequence[str]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for text in given:
        place, _, number = text.partition("=")
        name, _, parameter = place.partition(".")
        try:
            value: float = int(number) if number.lstrip("-").isdigit() else float(number)
        except ValueError:
            raise SimvisError(f"--set {text}", "NAME.PARAMETER=NUMBER", "write, for example, rise.masks=500") from None
        found.setdefault(name, {})[parameter] = value
    return found


def _networks(options: argparse.Namespace, session: Session, backbone: str) -> Iterator[Network]:
    if options.checkpoint is not None and options.network:
        raise SimvisError("both --network and --checkpoint", "one of them", "leave one out")
    for name in options.network or [backbone]:
        loaded = session.network(name)
        for pooling in options.pooling or [str(loaded.trained_pooling)]:
            network = loaded.with_pooling(pooling)
            yield f"{loaded.name} {network.pooling}", network, session.eager(Settings(name, str(network.pooling)))


def _cases(options: argparse.Namespace, network: EmbeddingNetwork, seen: ViewAsked, limits: Limits) -> list[Case]:
    if options.source == ROOMS:
        if options.hits is not None:
            raise SimvisError("--hits with drawn rooms", "a folder of pictures", "leave --hits out")
        return room_cases(options.pairs, options.seed)
    _listed(options.source)
    if options.hits is not None:
        return retrieval_cases(options.source, network, options.pairs, options.hits, seen, options.seed, limits)
    return folder_cases(options.source, options.pairs, options.seed, limits)


def _listed(source: str) -> dict[str, str]:
    """A folder's pictures with their labels; a line tells of each file that is left out, up to twenty."""
    found = listed(source)
    for file, why in list(found.left_out.items())[:LISTED_SKIPPED]:
        print(f"simvis: left out: {file}: {why}", file=sys.stderr)
    more = len(found.left_out) - LISTED_SKIPPED
    if more > 0:
        print(f"simvis: left out: {more} files more", file=sys.stderr)
    return found.pictures


def _settings(options: argparse.Namespace, explainers: Sequence[Asked], networks: Sequence[Network]) -> dict[str, Any]:
    """What must be the same for records to belong together; explainers and networks may be added later."""
    source = options.source if options.source == ROOMS else str(Path(options.source).resolve())
    return {
        "source": source,
        "pairs": options.pairs,
        "hits": options.hits,
        "setting": options.setting,
        "fill": options.fill,
        "steps": options.steps,
        "seed": options.seed,
        "checks": options.checks,
        "two_sided": options.two_sided,
        "engine": options.engine,
        "view": [options.view_size, options.framing],
        "parameters": {
            asked.explainer: dict(EXPLAINERS[asked.explainer].parameters) | dict(asked.parameters)
            for asked in explainers
        },
        "fingerprints": {name: network.fingerprint for name, network, _ in networks},
        "resizing": options.resizing,
    }


def _transferred(options: argparse.Namespace, networks: Sequence[EmbeddingNetwork], limits: Limits) -> list[Path]:
    """PCK of point maps under every warp, over random pictures of the folder."""
    if options.source == ROOMS:
        raise SimvisError("--transfer with drawn rooms", "a folder of photographs", "name one")
    files = list(_listed(options.source))
    chosen = random.Random(options.seed).sample(files, min(options.pairs, len(files)))  # noqa: S311
    views = [_seen(options, network) for network in networks]
    tell = _Teller("transfer", len(networks) * len(WARPS) * len(chosen))
    table = []
    for network, seen in zip(networks, views, strict=True):
        for name, warp in WARPS.items():
            found = []
            for file in chosen:
                found.append(transfer(network, open_picture(file, limits=limits), warp, seen.short_side, seen.framing))
                tell.step()
            table.append({"network": f"{network.name} {network.pooling}", "warp": name, **transfer_row(found)})
    return write_folder(options.out, {"transfer.csv": as_csv(table), "transfer.md": transfer_markdown(table).encode()})


def _written(kept: Records, cases: set[str]) -> list[Path]:
    """Table and plots of the cases of this run: pictures that joined the folder since have changed the draw."""
    found = [record for record in kept.known if record["case"] in cases]
    table, told = rows(found), verification(found)
    pages = "".join(
        f"<h2>{_safe(place)}</h2>"
        + removal_figure(_titled(curves), _titles("random", "centre")).to_html(
            include_plotlyjs=number == 0, full_html=False
        )
        for number, (place, curves) in enumerate(mean_curves(found).items())
    )
    page = f"<!doctype html><meta charset='utf-8'><title>SimVis: how faithful are these maps?</title>{pages}"
    files = {"table.csv": as_csv(table), "table.md": as_markdown(table, told).encode(), "curves.html": page.encode()}
    return write_folder(kept.folder, files)


def _titled(curves: dict[str, Any]) -> dict[str, Any]:
    return {EXPLAINERS[name].title: both for name, both in curves.items()}


def _titles(*names: str) -> list[str]:
    return [EXPLAINERS[name].title for name in names]


def _safe(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")


class _Teller:
    """How far a network's measurements are: one line on a terminal, elsewhere a line every few seconds."""

    def __init__(self, name: str, total: int) -> None:
        self.name, self.total, self.done, self.measured = name, total, 0, 0
        self.terminal, self.started, self.last = sys.stderr.isatty(), time.monotonic(), float("-inf")

    def step(self) -> None:
        """One more is measured; says how far it is."""
        self.done, self.measured = self.done + 1, self.measured + 1
        now = time.monotonic()
        if now - self.last < (0.2 if self.terminal else SECONDS) and self.done < self.total:
            return
        self.last = now
        left = (now - self.started) / max(self.measured, 1) * (self.total - self.done)
        bar = "#" * round(20 * self.done / self.total) if self.terminal else ""
        line = f"{self.name}: {self.done} of {self.total} measured, {left:.0f} s left"
        start, end = ("\r", "\n" if self.done == self.total else "") if self.terminal else ("", "\n")
        print(f"{start}{bar:20} {line}" if bar else f"{start}{line}", end=end, file=sys.stderr, flush=True)
