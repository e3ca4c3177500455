"""The tables of class groups: every class is one, no set is empty or twice, one is what the script makes."""

import csv
import os
from pathlib import Path

import pytest

from model_zoo.attributes import building
from model_zoo.attributes.building import Noun, built, read_nouns
from model_zoo.attributes.groups import BY_HAND, GROUP_COLUMNS, WORDNET, class_groups, rows_of
from model_zoo.attributes.hypernyms import HYPERNYMS, Below
from model_zoo.attributes.imagenet import CLASSES, class_names, synsets
from simvis_core import SimvisError

PLACES = [os.environ.get("WORDNET", ""), "/usr/share/wordnet"]  # where Debian's wordnet-base puts it
HERE = next((Path(place) for place in PLACES if place and (Path(place) / "data.noun").is_file()), None)
TABLES = pytest.mark.parametrize("path", [WORDNET, BY_HAND], ids=["wordnet", "by hand"])


def test_imagenet_has_its_classes_in_the_known_order():
    assert len(synsets()) == len(set(synsets())) == CLASSES
    assert (synsets()[0], synsets()[207], synsets()[999]) == ("n01440764", "n02099601", "n15075141")
    assert class_names()["n02099601"] == "golden retriever"


@TABLES
def test_every_row_is_a_class_under_its_own_name(path):
    rows = rows_of(path)
    assert rows
    assert all(tuple(row) == GROUP_COLUMNS for row in rows)
    assert [row for row in rows if class_names().get(row["synset"]) != row["class"]] == []


@TABLES
def test_no_row_is_there_twice_and_each_attributes_rows_stand_together(path):
    pairs = [(row["attribute"], row["synset"]) for row in rows_of(path)]
    assert len(pairs) == len(set(pairs))
    names = [name for name, _ in pairs]
    assert [name for place, name in enumerate(names) if name in names[:place] and names[place - 1] != name] == []


def test_there_are_sixty_and_more_each_with_classes_and_none_is_another():
    known = class_groups()
    assert len(known) >= 60
    assert all(0 < len(group) < CLASSES // 2 for group in known.values())
    assert len({frozenset(group) for group in known.values()}) == len(known)
    assert all(name == name.strip() and "," not in name and ";" not in name for name in known)
    wanted = "fur feathers scales wheels arch dome tower water striped blade screen"
    assert set(wanted.split()) <= set(known)


def test_what_is_made_by_hand_is_apart_from_what_wordnet_gives():
    by_hand, built_names = ({row["attribute"] for row in rows_of(path)} for path in (BY_HAND, WORDNET))
    assert not by_hand & built_names
    assert built_names == set(HYPERNYMS)
    assert set(class_groups()) == by_hand | built_names


def test_groups_are_numbers_in_the_classifiers_order():
    assert class_groups()["ape"] == (365, 366, 367, 368, 369)
    assert synsets()[class_groups()["dome"][0]] == "n03220513"


def test_the_sources_and_wordnets_licence_stand_beside_the_table():
    said = (WORDNET.parent / "SOURCES.md").read_text(encoding="utf-8")
    for words in ("WordNet 3.0 Copyright 2006 by Princeton University", "wordnet_groups.csv", "hand_made_groups.csv"):
        assert words in said


@pytest.mark.skipif(HERE is None, reason="needs WordNet 3.0: Debian's wordnet-base, or its folder in $WORDNET")
def test_the_table_is_what_the_script_makes():
    assert built(read_nouns(HERE)) == WORDNET.read_bytes()


# The script, on a WordNet of a few nouns

NOUNS = """\
  1 This software and database is being provided to you
00001740 03 n 01 entity 0 000 | that which is
01503061 05 n 01 bird 0 001 @ 00001740 n 0000 | warm-blooded; "a bird | a line"
01514668 05 n 0a cock 0 b 0 c 0 d 0 e 0 f 0 g 0 h 0 i 0 j 0 003 @ 01503061 n 0000 ~ 00001740 n 0000 + 00001740 v 0101
01514859 05 n 02 hen 0 biddy 1 001 @i 01514668 n 0000 | adult female
"""


@pytest.fixture
def wordnet(tmp_path):
    (tmp_path / "data.noun").write_text(NOUNS)
    return tmp_path


def test_nouns_are_read_with_what_they_are_kinds_of(wordnet):
    nouns = read_nouns(wordnet)
    assert nouns["n00001740"] == Noun("entity", ())
    assert nouns["n01514668"] == Noun("cock", ("n01503061",))
    assert nouns["n01514859"] == Noun("hen", ("n01514668",))


def test_a_class_below_a_noun_belongs_and_one_below_another_does_not(wordnet, monkeypatch):
    monkeypatch.setattr(building, "class_names", lambda: {"n01514668": "cock", "n01514859": "hen"})
    recipes = {"feathers": Below(("n01503061 bird",)), "comb": Below(("n01503061 bird",), ("n01514859 hen",))}
    monkeypatch.setattr(building, "HYPERNYMS", recipes)
    rows = list(csv.reader(built(read_nouns(wordnet)).decode().splitlines()))
    assert rows[1:] == [
        ["feathers", "n01514668", "cock"],
        ["feathers", "n01514859", "hen"],
        ["comb", "n01514668", "cock"],
    ]


@pytest.mark.parametrize("said", ["n01503061 fish", "n09999999 fish"])
def test_a_recipe_with_another_word_is_refused(wordnet, monkeypatch, said):
    monkeypatch.setattr(building, "class_names", lambda: {"n01514859": "hen"})
    monkeypatch.setattr(building, "HYPERNYMS", {"feathers": Below((said,))})
    with pytest.raises(SimvisError, match=f"'{said}', which is .* in WordNet; wanted a synset with its first word"):
        built(read_nouns(wordnet))


def test_a_folder_without_wordnet_is_refused(tmp_path):
    with pytest.raises(SimvisError, match=r"without data.noun; wanted the dict folder of WordNet 3.0"):
        read_nouns(tmp_path)
