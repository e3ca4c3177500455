"""Layers beside a trunk: which are the embedding's, where they stand, and which belong to the training alone."""

import copy
import functools
import itertools

import pytest
import timm
import torch
import torchvision
from pytorch_metric_learning import losses
from torch import nn
from torch.nn.utils import parametrizations, weight_norm

from model_zoo.architectures import timm_networks
from model_zoo.checkpoints.doubts import UndecidedError
from model_zoo.checkpoints.leftovers import MOST_LAYERS
from model_zoo.checkpoints.opening import open_checkpoint
from simvis_core import SimvisError
from simvis_core.networks.heads import UnitLength
from tests.model_zoo.own_files import PIXELS, POOL, WIDTH, asks, embedder, like, opened, same, shaken, trunk

# Class weights of a loss

TOLD = ("ProxyAnchorLoss", "ProxyNCALoss", "SoftTripleLoss", "SubCenterArcFaceLoss")
ASKED = ("ArcFaceLoss", "CosFaceLoss", "NormalizedSoftmaxLoss", "LargeMarginSoftmaxLoss", "SphereFaceLoss")


@pytest.mark.filterwarnings("ignore:__array_wrap__ must accept:DeprecationWarning")  # of scipy's binom on tensors
@pytest.mark.parametrize("name", TOLD + ASKED)
def test_the_state_of_metric_learnings_losses_is_never_a_layer(tmp_path, name):
    """Under a name that says nothing; of fewer classes than features, the file looks like one with a projection."""
    head, loss = embedder(), getattr(losses, name)(num_classes=7, embedding_size=16)
    parts = {"neck": head, "thing": loss}
    if name in ASKED:
        assert asks(tmp_path, parts)[0] == {"layers.thing.W": ["out", "transposed"]}
    found = opened(tmp_path, parts, choices={"layers": {"thing.W": "out"}} if name in ASKED else None)
    assert same(found.network, POOL, head)
    [key] = loss.state_dict()
    assert any(line.startswith(f"thing.{key} (") for line in found.report.left_out)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("arc.weight", (40, 16)),
        ("thing.kernel", (16, 40)),
        ("mystery", (40, 16)),
        ("sub.weight", (3, 40, 16)),
        ("margins.weight", (7, 16)),
        ("transposed.weight", (16, 7)),
    ],
)
def test_a_matrix_beside_an_embedding_is_left_out_and_told(tmp_path, name, shape):
    head = embedder()
    found = opened(tmp_path, {"neck": head, name: torch.ones(shape)})
    assert same(found.network, POOL, head)
    assert any(line.endswith("taken for the class weights of a loss") for line in found.report.left_out)
    [doubt] = [doubt for doubt in found.report.doubts if doubt.key.startswith("layers.")]
    assert doubt.taken == "out"
    assert f"{doubt.key}=" in found.report.sentence() or list(doubt.options) == ["out"]


def test_a_lone_matrix_behind_the_trunk_is_asked_for_and_both_answers_hold(tmp_path):
    torch.manual_seed(2)
    proj = nn.Linear(WIDTH, 8, bias=False)
    questions, sentence = asks(tmp_path, {"proj": proj})
    assert questions == {"layers.proj": ["out", "behind"]}
    assert "a layer of the embedding, or the class weights of a loss" in sentence
    layer = opened(tmp_path, {"proj": proj}, choices={"layers": {"proj": "behind"}})
    assert same(layer.network, POOL, proj)
    assert same(opened(tmp_path, {"proj": proj}, choices={"layers": {"proj": "out"}}).network, POOL)


def test_a_projection_kept_as_inputs_by_outputs_can_be_said(tmp_path):
    torch.manual_seed(3)
    matrix = torch.randn(WIDTH, 8)
    assert asks(tmp_path, {"visual.proj": matrix})[0] == {"layers.visual.proj": ["out", "transposed"]}
    found = opened(tmp_path, {"visual.proj": matrix}, choices={"layers": {"visual.proj": "transposed"}})
    project = nn.Linear(WIDTH, 8, bias=False)
    project.weight.data = matrix.T
    assert same(found.network, POOL, project)


@pytest.mark.parametrize("normed", [weight_norm, parametrizations.weight_norm], ids=["old", "new"])
@pytest.mark.filterwarnings("ignore:`torch.nn.utils.weight_norm` is deprecated:FutureWarning")
def test_dinos_prototypes_are_no_embedding(tmp_path, normed):
    """facebookresearch/dino: an MLP, a bottleneck, a step to unit length, then prototypes under weight norm."""
    torch.manual_seed(4)
    mlp, last = nn.Sequential(nn.Linear(WIDTH, 24), nn.GELU(), nn.Linear(24, 8)), nn.Linear(8, 50, bias=False)
    found = opened(tmp_path, {"head.mlp": mlp, "head.last_layer": normed(last)}, between="gelu")
    assert same(found.network, POOL, mlp)
    assert "head.last_layer.weight (50 x 8), taken for the class weights of a loss" in found.report.left_out
    few = nn.Linear(8, 5, bias=False)
    assert same(opened(tmp_path, {"head.mlp": mlp, "head.last_layer": few}, between="gelu").network, POOL, mlp)


