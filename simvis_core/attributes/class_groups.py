"""Attributes without training: sets of a classifier's classes, each a direction in the space of its features."""

from collections.abc import Mapping, Sequence
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from simvis_core.decomposition import Verdict
from simvis_core.errors import SimvisError
from simvis_core.networks.backbone import Activations
from simvis_core.networks.network import EmbeddingNetwork


class ClassGroups:
    """Sets of classes as attributes of a network whose embedding, before the unit norm, its classifier reads.

    ``weight`` (C, D) and ``bias`` (C,) are the classifier, ``groups`` the sets by name: numbers of classes, 0 to C - 1.
    ``reference`` is each group's mean share of the softmax on reference pictures, which `mean_shares` measures.

    An attribute's confidence is the log-odds of the group's share of the softmax in a picture, less the log-odds of its
    mean share on the reference pictures: 0 for a picture like those, and large groups do not win by their size.
    Its direction is sum_c pi_c w_c less the mean of all w, where pi is the softmax within the group, frozen at this
    picture; its activation map is the decomposition's own map of that query, so that with x the embedding before the
    unit norm, |x| (map total + <bias part, direction>) = <x, direction> = sum_c pi_c z_c - mean z, up to the
    classifier's own offsets, z the picture's class scores. It is exact for that direction, "exact at this input".

    Raises SimvisError for a group that is empty, names a class twice or one that there is not, for a group without a
    reference, and for a classifier of another width than the network's embedding.

    >>> import torch
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork
    >>> from simvis_core.attributes.class_groups import ClassGroups
    >>> net = EmbeddingNetwork(nn.Conv2d(3, 2, 8, 8))
    >>> model = ClassGroups(net, torch.eye(2), torch.zeros(2), {"fur": [0], "wheels": [1]}, {"fur": 0.5, "wheels": 0.5})
    >>> picture = net.activations(torch.rand(1, 3, 16, 24)).one()
    >>> model.names
    ('fur', 'wheels')
    >>> model.confidences(picture).shape, model.directions(picture).tolist(), model.verdict
    (torch.Size([2]), [[0.5, -0.5], [-0.5, 0.5]], 'exact at this input')
    >>> model.activation_maps(picture).shape
    torch.Size([2, 2, 3])
    """

    def __init__(
        self,
        network: EmbeddingNetwork,
        weight: Float[Tensor, "C D"],
        bias: Float[Tensor, " C"],
        groups: Mapping[str, Sequence[int]],
        reference: Mapping[str, float],
    ) -> None:
        _check_width(network, weight)
        self.network, self.weight, self.bias = network, weight.detach(), bias.detach()
        self.groups = {name: _checked(name, group, len(weight)) for name, group in groups.items()}
        missing = [name for name in self.groups if name not in reference]
        if missing:
            raise SimvisError(f"the group '{missing[0]}' without a reference", "a mean share for each", "measure it")
        self.reference = {name: reference[name] for name in self.groups}

    @property
    def names(self) -> tuple[str, ...]:
        """The groups, in the order they were given."""
        return tuple(self.groups)

    @property
    def verdict(self) -> Verdict:
        """The direction is made at the picture; the map of that direction is exact where the network's split is."""
        return "black box" if self.network.verdict == "black box" else "exact at this input"

    def confidences(self, picture: Activations) -> Float[Tensor, " K"]:
        """Each group's log-odds above those of its mean share on reference pictures; float64."""
        usual = torch.tensor(list(self.reference.values()), dtype=torch.float64).logit()
        return self._log_odds(picture) - usual

    def directions(self, picture: Activations) -> Float[Tensor, "K D"]:
        """Each group's mean class weight, the classes weighed as they share the picture, less the mean of all."""
        scores = self._scores(picture)
        means = [scores[group].softmax(0).to(self.weight) @ self.weight[group] for group in self.groups.values()]
        return torch.stack(means) - self.weight.mean(0)

    def activation_maps(self, picture: Activations) -> Float[Tensor, "K H W"]:
        """Each cell's signed share of <embedding, direction>; with the bias's part they sum to it.

        Raises SimvisError for a network whose embedding is no sum over cells.
        """
        split = self.network.decompose_features(picture)
        return split.similarity_maps(self.directions(picture).to(split.embedding))

    @torch.inference_mode()
    def _scores(self, picture: Activations) -> Tensor:
        """The classifier's C class scores, float64."""
        one = Activations(*(None if tensor is None else tensor[None] for tensor in picture))  # type: ignore[arg-type]
        return self.network.raw_from(one)[0].double().cpu() @ self._single.T + self.bias.double().cpu()

    @cached_property
    def _single(self) -> Tensor:
        return self.weight.double().cpu()

    def _log_odds(self, picture: Activations) -> Tensor:
        """log(share / (1 - share)) of each group: what lies in it against what lies outside, without underflow."""
        scores, inside = self._scores(picture), self._members
        within = torch.where(inside, scores, -torch.inf).logsumexp(1)
        return within - torch.where(inside, -torch.inf, scores).logsumexp(1)

    @cached_property
    def _members(self) -> Tensor:
        """Which class is in which group (K, C)."""
        inside = torch.zeros(len(self.groups), len(self.weight), dtype=torch.bool)
        for row, group in zip(inside, self.groups.values(), strict=True):
            row[group] = True
        return inside

    def shares(self, picture: Activations) -> Float[Tensor, " K"]:
        """Each group's share of the softmax in a picture, 0 to 1; groups may overlap. float64.

        >>> import torch
        >>> from torch import nn
        >>> from simvis_core import Activations, EmbeddingNetwork
        >>> from simvis_core.attributes.class_groups import ClassGroups
        >>> net = EmbeddingNetwork(nn.Conv2d(3, 2, 8, 8))
        >>> model = ClassGroups(net, torch.eye(2), torch.zeros(2), {"fur": [0]}, {"fur": 0.5})
        >>> model.shares(Activations(torch.full((2, 1, 1), 3.0)))
        tensor([0.5000], dtype=torch.float64)
        """
        return self._log_odds(picture).sigmoid()


def mean_shares(shares: Float[Tensor, "N K"], names: Sequence[str]) -> dict[str, float]:
    """The reference of N pictures' shares: each group's mean, held off 0 and 1, where log-odds have no end.

    >>> import torch
    >>> from simvis_core.attributes.class_groups import mean_shares
    >>> mean_shares(torch.tensor([[0.2], [0.4]], dtype=torch.float64), ["fur"])["fur"]
    0.30000000000000004
    """
    return dict(zip(names, shares.double().mean(0).clamp(1e-9, 1 - 1e-9).tolist(), strict=True))


def _check_width(network: EmbeddingNetwork, weight: Tensor) -> None:
    if network.width() != weight.shape[1]:
        raise SimvisError(
            f"a classifier of {weight.shape[1]} features for {network.name}, whose embedding has {network.width()}",
            "one that reads the embedding before its unit norm",
            "leave the head and the pooling as the classifier was trained with",
        )


def _checked(name: str, group: Sequence[int], classes: int) -> list[int]:
    """The group as a list; raises for one that is not a set of classes, or that is all of them."""
    wrong = [number for number in group if not 0 <= number < classes]
    if wrong or not group or len(set(group)) < len(group) or len(group) == classes:
        got = f"class {wrong[0]}" if wrong else f"{len(group)} classes, {len(set(group))} of them different,"
        raise SimvisError(
            f"{got} in the group '{name}'", f"some of the classes 0 to {classes - 1}, each once", "correct the table"
        )
    return list(group)
