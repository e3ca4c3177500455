"""What a checkpoint's file cannot tell: decided by structure, or asked for, and every answer can be said and kept."""

# isort: off
import model_zoo.operators  # noqa: F401  (timm and torchvision cannot be imported before it)

# isort: on
import json

import pytest
import timm
import torch
import torchvision
from pytorch_metric_learning import losses
from torch import nn
from torch.nn.functional import normalize

from model_zoo.checkpoint_choices import Choices, UndecidedError, parse_choices, read_choices
from model_zoo.checkpoints import open_checkpoint
from simvis_core import SimvisError
from simvis_core.heads import UnitLength

PIXELS = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))


def shaken(module, seed=0):
    """The module with offsets and statistics of its own, as training would leave them."""
    generator = torch.Generator().manual_seed(seed)
    for tensor in (*module.parameters(), *module.buffers()):
        if tensor.ndim == 1 and tensor.is_floating_point():
            tensor.data += 0.3 * torch.rand(tensor.shape, generator=generator)
    return module.eval()


@pytest.fixture(scope="module")
def trunk():
    torch.manual_seed(0)
    return shaken(timm.create_model("resnet18", num_classes=0, global_pool=""))


def under(prefix, module):
    return {f"{prefix}.{key}": tensor for key, tensor in module.state_dict().items()}


def opened(tmp_path, trunk, parts, architecture="timm/resnet18", **options):
    state = {**under("net", trunk)}
    for name, part in parts.items():
        state |= under(name, part) if isinstance(part, nn.Module) else {name: part}
    torch.save(state, tmp_path / "m.pth")
    return open_checkpoint(tmp_path / "m.pth", architecture, **options)


def same(network, *modules, pixels=PIXELS):
    with torch.no_grad():
        wanted = pixels
        for module in modules:
            wanted = module(wanted)
    wanted = normalize(wanted.flatten(1), dim=-1)
    return (network.embed(pixels) * wanted).sum(1).min() > 1 - 1e-6


POOL = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())


def embedder(gives=16):
    torch.manual_seed(1)
    return shaken(nn.Sequential(nn.Linear(512, gives), nn.BatchNorm1d(gives)))


def asks(tmp_path, trunk, parts, **options):
    with pytest.raises(UndecidedError) as caught:
        opened(tmp_path, trunk, parts, **options)
    return {doubt.key: list(doubt.options) for doubt in caught.value.doubts if doubt.taken is None}, str(caught.value)


# Class weights of a loss

LOSSES = ("ArcFaceLoss", "CosFaceLoss", "LargeMarginSoftmaxLoss", "NormalizedSoftmaxLoss", "ProxyAnchorLoss")
LOSSES += ("ProxyNCALoss", "SoftTripleLoss", "SphereFaceLoss", "SubCenterArcFaceLoss")


@pytest.mark.parametrize("name", LOSSES)
def test_the_state_of_metric_learnings_losses_is_never_a_layer(tmp_path, trunk, name):
    """Under a name that says nothing, fewer classes than features."""
    head, loss = embedder(), getattr(losses, name)(num_classes=7, embedding_size=16)
    try:
        network = opened(tmp_path, trunk, {"neck": head, "thing": loss}).network
    except UndecidedError as error:
        assert [doubt.key.split(".")[1] for doubt in error.doubts if doubt.taken is None] == ["thing"]
        only = error.doubts[0].key
        network = opened(tmp_path, trunk, {"neck": head, "thing": loss}, choices={"layers": {only[7:]: "out"}}).network
    assert same(network, trunk, POOL, head)


@pytest.mark.parametrize(
    "parts",
    [
        {"arc.weight": torch.ones(40, 16)},
        {"thing.kernel": torch.ones(16, 40)},
        {"mystery": torch.ones(40, 16)},
        {"sub.weight": torch.ones(3, 40, 16)},
        {"margins.weight": torch.ones(7, 16)},
        {"transposed.weight": torch.ones(16, 7)},
    ],
    ids=str,
)
def test_a_matrix_beside_an_embedding_is_left_out_and_told(tmp_path, trunk, parts):
    head = embedder()
    found = opened(tmp_path, trunk, {"neck": head, **parts})
    assert same(found.network, trunk, POOL, head)
    assert any(line.endswith("taken for the class weights of a loss") for line in found.report.left_out)
    [name] = [doubt.key for doubt in found.report.doubts if doubt.key.startswith("layers.")]
    assert f"{name}=" in found.report.sentence() or list(found.report.doubts[0].options) == ["out"]


