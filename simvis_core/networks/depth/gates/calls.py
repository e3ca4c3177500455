"""Calls of PyTorch's operators as a mode sees them: their plain names, and whether they are affine."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

# Spellings of one operator.
_SPELT = {
    "__iadd__": "add",
    "__radd__": "add",
    "__isub__": "sub",
    "__imul__": "mul",
    "__rmul__": "mul",
    "multiply": "mul",
    "__itruediv__": "div",
    "__truediv__": "div",
    "true_divide": "div",
    "divide": "div",
    "__matmul__": "matmul",
    "clip": "clamp",
    "_softmax": "softmax",
    "__rpow__": "exp2",
    "__rdiv__": "reciprocal",
    "__rtruediv__": "reciprocal",
    "__pow__": "pow",
    "linalg_vector_norm": "norm",
    "vector_norm": "norm",
}
_CHANGING = frozenset(["__iadd__", "__isub__", "__imul__", "__itruediv__"])


@dataclass(frozen=True)
class Call:
    """One call of an operator: its plain name, the function itself, and what it is called with.

    >>> import torch
    >>> from simvis_core.networks.depth.gates.calls import Call
    >>> call = Call("relu", torch.relu, (torch.tensor([-1.0, 1.0]),), {})
    >>> call.run(), call.given(0, "input"), call.given(1, "inplace", False)
    (tensor([0., 1.]), tensor([-1.,  1.]), False)
    >>> call.on(torch.tensor([3.0])).run()
    tensor([3.])
    """

    name: str
    function: Callable
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def run(self) -> Any:
        """What the operator gives."""
        return self.function(*self.args, **self.kwargs)

    def given(self, place: int, name: str, otherwise: Any = None) -> Any:
        """An argument by its place or its name."""
        return self.args[place] if place < len(self.args) else self.kwargs.get(name, otherwise)

    def on(self, *first: Any) -> "Call":
        """The call with other first arguments, which it does not write over."""
        kwargs = {**self.kwargs, "inplace": False} if "inplace" in self.kwargs else dict(self.kwargs)
        names = ("input", "query")
        kwargs = {name: value for name, value in kwargs.items() if name not in names}
        return replace(self, args=(*first, *self.args[len(first) :]), kwargs=kwargs)


def plain_name(function: Callable) -> str:
    """An operator's name, whether it is called as a function, a method, an operator or in place.

    >>> import torch
    >>> from simvis_core.networks.depth.gates.calls import plain_name
    >>> plain_name(torch.Tensor.add_), plain_name(torch.nn.functional.relu), plain_name(torch.clip)
    ('add', 'relu', 'clamp')
    """
    name = getattr(function, "__name__", repr(function))
    name = name if name.startswith("__") else name.rstrip("_")
    return _SPELT.get(name, name)


def changes_in_place(call: Call) -> bool:
    """Whether the call writes over its first argument.

    >>> import torch
    >>> from simvis_core.networks.depth.gates.calls import Call, changes_in_place
    >>> changes_in_place(Call("relu", torch.relu_, (torch.zeros(1),), {}))
    True
    """
    name = getattr(call.function, "__name__", "")
    in_place = name in _CHANGING or (name.endswith("_") and not name.endswith("__"))
    return in_place or bool(call.kwargs.get("inplace", False))


def is_live(value: Any) -> bool:
    """Whether a value is a tensor that depends on the recorded input.

    >>> import torch
    >>> from simvis_core.networks.depth.gates.calls import is_live
    >>> is_live(torch.zeros(1)), is_live(torch.zeros(1, requires_grad=True))
    (False, True)
    """
    return isinstance(value, Tensor) and value.requires_grad


def live_in(call: Call) -> list[Tensor]:
    """The call's tensors that depend on the recorded input, in their order.

    >>> import torch
    >>> from simvis_core.networks.depth.gates.calls import Call, live_in
    >>> len(live_in(Call("cat", torch.cat, ([torch.zeros(1), torch.zeros(1, requires_grad=True)],), {})))
    1
    """
    return [tensor for tensor in _tensors((call.args, call.kwargs)) if is_live(tensor)]


def gives_tensors(call: Call) -> bool:
    """Whether a call gives tensors, or writes into one, and not a shape or another property of one.

    >>> import torch
    >>> from simvis_core.networks.depth.gates.calls import Call, gives_tensors
    >>> [gives_tensors(Call("", function, (torch.zeros(2),), {})) for function in (torch.Tensor.dim, torch.sin)]
    [False, True]
    """
    return changes_in_place(call) or next(_tensors(call.run()), None) is not None


@torch.no_grad()
def is_affine_call(call: Call) -> bool:
    """Whether an operator is affine in the call's live tensors together, as tried out on them and on noise.

    That is f(u + v) - f(u) - f(v) + f(0) = 0. A call that gives no tensor reads no numbers, and passes; one that gives
    anything but floating-point numbers does not.

    >>> import torch
    >>> from simvis_core.networks.depth.gates.calls import Call, is_affine_call
    >>> x = torch.tensor([[1.0, 2.0]], requires_grad=True)
    >>> [is_affine_call(Call("", function, (x,), {})) for function in (torch.fliplr, torch.sin, torch.argsort)]
    [True, False, False]
    """
    generator = torch.Generator().manual_seed(0)

    def noise(x: Tensor) -> Tensor:
        return torch.randn(x.shape, generator=generator, dtype=x.dtype).to(x.device) * x.detach().abs().max()

    noises = {id(tensor): noise(tensor) for tensor in live_in(call)}
    found = [
        list(_tensors(_replaced(call, swap).run()))
        for swap in (
            lambda x: x.detach() + noises[id(x)],
            lambda x: x.detach().clone(),
            lambda x: noises[id(x)].clone(),
            torch.zeros_like,
        )
    ]
    return all(_cancel(*four) for four in zip(*found, strict=True))


def _cancel(both: Tensor, first: Tensor, second: Tensor, zero: Tensor) -> bool:
    if not both.is_floating_point():
        return False
    gap, size = (both - first - second + zero).abs().max(), torch.stack([both, first, second]).abs().max()
    return bool(gap <= {torch.float64: 1e-10, torch.float32: 1e-4}.get(both.dtype, 3e-2) * size)


def _replaced(call: Call, swap: Callable[[Tensor], Tensor]) -> Call:
    args, kwargs = _swapped((call.args, call.kwargs), swap)
    return replace(call, args=args, kwargs=kwargs)


def _swapped(value: Any, swap: Callable[[Tensor], Tensor]) -> Any:
    if is_live(value):
        return swap(value)
    if isinstance(value, dict):
        return {key: _swapped(one, swap) for key, one in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_swapped(one, swap) for one in value)
    return value


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        yield from _tensors(list(value.values()))
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _tensors(one)
