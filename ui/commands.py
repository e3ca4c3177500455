"""The gallery's commands: what the command line does with galleries, and what it gives back as JSON."""

import argparse
import os
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from simvis_core import SimvisError
from simvis_core.curves import MeanCurve
from simvis_core.export import manifest_json, write_folder
from simvis_core.figures import mean_curve_figure, score_figure
from simvis_core.gallery import Gallery, check_name, open_gallery
from simvis_core.images import Preprocess
from simvis_core.index import Space, check_count
from simvis_core.indexing import BATCH, Progress, index_pictures
from simvis_core.listing import listed
from simvis_core.poolings import Pooling
from simvis_core.regions import Region
from simvis_core.store_check import check_store
from simvis_core.stores import open_index
from ui import samples, words
from ui.galleries import SAMPLES, Asked, Galleries
from ui.gallery_answers import (
    belongs_json,
    class_json,
    class_sheet,
    classes_json,
    curves_json,
    search_json,
    search_sheet,
)
from ui.gallery_api import find_space, regions_on
from ui.session import Session, Settings

Answered = dict[str, Any]
SECONDS = 5.0  # between lines that do not stay where they are


def index(options: argparse.Namespace, session: Session, backbone: str) -> Answered:
    """Indexes a folder or a CSV, removes pictures, or deletes a gallery; what happened."""
    with closing(_galleries(options, session)) as galleries:
        if options.delete or options.remove:
            return _taken_out(galleries, options)
        return _indexed(galleries, options, session, backbone)


def search(options: argparse.Namespace, session: Session, _: str) -> Answered:
    """Searches a gallery by a picture or by regions of it."""
    check_count(options.k)
    with closing(_galleries(options, session)) as galleries:
        space = _space(galleries, options, session)
        marked = _regions(galleries, options, space)
        labels = tuple(options.label) if options.label else None
        asked = Asked(options.image, options.gallery, space.name, marked, labels, options.exact)
        answer = galleries.search(asked, options.k)
        told = search_json(answer, maps=options.out is not None)
        _warn(told["query"]["warnings"])
        return _written(options, told, "search", lambda: {"search.html": search_sheet(galleries, answer)})


def classes(options: argparse.Namespace, session: Session, _: str) -> Answered:
    """A gallery's classes, one class's members, or the classes nearest to a picture."""
    with closing(_galleries(options, session)) as galleries:
        space = _space(galleries, options, session)
        if options.image is not None:
            told = belongs_json(galleries, space, options.image)
            _warn(told["warnings"])
            return _written(options, told, "classes", dict)
        if options.class_label is not None:
            told = class_json(galleries, space, options.class_label)
            return _written(
                options, told, "class", lambda: {"class.html": class_sheet(galleries, space, options.class_label)}
            )
        told = classes_json(galleries, space)
        return _written(options, told, "classes", lambda: {"classes.html": _matrix(galleries, space)})


def curves(options: argparse.Namespace, session: Session, _: str) -> Answered:
    """Mean contribution curves of everything the gallery was indexed with, or of what is named."""
    with closing(_galleries(options, session)) as galleries:
        first = _space(galleries, options, session)
        named = options.network or options.pooling
        spaces = [space for space in galleries.spaces(options.gallery) if not named or space == first]
        labels = words.space_labels(spaces)
        drawn: dict[str, MeanCurve] = {
            f"{labels[space.name]}: {kind}": curve
            for space in spaces
            for kind, curve in galleries.curves(space, options.pairs, options.seed).items()
        }
        return _written(options, curves_json(drawn), "curves", lambda: {"curves.html": _page(mean_curve_figure(drawn))})


def check(options: argparse.Namespace) -> Answered:
    """Runs the store's contract on the embedded store or on a server: each check's seconds."""
    passed = {}
    with closing(open_index(options.galleries / "index", options.index_url)) as store:
        for name, seconds in check_store(store):
            print(f"{name}: passed in {seconds:.2f} s", file=sys.stderr, flush=True)
            passed[name] = seconds
    return {"store": options.index_url or str(options.galleries / "index"), "passed": passed}


