"""A training run: what it tells and leaves, that it goes on exactly, and what it refuses."""

import copy
import math
import resource
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from PIL import Image

import model_zoo
from model_zoo.training import running
from model_zoo.training.data import folder_examples
from model_zoo.training.folds import cross_validate, fold_means, student
from model_zoo.training.pixels import ReadSoFar
from model_zoo.training.recipes import TrainingRecipe
from model_zoo.training.running import Validated, train
from simvis_core import SimvisError
from simvis_core.learning.loop import LearningStep
from simvis_core.learning.metrics import map_at_r
from simvis_core.progress.series import open_files
from simvis_core.progress.writers import CsvWriter, read_scalars
from simvis_core.steps import run
from tests.small_trainings import begin, draw_pictures

QUICK = TrainingRecipe(
    "tiny", part="whole", loss="proxy_nca", head="fc_bn:4", classes=2, each=2, steps=7, every=3, rate=0.01
)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return draw_pictures(tmp_path_factory.mktemp("pictures"))


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setattr(running, "beginning", begin)


def made(pictures, out, recipe=QUICK, **options):
    told = []
    return run(train(folder_examples(pictures), recipe, out, **options), told.append), told


def of_kind(told, kind):
    return [one for one in told if isinstance(one, kind)]


def stored(series):
    """All that a series says and holds, but where it lies."""
    states = [series.state(one.step) for one in series.steps]
    return series.steps, [{name: one.tolist() for name, one in state.items()} for state in states], series.about


@pytest.mark.network
def test_a_run_leaves_a_series_whose_networks_have_its_figures(pictures, tmp_path):
    recipe = TrainingRecipe(
        "timm/test_resnet", scratch=True, part="last", head="fc:6", side=32, classes=2, each=2, steps=2, every=2
    )
    outcome, told = made(pictures, tmp_path / "run", recipe)
    assert [one.step for one in outcome.series.steps] == [0, 2]
    assert (outcome.training, outcome.validation) == (24, 8)
    assert [one.done for one in of_kind(told, ReadSoFar)] == [*range(1, 25), *range(1, 9)]
    opened = model_zoo.open_series(tmp_path / "run")
    network = opened.network(2)
    names, embeddings = opened.series.embeddings(2)
    pixels = torch.stack([network.view(Image.open(name), framing="square").pixels for name in names])
    own = network.embed(pixels)
    torch.testing.assert_close(own, embeddings, atol=1e-3, rtol=0)  # which are kept in half precision
    numbers = torch.tensor(
        [sorted(set(opened.series.about["labels"])).index(one) for one in opened.series.about["labels"]]
    )
    assert outcome.series.at(2).figures["map@r"] == pytest.approx(map_at_r(own, numbers), abs=1e-3)
    changed = {name for name in opened.series.state(2) if name.startswith("backbone")}
    assert changed
    assert all("layer4" in name for name in changed)
    assert network.verdict == "exact"
    assert not list((tmp_path / "run").glob("*.bytes"))


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("loss", ["proxy_nca", "contrastive"])
def test_a_run_that_is_stopped_anywhere_goes_on_with_the_same_numbers(pictures, tmp_path, monkeypatch, loss):
    recipe = TrainingRecipe(**{**QUICK.options(), "loss": loss, "memory": 0 if loss == "proxy_nca" else 6})
    whole, told = made(pictures, tmp_path / "whole" / "run", recipe, writers=[CsvWriter(tmp_path / "whole")])
    assert len(of_kind(told, LearningStep)) == 7
    monkeypatch.setattr(running, "SAVED_EVERY", 0.0)  # each step is saved, as after 30 seconds
    out = tmp_path / "stopped" / "run"
    begins = []
    for stop in (2, 3, 6):
        steps = train(folder_examples(pictures), recipe, out, resumed=True, writers=[CsvWriter(out.parent)])
        seen = [next(one for one in steps if isinstance(one, LearningStep))]
        while seen[-1].step < stop:
            seen += [one for one in [next(steps)] if isinstance(one, LearningStep)]
        begins.append(seen[0].step)
        steps.close()
    assert begins == [1, 2, 3]  # each from the last that was saved: that of the stop itself was not yet
    again, _ = made(pictures, out, recipe, resumed=True, writers=[CsvWriter(out.parent)])
    assert stored(open_files(out)) == stored(whole.series)
    assert again.figures == whole.figures
    one, other = (read_scalars(folder / "scalars.csv") for folder in (tmp_path / "whole", out.parent))
    assert one == other
    assert sum(name == "loss" for _, name, _ in one) == 7


