"""A network cut at a layer: the part in front gives the layer's output, the part behind runs from a given one."""

import copy
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from simvis_core.networks.backbone import Activations

PIXELS, FEATURES = "pixels", "features"  # the two layers that are no module: what goes in, and what is pooled


def run_through(backbone: nn.Module, pixels: Tensor) -> Activations:
    """What a backbone gives, as `Activations`: features, or pooled vectors as features of one cell.

    >>> import torch
    >>> from torch import nn
    >>> from simvis_core.networks.depth.behind import run_through
    >>> run_through(nn.Conv2d(3, 4, 8, 8), torch.rand(1, 3, 16, 16)).features.shape
    torch.Size([1, 4, 2, 2])
    """
    output = backbone(pixels)
    if isinstance(output, Activations):
        return output
    return Activations(output) if output.ndim == 4 else Activations(output[:, :, None, None], output)


class _Reached(BaseException):
    """The layer has given its output; no part of the network is to take this for an error of its own."""


class Calls:
    """What the modules of a backbone gave in one pass: shapes of all, in the order they were done, outputs of some.

    >>> import torch
    >>> from torch import nn
    >>> from simvis_core.networks.depth.behind import Calls
    >>> first, second = nn.Conv2d(3, 4, 4, 4), nn.ReLU()
    >>> calls = Calls(frozenset([second]))
    >>> calls.note(first, torch.zeros(1, 4, 2, 2))
    >>> calls.note(second, torch.ones(1, 4, 2, 2))
    >>> calls.before(second) == [first], calls.again, calls.kept[second].sum()
    (True, set(), tensor(16.))
    """

    def __init__(self, wanted: frozenset[nn.Module]) -> None:
        self.wanted = wanted
        self.shapes: dict[nn.Module, list[tuple[int, ...] | None]] = {}
        self.kept: dict[nn.Module, Tensor] = {}

    def note(self, module: nn.Module, output: Any) -> None:
        """Takes down an output; what is wanted is copied, since a next layer with inplace=True writes over it."""
        numbers = isinstance(output, Tensor) and output.ndim > 0 and output.is_floating_point()
        self.shapes.setdefault(module, []).append(tuple(output.shape) if numbers else None)
        if numbers and module in self.wanted:
            self.kept[module] = output.clone()

    @property
    def again(self) -> set[nn.Module]:
        """Modules that ran more than once."""
        return {module for module, shapes in self.shapes.items() if len(shapes) > 1}

    def before(self, layer: nn.Module) -> list[nn.Module]:
        """The modules done before the layer was, without its own parts."""
        own, done = set(layer.modules()), list(self.shapes)
        return [module for module in done[: done.index(layer)] if module not in own]


@contextmanager
def noting(backbone: nn.Module, wanted: Iterable[nn.Module], until: nn.Module | None = None) -> Iterator[Calls]:
    """Takes down what the modules give while this is open; ends the pass with `_Reached` as ``until`` is done.

    >>> import torch
    >>> from torch import nn
    >>> from simvis_core.networks.depth.behind import noting
    >>> backbone = nn.Sequential(nn.Conv2d(3, 4, 4, 4))
    >>> with noting(backbone, [backbone[0]]) as calls:
    ...     _ = backbone(torch.zeros(1, 3, 8, 8))
    ...
    >>> calls.kept[backbone[0]].shape
    torch.Size([1, 4, 2, 2])
    """
    calls = Calls(frozenset(wanted))

    def note(module: nn.Module, _inputs: Any, output: Any) -> None:
        calls.note(module, output)
        if module is until:
            raise _Reached

    hooks = [module.register_forward_hook(note) for module in backbone.modules()]
    try:
        yield calls
    finally:
        for hook in hooks:
            hook.remove()


def _zeros(shape: tuple[int, ...], like: Tensor) -> Callable[..., Tensor]:
    return lambda *_args, **_kwargs: torch.zeros(len(like), *shape, dtype=like.dtype, device=like.device)


def twin(backbone: nn.Module) -> nn.Module:
    """A copy of the modules that shares the weights' memory, and whose weights ask for no gradients.

    >>> from torch import nn
    >>> from simvis_core.networks.depth.behind import twin
    >>> one = nn.Linear(2, 2)
    >>> other = twin(one)
    >>> other.weight.data_ptr() == one.weight.data_ptr(), other.weight.requires_grad
    (True, False)
    """
    memo: dict[int, Any] = {id(p): nn.Parameter(p.detach(), requires_grad=False) for p in backbone.parameters()}
    memo |= {id(buffer): buffer for buffer in backbone.buffers()}
    return copy.deepcopy(backbone, memo).eval()


