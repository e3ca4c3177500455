"""`concepts`: a score as concepts that add up: learn a dictionary of them, name them, explain a pair by them."""

import argparse

from simvis_app.commands.options import gallery_options, network_options, positive
from simvis_app.service import defaults

SIZE_LEARNT, SHOWN, DRAWS_MADE = 64, 5, 30
KINDS_LEARNT = ("sparse", "pca", "nmf", "semi-nmf", "random")  # both as the core has them, as a test holds


def add(concepts: argparse.ArgumentParser) -> None:
    """Adds the command's actions and their flags."""
    actions = concepts.add_subparsers(dest="action", required=True, title="actions")
    _add_learn(actions.add_parser("learn", help="make a dictionary of concepts from pictures"))
    _add_name(actions.add_parser("name", help="say what concepts are to be called"))
    _add_explain(actions.add_parser("explain", help="split a pair's score over a dictionary's concepts"))
    _add_direction(
        actions.add_parser("direction", help="find one concept's direction from pictures with and without it")
    )


def _add_learn(learn: argparse.ArgumentParser) -> None:
    learn.add_argument("source", nargs="?", metavar="FOLDER", help="class folders of pictures, or a CSV: file,label")
    learn.add_argument("--gallery", metavar="NAME", help="a gallery's pictures instead")
    _add_dictionary(learn, "where to write it, ending in .safetensors")
    learn.add_argument(
        "--kind",
        choices=KINDS_LEARNT,
        help="sparse (default), pca, nmf, semi-nmf, or random directions to compare with",
    )
    learn.add_argument("--matrix", metavar="FILE", help="your own directions instead, a row each, in a .npy file")
    learn.add_argument("--size", type=positive, help=f"how many concepts (default: {SIZE_LEARNT})")
    learn.add_argument(
        "--held-out",
        choices=("pictures", "classes"),
        default="pictures",
        help="what is measured on: half of each class of 3 pictures and more, or a quarter of the classes, whole",
    )
    learn.add_argument("--seed", type=int, default=0, help="of what is held out, of the places drawn, and of the kind")
    _add_view(learn)
    gallery_options(learn)


def _add_name(name: argparse.ArgumentParser) -> None:
    name.add_argument("words", nargs="*", metavar="N=WORDS", help='such as 12="arched openings"; 12= takes it away')
    _add_dictionary(name, "the file that `learn` wrote")
    name.add_argument(
        "--by-attributes",
        metavar="FOLDER",
        help="call what has no name yet by the attribute that fires where it does in these class folders or this CSV, "
        "where that is more than chance (networks with a classifier)",
    )
    network_options(name)


def _add_explain(explain: argparse.ArgumentParser) -> None:
    explain.add_argument("a", metavar="A", help="a picture file")
    explain.add_argument("b", metavar="B", help="a picture file")
    explain.add_argument(
        "--dictionary",
        metavar="FILE",
        help="the file that `learn` wrote (default: the one that comes with the network)",
    )
    explain.add_argument("--top", type=positive, default=SHOWN, help=f"how many concepts (default: {SHOWN})")
    explain.add_argument("--backbone", help="the network (default: the one that the dictionary was learnt on)")
    explain.add_argument("--out", metavar="DIR", help="write their maps, all totals, and the places that fire each")
    network_options(explain)


def _add_direction(direction: argparse.ArgumentParser) -> None:
    direction.add_argument("--with", dest="shown", required=True, metavar="DIR", help="pictures that show the concept")
    direction.add_argument(
        "--without", dest="other", required=True, metavar="DIR", help="pictures that do not, as many"
    )
    direction.add_argument("--out", required=True, metavar="DIR", help="where to write the direction and its figures")
    direction.add_argument("--name", default="concept", help="what it is called (default: concept)")
    direction.add_argument(
        "--pairs",
        metavar="DIR",
        help="class folders, of whose pairs it is measured how often the concept raises a score "
        "(default: the sample photographs)",
    )
    direction.add_argument(
        "--show", action="append", default=[], metavar="FILE", help="write the map of this picture too"
    )
    direction.add_argument("--draws", type=positive, default=DRAWS_MADE, help=f"of random sets (default: {DRAWS_MADE})")
    direction.add_argument("--seed", type=int, default=0, help="of the random sets, and of what is held out in turn")
    _add_view(direction)


def _add_view(action: argparse.ArgumentParser) -> None:
    action.add_argument("--backbone", help=f"the network (default: {defaults.BACKBONE})")
    action.add_argument("--pooling", help=f"{defaults.POOLINGS_SAID} (default: the network's own)")
    action.add_argument(
        "--view-size", type=positive, help=f"short side of the views in pixels (default: about {defaults.SHORT_SIDE})"
    )
    action.add_argument("--framing", default=defaults.FRAMING, help=defaults.FRAMINGS_SAID)
    network_options(action)


def _add_dictionary(action: argparse.ArgumentParser, help: str) -> None:
    action.add_argument("--dictionary", required=True, metavar="FILE", help=help)


def run(options: argparse.Namespace) -> None:
    """Learns a dictionary, names some of its concepts, explains a pair by them, or finds one concept's direction."""
    if options.action == "name":
        from simvis_app.commands.concepts.naming import name_concepts

        name_concepts(options)
    elif options.action == "learn":
        from simvis_app.commands.concepts.learning import learn

        learn(options)
    elif options.action == "direction":
        from simvis_app.commands.concepts.direction import direction

        direction(options)
    else:
        from simvis_app.commands.concepts.explaining import explain

        explain(options)