@pytest.mark.usefixtures("tiny")
def test_between_the_series_and_the_state_a_stop_costs_nothing_either(pictures, tmp_path, monkeypatch):
    """The step is in the series, and the state is of the step before: it is made and stored again, equally."""
    whole, _ = made(pictures, tmp_path / "whole" / "run")

    def stopped(path, learner, notes):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(running, "save_learner", stopped)
        with pytest.raises(KeyboardInterrupt):
            made(pictures, tmp_path / "run")
    assert [one.step for one in open_files(tmp_path / "run").steps] == [0, 3]
    again, _ = made(pictures, tmp_path / "run", resumed=True)
    assert stored(again.series) == stored(whole.series)


@pytest.mark.usefixtures("tiny")
def test_a_folder_that_holds_a_run_is_refused_and_so_are_other_options(pictures, tmp_path):
    outcome, _ = made(pictures, tmp_path / "run")
    with pytest.raises(SimvisError, match="which holds a run; wanted a folder without one: resume it"):
        made(pictures, tmp_path / "run")
    with pytest.raises(SimvisError, match="a run of another about"):
        made(pictures, tmp_path / "run", TrainingRecipe(**{**QUICK.options(), "rate": 0.5}), resumed=True)
    again, told = made(pictures, tmp_path / "run", resumed=True)
    assert not of_kind(told, LearningStep)
    assert stored(again.series) == stored(outcome.series)


@pytest.mark.usefixtures("tiny")
def test_it_stops_when_nothing_gets_better(pictures, tmp_path, monkeypatch):
    found = iter([0.5, 0.6, 0.55, 0.6, 0.9])

    class Figures:
        def told(self, _):
            return {"map@r": next(found)}

    monkeypatch.setattr(running, "retrieval_figures", lambda *_: Figures())
    recipe = TrainingRecipe(**{**QUICK.options(), "steps": 40, "patience": 2})
    outcome, told = made(pictures, tmp_path / "run", recipe)
    assert outcome.stopped_early
    assert (outcome.best, outcome.figures) == (3, {"map@r": 0.6})
    assert [one.best for one in of_kind(told, Validated)] == [True, True, False, False]
    again, told = made(pictures, tmp_path / "run", recipe, resumed=True)
    assert again.stopped_early
    assert not of_kind(told, LearningStep)


@pytest.mark.usefixtures("tiny")
def test_a_whitening_alone_is_one_step(pictures, tmp_path):
    outcome, told = made(pictures, tmp_path / "run", TrainingRecipe("tiny", head="whiten:3", steps=0))
    assert [one.step for one in of_kind(told, Validated)] == [0, 1]
    names = outcome.series.at(0).file, sorted(outcome.series.state(1))
    assert names == (None, ["head.bias", "head.weight"])
    with pytest.raises(SimvisError, match=r"0 steps; wanted 1 or more"):
        TrainingRecipe(steps=0)


@pytest.mark.usefixtures("tiny")
def test_a_training_that_diverges_leaves_its_last_good_step(pictures, tmp_path):
    recipe = TrainingRecipe(**{**QUICK.options(), "rate": 1e30, "schedule": "constant", "every": 1})
    with pytest.raises(SimvisError, match=r"a training that diverged: at step .* what the last good step left is kept"):
        made(pictures, tmp_path / "run", recipe)
    series = open_files(tmp_path / "run")
    last = series.state(series.steps[-1].step)
    assert all(bool(one.isfinite().all()) for one in last.values())


