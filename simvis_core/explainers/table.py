"""Every way to draw where a query's score comes from: one table, one call."""

import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

from jaxtyping import Float
from torch import Tensor

from simvis_core.decomposition import Decomposition
from simvis_core.errors import SimvisError
from simvis_core.explainers.baselines import centre_map, random_map
from simvis_core.explainers.depths.drawers import mean_of_depths, path_at_depth, shares_by_depth
from simvis_core.explainers.gradients import (
    grad_cam,
    hires_cam,
    input_x_gradient,
    integral_left,
    integrated_gradients,
)
from simvis_core.explainers.learned_mask import mask
from simvis_core.explainers.masked import Setting, corr_rise, lime, rise, sbsm, sliding_window
from simvis_core.explainers.question import Drawer, Interim, Question, Steps, finite
from simvis_core.explainers.rollout import attention_rollout
from simvis_core.networks.network import EmbeddingNetwork
from simvis_core.pictures.views import View
from simvis_core.steps import Ended, advanced, counted, run

Needs = Literal["features", "gradients", "layers", "scores", "attention", "nothing"]


@dataclass(frozen=True)
class Explainer:
    """One way to draw a map: its function, source, what it needs, and how to read what it gives.

    ``passes`` is about how many pictures are run, on a square view. ``additive``: the map's sum is meant to be the
    score, less a remainder that is shown. ``black_box``: it needs nothing but embeddings. ``parameters`` are its
    paper's, which `draw_map` takes others for. ``settings``: whether the reference can be masked as well. ``unit``
    says what a value of the map is. ``left`` gives what an integral's points leave over of a map's sum, where they do.

    >>> from simvis_core.explainers import EXPLAINERS
    >>> EXPLAINERS["rise"].black_box, EXPLAINERS["rise"].looks_inside
    (True, False)
    >>> EXPLAINERS["integrated_gradients"].black_box, EXPLAINERS["integrated_gradients"].looks_inside
    (False, True)
    """

    draw: Drawer
    title: str
    paper: str
    unit: str
    needs: Needs
    passes: int
    additive: bool = False
    parameters: Mapping[str, Any] = field(default_factory=dict)
    settings: tuple[Setting, ...] = ("fixed",)
    baseline: bool = False
    left: Callable[[Question, Tensor], float] | None = None

    @property
    def black_box(self) -> bool:
        """Whether any network that gives embeddings will do."""
        return self.needs in ("scores", "nothing")

    @property
    def looks_inside(self) -> bool:
        """Whether it needs PyTorch's own network: gradients, layers or attention."""
        return self.needs in ("gradients", "layers", "attention")


@dataclass(frozen=True, eq=False)
class DrawnMap:
    """A map over a view, signed, and how it came about.

    ``map`` is any even grid over the view: cells, a lattice or pixels. ``passes`` counts the pictures run through the
    network for it: masked ones, those on a way, or the picture itself where nothing else is run. ``seconds`` is the
    time that took, without waiting. ``left`` is what the points of an integral missed, in units of the score, which
    takes a pass or two beside those; None for a map that is none.
    """

    map: Float[Tensor, "H W"]
    explainer: str
    passes: int
    seconds: float
    setting: Setting = "fixed"
    seed: int = 0
    parameters: Mapping[str, Any] = field(default_factory=dict)
    left: float | None = None


MapDrawing = Generator[Interim, None, DrawnMap]


def draw_map(
    explainer: str,
    network: EmbeddingNetwork,
    view: View,
    query: Float[Tensor, " D"],
    *,
    query_bias: Float[Tensor, " D"] | None = None,
    reference: View | None = None,
    setting: Setting = "fixed",
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
    **parameters: Any,
) -> DrawnMap:
    """The map by an explainer of EXPLAINERS of what a query scores on a view; see `Question` and `Explainer`.

    Raises SimvisError for a name, setting or parameter it does not have, and for a network it cannot explain.

    >>> import torch
    >>> from PIL import Image
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork, Preprocess
    >>> from simvis_core.explainers import draw_map
    >>> net = EmbeddingNetwork(nn.Conv2d(3, 5, 8, 8), preprocess=Preprocess(short_side=32, stride=8))
    >>> drawn = draw_map("rise", net, net.view(Image.new("RGB", (60, 40))), torch.ones(5), seed=1, masks=20)
    >>> drawn.map.shape, drawn.passes, drawn.parameters
    (torch.Size([32, 48]), 20, {'masks': 20, 'cells': 8, 'chance': 0.5, 'coverage': 1})
    """
    question = Question(network, view, query, query_bias, reference)
    return run(drawing(explainer, question, setting, seed, **parameters), counted(progress))