def test_a_lone_matrix_behind_the_trunk_is_asked_for_and_both_answers_hold(tmp_path, trunk):
    torch.manual_seed(2)
    proj = nn.Linear(512, 8, bias=False)
    questions, sentence = asks(tmp_path, trunk, {"proj": proj})
    assert questions == {"layers.proj": ["out", "behind"]}
    assert "a layer of the embedding, or the class weights of a loss" in sentence
    assert "--choice" in sentence
    layer = opened(tmp_path, trunk, {"proj": proj}, choices={"layers": {"proj": "behind"}})
    assert same(layer.network, trunk, POOL, proj)
    assert same(opened(tmp_path, trunk, {"proj": proj}, choices={"layers": {"proj": "out"}}).network, trunk, POOL)


def test_a_projection_kept_as_inputs_by_outputs_can_be_said(tmp_path, trunk):
    torch.manual_seed(3)
    matrix = torch.randn(512, 8)
    assert asks(tmp_path, trunk, {"visual": nn.ParameterList([]), "visual.proj": matrix})[0] == {
        "layers.visual.proj": ["out", "transposed"]
    }
    found = opened(tmp_path, trunk, {"visual.proj": matrix}, choices={"layers": {"visual.proj": "transposed"}})
    project = nn.Linear(512, 8, bias=False)
    project.weight.data = matrix.T
    assert same(found.network, trunk, POOL, project)


# In front of the pooling


def test_a_convolution_with_norm_and_activation_stands_where_it_is_said_to(tmp_path, trunk):
    torch.manual_seed(4)
    block = shaken(nn.Sequential(nn.Conv2d(512, 9, 1), nn.BatchNorm2d(9), nn.ReLU()), 3)
    neck = shaken(nn.BatchNorm1d(9), 4)
    parts = {"reduce": block, "neck": neck}
    assert asks(tmp_path, trunk, parts)[0] == {"layers.reduce.0": ["front", "behind"]}
    front = {"layers": {"reduce": "front", "neck": "behind"}}
    assert asks(tmp_path, trunk, parts, choices=front)[0]["steps.pooling"][:2] == ["none", "relu"]
    for pooling, pool in ((None, POOL), ("max", nn.AdaptiveMaxPool2d(1))):
        found = opened(tmp_path, trunk, parts, pooling=pooling, choices={**front, "steps": {"pooling": "relu"}})
        assert same(found.network, trunk, block, pool, nn.Flatten(), neck)
        assert "in front of the pooling Linear 512 -> 9, BatchNorm 9, ReLU" in found.report.head
    behind = opened(tmp_path, trunk, {"reduce": block[:2]}, choices={"layers": {"reduce": "behind"}})
    assert same(behind.network, trunk, nn.AdaptiveAvgPool2d(1), block[:2])
    with pytest.raises(SimvisError, match="head that does not fit"):
        opened(tmp_path, trunk, {"reduce": nn.Conv2d(500, 9, 1)})


@pytest.mark.parametrize(("side", "pixels"), [(7, 224), (4, 112), (12, 384)])
def test_a_face_networks_head_normalises_maps_and_lays_them_flat(tmp_path, trunk, side, pixels):
    torch.manual_seed(5)
    head = nn.Sequential(
        nn.BatchNorm2d(512), nn.Dropout(), nn.Flatten(), nn.Linear(512 * side**2, 8), nn.BatchNorm1d(8)
    )
    shaken(head, 5)
    choices = {"view": 112} if side == 4 else None
    if side == 4:
        assert asks(tmp_path, trunk, {"output_layer": head})[0] == {"view": ["112", "128"]}
    network = opened(tmp_path, trunk, {"output_layer": head}, choices=choices).network
    assert network.preprocess.fixed_size == (pixels, pixels)
    assert same(network, trunk, head, pixels=torch.randn(1, 3, pixels, pixels))
    assert network.verdict == "exact"


# Predictors


def mlp(*widths):
    torch.manual_seed(6)
    layers = []
    for takes, gives in zip(widths[:-1], widths[1:], strict=True):
        layers += [nn.Linear(takes, gives, bias=False), nn.BatchNorm1d(gives), nn.ReLU()]
    return shaken(nn.Sequential(*layers[:-2]))


