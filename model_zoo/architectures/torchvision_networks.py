"""torchvision's networks by name: built, and taken apart by tracing what happens to the feature maps."""

from dataclasses import dataclass
from typing import Any

import torch
import torchvision
from torch import Tensor, fx, nn
from torch.nn import functional
from torchvision.models import VGG, AlexNet, SqueezeNet
from torchvision.models.vision_transformer import EncoderBlock, VisionTransformer

from model_zoo.architectures.anatomy import Anatomy, Created, Stack
from model_zoo.architectures.layers import chain, known
from model_zoo.architectures.trunks import TorchvisionViT, TracedTrunk
from simvis_core.networks.attention import Heads, LastBlock, Looking

_POOLS = (torch.mean, functional.adaptive_avg_pool2d)


class _Tracer(fx.Tracer):
    """Keeps norms whole, so that one behind the pooling is seen as a layer and not as its arithmetic.

    It keeps ``whole`` the modules of these paths, too.
    """

    def __init__(self, whole: frozenset[str] = frozenset()) -> None:
        super().__init__()
        self.whole = whole

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        kept = isinstance(m, nn.LayerNorm) or module_qualified_name in self.whole
        return kept or super().is_leaf_module(m, module_qualified_name)


def names() -> list[str]:
    """Every classification network of torchvision."""
    return torchvision.models.list_models(module=torchvision.models)


def knows(name: str) -> bool:
    """Whether torchvision has it."""
    return name in names()


def create(name: str, pretrained: bool, **chosen: Any) -> Created:
    """The network without its classifier; what torchvision raises is let through."""
    weights = torchvision.models.get_model_weights(name).DEFAULT
    untrained = {"init_weights": False} if name in ("googlenet", "inception_v3") and not pretrained else {}
    network = torchvision.models.get_model(name, weights=weights if pretrained else None, **untrained, **chosen)
    classifier, discarded = _classifier(network)
    stack = _stack(network) if isinstance(network, (SqueezeNet, VGG, AlexNet)) else None
    for path in classifier + discarded:
        parent, _, child = path.rpartition(".")
        setattr(network.get_submodule(parent), child, nn.Identity())
    return Created(network, classifier, _facts(network, weights), discarded, stack)


def variants(network: nn.Module) -> tuple[dict[str, Any], ...]:
    """Torchvision builds each network in one way only."""
    return ()


def described(name: str) -> dict[str, Any]:
    """What torchvision says of a network without building it."""
    return _facts(None, torchvision.models.get_model_weights(name).DEFAULT)


