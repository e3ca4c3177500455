"""Engines: other ways to run a network's backbone, each checked against eager float32, which stays the reference."""

import copy
import importlib
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from simvis_core.errors import SimvisError
from simvis_core.files.installed import installing
from simvis_core.networks.backbone import Activations
from simvis_core.networks.network import EmbeddingNetwork

AUTO = "auto"
CLEARLY_FASTER = 1.15  # times as fast as eager; less is within what another machine, picture or day changes
SCORE_CHANGE = 1e-3  # a score is shown with three digits
PROBE_CHANGE = SCORE_CHANGE / 5  # among many photographs the largest change is 2 to 5 times that among the few probes
TIMED_SECONDS, LEAST_ROUNDS = 1.0, 3  # of the timing


@dataclass(frozen=True)
class Engine:
    """``build`` gives a backbone (B, 3, h, w) -> (B, C, H, W) from the eager one and example pixels.

    ``error`` is how far its features may be from the eager ones: length of the difference over length of the features.
    """

    build: Callable[[nn.Module, Tensor], nn.Module]
    error: float


def with_engine(network: EmbeddingNetwork, engine: str) -> EmbeddingNetwork:
    """A copy of the network whose backbone an engine runs: a name of `ENGINES`, or "auto" for `measured_engine`.

    Weights, pooling, head and fingerprint are those of ``network``; ``engine`` says what runs them. The features are
    compared with the eager ones on pictures of several shapes, alone and in a batch, before the network is given.

    Raises SimvisError for an unknown name, a package that is not installed, and a network that the engine cannot run
    or runs differently; a named engine is never replaced by another.
    """
    if engine == AUTO:
        return _fastest(network)
    if engine not in ENGINES:
        raise SimvisError(
            f"the engine '{engine}'", f"one of {', '.join((AUTO, *ENGINES))}", "choose one of these names"
        )
    reference = _reference(network)
    built = ENGINES[engine].build(reference.backbone, _views(reference)[0])
    other = reference.with_backbone(built, engine=engine)
    _check(reference, other)
    return other


def measured_engine(network: EmbeddingNetwork) -> str:
    """The name of the engine that is fastest for this network on this machine; takes a few seconds.

    It is at least 1.15 times as fast as eager on one picture, and changes the scores of a few probe pictures so little
    (`PROBE_CHANGE`) that those of any others change by less than about 1e-3; without one that is and does, "eager".
    Engines that are not installed or cannot run the network do not count.

    Raises SimvisError for a network that does not run at all.
    """
    return _fastest(network).engine


def score_change(reference: EmbeddingNetwork, other: EmbeddingNetwork) -> float:
    """The largest change of a score (a cosine) that an engine makes among probe pictures; 0 or more."""
    squares = _squares(reference)
    before, after = (network.embed(squares).double() for network in (reference, other))
    return float((before @ before.T - after @ after.T).abs().max())


def _fastest(network: EmbeddingNetwork) -> EmbeddingNetwork:
    if any(weight.device.type != "cpu" for weight in network.backbone.parameters()):
        return with_engine(network, "eager")  # a graphics card answers before it has finished: nothing to time
    candidates = {"eager": with_engine(network, "eager")}
    for name in ENGINES:
        with suppress(SimvisError):  # what is not installed or cannot run this network is no candidate
            candidates[name] = with_engine(network, name)
    reference = candidates["eager"]
    same = {name: other for name, other in candidates.items() if score_change(reference, other) < PROBE_CHANGE}
    speeds = _speeds(same, _views(reference)[0])
    name = max(speeds, key=lambda name: speeds[name])
    return same[name] if speeds[name] >= CLEARLY_FASTER else reference


def _speeds(networks: Mapping[str, EmbeddingNetwork], pixels: Tensor) -> dict[str, float]:
    """How many times as fast as eager each is, timed in turns: the machine's own speed drifts."""
    rounds: list[dict[str, float]] = []
    started = time.perf_counter()
    while len(rounds) < LEAST_ROUNDS or time.perf_counter() - started < TIMED_SECONDS:
        rounds.append({name: _seconds(network, pixels) for name, network in networks.items()})
    return {name: statistics.median(seconds["eager"] / seconds[name] for seconds in rounds) for name in networks}


def _seconds(network: EmbeddingNetwork, pixels: Tensor) -> float:
    start = time.perf_counter()
    network.activations(pixels)
    return time.perf_counter() - start


def _reference(network: EmbeddingNetwork) -> EmbeddingNetwork:
    """The network on its eager backbone, whatever runs it now."""
    backbone = network.backbone
    eager = backbone.eager if isinstance(backbone, OtherBackbone) else backbone
    return network.with_backbone(eager, engine="eager")


def _check(reference: EmbeddingNetwork, other: EmbeddingNetwork) -> None:
    """Raises SimvisError where the features are not the eager ones: a size or a branch that was traced shows here."""
    allowed = ENGINES[other.engine].error
    if allowed == 0:
        return
    for pixels in (*_views(reference), _squares(reference)):
        error = _error(reference.features(pixels).double(), other.features(pixels).double())
        if error > allowed:
            raise SimvisError(
                f"features of {reference.name} that differ from the eager ones by {error:.2g} of their length",
                f"at most {allowed:g} from the engine '{other.engine}'",
                "use another engine; 'eager' runs every network",
            )


def _error(before: Tensor, after: Tensor) -> float:
    if before.shape != after.shape:
        return float("inf")
    return float((after - before).norm() / before.norm().clamp(min=torch.finfo(before.dtype).tiny))


