"""transformers' names, as in its files and as in memory since version 5: the trunk gives the original's embeddings.

The layouts are those that transformers 5.24 prints; its own networks gave cosines of 1.00000 with what is read here.
"""

import re

import pytest
import timm
import torch
from torch.nn.functional import normalize

from model_zoo.checkpoints.opening import open_checkpoint
from model_zoo.checkpoints.trunks.transformers_names import from_transformers
from simvis_core import SimvisError

PIXELS = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(1))
EMBEDDINGS = {
    "cls_token": "embeddings.cls_token",
    "dist_token": "embeddings.distillation_token",
    "pos_embed": "embeddings.position_embeddings",
    "patch_embed.proj": "embeddings.patch_embeddings.projection",
    "norm": "layernorm",
}
SAVED = {"": "encoder.layer.{}.", "qkv": "attention.attention.{}", "attn.proj": "attention.output.dense"}
SAVED |= {"norm1": "layernorm_before", "norm2": "layernorm_after"}
SAVED |= {"mlp.fc1": "intermediate.dense", "mlp.fc2": "output.dense"}
MEMORY = {"": "layers.{}.", "qkv": "attention.{}_proj", "attn.proj": "attention.o_proj"}
MEMORY |= {"norm1": "layernorm_before", "norm2": "layernorm_after", "mlp.fc1": "mlp.fc1", "mlp.fc2": "mlp.fc2"}
DINO = {**MEMORY, "": "encoder.layer.{}.", "norm1": "norm1", "norm2": "norm2"}
CLIP = {"": "encoder.layers.{}.", "qkv": "self_attn.{}_proj", "attn.proj": "self_attn.out_proj"}
CLIP |= {"norm1": "layer_norm1", "norm2": "layer_norm2", "mlp.fc1": "mlp.fc1", "mlp.fc2": "mlp.fc2"}
CLIP_EMBEDDINGS = {
    "cls_token": "embeddings.class_embedding",
    "pos_embed": "embeddings.position_embedding.weight",
    "patch_embed.proj": "embeddings.patch_embedding",
    "norm_pre": "pre_layrnorm",
    "norm": "post_layernorm",
}


def trunk(name, seed=0):
    torch.manual_seed(seed)
    network = timm.create_model(name, num_classes=0).eval()
    with torch.no_grad():
        for tensor in network.parameters():
            tensor.add_(0.05 * torch.randn_like(tensor))
    return network


def written(state, blocks, embeddings=EMBEDDINGS):
    """A timm transformer's tensors under transformers' names."""
    found = {}
    for key, tensor in state.items():
        inner = re.fullmatch(r"blocks\.(\d+)\.(.+)\.(weight|bias)", key)
        if inner is None:
            stem = next(stem for stem in embeddings if key == stem or key.startswith(f"{stem}."))
            found[embeddings[stem] + key[len(stem) :]] = tensor
            continue
        number, layer, kind = inner.groups()
        start = blocks[""].format(number)
        if layer == "attn.qkv":
            names = ("query", "key", "value") if blocks is SAVED else ("q", "k", "v")
            for name, part in zip(names, tensor.chunk(3), strict=True):
                found[f"{start}{blocks['qkv'].format(name)}.{kind}"] = part
        else:
            found[f"{start}{blocks[layer]}.{kind}"] = tensor
    return found


def opened(tmp_path, state, name, **said):
    torch.save(state, tmp_path / "x.pth")
    return open_checkpoint(tmp_path / "x.pth", name, **said)


def embeds(found, network):
    with torch.no_grad():
        wanted = normalize(network(PIXELS), dim=-1)
    return bool((found.network.embed(PIXELS) - wanted).norm() <= 1e-5)


@pytest.mark.parametrize("start", ["", "vit."])
@pytest.mark.parametrize("blocks", [SAVED, MEMORY], ids=["saved", "memory"])
def test_a_vision_transformer(tmp_path, blocks, start):
    network = trunk("vit_tiny_patch16_224")
    state = {start + key: tensor for key, tensor in written(network.state_dict(), blocks).items()}
    found = opened(tmp_path, state, "timm/vit_tiny_patch16_224")
    assert embeds(found, network)
    assert "in transformers' names" in found.report.names