def _indexed(galleries: Galleries, options: argparse.Namespace, session: Session, backbone: str) -> Answered:
    check_name(options.name)
    pictures = listed(_source(options))
    network = session.network(backbone)
    size = options.view_size or network.preprocess.whole_cells(Preprocess.short_side)
    names = options.pooling or [str(network.trained_pooling)]
    networks = [network.with_pooling(name) for name in names]
    for one in networks:  # before the gallery is made: a refusal leaves no empty one behind
        space = Gallery(options.name, galleries.home, galleries.index).space(one, size, options.framing)
        if options.rebuild:
            galleries.usable(options.name)  # what another process holds is not taken from it
            galleries.index.drop(space)
    _tell_troubles(galleries)
    gallery = open_gallery(options.name, galleries.home, galleries.index, create=True)
    last, tell = Progress(0), _Teller()
    for last in index_pictures(
        gallery, pictures, networks, size, options.framing, options.prune, BATCH, session.limits
    ):
        tell(last)
    tell.end(last.sentence())
    return {
        "gallery": options.name,
        "network": network.name,
        "poolings": names,
        "view": f"{size} {options.framing}",
        "total": last.total,
        "added": last.added,
        "known": last.known,
        "changed": last.changed,
        "duplicates": last.duplicates,
        "removed": last.removed,
        "skipped": last.skipped,
        "seconds": round(last.seconds, 3),
        "pictures_per_second": round(last.rate, 2),
    }


def _source(options: argparse.Namespace) -> str | Path:
    """What is to be indexed. The samples' own gallery is made by SimVis, and by nobody else."""
    if options.name == SAMPLES and options.rebuild and options.source is None:
        return samples.PICTURES
    if options.name == SAMPLES:
        raise SimvisError(
            "the name 'samples'",
            "a name of its own",
            "choose another --name (python app.py index --name samples --rebuild makes the samples' gallery anew)",
        )
    if options.source is None:
        raise SimvisError(
            "no folder", "one with pictures, or a .csv", "name it: python app.py index FOLDER --name NAME"
        )
    source: str = options.source
    return source


def _tell_troubles(galleries: Galleries, gallery: str | None = None) -> None:
    """A line for everything that is damaged; the rest goes on."""
    for trouble in galleries.troubles(gallery):
        print(f"simvis: left out: {trouble}", file=sys.stderr)


def _warn(warnings: list[str]) -> None:
    """A line for what is to be minded of a picture; the answer on standard output has it, too."""
    for warning in warnings:
        print(f"simvis: {warning}", file=sys.stderr)


class _Teller:
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


def _taken_out(galleries: Galleries, options: argparse.Namespace) -> Answered:
    gallery = open_gallery(options.name, galleries.home, galleries.index)
    if options.delete:
        rows = sum(galleries.index.count(space) for space in galleries.usable(options.name))
        _tell_troubles(galleries, options.name)
        gallery.delete()
        return {"gallery": options.name, "deleted": True, "rows": rows}
    wanted = {os.path.abspath(file) for file in options.remove}  # as a listing names them
    found = {row.file: row for space in gallery.spaces() for row in galleries.index.scan(space) if row.file in wanted}
    removed = gallery.remove([row.id for row in found.values()])
    return {"gallery": options.name, "rows": removed, "not_there": sorted(wanted - set(found))}


def _galleries(options: argparse.Namespace, session: Session) -> Galleries:
    return Galleries(session, options.galleries, options.index_url)


def _space(galleries: Galleries, options: argparse.Namespace, session: Session) -> Space:
    """The space that the options name; the samples are indexed where they are not yet."""
    network, pooling = options.network or "", options.pooling or ""
    _tell_troubles(galleries)
    if options.gallery == SAMPLES:
        _index_samples(galleries, session, network, pooling)
    return find_space(galleries, options.gallery, network, pooling)


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
    loaded = session.network(network or "efficientnet_lite0")
    size = loaded.preprocess.whole_cells(Preprocess.short_side)
    settings = Settings(loaded.name, pooling or str(loaded.trained_pooling), size)
    tell = _Teller()
    for progress in galleries.indexing(SAMPLES, listed(samples.PICTURES), settings, BATCH):
        tell(progress)


def _regions(galleries: Galleries, options: argparse.Namespace, space: Space) -> tuple[Region, ...]:
    marked = [
        {name: list(numbers), "sign": sign}
        for name, sign, given in (
            ("box", 1, options.box),
            ("point", 1, options.point),
            ("box", -1, options.not_box),
            ("point", -1, options.not_point),
        )
        for numbers in given or []
    ]
    return regions_on(galleries, options.image, space, marked)


def _written(options: argparse.Namespace, told: Answered, name: str, pages: Callable[[], dict[str, bytes]]) -> Answered:
    """The answer, which with --out is also written, beside its pages."""
    if options.out is not None:
        for path in write_folder(options.out, {f"{name}.json": manifest_json(told), **pages()}):
            print(path, file=sys.stderr)
    return told


def _matrix(galleries: Galleries, space: Space) -> bytes:
    means = galleries.means(space)
    return _page(score_figure(means.scores, means.labels))


def _page(figure: Any) -> bytes:
    return figure.to_html(include_plotlyjs=True, full_html=True).encode()
