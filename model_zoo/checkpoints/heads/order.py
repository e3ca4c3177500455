"""In which order the layers beside a trunk follow on each other, told by their widths."""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from torch import nn

from model_zoo.checkpoints.heads.layers import Layer

_MOST_UNITS = 6  # of which all orders are tried: 720
_FEWEST_CELLS = 9  # of a grid that a head takes flat


@dataclass(frozen=True)
class Start:
    """What layers beside the trunk can follow on: ``widths`` of vectors in words, and ``channels`` of ``cells`` cells.

    ``flat`` says whether maps may be laid flat; ``giver`` names the architecture.
    """

    widths: Mapping[int, str]
    channels: int
    cells: int
    flat: bool
    giver: str


@dataclass(frozen=True)
class Walk:
    """A chain followed from the trunk on: why it does not fit (None where it does), or where its maps are laid flat.

    ``jump`` is the number of the first layer on flat maps, of ``cells`` cells.
    """

    fault: str | None = None
    jump: int | None = None
    cells: int = 0
    end: int | None = None


def walk(chain: Sequence[Layer], start: Start) -> Walk:
    """Follows the widths of a chain."""
    before: Layer | None = None
    jump, cells = None, 0
    for place, layer in enumerate(chain):
        if layer.takes is None:
            continue
        width = start.channels if before is None else before.gives
        follows = layer.takes in start.widths if before is None else width == layer.takes
        if follows and not (before is None and _only_flat(layer, start)):
            before = layer
            continue
        found = _cells(layer, width, start) if jump is None and _on_maps(chain[:place]) else 0
        if not found:
            return Walk(_misfit(before, layer, start))
        jump, cells, before = place, found, layer
    return Walk(None, jump, cells, None if before is None else before.gives)


def ordered(layers: Sequence[Layer], names: Sequence[str]) -> list[Layer]:
    """The layers as a person named them; those without a name stay behind, as they are."""
    ranks = {layer.path: _rank(layer.path, names) for layer in layers}
    return sorted(layers, key=lambda layer: ranks[layer.path])


def _rank(path: str, names: Sequence[str]) -> int:
    named = (at for at, name in enumerate(names) if path == name or path.startswith(f"{name}."))
    return next(named, len(names))


def orders(layers: Sequence[Layer]) -> Iterator[list[Layer]]:
    """Every order of the layers in which those of one numbered row stay as they are numbered."""
    numbered = sorted(layers, key=lambda layer: [_natural(part) for part in layer.path.split(".")])
    units = [list(unit) for _, unit in itertools.groupby(numbered, key=lambda layer: layer.row)]
    if len(units) > _MOST_UNITS:
        yield numbered
        return
    for order in itertools.permutations(units):
        yield [layer for unit in order for layer in unit]


def _on_maps(chain: Sequence[Layer]) -> bool:
    return all(layer.maps is not None for layer in chain)


def _only_flat(layer: Layer, start: Start) -> bool:
    """Whether a width stands for flat maps alone, which `walk` then notes as a jump."""
    return start.flat and layer.takes == start.channels * start.cells and start.cells >= _FEWEST_CELLS


def _cells(layer: Layer, width: int | None, start: Start) -> int:
    """How many cells of so many channels a linear layer takes flat; 0 for none."""
    if not start.flat or not width or layer.takes is None or not isinstance(layer.module, nn.Linear) or layer.maps:
        return 0
    cells, rest = divmod(layer.takes, width)
    square = cells >= _FEWEST_CELLS and math.isqrt(cells) ** 2 == cells
    return cells if not rest and (square or cells == start.cells > 1) else 0


def _misfit(before: Layer | None, layer: Layer, start: Start) -> str:
    if before is not None:
        return f"{layer} cannot follow {before}"
    choices = " or ".join(f"{width} ({words})" for width, words in start.widths.items())
    return f"{layer} takes {layer.takes} features, and {start.giver} gives {choices}"


def _natural(part: str) -> tuple[int, str]:
    return (int(part), "") if part.isdigit() else (-1, part)
