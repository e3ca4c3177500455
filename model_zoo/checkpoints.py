"""Opening a person's own checkpoint: the trunk is matched by its keys, the head behind it by its shapes."""

from dataclasses import dataclass, replace
from pathlib import Path

import torch

from model_zoo.architectures import Architecture, arrange, build
from model_zoo.checkpoint_files import CheckpointFile, read_checkpoint
from model_zoo.checkpoint_heads import Between, Head, read_head
from model_zoo.checkpoint_leftovers import HeadChoice, Leftovers, sort_leftovers
from model_zoo.checkpoint_trunks import Fit, fit_trunk
from simvis_core.errors import SimvisError
from simvis_core.network import EmbeddingNetwork
from simvis_core.poolings import Pooling


@dataclass(frozen=True)
class Report:
    """What a load did. ``loaded`` counts the trunk's tensors; ``left_out`` says of every tensor not used why.

    ``names`` says how a trunk under other names than the library's was read ("" for none).
    """

    loaded: int
    prefix: str
    nesting: str
    head: str
    left_out: tuple[str, ...]
    resampled: tuple[str, ...]
    names: str = ""

    def sentence(self) -> str:
        """The same in one line."""
        places = [f"in '{self.nesting}'"] * bool(self.nesting) + [f"under '{self.prefix}'"] * bool(self.prefix)
        parts = [f"{self.loaded} tensors of the trunk loaded" + "".join(f" {place}" for place in places)]
        parts += [self.names] * bool(self.names)
        parts.append(f"head: {self.head}")
        parts += [f"resampled: {', '.join(self.resampled)}"] * bool(self.resampled)
        more = f" and {len(self.left_out) - 3} more" if len(self.left_out) > 3 else ""
        parts += [f"left out: {'; '.join(self.left_out[:3])}{more}"] * bool(self.left_out)
        return "; ".join(parts) + "."


@dataclass(frozen=True)
class Checkpoint:
    """A network with a person's weights, and what was done to get it."""

    network: EmbeddingNetwork
    report: Report


def open_checkpoint(
    path: str | Path,
    architecture: str,
    pooling: str | Pooling | None = None,
    head: HeadChoice = "auto",
    between: Between | None = None,
) -> Checkpoint:
    """The network of ``architecture`` with the weights of a file, of a trunk/embedder pair, or of the folder of one.

    Nothing of the trunk stays random. The layers behind it become the head: under ``head="auto"`` without the
    library's own classifier, under "keep" with it; "none" leaves all of them out. ``between`` is what stands in a gap
    of the head. A head that takes maps that lie flat, or average and maximum side by side, sets the pooling if none
    is given, and so does the trained exponent of a GeM pooling.

    Raises SimvisError for a file that cannot be read or wants to run code, for one of another architecture, and for a
    head that cannot be told or does not fit.
    """
    if head not in ("auto", "keep", "none"):
        raise SimvisError(f"head='{head}'", "one of auto, keep, none", "choose one of these")
    asked = None if pooling is None else Pooling.parse(pooling)
    built = build(architecture)
    file = read_checkpoint(Path(path))
    built, file, fit = fit_trunk(built, file)
    built.source.load_state_dict(fit.state)
    rest = sort_leftovers(built, file, fit, head)
    base = arrange(built, None, None, file.name)
    return _assembled(built, base, _Opened(file, fit, rest, asked), between)


@dataclass(frozen=True)
class _Opened:
    file: CheckpointFile
    fit: Fit
    rest: Leftovers
    asked: Pooling | None


