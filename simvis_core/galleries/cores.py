"""A batch on several cores: a part of it on each, in threads that compute alone."""

import threading
from collections.abc import Callable, Sequence, Sized
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import TypeVar

import torch
from jaxtyping import Float
from threadpoolctl import threadpool_limits
from torch import Tensor, nn

from simvis_core.networks.network import EmbeddingNetwork

Given = TypeVar("Given")


class Cores:
    """Threads among which a batch is shared out, as many as PyTorch computes with.

    PyTorch itself shares out every single operation, and its threads wait for each other after each: where readers of
    pictures use the same cores, all wait for the one that gave way. A thread with a part of the batch waits at its end
    only. On a graphics card, and under an engine other than PyTorch itself, the batch stays whole.

    So it does with a network that keeps something of a pass in its modules, or has hooks: of two passes at once, each
    would meet what the other keeps. Batches stay whole until one has left every module as it was.

    >>> import torch
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork
    >>> from simvis_core.galleries.cores import Cores
    >>> with Cores(EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8))) as cores:
    ...     first, then = (cores.mapped(lambda part: part.sum(), torch.ones(5, 3, 8, 8)) for _ in range(2))
    ...
    >>> float(sum(first)), len(first), float(sum(then)), len(then) == min(5, cores.count)
    (960.0, 1, 960.0, True)
    """

    def __init__(self, network: EmbeddingNetwork) -> None:
        weight = next(network.backbone.parameters(), torch.empty(0))
        shared = network.engine == "eager" and weight.device.type == "cpu"
        self.count = torch.get_num_threads() if shared else 1
        self._threads = ThreadPoolExecutor(self.count, initializer=_alone) if self.count > 1 else None
        self._modules = [*network.backbone.modules(), *(network.head.modules() if network.head is not None else ())]
        self._keeps_nothing = False

    def mapped(
        self, work: Callable[[Float[Tensor, "b 3 h w"]], Given], pixels: Float[Tensor, "B 3 h w"]
    ) -> list[Given]:
        """What ``work`` gives for each part of the batch, in its order. Raises what it raises."""
        if self._threads is None:
            return [work(pixels)]
        if not self._keeps_nothing:
            before = _kept(self._modules)
            made = work(pixels)
            self._keeps_nothing = not _hooked(self._modules) and _alike(before, _kept(self._modules))
            return [made]
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


def _hooked(modules: Sequence[nn.Module]) -> bool:
    return any(module._forward_hooks or module._forward_pre_hooks for module in modules)


def _kept(modules: Sequence[nn.Module]) -> list[tuple[object, int]]:
    """Everything that the modules hold, themselves no copies, with how often a tensor was written to, or a length."""
    held = [value for module in modules for part in (vars(module), module._buffers) for value in part.values()]
    return [(value, _written(value)) for value in held]


def _written(value: object) -> int:
    if isinstance(value, Tensor):
        return -1 if value.is_inference() else value._version
    return len(value) if isinstance(value, Sized) else -1


def _alike(before: list[tuple[object, int]], after: list[tuple[object, int]]) -> bool:
    return len(before) == len(after) and all(
        one is other and often == now for (one, often), (other, now) in zip(before, after, strict=True)
    )


_told = threading.Lock()  # threadpoolctl looks through the process's libraries, one at a time


def _alone() -> None:
    """Lets this thread compute without helpers; OpenMP keeps that number by thread, so that others keep theirs."""
    torch.get_num_threads()  # sets this thread's number, at its first use
    with _told:
        threadpool_limits(1, user_api="openmp")
