"""Maps laid over the pictures they belong to, one scale for a row."""

from jaxtyping import Float
from PIL import Image
from torch import Tensor

from simvis_core.files.colours import DEFAULT_COLOURS, Ground, laid
from simvis_core.pictures.views import View


def common_scale(*maps: Float[Tensor, "_ _"]) -> float:
    """The one scale for a row of pictures: the largest absolute value of all their maps, in score units.

    >>> import torch
    >>> from simvis_core.pictures.overlays import common_scale
    >>> common_scale(torch.tensor([[0.25, -0.5]]), torch.tensor([[0.125]]))
    0.5
    """
    return max(map.abs().max().item() for map in maps)


def overlay(
    view: View,
    map: Float[Tensor, "H W"],
    scale: float,
    colours: str = DEFAULT_COLOURS,
    opacity: float = 0.85,
    ground: Ground = "colours",
) -> Image.Image:
    """The map over the whole original picture at its own resolution, coloured after enlarging.

    ``ground`` is how it lies there. Raises SimvisError as `laid` does.

    >>> import torch
    >>> from PIL import Image
    >>> from simvis_core import Preprocess
    >>> from simvis_core.pictures.overlays import overlay
    >>> view = Preprocess(short_side=32, stride=8).view(Image.new("RGB", (60, 40), "white"))
    >>> overlay(view, torch.ones(4, 6), scale=1.0, opacity=1.0).size
    (60, 40)
    """
    return laid(view.image, view.on_original(map.cpu().double()).numpy(), scale, colours, opacity, ground)
