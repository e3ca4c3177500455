"""The server's only state: networks, features and drawn maps in bounded caches."""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from PIL import Image

import model_zoo
from model_zoo.cards.catalog import is_folder
from model_zoo.checkpoints.choices import Choices
from model_zoo.running.devices import architecture_bytes, on_device, weight_bytes
from model_zoo.running.engines import with_engine
from simvis_app.service import defaults
from simvis_app.service.sessions.cache import BoundedCache
from simvis_app.service.sessions.memory import Trimmer
from simvis_app.service.sessions.own_models import OwnModels
from simvis_app.service.sessions.zero_gpu import LentGpu, lent
from simvis_core import (
    Decomposition,
    EmbeddingNetwork,
    PairExplanation,
    Pooling,
    SimvisError,
    View,
    explain_features,
    open_picture,
)
from simvis_core.explainers.gradients import GRADIENT_ENGINES
from simvis_core.explainers.masks import MASKED
from simvis_core.explainers.question import Question
from simvis_core.explainers.table import check_parameters
from simvis_core.pairs.explain import Explaining, default_method, explain_by
from simvis_core.pairs.sides import Side
from simvis_core.pictures.opening import OWNERS, STRANGERS, Limits
from simvis_core.pictures.resizing import Resizing, check_resizing
from simvis_core.pictures.views import Framing
from simvis_core.steps import Result, Step, counted, in_turn, run
from simvis_core.trust.measuring import Asked, Measured, Measuring, measuring, question_of

MEBIBYTE = 2**20
ADMITTED = 100_000  # files of the owner's that are known as such
VISITORS = 10_000  # whose last question is remembered
NETWORKS_LIMIT = 1536 * MEBIBYTE
EAGER_TWINS = 4  # networks kept beside another engine's for their gradients; they share its weights


@dataclass(frozen=True)
class Settings:
    """What a visitor chose beside the pictures. ``pooling`` may carry an exponent, as in gem:4.

    ``method`` is what draws a black box's maps; None, or one that does not apply, leaves that to the network. With
    ``insist`` masks draw the maps of a network that could be split, too. ``resizing`` is what shrinks large pictures;
    None leaves it to the session. ``other`` has network, pooling and view of picture B, where they are not A's.
    """

    backbone: str = defaults.BACKBONE
    pooling: str = defaults.POOLING
    short_side: int = defaults.SHORT_SIDE
    framing: Framing = defaults.FRAMING
    method: str | None = None
    insist: bool = False
    resizing: Resizing | None = None
    other: "Settings | None" = None

    @property
    def sides(self) -> dict[Side, "Settings"]:
        """What each picture is seen by: these for both, or for B its own."""
        return {"a": self, "b": self.other or self}


@dataclass(frozen=True)
class Seen:
    """A picture as one network sees it: the view, what the forward pass left, and a key that no other picture has."""

    key: tuple[Any, ...]
    view: View
    activations: Any  # torch tensors; this module does no arithmetic on them

    @property
    def bytes(self) -> int:
        """What keeping it costs."""
        image = self.view.image  # Pillow keeps RGB in four bytes
        return int(image.width * image.height * 4 + self.view.pixels.nbytes + self.activations.nbytes)


@dataclass(frozen=True)
class Pictured:
    """A picture under one network and pooling: its view, the hash of its file, and its decomposition."""

    network: EmbeddingNetwork
    view: View
    sha256: str
    decomposition: Decomposition


