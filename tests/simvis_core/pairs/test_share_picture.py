"""The picture to share: where things stand, one scale, and the pair's own numbers in it."""

import io
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from simvis_core import SimvisError, enlarge, explain_pair
from simvis_core.files.colours import DEFAULT_COLOURS, GROUNDS, laid
from simvis_core.files.numbers import number, sum_of
from simvis_core.pairs.export import Export
from simvis_core.pairs.share_picture import (
    FIGURE_WIDTH,
    GAP,
    MARGIN,
    TALLEST,
    pin_line,
    sum_line,
    view_line,
    widths_and_height,
)
from simvis_core.pictures.overlays import common_scale


@pytest.fixture
def pair(tiny_network, two_pictures):
    tiny_network.origin = "tiny.pt for tests"
    return explain_pair(tiny_network, *two_pictures)


@pytest.fixture
def written(monkeypatch):
    """Every text that is drawn from here on."""
    texts, draw = [], ImageDraw.ImageDraw.text

    def noted(pen, place, text, *values, **options):
        texts.append(text)
        return draw(pen, place, text, *values, **options)

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", noted)
    return texts


def found(figure, picture, left):
    """Where the picture's top stands in the figure at this left edge, all of it as it is; exactly one place."""
    whole, part = np.asarray(figure), np.asarray(picture)
    h, w = part.shape[:2]
    [top] = [
        top
        for top in range(whole.shape[0] - h + 1)
        if np.array_equal(whole[top, left : left + w], part[0])
        and np.array_equal(whole[top : top + h, left : left + w], part)
    ]
    return top


def panel(view, map, size, scale, ground="colours"):
    bare = view.picture(max(size)).resize(size, Image.Resampling.BICUBIC)
    return laid(bare, enlarge(map.double(), size[::-1]).numpy(), scale, DEFAULT_COLOURS, 0.85, ground)


@pytest.mark.parametrize(
    ("aspects", "width", "widths", "height"),
    [
        ([2.0, 1.0], 1008, [661, 330], 330),  # 992 pixels for 3 heights
        ([0.5, 0.5], 1008, [450, 450], TALLEST),  # 992 would be too tall
        ([4.0, 0.25], 1008, [933, 58], 233),
        ([1.0], 300, [300], 300),
    ],
)
def test_pictures_of_a_row_share_its_width_at_one_height(aspects, width, widths, height):
    assert widths_and_height(aspects, width) == (widths, height)
    assert sum(widths) + GAP * (len(widths) - 1) <= width


@pytest.mark.parametrize("ground", GROUNDS)
def test_both_maps_lie_on_their_pictures_on_one_scale(pair, ground):
    figure = Export(pair, ground=ground).figure()
    assert (figure.width, figure.mode, figure.getpixel((2, 2))) == (FIGURE_WIDTH, "RGB", (255, 255, 255))
    scale = common_scale(pair.map_a, pair.map_b)
    widths, height = widths_and_height([pair.view_a.aspect, pair.view_b.aspect], FIGURE_WIDTH - 2 * MARGIN)
    assert (
        min(map.abs().max() for map in (pair.map_a, pair.map_b)) < 0.95 * scale
    )  # of its own, one would look stronger
    tops = [
        found(figure, panel(view, map, (width, height), scale, ground), left)
        for view, map, width, left in (
            (pair.view_a, pair.map_a, widths[0], MARGIN),
            (pair.view_b, pair.map_b, widths[1], MARGIN + widths[0] + GAP),
        )
    ]
    assert tops[0] == tops[1]


def test_what_is_written_is_the_pairs(pair, written):
    facts = {"files": {"a": "left.png", "b": "right.png"}, "credit": "A: a garden: somebody, CC0."}
    Export(pair, facts=facts).figure()
    scale = common_scale(pair.map_a, pair.map_b)
    told = " ".join(written)
    assert f"{pair.score:.3f}" == written[-1] or f"{pair.score:.3f}" in written
    bias = pair.score - pair.ledger["cells_cells"]
    assert abs(bias) > 0.01  # what no map holds is said
    assert sum_of("decomposition", pair.score, pair.ledger["cells_cells"]) in told
    for text in (number(scale), number(-scale), "share of the score, per cell", "A: left.png", "B: right.png"):
        assert text in written
    assert "tiny, avg pooling. Weights: tiny.pt for tests." in told
    (h, w), (h2, w2) = pair.view_a.size, pair.view_b.size
    assert f"Views: A {w} x {h} pixels, B {w2} x {h2} pixels." in told
    assert "A: a garden: somebody, CC0. Drawn by SimVis." in told
    assert "Pinned" not in told


