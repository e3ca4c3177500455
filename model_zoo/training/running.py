"""A training run: pictures read, steps made, each test and stored step, and going on after any stop."""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple

import torch
from torch import Tensor

from model_zoo.running.devices import on_device
from model_zoo.training.batches import RunBatches
from model_zoo.training.data import Examples, numbered_labels, split_by_class
from model_zoo.training.gallery import portable_names
from model_zoo.training.pixels import Pixels, ReadSoFar, forget_pixels, read_pixels
from model_zoo.training.recipes import TrainingRecipe
from model_zoo.training.states import base_of, state_of
from model_zoo.training.trained import Embedder, beginning, choose_part, whitened, with_new_head
from simvis_core.errors import SimvisError
from simvis_core.files.writing import forget_unfinished
from simvis_core.learning.loop import Learner, LearningStep, check_finite_state, learning, optimiser_for
from simvis_core.learning.losses import metric_loss
from simvis_core.learning.metrics import retrieval_figures
from simvis_core.learning.saving import load_learner, save_learner
from simvis_core.networks.network import EmbeddingNetwork
from simvis_core.progress.manifests import MANIFEST
from simvis_core.progress.series import Series
from simvis_core.progress.series_files import SeriesFiles
from simvis_core.progress.writers import Writer

STATE = "state.pt"
FILES = (STATE, MANIFEST, "scalars.csv", "step-*", "gallery-*", "training.*", "validation.*")  # of a run
LARGER = 8 / 7  # sides of the pictures that crops are taken from, as 256 is to 224
RECALLS = (1, 5, 10)
SAVED_EVERY = 30.0  # seconds at most that a kill costs; each test is saved too


class Validated(NamedTuple):
    """A test on the classes that are not learned from: the step, its figures, and whether its MAP@R is the best yet."""

    step: int
    figures: dict[str, float]
    best: bool


TrainingEvent = ReadSoFar | LearningStep | Validated


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a training came to: its series, the best step by MAP@R, that step's figures, and what was left out."""

    series: Series
    best: int
    figures: Mapping[str, float]
    left_out: Mapping[str, str]
    training: int
    validation: int
    distractors: int
    stopped_early: bool


def train(
    examples: Examples,
    recipe: TrainingRecipe,
    out: str | Path,
    *,
    resumed: bool = False,
    device: str = "auto",
    writers: Sequence[Writer] = (),
    fold: tuple[int, int] | None = None,
    home: Path | None = None,
) -> Generator[TrainingEvent, None, Outcome]:
    """Trains by the recipe and writes a checkpoint series to ``out``; tells every picture read, step and test.

    Killed at any moment and called again with ``resumed``, it goes on with the same numbers. ``fold`` (number from 0,
    of so many) tests on that part of the classes. The series names pictures below ``home`` from there. PyTorch's
    random numbers are the recipe's from here on.

    Raises SimvisError for a folder that holds another run (or this one, unless it is resumed), for what the recipe asks
    and cannot be, for pictures of which none can be read, for a training that diverges, and for a full disk.
    """
    out = Path(out)
    if not resumed and ((out / MANIFEST).exists() or (out / STATE).exists()):
        raise SimvisError(f"'{out}', which holds a run", "a folder without one", "resume it, or name another folder")
    forget_unfinished(out, FILES)  # of a run that was killed while it wrote
    split = split_by_class(examples, recipe.tested, recipe.seed, fold)
    base = beginning(recipe.network, recipe.pooling, recipe.seed if recipe.scratch else None, recipe.side)
    side = _side(base)
    _ = base.width(side)  # refuses a pooling that does not fit, before pictures are read
    larger = side if recipe.crop == 1 else round(side * LARGER)
    files = out / "training.bytes", out / "validation.bytes"
    seen = yield from read_pixels(examples, split.training.tolist(), larger, base.preprocess, files[0])
    unseen = yield from read_pixels(examples, split.validation.tolist(), side, base.preprocess, files[1])
    run = _Run(recipe, out, base, seen, unseen, dict(examples.left_out), device, tuple(writers), side, resumed, home)
    outcome = yield from run.made()
    for file in files:
        forget_pixels(file)
    return outcome


