"""Labelled pictures as a network sees them: features that are found once, and the maps of pairs."""

from collections.abc import Generator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from simvis_core.attributes.learnt.labelled import LabelledPictures, learnable
from simvis_core.attributes.learnt.layer import check_pooled_outside
from simvis_core.attributes.learnt.loss import saliency_targets
from simvis_core.decomposition import Decomposition
from simvis_core.errors import SimvisError
from simvis_core.networks.backbone import Activations
from simvis_core.networks.network import EmbeddingNetwork
from simvis_core.pictures.views import Framing

FRAMED: Framing = "square"  # so that all have one grid


@dataclass(frozen=True, eq=False)
class SeenPictures:
    """Labelled pictures that could be opened, and their features (N, C, H, W) under a network.

    >>> import torch
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork
    >>> from simvis_core.attributes.learnt.labelled import LabelledPictures
    >>> from simvis_core.attributes.learnt.seeing import SeenPictures
    >>> labelled = LabelledPictures(("1.jpg",), (), ("fur",), torch.tensor([[True]]))
    >>> seen = SeenPictures(EmbeddingNetwork(nn.Conv2d(3, 2, 8, 8)), labelled, torch.rand(1, 2, 3, 4))
    >>> seen.activations[0].features.shape, seen.splits[0].grid
    (torch.Size([2, 3, 4]), (3, 4))
    """

    network: EmbeddingNetwork
    labelled: LabelledPictures
    features: Float[Tensor, "N C H W"]

    @property
    def activations(self) -> list[Activations]:
        """Each picture's features by itself."""
        return [Activations(one) for one in self.features]

    @cached_property
    def splits(self) -> list[Decomposition]:
        """Each picture's embedding as a sum over its cells. Raises SimvisError for a network that has none."""
        return [self.network.decompose_features(one) for one in self.activations]


def seeing(
    network: EmbeddingNetwork, labelled: LabelledPictures, short_side: int
) -> Generator[tuple[int, int], None, SeenPictures]:
    """Runs every picture once, squeezed into a square; tells how many of how many are done.

    A picture that cannot be opened is left out, with the reason, and so are attributes that the rest then all have or
    all lack. Their features stay in memory: 250 kB a picture of 7 x 7 cells with 1280 channels.

    Raises SimvisError as `learnable` does, and for a network that pools by itself.

    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork, Preprocess
    >>> from simvis_core.attributes.learnt.labelled import labelled_rooms
    >>> from simvis_core.attributes.learnt.seeing import seeing
    >>> from simvis_core.steps import run
    >>> net = EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8), preprocess=Preprocess(short_side=16, stride=8))
    >>> rooms = labelled_rooms(8)
    >>> few = ["walnut frame", "bold bedspread", "fine bedspread"]
    >>> some = [rooms.attributes.index(name) for name in few]
    >>> from dataclasses import replace
    >>> seen = run(seeing(net, replace(rooms, attributes=tuple(few), truth=rooms.truth[:, some]), 16))
    >>> seen.features.shape, len(seen.splits)
    (torch.Size([8, 4, 2, 2]), 8)
    """
    check_pooled_outside(network)
    labelled = learnable(labelled)  # refused before anything is run; after it some may be missing
    features, kept, left_out = [], [], dict(labelled.left_out)
    for at, opened in enumerate(labelled.opened):
        try:
            view = network.view(opened(short_side), short_side, FRAMED)
            features.append(network.activations(view.pixels[None]).one().compact().features.cpu())
            kept.append(at)
        except SimvisError as error:
            left_out[labelled.names[at]] = str(error)
        yield at + 1, len(labelled.opened)
    rest = learnable(replace(labelled.taken(kept), left_out=left_out))
    return SeenPictures(network, rest, torch.stack(features).float())


def pair_targets(seen: SeenPictures, places: list[int], references: int, seed: int = 0) -> Float[Tensor, "N P c"]:
    """For each of these pictures the maps of its pairs with P others that share an attribute, as distributions.

    The others are drawn by the seed, of the pictures at ``places`` alone; some twice where there are fewer. A picture
    that shares no attribute with any has NaN for its maps.

    Raises SimvisError for a network whose embedding is no sum over cells.

    >>> import torch
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork
    >>> from simvis_core.attributes.learnt.labelled import LabelledPictures
    >>> from simvis_core.attributes.learnt.seeing import SeenPictures, pair_targets
    >>> truth = torch.tensor([[True, False], [True, True], [False, False]])
    >>> labelled = LabelledPictures(("1", "2", "3"), (), ("fur", "dome"), truth)
    >>> seen = SeenPictures(EmbeddingNetwork(nn.Conv2d(3, 2, 8, 8)), labelled, torch.rand(3, 2, 1, 2))
    >>> pair_targets(seen, [0, 1, 2], references=1).isnan().all(2)[:, 0]
    tensor([False, False,  True])
    """
    truth = seen.labelled.truth[places].float()
    shared = (truth @ truth.T > 0).fill_diagonal_(False)
    splits = [seen.splits[at] for at in places]
    grid = splits[0].grid
    found = torch.full((len(places), references, grid[0] * grid[1]), torch.nan)
    for at, row in enumerate(shared):
        others = row.nonzero()[:, 0].numpy()
        if len(others):
            drawn = np.random.default_rng([seed, places[at]]).permutation(others)
            maps = [splits[at].similarity_map(splits[other].embedding) for other in np.resize(drawn, references)]
            found[at] = saliency_targets(torch.stack(maps).float().cpu(), grid)
    return found
