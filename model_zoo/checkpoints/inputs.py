"""What a checkpoint's network does to its pictures before its first layer, told by the file or by the library."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from model_zoo.architectures.arranging import Architecture
from model_zoo.checkpoints.choices import INPUTS, Choices
from model_zoo.checkpoints.doubts import Doubt
from model_zoo.checkpoints.files.reading import CheckpointFile
from model_zoo.checkpoints.trunks.fitting import Fit
from simvis_core.errors import SimvisError
from simvis_core.networks.backbone import Activations
from simvis_core.networks.network import EmbeddingNetwork

_PICTURES = re.compile(r"normali[sz]\w*|\w*(pixel|image|img|input|preproc|transform|rgb|bgr|colou?r)\w*", re.IGNORECASE)
_CHANGED = "torchvision changes them inside from its pretrained weights on, and not in a network trained from scratch"
_WHITE = {"unit": 1.0, "bytes": 255.0}
_IMAGENET = (0.485, 0.456, 0.406)
_NEAR = 0.02  # of a mean to ImageNet's, in 0..1


@dataclass(frozen=True)
class Normalisation:
    """A step ``(x - mean) / std`` (3,) that a file keeps; ``scale`` is the value of white, 1 or 255.

    ``turned`` says that the channels come as blue, green, red. ``words`` tell it in a report.
    """

    mean: Tensor
    std: Tensor
    scale: float
    turned: bool
    words: str


class Normalised(nn.Module):
    """A backbone behind its own normalisation; its other members are the backbone's."""

    def __init__(self, backbone: nn.Module, own: Normalisation) -> None:
        super().__init__()
        self.backbone, self.turned = backbone, own.turned
        self.register_buffer("mean", own.mean[:, None, None])
        self.register_buffer("std", own.std[:, None, None])

    def __getattr__(self, name: str) -> Any:
        """What PyTorch finds here, else what the backbone has: how it pools by itself, say."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            found = getattr(self.__dict__["_modules"]["backbone"], name)
        return found if name != "attentions" else lambda pixels: found(self._normalised(pixels))

    def forward(self, pixels: Tensor) -> Tensor | Activations:
        """What the backbone gives for the normalised pixels."""
        return self.backbone(self._normalised(pixels))

    def extra_repr(self) -> str:
        """What a network's fingerprint could not tell otherwise."""
        return "channels turned" if self.turned else ""

    def _normalised(self, pixels: Tensor) -> Tensor:
        turned = pixels.flip(1) if self.turned else pixels
        return (turned - self.get_buffer("mean").to(pixels)) / self.get_buffer("std").to(pixels)


@dataclass(frozen=True)
class Input:
    """How pictures come into a checkpoint's network: ``file`` is without the normalisation that it keeps.

    ``taken`` is one of INPUTS, ``own`` the file's normalisation where that is used.
    """

    file: CheckpointFile
    taken: str
    own: Normalisation | None
    doubts: tuple[Doubt, ...]

    def before(self, network: EmbeddingNetwork) -> EmbeddingNetwork:
        """The network with this in front of it."""
        if self.taken not in ("file", "unit", "bytes"):
            return network
        scale = self.own.scale if self.own else _WHITE[self.taken]
        return _with_colours(network, scale, self.own)


def read_input(built: Architecture, file: CheckpointFile, fit: Fit, choices: Choices) -> Input:
    """What the file keeps, the library leaves open, or a person says of how pictures come in.

    torchvision's Inception networks map ImageNet's colours to one half and one half inside where they start from its
    weights, as nearly all checkpoints of them did; the option (``transform_input``) is in no state dict. It is set
    here.

    Raises SimvisError for an answer that the checkpoint has no place for, for several normalisations that differ, and
    for numbers that are no mean and spread of colours.
    """
    source: Any = built.source
    without, own = _taken_out(file, fit, choices)
    likeliest = "file" if own else "changed" if hasattr(source, "transform_input") else "library"
    options = tuple(dict.fromkeys((likeliest, "library", "unit", "bytes")))
    taken = choices.input or likeliest
    if taken not in options:
        raise SimvisError(
            f"the choice input={taken}, which this checkpoint has no place for",
            f"one of {', '.join(options)}",
            "say one",
        )
    if hasattr(source, "transform_input"):
        source.transform_input = taken == "changed"
    open_ = own is not None or likeliest == "changed" or choices.input is not None
    words = f"how pictures come in ({own.words if own else _CHANGED if likeliest == 'changed' else 'as said'})"
    doubt = Doubt("input", words, {name: INPUTS[name] for name in options}, taken, choices.input is not None)
    return Input(without, taken, own if taken == "file" else None, (doubt,) * open_)


