"""Polyvore Outfits (Vasileva 2018) with the attributes of SANE (Plummer 2020), in the layout that is published."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from simvis_core.attributes.datasets.dataset import DATASET_PARTS, AttributeDataset, unread
from simvis_core.attributes.datasets.labels import AttributeLabels
from simvis_core.errors import SimvisError

_SOURCE = "the archive polyvore_outfits.zip, and polyvore_attributes.json from the authors of SANE"
SPLITS = ("disjoint", "nondisjoint")


def read_polyvore(root: str | Path, split: str = "nondisjoint") -> AttributeDataset:
    """The folder that holds ``images``, both splits, the items' metadata and ``polyvore_attributes.json``.

    A picture is an item; its class is the first outfit that it is worn in, its kind the ``semantic_category``. An item
    shows what its annotation lists and nothing else; of one without any nobody can tell. Under "nondisjoint" an item of
    several parts is counted in the last of train, valid, test: none is tested on that was trained on elsewhere in the
    list.

    Raises SimvisError for a split that there is not, files that are missing or damaged, an item without metadata,
    annotation or picture, and an annotation that is no attribute.
    """
    root = Path(root)
    if split not in SPLITS:
        raise SimvisError(f"the split '{split}'", f"one of {', '.join(SPLITS)}", "choose one of these")
    metadata = _object(root / "polyvore_item_metadata.json", {})
    told = _object(root / "polyvore_attributes.json", {"attributes": list, "annotations": dict})
    outfits: dict[str, str] = {}
    part_of: dict[str, str] = {}
    for part in DATASET_PARTS:
        for item, outfit in _worn(root / split / f"{part}.json"):
            outfits.setdefault(item, outfit)
            part_of[item] = part
    items = sorted(outfits)
    _check(root, items, metadata, told["annotations"])
    names = tuple(map(str, told["attributes"]))
    labels = AttributeLabels(
        tuple(str(_picture(root, item)) for item in items),
        tuple(outfits[item] for item in items),
        names,
        torch.stack([_shown(item, told["annotations"][item], names) for item in items]),
    )
    parts = {part: tuple(at for at, item in enumerate(items) if part_of[item] == part) for part in DATASET_PARTS}
    kinds = tuple(str(metadata[item].get("semantic_category", "")) for item in items)
    return AttributeDataset(f"Polyvore Outfits, {split}", labels, kinds, parts)


def released_labels(
    values: Float[Tensor, "N K"], scores: Float[Tensor, "N K"], of: Sequence[int]
) -> Float[Tensor, "N K"]:
    """The labels of SANE's released evaluation: what is annotated, and what the model itself scores high.

    An attribute also counts as shown where its score lies above the median of its scores on the pictures ``of`` that
    are annotated with it; everything else counts as not shown, what nobody can tell included. So a model is judged in
    part by its own opinion, and two models by different labels. An attribute that none of these pictures has keeps its
    annotations.

    >>> import torch
    >>> from simvis_core.attributes.datasets.polyvore import released_labels
    >>> values = torch.tensor([[1.0], [1.0], [0.0], [float("nan")]])
    >>> released_labels(values, torch.tensor([[0.2], [0.4], [0.9], [0.1]]), of=[0, 1]).tolist()
    [[1.0], [1.0], [1.0], [0.0]]
    """
    annotated = values == 1
    known = torch.zeros(len(values), dtype=torch.bool)
    known[list(of)] = True
    found = annotated.clone()
    for place in range(values.shape[1]):
        own = scores[:, place][annotated[:, place] & known]
        if len(own):
            found[:, place] |= scores[:, place] > own.double().quantile(0.5)
    return found.to(values)


def _picture(root: Path, item: str) -> Path:
    return root / "images" / f"{item}.jpg"


def _worn(file: Path) -> list[tuple[str, str]]:
    """Each item of the outfits of a split with its outfit."""
    found = _json(file)
    try:
        return [(str(item["item_id"]), str(outfit["set_id"])) for outfit in found for item in outfit["items"]]
    except (KeyError, TypeError) as error:
        raise unread(file, _SOURCE) from error


def _shown(item: str, annotation: Sequence[Any], names: Sequence[str]) -> Tensor:
    """One item's values: 1 and 0 by its annotation, numbers or names of attributes; NaN without any."""
    if not annotation:
        return torch.full((len(names),), torch.nan, dtype=torch.float64)
    values = torch.zeros(len(names), dtype=torch.float64)
    for one in annotation:
        place = names.index(one) if isinstance(one, str) and one in names else one
        if type(place) is not int or not 0 <= place < len(names):
            raise SimvisError(
                f"the attribute {one!r} of item {item} in 'polyvore_attributes.json'",
                f"a number from 0 to {len(names) - 1} or a name of its list",
                f"take the file from {_SOURCE}",
            )
        values[place] = 1
    return values


def _check(root: Path, items: Sequence[str], metadata: Mapping[str, Any], annotations: Mapping[str, Any]) -> None:
    """Raises SimvisError that names the first item that lacks something, and says how many do."""
    lacks = {
        "metadata in 'polyvore_item_metadata.json'": [
            item for item in items if not isinstance(metadata.get(item), dict)
        ],
        "a list in 'polyvore_attributes.json'": [item for item in items if not isinstance(annotations.get(item), list)],
        "a picture in 'images'": [item for item in items if not _picture(root, item).is_file()],
    }
    for what, lacking in lacks.items():
        if lacking:
            raise SimvisError(
                f"item {lacking[0]} without {what} ({len(lacking)} of {len(items)} items lack it)",
                "the data set as it is published",
                f"take the file from {_SOURCE}",
            )


def _object(file: Path, needs: Mapping[str, type]) -> dict[str, Any]:
    found = _json(file)
    if not isinstance(found, dict) or any(not isinstance(found.get(name), kind) for name, kind in needs.items()):
        raise unread(file, _SOURCE)
    return found


def _json(file: Path) -> Any:
    try:
        return json.loads(file.read_bytes().decode())
    except (OSError, ValueError, RecursionError) as error:
        raise unread(file, _SOURCE) from error
