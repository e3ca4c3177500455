"""`train`: a network learns from class folders, a CSV or drawn rooms, and its steps are kept as a series."""

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from simvis_app.commands.options import positive
from simvis_app.service import defaults, samples
from simvis_app.service.words import LISTED_SKIPPED
from simvis_core.errors import SimvisError

DRAWN_SOURCE = "rooms"
WRITERS = ("csv", "tensorboard", "wandb")
FLAGS: dict[str, tuple[str, Callable[[str], Any], str]] = {
    "network": ("NAME", str, f"a name of `models`, {defaults.ARCHITECTURES_SAID}"),
    "pooling": ("NAME", str, "what it pools by, and is trained under"),
    "head": ("HEAD", str, "none, fc:WIDTH, fc_bn:WIDTH, whiten or whiten:WIDTH"),
    "part": ("PART", str, "what of the trunk learns: frozen, last (stage) or whole"),
    "side": ("PIXELS", positive, "of the square views"),
    "loss": ("NAME", str, "triplet, triplet_hard, triplet_all, multi_similarity, contrastive, arcface or proxy_nca"),
    "memory": ("N", int, "embeddings of earlier batches to compare with (0: none)"),
    "classes": ("P", int, "classes in a batch"),
    "each": ("K", int, "pictures of each class in a batch"),
    "steps": ("N", int, "steps in all; 0 with --head whiten learns the whitening alone"),
    "every": ("N", positive, "steps between two tests, each of which is kept"),
    "rate": ("RATE", float, "the trunk's rate"),
    "head-rate": ("RATE", float, "the head's rate"),
    "loss-rate": ("RATE", float, "the rate of what the loss itself learns"),
    "decay": ("SHARE", float, "weight decay"),
    "schedule": ("NAME", str, "cosine or constant"),
    "warm-up": ("STEPS", int, "steps over which the rate grows"),
    "clip": ("LENGTH", float, "the longest gradient that is followed as it is"),
    "crop": ("SHARE", float, "the smallest share of a picture that a crop shows (1: all)"),
    "colour": ("SHARE", float, "by how much brightness, contrast and saturation change (0: not)"),
    "tested": ("SHARE", float, "share of the classes that are not learned from but tested on"),
    "patience": ("TESTS", int, "stop after so many tests without a better MAP@R (0: never)"),
    "seed": ("N", int, "of all that is drawn"),
}


def add(training: argparse.ArgumentParser) -> None:
    """Adds the command's flags."""
    training.add_argument("source", metavar="SOURCE", help="class folders of pictures, a CSV: file,label, or rooms")
    training.add_argument("--out", required=True, type=Path, metavar="RUN", help="the folder of the run")
    training.add_argument("--resume", action="store_true", help="go on with the run that is there")
    training.add_argument(
        "--validation", metavar="SOURCE", help="pictures to test on, in place of a part of the classes"
    )
    training.add_argument("--distractors", metavar="SOURCE", help="what else is searched in the test, and asks nothing")
    training.add_argument("--folds", type=positive, metavar="N", help="train N times, each tested on other classes")
    training.add_argument("--identities", type=positive, default=48, metavar="N", help="rooms that are drawn (48)")
    training.add_argument("--views", type=positive, default=8, metavar="N", help="pictures of each room (8)")
    training.add_argument("--scratch", action="store_true", help="begin with drawn weights, not with published ones")
    training.add_argument("--no-flip", action="store_true", help="do not mirror pictures")
    training.add_argument("--frozen-statistics", action="store_true", help="keep batch norms' means and spreads")
    training.add_argument("--half", action="store_true", help="store steps in half precision")
    training.add_argument("--device", default="auto", help="where it is trained, as PyTorch names it: cpu, cuda, mps")
    training.add_argument(
        "--writer",
        action="append",
        choices=WRITERS,
        help="where losses and figures go as well; may be given several times (default: csv)",
    )
    for name, (metavar, kind, about) in FLAGS.items():
        training.add_argument(f"--{name}", metavar=metavar, type=kind, help=about)


def run(options: argparse.Namespace) -> None:
    """Trains, tells how far it is, and prints what came out as JSON."""
    started = time.monotonic()
    recipe, examples = _recipe(options), _examples(options)
    _tell_left_out(examples.left_out)
    teller = _Teller(recipe.steps, recipe.classes * recipe.each)
    try:
        told = (_once if options.folds is None else _folds)(options, recipe, examples, teller)
    except KeyboardInterrupt:
        print("\nsimvis: with --resume it goes on", end="", file=sys.stderr)
        raise
    print(json.dumps({"run": str(options.out), **told, "seconds": round(time.monotonic() - started, 1)}, indent=2))


