"""Where networks run."""

import torch

from simvis_core.errors import SimvisError
from simvis_core.network import EmbeddingNetwork

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
    device = best_device() if device == AUTO else device
    torch.backends.cudnn.allow_tf32 = False
    try:
        for module in (network.backbone, network.head):
            if module is not None:
                module.to(device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:  # as PyTorch refuses a device
        reason = str(error).splitlines()[0]
        raise SimvisError(f"device '{device}' ({reason})", "one that PyTorch finds here", "use cpu") from error
    return network


def weight_bytes(network: EmbeddingNetwork) -> int:
    """What the weights of backbone and head take; twice that under an engine that keeps a copy of its own."""
    modules = [module for module in (network.backbone, network.head) if module is not None]
    weights = sum(tensor.nbytes for module in modules for tensor in module.state_dict().values())
    return weights if network.engine in ("eager", "channels_last", "bf16") else 2 * weights
