"""Which layers of a network are cuts: found among its blocks, and proved by replacing their output."""

import difflib
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from simvis_core.errors import SimvisError
from simvis_core.networks.backbone import Activations
from simvis_core.networks.depth.behind import FEATURES, PIXELS, Behind, noting, run_through, twin
from simvis_core.networks.depth.layouts import grid_at, layout_of

_PROVED = {torch.float64: 1e-9, torch.float32: 1e-4}  # of what two pictures differ by, or of rounding


class Cut(NamedTuple):
    """A layer that everything from the pixels passes through, and its grid (H, W) for the views it was found on."""

    layer: str
    grid: tuple[int, int]


@torch.no_grad()
def cuts(backbone: nn.Module, views: Tensor, inner: bool) -> list[Cut]:
    """The cuts of a backbone from the pixels to the features, each proved on two different ``views`` (2, 3, h, w).

    Looked for among the modules that stand in a row: the backbone's own, those of a module that is a cut itself or a
    list, and so on inwards. With ``inner``, the backbone pools by itself, and its features are no cut.

    >>> import torch
    >>> from torch import nn
    >>> from simvis_core.networks.depth.cuts import cuts
    >>> backbone = nn.Sequential(nn.Conv2d(3, 4, 4, 4), nn.ReLU(), nn.Conv2d(4, 5, 2, 2)).eval()
    >>> [tuple(cut) for cut in cuts(backbone, torch.rand(2, 3, 16, 16), inner=False)]
    [('pixels', (16, 16)), ('0', (4, 4)), ('1', (4, 4)), ('2', (2, 2)), ('features', (2, 2))]
    """
    size = (views.shape[2], views.shape[3])
    copied = twin(getattr(backbone, "eager", backbone))
    views = views.to(next(copied.parameters(), views))
    in_a_row = _in_a_row(copied)
    one = run_through(copied, views[:1])
    with noting(copied, in_a_row) as calls:
        other = run_through(copied, views[1:])
    found = [Cut(PIXELS, size)]
    for module, given in calls.kept.items():
        layout = layout_of(tuple(given.shape[1:]), size)
        if layout is None or module in calls.again:
            continue
        behind = Behind.of_pass(copied, in_a_row[module], calls, views[1:])
        if _proved(one, other, behind.run(given, size)):
            found.append(Cut(in_a_row[module], layout.grid))
    layout = layout_of(tuple(one.features.shape[1:]), size)
    return found if inner or layout is None else [*found, Cut(FEATURES, layout.grid)]


