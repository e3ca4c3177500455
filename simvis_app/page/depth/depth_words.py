"""What the dial says: grids, rules, what the score comes from at a depth, and why a depth is not drawn."""

import html
from collections.abc import Sequence

from simvis_app.service import words
from simvis_app.service.sessions.depths import LITTLE, Offered, carried, is_little
from simvis_core import PairExplanation
from simvis_core.decomposition import BIAS_PARTS
from simvis_core.pairs.sides import SIDES

DIAL = "Coarse - fine: cells of picture A's map"
COARSE = "coarse"
RULES = {"path from a blurred picture": "path", "gates held (frozen)": "frozen"}
RULE_SAID = {
    "frozen": "Gates held: what the network does behind this layer is held as it is at each picture, and is then a sum "
    "over cells. It needs nothing to compare with; what its layers add whatever the picture is a part of no cell.",
    "path": "Path from a blurred picture: a cell gathers what the score gains while the layer's output goes in a "
    "straight line from the blurred picture's to the picture's. What the blurred one scores, and what the steps miss, "
    "are parts of no cell.",
}
NOT_FAITHFUL = "Either way the parts add up to the score. That a map adds up does not make it faithful."
PART_NAMES = {
    "offsets": "offsets of the layers",
    "reference": "the blurred reference",
    "tokens": "tokens without a place",
    "remainder": "remainder of the path's steps",
}
assert tuple(PART_NAMES) == BIAS_PARTS


def grid(size: tuple[int, int]) -> str:
    """``28 x 44``."""
    return f"{size[0]} x {size[1]}"


def steps_of_dial(coarse: tuple[int, int], offered: Sequence[Offered], marked: frozenset[str]) -> list[tuple[str, str]]:
    """The dial's steps with A's grid at each, the coarse map first; those in ``marked`` carry little of the score.

    Layers that share a grid have their names beside it.
    """
    grids = [one.grid_a for one in offered]
    listed = [(f"{COARSE}: {grid(coarse)}", "")]
    for one in offered:
        name = f" · {short(one.layer)}" if grids.count(one.grid_a) > 1 or one.grid_a == coarse else ""
        little = " · little of the score" if one.layer in marked else ""
        listed.append((f"{grid(one.grid_a)}{name}{little}", one.layer))
    return listed


def short(layer: str) -> str:
    """A layer's path without the modules that wrap the whole network."""
    return layer.removeprefix("network.").removeprefix("traced.").removeprefix("encoder.")


def coarse_said() -> str:
    """What stands below the dial where the coarse map is shown."""
    return "<p>The map of the network's last features. Finer ones come from layers further in front.</p>"


def drawing(layer: str) -> str:
    """That a finer map is under way."""
    return f'<p role="status">Drawing the map at {html.escape(short(layer))}. Until then the coarse one is shown.</p>'


def refining(pair: PairExplanation) -> str:
    """How far a path is: its points and what they leave over."""
    left = words.number(max((parts["remainder"] for parts in pair.bias_parts.values()), key=abs))
    text = f"Refining: the path's points are being doubled; by now they leave over {left} of {words.three(pair.score)}."
    return f'<label class="progress">{text} <progress>{text}</progress></label>'


def said(pair: PairExplanation, rule: str, served: PairExplanation, under_way: bool) -> str:
    """What the score comes from at the pair's depth, in a table that adds up; what to mind of it; what the rule is."""
    return "".join(
        (
            refining(pair) if under_way else "",
            f"<p>{html.escape(_where(pair))}</p>",
            _table(pair),
            _minded(pair, served, under_way),
            f"<p>{html.escape(RULE_SAID[rule])} {html.escape(NOT_FAITHFUL)}</p>",
        )
    )


def _where(pair: PairExplanation) -> str:
    layer = "" if pair.network.depth is None else pair.network.depth.layer
    steps = [str(getattr(pair.side(side)[1], "steps", 0)) for side in SIDES]
    path = "" if steps == ["0", "0"] else f", along {' and '.join(dict.fromkeys(steps))} points"
    cells = " and ".join(f"{side.upper()} {grid(pair.side(side)[1].grid)}" for side in SIDES)
    return f"At {short(layer)}: {cells} cells{path}."


def _table(pair: PairExplanation) -> str:
    """The score of each side as what its cells carry and what its bias comes from."""
    rows = [("cells of the map", {side: float(pair.side(side)[2].sum()) for side in SIDES})]
    rows += [(PART_NAMES[name], {side: pair.bias_parts[side][name] for side in SIDES}) for name in BIAS_PARTS]
    rows += [("score", dict.fromkeys(SIDES, pair.score))]
    head = "".join(f'<th scope="col">{side.upper()}</th>' for side in SIDES)
    body = "".join(
        f'<tr><th scope="row">{html.escape(name)}</th>'
        + "".join(f"<td>{words.signed(parts[side])}</td>" for side in SIDES)
        + "</tr>"
        for name, parts in rows
    )
    return f'<table class="depth-ledger"><thead><tr><td></td>{head}</tr></thead><tbody>{body}</tbody></table>'


def _minded(pair: PairExplanation, served: PairExplanation, under_way: bool) -> str:
    """Little in the cells, another engine's score, and what a path leaves over in the end."""
    said = []
    if is_little(pair):
        shares = " and ".join(f"{100 * share:.0f} % in {side.upper()}" for side, share in carried(pair).items())
        said.append(
            f"Cells carry little of the score here: {shares}, where {100 * LITTLE:.0f} % is asked for. The rest is in "
            "the parts that have no place."
        )
    off = pair.score - served.score
    if served.network.engine != pair.network.engine:
        said.append(
            f"These maps are drawn by plain PyTorch, whose score is {pair.score:.5f}, {off:+.1e} off that of the "
            f"engine {served.network.engine}."
        )
    own = [] if under_way else [sentence for sentence in pair.warnings if sentence not in served.warnings]
    said += [f"{sentence}." for sentence in own]
    return words.warning(*said)


def refused(sentence: str) -> str:
    """Why a depth is not drawn; the coarse map stays."""
    return words.notice(f"{sentence} The coarse map is shown.")
