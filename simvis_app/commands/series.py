"""`series`: a training's checkpoints step by step: figures, a pair's maps, many rooms, another series beside."""

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from simvis_app.commands.options import positive
from simvis_app.service import defaults
from simvis_core.errors import SimvisError

if TYPE_CHECKING:
    from model_zoo.training.series import OpenedSeries
    from simvis_core.pictures.views import Framing
    from simvis_core.progress.series import Series
    from simvis_core.progress.studies import Followed
    from simvis_core.progress.watching import WatchedPair

MISSING = "-"
SHOWN_QUERIES = 10  # of each kind, in print


def add(series: argparse.ArgumentParser) -> None:
    """Adds the command's flags."""
    series.add_argument("folder", metavar="FOLDER", help="what a training or a watcher wrote, or numbered checkpoints")
    series.add_argument("a", metavar="A", nargs="?", help="a picture file: follow this pair over the steps")
    series.add_argument("b", metavar="B", nargs="?", help="a picture file")
    series.add_argument(
        "--rooms", type=positive, metavar="N", help="follow N pairs of drawn rooms instead, with intervals"
    )
    series.add_argument(
        "--kind", choices=("planted", "same"), default="planted", help="rooms that share one object, or all four"
    )
    series.add_argument("--pictures", metavar="SOURCE", help="follow pairs of one class of class folders, or of a CSV")
    series.add_argument("--pairs", type=positive, default=20, metavar="N", help="how many of them (20)")
    series.add_argument("--seed", type=int, default=0, help="of the rooms, and of the pairs that are drawn")
    series.add_argument(
        "--curves",
        type=positive,
        metavar="N",
        help="how few features carry the score of N same-class pairs of the gallery, at each step",
    )
    series.add_argument("--against", metavar="FOLDER", help="another series beside it")
    series.add_argument(
        "--architecture", metavar="NAME", help=f"of numbered checkpoints: {defaults.ARCHITECTURES_SAID}"
    )
    series.add_argument("--against-architecture", metavar="NAME", help="of the other folder's (default: as this one's)")
    series.add_argument("--pooling", help=f"{defaults.POOLINGS_SAID}: a what-if (default: the trained one)")
    series.add_argument("--step", type=int, action="append", metavar="N", help="these steps only (default: all)")
    series.add_argument(
        "--view-size", type=positive, help="short side of the views in pixels (default: the trained one)"
    )
    series.add_argument("--framing", help=f"{defaults.FRAMINGS_SAID} (default: the trained one, else whole)")
    series.add_argument("--device", default="auto", help="where networks run, as PyTorch names it: cpu, cuda, mps")
    series.add_argument("--out", metavar="DIR", help="write tables, curves, and a pair's maps at each step there")


def run(options: argparse.Namespace) -> None:
    """Prints the figures by step, and of two pictures or many rooms what the networks find in them at each step."""
    from simvis_core.progress.manifests import MANIFEST
    from simvis_core.progress.watches import WATCH

    _check(options)
    held = [(Path(options.folder) / file).exists() for file in (WATCH, MANIFEST)]
    files = _watched(options) if held == [True, False] else _series(options)
    if options.out is not None:
        from simvis_core.files.writing import write_folder

        for path in write_folder(options.out, files):
            print(path)


def _check(options: argparse.Namespace) -> None:
    if (options.a is None) != (options.b is None):
        raise SimvisError("one picture", "two, or none", "name both pictures of the pair")
    asked = {"two pictures": options.a, "--rooms": options.rooms, "--pictures": options.pictures}
    given = [name for name, value in asked.items() if value is not None]
    if len(given) > 1:
        raise SimvisError(" and ".join(given), "one of them", "leave the others out")


def _watched(options: argparse.Namespace) -> dict[str, bytes]:
    """The steps of a watcher's folder."""
    from simvis_core.progress.watches import open_watch

    if _pairs_asked(options) or options.against is not None:
        raise SimvisError(
            f"'{options.folder}', a watch, which holds maps and no weights", "a series", "leave the pair out"
        )
    watch = open_watch(options.folder)
    print(f"{watch.name} ({watch.pooling}), pairs: {', '.join(pair.name for pair in watch.pairs)}")
    return _tabled([{"step": one.step} | dict(one.figures) for one in watch.steps])


def _series(options: argparse.Namespace) -> dict[str, bytes]:
    opened = [_opened(options.folder, options.architecture, options)]
    if options.against is not None:
        opened.append(_opened(options.against, options.against_architecture or options.architecture, options))
    files: dict[str, bytes] = {}
    for number, one in enumerate(opened):
        print(_about(one))
        rows = [{"step": step.step, "loss": step.loss} | dict(step.figures) for step in one.steps]
        files |= {f"{number}_{name}": content for name, content in _tabled(rows).items()}
    files |= _curves(options, opened) if options.curves is not None else {}
    if len(opened) == 2:
        _tell_queries(opened[0].series, opened[1].series)
    return files | (_pair(options, opened) if _pairs_asked(options) else {})


