"""The training loop: a generator of steps, each a batch seen, a loss, and a change of what is learned."""

import math
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from simvis_core.errors import SimvisError
from simvis_core.learning.schedules import rate_share

Batch = tuple[Tensor, Tensor]  # pixels (B, 3, h, w) and labels (B,)


@dataclass
class Learner:
    """What a training changes: a module that turns pixels into embeddings, its loss, the optimiser, and how far it is.

    ``step`` counts the steps that are done. Each of the optimiser's groups keeps its full rate as ``full``.
    """

    module: nn.Module
    loss: nn.Module
    optimiser: torch.optim.Optimizer
    step: int = 0


@dataclass(frozen=True)
class Pace:
    """How the steps are made: how many, the rate over them, the longest gradient that is followed as it is.

    ``clip`` is in units of the gradient's length over all of the module (None: any). Under ``frozen_statistics`` batch
    norms keep the means and spreads that they came with; their scale and offset are learned all the same.
    """

    steps: int
    schedule: str = "cosine"
    warm_up: int = 0
    clip: float | None = None
    frozen_statistics: bool = False


class LearningStep(NamedTuple):
    """A step that is done: its number from 1, the loss of its batch before it, its rate, its gradient's length."""

    step: int
    loss: float
    rate: float
    gradient: float


def optimiser_for(groups: list[tuple[list[nn.Parameter], float]], decay: float = 1e-4) -> torch.optim.Optimizer:
    """AdamW over groups of parameters with their full rates; what is not to be learned is left out.

    Raises SimvisError where nothing is left to learn, and for a rate or decay below 0.

    >>> from torch import nn
    >>> from simvis_core.learning.loop import optimiser_for
    >>> [group["full"] for group in optimiser_for([(list(nn.Linear(2, 2).parameters()), 0.01)]).param_groups]
    [0.01]
    """
    if decay < 0 or any(rate <= 0 for _, rate in groups):
        raise SimvisError(f"rates {[rate for _, rate in groups]} and decay {decay:g}", "rates above 0", "choose others")
    learned = [([one for one in group if one.requires_grad], rate) for group, rate in groups]
    rows = [{"params": group, "lr": rate, "full": rate} for group, rate in learned if group]
    if not rows:
        raise SimvisError(
            "a network of which nothing is learned", "a head, or a trunk that is not frozen", "add a head"
        )
    return torch.optim.AdamW(rows, weight_decay=decay)


def learning(learner: Learner, batch: Callable[[int], Batch], pace: Pace) -> Generator[LearningStep, None, Learner]:
    """The steps from where the learner is to ``pace.steps``, each made when it is asked for; ends with the learner.

    ``batch`` gives pixels and labels of the step of that number, counted from 0. The module is in training mode during
    a step, frozen parts in eval mode; who looks at it between two steps may set it otherwise.

    Raises SimvisError for a loss or gradient that is not finite, before it changes anything: what the step before left
    stays in the module.

    >>> import torch
    >>> from torch import nn
    >>> from simvis_core.learning.loop import Learner, Pace, learning, optimiser_for
    >>> _ = torch.manual_seed(0)
    >>> module, loss = nn.Sequential(nn.Flatten(), nn.Linear(12, 2)), nn.CrossEntropyLoss()
    >>> learner = Learner(module, loss, optimiser_for([(list(module.parameters()), 0.05)]))
    >>> pixels, labels = torch.rand(6, 3, 2, 2), torch.tensor([0, 1, 0, 1, 0, 1])
    >>> losses = [done.loss for done in learning(learner, lambda step: (pixels, labels), Pace(steps=30))]
    >>> len(losses), learner.step, losses[-1] < losses[0]
    (30, 30, True)
    """
    while learner.step < pace.steps:
        yield _step(learner, batch(learner.step), pace)
    return learner


def _step(learner: Learner, batch: Batch, pace: Pace) -> LearningStep:
    share = rate_share(pace.schedule, learner.step, pace.steps, pace.warm_up)
    for group in learner.optimiser.param_groups:
        group["lr"] = group["full"] * share
    set_training(learner.module, pace.frozen_statistics)
    pixels, labels = batch
    learner.optimiser.zero_grad(set_to_none=True)
    with torch.enable_grad():
        loss: Tensor = learner.loss(learner.module(pixels), labels)
        _check_finite("loss", loss, learner.step)
        loss.backward()
    limit = torch.inf if pace.clip is None else pace.clip
    gradient = nn.utils.clip_grad_norm_(learner.module.parameters(), limit)
    _check_finite("gradient", gradient, learner.step)
    learner.optimiser.step()
    learner.step += 1
    return LearningStep(
        learner.step, float(loss.detach()), float(learner.optimiser.param_groups[0]["lr"]), float(gradient)
    )


def set_training(module: nn.Module, frozen_statistics: bool) -> None:
    """Training mode for what is learned; eval mode for parts of which nothing is, and for frozen batch norms.

    >>> from torch import nn
    >>> from simvis_core.learning.loop import set_training
    >>> module = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Dropout())
    >>> set_training(module, frozen_statistics=True)
    >>> [part.training for part in module]
    [True, False, True]
    """
    module.train()
    for part in module.modules():
        learned = [one.requires_grad for one in part.parameters()]
        normalises = isinstance(part, nn.modules.batchnorm._BatchNorm)
        if (learned and not any(learned)) or (normalises and frozen_statistics):
            part.eval()


def check_finite_state(module: nn.Module, step: int) -> None:
    """Raises SimvisError where a step has left NaN or infinity in the module's state.

    >>> from torch import nn
    >>> from simvis_core.learning.loop import check_finite_state
    >>> check_finite_state(nn.Linear(2, 2), step=7)
    """
    for tensor in module.state_dict().values():
        if isinstance(tensor, Tensor) and tensor.is_floating_point():
            _check_finite("sum of weights", tensor.sum(), step)


def _check_finite(what: str, number: Tensor, step: int) -> None:
    found = float(number.detach())
    if not math.isfinite(found):
        raise SimvisError(
            f"a training that diverged: at step {step + 1} its {what} is {found}",
            "finite numbers",
            "lower the rate, warm up for longer or clip gradients; what the last good step left is kept",
        )
