"""SimVis from the command line: serve the page, explain a pair into a folder, list the networks."""

import argparse
import os
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

# Set before gradio and torch are imported: no usage data leaves this machine, and threads that wait do not spin,
# which on shared cores costs many times the work itself.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# Gradio sums up all events of the past after each: a hundredth of a second of a page that nobody opens.
os.environ.setdefault("GRADIO_ANALYTICS_CACHE_FREQUENCY", "1000000000")
os.environ.setdefault("GRADIO_ANALYTICS_MAX_EVENTS", "1")

from simvis_core import SimvisError
from simvis_core.colours import GROUNDS

if TYPE_CHECKING:
    from ui.doors import Doors
    from ui.galleries import Galleries
    from ui.session import Session, Settings

DEFAULT = "efficientnet_lite0"


def main(arguments: list[str] | None = None) -> int:
    """Runs a command; gives its exit code: 0, 2 for a user's mistake, told in one sentence, 130 where it is stopped."""
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except SimvisError as error:
        print(f"simvis: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nsimvis: stopped; what is written stays, and the same command goes on from there", file=sys.stderr)
        return 130
    return 0


def serve(options: argparse.Namespace) -> None:
    """Starts the web app and waits. Raises SimvisError for an address that cannot be served on."""
    from ui import CSS, HEAD, THEME, WORDS, build_app, first_settings, warm_up
    from ui.budget import Budget
    from ui.memory import bound_arenas

    # A thread that computes in Python keeps the one that answers waiting so long, at each change between them.
    sys.setswitchinterval(0.001)
    if not bound_arenas():
        print("simvis: the C library is not glibc; whether freed memory is used again is left to it", file=sys.stderr)
    session, backbone = _session(options)
    warm_up(session, backbone)
    galleries = _galleries(options, session)
    # The samples wait until the page is served, which takes a second of a processor that they would take longer.
    serving = threading.Event()
    galleries.index_samples(first_settings(session, backbone), serving)
    try:
        app = build_app(session, options.links, galleries, Budget(options.most_passes))
        _launch(app, options, session.limits.bytes, css=CSS, theme=THEME, head=HEAD, i18n=WORDS)
        serving.set()
        app.block_thread()
    finally:
        galleries.close()  # a thread that still indexes while Python ends complains


def _launch(app: Any, options: argparse.Namespace, most: int, **look: Any) -> None:
    """``most`` is how many bytes an uploaded picture may have."""
    from ui.lanes import EVENTS
    from ui.visits import remembered

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
        address = f"{options.host}, port {options.port or 'from 7860 on'}"
        raise SimvisError(f"{address}, where no page can be served", "a free port", "choose another --port") from error


def _doors(options: argparse.Namespace) -> "Doors":
    """What the operator lets through. Raises SimvisError for a name that is none."""
    from ui import doors

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


def explain(options: argparse.Namespace) -> None:
    """Explains a pair of files, by the same session as the page's, and writes the export."""
    places = _places(options)
    session, backbone = _session(options)
    settings = _pair_settings(options, session, backbone)
    pair = session.explain_fully(options.a, options.b, settings, _told)
    for warning in pair.warnings:
        print(f"simvis: {warning}", file=sys.stderr)
    by = "" if pair.method == "decomposition" else f", map by {pair.method}"
    print(f"score {pair.score:.6f} ({pair.verdict}{by})")
    for name, part in pair.ledger.items() if pair.additive else ():
        print(f"  {name} {part:+.6f}")
    stands = _standing(options, session, settings, pair.score)
    if stands:
        print(stands)
    for path in (path for place in places for path in pair.save(place, ground=options.ground, facts=_facts(options))):
        print(path)


def _places(options: argparse.Namespace) -> list[str]:
    """Where the export goes: a folder, a picture to share, or both."""
    png = options.png
    if png is not None and (Path(png).suffix.lower() != ".png" or Path(png).is_dir()):
        raise SimvisError(f"--png '{png}'", "a file's name that ends in .png", "choose another name")
    return [place for place in (options.out or (None if png else "out"), png) if place]


