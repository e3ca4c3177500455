"""A batch on several cores: a part of it on each, in threads that compute alone."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import TypeVar

import torch
from jaxtyping import Float
from threadpoolctl import threadpool_limits
from torch import Tensor

from simvis_core.networks.network import EmbeddingNetwork

Given = TypeVar("Given")


class Cores:
    """Threads among which a batch is shared out, as many as PyTorch computes with.

    PyTorch itself shares out every single operation, and its threads wait for each other after each: where readers of
    pictures use the same cores, all wait for the one that gave way. A thread with a part of the batch waits at its end
    only. On a graphics card, and under an engine with threads of its own, the batch stays whole.

    >>> import torch
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork
    >>> from simvis_core.galleries.cores import Cores
    >>> with Cores(EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8))) as cores:
    ...     sums = cores.mapped(lambda part: part.sum(), torch.ones(5, 3, 8, 8))
    ...
    >>> float(sum(sums)), len(sums) == min(5, cores.count)
    (960.0, True)
    """

    def __init__(self, network: EmbeddingNetwork) -> None:
        weight = next(network.backbone.parameters(), torch.empty(0))
        shared = network.engine == "eager" and weight.device.type == "cpu"
        self.count = torch.get_num_threads() if shared else 1
        self._threads = ThreadPoolExecutor(self.count, initializer=_alone) if self.count > 1 else None

    def mapped(
        self, work: Callable[[Float[Tensor, "b 3 h w"]], Given], pixels: Float[Tensor, "B 3 h w"]
    ) -> list[Given]:
        """What ``work`` gives for each part of the batch, in its order. Raises what it raises."""
        if self._threads is None:
            return [work(pixels)]
        return list(self._threads.map(work, pixels.tensor_split(min(self.count, len(pixels)))))

    def __enter__(self) -> "Cores":
        """The threads themselves."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends the threads once they have done what they are at."""
        if self._threads is not None:
            self._threads.shutdown(cancel_futures=True)


_told = threading.Lock()  # threadpoolctl looks through the process's libraries, one at a time


def _alone() -> None:
    """Lets this thread compute without helpers; OpenMP keeps that number by thread, so that others keep theirs."""
    torch.get_num_threads()  # sets this thread's number, at its first use
    with _told:
        threadpool_limits(1, user_api="openmp")
