"""Which files are listed, under which label, and what is said of the rest."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simvis_core import SimvisError
from simvis_core.pictures.listing import FILE_COLUMNS, LABEL_COLUMNS, SUFFIXES, listed

HOSTILE = [
    "with space.png",
    "it's.jpg",
    'say "cheese".jpg',
    "emoji \N{CAT FACE}.png",
    "<script>alert(1)</script".replace("/", "\N{DIVISION SLASH}") + ".jpg",
    "two\nlines.gif",
    "comma, semicolon; tab\t.webp",
    "%2e%2e.png",
    "ä\N{COMBINING DIAERESIS}.jpeg",
    "-rf.png",
    "~.png",
    "a.b.c.tiff",
]


def touched(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return root


def told(listing, root):
    """File names from the folder on, with their labels."""
    return {os.path.relpath(file, root): label for file, label in listing.pictures.items()}


# Folders


def test_the_first_folder_is_the_label_whatever_lies_deeper(tmp_path):
    touched(tmp_path, "cat/1.jpg", "cat/young/2.png", "cat/young/asleep/3.png", "dog/1.jpg", "alone.jpg")
    assert told(listed(tmp_path), tmp_path) == {
        "cat/1.jpg": "cat",
        "cat/young/2.png": "cat",
        "cat/young/asleep/3.png": "cat",
        "dog/1.jpg": "dog",
        "alone.jpg": "",
    }


def test_every_suffix_counts_in_any_case_and_nothing_else_does(tmp_path):
    good = [f"a/{at}{suffix}" for at, suffix in enumerate(SUFFIXES)] + ["a/B.JPG", "a/C.JpEg"]
    touched(tmp_path, *good, "a/notes.txt", "a/jpg", "a/x.jpg.zip", "a/raw.CR2", "README", "a/Thumbs.db")
    listing = listed(tmp_path)
    assert set(told(listing, tmp_path)) == set(good)
    assert listing.left_out == {
        f"{tmp_path}/{name}": why
        for name, why in {
            "README": "its name has no ending, such as .jpg",
            "a/jpg": "its name has no ending, such as .jpg",
            "a/notes.txt": ".txt files are not read",
            "a/raw.CR2": ".cr2 files are not read",
            "a/x.jpg.zip": ".zip files are not read",
        }.items()
    }


def test_hidden_files_and_folders_are_passed_over(tmp_path):
    touched(tmp_path, "cat/1.jpg", "cat/.2.jpg", "cat/._1.jpg", ".trash/3.jpg", "cat/.git/4.jpg", ".jpg", "cat/.jpg")
    assert told(listed(tmp_path), tmp_path) == {"cat/1.jpg": "cat"}


def test_a_hidden_folder_that_is_named_is_listed(tmp_path):
    touched(tmp_path, ".cache/cat/1.jpg")
    assert told(listed(tmp_path / ".cache"), tmp_path) == {".cache/cat/1.jpg": "cat"}


def test_the_order_is_fixed(tmp_path):
    touched(tmp_path, "b/2.jpg", "b/1.jpg", "a/z.jpg", "a/b/1.jpg", "c.jpg")
    assert list(told(listed(tmp_path), tmp_path)) == ["c.jpg", "a/z.jpg", "a/b/1.jpg", "b/1.jpg", "b/2.jpg"]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_names(tmp_path, name):
    touched(tmp_path, f"label {name}/{name}")
    assert told(listed(tmp_path), tmp_path) == {f"label {name}/{name}": f"label {name}"}


@given(
    st.lists(st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="/\0"), max_size=20), max_size=5)
)
def test_any_name_that_a_file_system_takes_is_listed(tmp_path_factory, names):
    root = touched(tmp_path_factory.mktemp("names"), "known.jpg")
    for at, name in enumerate(names):
        touched(root, f"{at}{name}/{at}{name}.jpg")
    expected = {f"{at}{name}/{at}{name}.jpg": f"{at}{name}" for at, name in enumerate(names)}
    assert told(listed(root), root) == expected | {"known.jpg": ""}


def test_names_that_are_no_text_are_left_out_each_with_its_reason(tmp_path):
    touched(tmp_path, "good.jpg")
    for name in (b"bad\xff.jpg", b"bad\xfe.jpg", b"\xc3/inside.jpg"):
        path = os.path.join(os.fsencode(tmp_path), name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb"):
            pass
    listing = listed(tmp_path)
    assert told(listing, tmp_path) == {"good.jpg": ""}
    assert listing.left_out == {
        f"{tmp_path}/{name}": "its name is not valid UTF-8"
        for name in (r"bad\xff.jpg", r"bad\xfe.jpg", r"\xc3/inside.jpg")
    }


def test_links_to_folders_are_not_followed_and_loops_end(tmp_path):
    touched(tmp_path, "here/cat/1.jpg", "elsewhere/2.jpg")
    (tmp_path / "here" / "loop").symlink_to(tmp_path / "here")
    (tmp_path / "here" / "cat" / "up").symlink_to("..")
    (tmp_path / "here" / "other").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "here" / "cat" / "link.jpg").symlink_to(tmp_path / "elsewhere" / "2.jpg")
    assert told(listed(tmp_path / "here"), tmp_path / "here") == {"cat/1.jpg": "cat", "cat/link.jpg": "cat"}


def test_a_folder_that_is_a_link_can_be_named(tmp_path):
    touched(tmp_path, "real/cat/1.jpg")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert told(listed(tmp_path / "link"), tmp_path / "link") == {"cat/1.jpg": "cat"}


def test_a_folder_that_cannot_be_opened_is_told(tmp_path, monkeypatch):
    touched(tmp_path, "cat/1.jpg", "locked/2.jpg")
    scandir = os.scandir

    def refused(path):
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refused)
    listing = listed(tmp_path)
    assert told(listing, tmp_path) == {"cat/1.jpg": "cat"}
    assert listing.left_out == {str(tmp_path / "locked"): "the folder cannot be opened"}


def test_names_are_whole_paths_wherever_one_stands(tmp_path, monkeypatch):
    touched(tmp_path, "pictures/cat/1.jpg")
    monkeypatch.chdir(tmp_path)
    assert list(listed("pictures").pictures) == [str(tmp_path / "pictures" / "cat" / "1.jpg")]
    assert list(listed("pictures/../pictures/cat").pictures.values()) == [""]


# CSV


def csv_file(tmp_path, text, encoding="utf-8", name="list.csv"):
    path = tmp_path / name
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("ends", ["\n", "\r\n"], ids=repr)
def test_a_csv_names_files_from_its_own_folder_and_labels(tmp_path, encoding, ends):
    touched(tmp_path, "a.jpg", "deep/b.png", "c.jpg")
    lines = ["file,label", "a.jpg,cat", "deep/b.png, dog ", f"{tmp_path}/c.jpg,"]
    listing = listed(csv_file(tmp_path, ends.join(lines) + ends, encoding))
    assert told(listing, tmp_path) == {"a.jpg": "cat", "deep/b.png": "dog", "c.jpg": ""}
    assert listing.left_out == {}


@pytest.mark.parametrize("label", LABEL_COLUMNS)
@pytest.mark.parametrize("file", FILE_COLUMNS)
def test_columns_have_many_names_in_any_case_and_order(tmp_path, file, label):
    touched(tmp_path, "a.jpg")
    text = f"score, {label.upper()} ,{file.title()}\n0.5,cat,a.jpg\n"
    assert told(listed(csv_file(tmp_path, text)), tmp_path) == {"a.jpg": "cat"}


def test_a_csv_may_do_without_labels_and_with_more_columns(tmp_path):
    touched(tmp_path, "a.jpg", "b.jpg", "c.jpg")
    text = "path,width\na.jpg,5\nb.jpg\nc.jpg,5,7,9\n"
    assert told(listed(csv_file(tmp_path, text)), tmp_path) == {"a.jpg": "", "b.jpg": "", "c.jpg": ""}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_read_from_a_csv(tmp_path, name):
    touched(tmp_path, name)
    quoted = name.replace('"', '""')
    listing = listed(csv_file(tmp_path, f'file,label\n"{quoted}","{quoted}"\n'))
    assert told(listing, tmp_path) == {name: name}


def test_rows_that_cannot_be_had_are_told_by_their_line(tmp_path):
    """A quoted name may hold a line break, and blank lines are none of the rows."""
    touched(tmp_path, "a.jpg", "two\nlines.jpg", "b.jpg")
    (tmp_path / "folder.jpg").mkdir()
    rows = [
        "file,label",  # 1
        "a.jpg,cat",
        "",
        '"two',  # 4
        'lines.jpg",cat',
        "gone.jpg,cat",  # 6
        ",cat",
        "folder.jpg,cat",  # 8
        "a.jpg,dog",
        "b\0.jpg,cat",  # 10
        "a.jpg,cat",
        "b.jpg,dog",
    ]
    listing = listed(csv_file(tmp_path, "\n".join(rows)))
    assert told(listing, tmp_path) == {"a.jpg": "cat", "two\nlines.jpg": "cat", "b.jpg": "dog"}
    assert listing.left_out == {
        "list.csv, line 6: gone.jpg": "there is no such file",
        "list.csv, line 7: ": "no file is named",
        "list.csv, line 8: folder.jpg": "there is no such file",
        "list.csv, line 9: a.jpg": "two labels: 'cat' is kept, 'dog' is not",
        "list.csv, line 10: b\0.jpg": "there is no such file",
    }


def test_an_uppercase_csv_is_one_too(tmp_path):
    touched(tmp_path, "a.jpg")
    assert told(listed(csv_file(tmp_path, "file\na.jpg\n", name="LIST.CSV")), tmp_path) == {"a.jpg": ""}


# What is refused


REFUSED = {
    "nothing there": (
        lambda at: at / "gone",
        r"Got '.*/gone'; wanted a folder of pictures, or a \.csv file that is there",
    ),
    "another kind of file": (lambda at: touched(at, "a.txt") / "a.txt", r"Got '.*/a.txt'; wanted a folder of pictures"),
    "no csv": (lambda at: at / "gone.csv", r"Got '.*/gone.csv'; wanted a folder of pictures, or a \.csv"),
    "empty folder": (
        lambda at: at,
        r"Got '.*', which holds no picture; wanted pictures \(\.jpg, .*: choose another folder",
    ),
    "no pictures": (
        lambda at: touched(at, "a.txt", ".b.jpg"),
        r"which holds no picture \(.txt files are not read\); wanted",
    ),
    "missing column": (
        lambda at: csv_file(at, "name,label\na.jpg,cat\n"),
        r"with columns name, label; wanted a column file or path .*: name the columns in its first line",
    ),
    "no header": (
        lambda at: csv_file(touched(at, "a.jpg"), "a.jpg,cat\n"),
        r"with columns a\.jpg, cat; wanted a column",
    ),
    "empty csv": (lambda at: csv_file(at, ""), r"with columns none; wanted a column"),
    "header alone": (
        lambda at: csv_file(at, "file,label\n"),
        r"which holds no picture; wanted rows that name pictures",
    ),
    "only missing files": (
        lambda at: csv_file(at, "file\ngone.jpg\n"),
        r"which holds no picture \(there is no such file\); wanted rows that name",
    ),
    "semicolons": (lambda at: csv_file(at, "file;label\na.jpg;cat\n"), r"with columns file;label; wanted a column"),
    "no utf-8": (
        lambda at: csv_file(at, "file\nä.jpg\n", "latin-1"),
        r"which cannot be read as CSV \(.*utf-8.*\); wanted UTF-8 text with a line a picture: save it as such",
    ),
    "open quote": (lambda at: csv_file(at, 'file\n"a.jpg\n'), r"cannot be read as CSV \(unexpected end of data\)"),
    "endless field": (lambda at: csv_file(at, "file\n" + "a" * 200_000), r"cannot be read as CSV \(field larger"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_source_without_pictures_is_refused(tmp_path, case):
    make, message = REFUSED[case]
    with pytest.raises(SimvisError, match=message):
        listed(make(tmp_path))


def test_a_folder_of_names_that_are_no_text_says_so(tmp_path):
    with open(os.path.join(os.fsencode(tmp_path), b"\xff.jpg"), "wb"):
        pass
    with pytest.raises(SimvisError, match=r"holds no picture \(its name is not valid UTF-8\)"):
        listed(tmp_path)


@pytest.mark.parametrize("name", ["", "a\0b", "x" * 5000], ids=["empty", "NUL", "long"])
def test_odd_sources_are_refused_or_listed(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)  # an empty name is the folder one stands in
    with pytest.raises(SimvisError):
        listed(Path(name) if name else name)