def test_a_distilled_transformer(tmp_path):
    network = trunk("deit_tiny_distilled_patch16_224")
    found = opened(tmp_path, written(network.state_dict(), MEMORY), "timm/deit_tiny_distilled_patch16_224")
    assert embeds(found, network)


@pytest.mark.parametrize("whole", [False, True], ids=["alone", "beside a text network"])
def test_a_clip_picture_network(tmp_path, whole):
    network = trunk("vit_xsmall_patch16_clip_224")
    state = written(network.state_dict(), CLIP, CLIP_EMBEDDINGS)
    state["embeddings.class_embedding"] = state["embeddings.class_embedding"].flatten()
    state["embeddings.position_embedding.weight"] = state["embeddings.position_embedding.weight"][0]
    if whole:
        state = {f"vision_model.{key}": tensor for key, tensor in state.items()}
        state["text_model.embeddings.token_embedding.weight"] = torch.zeros(5, 4)
        with pytest.raises(SimvisError, match=r"say layers\.text_model\.\S+=out to leave it out"):
            opened(tmp_path, state, "timm/vit_xsmall_patch16_clip_224")
    out = {"layers": {"text_model": "out"}} if whole else None
    assert embeds(opened(tmp_path, state, "timm/vit_xsmall_patch16_clip_224", choices=out), network)


def test_registers_leave_the_class_token_its_position():
    """Hand-worked: transformers adds the first line of its table to the class token, timm has no such line."""
    tensors = {
        "embeddings.cls_token": torch.full((1, 1, 2), 3.0),
        "embeddings.register_tokens": torch.full((1, 4, 2), 9.0),
        "embeddings.position_embeddings": torch.tensor([[[0.5, 1.0], [7.0, 8.0]]]),
        "embeddings.patch_embeddings.projection.bias": torch.zeros(2),
        "encoder.layer.0.attention.q_proj.weight": torch.full((2, 2), 1.0),
        "encoder.layer.0.attention.k_proj.weight": torch.full((2, 2), 2.0),
        "encoder.layer.0.attention.v_proj.weight": torch.full((2, 2), 3.0),
        "encoder.layer.0.layer_scale1.lambda1": torch.ones(2),
    }
    found = from_transformers(tensors, {"reg_token"})
    assert found["cls_token"].tolist() == [[[3.5, 4.0]]]
    assert found["pos_embed"].tolist() == [[[7.0, 8.0]]]
    assert found["reg_token"].shape == (1, 4, 2)
    assert found["blocks.0.attn.qkv.weight"][:, 0].tolist() == [1, 1, 2, 2, 3, 3]
    assert "blocks.0.ls1.gamma" in found


@pytest.mark.parametrize("table", ["layers.0.relative_position_bias", "layers.0.attention.relative_position_bias"])
def test_keys_without_an_offset_leave_those_of_queries_and_values(table):
    """As in BEiT, whose norm behind the average is transformers' pooler."""
    names = [f"layers.0.attention.{name}" for name in ("q_proj.weight", "k_proj.weight", "v_proj.weight")]
    names += ["layers.0.attention.q_proj.bias", "layers.0.attention.v_proj.bias", "layers.0.lambda_1"]
    names += [f"{table}.relative_position_bias_table", "pooler.layernorm.weight", "embeddings.cls_token"]
    found = from_transformers({name: torch.zeros(2, 2) for name in names}, {"cls_token"})
    wanted = {"attn.qkv.weight", "attn.q_bias", "attn.v_bias", "gamma_1", "attn.relative_position_bias_table"}
    assert set(found) == {f"blocks.0.{name}" for name in wanted} | {"fc_norm.weight", "cls_token"}


@pytest.mark.parametrize("name", ["deit_tiny_distilled_patch16_224", "pit_ti_224", "pit_ti_distilled_224"])
def test_a_file_that_does_not_fit_a_family_of_one_pooling_is_refused(tmp_path, name):
    """timm answers the other pooling, which is tried, with a bare assertion."""
    with pytest.raises(SimvisError, match=f"timm/{name}"):
        opened(tmp_path, {"some.weight": torch.zeros(3, 4), "other.weight": torch.zeros(5)}, f"timm/{name}")