@dataclass(frozen=True, eq=False)
class _Run:
    """A run whose pictures are read."""

    recipe: TrainingRecipe
    out: Path
    base: EmbeddingNetwork
    seen: Pixels
    unseen: Pixels
    left_out: dict[str, str]
    device: str
    writers: tuple[Writer, ...]
    side: int
    resumed: bool
    home: Path | None

    def made(self) -> Generator[TrainingEvent, None, Outcome]:
        """The steps from the beginning, or from where a run stopped, to the outcome."""
        _ = self.labels_unseen  # refuses what cannot be tested before anything is written
        files, notes = self._files(), _Notes()
        on_device(self.base, self.device)
        torch.manual_seed(self.recipe.seed)
        if self.recipe.steps == 0:
            yield self._tested(0, self.base, files, notes)
            yield self._tested(1, self.network, files, notes)
            return self._outcome(files, notes)
        learner = self._learner()
        if self.resumed and (self.out / STATE).exists():
            notes = _Notes(**load_learner(self.out / STATE, learner))
        else:
            yield self._tested(0, self.network, files, notes)
        yield from self._steps(learner, files, notes)
        return self._outcome(files, notes)

    def _steps(self, learner: Learner, files: SeriesFiles, notes: "_Notes") -> Generator[TrainingEvent, None, None]:
        saved = monotonic()
        steps = learning(learner, self.batches.at, self.recipe.pace)
        while not notes.stopped and (step := next(steps, None)) is not None:
            yield step
            notes.loss, notes.losses = notes.loss + step.loss, notes.losses + 1
            self._write(step.step, {"loss": step.loss, "rate": step.rate, "gradient": step.gradient})
            if step.step % self.recipe.every == 0 or step.step == self.recipe.steps:
                check_finite_state(learner.module, step.step)
                yield self._tested(step.step, self.network, files, notes)
                notes.stopped = 0 < self.recipe.patience <= notes.worse
            elif monotonic() - saved < SAVED_EVERY:
                continue
            save_learner(self.out / STATE, learner, vars(notes))
            saved = monotonic()

    @cached_property
    def network(self) -> EmbeddingNetwork:
        """What is trained, on its device."""
        network = on_device(with_new_head(self.base, self.recipe.head, self.recipe.seed), str(self.batches.device))
        if self.recipe.head.startswith("whiten"):
            network = whitened(network, lambda: self.batches.plain(self.seen), self.recipe.head)
        choose_part(network, self.recipe.part)
        return network

    @cached_property
    def labels_unseen(self) -> Tensor:
        """The classes of the pictures that are tested on. Raises SimvisError where no two are of one class."""
        labels = numbered_labels(self.unseen.labels)
        if len(set(labels.tolist())) == len(labels):
            raise SimvisError(
                f"{len(labels)} pictures to test on of which no two are of one class",
                "a class with two that can be read",
                "add some, or test on more classes",
            )
        return torch.from_numpy(labels)

    @cached_property
    def batches(self) -> RunBatches:
        """What the network is fed."""
        device = next(self.base.backbone.parameters()).device
        return RunBatches(self.recipe, self.seen, self.base.preprocess, self.side, device)

    def _learner(self) -> Learner:
        recipe, module = self.recipe, Embedder(self.network)
        _ = self.batches.sampled  # refuses what is too large before the loss is made
        loss = metric_loss(recipe.loss, self.batches.classes, self.network.width(), recipe.memory)
        loss.to(self.batches.device)
        head = [] if module.head is None else list(module.head.parameters())
        groups = [(list(module.backbone.parameters()), recipe.rate), (head, recipe.head_rate)]
        return Learner(
            module, loss, optimiser_for([*groups, (list(loss.parameters()), recipe.loss_rate)], recipe.decay)
        )

    def _tested(self, step: int, network: EmbeddingNetwork, files: SeriesFiles, notes: "_Notes") -> Validated:
        """Tests the network and adds it to the series."""
        for module in (network.backbone, network.head):
            if module is not None:
                module.eval()
        embeddings = self._embedded(network, step)
        figures = retrieval_figures(embeddings, self.labels_unseen).told(RECALLS)
        loss = notes.loss / notes.losses if notes.losses else None
        state = {name: tensor.cpu() for name, tensor in state_of(network).items()}
        base = {name: tensor.cpu() for name, tensor in state_of(self.base).items()}
        names = portable_names(self.unseen.names, self.home)
        files.add(step, state, base, loss=loss, figures=figures, embeddings=(names, embeddings))
        self._write(step, {f"validation/{name}": number for name, number in figures.items()})
        return Validated(step, figures, notes.tested(step, figures))

    def _embedded(self, network: EmbeddingNetwork, step: int) -> Tensor:
        try:
            return torch.cat([network.embed(pixels).cpu().float() for pixels in self.batches.plain(self.unseen)])
        except SimvisError as error:
            if step == 0:
                raise
            raise SimvisError(
                f"a training that diverged: at step {step} it gives {error.got}",
                error.wanted,
                "lower the rate or clip gradients; what the last good step left is kept",
            ) from error

    def _write(self, step: int, numbers: Mapping[str, float]) -> None:
        for writer in self.writers:
            writer.scalars(step, numbers)

    def _files(self) -> SeriesFiles:
        recipe = self.recipe
        return SeriesFiles(
            self.out,
            self.out.resolve().name,
            recipe.network,
            str(self.base.pooling),
            base=base_of(recipe.network, self.base, recipe.seed if recipe.scratch else None),
            short_side=self.side,
            about=self._about(),
            half=recipe.half,
            resumed=self.resumed,
        )

    def _about(self) -> dict[str, Any]:
        both = {"training": self.seen, "validation": self.unseen}
        return {
            "seed": self.recipe.seed,
            "loss": self.recipe.loss,
            "framing": "square",
            "data": {
                name: {"pictures": len(one.names), "classes": len(set(one.labels) - {""}), "sha256": one.sha256}
                for name, one in both.items()
            },
            "labels": list(self.unseen.labels),
            "options": self.recipe.options(),
            "versions": {name: _version(name) for name in ("torch", "timm", "pytorch-metric-learning")},
        }

    def _outcome(self, files: SeriesFiles, notes: "_Notes") -> Outcome:
        series = files.series()
        left_out = self.left_out | self.seen.left_out | self.unseen.left_out
        figures = series.at(notes.best_step).figures
        beside = self.unseen.labels.count("")
        counts = len(self.seen.names), len(self.unseen.names) - beside, beside
        return Outcome(series, notes.best_step, figures, left_out, *counts, notes.stopped)


@dataclass
class _Notes:
    """What a run remembers beside weights: losses since the last test, the best MAP@R, and tests since it."""

    loss: float = 0.0
    losses: int = 0
    best: float = -1.0
    best_step: int = 0
    worse: int = 0
    stopped: bool = False

    def tested(self, step: int, figures: Mapping[str, float]) -> bool:
        """Takes a test in; whether it is the best yet."""
        self.loss, self.losses = 0.0, 0
        better = figures["map@r"] > self.best
        if better:
            self.best, self.best_step = figures["map@r"], step
        self.worse = 0 if better else self.worse + 1
        return better


def _side(network: EmbeddingNetwork) -> int:
    """The side of the square views."""
    height, width = network.preprocess.fixed_size or (network.preprocess.short_side,) * 2
    if height != width:
        raise SimvisError(f"{network.name}, which takes views of {height} x {width}", "square ones", "train another")
    return height


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"
