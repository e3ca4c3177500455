"""Which norm a weight and a bias of one axis are: LayerNorm's, GroupNorm's and a bare BatchNorm's look the same."""

import re
from collections.abc import Iterable, Mapping

from torch import Tensor

_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_PLAIN = re.compile(r"ln\w*|\w*_ln|\w*layer_?norm\w*", re.IGNORECASE)
# By the words of a name; what the file lacks to be one of these.
_OTHERS: tuple[tuple[str, str], ...] = (
    (r"gn|group|groupnorm", "GroupNorm, whose count of groups is in no file"),
    (
        r"bn|bnneck|batch|batchnorm|syncbn|syncbatchnorm",
        "BatchNorm without running statistics, whose numbers depend on the other pictures of a batch",
    ),
    (r"instance|instancenorm|inorm|ibn", "InstanceNorm, which needs maps"),
    (r"rms|rmsnorm|powernorm", "another norm than LayerNorm, which subtracts no mean"),
)


def other_norm(path: str) -> str:
    """What the name of a module says that it is instead of a LayerNorm, in words; "" for a name that does not."""
    parts = [part for part in path.split(".") if not part.isdigit()]
    words = re.split(r"[_\d]+", _CAMEL.sub("_", parts[-1]).casefold()) if parts else []
    if parts and re.fullmatch(r"in\d*", parts[-1], re.IGNORECASE):
        words.append("instance")
    return next((said for names, said in _OTHERS if any(re.fullmatch(names, word) for word in words)), "")


def taken_words(paths: Iterable[str]) -> str:
    """Which of these LayerNorms are taken for one by their shape alone, for the report; "" for none."""
    silent = [path for path in paths if not any(_PLAIN.fullmatch(part) for part in path.split("."))]
    told = "taken for LayerNorm by the shapes, which a GroupNorm or a BatchNorm without statistics has too"
    return f"; {', '.join(silent)} {told}" if silent else ""


def norm_words(path: str, tensors: Mapping[str, Tensor]) -> str:
    """What a module of one weight of one axis, and perhaps a bias, may be where it is no LayerNorm; "" for others."""
    weight = tensors.get("weight")
    if weight is None or weight.ndim != 1 or len(weight) < 2 or not set(tensors) <= {"weight", "bias"}:
        return ""
    if "bias" in tensors:
        return other_norm(path)
    return "RMSNorm, LayerNorm without bias, PReLU or a scale, which the tensors do not tell"
