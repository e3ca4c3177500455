"""Learning an attribute layer on features that are known: recipe, steps, and going on after any stop."""

import hashlib
from collections.abc import Generator
from dataclasses import asdict, dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from simvis_core.attributes.learnt.layer import AttributeLayer, usual_shares
from simvis_core.attributes.learnt.loss import AttributeLoss
from simvis_core.attributes.learnt.seeing import SeenPictures, pair_targets
from simvis_core.errors import SimvisError
from simvis_core.learning.loop import Batch, Learner, LearningStep, Pace, check_finite_state, learning, optimiser_for
from simvis_core.learning.saving import load_learner, save_learner

SAVED_EACH = 20.0  # seconds at most that a kill costs


@dataclass(frozen=True)
class LayerRecipe:
    """How an attribute layer is learnt: a ``kernel`` x ``kernel`` convolution without bias, by Adam.

    ``map_weight`` is the paper's lambda; 0 leaves the map term out. ``references`` are the pairs of each picture whose
    maps it is pulled to. ``held_out`` is the share of the pictures that are not learnt from, drawn by the seed.
    """

    kernel: int = 1
    map_weight: float = 0.0
    rate: float = 5e-4
    schedule: str = "cosine"
    epochs: int = 100
    batch: int = 64
    references: int = 5
    held_out: float = 0.25
    seed: int = 0

    def check(self) -> None:
        """Raises SimvisError for what cannot be learnt by.

        >>> from simvis_core.attributes.learnt.training import LayerRecipe
        >>> LayerRecipe(kernel=2).check()
        Traceback (most recent call last):
            ...
        simvis_core.errors.SimvisError: Got a kernel of 2; wanted 1 or 3: ...
        """
        wrong = [
            (self.kernel not in (1, 3), f"a kernel of {self.kernel}", "1 or 3"),
            (not 0 <= self.map_weight < float("inf"), f"a lambda of {self.map_weight:g}", "0 or more"),
            (min(self.epochs, self.batch, self.references) < 1, "fewer than 1 epoch, picture or pair", "1 or more"),
            (not 0 < self.held_out < 1, f"{self.held_out:g} of the pictures held out", "a share between 0 and 1"),
        ]
        for bad, got, wanted in wrong:
            if bad:
                raise SimvisError(got, wanted, "choose another")


@dataclass(frozen=True, eq=False)
class Parted:
    """Numbers of the pictures that are learnt from, and of those that are held out."""

    learnt: list[int]
    held_out: list[int]


def parted(seen: SeenPictures, recipe: LayerRecipe) -> Parted:
    """Which pictures are learnt from and which are held out, by the seed.

    Raises SimvisError for fewer than two of either.

    >>> import torch
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork
    >>> from simvis_core.attributes.learnt.labelled import LabelledPictures
    >>> from simvis_core.attributes.learnt.seeing import SeenPictures
    >>> from simvis_core.attributes.learnt.training import LayerRecipe, parted
    >>> labelled = LabelledPictures(tuple("abcdefgh"), (), ("fur",), torch.ones(8, 1).bool())
    >>> seen = SeenPictures(EmbeddingNetwork(nn.Conv2d(3, 2, 8, 8)), labelled, torch.rand(8, 2, 1, 2))
    >>> parts = parted(seen, LayerRecipe())
    >>> len(parts.learnt), len(parts.held_out), sorted(parts.learnt + parts.held_out) == list(range(8))
    (6, 2, True)
    """
    count = len(seen.labelled.names)
    order = np.random.default_rng([recipe.seed, count, 3]).permutation(count).tolist()
    apart = round(recipe.held_out * count)
    if not 2 <= apart <= count - 2:
        raise SimvisError(
            f"{apart} of {count} pictures to hold out", "two at least, and two to learn from", "label more pictures"
        )
    return Parted(sorted(order[apart:]), sorted(order[:apart]))


