"""A picture over a training's steps as JSON, as a table, and as a page; by the API, the export and the command line."""

from collections.abc import Iterator, Sequence
from typing import Any

from PIL import Image

from model_zoo.training.gallery import gallery_name
from simvis_core.files.writing import manifest_json, table
from simvis_core.galleries.contact_sheet import contact_sheet
from simvis_core.progress.queries.hits import QueriedStep, RightQueries, StepHit, Study
from simvis_core.progress.queries.sheet import step_entries

_COLUMNS = ("series", "step", "figure", "of", "value")


def study_json(study: Study) -> dict[str, Any]:
    """Hits, maps and figures of every step; pictures by their class folder and name, never by where they lie.

    Maps are rows of cells, signed, in units of the score; null where there are none, which ``gone`` explains.
    """
    return {
        "series": study.name,
        "architecture": study.architecture,
        "pooling": study.pooling,
        "query": None if study.own is None else gallery_name(study.own),
        "followed": gallery_name(study.followed) if study.followed else None,
        "troubles": list(study.troubles),
        "steps": [_step(study, one) for one in study.steps],
    }


def right_json(found: RightQueries) -> dict[str, Any]:
    """Which pictures of two galleries were searched for, and are found by class under one network only."""
    kinds = ("asked", "only_first", "only_second")
    return {kind: [gallery_name(picture) for picture in getattr(found, kind)] for kind in kinds}


def training_files(studies: Sequence[Study], found: RightQueries | None = None) -> dict[str, bytes]:
    """The studies by file name: ``training.json`` with all numbers, ``figures.csv``, and a page of maps for each."""
    told: dict[str, object] = {"series": [study_json(study) for study in studies]}
    if found is not None:
        told["compared"] = right_json(found)
    rows = (row for study in studies for row in _rows(study))
    pages = {f"{at}-{_file(study.name)}.html": _page(study) for at, study in enumerate(studies, 1)}
    return {"training.json": manifest_json(told), "figures.csv": table(_COLUMNS, rows), **pages}


def _step(study: Study, one: QueriedStep) -> dict[str, Any]:
    return {
        "step": one.step.step,
        "loss": one.step.loss,
        "figures": dict(one.step.figures),
        "gallery": dict(study.figures.get(one.step.step, {})),
        "pair": None if one.pair is None else one.pair.figures(),
        "hits": [_hit(hit) for hit in one.hits],
    }


def _hit(hit: StepHit) -> dict[str, Any]:
    return {
        "picture": hit.title or gallery_name(hit.picture),
        "label": hit.label or None,
        "right": hit.right,
        "score": hit.score,
        "told": hit.told,
        "query_map": None if hit.query_map is None else hit.query_map.tolist(),
        "hit_map": None if hit.hit_map is None else hit.hit_map.tolist(),
        "gone": hit.gone or None,
    }


def _rows(study: Study) -> Iterator[dict[str, object]]:
    """A row for each figure of each step: of the series, of its gallery, of the followed pair."""
    for one in study.steps:
        loss = {} if one.step.loss is None else {"loss": one.step.loss}
        pair = {} if one.pair is None else one.pair.figures()
        kinds = {"series": loss | dict(one.step.figures), "gallery": study.figures.get(one.step.step, {}), "pair": pair}
        for kind, figures in kinds.items():
            for name, value in figures.items():
                yield {"series": study.name, "step": one.step.step, "figure": name, "of": kind, "value": value}


def _page(study: Study) -> bytes:
    names = {hit.picture: hit.title or gallery_name(hit.picture) for one in study.steps for hit in one.hits}
    pictures = {}
    for name, (file, _) in study.images.items():
        with Image.open(file) as image:
            pictures[name] = image.convert("RGB")
    told = [f"{study.architecture}, {study.pooling} pooling.", *study.troubles]
    told.append("Beside each score: query and hit under their maps, one scale for all maps of a step.")
    return contact_sheet(f"Training: {study.name}", told, list(step_entries(study, pictures, names)))


def _file(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in name)[:80]
