"""The layers behind the pooling, read off the shapes of a checkpoint's tensors."""

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from model_zoo.checkpoint_files import CheckpointFile
from model_zoo.checkpoint_norms import norm_words, other_norm, taken_words
from simvis_core.errors import SimvisError

Between = Literal["relu", "gelu", "none"]
Groups = Mapping[str, Mapping[str, Tensor]]
_IN_PYTHON = "build the head in Python with EmbeddingNetwork(...)"
_MOST_UNITS = 6  # of which all orders are tried: 720


@dataclass(frozen=True)
class Layer:
    """One layer of a head; ``takes`` and ``gives`` are None for one that leaves the width as it is."""

    path: str
    module: nn.Module
    takes: int | None
    gives: int | None
    words: str


@dataclass(frozen=True)
class Head:
    """A head, the width of the vectors that it takes, and what it is made of, in words."""

    module: nn.Sequential
    takes: int | None
    words: str


def read_head(
    groups: Groups, file: CheckpointFile, widths: Mapping[int, str], giver: str, between: Between | None
) -> Head:
    """The chain of Linear, BatchNorm, LayerNorm and PReLU that ``groups`` (tensors by their module's path) hold.

    ``widths`` are the vectors' widths that ``giver`` has, in words. The order is that of the file; one that sorts its
    tensors must leave a single order in which the widths fit. ``between`` stands where the file leaves a gap.

    Raises SimvisError for tensors that are no known layer, widths that do not fit, an order that cannot be told, and a
    gap without ``between``.
    """
    layers = [_layer(path, tensors) for path, tensors in groups.items()]
    unknown = [path for path, layer in zip(groups, layers, strict=True) if layer is None]
    if unknown:
        raise _unknown(file, groups, unknown)
    known = [layer for layer in layers if layer is not None]
    chain = _in_order(known, file, widths, giver)
    modules, words = _filled(chain, between)
    sources = ", ".join(layer.path for layer in chain)
    takes = next((layer.takes for layer in chain if layer.takes is not None), None)
    guessed = taken_words(layer.path for layer in chain if isinstance(layer.module, nn.LayerNorm))
    return Head(nn.Sequential(*modules), takes, f"{', '.join(words)} (from {sources}){guessed}")


def layer_words(path: str, tensors: Mapping[str, Tensor]) -> str:
    """What the tensors of one module are, or their shapes where they are no known layer."""
    layer = _layer(path, tensors)
    return layer.words if layer else ", ".join(f"{name} {size(tensor)}" for name, tensor in tensors.items())


def size(tensor: Tensor) -> str:
    """A tensor's shape for a person: ``128 x 512``."""
    return " x ".join(map(str, tensor.shape)) or "one number"


def _layer(path: str, tensors: Mapping[str, Tensor]) -> Layer | None:
    """The first kind whose tensors have exactly these names and shapes."""
    for make in _KINDS:
        layer = make(path, tensors)
        if layer is not None and _holds(layer.module, tensors):
            return layer
    return None


def _holds(module: nn.Module, tensors: Mapping[str, Tensor]) -> bool:
    """Fills the module where every tensor fits; the count of batches may be missing."""
    state = module.state_dict()
    given = {name: _flat(tensor) for name, tensor in tensors.items()}
    whole = {"num_batches_tracked": state.get("num_batches_tracked"), **given}
    complete = {name: tensor for name, tensor in whole.items() if tensor is not None}
    if {name: t.shape for name, t in complete.items()} != {name: t.shape for name, t in state.items()}:
        return False
    if not all(tensor.is_floating_point() for name, tensor in given.items() if name != "num_batches_tracked"):
        return False
    module.load_state_dict(complete)
    return True


def _flat(tensor: Tensor) -> Tensor:
    """A convolution of 1 x 1 on pooled vectors is a linear layer."""
    return tensor.flatten(1) if tensor.ndim > 2 else tensor


def _linear(path: str, tensors: Mapping[str, Tensor]) -> Layer | None:
    weight = tensors.get("weight")
    if weight is None or weight.ndim < 2 or any(side != 1 for side in weight.shape[2:]):
        return None
    outputs, inputs = weight.shape[:2]
    module = nn.Linear(inputs, outputs, bias="bias" in tensors)
    return Layer(path, module, inputs, outputs, f"Linear {inputs} -> {outputs}")


def _batch_norm(path: str, tensors: Mapping[str, Tensor]) -> Layer | None:
    mean = tensors.get("running_mean")
    if mean is None or mean.ndim != 1:
        return None
    width = len(mean)
    return Layer(path, nn.BatchNorm1d(width, affine="weight" in tensors), width, width, f"BatchNorm {width}")


def _layer_norm(path: str, tensors: Mapping[str, Tensor]) -> Layer | None:
    weight = tensors.get("weight")
    if weight is None or weight.ndim != 1 or "bias" not in tensors or other_norm(path):
        return None
    width = len(weight)
    return Layer(path, nn.LayerNorm(width), width, width, f"LayerNorm {width}")


def _prelu(path: str, _: Mapping[str, Tensor]) -> Layer | None:
    return Layer(path, nn.PReLU(), None, None, "PReLU")