def _assembled(built: Architecture, base: EmbeddingNetwork, opened: _Opened, between: Between | None) -> Checkpoint:
    pooling = opened.asked or _gem(built, base, opened.rest)
    head, found = _head(built, base, opened, pooling, between)
    network = base
    if head is not None or pooling is not None:
        network = arrange(built, found, head.module if head else None, opened.file.name)
    if pooling is not None and opened.asked is None:
        network.trained_pooling = pooling
    if network.pooling.positional and head is not None:  # such a head takes the trained view only
        network.preprocess = replace(network.preprocess, fixed_size=_view(base))
    network.origin = f"{opened.file.name} for {built.name}"
    return Checkpoint(network, _report(opened, head, pooling))


def _head(
    built: Architecture, base: EmbeddingNetwork, opened: _Opened, pooling: Pooling | None, between: Between | None
) -> tuple[Head | None, Pooling | None]:
    """The head, and the pooling whose width it takes."""
    if not opened.rest.groups:
        return None, pooling
    poolings, signed = _widths(base, pooling)
    widths = {width: f"under '{one or base.pooling}'" for width, one in poolings.items()}
    head = read_head(opened.rest.groups, opened.file, widths, built.name, between)
    idle = _idle_in_front(built, opened) if signed else ""
    return replace(head, words=head.words + idle), pooling if head.takes is None else poolings[head.takes]


def _widths(base: EmbeddingNetwork, pooling: Pooling | None) -> tuple[dict[int, Pooling | None], bool]:
    """Which width stands for which pooling, the likeliest kept where two agree; whether values are below zero."""
    h, w = _view(base)
    probe = torch.randn(1, 3, h, w, generator=torch.Generator().manual_seed(0))
    features = base.activations(probe).features
    embedding = base.embed(probe)
    own, signed = embedding.shape[1], bool((features < 0).any() or (embedding < 0).any())
    if pooling is not None:
        behind = pooling == base.pooling or pooling.inner
        return {own if behind else pooling.width(*features.shape[1:]): pooling}, signed
    others = {Pooling(name).width(*features.shape[1:]): Pooling(name) for name in ("flatten", "catavgmax")}
    return {own: None, **{width: other for width, other in others.items() if width != own}}, signed


def _view(base: EmbeddingNetwork) -> tuple[int, int]:
    return base.preprocess.fixed_size or (base.preprocess.short_side,) * 2


def _idle_in_front(built: Architecture, opened: _Opened) -> str:
    """What the report says of numbers left out in front of the head; in the classifier's place they are known."""
    first = next(iter(opened.rest.groups))
    parent, _, name = first.rpartition(".")
    if not name.isdigit() or opened.fit.inner_shown(first) in built.classifier:
        return ""
    before = [f"{parent}.{number}".lstrip(".") for number in range(int(name))]
    names = [opened.fit.shown(key) for key in opened.file.tensors]
    silent = [one for one in before if not any(key.startswith(f"{one}.") for key in names)]
    return f"; in front, without weights and taken to do nothing: {', '.join(silent)}" if silent else ""


def _gem(built: Architecture, base: EmbeddingNetwork, rest: Leftovers) -> Pooling | None:
    """The pooling that a trained exponent tells of."""
    if rest.exponent is None:
        return None
    if base.head is not None or base.pooling.inner:
        raise SimvisError(
            f"{rest.exponent[0]}, the exponent of GeM, for {built.name}, which has layers of its own for or behind the"
            " pooling",
            "to know whether they stand behind GeM too",
            "give the pooling, or build the network in Python with EmbeddingNetwork(...)",
        )
    return Pooling("gem", rest.exponent[1])


def _report(opened: _Opened, head: Head | None, pooling: Pooling | None) -> Report:
    fit, rest = opened.fit, opened.rest
    words = head.words if head else "none"
    if rest.exponent and opened.asked is None:
        words = f"{words}, behind {pooling} (from {rest.exponent[0]})"
    elif rest.exponent:
        rest.left_out.append(
            f"{rest.exponent[0]} (one number), the exponent of GeM: the pooling asked for is {pooling}"
        )
    return Report(fit.loaded, fit.prefix, fit.nesting, words, tuple(rest.left_out), fit.resampled, fit.words)
