"""What is trained of which network: where it begins, its head, and which part of the trunk learns."""

import copy
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

import model_zoo
from model_zoo.training.states import at_side, drawn
from simvis_core.errors import SimvisError
from simvis_core.learning.whitening import whitening
from simvis_core.networks.network import EmbeddingNetwork

LAST_LAYERS = 4  # of a trunk that keeps one grid from its first layer to its last, a quarter is its last stage
HEAD_KINDS = ("none", "fc", "fc_bn", "whiten")
PARTS = ("frozen", "last", "whole")


class Embedder(nn.Module):
    """A network as a module that is trained: preprocessed pixels (B, 3, h, w) give unit embeddings (B, D)."""

    def __init__(self, network: EmbeddingNetwork) -> None:
        super().__init__()
        self.backbone, self.head = network.backbone, network.head
        self._network = network

    def forward(self, pixels: Tensor) -> Tensor:
        """Unit embeddings, through which gradients flow."""
        return normalize(self._network.raw_embedding(pixels), dim=1)


def beginning(name: str, pooling: str | None, seed: int | None, side: int | None) -> EmbeddingNetwork:
    """Where a training begins: the network with its published weights, or with weights drawn with ``seed``.

    ``side`` is that of its views, None for its own. Raises SimvisError as `model_zoo.load` does, for weights drawn
    for a network that is not to be trained, and for views that it cannot take.
    """
    network = model_zoo.load(name, pooling) if seed is None else drawn(name, seed, pooling)
    return at_side(network, side)


def with_new_head(network: EmbeddingNetwork, head: str, seed: int) -> EmbeddingNetwork:
    """A copy of the network that can be trained, with a head behind its own: ``none``, ``fc:128`` or ``fc_bn:128``.

    ``fc`` is a linear layer, ``fc_bn`` one with a batch norm behind it; both drawn with ``seed``. For ``whiten`` see
    `whitened`; here it adds nothing. Raises SimvisError for another head.
    """
    kind, width = head_asked(head)
    other = network.with_backbone(copy.deepcopy(network.backbone)).with_head(copy.deepcopy(network.head))
    if kind in ("none", "whiten"):
        return other
    assert width is not None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        linear = nn.Linear(other.width(), width)
    layers: list[nn.Module] = [linear, nn.BatchNorm1d(width)] if kind == "fc_bn" else [linear]
    return other.with_head(_behind(other.head, layers))


def whitened(network: EmbeddingNetwork, batches: Callable[[], Iterator[Tensor]], head: str) -> EmbeddingNetwork:
    """The network with PCA whitening behind its head, learned on pictures: affine, so that its split is exact.

    ``batches`` gives preprocessed pixels (B, 3, h, w). Raises SimvisError for too few pictures for the width.
    """
    with torch.inference_mode():
        seen = torch.cat([network.raw_embedding(pixels).cpu() for pixels in batches()])
    layer = whitening(seen.clone(), head_asked(head)[1])
    return network.with_head(_behind(network.head, [layer.to(next(network.backbone.parameters()).device)]))


def head_asked(head: str) -> tuple[str, int | None]:
    """Kind and width of a head in words: ``fc:128`` is ("fc", 128).

    Raises SimvisError for another kind, for a width that is none, and for ``fc`` without one.
    """
    kind, _, width = head.partition(":")
    wanted = "none, fc:WIDTH, fc_bn:WIDTH, whiten or whiten:WIDTH"
    if kind not in HEAD_KINDS or (width and (not width.isdecimal() or int(width) < 1)):
        raise SimvisError(f"the head '{head}'", wanted, "choose one of these, such as fc:128")
    if bool(width) != kind.startswith("fc") and kind != "whiten":
        raise SimvisError(f"the head '{head}'", wanted, "give a width to fc and fc_bn only, such as fc:128")
    return kind, int(width) if width else None


def choose_part(network: EmbeddingNetwork, part: str) -> None:
    """Lets only a part of the trunk learn: ``frozen`` nothing, ``last`` its last stage, ``whole`` all; the head always.

    Raises SimvisError for another part.
    """
    if part not in PARTS:
        raise SimvisError(f"the part '{part}' of a trunk", f"one of {', '.join(PARTS)}", "choose one of these")
    network.backbone.requires_grad_(part == "whole")
    if part == "last":
        for layer in last_stage(network):
            for parameter in layer.parameters(recurse=False):
                parameter.requires_grad_(True)
    if network.head is not None:
        network.head.requires_grad_(True)


def last_stage(network: EmbeddingNetwork) -> list[nn.Module]:
    """The trunk's layers with weights of their own behind the last one that works on a finer grid than the features'.

    Where none does, as in a vision transformer, the last quarter of its layers. Found by a forward pass.
    """
    seen: dict[nn.Module, int] = {}
    layers = [layer for layer in network.backbone.modules() if list(layer.parameters(recurse=False))]

    def note(layer: nn.Module, _: object, output: object) -> None:
        seen.pop(layer, None)  # a layer used twice counts where it is used last
        seen[layer] = output[0, 0].numel() if isinstance(output, Tensor) and output.ndim == 4 else 0

    hooks = [layer.register_forward_hook(note) for layer in layers]
    side = network.preprocess.fixed_size or (network.preprocess.short_side,) * 2
    weight = next(network.backbone.parameters())
    try:
        cells = network.activations(torch.zeros(1, 3, *side).to(weight)).features[0, 0].numel()
    finally:
        for hook in hooks:
            hook.remove()
    order = list(seen)
    finer = [at for at, layer in enumerate(order) if seen[layer] > cells]
    start = finer[-1] + 1 if finer else len(order) - max(1, len(order) // LAST_LAYERS)
    return order[start:]


def _behind(own: nn.Module | None, layers: list[nn.Module]) -> nn.Module:
    before = [] if own is None else list(own) if isinstance(own, nn.Sequential) else [own]
    both = [*before, *layers]
    return both[0] if len(both) == 1 else nn.Sequential(*both)
