"""A network's maps at a layer of it: which layer, by which rule, from which reference."""

from dataclasses import dataclass
from typing import Literal

from jaxtyping import Float
from torch import Tensor

from simvis_core.decomposition import Decomposition
from simvis_core.errors import SimvisError
from simvis_core.networks.backbone import Activations
from simvis_core.networks.depth.behind import Behind
from simvis_core.networks.depth.decomposed import ADDING_UP, DeepDecomposition
from simvis_core.networks.depth.embedding import Embedding
from simvis_core.networks.depth.frozen import FrozenMoves
from simvis_core.networks.depth.layouts import grid_at
from simvis_core.networks.depth.path import PathMoves
from simvis_core.networks.depth.references import ReferencePictures, reference_facts, reference_pixels
from simvis_core.pictures.views import Preprocess

Rule = Literal["frozen", "path"]
RULE_NAMES: tuple[Rule, ...] = ("frozen", "path")


@dataclass(frozen=True, eq=False)
class Depth:
    """The layer that a network's maps are drawn at; `EmbeddingNetwork.at` makes one, and proves its layer a cut.

    >>> import torch
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork, Preprocess
    >>> backbone = nn.Sequential(nn.Conv2d(3, 4, 4, 4), nn.ReLU(), nn.Conv2d(4, 5, 2, 2))
    >>> net, pixels = EmbeddingNetwork(backbone, preprocess=Preprocess(short_side=16, stride=8)), torch.rand(3, 16, 24)
    >>> deep = net.at("1").depth
    >>> deep.layer, deep.facts
    ('1', {'layer': '1', 'rule': 'frozen'})
    >>> deep.split(net, deep.seen(pixels[None]).one()).grid
    (4, 6)
    """

    behind: Behind
    rule: Rule
    reference: ReferencePictures
    preprocess: Preprocess

    @property
    def layer(self) -> str:
        """The layer's name."""
        return self.behind.layer

    def seen(self, pixels: Float[Tensor, "B 3 h w"]) -> Activations:
        """What one pass leaves: the activations, with the layer's output and the pixels."""
        activations, output = self.behind.whole(pixels)
        return activations._replace(layer=output, pixels=pixels)

    def split(self, network: Embedding, activations: Activations) -> Decomposition:
        """One picture's embedding as a sum over the layer's cells and a bias.

        Raises SimvisError for activations without the layer's output, for a layer without a grid at this size, for an
        operator that cannot be frozen, and for a reference that is the picture.
        """
        if activations.layer is None or activations.pixels is None:
            raise SimvisError(
                f"features alone, for maps at '{self.layer}'",
                "what the network's own `activations` gives",
                "run `activations` of the network that `at` gave",
            )
        one = Activations(*(None if part is None else part[None] for part in activations))  # type: ignore[arg-type]
        own = network.raw_from(one)[0]
        return self._compared(self._made(network, activations.pixels, activations.layer[None]), own / own.norm())

    def _made(self, network: Embedding, pixels: Tensor, output: Tensor) -> DeepDecomposition:
        size = (pixels.shape[1], pixels.shape[2])
        layout = grid_at(self.layer, output, size)
        if self.rule == "frozen":
            frozen = FrozenMoves(network, self.behind, output, size, layout)
            return DeepDecomposition(frozen, "exact" if frozen.affine else "exact at this input", self.layer)
        pictures = reference_pixels(pixels, self.reference, self.preprocess)
        references = self.behind.front(pictures)
        path = PathMoves(network, self.behind, output, references, size, layout)
        return DeepDecomposition(path, "exact at this input", self.layer)

    def _compared(self, made: DeepDecomposition, own: Tensor) -> DeepDecomposition:
        """The decomposition. Raises SimvisError where it is of another embedding than the network's own."""
        gap = (made.embedding - own).norm()
        if gap > ADDING_UP.get(own.dtype, 3e-2):
            raise SimvisError(
                f"another embedding behind layer '{self.layer}' than the network's own, {gap.item():.2g} off",
                "one embedding",
                "choose another layer: something of this picture passes by it",
            )
        return made

    @property
    def facts(self) -> dict[str, str]:
        """What a manifest says of it."""
        reference = {"reference": reference_facts(self.reference)} if self.rule == "path" else {}
        return {"layer": self.layer, "rule": self.rule, **reference}


def checked_rule(rule: str) -> Rule:
    """The rule. Raises SimvisError for one that there is not.

    >>> from simvis_core.networks.depth.depth import checked_rule
    >>> checked_rule("path")
    'path'
    """
    for one in RULE_NAMES:
        if rule == one:
            return one
    raise SimvisError(f"rule '{rule}'", f"one of {', '.join(RULE_NAMES)}", "choose one of these")
