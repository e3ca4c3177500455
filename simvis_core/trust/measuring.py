"""One explainer on one question, measured: its map, both curves, and whether it does better than chance."""

import statistics
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from simvis_core.errors import SimvisError
from simvis_core.explainers.masked import Setting
from simvis_core.explainers.question import Interim, Question
from simvis_core.explainers.table import EXPLAINERS, DrawnMap, check_parameters, drawing
from simvis_core.pairs.explanation import PairExplanation
from simvis_core.pairs.sides import Side
from simvis_core.pictures.fills import FILLS
from simvis_core.steps import mapped
from simvis_core.trust.faithfulness import CURVE_KINDS, CURVE_STEPS, Kind, RemovalCurve, removal_steps
from simvis_core.trust.sanity import coarsened

RANDOMS = 5  # random maps that a map is compared with
SHOWN_CELLS = 28  # on the short side of a map on a screen
SHOWN_QUANTILE = 0.99
FLAT = 1e-6  # of the score
CLEARLY = 2.0  # standard deviations of the random maps' gaps
SETTINGS: tuple[Setting, ...] = ("fixed", "pair")
MOST_SEED = 2**31 - 1
Better = Literal["better than chance", "no better than the centre", "no better than chance", "worse than chance"]
Compared = dict[str, Better | None]
Doing = Literal["drawing", "insertion", "deletion"]


@dataclass(frozen=True)
class Asked:
    """How a map is to be drawn and measured."""

    explainer: str
    setting: Setting = "fixed"
    seed: int = 0
    fill: str = "blur"
    steps: int = CURVE_STEPS
    parameters: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True, eq=False)
class Measured:
    """A drawn map with its insertion and deletion curve; ``passes`` and ``seconds`` of the drawing are in ``drawn``.

    >>> from PIL import Image
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork, Preprocess, explain_pair
    >>> from simvis_core.steps import run
    >>> from simvis_core.trust.measuring import Asked, measuring, question_of
    >>> net = EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8), preprocess=Preprocess(short_side=32, stride=8))
    >>> picture = Image.new("RGB", (60, 40), "orange")
    >>> measured = run(measuring(question_of(explain_pair(net, picture, picture), "a"), Asked("centre", steps=3)))
    >>> measured.gap == measured.insertion.auc - measured.deletion.auc, measured.flat
    (True, True)
    """

    asked: Asked
    drawn: DrawnMap
    insertion: RemovalCurve
    deletion: RemovalCurve

    @property
    def gap(self) -> float:
        """Insertion AUC less deletion AUC, in units of the score: the larger, the better the score follows the map.

        It is how much higher the mean score is when the map's strongest pixels come first than when they go first; an
        order of places drawn at random has a gap around 0.
        """
        return self.insertion.auc - self.deletion.auc

    @property
    def flat(self) -> bool:
        """Whether taking away every pixel hardly moves the score, so that no order of places can matter."""
        scores = torch.cat([self.insertion.scores, self.deletion.scores])
        return bool(scores.max() - scores.min() < FLAT)


@dataclass(frozen=True)
class Part:
    """How far a measurement is: in the drawing or in a curve; ``interim`` has the map so far while it is drawn."""

    doing: Doing
    interim: Interim


Measuring = Generator[Part, None, Measured]


def question_of(pair: PairExplanation, side: Side) -> Question:
    """Why this side's picture scores with the other as it does; the pair's activations are reused.

    Raises SimvisError for a side that is neither a nor b.

    >>> from PIL import Image
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork, Preprocess, explain_pair
    >>> from simvis_core.trust.measuring import question_of
    >>> net = EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8), preprocess=Preprocess(short_side=32, stride=8))
    >>> pair = explain_pair(net, Image.new("RGB", (60, 40), "orange"), Image.new("RGB", (40, 40), "red"))
    >>> question = question_of(pair, "b")
    >>> question.view is pair.view_b, abs(question.score - pair.score) < 1e-5
    (True, True)
    """
    view, _, _ = pair.side(side)
    reference, other, _ = pair.side("b" if side == "a" else "a")
    known = pair.activations_a if side == "a" else pair.activations_b
    bias = other.bias if other.method == "decomposition" else None
    return Question(pair.networks[side], view, other.embedding, bias, reference, known)


