"""Text in pictures, in the one font that Pillow carries, which has no letters beyond plain Latin."""

import unicodedata
from functools import cache

from PIL import Image, ImageDraw, ImageFont

LEADING = 1.3  # from line to line, of the size
ALIKE = ("\N{EN DASH}-", "\N{EM DASH}-", "\N{MINUS SIGN}-", "\N{MULTIPLICATION SIGN}x", "ßss", "øo", "łl", "æae", "đd")
PLAIN = {pair[0]: pair[1:] for pair in ALIKE} | {pair[0].upper(): pair[1:].upper() for pair in ALIKE[5:]}
UNKNOWN_LETTER = "?"
NOTHING = "\U0010fffe"  # a character that no font has


@cache
def font(size: int) -> ImageFont.FreeTypeFont:
    """Pillow's own font. Needs a Pillow with FreeType, as its wheels have.

    >>> from simvis_core.files.lettering import font
    >>> font(24).size
    24
    """
    loaded = ImageFont.load_default(size)
    assert isinstance(loaded, ImageFont.FreeTypeFont)
    return loaded


def plain(text: str) -> str:
    """The text in characters that the font has: accents are dropped, spaces are spaces, what is left over becomes ?.

    >>> from simvis_core.files.lettering import plain
    >>> plain("Café   crème")
    'Cafe creme'
    """
    spaced = " ".join(text.split())
    return "".join(letter if _known(letter) else _plain_letter(letter) for letter in spaced)


def name(text: str) -> str:
    """A file's name as it can be written; empty where most of it is in letters that the font lacks.

    >>> from simvis_core.files.lettering import name
    >>> name("Käfer.jpg"), name("漢字.jpg")
    ('Kafer.jpg', '')
    """
    written = plain(text)
    lost = written.count(UNKNOWN_LETTER) - text.count(UNKNOWN_LETTER)
    stem = text.rpartition(".")[0] or text
    return "" if 2 * lost > len(stem) else written


def wrapped(text: str, size: int, width: int) -> list[str]:
    """Lines of at most so many pixels, broken between words; a word that is longer is cut.

    >>> from simvis_core.files.lettering import wrapped
    >>> wrapped("one two three", size=20, width=90)
    ['one two', 'three']
    """
    lines, line = [], ""
    for word in _pieces(plain(text), size, width):
        longer = f"{line} {word}".strip()
        if line and font(size).getlength(longer) > width:
            lines.append(line)
            line = word
        else:
            line = longer
    return [*lines, line] if line else lines


def shortened(text: str, size: int, width: int) -> str:
    """The text, or as much of its beginning as fits with three dots behind it.

    >>> from simvis_core.files.lettering import shortened
    >>> shortened("a long caption", size=20, width=80)
    'a long...'
    """
    if font(size).getlength(text) <= width:
        return text
    while text and font(size).getlength(text + "...") > width:
        text = text[:-1]
    return f"{text.rstrip()}..." if text else ""


def paragraph(text: str, size: int, width: int, colour: tuple[int, int, int]) -> Image.Image:
    """The text in lines, on white, so wide and as high as it needs; of no height where there is none.

    >>> from simvis_core.files.lettering import paragraph
    >>> paragraph("one two three", size=20, width=90, colour=(0, 0, 0)).size
    (90, 52)
    """
    lines = wrapped(text, size, width)
    drawn = Image.new("RGB", (width, round(len(lines) * size * LEADING)), "white")
    pen = ImageDraw.Draw(drawn)
    for at, line in enumerate(lines):
        pen.text((0, round((at + 0.5) * size * LEADING)), line, fill=colour, font=font(size), anchor="lm")
    return drawn


def _pieces(text: str, size: int, width: int) -> list[str]:
    pieces = []
    for word in text.split():
        piece = ""
        for letter in word:
            if piece and font(size).getlength(piece + letter) > width:
                pieces.append(piece)
                piece = ""
            piece += letter
        pieces.append(piece)
    return pieces


@cache
def _known(letter: str) -> bool:
    none = font(32).getmask(NOTHING)
    drawn = font(32).getmask(letter)
    return letter == " " or (drawn.size, bytes(drawn)) != (none.size, bytes(none))


@cache
def _plain_letter(letter: str) -> str:
    found = PLAIN.get(letter) or "".join(
        part for part in unicodedata.normalize("NFKD", letter) if not unicodedata.combining(part)
    )
    return found if found and all(map(_known, found)) else UNKNOWN_LETTER
