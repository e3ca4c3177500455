"""transformers' vision models by name, of the hub or of a folder: built, described and taken apart."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from huggingface_hub import _CACHED_NO_EXIST, errors, hf_hub_download, try_to_load_from_cache
from torch import Tensor, nn

from model_zoo.architectures.anatomy import TEXTS, Anatomy, Created
from model_zoo.architectures.downloads import having
from model_zoo.architectures.optional.families import FAMILIES, Family
from model_zoo.architectures.optional.packages import (
    folder_of,
    installed,
    like_a_path,
    no_folder,
    on_hub,
    package,
    reading,
)
from simvis_core.errors import SimvisError

_PACKAGE = "transformers"
_CONFIG = "config.json"
_PROCESSORS = ("preprocessor_config.json", "processor_config.json")
_WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
# Published names of the families in FAMILIES, to offer to whoever mistypes one.
_KNOWN = (
    "google/vit-base-patch16-224",
    "google/vit-base-patch16-224-in21k",
    "google/vit-base-patch16-384",
    "google/vit-base-patch32-384",
    "google/vit-large-patch16-224",
    "google/vit-huge-patch14-224-in21k",
    "facebook/dino-vits16",
    "facebook/dino-vitb16",
    "facebook/deit-tiny-patch16-224",
    "facebook/deit-small-patch16-224",
    "facebook/deit-base-patch16-224",
    "facebook/deit-base-distilled-patch16-224",
    "facebook/dinov2-small",
    "facebook/dinov2-base",
    "facebook/dinov2-large",
    "facebook/dinov2-giant",
    "facebook/dinov2-with-registers-small",
    "facebook/dinov2-with-registers-base",
    "facebook/dinov2-with-registers-large",
    "facebook/dinov3-vits16-pretrain-lvd1689m",
    "facebook/dinov3-vitb16-pretrain-lvd1689m",
    "facebook/dinov3-vitl16-pretrain-lvd1689m",
    "facebook/dinov3-convnext-tiny-pretrain-lvd1689m",
    "facebook/dinov3-convnext-base-pretrain-lvd1689m",
    "openai/clip-vit-base-patch16",
    "openai/clip-vit-base-patch32",
    "openai/clip-vit-large-patch14",
    "openai/clip-vit-large-patch14-336",
    "laion/CLIP-ViT-B-32-laion2B-s34B-b79K",
    "laion/CLIP-ViT-H-14-laion2B-s32B-b79K",
    "google/siglip-base-patch16-224",
    "google/siglip-base-patch16-256",
    "google/siglip-large-patch16-256",
    "google/siglip-so400m-patch14-384",
    "google/siglip2-base-patch16-224",
    "google/siglip2-large-patch16-256",
    "google/siglip2-so400m-patch14-384",
    "microsoft/swin-tiny-patch4-window7-224",
    "microsoft/swin-small-patch4-window7-224",
    "microsoft/swin-base-patch4-window7-224",
    "microsoft/swin-base-patch4-window12-384",
    "microsoft/swin-large-patch4-window7-224",
    "facebook/convnext-tiny-224",
    "facebook/convnext-small-224",
    "facebook/convnext-base-224",
    "facebook/convnext-large-224",
    "facebook/convnextv2-atto-1k-224",
    "facebook/convnextv2-tiny-1k-224",
    "facebook/convnextv2-base-22k-224",
    "microsoft/resnet-18",
    "microsoft/resnet-26",
    "microsoft/resnet-34",
    "microsoft/resnet-50",
    "microsoft/resnet-101",
    "microsoft/resnet-152",
    "facebook/regnet-y-040",
    "facebook/regnet-y-160",
)


def names() -> list[str]:
    """Published networks of the families that are known; none where transformers is not installed.

    The hub has many more, and every folder that transformers wrote is one.
    """
    return list(_KNOWN) if installed(_PACKAGE) else []


def knows(name: str) -> bool:
    """Whether a name is a folder's or may be the hub's, which only the hub can tell."""
    return like_a_path(name) or folder_of(name) is not None or on_hub(name)


def create(name: str, pretrained: bool, **chosen: Any) -> Created:
    """The vision model of a repository or folder, with its weights or random ones.

    Raises SimvisError where transformers is not installed, for what cannot be had, for a family that is not known, and
    for weights that leave a part of the model out.
    """
    transformers = package(_PACKAGE, _PACKAGE, _asked(name))
    config, kind = _configured(transformers, name)
    model = getattr(transformers, kind.model)
    with reading(_asked(name), folder_of(name)), _quiet(transformers):
        if pretrained:
            network = _loaded(model, name, {**kind.options, **chosen})
        else:
            network = model._from_config(config, **kind.options, **chosen)
    return Created(network.float(), ("classifier",), _facts(transformers, name, config, kind), TEXTS)


def described(name: str) -> Mapping[str, Any]:
    """What configuration and image processor say of a network without building it; raises as `create` does."""
    transformers = package(_PACKAGE, _PACKAGE, _asked(name))
    config, kind = _configured(transformers, name)
    return _facts(transformers, name, config, kind)


def variants(network: nn.Module) -> tuple[dict[str, Any], ...]:
    """A configuration says one model."""
    return ()


def anatomy(network: nn.Module, probe: Tensor) -> Anatomy:
    """Candidates for features, pooling and head, by the model's family."""
    model: Any = network
    return FAMILIES[model.config.model_type].anatomy(model)


def _asked(name: str) -> str:
    return f"transformers/{name}"


