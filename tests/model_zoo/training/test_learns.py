"""A training really learns: unseen rooms are found by their objects, by random labels none is; kills cost nothing."""

import json
import os
import random
import signal
import statistics
import subprocess
import sys
import time
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import model_zoo
from model_zoo.training import running
from model_zoo.training.data import Examples, room_examples, split_by_class
from model_zoo.training.folds import student
from model_zoo.training.recipes import TrainingRecipe
from model_zoo.training.running import train
from simvis_core.hotel_rooms.rooms import room
from simvis_core.progress.series import open_files
from simvis_core.progress.watching import WatchedPair, watched
from simvis_core.progress.writers import read_scalars
from simvis_core.steps import run
from tests.small_trainings import begin, draw_pictures

ROOT = Path(__file__).parents[3]
SIDE = 96
RECIPE = TrainingRecipe(
    "timm/test_resnet", scratch=True, part="whole", side=SIDE, loss="multi_similarity", crop=1.0, tested=0.34,
    classes=8, each=4, steps=30, every=30, rate=3e-3,
)  # fmt: skip


def drawn_once(identities, views):
    """Rooms whose pictures are drawn once, however often they are trained on."""
    examples = room_examples(identities, views)
    return replace(examples, opened=tuple(cache(opened) for opened in examples.opened))


def at_random(examples, seed, tested_too):
    """The same pictures with labels at random, each as often as it was; those that are tested on too, or not."""
    training = split_by_class(examples, RECIPE.tested, seed).training
    places = range(len(examples.labels)) if tested_too else training
    labels = np.array(examples.labels)
    labels[places] = np.random.default_rng(seed).permutation(labels[places])
    return replace(examples, labels=tuple(labels.tolist()))


def same_rooms(count):
    """Pairs of pictures of one room that no training has: what is shared are its four objects."""
    for number in range(count):
        a, b = (room(number, 5_000_000 + 2 * number + side, (SIDE, SIDE)) for side in range(2))
        yield WatchedPair(str(number), a.image, b.image, (a.mask(), b.mask()))


def rises(examples, seed, pairs, out):
    """How much MAP@R on unseen rooms, and the share of the map on the objects, rose above step 0."""
    outcome = run(train(examples, replace(RECIPE, seed=seed), out))
    opened = model_zoo.open_series(out)
    first, last = (opened.steps[at].step for at in (0, -1))
    shares = [statistics.fmean(watched(opened.network(at), pair).on_objects for pair in pairs) for at in (first, last)]
    assert len(set(outcome.series.about["labels"])) >= 12
    return outcome.series.at(last).figures["map@r"] - outcome.series.at(first).figures["map@r"], shares[1] - shares[0]


@pytest.mark.network
@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_it_learns_what_rooms_share_and_nothing_from_labels_at_random(tmp_path):
    """Three seeds of each; 95 % intervals by Student's t.

    Under true labels in the test, MAP@R rises by a third as much when the network learned labels at random: its batch
    norms have seen pictures then. The share on the objects falls either way.
    """
    examples, pairs = drawn_once(36, 6), list(same_rooms(12))
    found = [rises(examples, seed, pairs, tmp_path / f"true{seed}") for seed in range(3)]
    map_at_r, on_objects = (student(values) for values in zip(*found, strict=True))
    assert map_at_r.mean >= 0.15
    assert map_at_r.low > 0
    assert on_objects.mean >= 0.03
    assert on_objects.low > 0
    found = [
        rises(at_random(examples, seed, tested_too=True), seed, pairs, tmp_path / f"random{seed}") for seed in range(3)
    ]
    map_at_r, on_objects = (student(values) for values in zip(*found, strict=True))
    assert map_at_r.mean < 0.15
    assert on_objects.mean < 0.03


def command(pictures, out, *more):
    options = "--network timm/test_resnet --scratch --part whole --side 32 --classes 3 --each 3 --steps 40 --every 4"
    return [sys.executable, "app.py", "train", str(pictures), "--out", str(out), *options.split(), *more]


def rows(out):
    path = out / "scalars.csv"
    return path.read_bytes().count(b"\n") if path.exists() else 0


@pytest.mark.network
@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_killed_at_three_moments_it_ends_with_the_numbers_of_an_undisturbed_run(tmp_path):
    pictures, chance = draw_pictures(tmp_path / "pictures"), random.Random(int(time.time()))
    environment = dict(os.environ, OMP_NUM_THREADS="1")
    whole, killed = tmp_path / "whole" / "run", tmp_path / "killed" / "run"
    answer = subprocess.run(command(pictures, whole), cwd=ROOT, env=environment, capture_output=True, check=True)
    for _ in range(3):
        moment = rows(killed) + chance.randint(5, 50)  # at least a step further
        process = subprocess.Popen(command(pictures, killed, "--resume"), cwd=ROOT, env=environment)
        while rows(killed) < moment and process.poll() is None:
            time.sleep(0.02)
        time.sleep(chance.uniform(0, 0.3))
        process.send_signal(signal.SIGKILL)
        process.wait()
    again = subprocess.run(
        command(pictures, killed, "--resume"), cwd=ROOT, env=environment, capture_output=True, check=True
    )
    told, other = (json.loads(one.stdout) for one in (answer, again))
    assert other["steps"] == told["steps"] == list(range(0, 41, 4))
    assert other["figures"] == pytest.approx(told["figures"], abs=1e-6)
    one, two = (read_scalars(out / "scalars.csv") for out in (whole, killed))
    assert [row[:2] for row in one] == [row[:2] for row in two]
    assert [row[2] for row in two] == pytest.approx([row[2] for row in one], abs=1e-6)
    series = open_files(killed)
    for step, before in zip(series.steps, open_files(whole).steps, strict=True):
        series.state(step.step)  # whole: it is checked as it is read
        assert step.figures == pytest.approx(before.figures, abs=1e-6)
    assert not [path.name for path in killed.iterdir() if path.name.startswith(".")]


def coloured(count, each):
    """Classes that red and green tell apart, beside more of blue, and of light, that tells nothing."""
    chance = np.random.default_rng(0)
    labels = [f"class{number}" for number in range(count) for _ in range(each)]
    turns = np.repeat(np.arange(count), each) * 2 * np.pi / count
    colours = np.stack([128 + 40 * np.cos(turns), 128 + 40 * np.sin(turns), chance.uniform(0, 255, len(turns))], 1)
    shown = colours[:, None, None] * chance.uniform(0.7, 1.3, (len(turns), 1, 1, 1)) + chance.normal(
        0, 20, (len(turns), 16, 16, 3)
    )
    images = [Image.fromarray(one.clip(0, 255).astype(np.uint8)) for one in shown]
    names = tuple(f"{label}, {at}" for at, label in enumerate(labels))
    return Examples(names, tuple(labels), tuple(lambda _, image=image: image for image in images))


def test_it_learns_in_a_moment_what_tells_classes_apart(tmp_path, monkeypatch):
    """The quick form of the first, on a network of two layers; from labels at random it learns less than a third."""
    monkeypatch.setattr(running, "beginning", begin)
    recipe = replace(RECIPE, network="tiny", side=None, head="fc:8", steps=40, every=40, rate=1e-2, head_rate=1e-2)
    rises = []
    for examples in (coloured(24, 6), at_random(coloured(24, 6), 0, tested_too=False)):
        outcome = run(train(examples, recipe, tmp_path / f"run{len(rises)}"))
        before, after = (one.figures["map@r"] for one in outcome.series.steps)
        rises.append(after - before)
    assert rises[0] > 0.15
    assert rises[1] < rises[0] / 3
