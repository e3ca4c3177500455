"""A Space with ZeroGPU lends a graphics card for the length of one call: backbones there run inside such a call."""

import importlib
import itertools
import os
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from model_zoo.running.devices import Elsewhere, moved, there_and_back
from simvis_core import EmbeddingNetwork

if TYPE_CHECKING:
    from torch import Tensor

LENT = "SPACES_ZERO_GPU"  # set by the Space


def lent() -> bool:
    """Whether this process runs on such a Space."""
    return bool(os.environ.get(LENT))


class LentGpu:
    """Runs the backbones it is given on the lent card; what they give comes back to the processor.

    The Space starts the process that has the card as a copy of this one, so a backbone is called by its number in a
    table that both have: weights are not sent with each call. The table forgets what nobody uses any more.
    """

    def __init__(self) -> None:
        self._backbones: WeakValueDictionary[int, Any] = WeakValueDictionary()
        self._count = itertools.count()
        self._call = importlib.import_module("spaces").GPU(self._forward)

    def placed(self, network: EmbeddingNetwork) -> EmbeddingNetwork:
        """The network with its backbone on the card. Raises SimvisError where there is none."""
        lent, number = moved(network.backbone, "cuda"), next(self._count)
        self._backbones[number] = lent
        elsewhere = Elsewhere(lent, lambda pixels: self._call(number, pixels))
        return network.with_backbone(elsewhere, engine=network.engine)

    def _forward(self, number: int, pixels: "Tensor") -> Any:
        return there_and_back(self._backbones[number], pixels)