def _pairs_asked(options: argparse.Namespace) -> bool:
    """Whether pairs are to be followed."""
    return any(one is not None for one in (options.a, options.rooms, options.pictures))


def _opened(folder: str, architecture: str | None, options: argparse.Namespace) -> "OpenedSeries":
    import model_zoo

    opened = model_zoo.open_series(folder, architecture, options.pooling)
    for name in opened.left_out:
        print(f"simvis: {name} is none of the numbered checkpoints, and left out", file=sys.stderr)
    return opened


def _about(opened: "OpenedSeries") -> str:
    series = opened.series
    base = "" if series.base is None else f", from {series.base.name}"
    drawn = "" if series.base is None or series.base.seed is None else f" drawn with seed {series.base.seed}"
    trained = f" trained under {series.pooling}" if series.pooling else ""
    return f"{series.name}: {series.architecture}{trained}{base}{drawn}, {len(series.steps)} steps"


def _tabled(rows: Sequence[Mapping[str, float | None]]) -> dict[str, bytes]:
    """Prints the rows, and gives them as a CSV file."""
    from simvis_core.files.writing import table

    columns = list(dict.fromkeys(name for row in rows for name in row))
    kept = [name for name in columns if any(row.get(name) is not None for row in rows)]
    cells = [kept] + [[_cell(row.get(name)) for name in kept] for row in rows]
    widths = [max(len(line[at]) for line in cells) for at in range(len(kept))]
    for line in cells:
        print("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)))
    return {"figures.csv": table(kept, [{name: row.get(name) for name in kept} for row in rows])}


def _cell(value: float | None) -> str:
    if value is None:
        return MISSING
    return str(value) if isinstance(value, int) else f"{value:.4f}"


def _curves(options: argparse.Namespace, opened: Sequence["OpenedSeries"]) -> dict[str, bytes]:
    """How few features carry a score, step by step: printed, and as a page of curves."""
    from simvis_app.commands.galleries.answering import page
    from simvis_core.files.plots import PAPER_K
    from simvis_core.galleries.figures import mean_curve_figure
    from simvis_core.progress.studies import step_curves

    drawn = {}
    for name, one in zip(_names(opened), opened, strict=True):
        for step, curve in step_curves(one.series, options.curves, options.seed).items():
            drawn[f"{name} step {step}"] = curve
            share = f"{100 * curve.share(PAPER_K):.1f} %"
            print(f"{name} step {step}: the top {PAPER_K} features carry {share} of the score of {curve.pairs} pairs")
    return {"contributions.html": page(mean_curve_figure(drawn))}


def _names(opened: Sequence["OpenedSeries"]) -> list[str]:
    """A name for each, numbered where two are alike."""
    names = [one.series.name for one in opened]
    return [f"{name} ({at})" for at, name in enumerate(names, 1)] if len(set(names)) < len(names) else names


def _tell_queries(one: "Series", other: "Series") -> None:
    """Which queries of the gallery that both keep one answers right at its last step, and the other wrong."""
    from simvis_core.progress.worst import disagreements

    galleries = [series.embeddings(series.steps[-1].step) for series in (one, other)]
    first, second = galleries
    if first is None or second is None or one.labels is None or first[0] != second[0]:
        print("Queries are not compared: the two keep no gallery of one set of pictures with classes.")
        return
    found = disagreements(first[1], second[1], one.labels)
    for place, series in enumerate((one, other)):
        better = [query for query in found if query.right == place]
        print(f"{len(better)} of {len(first[0])} queries: {series.name} right, the other wrong")
        for query in better[:SHOWN_QUERIES]:
            hits = [first[0][at] for at in query.nearest]
            print(f"  {first[0][query.query]}: {one.name} finds {hits[0]}, {other.name} finds {hits[1]}")


@dataclass(frozen=True)
class _Seen:
    """How pictures are seen: the short side in pixels, None for the network's own, and the framing."""

    side: int | None
    framing: "Framing"


def _seen(options: argparse.Namespace, opened: "OpenedSeries") -> _Seen:
    from simvis_core.pictures.views import FRAMINGS

    framing = options.framing or opened.series.about.get("framing", defaults.FRAMING)
    if framing not in FRAMINGS:
        raise SimvisError(f"framing '{framing}'", f"one of {', '.join(FRAMINGS)}", "choose one of these")
    return _Seen(options.view_size, framing)


def _pair(options: argparse.Namespace, opened: Sequence["OpenedSeries"]) -> dict[str, bytes]:
    """Follows the pair, or the rooms, under each series."""
    from simvis_core.progress.studies import study_files

    pairs = list(_pairs(options))
    followed = [_followed(options, name, one, pairs) for name, one in zip(_names(opened), opened, strict=True)]
    for one in followed:
        print(f"{one.name}, {len(pairs)} pair{'s' * (len(pairs) > 1)}:")
        _tell_curves(one)
    if len(followed) == 2:
        _tell_compared(*followed)
    files = study_files(followed)
    if options.out is not None and options.a is not None:
        for number, (one, series) in enumerate(zip(followed, opened, strict=True)):
            files |= {f"{number}_{name}": content for name, content in _maps(options, one, series, pairs[0]).items()}
    return files


def _pairs(options: argparse.Namespace) -> "Iterator[WatchedPair]":
    from simvis_core.evaluation.cases import folder_cases
    from simvis_core.pictures.opening import open_picture
    from simvis_core.progress.studies import room_pairs
    from simvis_core.progress.watching import WatchedPair

    if options.rooms is not None:
        yield from room_pairs(options.rooms, options.kind, options.seed)
    elif options.pictures is not None:
        for case in folder_cases(options.pictures, options.pairs, options.seed):
            if case.same:
                yield WatchedPair(case.name, case.picture(), case.others[0]())
    else:
        name = f"{Path(options.a).name} | {Path(options.b).name}"
        yield WatchedPair(name, open_picture(options.a), open_picture(options.b))


def _followed(
    options: argparse.Namespace, name: str, opened: "OpenedSeries", pairs: "Sequence[WatchedPair]"
) -> "Followed":
    from model_zoo.running.devices import on_device
    from simvis_core import steps
    from simvis_core.progress.studies import following

    asked = options.step or [one.step for one in opened.steps]
    for step in asked:
        opened.series.at(step)  # refused before any is run
    seen = _seen(options, opened)
    networks = ((step, on_device(opened.network(step), options.device)) for step in sorted(asked))
    followed = following(name, networks, pairs, seen.side, seen.framing)
    return steps.run(followed, lambda told: _progress(name, *told, len(pairs)))


def _progress(name: str, step: int, done: int, pairs: int) -> None:
    """How far it is: on one line of a terminal, elsewhere once a step."""
    if sys.stderr.isatty():
        print(f"\r{name} step {step}: {done} of {pairs} pairs ", end="", file=sys.stderr, flush=True)
    elif done == pairs:
        print(f"{name} step {step}: {pairs} of {pairs} pairs", file=sys.stderr, flush=True)


def _tell_curves(followed: "Followed") -> None:
    """Each figure over the steps, with its interval where there are several pairs."""
    from simvis_core.progress.watching import FIGURES

    for figure, words in FIGURES.items():
        curve = followed.curve(figure)
        if curve:
            print(f"  {words}")
        for step, found in curve:
            ends = "" if found.low is None or found.high is None else f" ({found.low:.4f} to {found.high:.4f})"
            print(f"    {step}: {found.mean:.4f}{ends}")


def _tell_compared(one: "Followed", other: "Followed") -> None:
    from simvis_core.progress.studies import difference, maps_agreement
    from simvis_core.progress.watching import FIGURES

    print(f"{one.name} beside {other.name}:")
    for found in maps_agreement(one, other):
        if found.maps is not None:
            chance = "" if found.chance is None else f"; another picture's by chance {found.chance.mean:.4f}"
            print(f"  maps agree at steps {found.step} and {found.other_step}: {found.maps.mean:.4f}{chance}")
    for figure, words in FIGURES.items():
        gap = difference(one, other, figure)
        if gap is not None:
            ends = "" if gap.low is None or gap.high is None else f" ({gap.low:+.4f} to {gap.high:+.4f})"
            print(f"  {words}, the first less the second at the end: {gap.mean:+.4f}{ends}")


def _maps(
    options: argparse.Namespace, followed: "Followed", opened: "OpenedSeries", pair: "WatchedPair"
) -> dict[str, bytes]:
    """A pair's maps at each step over its pictures, on one scale for all steps, and as numbers."""
    from simvis_core.files.numbers import UNITS, three
    from simvis_core.files.writing import array, npz, png
    from simvis_core.pairs.share_picture import Panel, PanelRow, caption, row_figure
    from simvis_core.pictures.overlays import common_scale

    seen = _seen(options, opened)
    network = opened.network(followed.steps[0])
    names = zip("AB", (Path(options.a).name, Path(options.b).name), (pair.a, pair.b), strict=True)
    shown = [(network.view(image, seen.side, seen.framing), caption(side, name)) for side, name, image in names]
    by_step = {step: row[0] for step, row in zip(followed.steps, followed.rows, strict=True)}
    scale = common_scale(*(map for one in by_step.values() for map in one.maps))
    files = {}
    for step, one in by_step.items():
        panels = [Panel(view, map, said) for (view, said), map in zip(shown, one.maps, strict=True)]
        row = PanelRow(f"{followed.name}, step {step}: score {three(one.score)}", panels, scale, UNITS[one.method])
        files[f"step_{step:06d}.png"] = png(row_figure(row))
    sides = [(side, step, map) for step, one in by_step.items() for side, map in zip("ab", one.maps, strict=True)]
    return files | {"maps.npz": npz({f"{side}_{step:06d}": array(map) for side, step, map in sides})}