def _place(name: str) -> tuple[str, dict[str, str]]:
    """Where transformers finds a network: a folder, or a repository of the hub and its revision."""
    found = folder_of(name)
    if found is not None:
        return str(found), {}
    repository, _, revision = name.partition("@")
    return repository, {"revision": revision} if revision else {}


def _configured(transformers: Any, name: str) -> tuple[Any, Family]:
    """The configuration of the vision model, and its family."""
    found = folder_of(name)
    if (found is None and like_a_path(name)) or (found is not None and not (found / _CONFIG).is_file()):
        raise no_folder(_asked(name), _CONFIG)
    place, revision = _place(name)
    with reading(_asked(name), folder_of(name)), _quiet(transformers):
        said, _ = transformers.PreTrainedConfig.get_config_dict(place, **revision)
        kind = said.get("model_type", "")
        known = f"{kind}_vision_model" if "vision_config" in said else kind
        if known not in FAMILIES:
            raise _unknown(name, kind or "no one")
        config = transformers.AutoConfig.from_pretrained(place, trust_remote_code=False, **revision)
    return getattr(config, "vision_config", config), FAMILIES[known]


def _unknown(name: str, kind: str) -> SimvisError:
    return SimvisError(
        f"'{_asked(name)}', whose model is of the family '{kind}'",
        f"a vision model of one of {', '.join(word.removesuffix('_vision_model') for word in FAMILIES)}",
        "build the network in Python with EmbeddingNetwork(...)",
    )


def _loaded(model: Any, name: str, options: dict[str, Any]) -> Any:
    """The model with its weights, in float32; nothing of it stays random."""
    found, (place, revision) = folder_of(name), _place(name)
    if found is not None and not any((found / file).is_file() for file in _WEIGHTS):
        raise no_folder(_asked(name), _WEIGHTS[0])
    network, report = model.from_pretrained(place, dtype=torch.float32, output_loading_info=True, **revision, **options)
    lost = sorted(report["missing_keys"]) + sorted(str(key) for key in report["mismatched_keys"])
    if lost:
        raise SimvisError(
            f"'{_asked(name)}', whose weights leave out {', '.join(lost[:3])}" + ", ..." * (len(lost) > 3),
            "all tensors of the model, since what is missing would stay random",
            "save the whole model by its `save_pretrained`",
        )
    return network


def _facts(transformers: Any, name: str, config: Any, kind: Family) -> dict[str, Any]:
    """In timm's words: what the image processor makes of a picture."""
    processor, notes = _processor(transformers, name, config, kind)
    scale = 255 * (float(processor.rescale_factor) if processor.do_rescale else 1.0)
    mean, std = (processor.image_mean, processor.image_std) if processor.do_normalize else ((0.0,) * 3, (1.0,) * 3)
    resampling = int(getattr(processor, "resample", 3))
    if resampling not in _RESAMPLED:
        notes = [*notes, "pictures are resampled by a bicubic filter, not by the library's"]
    side = _side(processor)
    found = folder_of(name)
    return {
        "mean": tuple(value / scale for value in mean),
        "std": tuple(value / scale for value in std),
        "input_size": (3, side, side),
        "interpolation": _RESAMPLED.get(resampling, "bicubic"),
        "num_classes": 0,
        "license": None,
        "url": f"https://huggingface.co/{name}" if found is None else str(found),
        "task": f"embedding: {kind.taken}",
        "stride": config.patch_size if kind.of_patches and isinstance(config.patch_size, int) else None,
        "downloads": found is None,
        "notes": notes,
    }


def _processor(transformers: Any, name: str, config: Any, kind: Family) -> tuple[Any, list[str]]:
    """The image processor that lies beside the weights; the family's, and a note that says so, where none does."""
    found, (place, revision) = folder_of(name), _place(name)
    there = any((found / file).is_file() for file in _PROCESSORS) if found else _has_processor(name)
    with reading(_asked(name), folder_of(name)), _quiet(transformers):
        if there:
            return transformers.AutoImageProcessor.from_pretrained(place, trust_remote_code=False, **revision), []
        side = getattr(config, "image_size", None)
        made = getattr(transformers, kind.processor)()
    if isinstance(side, int):
        made.crop_size, made.size = {"height": side, "width": side}, {"height": side, "width": side}
    return made, [f"without {_PROCESSORS[0]}: views are as transformers' {kind.processor} makes them by default"]


def _has_processor(name: str) -> bool:
    """Whether a repository of the hub has an image processor; raises SimvisError where that cannot be told."""
    repository, _, revision = name.partition("@")
    for file in _PROCESSORS:
        if try_to_load_from_cache(repository, file, revision=revision or None) is _CACHED_NO_EXIST:
            continue
        try:
            with having(_asked(name)):
                path = hf_hub_download(repository, file, revision=revision or None)
        except SimvisError as error:
            if isinstance(error.__cause__, errors.RemoteEntryNotFoundError):
                continue
            raise
        with open(path, encoding="utf-8") as words:
            if file == _PROCESSORS[0] or "image_processor" in json.load(words):
                return True
    return False


def _side(processor: Any) -> int:
    """The height of a view: of the centre that is cut out, or of the whole picture."""
    cut = getattr(processor, "do_center_crop", False) and getattr(processor, "crop_size", None)
    size = dict(cut or processor.size)
    return int(size.get("height") or size.get("shortest_edge") or 224)


@contextmanager
def _quiet(transformers: Any) -> Iterator[None]:
    """Without the library's bars and lists of tensors: what was left out is told by ours."""
    logging = transformers.utils.logging
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


_RESAMPLED = {2: "bilinear", 3: "bicubic"}  # by Pillow's numbers
