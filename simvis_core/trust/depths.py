"""Which of a network's depths a picture's score follows most closely."""

from collections.abc import Mapping

from simvis_core.explainers.table import depth_drawn
from simvis_core.trust.measuring import Measured


def closest_depth(measured: Mapping[str, Measured]) -> str | None:
    """The name of the measured map at a single depth whose gap is the largest; the coarser of equals.

    None where fewer than two depths are measured. On one pair it is a hint: `evaluate --depths` measures many.

    >>> from PIL import Image
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork, Preprocess, explain_pair
    >>> from simvis_core.steps import run
    >>> from simvis_core.trust.depths import closest_depth
    >>> from simvis_core.trust.measuring import Asked, measuring, question_of
    >>> layers = [nn.Conv2d(3, 4, 4, 4), nn.ReLU(), nn.Conv2d(4, 4, 2, 2)]
    >>> net = EmbeddingNetwork(nn.Sequential(*layers), preprocess=Preprocess(short_side=32, stride=8))
    >>> pictures = [Image.linear_gradient("L").resize((side, 40)) for side in (60, 40)]
    >>> asked = question_of(explain_pair(net, *pictures), "a")
    >>> names = ["decomposition_bias", "path_at_depth_1"]
    >>> measured = {name: run(measuring(asked, Asked(name, steps=5))) for name in names}
    >>> closest_depth(measured) == max(names, key=lambda name: measured[name].gap), closest_depth({})
    (True, None)
    """
    depths = {name: depth for name in measured if (depth := depth_drawn(name)) is not None}
    if len(depths) < 2:
        return None
    return max(sorted(depths, key=lambda name: depths[name]), key=lambda name: measured[name].gap)
