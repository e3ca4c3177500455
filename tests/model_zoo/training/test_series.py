"""Networks by step: a series gives the network that was stored, whatever its kind; a plain folder likewise."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.functional import normalize

import model_zoo
from model_zoo.training.numbered import numbered
from model_zoo.training.states import at_side, base_of, drawn, state_of, with_state
from simvis_core import EmbeddingNetwork, SimvisError
from simvis_core.progress.series_files import SeriesFiles

TINY = "timm/test_resnet"
PIXELS = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(1))
HEADS = {
    "none": lambda width: None,
    "fc": lambda width: nn.Linear(width, 7),
    "fc without bias": lambda width: nn.Linear(width, 7, bias=False),
    "fc and batch norm": lambda width: nn.Sequential(nn.Linear(width, 7), nn.BatchNorm1d(7)),
    "batch norm, whitening": lambda width: nn.Sequential(nn.BatchNorm1d(width, affine=False), nn.Linear(width, 5)),
}


def trained(network, head=None, seed=0):
    """A copy of the network with weights and statistics of its own and perhaps another head."""
    generator = torch.Generator().manual_seed(seed)
    backbone, head = copy.deepcopy(network.backbone), copy.deepcopy(network.head) if head is None else head
    for module in (backbone, head):
        for tensor in () if module is None else (*module.parameters(), *module.buffers()):
            if tensor.is_floating_point():
                tensor.data += 0.1 * tensor.data.abs().mean() * torch.rand(tensor.shape, generator=generator)
    return network.with_backbone(backbone).with_head(head)


@pytest.fixture(scope="module")
def tiny():
    return drawn(TINY, 3)


def written(folder, network, base, name=TINY, seed=3, pooling="avg", **options):
    files = SeriesFiles(folder, "run", name, pooling, base=base_of(name, base, seed), **options)
    files.add(0, state_of(base), state_of(base))
    files.add(100, state_of(network), state_of(base), loss=0.5)
    return folder


@pytest.mark.parametrize("head", HEADS)
def test_a_step_is_the_network_that_was_stored(tmp_path, tiny, head):
    network = trained(tiny, HEADS[head](tiny.width()))
    opened = model_zoo.open_series(written(tmp_path, network, tiny, short_side=64))
    again = opened.network(100)
    assert torch.equal(again.embed(PIXELS), network.embed(PIXELS))
    assert not any(module.training for module in (again.backbone, again.head) if module is not None)
    assert again.verdict == "exact"
    assert again.preprocess.short_side == 64
    assert again.origin == f"step 100 of 'run', {TINY} trained under avg"
    assert again.fingerprint != opened.network(0).fingerprint
    assert torch.equal(opened.network(0).embed(PIXELS), tiny.embed(PIXELS))
    assert [one.loss for one in opened.steps] == [None, 0.5]


def test_the_trained_pooling_is_the_networks_and_another_is_a_what_if(tmp_path, tiny):
    network = trained(tiny)
    written(tmp_path, network, tiny, pooling="max")
    own, other = (
        model_zoo.open_series(tmp_path).network(100),
        model_zoo.open_series(tmp_path, pooling="gem:4").network(100),
    )
    assert (str(own.pooling), str(own.trained_pooling)) == ("max", "max")
    assert (str(other.pooling), str(other.trained_pooling)) == ("gem:4", "max")
    assert torch.equal(own.embed(PIXELS), network.with_pooling("max").embed(PIXELS))


def test_a_series_without_a_base_holds_all_of_each_step(tmp_path, tiny):
    network = trained(tiny, nn.Linear(tiny.width(), 3))
    SeriesFiles(tmp_path, "run", TINY, "avg").add(5, state_of(network))
    assert torch.equal(model_zoo.open_series(tmp_path).network(5).embed(PIXELS), network.embed(PIXELS))


@pytest.mark.network
@pytest.mark.parametrize("name", ["mobilenet_v2", "face_resnet29"])
def test_a_card_is_a_base_by_its_published_weights(tmp_path, name):
    """Half precision moves the embedding by a thousandth; a head behind a card's own is one more layer in the row."""
    base = model_zoo.load(name)
    added = nn.Linear(base.width(), 6)
    network = trained(base, added if base.head is None else nn.Sequential(copy.deepcopy(base.head), added))
    written(tmp_path, network, base, name, seed=None, half=True)
    side = base.preprocess.fixed_size or (64, 96)
    pixels = torch.randn(1, 3, *side, generator=torch.Generator().manual_seed(1))
    again = model_zoo.open_series(tmp_path).network(100)
    assert 0 < (again.embed(pixels) - network.embed(pixels)).norm() < 5e-3


