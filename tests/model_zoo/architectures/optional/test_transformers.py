"""transformers' networks: the embedding that the library's users take, split where its pooling is linear."""

import copy
import json
import subprocess
import sys
from pathlib import Path

import huggingface_hub.constants
import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import nn

import model_zoo
from model_zoo.architectures.optional import packages, transformers_networks
from model_zoo.architectures.optional.families import FAMILIES
from simvis_core import SimvisError, explain_features
from tests.model_zoo.architectures.optional.saved import MADE, SMALL, model, side

EXACT, AT_INPUT, BLACK_BOX = "exact", "exact at this input", "black box"
CLASS_TOKEN = ("token", BLACK_BOX, 16, "last-block values")
# Own pooling, verdict, pixels to a cell, and how a map is drawn without masks.
EXPECTED = {
    "vit": CLASS_TOKEN,
    "deit": CLASS_TOKEN,
    "dinov2": CLASS_TOKEN,
    "dinov2_swiglu": CLASS_TOKEN,
    "dinov2_with_registers": CLASS_TOKEN,
    "dinov3_vit": ("token", BLACK_BOX, 16, "none"),  # its queries are turned by their place
    "dinov3_convnext": ("avg", AT_INPUT, 32, "decomposition"),
    "clip_vision_model": CLASS_TOKEN,
    "clip": CLASS_TOKEN,
    "siglip_vision_model": ("own", BLACK_BOX, 16, "none"),
    "siglip_headless": ("avg", EXACT, 16, "decomposition"),
    "swin": ("avg", EXACT, 8, "decomposition"),
    "convnext": ("avg", AT_INPUT, 32, "decomposition"),
    "convnextv2": ("avg", AT_INPUT, 32, "decomposition"),
    "resnet": ("avg", EXACT, 32, "decomposition"),
    "regnet": ("avg", EXACT, 32, "decomposition"),
}
ASKED_FOR_ANY_SIZE = ("vit", "deit", "clip", "clip_vision_model", "siglip_vision_model", "siglip_headless")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Each model as the library saves it, most without an image processor."""
    root = tmp_path_factory.mktemp("saved")
    for name in MADE:
        model(name).save_pretrained(root / name)
        if name in ("resnet", "regnet"):  # whose configurations say no size: without one their views have 384 pixels
            transformers.ConvNextImageProcessor(size={"shortest_edge": side(name)}).save_pretrained(root / name)
    return root


# Left to the slow run: each has a relative above that is put together alike.
RELATIVES = ("deit", "dinov2_swiglu", "dinov3_convnext", "clip", "siglip_headless", "convnextv2", "regnet")


@pytest.fixture(
    scope="module", params=[pytest.param(name, marks=[pytest.mark.slow] * (name in RELATIVES)) for name in EXPECTED]
)
def made(request, folders):
    """Name, the library's model, and ours."""
    return request.param, model(request.param), model_zoo.load(f"transformers/{folders / request.param}")


def theirs(name, pixels, **options):
    """The embedding that the library's users take, by the library's own words."""
    library = copy.deepcopy(model(name))  # Swin is another network behind a small view
    with torch.no_grad():
        if name == "clip":
            return library.get_image_features(pixels, **options).pooler_output
        output = library(pixels, **options)
    if name == "clip_vision_model":
        return output.image_embeds
    if name in ("vit", "deit"):
        return output.last_hidden_state[:, 0]  # as its classifier takes it; the pooler behind it ends in tanh
    return output.last_hidden_state.mean(1) if name == "siglip_headless" else output.pooler_output.flatten(1)


def unit(vectors):
    return vectors / vectors.norm(dim=-1, keepdim=True)


def test_every_family_is_tried():
    config = {getattr(model(name).config, "vision_config", model(name).config).model_type for name in EXPECTED}
    assert config == set(FAMILIES)
    assert set(EXPECTED) == set(MADE)


