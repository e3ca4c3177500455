"""Which layer a module's tensors are, told by their names and shapes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from simvis_core.networks.heads import Elementwise, UnitLength

Groups = Mapping[str, Mapping[str, Tensor]]


@dataclass(frozen=True)
class Layer:
    """One layer of a head; ``takes`` and ``gives`` are None for one that leaves the width as it is.

    ``module`` works on vectors, ``maps`` on feature maps (None for one that cannot stand in front of the pooling).
    ``lone`` tells a plain matrix without a bias, which could be the class weights of a loss as well.
    """

    path: str
    module: nn.Module
    takes: int | None
    gives: int | None
    words: str
    maps: nn.Module | None = None
    lone: bool = False

    @property
    def convolution(self) -> bool:
        """Whether it was a convolution of 1 x 1, on maps or on pooled vectors."""
        return isinstance(self.maps, nn.Conv2d)

    @property
    def row(self) -> str:
        """The Sequential that it is a numbered child of, else itself."""
        parent, _, name = self.path.rpartition(".")
        return f"{parent}.*" if name.isdigit() else self.path

    def __str__(self) -> str:
        return f"{self.path} ({self.words})"


class Power(nn.Module):
    """Each channel to a power of its own, of vectors (B, C) or maps (B, C, H, W), from ``floor`` on upwards."""

    def __init__(self, exponents: Tensor, floor: float) -> None:
        super().__init__()
        self.floor = floor
        self.register_buffer("exponents", exponents.flatten().float())

    def forward(self, x: Tensor) -> Tensor:
        """The powers."""
        exponents = self.get_buffer("exponents").to(x)
        return x.clamp(min=self.floor).pow(exponents.view(-1, *[1] * (x.ndim - 2)))


def powers(exponents: Tensor) -> tuple[nn.Module, nn.Module]:
    """GeM as what stands around an average: ``x ** p`` of the maps, and the root of the mean behind it.

    Radenovic et al. 2018, eq. 2-3, where each channel has its exponent; values are held above 1e-6 as in their code.
    """
    return Power(exponents, 1e-6), Elementwise(Power(1 / exponents, 0.0))


def read_layer(path: str, tensors: Mapping[str, Tensor]) -> Layer | None:
    """The first kind whose tensors have exactly these names and shapes; None for none."""
    for make in _KINDS:
        layer = make(path, tensors)
        if layer is not None and _holds(layer.module, tensors):
            if layer.maps is not None and layer.maps is not layer.module:
                _holds(layer.maps, tensors, flat=False)
            return layer
    return None


def read_matrix(path: str, matrix: Tensor, transposed: bool) -> Layer:
    """A bare matrix as a linear layer: outputs x inputs, or ``transposed`` inputs x outputs."""
    weight = matrix.T.contiguous() if transposed else matrix
    layer = read_layer(path, {"weight": weight})
    assert layer is not None
    return layer


def layer_words(path: str, tensors: Mapping[str, Tensor]) -> str:
    """What the tensors of one module are, or their shapes where they are no known layer."""
    layer = read_layer(path, tensors)
    return layer.words if layer else ", ".join(f"{name} {layer_size(tensor)}" for name, tensor in tensors.items())


def layer_size(tensor: Tensor) -> str:
    """A tensor's shape for a person: ``128 x 512``."""
    return " x ".join(map(str, tensor.shape)) or "one number"


def steps(text: str) -> list[tuple[str, nn.Module]]:
    """The modules that a step of STEPS stands for, with their names."""
    return [_STEPS[name] for name in text.split("+") if name in _STEPS]


def _holds(module: nn.Module, tensors: Mapping[str, Tensor], flat: bool = True) -> bool:
    """Fills the module where every tensor fits; the count of batches may be missing."""
    state = module.state_dict()
    given = {name: _flat(tensor) if flat else tensor for name, tensor in tensors.items()}
    whole = {"num_batches_tracked": state.get("num_batches_tracked"), **given}
    complete = {name: tensor for name, tensor in whole.items() if tensor is not None}
    if {name: t.shape for name, t in complete.items()} != {name: t.shape for name, t in state.items()}:
        return False
    if not all(tensor.is_floating_point() for name, tensor in given.items() if name != "num_batches_tracked"):
        return False
    module.load_state_dict(complete)
    return True


def _flat(tensor: Tensor) -> Tensor:
    """A convolution of 1 x 1 on pooled vectors is a linear layer."""
    return tensor.flatten(1) if tensor.ndim > 2 else tensor


def _linear(path: str, tensors: Mapping[str, Tensor]) -> Layer | None:
    weight = tensors.get("weight")
    if weight is None or weight.ndim < 2 or any(side != 1 for side in weight.shape[2:]):
        return None
    outputs, inputs = weight.shape[:2]
    bias = "bias" in tensors
    module = nn.Linear(inputs, outputs, bias=bias)
    words = f"Linear {inputs} -> {outputs}"
    maps = nn.Conv2d(inputs, outputs, 1, bias=bias) if weight.ndim == 4 else None
    return Layer(path, module, inputs, outputs, words, maps, lone=weight.ndim == 2 and set(tensors) == {"weight"})


def _batch_norm(path: str, tensors: Mapping[str, Tensor]) -> Layer | None:
    mean = tensors.get("running_mean")
    if mean is None or mean.ndim != 1:
        return None
    width, affine = len(mean), "weight" in tensors
    maps = nn.BatchNorm2d(width, affine=affine)
    return Layer(path, nn.BatchNorm1d(width, affine=affine), width, width, f"BatchNorm {width}", maps)


def _layer_norm(path: str, tensors: Mapping[str, Tensor]) -> Layer | None:
    weight = tensors.get("weight")
    if weight is None or weight.ndim != 1 or "bias" not in tensors:
        return None
    width = len(weight)
    return Layer(path, nn.LayerNorm(width), width, width, f"LayerNorm {width}")


def _prelu(path: str, _: Mapping[str, Tensor]) -> Layer | None:
    module = nn.PReLU()
    return Layer(path, module, None, None, "PReLU", module)


_KINDS: tuple[Callable[[str, Mapping[str, Tensor]], Layer | None], ...] = (_batch_norm, _linear, _layer_norm, _prelu)
_STEPS: dict[str, tuple[str, nn.Module]] = {
    "relu": ("ReLU", nn.ReLU()),
    "gelu": ("GELU", nn.GELU()),
    "silu": ("SiLU", nn.SiLU()),
    "unit": ("unit length", UnitLength()),
}
