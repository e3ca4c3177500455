"""Which layers are cuts, which rule is proved how, and what is refused with a sentence."""

from collections import OrderedDict
from dataclasses import replace

import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn import functional

from simvis_core import Activations, EmbeddingNetwork, SimvisError, explain_features, explain_pair
from simvis_core.networks.depth import cuts, depth, path
from simvis_core.networks.depth.behind import Behind
from simvis_core.networks.depth.decomposed import DeepDecomposition
from simvis_core.networks.depth.gates import elementwise, freezing, norms, rules
from simvis_core.networks.depth.layouts import layout_of
from tests.simvis_core.cases import blank_view
from tests.simvis_core.networks.depth import tiny

FROZEN = tiny.marked((name, layer) for name, layer, rule in tiny.CASES if rule == "frozen")


def moves(name, layer, rule="frozen", **chosen):
    net = tiny.network(name).at(layer, rule, **chosen)
    return net.split(net.activations(tiny.pictures()[0][None]).one()).moves


# The check that can fail: three numbers that know nothing of each other.


@pytest.mark.parametrize(("name", "layer"), FROZEN)
def test_the_affine_map_behind_every_layer_gives_the_networks_raw_embedding(name, layer):
    made, net, pixels = moves(name, layer), tiny.network(name), tiny.pictures()[0]
    given = Behind(net.backbone, layer).front(pixels[None])[0]
    product = torch.autograd.functional.jvp(made.replay, given, given)[1]
    offset = made.replay(torch.zeros_like(given))
    with torch.no_grad():
        raw = net.raw_embedding(pixels[None])[0]
    assert (product + offset - raw).abs().max() < 1e-9
    other = torch.randn(given.shape, generator=torch.Generator().manual_seed(1), dtype=given.dtype)
    both = made.replay(given + other) - made.replay(given) - made.replay(other) + offset
    assert both.abs().max() < 1e-9


# Planted bugs


def dropped_offset(monkeypatch):
    """A batch norm whose offset the replay forgets."""
    without = norms.FrozenOperator(
        lambda call, gates: True,
        lambda kept, call: functional.batch_norm(call.args[0], *call.args[1:3], call.kwargs["weight"], eps=1e-5),
    )
    monkeypatch.setitem(rules.RULES, "batch_norm", without)


def open_gate(monkeypatch):
    """A sigmoid gate that takes part in the gradient."""
    monkeypatch.delitem(rules.RULES, "sigmoid")
    monkeypatch.setattr(freezing, "AFFINE", freezing.AFFINE | {"sigmoid"})


def glu_twice(monkeypatch):
    """Both factors of GLU are counted."""
    monkeypatch.delitem(rules.RULES, "glu")
    monkeypatch.setattr(freezing, "AFFINE", freezing.AFFINE | {"glu"})


def product_twice(monkeypatch):
    """Both factors of a product of two live branches are counted."""
    monkeypatch.setattr(elementwise, "is_live", lambda value: False)


def skipped_attention(monkeypatch):
    """Attention weights that take part in the gradient."""
    monkeypatch.delitem(rules.RULES, "scaled_dot_product_attention")
    monkeypatch.setattr(freezing, "AFFINE", freezing.AFFINE | {"scaled_dot_product_attention"})


@pytest.mark.parametrize(
    ("plant", "name", "layer"),
    [
        (open_gate, "convolutional", "3"),
        (glu_twice, "gated", "0"),
        (skipped_attention, "tokens", "blocks.0"),
    ],
)
def test_what_is_not_frozen_is_caught_in_every_map(monkeypatch, plant, name, layer):
    plant(monkeypatch)
    net, pixels = tiny.network(name), tiny.pictures()[0]
    query = net.embed(pixels[None])[0]
    with pytest.raises(SimvisError, match=f"shares at '{layer}' that are .* off the score .* an operator behind this"):
        net.at(layer).decompose(pixels).similarity_map(query)


