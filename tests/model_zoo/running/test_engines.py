"""Every engine gives the eager features; one that cannot says so."""

import socket
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

import model_zoo
from model_zoo.running import engines
from model_zoo.running.engines import ENGINES, PROBE_CHANGE, SCORE_CHANGE, measured_engine, score_change, with_engine
from simvis_core import Activations, EmbeddingNetwork, Preprocess, SimvisError, explain_pair, open_picture

PICTURES = Path(__file__).parents[3] / "sample_data" / "pictures" / "taj_mahal"
SIZES = ((1, 16, 24), (3, 16, 24), (2, 32, 16), (1, 24, 8))  # batch, height, width
ON_SMALL_CELLS = Preprocess(short_side=16, stride=8)


def noise(batch, height, width):
    return torch.randn(batch, 3, height, width, generator=torch.Generator().manual_seed(batch + height))


def difference(before, after):
    return ((before - after).norm() / before.norm()).item()


@pytest.fixture(params=ENGINES)
def engine(request):
    return request.param


# Every engine of the table


def test_an_engine_gives_the_eager_features_for_any_batch_and_size(engine, tiny_network):
    other = with_engine(tiny_network, engine)
    for size in SIZES:
        before, after = (network.features(noise(*size)) for network in (tiny_network, other))
        assert difference(before, after) <= ENGINES[engine].error
        assert after.dtype == before.dtype
        assert after.is_contiguous()


def test_only_the_backbone_changes(engine, tiny_network):
    before = tiny_network.features(noise(*SIZES[0]))
    other = with_engine(tiny_network, engine)
    assert other.engine == engine
    assert (other.fingerprint, other.pooling, other.name) == (
        tiny_network.fingerprint,
        tiny_network.pooling,
        tiny_network.name,
    )
    assert other.head is tiny_network.head
    assert tiny_network.engine == "eager"
    assert torch.equal(tiny_network.features(noise(*SIZES[0])), before)
    assert not any(module.training for module in other.backbone.modules())
    assert next(other.backbone.parameters()).dtype == torch.float32


def test_an_engine_keeps_under_another_pooling(engine, tiny_network):
    under = with_engine(tiny_network, engine).with_pooling("gem:4")
    assert under.engine == engine
    expected = tiny_network.with_pooling("gem:4").embed(noise(*SIZES[1]))
    assert torch.allclose(under.embed(noise(*SIZES[1])), expected, atol=0.02 if engine == "bf16" else 1e-5)


def test_a_pair_is_explained_as_exactly(engine, tiny_network, two_pictures):
    pair = explain_pair(with_engine(tiny_network, engine), *two_pictures)
    assert pair.verdict == "exact"
    assert abs(float(pair.map_a.double().sum()) + pair.bias_part("a") - pair.score) < 1e-5
    assert abs(pair.score - explain_pair(tiny_network, *two_pictures).score) < 0.01


def test_an_engine_of_an_engine_is_of_the_eager_backbone(engine, tiny_network):
    twice = with_engine(with_engine(tiny_network, engine), engine)
    assert not isinstance(getattr(twice.backbone, "eager", None), engines.OtherBackbone)
    assert with_engine(twice, "eager").backbone is tiny_network.backbone


@pytest.mark.slow
@pytest.mark.network
def test_a_bundled_network_keeps_its_score(engine):
    reference = model_zoo.load("face_resnet29")
    other = with_engine(reference, engine)
    a, b = (reference.view(open_picture(PICTURES / f"taj_mahal_{number}.jpg")).pixels[None] for number in (1, 3))
    before, after = (float(network.embed(a)[0] @ network.embed(b)[0]) for network in (reference, other))
    assert abs(after - before) < SCORE_CHANGE
    assert score_change(reference, other) < SCORE_CHANGE


@pytest.mark.network
@pytest.mark.slow
def test_openvino_keeps_the_score_of_the_default_network_in_views_of_any_shape():
    reference = model_zoo.load("efficientnet_lite0")
    other = with_engine(reference, "openvino")
    for pixels in (noise(1, 64, 96), noise(2, 96, 64), noise(1, 160, 128)):
        assert torch.allclose(other.embed(pixels), reference.embed(pixels), atol=1e-5)


# A network that an engine cannot run


class WithToken(nn.Module):
    """Gives its pooled vector too, as a transformer with a class token does."""

    inner_pooling = "token"

    def __init__(self, backbone):
        super().__init__()
        self.layers = backbone

    def forward(self, pixels):
        features = self.layers(pixels)
        return Activations(features, features.amax((2, 3)))


@pytest.fixture
def with_token(tiny_backbone, tiny_preprocess):
    return EmbeddingNetwork(WithToken(tiny_backbone), "token", None, tiny_preprocess, name="tokened")


