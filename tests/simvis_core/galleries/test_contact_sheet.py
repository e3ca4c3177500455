"""Contact sheets: one file, whole, in which no name is read as markup."""

import base64
import io
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from simvis_core.galleries.contact_sheet import LONGEST, Entry, contact_sheet
from tests.simvis_core.small_galleries import picture

HOSTILE = [
    "<script>alert(1)</script>",
    "</title><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onload='alert(1)",
    "<!-- -->",
    "]]>",
    "&lt;b&gt; &amp; &#60;",
    "two\nlines",
    "</style></p></figure></main>",
    "\N{CAT FACE} ä \u202e",
]


class Read(HTMLParser):
    """Tags with their attributes, and the text in each kind of tag."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.text, self.open = [], [], []
        self.feed(page.decode())
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] != ["style"]:
            self.text.append((self.open[-1] if self.open else "", data))

    def of(self, tag):
        """The texts of a kind of tag."""
        return [text for where, text in self.text if where == tag and text.strip()]

    def count(self, tag):
        return sum(name == tag for name, _ in self.tags)


def entries(names=("a.jpg",)):
    return [Entry(picture(at), f"0.{at}", [name, "cat"]) for at, name in enumerate(names)]


def test_a_sheet_has_a_figure_for_each_entry_in_order():
    page = Read(contact_sheet("Hits", ["asked for a.jpg", "by tiny"], entries([f"{at}.jpg" for at in range(7)])))
    assert (page.count("figure"), page.count("img"), page.count("main")) == (7, 7, 1)
    assert page.open == []
    assert page.of("b") == [f"0.{at}" for at in range(7)]
    assert page.of("title") == page.of("h1") == ["Hits"]
    lines = [line for at in range(7) for line in (f"{at}.jpg", "cat")]
    assert page.of("p") == ["asked for a.jpg", "by tiny", *lines]


def test_an_empty_sheet_is_a_page():
    page = Read(contact_sheet("Hits", [], []))
    assert (page.count("figure"), page.of("h1"), page.open) == (0, ["Hits"], [])


@given(
    st.one_of(
        st.sampled_from(HOSTILE), st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\r\0"))
    )
)
def test_no_text_is_markup_and_every_text_is_there_as_it_was(text):
    plain = Read(contact_sheet("a", ["a"], [Entry(None, "a", ["a"], "a")]))
    page = Read(contact_sheet(text, [text], [Entry(None, text, [text], text or "a")]))
    assert page.tags == plain.tags
    assert page.open == []
    for tag, others in (("h1", []), ("title", []), ("b", [])):
        assert "".join(page.of(tag)) == (text if text.strip() else "") or others
    assert all(text.strip() in "".join(page.of(tag)) for tag in ("h1", "title", "b", "p"))


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_adds_no_tag_and_no_attribute(name):
    sheet = contact_sheet(name, [name], [Entry(picture(1), name, [name], name)])
    assert {tag for tag, _ in Read(sheet).tags} == {
        *("html", "meta", "title", "style", "h1", "p", "main", "figure", "img", "figcaption", "b")
    }
    assert {key for _, attributes in Read(sheet).tags for key in attributes} <= {
        *("lang", "charset", "name", "content", "alt", "src", "class")
    }


def test_a_name_that_is_no_text_is_written_with_question_marks():
    assert Read(contact_sheet("a\udcff", [], [Entry(None, "1", ["b\ud800.jpg"])])).of("h1") == ["a?"]


def test_a_picture_that_is_gone_is_told():
    page = Read(contact_sheet("Hits", [], [Entry(None, "0.5", ["a.jpg"], "index again"), *entries(["b.jpg"])]))
    assert (page.count("figure"), page.count("img")) == (2, 1)
    assert page.of("p") == ["This picture is gone.", "a.jpg", "index again", "b.jpg", "cat"]
    assert [attributes for tag, attributes in page.tags if tag == "p" and attributes] == [{"class": "stale"}]


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P", "1", "CMYK", "LA"])
@pytest.mark.parametrize("size", [(20, 14), (900, 300), (3000, 2)], ids=str)
def test_pictures_are_in_the_file_itself_and_no_larger_than_needed(mode, size):
    image = picture(3, size).convert(mode)
    page = Read(contact_sheet("Hits", [], [Entry(image, "1", [])]))
    (address,) = [attributes["src"] for tag, attributes in page.tags if tag == "img"]
    start, _, data = address.partition(",")
    assert start == "data:image/jpeg;base64"
    with Image.open(io.BytesIO(base64.b64decode(data, validate=True))) as shown:
        assert shown.format == "JPEG"
        assert max(shown.size) == min(LONGEST, max(size))
    assert (image.size, image.mode) == (size, mode)


def test_the_page_needs_nothing_else():
    page = contact_sheet("Hits", ["a"], entries(HOSTILE)).decode()
    assert not re.findall(
        r"(?:href|src|url|import|action)\s*[=(]\s*[\"']?(?!data:image/jpeg)[a-z/]", page.replace("src=x", "")
    )
    assert not re.search(r"https?://", page)
    assert page.startswith('<!doctype html><html lang="en"><meta charset="utf-8">')
    assert page.endswith("</html>\n")