def test_a_batch_norms_dropped_offset_is_caught(monkeypatch):
    dropped_offset(monkeypatch)
    with pytest.raises(SimvisError, match="another embedding behind layer '0' than the network's own"):
        tiny.network("convolutional").at("0").decompose(tiny.pictures()[0])


def test_a_frozen_map_asks_for_the_offsets_once_for_a_network_and_size():
    net, (a, b) = tiny.network("convolutional").at("2"), tiny.pictures()
    query = net.embed(a[None])[0]
    first = net.decompose(a)
    first.similarity_map(query)
    again, other = net.decompose(a), net.decompose(b)
    again.similarity_map(query)
    other.similarity_map(query)
    assert ["_offset" in one.moves.__dict__ for one in (first, again, other)] == [True, False, True]
    assert net.with_pooling("max").decompose(a).moves.checking
    assert not again.moves.checking
    again.bias  # noqa: B018
    assert again.moves.checking


def test_an_offset_that_only_the_replay_drops_is_caught(monkeypatch):
    net, pixels = tiny.network("convolutional"), tiny.pictures()[0]
    made = net.at("0").decompose(pixels)
    made.moves.__dict__["_offset"] = made.moves._offset * 0.9
    with pytest.raises(SimvisError, match="shares at '0' that are"):
        made.similarity_map(made.embedding)


def test_a_layer_that_is_no_cut_is_refused_and_would_be_caught(monkeypatch):
    net, pixels = tiny.network("convolutional"), tiny.pictures()[0]
    with pytest.raises(
        SimvisError, match=r"layer '4.norm' of convolutional, which is no cut: something of the picture"
    ):
        net.at("4.norm")
    monkeypatch.setattr(cuts, "is_cut", lambda *_: True)
    with pytest.raises(SimvisError, match=r"another embedding behind layer '4.norm' than the network's own"):
        net.at("4.norm").decompose(pixels)


# Cuts


def test_cuts_are_found_from_the_pixels_to_the_features():
    assert [tuple(cut) for cut in tiny.network("tokens").cuts] == [
        ("pixels", (16, 16)),
        ("patches", (4, 4)),
        ("blocks.0", (4, 4)),
        ("blocks.1", (4, 4)),
        ("blocks", (4, 4)),
        ("norm", (4, 4)),
    ]
    assert [cut.layer for cut in tiny.network("convolutional").cuts] == ["pixels", "0", "1", "2", "3", "4", "features"]


class Around(nn.Module):
    """One of its layers is passed by, and another one runs twice."""

    def __init__(self):
        super().__init__()
        self.stem, self.mid, self.act = nn.Conv2d(3, 4, 4, 4), nn.Conv2d(4, 4, 1), nn.ReLU()

    def forward(self, pixels):
        x = self.act(self.stem(pixels))
        return self.act(x + self.mid(x))


def test_a_layer_that_is_passed_by_or_runs_twice_is_no_cut():
    net = EmbeddingNetwork(Around(), preprocess=tiny.PREPROCESS)
    assert [cut.layer for cut in net.cuts] == ["pixels", "stem", "features"]
    for layer in ("mid", "act"):
        with pytest.raises(SimvisError, match=f"layer '{layer}' .* no cut"):
            net.at(layer)


def test_a_cut_leaves_the_backbone_as_it_is():
    net, pixels = tiny.network("convolutional"), tiny.pictures()[0][None]
    before = net.embed(pixels)
    deep = net.at("2")
    deep.decompose(pixels[0]).cells  # noqa: B018
    assert torch.equal(net.embed(pixels), before)
    assert torch.equal(deep.embed(pixels), before)
    assert all(p.requires_grad and p.grad is None for p in net.backbone.parameters())
    assert net.depth is None


def test_layouts_are_told_by_the_views_shape():
    assert layout_of((7, 7, 9), (224, 224)).kind == "channels last"
    assert layout_of((9, 7, 9), (224, 288)).kind == "maps"
    assert layout_of((253, 8), (224, 288)).grid == (14, 18)
    assert (layout_of((257, 8), (224, 224)).loose, layout_of((201, 8), (224, 224)).loose) == (1, 5)
    assert layout_of((5, 1, 1), (64, 64)) is None
    assert layout_of((3, 4, 49, 8), (64, 64)) is None