@pytest.mark.parametrize("name", ["predictor", "online_predictor", "q", "heads.second"])
def test_a_predictor_is_left_out_and_told(tmp_path, trunk, name):
    projector, predictor = mlp(512, 24, 16), mlp(16, 40, 16)
    parts = {"projector": projector, name: predictor}
    found = opened(tmp_path, trunk, parts, between="relu")
    assert same(found.network, trunk, POOL, projector)
    assert any("predictor" in line and line.startswith(name) for line in found.report.left_out)
    whole = opened(tmp_path, trunk, parts, between="relu", choices={"layers": {name: "behind"}})
    assert same(whole.network, trunk, POOL, projector, nn.ReLU(), predictor)


# An embedding at a classifier's end


def full(name, place, layer):
    torch.manual_seed(7)
    library, _, inner = name.partition("/")
    network = timm.create_model(inner) if library == "timm" else torchvision.models.get_model(inner, weights=None)
    parent, _, last = place.rpartition(".")
    setattr(network.get_submodule(parent), last, layer)
    return shaken(network)


@pytest.mark.parametrize(
    ("name", "place", "layer"),
    [
        ("torchvision/squeezenet1_1", "classifier.1", lambda: nn.Conv2d(512, 16, 1)),
        ("torchvision/alexnet", "classifier.6", lambda: nn.Linear(4096, 16, bias=False)),
        ("timm/vgg11", "head.fc", lambda: nn.Linear(4096, 16)),
    ],
)
def test_an_embedding_at_the_end_of_a_classifier_is_the_embedding(tmp_path, name, place, layer):
    network = full(name, place, layer())
    torch.save(network.state_dict(), tmp_path / "m.pth")
    pixels = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(8))
    for head in ("auto", "keep"):
        assert same(open_checkpoint(tmp_path / "m.pth", name, head=head).network, network, pixels=pixels)
    assert open_checkpoint(tmp_path / "m.pth", name, head="none").report.head == "none"


def test_a_classifier_that_ends_early_is_asked_about(tmp_path):
    network = full("torchvision/alexnet", "classifier.6", nn.Identity())
    torch.save(network.state_dict(), tmp_path / "m.pth")
    pixels = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(8))
    with pytest.raises(UndecidedError, match="ReLU|relu"):
        open_checkpoint(tmp_path / "m.pth", "torchvision/alexnet")
    found = open_checkpoint(tmp_path / "m.pth", "torchvision/alexnet", choices={"steps": {"end": "relu"}})
    assert same(found.network, network, pixels=pixels)


def test_an_embedding_in_a_module_called_a_classifier_is_asked_for(tmp_path, trunk):
    torch.manual_seed(9)
    block, classes = embedder(), nn.Sequential(nn.Linear(16, 7))
    parts = {"classifier.add_block": block, "classifier.classifier": classes}
    questions, _ = asks(tmp_path, trunk, parts)
    assert questions == {"layers.classifier": ["out", "behind"]}
    said = {"layers": {"classifier": "behind", "classifier.classifier": "out"}}
    assert same(opened(tmp_path, trunk, parts, choices=said).network, trunk, POOL, block)


# Unit length, GeM


def test_a_step_to_unit_length_is_stated_and_can_be_said(tmp_path, trunk):
    head = nn.Linear(512, 8)
    nn.init.normal_(head.bias)
    found = opened(tmp_path, trunk, {"fc": head})
    assert same(found.network, trunk, POOL, head)
    assert "a step to unit length in front of fc" in found.report.sentence()
    assert "or say steps.fc=unit" in found.report.sentence()
    said = opened(tmp_path, trunk, {"fc": head}, choices={"steps": {"fc": "unit"}})
    assert same(said.network, trunk, POOL, UnitLength(), head)
    assert "not told by the file" not in said.report.sentence()
    assert said.network.verdict == "exact at this input"


@pytest.mark.parametrize("shape", [(512,), (1, 512, 1, 1), (1,)], ids=str)
def test_gem_with_an_exponent_for_each_channel_or_a_small_one(tmp_path, trunk, shape):
    p = 0.4 + 3 * torch.rand(shape, generator=torch.Generator().manual_seed(9)) * (len(shape) + shape[0] > 2)
    head = embedder()
    found = opened(tmp_path, trunk, {"neck": head, "pool.p": p})
    with torch.no_grad():
        power = p.reshape(-1, 1, 1)
        pooled = trunk(PIXELS).clamp(min=1e-6).pow(power).mean((2, 3)).pow(1 / power[:, 0, 0])
        wanted = normalize(head(pooled), dim=-1)
    assert (found.network.embed(PIXELS) - wanted).abs().max() < 1e-5
    assert found.network.verdict == "exact at this input"
    assert "behind GeM with " in found.report.head
    with pytest.raises(SimvisError, match=r"exponents of GeM .*wanted numbers above 0"):
        opened(tmp_path, trunk, {"pool.p": torch.zeros(512)})