@pytest.mark.parametrize("normed", [weight_norm, parametrizations.weight_norm], ids=["old", "new"])
@pytest.mark.filterwarnings("ignore:`torch.nn.utils.weight_norm` is deprecated:FutureWarning")
def test_a_head_under_weight_norm_is_the_layer_that_it_stands_for(tmp_path, normed):
    torch.manual_seed(5)
    head = nn.Sequential(normed(nn.Linear(WIDTH, 9), dim=1), nn.ReLU(), normed(nn.Linear(9, 8), dim=None))
    for parameter in head.parameters():
        parameter.data += 0.2
    assert same(opened(tmp_path, {"fc": head}, between="relu").network, POOL, head)


# A classifier


@pytest.mark.parametrize(("classes", "taken"), [(40, None), (7, "behind")])
def test_a_last_layer_with_an_offset_is_asked_about_where_it_widens_and_stated_else(tmp_path, classes, taken):
    torch.manual_seed(6)
    embed, fc = nn.Linear(WIDTH, 16), nn.Linear(16, classes)
    questions, _ = asks(tmp_path, {"embed": embed, "fc": fc})
    assert ("layers.fc" in questions) == (taken is None)
    out = opened(tmp_path, {"embed": embed, "fc": fc}, choices={"layers": {"fc": "out"}})
    assert same(out.network, POOL, embed)
    kept = opened(tmp_path, {"embed": embed, "fc": fc}, choices={"layers": {"fc": "behind"}, "steps": {"fc": "relu"}})
    assert same(kept.network, POOL, embed, nn.ReLU(), fc)


@pytest.mark.parametrize("classes", [12, 300])
def test_a_layer_in_the_classifiers_place_is_stated_or_asked_about(tmp_path, classes):
    network = timm.create_model("test_resnet", num_classes=classes).eval()
    torch.save(network.state_dict(), tmp_path / "m.pth")
    if classes > WIDTH:
        with pytest.raises(UndecidedError, match="a layer of the embedding or a classifier"):
            open_checkpoint(tmp_path / "m.pth", "timm/test_resnet")
    options = {"choices": {"layers": {"fc": "behind"}}} if classes > WIDTH else {}
    found = open_checkpoint(tmp_path / "m.pth", "timm/test_resnet", **options)
    assert like(found.network, network)
    assert (classes > WIDTH) or "or say layers.fc=out" in found.report.sentence()


def test_a_tensor_of_no_module_can_be_left_out(tmp_path):
    head, parts = embedder(), {"middle": torch.ones(1, 1, 16)}
    with pytest.raises(SimvisError, match=r"no known layer: middle \(.*say layers.middle=out"):
        opened(tmp_path, {"neck": head, **parts})
    parts["center"] = torch.ones(1, 16)
    found = opened(tmp_path, {"neck": head, **parts}, choices={"layers": {"middle": "out"}})
    assert same(found.network, POOL, head)
    assert {"middle (1 x 1 x 16), as asked", "center (1 x 16), of the loss"} <= set(found.report.left_out)


def test_an_embedding_in_a_module_called_a_classifier_is_asked_for(tmp_path):
    torch.manual_seed(9)
    block, classes = embedder(), nn.Sequential(nn.Linear(16, 7))
    parts = {"classifier.add_block": block, "classifier.classifier": classes}
    questions, _ = asks(tmp_path, parts)
    assert questions == {"layers.classifier": ["out", "behind"]}
    said = {"layers": {"classifier": "behind", "classifier.classifier": "out"}}
    assert same(opened(tmp_path, parts, choices=said).network, POOL, block)


# In front of the pooling


