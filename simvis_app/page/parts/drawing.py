"""What the components draw maps with in the browser, and a view's picture as the file that they draw on."""

import json
from pathlib import Path

from simvis_core.files.colours import FADE, STOPS

HERE = Path(__file__).parent


def script(name: str) -> str:
    """A component's script behind the drawing they share."""
    drawing = (HERE / "maps.js").read_text()
    drawing = drawing.replace("/*STOPS*/ {}", json.dumps(STOPS)).replace("/*FADE*/ 1", str(FADE))
    return drawing + (HERE / name).read_text()
