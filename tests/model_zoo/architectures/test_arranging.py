"""Any architecture by name: the same embedding as the library's own network, its expected verdict, and the laws."""

import inspect
import json
import sys
from pathlib import Path
from types import ModuleType

import huggingface_hub.constants
import pytest
import timm
import torch
import torchvision
from PIL import Image
from safetensors.torch import save_file
from torch import nn

import model_zoo
from model_zoo.architectures import arranging
from model_zoo.architectures.anatomy import Anatomy, Created
from model_zoo.architectures.arranging import arrange, build, names, nearest
from model_zoo.architectures.library import LIBRARIES, Library, library
from simvis_core import EmbeddingNetwork, SimvisError, explain_features, explain_pair
from tests.simvis_core.cases import cosine

EXACT, AT_INPUT, BLACK_BOX = "exact", "exact at this input", "black box"
# name -> own pooling, verdict, pixels to a cell, and whether views of other sizes are taken
EXPECTED = {
    "timm/resnet18": ("avg", EXACT, 32, True),
    "timm/vgg11_bn": ("avg", EXACT, 32, True),
    "timm/densenet121": ("avg", EXACT, 32, True),
    "timm/convnext_atto": ("avg", AT_INPUT, 32, True),  # LayerNorm behind the pooling
    "timm/regnety_002": ("avg", EXACT, 32, True),
    "timm/mobilenetv3_small_050": ("avg", AT_INPUT, 32, True),  # a 1x1 convolution and Hardswish behind the pooling
    "timm/vit_tiny_patch16_224": ("token", BLACK_BOX, 16, True),
    "timm/swin_tiny_patch4_window7_224": ("avg", EXACT, 32, True),
    "timm/eva02_tiny_patch14_224": ("avg", AT_INPUT, 14, True),  # a transformer whose norm follows the pooling
    "timm/deit_tiny_distilled_patch16_224": ("own", BLACK_BOX, 16, True),  # the mean of two tokens
    "timm/cait_xxs24_224": ("token", BLACK_BOX, 16, False),  # class attention: no last block to split
    "timm/mixer_s32_224": ("avg", EXACT, 32, False),
    "timm/inception_v3": ("avg", EXACT, 32, True),
    "timm/crossvit_9_240": ("own", BLACK_BOX, 32, True),  # two grids at once: nothing but a vector
    "torchvision/resnet18": ("avg", EXACT, 32, True),
    "torchvision/alexnet": ("avg", EXACT, 32, True),
    "torchvision/mobilenet_v3_small": ("avg", AT_INPUT, 32, True),
    "torchvision/squeezenet1_1": ("avg", EXACT, 16, True),
    "torchvision/shufflenet_v2_x0_5": ("avg", EXACT, 32, True),
    "torchvision/convnext_tiny": ("avg", AT_INPUT, 32, True),
    "torchvision/swin_t": ("avg", EXACT, 32, True),
    "torchvision/vit_b_32": ("token", BLACK_BOX, 32, True),
    "torchvision/maxvit_t": ("avg", AT_INPUT, 32, False),
}
# Whose layers behind the features count as the classifier's, so that the library gives no embedding to compare with.
BY_CONVENTION = ("timm/vgg11_bn", "torchvision/alexnet", "torchvision/squeezenet1_1")


# The largest are left to the slow run: each has a relative of its kind and library above.
LARGE = ("timm/densenet121", "timm/cait_xxs24_224", "timm/inception_v3", "torchvision/convnext_tiny")
LARGE += ("torchvision/swin_t", "torchvision/vit_b_32", "torchvision/maxvit_t")


@pytest.fixture(
    scope="module", params=[pytest.param(name, marks=[pytest.mark.slow] * (name in LARGE)) for name in EXPECTED]
)
def made(request):
    """Name, the library's network, and ours, with weights that are random in every norm too."""
    torch.manual_seed(11)
    architecture = build(request.param)
    for module in architecture.source.modules():
        if isinstance(module, (nn.BatchNorm2d, nn.LayerNorm)) and module.weight is not None:
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.3, 0.3)
    return request.param, architecture.source, arrange(architecture)


