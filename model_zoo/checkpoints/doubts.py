"""What a checkpoint's file does not tell: the questions with their options, and the file that holds the answers."""

import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from model_zoo.checkpoints.choices import END, POOLING, Choices
from simvis_core.errors import SimvisError


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
        taken = self.options.get(self.taken or "", self.taken)
        return f"{self.words}: taken as {taken}" + (f" (or say {others})" if others else "")


class UndecidedError(SimvisError):
    """A checkpoint that fits, and leaves open what must be known.

    ``doubts`` are the questions, those without an answer first; ``choices`` is what was said.
    """

    def __init__(self, got: str, wanted: str, cure: str, doubts: Sequence[Doubt], choices: Choices) -> None:
        super().__init__(got, wanted, cure)
        self.doubts, self.choices = tuple(doubts), choices


def asked(doubts: Sequence[Doubt], words: str, choices: Choices) -> UndecidedError:
    """The refusal that asks for every doubt of a file, which ``words`` name."""
    first = doubts[0]
    options = " or ".join(f"{first.key}={value} ({meaning})" for value, meaning in first.options.items())
    gap = first.key.startswith("steps.") and first.key not in (f"steps.{POOLING}", f"steps.{END}")
    hint = "give between='relu', 'gelu' or 'none' (for dropout), or " * gap
    others = sum(doubt.taken is None for doubt in doubts) - 1
    more = f"; {others} more question{'s' * (others > 1)}" * (others > 0)
    return UndecidedError(
        f"{words} with {first.words}{more}",
        "to know what the file cannot tell",
        f"{hint}say {options}: in Python as choices=, on the command line as --choice, on the page below",
        doubts,
        choices,
    )


def write_choices(path: Path, choices: Choices, doubts: Sequence[Doubt] = ()) -> None:
    """Writes choices as JSON for `read_choices`, whole or not at all.

    Under ``open``, which is not read, stands every doubt with its options. Raises SimvisError where that cannot be.
    """
    text = json.dumps(told(choices, doubts), indent=2) + "\n"
    part = path.with_name(f"{path.name}.part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        raise SimvisError(f"'{path}', which cannot be written", "a file for the choices", "name another") from error


def told(choices: Choices, doubts: Sequence[Doubt] = ()) -> dict[str, Any]:
    """What the file of choices holds."""
    listed = [
        {"key": doubt.key, "says": doubt.words, "options": dict(doubt.options), "taken": doubt.taken}
        for doubt in doubts
    ]
    return {**asdict(choices), "order": list(choices.order), "open": listed}


def check_used(choices: Choices, doubts: Sequence[Doubt], layers: Sequence[str], seen: Sequence[str]) -> None:
    """Raises SimvisError for an answer to what is no question of the file: none is passed over.

    ``doubts`` are the questions that were met, ``layers`` the paths of layers, left out or not, and ``seen`` the names
    of all tensors that are not the trunk's.
    """
    met = [doubt.key for doubt in doubts]
    asked_for = [(f"layers.{name}", _among(name, seen), "layers.") for name in choices.layers]
    asked_for += [(f"steps.{name}", f"steps.{name}" in met or name in layers, "steps.") for name in choices.steps]
    asked_for += [(f"kinds.{name}", f"kinds.{name}" in met, "kinds.") for name in choices.kinds]
    asked_for += [(f"order={','.join(choices.order)}", _among(name, layers), "") for name in choices.order]
    asked_for += [(f"view={choices.view}", "view" in met, "view")] * (choices.view is not None)
    for name, known, start in asked_for:
        if not known:
            others = (
                [key for key in met if key.startswith(start)]
                if start in ("view", "kinds.")
                else [start + path for path in layers]
            )
            raise _unknown(name, others)


def _among(name: str, paths: Sequence[str]) -> bool:
    return any(path == name or path.startswith(f"{name}.") for path in paths)


def _unknown(name: str, known: list[str]) -> SimvisError:
    close = difflib.get_close_matches(name, known, 5, 0.3) or known[:5]
    return SimvisError(
        f"the choice {name}, which this checkpoint has no place for",
        f"one such as {', '.join(close)}" if close else "none: the file leaves nothing of this kind open",
        "leave it out, or name one of these" if close else "leave it out",
    )