def dial(found: Sequence[Cut], inner: bool) -> list[Cut]:
    """The cuts that a reader chooses among, from coarse to fine; the network's own last features are not among them.

    Of each grid the last one in the network's order. A plain transformer keeps one grid from its first block to its
    last, so a few of its blocks are offered, evenly spaced. With ``inner``, the network pools by itself: what it reads
    behind its last block is a token without a place, so that block's cells carry nothing, and it is left out.

    >>> from simvis_core.networks.depth.cuts import Cut, dial
    >>> found = [Cut("pixels", (8, 8)), Cut("0", (4, 4)), Cut("1", (4, 4)), Cut("2", (2, 2)), Cut("features", (2, 2))]
    >>> [cut.layer for cut in dial(found, inner=False)]
    ['1', 'pixels']
    >>> blocks = [Cut("pixels", (8, 8)), *(Cut(f"blocks.{at}", (2, 2)) for at in range(12))]
    >>> [cut.layer for cut in dial(blocks, inner=True)]
    ['blocks.10', 'blocks.7', 'blocks.4', 'blocks.1', 'pixels']
    """
    by_grid: dict[tuple[int, int], list[Cut]] = {}
    for cut in found:
        by_grid.setdefault(cut.grid, []).append(cut)
    plain, offered = len(by_grid) <= 2, []
    for same in reversed(list(by_grid.values())):
        whole = [cut for cut in (same[:-1] if inner and len(same) > 1 else same) if cut.layer != FEATURES]
        last_is_own = not inner and same[-1].layer == FEATURES and not plain
        step = max(1, -(-len(whole) // FEW_BLOCKS)) if plain else max(1, len(whole))
        offered += [] if last_is_own else whole[::-1][::step][:FEW_BLOCKS]
    return offered


@torch.no_grad()
def grids_at(backbone: nn.Module, layers: Sequence[str], pixels: Float[Tensor, "3 h w"]) -> dict[str, tuple[int, int]]:
    """The grid (H, W) of each layer for a view, by one pass; a layer without one at this size is left out.

    >>> import torch
    >>> from torch import nn
    >>> from simvis_core.networks.depth.cuts import grids_at
    >>> backbone = nn.Sequential(nn.Conv2d(3, 4, 4, 4), nn.ReLU(), nn.Conv2d(4, 5, 2, 2)).eval()
    >>> grids_at(backbone, ["pixels", "1", "features"], torch.rand(3, 16, 24))
    {'pixels': (16, 24), '1': (4, 6), 'features': (2, 3)}
    """
    size = (pixels.shape[1], pixels.shape[2])
    copied = twin(getattr(backbone, "eager", backbone))
    modules = {layer: copied.get_submodule(layer) for layer in layers if layer not in (PIXELS, FEATURES)}
    with noting(copied, ()) as calls:
        seen = run_through(copied, pixels[None].to(next(copied.parameters(), pixels)))
    shapes = {PIXELS: (1, 3, *size), FEATURES: tuple(seen.features.shape)}
    for layer, module in modules.items():
        shapes[layer] = calls.shapes.get(module, [None])[0] or (1,)
    layouts = {layer: layout_of(shapes[layer][1:], size) for layer in layers}
    return {layer: layout.grid for layer, layout in layouts.items() if layout is not None}


@torch.no_grad()
def is_cut(behind: Behind, views: Tensor) -> bool:
    """Whether everything from the pixels to the backbone's output passes through the layer.

    The second view's output of the layer, in a run that knows nothing else of that view, has to give what the second
    view gives. What differs is measured against how the outputs of the two views differ.

    >>> import torch
    >>> from torch import nn
    >>> from simvis_core.networks.depth.behind import Behind
    >>> from simvis_core.networks.depth.cuts import is_cut
    >>> class Skip(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.branch = nn.Conv2d(3, 3, 3, padding=1)
    ...     def forward(self, x):
    ...         return x + self.branch(x)
    ...
    >>> block, views = Skip().eval(), torch.rand(2, 3, 8, 8)
    >>> is_cut(Behind(block, "branch"), views), is_cut(Behind(nn.Sequential(block), "0"), views)
    (False, True)
    """
    one, _ = behind.whole(views[:1])
    other, given = behind.whole(views[1:])
    if behind.repeats:
        return False
    again = behind.run(given, (views.shape[2], views.shape[3]))
    return _proved(one, other, again)


def check_cut(behind: Behind, views: Tensor, network: str) -> None:
    """Raises SimvisError for a layer that gives no grid, that runs more than once a pass, or that is no cut.

    >>> import torch
    >>> from torch import nn
    >>> from simvis_core.networks.depth.behind import Behind
    >>> from simvis_core.networks.depth.cuts import check_cut
    >>> check_cut(Behind(nn.Sequential(nn.Conv2d(3, 4, 4, 4)), "0"), torch.rand(2, 3, 16, 16), "a network")
    """
    output = behind.whole(views[:1])[1]
    grid_at(behind.layer, output, (views.shape[2], views.shape[3]))
    if not is_cut(behind, views):
        raise no_cut(behind.layer, network)


def no_cut(layer: str, network: str) -> SimvisError:
    """The error for a layer that something of the pixels passes by.

    >>> from simvis_core.networks.depth.cuts import no_cut
    >>> print(no_cut("branch", "your network"))
    Got layer 'branch' of your network, which is no cut: ...
    """
    return SimvisError(
        f"layer '{layer}' of {network}, which is no cut: something of the picture passes by it",
        "a layer that everything from the pixels passes through",
        "choose one that `cuts` lists",
    )


def layer_named(backbone: nn.Module, name: str) -> str:
    """A layer's full name: its path in the backbone, or the end of a path that only one module has.

    Raises SimvisError for a layer that the backbone does not have, with the nearest names.

    >>> from torch import nn
    >>> from simvis_core.networks.depth.cuts import layer_named
    >>> layer_named(nn.Sequential(nn.Sequential(nn.Conv2d(3, 4, 3))), "0.0")
    '0.0'
    """
    backbone = getattr(backbone, "eager", backbone)
    names = [PIXELS, FEATURES, *(path for path, _ in backbone.named_modules() if path)]
    ends = [path for path in names if path.endswith(f".{name}")]
    if name in names:
        return name
    if len(ends) == 1:
        return ends[0]
    shorter = {path.removeprefix(_wrapping(names)): path for path in names}
    near = difflib.get_close_matches(name, [*shorter, *names], n=3, cutoff=0.3) or [PIXELS, FEATURES]
    raise SimvisError(
        f"layer '{name}'"
        + (f", which {len(ends)} modules are called" if ends else ", which the network does not have"),
        f"a layer of it, as {', '.join(near)}",
        "choose one that the network's `cuts` lists",
    )


def _wrapping(names: list[str]) -> str:
    """What stands in front of every module's path: the name of a module that wraps all others."""
    first = {path.split(".")[0] for path in names[2:]}
    return f"{first.pop()}." if len(first) == 1 else ""


def _in_a_row(module: nn.Module, path: str = "", in_list: bool = True) -> dict[nn.Module, str]:
    """The modules that may stand one behind the other, and their paths: of a block only its lists of blocks."""
    parts = dict(module.named_children())
    found: dict[nn.Module, str] = {}
    for name, part in parts.items():
        if in_list or name in LISTS:
            wraps_all = not path and len(parts) == 1
            inside = isinstance(part, nn.Sequential | nn.ModuleList) or wraps_all
            found |= {part: f"{path}{name}", **_in_a_row(part, f"{path}{name}.", inside)}
    return found


def _proved(one: Activations, other: Activations, again: Activations) -> bool:
    """Whether ``again`` is ``other``, measured against how the two pictures differ, and against rounding."""
    first, second, third = (seen.features if seen.pooled is None else seen.pooled for seen in (one, other, again))
    rounding = {torch.float64: 1e-12, torch.float32: 1e-5}.get(second.dtype, 3e-2) * second.norm()
    return bool((third - second).norm() <= _PROVED.get(second.dtype, 3e-2) * (first - second).norm() + rounding)


FEW_BLOCKS = 4  # of a plain transformer that a reader chooses among
LISTS = (
    "blocks",
    "resblocks",
    "layers",
    "layer",
    "stages",
    "features",
)  # what libraries call a list of blocks inside of a module
