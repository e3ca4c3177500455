"""The affine maps behind five layers of every bundled network and of twenty architectures of timm, in float64."""

from dataclasses import replace
from functools import cache

import pytest
import torch

import model_zoo
from simvis_core import SimvisError
from simvis_core.networks.depth.behind import Behind
from simvis_core.networks.depth.cuts import dial

pytestmark = pytest.mark.slow

SIDE, LAYERS = 64, 5
ARCHITECTURES = [
    f"timm/{name}"
    for name in (
        "convnext_atto",
        "convnextv2_atto",
        "deit_tiny_distilled_patch16_224",
        "densenet121",
        "edgenext_xx_small",
        "efficientnet_b0",
        "ghostnetv2_100",
        "hgnetv2_b0",
        "inception_next_atto",
        "mambaout_femto",
        "mobilenetv3_small_050",
        "poolformer_s12",
        "pvt_v2_b0",
        "regnety_002",
        "repvgg_a0",
        "resnet26d",
        "seresnet50",
        "swin_tiny_patch4_window7_224",
        "vit_tiny_patch16_224",
        "xcit_nano_12_p16_224",
    )
]


@cache
def double(name):
    """The network in float64, with what is drawn as 0 (offsets, gains of branches) drawn anew."""
    network = model_zoo.untrained(name) if "/" in name else model_zoo.load(name)
    torch.manual_seed(0)
    for module in (network.backbone, network.head):
        for parameter in () if module is None else module.double().parameters():
            if ("/" in name and len(parameter.unique()) == 1) or parameter.abs().max() < 1e-4:
                parameter.data += torch.randn_like(parameter) * 0.2
    side = network.preprocess.fixed_size or (SIDE, SIDE)
    network.preprocess = replace(network.preprocess, short_side=min(side))
    return network, torch.randn(2, 3, *side, dtype=torch.float64)


def few_cuts(network):
    """Layers from the first to the last, evenly."""
    cuts = network.cuts
    return [cuts[at * (len(cuts) - 1) // (LAYERS - 1)] for at in range(LAYERS)]


@pytest.mark.parametrize("name", [*model_zoo.bundled(), *ARCHITECTURES])
def test_the_affine_map_behind_five_layers_gives_the_networks_embedding(name):
    network, (a, b) = double(name)
    query = network.embed(b[None])[0]
    with torch.no_grad():
        raw = network.raw_embedding(a[None])[0]
    found = few_cuts(network)
    for cut in found:
        deep = network.at(cut.layer)
        made = deep.decompose(a)
        given = Behind(network.backbone, cut.layer).front(a[None])[0]
        product = torch.autograd.functional.jvp(made.moves.replay, given, given)[1]
        offset = made.moves.replay(torch.zeros_like(given))
        assert (product + offset - raw).abs().max() < 1e-9 * max(1.0, offset.abs().max().item()), cut
        assert abs(made.similarity_map(query).sum() + made.bias @ query - made.embedding @ query) < 1e-9, cut
        assert (made.region_query(torch.ones(made.grid)) + made.bias - made.embedding).abs().max() < 1e-9, cut
    assert len({cut.layer for cut in found}) >= 4


@pytest.mark.parametrize(
    "name", ["efficientnet_lite0", "timm/swin_tiny_patch4_window7_224", "timm/vit_tiny_patch16_224"]
)
def test_whole_tables_of_cells_are_what_the_moves_say(name):
    network, (a, b) = double(name)
    query = network.embed(b[None])[0]
    cut = next(cut for cut in network.cuts if cut.grid[0] <= 8)
    for rule in ("frozen", "path"):
        made = network.at(cut.layer, rule).decompose(a)
        assert (made.cells @ query - made.similarity_map(query)).abs().max() < 1e-9
        assert (made.cells.sum((0, 1)) + made.bias - made.embedding).abs().max() < 1e-9


def test_linear_attention_that_computes_in_single_precision_adds_up_to_it():
    network = model_zoo.untrained("timm/efficientvit_b0")
    a, b = torch.randn(2, 3, SIDE, SIDE)
    query = network.embed(b[None])[0]
    for cut in few_cuts(network):
        made = network.at(cut.layer).decompose(a)
        assert abs(made.similarity_map(query).sum() + made.bias @ query - made.embedding @ query) < 1e-5, cut


@pytest.mark.parametrize(
    ("name", "stages"),
    [
        ("resnet18", ["traced.layer3", "traced.layer2", "traced.layer1", "traced.relu", "pixels"]),
        ("shufflenet_v2_x0_5", ["traced.stage3", "traced.stage2", "traced.maxpool", "traced.conv1", "pixels"]),
        ("regnet_y_400mf", [*(f"traced.trunk_output.block{at}" for at in (3, 2, 1)), "traced.stem", "pixels"]),
        ("convnext_tiny", [*(f"traced.features.{at}.0" for at in (6, 4, 2)), "pixels"]),
    ],
)
def test_the_stages_of_torchvisions_networks_are_cuts(name, stages):
    network = model_zoo.untrained(f"torchvision/{name}")
    assert [cut.layer for cut in dial(network.cuts, inner=False)] == stages


def test_an_unknown_layer_of_a_real_network_is_refused_with_near_names():
    network, _ = double("mobilenet_v2")
    with pytest.raises(SimvisError, match=r"layer 'block\.3', which the network does not have; wanted a"):
        network.at("block.3")
