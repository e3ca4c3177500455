"""The tensors of a checkpoint beside its trunk: which may be the head's, and why the others are left out."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from model_zoo.architectures import Architecture
from model_zoo.checkpoint_choices import Choices, Doubt, asked
from model_zoo.checkpoint_files import CheckpointFile
from model_zoo.checkpoint_layers import layer_words, read_layer, size
from model_zoo.checkpoint_trunks import COUNTS, Fit
from simvis_core.errors import SimvisError


@dataclass
class Leftovers:
    """The tensors beside the trunk: layers by module path, matrices of no layer, GeM's exponents, and those left out.

    ``known`` are the paths in the classifier's place. ``seen`` are all names that a person may speak of.
    """

    groups: dict[str, dict[str, Tensor]] = field(default_factory=dict)
    matrices: dict[str, Tensor] = field(default_factory=dict)
    exponent: tuple[str, Tensor] | None = None
    left_out: list[str] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)


def sort_leftovers(built: Architecture, file: CheckpointFile, fit: Fit, choices: Choices) -> Leftovers:
    """Raises SimvisError for tensors inside the trunk that the architecture does not have."""
    place = Place(built, fit)
    rest = Leftovers()
    inside: list[str] = []
    for key in [key for key in file.tensors if key not in fit.used]:
        tensor, name = file.tensors[key], fit.shown(key)
        reason = _why_out(key, tensor, place, choices)
        rest.seen.append(name)
        if reason:
            rest.left_out.append(f"{name} ({size(tensor)}), {reason}")
        elif place.inside(key):
            inside.append(name)
        else:
            _put(rest, name, tensor)
    if inside:
        raise _deeper(built, file, inside)
    _check_classifiers(file, fit, place, choices)
    _part_matrices(rest)
    _drop_copies(rest)
    _drop_classifier(rest, built, place, choices)
    if choices.head == "none":
        _drop_all(rest)
    return rest


def _why_out(key: str, tensor: Tensor, place: "Place", choices: Choices) -> str:
    """Why a tensor is not used: its own state counts first, then what was said of it, then its name."""
    said = choices.place(place.fit.shown(key))
    reason = _reason(key, tensor, place.fit)
    if reason or said is None:
        return reason or place.reason(key)
    return "as asked" if said == "out" and place.inside(key) else ""


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


def _check_classifiers(file: CheckpointFile, fit: Fit, place: "Place", choices: Choices) -> None:
    """A module called a classifier that has several linear layers may hold the embedding, as in re-identification."""
    found: dict[str, list[str]] = {}
    for key in [key for key, tensor in file.tensors.items() if tensor.ndim > 1 and key not in fit.used]:
        name = fit.shown(key)
        if not fit.copied(key) and choices.place(name) is None and place.reason(key) == _CLASSIFIER:
            found.setdefault(_called_classifier(name), []).append(name)
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
        raise asked(doubts, file.words)


def _called_classifier(name: str) -> str:
    """The name up to the part that says classifier."""
    pattern = next(pattern for pattern, words in _NAMES if words == _CLASSIFIER)
    parts = name.split(".")
    ends = (at for at, part in enumerate(parts, 1) if pattern.fullmatch(part.casefold()))
    return ".".join(parts[: next(ends, len(parts))])


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
    return "a single number" if tensor.ndim == 0 else ""


class Place:
    """Where in the file's names the trunk ends: what is inside it, and what goes by a name that is no embedding's."""

    def __init__(self, built: Architecture, fit: Fit) -> None:
        self.fit = fit
        self.tops = {key.partition(".")[0] for key in built.source.state_dict()}
        self.buffers = {name for name, _ in built.source.named_buffers()}
        self.classifiers = tuple(self._outermost(path) for path in built.classifier)
        stacked = built.stack is not None
        self.discarded = () if stacked else built.discarded
        self.called = (*self.classifiers, *(built.discarded if stacked else ()))

    def _outermost(self, path: str) -> str:
        top = path.partition(".")[0]
        return path if top in self.tops else top

    def reason(self, key: str) -> str:
        """Why a tensor of this name is not part of the embedding; "" where it may be."""
        name = self.fit.inner(key)
        if name in self.buffers:
            return "which the network computes itself"
        if name is not None and any(name.startswith(f"{path}.") for path in self.discarded):
            return "a layer of classification alone"
        if name is not None and self._at_classifier(name):
            return ""
        parts = (key if name is None else name).casefold().split(".")
        return next((words for pattern, words in _NAMES if any(pattern.fullmatch(part) for part in parts)), "")

    def inside(self, key: str) -> bool:
        """Whether a tensor lies in a part that the trunk has."""
        name = self.fit.inner(key)
        return name is not None and name.partition(".")[0] in self.tops and not self._at_classifier(name)

    def _at_classifier(self, name: str) -> bool:
        return any(name.startswith(f"{path}.") for path in self.called)


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


def _drop_where(rest: Leftovers, condition: bool, groups: list[str], reason: str) -> None:
    for group in groups if condition else ():
        _drop(rest, group, reason)


def _drop_all(rest: Leftovers) -> None:
    for path, tensors in list(rest.groups.items()):
        _drop(rest, path, f"part of a head ({layer_words(path, tensors)}), as asked")
    rest.left_out += [f"{path} ({size(matrix)}), as asked" for path, matrix in rest.matrices.items()]
    rest.matrices.clear()


def _under(rest: Leftovers, place: Place, paths: tuple[str, ...]) -> list[str]:
    inner = {group: f"{place.fit.inner_shown(group)}." for group in rest.groups}
    return [group for group, name in inner.items() if any(name.startswith(f"{path}.") for path in paths)]


def _outputs(tensors: Mapping[str, Tensor]) -> int | None:
    weight = tensors.get("weight")
    return len(weight) if weight is not None and weight.ndim > 1 else None


def _drop(rest: Leftovers, path: str, reason: str) -> None:
    for name, tensor in rest.groups.pop(path).items():
        rest.left_out.append(f"{path}.{name} ({size(tensor)}), {reason}")


def _names(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


_CLASSIFIER = "a classifier"
# Parts of names, in lower case, of what lies beside an embedding network in a checkpoint.
_NAMES = (
    (_names(r"optim\w*|\w*sched\w*|scaler|callbacks|loops|queue\w*|\w*history"), "of the training"),
    (_names(r"(\w+_)?(criterion|criteria|losse?s?)(_\w+)?|(\w+_)?miner\w*"), "of the loss"),
    (_names(r"(\w+_)?(prox(y|ies)|(arc|cos|sphere)_?face|margin|centers|prototypes|metric_fc)(_\w+)?"), "of the loss"),
    (_names(r"classifiers?|(\w+_)?logits|cls_head"), _CLASSIFIER),
    (_names(r"(\w+_)?predictor(_\w+)?|pred(iction)?_head"), "of a predictor, which only training runs"),
    (_names(r"aux\w*"), "an auxiliary classifier"),
)
