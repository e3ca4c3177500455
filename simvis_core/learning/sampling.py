"""Which pictures a step sees: P classes and K pictures of each, as a function of the seed and the step alone."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from simvis_core.errors import SimvisError


@dataclass(frozen=True, eq=False)
class ClassBatches:
    """Batches of P classes x K pictures; a batch follows from seed and step, so that a run resumes where it stopped.

    In a round of ``len(classes) // P`` steps no class comes twice; a class with fewer than K pictures gives some twice.

    >>> import numpy as np
    >>> from simvis_core.learning.sampling import class_batches
    >>> batches = class_batches(np.array([5, 5, 7, 7, 7, 9, 9]), classes=2, each=2, seed=0)
    >>> batch = batches.at(step=3)
    >>> batch.shape, bool((batch == batches.at(step=3)).all()), batches.size
    ((4,), True, 4)
    """

    members: tuple[Int[np.ndarray, " _"], ...]
    classes: int
    each: int
    seed: int

    @property
    def size(self) -> int:
        """Pictures in a batch."""
        return self.classes * self.each

    def at(self, step: int) -> Int[np.ndarray, " B"]:
        """The pictures of a step, counted from 0: class after class, K of each."""
        turns = len(self.members) // self.classes
        lap, turn = divmod(step, turns)
        order = np.random.default_rng([self.seed, lap]).permutation(len(self.members))
        chosen = order[turn * self.classes : (turn + 1) * self.classes]
        return np.concatenate([self._of_class(number, lap) for number in chosen.tolist()])

    def _of_class(self, number: int, lap: int) -> Int[np.ndarray, " K"]:
        shuffled = np.random.default_rng([self.seed, lap, number]).permutation(self.members[number])
        return np.resize(shuffled, self.each)  # from the front again where there are fewer


def class_batches(labels: Int[np.ndarray, " N"], classes: int, each: int, seed: int = 0) -> ClassBatches:
    """Batches of ``classes`` labels and ``each`` pictures of every one of them.

    Raises SimvisError for fewer than 2 of either (nothing to tell apart, nothing to pull together), and for more
    classes or pictures in a batch than there are.

    >>> import numpy as np
    >>> from simvis_core.learning.sampling import class_batches
    >>> class_batches(np.array([0, 0, 1]), classes=2, each=2)
    Traceback (most recent call last):
        ...
    simvis_core.errors.SimvisError: Got batches of 2 classes x 2 pictures from 2 classes with 3 pictures; wanted ...
    """
    found = np.unique(labels)
    if classes < 2 or each < 2:
        raise SimvisError(f"batches of {classes} classes x {each} pictures", "at least 2 x 2", "ask for more of each")
    if classes > len(found) or classes * each > len(labels):
        raise SimvisError(
            f"batches of {classes} classes x {each} pictures from {len(found)} classes with {len(labels)} pictures",
            "no more in a batch than there are",
            "ask for fewer classes or pictures of each, or add some",
        )
    return ClassBatches(tuple(np.flatnonzero(labels == one) for one in found), classes, each, seed)
