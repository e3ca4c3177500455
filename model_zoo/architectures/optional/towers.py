"""open_clip's towers for pictures: how each is put together, from its class token to its projection."""

from typing import Any

import torch
from timm.layers import resample_abs_pos_embed
from torch import Tensor, nn

from model_zoo.architectures import timm_networks
from model_zoo.architectures.anatomy import Anatomy
from model_zoo.architectures.layers import chain, known
from model_zoo.architectures.optional.families import class_token
from model_zoo.architectures.optional.trunks import AsUsed, PackedProjections, Run
from model_zoo.architectures.trunks import as_grid
from simvis_core.networks.attention import LastBlock
from simvis_core.networks.backbone import Activations
from simvis_core.networks.heads import Elementwise


class Projection(nn.Module):
    """A matrix that vectors are multiplied by, as open_clip keeps its projection."""

    def __init__(self, matrix: nn.Parameter) -> None:
        super().__init__()
        self.matrix = matrix
        self.in_features = len(matrix)  # which tells what poolings it takes

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.matrix


class TowerCells(nn.Module):
    """A vision transformer's cells behind its blocks, and behind its last norm where the pooling is behind that."""

    def __init__(self, tower: Any, normed: bool) -> None:
        super().__init__()
        self.tower, self.normed = tower, normed

    def forward(self, pixels: Tensor) -> Tensor:
        tokens = _entered(self.tower, pixels)
        for block in self.tower.transformer.resblocks:
            tokens = block(tokens)
        return as_grid((self.tower.ln_post(tokens) if self.normed else tokens)[:, 1:], pixels)


class TowerPooled(nn.Module):
    """A vision transformer's cells beside what its attention pooling and its projection make of all tokens."""

    inner_pooling = "own"

    def __init__(self, tower: Any) -> None:
        super().__init__()
        self.conv1, self.ln_pre, self.transformer = tower.conv1, tower.ln_pre, tower.transformer
        self.class_embedding, self.positional_embedding = tower.class_embedding, tower.positional_embedding
        self.grid_size = tower.grid_size
        self.pool = _Queries(tower)

    def forward(self, pixels: Tensor) -> Activations:
        tokens = _entered(self, pixels)
        for block in self.transformer.resblocks:
            tokens = block(tokens)
        return Activations(as_grid(tokens[:, 1:], pixels), self.pool(tokens))


class _Queries(nn.Module):
    """What stands behind the blocks, in one: its queries have no place, though 256 of them would fill a square."""

    def __init__(self, tower: Any) -> None:
        super().__init__()
        self.pools = nn.ModuleList(
            layer for layer in (tower.attn_pool, tower.attn_pool_contrastive, tower.ln_post) if layer is not None
        )
        self.proj = tower.proj
        self._tower = [tower]  # in a list: no submodule, whose layers are above

    def forward(self, tokens: Tensor) -> Tensor:
        return self._tower[0]._pool(tokens)[0] @ self.proj


class ResNetPooled(nn.Module):
    """CLIP's ResNet: its last maps, and what its attention pooling makes of them."""

    inner_pooling = "own"

    def __init__(self, tower: Any) -> None:
        super().__init__()
        self.tower = tower

    def forward(self, pixels: Tensor) -> Activations:
        tower = self.tower
        maps = tower.layer4(tower.layer3(tower.layer2(tower.layer1(tower.stem(pixels)))))
        return Activations(maps, tower.attnpool(maps))


class TimmPooled(nn.Module):
    """A network of timm's that pools by itself, with the projection behind it."""

    inner_pooling = "own"

    def __init__(self, trunk: Any, tower: Any) -> None:
        super().__init__()
        self.network: Any
        self.network, self.head = trunk.network, tower.head
        self._arranging = [trunk]  # in a list: no submodule, so that the network's blocks are found where they are

    def forward(self, pixels: Tensor) -> Activations:
        output = self.network.forward_features(pixels)
        cells = self._arranging[0].arranged(output, pixels)
        return Activations(cells, self.head(self.network.forward_head(output)))


def tower_anatomy(tower: Any, probe: Tensor) -> Anatomy:
    """Candidates for features, pooling and head of a tower, by its kind."""
    kind = type(tower).__name__
    return {"TimmModel": _of_timm, "ModifiedResNet": _resnet}.get(kind, _transformer)(tower, probe)


def _first(output: Any) -> Tensor:
    """The embeddings: a tower that gives its tokens too has them first."""
    return output[0] if isinstance(output, tuple) else output


def _resnet(tower: Any, _probe: Tensor) -> Anatomy:
    embedding = AsUsed(tower, _first)
    return Anatomy(ResNetPooled(tower), ("own",), (None,), embedding, embedding)


def _transformer(tower: Any, _probe: Tensor) -> Anatomy:
    embedding = AsUsed(tower, _first)
    if tower.attn_pool is not None:
        return Anatomy(TowerPooled(tower), ("own",), (None,), embedding, embedding)
    projection = Projection(tower.proj)
    if tower.pool_type == "avg":
        behind = tower.final_ln_after_pool
        head = chain([*([tower.ln_post] if behind else []), projection])
        return Anatomy(TowerCells(tower, not behind), ("avg",), (head,), embedding, embedding)
    run = Run(_entered, lambda tower: tower.transformer.resblocks, lambda tower: tower.ln_post, 1, _no_options)
    return class_token(run, embedding, tower, _split_block, [projection])


def _of_timm(tower: Any, probe: Tensor) -> Anatomy:
    """A network of timm's by timm's conventions, with what stands in its classifier's place and the head behind it."""
    inner = timm_networks.anatomy(tower.trunk, probe)
    last = [layer for layer in (tower.trunk.get_classifier(),) if isinstance(layer, nn.Linear)]
    heads = tuple(chain([*(head or []), *last, *tower.head]) for head in inner.heads)
    embedding = AsUsed(tower, _first)
    trunk = getattr(inner.fallback, "trunk", None)
    fallback: nn.Module = embedding if trunk is None else TimmPooled(trunk, tower)
    return Anatomy(inner.trunk, inner.poolings, heads, fallback, embedding)


def _entered(tower: Any, pixels: Tensor) -> Tensor:
    """The tokens that the first block takes; for another grid than the trained one the table of places is resampled."""
    patches = tower.conv1(pixels)
    table = tower.positional_embedding[None]
    if tuple(patches.shape[2:]) != tuple(tower.grid_size):
        old = tuple(tower.grid_size)
        table = resample_abs_pos_embed(table, list(patches.shape[2:]), list(old), num_prefix_tokens=1)
    first = tower.class_embedding.expand(len(pixels), 1, -1)
    tokens = torch.cat([first, patches.flatten(2).transpose(1, 2)], dim=1)
    return tower.ln_pre(tokens + table)


def _no_options(_tower: Any, _pixels: Tensor) -> dict[str, Any]:
    return {}


def _split_block(block: Any) -> LastBlock | None:
    """A plain block; None for one that norms its queries, or scales its heads."""
    if type(block).__name__ != "ResidualAttentionBlock":
        return None
    mlp = block.mlp
    active = Elementwise(mlp.gelu) if type(mlp.gelu).__name__ == "QuickGELU" else mlp.gelu
    added = chain([block.ln_2, mlp.c_fc, active, mlp.c_proj, block.ls_2])
    assert added is not None
    attention = block.attn
    attend = PackedProjections(attention)
    return LastBlock(known(block.ln_1)[0], attend, attention.out_proj, block.ls_1, added, nn.Identity())
