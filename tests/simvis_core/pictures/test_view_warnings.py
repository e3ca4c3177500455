"""What is said of pictures that suit their views badly: each sentence worked by hand, and where there is none."""

import json
from dataclasses import replace

import pytest
from PIL import Image

from simvis_core import Preprocess
from simvis_core.pictures.view_warnings import view_warning
from tests.simvis_core.cases import make_pair

USUAL = Preprocess()
FIXED = Preprocess(fixed_size=(224, 224))


def said(size, framing="whole", short_side=224, preprocess=USUAL):
    return view_warning(preprocess.view(Image.new("RGB", size), short_side, framing), "A")


@pytest.mark.parametrize(
    ("size", "framing", "seen"),
    [
        ((2400, 300), "whole", "896 x 224"),
        ((300, 2400), "whole", "224 x 896"),
        ((1000, 240), "whole", "896 x 224"),  # 4.17:1
        ((600, 300), "square", "224 x 224"),
        ((300, 600), "square", "224 x 224"),
    ],
)
def test_a_squeezed_picture_is_named_with_both_sizes(size, framing, seen):
    width, height = size
    assert said(size, framing) == (
        f"A is {width} x {height} and was squeezed to {seen}: shapes are distorted; crop it first."
    )


def test_a_network_of_one_size_squeezes_what_others_do_not():
    assert said((900, 300)) == ""
    assert "squeezed to 224 x 224" in said((900, 300), preprocess=FIXED)


@pytest.mark.parametrize(("size", "seen"), [((56, 56), "224 x 224"), ((40, 30), "288 x 224"), ((32, 32), "224 x 224")])
def test_a_tiny_picture_is_named_with_both_sizes(size, seen):
    width, height = size
    assert said(size) == (
        f"A is {width} x {height} and was enlarged to {seen}: it holds few details; choose a larger one."
    )


@pytest.mark.parametrize(
    ("size", "framing"),
    [
        ((800, 600), "whole"),
        ((1200, 300), "whole"),  # 4:1, seen in its own shape
        ((57, 57), "whole"),
        ((2400, 300), "crop"),
        ((590, 300), "square"),
    ],
)
def test_other_pictures_are_not_spoken_of(size, framing):
    assert said(size, framing) == ""


def test_a_pair_warns_of_either_picture_and_its_manifest_says_so():
    views = {f"view_{side}": USUAL.view(Image.new("RGB", size)) for side, size in (("a", (2400, 300)), ("b", (40, 40)))}
    pair = replace(make_pair("avg", "none"), **views)  # the laws' own stays as it is
    assert pair.warnings == [
        "A is 2400 x 300 and was squeezed to 896 x 224: shapes are distorted; crop it first.",
        "B is 40 x 40 and was enlarged to 224 x 224: it holds few details; choose a larger one.",
    ]
    assert json.loads(json.dumps(pair.manifest()))["warnings"] == pair.warnings
