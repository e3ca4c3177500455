"""How fast pictures are learned from, beside a loop over tensors that are in memory; and memory over many steps.

``python -m benchmarks.training`` is the measured child: a peak never sinks again, so it needs a new process.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Generator
from pathlib import Path

import torch

from benchmarks.memory import peak
from benchmarks.tables import Table, number, ratio
from benchmarks.timing import FULL, QUICK, Job, race
from model_zoo.training.data import numbered_labels, room_examples
from model_zoo.training.recipes import TrainingRecipe
from model_zoo.training.running import Outcome, TrainingEvent, train
from model_zoo.training.trained import Embedder, beginning, choose_part, with_new_head
from simvis_core.learning.loop import LearningStep, optimiser_for, set_training
from simvis_core.learning.losses import metric_loss

MANY = 10**6  # steps: no test comes in between
RECIPES = {
    "last stage": TrainingRecipe(part="last", side=128, steps=MANY, every=MANY, schedule="constant"),
    "whole": TrainingRecipe(part="whole", side=128, steps=MANY, every=MANY, schedule="constant"),
}
SMALL = TrainingRecipe("timm/test_resnet", scratch=True, part="whole", side=32, steps=MANY, every=100, rate=1e-4)
REPORTED, QUICK_REPORTED = (50, 100, 200, 300, 400, 500, 600), (2, 4)
Steps = Generator[TrainingEvent, None, Outcome]


def tables(quick: bool) -> list[Table]:
    """Pictures a second through `train` and without it; the peak of memory as steps are made."""
    return [_speed(quick), _memory(QUICK_REPORTED if quick else REPORTED)]


def _speed(quick: bool) -> Table:
    rows = []
    for part, recipe in list(RECIPES.items())[: 1 if quick else None]:
        with tempfile.TemporaryDirectory() as folder:
            steps = train(room_examples(16, 4), recipe, Path(folder, "run"), device="cpu")
            batch = recipe.classes * recipe.each
            jobs: dict[str, Job] = {"train": lambda steps=steps: _next(steps), "in memory": _bare(recipe)}  # type: ignore[misc]
            found = race(jobs, [("in memory", "train")], QUICK if quick else FULL)
            steps.close()
        speeds = [number(1000 * batch / found.milliseconds(job)) for job in jobs]
        rows.append([f"{recipe.network}, {part}", *speeds, ratio(found, "in memory", "train")])
    return Table(
        "Pictures learned from a second",
        ["network, what learns", "through train", "loop over tensors in memory", "train beside the loop"],
        rows,
        [
            "Drawn rooms at 128 pixels, batches of 32, triplets. `train` takes each batch from a file of bytes, crops, "
            "mirrors and colours it, clips gradients, tells each step, and saves what it goes on from every 30 seconds."
        ],
    )


def _next(steps: Steps) -> LearningStep:
    """The next step of a training; what is read and tested before the first comes with it."""
    while not isinstance(told := next(steps), LearningStep):
        pass
    return told


def _bare(recipe: TrainingRecipe) -> Job:
    """The loop anyone writes first, over batches that are preprocessed and in memory."""
    network = with_new_head(beginning(recipe.network, recipe.pooling, None, recipe.side), recipe.head, recipe.seed)
    choose_part(network, recipe.part)
    module = Embedder(network)
    loss = metric_loss(recipe.loss, recipe.classes, network.width())
    optimiser = optimiser_for([(list(module.parameters()), recipe.rate)])
    pixels = torch.randn(recipe.classes * recipe.each, 3, 128, 128, generator=torch.Generator().manual_seed(0))
    labels = torch.from_numpy(numbered_labels([str(at // recipe.each) for at in range(len(pixels))]))

    def step() -> None:
        set_training(module, recipe.frozen_statistics)
        optimiser.zero_grad()
        loss(module(pixels), labels).backward()
        optimiser.step()

    return step


def _memory(reported: tuple[int, ...]) -> Table:
    command = [sys.executable, "-m", "benchmarks.training", *map(str, reported)]
    peaks = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return Table(
        "Peak memory of a training",
        ["", *(f"step {count}, MiB" for count in reported)],
        [["test_resnet at 32 pixels", *(number(peaks[str(count)]) for count in reported)]],
        ["A test and a stored step every 100 steps."],
    )


def peaks_of_steps(reported: list[int]) -> dict[int, float]:
    """The peak of this process in MiB after so many steps of a small training."""
    torch.set_num_threads(1)
    found: dict[int, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        steps = train(room_examples(16, 4), SMALL, Path(folder, "run"), device="cpu")
        while not found.keys() >= set(reported):
            step = _next(steps).step
            if step in reported:
                found[step] = peak()
        steps.close()
    return found


if __name__ == "__main__":
    print(json.dumps(peaks_of_steps([int(count) for count in sys.argv[1:]])))
