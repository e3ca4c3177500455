"""Sample pictures: pairs that exist, credits that are safe to show."""

import html.parser
import json
import re

import pytest

from simvis_app.service import samples
from simvis_app.service.sessions.session import content_hash


class Tags(html.parser.HTMLParser):
    """Collects the tags and attributes a browser would see."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))


def tags(text):
    parser = Tags()
    parser.feed(text)
    return parser.seen


def test_every_credit_is_a_line_with_at_most_a_link():
    for entry in samples.credits_list():
        found = tags(samples.credit_line(entry))
        assert [tag for tag, _ in found] in ([], ["a"])
        for _, attributes in found:
            assert attributes == {"href": entry["source"], "rel": "noopener", "target": "_blank"}


def test_all_credits_are_listed():
    found = [tag for tag, _ in tags(samples.credits_html())]
    assert found.count("li") == len(samples.credits_list())
    assert set(found) == {"ul", "li", "a"}


@pytest.mark.parametrize("field", ["title", "author", "licence", "source"])
@pytest.mark.parametrize("hostile", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "a & b < c"])
def test_a_credit_with_markup_in_it_is_text(field, hostile):
    entry = {"title": "t", "author": "a", "licence": "l", "source": "s"} | {field: hostile}
    line = samples.credit_line(entry)
    assert tags(line) == []
    assert html.unescape(line).count(hostile) == 1


def test_a_source_cannot_break_out_of_its_link_or_run_code():
    entry = {"title": "t", "author": "a", "licence": "l", "source": 'https://x" onclick="alert(1)'}
    assert tags(samples.credit_line(entry))[0][1]["href"] == entry["source"]
    assert tags(samples.credit_line(entry | {"source": "javascript:alert(1)"})) == []


def test_credits_and_notes_are_found_by_content():
    for pair in samples.pairs():
        hashes = [content_hash(samples.PICTURES / pair[side]) for side in "ab"]
        assert [samples.credit(digest)["file"] for digest in hashes] == [pair["a"], pair["b"]]
        assert samples.note(*hashes) == pair["note"]
    assert samples.note(*hashes[::-1]) == ""
    assert samples.note("0" * 64, hashes[0]) == ""
    assert samples.credit("0" * 64) is None


def test_only_sample_pictures_have_a_path():
    file = samples.pairs()[0]["a"]
    assert samples.path(file).is_file()
    for name in ("", "../credits.json", f"../pictures/{file}", f"/{file}", file.upper()):
        assert samples.path(name) is None


def test_thumbnails_show_each_pair_side_by_side():
    shown = samples.thumbnails(20)
    assert len(shown) == len(samples.pairs())
    for (image, caption), pair in zip(shown, samples.pairs(), strict=True):
        assert image.size == (44, 20)
        assert pair["name"] in caption
        assert pair["difficulty"] in caption


TABLES = ("pairs.json", "credits.json")


@pytest.mark.parametrize("table", TABLES)
def test_tables_hold_no_markup(table):
    text = json.dumps(json.loads((samples.FOLDER / table).read_text(encoding="utf-8")))
    assert not re.search(r"<\s*[a-zA-Z/!]", text)


def test_single_pictures_are_there_once_each_and_small():
    assert len(set(samples.singles())) == len(samples.singles()) == len({pair["a"] for pair in samples.pairs()})
    for (image, caption), file in zip(samples.single_thumbnails(20), samples.singles(), strict=True):
        assert (image.size, caption, file.is_file()) == ((20, 20), file.parent.name.replace("_", " "), True)
