"""A pass of a network in which the places that every tensor stands for are followed from the pixels on."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from simvis_core.networks.places.lines import Places, together

Pair = tuple[Places, Places]  # down and across


class Following(TorchDispatchMode):
    """While open, follows where the positions of the pixels' tensor go, operator by operator.

    Windows, strides, paddings and dilations move and space them. An overlapping window looks at the centre of its
    squared weights: random ones in the middle, but training under a lopsided padding makes the weights lean the other
    way. A change of layout leaves places; what brings several tensors together takes the mean of the finest. It sees
    PyTorch's own operators, so that any network can be followed.

    >>> import torch
    >>> from torch import nn
    >>> from simvis_core.networks.places.following import Following
    >>> pixels = torch.zeros(1, 3, 32, 48)
    >>> layer = nn.Conv2d(3, 4, 3, stride=2, padding=1)
    >>> _ = nn.init.ones_(layer.weight)
    >>> with torch.no_grad(), Following(pixels) as following:
    ...     output = layer(pixels)
    ...
    >>> [tuple(side)[:3] for side in following.of(output)]
    [(0.0, 2.0, 16), (0.0, 2.0, 24)]
    """

    def __init__(self, pixels: Tensor) -> None:
        super().__init__()
        self._places: dict[tuple[Any, ...], Pair] = {}
        self._places[_key(pixels)] = Places(0.0, 1.0, pixels.shape[-2]), Places(0.0, 1.0, pixels.shape[-1])

    def of(self, tensor: Tensor) -> Pair | None:
        """The places of a tensor, down and across; None for one that does not come from the pixels."""
        return self._places.get(_key(tensor))

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Runs an operator and notes what comes out of it."""
        del types
        name = func.overloadpacket.__name__
        given = self._given(name, (*args, *(kwargs or {}).values()))
        output = func(*args, **(kwargs or {}))
        for one in _tensors((output,)):
            key = _key(one)
            if given is None:
                self._places.pop(key, None)  # its memory may have been another's
            else:
                rule = MOVED.get(name)
                self._places[key] = given if rule is None else rule(given, args, one)
        return output

    def _given(self, name: str, arguments: Sequence[Any]) -> Pair | None:
        """The places that go in: of what is looked up by, the first's; else those of the finest, together."""
        found = [(one, places) for one in _tensors(arguments) if (places := self.of(one)) is not None]
        if not found:
            return None
        if name in ASKING:
            return found[0][1]
        finest = max(down.cells * across.cells for _, (down, across) in found)
        weights = [(one.numel(), places) for one, places in found if places[0].cells * places[1].cells == finest]
        alike = [(n, places) for n, places in weights if places[0].cells == weights[0][1][0].cells]
        down, across = (together([(places[side], n) for n, places in alike], name != "cat") for side in (0, 1))
        return down, across


def _key(tensor: Tensor) -> tuple[Any, ...]:
    return tensor.untyped_storage()._cdata, tensor.storage_offset(), tuple(tensor.shape), tensor.stride()


def _tensors(values: Sequence[Any]) -> Iterator[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, (list, tuple)):
            yield from _tensors(value)


def _sides(tensor: Tensor, given: Pair) -> tuple[int, int] | None:
    """Which dimensions of a tensor are the places': of maps, or of maps with channels last."""
    cells = (given[0].cells, given[1].cells)
    if tensor.ndim == 4:
        for sides in ((2, 3), (1, 2)):
            if (tensor.shape[sides[0]], tensor.shape[sides[1]]) == cells:
                return sides
    return None


def _fitted(given: Pair, tensor: Tensor, known: bool = False) -> Pair:
    """The places of a tensor of maps, in as many positions as it has."""
    down, across = (places.shared_out(tensor.shape[side], known) for places, side in zip(given, (-2, -1), strict=True))
    return down, across


def _two(value: Sequence[int], otherwise: Sequence[int]) -> tuple[int, int]:
    value = list(value) or list(otherwise)
    return (value[0], value[-1])


def _option(args: Sequence[Any], place: int, otherwise: Any) -> Any:
    return args[place] if len(args) > place else otherwise


def _convolved(given: Pair, args: Sequence[Any], output: Tensor) -> Pair:
    tensor, weight = args[0], args[1]
    if tensor.ndim != 4:
        return given
    kernel, (stride, padding, dilation) = weight.shape[2:], (_two(args[at], (1, 1)) for at in (3, 4, 5))
    given = _fitted(given, tensor)
    moved = []
    for at, (places, cells) in enumerate(zip(given, output.shape[2:], strict=True)):
        if args[6]:
            moved.append(places.over(kernel[at], stride[at], padding[at], dilation[at], cells))
            continue
        middle = _middle(weight, at) if kernel[at] > stride[at] else (kernel[at] - 1) / 2  # else they tile the picture
        moved.append(places.under(middle, stride[at], padding[at], dilation[at], cells))
    return moved[0], moved[1]


