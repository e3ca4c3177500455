"""The loop: it learns, stops before it breaks anything, leaves frozen parts alone, and goes on from a file exactly."""

import os

import pytest
import torch
from torch import nn

from simvis_core import SimvisError
from simvis_core.learning.loop import Learner, Pace, check_finite_state, learning, optimiser_for
from simvis_core.learning.losses import metric_loss
from simvis_core.learning.saving import load_learner, save_learner
from simvis_core.steps import run

LABELS = torch.arange(3).repeat_interleave(3)
DRAWN = torch.Generator().manual_seed(0)
PIXELS = torch.rand(9, 3, 6, 7, generator=DRAWN) + torch.rand(3, 3, 1, 1, generator=DRAWN).repeat_interleave(3, 0)


def batch(step):
    shift = torch.rand(1, 3, 1, 1, generator=torch.Generator().manual_seed(step))
    return PIXELS + shift / 9, LABELS


def learner(rate=0.01, name="arcface", memory=0):
    torch.manual_seed(0)
    trunk = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.2))
    module = nn.Sequential(trunk, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5))
    loss = metric_loss(name, 3, 5, memory)
    return Learner(module, loss, optimiser_for([(list(module.parameters()), rate), (list(loss.parameters()), rate)]))


def told(one, steps, **pace):
    return [done.loss for done in learning(one, batch, Pace(steps, **pace))]


def weights(one):
    return {name: tensor.clone() for name, tensor in one.module.state_dict().items()}


def test_the_loss_falls_and_the_rate_is_the_schedules():
    one = learner()
    done = list(learning(one, batch, Pace(40, warm_up=4)))
    assert sum(step.loss for step in done[-5:]) < 0.8 * sum(step.loss for step in done[:5])
    assert [step.step for step in done] == list(range(1, 41))
    assert done[0].rate == pytest.approx(0.01 / 4)
    assert done[-1].rate < 1e-4
    assert all(step.gradient > 0 for step in done)


@pytest.mark.parametrize(("name", "memory"), [("arcface", 0), ("contrastive", 12)])
def test_it_goes_on_from_a_file_with_the_same_numbers(tmp_path, name, memory):
    """Dropout's random numbers, Adam's moments, the loss's own weights and its memory among them."""
    whole = learner(name=name, memory=memory)
    torch.manual_seed(7)
    losses = told(whole, 14, clip=0.5)
    stopped = learner(name=name, memory=memory)
    torch.manual_seed(7)
    steps = learning(stopped, batch, Pace(14, clip=0.5))
    first = [next(steps).loss for _ in range(5)]
    file = save_learner(tmp_path / "state.pt", stopped, {"best": 0.5, "left": ["a.jpg"]})
    next(steps)  # goes on past what is saved, as a run that is killed later does
    other = learner(name=name, memory=memory)
    torch.manual_seed(99)
    assert load_learner(file, other) == {"best": 0.5, "left": ["a.jpg"]}
    assert first + told(other, 14, clip=0.5) == losses
    for tensor, again in zip(weights(whole).values(), weights(other).values(), strict=True):
        assert torch.equal(tensor, again)
    assert os.listdir(tmp_path) == ["state.pt"]


def test_frozen_parts_and_statistics_stay_as_they_came():
    one = learner()
    one.module[0][0].requires_grad_(False)
    before = weights(one)
    told(one, 3, frozen_statistics=True)
    after = weights(one)
    changed = {name for name in after if not torch.equal(before[name], after[name])}
    assert changed == {"0.1.weight", "0.1.bias", "3.weight", "3.bias"}
    told(one, 6)
    assert not torch.equal(weights(one)["0.1.running_mean"], before["0.1.running_mean"])


def test_a_frozen_trunk_is_in_eval_mode_its_dropout_too():
    one = learner()
    one.module[0].requires_grad_(False)
    told(one, 1)
    assert not any(part.training for part in one.module[0].modules())
    assert one.module[3].training


@pytest.mark.parametrize("wrong", [torch.nan, torch.inf])
def test_a_diverged_loss_stops_before_it_breaks_anything(wrong):
    one = learner()
    seen = []

    def broken(step):
        pixels, labels = batch(step)
        return pixels.clone().fill_(wrong) if step == 3 else pixels, labels

    one.module[0][1] = nn.Identity()
    one.optimiser = optimiser_for([(list(one.module.parameters()), 0.01)])
    with pytest.raises(SimvisError, match="a training that diverged: at step 4 its loss is"):
        run(learning(one, broken, Pace(9)), seen.append)
    assert one.step == 3
    assert len(seen) == 3
    check_finite_state(one.module, 3)


class Rough(nn.Module):
    """A loss that is finite and has no finite gradient."""

    def forward(self, embeddings, labels):
        return (embeddings - embeddings.detach()).abs().sqrt().sum()


def test_a_gradient_without_a_size_stops_too_and_so_do_weights_without_one():
    one = learner()
    one.loss = Rough()
    before = [parameter.clone() for parameter in one.module.parameters()]
    with pytest.raises(SimvisError, match="at step 1 its gradient is"):
        told(one, 2)
    assert all(torch.equal(a, b) for a, b in zip(before, one.module.parameters(), strict=True))
    one.module[3].weight.data[0, 0] = torch.nan
    with pytest.raises(SimvisError, match="at step 8 its sum of weights is nan"):
        check_finite_state(one.module, 7)


def test_a_long_gradient_is_shortened():
    """Under plain descent the change of the weights is at most rate x clip long."""
    one = learner()
    one.optimiser = torch.optim.SGD([{"params": list(one.module.parameters()), "full": 1.0}], 1.0)
    before = torch.cat([parameter.detach().flatten().clone() for parameter in one.module.parameters()])
    [done] = learning(one, batch, Pace(1, clip=0.01))
    after = torch.cat([parameter.detach().flatten() for parameter in one.module.parameters()])
    assert done.gradient > 0.1
    assert float((after - before).norm()) == pytest.approx(0.01, rel=1e-3)


def test_nothing_to_learn_and_other_trainings_are_refused(tmp_path):
    with pytest.raises(SimvisError, match="a network of which nothing is learned"):
        optimiser_for([([], 0.1)])
    with pytest.raises(SimvisError, match="wanted rates above 0"):
        optimiser_for([(list(nn.Linear(2, 2).parameters()), 0.0)])
    file = save_learner(tmp_path / "state.pt", learner())
    other = learner()
    other.module[3] = nn.Linear(4, 6)
    with pytest.raises(SimvisError, match=r"'state.pt' of another training \(.*size mismatch"):
        load_learner(file, other)
    content = file.read_bytes()
    for damaged in (content[: len(content) // 2], b"", b"no file of tensors"):
        file.write_bytes(damaged)
        with pytest.raises(SimvisError, match="which is damaged"):
            load_learner(file, learner())
    torch.save([1, 2], file)
    with pytest.raises(SimvisError, match="which is no training's state"):
        load_learner(file, learner())
    torch.save({"format": 2}, file)
    with pytest.raises(SimvisError, match="of format 2; wanted format 1"):
        load_learner(file, learner())
    with pytest.raises(SimvisError, match="which is missing"):
        load_learner(tmp_path / "nowhere.pt", learner())
