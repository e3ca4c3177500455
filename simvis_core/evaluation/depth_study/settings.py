"""What the study of depths compares: tables of settings, and how a setting's map is drawn."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from simvis_core.decomposition import Decomposition
from simvis_core.errors import SimvisError
from simvis_core.explainers.depths.combined import CombinedMap, finer_shares, mean_over_depths
from simvis_core.explainers.depths.ladder import deepened, layer_at
from simvis_core.explainers.depths.layer_maps import LayerMap, layer_map, split_at
from simvis_core.explainers.question import Question
from simvis_core.networks.depth.depth import Rule

Together = Literal["mean", "shares"]
LayerAsked = tuple[int, Rule, tuple[str, ...], int]  # depth, rule, references, points of a path
USUAL_STEPS, USUAL_REFERENCE = 8, ("blur",)


@dataclass(frozen=True)
class DepthSetting:
    """One way to draw a map at depths: which, by which rule, from which references, in how many steps, and together.

    >>> from simvis_core.evaluation.depth_study.settings import DepthSetting
    >>> DepthSetting((2,), reference=("blur", "mean"), steps=4).name
    'path 2, blur + mean, 4 steps'
    >>> [DepthSetting((0, 2), together=one).name for one in ("mean", "shares")]
    ['mean 0 + 2, blur, 8 steps', 'shares 0 by 2, blur, 8 steps']
    >>> DepthSetting((0,)).name, DepthSetting((1,), "frozen").title
    ('depth 0', 'frozen 1')
    >>> DepthSetting((0, 2)).layers
    ((0, 'path', ('blur',), 8), (2, 'path', ('blur',), 8))
    """

    depths: tuple[int, ...]
    rule: Rule = "path"
    reference: tuple[str, ...] = USUAL_REFERENCE
    steps: int = USUAL_STEPS
    together: Together = "mean"

    @property
    def title(self) -> str:
        """Its name without what all settings of a study have in common."""
        several = " by " if self.together == "shares" else " + "
        listed = several.join(map(str, self.depths))
        if self.depths == (0,):
            return "depth 0"
        return f"{self.together if len(self.depths) > 1 else self.rule} {listed}"

    @property
    def name(self) -> str:
        """What tells it from every other one."""
        if self.rule == "frozen" or self.depths == (0,):
            return self.title
        return f"{self.title}, {' + '.join(self.reference)}, {self.steps} steps"

    @property
    def layers(self) -> tuple[LayerAsked, ...]:
        """What is drawn for it, layer by layer."""
        return tuple((depth, self.rule, self.reference, self.steps) for depth in self.depths)


@dataclass(eq=False)
class LayersDrawn:
    """The maps of one question at layers, each drawn once for all settings, with the seconds it took.

    >>> import torch
    >>> from PIL import Image
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork, Preprocess
    >>> from simvis_core.evaluation.depth_study.settings import DepthSetting, LayersDrawn
    >>> from simvis_core.explainers.question import Question
    >>> backbone = nn.Sequential(nn.Conv2d(3, 4, 4, 4), nn.ReLU(), nn.Conv2d(4, 5, 2, 2))
    >>> net = EmbeddingNetwork(backbone, preprocess=Preprocess(short_side=16, stride=8))
    >>> view = net.view(Image.linear_gradient("L").resize((60, 40)))
    >>> drawn = LayersDrawn(Question(net, view, torch.ones(5)))
    >>> made, seconds = drawn.map(DepthSetting((0, 2)))
    >>> made.map.shape, made.passes, len(drawn.known), seconds > 0
    (torch.Size([4, 6]), 11, 2, True)
    >>> drawn.split((2, "path", ("blur",), 8)).grid
    (4, 6)
    """

    question: Question
    known: dict[LayerAsked, tuple[LayerMap, float]] = field(default_factory=dict)

    def map(self, setting: DepthSetting) -> tuple[CombinedMap, float]:
        """The setting's map and the seconds its parts took. Raises SimvisError for a depth that is not there."""
        parts = [self._layer(asked) for asked in setting.layers]
        combine: Callable[..., CombinedMap] = COMBINED[setting.together]
        return combine([part for part, _ in parts]), sum(seconds for _, seconds in parts)

    def _layer(self, asked: LayerAsked) -> tuple[LayerMap, float]:
        if asked not in self.known:
            depth, rule, reference, steps = asked
            given = reference[0] if len(reference) == 1 else list(reference)
            deepened(self.question.network, layer_at(self.question.network, depth), rule, given)  # proved untimed
            started = time.perf_counter()
            found = layer_map(self.question, depth, rule, given, steps)
            self.known[asked] = found, time.perf_counter() - started
        return self.known[asked]

    def split(self, asked: LayerAsked) -> Decomposition:
        """The view's embedding as a sum over the cells of one of the layers."""
        depth, rule, reference, steps = asked
        return split_at(self.question, depth, rule, reference[0] if len(reference) == 1 else list(reference), steps)


def _shares(parts: list[LayerMap]) -> CombinedMap:
    if len(parts) != 2:
        raise SimvisError(f"shares of {len(parts)} maps", "a coarse and a finer one", "name two depths")
    return finer_shares(*parts)


def studied(steps: int = USUAL_STEPS, reference: tuple[str, ...] = USUAL_REFERENCE) -> list[DepthSetting]:
    """The settings of the study, with the steps and the references that the screening picked.

    >>> from simvis_core.evaluation.depth_study.settings import studied
    >>> [setting.title for setting in studied()][:3]
    ['depth 0', 'path 1', 'path 2']
    """
    return [
        DepthSetting((0,)),
        *(DepthSetting((depth,), "path", reference, steps) for depth in (1, 2)),
        DepthSetting((1,), "frozen"),
        *(DepthSetting(depths, "path", reference, steps) for depths in ((0, 2), (0, 1, 2), (0, 1, 2, 3))),
        DepthSetting((0, 2), "path", reference, steps, "shares"),
    ]


COMBINED: dict[Together, Callable[..., CombinedMap]] = {"mean": mean_over_depths, "shares": _shares}
STEPS_SCREENED = tuple(DepthSetting((2,), steps=steps) for steps in (4, 8, 16))
REFERENCES_SCREENED = tuple(
    DepthSetting((2,), reference=reference) for reference in (("blur",), ("mean",), ("grey",), ("blur", "mean"))
)
SCREENED: tuple[DepthSetting, ...] = tuple(
    dict.fromkeys((*studied(), *STEPS_SCREENED, *REFERENCES_SCREENED, DepthSetting((3,)), DepthSetting((2,), "frozen")))
)