# The choices


def test_the_reports_file_gives_the_same_network_and_lists_what_else_could_be_said(tmp_path, trunk):
    torch.manual_seed(10)
    head = nn.Sequential(nn.Linear(512, 9), nn.ReLU(), nn.Linear(9, 8))
    parts = {"head": head, "arc.weight": torch.ones(40, 8)}
    found = opened(tmp_path, trunk, parts, choices={"steps": {"head.2": "relu"}})
    found.report.write(tmp_path / "choices.json")
    told = json.loads((tmp_path / "choices.json").read_text())
    assert told["layers"] == {"arc": "out"}
    assert {entry["key"] for entry in told["open"]} == {"layers.arc", "steps.head.2"}
    again = opened(tmp_path, trunk, parts, choices=str(tmp_path / "choices.json"))
    assert again.network.fingerprint == found.network.fingerprint
    assert same(again.network, trunk, POOL, head)
    with pytest.raises(SimvisError, match="cannot be written"):
        found.report.write(tmp_path / "no" / "choices.json")


def test_a_sorted_files_order_can_be_said(tmp_path, trunk):
    torch.manual_seed(11)
    reduce, norm = nn.Linear(512, 512), shaken(nn.BatchNorm1d(512))
    from safetensors.torch import save_file

    save_file({**under("net", trunk), **under("reduce", reduce), **under("bn", norm)}, tmp_path / "m.safetensors")
    with pytest.raises(UndecidedError, match="order=bn,reduce") as caught:
        open_checkpoint(tmp_path / "m.safetensors", "timm/resnet18")
    assert list(caught.value.doubts[0].options) == ["bn,reduce", "reduce,bn"]
    for order, modules in (("bn,reduce", (norm, reduce)), ("reduce,bn", (reduce, norm))):
        choices = Choices().said("order", order)
        network = open_checkpoint(tmp_path / "m.safetensors", "timm/resnet18", choices=choices).network
        assert same(network, trunk, POOL, *modules)


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        ({"layers": {"arc": "elsewhere"}}, "layers.arc='elsewhere'; wanted one of behind, front"),
        ({"steps": {"fc": "tanh"}}, "steps.fc='tanh'; wanted one of none, relu"),
        ({"steps": ["fc"]}, "a dict by names of layers"),
        ({"order": "fc"}, "a list of layers"),
        ({"pooling": "sum"}, "pooling 'sum'"),
        ({"view": 0}, "a side from 1 to 4096 pixels"),
        ({"colour": 1}, "the choice 'colour'; wanted one of pooling, head"),
        ({"between": "tanh"}, "between='tanh'"),
    ],
)
def test_answers_that_there_are_not_are_refused(tmp_path, choices, words):
    (tmp_path / "c.json").write_text(json.dumps(choices))
    for given in (choices, tmp_path / "c.json"):
        with pytest.raises(SimvisError) as caught:
            read_choices(given)
        assert words in str(caught.value)


def test_files_of_choices_that_cannot_be_read_and_names_that_are_not_there(tmp_path, trunk):
    for content, words in (("{", "which is no JSON"), ("[1]", "which holds a list"), ("\x00", "which is no JSON")):
        (tmp_path / "c.json").write_text(content)
        with pytest.raises(SimvisError, match=words):
            read_choices(tmp_path / "c.json")
        with pytest.raises(SimvisError, match=words):
            parse_choices(content)
    with pytest.raises(SimvisError, match="which cannot be read"):
        read_choices(tmp_path / "none.json")
    for choices, name in (({"layers": {"arc": "out"}}, "layers.arc"), ({"steps": {"fc2": "unit"}}, "steps.fc2")):
        with pytest.raises(SimvisError, match=f"the choice {name}, which this checkpoint has no place for"):
            opened(tmp_path, trunk, {"fc": nn.Linear(512, 8)}, choices=choices)
    assert parse_choices(" ") == Choices()
