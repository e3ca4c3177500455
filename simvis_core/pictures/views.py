"""Views: from a picture to what the network sees, and from its grid cells back to the picture's own pixels."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from PIL import Image
from torch import Tensor

from simvis_core.errors import SimvisError
from simvis_core.pictures.opening import upright_rgb
from simvis_core.pictures.resizing import Resampling, Resizing, check_resizing, resized

Framing = Literal["whole", "square", "crop"]
FRAMINGS: tuple[Framing, ...] = ("whole", "square", "crop")
MAX_RATIO = 4  # a longer panorama is squeezed to 4:1, so that no view outgrows the machine
MAX_CELLS = 40  # on the short side: a pair's table of cells grows with the fourth power
CROP_SHARE = 0.875  # the field's classic: short side 256, centre 224


@dataclass(frozen=True, eq=False)
class View:
    """What the network sees of a picture: ``pixels`` covers ``box`` = (left, top, right, bottom) of ``image``.

    ``image`` is upright RGB; ``box`` is in its pixels, as edges, and may have fractions.

    >>> import torch
    >>> from PIL import Image
    >>> from simvis_core import Preprocess
    >>> view = Preprocess(short_side=32, stride=8).view(Image.new("RGB", (60, 40)))
    >>> view.size, view.aspect, view.picture().size  # (h, w), width over height, (width, height)
    ((32, 48), 1.5, (60, 40))
    >>> view.cell_box((4, 6), row=0, column=5)
    (50.0, 0.0, 60.0, 10.0)
    >>> view.on_original(torch.ones(4, 6)).shape
    torch.Size([40, 60])
    """

    image: Image.Image
    pixels: Float[Tensor, "3 h w"]
    box: tuple[float, float, float, float]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the view in view pixels, (h, w)."""
        return self.pixels.shape[1], self.pixels.shape[2]

    def cell_box(self, grid: tuple[int, int], row: int, column: int) -> tuple[float, float, float, float]:
        """The cell's rectangle (left, top, right, bottom) in pixels of the picture."""
        left, top, right, bottom = self.box
        height, width = (bottom - top) / grid[0], (right - left) / grid[1]
        return left + column * width, top + row * height, left + (column + 1) * width, top + (row + 1) * height

    def on_original(self, map: Float[Tensor, "H W"]) -> Float[Tensor, "h0 w0"]:
        """The map at the picture's own resolution, zero outside the view's box."""
        left, top, right, bottom = self.box
        rows = _positions(self.image.height, top, bottom)
        columns = _positions(self.image.width, left, right)
        return _blend(map, rows, columns)

    @property
    def aspect(self) -> float:
        """Width over height of what the view covers, held to 4:1 as the view is."""
        left, top, right, bottom = self.box
        return min(max((right - left) / (bottom - top), 1 / MAX_RATIO), MAX_RATIO)

    def picture(self, longest: int = 1024) -> Image.Image:
        """What the view covers in its own colours, in the shape of `aspect`, at most ``longest`` pixels a side."""
        left, top, right, bottom = self.box
        side = min(longest, max(round(right - left), round(bottom - top), *self.size))
        size = (side, side / self.aspect) if self.aspect >= 1 else (side * self.aspect, side)
        whole = (max(1, round(size[0])), max(1, round(size[1])))
        return self.image.resize(whole, Image.Resampling.BICUBIC, box=self.box)


