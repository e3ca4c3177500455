"""`index`: a folder of pictures, or a CSV, becomes a gallery."""

import argparse
import os
from contextlib import closing
from pathlib import Path

from simvis_app.commands.galleries.answering import Answered, Teller, tell, tell_troubles
from simvis_app.commands.opening import galleries_of, session_of
from simvis_app.commands.options import gallery_options, network_options
from simvis_app.service import defaults, samples
from simvis_app.service.galleries.galleries import SAMPLES, Galleries
from simvis_app.service.sessions.session import Session
from simvis_core.errors import SimvisError
from simvis_core.files.installed import COMMAND
from simvis_core.galleries.gallery import Gallery, check_name, open_gallery
from simvis_core.galleries.indexing import BATCH, Progress, index_pictures
from simvis_core.pictures.listing import listed
from simvis_core.pictures.views import Preprocess


def add(index: argparse.ArgumentParser) -> None:
    """Adds the command's flags."""
    index.add_argument("source", nargs="?", metavar="FOLDER", help="class folders of pictures, or a CSV: file,label")
    index.add_argument("--name", required=True, help="the gallery's name")
    index.add_argument("--backbone", help=f"the network (default: {defaults.BACKBONE})")
    index.add_argument(
        "--pooling", action="append", help="may be given several times: each picture is run once for all"
    )
    index.add_argument(
        "--view-size", type=int, help=f"short side of the views in pixels (default: about {defaults.SHORT_SIDE})"
    )
    index.add_argument("--framing", default=defaults.FRAMING, help=defaults.FRAMINGS_SAID)
    index.add_argument("--prune", action="store_true", help="remove the rows of files that are gone")
    index.add_argument("--rebuild", action="store_true", help="make what this network kept anew, as if it were damaged")
    index.add_argument("--remove", nargs="+", metavar="FILE", help="take these files out instead")
    index.add_argument("--delete", action="store_true", help="delete the gallery instead; its files stay")
    network_options(index)
    gallery_options(index)


def run(options: argparse.Namespace) -> None:
    """Indexes a folder or a CSV, removes pictures, or deletes a gallery, and prints what happened as JSON."""
    session, backbone = session_of(options)
    with closing(galleries_of(options, session)) as galleries:
        if options.delete or options.remove:
            tell(_taken_out(galleries, options))
        else:
            tell(_indexed(galleries, options, session, backbone))


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
    tell_troubles(galleries)
    gallery = open_gallery(options.name, galleries.home, galleries.index, create=True)
    last, telling = Progress(0), Teller()
    for last in index_pictures(
        gallery, pictures, networks, size, options.framing, options.prune, BATCH, session.limits
    ):
        telling(last)
    telling.end(last.sentence())
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
            f"choose another --name ({COMMAND} index --name samples --rebuild makes the samples' gallery anew)",
        )
    if options.source is None:
        raise SimvisError("no folder", "one with pictures, or a .csv", f"name it: {COMMAND} index FOLDER --name NAME")
    source: str = options.source
    return source


def _taken_out(galleries: Galleries, options: argparse.Namespace) -> Answered:
    gallery = open_gallery(options.name, galleries.home, galleries.index)
    if options.delete:
        rows = sum(galleries.index.count(space) for space in galleries.usable(options.name))
        tell_troubles(galleries, options.name)
        gallery.delete()
        return {"gallery": options.name, "deleted": True, "rows": rows}
    wanted = {os.path.abspath(file) for file in options.remove}  # as a listing names them
    found = {row.file: row for space in gallery.spaces() for row in galleries.index.scan(space) if row.file in wanted}
    removed = gallery.remove([row.id for row in found.values()])
    return {"gallery": options.name, "rows": removed, "not_there": sorted(wanted - set(found))}
