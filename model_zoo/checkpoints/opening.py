"""Opening a person's own checkpoint: the trunk is matched by its keys, the layers beside it by their shapes."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from model_zoo.architectures.arranging import Architecture, arrange, build
from model_zoo.checkpoints.choices import Choices, read_choices, with_arguments
from model_zoo.checkpoints.doubts import Doubt, asked, check_used, write_choices
from model_zoo.checkpoints.files.reading import CheckpointFile, read_checkpoint
from model_zoo.checkpoints.heads.finding import Head, read_head
from model_zoo.checkpoints.heads.layers import layer_size, powers
from model_zoo.checkpoints.heads.order import Start
from model_zoo.checkpoints.inputs import Input, read_input
from model_zoo.checkpoints.leftovers import Leftovers, sort_leftovers
from model_zoo.checkpoints.places import known_places, settled_view
from model_zoo.checkpoints.trunks.fitting import Fit, fit_trunk
from simvis_core.errors import SimvisError
from simvis_core.networks.network import EmbeddingNetwork
from simvis_core.networks.poolings import MAX_EXPONENT, Pooling


@dataclass(frozen=True)
class Report:
    """What a load did. ``loaded`` counts the trunk's tensors; ``left_out`` says of every tensor not used why.

    ``names`` says how a trunk under other names than the library's was read ("" for none). ``doubts`` are what the
    file does not tell, with what was taken; ``choices`` gives the same network again.
    """

    loaded: int
    prefix: str
    nesting: str
    head: str
    left_out: tuple[str, ...]
    resampled: tuple[str, ...]
    names: str = ""
    doubts: tuple[Doubt, ...] = ()
    choices: Choices = field(default_factory=Choices)

    def sentence(self) -> str:
        """What the file gave the network, in one line: what was loaded from where, resampled, left out and assumed."""
        places = [f"in '{self.nesting}'"] * bool(self.nesting) + [f"under '{self.prefix}'"] * bool(self.prefix)
        parts = [f"{self.loaded} tensors of the trunk loaded" + "".join(f" {place}" for place in places)]
        parts += [self.names] * bool(self.names)
        parts.append(f"head: {self.head}")
        parts += [f"resampled: {', '.join(self.resampled)}"] * bool(self.resampled)
        more = f" and {len(self.left_out) - 3} more" if len(self.left_out) > 3 else ""
        parts += [f"left out: {'; '.join(self.left_out[:3])}{more}"] * bool(self.left_out)
        parts += [f"not told by the file: {doubt.sentence()}" for doubt in self.doubts if not doubt.said]
        return "; ".join(parts) + "."

    def write(self, path: str | Path) -> None:
        """Writes the choices as JSON, with the doubts and their options; `open_checkpoint` takes the file back."""
        write_choices(Path(path), self.choices, self.doubts)


@dataclass(frozen=True)
class Checkpoint:
    """A network with a person's weights, and what was done to get it."""

    network: EmbeddingNetwork
    report: Report


def open_checkpoint(
    path: str | Path,
    architecture: str,
    pooling: str | Pooling | None = None,
    head: str = "auto",
    between: str | None = None,
    choices: Choices | Mapping[str, Any] | str | Path | None = None,
) -> Checkpoint:
    """The network of ``architecture`` with the weights of a file, of a trunk/embedder pair, or of the folder of one.

    Nothing of the trunk stays random. The layers beside it become the head: under ``head="auto"`` without the
    library's own classifier, under "keep" with it; "none" leaves all of them out. ``between`` is what stands in a gap
    of the head. A head that takes maps that lie flat, or average and maximum side by side, sets the pooling if none
    is given, and so do the trained exponents of a GeM pooling. ``choices`` answer what the file does not tell: a
    `Choices`, a dict like it, or a JSON file as `Report.write` writes it; the other arguments count before them.

    Raises SimvisError for a file that cannot be read or wants to run code, for one of another architecture, for a
    head that does not fit, and for choices that the file has no place for; UndecidedError, with the doubts and their
    options, for what must be said.
    """
    said = with_arguments(read_choices(choices), pooling, head, between)
    built = build(architecture)
    file = read_checkpoint(Path(path))
    built, file, fit = fit_trunk(built, file)
    built.source.load_state_dict(fit.state)
    entry = read_input(built, file, fit, said)
    rest = sort_leftovers(built, entry.file, fit, said)
    rest.doubts[:0] = entry.doubts
    base = arrange(built, None, None, file.name)
    return _assembled(built, base, _Opened(entry.file, fit, rest, said, entry))


@dataclass(frozen=True)
class _Opened:
    file: CheckpointFile
    fit: Fit
    rest: Leftovers
    choices: Choices
    entry: Input

    @property
    def asked(self) -> Pooling | None:
        return None if self.choices.pooling is None else Pooling.parse(self.choices.pooling)


@dataclass(frozen=True)
class _Gem:
    """GeM's exponents: one becomes a pooling, one for each channel stands around an average."""

    pooling: Pooling | None = None
    front: tuple[nn.Module, ...] = ()
    behind: tuple[nn.Module, ...] = ()
    words: str = ""