def _facts(options: argparse.Namespace) -> dict[str, Any]:
    """The files' names and credits, which the export keeps."""
    from ui.samples import facts_of
    from ui.session import content_hash

    files = [options.a, options.b]
    return facts_of(files, [content_hash(file) for file in files])


def _pair_settings(options: argparse.Namespace, session: "Session", backbone: str) -> "Settings":
    from simvis_core.images import Preprocess
    from ui.session import Settings

    network = session.network(backbone)
    pooling = options.pooling or str(network.trained_pooling)
    usual = network.preprocess.whole_cells(Preprocess.short_side)
    size = usual if options.view_size is None else options.view_size
    return Settings(backbone, pooling, size, options.framing, options.method, insist=True)


def _standing(options: argparse.Namespace, session: "Session", settings: "Settings", score: float) -> str:
    """How high the score is for its network; empty where that is not known and not to be measured."""
    from ui.references import References
    from ui.words import stands

    references = References(session)
    reference = references.measured(settings) if options.standing else references.held(settings)
    return "" if reference is None else stands(score, reference)


def _told(done: int, count: int) -> None:
    """How far the masks are: on one line of a terminal, elsewhere once as it begins."""
    if sys.stderr.isatty():
        print(f"\r{done} of {count} masked pictures", end="\n" if done == count else "", file=sys.stderr, flush=True)
    elif done == 0:
        print(f"running {count} masked pictures", file=sys.stderr, flush=True)


def _session(options: argparse.Namespace) -> "tuple[Session, str]":
    """The session that the options ask for, and the network it begins with."""
    from simvis_core.pictures import OWNERS, STRANGERS
    from ui.own_models import OwnModels
    from ui.session import Session

    if options.models is not None and not options.models.is_dir():
        raise SimvisError(f"--models '{options.models}'", "a folder of checkpoints", "name one that exists")
    own = OwnModels(options.models, options.model_uploads)
    session = Session(
        options.device,
        engine=options.engine,
        any_architecture=not options.catalogue_only,
        own=own,
        resizing=options.resizing,
        limits=(STRANGERS if options.command is None else OWNERS).to(options.max_megapixels),
    )
    if options.checkpoint is None:
        _check_alone(options)
        return session, options.backbone or DEFAULT
    if options.backbone is not None:
        raise SimvisError("both --backbone and --checkpoint", "one network", "leave one of them out")
    if not options.architecture:
        raise SimvisError("--checkpoint alone", "--architecture with it", "name it, for example timm/resnet50")
    return session, _own_model(options, session)


def _check_alone(options: argparse.Namespace) -> None:
    """Raises SimvisError for an option that says something of a checkpoint where there is none."""
    if options.architecture or options.between or options.head != "auto":
        raise SimvisError("--architecture, --head or --between alone", "--checkpoint with it", "name your file")
    if options.choice or options.choices or options.write_choices:
        raise SimvisError("choices alone", "--checkpoint with them", "name your file")


def _own_model(options: argparse.Namespace, session: "Session") -> str:
    """The name of the checkpoint that the options open; their file of choices is written also where it asks."""
    from model_zoo.checkpoint_choices import parse_answers, read_choices, with_arguments
    from model_zoo.checkpoint_doubts import UndecidedError, write_choices

    said = parse_answers(read_choices(options.choices), options.choice)
    said = with_arguments(said, None, options.head, options.between)
    try:
        name, report = session.open_model(options.checkpoint, options.architecture, said)
    except UndecidedError as error:
        if options.write_choices is not None:
            write_choices(options.write_choices, error.choices, error.doubts)
            print(f"{options.write_choices}: the questions, to be answered and given as --choices", file=sys.stderr)
        raise
    if options.write_choices is not None:
        session.own.write_choices(name, options.write_choices)
    print(report, file=sys.stderr)
    return name


