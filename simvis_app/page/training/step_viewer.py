"""The step viewer: a query's hits with their maps at each step of one training or two, beside each other."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gradio.data_classes import FileData, GradioModel
from gradio_client.utils import encode_file_path

from simvis_app.page.parts.drawing import MAPS, PagePart
from simvis_app.page.parts.hit_grid import in_steps
from simvis_app.page.training import words as training_words
from simvis_app.service.files import kept
from simvis_core.files.numbers import UNITS, three
from simvis_core.progress.queries.hits import QueriedStep, StepHit, Study

MOST_STEP = 10**9


class StepsData(GradioModel):  # type: ignore[misc]
    """What the viewer gets; the numbers of all steps travel as one cached file. As it stands, nothing is shown.

    Every picture has the address of ``sample`` with its own path in the place of ``sample_path``.
    """

    key: str = ""
    numbers: FileData | None = None
    sample: FileData | None = None
    sample_path: str = ""
    step: int | None = None


@dataclass(frozen=True, eq=False)
class Steps:
    """A query under one training, or under two; ``step`` is where the slider stands, None for the last step."""

    studies: Sequence[Study]
    step: int | None = None


class StepViewer(PagePart):
    """The viewer. Takes `Steps` or None; as an input it gives the step where the slider stands.

    The slider and the button move in the browser; the event ``step`` tells that one has come to rest.
    """

    data_model = StepsData
    files = Path(__file__).parent / "step_viewer"
    behind = MAPS

    def preprocess(self, payload: StepsData | None) -> int | None:
        """The step; what the browser sends is not trusted."""
        step = None if payload is None else payload.step
        return step if step is not None and 0 <= step <= MOST_STEP else None

    def postprocess(self, value: Steps | None) -> StepsData:
        """The page's data for the steps."""
        if value is None or not value.studies:
            return StepsData()
        images = {file: aspect for study in value.studies for file, aspect in study.images.values()}
        self.temp_files.update(images)  # as gradio notes its own: whatever is noted is deleted in time
        content = json.dumps(_numbers(value.studies, images), separators=(",", ":")).encode()
        sample = next(iter(images))
        return StepsData(
            key=hashlib.sha256(content).hexdigest(),
            numbers=FileData(path=kept(content, "steps.json")),
            sample=FileData(path=sample),
            sample_path=encode_file_path(sample),
            step=value.step,
        )


def _numbers(studies: Sequence[Study], images: dict[str, float]) -> dict[str, Any]:
    """All that is drawn: pictures by number, the steps of all tracks together, and each track's own."""
    places = {file: at for at, file in enumerate(images)}
    steps = sorted({one.step.step for study in studies for one in study.steps})
    return {
        "images": [[encode_file_path(file), aspect] for file, aspect in images.items()],
        "steps": steps,
        "asked": training_words.query_line(studies[0]),
        "unit": UNITS["decomposition"],
        "tracks": [_track(study, steps, places, len(studies) > 1) for study in studies],
    }


def _track(study: Study, steps: Sequence[int], places: dict[str, int], named: bool) -> dict[str, Any]:
    own = [one.step.step for one in study.steps]
    at = [max((number for number, step in enumerate(own) if step <= here), default=0) for here in steps]
    return {
        "title": study.name,
        "about": training_words.about(study),
        "at": at,
        "steps": [_step(study, one, places, named) for one in study.steps],
    }


def _step(study: Study, one: QueriedStep, places: dict[str, int], named: bool) -> dict[str, Any]:
    return {
        "step": one.step.step,
        "said": training_words.step_line(study, one, named),
        "scale": one.scale,
        "hits": [_hit(study, hit, one.scale, places) for hit in one.hits],
    }


def _hit(study: Study, hit: StepHit, scale: float, places: dict[str, int]) -> dict[str, Any]:
    image = study.images.get(hit.picture)
    return {
        "title": training_words.title(hit),
        "score": three(hit.score),
        "right": hit.right,
        "note": training_words.NOTES[hit.right],
        "asked": places[study.images[hit.asked][0]],
        "left": training_words.left_name(study, hit),
        "image": -1 if image is None else places[image[0]],
        "query": _map(hit.query_map, scale),
        "hit": _map(hit.hit_map, scale),
        "gone": training_words.without_maps(hit),
    }


def _map(map: Any, scale: float) -> dict[str, Any] | None:
    """A map as steps of the scale; a tensor, on which nothing is computed here."""
    if map is None:
        return None
    return {"grid": list(map.shape), "code": in_steps(map.flatten().tolist(), scale)}
