"""The fields of the API: a pair's, and what a program may send, checked before any work; else told in a sentence."""

import inspect
import reprlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import gradio as gr
from gradio.block_function import BlockFunction
from gradio.utils import get_upload_folder
from gradio_client.utils import is_file_obj_with_meta

from simvis_app.api.told import PictureDrop
from simvis_app.service import defaults
from simvis_app.service.galleries.asking import check_labels, check_regions
from simvis_core import SimvisError

LONGEST = 1000  # letters of a text
LARGEST = 1e15  # of a number: what a float holds to the unit


def add_pair_twin(function: Callable[..., object], name: str, usual: Mapping[str, str | float]) -> None:
    """Adds /NAME to the app that is being built: two pictures, then fields with what each usually is, text or number.

    The function gets them in that order; one call of it runs at a time.
    """
    with gr.Row(visible=False):
        pictures = [PictureDrop(type="filepath", label=side) for side in ("image_a", "image_b")]
        fields = [
            gr.Textbox(value, label=field) if isinstance(value, str) else gr.Number(value, label=field)
            for field, value in usual.items()
        ]
        answer, ask = gr.JSON(), gr.Button()
    once = {"concurrency_limit": 1, "concurrency_id": f"{name} api"}
    ask.click(function, [*pictures, *fields], answer, api_name=name, **once)


def whole(number: float | None, name: str, usual: int = defaults.SHORT_SIDE) -> int:
    """A field's whole number. Raises SimvisError for none, a fraction, NaN and infinity."""
    if number is None or not float(number).is_integer():
        raise SimvisError(f"{name} {number}", "a whole number", f"send {usual}")
    return int(number)


def check_fields(function: BlockFunction, values: Sequence[object]) -> None:
    """Raises SimvisError for values that an API function does not take: their count, or the kind of one."""
    names = [block.label for block in function.inputs]
    if len(values) != len(names):
        raise SimvisError(
            f"{len(values)} value{'s' if len(values) != 1 else ''}",
            f"{len(names)}: {', '.join(names)}",
            "send all of them, in this order",
        )
    needed = _needed(function.fn)
    for block, value in zip(function.inputs, values, strict=True):
        if value is not None:
            _CHECKS[type(block)](block.label, value)
        elif block.label in needed:
            raise SimvisError(f"no {block.label}", _WANTED[type(block)], f"send {block.label}")


def _needed(function: Callable[..., object]) -> set[str]:
    """Parameters that have no default; others may be left empty."""
    parameters = inspect.signature(function).parameters.values()
    return {one.name for one in parameters if one.default is inspect.Parameter.empty}


def _refuse(name: str, value: object, wanted: str) -> SimvisError:
    return SimvisError(f"{name} = {reprlib.repr(value)}", wanted, f"send another {name}")


def _text(name: str, value: object) -> None:
    if not isinstance(value, str):
        raise _refuse(name, value, _WANTED[gr.Textbox])
    if len(value) > LONGEST:
        raise SimvisError(f"{name} of {len(value)} letters", f"at most {LONGEST}", f"send a shorter {name}")


def _number(name: str, value: object) -> None:
    """Not-a-number fails the comparison."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= LARGEST:
        raise _refuse(name, value, _WANTED[gr.Number])


def _flag(name: str, value: object) -> None:
    if not isinstance(value, bool):
        raise _refuse(name, value, _WANTED[gr.Checkbox])


def _list(name: str, value: object) -> None:
    _LISTS[name](value)


def _picture(name: str, value: object) -> None:
    """Only what was uploaded; neither the address nor the folder of anything else is told."""
    path = value["path"] if isinstance(value, dict) and is_file_obj_with_meta(value) else None
    if not isinstance(path, str) or not _is_upload(path):
        raise SimvisError(
            f"{name}, which is no uploaded file", _WANTED[PictureDrop], "upload the picture, and send what comes back"
        )


def _is_upload(path: str) -> bool:
    """Whether a file of that name is among the uploads. A name that no system takes is none."""
    try:
        file = Path(path).resolve()
        return file.is_relative_to(Path(get_upload_folder()).resolve()) and file.is_file()
    except (OSError, ValueError):
        return False


_WANTED = {
    gr.Textbox: "a text",
    gr.Number: "a number",
    gr.Checkbox: "true or false",
    gr.JSON: "a list",
    PictureDrop: 'an uploaded file: {"path": ..., "meta": {"_type": "gradio.FileData"}}',
}
_CHECKS: dict[type, Callable[[str, object], None]] = {
    gr.Textbox: _text,
    gr.Number: _number,
    gr.Checkbox: _flag,
    gr.JSON: _list,
    PictureDrop: _picture,
}
_LISTS: dict[str, Callable[[object], None]] = {"regions": check_regions, "labels": check_labels}
