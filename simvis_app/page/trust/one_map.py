"""What is asked of one map of a row: the picture while its pixels go, and whether the map passes sanity checks."""

import base64
import io
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

from PIL import Image

from simvis_app.page.trust import words as trust_words
from simvis_app.page.trust.inputs import TrustInputs, TrustQuestion
from simvis_app.page.trust.measurements import Measurements
from simvis_app.page.trust.rows import GLANCE
from simvis_app.service import words
from simvis_core import EmbeddingNetwork, SimvisError
from simvis_core.explainers.question import Interim, Question
from simvis_core.explainers.table import EXPLAINERS
from simvis_core.trust.faithfulness import CURVE_STEPS, RemovalCurve, removed
from simvis_core.trust.measuring import Asked, asked_of, baselines
from simvis_core.trust.sanity import OFTEN, STAGES, Randomised, randomisation_steps, stability_steps


@dataclass(frozen=True)
class Removal:
    """The picture as the network sees it at a step of its curve."""

    picture: Image.Image
    curve: RemovalCurve
    step: int


def removal(measurements: Measurements, inputs: TrustInputs, name: str) -> Removal | None:
    """Where the slider stands on the curve of the map of that name; None for a map that is not measured.

    A full measurement goes before one at a glance; nothing is measured here.

    Raises SimvisError as `asked_of` and `Session.explain` do.
    """
    asked = inputs.question
    wanted = _as_measured(asked_of(name, asked.setting, asked.seed, asked.fill))
    question = measurements.question(asked)
    held = measurements.held(asked, [replace(wanted, steps=count) for count in (CURVE_STEPS, GLANCE)])
    measured = next((one for one in held if one is not None), None)
    if measured is None:
        return None
    curve = measured.deletion if inputs.kind == "deletion" else measured.insertion
    step = round(min(max(inputs.percent or 0, 0), 100) / 100 * (len(curve.shares) - 1))
    pixels = removed(question, measured.drawn.map, curve.kind, float(curve.shares[step]), asked.fill, wanted.seed)
    return Removal(question.network.preprocess.picture(pixels), curve, step)


def removal_html(found: Removal | None) -> str:
    """The picture and its score; that there is none, where it is not measured."""
    if found is None:
        return words.notice("This map is not measured for the pair as it is now: draw and measure first.")
    curve, step = found.curve, found.step
    share, score = float(curve.shares[step]), float(curve.scores[step])
    line = trust_words.removal_line(share, curve.kind, score, curve.full, curve.background)
    shown = _address(found.picture)
    return f'{line}<img class="removed" alt="The picture as the network sees it now" src="{shown}">'


def _as_measured(asked: Asked) -> Asked:
    """How a row measures that map: baselines have seeds of their own."""
    return next((one for one in baselines(asked) if one.explainer == asked.explainer), asked)


def _address(picture: Image.Image) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


class Steadiness(NamedTuple):
    """How alike the maps of shifted views are; None for a constant map."""

    mean: float | None


def checked(measurements: Measurements, asked: TrustQuestion, name: str) -> Iterator[str]:
    """What to say after each step, in HTML; nothing while a map is being drawn.

    Raises SimvisError for an explainer that no network draws, or that takes too many passes, and as `asked_of` and
    `Session.explain` do.
    """
    # Before the steps take turns: what these run takes its own.
    question, session = _checkable(measurements, asked, name), measurements.session
    network = session.eager(asked.pair.settings(session))
    seed = asked_of(name, "fixed", asked.seed, "blur").seed
    stages: list[Randomised] = []
    for found in session.in_turn(_checks(question, network, name, seed)):
        if isinstance(found, Randomised):
            stages.append(found)
            yield f"<p>Random weights: {len(stages)} of {STAGES} stages</p>"
        elif isinstance(found, Steadiness):
            yield trust_words.sanity(name, stages, found.mean)
        else:
            yield ""


def _checkable(measurements: Measurements, asked: TrustQuestion, name: str) -> Question:
    entry, title = EXPLAINERS[name], trust_words.title(name)
    if entry.baseline:
        raise SimvisError(f"'{title}', which no network draws", "an explainer", "choose another")
    if entry.passes > OFTEN:
        raise SimvisError(
            f"'{title}' with {entry.passes} passes, nine times over",
            f"an explainer of at most {OFTEN}",
            "choose another, or use `simvis_core.trust.sanity` from Python",
        )
    return measurements.question(asked)


def _checks(
    question: Question, network: EmbeddingNetwork, name: str, seed: int
) -> Generator[Interim | Randomised | Steadiness, None, None]:
    assert question.reference is not None
    yield from randomisation_steps(name, network, question.view, question.reference, seed)
    yield Steadiness((yield from stability_steps(replace(question, network=network), name, seed)))
