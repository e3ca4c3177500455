"""The sample pictures: pairs to begin with, and each picture's credit."""

import html
import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps

from simvis_core.files import lettering

FOLDER = Path(__file__).parents[2] / "sample_data"
PICTURES = FOLDER / "pictures"
CREDITS = "Sample picture {side}: {credit}. "


@cache
def pairs() -> list[dict[str, str]]:
    """The ready-made pairs: name, a, b, difficulty, note; a and b are names inside `PICTURES`."""
    return json.loads((FOLDER / "pairs.json").read_text())


@cache
def credits_list() -> list[dict[str, Any]]:
    """One credit a picture: file, title, author, licence, source, sha256."""
    return json.loads((FOLDER / "credits.json").read_text())


@cache
def _credits_by_content() -> dict[str, dict[str, Any]]:
    return {entry["sha256"]: entry for entry in credits_list()}


def credit(content_hash: str) -> dict[str, Any] | None:
    """The credit of the sample picture with this content; None for any other picture."""
    return _credits_by_content().get(content_hash)


def note(hash_a: str, hash_b: str) -> str:
    """What to look at in the ready-made pair of these two contents; empty for any other pair."""
    files = [entry["file"] if entry else None for entry in (credit(hash_a), credit(hash_b))]
    return next((pair["note"] for pair in pairs() if [pair["a"], pair["b"]] == files), "")


def path(name: str) -> Path | None:
    """The file of a sample picture; None for a name that is not one."""
    return PICTURES / name if any(entry["file"] == name for entry in credits_list()) else None


def credit_line(entry: dict[str, Any]) -> str:
    """Title, author, licence and source as safe HTML."""
    text = f"{entry['title']}: {entry['author']}, {entry['licence']}"
    source = entry["source"]
    if source.startswith("https://"):
        return f'{html.escape(text)} (<a href="{html.escape(source)}" rel="noopener" target="_blank">source</a>)'
    return html.escape(f"{text} ({source})")


def credits_of(hashes: list[str]) -> str:
    """What to look at in a ready-made pair, then the credits of sample pictures."""
    found = [(side, credit(digest)) for side, digest in zip("AB", hashes, strict=True)]
    lines = (CREDITS.format(side=side, credit=credit_line(entry)) for side, entry in found if entry)
    return "".join([*(f"<p>{html.escape(note)}</p>" for note in [note(*hashes)] if note), *lines])


def facts_of(files: Sequence[str], hashes: Sequence[str]) -> dict[str, Any]:
    """What a picture to share says of its two files: their names, and the credits of sample pictures."""
    found = [(side, credit(digest)) for side, digest in zip("AB", hashes, strict=True)]
    told = [f"{side}: {credit_text(entry)}." for side, entry in found if entry]
    return {"files": {side: Path(file).name for side, file in zip("ab", files, strict=True)}, "credit": " ".join(told)}


def credit_text(entry: dict[str, Any]) -> str:
    """Title, author and licence; with the source where a picture's font cannot write the author."""
    text = f"{entry['title']}: {entry['author']}, {entry['licence']}"
    return text if lettering.name(entry["author"]) else f"{text}, {entry['source']}"


def credits_html() -> str:
    """All credits as a list."""
    return "<ul>" + "".join(f"<li>{credit_line(entry)}</li>" for entry in credits_list()) + "</ul>"


def thumbnails(height: int = 110) -> list[tuple[Image.Image, str]]:
    """Each pair side by side in one small picture, with its name."""
    return [(_side_by_side(pair, height), f"{pair['name']} ({pair['difficulty']})") for pair in pairs()]


@cache
def singles() -> list[Path]:
    """Sample pictures to search for: the first of each ready-made pair."""
    return [PICTURES / name for name in dict.fromkeys(pair["a"] for pair in pairs())]


def single_thumbnails(height: int = 80) -> list[tuple[Image.Image, str]]:
    """`singles` as squares of ``height`` pixels a side, each with its class for a name."""
    shown = []
    for file in singles():
        with Image.open(file) as image:
            shown.append((ImageOps.fit(image.convert("RGB"), (height, height)), file.parent.name.replace("_", " ")))
    return shown


def _side_by_side(pair: dict[str, str], height: int) -> Image.Image:
    both = Image.new("RGB", (2 * height + 4, height), "white")
    for number, side in enumerate("ab"):
        with Image.open(PICTURES / pair[side]) as image:
            both.paste(ImageOps.fit(image.convert("RGB"), (height, height)), (number * (height + 4), 0))
    return both