class Behind:
    """A backbone cut at a module of it, at the pixels, or at its features; safe to use from several threads.

    It holds a copy of the backbone's modules that shares the weights' memory, so that nothing else that runs the
    backbone sees the cut, and no gradients of weights are made. Modules that are done before the layer are not run
    where a layer's output is given: what they would give reaches nothing behind a cut, and zeros stand for it.

    >>> import torch
    >>> from torch import nn
    >>> from simvis_core.networks.depth.behind import Behind, noting
    >>> backbone = nn.Sequential(nn.Conv2d(3, 4, 4, 4), nn.ReLU(), nn.Conv2d(4, 5, 2, 2)).eval()
    >>> cut, pixels = Behind(backbone, "1"), torch.rand(1, 3, 16, 24)
    >>> output = cut.front(pixels)
    >>> output.shape
    torch.Size([1, 4, 4, 6])
    >>> torch.equal(cut.run(output, (16, 24)).features, backbone(pixels))
    True
    >>> torch.equal(cut.whole(pixels)[1], output), cut.repeats
    (True, False)
    >>> with noting(backbone, [backbone[1]]) as calls:
    ...     _ = backbone(pixels)
    ...
    >>> torch.equal(Behind.of_pass(backbone, "1", calls, pixels).run(output, (16, 24)).features, backbone(pixels))
    True
    """

    def __init__(self, backbone: nn.Module, layer: str) -> None:
        self.layer = layer
        self._backbone = twin(getattr(backbone, "eager", backbone))
        self._module = None if layer in (PIXELS, FEATURES) else self._backbone.get_submodule(layer)
        self.proved: set[tuple[object, ...]] = set()  # the cases in which a map at this layer was seen to add up
        self._lock = threading.RLock()
        self._shapes: dict[tuple[int, int], dict[nn.Module, tuple[int, ...]]] = {}  # of what stands in front, by size
        self._again: set[nn.Module] = set()  # modules that run more than once: what they give is not one thing

    @classmethod
    def of_pass(cls, copied: nn.Module, layer: str, calls: Calls, pixels: Tensor) -> "Behind":
        """A cut at a module of a copy that ``calls`` noted one pass of ``pixels`` through: no pass, no new copy.

        For trying out one layer after the other: cuts that share a copy do not run at the same time.
        """
        made = cls.__new__(cls)
        made.layer, made._backbone, made._module = layer, copied, copied.get_submodule(layer)
        made.proved, made._lock, made._shapes, made._again = set(), threading.RLock(), {}, set()
        made._noted(calls, pixels)
        return made

    def whole(self, pixels: Tensor) -> tuple[Activations, Tensor]:
        """One forward pass: what the backbone gives, and what the layer gave on the way."""
        pixels = self._fitting(pixels)
        if self._module is None:
            output = run_through(self._backbone, pixels)
            return output, pixels if self.layer == PIXELS else output.features
        with self._lock, noting(self._backbone, [self._module]) as calls:
            output = run_through(self._backbone, pixels)
            self._noted(calls, pixels)
        return output, calls.kept[self._module]

    def front(self, pixels: Tensor) -> Tensor:
        """What the layer gives for pixels (B, 3, h, w); nothing behind the layer is run."""
        pixels = self._fitting(pixels)
        if self._module is None:
            return pixels if self.layer == PIXELS else run_through(self._backbone, pixels).features
        with self._lock, noting(self._backbone, [self._module], self._module) as calls:
            try:
                run_through(self._backbone, pixels)
            except _Reached:
                self._noted(calls, pixels)
        return calls.kept[self._module]

    def run(self, output: Tensor, size: tuple[int, int]) -> Activations:
        """What the backbone makes of an output of the layer (B, ...) for views of ``size``; gradients flow.

        ``size`` is one that `front` or `whole` was asked for before.
        """
        if self._module is None:
            return Activations(output) if self.layer == FEATURES else run_through(self._backbone, output.clone())
        pixels = torch.zeros(len(output), 3, *size, dtype=output.dtype, device=output.device)
        with self._lock, self._standing(output, self._shapes[size]):
            return run_through(self._backbone, pixels)

    @property
    def repeats(self) -> bool:
        """Whether the layer was seen to run more than once in a pass, so that it gives no one output."""
        return self._module in self._again

    def _fitting(self, pixels: Tensor) -> Tensor:
        return pixels.to(next(self._backbone.parameters(), pixels))

    def _noted(self, calls: Calls, pixels: Tensor) -> None:
        """Remembers what is done before the layer, and in what shape: the outermost modules that ran once."""
        assert self._module is not None
        self._again |= calls.again
        shapes = {module: calls.shapes[module][0] for module in calls.before(self._module)}
        one_thing = {module: shape[1:] for module, shape in shapes.items() if shape and shape[0] == len(pixels)}
        inner = {part for module in one_thing for part in module.modules() if part is not module}
        size = (pixels.shape[2], pixels.shape[3])
        self._shapes[size] = {module: shape for module, shape in one_thing.items() if module not in inner}

    @contextmanager
    def _standing(self, output: Tensor, shapes: dict[nn.Module, tuple[int, ...]]) -> Iterator[None]:
        """The copy's modules in front give zeros, and the layer gives ``output``."""
        assert self._module is not None
        stand_ins: dict[nn.Module, Callable[..., Tensor]] = {
            module: _zeros(shape, output) for module, shape in shapes.items() if module not in self._again
        }
        stand_ins[self._module] = lambda *_args, **_kwargs: output.clone()  # which layers with inplace=True write over
        for module, stand_in in stand_ins.items():
            module.__dict__["forward"] = stand_in
        try:
            yield
        finally:
            for module in stand_ins:
                del module.__dict__["forward"]
