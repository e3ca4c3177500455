"""Opening a person's own checkpoint: the trunk is matched by its keys, the head behind it by its shapes."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from model_zoo.architectures import Architecture, arrange, build
from model_zoo.checkpoint_files import CheckpointFile, read_checkpoint
from model_zoo.checkpoint_heads import Between, Head, layer_words, read_head, size
from model_zoo.checkpoint_trunks import COUNTS, Fit, fit_trunk
from simvis_core.errors import SimvisError
from simvis_core.network import EmbeddingNetwork
from simvis_core.poolings import Pooling

HeadChoice = Literal["auto", "keep", "none"]


@dataclass(frozen=True)
class Report:
    """What a load did. ``loaded`` counts the trunk's tensors; ``left_out`` says of every tensor not used why."""

    loaded: int
    prefix: str
    nesting: str
    head: str
    left_out: tuple[str, ...]
    resampled: tuple[str, ...]

    def sentence(self) -> str:
        """The same in one line."""
        places = [f"in '{self.nesting}'"] * bool(self.nesting) + [f"under '{self.prefix}'"] * bool(self.prefix)
        parts = [f"{self.loaded} tensors of the trunk loaded" + "".join(f" {place}" for place in places)]
        parts.append(f"head: {self.head}")
        parts += [f"resampled: {', '.join(self.resampled)}"] * bool(self.resampled)
        more = f" and {len(self.left_out) - 3} more" if len(self.left_out) > 3 else ""
        parts += [f"left out: {'; '.join(self.left_out[:3])}{more}"] * bool(self.left_out)
        return "; ".join(parts) + "."


@dataclass(frozen=True)
class Checkpoint:
    """A network with a person's weights, and what was done to get it."""

    network: EmbeddingNetwork
    report: Report


def open_checkpoint(
    path: str | Path,
    architecture: str,
    pooling: str | Pooling | None = None,
    head: HeadChoice = "auto",
    between: Between | None = None,
) -> Checkpoint:
    """The network of ``architecture`` with the weights of a file, of a trunk/embedder pair, or of the folder of one.

    Nothing of the trunk stays random. The layers behind it become the head: under ``head="auto"`` without the
    library's own classifier, under "keep" with it; "none" leaves all of them out. ``between`` is what stands in a gap
    of the head. A head that takes maps that lie flat, or average and maximum side by side, sets the pooling if none
    is given, and so does the trained exponent of a GeM pooling.

    Raises SimvisError for a file that cannot be read or wants to run code, for one of another architecture, and for a
    head that cannot be told or does not fit.
    """
    if head not in ("auto", "keep", "none"):
        raise SimvisError(f"head='{head}'", "one of auto, keep, none", "choose one of these")
    asked = None if pooling is None else Pooling.parse(pooling)
    built = build(architecture)
    file = read_checkpoint(Path(path))
    fit = fit_trunk(built.name, built.source, file)
    built.source.load_state_dict(fit.state)
    rest = _sort_leftovers(built, file, fit, head)
    base = arrange(built, None, None, file.name)
    return _assembled(built, base, _Opened(file, fit, rest, asked), between)


@dataclass
class _Leftovers:
    """The tensors beside the trunk: the head's by module path, GeM's exponent, and the others with a reason."""

    groups: dict[str, dict[str, Tensor]]
    exponent: tuple[str, float] | None
    left_out: list[str]


@dataclass(frozen=True)
class _Opened:
    file: CheckpointFile
    fit: Fit
    rest: _Leftovers
    asked: Pooling | None


def _assembled(built: Architecture, base: EmbeddingNetwork, opened: _Opened, between: Between | None) -> Checkpoint:
    pooling = opened.asked or _gem(built, base, opened.rest)
    head, found = _head(built, base, opened, pooling, between)
    network = base
    if head is not None or pooling is not None:
        network = arrange(built, found, head.module if head else None, opened.file.name)
    if pooling is not None and opened.asked is None:
        network.trained_pooling = pooling
    if network.pooling.positional and head is not None:  # such a head takes the trained view only
        network.preprocess = replace(network.preprocess, fixed_size=_view(base))
    network.origin = f"{opened.file.name} for {built.name}"
    return Checkpoint(network, _report(opened, head, pooling))


def _head(
    built: Architecture, base: EmbeddingNetwork, opened: _Opened, pooling: Pooling | None, between: Between | None
) -> tuple[Head | None, Pooling | None]:
    """The head, and the pooling whose width it takes."""
    if not opened.rest.groups:
        return None, pooling
    poolings, signed = _widths(base, pooling)
    widths = {width: f"under '{one or base.pooling}'" for width, one in poolings.items()}
    head = read_head(opened.rest.groups, opened.file, widths, built.name, between)
    idle = _idle_in_front(built, opened) if signed else ""
    return replace(head, words=head.words + idle), pooling if head.takes is None else poolings[head.takes]