@pytest.fixture(scope="module")
def pictures():
    torch.manual_seed(12)
    return tuple(Image.effect_noise(size, 90).convert("RGB") for size in ((300, 200), (200, 240)))


def test_every_library_is_covered():
    """Here, or in `optional`, beside the libraries that need not be there."""
    optional = {name for name, module in LIBRARIES.items() if ".optional." in module}
    assert {name.partition("/")[0] for name in EXPECTED} == set(LIBRARIES) - optional
    assert all((Path(__file__).parent / "optional" / f"test_{name}.py").is_file() for name in optional)


def test_pooling_verdict_and_sizes_are_found(made):
    name, _, network = made
    pooling, verdict, stride, free = EXPECTED[name]
    assert (str(network.pooling), str(network.trained_pooling), network.verdict) == (pooling, pooling, verdict)
    assert network.preprocess.stride == stride
    assert (network.preprocess.fixed_size is None) == free
    assert network.name == name


def test_the_embedding_is_the_librarys_own(made):
    name, source, network = made
    side = network.preprocess.short_side
    pixels = torch.randn(2, 3, side, side)
    with torch.no_grad():
        if name in BY_CONVENTION:
            features = source.features(pixels) if name.startswith("torch") else source.forward_features(pixels)
            wanted = features.mean((2, 3))
        else:
            wanted = source(pixels)
    wanted = wanted / wanted.norm(dim=-1, keepdim=True)
    assert (network.embed(pixels) - wanted).norm(dim=-1).max() < 1e-4


def test_cells_bias_maps_and_ledger_add_up_under_every_pooling(made, pictures):
    """One forward pass a picture serves every pooling."""
    _, _, network = made
    views = [network.view(picture, framing="square") for picture in pictures]
    seen = [network.activations(view.pixels[None]) for view in views]
    for pooling in network.poolings:
        under = network.with_pooling(pooling)
        pair = explain_features(under, *views, *(activations.one() for activations in seen), unsplit=True)
        if pair.method == "none":
            assert under.verdict == "black box"
            continue
        assert pair.verdict == under.verdict
        embeddings = [under._unit(under._project(under._pooled(activations)))[0] for activations in seen]
        for side, embedding in zip("ab", embeddings, strict=True):
            _, own, map = pair.side(side)
            size = max(1.0, own.bias.norm().item())
            assert (own.cells.sum((0, 1)) + own.bias - embedding).norm() < 1e-4 * size
            assert abs(float(map.double().sum()) + pair.bias_part(side) - pair.score) < 1e-4 * size
        assert abs(pair.score - cosine(*(embedding.tolist() for embedding in embeddings))) < 1e-5
        assert abs(sum(pair.ledger.values()) - pair.score) < 1e-4 * size**2


def test_views_of_another_shape_are_taken_or_squeezed(made, pictures):
    _, _, network = made
    view = network.view(pictures[0])
    activations = network.activations(view.pixels[None])
    if network.preprocess.fixed_size:
        assert view.size == network.preprocess.fixed_size
    elif activations.features.shape[-1] > 1:
        rows, columns = activations.features.shape[2:]
        assert columns > rows
        assert abs(view.size[0] / rows - network.preprocess.stride) < 0.3 * network.preprocess.stride


# What the libraries' networks were trained at, where that is no whole number of cells.
OWN_SIZES = {
    "timm/crossvit_9_240": 240,
    "timm/xception41": 299,
    "timm/tf_efficientnet_b2": 260,
    "timm/inception_v3": 299,
    "timm/nasnetalarge": 331,
    "timm/pnasnet5large": 331,
    "torchvision/inception_v3": 299,
    "torchvision/efficientnet_b5": 456,
}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name != "timm/crossvit_9_240")) for name in OWN_SIZES]
)
def test_a_view_has_the_librarys_own_size(name):
    network, side = model_zoo.untrained(name), OWN_SIZES[name]
    square = network.view(Image.new("RGB", (500, 500)))
    assert square.size == (side, side) == (network.preprocess.whole_cells(side),) * 2
    long = network.view(Image.new("RGB", (500, 300))).size
    assert long[0] == side
    assert abs(long[1] / side - 5 / 3) < 0.5 * network.preprocess.stride / side
    assert long[1] % network.preprocess.stride == side % network.preprocess.stride
    assert network.embed(square.pixels[None]).isfinite().all()