def test_torchvisions_networks_are_bases_too(tmp_path):
    base = drawn("torchvision/squeezenet1_1", 3)
    network = trained(base)
    written(tmp_path, network, base, "torchvision/squeezenet1_1")
    assert torch.equal(model_zoo.open_series(tmp_path).network(100).embed(PIXELS), network.embed(PIXELS))


def test_a_seed_draws_equal_weights_and_leaves_the_random_state(tiny):
    torch.manual_seed(9)
    before = torch.get_rng_state()
    again = drawn(TINY, 3)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(again.embed(PIXELS), tiny.embed(PIXELS))
    assert not torch.equal(drawn(TINY, 4).embed(PIXELS), tiny.embed(PIXELS))
    assert drawn("mobilenet_v2", 1).origin == "mobilenet_v2 with weights drawn with seed 1"


def test_a_series_of_another_architecture_is_refused(tmp_path, tiny):
    written(tmp_path, trained(tiny), tiny)
    with pytest.raises(SimvisError, match="'run', a series of timm/test_resnet; wanted one of mobilenet_v2"):
        model_zoo.open_series(tmp_path, "mobilenet_v2")


def test_a_step_of_another_architecture_is_refused(tmp_path, tiny):
    files = SeriesFiles(tmp_path, "run", TINY, "avg")
    files.add(1, state_of(drawn("torchvision/squeezenet1_1", 3)))
    files.add(2, {name: one[:1] if name.endswith("conv1.0.weight") else one for name, one in state_of(tiny).items()})
    with pytest.raises(
        SimvisError, match=r"step 1 of 'run', whose .* is .*wanted the trunk of timm/test_resnet, where"
    ):
        model_zoo.open_series(tmp_path).network(1)


@pytest.mark.parametrize(
    ("head", "said"),
    [
        (nn.Sequential(nn.Linear(8, 7), nn.ReLU(), nn.Linear(7, 5)), "layers 0, 2"),
        (nn.LayerNorm(8), "a layer of bias, weight"),
        (nn.Sequential(nn.Linear(8, 7), nn.LayerNorm(7)), "a layer of bias, weight"),
        (nn.Sequential(nn.Bilinear(8, 7, 2)), "a layer of bias, weight"),
    ],
)
def test_a_head_of_layers_that_tensors_do_not_tell_is_refused(tiny, head, said):
    state = state_of(tiny) | {f"head.{name}": one for name, one in head.state_dict().items()}
    with pytest.raises(SimvisError, match=f"the step, whose head has {said}; wanted the network's own head, linear"):
        with_state(tiny, state, "the step")


def test_a_short_side_that_cuts_cells_is_refused(tiny):
    with pytest.raises(SimvisError, match="a short side of 50 pixels"):
        at_side(tiny, 50)
    assert at_side(tiny, 64).fingerprint != tiny.fingerprint
    assert at_side(tiny, None) is tiny


def test_another_base_is_refused(tmp_path, tiny):
    """As where a library draws other numbers from a seed than it did."""
    SeriesFiles(tmp_path, "run", TINY, "avg", base=base_of(TINY, drawn(TINY, 4), 5)).add(
        0, {}, state_of(drawn(TINY, 4))
    )
    with pytest.raises(SimvisError, match="other weights of timm/test_resnet drawn with seed 5 than 'run' began with"):
        model_zoo.open_series(tmp_path).network(0)