def _galleries(options: argparse.Namespace, session: "Session") -> "Galleries":
    """The galleries that the options name."""
    from ui.galleries import Galleries

    if options.pictures is not None and not options.pictures.is_dir():
        raise SimvisError(f"--pictures '{options.pictures}'", "a folder of pictures", "name one that exists")
    return Galleries(session, options.galleries, options.index_url, options.pictures)


def answer(options: argparse.Namespace) -> None:
    """Runs a gallery's command and prints its answer as JSON."""
    import json

    from ui import commands

    command = {"index": commands.index, "search": commands.search, "classes": commands.classes}
    told = command.get(options.command, commands.curves)(options, *_session(options))
    print(json.dumps(told, indent=2, allow_nan=False))


def store_check(options: argparse.Namespace) -> None:
    """Runs the store's contract, on a scratch collection, and prints each check's seconds as JSON."""
    import json

    from ui.commands import check

    print(json.dumps(check(options), indent=2))


def evaluate(options: argparse.Namespace) -> None:
    """Measures explainers on rooms or a folder, and writes table and plots."""
    from ui.evaluation import evaluate as run

    session, backbone = _session(options)
    for path in run(options, session, backbone):
        print(path)


def models(_: argparse.Namespace) -> None:
    """Lists the cards."""
    import model_zoo

    for name in model_zoo.names():
        card = model_zoo.card(name)
        where = "bundled" if card.bundled else f"downloads {card.weights.megabytes:.0f} MB"
        print(f"{name:20} {where:17} pooling {card.pooling}, head {card.head}; {card.task}; {card.licence}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="app.py", description=__doc__)
    _serving_options(parser)
    _network_options(parser, engine="auto")
    _gallery_options(parser)
    parser.set_defaults(run=serve, backbone=None)
    commands = parser.add_subparsers(dest="command", title="commands (without one, the page is served)")
    pair = commands.add_parser("explain", help="explain two pictures into a folder")
    pair.add_argument("a", metavar="A", help="a picture file")
    pair.add_argument("b", metavar="B", help="a picture file")
    pair.add_argument(
        "--backbone", help=f"a name that `models` lists, timm/NAME or torchvision/NAME (default: {DEFAULT})"
    )
    pair.add_argument(
        "--pooling",
        help="avg, max, gem, gem:4, avgmax, catavgmax, flatten, token or own (default: the network's own)",
    )
    pair.add_argument("--view-size", type=int, help="short side of the view in pixels (default: about 224)")
    pair.add_argument("--framing", default="whole", help="whole, square or crop")
    pair.add_argument(
        "--method",
        choices=("sliding window", "RISE"),
        help="draw the maps by masks, RISE with 2000 a picture (default: a class token's by its last block's values, "
        "another black box's by a sliding window)",
    )
    pair.add_argument(
        "--standing",
        action="store_true",
        help="measure how high the score is for this network where that is not known: some 130 passes",
    )
    _network_options(pair, engine="eager")
    pair.add_argument("--ground", choices=GROUNDS, default=GROUNDS[0], help="maps in colours, on grey, or as outlines")
    pair.add_argument("--png", metavar="FILE", help="one picture to share; without --out, nothing else is written")
    pair.add_argument("--out", metavar="DIR", help="folder for overlays, maps and manifest (default: out)")
    pair.set_defaults(run=explain, models=None, model_uploads=False, catalogue_only=False)
    _gallery_commands(commands)
    _evaluate_command(commands)
    listing = commands.add_parser("models", help="list the networks; timm/NAME and torchvision/NAME work too")
    listing.set_defaults(run=models)
    return parser


def _gallery_commands(commands: Any) -> None:
    index = commands.add_parser("index", help="index a folder of pictures (or a CSV) into a gallery")
    index.add_argument("source", nargs="?", metavar="FOLDER", help="class folders of pictures, or a CSV: file,label")
    index.add_argument("--name", required=True, help="the gallery's name")
    index.add_argument("--backbone", help=f"the network (default: {DEFAULT})")
    index.add_argument(
        "--pooling", action="append", help="may be given several times: each picture is run once for all"
    )
    index.add_argument("--view-size", type=int, help="short side of the views in pixels (default: about 224)")
    index.add_argument("--framing", default="whole", help="whole, square or crop")
    index.add_argument("--prune", action="store_true", help="remove the rows of files that are gone")
    index.add_argument("--rebuild", action="store_true", help="make what this network kept anew, as if it were damaged")
    index.add_argument("--remove", nargs="+", metavar="FILE", help="take these files out instead")
    index.add_argument("--delete", action="store_true", help="delete the gallery instead; its files stay")
    found = commands.add_parser("search", help="search a gallery by a picture, or by a part of it")
    found.add_argument("image", metavar="IMAGE", help="a picture file")
    for name, count, words in (("box", 4, ("X", "Y", "WIDTH", "HEIGHT")), ("point", 2, ("X", "Y"))):
        for sign, kind in (("", "like this"), ("not-", "not like this")):
            found.add_argument(
                f"--{sign}{name}",
                nargs=count,
                type=float,
                action="append",
                metavar=words,
                help=f"a {name} in pixels of the picture: {kind}; may be given several times",
            )
    found.add_argument("-k", type=int, default=20, help="how many hits (default: 20)")
    found.add_argument("--exact", action="store_true", help="compare every picture, also where a graph is searched")
    found.add_argument("--label", action="append", help="only this label; may be given several times")
    classes = commands.add_parser("classes", help="a gallery's classes, or the members of one")
    classes.add_argument("class_label", nargs="?", metavar="LABEL", help="the members of this class")
    classes.add_argument("--image", help="the classes nearest to this picture")
    curves = commands.add_parser("curves", help="how few features carry a score, over random pairs")
    curves.add_argument("--pairs", type=int, default=1000, help="pairs of each kind (default: 1000)")
    curves.add_argument("--seed", type=int, default=0, help="the same seed draws the same pairs")
    for parser in (found, classes, curves):
        parser.add_argument("--gallery", default="samples", help="its name (default: samples)")
        parser.add_argument("--network", help="what it was indexed with (default: the first)")
        parser.add_argument("--pooling", help="what it was indexed with (default: the first)")
        parser.add_argument("--out", metavar="DIR", help="write the JSON and an HTML page there")
        parser.set_defaults(backbone=None)
    for parser in (index, found, classes, curves):
        _network_options(parser, engine="eager")
        _gallery_options(parser)
        parser.set_defaults(run=answer, models=None, model_uploads=False, catalogue_only=False)
    check = commands.add_parser("store-check", help="run the store's contract on a Milvus server of yours")
    _gallery_options(check)
    check.set_defaults(run=store_check)


def _evaluate_command(commands: Any) -> None:
    evaluation = commands.add_parser(
        "evaluate", help="measure how faithful explainers are, on drawn rooms or on a folder of yours"
    )
    evaluation.add_argument("source", metavar="SOURCE", help="rooms, class folders of pictures, or a CSV: file,label")
    evaluation.add_argument("--network", action="append", help=f"may be given several times (default: {DEFAULT})")
    evaluation.add_argument("--pooling", action="append", help="may be given several times (default: each one's own)")
    evaluation.add_argument(
        "--explainer", action="append", help="a name, or all; may be given several times (default: the quick ones)"
    )
    evaluation.add_argument(
        "--set", action="append", metavar="NAME.PARAMETER=NUMBER", help="rise.masks=500, for example"
    )
    evaluation.add_argument("--pairs", type=int, default=20, help="pairs of each kind (default: 20)")
    evaluation.add_argument("--hits", type=int, help="explain searches instead: each picture's so many nearest others")
    evaluation.add_argument(
        "--transfer", action="store_true", help="instead: do point maps find the same place in warped copies?"
    )
    evaluation.add_argument(
        "--setting", choices=("fixed", "pair"), default="fixed", help="what explainers hide parts of"
    )
    evaluation.add_argument("--fill", choices=("blur", "mean", "grey"), default="blur", help="what replaces pixels")
    evaluation.add_argument("--steps", type=int, default=51, help="of each curve (default: 51)")
    evaluation.add_argument("--seed", type=int, default=0, help="the same seed gives the same table")
    evaluation.add_argument("--checks", action="store_true", help="random weights and small shifts too")
    evaluation.add_argument("--view-size", type=int, help="short side of the views in pixels (default: about 224)")
    evaluation.add_argument("--framing", default="whole", help="whole, square or crop")
    evaluation.add_argument(
        "--out", default="evaluation", metavar="DIR", help="folder of the records; goes on from them"
    )
    _network_options(evaluation, engine="eager")
    evaluation.set_defaults(run=evaluate, backbone=None, models=None, model_uploads=False, catalogue_only=False)


def _serving_options(parser: argparse.ArgumentParser) -> None:
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
        type=_positive,
        metavar="N",
        default=10_000,
        help="how many forward passes of 224 pixels one answer of the API may take (default: 10000)",
    )
    parser.add_argument(
        "--upload-total",
        type=_positive,
        metavar="MIB",
        help="how much a visitor may send in a day (default: 1024; with --model-uploads 8192)",
    )
    parser.add_argument("--share", action="store_true", help="make a public address through Gradio's relay")
    parser.add_argument(
        "--links", type=Path, default=Path.home() / ".cache" / "simvis" / "links", help="folder for pictures of links"
    )


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is no whole number above 0")
    return int(text)


