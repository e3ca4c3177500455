"""What a library of networks is asked for, and which libraries there are."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any, Protocol, cast

from torch import Tensor, nn

from model_zoo.architectures.anatomy import Anatomy, Created


class Library(Protocol):
    """A module that knows one library's networks by name, builds them, and says how they are put together.

    What it says of a network is proved by `arranging`, so a wrong guess costs time, never a wrong map.
    """

    def names(self) -> list[str]:
        """Every architecture that the library has, without the library's name in front."""

    def knows(self, name: str, /) -> bool:
        """Whether the library has an architecture; a name may carry more than `names` tells, as a tag of weights."""

    def create(self, name: str, pretrained: bool, /, **chosen: Any) -> Created:
        """The network without its classifier, random or with the library's own weights; ``chosen`` as in `variants`.

        What the library raises is let through: OSError, RuntimeError, ValueError and HTTP errors for weights that
        cannot be had, AssertionError for an option that a family does not have.
        """

    def described(self, name: str, /) -> Mapping[str, Any]:
        """What the library says of a network without building it; the facts of `Created`."""

    def variants(self, network: nn.Module, /) -> tuple[dict[str, Any], ...]:
        """Options for `create` under which a network has other layers behind its features."""

    def anatomy(self, network: nn.Module, probe: Tensor, /) -> Anatomy:
        """Candidates for features, pooling and head; ``probe`` (1, 3, h, w) is a view of the configured size."""


def library(name: str) -> Library:
    """The library of a row of LIBRARIES, imported now: torchvision and timm take a second.

    Raises KeyError for a name without a row.
    """
    return cast(Library, import_module(LIBRARIES[name]))


def canonical(name: str) -> str:
    """An architecture's name with its library in front: timm's own ``hf-hub:OWNER/NAME`` has none."""
    return f"timm/{name}" if name.startswith(HUB) else name


HUB = "hf-hub:"  # what timm and open_clip write in front of a name of the hub's
_HERE = "model_zoo.architectures"
LIBRARIES: dict[str, str] = {
    "timm": f"{_HERE}.timm_networks",
    "torchvision": f"{_HERE}.torchvision_networks",
    "transformers": f"{_HERE}.optional.transformers_networks",
    "open_clip": f"{_HERE}.optional.open_clip_networks",
}
FOLDERS = ("transformers", "open_clip")  # whose names may be paths
# What an architecture's name looks like.
FORMS = " or ".join(", ".join(f"{name}/NAME" for name in LIBRARIES).rsplit(", ", 1))