def test_the_embedding_is_the_one_that_the_librarys_users_take(made):
    name, _, network = made
    pixels = torch.randn(2, 3, side(name), side(name))
    assert (network.embed(pixels) - unit(theirs(name, pixels))).norm(dim=-1).max() < 1e-5
    assert not network.embed(pixels)[0].allclose(network.embed(pixels)[1], atol=1e-3)


def test_another_size_of_view_is_seen_as_the_library_sees_it(made):
    name, _, network = made
    stride = network.preprocess.stride
    rows, columns = (5, 6) if name == "swin" else (3, 5)  # a smaller grid than its window the library refuses
    pixels = torch.randn(1, 3, rows * stride, columns * stride)
    assert network.features(pixels).shape[2:] == (rows, columns)
    options = {"interpolate_pos_encoding": True} if name in ASKED_FOR_ANY_SIZE else {}
    assert (network.embed(pixels) - unit(theirs(name, pixels, **options))).norm() < 1e-5


def test_pooling_verdict_and_view_are_found(made):
    name, _, network = made
    pooling, verdict, stride, method = EXPECTED[name]
    assert (str(network.pooling), str(network.trained_pooling), network.verdict) == (pooling, pooling, verdict)
    seen = network.preprocess
    assert (seen.stride, seen.short_side, seen.fixed_size) == (stride, side(name), None)
    split = network.split(network.activations(torch.randn(1, 3, side(name), side(name))).one())
    assert ("none" if split is None else split.method) == method


