"""A person's own checkpoint: every common layout gives the original's embeddings, and every other one a sentence."""

import argparse
import copy
import itertools
import os
import pickle
import zipfile
from types import SimpleNamespace

import pytest
import timm
import torch
import torchvision
from hypothesis import given
from hypothesis import strategies as st
from pytorch_metric_learning import losses
from pytorch_metric_learning.utils import logging_presets
from safetensors.torch import save_file
from torch import nn
from torch.nn.functional import normalize

from model_zoo.checkpoints.opening import open_checkpoint
from simvis_core import SimvisError

ARCHITECTURE = "timm/resnet18"  # a slim one: see conftest.py
WIDE = "torchvision/resnet18"  # as wide as its relatives
PIXELS = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))


def trained(module, seed=0):
    """The module with weights and statistics of its own, as training would leave them."""
    generator = torch.Generator().manual_seed(seed)
    for tensor in (*module.parameters(), *module.buffers()):
        if tensor.is_floating_point():
            tensor.data += 0.05 * tensor.data.abs().mean() * torch.rand(tensor.shape, generator=generator)
    return module.eval()


@pytest.fixture(scope="module")
def trunk():
    torch.manual_seed(0)
    return trained(timm.create_model("resnet18", num_classes=0))


@pytest.fixture(scope="module")
def embedder():
    torch.manual_seed(1)
    return trained(nn.Sequential(nn.Linear(64, 16), nn.BatchNorm1d(16)), 1)


@pytest.fixture(scope="module")
def loss():
    torch.manual_seed(2)
    return losses.ArcFaceLoss(num_classes=7, embedding_size=16)


class Wrapped(nn.Module):
    """A network under other names."""

    def __init__(self, **parts):
        super().__init__()
        for name, part in parts.items():
            self.add_module(name, part)


def prefixed(prefix, module):
    return {prefix + key: tensor for key, tensor in module.state_dict().items()}


def embedding(*modules, pixels=PIXELS):
    with torch.no_grad():
        for module in modules:
            pixels = module(pixels)
    return normalize(pixels, dim=-1)


def same(network, *modules, pixels=PIXELS):
    wanted = embedding(*modules, pixels=pixels)
    return (network.embed(pixels) - wanted).norm() <= 1e-6 * wanted.norm()


def saved(path, content):
    (save_file if path.suffix == ".safetensors" else torch.save)(content, path)
    return path