def test_a_convolution_with_norm_and_activation_stands_where_it_is_said_to(tmp_path):
    torch.manual_seed(4)
    block = shaken(nn.Sequential(nn.Conv2d(WIDTH, 9, 1), nn.BatchNorm2d(9), nn.ReLU()), 3)
    neck = shaken(nn.BatchNorm1d(9), 4)
    parts = {"reduce": block, "neck": neck}
    assert asks(tmp_path, parts)[0] == {"layers.reduce.0": ["front", "behind"]}
    front = {"layers": {"reduce": "front", "neck": "behind"}}
    assert asks(tmp_path, parts, choices=front)[0]["steps.pooling"][:2] == ["none", "relu"]
    for pooling, pool in ((None, POOL), ("max", nn.AdaptiveMaxPool2d(1))):
        found = opened(tmp_path, parts, pooling=pooling, choices={**front, "steps": {"pooling": "relu"}})
        assert same(found.network, block, pool, nn.Flatten(), neck)
        assert f"in front of the pooling Linear {WIDTH} -> 9, BatchNorm 9, ReLU" in found.report.head
    behind = opened(tmp_path, {"reduce": block[:2]}, choices={"layers": {"reduce": "behind"}})
    assert same(behind.network, nn.AdaptiveAvgPool2d(1), block[:2])
    with pytest.raises(SimvisError, match="head that does not fit"):
        opened(tmp_path, {"reduce": nn.Conv2d(90, 9, 1)})


@pytest.mark.parametrize(("side", "pixels"), [(5, 160), (7, 224), (4, 112), (12, 384)])
def test_a_face_networks_head_normalises_maps_and_lays_them_flat(tmp_path, side, pixels):
    torch.manual_seed(5)
    head = nn.Sequential(
        nn.BatchNorm2d(WIDTH), nn.Dropout(), nn.Flatten(), nn.Linear(WIDTH * side**2, 8), nn.BatchNorm1d(8)
    )
    shaken(head, 5)
    choices = {"view": 112} if side == 4 else None
    if side == 4:
        assert asks(tmp_path, {"output_layer": head})[0] == {"view": ["112", "128"]}
    network = opened(tmp_path, {"output_layer": head}, choices=choices).network
    assert network.preprocess.fixed_size == (pixels, pixels)
    assert same(network, head, pixels=torch.randn(1, 3, pixels, pixels))
    assert network.verdict == "exact"


# Predictors


def mlp(*widths):
    torch.manual_seed(6)
    layers = []
    for takes, gives in itertools.pairwise(widths):
        layers += [nn.Linear(takes, gives, bias=False), nn.BatchNorm1d(gives), nn.ReLU()]
    return shaken(nn.Sequential(*layers[:-2]))


@pytest.mark.parametrize("name", ["predictor", "online_predictor", "q", "heads.second"])
def test_a_predictor_is_left_out_and_told(tmp_path, name):
    projector, predictor = mlp(WIDTH, 24, 16), mlp(16, 40, 16)
    parts = {"projector": projector, name: predictor}
    found = opened(tmp_path, parts, between="relu")
    assert same(found.network, POOL, projector)
    assert any("predictor" in line and line.startswith(name) for line in found.report.left_out)
    whole = opened(tmp_path, parts, between="relu", choices={"layers": {name: "behind"}})
    assert same(whole.network, POOL, projector, nn.ReLU(), predictor)


# An embedding at a classifier's end


@functools.cache
def convolutions():
    return torchvision.models.AlexNet().features


def narrow_alexnet():
    network = torchvision.models.AlexNet.__new__(torchvision.models.AlexNet)
    nn.Module.__init__(network)
    network.features, network.avgpool = copy.deepcopy(convolutions()), nn.AdaptiveAvgPool2d((6, 6))
    first, second, last = nn.Linear(9216, 24), nn.Linear(24, 20), nn.Linear(20, 1000)
    network.classifier = nn.Sequential(nn.Dropout(), first, nn.ReLU(), nn.Dropout(), second, nn.ReLU(), last)
    return network


@pytest.fixture
def narrow(monkeypatch):
    """AlexNet and VGG with few numbers in their large layers, which would be 0.5 GB."""
    library = torchvision.models.get_model
    monkeypatch.setattr(
        torchvision.models,
        "get_model",
        lambda name, **options: narrow_alexnet() if name == "alexnet" else library(name, **options),
    )
    monkeypatch.setattr(timm_networks, "_ANY_SIZE", ({"mlp_ratio": 1 / 64}, {}))


PICTURE = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(8))


def full(name, place, layer):
    torch.manual_seed(7)
    library, _, inner = name.partition("/")
    of_timm = library == "timm"
    network = (
        timm.create_model(inner, mlp_ratio=1 / 64) if of_timm else torchvision.models.get_model(inner, weights=None)
    )
    parent, _, last = place.rpartition(".")
    setattr(network.get_submodule(parent), last, layer)
    return shaken(network)


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize(
    ("name", "place", "layer"),
    [
        ("torchvision/squeezenet1_1", "classifier.1", lambda: nn.Conv2d(512, 16, 1)),
        ("torchvision/alexnet", "classifier.6", lambda: nn.Linear(20, 16, bias=False)),
        ("timm/vgg11", "head.fc", lambda: nn.Linear(4096, 16)),
    ],
)
def test_an_embedding_at_the_end_of_a_classifier_is_the_embedding(tmp_path, name, place, layer):
    network = full(name, place, layer())
    torch.save(network.state_dict(), tmp_path / "m.pth")
    found = open_checkpoint(tmp_path / "m.pth", name, head="keep" if "squeezenet" in name else "auto")
    assert like(found.network, network, pixels=PICTURE)
    if "squeezenet" in name:
        assert open_checkpoint(tmp_path / "m.pth", name, head="none").report.head == "none"