# The path


def test_a_paths_remainder_shrinks_with_its_steps_and_is_stated():
    one = moves("channels last", "stem", "path")
    lengths = [one.with_steps(steps).leftover()["remainder"].norm() for steps in (1, 4, 16)]
    assert lengths[0] > 10 * lengths[1] > 10 * lengths[2]


def test_a_pairs_paths_are_refined_until_the_remainder_is_small(monkeypatch):
    for share in ("SHARE_LEFT", "LEFT"):
        monkeypatch.setattr(path, share, 3e-4)  # which the first steps do not reach for a
    pair = tiny_pair("gated", "0", "path")
    limit = path.allowed(pair.score)
    for side, own in (("a", pair.a), ("b", pair.b)):
        assert abs(pair.bias_parts[side]["remainder"]) <= limit
        assert own.moves.steps <= path.MOST_PATH_STEPS
    assert pair.a.moves.steps > path.FIRST_STEPS
    assert pair.warnings == []


def test_a_remainder_that_does_not_shrink_is_told(monkeypatch):
    monkeypatch.setattr(path, "SHARE_LEFT", 1e-9)
    monkeypatch.setattr(path, "LEFT", 1e-9)
    monkeypatch.setattr(path, "MOST_PATH_STEPS", 16)
    pair = tiny_pair("gated", "0", "path")
    assert abs(pair.bias_parts["a"]["remainder"]) > path.allowed(pair.score)
    assert any("is in no cell (remainder)" in said for said in pair.warnings)
    assert pair.map_a.sum() + pair.bias_part("a") == pytest.approx(pair.score, abs=1e-9)


