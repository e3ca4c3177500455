"""The tensors of a checkpoint beside its trunk: which may be the head's, and why the others are left out."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from model_zoo.architectures.arranging import Architecture
from model_zoo.checkpoints.choices import PLACES, Choices
from model_zoo.checkpoints.doubts import Doubt, asked
from model_zoo.checkpoints.files.reading import CheckpointFile
from model_zoo.checkpoints.heads.layers import layer_size, layer_words, read_layer
from model_zoo.checkpoints.trunks.fitting import Fit
from model_zoo.checkpoints.trunks.refusals import COUNTS
from model_zoo.checkpoints.trunks.where import CLASSIFIER, Place, called_classifier
from simvis_core.errors import SimvisError

MOST_LAYERS = 200  # of an embedding, which has a handful


@dataclass
class Leftovers:
    """The tensors beside the trunk: layers by module path, matrices of no layer, GeM's exponents, and those left out.

    ``seen`` are all names that a person may speak of, ``doubts`` what was settled here.
    """

    groups: dict[str, dict[str, Tensor]] = field(default_factory=dict)
    matrices: dict[str, Tensor] = field(default_factory=dict)
    exponent: tuple[str, Tensor] | None = None
    left_out: list[str] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)
    doubts: list[Doubt] = field(default_factory=list)


def sort_leftovers(built: Architecture, file: CheckpointFile, fit: Fit, choices: Choices) -> Leftovers:
    """Raises SimvisError for tensors inside the trunk that the architecture does not have."""
    place = Place(built, fit)
    rest = Leftovers(left_out=list(file.unread))
    inside: list[str] = []
    for key in [key for key in file.tensors if key not in fit.used]:
        tensor, name = file.tensors[key], fit.shown(key)
        reason = _why_out(key, tensor, place, choices)
        rest.seen.append(name)
        if reason:
            _leave_out(rest, name, tensor, reason)
        elif place.inside(key):
            inside.append(name)
        else:
            _put(rest, name, tensor)
    if inside:
        raise _deeper(built, file, inside)
    _check_count(file, rest, choices)
    _check_classifiers(file, fit, place, choices)
    _part_matrices(rest)
    _drop_copies(rest)
    _drop_classifier(rest, built, place, choices)
    if choices.head == "none":
        _drop_all(rest)
    return rest


def _leave_out(rest: Leftovers, name: str, tensor: Tensor, reason: str) -> None:
    rest.left_out.append(f"{name} ({layer_size(tensor)}), {reason}")
    if reason == _ASKED:
        out = {"out": PLACES["out"]}
        rest.doubts.append(Doubt(f"layers.{name}", f"{name} ({layer_size(tensor)})", out, "out", said=True))


def _check_count(file: CheckpointFile, rest: Leftovers, choices: Choices) -> None:
    """Before they are compared with each other and put in order, which takes long for very many."""
    left = [group for group in rest.groups if choices.place(group) != "out"]
    if len(left) > MOST_LAYERS and choices.head != "none":
        raise SimvisError(
            f"{file.words} with {len(left)} layers beside the trunk, such as {', '.join(left[:3])}",
            f"the few of an embedding, at most {MOST_LAYERS}",
            f"say layers.{left[0].partition('.')[0]}=out of what is no part of it, or give head='none'",
        )


def _why_out(key: str, tensor: Tensor, place: Place, choices: Choices) -> str:
    """Why a tensor is not used: its own state counts first, then what was said of it, then its name."""
    said = choices.place(place.fit.shown(key))
    reason = _reason(key, tensor, place.fit)
    if reason or said is None:
        return reason or place.reason(key)
    return _ASKED if said == "out" and (place.inside(key) or _alone(place.fit.shown(key), tensor)) else ""


def _alone(name: str, tensor: Tensor) -> bool:
    """Whether a tensor lies in no module, and is no matrix that could be a layer of its own."""
    return "." not in name and tensor.ndim != 2


def _put(rest: Leftovers, name: str, tensor: Tensor) -> None:
    owner, _, last = name.rpartition(".")
    if last == "p" and tensor.numel() == max(tensor.shape, default=1):
        rest.exponent = (name, tensor.detach())
    else:
        rest.groups.setdefault(owner, {})[last] = tensor


def _part_matrices(rest: Leftovers) -> None:
    """Matrices beside no layer's other tensors, under a name that no layer of PyTorch's gives one."""
    for path, tensors in list(rest.groups.items()):
        unknown = {} if read_layer(path, tensors) else dict(tensors)
        for name, tensor in unknown.items():
            if _no_layers(name, tensor, len(unknown)):
                rest.matrices[f"{path}.{name}".lstrip(".")] = tensors.pop(name)
        if not tensors:
            del rest.groups[path]


def _no_layers(name: str, tensor: Tensor, beside: int) -> bool:
    """Whether a tensor is a matrix, or several in one, as a loss keeps them and no layer does."""
    if tensor.ndim not in (2, 3) or min(tensor.shape) < 2:
        return False
    return name not in ("weight", "bias") or (name == "weight" and (tensor.ndim == 3) == (beside == 1))


def _check_classifiers(file: CheckpointFile, fit: Fit, place: Place, choices: Choices) -> None:
    """A module called a classifier that has several linear layers may hold the embedding, as in re-identification."""
    found: dict[str, list[str]] = {}
    for key in [key for key, tensor in file.tensors.items() if tensor.ndim > 1 and key not in fit.used]:
        name = fit.shown(key)
        if not fit.copied(key) and choices.place(name) is None and place.reason(key) == CLASSIFIER:
            found.setdefault(called_classifier(name), []).append(name)
    doubts = [
        Doubt(
            f"layers.{owner}",
            f"{owner}, called a classifier, with several linear layers ({', '.join(names[:3])})",
            {"out": "no part of the embedding", "behind": "layers of the embedding, but for those said to be out"},
        )
        for owner, names in found.items()
        if len(names) > 1
    ]
    if doubts:
        raise asked(doubts, file.words, choices)


def _reason(key: str, tensor: Tensor, fit: Fit) -> str:
    """Why a tensor cannot be a layer's; "" where it can."""
    if fit.copied(key):
        return "another copy of the network"
    if tensor.numel() and tensor.data_ptr() in fit.storages:
        return f"the same as {fit.storages[tensor.data_ptr()]}"
    if key.endswith(COUNTS):
        return ""
    if not tensor.is_floating_point():
        return "no weight"
    single = tensor.ndim == 0 or (tensor.numel() == 1 and key.rpartition(".")[2] not in _LAYERS)
    return "a single number" if single else ""