@pytest.mark.usefixtures("narrow")
def test_a_classifier_that_ends_early_is_asked_about(tmp_path):
    network = full("torchvision/alexnet", "classifier.6", nn.Identity())
    torch.save(network.state_dict(), tmp_path / "m.pth")
    with pytest.raises(UndecidedError, match="whether the relu that the library has"):
        open_checkpoint(tmp_path / "m.pth", "torchvision/alexnet")
    found = open_checkpoint(tmp_path / "m.pth", "torchvision/alexnet", choices={"steps": {"end": "relu"}})
    assert like(found.network, network, pixels=PICTURE)


# Unit length, GeM


def test_a_step_to_unit_length_in_front_of_gem_is_stated_and_can_be_said(tmp_path):
    """CosPlace: L2 norm of each cell, GeM, flatten, linear, L2 norm, in one Sequential."""
    torch.manual_seed(11)
    fc = nn.Linear(WIDTH, 8)
    parts = {"aggregation.1.p": torch.tensor([2.5]), "aggregation.3": fc}
    assert "or say steps.pooling=relu or" in opened(tmp_path, parts).report.sentence()
    bare = opened(tmp_path, {"aggregation.1.p": torch.tensor([2.5])})
    assert "(aggregation.0 has no tensors)" in bare.report.sentence()
    network = opened(tmp_path, parts, choices={"steps": {"pooling": "unit"}}).network
    with torch.no_grad():
        cells = nn.functional.normalize(trunk()(PIXELS), dim=1).clamp(min=1e-6)
        wanted = nn.functional.normalize(fc(cells.pow(2.5).mean((2, 3)).pow(1 / 2.5)), dim=-1)
    assert (network.embed(PIXELS) - wanted).abs().max() < 1e-5


def test_a_step_to_unit_length_is_stated_and_can_be_said(tmp_path):
    head = nn.Linear(WIDTH, 8)
    nn.init.normal_(head.bias)
    found = opened(tmp_path, {"fc": head})
    assert same(found.network, POOL, head)
    assert "a step to unit length in front of fc" in found.report.sentence()
    assert "or say steps.fc=unit" in found.report.sentence()
    said = opened(tmp_path, {"fc": head}, choices={"steps": {"fc": "unit"}, "layers": {"fc": "behind"}})
    assert same(said.network, POOL, UnitLength(), head)
    assert "not told by the file" not in said.report.sentence()
    assert said.network.verdict == "exact at this input"


@pytest.mark.parametrize("shape", [(WIDTH,), (1, WIDTH, 1, 1), (1,)], ids=str)
def test_gem_with_an_exponent_for_each_channel_or_a_small_one(tmp_path, shape):
    p = 0.4 + 3 * torch.rand(shape, generator=torch.Generator().manual_seed(9)) * (shape != (1,))
    head = embedder()
    found = opened(tmp_path, {"neck": head, "pool.p": p})
    with torch.no_grad():
        power = p.reshape(-1, 1, 1)
        pooled = trunk()(PIXELS).clamp(min=1e-6).pow(power).mean((2, 3)).pow(1 / power[:, 0, 0])
        wanted = nn.functional.normalize(head(pooled), dim=-1)
    assert (found.network.embed(PIXELS) - wanted).abs().max() < 1e-5
    assert found.network.verdict == "exact at this input"
    assert "behind GeM with " in found.report.head
    with pytest.raises(SimvisError, match=r"exponents of GeM .*wanted numbers above 0"):
        opened(tmp_path, {"pool.p": torch.zeros(WIDTH)})


def test_very_many_layers_beside_the_trunk_are_refused_before_they_are_compared(tmp_path):
    parts = {f"h{number}": nn.LayerNorm(WIDTH) for number in range(MOST_LAYERS + 1)}
    with pytest.raises(
        SimvisError, match=r"with 201 layers beside the trunk, such as h0, h1, h2; .*: say layers\.h0=out"
    ):
        opened(tmp_path, parts)
    assert same(opened(tmp_path, parts, head="none").network, POOL)
    out = {"layers": dict.fromkeys([*parts][1:], "out")}
    assert same(opened(tmp_path, parts, choices=out).network, POOL, parts["h0"])