def _gallery_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--galleries",
        type=Path,
        metavar="FOLDER",
        default=Path.home() / ".local" / "share" / "simvis" / "galleries",
        help="where galleries are kept",
    )
    parser.add_argument("--index-url", metavar="URL", help="keep embeddings on a Milvus server: http://host:port")


def _network_options(parser: argparse.ArgumentParser, engine: str) -> None:
    parser.add_argument("--checkpoint", metavar="FILE", help="your own weights; needs --architecture")
    parser.add_argument("--architecture", metavar="NAME", help="what they are for: timm/NAME or torchvision/NAME")
    parser.add_argument(
        "--head",
        default="auto",
        choices=("auto", "keep", "none"),
        help="layers behind the pooling: as the checkpoint shows, every one, or none",
    )
    parser.add_argument(
        "--between",
        choices=("relu", "gelu", "silu", "none"),
        help="what stands between linear layers that a file cannot name",
    )
    parser.add_argument(
        "--choice",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="what the file does not tell, such as layers.arc=out or steps.fc=unit; may be given several times",
    )
    parser.add_argument("--choices", type=Path, metavar="FILE", help="such answers in a JSON file")
    parser.add_argument(
        "--write-choices", type=Path, metavar="FILE", help="write all answers there as JSON, with what is still asked"
    )
    parser.add_argument("--device", default="auto", help="where networks run, as PyTorch names it: cpu, cuda, mps")
    parser.add_argument(
        "--engine",
        default=engine,
        help=f"what runs backbones: eager, channels_last, bf16, openvino, or auto to measure (default: {engine})",
    )
    parser.add_argument(
        "--resizing",
        default="quick",
        help="what shrinks pictures of a megapixel and more: quick, or reference, which is Pillow's (default: quick; a "
        "gallery goes on as it was indexed)",
    )
    parser.add_argument(
        "--max-megapixels",
        type=float,
        metavar="N",
        help="the largest pictures that are read; their files may have as many half megabytes, on the command line as "
        "many megabytes (default: 200 for your own on the command line and in galleries, 20 for visitors of the page)",
    )


if __name__ == "__main__":
    sys.exit(main())
