"""What the galleries' commands share: which space is meant, what is told on the way, and how an answer goes out."""

import argparse
import json
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from simvis_app.service import defaults, samples
from simvis_app.service.galleries.asking import find_space
from simvis_app.service.galleries.galleries import SAMPLES, Galleries
from simvis_app.service.sessions.depths import DepthAsked, depth_named
from simvis_app.service.sessions.session import Session, Settings
from simvis_core.files.writing import manifest_json, write_folder
from simvis_core.galleries.indexing import BATCH, Progress
from simvis_core.networks.poolings import Pooling
from simvis_core.pictures.listing import listed
from simvis_core.stores.contract import Space

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

Answered = dict[str, Any]
SECONDS = 5.0  # between lines that do not stay where they are


def tell(answered: Answered) -> None:
    """Prints an answer as JSON."""
    print(json.dumps(answered, indent=2, allow_nan=False))


def space_of(galleries: Galleries, options: argparse.Namespace, session: Session) -> Space:
    """The space that the options name; the samples are indexed where they are not yet."""
    network, pooling = options.network or "", options.pooling or ""
    tell_troubles(galleries)
    if options.gallery == SAMPLES:
        _index_samples(galleries, session, network, pooling)
    return find_space(galleries, options.gallery, network, pooling)


def depth_asked(options: argparse.Namespace) -> DepthAsked:
    """Where in the network maps are drawn. Raises SimvisError as `depth_named` does."""
    return depth_named(options.at or "", options.rule or "", options.reference or "")


def _index_samples(galleries: Galleries, session: Session, network: str, pooling: str) -> None:
    pooling = str(Pooling.parse(pooling)) if pooling else ""
    known = [
        space
        for space in galleries.spaces(SAMPLES)
        if network in ("", space.network)
        and pooling in ("", space.pooling)
        and galleries.index.count(space) >= len(samples.credits_list())
    ]
    if known:
        return
    loaded = session.network(network or defaults.BACKBONE)
    size = loaded.preprocess.whole_cells(defaults.SHORT_SIDE)
    settings = Settings(loaded.name, pooling or str(loaded.trained_pooling), size)
    telling = Teller()
    for progress in galleries.indexing(SAMPLES, listed(samples.PICTURES), settings, BATCH):
        telling(progress)


def written(options: argparse.Namespace, told: Answered, name: str, pages: Callable[[], dict[str, bytes]]) -> Answered:
    """The answer, which with --out is also written, beside its pages."""
    if options.out is not None:
        for path in write_folder(options.out, {f"{name}.json": manifest_json(told), **pages()}):
            print(path, file=sys.stderr)
    return told


def page(figure: "Figure") -> bytes:
    """A plotly figure as an HTML file that needs nothing else."""
    return figure.to_html(include_plotlyjs=True, full_html=True).encode()


def tell_troubles(galleries: Galleries, gallery: str | None = None) -> None:
    """A line for everything that is damaged; the rest goes on."""
    for trouble in galleries.troubles(gallery):
        print(f"simvis: left out: {trouble}", file=sys.stderr)


def warn(warnings: list[str]) -> None:
    """A line for what is to be minded of a picture; the answer on standard output has it, too."""
    for warning in warnings:
        print(f"simvis: {warning}", file=sys.stderr)


class Teller:
    """One line that stays where it is on a terminal; elsewhere a line every few seconds."""

    def __init__(self) -> None:
        self.terminal, self.last = sys.stderr.isatty(), float("-inf")

    def __call__(self, progress: Progress) -> None:
        """Says how far it is."""
        now = time.monotonic()
        if now - self.last < (0.2 if self.terminal else SECONDS):
            return
        self.last = now
        left = f", {progress.seconds_left:.0f} s left" if progress.seconds_left is not None else ""
        line = f"{progress.done} of {progress.total} pictures, {progress.rate:.1f} a second{left}"
        print(f"\r{line}   " if self.terminal else line, end="" if self.terminal else "\n", file=sys.stderr, flush=True)

    def end(self, sentence: str) -> None:
        """Says what happened."""
        print(f"\n{sentence}" if self.terminal else sentence, file=sys.stderr)
