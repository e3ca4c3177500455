"""The tensors of a checkpoint beside its trunk: which may be the head's, and why the others are left out."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from model_zoo.architectures import Architecture
from model_zoo.checkpoint_files import CheckpointFile
from model_zoo.checkpoint_heads import layer_words, size
from model_zoo.checkpoint_trunks import COUNTS, Fit
from simvis_core.errors import SimvisError

HeadChoice = Literal["auto", "keep", "none"]


@dataclass
class Leftovers:
    """The tensors beside the trunk: the head's by module path, GeM's exponent, and the others with a reason."""

    groups: dict[str, dict[str, Tensor]]
    exponent: tuple[str, float] | None
    left_out: list[str]


def sort_leftovers(built: Architecture, file: CheckpointFile, fit: Fit, choice: HeadChoice) -> Leftovers:
    """Raises SimvisError for tensors inside the trunk that the architecture does not have."""
    place = _Place(built, fit)
    rest = Leftovers({}, None, list(file.unread))
    inside = []
    for key, tensor in file.tensors.items():
        reason = "" if key in fit.used else _reason(key, tensor, fit) or place.reason(key)
        if reason:
            rest.left_out.append(f"{fit.shown(key)} ({size(tensor)}), {reason}")
        elif key not in fit.used and place.inside(key):
            inside.append(fit.shown(key))
        elif key not in fit.used:
            _put(rest, fit.shown(key), tensor)
    if inside:
        raise _deeper(built, file, inside)
    _drop_copies(rest)
    _drop_classifier(rest, built, place, choice)
    return rest


def _put(rest: Leftovers, name: str, tensor: Tensor) -> None:
    owner, _, last = name.rpartition(".")
    if last == "p" and tensor.numel() == 1:
        rest.exponent = (name, tensor.item())
    else:
        rest.groups.setdefault(owner, {})[last] = tensor


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


class _Place:
    """Where in the file's names the trunk ends: what is inside it, and what goes by a name that is no embedding's."""

    def __init__(self, built: Architecture, fit: Fit) -> None:
        self.fit = fit
        self.tops = {key.partition(".")[0] for key in built.source.state_dict()}
        self.buffers = {name for name, _ in built.source.named_buffers()}
        self.classifiers = tuple(self._outermost(path) for path in built.classifier)
        self.discarded = built.discarded

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
        return any(name.startswith(f"{path}.") for path in self.classifiers)


def _deeper(built: Architecture, file: CheckpointFile, inside: list[str]) -> SimvisError:
    more = f" and {len(inside) - 3} more" if len(inside) > 3 else ""
    return SimvisError(
        f"{file.words} with tensors inside the trunk that {built.name} does not have ({', '.join(inside[:3])}{more})",
        f"a checkpoint of {built.name}",
        "choose the architecture it was trained with, perhaps a larger one of the family",
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


def _drop_classifier(rest: Leftovers, built: Architecture, place: _Place, choice: HeadChoice) -> None:
    """A single matrix of as many outputs as classes is the library's classifier, with the norms beside it."""
    for path in place.classifiers if choice != "keep" else ():
        there = [group for group in rest.groups if f"{place.fit.inner_shown(group)}.".startswith(f"{path}.")]
        outputs = [number for number in (_outputs(rest.groups[group]) for group in there) if number is not None]
        older = "the classifier of an older layout (head='keep' takes it)" if place.fit.older else ""
        reason = "the classifier" if outputs == [built.classes] else older
        for group in there if reason else ():
            _drop(rest, group, reason)
    for path, tensors in list(rest.groups.items()) if choice == "none" else ():
        _drop(rest, path, f"part of a head ({layer_words(path, tensors)}), as asked")


def _outputs(tensors: Mapping[str, Tensor]) -> int | None:
    weight = tensors.get("weight")
    return len(weight) if weight is not None and weight.ndim > 1 else None


def _drop(rest: Leftovers, path: str, reason: str) -> None:
    for name, tensor in rest.groups.pop(path).items():
        rest.left_out.append(f"{path}.{name} ({size(tensor)}), {reason}")


def _names(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


_LAYERS = ("weight", "bias", "p", "running_mean", "running_var")  # what may be one number and count: PReLU's, GeM's
# Parts of names, in lower case, of what lies beside an embedding network in a checkpoint.
_NAMES = (
    (_names(r"optim\w*|\w*sched\w*|scaler|callbacks|loops|queue\w*|\w*history"), "of the training"),
    (_names(r"(\w+_)?(criterion|criteria|losse?s?)(_\w+)?|(\w+_)?miner\w*"), "of the loss"),
    (_names(r"(\w+_)?(prox(y|ies)|(arc|cos|sphere)_?face|margin|centers|prototypes|metric_fc)(_\w+)?"), "of the loss"),
    (_names(r"mask_?(token|embed\w*)s?|(\w+_)?decoder(_\w+)?"), "of the pre-training"),
    (_names(r"transformers_pooler"), "transformers' pooler, which ends in tanh: the class token itself is compared"),
    (_names(r"classifiers?|(\w+_)?logits|cls_head"), "a classifier"),
    (_names(r"aux\w*"), "an auxiliary classifier"),
)