def test_cells_and_bias_add_up_under_every_pooling(made):
    _, _, network = made
    views = [network.view(Image.effect_noise((90, 70), 90), framing="square") for _ in range(2)]
    seen = [network.activations(view.pixels[None]).one() for view in views]
    for pooling in network.poolings:
        under = network.with_pooling(pooling)
        pair = explain_features(under, *views, *seen, unsplit=True)
        direct = under.embed(torch.stack([view.pixels for view in views]))
        assert abs(pair.score - float(direct[0] @ direct[1])) < 1e-5
        if pair.method != "none":
            own = under.split(seen[0])
            assert (own.cells.sum((0, 1)) + own.bias - direct[0]).norm() < 1e-4 * max(1.0, own.bias.norm().item())
        assert abs(sum(pair.ledger.values()) - pair.score) < 1e-4


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] * (name not in ("vit", "siglip_vision_model", "swin", "resnet")))
        for name in EXPECTED
    ],
)
def test_every_block_is_a_layer_that_maps_are_drawn_at(folders, name):
    network = model_zoo.load(f"transformers/{folders / name}")
    blocks = {"swin": 4, "convnext": 5, "convnextv2": 5, "dinov3_convnext": 5, "resnet": 4, "regnet": 4}.get(name, 3)
    found = [cut.layer for cut in network.cuts]
    assert found[0] == "pixels"
    assert len([layer for layer in found if layer.rpartition(".")[2].isdigit()]) >= blocks
    a, b = torch.randn(2, 3, side(name), side(name))
    query = network.embed(b[None])[0]
    for layer in (found[1], found[len(found) // 2]):
        drawn = network.at(layer).decompose(a)
        assert (drawn.embedding - network.embed(a[None])[0]).norm() < 1e-5
        assert abs(drawn.similarity_map(query).sum() + drawn.bias @ query - drawn.embedding @ query) < 1e-5, layer


@pytest.mark.parametrize("name", ["vit", "dinov2", "clip_vision_model"])
def test_where_tokens_look_is_what_the_library_says(folders, name):
    network = model_zoo.load(f"transformers/{folders / name}")
    loaded = type(model(name)).from_pretrained(folders / name, attn_implementation="eager").eval()
    pixels = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        wanted = loaded(pixels, output_attentions=True)
    layers = (
        wanted.attentions if name != "clip_vision_model" else loaded.vision_model(pixels, output_attentions=True)[2]
    )
    found = network.backbone.attentions(pixels)
    assert torch.allclose(found, torch.cat(list(layers)), atol=1e-5)


def test_a_small_view_leaves_swin_as_it_was(folders):
    """The library's own narrows its windows for good as it sees one, and then fails."""
    network = model_zoo.load(f"transformers/{folders / 'swin'}")
    pixels, small = torch.randn(1, 3, 64, 64), torch.randn(1, 3, 8, 16)
    before = network.embed(pixels)
    first = network.embed(small)
    assert torch.equal(network.embed(pixels), before)
    assert torch.equal(network.embed(small), first)


# Views


def test_without_an_image_processor_the_familys_is_taken_and_said(folders):
    card = model_zoo.card(f"transformers/{folders / 'vit'}")
    assert "Without preprocessor_config.json: views are as transformers' ViTImageProcessor makes them" in card.note
    network = model_zoo.untrained(f"transformers/{folders / 'vit'}")
    assert network.preprocess.mean == (0.5,) * 3
    assert "without preprocessor_config.json" in network.origin


def test_a_view_may_have_pixels_that_no_patch_sees(tmp_path):
    """SigLIP's 384 pixels are 27 patches of 14, and 6 pixels more."""
    config = transformers.SiglipVisionConfig(**SMALL | {"image_size": 64, "patch_size": 14}, intermediate_size=64)
    transformers.SiglipVisionModel(config).save_pretrained(tmp_path)
    network = model_zoo.load(f"transformers/{tmp_path}")
    assert (network.preprocess.short_side, network.preprocess.stride) == (64, 14)
    view = network.view(Image.new("RGB", (300, 200)))
    assert view.size == (64, 92)  # two whole patches more
    assert network.features(view.pixels[None]).shape[2:] == (4, 6)
    assert network.preprocess.whole_cells(100) == 98


PROCESSORS = {
    "squeezed": (
        lambda t: t.ViTImageProcessor(
            size={"height": 80, "width": 80}, image_mean=[0.1, 0.2, 0.3], image_std=[0.4, 0.5, 0.6], resample=3
        ),
        80,
        "bicubic",
    ),
    "cut out": (
        lambda t: t.CLIPImageProcessor(
            size={"shortest_edge": 128}, crop_size={"height": 112, "width": 112}, image_mean=[0.3, 0.2, 0.1], resample=2
        ),
        112,
        "bilinear",
    ),
    "0 to 255": (lambda t: t.ViTImageProcessor(size={"height": 64, "width": 64}, do_rescale=False), 64, "bilinear"),
    "as they are": (
        lambda t: t.ViTImageProcessor(size={"height": 64, "width": 64}, do_normalize=False, rescale_factor=1 / 127.5),
        64,
        "bilinear",
    ),
    "short side": (lambda t: t.ConvNextImageProcessor(size={"shortest_edge": 96}), 96, "bicubic"),
}


@pytest.mark.parametrize("kind", PROCESSORS)
def test_views_are_the_image_processors(tmp_path, kind):
    make, size, resampling = PROCESSORS[kind]
    processor = make(transformers)
    processor.save_pretrained(tmp_path)
    model("vit").save_pretrained(tmp_path)
    network = model_zoo.load(f"transformers/{tmp_path}")
    seen = network.preprocess
    assert (seen.short_side, seen.resampling) == (size, resampling)
    assert network.view(Image.new("RGB", (300, 300))).size == (size, size)
    picture = Image.fromarray(np.random.default_rng(5).integers(0, 256, (size, size, 3), dtype=np.uint8))
    processor.do_resize = processor.do_center_crop = False  # nothing is left to resample: the colours alone
    wanted = processor(picture, return_tensors="pt").pixel_values[0]
    assert torch.allclose(network.view(picture).pixels, wanted, atol=1e-4)
    assert model_zoo.card(f"transformers/{tmp_path}").note == "Reads its weights from its folder."


def test_another_filter_than_ours_is_said(tmp_path):
    transformers.ViTImageProcessor(resample=1).save_pretrained(tmp_path)
    model("vit").save_pretrained(tmp_path)
    assert "resampled by a bicubic filter, not by the library's" in model_zoo.card(f"transformers/{tmp_path}").note


# Names, folders and what is not there


def test_a_folder_of_the_hubs_cache_is_opened_by_its_name(tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    snapshot = tmp_path / "models--some--one" / "snapshots" / "abc"
    model("convnext").save_pretrained(snapshot)
    transformers.ConvNextImageProcessor(size={"shortest_edge": 64}).save_pretrained(snapshot)
    (tmp_path / "models--some--one" / "refs").mkdir()
    (tmp_path / "models--some--one" / "refs" / "main").write_text("abc")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    network = model_zoo.load("transformers/some/one")
    pixels = torch.randn(1, 3, 64, 64)
    assert (network.embed(pixels) - unit(theirs("convnext", pixels))).norm() < 1e-5
    card = model_zoo.card("transformers/some/one")
    assert card.origin == "transformers, https://huggingface.co/some/one"
    assert card.task == "embedding: pooler_output, the mean over the cells, normed"


@pytest.mark.parametrize("ask", [model_zoo.load, model_zoo.untrained, model_zoo.card])
def test_what_the_hub_cannot_give_is_a_sentence(tmp_path, monkeypatch, ask):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(SimvisError, match="Got 'transformers/no/one', whose weights cannot be had") as raised:
        ask("transformers/no/one")
    assert "this machine has no copy" in raised.value.got
    assert not any(word in str(raised.value) for word in ("urlopen", "Errno", "http", "cached"))


@pytest.mark.parametrize("inner", ["a/b/c", "a b", "?", "a/../b"])
def test_a_name_that_is_none_is_answered_with_near_ones(inner):
    with pytest.raises(SimvisError, match="Got the architecture 'transformers/"):
        model_zoo.load(f"transformers/{inner}")
    with pytest.raises(SimvisError, match="choose") as raised:
        model_zoo.load("transformers/facebook/dinov2 base")
    assert "transformers/facebook/dinov2-base" in raised.value.cure


def test_a_path_without_a_model_is_told(tmp_path, folders):
    for path in (tmp_path / "nothing", tmp_path):
        with pytest.raises(SimvisError, match=r"where no config\.json is"):
            model_zoo.load(f"transformers/{path}")
    (tmp_path / "config.json").write_bytes((folders / "vit" / "config.json").read_bytes())
    with pytest.raises(SimvisError, match=r"where no model\.safetensors is"):
        model_zoo.load(f"transformers/{tmp_path}")
    assert model_zoo.untrained(f"transformers/{tmp_path}").width() == 32


@pytest.mark.parametrize("config", [{"model_type": "bert"}, {"architecture": "resnet18"}, {"model_type": "no_such"}])
def test_a_model_of_another_kind_is_told(tmp_path, config):
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(SimvisError, match="whose model is of the family") as raised:
        model_zoo.load(f"transformers/{tmp_path}")
    assert "vit, deit, dinov2" in raised.value.wanted


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "3", '{"model_type": ["vit"]}', '{"model_type": "vit", "hidden_size": -1}']
)
def test_a_damaged_configuration_is_a_sentence(tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(SimvisError):
        model_zoo.load(f"transformers/{tmp_path}")


def test_weights_that_leave_a_part_out_are_refused(tmp_path, folders):
    tensors = load_file(folders / "vit" / "model.safetensors")
    (tmp_path / "config.json").write_bytes((folders / "vit" / "config.json").read_bytes())
    save_file({key: one for key, one in tensors.items() if ".1." not in key}, tmp_path / "model.safetensors")
    with pytest.raises(SimvisError, match=r"whose weights leave out layers\.1\.attention"):
        model_zoo.load(f"transformers/{tmp_path}")
    (tmp_path / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(SimvisError, match="whose files cannot be read") as raised:
        model_zoo.load(f"transformers/{tmp_path}")
    assert str(tmp_path) not in raised.value.got.partition(", whose")[2]


def test_half_precision_is_read_as_single(tmp_path):
    half = type(model("vit"))(model("vit").config).half()
    half.save_pretrained(tmp_path)
    network = model_zoo.load(f"transformers/{tmp_path}")
    assert next(network.backbone.parameters()).dtype == torch.float32


def test_without_the_package_the_line_to_install_it_is_told(monkeypatch):
    monkeypatch.setattr(packages, "installed", lambda name: name != "transformers")
    monkeypatch.setattr(transformers_networks, "installed", packages.installed)
    for ask in (model_zoo.load, model_zoo.untrained, model_zoo.card):
        with pytest.raises(SimvisError, match="the package transformers is not installed") as raised:
            ask("transformers/google/vit-base-patch16-224")
        assert raised.value.cure == "run pip install -r requirements-libraries.txt"
    assert transformers_networks.names() == []


@pytest.mark.slow
def test_the_package_is_imported_when_one_of_its_names_is_asked_for():
    work = (
        "import sys, model_zoo\n"
        "from model_zoo.architectures import arranging\n"
        "assert any(name.startswith('transformers/') for name in arranging.names())\n"
        "model_zoo.untrained('timm/test_resnet')\n"
        "assert not {'transformers', 'open_clip', 'tokenizers'} & set(sys.modules), 'imported'\n"
    )
    done = subprocess.run([sys.executable, "-c", work], cwd=Path(__file__).parents[4], check=False, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()


# Checkpoints


def opened(path, folder, **options):
    return model_zoo.open_checkpoint(path, f"transformers/{folder}", **options)


@pytest.mark.parametrize("name", ["vit", "dinov2", "dinov3_vit", "clip", "siglip_vision_model", "swin", "resnet"])
def test_a_checkpoint_in_the_librarys_names_is_the_librarys_network(folders, name):
    """The names in its files, which are not always those in memory; CLIP's tower for texts is left out."""
    found = opened(folders / name / "model.safetensors", folders / name)
    pixels = torch.randn(1, 3, side(name), side(name))
    assert (found.network.embed(pixels) - unit(theirs(name, pixels))).norm() < 1e-5
    assert ("of the tower for texts" in " ".join(found.report.left_out)) == (name == "clip")


def test_names_in_memory_and_wrappers_and_a_head_are_read(tmp_path, folders):
    torch.manual_seed(33)
    head = nn.Linear(32, 12)
    state = {f"module.encoder.{key}": one for key, one in model("vit").state_dict().items() if "pooler" not in key}
    state |= {f"module.embed.{key}": one for key, one in head.state_dict().items()}
    torch.save({"state_dict": state}, tmp_path / "mine.pt")
    found = opened(tmp_path / "mine.pt", folders / "vit")
    pixels = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        wanted = head(theirs("vit", pixels))
    assert (found.network.embed(pixels) - unit(wanted)).norm() < 1e-5


def test_a_classifier_and_a_pooler_are_left_out(tmp_path, folders):
    config = transformers.ViTConfig(**SMALL, intermediate_size=64, num_labels=5)
    torch.manual_seed(34)
    trained = transformers.ViTForImageClassification(config).eval()
    trained.save_pretrained(tmp_path)
    found = opened(tmp_path / "model.safetensors", tmp_path)
    pixels = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        wanted = trained.vit(pixels).last_hidden_state[:, 0]
    assert (found.network.embed(pixels) - unit(wanted)).norm() < 1e-5
    assert "classifier" in " ".join(found.report.left_out)
    whole = opened(folders / "vit" / "model.safetensors", folders / "vit")
    assert "transformers' pooler, which ends in tanh" in " ".join(whole.report.left_out)


def test_a_deeper_model_is_refused(tmp_path, folders):
    deeper = transformers.ViTModel(transformers.ViTConfig(**SMALL | {"num_hidden_layers": 4}, intermediate_size=64))
    deeper.save_pretrained(tmp_path)
    with pytest.raises(SimvisError, match="with tensors inside the trunk that transformers/"):
        opened(tmp_path / "model.safetensors", folders / "vit")


def test_another_family_is_refused(folders):
    with pytest.raises(SimvisError, match=r"model\.safetensors"):
        opened(folders / "resnet" / "model.safetensors", folders / "vit")
