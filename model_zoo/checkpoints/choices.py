"""What a person says of a checkpoint where its file cannot: by arguments, or as one small JSON file."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

from simvis_core.errors import SimvisError
from simvis_core.networks.poolings import Pooling

HeadChoice = Literal["auto", "keep", "none"]
HEADS: tuple[HeadChoice, ...] = ("auto", "keep", "none")
# Where a layer beside the trunk stands. "transposed" is behind too, for a matrix kept as inputs x outputs.
PLACES = {
    "behind": "a layer behind the pooling",
    "front": "a layer in front of the pooling, on the maps",
    "transposed": "a matrix behind the pooling, as inputs x outputs",
    "out": "no part of the embedding",
}
# What may stand in front of a layer without leaving weights; several are joined by "+", in their order.
STEPS = {
    "none": "nothing, or dropout",
    "relu": "ReLU",
    "gelu": "GELU",
    "silu": "SiLU",
    "unit": "a step to unit length",
    "relu+unit": "ReLU, then a step to unit length",
}
# How pictures come into the network, where more than the library's own way may be meant.
INPUTS = {
    "library": "colours by the library's mean and spread alone",
    "changed": "colours by ImageNet's mean and spread, then changed inside to one half and one half",
    "file": "colours as they are, then by the file's own mean and spread",
    "unit": "colours as they are, 0..1",
    "bytes": "colours as they are, 0..255",
}
# What a layer of one weight of one axis, and perhaps a bias, is.
KINDS = {
    "layer": "LayerNorm",
    "group:N": "GroupNorm of N groups",
    "rms": "RMSNorm",
    "prelu": "PReLU of a slope for each channel",
    "scale": "a factor for each channel, and an offset",
}
POOLING, END = "pooling", "end"  # the steps in front of the pooling, and behind the last layer


@dataclass(frozen=True)
class Choices:
    """Answers to what a checkpoint leaves open; what is not said is found, or asked for.

    ``pooling`` and ``head`` are those of `open_checkpoint`, ``between`` is what stands in every gap of the head that
    ``steps`` does not name. ``view`` is the side in pixels of the views a head on flat maps was trained with.
    ``layers`` says where a layer stands (see PLACES), by its name or by the beginning of several; ``steps`` what stands
    in front of a layer (see STEPS), in front of the "pooling", or behind the last layer, at the "end". ``order`` names
    the head's layers in their order, for a file that sorts them; ``kinds`` what a layer is whose tensors do not tell
    (see KINDS), ``input`` how pictures come in (see INPUTS).
    """

    pooling: str | None = None
    head: HeadChoice = "auto"
    between: str | None = None
    view: int | None = None
    layers: Mapping[str, str] = field(default_factory=dict)
    steps: Mapping[str, str] = field(default_factory=dict)
    order: Sequence[str] = ()
    kinds: Mapping[str, str] = field(default_factory=dict)
    input: str | None = None

    def place(self, path: str) -> str | None:
        """What is said of a layer: by its own name, or by the longest beginning of it."""
        named = [name for name in self.layers if path == name or path.startswith(f"{name}.")]
        return self.layers[max(named, key=len)] if named else None

    def words(self) -> str:
        """Layers, steps, kinds, order, view and input in one line, as they are said; "" for none of them."""
        said = {f"layers.{path}": place for path, place in self.layers.items()}
        said |= {f"steps.{path}": step for path, step in self.steps.items()}
        said |= {f"kinds.{path}": kind for path, kind in self.kinds.items()}
        said |= {} if self.input is None else {"input": self.input}
        said |= {"order": ",".join(self.order)} if self.order else {}
        said |= {} if self.view is None else {"view": str(self.view)}
        return ", ".join(f"{key}={answer}" for key, answer in said.items())

    def said(self, key: str, answer: str) -> "Choices":
        """These with one more, whose key is that of a `Doubt`: ``layers.arc``, ``view``.

        Raises SimvisError for a key or an answer that there is not.
        """
        name, _, path = key.partition(".")
        if name in ("layers", "steps", "kinds") and path:
            value: Any = {**getattr(self, name), path: answer}
        else:
            value = answer.split(",") if name == "order" else int(answer) if answer.isdigit() else answer
        return _checked({**asdict(self), key if not path else name: value})


def read_choices(given: "Choices | Mapping[str, Any] | str | Path | None") -> Choices:
    """The choices of an object, a dict, or a JSON file.

    Raises SimvisError for a file that is no such JSON, and for names and answers that there are not.
    """
    if given is None:
        return Choices()
    if isinstance(given, Choices):
        return _checked(asdict(given))
    if isinstance(given, Mapping):
        return _checked(given)
    return _checked(_loaded(Path(given)))


def parse_choices(text: str) -> Choices:
    """The choices that a JSON text holds, as a page has it; none for an empty one. Raises as `read_choices`."""
    return _checked(_parsed(text, "the choices")) if text.strip() else Choices()


def parse_answers(choices: Choices, answers: Sequence[str]) -> Choices:
    """The choices with answers written ``NAME=VALUE``, as a command line has them.

    Raises SimvisError for one without a sign of equality, and as `Choices.said`.
    """
    for answer in answers:
        key, found, value = answer.partition("=")
        if not found:
            raise SimvisError(f"--choice {answer}", "NAME=VALUE", "write it like --choice layers.arc=out")
        choices = choices.said(key.strip(), value.strip())
    return choices


def with_arguments(choices: Choices, pooling: str | Pooling | None, head: str, between: str | None) -> Choices:
    """The choices with what was given beside them, which counts before them."""
    given: dict[str, Any] = {} if pooling is None else {"pooling": str(pooling)}
    given |= {} if head == "auto" else {"head": head}
    given |= {} if between is None else {"between": between}
    return _checked({**asdict(choices), **given})


def _loaded(path: Path) -> Mapping[str, Any]:
    try:
        text = path.read_text(encoding="utf-8") if path.stat().st_size < _MOST_BYTES else ""
    except (OSError, ValueError) as error:
        raise SimvisError(f"'{path.name}', which cannot be read", "a JSON file of choices", "check the path") from error
    return _parsed(text, f"'{path.name}'")


def _parsed(text: str, name: str) -> Mapping[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SimvisError(f"{name}, which is no JSON ({str(error)[:80]})", *_FORM) from error
    if not isinstance(found, Mapping):
        raise SimvisError(f"{name}, which holds a {type(found).__name__}", *_FORM)
    return found


def _checked(given: Mapping[str, Any]) -> Choices:
    values = {name: value for name, value in given.items() if name != "open"}
    names = [entry.name for entry in fields(Choices)]
    for name in values:
        if name not in names:
            raise SimvisError(f"the choice '{name}'", f"one of {', '.join(names)}", "choose one of these")
    choices = replace(Choices(), **values)
    _check_plain(choices)
    for name, value, allowed in _answers(choices):
        if value not in allowed:
            raise SimvisError(f"{name}='{value}'", f"one of {', '.join(allowed)}", "choose one of these")
    return choices


def _check_plain(choices: Choices) -> None:
    view = choices.view
    if view is not None and (isinstance(view, bool) or not isinstance(view, int) or not 1 <= view <= _MOST_PIXELS):
        raise SimvisError(f"view='{view}'", f"a side from 1 to {_MOST_PIXELS} pixels", "write it like 112")
    if not isinstance(choices.order, (list, tuple)) or not all(isinstance(name, str) for name in choices.order):
        raise SimvisError(f"order='{choices.order}'", "a list of layers", *_FORM[1:])
    for name in ("layers", "steps", "kinds"):
        if not isinstance(getattr(choices, name), Mapping):
            raise SimvisError(f"{name}='{getattr(choices, name)}'", "a dict by names of layers", *_FORM[1:])
    if choices.pooling is not None:
        Pooling.parse(str(choices.pooling))


def _answers(choices: Choices) -> list[tuple[str, object, tuple[str, ...]]]:
    answers: list[tuple[str, object, tuple[str, ...]]] = [("head", choices.head, HEADS)]
    if choices.between is not None:
        answers.append(("between", choices.between, BETWEEN))
    if choices.input is not None:
        answers.append(("input", choices.input, tuple(INPUTS)))
    answers += [(f"kinds.{name}", _kind(str(kind)), tuple(KINDS)) for name, kind in choices.kinds.items()]
    answers += [(f"layers.{name}", value, tuple(PLACES)) for name, value in choices.layers.items()]
    return answers + [(f"steps.{name}", value, tuple(STEPS)) for name, value in choices.steps.items()]


def _kind(answer: str) -> str:
    """The name of a kind in KINDS for an answer; a count of groups must be a number."""
    return "group:N" if _GROUPS.fullmatch(answer) else answer.replace("group:N", "group:N without the number N")


BETWEEN = ("relu", "gelu", "silu", "none")
_GROUPS = re.compile(r"group:[1-9]\d{0,5}")
_MOST_BYTES, _MOST_PIXELS = 2**20, 4096
_FORM = (
    'a dict such as {"layers": {"arc": "out"}, "steps": {"fc": "unit"}}',
    "take the file that --write-choices writes",
)
