"""A program of its own that decodes one HEIC, HEIF or AVIF picture: from standard input to raw pixels.

Their decoders are large, and a small file can ask them for endless work or memory, or break them. Here that ends a
process under limits, and nothing else. `picture_process` starts it; it imports nothing of SimVis, and no decoder but
the one that is needed, so that it starts quickly.
"""

import json
import sys
from importlib import import_module
from typing import Any


def decode(kind: str, pixels: int, seconds: int, memory: int) -> None:
    """Writes a line of JSON (size, mode, orientation) and the pixels; a size above ``pixels`` comes without them."""
    _limit(seconds, memory)
    data = sys.stdin.buffer.read()
    told, raw = {"AVIF": _avif, "HEIF": _heif}[kind](data, pixels)
    sys.stdout.buffer.write(json.dumps(told).encode() + b"\n")
    sys.stdout.buffer.write(raw)


def _limit(seconds: int, memory: int) -> None:
    if sys.platform == "win32":  # which has no such limits; there the one who waits ends it
        return
    resource = import_module("resource")
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))


def _avif(data: bytes, pixels: int) -> tuple[dict[str, Any], bytes]:
    # Not Pillow's plugin, which reads the whole of the metadata to find the orientation.
    decoder = import_module("PIL._avif").AvifDecoder(data, "auto", 1)
    size, _, mode, _, _, orientation, _ = decoder.get_info()
    told = {"size": size, "mode": mode, "orientation": orientation}
    return told, b"" if size[0] * size[1] > pixels else decoder.get_frame(0)[0]


def _heif(data: bytes, pixels: int) -> tuple[dict[str, Any], bytes]:
    pi_heif = import_module("pi_heif")
    pi_heif.options.DECODE_THREADS = 1
    file = pi_heif.HeifFile(data, convert_hdr_to_8bit=True, remove_stride=True)
    image = file[file.primary_index]
    if image.size[0] * image.size[1] > pixels:
        return {"size": image.size, "mode": image.mode, "orientation": 1}, b""
    raw = bytes(image.data)  # decoded here, which may correct the size; libheif turns the pixels itself
    return {"size": image.size, "mode": image.mode, "orientation": 1}, raw


if __name__ == "__main__":
    decode(sys.argv[1], *map(int, sys.argv[2:5]))