@pytest.mark.parametrize("name", ["channels_last", "bf16"])
def test_a_pooled_vector_is_carried_along(name, with_token):
    other = with_engine(with_token, name)
    before, after = (network.activations(noise(*SIZES[1])) for network in (with_token, other))
    assert difference(before.pooled, after.pooled) <= ENGINES[name].error
    assert after.carried is None
    assert after.pooled.dtype == torch.float32
    assert other.inner_pooling == "token"


def test_openvino_takes_no_backbone_of_several_outputs(with_token):
    with pytest.raises(SimvisError, match="a backbone that gives Activations for the engine 'openvino'; wanted one"):
        with_engine(with_token, "openvino")


def test_openvino_takes_float32_only(tiny_backbone):
    network = EmbeddingNetwork(nn.Sequential(nn.Conv2d(3, 2, 8, 8)).double(), preprocess=ON_SMALL_CELLS)
    with pytest.raises(SimvisError, match=r"weights in torch.float64 on cpu for the engine 'openvino'; wanted float32"):
        with_engine(network, "openvino")


class Bessel(nn.Module):
    def forward(self, pixels):
        return torch.special.bessel_j0(pixels)


def test_an_operation_that_openvino_does_not_know_is_a_sentence():
    with pytest.raises(SimvisError, match=r"cannot convert .*bessel_j0.*for the engine 'openvino'"):
        with_engine(EmbeddingNetwork(Bessel(), preprocess=ON_SMALL_CELLS), "openvino")


class Brightness(nn.Module):
    """Takes one of two ways, which a trace cannot know."""

    def forward(self, pixels):
        return pixels if pixels.shape[0] == 1 else pixels.exp()


def test_a_branch_that_was_traced_is_found_out():
    with pytest.raises(SimvisError, match="features of your network that differ from the eager ones by"):
        with_engine(EmbeddingNetwork(Brightness(), preprocess=ON_SMALL_CELLS), "openvino")


def test_a_missing_package_is_a_sentence(tiny_network, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(SimvisError, match=r"not installed.*pip install -r requirements-engines.txt"):
        with_engine(tiny_network, "openvino")


def test_an_unknown_engine_is_told_all_names(tiny_network):
    with pytest.raises(SimvisError, match="engine 'onnx'; wanted one of auto, eager, channels_last, bf16, openvino"):
        with_engine(tiny_network, "onnx")


def test_openvino_tells_nobody(tiny_network, monkeypatch):
    def refused(*_):
        raise AssertionError("an engine asked for a connection")

    monkeypatch.setattr(socket.socket, "connect", refused)
    with_engine(tiny_network, "openvino")
    assert sys.modules["openvino_telemetry"] is None


# The choice


@pytest.fixture
def timed(monkeypatch):
    """Seconds of a pass by engine, set by the test; nothing is waited for."""
    seconds = dict.fromkeys(ENGINES, 1.0)
    monkeypatch.setattr(engines, "TIMED_SECONDS", 0)
    monkeypatch.setattr(engines, "_seconds", lambda network, pixels: seconds[network.engine])
    return seconds


def test_the_fastest_engine_is_chosen(timed, tiny_network):
    timed |= {"channels_last": 0.8, "openvino": 0.5}
    assert measured_engine(tiny_network) == "openvino"
    assert with_engine(tiny_network, "auto").engine == "openvino"


@pytest.mark.slow
def test_an_engine_that_is_hardly_faster_is_not_chosen(timed, tiny_network):
    timed |= {"channels_last": 0.9, "openvino": 0.95}
    assert measured_engine(tiny_network) == "eager"
    assert with_engine(with_engine(tiny_network, "openvino"), "auto").backbone is tiny_network.backbone


def test_an_engine_that_changes_the_score_is_not_chosen(timed, tiny_network, monkeypatch):
    timed |= {"channels_last": 0.8, "bf16": 0.1}
    changes = {"bf16": PROBE_CHANGE}
    monkeypatch.setattr(engines, "score_change", lambda _, other: changes.get(other.engine, 0.0))
    assert measured_engine(tiny_network) == "channels_last"


def test_a_score_changes_by_as_much_up_as_down(tiny_network):
    """A head that gives every picture one embedding raises all scores to 1; taken the other way round they fall."""
    alike = tiny_network.with_head(nn.Linear(6, 5))
    nn.init.zeros_(alike.head.weight)
    embeddings = tiny_network.embed(engines._squares(tiny_network)).double()
    wanted = 1 - float((embeddings @ embeddings.T).min())
    assert wanted > 1e-3
    assert score_change(tiny_network, alike) == pytest.approx(wanted, abs=1e-6)
    assert score_change(alike, tiny_network) == pytest.approx(wanted, abs=1e-6)


def test_an_engine_that_is_not_installed_does_not_count(timed, tiny_network, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    timed |= {"channels_last": 0.8, "openvino": 0.5}
    assert measured_engine(tiny_network) == "channels_last"


def test_the_choice_is_measured_on_this_machine(tiny_network):
    assert measured_engine(tiny_network) in ENGINES