def refusal(path, architecture=ARCHITECTURE, **options):
    with pytest.raises(SimvisError) as caught:
        open_checkpoint(path, architecture, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Layouts


@pytest.mark.parametrize("ending", [".safetensors", ".pt", ".pth", ".bin", ".ckpt", ".pth.tar"])
def test_a_plain_state_dict(tmp_path, trunk, ending):
    opened = open_checkpoint(saved(tmp_path / f"birds.v2{ending}", trunk.state_dict()), ARCHITECTURE)
    assert same(opened.network, trunk)
    assert opened.network.name == "birds.v2"
    report = opened.report
    assert (report.prefix, report.nesting, report.head, report.left_out, report.resampled) == ("", "", "none", (), ())
    assert report.loaded == len(trunk.state_dict())
    assert report.sentence() == f"{report.loaded} tensors of the trunk loaded; head: none."


def test_a_file_in_pytorchs_old_format(tmp_path, trunk):
    path = tmp_path / "old.pth"
    torch.save(trunk.state_dict(), path, _use_new_zipfile_serialization=False)
    assert same(open_checkpoint(path, ARCHITECTURE).network, trunk)


@pytest.mark.parametrize(
    ("nesting", "prefix"),
    [
        ("state_dict", ""),
        ("model", "module."),
        ("model_state_dict", "_orig_mod.module."),
        ("state_dict", "extractor.model."),
        ("net", "0."),
        ("a.b", "backbone."),
    ],
)
def test_nesting_and_prefix(tmp_path, trunk, nesting, prefix):
    content = prefixed(prefix, trunk)
    for name in reversed(nesting.split(".")):
        content = {name: content, "epoch": 3}
    opened = open_checkpoint(saved(tmp_path / "x.pth", content), ARCHITECTURE)
    assert same(opened.network, trunk)
    assert (opened.report.nesting, opened.report.prefix) == (nesting, prefix)
    assert f"loaded in '{nesting}'" in opened.report.sentence()


def test_timms_training_script_with_its_average_options_and_optimizer(tmp_path, trunk):
    average = trained(copy.deepcopy(trunk), 5)
    optimizer = torch.optim.AdamW(trunk.parameters())
    content = {
        "state_dict_ema": prefixed("module.", average),
        "state_dict": trunk.state_dict(),
        "optimizer": {"state": {0: {"exp_avg": torch.ones(3)}}, "groups": optimizer.state_dict()["param_groups"]},
        "args": argparse.Namespace(lr=0.1),
    }
    opened = open_checkpoint(saved(tmp_path / "x.pth.tar", content), ARCHITECTURE)
    assert same(opened.network, trunk)
    assert opened.report.nesting == "state_dict"
    assert "optimizer.state.0.exp_avg (3), of the training" in opened.report.left_out
    assert "state_dict_ema.module.conv1.weight (64 x 3 x 7 x 7), another copy of the network" in opened.report.left_out


def test_of_two_encoders_the_trained_one_counts_and_not_its_momentum(tmp_path, trunk):
    key_encoder = trained(copy.deepcopy(trunk), 6)
    content = prefixed("module.encoder_k.", key_encoder) | prefixed("module.encoder_q.", trunk)
    content["module.encoder_k.fc.weight"] = torch.ones(4, 64)
    content["module.queue"] = torch.ones(4, 100)
    opened = open_checkpoint(saved(tmp_path / "moco.pth", {"state_dict": content}), ARCHITECTURE)
    assert same(opened.network, trunk)
    assert opened.report.prefix == "module.encoder_q."
    assert "module.encoder_k.fc.weight (4 x 64), another copy of the network" in opened.report.left_out
    assert "module.queue (4 x 100), of the training" in opened.report.left_out


def test_a_teacher_of_another_architecture_and_an_averaged_head_are_left_out(tmp_path, trunk, embedder):
    content = Wrapped(student=trunk, embedder=embedder, embedder_ema=embedder, teacher=nn.Conv2d(3, 4, 5)).state_dict()
    opened = open_checkpoint(saved(tmp_path / "x.pth", content), ARCHITECTURE)
    assert same(opened.network, trunk, embedder)
    assert "teacher.weight (4 x 3 x 5 x 5), another copy of the network" in opened.report.left_out
    assert "embedder_ema.0.weight (16 x 64), another copy of the network" in opened.report.left_out


def test_one_network_registered_twice_is_one_network(tmp_path, trunk, embedder):
    whole = Wrapped(model=trunk, features=nn.Sequential(*list(trunk.children())[:-2]), embedder=embedder)
    opened = open_checkpoint(saved(tmp_path / "x.pth", whole.state_dict()), ARCHITECTURE)
    assert same(opened.network, trunk, embedder)
    assert any(line.endswith("the same as conv1.weight") for line in opened.report.left_out)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("ending", [".safetensors", ".pth"])
def test_other_precisions_become_float32(tmp_path, trunk, embedder, dtype, ending):
    content = prefixed("trunk.", trunk) | prefixed("embedder.", embedder)
    content = {key: t.to(dtype) if t.is_floating_point() else t for key, t in content.items()}
    opened = open_checkpoint(saved(tmp_path / f"x{ending}", content), ARCHITECTURE)
    rounded = [copy.deepcopy(module).to(dtype).float() for module in (trunk, embedder)]
    assert same(opened.network, *rounded)
    assert opened.network.embed(PIXELS).dtype == torch.float32


# pytorch-metric-learning


def metric_learning_folder(folder, suffix, **models):
    """Written by pytorch-metric-learning itself."""
    hooks = logging_presets.HookContainer(SimpleNamespace())
    trainer = SimpleNamespace(models=models, loss_funcs={"metric_loss": losses.ProxyAnchorLoss(7, 16)})
    folder.mkdir(exist_ok=True)
    hooks.save_models(trainer, str(folder), suffix)
    return folder


def test_the_two_files_of_pytorch_metric_learning(tmp_path, trunk, embedder):
    folder = metric_learning_folder(tmp_path / "cars", "best3", trunk=nn.DataParallel(trunk), embedder=embedder)
    assert sorted(os.listdir(folder)) == ["embedder_best3.pth", "metric_loss_best3.pth", "trunk_best3.pth"]
    names = {folder: "cars", folder / "trunk_best3.pth": "cars best3", folder / "embedder_best3.pth": "cars best3"}
    for path, name in names.items():
        opened = open_checkpoint(path, ARCHITECTURE)
        assert same(opened.network, trunk, embedder)
        assert opened.network.name == name
        assert opened.report.head == "Linear 64 -> 16, BatchNorm 16 (from embedder.0, embedder.1)"
        assert (opened.report.nesting, opened.report.left_out) == ("trunk", ())


def test_the_librarys_default_embedder_has_no_tensors(tmp_path, trunk):
    folder = metric_learning_folder(tmp_path / "cars", 1, trunk=trunk, embedder=nn.Identity())
    assert same(open_checkpoint(folder, ARCHITECTURE).network, trunk)


def test_a_trunk_without_an_embedder_beside_it(tmp_path, trunk):
    path = saved(tmp_path / "trunk_5.pth", trunk.state_dict())
    opened = open_checkpoint(path, ARCHITECTURE)
    assert same(opened.network, trunk)
    assert opened.network.name == "trunk_5"


def test_a_folder_of_two_pairs_needs_a_choice(tmp_path, trunk, embedder):
    for suffix in ("best3", 5):
        metric_learning_folder(tmp_path / "cars", suffix, trunk=trunk, embedder=embedder)
    assert "'cars' with trunk_5.pth, trunk_best3.pth; wanted one checkpoint" in refusal(tmp_path / "cars")
    assert "no trunk_<suffix>.pth" in refusal(tmp_path)


@pytest.mark.parametrize("nested", [True, False])
def test_trunk_embedder_and_loss_in_one_file(tmp_path, trunk, embedder, loss, nested):
    parts = {"trunk": trunk, "embedder": embedder, "loss_fn": loss}
    content = {name: part.state_dict() for name, part in parts.items()} if nested else Wrapped(**parts).state_dict()
    opened = open_checkpoint(saved(tmp_path / "x.pth", content), ARCHITECTURE)
    assert same(opened.network, trunk, embedder)
    assert opened.report.left_out == ("loss_fn.W (16 x 7), of the loss",)
    assert opened.report.head == "Linear 64 -> 16, BatchNorm 16 (from embedder.0, embedder.1)"


class ExampleMLP(nn.Module):
    """The embedder of pytorch-metric-learning's examples: a ReLU in front, and the last layer under two names."""

    def __init__(self, sizes):
        super().__init__()
        layers = []
        for number, (before, after) in enumerate(itertools.pairwise(sizes)):
            layers += [nn.ReLU()] * (number < len(sizes) - 2) + [nn.Linear(before, after)]
        self.net = nn.Sequential(*layers)
        self.last_linear = self.net[-1]

    def forward(self, x):
        return self.net(x)


@pytest.mark.parametrize("ending", [".safetensors", ".pth"])
@pytest.mark.parametrize("sizes", [(64, 16), (64, 32, 16), (64, 32, 24, 16)])
def test_the_embedder_of_the_librarys_examples(tmp_path, trunk, sizes, ending):
    torch.manual_seed(3)
    mlp = ExampleMLP(sizes)
    content = {key: t.clone() for key, t in Wrapped(trunk=trunk, embedder=mlp).state_dict().items()}
    opened = open_checkpoint(saved(tmp_path / f"x{ending}", content), ARCHITECTURE, between="relu")
    assert same(opened.network, trunk, mlp)
    twin = f"embedder.last_linear.weight (16 x {sizes[-2]}), the same as embedder.net.{len(mlp.net) - 1}"
    assert twin in opened.report.left_out


# Open Metric Learning


def test_open_metric_learnings_extractor_with_a_projection(tmp_path):
    torch.manual_seed(4)
    extractor = Wrapped(extractor=Wrapped(model=trained(timm.create_model("vit_tiny_patch16_224", num_classes=0))))
    trunk = extractor.extractor.model
    projection = torchvision.ops.MLP(192, [32]).eval()
    content = prefixed("extractor.extractor.model.", trunk) | prefixed("extractor.projection.", projection)
    content["criterion.weight"] = torch.ones(5, 32)
    opened = open_checkpoint(saved(tmp_path / "x.ckpt", {"state_dict": content}), "timm/vit_tiny_patch16_224")
    pixels = torch.randn(1, 3, 224, 224)
    assert same(opened.network, trunk, projection, pixels=pixels)
    assert opened.report.prefix == "extractor.extractor.model."
    assert opened.report.left_out == ("criterion.weight (5 x 32), of the loss",)
    assert opened.report.head == "Linear 192 -> 32 (from extractor.projection.0)"


# The classifier's place


def test_the_librarys_classifier_is_left_out_unless_it_is_kept(tmp_path):
    full = trained(timm.create_model("resnet18"))
    path = saved(tmp_path / "x.safetensors", full.state_dict())
    bare = nn.Sequential(*list(full.children())[:-1])
    for choice in ("auto", "none"):
        opened = open_checkpoint(path, ARCHITECTURE, head=choice)
        assert same(opened.network, bare)
        assert opened.report.head == "none"
        assert opened.report.left_out[0].endswith(", the classifier")
    kept = open_checkpoint(path, ARCHITECTURE, head="keep")
    assert same(kept.network, full)
    assert kept.report.head == "Linear 64 -> 1000 (from fc)"


@pytest.mark.parametrize(
    "name",
    [
        "torchvision/squeezenet1_1",
        "torchvision/alexnet",
        "torchvision/googlenet",
        "timm/levit_128s",
        "timm/deit_tiny_distilled_patch16_224",
    ],
)
def test_every_kind_of_classifier_is_left_out(tmp_path, name):
    """A convolution, three layers, auxiliary ones, one with a norm in front, and two of them."""
    torch.manual_seed(18)
    library, _, inner = name.partition("/")
    options = {"init_weights": False} if inner == "googlenet" else {}
    full = timm.create_model(inner) if library == "timm" else torchvision.models.get_model(inner, **options)
    report = open_checkpoint(saved(tmp_path / "x.pth", full.state_dict()), name).report
    assert report.head == "none"
    assert all(line.endswith(("the classifier", "a layer of classification alone")) for line in report.left_out)


@pytest.mark.parametrize(
    ("name", "place", "width"),
    [
        ("timm/resnet18", "fc", 64),
        ("torchvision/resnet18", "fc", 512),
        ("timm/convnext_atto", "head.fc", 320),
        ("timm/mobilenetv3_small_050", "classifier", 1024),
        ("torchvision/mobilenet_v2", "classifier.1", 1280),
        ("torchvision/mobilenet_v3_small", "classifier.3", 1024),
    ],
)
def test_a_layer_at_the_classifiers_place_with_other_outputs_is_the_embedding(tmp_path, name, place, width):
    torch.manual_seed(5)
    library, _, inner = name.partition("/")
    full = timm.create_model(inner) if library == "timm" else torchvision.models.get_model(inner, weights=None)
    parent, _, last = place.rpartition(".")
    setattr(full.get_submodule(parent), last, nn.Linear(width, 16))
    trained(full)
    opened = open_checkpoint(saved(tmp_path / "x.pth", prefixed("module.", full)), name)
    pixels = torch.randn(1, 3, 224, 224)
    assert same(opened.network, full, pixels=pixels)
    assert opened.report.head == f"Linear {width} -> 16 (from module.{place})"
    assert same(open_checkpoint(tmp_path / "x.pth", name, head="none").network, *bare_of(full, place), pixels=pixels)


def bare_of(full, place):
    bare = copy.deepcopy(full)
    parent, _, last = place.rpartition(".")
    setattr(bare.get_submodule(parent), last, nn.Identity())
    return (bare,)


def test_a_whole_container_in_the_classifiers_place(tmp_path):
    torch.manual_seed(6)
    full = torchvision.models.mobilenet_v2(weights=None)
    full.classifier = nn.Sequential(nn.Linear(1280, 16, bias=False), nn.BatchNorm1d(16))
    trained(full)
    opened = open_checkpoint(saved(tmp_path / "x.pth", full.state_dict()), "torchvision/mobilenet_v2")
    assert same(opened.network, full, pixels=torch.randn(1, 3, 224, 224))


def test_classifier_and_embedding_layer_of_another_name_are_told_apart(tmp_path, trunk, embedder):
    content = Wrapped(backbone=trunk, bottleneck=embedder, classifier=nn.Linear(16, 751)).state_dict()
    opened = open_checkpoint(saved(tmp_path / "x.pth", content), ARCHITECTURE)
    assert same(opened.network, trunk, embedder)
    assert "classifier.weight (751 x 16), a classifier" in opened.report.left_out


# Heads


HEADS = {
    "Linear 64 -> 8": lambda: nn.Sequential(nn.Linear(64, 8, bias=False)),
    "BatchNorm 64": lambda: nn.Sequential(nn.BatchNorm1d(64)),
    "BatchNorm 64, Linear 64 -> 8, BatchNorm 8": lambda: nn.Sequential(
        nn.BatchNorm1d(64), nn.Dropout(), nn.Linear(64, 8), nn.BatchNorm1d(8, affine=False)
    ),
    "Linear 64 -> 8, LayerNorm 8": lambda: nn.Sequential(nn.Linear(64, 8), nn.LayerNorm(8)),
    "Linear 64 -> 9, PReLU, Linear 9 -> 8": lambda: nn.Sequential(nn.Linear(64, 9), nn.PReLU(), nn.Linear(9, 8)),
}


@pytest.mark.parametrize("ending", [".safetensors", ".pth"])
@pytest.mark.parametrize("words", HEADS)
def test_a_heads_shapes_tell_what_it_is(tmp_path, trunk, words, ending):
    torch.manual_seed(7)
    head = trained(HEADS[words](), 7)
    path = saved(tmp_path / f"x{ending}", Wrapped(model=trunk, head=head).state_dict())
    opened = open_checkpoint(path, ARCHITECTURE, between="none")
    assert same(opened.network, trunk, head)
    assert opened.report.head.startswith(f"{words} (from head.0")


def test_a_convolution_of_one_cell_is_a_linear_layer(tmp_path, trunk):
    torch.manual_seed(8)
    conv = nn.Conv2d(64, 8, 1)
    path = saved(tmp_path / "x.pth", Wrapped(net=trunk, conv=conv).state_dict())
    opened = open_checkpoint(path, ARCHITECTURE, choices={"layers": {"conv": "behind"}})
    assert same(opened.network, trunk, nn.Unflatten(1, (64, 1, 1)), conv, nn.Flatten())


def test_more_than_ten_numbered_layers_stay_in_order(tmp_path, trunk):
    torch.manual_seed(9)
    head = trained(nn.Sequential(*(nn.LayerNorm(64) for _ in range(12))), 9)
    path = saved(tmp_path / "x.safetensors", prefixed("net.", trunk) | prefixed("head.", head))
    assert same(open_checkpoint(path, ARCHITECTURE).network, trunk, head)


@pytest.mark.parametrize(("between", "module"), [("relu", nn.ReLU()), ("gelu", nn.GELU()), ("none", nn.Dropout())])
@pytest.mark.parametrize("ending", [".safetensors", ".pth"])
def test_what_stands_in_a_gap_is_asked_for(tmp_path, trunk, between, module, ending):
    torch.manual_seed(10)
    head = trained(nn.Sequential(nn.Linear(64, 9), module, nn.Linear(9, 8)))
    path = saved(tmp_path / f"x{ending}", prefixed("net.", trunk) | prefixed("head.", head))
    sentence = refusal(path)
    assert "a gap between head.0 (Linear 64 -> 9) and head.2 (Linear 9 -> 8)" in sentence
    assert "give between='relu', 'gelu' or 'none'" in sentence
    assert same(open_checkpoint(path, ARCHITECTURE, between=between).network, trunk, head)
    assert "between='tanh'" in refusal(path, between="tanh")


def test_named_layers_may_have_something_between_them(tmp_path, trunk):
    torch.manual_seed(11)
    first, second = nn.Linear(64, 9), nn.Linear(9, 8)
    path = saved(tmp_path / "x.pth", Wrapped(net=trunk, fc1=first, fc2=second).state_dict())
    assert "a gap between fc1 (Linear 64 -> 9) and fc2 (Linear 9 -> 8)" in refusal(path)
    opened = open_checkpoint(path, ARCHITECTURE, between="gelu")
    assert same(opened.network, trunk, first, nn.GELU(), second)
    assert opened.report.head == "Linear 64 -> 9, GELU, Linear 9 -> 8 (from fc1, fc2)"


def test_a_sorted_file_is_put_in_the_one_order_that_fits(tmp_path, trunk):
    torch.manual_seed(12)
    linear, norm = nn.Linear(64, 8), trained(nn.BatchNorm1d(8))
    content = Wrapped(net=trunk, reduce=linear, bn=norm).state_dict()
    assert same(open_checkpoint(saved(tmp_path / "x.safetensors", content), ARCHITECTURE).network, trunk, linear, norm)


def test_a_sorted_file_whose_layers_fit_in_two_orders_is_refused(tmp_path, trunk):
    content = Wrapped(net=trunk, reduce=nn.Linear(64, 64), bn=nn.BatchNorm1d(64)).state_dict()
    sentence = refusal(saved(tmp_path / "x.safetensors", content))
    assert "bn (BatchNorm 64), reduce (Linear 64 -> 64), which fit in more than one order" in sentence
    open_checkpoint(saved(tmp_path / "x.pth", content), ARCHITECTURE)


def test_numbers_left_out_in_front_are_told_where_they_may_matter(tmp_path):
    torch.manual_seed(13)
    trunk = timm.create_model("convnext_atto", num_classes=0).eval()
    head = nn.Sequential(nn.Dropout(), nn.Linear(320, 8)).eval()
    path = saved(tmp_path / "x.pth", prefixed("trunk.", trunk) | prefixed("embedder.", head))
    opened = open_checkpoint(path, "timm/convnext_atto")
    assert same(opened.network, trunk, head)
    assert opened.report.head.endswith("; in front, without weights and taken to do nothing: embedder.0")


# The pooling


def test_a_head_that_takes_flat_maps_sets_the_pooling_and_the_view(tmp_path, trunk):
    torch.manual_seed(14)
    head = nn.Linear(64 * 3 * 3, 8)
    path = saved(tmp_path / "x.pth", prefixed("0.", trunk) | prefixed("2.", head))
    network = open_checkpoint(path, ARCHITECTURE).network
    assert str(network.pooling) == str(network.trained_pooling) == "flatten"
    assert network.preprocess.fixed_size == (96, 96)
    pixels = torch.randn(1, 3, 96, 96)
    assert same(network, Features(trunk), nn.Flatten(), head, pixels=pixels)


class Features(nn.Module):
    def __init__(self, trunk):
        super().__init__()
        self.trunk = trunk

    def forward(self, pixels):
        return self.trunk.forward_features(pixels)


def test_a_head_of_twice_the_width_takes_average_and_maximum(tmp_path):
    torch.manual_seed(15)
    full = trained(timm.create_model("resnet18", num_classes=8, global_pool="catavgmax"))
    network = open_checkpoint(saved(tmp_path / "x.pth", full.state_dict()), ARCHITECTURE).network
    assert str(network.pooling) == "catavgmax"
    assert same(network, full)


def test_a_pooling_that_is_asked_for_is_the_trained_one(tmp_path, trunk, embedder):
    path = saved(tmp_path / "x.pth", Wrapped(trunk=trunk, embedder=embedder).state_dict())
    network = open_checkpoint(path, ARCHITECTURE, pooling="max").network
    assert str(network.trained_pooling) == "max"
    assert same(network, Features(trunk), nn.AdaptiveMaxPool2d(1), nn.Flatten(), embedder)
    assert "takes 64 features, and timm/resnet18 gives 128 (under 'catavgmax')" in refusal(path, pooling="catavgmax")


def test_a_trained_exponent_is_gems(tmp_path, trunk, embedder):
    content = Wrapped(trunk=trunk, embedder=embedder).state_dict() | {"pool.p": torch.tensor([2.5])}
    path = saved(tmp_path / "x.pth", content)
    opened = open_checkpoint(path, ARCHITECTURE)
    assert str(opened.network.pooling) == str(opened.network.trained_pooling) == "gem:2.5"
    assert opened.report.head.endswith("behind gem:2.5 (from pool.p)")
    bare = open_checkpoint(path, ARCHITECTURE, head="none").network
    assert str(bare.trained_pooling) == "gem:2.5"
    assert bare.head is None
    asked = open_checkpoint(path, ARCHITECTURE, pooling="avg")
    assert same(asked.network, trunk, embedder)
    assert "pool.p (one number), the exponent of GeM: the pooling asked for is avg" in asked.report.left_out


def test_gem_is_not_guessed_where_layers_stand_behind_the_pooling(tmp_path):
    content = timm.create_model("convnext_atto", num_classes=0).state_dict() | {"pool.p": torch.tensor([2.5])}
    path = saved(tmp_path / "x.pth", content)
    assert "pool.p, the exponent of GeM, for timm/convnext_atto" in refusal(path, "timm/convnext_atto")
    open_checkpoint(path, "timm/convnext_atto", pooling="avg")


# Position embeddings


def test_position_embeddings_of_timm_are_resampled(tmp_path):
    torch.manual_seed(16)
    other = trained(timm.create_model("vit_tiny_patch16_224", num_classes=0, img_size=160))
    path = saved(tmp_path / "x.safetensors", other.state_dict())
    opened = open_checkpoint(path, "timm/vit_tiny_patch16_224")
    assert opened.report.resampled == ("pos_embed from 101 to 197 positions",)
    assert "resampled: pos_embed from 101 to 197 positions" in opened.report.sentence()
    reference = timm.create_model("vit_tiny_patch16_224", num_classes=0).eval()
    reference.load_state_dict(timm.models.vision_transformer.checkpoint_filter_fn(other.state_dict(), reference))
    assert same(opened.network, reference, pixels=torch.randn(1, 3, 224, 224))


@pytest.mark.slow
def test_position_embeddings_of_torchvision_are_resampled(tmp_path):
    torch.manual_seed(17)
    sizes = {"patch_size": 32, "num_layers": 12, "num_heads": 12, "hidden_dim": 768, "mlp_dim": 3072}
    other = torchvision.models.VisionTransformer(image_size=160, **sizes)
    path = saved(tmp_path / "x.pth", other.state_dict())
    opened = open_checkpoint(path, "torchvision/vit_b_32")
    assert opened.report.resampled == ("encoder.pos_embedding from 26 to 50 positions",)
    reference = torchvision.models.vit_b_32(weights=None).eval()
    state = torchvision.models.vision_transformer.interpolate_embeddings(224, 32, other.state_dict())
    reference.load_state_dict(state)
    reference.heads.head = nn.Identity()
    pixels = torch.randn(1, 3, 224, 224)
    # torchvision interpolates without antialiasing
    wanted = embedding(reference, pixels=pixels)
    assert (opened.network.embed(pixels) - wanted).norm() < 0.05
    assert opened.report.left_out[0].endswith("the classifier")


# What is refused


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_broken_numbers_are_told(tmp_path, trunk, value):
    """One of them among sound ones is enough."""
    state = trunk.state_dict() | {"layer1.0.bn1.weight": torch.ones(64).index_fill(0, torch.tensor([9]), value)}
    assert "layer1.0.bn1.weight holds NaN or infinity" in refusal(saved(tmp_path / "x.pth", state))


@given(numbers=st.sets(st.integers(0, 99), min_size=1, max_size=60))
@pytest.mark.slow
def test_a_trunk_with_tensors_missing_is_refused_and_they_are_named(tmp_path_factory, trunk, numbers):
    state = {key: t for key, t in trunk.state_dict().items() if not key.endswith("num_batches_tracked")}
    gone = [key for number, key in enumerate(state) if number in numbers]
    path = tmp_path_factory.mktemp("missing") / "x.pth"
    saved(path, {f"module.{key}": tensor for key, tensor in state.items() if key not in gone})
    sentence = refusal(path)
    assert f"without {', '.join(gone[:3])}" in sentence
    assert len(gone) <= 3 or f"and {len(gone) - 3} more" in sentence


def test_without_counts_of_batches_the_trunk_is_whole(tmp_path, trunk):
    state = {key: t for key, t in trunk.state_dict().items() if not key.endswith("num_batches_tracked")}
    assert same(open_checkpoint(saved(tmp_path / "x.pth", state), ARCHITECTURE).network, trunk)


def test_other_shapes_are_listed(tmp_path, trunk):
    state = trunk.state_dict() | {"layer1.0.bn1.weight": torch.ones(63), "layer1.0.bn1.bias": torch.ones(64).int()}
    sentence = refusal(saved(tmp_path / "x.pth", state))
    assert "layer1.0.bn1.weight is 63 and not 64, layer1.0.bn1.bias holds integers" in sentence
    assert "what is missing would stay random" in sentence


def test_a_layer_kept_transposed_is_no_other_shape_of_the_same(tmp_path, trunk):
    """As many numbers, and none of them in its place."""
    key = "layer2.0.downsample.0.weight"
    state = trunk.state_dict() | {key: trunk.state_dict()[key].transpose(0, 1).contiguous()}
    assert f"{key} is 64 x 16 x 1 x 1 and not 16 x 64 x 1 x 1" in refusal(saved(tmp_path / "x.pth", state))


@pytest.mark.parametrize(("other", "share"), [("vit_tiny_patch16_224", 0), ("resnet50", 77)])
def test_another_architecture_is_told(tmp_path, other, share):
    """One of another family shares no tensor, one of the same family many: its norms are as wide."""
    state = timm.create_model(other, num_classes=0).state_dict()
    sentence = refusal(saved(tmp_path / "x.pth", state), WIDE)
    assert f"looks like another architecture: it has {share} of the 100 tensors of {WIDE} (" in sentence
    assert "choose the architecture it was trained with" in sentence


def test_a_deeper_network_of_the_family_is_not_cut_short(tmp_path):
    state = timm.create_model("resnet34").state_dict()
    sentence = refusal(saved(tmp_path / "x.pth", state), WIDE, head="none")
    assert f"inside the trunk that {WIDE} does not have (layer1.2.conv1.weight" in sentence


@pytest.mark.parametrize(("channels", "words"), [(1, "1 channel;"), (4, "4 channels;")])
def test_a_first_layer_for_other_channels_is_told(tmp_path, channels, words):
    state = timm.create_model("resnet18", num_classes=0, in_chans=channels).state_dict()
    sentence = refusal(saved(tmp_path / "x.pth", state))
    assert f"whose first layer conv1.weight takes {words} wanted timm/resnet18 for colour pictures" in sentence


def test_a_head_that_does_not_fit_is_told(tmp_path, trunk):
    path = saved(tmp_path / "x.pth", prefixed("trunk.", trunk) | prefixed("embedder.", nn.Linear(2048, 128)))
    sentence = refusal(path)
    assert "embedder (Linear 2048 -> 128) takes 2048 features, and timm/resnet18 gives 64 (under 'avg')" in sentence
    assert "128 (under 'catavgmax')" in sentence
    opened = open_checkpoint(path, ARCHITECTURE, head="none")
    assert "embedder.weight (128 x 2048), part of a head (Linear 2048 -> 128), as asked" in opened.report.left_out


def test_layers_that_do_not_follow_on_each_other_are_told(tmp_path, trunk):
    head = nn.Sequential(nn.Linear(64, 16), nn.BatchNorm1d(17))
    path = saved(tmp_path / "x.pth", prefixed("trunk.", trunk) | prefixed("head.", head))
    assert "head.1 (BatchNorm 17) cannot follow head.0 (Linear 64 -> 16)" in refusal(path)


@pytest.mark.parametrize("choice", ["auto", "keep"])
def test_tensors_of_no_known_layer_are_listed(tmp_path, trunk, choice):
    content = prefixed("trunk.", trunk) | {"netvlad.centroids": torch.ones(3, 4, 5), "scale.gain": torch.ones(2)}
    content |= {"steps": torch.tensor(5), "temperature": torch.tensor(0.1)}
    sentence = refusal(saved(tmp_path / "x.pth", content), head=choice)
    assert "no known layer: netvlad (centroids 3 x 4 x 5), scale (gain 2);" in sentence
    left_out = open_checkpoint(tmp_path / "x.pth", ARCHITECTURE, head="none").report.left_out
    assert left_out[:2] == ("steps (one number), no weight", "temperature (one number), a single number")


def test_a_choice_that_does_not_exist(tmp_path):
    assert "head='all'; wanted one of auto, keep, none" in refusal(tmp_path / "x.pth", head="all")


# Files


class Trap:
    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("old", [True, False])
def test_a_pickle_with_code_is_refused_and_not_run(tmp_path, old):
    path = tmp_path / "x.pt"
    torch.save({"a": Trap(tmp_path / "mark")}, path, _use_new_zipfile_serialization=not old)
    sentence = refusal(path)
    assert "a pickle that asks for posix.mkdir, which is refused" in sentence
    assert "such a file can run any program when it is opened" in sentence
    assert "save `model.state_dict()` instead, or convert it to .safetensors in a place you trust" in sentence
    assert not (tmp_path / "mark").exists()


def test_a_plain_pickle_is_refused(tmp_path):
    (tmp_path / "x.pkl.bin").write_bytes(pickle.dumps({"a": Trap(tmp_path / "mark")}))
    assert "such a file can run any program" in refusal(tmp_path / "x.pkl.bin")


def test_a_torchscript_program_is_refused(tmp_path, trunk):
    with pytest.warns(DeprecationWarning, match="torch.jit"):
        torch.jit.trace(nn.Linear(2, 2), torch.ones(1, 2)).save(tmp_path / "x.pt")
    assert "a TorchScript program; wanted weights only" in refusal(tmp_path / "x.pt")


WHOLE = "x.safetensors", "new.pt", "old.pt"


@pytest.mark.parametrize("share", [0.001, 0.3, 0.9, 0.9999])
@pytest.mark.parametrize("name", WHOLE)
def test_a_truncated_file_is_told(tmp_path, trunk, name, share):
    path = tmp_path / name
    if name == "old.pt":
        torch.save(trunk.state_dict(), path, _use_new_zipfile_serialization=False)
    else:
        saved(path, trunk.state_dict())
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    assert "damaged or cut short" in refusal(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "which is empty"),
        (b"<html>not found</html>", "a text file"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "git-lfs pointer to the weights"),
        (b"PK\x03\x04half", "damaged or cut short"),
        (b"\x80\x02garbage", "damaged or cut short"),
        (b"\x80\x02}q\x00(U", "damaged or cut short"),
        (b"\x89PNG\x00\x01", "no PyTorch file"),
    ],
)
def test_what_is_no_checkpoint_is_told(tmp_path, content, words):
    (tmp_path / "x.pth").write_bytes(content)
    assert words in refusal(tmp_path / "x.pth")


