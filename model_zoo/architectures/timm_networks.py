"""timm's networks by name: built, and taken apart by the library's own conventions."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import timm
import torch
from timm.layers import Attention, ClNormMlpClassifierHead, NormMlpClassifierHead
from timm.models import load_model_config_from_hf, resolve_pretrained_cfg
from timm.models.vgg import VGG
from timm.models.vision_transformer import Block, VisionTransformer
from torch import Tensor, nn

from model_zoo.architectures.anatomy import Anatomy, Created, Stack
from model_zoo.architectures.downloads import having
from model_zoo.architectures.layers import chain, known
from model_zoo.architectures.library import HUB
from model_zoo.architectures.trunks import ClassTokenTrunk, MapTrunk, OwnTrunk, TokenTrunk
from simvis_core.errors import SimvisError
from simvis_core.networks.attention import Heads, LastBlock, Looking

# How a family is told to take views of any size; a network without the option refuses its name.
_ANY_SIZE: tuple[dict[str, Any], ...] = (
    {"dynamic_img_size": True},
    {"strict_img_size": False, "dynamic_mask": True},
    {"strict_img_size": False},
    {},
)
_OF_HUB = re.compile(re.escape(HUB) + r"\w[\w.-]*/\w[\w.-]*(@[\w./-]+)?")
_POOLINGS = ("avg", "max", "avgmax", "catavgmax")
_BEHIND_POOLING = (("fc_norm",), ("conv_head", "norm_head", "act2"), ("conv_head", "act2"), ("norm",))


def names() -> list[str]:
    """Every architecture timm has, without the names of its pretrained weights."""
    return timm.list_models()


def knows(name: str) -> bool:
    """Whether timm has it; a name may carry the tag of its weights, as in ``resnet18.a1_in1k``.

    Of a name of the hub, ``hf-hub:OWNER/NAME``, only the hub can tell.
    """
    if name.startswith(HUB):
        return bool(_OF_HUB.fullmatch(name))
    return timm.is_model(name.split(".", maxsplit=1)[0])


def create(name: str, pretrained: bool, **chosen: Any) -> Created:
    """The network for views of any size where its family can take them; what timm raises is let through.

    ``chosen`` are options of the network's own, as `variants` gives them. Raises SimvisError for a name of the hub
    whose description cannot be had.
    """
    if name.startswith(HUB):
        described(name)  # for its sentences: what it raises is not told apart below
    with having(f"timm/{name}", name.startswith(HUB)):
        network: Any = _created(name, pretrained, chosen)
    facts = dict(network.pretrained_cfg)
    found = facts.get("classifier") or ()
    classifier = (found,) if isinstance(found, str) else tuple(found)
    if not isinstance(network, VGG):
        return Created(network, classifier, facts)
    logits = network.pre_logits
    network.pre_logits = nn.Identity()  # its layers behind the features are the classifier's own
    return Created(network, classifier, facts, ("pre_logits",), _stack(logits, classifier[0]))


def _stack(logits: Any, classifier: str) -> Stack:
    """VGG's layers behind the features, in their order; the first is a convolution of all cells at once."""
    shapes = {f"pre_logits.{name}": tuple(getattr(logits, name).weight.shape) for name in ("fc1", "fc2")}
    shapes[classifier] = (0, logits.fc2.weight.shape[0])
    return Stack(shapes, {"pre_logits.fc1": "none", "pre_logits.fc2": "relu", classifier: "relu"})


def described(name: str) -> dict[str, Any]:
    """What timm says of a network without building it; of the hub's, what its description there says.

    Raises SimvisError where that cannot be had, or is not timm's.
    """
    return _described_on_hub(name) if name.startswith(HUB) else timm.get_pretrained_cfg(name).to_dict()


def _described_on_hub(name: str) -> dict[str, Any]:
    inner = name.removeprefix(HUB)
    try:
        with having(f"timm/{name}"):
            found, architecture, _ = load_model_config_from_hf(inner)
            facts = resolve_pretrained_cfg(architecture, pretrained_cfg=found).to_dict()
    except (LookupError, TypeError, AttributeError) as error:  # as timm reads a description that is not its own
        raise _not_timms(name) from error
    if not timm.is_model(architecture):
        raise _not_timms(name)
    return facts


def _not_timms(name: str) -> SimvisError:
    return SimvisError(
        f"'timm/{name}', whose description on the hub is none of timm's networks",
        "a repository of timm's",
        f"ask for it as transformers/{name.removeprefix(HUB)} or open_clip/{name}, if it is theirs",
    )


def variants(network: nn.Module) -> tuple[dict[str, Any], ...]:
    """Options under which a network has other layers behind its features: a transformer's other pooling."""
    tokens = getattr(network, "num_prefix_tokens", 0)
    now = getattr(network, "global_pool", None)
    return tuple(
        {"global_pool": pool} for pool in ("avg", "token") if tokens and now in ("avg", "token") and pool != now
    )


