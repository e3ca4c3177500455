"""open_clip's towers for pictures: encode_image as the library gives it, split where its pooling is linear."""

import json
import urllib.error

import huggingface_hub.constants
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn

import model_zoo
from model_zoo.architectures.arranging import build
from model_zoo.architectures.optional import open_clip_networks, packages
from simvis_core import SimvisError, explain_features
from tests.model_zoo.architectures.optional.towers import CONFIGS, SEEN, library, network, saved, side

EXACT, AT_INPUT, BLACK_BOX = "exact", "exact at this input", "black box"
# Own pooling, verdict, pixels to a cell, whether other sizes are taken, and how a map is drawn without masks.
EXPECTED = {
    "vit": ("token", BLACK_BOX, 16, True, "last-block values"),
    "vit_quickgelu": ("token", BLACK_BOX, 16, True, "last-block values"),
    "vit_scaled": ("token", BLACK_BOX, 16, True, "last-block values"),
    "vit_custom": ("token", BLACK_BOX, 16, True, "none"),
    "vit_mean": ("avg", EXACT, 16, True, "decomposition"),
    "vit_mean_then_norm": ("avg", AT_INPUT, 16, True, "decomposition"),
    "vit_attention": ("own", BLACK_BOX, 16, True, "none"),
    "resnet": ("own", BLACK_BOX, 32, False, "none"),
    "timm_resnet": ("avg", EXACT, 32, True, "decomposition"),
    "timm_vit": ("token", BLACK_BOX, 16, True, "last-block values"),
    "timm_map": ("own", BLACK_BOX, 16, False, "none"),
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("saved")
    return {name: saved(name, root / name) for name in CONFIGS}


# Left to the slow run: each has a relative above that is put together alike.
RELATIVES = ("vit_quickgelu", "vit_scaled", "vit_custom", "vit_mean_then_norm", "timm_vit", "timm_map")


@pytest.fixture(
    scope="module", params=[pytest.param(name, marks=[pytest.mark.slow] * (name in RELATIVES)) for name in EXPECTED]
)
def made(request, folders):
    """Name and our network, from a folder."""
    return request.param, model_zoo.load(f"open_clip/{folders[request.param]}")


def theirs(name, pixels):
    """The unit embedding of the picture, as open_clip compares it with texts."""
    with torch.no_grad():
        given = network(name).encode_image(pixels)
    given = given[0] if isinstance(given, tuple) else given
    return given / given.norm(dim=-1, keepdim=True)


def test_every_kind_of_tower_is_tried():
    assert set(EXPECTED) == set(CONFIGS)


def test_the_embedding_is_what_the_library_compares_with_texts(made):
    name, ours = made
    pixels = torch.randn(2, 3, side(name), side(name))
    assert (ours.embed(pixels) - theirs(name, pixels)).norm(dim=-1).max() < 1e-5


def test_the_library_opens_the_folder_as_the_same_network(folders):
    whole, preprocess = library().create_model_from_pretrained(f"local-dir:{folders['vit']}")
    ours = model_zoo.load(f"open_clip/{folders['vit']}")
    picture = Image.fromarray(np.random.default_rng(3).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    pixels = preprocess(picture)[None]
    assert torch.allclose(ours.view(picture).pixels, pixels[0], atol=1e-5)
    with torch.no_grad():
        wanted = whole.eval().encode_image(pixels, normalize=True)
    assert (ours.embed(pixels) - wanted).norm() < 1e-5


def test_pooling_verdict_and_view_are_found(made):
    name, ours = made
    pooling, verdict, stride, free, method = EXPECTED[name]
    assert (str(ours.pooling), ours.verdict) == (pooling, verdict)
    seen = ours.preprocess
    assert (seen.stride, seen.short_side, seen.fixed_size is None) == (stride, side(name), free)
    assert (list(seen.mean), list(seen.std), seen.resampling) == (SEEN["mean"], SEEN["std"], "bilinear")
    split = ours.split(ours.activations(torch.randn(1, 3, side(name), side(name))).one())
    assert ("none" if split is None else split.method) == method


def test_cells_and_bias_add_up_under_every_pooling(made):
    _, ours = made
    views = [ours.view(Image.effect_noise((90, 70), 90), framing="square") for _ in range(2)]
    seen = [ours.activations(view.pixels[None]).one() for view in views]
    for pooling in ours.poolings:
        under = ours.with_pooling(pooling)
        pair = explain_features(under, *views, *seen, unsplit=True)
        direct = under.embed(torch.stack([view.pixels for view in views]))
        assert abs(pair.score - float(direct[0] @ direct[1])) < 1e-5
        if pair.method != "none":
            own = under.split(seen[0])
            assert (own.cells.sum((0, 1)) + own.bias - direct[0]).norm() < 1e-4 * max(1.0, own.bias.norm().item())


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] * (name not in ("vit", "vit_attention"))) for name in EXPECTED],
)
def test_every_block_is_a_layer_that_maps_are_drawn_at(folders, name):
    ours = model_zoo.load(f"open_clip/{folders[name]}")
    found = [cut.layer for cut in ours.cuts]
    blocks = 4 if "resnet" in name else 6 if "timm" in name else 3
    assert len([layer for layer in found if layer.rpartition(".")[2].isdigit() or "layer" in layer]) >= blocks
    if not ours.preprocess.fixed_size and "vit" in name:
        assert {cut.grid for cut in ours.cuts} == {(side(name),) * 2, (side(name) // 16,) * 2}  # no pool's queries
    a, b = torch.randn(2, 3, side(name), side(name))
    query = ours.embed(b[None])[0]
    for layer in (found[1], found[len(found) // 2]):
        drawn = ours.at(layer).decompose(a)
        assert abs(drawn.similarity_map(query).sum() + drawn.bias @ query - drawn.embedding @ query) < 1e-5, layer


@pytest.mark.parametrize("name", ["vit", "vit_mean", "vit_attention"])
def test_places_are_resampled_for_another_grid_as_the_library_does_as_it_loads(folders, name):
    """open_clip loads weights into a network of another size by resampling their table of places."""
    ours = model_zoo.load(f"open_clip/{folders[name]}")
    larger = library().create_model(f"local-dir:{folders[name]}", force_image_size=(48, 96)).eval()
    pixels = torch.randn(1, 3, 48, 96)
    with torch.no_grad():
        given = larger.encode_image(pixels)
    given = given[0] if isinstance(given, tuple) else given
    assert ours.features(pixels).shape[2:] == (3, 6)
    assert (ours.embed(pixels) - given / given.norm()).norm() < 1e-5


def test_a_view_may_have_pixels_that_no_patch_sees(tmp_path, folders):
    described = json.loads((folders["vit"] / "open_clip_config.json").read_text())
    described["model_cfg"]["vision_cfg"] |= {"patch_size": 14}
    (tmp_path / "open_clip_config.json").write_text(json.dumps(described))
    ours = model_zoo.untrained(f"open_clip/{tmp_path}")
    assert (ours.preprocess.short_side, ours.preprocess.stride) == (64, 14)
    assert ours.view(Image.new("RGB", (300, 200))).size == (64, 92)


def test_where_tokens_look_adds_up_to_one_in_every_block(folders):
    found = model_zoo.load(f"open_clip/{folders['vit']}").backbone.attentions(torch.randn(1, 3, 64, 64))
    assert found.shape == (3, 2, 17, 17)
    assert torch.allclose(found.sum(-1), torch.ones(3, 2, 17), atol=1e-5)


# Names, tags and what is not there


def test_a_named_network_is_built_and_described_without_its_weights():
    assert "open_clip/ViT-B-32" in {f"open_clip/{name}" for name in open_clip_networks.names()}
    assert set(open_clip_networks.names()) == set(library().list_models())
    card = model_zoo.card("open_clip/ViT-B-16-SigLIP-384/webli")
    assert card.task == "embedding: encode_image, what is compared with texts"
    with torch.device("meta"):
        built = build("open_clip/ViT-B/32")
    assert type(built.source).__name__ == "VisionTransformer"
    assert built.facts["input_size"] == (3, 224, 224)
    assert open_clip_networks.described("ViT-B-16-SigLIP-384/webli")["mean"] == (0.5, 0.5, 0.5)


@pytest.mark.parametrize(
    ("name", "got", "cure"),
    [
        ("ViT-B-32", "of which open_clip has", "choose open_clip/ViT-B-32/openai or"),
        ("ViT-B-32/no_such_tag", "which open_clip has no weights of", "choose open_clip/ViT-B-32/openai or"),
        ("ViT-B-32/openai", "whose weights were trained with QuickGELU", "choose open_clip/ViT-B-32-quickgelu/openai"),
        (
            "ViT-B-32-quickgelu/laion2b_s34b_b79k",
            "which open_clip has no weights of",
            "choose open_clip/ViT-B-32-quick",
        ),
    ],
)
def test_weights_that_are_not_told_apart_are_asked_for(name, got, cure):
    with pytest.raises(SimvisError) as raised:
        model_zoo.load(f"open_clip/{name}")
    assert got in raised.value.got
    assert cure in raised.value.cure


def test_an_unknown_name_is_answered_with_near_ones():
    with pytest.raises(SimvisError, match="Got the architecture 'open_clip/ViT-B-33'") as raised:
        model_zoo.load("open_clip/ViT-B-33")
    assert "open_clip/ViT-B-32" in raised.value.cure


def test_what_the_hub_cannot_give_is_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)

    def lost(*_, **__):
        raise urllib.error.URLError(OSError("[Errno -2] Name or service not known"))

    monkeypatch.setattr(library(), "download_pretrained", lost)
    for name in ("hf-hub:no/one", "ViT-B-32/laion2b_s34b_b79k"):
        with pytest.raises(SimvisError, match="whose weights cannot be had") as raised:
            model_zoo.load(f"open_clip/{name}")
        assert "this machine has no copy" in raised.value.got
        assert not any(word in str(raised.value) for word in ("urlopen", "Errno", "http", "Failed"))


def test_a_repository_in_the_hubs_cache_is_opened_by_its_name(tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    repository = tmp_path / "models--some--one"
    saved("vit_mean", repository / "snapshots" / "abc")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("abc")
    ours = model_zoo.load("open_clip/hf-hub:some/one")
    pixels = torch.randn(1, 3, 64, 64)
    assert (ours.embed(pixels) - theirs("vit_mean", pixels)).norm() < 1e-5
    assert model_zoo.card("open_clip/hf-hub:some/one").origin == "open_clip, https://huggingface.co/some/one"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"model_cfg": 3}', '{"model_cfg": {"embed_dim": 8}}'])
def test_a_damaged_description_is_a_sentence(tmp_path, text):
    with pytest.raises(SimvisError, match=r"where no open_clip_config\.json is"):
        model_zoo.load(f"open_clip/{tmp_path}")
    (tmp_path / "open_clip_config.json").write_text(text)
    (tmp_path / "open_clip_model.safetensors").write_bytes(b"x")
    with pytest.raises(SimvisError, match="whose files cannot be read"):
        model_zoo.load(f"open_clip/{tmp_path}")


def test_a_folder_without_weights_or_with_a_part_of_them_is_told(tmp_path, folders):
    (tmp_path / "open_clip_config.json").write_bytes((folders["vit"] / "open_clip_config.json").read_bytes())
    with pytest.raises(SimvisError, match=r"where no open_clip_model\.safetensors is"):
        model_zoo.load(f"open_clip/{tmp_path}")
    state = {key: one for key, one in network("vit").state_dict().items() if "resblocks.1." not in key}
    save_file(state, tmp_path / "open_clip_model.safetensors")
    with pytest.raises(SimvisError, match="whose files cannot be read"):
        model_zoo.load(f"open_clip/{tmp_path}")


def test_without_the_package_the_line_to_install_it_is_told(monkeypatch):
    monkeypatch.setattr(packages, "installed", lambda name: name != "open_clip")
    monkeypatch.setattr(open_clip_networks, "installed", packages.installed)
    for ask in (model_zoo.load, model_zoo.untrained, model_zoo.card):
        with pytest.raises(SimvisError, match="the package open-clip-torch is not installed") as raised:
            ask("open_clip/ViT-B-32/openai")
        assert raised.value.cure == "run pip install -r requirements-libraries.txt"
    assert open_clip_networks.names() == []


# Checkpoints


@pytest.mark.parametrize("name", ["vit", "vit_mean", "resnet", "timm_resnet", "timm_vit"])
def test_a_checkpoint_of_two_towers_gives_the_one_for_pictures(folders, name):
    path = folders[name] / "open_clip_model.safetensors"
    found = model_zoo.open_checkpoint(path, f"open_clip/{folders[name]}")
    pixels = torch.randn(1, 3, side(name), side(name))
    assert (found.network.embed(pixels) - theirs(name, pixels)).norm() < 1e-5
    assert "of the tower for texts" in " ".join(found.report.left_out)


def test_a_training_s_wrappers_and_a_head_of_ones_own_are_read(tmp_path, folders):
    torch.manual_seed(43)
    head = nn.Linear(24, 7)
    state = {f"module.clip.{key}": one for key, one in network("vit").state_dict().items()}
    state |= {f"module.embed.{key}": one for key, one in head.state_dict().items()}
    torch.save({"epoch": 3, "state_dict": state}, tmp_path / "epoch_3.pt")
    found = model_zoo.open_checkpoint(tmp_path / "epoch_3.pt", f"open_clip/{folders['vit']}")
    pixels = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        wanted = head(network("vit").encode_image(pixels))
    assert (found.network.embed(pixels) - wanted / wanted.norm()).norm() < 1e-5


def test_another_size_of_it_is_refused(tmp_path, folders):
    described = json.loads((folders["vit"] / "open_clip_config.json").read_text())
    described["model_cfg"]["vision_cfg"]["layers"] = 2
    (tmp_path / "open_clip_config.json").write_text(json.dumps(described))
    with pytest.raises(SimvisError, match="with tensors inside the trunk that open_clip/"):
        model_zoo.open_checkpoint(folders["vit"] / "open_clip_model.safetensors", f"open_clip/{tmp_path}")
