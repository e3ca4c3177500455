"""Pictures whose decoders are kept in a process of their own: HEIC and HEIF from phones, and AVIF."""

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO

from PIL import Image

from simvis_core.errors import SimvisError
from simvis_core.pictures.formats.bare import Damaged, too_much_work

PROGRAM = Path(__file__).with_name("decoder.py")
PROCESSOR_SECONDS, MEMORY = 2, 350 * 2**20  # of a process, for a picture of 20 megapixels; more for larger ones
USUAL_PIXELS = 20_000_000
WALL_TIMES = 20  # times the processor's seconds that a busy machine may take for them
NEEDED = {"HEIF": "pi_heif", "AVIF": "PIL._avif"}
DECODED_MODES = ("L", "LA", "RGB", "RGBA")


def decoded_elsewhere(data: bytes, kind: str, most: int) -> tuple[Image.Image | None, tuple[int, int], int]:
    """The picture in one of `DECODED_MODES`, its size and its orientation; no picture above ``most`` pixels.

    Raises `Damaged` where the decoder gives up, and SimvisError where it works too long or is not installed.

    >>> import io
    >>> from PIL import Image
    >>> from simvis_core.pictures.formats.process import decoded_elsewhere
    >>> file = io.BytesIO()
    >>> Image.new("RGB", (4, 3)).save(file, "AVIF")
    >>> image, size, orientation = decoded_elsewhere(file.getvalue(), "AVIF", most=20_000_000)
    >>> image.mode, size, orientation
    ('RGB', (4, 3), 1)
    """
    if importlib.util.find_spec(NEEDED[kind]) is None:
        raise SimvisError(
            f"a picture of the kind {kind}, whose decoder is not installed here",
            "one that can be decoded",
            f"install {NEEDED[kind].replace('_', '-')}, or save it as a JPEG or PNG picture",
        )
    with tempfile.TemporaryFile() as answer:  # a pipe's pieces would be held twice
        _decode(data, kind, most, answer)
        answer.seek(0)
        told, raw = json.loads(answer.readline()), answer.read()
    size = int(told["size"][0]), int(told["size"][1])
    if size[0] * size[1] > most:
        return None, size, 1
    if told["mode"] not in DECODED_MODES or len(raw) != size[0] * size[1] * len(told["mode"]):
        raise Damaged
    return Image.frombytes(told["mode"], size, raw), size, int(told["orientation"])


def _decode(data: bytes, kind: str, most: int, answer: IO[bytes]) -> None:
    share = max(1.0, most / USUAL_PIXELS)
    seconds = round(PROCESSOR_SECONDS * share)
    limits = [str(most), str(seconds), str(round(MEMORY * share))]
    path = os.pathsep.join(folder for folder in sys.path if folder)
    try:
        done = subprocess.run(  # noqa: S603  (this Python and our own file)
            [sys.executable, "-S", "-P", str(PROGRAM), kind, *limits],
            input=data,
            stdout=answer,
            stderr=subprocess.DEVNULL,
            timeout=seconds * WALL_TIMES,
            check=False,
            env={**os.environ, "PYTHONPATH": path},
        )
    except subprocess.TimeoutExpired as error:
        raise _too_slow(kind, seconds * WALL_TIMES) from error
    if done.returncode < 0 and -done.returncode in _SLOW:
        raise _too_slow(kind, seconds)
    if done.returncode:
        raise Damaged


def _too_slow(kind: str, seconds: float) -> SimvisError:
    return too_much_work(f"a picture of the kind {kind} that takes more than {seconds:g} seconds to decode")


_SLOW = (24, 9)  # SIGXCPU and SIGKILL, as the system ends a process at its limits
