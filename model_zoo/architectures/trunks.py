"""Trunks that give any library's network the form (B, C, H, W), its own pooling beside it where it has one."""

import math
from typing import Any

import torch
from timm.layers import resample_abs_pos_embed
from torch import Tensor, fx, nn

from simvis_core.networks.attention import LastBlock, Looking, attention_weights, class_token_parts
from simvis_core.networks.backbone import Activations


class MapTrunk(nn.Module):
    """A timm network that ends in a feature map; ``channels_last`` for those that keep (B, H, W, C)."""

    def __init__(self, network: nn.Module, channels_last: bool) -> None:
        super().__init__()
        self.network: Any = network
        self.channels_last = channels_last

    def forward(self, pixels: Tensor) -> Tensor:
        return self.arranged(self.network.forward_features(pixels), pixels)

    def arranged(self, output: Tensor, _: Tensor) -> Tensor:
        """The network's own output as (B, C, H, W)."""
        return output.permute(0, 3, 1, 2) if self.channels_last else output


class FrontTrunk(nn.Module):
    """A trunk with a person's own layers on its maps, in front of the pooling."""

    def __init__(self, trunk: nn.Module, front: nn.Module) -> None:
        super().__init__()
        self.trunk, self.front = trunk, front

    def forward(self, pixels: Tensor) -> Tensor:
        return self.front(self.trunk(pixels))


class TracedTrunk(nn.Module):
    """A network cut by tracing. Called through `forward`, since a traced module's own call prints what it raises."""

    def __init__(self, traced: fx.GraphModule) -> None:
        super().__init__()
        self.traced = traced

    def forward(self, pixels: Tensor) -> Tensor:
        return self.traced.forward(pixels)


class TokenTrunk(nn.Module):
    """A timm network that ends in tokens (B, N, C): those behind the ``prefix`` are the cells, row by row."""

    def __init__(self, network: nn.Module, prefix: int, lookings: tuple[Looking, ...] = ()) -> None:
        super().__init__()
        self.network: Any = network
        self.prefix, self.lookings = prefix, lookings

    def forward(self, pixels: Tensor) -> Tensor:
        return self.arranged(self.network.forward_features(pixels), pixels)

    def arranged(self, output: Tensor, pixels: Tensor) -> Tensor:
        """The network's own output as (B, C, H, W)."""
        return as_grid(output[:, self.prefix :], pixels)

    def attentions(self, pixels: Tensor) -> Tensor | None:
        """Every block's attention for one picture (L, heads, N, N); None where a block is of another kind."""
        return timm_attentions(self.network, self.lookings, pixels)


class ClassTokenTrunk(nn.Module):
    """A timm network that pools into its class token: features (B, C, H, W), and the token as the pooled vector (B, C).

    The tokens that enter the last block come along where that block can be split over them.
    """

    inner_pooling = "token"

    def __init__(
        self, network: nn.Module, prefix: int, last: LastBlock | None, lookings: tuple[Looking, ...] = ()
    ) -> None:
        super().__init__()
        self.network: Any = network
        self.prefix, self.last, self.lookings = prefix, last, lookings

    def forward(self, pixels: Tensor) -> Activations:
        tokens, carried = self._run(pixels)
        return Activations(as_grid(tokens[:, self.prefix :], pixels), tokens[:, 0], carried)

    def _run(self, pixels: Tensor) -> tuple[Tensor, Tensor | None]:
        if self.last is None:
            return self.network.forward_features(pixels), None
        before = len(self.network.blocks) - 2
        tokens, kept = self.network.forward_intermediates(
            pixels, indices=[before], return_prefix_tokens=True, output_fmt="NLC"
        )
        cells, prefix = kept[0]
        return tokens, torch.cat([prefix, cells], dim=1)

    def inner_parts(self, activations: Activations) -> tuple[Tensor, Tensor] | None:
        """What each cell's value brought into the class token by the last block, and the rest."""
        if self.last is None or activations.carried is None:
            return None
        return token_parts(self.last, self.prefix, activations)

    def attentions(self, pixels: Tensor) -> Tensor | None:
        """Every block's attention for one picture (L, heads, N, N); None where a block is of another kind."""
        return timm_attentions(self.network, self.lookings, pixels)


