"""What a person says of a checkpoint where its file cannot: by arguments, or as one small JSON file."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

from simvis_core.errors import SimvisError
from simvis_core.poolings import Pooling

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
POOLING, END = "pooling", "end"  # the steps in front of the pooling, and behind the last layer


@dataclass(frozen=True)
class Choices:
    """Answers to what a checkpoint leaves open; what is not said is found, or asked for.

    ``pooling`` and ``head`` are those of `open_checkpoint`, ``between`` is what stands in every gap of the head that
    ``steps`` does not name. ``view`` is the side in pixels of the views a head on flat maps was trained with.
    ``layers`` says where a layer stands (see PLACES), by its name or by the beginning of several; ``steps`` what stands
    in front of a layer (see STEPS), in front of the "pooling", or behind the last layer, at the "end". ``order`` names
    the head's layers in their order, for a file that sorts them.
    """

    pooling: str | None = None
    head: HeadChoice = "auto"
    between: str | None = None
    view: int | None = None
    layers: Mapping[str, str] = field(default_factory=dict)
    steps: Mapping[str, str] = field(default_factory=dict)
    order: Sequence[str] = ()

    def place(self, path: str) -> str | None:
        """What is said of a layer: by its own name, or by the longest beginning of it."""
        named = [name for name in self.layers if path == name or path.startswith(f"{name}.")]
        return self.layers[max(named, key=len)] if named else None

    def said(self, key: str, answer: str) -> "Choices":
        """These with one more, whose key is that of a `Doubt`: ``layers.arc``, ``view``.

        Raises SimvisError for a key or an answer that there is not.
        """
        name, _, path = key.partition(".")
        if name in ("layers", "steps") and path:
            value: Any = {**getattr(self, name), path: answer}
        else:
            value = answer.split(",") if name == "order" else int(answer) if answer.isdigit() else answer
        return _checked({**asdict(self), key if not path else name: value})

    def written(self, path: Path, doubts: "Sequence[Doubt]" = ()) -> None:
        """Writes them as JSON, with what else could be said; whole or not at all."""
        text = json.dumps(self.told(doubts), indent=2) + "\n"
        part = path.with_name(f"{path.name}.part")
        try:
            part.write_text(text, encoding="utf-8")
            part.replace(path)
        except OSError as error:
            raise SimvisError(f"'{path}', which cannot be written", "a file for the choices", "name another") from error

    def told(self, doubts: "Sequence[Doubt]" = ()) -> dict[str, Any]:
        """What the JSON file holds: the choices, and under ``open`` every doubt with its options, which is not read."""
        listed = [
            {"key": doubt.key, "says": doubt.words, "options": dict(doubt.options), "taken": doubt.taken}
            for doubt in doubts
        ]
        return {**asdict(self), "order": list(self.order), "open": listed}


@dataclass(frozen=True)
class Doubt:
    """Something that the file does not tell: its options in words by their value; None is taken where it must be said.

    ``key`` is what `Choices.said` takes; ``said`` tells that a person took it.
    """

    key: str
    words: str
    options: Mapping[str, str]
    taken: str | None = None
    said: bool = False

    def sentence(self) -> str:
        """What was taken, and how to say otherwise."""
        others = " or ".join(f"{self.key}={value}" for value in self.options if value != self.taken)
        return f"{self.words}: taken as {self.options.get(self.taken or '', self.taken)} (or say {others})"


class UndecidedError(SimvisError):
    """A checkpoint that fits, and leaves open what must be known; ``doubts`` are the questions."""

    def __init__(self, got: str, wanted: str, cure: str, doubts: Sequence[Doubt]) -> None:
        super().__init__(got, wanted, cure)
        self.doubts = tuple(doubts)


def asked(doubts: Sequence[Doubt], words: str) -> UndecidedError:
    """The refusal that asks for every doubt of a file, which ``words`` name."""
    first = doubts[0]
    options = " or ".join(f"{first.key}={value} ({meaning})" for value, meaning in first.options.items())
    gap = first.key.startswith("steps.") and first.key not in (f"steps.{POOLING}", f"steps.{END}")
    hint = "give between='relu', 'gelu' or 'none' (for dropout), or " * gap
    more = f"; {len(doubts) - 1} more" * (len(doubts) > 1)
    return UndecidedError(
        f"{words} with {first.words}{more}",
        "to know what the file cannot tell",
        f"{hint}say {options}: in Python as choices=, on the command line as --choice, on the page below",
        doubts,
    )


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


def with_arguments(choices: Choices, pooling: str | Pooling | None, head: str, between: str | None) -> Choices:
    """The choices with what was given beside them, which counts before them."""
    given: dict[str, Any] = {} if pooling is None else {"pooling": str(pooling)}
    given |= {} if head == "auto" else {"head": head}
    given |= {} if between is None else {"between": between}
    return _checked({**asdict(choices), **given})


def check_used(choices: Choices, paths: Sequence[str], steps: Sequence[str]) -> None:
    """Raises SimvisError for a layer or a step that the file does not have: an answer is never passed over."""
    for name in choices.layers:
        if not any(path == name or path.startswith(f"{name}.") for path in paths):
            raise _unknown(f"layers.{name}", list(paths))
    for name in choices.steps:
        if name not in (*steps, POOLING, END):
            raise _unknown(f"steps.{name}", [*steps, POOLING, END])


def _unknown(name: str, known: list[str]) -> SimvisError:
    return SimvisError(
        f"the choice {name}, which this checkpoint has no place for",
        f"one of {', '.join(known[:12]) or 'none: it has nothing beside its trunk'}",
        "leave it out, or name one of these",
    )


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
    for name in ("layers", "steps"):
        if not isinstance(getattr(choices, name), Mapping):
            raise SimvisError(f"{name}='{getattr(choices, name)}'", "a dict by names of layers", *_FORM[1:])
    if choices.pooling is not None:
        Pooling.parse(str(choices.pooling))


def _answers(choices: Choices) -> list[tuple[str, object, tuple[str, ...]]]:
    answers: list[tuple[str, object, tuple[str, ...]]] = [("head", choices.head, HEADS)]
    if choices.between is not None:
        answers.append(("between", choices.between, BETWEEN))
    answers += [(f"layers.{name}", value, tuple(PLACES)) for name, value in choices.layers.items()]
    return answers + [(f"steps.{name}", value, tuple(STEPS)) for name, value in choices.steps.items()]


BETWEEN = ("relu", "gelu", "silu", "none")
_MOST_BYTES, _MOST_PIXELS = 2**20, 4096
_FORM = (
    'a dict such as {"layers": {"arc": "out"}, "steps": {"fc": "unit"}}',
    "take the file that --write-choices writes",
)
