"""What the page's own components stand on: three files each, in the browser's languages, and a script for maps."""

import json
import re
from pathlib import Path
from typing import ClassVar

import gradio as gr

from simvis_core.files.colours import FADE, STOPS

HERE = Path(__file__).parent


def filled(script: str, **values: object) -> str:
    """The script with each ``/*NAME*/ ...``, an empty list, empty object or number, replaced by its value as JSON.

    Raises ValueError for a name that does not stand in the script exactly once.
    """
    for name, value in values.items():
        around = re.split(rf"/\*{name}\*/ (?:\[\]|\{{\}}|\d+)", script)
        if len(around) != 2:
            raise ValueError(f"/*{name}*/ stands {len(around) - 1} times in the script")
        script = json.dumps(value).join(around)
    return script


MAPS = filled((HERE / "maps.js").read_text(), STOPS=STOPS, FADE=FADE)  # draws a signed map over a picture
HAND = (HERE / "hand.js").read_text()  # waits until the visitor's hand rests


class PagePart(gr.HTML):  # type: ignore[misc]
    """A component that is drawn by ``FILES.html``, ``FILES.css`` and ``FILES.js``, in a look of its own.

    What a part has to say beside its files: the ``data_model`` of what travels, `preprocess` and `postprocess`. Its
    events are the names that its script triggers.
    """

    files: ClassVar[Path]  # without their ending
    behind: ClassVar[str] = ""  # the script that its own stands behind
    html_template: str  # Gradio's

    def __init__(self, value: object = None, **options: object) -> None:
        super().__init__(
            value=value,
            html_template=self.files.with_suffix(".html").read_text(),
            css_template=self.files.with_suffix(".css").read_text(),
            js_on_load=self.behind + self.files.with_suffix(".js").read_text(),
            apply_default_css=False,
            **options,
        )