def learning_layer(
    seen: SeenPictures, learnt: list[int], recipe: LayerRecipe, state: Path | None = None
) -> Generator[LearningStep, None, AttributeLayer]:
    """Learns an attribute layer from these of the pictures; yields every step, and ends with the layer.

    With a ``state`` file it goes on from what the file holds, where it is there, and keeps it up to date: stopped
    anywhere and called again with equal arguments, it ends with equal numbers. It begins with weights drawn by the
    recipe's seed, and leaves the process's random state as it was.

    Raises SimvisError for what the recipe cannot be, for a state of other pictures or of another recipe, for a training
    that diverges, and with a map term for a network whose embedding is no sum over cells.

    >>> import torch
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork
    >>> from simvis_core.attributes.learnt.labelled import LabelledPictures
    >>> from simvis_core.attributes.learnt.seeing import SeenPictures
    >>> from simvis_core.attributes.learnt.training import LayerRecipe, learning_layer
    >>> from simvis_core.steps import run
    >>> truth = torch.tensor([[True, False], [False, True]] * 4)
    >>> features = truth.float()[:, :, None, None].expand(8, 2, 2, 3) + 0.1
    >>> labelled = LabelledPictures(tuple("abcdefgh"), (), ("fur", "dome"), truth)
    >>> seen = SeenPictures(EmbeddingNetwork(nn.Conv2d(3, 2, 8, 8)), labelled, features)
    >>> layer = run(learning_layer(seen, list(range(8)), LayerRecipe(rate=0.1, epochs=30)))
    >>> layer.maps(features[0]).mean((1, 2)).argmax().item(), layer.weight.shape
    (0, torch.Size([2, 2, 1, 1]))
    """
    recipe.check()
    fed = seen.features[learnt]
    targets = pair_targets(seen, learnt, recipe.references, recipe.seed) if recipe.map_weight else None
    if recipe.kernel == 1 and targets is None:
        fed = fed.mean((2, 3), keepdim=True)  # all that the scores hang on, and much less work
    learner, kept = _begun(seen, fed, learnt, targets, recipe), {"of": _of(seen, learnt, recipe)}
    if state is not None and state.exists():
        with torch.random.fork_rng(devices=[]):
            _check_same(load_learner(state, learner), kept, state)
    yield from _steps(learner, fed, recipe, state, kept)
    convolution: Any = learner.module
    weight = convolution.weight.detach().clone()
    names = seen.labelled.attributes
    bare = AttributeLayer(names, weight, torch.full((len(names),), 0.5, dtype=torch.float64))
    scores = torch.cat([bare.scores(some) for some in seen.features[learnt].split(recipe.batch)])
    return AttributeLayer(names, weight, usual_shares(scores.softmax(1), names))


def _begun(seen: SeenPictures, fed: Tensor, learnt: list[int], targets: Tensor | None, recipe: LayerRecipe) -> Learner:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        shape = fed.shape[1], len(seen.labelled.attributes), recipe.kernel
        module = nn.Conv2d(*shape, padding=recipe.kernel // 2, bias=False)
    loss = AttributeLoss(seen.labelled.truth[learnt], targets, recipe.map_weight)
    return Learner(module, loss, optimiser_for([(list(module.parameters()), recipe.rate)], decay=0.0))


def _steps(
    learner: Learner, fed: Tensor, recipe: LayerRecipe, state: Path | None, kept: dict[str, Any]
) -> Generator[LearningStep, None, None]:
    turns = -(-len(fed) // recipe.batch)

    def batch(step: int) -> Batch:
        lap, turn = divmod(step, turns)
        order = torch.from_numpy(np.random.default_rng([recipe.seed, lap]).permutation(len(fed)))
        numbers = order[turn * recipe.batch : (turn + 1) * recipe.batch]
        return fed[numbers], numbers

    saved = monotonic()
    for step in learning(learner, batch, Pace(turns * recipe.epochs, recipe.schedule)):
        yield step
        if state is not None and (monotonic() - saved > SAVED_EACH or step.step == turns * recipe.epochs):
            check_finite_state(learner.module, step.step)
            save_learner(state, learner, kept)
            saved = monotonic()


def _of(seen: SeenPictures, learnt: list[int], recipe: LayerRecipe) -> dict[str, Any]:
    """What a state must be of to be gone on with, as plain values."""
    return {
        "recipe": asdict(recipe),
        "attributes": list(seen.labelled.attributes),
        "pictures": [seen.labelled.names[at] for at in learnt],
        "network": seen.network.fingerprint,
        "grid": list(seen.features.shape[2:]),
        "truth": hashlib.sha256(seen.labelled.truth[learnt].numpy().tobytes()).hexdigest(),
    }


def _check_same(notes: dict[str, Any], kept: dict[str, Any], state: Path) -> None:
    other = [name for name, value in kept["of"].items() if notes.get("of", {}).get(name) != value]
    if other:
        raise SimvisError(
            f"'{state.name}' of a run with another {' and another '.join(other)}",
            "the run that is to go on",
            "resume with its own pictures and options, or name another folder",
        )


# Ours, whose maps are shares of <embedding, direction> where the network is plain; and the released code's settings,
# with 100 epochs under a half cosine for its 300 at a rate that falls by 1.5 % each.
PRESETS_LEARNT: dict[str, LayerRecipe] = {
    "simvis": LayerRecipe(kernel=1, map_weight=0.0, rate=2e-3, epochs=40),
    "sane": LayerRecipe(kernel=3, map_weight=5e-3, rate=5e-4, epochs=100),
}
