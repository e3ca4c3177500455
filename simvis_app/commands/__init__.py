"""The command line: one file for each command, one table of them."""

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module

from simvis_app.service import defaults
from simvis_core.errors import SimvisError
from simvis_core.files.installed import COMMAND

ABOUT = "SimVis from the command line: serve the page, explain a pair into a folder, list the networks."


@dataclass(frozen=True)
class Command:
    """A command: the module with its ``add(parser)`` and ``run(options)``, and a line about it."""

    module: str
    about: str


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; gives its exit code: 0, 2 for a user's mistake, told in one sentence, 130 where it is stopped."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    options = parsed(sys.argv[1:] if arguments is None else arguments)
    try:
        options.run(options)
    except SimvisError as error:
        print(f"simvis: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nsimvis: stopped; what is written stays, and the same command goes on from there", file=sys.stderr)
        return 130
    return 0


def parsed(arguments: Sequence[str]) -> argparse.Namespace:
    """The options, with ``run`` for what they ask for. Raises SystemExit with the usage for what cannot be parsed."""
    parser = argparse.ArgumentParser(prog=COMMAND.removeprefix("python "), description=ABOUT)
    parser.set_defaults(**UNSAID)
    words = list(_commands_joined(arguments))
    named = [name for name in words if name in COMMANDS]
    if not named:
        _add(parser, SERVE)
    listed = parser.add_subparsers(dest="command", title="commands (without one, the page is served)")
    for name, command in COMMANDS.items():
        one = listed.add_parser(name, help=command.about)
        if name in named:  # the others are not imported: networks and galleries take a second or two
            _add(one, command)
    return parser.parse_args(words)


def _commands_joined(arguments: Sequence[str]) -> Iterator[str]:
    """The arguments, with two that are one command's name as one: so `attributes A B` and others share a first word."""
    rest = list(arguments)
    while rest:
        two = " ".join(rest[:2])
        taken = 2 if two in COMMANDS else 1
        yield two if taken == 2 else rest[0]
        del rest[:taken]


def _add(parser: argparse.ArgumentParser, command: Command) -> None:
    module = import_module(command.module)
    module.add(parser)
    parser.set_defaults(run=module.run)


# Set before gradio and torch are imported. No usage data leaves this machine; threads that wait do not spin, which on
# shared cores costs many times the work itself; and Gradio does not sum up all events of the past after each, which
# takes a hundredth of a second, for a page that nobody opens.
ENVIRONMENT = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "OMP_WAIT_POLICY": "PASSIVE",
    "GRADIO_ANALYTICS_CACHE_FREQUENCY": "1000000000",
    "GRADIO_ANALYTICS_MAX_EVENTS": "1",
}
# What the commands open alike, where a command has no flag for it.
UNSAID = {"models": None, "model_uploads": False, "catalogue_only": False, "pictures": None, "backbone": None}
_HERE = "simvis_app.commands"
SERVE = Command(f"{_HERE}.serve", "serve the page")
COMMANDS: dict[str, Command] = {
    "explain": Command(f"{_HERE}.explain", "explain two pictures into a folder"),
    "ensemble": Command(f"{_HERE}.ensemble", "explain two pictures by several networks together"),
    "attributes": Command(f"{_HERE}.attributes.pair", "say in words why two pictures are similar"),
    "attributes learn": Command(f"{_HERE}.attributes.learning", "learn attributes of your own from labelled pictures"),
    "attributes evaluate": Command(
        f"{_HERE}.attributes.evaluating", "measure whether named attributes explain, on samples or a data set of yours"
    ),
    "attributes study": Command(
        f"{_HERE}.attributes.study", "write a page on which readers guess what a network ranks"
    ),
    "attributes study-results": Command(
        f"{_HERE}.attributes.study_results", "sum up what readers answered on the page"
    ),
    "index": Command(f"{_HERE}.galleries.index", "index a folder of pictures (or a CSV) into a gallery"),
    "search": Command(f"{_HERE}.galleries.search", "search a gallery by a picture, or by a part of it"),
    "classes": Command(f"{_HERE}.galleries.classes", "a gallery's classes, or the members of one"),
    "curves": Command(f"{_HERE}.galleries.curves", "how few features carry a score, over random pairs"),
    "store-check": Command(f"{_HERE}.galleries.store_check", "run the store's contract on a Milvus server of yours"),
    "evaluate": Command(
        f"{_HERE}.evaluate", "measure how faithful explainers are, on drawn rooms or on a folder of yours"
    ),
    "series": Command(f"{_HERE}.series", "a training's checkpoints by step: figures, a pair's maps, two side by side"),
    "train": Command(f"{_HERE}.train", "let a network learn from pictures, and keep its steps as a series"),
    "concepts": Command(f"{_HERE}.concepts.command", "a score as concepts that add up: learn, name, explain"),
    "models": Command(f"{_HERE}.models", f"list the networks; {defaults.ARCHITECTURES_SAID} works too"),
}
