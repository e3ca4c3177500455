"""Lets torchvision be imported beside a PyTorch build that its compiled operators do not fit.

A CPU build of PyTorch with the registry's CUDA build of torchvision stops at import with "operator torchvision::nms
does not exist". The networks here use neither operator, so declaring the two schemas is enough. Where the extension
loads, nothing is declared. Importing this module does it, once; import it before torchvision or timm.
"""

import importlib.util
from pathlib import Path

import torch

_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)


def declare_missing_operators() -> torch.library.Library | None:
    """The library that holds the declared schemas, to be kept alive; None where torchvision's own operators load."""
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("No module named 'torchvision'", name="torchvision")
    try:
        for extension in Path(spec.origin).parent.glob("_C*"):
            torch.ops.load_library(extension)
    except OSError:
        library = torch.library.Library("torchvision", "DEF")
        for schema in _SCHEMAS:
            library.define(schema)
        return library
    return None


DECLARED = declare_missing_operators()