def test_a_zip_of_something_else_is_told(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.pt", "w") as archive:
        archive.writestr("weights/readme.txt", "hello")
    assert "a zip archive with weights/readme.txt" in refusal(tmp_path / "x.pt")


def test_missing_and_foreign_files_are_told(tmp_path):
    assert "'x.pt', which does not exist" in refusal(tmp_path / "x.pt")
    (tmp_path / "x.onnx").write_bytes(b"\x08")
    assert "'x.onnx', which is no PyTorch file and no .safetensors" in refusal(tmp_path / "x.onnx")
    assert "which holds no tensors" in refusal(saved(tmp_path / "x.pt", {"epoch": 3}))
    assert "which holds a list; wanted a dict of tensors" in refusal(saved(tmp_path / "y.pt", [torch.ones(3)]))


# Files made to harm


def test_dicts_in_each_other_without_end_are_refused(tmp_path):
    tree = {}
    tree["state_dict"] = tree
    torch.save(tree, tmp_path / "x.pt")
    with pytest.raises(SimvisError, match="more than 32 dicts in each other"):
        open_checkpoint(tmp_path / "x.pt", ARCHITECTURE)


@pytest.mark.parametrize("key", ["conv1.weight", "embedder.0.weight"])
def test_a_number_spread_over_a_huge_shape_is_refused_before_it_is_looked_at(tmp_path, key):
    state = timm.create_model("resnet18", num_classes=0).state_dict()
    torch.save(state | {key: torch.zeros(1).expand(10**6, 10**6)}, tmp_path / "x.pt")
    with pytest.raises(SimvisError, match=f"'{key}', which the file does not hold as a whole"):
        open_checkpoint(tmp_path / "x.pt", ARCHITECTURE)


def test_an_archive_that_unpacks_to_more_than_it_is_is_refused(tmp_path):
    torch.save({"conv1.weight": torch.zeros(10**6)}, tmp_path / "plain.pt")
    with (
        zipfile.ZipFile(tmp_path / "plain.pt") as plain,
        zipfile.ZipFile(tmp_path / "packed.pt", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for name in plain.namelist():
            packed.writestr(name, plain.read(name))
    assert (tmp_path / "packed.pt").stat().st_size < 10**5
    with pytest.raises(SimvisError, match="an archive of compressed files"):
        open_checkpoint(tmp_path / "packed.pt", ARCHITECTURE)


def test_a_name_too_long_for_any_file_does_not_exist():
    with pytest.raises(SimvisError, match="which does not exist"):
        open_checkpoint("x" * 5000 + ".pt", ARCHITECTURE)
