"""Trunks that give networks of optional libraries the form (B, C, H, W), beside what these pool by themselves."""

import copy
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from model_zoo.architectures.trunks import as_grid, token_parts
from simvis_core.networks.attention import Heads, LastBlock, Looking, attention_weights
from simvis_core.networks.backbone import Activations


def _unmasked(_network: Any, _pixels: Tensor) -> Mapping[str, Any]:
    """What transformers' blocks are told of masked tokens: that there are none."""
    return {"attention_mask": None}


class AsUsed(nn.Module):
    """A library's network as its users call it: pixels (B, 3, h, w) to embeddings (B, D).

    ``take`` picks them out of what the network gives; ``options`` are for its call.
    """

    def __init__(self, network: nn.Module, take: Callable[[Any], Tensor], **options: Any) -> None:
        super().__init__()
        self.network, self.take, self.options = network, take, options

    def forward(self, pixels: Tensor) -> Tensor:
        return self.take(self.network(pixels, **self.options))


class HubMaps(nn.Module):
    """A network that ends in feature maps (B, C, H, W), its ``last_hidden_state``."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixels: Tensor) -> Tensor:
        return self.model(pixels).last_hidden_state


@dataclass(frozen=True)
class Run:
    """How a plain vision transformer runs, told as functions of the network, so that a copy of it runs its own layers.

    ``enter`` makes the tokens that its first block takes of pixels, ``blocks`` are the blocks, ``norm`` is behind them,
    and ``prefix`` tokens in front are no cells. ``kwargs`` are for every block, of pixels.
    """

    enter: Callable[[Any, Tensor], Tensor]
    blocks: Callable[[Any], Any]
    norm: Callable[[Any], nn.Module]
    prefix: int
    kwargs: Callable[[Any, Tensor], Mapping[str, Any]] = _unmasked


class RunTokens(nn.Module):
    """A plain vision transformer run block by block: its cells, and its class token as the pooled vector.

    The tokens that enter the last block come along where that block can be split over them (``last``).
    """

    inner_pooling = "token"

    def __init__(
        self, model: nn.Module, run: Run, last: LastBlock | None = None, lookings: tuple[Looking, ...] = ()
    ) -> None:
        super().__init__()
        self.model = model
        self.run, self.last, self.lookings = run, last, lookings

    def forward(self, pixels: Tensor) -> Activations:
        tokens, kwargs = self.run.enter(self.model, pixels), self.run.kwargs(self.model, pixels)
        *before, last = self.run.blocks(self.model)
        for block in before:
            tokens = block(tokens, **kwargs)
        after = self.run.norm(self.model)(last(tokens, **kwargs))
        cells = as_grid(after[:, self.run.prefix :], pixels)
        return Activations(cells, after[:, 0], None if self.last is None else tokens)

    def inner_parts(self, activations: Activations) -> tuple[Tensor, Tensor] | None:
        """What each cell's value brought into the class token by the last block, and the rest."""
        if self.last is None or activations.carried is None:
            return None
        return token_parts(self.last, self.run.prefix, activations)

    def attentions(self, pixels: Tensor) -> Tensor | None:
        """Every block's attention for one picture (L, heads, N, N); None where a block is of another kind."""
        if not self.lookings:
            return None
        tokens, kwargs = self.run.enter(self.model, pixels), self.run.kwargs(self.model, pixels)
        found = []
        for looking, block in zip(self.lookings, self.run.blocks(self.model), strict=True):
            found.append(attention_weights(looking, tokens[0]))
            tokens = block(tokens, **kwargs)
        return torch.stack(found)


class PooledTokens(nn.Module):
    """A transformer's cells beside the vector that it pools by itself: SigLIP's attention pooling."""

    inner_pooling = "own"

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixels: Tensor) -> Activations:
        output = self.model(pixels, interpolate_pos_encoding=True)
        return Activations(as_grid(output.last_hidden_state, pixels), output.pooler_output)


class LastTokens(nn.Module):
    """A transformer's last tokens as cells, for one whose users take their mean."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixels: Tensor) -> Tensor:
        return as_grid(self.model(pixels, interpolate_pos_encoding=True).last_hidden_state, pixels)


class First(nn.Module):
    """The first of several things that a module gives, so that a map can be drawn at it."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *inputs: Any, **options: Any) -> Tensor:
        return self.module(*inputs, **options)[0]


