"""The losses that pull pictures of one class together, as pytorch-metric-learning has them, with their miners."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from jaxtyping import Float, Int
from torch import Tensor, nn

from simvis_core.errors import SimvisError
from simvis_core.files.installed import installing


@dataclass(frozen=True)
class LossRule:
    """One row of LOSSES: its name for people, how it is made from the number of classes and the embedding's width.

    ``parts`` gives loss and miner (or None). ``remembers``: whether a memory of earlier batches can stand behind it.
    """

    title: str
    parts: Callable[[int, int], tuple[nn.Module, nn.Module | None]]
    remembers: bool
    source: str


class MetricLoss(nn.Module):
    """A loss with its miner: embeddings (B, D) and labels (B,) give one number; its parameters are learned too.

    With a memory of ``memory`` embeddings the batch is compared with those of earlier batches as well (Wang et al.,
    "Cross-Batch Memory for Embedding Learning", CVPR 2020). What it remembers is part of its state.
    """

    def __init__(self, loss: nn.Module, miner: nn.Module | None, width: int, memory: int) -> None:
        super().__init__()
        self.memory = memory
        self.miner = None if memory else miner
        self.loss = _of_library("losses").CrossBatchMemory(loss, width, memory, miner) if memory else loss

    def forward(self, embeddings: Float[Tensor, "B D"], labels: Int[Tensor, " B"]) -> Float[Tensor, ""]:
        """The loss of a batch; 0 where the miner finds nothing to learn from.

        >>> import torch
        >>> from simvis_core.learning.losses import metric_loss
        >>> loss = metric_loss("contrastive", classes=2, width=2)
        >>> float(loss(torch.eye(2), torch.tensor([0, 1])))  # further apart than the margin
        0.0
        """
        mined = None if self.miner is None else self.miner(embeddings, labels)
        found: Tensor = self.loss(embeddings, labels, mined)
        return found

    def get_extra_state(self) -> dict[str, int]:
        """How far the memory is filled: the library keeps that beside its tensors.

        >>> from simvis_core.learning.losses import metric_loss
        >>> metric_loss("contrastive", classes=2, width=2, memory=4).get_extra_state()
        {'next': 0, 'filled': 0}
        """
        queue: Any = self.loss
        return {"next": int(queue.queue_idx), "filled": int(queue.has_been_filled)} if self.memory else {}

    def set_extra_state(self, state: dict[str, int]) -> None:
        """Takes up what `get_extra_state` gave.

        >>> from simvis_core.learning.losses import metric_loss
        >>> loss = metric_loss("contrastive", classes=2, width=2, memory=4)
        >>> loss.set_extra_state({"next": 3, "filled": 1})
        >>> loss.get_extra_state()
        {'next': 3, 'filled': 1}
        """
        if self.memory:
            queue: Any = self.loss
            queue.queue_idx, queue.has_been_filled = state["next"], bool(state["filled"])


def metric_loss(name: str, classes: int, width: int, memory: int = 0) -> MetricLoss:
    """The loss of that name in LOSSES for labels 0 to ``classes`` - 1 and embeddings of ``width`` numbers.

    What of it is learned begins with PyTorch's random numbers. ``memory`` is how many embeddings of earlier batches it
    compares with, 0 for none.

    Raises SimvisError for another name, a memory where none is possible, and where pytorch-metric-learning is missing.

    >>> import torch
    >>> from simvis_core.learning.losses import metric_loss
    >>> loss = metric_loss("triplet_hard", classes=2, width=2)
    >>> apart = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    >>> float(loss(apart, torch.tensor([0, 0, 1, 1]))), float(loss(apart, torch.tensor([0, 1, 0, 1]))) > 1
    (0.0, True)
    >>> [tuple(one.shape) for one in metric_loss("proxy_nca", classes=3, width=2).parameters()]
    [(3, 2)]
    """
    check_loss(name, memory)
    loss, miner = LOSSES[name].parts(classes, width)
    return MetricLoss(loss, miner, width, memory)


def check_loss(name: str, memory: int = 0) -> None:
    """Raises SimvisError for a name that LOSSES does not have, and for a memory where none is possible.

    >>> from simvis_core.learning.losses import check_loss
    >>> check_loss("contrastive", memory=100)
    >>> check_loss("arcface", memory=100)
    Traceback (most recent call last):
        ...
    simvis_core.errors.SimvisError: Got a memory behind 'arcface', which compares with proxies; wanted ...
    """
    if name not in LOSSES:
        raise SimvisError(f"the loss '{name}'", f"one of {', '.join(LOSSES)}", "choose one of these")
    if memory and not LOSSES[name].remembers:
        able = ", ".join(other for other, row in LOSSES.items() if row.remembers)
        raise SimvisError(f"a memory behind '{name}', which compares with proxies", f"one of {able}", "leave one out")
    if memory < 0:
        raise SimvisError(f"a memory of {memory} embeddings", "0 or more", "choose 0 for none")


def _of_library(part: str) -> Any:
    try:
        return importlib.import_module(f"pytorch_metric_learning.{part}")
    except ModuleNotFoundError as error:
        raise SimvisError(
            f"a Python without {error.name}",
            "pytorch-metric-learning, which has the losses",
            installing("train", "pytorch-metric-learning"),
        ) from error


def _triplet_hard(_classes: int, _width: int) -> tuple[nn.Module, nn.Module | None]:
    return _of_library("losses").TripletMarginLoss(margin=TRIPLET_MARGIN), _of_library("miners").BatchHardMiner()


def _triplet_all(_classes: int, _width: int) -> tuple[nn.Module, nn.Module | None]:
    return _of_library("losses").TripletMarginLoss(margin=TRIPLET_MARGIN), None


def _triplet(_classes: int, _width: int) -> tuple[nn.Module, nn.Module | None]:
    return _of_library("losses").TripletMarginLoss(margin=TRIPLET_MARGIN), _of_library("miners").MultiSimilarityMiner()


def _multi_similarity(_classes: int, _width: int) -> tuple[nn.Module, nn.Module | None]:
    loss = _of_library("losses").MultiSimilarityLoss(alpha=2, beta=50, base=0.5)
    return loss, _of_library("miners").MultiSimilarityMiner(epsilon=0.1)


def _arcface(classes: int, width: int) -> tuple[nn.Module, nn.Module | None]:
    return _of_library("losses").ArcFaceLoss(classes, width), None


def _proxy_nca(classes: int, width: int) -> tuple[nn.Module, nn.Module | None]:
    # Both sides of length 3, as the paper's code has them: squared distances, and so the scores, are 9 times as large.
    return _of_library("losses").ProxyNCALoss(classes, width, softmax_scale=9), None


def _contrastive(_classes: int, _width: int) -> tuple[nn.Module, nn.Module | None]:
    return _of_library("losses").ContrastiveLoss(pos_margin=0, neg_margin=1), None


TRIPLET_MARGIN = 0.1
LOSSES: dict[str, LossRule] = {
    "triplet": LossRule(
        "triplets of hard pairs", _triplet, True, "Wang 2019's miner, as pytorch-metric-learning's README pairs it"
    ),
    "triplet_hard": LossRule("triplets, hardest of the batch", _triplet_hard, True, "Hermans 2017, batch hard"),
    "triplet_all": LossRule("triplets, all of the batch", _triplet_all, True, "Hermans 2017, batch all"),
    "multi_similarity": LossRule("multi-similarity", _multi_similarity, True, "Wang 2019"),
    "contrastive": LossRule("contrastive", _contrastive, True, "Hadsell 2006"),
    "arcface": LossRule("ArcFace", _arcface, False, "Deng 2019"),
    "proxy_nca": LossRule("proxy-NCA", _proxy_nca, False, "Movshovitz-Attias 2017"),
}