def _unknown(file: CheckpointFile, groups: Groups, unknown: list[str]) -> SimvisError:
    first = ", ".join(f"{path} ({layer_words(path, groups[path])})" for path in unknown[:3])
    more = f" and {len(unknown) - 3} more" if len(unknown) > 3 else ""
    norm = next((path for path in unknown if norm_words(path, groups[path])), None)
    if norm is not None:
        return SimvisError(
            f"{file.words} with {norm} ({layer_words(norm, groups[norm])}) behind the trunk:"
            f" {norm_words(norm, groups[norm])}",
            "a layer that its tensors tell: Linear, BatchNorm with its statistics, LayerNorm with weight and bias",
            f"{_IN_PYTHON}, or give head='none' to leave out all that stands behind the trunk",
        )
    return SimvisError(
        f"{file.words} with tensors beside the trunk that are no known layer: {first}{more}",
        "Linear, BatchNorm, LayerNorm and PReLU layers behind the pooling",
        f"give head='none' to leave them out, or {_IN_PYTHON}",
    )


def _in_order(layers: list[Layer], file: CheckpointFile, widths: Mapping[int, str], giver: str) -> list[Layer]:
    orders = [layers] if file.ordered else list(_orders(layers))
    faults = [_fault(order, widths, giver) for order in orders]
    sound = [order for order, fault in zip(orders, faults, strict=True) if fault is None]
    if len(sound) == 1:
        return sound[0]
    if sound:
        names = ", ".join(f"{layer.path} ({layer.words})" for layer in layers)
        raise SimvisError(
            f"{file.words}, which sorts its tensors by name, with the layers {names}, which fit in more than one order",
            "a head whose order the file tells",
            f"save `model.state_dict()` as .pt, or {_IN_PYTHON}",
        )
    raise SimvisError(
        f"{file.words} with a head that does not fit: {faults[0]}",
        "layers that follow on each other from the pooling on",
        f"choose the architecture and pooling it was trained with, give head='none', or {_IN_PYTHON}",
    )


def _orders(layers: list[Layer]) -> Iterator[list[Layer]]:
    """Every order of the layers in which those of one numbered row stay as they are numbered."""
    numbered = sorted(layers, key=lambda layer: [_natural(part) for part in layer.path.split(".")])
    units = [list(unit) for _, unit in itertools.groupby(numbered, key=_row)]
    if len(units) > _MOST_UNITS:
        yield numbered
        return
    for order in itertools.permutations(units):
        yield [layer for unit in order for layer in unit]


def _natural(part: str) -> tuple[int, str]:
    return (int(part), "") if part.isdigit() else (-1, part)


def _row(layer: Layer) -> str:
    parent, _, name = layer.path.rpartition(".")
    return f"{parent}.*" if name.isdigit() else layer.path


def _fault(layers: list[Layer], widths: Mapping[int, str], giver: str) -> str | None:
    """Why the widths do not follow on each other; None where they do."""
    before: Layer | None = None
    for layer in layers:
        if layer.takes is None:
            continue
        if before is None and layer.takes not in widths:
            choices = " or ".join(f"{width} ({words})" for width, words in widths.items())
            return f"{layer.path} ({layer.words}) takes {layer.takes} features, and {giver} gives {choices}"
        if before is not None and before.gives != layer.takes:
            return f"{layer.path} ({layer.words}) cannot follow {before.path} ({before.words})"
        before = layer
    return None


def _filled(chain: list[Layer], between: Between | None) -> tuple[list[nn.Module], list[str]]:
    """The modules with what stands in the gaps, and their names."""
    modules, words = [chain[0].module], [chain[0].words]
    for place, layer in enumerate(chain[1:], 1):
        if _gap(chain[:place], layer):
            name, make = _BETWEEN[_told(chain[place - 1], layer, between)]
            modules += [make()] if make else []
            words += [name] if make else []
        modules.append(layer.module)
        words.append(layer.words)
    return modules, words


def _gap(before: list[Layer], layer: Layer) -> bool:
    """Whether something without weights may stand in front of a layer.

    Among the numbered children of one Sequential it is a number that is left out. Where the code alone says how the
    layers follow on each other, it is a second Linear: two in a row would be one.
    """
    parent, _, name = layer.path.rpartition(".")
    last_parent, _, last_name = before[-1].path.rpartition(".")
    if parent == last_parent and name.isdigit() and last_name.isdigit():
        return int(name) - int(last_name) > 1
    linears = [one for one in (*before, layer) if isinstance(one.module, nn.Linear)]
    return isinstance(layer.module, nn.Linear) and len(linears) > 1 and not isinstance(before[-1].module, nn.PReLU)


def _told(before: Layer, layer: Layer, between: Between | None) -> Between:
    if between is None:
        raise SimvisError(
            f"a head with a gap between {before.path} ({before.words}) and {layer.path} ({layer.words}): what has no"
            " weights, such as ReLU or dropout, leaves no trace in a file",
            "to know what stands there",
            f"give between='relu', 'gelu' or 'none' (for dropout), or {_IN_PYTHON}",
        )
    if between not in _BETWEEN:
        raise SimvisError(f"between='{between}'", f"one of {', '.join(_BETWEEN)}", "choose one of these")
    return between


_KINDS: tuple[Callable[[str, Mapping[str, Tensor]], Layer | None], ...] = (_batch_norm, _linear, _layer_norm, _prelu)
_BETWEEN: dict[Between, tuple[str, Callable[[], nn.Module] | None]] = {
    "relu": ("ReLU", nn.ReLU),
    "gelu": ("GELU", nn.GELU),
    "none": ("", None),
}