PML_BEST = ("trunk_best2.pth",)  # pytorch-metric-learning keeps the best beside the numbered ones


def checkpoints(folder, *names):
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).write_bytes(b"")
    return folder


@pytest.mark.parametrize(
    ("names", "steps", "rest"),
    [
        (("step_100.pt", "step_20.pt", "step_3.pt"), [3, 20, 100], ()),
        (("epoch-3.safetensors", "epoch-12.safetensors", "best.pt"), [3, 12], ("best.pt",)),
        (("resnet50_ep1.pth", "resnet50_ep10.pth"), [1, 10], ()),
        (("run2_epoch_1_acc0.5.pt", "run2_epoch_2_acc0.7.pt"), [1, 2], ()),
        (("vit16_7.ckpt", "vit16_9.ckpt"), [7, 9], ()),
        (("trunk_1.pth", "embedder_1.pth", "trunk_2.pth", "trunk_best2.pth", "embedder_best2.pth"), [1, 2], PML_BEST),
        (("7.pt", "8.tar"), [7, 8], ()),
    ],
)
def test_numbered_files_go_by_their_numbers(tmp_path, names, steps, rest):
    folder = checkpoints(tmp_path / "run", *names, "log.txt")
    found, left_out = numbered(folder)
    assert list(found) == steps
    assert left_out == rest


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ((), "which holds no weights; wanted checkpoints with numbers"),
        (("best.pt", "last.pt"), "which holds best.pt, last.pt; wanted checkpoints with numbers"),
        (("step_1.pt", "step_01.pt"), "'step_01.pt' and 'step_1.pt', both number 1"),
        (("step_1.pt", "step_1.safetensors"), "both number 1; wanted one file a number"),
        (("a_1.pt", "b_1.pt"), "as many files 'a_#' as 'b_#'; wanted one family"),
        (("a_1_2.pt", "a_2_3.pt"), "'a_1_2.pt' with 2 numbers that differ"),
    ],
)
def test_names_that_tell_no_step_are_refused(tmp_path, names, said):
    with pytest.raises(SimvisError, match=said):
        numbered(checkpoints(tmp_path / "run", *names))


def test_a_folder_that_is_none_is_refused(tmp_path):
    with pytest.raises(SimvisError, match="which is no folder"):
        model_zoo.open_series(tmp_path / "nothing", TINY)
    with pytest.raises(SimvisError, match="give the architecture of a folder of numbered checkpoints"):
        model_zoo.open_series(checkpoints(tmp_path / "run", "step_1.pt"))


def test_a_plain_folder_gives_each_checkpoints_network(tmp_path, tiny):
    import timm

    source = timm.create_model("test_resnet", num_classes=0).eval()
    torch.save(source.state_dict() | {"fc.weight": torch.eye(5, tiny.width())}, tmp_path / "epoch_2.pt")
    torch.save(timm.create_model("resnet10t", num_classes=0).state_dict(), tmp_path / "epoch_10.pt")
    (tmp_path / "epoch_11.pt").write_bytes(b"\x80\x02cut")
    opened = model_zoo.open_series(tmp_path, TINY)
    assert [one.step for one in opened.steps] == [2, 10, 11]
    network = opened.network(2)
    with torch.no_grad():
        assert torch.allclose(network.embed(PIXELS), normalize(source(PIXELS)[:, :5]), atol=1e-5)
    assert network.origin.startswith(f"step 2 of '{tmp_path.name}': epoch_2 for {TINY}")
    with pytest.raises(SimvisError, match=rf"\(step 10 of '{tmp_path.name}'\); wanted"):
        opened.network(10)
    with pytest.raises(SimvisError, match=rf"epoch_11.*\(step 11 of '{tmp_path.name}'\)"):
        opened.network(11)
    with pytest.raises(SimvisError, match=r"step 3 of .*; wanted one of 2, 10, 11"):
        opened.network(3)


def test_states_are_named_by_backbone_and_head():
    network = EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8), head=nn.Linear(4, 2))
    assert sorted(state_of(network)) == ["backbone.bias", "backbone.weight", "head.bias", "head.weight"]