@contextmanager
def room_for(count):
    """Files end at so many bytes, as on a disk that has no more."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (count, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize(
    ("count", "told"), [(4_000, r"'.*training\.bytes', which cannot be written .*room for 24 pictures"),
                        (24_000, r"'.*run', which cannot be written .*free some room")]
)  # fmt: skip
def test_a_full_disk_is_told_and_the_run_goes_on_when_there_is_room(pictures, tmp_path, count, told):
    """First pictures do not fit, then the state, which is the largest file of this run."""
    recipe = TrainingRecipe(**{**QUICK.options(), "head": "fc_bn:300"})
    whole, _ = made(pictures, tmp_path / "whole" / "run", recipe)
    out = tmp_path / "full" / "run"
    with room_for(count), pytest.raises(SimvisError, match=told):
        made(pictures, out, recipe)
    assert not [path.name for path in out.iterdir() if path.name.startswith(".")]
    again, _ = made(pictures, out, recipe, resumed=True)
    assert stored(again.series) == stored(whole.series)


@pytest.mark.usefixtures("tiny")
def test_batches_larger_than_the_data_and_a_network_that_learns_nothing_are_refused(pictures, tmp_path):
    with pytest.raises(SimvisError, match="7 classes x 2 pictures from 6 classes with 24 pictures"):
        made(pictures, tmp_path / "run", TrainingRecipe("tiny", part="whole", classes=7, each=2))
    with pytest.raises(SimvisError, match="a network of which nothing is learned"):
        made(pictures, tmp_path / "other", TrainingRecipe("tiny", part="frozen", classes=2, each=2))
    assert not (tmp_path / "run" / "series.json").exists()


@pytest.mark.usefixtures("tiny")
def test_folds_test_every_class_once(pictures, tmp_path):
    told = []
    recipe = TrainingRecipe(**{**QUICK.options(), "steps": 1})
    outcomes = run(cross_validate(folder_examples(pictures), recipe, tmp_path, 4), told.append)
    tested = [label for one in outcomes for label in one.series.about["labels"]]
    assert sorted(tested) == sorted(folder_examples(pictures).labels)
    means = fold_means(outcomes)
    assert means["map@r"].mean == pytest.approx(np.mean([one.figures["map@r"] for one in outcomes]))
    assert {one.fold for one in told} == {1, 2, 3, 4}
    with pytest.raises(SimvisError, match="1 folds; wanted 2 to 10"):
        run(cross_validate(folder_examples(pictures), recipe, tmp_path, 1))


def test_students_interval_by_hand():
    """Of 1, 2, 3, 4: deviation 1.29099, times 3.1824 / 2."""
    found = student([1.0, 2.0, 3.0, 4.0])
    assert (found.low, found.mean, found.high) == pytest.approx((2.5 - 2.05426, 2.5, 2.5 + 2.05426), abs=1e-4)
    with pytest.raises(SimvisError, match="1 values; wanted 2 to 10"):
        student([0.5])
    assert math.isclose(student([0.5, 0.5]).high, 0.5)


def test_what_a_recipe_cannot_ask_for_is_refused():
    for wrong, told in (
        ({"every": 0}, "a test every 0 steps"),
        ({"tested": 1.0}, "1 of the classes to test on"),
        ({"patience": -1}, "patience -1"),
        ({"memory": 5}, "a memory of 5 embeddings; wanted 32 or more"),
        ({"warm_up": 400}, "a warm-up of 400 steps; wanted 0 to 399"),
    ):
        with pytest.raises(SimvisError, match=told):
            TrainingRecipe(**wrong)


@pytest.mark.usefixtures("tiny")
def test_what_is_learned_from_is_changed_and_what_is_tested_on_is_not(pictures, tmp_path):
    """The base stays as it was, whatever is learned."""
    base = running.beginning("tiny", None, None, None)
    before = copy.deepcopy(base.backbone.state_dict())
    outcome, told = made(pictures, tmp_path / "run", TrainingRecipe(**{**QUICK.options(), "head": "none"}))
    assert outcome.series.steps[0].file is None
    after = outcome.series.state(7)
    assert {name for name in before if f"backbone.{name}" in after} >= {"0.weight", "1.running_mean", "4.bias"}
    losses = [one.loss for one in of_kind(told, LearningStep)]
    assert outcome.series.at(3).loss == pytest.approx(sum(losses[:3]) / 3)
    assert outcome.series.at(7).loss == pytest.approx(losses[6])


@pytest.mark.parametrize(
    ("changes", "told"), [({"loss": "nothing"}, "the loss 'nothing'"), ({"pooling": "own"}, "pooling 'own'")]
)
def test_what_does_not_fit_is_refused_before_a_picture_is_read(pictures, tmp_path, changes, told):
    with pytest.raises(SimvisError, match=told):
        made(pictures, tmp_path / "run", TrainingRecipe(**{"network": "mobilenet_v2", "side": 64} | changes))
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("tiny")
def test_what_a_killed_run_was_writing_is_gone_once_it_goes_on(pictures, tmp_path):
    made(pictures, tmp_path / "run")
    for name in (".state.pt.k3j_x81b", ".series.json.abcdefgh"):
        (tmp_path / "run" / name).write_bytes(b"half")
    (tmp_path / "run" / ".notes").write_bytes(b"mine")
    made(pictures, tmp_path / "run", resumed=True)
    assert [path.name for path in (tmp_path / "run").iterdir() if path.name[0] == "."] == [".notes"]
