"""SimVis from the command line: serve the page, explain a pair into a folder, list the networks."""

import argparse
import os
import sys
from pathlib import Path

# Set before gradio and torch are imported: no usage data leaves this machine, and threads that wait do not spin,
# which on shared cores costs many times the work itself.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from simvis_core import PairExplanation, SimvisError


def main(arguments: list[str] | None = None) -> int:
    """Runs a command; gives its exit code: 0, or 2 for a user's mistake, told in one sentence."""
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except SimvisError as error:
        print(f"simvis: {error}", file=sys.stderr)
        return 2
    return 0


def serve(options: argparse.Namespace) -> None:
    """Starts the web app and waits. Raises SimvisError for an address that cannot be served on."""
    from ui import CSS, THEME, build_app, warm_up
    from ui.session import Session

    session = Session(options.device)
    warm_up(session)
    app = build_app(session, options.links)
    try:
        app.queue(max_size=64, default_concurrency_limit=4).launch(
            server_name=options.host,
            server_port=options.port,
            share=options.share,
            css=CSS,
            theme=THEME,
            max_file_size="10mb",
            ssr_mode=False,
            run_history=False,
            enable_monitoring=False,
            state_session_capacity=200,
            footer_links=["api", "gradio", "settings"],
        )
    except (OSError, OverflowError) as error:
        address = f"{options.host}, port {options.port or 'from 7860 on'}"
        raise SimvisError(f"{address}, where no page can be served", "a free port", "choose another --port") from error


def explain(options: argparse.Namespace) -> None:
    """Explains a pair of files and writes the export."""
    pair = explained(options)
    print(f"score {pair.score:.6f} ({pair.verdict})")
    for name, part in pair.ledger.items():
        print(f"  {name} {part:+.6f}")
    for path in pair.save(options.out):
        print(path)


def explained(options: argparse.Namespace) -> PairExplanation:
    """The explanation of the two files, by the same session as the page's."""
    from ui.session import Session, Settings

    settings = Settings(options.backbone, options.pooling, options.view_size, options.framing)
    return Session(options.device).explain(options.a, options.b, settings)


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
    parser.set_defaults(run=serve)
    commands = parser.add_subparsers(title="commands (without one, the page is served)")
    pair = commands.add_parser("explain", help="explain two pictures into a folder")
    pair.add_argument("a", metavar="A", help="a picture file")
    pair.add_argument("b", metavar="B", help="a picture file")
    pair.add_argument("--backbone", default="efficientnet_lite0", help="a name that `models` lists")
    pair.add_argument("--pooling", default="avg", help="avg, max, gem, gem:4, avgmax, catavgmax or flatten")
    pair.add_argument("--view-size", type=int, default=224, help="short side of the view in pixels")
    pair.add_argument("--framing", default="whole", help="whole, square or crop")
    pair.add_argument("--device", default="cpu", help="where the network runs, as PyTorch names it")
    pair.add_argument("--out", default="out", metavar="DIR", help="folder for overlays, maps and manifest")
    pair.set_defaults(run=explain)
    commands.add_parser("models", help="list the networks").set_defaults(run=models)
    return parser


def _serving_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", default=os.environ.get("GRADIO_SERVER_NAME", "127.0.0.1"), help="address to serve on")
    parser.add_argument("--port", type=int, default=None, help="port to serve on (default: the first free from 7860)")
    parser.add_argument("--device", default="cpu", help="where networks run, as PyTorch names it: cpu, cuda, mps")
    parser.add_argument("--share", action="store_true", help="make a public address through Gradio's relay")
    parser.add_argument(
        "--links", type=Path, default=Path.home() / ".cache" / "simvis" / "links", help="folder for pictures of links"
    )


if __name__ == "__main__":
    sys.exit(main())
