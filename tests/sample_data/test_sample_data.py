"""The sample pictures: each has one credit, each credit is complete and true to its file, and the pairs exist."""

import csv
import hashlib
import json
from collections import Counter
from pathlib import Path

from PIL import Image

FOLDER = Path(__file__).parents[2] / "sample_data"
PICTURES = FOLDER / "pictures"
CREDITS = json.loads((FOLDER / "credits.json").read_text(encoding="utf-8"))
PAIRS = json.loads((FOLDER / "pairs.json").read_text(encoding="utf-8"))
README = (FOLDER / "README.md").read_text(encoding="utf-8")

LICENCES = {"Public Domain", "CC0-1.0", "CC-BY-2.0", "CC-BY-3.0", "CC-BY-SA-4.0"}
DIFFICULTIES = {"easy", "hard", "look-alike"}


def test_every_picture_has_exactly_one_credit_in_file_order():
    on_disk = sorted(path.relative_to(PICTURES).as_posix() for path in PICTURES.rglob("*") if path.is_file())
    assert [credit["file"] for credit in CREDITS] == on_disk


def test_a_file_is_named_after_its_folder():
    for credit in CREDITS:
        folder, name = credit["file"].split("/")
        number = name.removeprefix(folder + "_").removesuffix(".jpg")
        assert name == f"{folder}_{number}.jpg", credit["file"]
        assert number.isdecimal(), credit["file"]


def test_every_credit_names_title_author_licence_source_and_package():
    for credit in CREDITS:
        for key in ("title", "author", "source", "package", "path_in_package", "changes"):
            assert credit[key].strip(), (credit["file"], key)
        assert credit["licence"] in LICENCES, credit["file"]
        assert "://" in credit["source"], credit["file"]


def test_an_adaptation_names_the_author_and_the_licence_of_the_original():
    adaptations = [credit for credit in CREDITS if credit["source"].startswith("based on")]
    assert adaptations
    for credit in adaptations:
        photographer = credit["source"].split(" by ")[1].split(", license")[0]
        assert credit["author"].startswith(f"{photographer} (original photo, CC-BY-SA-"), credit["file"]
        assert "adapted by" in credit["author"], credit["file"]


def test_digest_and_size_match_the_file():
    for credit in CREDITS:
        path = PICTURES / credit["file"]
        assert hashlib.sha256(path.read_bytes()).hexdigest() == credit["sha256"], credit["file"]
        with Image.open(path) as image:
            image.load()
            assert (image.format, list(image.size)) == ("JPEG", credit["size"]), credit["file"]


def test_no_picture_is_there_twice():
    assert len({credit["sha256"] for credit in CREDITS}) == len(CREDITS)


def test_pairs_are_two_different_known_pictures_with_a_note():
    known = {credit["file"] for credit in CREDITS}
    assert len(PAIRS) >= 10
    assert len({pair["name"] for pair in PAIRS}) == len(PAIRS)
    for pair in PAIRS:
        assert set(pair) == {"name", "a", "b", "difficulty", "note"}
        assert {pair["a"], pair["b"]} <= known, pair["name"]
        assert pair["a"] != pair["b"], pair["name"]
        assert pair["name"].strip()
        assert pair["note"].strip(), pair["name"]
    assert {pair["difficulty"] for pair in PAIRS} == DIFFICULTIES


def test_the_first_pair_is_easy_and_large():
    first = PAIRS[0]
    assert first["difficulty"] == "easy"
    assert all(min(credit["size"]) >= 384 for credit in CREDITS if credit["file"] in (first["a"], first["b"]))


def test_the_readme_credits_every_file_and_counts_the_licences():
    rows = [line.strip("| ").replace("\\|", "|") for line in README.splitlines() if line.startswith("| `")]
    for credit in CREDITS:
        start = " | ".join((f"`{credit['file']}`", credit["title"], credit["author"], credit["licence"]))
        assert sum(row.startswith(start + " | ") for row in rows) == 1, credit["file"]
    for licence, pictures in Counter(credit["licence"] for credit in CREDITS).items():
        assert f"| {licence} | {pictures} |" in README
    assert f"{len(CREDITS)} pictures" in README
    assert "Apache-2.0" in README


def test_the_two_lists_hold_every_picture_with_company_on_one_side():
    """A landmark is one thing in several pictures; a kind of thing or animal is not."""
    sides = {}
    for side in ("classes", "landmarks"):
        with (FOLDER / f"{side}.csv").open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                assert row["file"] == f"pictures/{row['label']}/{Path(row['file']).name}"
                sides.setdefault(row["file"], []).append(side)
    counts = Counter(credit["file"].split("/")[0] for credit in CREDITS)
    company = {f"pictures/{credit['file']}" for credit in CREDITS if counts[credit["file"].split("/")[0]] > 1}
    assert set(sides) == company
    by_label = {}
    for file, (side,) in sides.items():
        by_label.setdefault(file.split("/")[1], set()).add(side)
    assert all(len(found) == 1 for found in by_label.values())
    assert {label for label, found in by_label.items() if found == {"landmarks"}} >= {"taj_mahal", "eiffel_tower"}
