"""`ensemble`: why several networks together find two pictures similar, into a folder."""

import argparse
from dataclasses import dataclass

from simvis_app.commands.options import network_options
from simvis_app.service import defaults
from simvis_core.errors import SimvisError

MOST_MEMBERS = 16
OWN_MEMBER = "checkpoint"  # the member that --checkpoint is


@dataclass(frozen=True)
class Member:
    """A network by its name, the pooling that it has here (its own where empty), and how much its embedding counts."""

    name: str
    pooling: str = ""
    weight: float = 1.0


def add(parser: argparse.ArgumentParser) -> None:
    """Adds the command's flags."""
    parser.add_argument("a", metavar="A", help="a picture file")
    parser.add_argument("b", metavar="B", help="a picture file")
    parser.add_argument(
        "--member",
        action="append",
        default=[],
        metavar="NAME[@POOLING][=WEIGHT]",
        help="a network whose unit embedding is one part of the ensemble's, such as mobilenet_v2@max=.5; two or more "
        f"(names that `models` lists, {defaults.ARCHITECTURES_SAID}; {OWN_MEMBER} is that of --checkpoint)",
    )
    parser.add_argument(
        "--view-size", type=int, help=f"short side of every view in pixels (default: about {defaults.SHORT_SIDE})"
    )
    parser.add_argument("--framing", default=defaults.FRAMING, help=defaults.FRAMINGS_SAID)
    network_options(parser)
    parser.add_argument(
        "--out", metavar="DIR", default="out", help="folder for overlays, maps, manifest (default: out)"
    )


def run(options: argparse.Namespace) -> None:
    """Explains a pair by every member, prints what each counts, and writes the export."""
    from simvis_app.commands.opening import session_of
    from simvis_app.service.sessions.session import Settings
    from simvis_core.pairs.ensemble import ensemble_of
    from simvis_core.pictures.views import Preprocess

    members = members_of(options.member)
    _check_own(members, options.checkpoint)
    session, own = session_of(options)
    pairs = []
    for member in members:
        name = own if member.name == OWN_MEMBER else member.name
        network = session.network(name)
        size = options.view_size or network.preprocess.whole_cells(Preprocess.short_side)
        pooling = member.pooling or str(network.trained_pooling)
        pairs.append(session.explain_fully(options.a, options.b, Settings(name, pooling, size, options.framing)))
    found = ensemble_of(pairs, [member.weight for member in members])
    print(f"score {found.score:.6f} ({found.verdict})")
    for share, pair in zip(found.shares, pairs, strict=True):
        print(f"  {share:.4f} of {pair.score:+.6f}  {pair.network.name} ({pair.network.pooling}, {pair.method})")
    for name, part in found.ledger.items():
        print(f"  {name} {part:+.6f}")
    for path in found.save(options.out):
        print(path)


def members_of(texts: list[str]) -> list[Member]:
    """The members that are named. Raises SimvisError for fewer than two, very many, and a weight that is no number."""
    if not 2 <= len(texts) <= MOST_MEMBERS:
        raise SimvisError(
            f"{len(texts)} members", f"2 to {MOST_MEMBERS}", "give --member for each, such as --member mobilenet_v2"
        )
    return [_member(text) for text in texts]


def _check_own(members: list[Member], checkpoint: str | None) -> None:
    if (checkpoint is not None) != any(member.name == OWN_MEMBER for member in members):
        got = (
            f"the member '{OWN_MEMBER}' without --checkpoint"
            if checkpoint is None
            else f"--checkpoint '{checkpoint}' alone"
        )
        raise SimvisError(
            got, f"both, or neither: '--member {OWN_MEMBER}' is the network of --checkpoint", "add the other"
        )


def _member(text: str) -> Member:
    named, _, weight = text.partition("=")
    name, _, pooling = named.partition("@")
    try:
        return Member(name, pooling, float(weight or 1))
    except ValueError as error:
        raise SimvisError(
            f"the member '{text}'", "NAME, with @POOLING and =WEIGHT where they are not the usual", "write a number"
        ) from error