def _deeper(built: Architecture, file: CheckpointFile, inside: list[str]) -> SimvisError:
    more = f" and {len(inside) - 3} more" if len(inside) > 3 else ""
    return SimvisError(
        f"{file.words} with tensors inside the trunk that {built.name} does not have ({', '.join(inside[:3])}{more})",
        f"a checkpoint of {built.name}",
        "choose the architecture it was trained with, perhaps a larger one of the family; where it was this one, say"
        f" layers.{inside[0]}=out",
    )


def _drop_copies(rest: Leftovers) -> None:
    """A linear layer that a model registers under two names counts once, by its number if one name has one."""
    for path in sorted(rest.groups, key=lambda path: path.rpartition(".")[2].isdigit()):
        twins = [other for other in rest.groups if other != path and _equal(rest.groups[path], rest.groups[other])]
        if twins:
            _drop(rest, path, f"the same as {twins[0]}")


def _equal(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    weight = one.get("weight")
    if weight is None or weight.ndim != 2 or set(one) != set(other):
        return False
    return all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def _drop_classifier(rest: Leftovers, built: Architecture, place: Place, choices: Choices) -> None:
    """A single matrix of as many outputs as classes is the library's classifier, with the norms beside it.

    A stack of layers whose last one has as many is one too.
    """
    if choices.head == "keep":
        return
    if built.stack is not None:
        last = list(built.stack.shapes)[-1]
        there = _under(rest, place, place.called)
        ends = [_outputs(rest.groups[group]) for group in there if place.fit.inner_shown(group) == last]
        _drop_where(rest, ends == [built.classes], there, "a layer of classification alone")
        return
    for path in place.classifiers:
        there = _under(rest, place, (path,))
        outputs = [_outputs(rest.groups[group]) for group in there]
        single = [number for number in outputs if number is not None] == [built.classes]
        _drop_where(rest, single, there, "the classifier")
        if place.fit.older and there and not single:
            _drop_older(rest, f"{place.fit.prefix}{path}", there, choices)


def _drop_older(rest: Leftovers, path: str, there: list[str], choices: Choices) -> None:
    """Under published names, which timm's filter reads, stands a published classifier, whatever its classes."""
    said = choices.place(there[0])
    words = f"{path}, the classifier's place in a file under the names that timm publishes"
    options = {name: PLACES[name] for name in ("out", "behind")}
    rest.doubts.append(Doubt(f"layers.{path}", words, options, said or "out", said is not None))
    _drop_where(rest, said is None, there, "the classifier of an older layout")


def _drop_where(rest: Leftovers, condition: bool, groups: list[str], reason: str) -> None:
    for group in groups if condition else ():
        _drop(rest, group, reason)


def _drop_all(rest: Leftovers) -> None:
    for path, tensors in list(rest.groups.items()):
        _drop(rest, path, f"part of a head ({layer_words(path, tensors)}), as asked")
    rest.left_out += [f"{path} ({layer_size(matrix)}), as asked" for path, matrix in rest.matrices.items()]
    rest.matrices.clear()


def _under(rest: Leftovers, place: Place, paths: tuple[str, ...]) -> list[str]:
    inner = {group: f"{place.fit.inner_shown(group)}." for group in rest.groups}
    return [group for group, name in inner.items() if any(name.startswith(f"{path}.") for path in paths)]


def _outputs(tensors: Mapping[str, Tensor]) -> int | None:
    weight = tensors.get("weight")
    return len(weight) if weight is not None and weight.ndim > 1 else None


def _drop(rest: Leftovers, path: str, reason: str) -> None:
    for name, tensor in rest.groups.pop(path).items():
        rest.left_out.append(f"{path}.{name} ({layer_size(tensor)}), {reason}")


_ASKED = "as asked"
_LAYERS = ("weight", "bias", "p", "running_mean", "running_var")  # what may be one number and count: PReLU's, GeM's
