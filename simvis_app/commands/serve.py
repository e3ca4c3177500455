"""Without a command: the page is served."""

import argparse
import os
import socket
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simvis_app.commands.options import gallery_options, network_options, positive
from simvis_app.service import defaults
from simvis_core.errors import SimvisError

if TYPE_CHECKING:
    from simvis_app.page.doors import Doors


def add(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of the server, of networks and of galleries."""
    parser.add_argument("--host", default=os.environ.get("GRADIO_SERVER_NAME", "127.0.0.1"), help="address to serve on")
    parser.add_argument("--port", type=int, default=None, help="port to serve on (default: the first free from 7860)")
    parser.add_argument(
        "--models", type=Path, metavar="FOLDER", help="offer the checkpoints in this folder on the page"
    )
    parser.add_argument("--model-uploads", action="store_true", help="let visitors upload checkpoints")
    parser.add_argument(
        "--catalogue-only",
        action="store_true",
        default="SPACE_ID" in os.environ,
        help="refuse other architectures, whose weights visitors would make this machine download (default on a Space)",
    )
    parser.add_argument("--pictures", type=Path, metavar="FOLDER", help="let visitors index this folder's pictures")
    parser.add_argument(
        "--series",
        type=Path,
        action="append",
        default=[],
        metavar="FOLDER",
        help="show this folder's checkpoint series on the Training tab: one, or a folder of them; may be given several "
        "times",
    )
    parser.add_argument(
        "--series-architecture",
        metavar="NAME",
        help=f"what plain folders of numbered checkpoints among them are of: {defaults.ARCHITECTURES_SAID}",
    )
    parser.add_argument(
        "--trusted-host",
        action="append",
        metavar="NAME",
        help="a name that the page is called by: name, *.name, or * for any; may be given several times (default: "
        "localhost where only this machine reaches the page, else any)",
    )
    parser.add_argument(
        "--frame-ancestor",
        action="append",
        metavar="ORIGIN",
        help="who may show the page in a frame, as in Content-Security-Policy; may be given several times (default: "
        "'self'; on a Space Hugging Face too)",
    )
    parser.add_argument(
        "--behind-proxy",
        action="store_true",
        default="SPACE_ID" in os.environ,
        help="tell visitors apart by the last part of X-Forwarded-For (default on a Space)",
    )
    parser.add_argument(
        "--most-passes",
        type=positive,
        metavar="N",
        default=defaults.MOST_PASSES,
        help=f"how many forward passes of {defaults.SHORT_SIDE} pixels one answer of the API may take "
        f"(default: {defaults.MOST_PASSES})",
    )
    parser.add_argument(
        "--upload-total",
        type=positive,
        metavar="MIB",
        help="how much a visitor may send in a day (default: 1024; with --model-uploads 8192)",
    )
    parser.add_argument("--share", action="store_true", help="make a public address through Gradio's relay")
    parser.add_argument(
        "--links", type=Path, default=Path.home() / ".cache" / "simvis" / "links", help="folder for pictures of links"
    )
    network_options(parser, engine="auto")
    gallery_options(parser)


def run(options: argparse.Namespace) -> None:
    """Starts the web app and waits. Raises SimvisError for an address that cannot be served on."""
    _check_address(options.host, options.port)
    from simvis_app.commands.opening import galleries_of, session_of
    from simvis_app.page import CSS, HEAD, THEME, WORDS, build_app, first_settings, warm_up
    from simvis_app.service.sessions.budget import Budget
    from simvis_app.service.sessions.memory import bound_arenas

    # A thread that computes in Python keeps the one that answers waiting so long, at each change between them.
    sys.setswitchinterval(0.001)
    if not bound_arenas():
        print("simvis: the C library is not glibc; whether freed memory is used again is left to it", file=sys.stderr)
    session, backbone = session_of(options)
    warm_up(session, backbone)
    galleries = galleries_of(options, session)
    # The samples wait until the page is served, which takes a second of a processor that they would take longer.
    serving = threading.Event()
    galleries.index_samples(first_settings(session, backbone), serving)
    try:
        app = build_app(session, options.links, galleries, Budget(options.most_passes), _studies(options, session))
        _launch(app, options, session.limits.bytes, css=CSS, theme=THEME, head=HEAD, i18n=WORDS)
        serving.set()
        app.block_thread()
    finally:
        galleries.close()  # a thread that still indexes while Python ends complains


def _check_address(host: str, port: int | None) -> None:
    """Raises SimvisError for a port that is taken or none: before networks are read, which takes seconds."""
    if port is None:
        return
    try:
        socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
    except (OSError, OverflowError) as error:
        raise _taken(host, port) from error


def _taken(host: str, port: int | None) -> SimvisError:
    address = f"{host}, port {port or 'from 7860 on'}"
    return SimvisError(f"{address}, where no page can be served", "a free port", "choose another --port")


def _studies(options: argparse.Namespace, session: Any) -> Any:
    """The checkpoint series that the options name, and the bundled ones."""
    from simvis_app.service.series.folders import SeriesFolders
    from simvis_app.service.series.studies import Studies

    missing = next((folder for folder in options.series if not folder.is_dir()), None)
    if missing is not None:
        raise SimvisError(f"--series '{missing}'", "a folder with a checkpoint series", "name one that exists")
    return Studies(session, SeriesFolders(tuple(options.series), options.series_architecture))


def _launch(app: Any, options: argparse.Namespace, most: int, **look: Any) -> None:
    """``most`` is how many bytes an uploaded picture may have."""
    from simvis_app.page.visits import remembered
    from simvis_app.service.lanes import EVENTS

    doors = _doors(options)
    try:
        app.queue(max_size=128, default_concurrency_limit=4).launch(
            server_name=options.host,
            server_port=options.port,
            share=options.share,
            max_file_size="2gb" if options.model_uploads else most,  # `open_picture` has this limit of its own
            ssr_mode=False,
            run_history=False,
            enable_monitoring=False,
            state_session_capacity=200,
            max_threads=EVENTS,  # in Gradio's table of events; how many threads they have, their lanes say
            app_kwargs={"lifespan": remembered, "middleware": doors.middleware()},
            prevent_thread_lock=True,
            footer_links=["api", "gradio", "settings"],
            **look,
        )
    except (OSError, OverflowError) as error:
        raise _taken(options.host, options.port) from error


def _doors(options: argparse.Namespace) -> "Doors":
    """What the operator lets through. Raises SimvisError for a name that is none."""
    from simvis_app.page import doors

    spaced = doors.on_space()
    names = tuple(options.trusted_host or doors.names(options.host, spaced, options.share))
    for name in names:
        if name != "*" and "*" in name.removeprefix("*."):
            raise SimvisError(f"--trusted-host '{name}'", "a name, *.name, or *", "write it like one of these")
    return doors.Doors(
        names,
        tuple(options.frame_ancestor or (doors.SPACE_FRAMES if spaced else ("'self'",))),
        (options.upload_total or (8192 if options.model_uploads else 1024)) * doors.MEBIBYTE,
        options.behind_proxy,
    )