@dataclass(frozen=True)
class Preprocess:
    """How a network wants its pictures: colour statistics, sizes, and the resampling it was trained with.

    ``mean`` and ``std`` are for RGB in 0..1. ``stride`` is the side of a cell in view pixels; a view's sides are
    multiples of it, so that no cell is cut. The network's own ``short_side`` is one more, whole cells or not: it is
    the size that the network was trained at, and its longer views add whole cells. ``fixed_size`` (h, w) is for
    networks that take one size only.
    ``neutral`` is the mean training colour in preprocessed values: 0, but where the network normalises by itself.
    ``resizing`` is what shrinks pictures of a megapixel and more, see `resized`; it is no part of the network, so a
    fingerprint of it leaves it out.

    >>> from PIL import Image
    >>> from simvis_core import Preprocess
    >>> preprocess = Preprocess(short_side=64, stride=32)
    >>> view = preprocess.view(Image.new("RGB", (300, 200), "orange"))
    >>> view.size, preprocess.picture(view.pixels).getpixel((0, 0))
    ((64, 96), (255, 165, 0))
    >>> preprocess.whole_cells(100)
    96
    >>> preprocess.check(100, "whole")
    Traceback (most recent call last):
        ...
    simvis_core.errors.SimvisError: Got a short side of 100 pixels; wanted a multiple of 32 from 32 to 1280: choose 96.
    >>> trained_at_299 = Preprocess(short_side=299, stride=32)
    >>> trained_at_299.view(Image.new("RGB", (300, 200))).size, trained_at_299.whole_cells(300)
    ((299, 459), 299)
    """

    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    short_side: int = 224
    stride: int = 32
    fixed_size: tuple[int, int] | None = None
    resampling: Resampling = "bicubic"
    neutral: tuple[float, ...] = field(default=(0.0, 0.0, 0.0), repr=False)
    resizing: Resizing = field(default="quick", repr=False)  # unsaid, so that fingerprints from before it hold

    def view(self, image: Image.Image, short_side: int | None = None, framing: Framing = "whole") -> View:
        """The view of a picture (any Pillow mode and orientation).

        ``whole`` keeps the aspect ratio up to 4:1 and rounds each side to whole cells by a slight squeeze;
        ``square`` squeezes the whole picture into a square; ``crop`` is the classic centre square crop.
        A network of a fixed size ignores ``short_side`` and takes ``whole`` as ``square``.

        Raises SimvisError for an unknown framing and for a short side that is neither 1..40 whole cells nor the
        network's own.
        """
        image = upright_rgb(image)
        box = covered(image, framing)
        height, width = self._size(image, self.short_side if short_side is None else short_side, framing)
        sized = resized(image, (width, height), box, self.resampling, self.resizing)
        return View(image, self._pixels(sized), box)

    def picture(self, pixels: Float[Tensor, "3 h w"]) -> Image.Image:
        """Preprocessed pixels as a picture again; what lies outside 0..1 is held to it."""
        mean, std = (torch.tensor(values).to(pixels)[:, None, None] for values in (self.mean, self.std))
        colours = ((pixels * std + mean).clamp(0, 1) * 255).round().to(torch.uint8)
        return Image.fromarray(colours.permute(1, 2, 0).cpu().numpy())

    def whole_cells(self, short_side: int) -> int:
        """The short side nearest to the one asked for that this network takes, in pixels: whole cells, or its own."""
        whole = max(1, min(MAX_CELLS, round(short_side / self.stride))) * self.stride
        sides = [whole, self.short_side] if self._cells(self.short_side) else [whole]
        return min(sides, key=lambda side: abs(side - short_side))

    def check(self, short_side: int, framing: Framing) -> None:
        """Raises SimvisError for a kind of view that `view` refuses whatever the picture."""
        check_resizing(self.resizing)
        if framing not in FRAMINGS:
            raise SimvisError(f"framing '{framing}'", f"one of {', '.join(FRAMINGS)}", "choose one of these")
        whole = short_side % self.stride == 0 or short_side == self.short_side
        if self.fixed_size is None and not (whole and self._cells(short_side)):
            own = f", or {self.short_side}" * bool(self.short_side % self.stride)
            raise SimvisError(
                f"a short side of {short_side} pixels",
                f"a multiple of {self.stride} from {self.stride} to {MAX_CELLS * self.stride}{own}",
                f"choose {self.whole_cells(short_side)}",
            )

    def _cells(self, short_side: int) -> bool:
        """Whether a short side has as many whole cells as a view may have."""
        return 1 <= short_side // self.stride <= MAX_CELLS

    def _size(self, image: Image.Image, short_side: int, framing: Framing) -> tuple[int, int]:
        self.check(short_side, framing)
        if self.fixed_size is not None:
            return self.fixed_size
        if framing != "whole":
            return short_side, short_side
        ratio = min(max(image.size) / min(image.size), MAX_RATIO)
        rest = short_side % self.stride
        long_side = round((short_side * ratio - rest) / self.stride) * self.stride + rest
        return (long_side, short_side) if image.height > image.width else (short_side, long_side)

    def _pixels(self, sized: UInt8[np.ndarray, "h w 3"]) -> Float[Tensor, "3 h w"]:
        # In numpy: torch would start threads for each operation, which indexing's readers must not.
        pixels = sized.transpose(2, 0, 1).astype(np.float32, order="C")
        pixels /= np.float32(255)
        pixels -= np.array(self.mean, dtype=np.float32)[:, None, None]
        pixels /= np.array(self.std, dtype=np.float32)[:, None, None]
        return torch.from_numpy(pixels)


def enlarge(map: Float[Tensor, "H W"], size: tuple[int, int]) -> Float[Tensor, "h w"]:
    """The map at ``size`` (h, w): bilinear between cell centres, held constant beyond the outermost ones.

    A constant map stays constant; whole-number factors keep the mean.

    >>> import torch
    >>> from simvis_core import enlarge
    >>> enlarge(torch.tensor([[0.0, 1.0]]), (1, 4))
    tensor([[0.0000, 0.2500, 0.7500, 1.0000]])
    """
    return _blend(map, _positions(size[0]), _positions(size[1]))