def test_alone_is_as_in_a_batch(made):
    _, _, network = made
    side = network.preprocess.short_side
    pixels = torch.randn(2, 3, side, side)
    assert torch.allclose(network.embed(pixels)[1], network.embed(pixels[1:])[0], atol=1e-5)


# Transformers


@pytest.fixture(scope="module")
def vit():
    torch.manual_seed(13)
    return model_zoo.untrained("timm/vit_tiny_patch16_224")


def test_mean_max_and_gem_over_tokens_are_exact(vit):
    for pooling in ("avg", "max", "gem", "avgmax"):
        assert vit.with_pooling(pooling).verdict == "exact"
    assert vit.poolings[0] == "token"


def test_mean_tokens_are_timms_own_average_pooling(vit):
    source = vit.backbone.network
    pixels = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        wanted = source.pool(source.forward_features(pixels), "avg")[0]
    assert torch.allclose(vit.with_pooling("avg").embed(pixels)[0], wanted / wanted.norm(), atol=1e-5)


def test_the_class_tokens_map_says_what_it_leaves_out(vit, pictures):
    pair = explain_pair(vit, *pictures)
    assert (pair.method, pair.verdict, pair.additive) == ("last-block values", "black box", True)
    assert pair.a.grid == (14, 21)
    assert pair.bias_part("a") == pytest.approx(pair.score - float(pair.map_a.sum()), abs=1e-5)
    assert abs(pair.bias_part("a")) > 0.01  # what had been gathered before the last block


def test_a_token_pair_under_average_pooling_costs_no_forward_pass(vit, pictures, monkeypatch):
    pair = explain_pair(vit, *pictures)
    monkeypatch.setattr(type(vit.backbone), "forward", lambda *_: pytest.fail("a forward pass"))
    assert pair.with_pooling("avg").verdict == "exact"
    again = pair.with_pooling("avg").with_pooling("token")
    assert again.method == "last-block values"
    assert again.score == pytest.approx(pair.score)


def test_position_embeddings_are_resampled_for_any_number_of_patches(vit):
    for size in ((32, 32), (96, 208), (384, 384)):
        assert vit.features(torch.randn(1, 3, *size)).shape[2:] == (size[0] // 16, size[1] // 16)
    with pytest.raises(SimvisError, match=r"pixels of shape \(1, 3, 100, 100\), which timm/vit_tiny_patch16_224"):
        vit.features(torch.randn(1, 3, 100, 100))


def test_a_network_without_a_class_token_has_no_such_pooling():
    network = model_zoo.untrained("timm/resnet18", "token")
    with pytest.raises(SimvisError, match="Got pooling 'token' for timm/resnet18; wanted one of avg, max"):
        network.embed(torch.randn(1, 3, 64, 64))


@pytest.mark.parametrize("options", [{"qk_norm": True}, {"init_values": 0.1}, {"class_token": True, "reg_tokens": 4}])
def test_variants_of_the_block_are_split_too(options):
    source = timm.create_model("vit_tiny_patch16_224", num_classes=0, dynamic_img_size=True, depth=3, **options).eval()
    architecture = build("timm/vit_tiny_patch16_224")
    network = arrange(arranging.Architecture("timm/vit", source, (), 1000, architecture.facts))
    assert network.decompose(torch.randn(3, 64, 96)).method == "last-block values"


@pytest.mark.parametrize("options", [{"scale_attn_norm": True}, {"depth": 1}])
def test_a_block_that_cannot_be_split_is_a_black_box_without_a_map(options):
    source = timm.create_model("vit_tiny_patch16_224", num_classes=0, dynamic_img_size=True, **options).eval()
    architecture = build("timm/vit_tiny_patch16_224")
    network = arrange(arranging.Architecture("timm/vit", source, (), 1000, architecture.facts))
    assert network.verdict == "black box"
    with pytest.raises(SimvisError, match="black box"):
        network.decompose(torch.randn(3, 64, 96))


# Names and weights


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("timm/resnet19", "timm/resnet18"),
        ("torchvision/vgg-16", "torchvision/vgg16"),
        ("timm/vit_tiny_patch16", "timm/vit_tiny_patch16_224"),
        ("timm/vit-tiny patch16/224", "timm/vit_tiny_patch16_224"),
    ],
)
def test_an_unknown_architecture_names_the_three_nearest(name, near):
    with pytest.raises(SimvisError, match="wanted timm/NAME, torchvision/NAME") as raised:
        model_zoo.load(name)
    assert near in raised.value.cure
    assert raised.value.cure.count("/") == 3