class Session:
    """Gives explanations of pairs of picture files; one forward pass for each picture, network and view.

    Pooling, point, k and colours never run a backbone. ``forward_passes`` counts those that ran. Passes take turns:
    two at once on the same cores are slower than one after the other, many times so where threads wait by spinning.
    A drawing by masks takes its turn batch by batch, so that nobody waits for all of it. They all run in one thread:
    libraries keep scratch memory and helper threads for each thread that ever ran a network.
    """

    def __init__(
        self,
        device: str = "cpu",
        features_limit: int = 1024 * MEBIBYTE,
        engine: str = "eager",
        any_architecture: bool = True,
        own: OwnModels | None = None,
        resizing: Resizing = "quick",
        limits: Limits = STRANGERS,
        folders: bool = True,
    ) -> None:
        check_resizing(resizing)
        self.limits, self.folders = limits, folders
        self._owners: OrderedDict[str, None] = OrderedDict()
        self.device, self.engine, self.any_architecture, self.resizing = device, engine, any_architecture, resizing
        self.own = own or OwnModels()
        self.forward_passes = 0
        self._asked: OrderedDict[str, object] = OrderedDict()
        self._lent_gpu = LentGpu() if lent() else None
        self._turn = threading.Lock()
        self._passes = ThreadPoolExecutor(1, "passes")
        trimmer = Trimmer()
        self._networks: BoundedCache[EmbeddingNetwork] = BoundedCache(NETWORKS_LIMIT, weight_bytes)
        self._seen: BoundedCache[Seen] = BoundedCache(features_limit, lambda seen: seen.bytes, trimmer.dropped)
        self._split: BoundedCache[Decomposition] = BoundedCache(features_limit // 8, _split_bytes)
        self._drawn: BoundedCache[Any] = BoundedCache(features_limit // 8, lambda drawn: drawn.cells.nbytes)
        self._measured: BoundedCache[Measured] = BoundedCache(features_limit // 8, _measured_bytes)
        self._eager: BoundedCache[EmbeddingNetwork] = BoundedCache(EAGER_TWINS, lambda _: 1)

    def network(self, name: str) -> EmbeddingNetwork:
        """The network of a card, of a library's architecture or of one's own, on this session's device and engine.

        Raises SimvisError as `model_zoo.load` does, for an architecture where only the catalogue is offered, for a
        folder's where strangers ask, and for a network that is too large to be kept.
        """
        if model_zoo.is_architecture(name) and not self.any_architecture:
            raise SimvisError(
                f"the architecture '{name}', while this server offers its catalogue only",
                f"one of {', '.join(model_zoo.names())}",
                "choose one of these, or run SimVis on your own machine",
            )
        self.check_folder(name)
        return self._networks.get(name, lambda: self._placed(name, self._load(name).with_resizing(self.resizing)))

    def check_folder(self, name: str) -> None:
        """Raises SimvisError for an architecture by the path of a folder, where strangers reach this server.

        It says so whatever is there: what folders there are is not theirs to know.
        """
        if not self.folders and is_folder(name):
            raise SimvisError(
                f"the architecture '{name}', a folder, while others than its owner reach this server",
                "an architecture by its name",
                "choose one by its name, or run SimVis on your own machine",
            )

    def open_model(
        self, file: str | Path, architecture: str, choices: Choices | None = None, public: bool = True
    ) -> tuple[str, str]:
        """Loads one's own checkpoint; the name it has from now on, and what was loaded in a sentence.

        ``choices`` are what a person said where the file does not tell. A ``public`` one is offered to every visitor.

        Raises SimvisError as `model_zoo.open_checkpoint` does, and for an architecture too large to be kept.
        """
        self._check_room(architecture)
        name, network, report = self.own.open(file, architecture, choices or Choices(), public)
        self._networks.get(name, lambda: self._placed(name, network))
        return name, report

    def open_step(
        self, folder: str | Path, step: int | None, architecture: str | None = None, choices: Choices | None = None
    ) -> tuple[str, str]:
        """Loads a step of a training's series, its last for None; its name from now on, and what it is in a sentence.

        A plain folder of numbered checkpoints needs its ``architecture``, and ``choices`` as a checkpoint does. It is
        offered to every visitor. Raises SimvisError as `model_zoo.open_series` does, and for a step that is not there.
        """
        name, network, report = self.own.open_step(folder, step, architecture, choices or Choices())
        self._networks.get(name, lambda: self._placed(name, network))
        return name, report

    def explain(self, file_a: str | Path, file_b: str | Path, settings: Settings) -> PairExplanation:
        """The pair's explanation, a black box's with its maps as far as they are there without running masks.

        Raises SimvisError, naming the picture, for one that cannot be read.
        """
        return self._with_drawn(*self._unmasked(file_a, file_b, settings), settings)

    def known(self, file_a: str | Path, file_b: str | Path, settings: Settings) -> PairExplanation | None:
        """The explanation with all its maps, where neither a pass nor a mask is needed for it; else None.

        Raises SimvisError for a file that cannot be opened, and for a pooling that is none.
        """
        known = [(self._networks.held(one.backbone), one) for one in settings.sides.values()]
        towers = [(_under(held, one), one) for held, one in known if held is not None]
        if len(towers) < len(known):
            return None
        sides = zip(towers, (file_a, file_b), strict=True)
        a, b = (self._seen.held(_seen_key(network, file, one)) for (network, one), file in sides)
        if a is None or b is None:
            return None
        pair = _explained(towers[0][0], a, b, None if settings.other is None else towers[1][0])
        pair = self._with_drawn(pair, (a, b), settings)
        return None if self.needs_masks(pair, settings) else pair

    def needs_masks(self, pair: PairExplanation, settings: Settings) -> bool:
        """Whether an explanation that `explain` gave has maps that masks are still to draw."""
        return bool(_method(pair, settings) != pair.method)

    def drawing(self, file_a: str | Path, file_b: str | Path, settings: Settings) -> Explaining:
        """The explanation of two files with masks run where they are needed: yields (done, all), ends with it.

        It can be left at any step. Raises SimvisError as `explain` does.
        """
        pair, seen = self._unmasked(file_a, file_b, settings)
        method = _method(pair, settings)
        if method == pair.method:
            return pair
        keys = _drawn_keys(pair, seen, method)
        steps = explain_by(pair, method, *(self._drawn.held(key) for key in keys))
        pair = yield from self.in_turn(steps)
        for key, drawn in zip(keys, (pair.a, pair.b), strict=True):
            self._drawn.get(key, lambda drawn=drawn: drawn)  # type: ignore[misc]
        return pair

    def explain_fully(
        self,
        file_a: str | Path,
        file_b: str | Path,
        settings: Settings,
        progress: Callable[[int, int], None] | None = None,
    ) -> PairExplanation:
        """The explanation with all its maps; ``progress`` is told how far masks are. Raises as `explain` does."""
        return run(self.drawing(file_a, file_b, settings), counted(progress))

    def question(self, file_a: str | Path, file_b: str | Path, settings: Settings, side: Side) -> Question:
        """What explainers are asked about one picture of the pair. Raises SimvisError as `explain` does."""
        return question_of(self._unmasked(file_a, file_b, settings)[0], side)

    def measuring(
        self, file_a: str | Path, file_b: str | Path, settings: Settings, side: Side, asked: Asked
    ) -> Measuring:
        """How faithful an explainer's map of one picture of the pair is, step by step, each in its turn.

        What was measured before is given at once. Raises SimvisError as `explain` and
        `simvis_core.trust.measuring.measuring` do.
        """
        pair, seen = self._unmasked(file_a, file_b, settings)
        key = _measured_key(pair, seen, side, asked)
        held = self._measured.held(key)
        if held is not None:
            return held
        question = question_of(pair, side)
        drawer = (
            replace(question, network=self.eager(settings.sides[side]))
            if check_parameters(asked.explainer, {}).looks_inside
            else None
        )
        measured = yield from self.in_turn(measuring(question, asked, drawer))
        return self._measured.get(key, lambda: measured)

    def measured(
        self, file_a: str | Path, file_b: str | Path, settings: Settings, side: Side, wanted: Sequence[Asked]
    ) -> list[Measured | None]:
        """What `measuring` gave before for each, None where it is not kept; nothing is drawn. Raises as `explain`."""
        pair, seen = self._unmasked(file_a, file_b, settings)
        return [self._measured.held(_measured_key(pair, seen, side, asked)) for asked in wanted]

    def eager(self, settings: Settings) -> EmbeddingNetwork:
        """The network on an engine through which gradients flow; it shares the weights. Raises as `network` does."""
        network = self.network(settings.backbone)
        if network.engine not in GRADIENT_ENGINES:
            plain = network
            network = self._eager.get(plain.fingerprint, lambda: self._pass(lambda: with_engine(plain, "eager")))
        return network.with_pooling(Pooling.parse(settings.pooling))

    def in_turn(self, steps: Generator[Step, None, Result]) -> Generator[Step, None, Result]:
        """Steps made each in its turn among all forward passes, so that nobody waits for the whole of them."""
        return in_turn(steps, self._pass)

    def _pass(self, work: Callable[[], Result]) -> Result:
        """What ``work`` gives, in its turn and in the thread of all passes."""
        with self._turn:
            try:
                given = self._passes.submit(copy_context().run, work)
            except RuntimeError:  # Python ends, and nobody waits for the answer of this thread
                raise SystemExit from None
            return given.result()

    def picture(self, file: str | Path, settings: Settings, name: str = "") -> Pictured:
        """One picture as the network sees it; a black box that cannot be split has all of its embedding left over.

        Raises SimvisError, naming the picture, for one that cannot be read.
        """
        return self.pictured(self.seeing(settings), file, settings, name)

    def pictured(self, network: EmbeddingNetwork, file: str | Path, settings: Settings, name: str = "") -> Pictured:
        """One picture as a network sees it that has no name here; the settings' view counts, not their network.

        Raises SimvisError, naming the picture, for one that cannot be read.
        """
        seen = self._see(network, file, settings, name)
        split = self._split.get((seen.key, str(network.pooling)), lambda: _split(network, seen))
        return Pictured(network, seen.view, seen.key[-1], split)

    def placed(self, network: EmbeddingNetwork) -> EmbeddingNetwork:
        """A network that has no name here, on this session's device, to be run once or twice by plain PyTorch.

        Raises SimvisError for one that is too large to be kept.
        """
        _check_bytes(network.name, weight_bytes(network))
        if self._lent_gpu is not None:
            return self._lent_gpu.placed(network)
        return on_device(network.with_resizing(self.resizing), self.device)

    def turn(self, work: Callable[[], Result]) -> Result:
        """What ``work`` gives, which runs a network once or twice: in its turn among all forward passes."""
        return self._pass(work)

    def image(self, file: str | Path, name: str = "") -> Image.Image:
        """The picture itself, upright. Raises SimvisError, naming it, for one that cannot be read."""
        return self._opened(file, name, content_hash(file))

    def ask(self, visitor: str, what: object) -> None:
        """Notes what a visitor asks for, which ends that visitor's drawing of anything else; None ends every one."""
        self._asked.pop(visitor, None)
        self._asked[visitor] = what
        while len(self._asked) > VISITORS:
            self._asked.popitem(last=False)

    def asked(self, visitor: str) -> object:
        """What the visitor asked for last; None for nothing."""
        return self._asked.get(visitor)

    @property
    def cached_bytes(self) -> int:
        """Memory held for features and their pictures, for splits of pictures, and for drawn and measured maps."""
        return self._seen.bytes + self._split.bytes + self._drawn.bytes + self._measured.bytes

    def _unmasked(
        self, file_a: str | Path, file_b: str | Path, settings: Settings
    ) -> tuple[PairExplanation, tuple[Seen, Seen]]:
        one, other = settings.sides.values()
        network = self.seeing(one)
        network_b = None if settings.other is None else self.seeing(other)
        a = self._see(network, file_a, one, "A")
        b = self._see(network_b or network, file_b, other, "B")
        return _explained(network, a, b, network_b), (a, b)

    def _with_drawn(self, pair: PairExplanation, seen: tuple[Seen, Seen], settings: Settings) -> PairExplanation:
        """The pair with its maps by masks, if they are needed and were drawn before."""
        method = _method(pair, settings)
        known = [self._drawn.held(key) for key in _drawn_keys(pair, seen, method)]
        if method == pair.method or None in known:
            return pair
        return run(explain_by(pair, method, *known))

    def admit(self, file: str | Path) -> None:
        """Notes that a file is this machine's owner's: from now on owners' limits hold for it, whoever shows it.

        Raises SimvisError for a file that cannot be opened.
        """
        self._owners[content_hash(file)] = None
        while len(self._owners) > ADMITTED:
            self._owners.popitem(last=False)

    def _opened(self, file: str | Path, name: str, sha256: str) -> Image.Image:
        owners = sha256 in self._owners and OWNERS.pixels > self.limits.pixels
        return opened(file, name, limits=OWNERS if owners else self.limits)

    def seeing(self, settings: Settings) -> EmbeddingNetwork:
        """The network under the pooling and the resizing that were chosen. Raises SimvisError as `network` does."""
        return _under(self.network(settings.backbone), settings)

    def with_second(self, settings: Settings, backbone: str, pooling: str, short_side: int) -> Settings:
        """The settings with network, pooling and short side that B alone is seen by; empty and 0 for what is not said.

        What is not said is A's for A's own network, and of another network its own. Raises SimvisError as `network`.
        """
        if not (backbone or pooling or short_side):
            return settings
        other = replace(settings, backbone=backbone or settings.backbone)
        if backbone and backbone != settings.backbone:
            network = self.network(backbone)
            own = network.preprocess.short_side
            other = replace(other, pooling=str(network.trained_pooling), short_side=own)
        other = replace(other, pooling=pooling or other.pooling, short_side=short_side or other.short_side)
        return replace(settings, other=other)

    def _see(self, network: EmbeddingNetwork, file: str | Path, settings: Settings, name: str) -> Seen:
        key = _seen_key(network, file, settings)
        return self._seen.get(key, lambda: self._run(network, self._opened(file, name, key[-1]), settings, key))

    def _run(self, network: EmbeddingNetwork, image: Image.Image, settings: Settings, key: tuple[Any, ...]) -> Seen:
        view = network.view(image, settings.short_side, settings.framing)
        return Seen(key, view, self._pass(lambda: self._activations(network, view)))

    def _activations(self, network: EmbeddingNetwork, view: View) -> Any:
        self.forward_passes += 1
        return network.activations(view.pixels[None]).one().compact()

    def _load(self, name: str) -> EmbeddingNetwork:
        if self.own.knows(name):
            return self.own.reopen(name)
        if model_zoo.is_architecture(name):
            self._check_room(name)
        return model_zoo.load(name)

    def _placed(self, name: str, network: EmbeddingNetwork) -> EmbeddingNetwork:
        _check_bytes(name, weight_bytes(network))
        _ = network.fingerprint  # kept from now on, also by the copies for other poolings
        if self._lent_gpu is not None:
            return self._lent_gpu.placed(network)
        return with_engine(on_device(network, self.device), self.engine)

    def _check_room(self, architecture: str) -> None:
        """Before anything is downloaded or built: a stranger's choice must not take the machine's memory."""
        _check_bytes(architecture, architecture_bytes(architecture))


def _split(network: EmbeddingNetwork, seen: Seen) -> Decomposition:
    split = network.split(seen.activations)
    if split is None:
        grid = seen.activations.features.shape[-2:]
        split = network.unsplit(seen.activations, (int(grid[0]), int(grid[1])))
    return split


def _split_bytes(split: Decomposition) -> int:
    return int(split.cells.nbytes + 2 * split.bias.nbytes)  # the embedding that it will be asked for is as long


def _under(network: EmbeddingNetwork, settings: Settings) -> EmbeddingNetwork:
    network = network.with_pooling(Pooling.parse(settings.pooling))
    return network if settings.resizing is None else network.with_resizing(settings.resizing)


def _seen_key(network: EmbeddingNetwork, file: str | Path, settings: Settings) -> tuple[Any, ...]:
    view = (settings.short_side, settings.framing, network.preprocess.resizing)
    return network.fingerprint, network.engine, *view, content_hash(file)


def _explained(network: EmbeddingNetwork, a: Seen, b: Seen, network_b: EmbeddingNetwork | None) -> PairExplanation:
    seen = a.view, b.view, a.activations, b.activations
    return explain_features(network, *seen, unsplit=True, network_b=network_b)


def _drawn_keys(pair: PairExplanation, seen: tuple[Seen, Seen], method: str) -> list[tuple[Any, ...]]:
    """What a drawing by masks depends on, for each side."""
    towers = pair.networks.values()
    return [(one.key, str(network.pooling), method) for one, network in zip(seen, towers, strict=True)]


def _measured_key(pair: PairExplanation, seen: tuple[Seen, Seen], side: Side, asked: Asked) -> tuple[Any, ...]:
    poolings = [str(network.pooling) for network in pair.networks.values()]
    return seen[0].key, seen[1].key, *poolings, side, asked


def _measured_bytes(measured: Measured) -> int:
    return int(measured.drawn.map.nbytes) + 4096


def _check_bytes(name: str, needed: int) -> None:
    if needed > NETWORKS_LIMIT // 2:
        raise SimvisError(
            f"'{name}' with {needed / MEBIBYTE:.0f} MiB of weights",
            f"at most {NETWORKS_LIMIT // 2 // MEBIBYTE} MiB",
            "choose a smaller network, or use SimVis from Python",
        )


def _method(pair: PairExplanation, settings: Settings) -> Any:
    """What is to draw the pair's maps: a black box follows the visitor where it can."""
    chosen = settings.method in MASKED and (settings.insist or pair.verdict == "black box")
    return settings.method if chosen else default_method(pair)


def opened(file: str | Path, name: str, enough: int | None = None, limits: Limits = STRANGERS) -> Image.Image:
    """The picture; ``enough`` and ``limits`` as `open_picture` takes them. Raises SimvisError, which names it."""
    try:
        return open_picture(file, enough, limits)
    except SimvisError as error:
        raise SimvisError(error.got + (f" as picture {name}" if name else ""), error.wanted, error.cure) from error


def content_hash(file: str | Path) -> str:
    """The sha256 of a file's bytes. Raises SimvisError for a file that cannot be opened."""
    try:
        with open(file, "rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        raise SimvisError(
            f"'{file}', which cannot be opened ({error.strerror})", "a picture file", "check the name"
        ) from error