class ShiftedStage(nn.Module):
    """A stage of Swin: blocks on tokens of one grid, then what joins four tokens to one, if anything does."""

    def __init__(self, stage: Any) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(First(block) for block in stage.blocks)
        self.downsample = stage.downsample

    def forward(self, tokens: Tensor, grid: tuple[int, int]) -> Tensor:
        for block in self.blocks:
            tokens = block(tokens, grid)
        return tokens if self.downsample is None else self.downsample(tokens, grid)


class ShiftedWindows(nn.Module):
    """Swin up to its pooling, stage by stage, for views of any size."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.patch = tuple(model.embeddings.patch_embeddings.patch_size)
        self.stem = First(model.embeddings)
        self.stages = nn.ModuleList(ShiftedStage(stage) for stage in model.encoder.layers)
        self.norm = model.layernorm

    def forward(self, pixels: Tensor) -> Tensor:
        tokens = self.stem(pixels, interpolate_pos_encoding=True)
        grid = tuple(math.ceil(side / patch) for side, patch in zip(pixels.shape[2:], self.patch, strict=True))
        for stage in self.stages:
            tokens = stage(tokens, grid)
            grid = grid if stage.downsample is None else tuple(math.ceil(side / 2) for side in grid)
        return self.norm(tokens).transpose(1, 2).unflatten(2, grid)


class Stateless:
    """A layer of Swin that forgets the last view: the library's own narrows its window for good at a small one."""

    window_size: int
    shift_size: int

    def forward(self, *inputs: Any, **options: Any) -> Any:
        alone = copy.copy(self)  # shares the weights; what a pass changes of it is gone behind it
        return super(Stateless, alone).forward(*inputs, **options)  # type: ignore[misc]

    def set_shift_and_window_size(self, grid: tuple[int, int]) -> None:
        """One window is not shifted, as in the library. It is padded where it is larger than the grid.

        The library narrows it there, and has no table of places for such a one.
        """
        if min(grid) <= self.window_size:
            self.shift_size = 0


def forget_views(network: nn.Module) -> None:
    """Makes every layer that changes with the size of what it sees run anew each time."""
    for module in network.modules():
        kind = type(module)
        if hasattr(module, "set_shift_and_window_size") and not isinstance(module, Stateless):
            module.__class__ = type(f"Stateless{kind.__name__}", (Stateless, kind), {})


@dataclass(frozen=True)
class Projections:
    """A layer's queries, keys and values by three linear layers; an object, so that a copy takes its own along."""

    attention: Any
    heads: int
    scale: float

    def __call__(self, tokens: Tensor) -> Heads:
        queries, keys, values = (
            getattr(self.attention, f"{name}_proj")(tokens).unflatten(1, (self.heads, -1)).transpose(0, 1)
            for name in "qkv"
        )
        return queries * self.scale, keys, values


@dataclass(frozen=True)
class PackedProjections:
    """The queries, keys and values of PyTorch's own attention, whose three weights lie in one."""

    attention: nn.MultiheadAttention

    def __call__(self, tokens: Tensor) -> Heads:
        attention = self.attention
        packed = nn.functional.linear(tokens, attention.in_proj_weight, attention.in_proj_bias)
        queries, keys, values = packed.unflatten(1, (3, attention.num_heads, attention.head_dim)).permute(1, 2, 0, 3)
        return queries * attention.head_dim**-0.5, keys, values


def pooled(output: Any) -> Tensor:
    """The pooled vectors (B, F) of what a model of transformers gives; of one cell, where they are maps."""
    return output.pooler_output.flatten(1)


def first_token(output: Any) -> Tensor:
    """The class tokens (B, C) of what a model of transformers gives, behind its last norm."""
    return output.last_hidden_state[:, 0]


def mean_token(output: Any) -> Tensor:
    """The mean of the tokens (B, C) of what a model of transformers gives."""
    return output.last_hidden_state.mean(1)


def projected(output: Any) -> Tensor:
    """The picture's embeddings (B, D) beside texts, of what a model of transformers gives."""
    return torch.as_tensor(output.image_embeds)