def _created(name: str, pretrained: bool, chosen: dict[str, Any]) -> nn.Module:
    for any_size in _ANY_SIZE[:-1]:
        options = {**any_size, **chosen}
        try:
            return timm.create_model(name, pretrained=pretrained, num_classes=0, **options)
        except TypeError:  # the family does not have this option
            continue
    return timm.create_model(name, pretrained=pretrained, num_classes=0, **chosen)


def anatomy(network: nn.Module, probe: Tensor) -> Anatomy:
    """Candidates for features, pooling and head; ``probe`` is a view of the configured size."""
    with torch.no_grad():
        output = network.forward_features(probe)  # type: ignore[operator]
    if not isinstance(output, Tensor) or output.ndim not in (3, 4):
        return Anatomy(network, (), (), network, network)
    trunk = _map_trunk(network, output) if output.ndim == 4 else _token_trunk(network, output)
    fallback: nn.Module = OwnTrunk(trunk)
    if isinstance(network, VGG):
        return Anatomy(trunk, ("avg",), (None,), fallback, None)
    poolings: tuple[str, ...] = _POOLINGS
    if getattr(network, "global_pool", None) == "token" and isinstance(trunk, TokenTrunk) and trunk.prefix:
        last = _last_block(network)
        return Anatomy(
            ClassTokenTrunk(network, trunk.prefix, last, _lookings(network)),
            ("token", *poolings),
            _heads(network),
            fallback,
            network,
        )
    return Anatomy(trunk, poolings, _heads(network), fallback, network)


def _map_trunk(network: nn.Module, output: Tensor) -> MapTrunk:
    channels = network.num_features
    return MapTrunk(network, channels_last=output.shape[1] != channels and output.shape[3] == channels)


def _token_trunk(network: nn.Module, output: Tensor) -> TokenTrunk:
    """The number of prefix tokens as the network says, else the one that leaves a square of cells."""
    said = getattr(network, "num_prefix_tokens", None)
    squares = (prefix for prefix in range(6) if ((output.shape[1] - prefix) ** 0.5).is_integer())
    return TokenTrunk(network, said if said is not None else next(squares, 0), _lookings(network))


def _heads(network: nn.Module) -> tuple[nn.Sequential | None, ...]:
    found = (chain(modules) for modules in _behind_pooling(network))
    return (None, *(head for head in found if head is not None))


def _behind_pooling(network: nn.Module) -> Iterator[list[nn.Module]]:
    head = getattr(network, "head", None)
    if isinstance(head, (NormMlpClassifierHead, ClNormMlpClassifierHead)):
        yield [head.norm, head.pre_logits]
    elif isinstance(head, nn.Sequential):
        yield list(head)
    for names in _BEHIND_POOLING:
        modules = [getattr(network, name, None) for name in names]
        yield [module for module in modules if isinstance(module, nn.Module)]


def _last_block(network: nn.Module) -> LastBlock | None:
    """The last block of a plain vision transformer; None for one with another kind of block or attention."""
    if not isinstance(network, VisionTransformer) or len(network.blocks) < 2:
        return None
    block = network.blocks[-1]
    if not _plain(block):
        return None
    attention: Any = block.attn
    norm = known(network.norm)
    mlp = chain([block.norm2, *block.mlp.children(), block.ls2])
    assert mlp is not None
    return LastBlock(
        known(block.norm1)[0], _Attend(attention), attention.proj, block.ls1, mlp, norm[0] if norm else nn.Identity()
    )


def _plain(block: nn.Module) -> bool:
    """Whether a block is the plain pre-norm one, with attention that `_Attend` follows."""
    if type(block) is not Block or type(block.attn) is not Attention:
        return False
    attention: Any = block.attn
    return attention.gate is None and isinstance(attention.norm, nn.Identity)


def _lookings(network: nn.Module) -> tuple[Looking, ...]:
    """Norm and attention of every block of a plain vision transformer; none of one with any other block."""
    if not isinstance(network, VisionTransformer) or not all(map(_plain, network.blocks)):
        return ()
    return tuple((known(block.norm1)[0], _Attend(block.attn)) for block in network.blocks)


@dataclass(frozen=True)
class _Attend:
    """A layer's queries, keys and values. An object, so that a copy of the network takes its own layer along."""

    attention: Any

    def __call__(self, tokens: Tensor) -> Heads:
        attention = self.attention
        split = attention.qkv(tokens).unflatten(1, (3, attention.num_heads, attention.head_dim))
        queries, keys, values = split.permute(1, 2, 0, 3)
        return attention.q_norm(queries) * attention.scale, attention.k_norm(keys), values
