"""The network as one thing: features, embeddings, verdicts, poolings, fingerprints."""

import copy

import pytest
import torch
from torch import nn

from simvis_core import POOLINGS, Activations, EmbeddingNetwork, Preprocess, SimvisError, explain_pair
from simvis_core.networks import backbone as backbones
from tests.backbones import Token
from tests.simvis_core import cases
from tests.simvis_core.cases import AFFINE_HEADS, BLACK_BOXES, HEADS

every_head = pytest.mark.parametrize("head", HEADS)


@pytest.fixture
def network_with(tiny_backbone, tiny_preprocess):
    """A real tiny network under a pooling and a head of the tables."""

    def make(head="none", pooling="avg", table=HEADS):
        width = POOLINGS[pooling].width(6, 2, 2)
        module = cases.make_head(head, width, torch.float32, table)
        return EmbeddingNetwork(tiny_backbone, pooling, module, tiny_preprocess, name="tiny")

    return make


@pytest.fixture
def pixels(tiny_preprocess, two_pictures):
    return tiny_preprocess.view(two_pictures[0]).pixels


@pytest.fixture
def square(tiny_preprocess, two_pictures):
    return tiny_preprocess.view(two_pictures[0], framing="square").pixels


@every_head
@pytest.mark.parametrize("pooling", POOLINGS)
def test_embed_and_decompose_agree(network_with, square, pooling, head):
    network = network_with(head, pooling)
    embedding = network.embed(square[None])[0]
    assert embedding.norm().item() == pytest.approx(1, abs=1e-5)
    assert torch.allclose(network.decompose(square).embedding, embedding, rtol=0, atol=1e-5)


@every_head
@pytest.mark.parametrize("pooling", POOLINGS)
def test_verdict_of_the_table_of_heads(network_with, pooling, head):
    assert network_with(head, pooling).verdict == ("exact" if head in AFFINE_HEADS else "exact at this input")


@pytest.mark.parametrize("head", BLACK_BOXES)
def test_a_black_box_has_its_verdict_and_refuses_to_be_decomposed(network_with, square, head):
    network = network_with(head, table=BLACK_BOXES)
    assert network.verdict == "black box"
    assert network.embed(square[None]).norm().item() == pytest.approx(1, abs=1e-5)
    with pytest.raises(SimvisError, match=r"tiny under 'avg', whose embedding is no sum over cells \(a black box\)"):
        network.decompose(square)


@pytest.mark.parametrize("pooling", ["avg", "max", "gem", "catavgmax"])
def test_score_is_the_cosine_of_embed(network_with, two_pictures, pooling):
    network = network_with("fc", pooling)
    pair = explain_pair(network, *two_pictures)
    a, b = (network.embed(view.pixels[None])[0] for view in (pair.view_a, pair.view_b))
    assert pair.score == pytest.approx((a @ b).item(), abs=1e-5)


@every_head
def test_a_decomposition_carries_its_own_verdict(network_with, square, head):
    assert network_with(head).decompose(square).verdict == network_with(head).verdict


def test_the_verdicts_of_all_poolings_run_the_backbone_once(tiny_preprocess):
    class Counts(nn.Conv2d):
        runs = 0

        def forward(self, x):
            self.runs += 1
            return super().forward(x)

    backbone = Counts(3, 6, 8, 8)
    network = EmbeddingNetwork(backbone, "avg", None, tiny_preprocess)
    assert {network.with_pooling(name).verdict for name in POOLINGS} == {"exact"}
    assert backbone.runs == 1


# Law 18: alone = in a batch; eval mode


def test_a_picture_alone_is_the_same_as_in_a_batch(network_with, pixels):
    network = network_with("fc+bn")
    batch = torch.stack([pixels, pixels.flip(2), torch.zeros_like(pixels)])
    alone = torch.cat([network.embed(one[None]) for one in batch])
    assert torch.allclose(network.embed(batch), alone, rtol=0, atol=1e-6)


def test_modules_are_put_into_eval_mode(tiny_preprocess):
    backbone = nn.Sequential(nn.Conv2d(3, 6, 8, 8), nn.BatchNorm2d(6), nn.Dropout(0.5)).train()
    network = EmbeddingNetwork(
        backbone, "avg", nn.Sequential(nn.BatchNorm1d(6), nn.Dropout(0.5)).train(), tiny_preprocess
    )
    x = torch.randn(2, 3, 16, 16)
    before = copy.deepcopy(backbone[1].running_mean)
    assert torch.equal(network.embed(x), network.embed(x))
    assert torch.equal(backbone[1].running_mean, before)