def _assembled(built: Architecture, base: EmbeddingNetwork, opened: _Opened) -> Checkpoint:
    choices, rest = opened.choices, opened.rest
    gem = _gem(built, base, opened) if opened.asked is None else _Gem()
    pooling = opened.asked or gem.pooling
    head, found, view = _head(built, base, opened, pooling)
    head.doubts[:0] = rest.doubts
    check_used(choices, head.doubts, [*head.paths, *head.left_out], rest.seen)
    if any(doubt.taken is None for doubt in head.doubts):
        raise asked(sorted(head.doubts, key=lambda doubt: doubt.taken is not None), opened.file.words, choices)
    front, behind = [*head.front, *gem.front], [*gem.behind, *head.behind]
    network = base
    if front or behind or pooling is not None:
        network = arrange(built, found, _chain(behind), opened.file.name, _chain(front), view[0])
    if pooling is not None and opened.asked is None:
        network.trained_pooling = pooling
    if network.pooling.positional and behind:  # such a head takes the trained view only
        network.preprocess = replace(network.preprocess, fixed_size=view)
    report = _report(opened, head, gem)
    network = opened.entry.before(network)
    said = report.choices.words()
    network.origin = f"{opened.file.name} for {built.name}" + (f" with {said}" if said else "")
    return Checkpoint(network, report)


def _chain(modules: list[nn.Module]) -> nn.Sequential | None:
    return nn.Sequential(*modules).eval() if modules else None


def _head(
    built: Architecture, base: EmbeddingNetwork, opened: _Opened, pooling: Pooling | None
) -> tuple[Head, Pooling | None, tuple[int, int]]:
    """The head, the pooling whose width it takes, and the view."""
    rest, view = opened.rest, _view(base)
    if not rest.groups and not rest.matrices and rest.exponent is None and not opened.choices.steps:
        return Head([], [], None, "none", 0, {}, [], []), pooling, view
    if opened.choices.view is not None:
        view = (opened.choices.view,) * 2
    poolings, start, signed = _widths(built, base, pooling, view)
    known = known_places(built, opened.file, opened.fit, rest)
    head = read_head(rest.groups, rest.matrices, opened.file, start, opened.choices, known)
    if signed and rest.groups:
        head.words += _idle_in_front(built, opened)
    if head.cells:
        view = settled_view(base, head, start.cells, view, opened.choices)
        return head, Pooling("flatten"), view
    return head, pooling if head.takes is None else poolings.get(head.takes, pooling), view


def _widths(
    built: Architecture, base: EmbeddingNetwork, pooling: Pooling | None, view: tuple[int, int]
) -> tuple[dict[int, Pooling | None], Start, bool]:
    """Which width stands for which pooling, the likeliest kept where two agree; whether values are below zero."""
    probe = torch.randn(1, 3, *view, generator=torch.Generator().manual_seed(0))
    activations = base.activations(probe)
    features = activations.features
    embedding = base.embed_activations(activations)
    own, signed = embedding.shape[1], bool((features < 0).any() or (embedding < 0).any())
    if pooling is not None:
        behind = pooling == base.pooling or pooling.inner
        poolings: dict[int, Pooling | None] = {own if behind else pooling.width(*features.shape[1:]): pooling}
    else:
        others = {Pooling(name).width(*features.shape[1:]): Pooling(name) for name in ("flatten", "catavgmax")}
        poolings = {own: None, **{width: other for width, other in others.items() if width != own}}
    widths = {width: f"under '{one or base.pooling}'" for width, one in poolings.items()}
    flat = pooling in (None, Pooling("flatten")) and not base.pooling.inner and base.head is None
    return poolings, Start(widths, features.shape[1], features[0, 0].numel(), flat, built.name), signed


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


def _gem(built: Architecture, base: EmbeddingNetwork, opened: _Opened) -> _Gem:
    """The pooling that trained exponents tell of."""
    if opened.rest.exponent is None:
        return _Gem()
    name, exponents = opened.rest.exponent
    if base.head is not None or base.pooling.inner:
        raise SimvisError(
            f"{name}, the exponent of GeM, for {built.name}, which has layers of its own for or behind the pooling",
            "to know whether they stand behind GeM too",
            "give the pooling, or build the network in Python with EmbeddingNetwork(...)",
        )
    if not bool((exponents.isfinite() & (exponents > 0) & (exponents <= MAX_EXPONENT)).all()):
        raise SimvisError(
            f"{name}, exponents of GeM from {exponents.min().item():g} to {exponents.max().item():g}",
            f"numbers above 0, up to {MAX_EXPONENT}",
            "give the pooling",
        )
    if exponents.numel() == 1 and exponents.item() >= 1:
        pooling = Pooling("gem", exponents.item())
        return _Gem(pooling, words=f", behind {pooling} (from {name})")
    front, behind = powers(exponents)
    kind = (
        f"exponents of {exponents.numel()} channels" if exponents.numel() > 1 else f"the exponent {exponents.item():g}"
    )
    return _Gem(None, (front,), (behind,), f", behind GeM with {kind} (from {name})")


def _report(opened: _Opened, head: Head, gem: _Gem) -> Report:
    fit, rest = opened.fit, opened.rest
    if rest.exponent and opened.asked is not None:
        name, exponents = rest.exponent
        count = "one number" if exponents.numel() == 1 else layer_size(exponents)
        rest.left_out.append(f"{name} ({count}), the exponent of GeM: the pooling asked for is {opened.asked}")
    groups = {path: tensors for path, tensors in rest.groups.items() if path in head.left_out}
    for path, tensors in groups.items():
        rest.left_out += [f"{path}.{name} ({layer_size(one)}), {head.left_out[path]}" for name, one in tensors.items()]
    rest.left_out += [
        f"{path} ({layer_size(one)}), {head.left_out[path]}"
        for path, one in rest.matrices.items()
        if path in head.left_out
    ]
    choices = opened.choices
    for doubt in head.doubts:
        choices = choices.said(doubt.key, doubt.taken or "")
    words = head.words + gem.words
    doubts = tuple(head.doubts)
    left_out = tuple(rest.left_out)
    return Report(fit.loaded, fit.prefix, fit.nesting, words, left_out, fit.resampled, fit.words, doubts, choices)