def measuring(question: Question, asked: Asked, drawer: Question | None = None) -> Measuring:
    """Draws the map, then measures it; step by step, so that others can take turns and a caller can stop.

    ``drawer`` is the same question on a network through which gradients flow, for explainers that need them.

    Raises SimvisError as `draw_map` and `removal_curve` do.

    >>> from PIL import Image
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork, Preprocess, explain_pair
    >>> from simvis_core.trust.measuring import Asked, measuring, question_of
    >>> net = EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8), preprocess=Preprocess(short_side=32, stride=8))
    >>> pair = explain_pair(net, Image.new("RGB", (60, 40), "orange"), Image.new("RGB", (40, 40), "red"))
    >>> [part.doing for part in measuring(question_of(pair, "a"), Asked("decomposition", steps=3))]
    ['drawing', 'insertion', 'deletion']
    """
    inside = asked.explainer in EXPLAINERS and EXPLAINERS[asked.explainer].looks_inside
    drawing_on = drawer if drawer is not None and inside else question
    steps = drawing(asked.explainer, drawing_on, asked.setting, asked.seed, **dict(asked.parameters))
    drawn = yield from mapped(steps, partial(Part, "drawing"))
    curves: dict[Kind, RemovalCurve] = {}
    for kind in CURVE_KINDS:
        removing = removal_steps(question, drawn.map, kind, asked.fill, asked.steps, asked.seed)
        curves[kind] = yield from mapped(removing, partial(Part, kind))
    return Measured(asked, drawn, curves["insertion"], curves["deletion"])


def drawable(map: Float[Tensor, "H W"]) -> tuple[tuple[int, int], list[float], float]:
    """A map for a screen: its grid, at most ``SHOWN_CELLS`` on the short side, its cells over the strongest, and that.

    Cells go row by row, -1 to 1; the strongest value is in the explainer's own unit, before averaging to cells. Of a
    map of pixels, where single ones stand out, the top 1 % of the cells share the end of the scale.

    >>> import torch
    >>> from simvis_core.trust.measuring import drawable
    >>> drawable(torch.tensor([[0.5, -0.25]]))
    ((1, 2), [1.0, -0.5], 0.5)
    """
    strongest, cells = float(map.abs().max()), coarsened(map, SHOWN_CELLS)
    sizes = cells.abs().flatten()
    most = float(sizes.quantile(SHOWN_QUANTILE) if cells.shape != map.shape else sizes.max())
    most = most or float(sizes.max())  # of a map of a few pixels nearly all cells are 0
    shares = (cells / most if most > 0 else cells).clamp(-1, 1).flatten().tolist()
    return (cells.shape[0], cells.shape[1]), [round(share, 5) for share in shares], strongest


def baselines(asked: Asked) -> list[Asked]:
    """What a measurement stands beside: the centre, and random maps of several seeds, measured alike.

    Another seed brings other random maps, all of them.

    >>> from simvis_core.trust.measuring import Asked, baselines
    >>> [(one.explainer, one.seed) for one in baselines(Asked("rise"))]
    [('centre', 0), ('random', 0), ('random', 1), ('random', 2), ('random', 3), ('random', 4)]
    """
    plain = replace(asked, setting="fixed", parameters=())
    centre = replace(plain, explainer="centre")
    randoms = (replace(plain, explainer="random", seed=RANDOMS * asked.seed + at) for at in range(RANDOMS))
    return [centre, *randoms]


def against_chance(gap: float, randoms: Sequence[float], centre: float) -> Better:
    """How a gap compares with those of random maps and of the centre.

    Better is clearly above the random maps: by more than twice their spread, and above each of them. Worse is clearly
    below. With five random maps about one random map in fourteen passes for better: a verdict on one pair is a hint.

    >>> from simvis_core.trust.measuring import against_chance
    >>> against_chance(0.2, randoms=[-0.01, 0.0, 0.01], centre=0.1)
    'better than chance'
    >>> against_chance(0.05, randoms=[-0.01, 0.0, 0.01], centre=0.1)
    'no better than the centre'
    """
    low, high = chance_limits(randoms)
    if gap < low:
        return "worse than chance"
    if gap <= high:
        return "no better than chance"
    return "better than chance" if gap > centre else "no better than the centre"