def test_features_and_embeddings_carry_no_gradient(network_with, pixels):
    network = network_with("fc")
    made = network.decompose(pixels)
    assert not any(t.requires_grad for t in (network.features(pixels[None]), made.cells, made.bias))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16], ids=str)
def test_features_follow_the_backbones_dtype(dtype):
    network = EmbeddingNetwork(nn.Conv2d(3, 6, 8, 8).to(dtype), "avg", None, Preprocess(short_side=16, stride=8))
    assert network.features(torch.rand(1, 3, 16, 16)).dtype == dtype
    summed = torch.float64 if dtype == torch.float64 else torch.float32
    assert network.decompose(torch.rand(3, 16, 16)).cells.dtype == summed


# Poolings


def test_with_pooling_shares_the_weights_and_leaves_the_network(tiny_network):
    other = tiny_network.with_pooling("gem:4")
    assert (other.backbone, other.head) == (tiny_network.backbone, tiny_network.head)
    assert (str(other.pooling), str(tiny_network.pooling)) == ("gem:4", "avg")
    assert str(other.trained_pooling) == "avg"


def test_with_pooling_finds_its_own_verdict(network_with, monkeypatch):
    network = network_with()
    assert network.verdict == "exact"
    other = network.with_pooling("max").with_head(cases.Normalise())
    assert other.verdict == "black box"


def test_with_backbone_shares_all_but_the_backbone(network_with):
    """Under an engine the weights, and so the fingerprint and the width, are the network's; the features are not."""
    network = network_with("fc", "max")
    network.name, network.architecture, network.origin = "named", "lib/net", "a file"
    width, verdict = network.width(), network.verdict
    shifted = nn.Sequential(network.backbone, nn.Softplus())
    run, new = network.with_backbone(shifted.train(), engine="other"), network.with_backbone(copy.deepcopy(shifted))
    for other in (run, new):
        for kept in ("head", "preprocess", "pooling", "trained_pooling", "name", "architecture", "origin"):
            assert getattr(other, kept) is getattr(network, kept)
        assert not other.backbone.training
        assert (other.width(), other.verdict) == (width, verdict)
        known = network._probes
        assert all(not torch.equal(one.features, known[size].features) for size, one in other._probes.items())
    assert (run.engine, run.fingerprint) == ("other", network.fingerprint)
    assert (new.engine, new.fingerprint == network.fingerprint) == ("eager", False)
    assert network.backbone is not shifted


def test_with_head_keeps_the_backbone_and_what_is_known_of_it(network_with, monkeypatch):
    network = network_with("fc")
    network.width()
    fingerprint = network.fingerprint
    wide, bare = network.with_head(nn.Linear(6, 9).train()), network.with_head(None)
    monkeypatch.setattr(network.backbone, "forward", None)  # another pass would end the test
    assert (wide.width(), bare.width(), wide.head.training) == (9, 6, False)
    assert len({network.fingerprint, wide.fingerprint, bare.fingerprint}) == 3
    assert network.fingerprint == fingerprint