def test_no_name_at_all_is_asked_for():
    for name in ("timm/", "", "torchvision/"):
        with pytest.raises(SimvisError, match="for example timm/resnet50"):
            build(name)


def test_names_are_the_libraries_own():
    names = arranging.names()
    assert len(names) > 800
    assert nearest("resnet18", names)[0] in ("timm/resnet18", "torchvision/resnet18")


def test_a_card_of_a_library_says_licence_and_origin():
    card = model_zoo.card("timm/resnet18")
    assert card.licence == "apache-2.0"
    assert "timm" in card.origin
    assert model_zoo.card("torchvision/resnet18").origin.startswith("torchvision, https://")


def test_timms_weights_are_read_from_the_hubs_own_cache(tmp_path, monkeypatch):
    torch.manual_seed(14)
    trained = timm.create_model("mobilenetv3_small_050")
    hub = timm.get_pretrained_cfg("mobilenetv3_small_050").hf_hub_id
    folder = tmp_path / f"models--{hub.replace('/', '--')}"
    (folder / "snapshots" / "abc").mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("abc")
    save_file(trained.state_dict(), folder / "snapshots" / "abc" / "model.safetensors")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    network = model_zoo.load("timm/mobilenetv3_small_050")
    pixels = torch.randn(1, 3, 224, 224)
    trained.reset_classifier(0)
    with torch.no_grad():
        wanted = trained.eval()(pixels)[0]
    assert torch.allclose(network.embed(pixels)[0], wanted / wanted.norm(), atol=1e-5)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """Puts a network of timm's, in the layout that timm pushes, into a hub's cache that nothing else is had from."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)

    def put(name, network=None, description=None):
        folder = tmp_path / f"models--{name.replace('/', '--')}"
        (folder / "snapshots" / "abc").mkdir(parents=True)
        (folder / "refs").mkdir()
        (folder / "refs" / "main").write_text("abc")
        if network is not None:
            timm.models.save_for_hf(network, folder / "snapshots" / "abc", safe_serialization=True)
        if description is not None:
            (folder / "snapshots" / "abc" / "config.json").write_text(json.dumps(description))

    return put


@pytest.mark.parametrize("name", ["hf-hub:someone/my_vit", "timm/hf-hub:someone/my_vit"])
def test_a_network_of_the_hubs_is_timms_with_its_own_weights_and_view(hub, name):
    torch.manual_seed(21)
    options = {"img_size": 96, "embed_dim": 24, "depth": 2, "num_heads": 2}
    trained = timm.create_model("vit_tiny_patch16_224", num_classes=5, **options)
    trained.pretrained_cfg |= {"mean": (0.1, 0.2, 0.3), "std": (0.4, 0.5, 0.6), "input_size": (3, 96, 96)}
    trained.pretrained_cfg["interpolation"] = "bilinear"
    hub("someone/my_vit", trained)
    description = huggingface_hub.try_to_load_from_cache("someone/my_vit", "config.json")
    written = json.loads(Path(description).read_text())
    Path(description).write_text(json.dumps(written | {"model_args": options}))
    network = model_zoo.load(name)
    assert (network.name, network.architecture) == ("timm/hf-hub:someone/my_vit",) * 2
    seen = network.preprocess
    assert (seen.mean, seen.std, seen.short_side, seen.resampling) == (
        (0.1, 0.2, 0.3),
        (0.4, 0.5, 0.6),
        96,
        "bilinear",
    )
    pixels = torch.randn(1, 3, 96, 96)
    trained.reset_classifier(0)
    with torch.no_grad():
        wanted = trained.eval()(pixels)[0]
    assert torch.allclose(network.embed(pixels)[0], wanted / wanted.norm(), atol=1e-5)
    card = model_zoo.card(name)
    assert (card.name, card.origin) == ("timm/hf-hub:someone/my_vit", "timm, someone/my_vit")
    assert model_zoo.is_architecture(name)
    assert model_zoo.untrained(name).preprocess == seen


@pytest.mark.parametrize("ask", [model_zoo.load, model_zoo.untrained, model_zoo.card])
def test_a_name_of_the_hub_that_cannot_be_had_is_a_sentence(hub, ask):
    with pytest.raises(SimvisError, match="Got 'timm/hf-hub:no/one', whose weights cannot be had") as raised:
        ask("hf-hub:no/one")
    assert "this machine has no copy" in raised.value.got
    assert not any(word in str(raised.value) for word in ("urlopen", "Errno", "http", "snapshot"))


@pytest.mark.parametrize(
    "description",
    [{"model_type": "vit", "architectures": ["ViTModel"]}, {"architecture": "no_such"}, {"pretrained_cfg": 3}, []],
)
def test_a_repository_that_is_not_timms_is_told(hub, description):
    hub("some/one", description=description)
    with pytest.raises(SimvisError, match="is none of timm's networks") as raised:
        model_zoo.load("hf-hub:some/one")
    assert "transformers/some/one or open_clip/hf-hub:some/one" in raised.value.cure


@pytest.mark.parametrize("name", ["hf-hub:", "hf-hub:alone", "timm/hf-hub:a/b/c", "hf-hub:a b/c", "hf-hub:../up"])
def test_what_is_no_name_of_the_hub_is_refused_before_it_is_asked(name):
    with pytest.raises(SimvisError, match="Got the architecture 'timm/hf-hub:"):
        build(name)


def test_torchvisions_weights_are_read_from_pytorchs_own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    torch.manual_seed(15)
    trained = torchvision.models.squeezenet1_1()
    (tmp_path / "checkpoints").mkdir()
    file = torchvision.models.SqueezeNet1_1_Weights.DEFAULT.url.rpartition("/")[2]
    torch.save(trained.state_dict(), tmp_path / "checkpoints" / file)
    network = model_zoo.load("torchvision/squeezenet1_1")
    pixels = torch.randn(1, 3, 96, 128)
    with torch.no_grad():
        assert torch.allclose(network.features(pixels), trained.eval().features(pixels), atol=1e-6)


def test_weights_out_of_reach_are_told_in_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(SimvisError, match="Got 'timm/resnet18', whose weights cannot be had") as raised:
        model_zoo.load("timm/resnet18")
    assert "load your own checkpoint" in raised.value.cure


def test_an_architecture_without_published_weights_says_so():
    with pytest.raises(SimvisError, match="whose weights cannot be had"):
        model_zoo.load("timm/resnet10t.nosuchtag")


# Any nn.Module


def test_a_custom_module_that_pools_by_itself_is_a_black_box_drawn_by_masks(tiny_preprocess, two_pictures):
    class Attention(nn.Module):
        def __init__(self):
            super().__init__()
            self.patches = nn.Conv2d(3, 6, 8, 8)

        def forward(self, pixels):
            cells = self.patches(pixels).flatten(2)
            return (cells * cells.mean(1, keepdim=True).softmax(-1)).sum(-1)

    torch.manual_seed(16)
    network = EmbeddingNetwork(Attention(), "own", nn.Linear(6, 4), tiny_preprocess)
    assert network.poolings == ("own",)
    assert network.verdict == "black box"
    pair = explain_pair(network, *two_pictures)
    assert pair.method == "sliding window"
    assert pair.patch_cosines is None
    assert pair.a.grid == (2, 3)
    assert pair.map_a.abs().max() > 0


@pytest.mark.parametrize("channels", [1, 4])
def test_a_wrong_number_of_input_channels_is_told(channels, tiny_preprocess):
    network = EmbeddingNetwork(nn.Conv2d(channels, 5, 8, 8), "avg", None, tiny_preprocess, name="grey")
    with pytest.raises(SimvisError, match="which grey does not take") as raised:
        network.embed(torch.zeros(1, 3, 16, 16))
    assert "input channels" in raised.value.cure


def test_a_network_that_shows_nothing_but_its_class_token_is_a_black_box():
    network = model_zoo.untrained("timm/pit_ti_224")
    assert (str(network.pooling), network.verdict) == ("own", BLACK_BOX)


def test_a_network_whose_tables_of_positions_end_gets_a_fixed_size():
    network = model_zoo.untrained("timm/mvitv2_tiny")
    assert network.preprocess.fixed_size == (224, 224)


def test_fingerprints_tell_apart_what_weights_alone_do_not():
    one, other = (model_zoo.untrained(name) for name in ("timm/resnet18", "torchvision/resnet18"))
    other.backbone = one.backbone
    other.preprocess = one.preprocess
    assert one.fingerprint != other.fingerprint


@pytest.mark.parametrize("name", LIBRARIES)
def test_a_library_has_all_that_is_asked_of_one(name):
    """The same words in the same order as `Library` says, so that `arranging` can call any of them."""
    module = library(name)
    asked = {word: inspect.signature(one) for word, one in vars(Library).items() if not word.startswith("_")}
    assert set(asked) == {"names", "knows", "create", "described", "variants", "anatomy"}
    for word, wanted in asked.items():
        kinds = [one.kind for one in list(wanted.parameters.values())[1:]]  # without self
        had = inspect.signature(getattr(module, word)).parameters.values()
        assert len(had) == len(kinds)
        assert [one.kind == one.VAR_KEYWORD for one in had] == [kind == kind.VAR_KEYWORD for kind in kinds]
        assert all(one.default is one.empty for one in had)
    some = module.names()
    assert len(some) > 50
    assert module.knows(some[0])
    assert not module.knows("no such network")
    if ".optional." not in LIBRARIES[name]:  # which describe what a folder or the hub says: tried beside them
        assert {"mean", "std", "input_size"} <= set(module.described("resnet18"))


def test_a_library_is_one_file_and_one_row(monkeypatch):
    """A module that answers like `Library`, and a row: then its names are built, arranged and carded."""
    toys = ModuleType("toys")

    class Toy(nn.Module):
        def __init__(self):
            super().__init__()
            self.features = nn.Conv2d(3, 4, 8, 8)

        def forward(self, pixels):
            return self.features(pixels).mean((2, 3))

    facts = {"mean": (0.5,) * 3, "std": (0.5,) * 3, "input_size": (3, 32, 32), "num_classes": 2, "license": "own"}
    toys.names = lambda: ["brick"]
    toys.knows = lambda name: name == "brick"
    toys.create = lambda name, pretrained, **chosen: Created(Toy(), ("fc",), facts)
    toys.described = lambda name: facts
    toys.variants = lambda network: ()
    toys.anatomy = lambda network, probe: Anatomy(network.features, ("max", "avg"), (None,), network, network)
    monkeypatch.setitem(sys.modules, "toys", toys)
    monkeypatch.setitem(LIBRARIES, "toys", "toys")
    made = model_zoo.untrained("toys/brick")
    assert (str(made.pooling), made.verdict, made.preprocess.stride) == ("avg", "exact", 8)
    assert "toys/brick" in names()
    assert model_zoo.is_architecture("toys/brick")
    assert model_zoo.card("toys/brick").licence == "own"
    with pytest.raises(SimvisError, match="choose toys/brick"):
        build("toys/bric")