def weights_at(x: float, y: float, size: tuple[int, int], grid: tuple[int, int]) -> Float[Tensor, "H W"]:
    """Cell weights of the point at view pixel (x, y): non-negative, summing to 1. The transpose of `enlarge`.

    ``(weights_at(x, y, size, grid) * map).sum() == enlarge(map, size)[y, x]``; a point may lie between pixels.
    Whole numbers are pixel centres. Source: Zhu 2021, point-to-point map, bilinear over the grid.

    Raises SimvisError for a point outside the view.

    >>> import torch
    >>> from simvis_core import enlarge, weights_at
    >>> weights = weights_at(1, 0, size=(1, 4), grid=(1, 2))
    >>> weights
    tensor([[0.7500, 0.2500]], dtype=torch.float64)
    >>> map = torch.tensor([[0.0, 1.0]], dtype=torch.float64)
    >>> float((weights * map).sum()) == float(enlarge(map, (1, 4))[0, 1])
    True
    """
    height, width = size
    if not (-0.5 <= x <= width - 0.5 and -0.5 <= y <= height - 0.5):
        raise SimvisError(
            f"the point ({x:g}, {y:g})", f"0 <= x <= {width - 1} and 0 <= y <= {height - 1}", "choose a point inside"
        )
    row, column = (torch.tensor([(at + 0.5) / side], dtype=torch.float64) for at, side in ((y, height), (x, width)))
    return torch.outer(_bilinear(row, grid[0])[0], _bilinear(column, grid[1])[0])


def weights_in(mask: Bool[Tensor, "h w"], grid: tuple[int, int]) -> Float[Tensor, "H W"]:
    """Cell weights of a region: for each cell the share of its area that the mask covers, 0 to 1.

    Disjoint regions add; the whole view gives 1 everywhere, so its region query is the embedding without bias.

    >>> import torch
    >>> from simvis_core import weights_in
    >>> weights_in(torch.tensor([[True, True, True, False]]), grid=(1, 2))
    tensor([[1.0000, 0.5000]], dtype=torch.float64)
    """
    rows, columns = _coverage(mask.shape[0], grid[0]), _coverage(mask.shape[1], grid[1])
    return rows @ mask.to(torch.float64) @ columns.T


def cell_at(x: float, y: float, size: tuple[int, int], grid: tuple[int, int]) -> tuple[int, int]:
    """The (row, column) of the cell that view pixel (x, y) lies in.

    >>> from simvis_core.pictures.views import cell_at
    >>> cell_at(x=30, y=10, size=(32, 48), grid=(4, 6))
    (1, 3)
    """
    row, column = int((y + 0.5) * grid[0] / size[0]), int((x + 0.5) * grid[1] / size[1])
    return min(max(row, 0), grid[0] - 1), min(max(column, 0), grid[1] - 1)


def covered(image: Image.Image, framing: Framing) -> tuple[float, float, float, float]:
    """What a framing covers of an upright picture: (left, top, right, bottom) in its pixels.

    >>> from PIL import Image
    >>> from simvis_core.pictures.views import covered
    >>> covered(Image.new("RGB", (80, 40)), "crop")
    (22.5, 2.5, 57.5, 37.5)
    """
    return _centre_box(image) if framing == "crop" else (0.0, 0.0, float(image.width), float(image.height))


def _centre_box(image: Image.Image) -> tuple[float, float, float, float]:
    side = min(image.size) * CROP_SHARE
    left, top = (image.width - side) / 2, (image.height - side) / 2
    return left, top, left + side, top + side


def _positions(pixels: int, start: float = 0.0, stop: float | None = None) -> Tensor:
    """Pixel centres as fractions of the stretch from start to stop (in the same pixels)."""
    stop = float(pixels) if stop is None else stop
    return (torch.arange(pixels, dtype=torch.float64) + 0.5 - start) / (stop - start)


def _blend(map: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    down, across = (_bilinear(at, cells).to(map) for at, cells in ((rows, map.shape[0]), (columns, map.shape[1])))
    return down @ map @ across.T


def _bilinear(fractions: Float[Tensor, " n"], cells: int) -> Float[Tensor, "n cells"]:
    """Each position's two nearest cell centres with their weights; half-pixel centres, clamped; zero outside 0..1."""
    at = (fractions * cells - 0.5).clamp(0, cells - 1)
    low = at.floor().long().clamp(max=cells - 1)
    high = (low + 1).clamp(max=cells - 1)
    share = at - low
    weights = torch.zeros(len(fractions), cells, dtype=torch.float64)
    rows = torch.arange(len(fractions))
    weights.index_put_((rows, low), 1 - share, accumulate=True)
    weights.index_put_((rows, high), share, accumulate=True)
    inside = (fractions >= 0) & (fractions <= 1)
    return weights * inside[:, None]


def _coverage(pixels: int, cells: int) -> Float[Tensor, "cells pixels"]:
    """Share of each cell's length that each pixel fills; rows sum to 1."""
    edges = torch.arange(cells + 1, dtype=torch.float64) * pixels / cells
    starts = torch.arange(pixels, dtype=torch.float64)
    overlap = torch.minimum(edges[1:, None], starts + 1) - torch.maximum(edges[:-1, None], starts)
    return overlap.clamp(min=0) * cells / pixels