class Shown(nn.Module):
    """Runs another backbone and shows its members."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def __getattr__(self, name):
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("inner"), name)

    def forward(self, pixels):
        return self.inner(pixels)


class Told(Token):
    """Has every member that the core looks for."""

    def inner_parts(self, activations):
        return activations.features.permute(1, 2, 0), activations.pooled

    def attentions(self, pixels):
        return pixels.double()


@pytest.mark.parametrize("backbone", [Told(), Shown(Told())], ids=["itself", "through another"])
def test_a_backbones_members_are_found_also_through_one_that_shows_them(backbone, tiny_preprocess):
    """As one that runs elsewhere, or by another engine, does."""
    activations = EmbeddingNetwork(backbone, "token", None, tiny_preprocess).activations(torch.rand(1, 3, 16, 24)).one()
    assert backbones.inner_pooling(backbone) == "token"
    assert torch.equal(backbones.inner_parts(backbone, activations)[1], activations.pooled)
    assert backbones.attentions(backbone, torch.zeros(1, 3, 8, 8)).dtype == torch.float64


def test_with_pooling_leaves_the_cached_fingerprint(tiny_network):
    assert tiny_network.fingerprint == tiny_network.with_pooling("max").fingerprint


@pytest.mark.parametrize(
    ("head", "names"),
    [
        ("none", list(POOLINGS)),
        ("fc", ["avg", "max", "gem", "avgmax"]),
        ("layer norm", ["avg", "max", "gem", "avgmax"]),
        ("bn+relu", ["avg", "max", "gem", "avgmax"]),
    ],
)
def test_poolings_names_those_the_head_takes(network_with, head, names):
    assert list(network_with(head).poolings) == names


@every_head
def test_every_pooling_offered_works(network_with, square, head):
    for pooling in network_with(head).poolings:
        network_with(head).with_pooling(pooling).decompose(square)


def test_a_wide_head_offers_only_the_pooling_it_was_trained_with(network_with):
    assert network_with("fc", "catavgmax").poolings == ("catavgmax",)
    assert network_with("fc", "flatten").poolings == ("flatten",)


# Fingerprint


def test_equal_networks_have_equal_fingerprints(tiny_network):
    assert copy.deepcopy(tiny_network).fingerprint == tiny_network.fingerprint
    again = EmbeddingNetwork(copy.deepcopy(tiny_network.backbone), "max", tiny_network.head, tiny_network.preprocess)
    assert again.fingerprint == tiny_network.fingerprint


def test_the_fingerprint_knows_weights_buffers_and_preprocessing(tiny_network):
    def changed(change):
        parts = [copy.deepcopy(part) for part in (tiny_network.backbone, tiny_network.head)]
        change(*parts)
        return EmbeddingNetwork(parts[0], "avg", parts[1], tiny_network.preprocess).fingerprint

    prints = {
        tiny_network.fingerprint,
        changed(lambda backbone, head: head.bias.data.add_(1e-3)),
        changed(lambda backbone, head: backbone[0].weight.data.mul_(1.001)),
        changed(lambda backbone, head: backbone[1].running_mean.add_(0.1)),
        EmbeddingNetwork(tiny_network.backbone, "avg", None, tiny_network.preprocess).fingerprint,
        EmbeddingNetwork(tiny_network.backbone, "avg", tiny_network.head, Preprocess(stride=8)).fingerprint,
    }
    assert len(prints) == 6


def test_the_fingerprint_takes_scalars_bools_and_empty_buffers():
    backbone = nn.Conv2d(3, 6, 8, 8)
    for name, buffer in (("flag", torch.tensor(True)), ("count", torch.tensor(3)), ("empty", torch.empty(0, 4))):
        backbone.register_buffer(name, buffer)
    assert len(EmbeddingNetwork(backbone).fingerprint) == 64


# What a network cannot do


class Returns(nn.Module):
    def __init__(self, value):
        super().__init__()
        self.value = value

    def forward(self, _):
        return self.value


@pytest.mark.parametrize(
    ("value", "got"),
    [(torch.zeros(1, 6), r"features of shape \(1, 6\)"), ((torch.zeros(1, 6, 2, 2),), "a tuple"), ({}, "a dict")],
)
def test_a_backbone_must_give_feature_maps(value, got):
    with pytest.raises(SimvisError, match=rf"{got} from the backbone of mine; wanted \(B, C, H, W\): give a backbone"):
        EmbeddingNetwork(Returns(value), name="mine").features(torch.zeros(1, 3, 8, 8))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_features_must_be_finite(value):
    broken = torch.zeros(1, 6, 2, 2)
    broken[0, 3, 1, 0] = value
    with pytest.raises(SimvisError, match="features with NaN or infinity from mine"):
        EmbeddingNetwork(Returns(broken), name="mine").features(torch.zeros(1, 3, 8, 8))


@pytest.mark.parametrize("value", [0.0, 1e30, float("nan")])
def test_an_embedding_without_a_direction_is_refused(value):
    network = EmbeddingNetwork(nn.Identity())
    with pytest.raises(SimvisError, match=r"an embedding of length (0|inf|nan) from your network"):
        network.decompose_features(torch.full((6, 2, 2), value))


def test_one_empty_picture_of_a_batch_is_refused():
    batch = torch.rand(3, 6, 2, 2)
    batch[1] = 0
    with pytest.raises(SimvisError, match="an embedding of length 0"):
        EmbeddingNetwork(Returns(batch)).embed(torch.zeros(3, 3, 8, 8))


def test_a_head_of_another_width_names_the_cure(network_with, square):
    network = network_with("fc").with_pooling("catavgmax")
    with pytest.raises(
        SimvisError, match=r"Got 12 pooled features for the head of tiny; wanted 6 features: .*trained with"
    ):
        network.embed(square[None])


def test_flatten_refuses_a_view_of_another_size(network_with, pixels):
    with pytest.raises(SimvisError, match=r"36 pooled features .* wanted 24 features: .*view of the trained size"):
        network_with("fc", "flatten").decompose(pixels)


def test_a_float32_head_with_a_large_offset_is_still_split(tiny_backbone, tiny_preprocess, two_pictures):
    bn = nn.BatchNorm1d(6).eval()
    bn.running_mean.fill_(100.0)
    network = EmbeddingNetwork(tiny_backbone, "avg", bn, tiny_preprocess)
    assert network.verdict == "exact"
    assert network.decompose(network.view(two_pictures[0]).pixels).verdict == "exact"


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("pooling", ["avg", "max", "gem"])
def test_a_network_in_half_precision_gives_unit_vectors_that_add_up(network_with, two_pictures, dtype, pooling):
    network = network_with("fc", pooling)
    usual = explain_pair(network, *two_pictures)
    network.backbone.to(dtype)
    network.head.to(dtype)
    try:
        pair = explain_pair(network, *two_pictures)
        assert network.features(pair.view_a.pixels[None]).dtype == dtype
    finally:
        network.backbone.float()
        network.head.float()
    assert pair.a.embedding.norm().item() == pytest.approx(1, abs=1e-5)
    assert float(pair.map_a.sum()) + pair.bias_part("a") == pytest.approx(pair.score, abs=1e-5)
    assert pair.score == pytest.approx(usual.score, abs=0.02)


# One forward pass for several poolings, and how wide an embedding is


def views_of(tiny_preprocess, two_pictures):
    return torch.stack([tiny_preprocess.view(picture, framing="square").pixels for picture in two_pictures * 2])


@pytest.mark.parametrize("pooling", POOLINGS)
def test_embed_activations_is_embed_without_the_pass(network_with, tiny_preprocess, two_pictures, pooling):
    network = network_with("fc", pooling)
    pixels = views_of(tiny_preprocess, two_pictures)
    activations = network_with().activations(pixels)
    assert torch.equal(network.embed_activations(activations), network.embed(pixels))


def test_embed_activations_carries_no_gradient_and_leaves_the_features(network_with, tiny_preprocess, two_pictures):
    activations = network_with().activations(views_of(tiny_preprocess, two_pictures))
    before = activations.features.clone()
    for head in ("leaky relu in place+fc", "fc"):
        assert not network_with(head).embed_activations(activations).requires_grad
    assert torch.equal(activations.features, before)


def test_embed_activations_refuses_as_embed_does(network_with):
    with pytest.raises(SimvisError, match="an embedding of length 0"):
        network_with().embed_activations(Activations(torch.zeros(2, 6, 2, 2)))
    with pytest.raises(SimvisError, match="pooling 'token' for tiny; wanted one of"):
        network_with(pooling="avg").with_pooling("token").embed_activations(Activations(torch.ones(2, 6, 2, 2)))


@pytest.mark.parametrize(
    ("pooling", "widths"), [("avg", (6, 6)), ("gem:4", (6, 6)), ("catavgmax", (12, 12)), ("flatten", (24, 54))]
)
def test_the_width_is_that_of_a_square_views_embedding(network_with, two_pictures, pooling, widths):
    network = network_with().with_pooling(pooling)
    assert (network.width(), network.width(24)) == widths
    for side, width in zip((16, 24), widths, strict=True):
        view = network.view(two_pictures[0], side, "square")
        assert network.embed(view.pixels[None]).shape == (1, width)


def test_the_width_is_the_heads(network_with):
    assert network_with("fc").width() == network_with("fc").width(32) == cases.LENGTH


def test_the_width_of_a_fixed_size_is_that_of_its_size(tiny_backbone):
    fixed = Preprocess(short_side=16, stride=8, fixed_size=(16, 24))
    assert EmbeddingNetwork(tiny_backbone, "flatten", None, fixed).width(160) == 6 * 2 * 3


def test_a_width_costs_one_pass_for_each_size_whatever_the_pooling(tiny_preprocess):
    class Counts(nn.Conv2d):
        runs = 0

        def forward(self, x):
            self.runs += 1
            return super().forward(x)

    network = EmbeddingNetwork(Counts(3, 6, 8, 8), "avg", None, tiny_preprocess)
    for name in POOLINGS:
        other = network.with_pooling(name)
        assert other.width(16) == other.width(16) > 0
        assert other.verdict == "exact"
        assert other.width(24) > 0
    assert network.backbone.runs == 2


def test_the_width_of_a_head_that_does_not_fit_is_told(network_with):
    with pytest.raises(SimvisError, match="12 pooled features for the head of tiny; wanted 6 features"):
        network_with("fc").with_pooling("catavgmax").width()