def _views(network: EmbeddingNetwork) -> list[Tensor]:
    """Pixels of a landscape and a portrait as the network sees them, (1, 3, h, w) each."""
    return [network.view(_picture(seed, size)).pixels[None] for seed, size in enumerate(((480, 320), (320, 480)))]


def _squares(network: EmbeddingNetwork) -> Tensor:
    """Pixels of eight square pictures, (8, 3, h, w); their 28 scores stand for those of all photographs."""
    return torch.stack([network.view(_picture(seed, (320, 320)), framing="square").pixels for seed in range(2, 10)])


def _picture(seed: int, size: tuple[int, int]) -> Image.Image:
    """Patches of random colour in three sizes, one on the other: more like a photograph than noise of pixels is."""
    random = np.random.default_rng(seed)
    picture = Image.new("RGB", size)
    for layer, patches in enumerate((3, 9, 40)):
        colours = Image.fromarray(random.integers(0, 256, (patches, patches, 3), dtype=np.uint8))
        picture = Image.blend(picture, colours.resize(size, Image.Resampling.BICUBIC), 1 / (layer + 1))
    return picture


class OtherBackbone(nn.Module):
    """A backbone run in another way. It keeps the ``eager`` one, whose weights, dtype, device and members it shows."""

    def __init__(self, eager: nn.Module) -> None:
        super().__init__()
        self.eager = eager

    def __getattr__(self, name: str) -> Any:
        """What PyTorch finds here, else what the eager backbone has: how a backbone pools by itself, say."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("eager"), name)


class ChannelsLast(OtherBackbone):
    """The channels of a pixel side by side in memory, as the processor's convolutions like them; a copy of the weights.

    With ``dtype`` float32, else under autocast: convolutions and products in that dtype, features again in float32.
    """

    def __init__(self, eager: nn.Module, dtype: torch.dtype = torch.float32) -> None:
        super().__init__(eager)
        self.dtype = dtype
        self.reordered = copy.deepcopy(eager).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, pixels: Tensor) -> Tensor | Activations:
        """The eager backbone's output, in its own order of memory."""
        with torch.autocast(pixels.device.type, self.dtype, enabled=self.dtype != torch.float32):
            output = self.reordered(pixels.contiguous(memory_format=torch.channels_last))
        if isinstance(output, Tensor):
            return output.to(pixels.dtype).contiguous()
        return Activations(*(part if part is None else part.to(pixels.dtype).contiguous() for part in output))  # type: ignore[arg-type]


class OpenVino(OtherBackbone):
    """The backbone as an OpenVINO program in float32, for any batch and size; as many threads as PyTorch has now."""

    def __init__(self, eager: nn.Module, example: Tensor) -> None:
        super().__init__(eager)
        _check_for_openvino(eager, example)
        self.program = _program(eager, example)

    def forward(self, pixels: Tensor) -> Tensor:
        """The eager backbone's features. A request of its own for each call lets threads run side by side."""
        request = self.program.create_infer_request()
        return torch.from_numpy(request.infer({0: pixels.detach().contiguous().numpy()}, share_inputs=True)[0])


def _check_for_openvino(eager: nn.Module, example: Tensor) -> None:
    weight = next(eager.parameters(), example)
    if weight.dtype != torch.float32 or weight.device.type != "cpu":
        raise _not_for_openvino(f"weights in {weight.dtype} on {weight.device}", "float32 on the cpu")
    with torch.inference_mode():
        output = eager(example)
    if not isinstance(output, Tensor):
        raise _not_for_openvino(f"a backbone that gives {type(output).__name__}", "one tensor of features")


def _program(eager: nn.Module, example: Tensor) -> Any:
    openvino = _openvino()
    settings = {
        "INFERENCE_PRECISION_HINT": "f32",  # its own choice is bfloat16 where the processor has it
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "ENABLE_CPU_PINNING": False,  # no faster alone, and a thread tied to a core waits for whoever else is on it
    }
    refusals = (RuntimeError, openvino.frontend.OpConversionFailure, openvino.frontend.GeneralFailure)
    try:
        # PyTorch calls tracing deprecated, and its tracer warns of sizes and branches that `_check` then tries.
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            any_size = openvino.PartialShape([-1, 3, -1, -1])
            model = openvino.convert_model(eager, example_input=example, input=[any_size])
        return openvino.compile_model(model, "CPU", settings)
    except refusals as error:
        reason = " ".join(str(error).split())[-160:]  # its messages begin with places in its own sources
        raise _not_for_openvino(f"a backbone it cannot convert (... {reason})", "operations it knows") from error


def _openvino() -> ModuleType:
    # OpenVINO tells its maker of every import and conversion, unasked, unless this package of its is missing.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    try:
        return importlib.import_module("openvino")
    except ImportError as error:
        raise SimvisError(
            "the engine 'openvino', which is not installed",
            "the package openvino",
            f"run {installing('engines', 'openvino')}, or use another engine",
        ) from error


def _not_for_openvino(got: str, wanted: str) -> SimvisError:
    return SimvisError(f"{got} for the engine 'openvino'", wanted, "use another engine; 'eager' runs every network")


# Measured and left out: torch.compile (a minute to compile, and 18 s again at some new size, for 1.5 times the speed),
# ONNX Runtime (as fast as OpenVINO, but cannot export a transformer that takes any size), and bfloat16 in OpenVINO
# (6 times the speed, but it moves scores by up to 0.007).
ENGINES: dict[str, Engine] = {
    "eager": Engine(lambda eager, example: eager, 0),
    "channels_last": Engine(lambda eager, example: ChannelsLast(eager), 1e-4),
    "bf16": Engine(lambda eager, example: ChannelsLast(eager, torch.bfloat16), 0.3),
    "openvino": Engine(OpenVino, 1e-4),
}
