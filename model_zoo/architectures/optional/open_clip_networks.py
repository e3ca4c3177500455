"""open_clip's towers for pictures by name, of the hub or of a folder: built, described and taken apart."""

import importlib.util
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from huggingface_hub import hf_hub_download
from torch import Tensor, nn

from model_zoo.architectures.anatomy import Anatomy, Created
from model_zoo.architectures.library import HUB
from model_zoo.architectures.optional.packages import (
    folder_of,
    installed,
    like_a_path,
    no_folder,
    on_hub,
    package,
    reading,
)
from model_zoo.architectures.optional.towers import tower_anatomy
from simvis_core.errors import SimvisError

_PACKAGE, _REGISTERED = "open_clip", "open-clip-torch"
_CONFIG = "open_clip_config.json"
_WEIGHTS = (".safetensors", ".bin", ".pth")


class _Asked(NamedTuple):
    """What a name asks for: open_clip's own words for the network, and its weights' tag."""

    name: str
    place: Path | None
    model: str
    tag: str = ""

    @property
    def words(self) -> str:
        return f"open_clip/{self.name}"


def names() -> list[str]:
    """Every network that open_clip has a description of, without the tags of weights; none where it is not installed.

    The descriptions are files, and reading their names imports nothing.
    """
    found = importlib.util.find_spec(_PACKAGE) if installed(_PACKAGE) else None
    roots = [Path(place) for place in found.submodule_search_locations or ()] if found else []
    return sorted(path.stem for root in roots for path in (root / "model_configs").glob("*.json"))


def knows(name: str) -> bool:
    """Whether open_clip has it, NAME or NAME/TAG; of a repository, ``hf-hub:OWNER/NAME``, only the hub can tell."""
    if like_a_path(name) or folder_of(name) is not None:
        return True
    if name.startswith(HUB):
        return on_hub(name.removeprefix(HUB)) and "@" not in name
    return not installed(_PACKAGE) or _named(name)[0] in names()


def create(name: str, pretrained: bool, **chosen: Any) -> Created:
    """The tower for pictures of a network, with its weights or random ones.

    Raises SimvisError where open_clip is not installed, for what cannot be had, for a name without a tag where there
    are several, and for weights that were trained with another activation than the name says.
    """
    asked = _asked(name)
    open_clip = package(_PACKAGE, _REGISTERED, asked.words)
    asked = _tagged(open_clip, asked) if pretrained else asked
    described = _description(open_clip, asked)
    with reading(asked.words, asked.place), _quiet():
        if pretrained:
            tower = _loaded(open_clip, asked)
        else:
            cfg = {**described["model_cfg"]}
            vision = {**cfg["vision_cfg"], "timm_model_pretrained": False}
            build = open_clip.model._build_vision_tower
            tower = build(cfg["embed_dim"], vision, cfg.get("quick_gelu", False), **chosen)
    return Created(tower.float(), (), _facts(open_clip, asked, described, tower))


def described(name: str) -> Mapping[str, Any]:
    """What a network's description says without building it; raises as `create` does."""
    asked = _asked(name)
    open_clip = package(_PACKAGE, _REGISTERED, asked.words)
    return _facts(open_clip, asked, _description(open_clip, asked), None)


def variants(network: nn.Module) -> tuple[dict[str, Any], ...]:
    """A description says one network."""
    return ()


def anatomy(network: nn.Module, probe: Tensor) -> Anatomy:
    """Candidates for features, pooling and head, by the tower's kind."""
    return tower_anatomy(network, probe)


def _named(name: str) -> tuple[str, str]:
    """Network and tag of NAME, NAME/TAG, or the older ViT-B/32."""
    known = names()
    for part in (name, name.rpartition("/")[0]):
        if part and part.replace("/", "-") in known:
            return part.replace("/", "-"), name.removeprefix(part).lstrip("/")
    return name, ""


def _asked(name: str) -> _Asked:
    place = folder_of(name)
    if place is not None or like_a_path(name):
        if place is None or not (place / _CONFIG).is_file():
            raise no_folder(f"open_clip/{name}", _CONFIG)
        return _Asked(name, place, f"local-dir:{place}")
    if name.startswith(HUB):
        return _Asked(name, None, name)
    model, tag = _named(name)
    return _Asked(name, None, model, tag)


