"""The pair viewer: both pictures with their maps, where a visitor points and pins."""

from typing import Any

from gradio.data_classes import FileData, GradioModel

from simvis_app.page.choices import MODES
from simvis_app.page.parts.drawing import HERE, MAPS, PagePart
from simvis_app.page.parts.files import picture_file
from simvis_app.service.files import kept
from simvis_app.service.marks import checked_pin
from simvis_core import PairExplanation
from simvis_core.files.colours import GROUNDS
from simvis_core.files.numbers import UNITS
from simvis_core.pairs.packing import packed_numbers


class PairData(GradioModel):  # type: ignore[misc]
    """What the viewer gets; the heavy numbers travel as one cached file. As it stands, no pair is shown.

    The empty viewer has a value too: the page would send null back as text, which is no `PairData`.
    """

    key: str = ""
    score: float = 0.0
    grid_a: tuple[int, int] = (0, 0)
    grid_b: tuple[int, int] = (0, 0)
    aspect_a: float = 1.0
    aspect_b: float = 1.0
    scale_map: float = 0.0
    scale_share: float = 0.0
    scale_cosine: float = 0.0
    a: FileData | None = None
    b: FileData | None = None
    numbers: FileData | None = None
    method: str = "decomposition"
    unit: str = ""
    pin: dict[str, Any] | None = None
    mode: str = "share"
    ground: str = "colours"


class PairViewer(PagePart):
    """Both pictures with their maps; hovering and pinning happen in the browser.

    As an output it takes ``(explanation, key, pin, mode)`` or None; as an input it gives the pin and mode, checked.
    """

    data_model = PairData
    files = HERE / "pair_viewer"
    behind = MAPS

    def preprocess(self, payload: PairData | None) -> dict[str, Any]:
        """``{"key", "pin", "mode", "ground"}``: its pair, the pinned cell or None, share or cosine, how maps lie.

        What the browser sends is not trusted: a pin that is no cell of the grid counts as none.
        """
        if payload is None:
            return {"key": "", "pin": None, "mode": MODES[0], "ground": GROUNDS[0]}
        mode = payload.mode if payload.mode in MODES else MODES[0]
        grids = {"a": payload.grid_a, "b": payload.grid_b}
        ground = payload.ground if payload.ground in GROUNDS else GROUNDS[0]  # blinking ones are in colours
        return {"key": payload.key, "pin": checked_pin(payload.pin, grids), "mode": mode, "ground": ground}

    def postprocess(self, value: tuple[PairExplanation, str, Any, str] | None) -> PairData:
        """The page's data for a pair; a pin outside its grids is dropped."""
        if value is None:
            return PairData()
        pair, key, pin, mode = value
        numbers = packed_numbers(pair)
        return PairData(
            key=key,
            score=pair.score,
            grid_a=pair.a.grid,
            grid_b=pair.b.grid,
            aspect_a=pair.view_a.aspect,
            aspect_b=pair.view_b.aspect,
            scale_map=numbers.scale_map,
            scale_share=numbers.scale_share,
            scale_cosine=numbers.scale_cosine,
            a=picture_file(pair.view_a),
            b=picture_file(pair.view_b),
            numbers=FileData(path=kept(numbers.content, "numbers.bin")),
            method=pair.method,
            unit=UNITS[pair.method],
            pin=checked_pin(pin, {"a": pair.a.grid, "b": pair.b.grid}),
            mode=mode,
        )
