"""Flags that several commands share."""

import argparse
from pathlib import Path

from simvis_app.service import defaults


def gallery_options(parser: argparse.ArgumentParser) -> None:
    """Adds where galleries are kept."""
    parser.add_argument(
        "--galleries",
        type=Path,
        metavar="FOLDER",
        default=Path.home() / ".local" / "share" / "simvis" / "galleries",
        help="where galleries are kept",
    )
    parser.add_argument("--index-url", metavar="URL", help="keep embeddings on a Milvus server: http://host:port")


def network_options(parser: argparse.ArgumentParser, engine: str = "eager") -> None:
    """Adds one's own checkpoint, the device, the engine, resizing and the limits of pictures."""
    parser.add_argument(
        "--checkpoint",
        metavar="FILE",
        help="your own weights, with their --architecture, or the folder of a training",
    )
    parser.add_argument("--step", type=int, metavar="N", help="which step of the training (default: the last)")
    parser.add_argument("--architecture", metavar="NAME", help=f"what they are for: {defaults.ARCHITECTURES_SAID}")
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


def second_options(parser: argparse.ArgumentParser) -> None:
    """Adds what encodes picture B where it is not what encodes A."""
    parser.add_argument(
        "--backbone-b", metavar="NAME", help="a second network for B, whose embedding is as wide: two towers"
    )
    parser.add_argument("--checkpoint-b", metavar="FILE", help="your own weights for B, or the folder of a training")
    parser.add_argument("--architecture-b", metavar="NAME", help=f"what they are for: {defaults.ARCHITECTURES_SAID}")
    parser.add_argument(
        "--choices-b", type=Path, metavar="FILE", help="what B's file does not tell, as --write-choices wrote it for it"
    )
    parser.add_argument("--pooling-b", metavar="NAME", help="B's pooling (default: A's, or a second network's own)")
    parser.add_argument(
        "--view-size-b", type=int, metavar="N", help="short side of B's view (default: A's, or a second network's own)"
    )
    parser.add_argument(
        "--at-b", metavar="LAYER", help="draw B's map at a layer of its own (default: that of --at); 'list' prints them"
    )


def positive(text: str) -> int:
    """A whole number above 0. Raises ArgumentTypeError, which argparse tells, for anything else."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is no whole number above 0")
    return int(text)


def maps_options(parser: argparse.ArgumentParser) -> None:
    """Adds where in the network a gallery's maps are drawn, and its regions cut out; see `depth_asked`."""
    parser.add_argument(
        "--at",
        metavar="LAYER",
        help="draw maps, and cut regions out, at another layer, such as blocks.2 or pixels; 'explain --at list' "
        "prints those there are",
    )
    parser.add_argument("--rule", help="what a place's part is there: frozen (default) or path; see 'explain --help'")
    parser.add_argument("--reference", metavar="WHAT", help="where the path starts: blur (default), mean or grey")


def asking_options(parser: argparse.ArgumentParser) -> None:
    """Adds which gallery is asked, what of it, and where the answer goes."""
    parser.add_argument("--gallery", default="samples", help="its name (default: samples)")
    parser.add_argument("--network", help="what it was indexed with (default: the first)")
    parser.add_argument("--pooling", help="what it was indexed with (default: the first)")
    parser.add_argument("--out", metavar="DIR", help="write the JSON and an HTML page there")
    network_options(parser)
    gallery_options(parser)