def _tagged(open_clip: Any, asked: _Asked) -> _Asked:
    """The name with the tag of its weights; the only one where none is said."""
    if asked.place is not None or asked.model.startswith(HUB):
        return asked
    tags = open_clip.list_pretrained_tags_by_model(asked.model)
    if asked.tag in tags or (not asked.tag and len(tags) == 1):
        return asked._replace(tag=asked.tag or tags[0])
    some = " or ".join(f"open_clip/{asked.model}/{tag}" for tag in tags[:3])
    got = (
        f"'{asked.words}', of which open_clip has {len(tags)} sets of weights"
        if not asked.tag
        else (f"'{asked.words}', which open_clip has no weights of")
    )
    more = f" and {len(tags) - 6} more" * (len(tags) > 6)
    wanted = f"one of {', '.join(tags[:6])}{more} behind it" if tags else "an architecture with published weights"
    raise SimvisError(got, wanted, f"choose {some}" if tags else "load your own checkpoint of it")


def _description(open_clip: Any, asked: _Asked) -> dict[str, Any]:
    """``model_cfg`` of a network, and ``preprocess_cfg`` of its pictures."""
    with reading(asked.words, asked.place):
        if asked.place is not None:
            found = json.loads((asked.place / _CONFIG).read_text(encoding="utf-8"))
        elif asked.model.startswith(HUB):
            path = hf_hub_download(asked.model.removeprefix(HUB), _CONFIG)
            found = json.loads(Path(path).read_text(encoding="utf-8"))
        else:
            tag = open_clip.get_pretrained_cfg(asked.model, asked.tag) if asked.tag else {}
            found = {"model_cfg": open_clip.get_model_config(asked.model), "preprocess_cfg": dict(tag)}
        return {"model_cfg": dict(found["model_cfg"]), "preprocess_cfg": dict(found.get("preprocess_cfg") or {})}


def _loaded(open_clip: Any, asked: _Asked) -> nn.Module:
    """The tower of the whole network with its weights, all of which must be there."""
    if asked.tag:
        _check_activation(open_clip, asked)
        open_clip.download_pretrained(open_clip.get_pretrained_cfg(asked.model, asked.tag))  # for its own errors
    elif asked.place is None:
        open_clip.pretrained.download_pretrained_from_hf(asked.model.removeprefix(HUB))
    elif not any(path.suffix in _WEIGHTS for path in asked.place.iterdir()):
        raise no_folder(asked.words, "open_clip_model.safetensors")
    network = open_clip.create_model(asked.model, asked.tag or None, require_pretrained=True)
    tower: nn.Module = network.visual
    return tower


def _check_activation(open_clip: Any, asked: _Asked) -> None:
    """Raises SimvisError for weights under another activation than they were trained with, of which open_clip warns."""
    config = open_clip.get_model_config(asked.model)
    trained = bool(open_clip.get_pretrained_cfg(asked.model, asked.tag).get("quick_gelu", False))
    if "timm_model_name" in config["vision_cfg"] or bool(config.get("quick_gelu", False)) == trained:
        return
    other = f"{asked.model}-quickgelu" if trained else asked.model.removesuffix("-quickgelu")
    raise SimvisError(
        f"'{asked.words}', whose weights were trained {'with' if trained else 'without'} QuickGELU",
        "a network of the activation that its weights were trained with",
        f"choose open_clip/{other}/{asked.tag}",
    )


def _facts(open_clip: Any, asked: _Asked, described: Mapping[str, Any], tower: Any) -> dict[str, Any]:
    """In timm's words: what open_clip makes of a picture."""
    with reading(asked.words, asked.place):
        merge, default = open_clip.transform.merge_preprocess_dict, open_clip.transform.PreprocessCfg()
        seen = merge(default, described["preprocess_cfg"])
        size = getattr(tower, "image_size", None) or described["model_cfg"]["vision_cfg"].get("image_size", 224)
        side = int(size if isinstance(size, int) else size[0])
        return {
            "mean": tuple(map(float, seen["mean"])),
            "std": tuple(map(float, seen["std"])),
            "input_size": (3, side, side),
            "interpolation": seen["interpolation"],
            "num_classes": 0,
            "license": None,
            "url": str(asked.place or f"https://huggingface.co/{asked.model.removeprefix(HUB)}")
            if asked.place or asked.model.startswith(HUB)
            else f"open_clip {asked.model} {asked.tag}".strip(),
            "task": "embedding: encode_image, what is compared with texts",
            "stride": _patch(tower),
            "downloads": asked.place is None,
        }


def _patch(tower: Any) -> int | None:
    """The side of a plain vision transformer's patches; None for other towers."""
    height, width = getattr(tower, "patch_size", (None, None))
    return height if height == width else None


@contextmanager
def _quiet() -> Iterator[None]:
    """Without open_clip's lines of what it loads, which it writes to Python's own log."""
    import logging  # noqa: PLC0415

    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
