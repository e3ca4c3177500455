"""A query at a step: the best rows, both maps of a hit, who gets which query right, and the plot over steps."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from simvis_core import Decomposition
from simvis_core.learning.metrics import retrieval_figures
from simvis_core.progress.manifests import SeriesStep
from simvis_core.progress.queries.hits import (
    QueriedStep,
    StepHit,
    Study,
    embed_pictures,
    gallery_figures,
    nearest_rows,
    right_queries,
    step_hit,
)
from simvis_core.progress.queries.sheet import step_entries
from simvis_core.progress.queries.step_plots import LEAST_RANGE, StepCurve, step_figure
from simvis_core.steps import run


def rows(seed, count, width=4):
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@given(st.integers(0, 999), st.integers(1, 9), st.integers(0, 5), st.sets(st.integers(0, 8)))
def test_the_nearest_rows_are_those_of_highest_cosine(seed, count, k, left_out):
    gallery, query = rows(seed, count), rows(seed + 1000, 1)[0]
    wanted = query.numpy()
    slow = [
        (at, float(row @ wanted / np.linalg.norm(row) / np.linalg.norm(wanted)))
        for at, row in enumerate(gallery.numpy())
        if at not in left_out
    ]
    expected = sorted(slow, key=lambda item: -item[1])[:k]
    found = nearest_rows(gallery, query, k, left_out)
    assert [at for at, _ in found] == [at for at, _ in expected]
    assert [score for _, score in found] == pytest.approx([score for _, score in expected], abs=1e-12)


def test_a_row_of_zeros_is_found_for_nothing():
    assert nearest_rows(torch.tensor([[0.0, 0.0], [-1.0, 0.0]]), torch.tensor([1.0, 0.0])) == [(1, -1.0)]


def unit(cells, bias):
    length = (cells.sum((0, 1)) + bias).norm()
    return Decomposition(cells / length, bias / length)


def test_a_hits_maps_add_up_to_its_score_less_the_biases_part():
    one = unit(rows(1, 6).reshape(2, 3, 4), rows(2, 1)[0])
    other = unit(rows(3, 4).reshape(2, 2, 4), rows(4, 1)[0])
    hit = step_hit("b", "owl", 0.1, one, other, right=True)
    assert hit.score == pytest.approx(float(one.embedding @ other.embedding), abs=1e-12)
    assert float(hit.query_map.sum()) == pytest.approx(hit.score - float(one.bias @ other.embedding), abs=1e-12)
    assert float(hit.hit_map.sum()) == pytest.approx(hit.score - float(other.bias @ one.embedding), abs=1e-12)
    assert hit.stale == (abs(hit.score - 0.1) > 0.02)


def test_a_black_box_gives_scores_and_says_why_there_are_no_maps():
    plain = unit(rows(1, 6).reshape(2, 3, 4), rows(2, 1)[0])
    box = Decomposition(0 * plain.cells, plain.embedding, "black box", "none")
    hit = step_hit("b", "", 0.5, plain, box)
    assert hit.query_map is None
    assert "no sum over places" in hit.gone
    assert QueriedStep(SeriesStep(0, None), (hit,)).scale == 0


@given(st.integers(0, 999))
def test_who_gets_which_query_right_is_what_a_search_of_each_says(seed):
    chance = np.random.default_rng(seed)
    names = [f"p{at}" for at in range(9)]
    labels = {name: chance.choice(["owl", "jay", ""]) for name in names}
    galleries = []
    for width in (3, 5):
        kept = [name for name in chance.permutation(names).tolist() if chance.random() < 0.8]
        galleries.append((tuple(kept), torch.from_numpy(chance.standard_normal((len(kept), width)))))
    found = right_queries(*galleries, labels)
    shared = [name for name in galleries[0][0] if name in galleries[1][0] and labels[name]]

    def right(gallery, query):
        row = dict(zip(*gallery, strict=True))
        others = [name for name in shared if name != query]
        best = max(others, key=lambda name: float(torch.cosine_similarity(row[query], row[name], 0)))
        return labels[best] == labels[query]

    asked = [name for name in shared if [labels[other] for other in shared].count(labels[name]) > 1]
    said = {name: tuple(right(gallery, name) for gallery in galleries) for name in asked}
    assert list(found.asked) == asked
    assert list(found.only_first) == [name for name in asked if said[name] == (True, False)]
    assert list(found.only_second) == [name for name in asked if said[name] == (False, True)]


def test_a_gallerys_figures_count_a_picture_without_a_class_as_alone():
    embeddings, labels = rows(5, 6), ["owl", "jay", "", "owl", "jay", ""]
    told = retrieval_figures(embeddings, torch.tensor([0, 1, 2, 0, 1, 3])).told()
    assert gallery_figures(embeddings, labels) == {name: told[name] for name in ("recall@1", "map@r")}
    assert gallery_figures(embeddings, ["", "", "", "", "", "owl"]) == {}
    assert gallery_figures(0 * embeddings, labels) == {}


def test_pictures_are_embedded_one_by_one_and_one_that_is_gone_has_zeros(tiny_network, two_pictures):
    steps, told = embed_pictures(tiny_network, [two_pictures[0], None, two_pictures[1]], 3), []
    found = run(steps, told.append)
    assert told == [(1, 3), (2, 3), (3, 3)]
    assert torch.equal(found[1], torch.zeros(5))
    for row, picture in ((0, two_pictures[0]), (2, two_pictures[1])):
        assert torch.equal(found[row], tiny_network.embed(tiny_network.view(picture).pixels[None])[0])


def test_a_plot_has_its_line_at_the_step_and_a_range_that_no_noise_fills():
    flat = step_figure([StepCurve("one", [(0, 0.5), (100, 0.5)], "a"), StepCurve("two", [(0, 0.51)], "a", True)], 100)
    assert [shape.x0 for shape in flat.layout.shapes] == [100]
    low, high = flat.layout.yaxis.range
    assert high - low == pytest.approx(LEAST_RANGE)
    assert [trace.line.color for trace in flat.data] == [flat.data[0].line.color] * 2
    assert [trace.line.dash for trace in flat.data] == ["solid", "dot"]
    assert step_figure([StepCurve("one", [(0, 0.0), (1, 1.0)])]).layout.shapes == ()


def test_a_sheet_shows_each_hit_of_each_step_and_leaves_a_place_without_picture_empty():
    hits = (
        StepHit("b", "owl", 0.5, 0.5, torch.ones(2, 3), -torch.ones(2, 2)),
        StepHit("c", "", 0.4, 0.4, gone="it is gone"),
    )
    study = Study("run", "x", "avg", tuple(QueriedStep(SeriesStep(step, None), hits) for step in (0, 10)))
    white = Image.new("RGB", (60, 40), "white")
    entries = list(step_entries(study, {"": white, "b": white}, {"b": "owl/b", "c": "c"}))
    assert [entry.lines[0] for entry in entries] == [f"step {step}, hit {rank}" for step in (0, 10) for rank in (1, 2)]
    assert entries[1].image is None
    assert entries[1].stale == "it is gone"
    red, blue = (entries[0].image.getpixel(place) for place in ((20, 80), (entries[0].image.width - 20, 80)))
    assert red[0] > red[2]
    assert blue[2] > blue[0]