def _widths(base: EmbeddingNetwork, pooling: Pooling | None) -> tuple[dict[int, Pooling | None], bool]:
    """Which width stands for which pooling, the likeliest kept where two agree; whether values are below zero."""
    h, w = _view(base)
    probe = torch.randn(1, 3, h, w, generator=torch.Generator().manual_seed(0))
    features = base.activations(probe).features
    embedding = base.embed(probe)
    own, signed = embedding.shape[1], bool((features < 0).any() or (embedding < 0).any())
    if pooling is not None:
        behind = pooling == base.pooling or pooling.inner
        return {own if behind else pooling.width(*features.shape[1:]): pooling}, signed
    others = {Pooling(name).width(*features.shape[1:]): Pooling(name) for name in ("flatten", "catavgmax")}
    return {own: None, **{width: other for width, other in others.items() if width != own}}, signed


def _view(base: EmbeddingNetwork) -> tuple[int, int]:
    return base.preprocess.fixed_size or (base.preprocess.short_side,) * 2


def _idle_in_front(built: Architecture, opened: _Opened) -> str:
    """What the report says of numbers left out in front of the head; in the classifier's place they are known."""
    first = next(iter(opened.rest.groups))
    parent, _, name = first.rpartition(".")
    if not name.isdigit() or opened.fit.inner_shown(first) in built.classifier:
        return ""
    before = [f"{parent}.{number}".lstrip(".") for number in range(int(name))]
    names = [opened.fit.shown(key) for key in opened.file.tensors]
    silent = [one for one in before if not any(key.startswith(f"{one}.") for key in names)]
    return f"; in front, without weights and taken to do nothing: {', '.join(silent)}" if silent else ""


def _gem(built: Architecture, base: EmbeddingNetwork, rest: _Leftovers) -> Pooling | None:
    """The pooling that a trained exponent tells of."""
    if rest.exponent is None:
        return None
    if base.head is not None or base.pooling.inner:
        raise SimvisError(
            f"{rest.exponent[0]}, the exponent of GeM, for {built.name}, which has layers of its own for or behind the"
            " pooling",
            "to know whether they stand behind GeM too",
            "give the pooling, or build the network in Python with EmbeddingNetwork(...)",
        )
    return Pooling("gem", rest.exponent[1])


def _report(opened: _Opened, head: Head | None, pooling: Pooling | None) -> Report:
    fit, rest = opened.fit, opened.rest
    words = head.words if head else "none"
    if rest.exponent and opened.asked is None:
        words = f"{words}, behind {pooling} (from {rest.exponent[0]})"
    elif rest.exponent:
        rest.left_out.append(
            f"{rest.exponent[0]} (one number), the exponent of GeM: the pooling asked for is {pooling}"
        )
    return Report(fit.loaded, fit.prefix, fit.nesting, words, tuple(rest.left_out), fit.resampled)


def _sort_leftovers(built: Architecture, file: CheckpointFile, fit: Fit, choice: HeadChoice) -> _Leftovers:
    """Raises SimvisError for tensors inside the trunk that the architecture does not have."""
    place = _Place(built, fit)
    rest = _Leftovers({}, None, [])
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


def _put(rest: _Leftovers, name: str, tensor: Tensor) -> None:
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
    return "a single number" if tensor.ndim == 0 else ""


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


def _drop_copies(rest: _Leftovers) -> None:
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


def _drop_classifier(rest: _Leftovers, built: Architecture, place: _Place, choice: HeadChoice) -> None:
    """A single matrix of as many outputs as classes is the library's classifier, with the norms beside it."""
    for path in place.classifiers if choice != "keep" else ():
        there = [group for group in rest.groups if f"{place.fit.inner_shown(group)}.".startswith(f"{path}.")]
        outputs = [_outputs(rest.groups[group]) for group in there]
        if [number for number in outputs if number is not None] == [built.classes]:
            for group in there:
                _drop(rest, group, "the classifier")
    for path, tensors in list(rest.groups.items()) if choice == "none" else ():
        _drop(rest, path, f"part of a head ({layer_words(path, tensors)}), as asked")


def _outputs(tensors: Mapping[str, Tensor]) -> int | None:
    weight = tensors.get("weight")
    return len(weight) if weight is not None and weight.ndim > 1 else None


def _drop(rest: _Leftovers, path: str, reason: str) -> None:
    for name, tensor in rest.groups.pop(path).items():
        rest.left_out.append(f"{path}.{name} ({size(tensor)}), {reason}")


def _names(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


# Parts of names, in lower case, of what lies beside an embedding network in a checkpoint.
_NAMES = (
    (_names(r"optim\w*|\w*sched\w*|scaler|callbacks|loops|queue\w*|\w*history"), "of the training"),
    (_names(r"(\w+_)?(criterion|criteria|losse?s?)(_\w+)?|(\w+_)?miner\w*"), "of the loss"),
    (_names(r"(\w+_)?(prox(y|ies)|(arc|cos|sphere)_?face|margin|centers|prototypes|metric_fc)(_\w+)?"), "of the loss"),
    (_names(r"classifiers?|(\w+_)?logits|cls_head"), "a classifier"),
    (_names(r"aux\w*"), "an auxiliary classifier"),
)
