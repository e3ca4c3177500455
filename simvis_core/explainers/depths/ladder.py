"""A network's depths by number: 0 is where its own maps are drawn, each further one lies nearer to the pixels."""

from collections.abc import Sequence
from weakref import WeakKeyDictionary

from torch import nn

from simvis_core.errors import SimvisError
from simvis_core.networks.depth.behind import PIXELS
from simvis_core.networks.depth.cuts import Cut
from simvis_core.networks.depth.references import ReferencePictures
from simvis_core.networks.network import EmbeddingNetwork

FEWEST_GRIDS = 3  # of a network whose grids tell its depths apart; a transformer has one grid throughout
OF_THE_WAY = (1.0, 0.75, 0.5, 0.25)
_found: WeakKeyDictionary[nn.Module, dict[bool, tuple[str, ...]]] = WeakKeyDictionary()
_deep: WeakKeyDictionary[EmbeddingNetwork, dict[tuple[str, str, tuple[str, ...]], EmbeddingNetwork]] = (
    WeakKeyDictionary()
)


def ladder(network: EmbeddingNetwork) -> tuple[str, ...]:
    """The layers of a network's depths, from depth 0 on; the pixels are the last. Found once for each backbone.

    Of each grid the last cut, so that depth 1 is the next finer grid than the last features'. A network with fewer
    than three grids has its cuts at the end, at three, two and one quarters of the way; a backbone that pools by
    itself has none at the end, where cells no longer tell.

    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork
    >>> from simvis_core.explainers.depths.ladder import ladder
    >>> layers = [nn.Conv2d(3, 4, 4, 4), nn.ReLU(), nn.Conv2d(4, 4, 2, 2), nn.Conv2d(4, 5, 2, 2)]
    >>> ladder(EmbeddingNetwork(nn.Sequential(*layers)))
    ('features', '2', '1', 'pixels')
    """
    known = _found.setdefault(network.backbone, {})
    if network.pooling.inner not in known:
        inside = [cut for cut in network.cuts if cut.layer != PIXELS]
        known[network.pooling.inner] = (*_backwards(inside, network.pooling.inner), PIXELS)
    return known[network.pooling.inner]


def _backwards(inside: list[Cut], inner: bool) -> list[str]:
    last_of_grid = {cut.grid: cut.layer for cut in inside}
    if len(last_of_grid) >= FEWEST_GRIDS or not inside:
        return list(last_of_grid.values())[::-1]
    places = {round(share * (len(inside) - 1)) for share in OF_THE_WAY[int(inner) :]}
    return [inside[place].layer for place in sorted(places, reverse=True)]


def layer_at(network: EmbeddingNetwork, depth: int) -> str:
    """The layer of a depth. Raises SimvisError for one that the network does not have.

    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork
    >>> from simvis_core.explainers.depths.ladder import layer_at
    >>> layer_at(EmbeddingNetwork(nn.Sequential(nn.Conv2d(3, 4, 8, 8))), 1)
    '0'
    """
    layers = ladder(network)
    if not 0 <= depth < len(layers):
        raise SimvisError(
            f"depth {depth} of {network.name}",
            f"0 (the last) to {len(layers) - 1} (the pixels)",
            "choose one of its depths",
        )
    return layers[depth]


def deepened(network: EmbeddingNetwork, layer: str, rule: str, reference: ReferencePictures) -> EmbeddingNetwork:
    """The network with its maps at a layer, as `EmbeddingNetwork.at`; one with named references is kept for later.

    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork
    >>> from simvis_core.explainers.depths.ladder import deepened
    >>> net = EmbeddingNetwork(nn.Sequential(nn.Conv2d(3, 4, 8, 8)))
    >>> deepened(net, "0", "path", "blur") is deepened(net, "0", "path", "blur")
    True
    """
    named = _names(reference)
    if named is None:
        return network.at(layer, rule, reference)
    known = _deep.setdefault(network, {})
    if (layer, rule, named) not in known:
        known[layer, rule, named] = network.at(layer, rule, reference)
    return known[layer, rule, named]


def _names(reference: ReferencePictures) -> tuple[str, ...] | None:
    """The references' names; None where one is a picture."""
    several = [reference] if isinstance(reference, str) or not isinstance(reference, Sequence) else reference
    names = tuple(one for one in several if isinstance(one, str))
    return names if len(names) == len(several) else None