def drawing(
    explainer: str, question: Question, setting: Setting = "fixed", seed: int = 0, **parameters: Any
) -> MapDrawing:
    """The map of a question by an explainer of EXPLAINERS, step by step; what `draw_map` runs to its end.

    Yields how far it is, with the map so far where there is one; ends with the `DrawnMap`. It can be left at any step.
    Raises SimvisError for a name, setting or parameter it does not have, and for a network it cannot explain.

    >>> import torch
    >>> from PIL import Image
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork, Preprocess
    >>> from simvis_core.explainers.question import Question
    >>> from simvis_core.explainers.table import drawing
    >>> net = EmbeddingNetwork(nn.Conv2d(3, 5, 8, 8), preprocess=Preprocess(short_side=32, stride=8))
    >>> question = Question(net, net.view(Image.new("RGB", (60, 40))), torch.ones(5))
    >>> step = next(drawing("rise", question, masks=20))
    >>> step.done, step.total, step.map.shape
    (20, 20, torch.Size([32, 48]))
    """
    entry = _checked(explainer, setting, parameters)
    asked = dict(entry.parameters) | parameters
    steps = entry.draw(question, seed=seed, **asked, **({"setting": setting} if len(entry.settings) > 1 else {}))
    spent, passes = 0.0, 0
    while True:
        started = time.perf_counter()
        step = advanced(steps)
        spent += time.perf_counter() - started
        if isinstance(step, Ended):
            map = finite(step.result.cpu(), explainer)
            left = None if entry.left is None else entry.left(question, map)
            return DrawnMap(map, explainer, passes, spent, setting, seed, asked, left)
        passes = step.done
        yield step


def check_parameters(name: str, parameters: Mapping[str, Any]) -> Explainer:
    """The explainer of a name.

    Raises SimvisError for a name that is not in the table, and a parameter it does not have or that is out of range.

    >>> from simvis_core.explainers.table import check_parameters
    >>> check_parameters("rise", {"masks": 100}).title
    'RISE'
    >>> check_parameters("rise", {"masks": 0})
    Traceback (most recent call last):
        ...
    simvis_core.errors.SimvisError: Got masks 0 for 'rise'; wanted a whole number from 1 to 20000: choose one ...
    """
    if name not in EXPLAINERS:
        raise SimvisError(f"explainer '{name}'", f"one of {', '.join(EXPLAINERS)}", "choose one of these")
    entry = EXPLAINERS[name]
    unknown = [parameter for parameter in parameters if parameter not in entry.parameters]
    if unknown:
        known = ", ".join(entry.parameters) or "none"
        raise SimvisError(f"parameter '{unknown[0]}' for '{name}'", f"of these: {known}", "leave it out")
    for parameter, value in parameters.items():
        least, most = RANGES[parameter]
        if not (isinstance(value, int) or isinstance(entry.parameters[parameter], float)) or not least <= value <= most:
            kind = "a number" if isinstance(entry.parameters[parameter], float) else "a whole number"
            raise SimvisError(
                f"{parameter} {value} for '{name}'", f"{kind} from {least:g} to {most:g}", "choose one in that range"
            )
    return entry


def _checked(name: str, setting: Setting, parameters: Mapping[str, Any]) -> Explainer:
    entry = check_parameters(name, parameters)
    if setting not in entry.settings:
        raise SimvisError(
            f"'{name}' in the setting '{setting}'", f"one of {', '.join(entry.settings)}", "choose one it has"
        )
    return entry


def _decomposition(question: Question, *, seed: int = 0, with_bias: bool = True) -> Steps:
    """Each cell's share of the score; without bias only what it shares with the other picture's cells (Zhu 2021)."""
    del seed
    split = _split(question)
    yield Interim(1, 1)
    query = question.query
    if not with_bias and question.query_bias is not None:
        query = query - question.query_bias
    return split.refined(query).similarity_map(query.to(split.embedding))


def _split(question: Question) -> Decomposition:
    split = question.split
    if split is None:
        raise SimvisError(
            f"{question.network.name} under '{question.network.pooling}', which cannot be split over cells",
            "an explainer that works on any network",
            f"choose one of {', '.join(name for name, entry in EXPLAINERS.items() if entry.black_box)}",
        )
    return split


SCORE = "units of the score"
PATH_DEPTHS = (1, 2, 3)  # with a row of their own: depth 0 is the decomposition's, pixels integrated gradients'


def path_named(depth: int) -> str:
    """The name in EXPLAINERS of the path at a depth.

    >>> from simvis_core.explainers.table import EXPLAINERS, path_named
    >>> EXPLAINERS[path_named(2)].title
    'Path at depth 2'
    """
    return f"path_at_depth_{depth}"


def depth_drawn(name: str) -> int | None:
    """The depth at which an explainer of a name draws; None for one that draws at no single depth.

    >>> from simvis_core.explainers.table import depth_drawn
    >>> depth_drawn("decomposition_bias"), depth_drawn("path_at_depth_3"), depth_drawn("rise")
    (0, 3, None)
    """
    return {"decomposition_bias": 0, **{path_named(depth): depth for depth in PATH_DEPTHS}}.get(name)


def _path_at(depth: int) -> Explainer:
    return Explainer(
        partial(path_at_depth, depth=depth),
        f"Path at depth {depth}",
        "Sundararajan 2017; Dhamdhere 2018",
        SCORE,
        "layers",
        10,
        True,
        {"depth": depth, "steps": 8},
    )


