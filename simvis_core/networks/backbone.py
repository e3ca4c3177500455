"""What the core asks of a backbone: a forward pass, and up to three members that only some backbones have."""

from typing import Any, NamedTuple, Protocol

from torch import Tensor, nn


class Activations(NamedTuple):
    """What a forward pass leaves for every pooling, point and query that is asked later.

    ``features`` (B, C, H, W) are the last feature maps. A backbone that pools by itself adds ``pooled`` (B, F), and
    in ``carried`` what its own ``inner_parts`` needs to say which cell brought in what. A network whose maps are drawn
    at another layer (`EmbeddingNetwork.at`) adds that layer's output and the pixels.

    >>> import torch
    >>> from simvis_core import Activations
    >>> batch = Activations(torch.zeros(2, 4, 3, 3))
    >>> batch.one().features.shape, batch.one().compact().nbytes  # bytes: 4 x 3 x 3 float32 numbers
    (torch.Size([4, 3, 3]), 144)
    """

    features: Tensor
    pooled: Tensor | None = None
    carried: Tensor | None = None
    layer: Tensor | None = None
    pixels: Tensor | None = None

    def one(self, index: int = 0) -> "Activations":
        """What picture ``index`` of the batch left, without the batch axis: features (C, H, W), perhaps pooled (F,)."""
        return Activations(*(None if tensor is None else tensor[index] for tensor in self))  # type: ignore[arg-type]

    def compact(self) -> "Activations":
        """Equal tensors in storage of their own: a slice of a batch no longer keeps the whole batch in memory."""
        return Activations(*(None if tensor is None else _whole(tensor) for tensor in self))  # type: ignore[arg-type]

    @property
    def nbytes(self) -> int:
        """What keeping them costs."""
        return sum(tensor.nbytes for tensor in self if tensor is not None)


class Backbone(Protocol):
    """The least: a PyTorch module that maps pixels to features. It is put into eval mode and never trained.

    ``forward`` takes preprocessed pixels (B, 3, h, w), in the dtype and on the device of the first weight, and gives
    features (B, C, H, W); `Activations` where it pools by itself, too; or pooled vectors (B, F) alone, under the
    pooling ``own``. For a size it cannot take it raises RuntimeError, AssertionError, ValueError or IndexError.
    `PoolsItself` and `Attends` have the further members that the core looks for.
    """

    def forward(self, pixels: Tensor) -> "Tensor | Activations":
        """One forward pass."""


class PoolsItself(Backbone, Protocol):
    """A backbone with a pooling of its own: a class token, attention pooling, NetVLAD.

    ``inner_pooling`` names it: ``token`` or ``own``. ``inner_parts`` takes the activations of one picture, without the
    batch axis, and says which cell brought in what: parts (H, W, F) and the rest (F,), which add up to ``pooled``;
    None where it cannot tell. Without that member, too, nothing is split.
    """

    inner_pooling: str

    def inner_parts(self, activations: Activations) -> tuple[Tensor, Tensor] | None:
        """The cells' parts of the pooled vector (H, W, F), and the rest (F,)."""


class Attends(Backbone, Protocol):
    """A transformer that shows where its tokens look, from its first block to its last.

    ``attentions`` takes pixels (1, 3, h, w) of one picture and gives (L, heads, N, N): row i of a block is what token i
    looks at, and sums to 1. The cells' tokens come last, row by row. None where a block is of a kind it does not know.
    """

    def attentions(self, pixels: Tensor) -> Tensor | None:
        """Every block's attention for one picture (L, heads, N, N)."""


def inner_pooling(backbone: nn.Module) -> str | None:
    """The name of the backbone's own pooling, ``token`` or ``own``; None for a backbone that names none.

    >>> from torch import nn
    >>> from simvis_core.networks.backbone import inner_pooling
    >>> inner_pooling(nn.Conv2d(3, 4, 8, 8)) is None
    True
    """
    return _member(backbone, "inner_pooling", None)


def inner_parts(backbone: nn.Module, activations: Activations) -> tuple[Tensor, Tensor] | None:
    """Which cell brought in what of the vector that the backbone pooled: (H, W, F) and the rest (F,).

    None for a backbone that does not tell; see `PoolsItself`.

    >>> import torch
    >>> from torch import nn
    >>> from simvis_core.networks.backbone import Activations, inner_parts
    >>> inner_parts(nn.Conv2d(3, 4, 8, 8), Activations(torch.zeros(4, 2, 2))) is None
    True
    """
    return _member(backbone, "inner_parts", _untold)(activations)


def attentions(backbone: nn.Module, pixels: Tensor) -> Tensor | None:
    """Every block's attention for one picture (1, 3, h, w), as (L, heads, N, N), in the dtype of the weights.

    None for a backbone that shows none; see `Attends`.

    >>> import torch
    >>> from torch import nn
    >>> from simvis_core.networks.backbone import attentions
    >>> attentions(nn.Conv2d(3, 4, 8, 8), torch.zeros(1, 3, 16, 16)) is None
    True
    """
    return _member(backbone, "attentions", _untold)(pixels.to(next(backbone.parameters(), pixels)))


def _member(backbone: nn.Module, name: str, otherwise: Any) -> Any:
    """Looked up as any member is: backbones that run another one show its members as theirs."""
    return getattr(backbone, name, otherwise)


def _untold(_: object) -> None:
    return None


def _whole(tensor: Tensor) -> Tensor:
    return tensor if tensor.untyped_storage().nbytes() == tensor.nbytes else tensor.clone()
