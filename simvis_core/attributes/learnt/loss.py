"""The loss that an attribute layer learns by: scores against labels, and true attributes' maps against pairs' maps."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, smooth_l1_loss


class AttributeLoss(nn.Module):
    """The paper's loss of N labelled pictures: from the maps of some (B, K, H, W) and their numbers (B,) one number.

    The mean Huber loss (its bend at 1) between the softmax over the attributes of each map's mean, and the picture's
    labels divided by their count; plus ``map_weight`` times the map term. For each of a picture's saliency maps that
    is the least distance (Euclidean) between it and the activation map of a true attribute, both as distributions over
    the cells: the activation map by a softmax, the saliency as ``targets`` has it (N, P, H W). The mean is over the
    saliency maps of the batch's pictures that have an attribute; without a map term ``targets`` is None.

    Source: Plummer 2020, section 3.2, and its released code, which divides labels by their count, and leaves the
    minimum to whichever true attribute fits.

    >>> import torch
    >>> from simvis_core.attributes.learnt.loss import AttributeLoss
    >>> loss = AttributeLoss(torch.tensor([[True, False]]))
    >>> round(float(loss.forward(torch.zeros(1, 2, 3, 3), torch.tensor([0]))), 4)  # .5 squared, halved
    0.125
    """

    def __init__(
        self, truth: Bool[Tensor, "N K"], targets: Float[Tensor, "N P c"] | None = None, map_weight: float = 0.0
    ) -> None:
        super().__init__()
        self.truth, self.targets, self.map_weight = truth, targets, map_weight

    def forward(self, maps: Float[Tensor, "B K H W"], numbers: Int[Tensor, " B"]) -> Float[Tensor, ""]:
        """The loss of these pictures."""
        true = self.truth[numbers]
        labels = true.to(maps) / true.sum(1, keepdim=True).clamp(min=1)
        loss = smooth_l1_loss(maps.mean((2, 3)).softmax(1), labels)
        if self.targets is None or self.map_weight == 0:
            return loss
        return loss + self.map_weight * map_term(maps, self.targets[numbers].to(maps), true)


def map_term(
    maps: Float[Tensor, "B K H W"], targets: Float[Tensor, "B P c"], true: Bool[Tensor, "B K"]
) -> Float[Tensor, ""]:
    """How far saliency maps are from the activation map of the true attribute that is nearest, 0 to the root of 2.

    Both are distributions over the c cells; the mean is over the P maps of each picture that has an attribute, and of
    whose maps each number is finite; 0 where no picture has.

    >>> import torch
    >>> from simvis_core.attributes.learnt.loss import map_term
    >>> maps = torch.tensor([[[[9.0, 0.0]], [[0.0, 0.0]]]])  # one at the left, one even
    >>> even = torch.tensor([[[0.5, 0.5]]])
    >>> float(map_term(maps, even, torch.tensor([[True, True]])))
    0.0
    >>> round(float(map_term(maps, even, torch.tensor([[True, False]]))), 3)
    0.707
    """
    some = true.any(1) & targets.isfinite().all((1, 2))
    if not bool(some.any()):
        return maps.sum() * 0
    activations = maps[some].flatten(2).softmax(2)
    apart = torch.linalg.vector_norm(activations[:, None] - targets[some][:, :, None], dim=3)
    return torch.where(true[some][:, None], apart, torch.inf).amin(2).mean()


def saliency_targets(saliencies: Float[Tensor, "P h w"], grid: tuple[int, int]) -> Float[Tensor, "P c"]:
    """Signed saliency maps as distributions over a grid's cells: the positive part over its sum.

    A map without a positive part is even. The released code takes a softmax of sums over 2000 masks, which leaves next
    to nothing beside the strongest cell; a map in units of the score has no such scale, and is taken as it is.

    >>> import torch
    >>> from simvis_core.attributes.learnt.loss import saliency_targets
    >>> saliency_targets(torch.tensor([[[0.3, 0.1], [-0.2, 0.0]], [[0.0, -0.1], [0.0, 0.0]]]), (2, 2))
    tensor([[0.7500, 0.2500, 0.0000, 0.0000],
            [0.2500, 0.2500, 0.2500, 0.2500]])
    """
    there = adaptive_avg_pool2d(saliencies, grid).clamp(min=0).flatten(1)
    whole = there.sum(1, keepdim=True)
    return torch.where(whole > 0, there / torch.where(whole > 0, whole, 1), 1 / there.shape[1])
