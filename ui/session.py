"""The server's only state: networks and features in bounded caches."""

import hashlib
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

import model_zoo
from simvis_core import EmbeddingNetwork, PairExplanation, Pooling, SimvisError, View, explain_features, open_picture
from simvis_core.images import Framing
from ui.cache import BoundedCache

MEBIBYTE = 2**20


@dataclass(frozen=True)
class Settings:
    """What a visitor chose beside the pictures. ``pooling`` may carry an exponent, as in gem:4."""

    backbone: str = "efficientnet_lite0"
    pooling: str = "avg"
    short_side: int = 224
    framing: Framing = "whole"


@dataclass(frozen=True)
class Seen:
    """A picture as one network sees it: the view and its features."""

    view: View
    features: Any  # a torch tensor; this room does no arithmetic on it

    @property
    def bytes(self) -> int:
        """What keeping it costs."""
        image = self.view.image
        return int(image.width * image.height * 3 + self.view.pixels.nbytes + self.features.nbytes)


class Session:
    """Gives explanations of pairs of picture files; one forward pass for each picture, network and view.

    Pooling, point, k and colours never run a backbone. ``forward_passes`` counts those that ran. Passes take turns:
    two at once on the same cores are slower than one after the other, many times so where threads wait by spinning.
    """

    def __init__(self, device: str = "cpu", features_limit: int = 1024 * MEBIBYTE) -> None:
        self.device = device
        self.forward_passes = 0
        self._turn = threading.Lock()
        self._networks: BoundedCache[EmbeddingNetwork] = BoundedCache(1024 * MEBIBYTE, _network_bytes)
        self._seen: BoundedCache[Seen] = BoundedCache(features_limit, lambda seen: seen.bytes)

    def network(self, name: str) -> EmbeddingNetwork:
        """The card's network on this session's device. Raises SimvisError as `model_zoo.load` does."""
        return self._networks.get(name, lambda: self._loaded(name))

    def explain(self, file_a: str | Path, file_b: str | Path, settings: Settings) -> PairExplanation:
        """The pair's explanation. Raises SimvisError, naming the picture, for one that cannot be read."""
        network = self.network(settings.backbone).with_pooling(Pooling.parse(settings.pooling))
        a, b = (self._see(network, file, settings, name) for file, name in ((file_a, "A"), (file_b, "B")))
        return explain_features(network, a.view, b.view, a.features, b.features)

    @property
    def cached_bytes(self) -> int:
        """Memory held for features and their pictures."""
        return self._seen.bytes

    def _see(self, network: EmbeddingNetwork, file: str | Path, settings: Settings, name: str) -> Seen:
        key = (network.fingerprint, settings.short_side, settings.framing, content_hash(file))
        return self._seen.get(key, lambda: self._run(network, _opened(file, name), settings))

    def _run(self, network: EmbeddingNetwork, image: Image.Image, settings: Settings) -> Seen:
        view = network.view(image, settings.short_side, settings.framing)
        with self._turn:
            self.forward_passes += 1
            return Seen(view, network.features(view.pixels[None])[0])

    def _loaded(self, name: str) -> EmbeddingNetwork:
        network = model_zoo.load(name)
        try:
            for module in (network.backbone, network.head):
                if module is not None:
                    module.to(self.device)
        except (RuntimeError, AssertionError, NotImplementedError) as error:  # as PyTorch refuses a device
            reason = str(error).splitlines()[0]
            raise SimvisError(f"device '{self.device}' ({reason})", "one that PyTorch finds here", "use cpu") from error
        return network


def _opened(file: str | Path, name: str) -> Image.Image:
    try:
        return open_picture(file)
    except SimvisError as error:
        raise SimvisError(f"{error.got} as picture {name}", error.wanted, error.cure) from error


def content_hash(file: str | Path) -> str:
    """The sha256 of a file's bytes. Raises SimvisError for a file that cannot be opened."""
    try:
        with open(file, "rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        raise SimvisError(
            f"'{file}', which cannot be opened ({error.strerror})", "a picture file", "check the name"
        ) from error


def _network_bytes(network: EmbeddingNetwork) -> int:
    modules = [module for module in (network.backbone, network.head) if module is not None]
    return sum(tensor.nbytes for module in modules for tensor in module.state_dict().values())