# What a parameter may be, whichever explainer has it. The upper ends keep a mistake from taking a day or all memory.
RANGES: dict[str, tuple[float, float]] = {
    "masks": (1, 20_000),
    "samples": (1, 5000),
    "segments": (1, 300),
    "steps": (1, 2000),
    "depth": (0, 8),
    "depths": (1, 9),
    "cells": (1, 64),
    "chance": (0.01, 1),
    "coverage": (0, 1),
    "window": (1, 32),
    "step": (1, 64),
    "steps_a_side": (1, 64),
    "patches": (1, 64),
    "side": (0.001, 1),
    "width": (0.01, 100),
    "alpha": (1e-9, 1e9),
    "rate": (1e-6, 10),
    "sparse": (0, 100),
    "smooth": (0, 100),
    "power": (1, 10),
}
_PAIR: tuple[Setting, ...] = ("fixed", "pair")
EXPLAINERS: dict[str, Explainer] = {
    "decomposition": Explainer(
        partial(_decomposition, with_bias=False),
        "Decomposition",
        "Zhu 2021; Stylianou 2019",
        SCORE,
        "features",
        1,
        True,
    ),
    "decomposition_bias": Explainer(_decomposition, "Decomposition + bias", "Zhu 2021", SCORE, "features", 1, True),
    "grad_cam": Explainer(grad_cam, "Grad-CAM", "Selvaraju 2017; Zhu 2021", SCORE, "features", 1),
    "grad_cam_normalised": Explainer(
        partial(grad_cam, normalised=True), "Grad-CAM of the cosine", "Selvaraju 2017", SCORE, "features", 1
    ),
    "hires_cam": Explainer(hires_cam, "RGrad-CAM / HiResCAM", "Zhu 2021; Draelos 2020", SCORE, "features", 1),
    "input_x_gradient": Explainer(input_x_gradient, "Input x gradient", "Shrikumar 2016", SCORE, "gradients", 1),
    "integrated_gradients": Explainer(
        integrated_gradients,
        "Integrated gradients",
        "Sundararajan 2017",
        SCORE,
        "gradients",
        50,
        True,
        {"steps": 50},
        left=integral_left,
    ),
    **{path_named(depth): _path_at(depth) for depth in PATH_DEPTHS},
    "mean_of_depths": Explainer(
        mean_of_depths,
        "Mean over depths",
        "this project, over Dhamdhere 2018",
        SCORE,
        "layers",
        21,
        True,
        {"depths": 3, "steps": 8},
    ),
    "shares_by_depth": Explainer(
        shares_by_depth,
        "Coarse shares, drawn finer",
        "this project, over Dhamdhere 2018",
        SCORE,
        "layers",
        11,
        True,
        {"depth": 2, "steps": 8},
    ),
    "sliding_window": Explainer(
        sliding_window,
        "Sliding window",
        "Zeiler 2014; Plummer 2020",
        SCORE,
        "scores",
        1225,
        parameters={"window": 8, "steps_a_side": 28},
    ),
    "rise": Explainer(
        rise,
        "RISE",
        "Petsiuk 2018, divided by how often each pixel was shown; Plummer 2020",
        SCORE,
        "scores",
        2000,
        parameters={"masks": 2000, "cells": 8, "chance": 0.5, "coverage": 1},
        settings=_PAIR,
    ),
    "lime": Explainer(
        lime,
        "LIME",
        "Ribeiro 2016; Plummer 2020",
        SCORE,
        "scores",
        1000,
        parameters={"samples": 1000, "segments": 50, "width": 0.25, "alpha": 1.0},
        settings=_PAIR,
    ),
    "mask": Explainer(
        mask,
        "Mask",
        "Fong & Vedaldi 2017; Plummer 2020",
        "share that is blurred, 0 to 1",
        "gradients",
        500,
        parameters={"cells": 8, "steps": 500, "rate": 0.1, "sparse": 0.01, "smooth": 0.2, "power": 3.0},
        settings=_PAIR,
    ),
    "corr_rise": Explainer(
        corr_rise,
        "CorrRISE",
        "Lu 2024",
        "correlation with the score, -1 to 1",
        "scores",
        500,
        parameters={"masks": 500, "patches": 3, "side": 30 / 112},
    ),
    "sbsm": Explainer(
        sbsm,
        "SBSM",
        "Dong 2019",
        "Euclidean distance",
        "scores",
        169,
        parameters={"window": 5, "step": 2, "steps_a_side": 22},
    ),
    "attention_rollout": Explainer(
        attention_rollout, "Attention rollout", "Abnar & Zuidema 2020", "share of attention, 0 to 1", "attention", 1
    ),
    "random": Explainer(random_map, "Random", "baseline", "noise", "nothing", 0, baseline=True),
    "centre": Explainer(
        centre_map, "Centre", "baseline", "closeness to the centre, 0 to 1", "nothing", 0, baseline=True
    ),
}