def _taken_out(file: CheckpointFile, fit: Fit, choices: Choices) -> tuple[CheckpointFile, Normalisation | None]:
    """The file without a mean and a spread of colours that it keeps beside the trunk, and these; None for none."""
    rest = {
        key: tensor
        for key, tensor in file.tensors.items()
        if key not in fit.used and not fit.copied(key) and choices.place(fit.shown(key)) is None
    }
    found = [(keys, _read(keys, rest, fit)) for keys in _pairs(rest)]
    if not found:
        return file, None
    first = found[0][1]
    for keys, other in found[1:]:
        if not (torch.equal(first.mean, other.mean) and torch.equal(first.std, other.std)):
            raise SimvisError(
                f"{file.words} with more than one normalisation of pictures ({first.words}; {other.words})",
                "one mean and one spread of colours",
                f"say layers.{fit.shown(keys[0])}=out and the like of those that the network does not use",
            )
    taken = {key for keys, _ in found for key in keys}
    return replace(file, tensors={key: one for key, one in file.tensors.items() if key not in taken}), first


def _with_colours(network: EmbeddingNetwork, scale: float, own: Normalisation | None) -> EmbeddingNetwork:
    """The network for colours as they are, with white at ``scale``, and its own normalisation in front of it."""
    before = network.preprocess
    if own is None:
        neutral = tuple(value * scale for value in before.mean)
    else:
        neutral = tuple((own.mean.flip(0) if own.turned else own.mean).tolist())
    other = EmbeddingNetwork(
        Normalised(network.backbone, own) if own else network.backbone,
        network.pooling,
        network.head,
        replace(before, mean=(0.0, 0.0, 0.0), std=(1 / scale,) * 3, neutral=neutral),
        name=network.name,
        trained_pooling=network.trained_pooling,
    )
    other.architecture, other.origin = network.architecture, network.origin
    return other


def _pairs(rest: dict[str, Tensor]) -> Iterator[tuple[str, ...]]:
    """Keys of a mean and its spread, of three colours or of one number for all; a mean alone where its name says so."""
    for key, tensor in rest.items():
        owner, dot, last = key.rpartition(".")
        beside = owner + dot + last.replace("mean", "std").replace("Mean", "Std").replace("MEAN", "STD")
        if "mean" not in last.casefold() or last == "running_mean" or tensor.is_complex():
            continue
        named = any(_PICTURES.fullmatch(part) for part in key.split("."))
        if beside in rest and _colours(tensor, named) and _colours(rest[beside], named):
            yield key, beside
        elif beside not in rest and named and tensor.numel() == 3:
            yield (key,)


def _colours(tensor: Tensor, named: bool) -> bool:
    """Three numbers on one axis, or a single one where a name says that it is for pictures."""
    return tensor.numel() == (max(tensor.shape) if tensor.ndim else 1) and tensor.numel() in ((1, 3) if named else (3,))


def _read(keys: tuple[str, ...], rest: dict[str, Tensor], fit: Fit) -> Normalisation:
    mean = rest[keys[0]].flatten().float().expand(3).clone()
    std = rest[keys[1]].flatten().float().expand(3).clone() if len(keys) > 1 else torch.ones(3)
    names = " and ".join(fit.shown(key) for key in keys)
    if not (torch.isfinite(mean).all() and torch.isfinite(std).all() and (mean >= 0).all() and (std > 0).all()):
        raise SimvisError(
            f"{names}, which are no mean and spread of colours ({_listed(mean)}; {_listed(std)})",
            "colours in 0..1 or 0..255",
            f"say layers.{fit.shown(keys[0])}=out if the network does not use them",
        )
    scale = 255.0 if max(float(mean.max()), float(std.max())) > 2 else 1.0
    turned = _near(mean.flip(0) / scale) and not _near(mean / scale)
    order = "blue, green and red, as ImageNet's are in that order" if turned else "red, green and blue"
    words = f"{names} of the file say mean {_listed(mean)} and spread {_listed(std)} of 0..{scale:g}, taken as {order}"
    return Normalisation(mean, std, scale, turned, words)


def _near(mean: Tensor) -> bool:
    return bool((mean - torch.tensor(_IMAGENET)).abs().max() < _NEAR)


def _listed(numbers: Tensor) -> str:
    return ", ".join(f"{number:.4g}" for number in numbers.tolist())