def _classifier(network: nn.Module) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Path of the last linear layer, and of what else belongs to classification alone.

    That is the auxiliary classifiers, which only training has, and the whole of ``classifier`` where it is made of a
    convolution (SqueezeNet) or follows a grid of cells laid flat (VGG and AlexNet).
    """
    if isinstance(network, (SqueezeNet, VGG, AlexNet)):
        return (), ("classifier",)
    linear = [name for name, module in network.named_modules() if isinstance(module, nn.Linear)]
    auxiliary = tuple(name for name, _ in network.named_children() if name in ("aux1", "aux2", "AuxLogits"))
    return (next(name for name in reversed(linear) if name.split(".")[0] not in auxiliary),), auxiliary


def _stack(network: nn.Module) -> Stack:
    """The layers of ``classifier``: those of SqueezeNet stand in front of its pooling."""
    shapes: dict[str, tuple[int, ...]] = {}
    steps: dict[str, str] = {}
    step, pooled = "none", False
    for name, layer in network.get_submodule("classifier").named_children():
        if isinstance(layer, (nn.Linear, nn.Conv2d)):
            shapes[f"classifier.{name}"] = tuple(layer.weight.shape)
            steps[f"classifier.{name}"], step = step, "none"
        elif isinstance(layer, nn.AdaptiveAvgPool2d):
            steps["pooling"], pooled = step, True
        elif isinstance(layer, nn.ReLU):
            step = "relu"
    return Stack(shapes, steps, tuple(shapes) if pooled else ())


def _facts(network: nn.Module | None, weights: Any) -> dict[str, Any]:
    transforms = weights.transforms()
    side = getattr(network, "image_size", transforms.crop_size[0])
    return {
        "mean": tuple(transforms.mean),
        "std": tuple(transforms.std),
        "input_size": (3, side, side),
        "interpolation": transforms.interpolation.value,
        "num_classes": len(weights.meta["categories"]),
        "license": "BSD-3-Clause (torchvision)",
        "url": weights.url,
    }


def anatomy(network: nn.Module, _: Tensor) -> Anatomy:
    """Candidates for features, pooling and head, by tracing the network up to its last global pooling."""
    if isinstance(network, VisionTransformer):
        trunk: nn.Module = TorchvisionViT(network, _last_block(network), _lookings(network))
        return Anatomy(trunk, ("token",), (None,), network, network)
    graph = _Tracer().trace(network)
    pools = [node for node in graph.nodes if _is_pool(node, network)]
    if not pools:
        features = getattr(network, "features", None)
        return Anatomy(features or network, ("avg",), (None,), network, None if features else network)
    pool = pools[-1]
    behind = [network.get_submodule(str(node.target)) for node in _after(pool) if node.op == "call_module"]
    embedding = network if _to_one_cell(pool, network) else None  # VGG's and AlexNet's layers are the classifier's
    trunk = _in_blocks(graph, pool, network)
    return Anatomy(trunk, ("avg",), (chain(behind) if embedding else None,), network, embedding)


def _is_pool(node: fx.Node, network: nn.Module) -> bool:
    if node.op == "call_module":
        return isinstance(network.get_submodule(str(node.target)), nn.AdaptiveAvgPool2d)
    return node.target in _POOLS or (node.op == "call_method" and node.target == "mean")


def _to_one_cell(pool: fx.Node, network: nn.Module) -> bool:
    module = network.get_submodule(str(pool.target)) if pool.op == "call_module" else None
    return module is None or module.output_size in (1, (1, 1))


def _after(node: fx.Node) -> list[fx.Node]:
    nodes = list(node.graph.nodes)
    return nodes[nodes.index(node) + 1 :]


def _in_blocks(graph: fx.Graph, pool: fx.Node, network: nn.Module) -> TracedTrunk:
    """The network cut in front of its pooling, its stages and blocks kept as the modules that they are.

    What of its children has no part in the pooling or behind it runs as it was written, so that maps can be drawn at
    each of its blocks; traced through, a block would be nothing but its layers.
    """
    opened = {str(path).partition(".")[0] for node in (pool, *_after(pool)) for path in _modules_of(node)}
    whole = frozenset(name for name, child in network.named_children() if name not in opened and list(child.children()))
    blocks = _Tracer(whole).trace(network)
    pools = [node for node in blocks.nodes if _is_pool(node, network)]
    return _up_to(pools[-1].all_input_nodes[0], blocks, network)


def _modules_of(node: fx.Node) -> list[str]:
    """The paths of the modules that a node was traced in, and of the one that it calls."""
    called = [str(node.target)] if node.op == "call_module" else []
    return called + [str(path) for path in node.meta.get("nn_module_stack", {})]


def _up_to(features: fx.Node, graph: fx.Graph, network: nn.Module) -> TracedTrunk:
    """The network cut behind a node; it shares the network's layers."""
    for node in reversed(_after(features)):
        graph.erase_node(node)
    graph.output(features)
    return TracedTrunk(fx.GraphModule(network, graph).eval())


def _last_block(network: VisionTransformer) -> LastBlock:
    block = network.encoder.layers[-1]
    assert isinstance(block, EncoderBlock)
    mlp = chain([block.ln_2, block.mlp])
    assert mlp is not None
    attention = block.self_attention
    return LastBlock(
        known(block.ln_1)[0], _Attend(attention), attention.out_proj, nn.Identity(), mlp, known(network.encoder.ln)[0]
    )


def _lookings(network: VisionTransformer) -> tuple[Looking, ...]:
    return tuple((known(block.ln_1)[0], _Attend(block.self_attention)) for block in network.encoder.layers)


@dataclass(frozen=True)
class _Attend:
    """A layer's queries, keys and values. An object, so that a copy of the network takes its own layer along."""

    attention: nn.MultiheadAttention

    def __call__(self, tokens: Tensor) -> Heads:
        attention = self.attention
        packed = functional.linear(tokens, attention.in_proj_weight, attention.in_proj_bias)
        split = packed.unflatten(1, (3, attention.num_heads, attention.head_dim))
        queries, keys, values = split.permute(1, 2, 0, 3)
        return queries * attention.head_dim**-0.5, keys, values