def tiny_pair(name, layer, rule, **chosen):
    net = tiny.network(name).at(layer, rule, **chosen)
    seen = [net.activations(one[None]).one() for one in tiny.pictures()]
    views = [blank_view((one.shape[1] // 2, one.shape[2] // 2)) for one in tiny.pictures()]
    return explain_features(net, *views, *seen)


def test_a_score_below_its_references_is_told():
    a, b = tiny.pictures()
    net = tiny.network("channels last")
    query = net.embed(b[None])[0]
    made = net.at("stem", "path", b).decompose(a)
    assert made.similarity_map(query).sum() < 0
    assert "its score 0.9971 is less than its reference's 0.9986: the cells sum to less" in made.notes(query)[-1]


def test_several_references_are_averaged():
    a, b = tiny.pictures()
    query = tiny.network("gated").embed(b[None])[0]
    alone = [tiny.network("gated").at("0", "path", one).decompose(a) for one in ("blur", "mean")]
    both = tiny.network("gated").at("0", "path", ["blur", "mean"]).decompose(a)
    assert torch.allclose(both.similarity_map(query), sum(one.similarity_map(query) for one in alone) / 2, atol=1e-12)
    assert torch.allclose(both.bias, sum(one.bias for one in alone) / 2, atol=1e-12)


@pytest.mark.slow
def test_a_slow_path_by_finite_differences_gives_the_cells():
    net, a = tiny.network("channels last"), tiny.pictures()[0]
    deep = net.at("stem", "path", "mean")
    cells = DeepDecomposition(deep.decompose(a).moves.with_steps(32), "exact at this input", "stem").cells
    cut = Behind(net.backbone, "stem")
    start, end = (cut.front(one[None]) for one in (torch.zeros_like(a), a))
    row, column, count, step = 1, 2, 400, 1e-4
    total = 0
    for at in range(count):
        here = start + (at + 0.5) / count * (end - start)
        moved = torch.zeros_like(here)
        moved[..., row, column] = (end - start)[..., row, column] * step
        ahead, behind = (
            functional.normalize(net.raw_from(cut.run(one, (16, 24)))[0], dim=0) for one in (here + moved, here - moved)
        )
        total = total + (ahead - behind).detach() / (2 * step) / count
    assert torch.allclose(cells[row, column], total, atol=1e-5)


# Bad input


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        ("blocs.1", "layer 'blocs.1', which the network does not have; wanted a layer of it, as blocks.1"),
        ("mlp.0", "layer 'mlp.0', which 2 modules are called"),
        ("features", "layer 'features' of tokens, which is no cut"),
    ],
)
def test_a_layer_that_there_is_not_is_refused_with_the_nearest(layer, said):
    with pytest.raises(SimvisError) as raised:
        tiny.network("tokens").at(layer)
    assert said in str(raised.value)


def test_the_end_of_a_path_is_enough():
    net = EmbeddingNetwork(nn.Sequential(tiny.convolutional()), preprocess=tiny.PREPROCESS)
    with pytest.raises(SimvisError, match="no cut"):
        net.at("norm")
    assert net.at("0.2").depth.layer == "0.2"
    wrapped = nn.Sequential(OrderedDict(body=tiny.ChannelsLast()))
    assert EmbeddingNetwork(wrapped, preprocess=tiny.PREPROCESS).at("group").depth.layer == "body.group"


class NormedTokens(nn.Module):
    """A batch norm whose gradient comes in transposed, where PyTorch's own is wrong on CPUs."""

    def __init__(self):
        super().__init__()
        self.stem, self.norm, self.last = nn.Conv2d(3, 4, 4, 4), nn.BatchNorm2d(4), nn.LayerNorm(4)

    def forward(self, pixels):
        x = self.norm(self.stem(pixels))
        return self.last(x.flatten(2).transpose(1, 2)).transpose(1, 2).unflatten(2, x.shape[2:])


@pytest.mark.parametrize("rule", ["frozen", "path"])
def test_a_batch_norm_in_front_of_tokens_has_the_right_gradient(rule):
    net, pixels = EmbeddingNetwork(NormedTokens().double(), preprocess=tiny.PREPROCESS), tiny.pictures()[0]
    made, query = net.at("stem", rule).decompose(pixels), torch.eye(4, dtype=torch.float64)[1]
    assert made.similarity_map(query).sum() == pytest.approx(float((made.embedding - made.bias) @ query), abs=1e-12)


class Vector(nn.Module):
    """All of the picture passes through one cell."""

    def __init__(self):
        super().__init__()
        self.stem, self.squeeze, self.back = nn.Conv2d(3, 4, 4, 4), nn.AdaptiveAvgPool2d(1), nn.Upsample(scale_factor=2)

    def forward(self, pixels):
        return self.back(self.squeeze(self.stem(pixels)))


def test_a_layer_without_a_grid_is_refused():
    net = EmbeddingNetwork(Vector(), preprocess=tiny.PREPROCESS)
    with pytest.raises(SimvisError, match=r"layer 'squeeze', whose output \(1, 4, 1, 1\) has no grid of cells"):
        net.at("squeeze")


class Odd(nn.Module):
    """An operator of its own behind the stem."""

    def __init__(self, operator):
        super().__init__()
        self.stem, self.operator = nn.Conv2d(3, 4, 4, 4), operator

    def forward(self, pixels):
        return self.operator(self.stem(pixels))


@pytest.mark.parametrize(
    ("operator", "name"),
    [
        (torch.sin, "sin"),
        (lambda x: x.sort(1).values, "sort"),
        (lambda x: x if x.mean().item() > 0 else -x, "item"),
        (lambda x: functional.batch_norm(x, None, None, training=True), "batch_norm (by the batch's own statistics)"),
        (lambda x: 2 ** (x + x.cumprod(1)), "cumprod"),
    ],
)
def test_an_operator_that_cannot_be_frozen_is_named_and_the_path_takes_it(operator, name):
    net = EmbeddingNetwork(Odd(operator).double(), preprocess=tiny.PREPROCESS)
    with pytest.raises(SimvisError) as raised:
        net.at("stem").decompose(tiny.pictures()[0])
    assert f"the operator '{name}' behind 'stem'" in str(raised.value)
    assert "choose the rule 'path'" in str(raised.value)


@pytest.mark.parametrize(
    "operator", [torch.fliplr, lambda x: x.cumsum(1), lambda x: functional.interpolate(x, scale_factor=2)]
)
def test_an_affine_operator_that_no_table_has_is_tried_out_and_taken(operator):
    net, pixels = EmbeddingNetwork(Odd(operator).double(), preprocess=tiny.PREPROCESS), tiny.pictures()[0]
    made = net.at("stem").decompose(pixels)
    assert made.verdict == "exact"
    assert torch.allclose(made.cells.sum((0, 1)) + made.bias, net.embed(pixels[None])[0], atol=1e-12)


def test_a_reference_that_is_the_picture_is_refused():
    a, _ = tiny.pictures()
    net = tiny.network("gated")
    with pytest.raises(SimvisError, match="the reference picture, which is equal to the picture"):
        net.at("0", "path", a).decompose(a)
    with pytest.raises(SimvisError, match="the reference 'mean', which is equal to the picture"):
        net.at("0", "path", "mean").decompose(torch.zeros_like(a))
    with pytest.raises(SimvisError, match="no reference"):
        net.at("0", "path", []).decompose(a)
    with pytest.raises(SimvisError, match="fill 'fog'"):
        net.at("0", "path", "fog").decompose(a)


def test_other_mistakes_are_refused():
    net, a = tiny.network("gated"), tiny.pictures()[0]
    with pytest.raises(SimvisError, match="rule 'thawed'; wanted one of frozen, path"):
        net.at("0", "thawed")
    with pytest.raises(SimvisError, match="features alone, for maps at '0'"):
        net.at("0").decompose_features(Activations(net.features(a[None])[0]))
    with pytest.raises(SimvisError, match="all cells of a 16 x 24 grid by a path; wanted 14 x 14"):
        net.at("pixels", "path").decompose(a).cells  # noqa: B018


# The network that `at` gives


def test_poolings_heads_and_backbones_change_at_a_layer_as_elsewhere():
    net, pixels = tiny.network("convolutional"), tiny.pictures()[0]
    deep = net.at("2")
    other = deep.with_pooling("max").with_head(nn.Linear(4, 3).double())
    assert other.decompose(pixels).bias.shape == (3,)
    assert torch.allclose(other.decompose(pixels).embedding, other.embed(pixels[None])[0])
    body = tiny.convolutional().double()
    assert torch.allclose(
        deep.with_backbone(body).decompose(pixels).embedding, net.with_backbone(body).embed(pixels[None])[0]
    )
    assert (deep.verdict, net.at("2", "path").verdict) == ("exact at this input", "exact at this input")
    assert deep.fingerprint == net.fingerprint


def test_a_pair_is_explained_and_written_at_a_layer(tmp_path, two_pictures):
    net = EmbeddingNetwork(tiny.gated(), "avg", None, tiny.PREPROCESS)
    picture = Image.new("RGB", (40, 20), "teal")
    pair = explain_pair(net.at("0", "path", picture), *two_pictures)
    assert pair.manifest()["depth"] == {"layer": "0", "rule": "path", "reference": "a picture"}
    point = ("a", 3.0, 5.0)
    names = {one.name for one in pair.save(tmp_path, point=point)}
    assert "maps.npz" in names
    assert not pair.a.built
    assert pair.map_a.shape == pair.a.grid == (4, pair.view_a.size[1] // 4)
    assert abs(float(pair.map_a.sum()) + pair.bias_part("a") - pair.score) < 1e-5


def test_cells_are_built_in_steps_that_tell_how_far_they_are():
    made = tiny.network("gated").at("0").decompose(tiny.pictures()[0])
    assert list(made.building()) == [(16, 24), (24, 24)]


def test_replacing_the_reference_of_a_depth_keeps_its_cut():
    made = tiny.network("gated").at("0", "path").depth
    assert replace(made, reference="grey").facts == {"layer": "0", "rule": "path", "reference": "grey"}
    assert depth.checked_rule("frozen") == "frozen"
