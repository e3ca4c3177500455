"""What a training does: network, head, loss, batches, rate, augmentation, and how often it is tested and kept."""

from dataclasses import asdict, dataclass
from typing import Any

from model_zoo.training.trained import head_asked
from simvis_core.errors import SimvisError
from simvis_core.learning.augmenting import Augmenting
from simvis_core.learning.loop import Pace
from simvis_core.learning.losses import check_loss
from simvis_core.learning.schedules import rate_share


@dataclass(frozen=True)
class TrainingRecipe:
    """A training in full: with the pictures it gives the same numbers again, on a processor to the last bit.

    ``pooling`` None is the network's own, ``side`` None likewise (of square views, in pixels). ``part`` is what of the
    trunk learns: frozen, last or whole; ``scratch`` draws its weights with ``seed``. A batch is ``classes`` x ``each``
    pictures; ``memory`` counts embeddings of earlier batches that it is compared with. ``rate`` is the trunk's,
    ``head_rate`` the head's and ``loss_rate`` that of the loss's own weights. Every ``every`` steps the network is
    tested and stored; after ``patience`` tests in a row without a better MAP@R the training stops (0: never).
    ``tested`` is the share of classes that it is tested on. ``half`` stores in half precision.
    """

    network: str = "mobilenet_v2"
    pooling: str | None = None
    head: str = "none"
    part: str = "last"
    scratch: bool = False
    side: int | None = None
    loss: str = "triplet"
    memory: int = 0
    classes: int = 8
    each: int = 4
    steps: int = 400
    every: int = 100
    rate: float = 1e-4
    head_rate: float = 1e-3
    loss_rate: float = 1e-2
    decay: float = 1e-4
    schedule: str = "cosine"
    warm_up: int = 0
    clip: float | None = 10.0
    frozen_statistics: bool = False
    crop: float = 0.6
    flip: bool = True
    colour: float = 0.2
    tested: float = 0.25
    patience: int = 0
    half: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        kind, _ = head_asked(self.head)
        check_loss(self.loss, self.memory)
        if self.steps < (0 if kind == "whiten" else 1):
            raise SimvisError(f"{self.steps} steps", "1 or more (0 with the head whiten alone)", "ask for more")
        if self.every < 1 or self.patience < 0:
            raise SimvisError(
                f"a test every {self.every} steps, patience {self.patience}", "1, and 0, or more", "change it"
            )
        batch = self.classes * self.each
        if 0 < self.memory < batch:
            raise SimvisError(f"a memory of {self.memory} embeddings", f"{batch} or more, a batch", "choose 0 for none")
        _ = self.augmenting, rate_share(self.schedule, 0, max(1, self.steps), self.warm_up)  # refuse what cannot be
        if not 0 < self.tested < 1:
            raise SimvisError(
                f"{self.tested:g} of the classes to test on", "a share between 0 and 1", "choose .25, say"
            )

    @property
    def pace(self) -> Pace:
        """How the steps are made."""
        return Pace(self.steps, self.schedule, self.warm_up, self.clip, self.frozen_statistics)

    @property
    def augmenting(self) -> Augmenting:
        """How pictures are changed. Raises SimvisError for what cannot be."""
        return Augmenting(self.crop, self.flip, self.colour)

    def options(self) -> dict[str, Any]:
        """All of it as plain values, for a manifest."""
        return asdict(self)
