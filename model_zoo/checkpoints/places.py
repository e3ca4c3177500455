"""What is known of a head's layers by their places: a library's own classifier, and the view of flat maps."""

from collections.abc import Mapping

import torch
from torch import Tensor

from model_zoo.architectures.anatomy import Stack
from model_zoo.architectures.arranging import Architecture
from model_zoo.checkpoints.choices import Choices
from model_zoo.checkpoints.doubts import Doubt
from model_zoo.checkpoints.files.reading import CheckpointFile
from model_zoo.checkpoints.heads.deciding import Known
from model_zoo.checkpoints.heads.finding import Head
from model_zoo.checkpoints.leftovers import Leftovers
from model_zoo.checkpoints.trunks.fitting import Fit
from model_zoo.checkpoints.trunks.where import Place
from simvis_core.errors import SimvisError
from simvis_core.networks.network import EmbeddingNetwork


def known_places(built: Architecture, file: CheckpointFile, fit: Fit, rest: Leftovers) -> Known:
    """Where the library's own code runs layers, and what it has between them where they are its own.

    They are its own where each has the library's name and shape, but for the outputs of the last. Kernels as large as
    the grid become rows on flat maps; the groups are changed.
    """
    called = tuple(f"{fit.prefix}{path}" for path in Place(built, fit).called)
    alone = ("embedder",) * ("embedder" in file.nesting.values())
    unseen = _unseen(rest)
    inner = {fit.inner_shown(path): path for path in rest.groups}
    stack = built.stack
    if stack is None or not _stacked(stack, inner, rest.groups):
        return Known(called, alone, unseen=unseen)
    names = [name for name in stack.shapes if name in inner]
    for name in names:
        if name not in stack.front:
            rest.groups[inner[name]] = _flattened(rest.groups[inner[name]])
    ahead = list(stack.shapes)[len(names) :]
    steps = {inner[name]: stack.steps[name] for name in names}
    steps |= {"pooling": stack.steps["pooling"]} if "pooling" in stack.steps else {}
    places = {inner[name]: "front" if name in stack.front else "behind" for name in names}
    return Known(called, alone, places, steps, stack.steps[ahead[0]] if ahead else "")


def _unseen(rest: Leftovers) -> str:
    """The numbers in front of GeM's in one Sequential that have no tensors: a step to unit length, as in CosPlace."""
    owner = "" if rest.exponent is None else rest.exponent[0].rpartition(".")[0]
    parent, _, number = owner.rpartition(".")
    before = [f"{parent}.{one}".lstrip(".") for one in range(int(number))] if number.isdigit() else []
    silent = [one for one in before if not any(name.startswith(f"{one}.") for name in rest.seen)]
    return f" ({', '.join(silent)} has no tensors)" if silent else ""


def _stacked(stack: Stack, inner: Mapping[str, str], groups: Mapping[str, Mapping[str, Tensor]]) -> bool:
    """Whether the file's layers are the library's, from the first on."""
    names = list(stack.shapes)[: len(inner)]
    if not inner or set(names) != set(inner):
        return False
    weights = [groups[inner[name]].get("weight") for name in names]
    shapes = [() if weight is None else tuple(weight.shape) for weight in weights]
    own = [stack.shapes[name] for name in names]
    return shapes[:-1] == own[:-1] and shapes[-1][1:] == own[-1][1:]


def _flattened(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.flatten(1) if tensor.ndim > 2 else tensor for name, tensor in tensors.items()}


def settled_view(
    base: EmbeddingNetwork, head: Head, cells: int, view: tuple[int, int], choices: Choices
) -> tuple[int, int]:
    """The size of the views whose grid a head on flat maps takes; a doubt of the head where several have it.

    Raises SimvisError where no view, or not the one that was said, has so many cells.
    """
    if head.cells == cells:
        if choices.view is not None:
            head.doubts.append(Doubt("view", "the side of the views", {str(view[0]): "pixels"}, str(view[0]), True))
        return view
    grid = round(head.cells**0.5)
    stride = base.preprocess.stride
    sides = sorted({grid * stride, *(side for side in _USUAL if (grid - 1) * stride < side <= grid * stride)})
    fitting = [] if base.preprocess.fixed_size else [side for side in sides if _grid(base, side) == head.cells]
    if choices.view is not None or not fitting:
        raise SimvisError(
            f"a head that takes {grid} x {grid} cells, while a view of {view[0]} x {view[1]} pixels has {cells}",
            "a view with so many cells",
            f"say view={fitting[0]}" if fitting else "give head='none', or build the network in Python",
        )
    words = f"the side of the views that a head on {grid} x {grid} cells was trained with"
    taken = str(fitting[0]) if len(fitting) == 1 else None
    head.doubts.append(Doubt("view", words, {str(side): f"{side} pixels" for side in fitting}, taken))
    return (fitting[0],) * 2


def _grid(base: EmbeddingNetwork, side: int) -> int:
    return base.features(torch.zeros(1, 3, side, side))[0, 0].numel()


_USUAL = (96, 112, 128, 160, 192, 224, 256, 288, 299, 320, 336, 384, 448, 512)