def _middle(weight: Tensor, at: int) -> float:
    """The centre of a kernel's squared weights along one side: a trained one need not look at its middle."""
    taps = weight.detach().float().square().sum((0, 1, 3 - at))
    total = float(taps.sum())
    if not 0 < total < float("inf"):
        return (len(taps) - 1) / 2
    return float(taps @ torch.arange(len(taps)).to(taps)) / total


def _pooled(given: Pair, args: Sequence[Any], output: Tensor, dilations: int | None = None) -> Pair:
    if output.ndim < 3:
        return given
    kernel = _two(args[1], (1, 1))
    stride = _two(_option(args, 2, ()), kernel)
    padding = _two(_option(args, 3, ()) or (0,), (0, 0))
    dilation = (1, 1) if dilations is None else _two(_option(args, dilations, ()) or (1,), (1, 1))
    given = _fitted(given, args[0])
    moved = [
        places.under((kernel[at] - 1) / 2, stride[at], padding[at], dilation[at], cells)
        for at, (places, cells) in enumerate(zip(given, output.shape[-2:], strict=True))
    ]
    return moved[0], moved[1]


def _max_pooled(given: Pair, args: Sequence[Any], output: Tensor) -> Pair:
    return _pooled(given, args, output, dilations=4)


def _adapted(given: Pair, args: Sequence[Any], output: Tensor) -> Pair:
    return _fitted(_fitted(given, args[0]), output, known=True)


def _resized(given: Pair, args: Sequence[Any], output: Tensor) -> Pair:
    """Drawn to another size; with corners aligned the outermost centres stay."""
    given = _fitted(given, args[0])
    if not (len(args) > 2 and args[2] is True):
        return _fitted(given, output, known=True)
    spread = [
        places._replace(step=places.step * (places.cells - 1) / max(1, cells - 1), cells=cells)
        for places, cells in zip(given, output.shape[-2:], strict=True)
    ]
    return spread[0], spread[1]


def _padded(given: Pair, args: Sequence[Any], output: Tensor) -> Pair:
    tensor, pad = args[0], list(args[1])
    sides = _sides(tensor, given)
    if sides is None:
        return given
    before = [pad[2 * (tensor.ndim - 1 - side)] if 2 * (tensor.ndim - 1 - side) < len(pad) else 0 for side in sides]
    down, across = (p.padded(n, output.shape[s]) for p, n, s in zip(given, before, sides, strict=True))
    return down, across


def _sliced(given: Pair, args: Sequence[Any], output: Tensor) -> Pair:
    tensor, dim = args[0], _option(args, 1, 0) % max(1, args[0].ndim)
    sides = _sides(tensor, given)
    if sides is None or dim not in sides:
        return given
    start, step = _option(args, 2, None) or 0, _option(args, 4, 1)
    start = max(0, start + tensor.shape[dim]) if start < 0 else min(start, tensor.shape[dim])
    moved = list(given)
    at = sides.index(dim)
    moved[at] = given[at].taken(start, step, output.shape[dim])
    return moved[0], moved[1]


# Operators whose first tensor says what its positions are; the others are only what it looks at.
ASKING = frozenset(
    ["mm", "bmm", "matmul", "baddbmm", "linear", "native_multi_head_attention", "_native_multi_head_attention"]
    + [name for name in dir(torch.ops.aten) if "scaled_dot_product" in name]
    + ["_scaled_dot_product_flash_attention_for_cpu", "_scaled_dot_product_efficient_attention"]
)
MOVED: dict[str, Callable[[Pair, Sequence[Any], Tensor], Pair]] = {
    "convolution": _convolved,
    "_convolution": _convolved,
    "convolution_overrideable": _convolved,
    "max_pool2d_with_indices": _max_pooled,
    "max_pool2d": _max_pooled,
    "avg_pool2d": _pooled,
    "_adaptive_avg_pool2d": _adapted,
    "adaptive_avg_pool2d": _adapted,
    "adaptive_max_pool2d": _adapted,
    "upsample_nearest2d": _resized,
    "upsample_bilinear2d": _resized,
    "upsample_bicubic2d": _resized,
    "_upsample_bilinear2d_aa": _resized,
    "_upsample_bicubic2d_aa": _resized,
    "constant_pad_nd": _padded,
    "reflection_pad2d": _padded,
    "replication_pad2d": _padded,
    "slice": _sliced,
}
