"""A Space with ZeroGPU lends a graphics card for the length of one call: backbones there run inside such a call."""

import importlib
import itertools
import os
from typing import Any
from weakref import WeakValueDictionary

from model_zoo.running.devices import Elsewhere, on_device, there_and_back
from simvis_core import EmbeddingNetwork

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
        _ = network.fingerprint  # kept from now on: it is of the network as it was
        head = network.head
        network.head = None
        on_device(network, "cuda")
        network.head = head
        number = next(self._count)
        self._backbones[number] = network.backbone
        network.backbone = Elsewhere(network.backbone, lambda pixels: self._call(number, pixels))
        return network

    def _forward(self, number: int, pixels: Any) -> Any:
        return there_and_back(self._backbones[number], pixels)
