"""Layers behind the pooling in the form whose split the core knows; they share their weights with the original."""

from timm.layers import BatchNormAct2d, DropPath, RmsNorm, SelectAdaptivePool2d
from torch import Tensor, nn

from simvis_core.networks.heads import FROZEN, Elementwise

_IDLE = (nn.Identity, nn.Dropout, nn.Flatten, nn.AdaptiveAvgPool2d, SelectAdaptivePool2d, DropPath)  # on one vector
_SINGLE_CELL = (nn.Conv2d, nn.BatchNorm2d)
_ACTIVATIONS = (
    "torch.nn.modules.activation",
    "timm.layers.activations",
    "timm.layers.activations_me",
    "transformers.activations",
)
_ACROSS_ENTRIES = (nn.Softmax, nn.LogSoftmax, nn.Softmin, nn.Softmax2d, nn.GLU, nn.MultiheadAttention)


class OneCell(nn.Module):
    """A layer for feature maps, applied to vectors (B, F) as to maps of one cell."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x[:, :, None, None]).flatten(1)


def known(module: nn.Module) -> list[nn.Module]:
    """The module as a chain of layers on vectors; what does nothing to a vector in eval mode is left out."""
    if isinstance(module, nn.Sequential):
        return [layer for child in module for layer in known(child)]
    if isinstance(module, _IDLE):
        return []
    if isinstance(module, BatchNormAct2d):
        return [OneCell(_batch_norm(module)), *known(module.act)]
    if isinstance(module, _SINGLE_CELL):
        return [OneCell(module)]
    if isinstance(module, (nn.LayerNorm, RmsNorm)):
        return [_norm(module)]
    return [_elementwise(module)]


def chain(modules: list[nn.Module]) -> nn.Sequential | None:
    """One head of the modules; None where nothing is left of them."""
    layers = [layer for module in modules for layer in known(module)]
    return nn.Sequential(*layers) if layers else None


def _batch_norm(norm: BatchNormAct2d) -> nn.BatchNorm2d:
    plain = nn.BatchNorm2d(norm.num_features, eps=norm.eps).eval()
    plain.weight, plain.bias = norm.weight, norm.bias
    plain.running_mean, plain.running_var = norm.running_mean, norm.running_var
    return plain


def _norm(norm: nn.Module) -> nn.Module:
    """Libraries subclass these for speed or for another layout; on a vector they are the plain ones."""
    if isinstance(norm, RmsNorm):
        rms = nn.RMSNorm(norm.normalized_shape, eps=norm.eps, elementwise_affine=False)
        rms.weight = norm.weight
        return rms
    plain = nn.LayerNorm(norm.normalized_shape, eps=norm.eps, elementwise_affine=False)  # type: ignore[arg-type]
    plain.weight, plain.bias = norm.weight, norm.bias  # type: ignore[assignment]
    return plain


def _elementwise(module: nn.Module) -> nn.Module:
    activation = type(module).__module__ in _ACTIVATIONS and not isinstance(module, _ACROSS_ENTRIES)
    return Elementwise(module) if activation and type(module) not in FROZEN else module
