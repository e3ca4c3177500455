"""What optional libraries' files call their tensors: transformers' loader renames, open_clip adds a text tower."""

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from model_zoo.checkpoints.files.reading import CheckpointFile

FOR_TEXTS = "tower_for_texts"
# What stands beside a tower for pictures: PyTorch's text transformer without a name of its own, or one under ``text``.
_TEXTS = (
    "text",
    "text_decoder",
    "transformer",
    "token_embedding",
    "positional_embedding",
    "ln_final",
    "text_projection",
    "logit_scale",
    "logit_bias",
    "attn_mask",
)
# What the loader raises at tensors that it cannot put together.
_UNREADABLE = (LookupError, AttributeError, RuntimeError, TypeError, ValueError, AssertionError)


def is_loaded(source: nn.Module) -> bool:
    """Whether a network is one of transformers', whose loader changes names."""
    return type(source).__module__.startswith("transformers.")


def texts_told(file: CheckpointFile, source: nn.Module) -> dict[str, Any]:
    """Tensors and nesting of a file of open_clip's two towers, what is for texts named so; empty for other files."""
    starts = {key[: key.index("visual.")] for key in file.tensors if re.search(r"(^|\.)visual\.", key)}
    if not type(source).__module__.startswith("open_clip.") or len(starts) != 1:
        return {}
    start = starts.pop()
    names = {
        key: f"{start}{FOR_TEXTS}.{key.removeprefix(start)}"
        for key in file.tensors
        if key.startswith(start) and key.removeprefix(start).partition(".")[0] in _TEXTS
    }
    return {
        "tensors": {names.get(key, key): tensor for key, tensor in file.tensors.items()},
        "nesting": {names.get(key, key): nest for key, nest in file.nesting.items()},
    }


def in_memory(tensors: Mapping[str, Tensor], source: nn.Module) -> dict[str, Tensor] | None:
    """The tensors under the names of ``source``'s own, as the library's loader reads them, and the rest as they are.

    What lies in a part that the network has, and is no tensor of it, is named as a part of it; the pooler behind a
    class token is named so. None for tensors that the loader cannot put together.
    """
    floats = {key: tensor for key, tensor in tensors.items() if tensor.is_floating_point()}
    marks = {key: torch.full(tensor.shape, float(at)) for at, (key, tensor) in enumerate(floats.items())}
    found, marked = _loaded(floats, source), _loaded(marks, source)
    if found is None or marked is None:
        return None
    keys = list(floats)
    used = {slot: {keys[int(at)] for at in tensor.unique().tolist()} for slot, tensor in marked.items()}
    taken = set().union(*used.values())
    left = {_as_part(key, used): tensor for key, tensor in tensors.items() if key not in taken}
    return {**{slot: found[slot] for slot in used}, **left}


def _loaded(tensors: Mapping[str, Tensor], source: nn.Module) -> dict[str, Tensor] | None:
    """What the library's loader fills of a network like ``source``."""
    from transformers.utils import logging  # noqa: PLC0415  (it is there: the network is one of it)

    model: Any = type(source)
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    options = {"add_pooling_layer": False} if getattr(source, "pooler", 0) is None else {}
    try:
        network, report = model.from_pretrained(
            None,
            config=source.config,
            state_dict=dict(tensors),
            dtype=torch.float32,
            output_loading_info=True,
            ignore_mismatched_sizes=True,
            **options,
        )
    except _UNREADABLE:
        return None
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
    random = set(report["missing_keys"]) | {key for key, *_ in report["mismatched_keys"]}
    return {key: tensor for key, tensor in network.state_dict().items() if key not in random}


def _as_part(key: str, used: Mapping[str, set[str]]) -> str:
    """A left key under a name that tells what it is part of."""
    parts = key.split(".")
    if "pooler" in parts:
        return ".".join("transformers_pooler" if part == "pooler" else part for part in parts)
    common = _common([file for files in used.values() for file in files])
    tops = {file.split(".")[len(common)]: slot.split(".")[0] for slot, files in used.items() for file in files}
    inside = parts[: len(common)] == common and len(parts) > len(common) + 1 and parts[len(common)] in tops
    return f"{tops[parts[len(common)]]}.{key}" if inside and key not in used else key


def _common(keys: list[str]) -> list[str]:
    """The parts that all keys begin with."""
    rows = [key.split(".")[:-1] for key in keys]
    common: list[str] = []
    for parts in zip(*rows, strict=False):
        if len(set(parts)) > 1:
            break
        common.append(parts[0])
    return common