class TorchvisionViT(nn.Module):
    """torchvision's VisionTransformer for any view of whole patches; its position embeddings are resampled."""

    inner_pooling, prefix = "token", 1

    def __init__(self, network: nn.Module, last: LastBlock, lookings: tuple[Looking, ...] = ()) -> None:
        super().__init__()
        self.network: Any = network
        self.last, self.lookings = last, lookings

    def forward(self, pixels: Tensor) -> Activations:
        encoder, tokens = self.network.encoder, self._tokens(pixels)
        *before, last = encoder.layers
        for block in before:
            tokens = block(tokens)
        after = encoder.ln(last(tokens))
        return Activations(as_grid(after[:, 1:], pixels), after[:, 0], tokens)

    def _tokens(self, pixels: Tensor) -> Tensor:
        patches = self.network.conv_proj(pixels)
        cells = patches.flatten(2).transpose(1, 2)
        first = self.network.class_token.expand(len(pixels), -1, -1)
        tokens = torch.cat([first, cells], dim=1)
        return tokens + resample_abs_pos_embed(self.network.encoder.pos_embedding, list(patches.shape[2:]))

    def attentions(self, pixels: Tensor) -> Tensor:
        """Every block's attention for one picture (L, heads, N, N)."""
        return block_attentions(self.lookings, self.network.encoder.layers, self._tokens(pixels))

    def inner_parts(self, activations: Activations) -> tuple[Tensor, Tensor] | None:
        """What each cell's value brought into the class token by the last block, and the rest."""
        return token_parts(self.last, self.prefix, activations)


class OwnTrunk(nn.Module):
    """A timm network's cells beside the vector that it pools by itself, however it does that."""

    inner_pooling = "own"

    def __init__(self, trunk: "MapTrunk | TokenTrunk") -> None:
        super().__init__()
        self.trunk = trunk

    def forward(self, pixels: Tensor) -> Activations:
        network = self.trunk.network
        output = network.forward_features(pixels)
        pooled = network.forward_head(output, pre_logits=True)
        return Activations(self.trunk.arranged(output, pixels), pooled)


def timm_attentions(network: Any, lookings: tuple[Looking, ...], pixels: Tensor) -> Tensor | None:
    """The attention of every block of timm's plain vision transformer for one picture, or None without its blocks."""
    if not lookings:
        return None
    tokens = network.norm_pre(network.patch_drop(network._pos_embed(network.patch_embed(pixels))))
    return block_attentions(lookings, network.blocks, tokens)


def block_attentions(lookings: tuple[Looking, ...], blocks: nn.Module, tokens: Tensor) -> Tensor:
    """Each block's attention (L, heads, N, N) as the tokens (1, N, C) of one picture pass through."""
    found = []
    for looking, block in zip(lookings, blocks, strict=True):  # type: ignore[call-overload]
        found.append(attention_weights(looking, tokens[0]))
        tokens = block(tokens)
    return torch.stack(found)


def token_parts(last: LastBlock, prefix: int, activations: Activations) -> tuple[Tensor, Tensor]:
    """The cells' parts of the class token (H, W, C); the prefix tokens' parts belong to the rest (C,)."""
    assert activations.carried is not None
    parts, rest = class_token_parts(last, activations.carried)
    rows, columns = activations.features.shape[1:]
    return parts[prefix:].unflatten(0, (rows, columns)), rest + parts[:prefix].sum(0)


def as_grid(cells: Tensor, pixels: Tensor) -> Tensor:
    """Tokens (B, N, C) as features (B, C, H, W) in the shape of the pixels."""
    rows, columns = token_grid(cells.shape[1], (pixels.shape[2], pixels.shape[3]))
    return cells.transpose(1, 2).unflatten(2, (rows, columns))


def token_grid(count: int, size: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns of ``count`` tokens over a view of ``size`` (h, w): the factors nearest to its shape."""
    wanted = math.log(size[0] / size[1])
    factors = [(rows, count // rows) for rows in range(1, count + 1) if count % rows == 0]
    return min(factors, key=lambda grid: abs(math.log(grid[0] / grid[1]) - wanted))
