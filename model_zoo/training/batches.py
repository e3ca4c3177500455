"""What a run feeds its network: batches to learn from, which follow from seed and step, and pictures as they are."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from model_zoo.training.data import numbered_labels
from model_zoo.training.pixels import Pixels
from model_zoo.training.recipes import TrainingRecipe
from simvis_core.learning.augmenting import Augmenting, augmented
from simvis_core.learning.loop import Batch
from simvis_core.learning.sampling import ClassBatches, class_batches
from simvis_core.pictures.views import Preprocess

LOOKED_AT_ONCE = 64  # pictures that pass the network together where nothing is learned


@dataclass(frozen=True, eq=False)
class RunBatches:
    """The pictures of a run as a network takes them: square, preprocessed, on its device."""

    recipe: TrainingRecipe
    seen: Pixels
    preprocess: Preprocess
    side: int
    device: torch.device

    @cached_property
    def labels(self) -> Int[np.ndarray, " N"]:
        """The classes of the pictures that are learned from, from 0."""
        return numbered_labels(self.seen.labels)

    @property
    def classes(self) -> int:
        """How many classes are learned from."""
        return int(self.labels.max()) + 1

    @cached_property
    def sampled(self) -> ClassBatches:
        """Which pictures each step learns from. Raises SimvisError for batches larger than the data."""
        return class_batches(self.labels, self.recipe.classes, self.recipe.each, self.recipe.seed)

    def at(self, step: int) -> Batch:
        """The batch of a step, counted from 0: changed by chance, as seed and step say."""
        places = self.sampled.at(step)
        seed = int(np.random.SeedSequence([self.recipe.seed, step]).generate_state(1)[0])
        colours = augmented(self.seen.at(places).float() / 255, (self.side, self.side), self.recipe.augmenting, seed)
        return self._preprocessed(colours), torch.from_numpy(self.labels[places]).to(self.device)

    def plain(self, pixels: Pixels) -> Iterator[Float[Tensor, "B 3 s s"]]:
        """Every picture as it is, in their order."""
        for start in range(0, len(pixels.names), LOOKED_AT_ONCE):
            places = np.arange(start, min(start + LOOKED_AT_ONCE, len(pixels.names)))
            colours = pixels.at(places).float() / 255
            yield self._preprocessed(augmented(colours, (self.side, self.side), Augmenting(), 0))

    def _preprocessed(self, colours: Tensor) -> Tensor:
        mean, std = (torch.tensor(values)[:, None, None] for values in (self.preprocess.mean, self.preprocess.std))
        return ((colours - mean) / std).to(self.device)