def test_a_pinned_point_is_ringed_and_its_map_stands_below_on_the_other_picture(pair, written):
    x, y = 3.5, 3.5  # the corner cell's centre
    figure = Export(pair, point=("b", x, y)).figure()
    widths, height = widths_and_height([pair.view_a.aspect, pair.view_b.aspect], FIGURE_WIDTH - 2 * MARGIN)
    map = pair.point_map("b", x, y)
    scale = max(common_scale(map), float(pair.joint_map.abs().max()) / 4)
    top = found(figure, panel(pair.view_a, map, (widths[0], height), scale), MARGIN)
    h, w = pair.view_b.size
    left = MARGIN + widths[0] + GAP
    ring = (
        round(left + 4 / w * widths[1] - 13),
        round(top + 4 / h * height),
    )  # in its white line
    assert figure.getpixel(ring) == (255, 255, 255)
    told = " ".join(written)
    share = pair.point_share("b", x, y)
    assert f"Pinned: cell 0,0 of B, {number(share)} of {number(pair.score)}" in told
    assert number(scale) in written
    assert "share of the score, with the cell of B" in told


def test_a_pinned_region_brings_its_map_and_a_point_outside_is_refused(pair, written):
    weights = [1.0, 0.5] + [0.0] * (pair.a.grid[0] * pair.a.grid[1] - 2)
    figure = Export(pair, region=("a", weights)).figure()
    widths, height = widths_and_height([pair.view_a.aspect, pair.view_b.aspect], FIGURE_WIDTH - 2 * MARGIN)
    map = pair.cells_map("a", torch.tensor(weights, dtype=torch.float64).reshape(pair.a.grid))
    scale = max(common_scale(map), float(pair.joint_map.abs().max()) / 4)
    found(figure, panel(pair.view_b, map, (widths[1], height), scale), MARGIN + widths[0] + GAP)
    assert "Pinned: the marked region of A, " in " ".join(written)
    with pytest.raises(SimvisError, match="Got the point"):
        Export(pair, point=("a", 1000, 0)).figure()


def test_pictures_without_a_map_stay_bare_and_nothing_has_a_scale(pair, written):
    bare = replace(pair, a=replace(pair.a, method="none", cells=pair.a.cells * 0, bias=pair.a.embedding))
    figure = Export(bare).figure()
    widths, height = widths_and_height([pair.view_a.aspect, pair.view_b.aspect], FIGURE_WIDTH - 2 * MARGIN)
    found(
        figure,
        pair.view_a.picture(max(widths[0], height)).resize((widths[0], height), Image.Resampling.BICUBIC),
        MARGIN,
    )
    assert "no map is drawn" in written
    assert not any(text.startswith("share of the score") for text in written)


def test_lines_say_what_is_no_sum_and_what_is_a_part():
    facts = {"method": {"name": "RISE"}, "ledger": None, "score": 0.5}
    assert sum_line(facts) == "map by RISE: its parts need not add up to the score"
    sides = {"size": [100, 200], "view_size": [64, 96], "view_box": [0, 0, 200, 100]}
    part = sides | {"view_box": [50, 0, 150, 100], "view_size": [64, 64]}
    assert view_line({"pictures": {"a": sides, "b": part}}) == "Views: A 96 x 64 pixels, B 64 x 64 pixels (cropped)."
    assert pin_line({"score": 0.5}) == ""


def test_a_name_that_ends_in_png_gets_one_picture_with_its_manifest(pair, tmp_path):
    facts = {"files": {"a": "Größe.png", "b": "東京.png"}}
    [path] = pair.save(tmp_path / "new" / "shared.PNG", facts=facts)
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["shared.PNG"]
    with Image.open(path) as image:
        assert image.tobytes() == Export(pair, facts=facts).figure().tobytes()
        manifest = json.loads(image.text["manifest"])
    assert manifest["score"] == pair.score
    assert manifest["files"] == facts["files"]  # whole, whatever the font can write
    (tmp_path / "folder.png").mkdir()
    assert len(pair.save(tmp_path / "folder.png")) == 4
    with pytest.raises(SimvisError, match="cannot be written"):
        pair.save(path / "x.png")
    with Image.open(io.BytesIO(Export(pair).figure_png())) as image:
        assert image.format == "PNG"
