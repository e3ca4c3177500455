"""The study as one page that needs no network and no account, and the key that only who analyses it has."""

import base64
import hashlib
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from simvis_core.attributes.judging.study_design import CONDITIONS, StudyTrial, condition_of, order_of

LONGEST_SIDE = 360  # pixels of a picture's longer side
_HERE = Path(__file__).parent


class TrialPictures(NamedTuple):
    """What a trial shows: the query, and each candidate without and with its map."""

    query: Image.Image
    left: tuple[Image.Image, Image.Image]
    right: tuple[Image.Image, Image.Image]


def pages_of_study(trials: Sequence[StudyTrial], pictures: Sequence[TrialPictures], seed: int = 0) -> dict[str, bytes]:
    """The page ``study.html`` and ``key.json``: what is right, and what each form shows, which the page does not tell.

    Both carry the study's name, a hash of its trials, so that answers meet no other study's key.

    >>> import json
    >>> from PIL import Image
    >>> from simvis_core.attributes.judging.study_design import CONDITIONS, StudyTrial
    >>> from simvis_core.attributes.judging.study_page import TrialPictures, pages_of_study
    >>> image = Image.new("RGB", (40, 30))
    >>> trial = StudyTrial(0, 1, 2, "left", dict.fromkeys(CONDITIONS, ("", "")))
    >>> files = pages_of_study([trial], [TrialPictures(image, (image, image), (image, image))])
    >>> json.loads(files["key.json"])["higher"], b"<script" in files["study.html"], b'"higher"' in files["study.html"]
    (['left'], True, False)
    """
    told = [[trial.query, trial.left, trial.right, trial.higher, sorted(trial.words.items())] for trial in trials]
    study = hashlib.sha256(json.dumps([seed, told]).encode()).hexdigest()[:12]
    forms = [
        {
            "order": order_of(len(trials), form, seed),
            "conditions": [CONDITIONS.index(condition_of(at, form)) for at in range(len(trials))],
        }
        for form in range(len(CONDITIONS))
    ]
    shown = {
        "study": study,
        "forms": forms,
        "conditions": [{"map": condition != CONDITIONS[0]} for condition in CONDITIONS],
        "trials": [_told(trial, seen) for trial, seen in zip(trials, pictures, strict=True)],
    }
    key = {
        "study": study,
        "conditions": list(CONDITIONS),
        "forms": forms,
        "higher": [trial.higher for trial in trials],
    }
    return {"study.html": _page(shown), "key.json": (json.dumps(key, indent=1) + "\n").encode()}


def _told(trial: StudyTrial, seen: TrialPictures) -> dict[str, Any]:
    left, right = ({"plain": _data_url(plain), "map": _data_url(mapped)} for plain, mapped in (seen.left, seen.right))
    words = [list(trial.words[condition]) for condition in CONDITIONS]
    return {"query": _data_url(seen.query), "left": left, "right": right, "words": words}


def _page(shown: dict[str, Any]) -> bytes:
    data = json.dumps(shown).replace("<", "\\u003c")  # no text of it can end the script
    style, body, script = ((_HERE / f"study.{kind}").read_text(encoding="utf-8") for kind in ("css", "html", "js"))
    page = (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Which does the network rank higher?</title>'
        f'<meta name="viewport" content="width=device-width"><style>{style}</style>{body}'
        f'<script type="application/json" id="study">{data}</script><script>{script}</script></html>\n'
    )
    return page.encode()


def _data_url(image: Image.Image) -> str:
    small = image.copy()
    small.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    buffer = io.BytesIO()
    small.convert("RGB").save(buffer, "JPEG", quality=80)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
