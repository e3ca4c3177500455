"""Where networks run."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from simvis_core.errors import SimvisError
from simvis_core.networks.backbone import Activations
from simvis_core.networks.network import EmbeddingNetwork
from simvis_core.networks.states import tensor_bytes

AUTO = "auto"


def best_device() -> str:
    """``cuda`` or ``mps`` where PyTorch finds one, else ``cpu``."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def on_device(network: EmbeddingNetwork, device: str) -> EmbeddingNetwork:
    """The network itself, its weights moved; ``auto`` is `best_device`.

    On a graphics card float32 stays float32: PyTorch would let convolutions round to 10 bits (TF32) by itself.

    Raises SimvisError for a device that PyTorch does not find.
    """
    for module in (network.backbone, network.head):
        if module is not None:
            moved(module, device)
    return network


def moved(module: nn.Module, device: str) -> nn.Module:
    """The module itself, its weights on a device; ``auto``, float32 and errors are as `on_device` has them."""
    device = best_device() if device == AUTO else device
    if device == "meta":  # PyTorch's device without numbers
        raise SimvisError("device 'meta'", "one that computes", "use cpu")
    torch.backends.cudnn.allow_tf32 = False
    try:
        return module.to(device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:  # as PyTorch refuses a device
        reason = str(error).splitlines()[0]
        raise SimvisError(f"device '{device}' ({reason})", "one that PyTorch finds here", "use cpu") from error


def architecture_bytes(name: str) -> int:
    """What an architecture's weights would take, without making them; 0 for one that cannot be built so.

    Raises SimvisError for an unknown name.
    """
    from model_zoo.architectures import arranging  # noqa: PLC0415  (pulls in torchvision and timm)

    try:
        with torch.device("meta"):
            source = arranging.build(name).source
    except SimvisError:
        raise
    except (RuntimeError, NotImplementedError, ValueError):  # one that computes with its weights as it is built
        return 0
    return sum(tensor.nbytes for tensor in source.state_dict().values())


def weight_bytes(network: EmbeddingNetwork) -> int:
    """What the weights of backbone and head take; twice that under an engine that keeps a copy of its own."""
    modules = [module for module in (network.backbone, network.head) if module is not None]
    weights = sum(tensor_bytes(module.state_dict()) for module in modules)
    return weights if network.engine in ("eager", "channels_last", "bf16") else 2 * weights


class Elsewhere(nn.Module):
    """A backbone whose forward passes are made by a call, wherever that runs; its members are the backbone's own."""

    def __init__(self, backbone: nn.Module, call: Callable[[Tensor], Tensor | Activations]) -> None:
        super().__init__()
        self._call = call
        self._own = [backbone]  # in a list: not a submodule, so that pixels are not sent to its device

    def __getattr__(self, name: str) -> Any:
        """What PyTorch finds here, else what the backbone has: how it pools by itself, say."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(self.__dict__["_own"][0], name)

    def state_dict(self, *arguments: Any, **options: Any) -> Any:
        """The backbone's weights: what a fingerprint is made of, and what memory they take."""
        return self._own[0].state_dict(*arguments, **options)

    def forward(self, pixels: Tensor) -> Tensor | Activations:
        """What the backbone gives."""
        return self._call(pixels)


def there_and_back(backbone: nn.Module, pixels: Tensor) -> Tensor | Activations:
    """A forward pass on the backbone's own device, the result on the processor."""
    with torch.inference_mode():
        output = backbone(pixels.to(next(backbone.parameters())))
    if isinstance(output, Tensor):
        return output.cpu()
    return Activations(*(None if part is None else part.cpu() for part in output))  # type: ignore[arg-type]