def chance_limits(randoms: Sequence[float]) -> tuple[float, float]:
    """The gaps below and above which a map is clearly worse, or better, than random maps with these gaps.

    >>> from simvis_core.trust.measuring import chance_limits
    >>> [round(limit, 3) for limit in chance_limits([-0.01, 0.0, 0.01])]
    [-0.02, 0.02]
    """
    mean, spread = statistics.fmean(randoms), CLEARLY * (statistics.stdev(randoms) if len(randoms) > 1 else 0.0)
    return min(mean - spread, *randoms), max(mean + spread, *randoms)


def alike(measured: Mapping[str, Measured]) -> list[list[str]]:
    """Names of maps under which the score moved in the same way, step by step: for this picture they are one.

    >>> import torch
    >>> from simvis_core.explainers.table import DrawnMap
    >>> from simvis_core.trust.faithfulness import RemovalCurve
    >>> from simvis_core.trust.measuring import Asked, Measured, alike
    >>> curve = RemovalCurve("deletion", torch.tensor([0.0, 1.0]), torch.tensor([0.5, 0.1]))
    >>> one = Measured(Asked("rise"), DrawnMap(torch.ones(1, 2), "rise", 1, 0.0), curve, curve)
    >>> alike({"rise": one, "lime": one})
    [['rise', 'lime']]
    """
    groups: dict[tuple[bytes, bytes], list[str]] = {}
    for name, one in measured.items():
        curves = tuple(curve.scores.numpy().tobytes() for curve in (one.insertion, one.deletion))
        groups.setdefault((curves[0], curves[1]), []).append(name)
    return [names for names in groups.values() if len(names) > 1]


def compared(measured: Mapping[str, Measured], randoms: Sequence[Measured], centre: Measured) -> Compared:
    """How each map that is no baseline compares with chance; None where no order of places can matter.

    >>> import torch
    >>> from simvis_core.explainers.table import DrawnMap
    >>> from simvis_core.trust.faithfulness import RemovalCurve
    >>> from simvis_core.trust.measuring import Asked, Measured, compared
    >>> def measured(explainer, *scores):
    ...     curves = (RemovalCurve("deletion", torch.tensor([0.0, 1.0]), torch.tensor(ends)) for ends in scores)
    ...     return Measured(Asked(explainer), DrawnMap(torch.ones(1, 2), explainer, 1, 0.0), *curves)
    ...
    >>> chance = measured("random", [0.1, 0.5], [0.5, 0.1])
    >>> compared({"rise": measured("rise", [0.5, 0.5], [0.5, 0.1])}, [chance, chance], centre=chance)
    {'rise': 'better than chance'}
    """
    gaps = [one.gap for one in randoms]
    return {
        name: None if one.flat else against_chance(one.gap, gaps, centre.gap)
        for name, one in measured.items()
        if not EXPLAINERS[one.drawn.explainer].baseline
    }


def asked_of(
    explainer: str,
    setting: str,
    seed: float | None,
    fill: str,
    steps: int = CURVE_STEPS,
    parameters: Mapping[str, float] | None = None,
) -> Asked:
    """How a map is to be measured, checked where it enters; "pair" counts for explainers that have that setting.

    ``steps`` are the curves' own; ``parameters`` are the explainer's, one of which may be called so, too.

    Raises SimvisError for an explainer, parameter, setting, fill or seed that there is not, and fewer than 2 steps.

    >>> from simvis_core.trust.measuring import asked_of
    >>> asked_of("rise", "fixed", seed=1, fill="blur", parameters={"masks": 100}).parameters
    (('masks', 100),)
    >>> asked_of("rise", "fixed", seed=-1, fill="blur")
    Traceback (most recent call last):
        ...
    simvis_core.errors.SimvisError: Got seed -1; wanted a whole number from 0 to 2147483647: choose one in that ...
    """
    entry = check_parameters(explainer, parameters or {})
    for what, value, offered in (("setting", setting, SETTINGS), ("fill", fill, tuple(FILLS))):
        if value not in offered:
            raise SimvisError(f"{what} '{value}'", f"one of {', '.join(offered)}", "choose one of these")
    number = 0 if seed is None else seed
    if not (0 <= number <= MOST_SEED and number == int(number)):
        raise SimvisError(f"seed {number:g}", f"a whole number from 0 to {MOST_SEED}", "choose one in that range")
    if steps < 2:
        raise SimvisError(f"{steps} steps", "at least 2", "take 51")
    applies: Setting = "pair" if setting == "pair" and "pair" in entry.settings else "fixed"
    return Asked(explainer, applies, int(number), fill, steps, tuple(sorted((parameters or {}).items())))