def _once(options: argparse.Namespace, recipe: Any, examples: Any, teller: "_Teller") -> dict[str, Any]:
    from model_zoo.training.running import train
    from simvis_core.steps import run as run_steps

    with ExitStack() as stack:
        writers = [stack.enter_context(closing(writer)) for writer in _writers(options)]
        how = {"resumed": options.resume, "device": options.device, "writers": writers, "home": samples.FOLDER}
        outcome = run_steps(train(examples, recipe, options.out, **how), teller.tell)
    _tell_left_out({name: why for name, why in outcome.left_out.items() if name not in examples.left_out})
    return {
        "training": outcome.training,
        "validation": outcome.validation,
        "distractors": outcome.distractors,
        "left_out": len(outcome.left_out),
        "steps": [one.step for one in outcome.series.steps],
        "stopped_early": outcome.stopped_early,
        "best": outcome.best,
        "before": dict(outcome.series.steps[0].figures),
        "figures": dict(outcome.figures),
        "pictures_per_second": teller.rate(),
    }


def _folds(options: argparse.Namespace, recipe: Any, examples: Any, teller: "_Teller") -> dict[str, Any]:
    from model_zoo.training.folds import cross_validate, fold_means
    from simvis_core.steps import run as run_steps

    if options.writer:
        raise SimvisError("--writer with --folds", "one of them", "leave one out")
    steps = cross_validate(examples, recipe, options.out, options.folds, resumed=options.resume, device=options.device)
    outcomes = run_steps(steps, lambda one: teller.tell(one.told, f"fold {one.fold}: "))
    means = {name: {"mean": one.mean, "low": one.low, "high": one.high} for name, one in fold_means(outcomes).items()}
    return {"folds": len(outcomes), "figures": means}


def _recipe(options: argparse.Namespace) -> Any:
    from model_zoo.training.recipes import TrainingRecipe

    names = [name.replace("-", "_") for name in FLAGS]
    given = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    return TrainingRecipe(
        scratch=options.scratch,
        flip=not options.no_flip,
        frozen_statistics=options.frozen_statistics,
        half=options.half,
        **given,
    )


def _examples(options: argparse.Namespace) -> Any:
    from model_zoo.training.data import folder_examples, room_examples

    if options.source != DRAWN_SOURCE:
        return folder_examples(options.source, options.validation, options.distractors)
    for name in ("validation", "distractors"):
        if getattr(options, name) is not None:
            raise SimvisError(f"--{name} with drawn rooms", "a folder or a CSV to learn from", f"leave --{name} out")
    return room_examples(options.identities, options.views)


def _writers(options: argparse.Namespace) -> list[Any]:
    from simvis_core.progress.writers import CsvWriter, TensorBoardWriter, WandbWriter

    made: dict[str, Callable[[Path], Any]] = {
        "csv": CsvWriter,
        "tensorboard": TensorBoardWriter,
        "wandb": WandbWriter,
    }
    return [made[name](options.out) for name in options.writer or ["csv"]]


def _tell_left_out(left_out: Mapping[str, str]) -> None:
    """A line tells of each picture that is left out, up to twenty."""
    for file, why in list(left_out.items())[:LISTED_SKIPPED]:
        print(f"simvis: left out: {file}: {why}", file=sys.stderr)
    if len(left_out) > LISTED_SKIPPED:
        print(f"simvis: left out: {len(left_out) - LISTED_SKIPPED} more", file=sys.stderr)


class _Teller:
    """How far a training is: a line on a terminal, elsewhere a line every few seconds, and one for each test."""

    def __init__(self, steps: int, batch: int) -> None:
        self.steps, self.batch, self.made, self.spent = steps, batch, 0, 0.0
        self.terminal, self.last, self.before = sys.stderr.isatty(), float("-inf"), time.monotonic()

    def rate(self) -> float | None:
        """Pictures learned from in a second of the steps, tests not counted; None before a step."""
        return round(self.batch * self.made / self.spent, 1) if self.spent else None

    def tell(self, told: Any, begin: str = "") -> None:
        """Says what came, seldom enough to be read."""
        now, kind = time.monotonic(), type(told).__name__
        if kind == "LearningStep":
            self.made, self.spent = self.made + 1, self.spent + now - self.before
        self.before = now
        line, always = _LINES[kind](self, told)
        if always or now - self.last >= (0.2 if self.terminal else 5.0):
            self.last = now
            end = "\n" if always or not self.terminal else ""
            print(
                f"{chr(13)}{begin}{line:<100}" if self.terminal else f"{begin}{line}",
                end=end,
                file=sys.stderr,
                flush=True,
            )

    def read(self, told: Any) -> tuple[str, bool]:
        """A picture was read."""
        missing = f", {told.unreadable} of them unreadable" if told.unreadable else ""
        return f"{told.done} of {told.total} pictures read{missing}", told.done == told.total

    def learned(self, told: Any) -> tuple[str, bool]:
        """A step was made."""
        left = self.spent / self.made * (self.steps - told.step)
        line = f"step {told.step} of {self.steps}, loss {told.loss:.4f}, {self.rate()} pictures a second"
        return f"{line}, {left:.0f} s left", False

    def tested(self, told: Any) -> tuple[str, bool]:
        """A test was made."""
        figures = ", ".join(f"{name} {number:.3f}" for name, number in told.figures.items())
        return f"step {told.step}: {figures}{' (the best yet)' if told.best else ''}", True


_LINES: dict[str, Callable[[_Teller, Any], tuple[str, bool]]] = {
    "ReadSoFar": _Teller.read,
    "LearningStep": _Teller.learned,
    "Validated": _Teller.tested,
}
