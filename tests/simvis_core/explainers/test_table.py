"""Every explainer of the table, by the same questions: finite maps, honest steps, sentences instead of nonsense."""

import copy
import inspect
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from simvis_core import EmbeddingNetwork, SimvisError
from simvis_core.explainers.baselines import CENTRE_SPREAD, LEAST_BASELINE
from simvis_core.explainers.question import finite
from simvis_core.explainers.table import EXPLAINERS, RANGES, check_parameters, draw_map, drawing
from simvis_core.pictures.fills import filled
from tests.simvis_core import drawings
from tests.simvis_core.cases import BLACK_BOXES, make_head
from tests.simvis_core.drawings import TALL, WIDE, finished, network, plain_view, question, recording, view

# Few of everything where the paper's numbers take long.
QUICK = {
    "integrated_gradients": {"steps": 6},
    "sliding_window": {"window": 2, "steps_a_side": 6},
    "rise": {"masks": 12},
    "lime": {"samples": 12, "segments": 6},
    "mask": {"steps": 12},
    "corr_rise": {"masks": 12},
    "sbsm": {"window": 3, "step": 2, "steps_a_side": 6},
    "path_at_depth_3": {"depth": 2},  # the small network has no more
}
CELLS, PIXELS, BASELINE = (2, 3), WIDE, (8, 12)
GRIDS = {
    "input_x_gradient": PIXELS,
    "integrated_gradients": PIXELS,
    "path_at_depth_2": PIXELS,  # of the small network, whose depth 1 has its cells
    "path_at_depth_3": PIXELS,
    "mean_of_depths": PIXELS,
    "shares_by_depth": PIXELS,
    "sliding_window": (6, 9),
    "rise": PIXELS,
    "lime": PIXELS,
    "mask": (8, 12),
    "corr_rise": PIXELS,
    "sbsm": (6, 9),
    "random": BASELINE,
    "centre": BASELINE,
}
# What is no number of the paper's: how often to try, what to ask, and which of several explainers a function is.
NO_PARAMETER = {"seed", "setting"}
every = pytest.mark.parametrize("name", EXPLAINERS)
paired = pytest.mark.parametrize("name", [name for name, entry in EXPLAINERS.items() if "pair" in entry.settings])
unpaired = pytest.mark.parametrize("name", [name for name, entry in EXPLAINERS.items() if entry.settings == ("fixed",)])
black_boxed = pytest.mark.parametrize("name", [name for name, entry in EXPLAINERS.items() if entry.black_box])


def drawn(name, asked, setting="fixed", seed=0, **parameters):
    return finished(drawing(name, asked, setting, seed, **(QUICK.get(name, {}) | parameters)))


# The table


@every
def test_an_entry_is_complete(name):
    entry = EXPLAINERS[name]
    assert entry.title
    assert entry.paper
    assert entry.unit
    assert entry.settings in (("fixed",), ("fixed", "pair"))
    assert entry.baseline == (entry.paper == "baseline")
    assert len({other.title for other in EXPLAINERS.values()}) == len(EXPLAINERS)


@every
def test_the_tables_parameters_are_the_functions_own(name):
    entry = EXPLAINERS[name]
    known = inspect.signature(entry.draw).parameters  # of one with something filled in, with that as its default
    own = {
        key: given.default
        for key, given in known.items()
        if given.kind is given.KEYWORD_ONLY and key not in NO_PARAMETER | {"with_bias", "normalised"}
    }
    assert own == dict(entry.parameters)
    assert ("setting" in known) == ("pair" in entry.settings)


def test_the_papers_numbers():
    """Written down a second time, from MATHS.md section 3 and the papers: for views of 224 or 112 pixels."""
    numbers = {name: dict(entry.parameters) for name, entry in EXPLAINERS.items()}
    assert numbers["rise"] == {"masks": 2000, "cells": 8, "chance": 0.5, "coverage": 1}
    window = numbers["sliding_window"]
    assert (112 / window["steps_a_side"], window["window"] * 112 / window["steps_a_side"]) == (4, 32)
    assert numbers["mask"] == {"cells": 8, "steps": 500, "rate": 0.1, "sparse": 0.01, "smooth": 0.2, "power": 3.0}
    assert numbers["lime"] == {"samples": 1000, "segments": 50, "width": 0.25, "alpha": 1.0}
    sbsm = numbers["sbsm"]
    pixels = 224 / sbsm["steps_a_side"]
    assert (round(sbsm["window"] * pixels, -1), round(sbsm["step"] * pixels, -1)) == (50, 20)
    assert numbers["corr_rise"] == {"masks": 500, "patches": 3, "side": 30 / 112}
    assert numbers["integrated_gradients"] == {"steps": 50}


def test_which_entries_need_no_more_than_embeddings():
    assert {name for name, entry in EXPLAINERS.items() if entry.black_box} == {
        *("sliding_window", "rise", "lime", "corr_rise", "sbsm"),
        *("random", "centre"),
    }


# Every entry


@every
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_map_is_finite_and_lies_on_an_even_grid_over_the_view(name, dtype):
    asked = question(network(dtype=dtype), view(dtype=dtype))
    found, _ = drawn(name, asked)
    assert found.map.shape == GRIDS.get(name, CELLS)
    assert found.map.isfinite().all()
    assert found.map.is_floating_point()
    assert not found.map.requires_grad
    assert float(found.map.std()) > 0
    assert found.seconds >= 0
    assert (found.explainer, found.setting, found.seed) == (name, "fixed", 0)
    assert found.parameters == dict(EXPLAINERS[name].parameters) | QUICK.get(name, {})


@every
def test_the_upright_views_map_is_upright(name):
    found, _ = drawn(name, question(network(), view(TALL)))
    assert found.map.shape == GRIDS.get(name, CELLS)[::-1]


@every
def test_single_and_double_precision_agree(name):
    double = question(network())
    single = replace(question(network(dtype=torch.float32), view(dtype=torch.float32)), query=double.query.float())
    maps = [drawn(name, asked)[0].map.double() for asked in (double, single)]
    assert torch.allclose(*maps, rtol=0, atol=2e-3 if name in ("mask", "corr_rise") else 1e-5)


@every
@pytest.mark.parametrize("setting", ["fixed", "pair"])
def test_steps_rise_to_the_total_and_count_the_pictures_that_were_run(name, setting):
    if setting not in EXPLAINERS[name].settings:
        return
    asked = question(network(), reference=view(TALL, 3))
    made, shown = recording(asked.network)
    found, told = drawn(name, replace(asked, network=made), setting)
    done = [step.done for step in told]
    assert done == sorted(done)
    assert done[-1] == told[-1].total == found.passes
    assert len({step.total for step in told}) == 1
    run = sum(map(len, shown.seen))
    if EXPLAINERS[name].needs == "layers":
        return  # a layer is proved by passes of noise; depths/test_depths.py counts the points of a path
    blank = int(EXPLAINERS[name].left is not None)  # the picture that a path starts from is run to tell what is left
    assert run - found.passes - blank in (0, 1)  # the whole picture's own pass, which a question may know already
    if EXPLAINERS[name].needs in ("features", "gradients"):
        assert run == found.passes + 2 * blank
    if setting == "fixed":
        other = replace(asked, network=made, known=asked.activations)
        shown.seen.clear()
        found, _ = drawn(name, other)
        assert sum(map(len, shown.seen)) == (0 if EXPLAINERS[name].needs == "features" else found.passes + blank)


@every
def test_interim_maps_are_finite_and_the_last_is_the_map(name):
    found, told = drawn(name, question(network()))
    maps = [step.map for step in told if step.map is not None]
    for map in maps:
        assert map.shape == found.map.shape
        assert map.isfinite().all()
    if maps:
        assert torch.equal(maps[-1].to(found.map), found.map)
        assert told[-1].map is not None
    long = EXPLAINERS[name].needs == "scores" or name in ("integrated_gradients", "mask")
    assert bool(maps) == long  # what takes long can be watched


@every
def test_drawing_again_gives_the_same_map_for_the_same_seed(name):
    asked = question(network(), known=True)
    maps = [drawn(name, asked, seed=seed)[0].map for seed in (1, 1, 2)]
    assert torch.equal(maps[0], maps[1])
    assert torch.equal(maps[0], maps[2]) == (name not in ("rise", "lime", "corr_rise", "random"))


@every
def test_it_asks_for_nothing_but_the_query(name):
    """Twice the query: twice the map where the map is in units of the score; none of the rest may care."""
    asked = question(network())
    one, two = (drawn(name, replace(asked, query=asked.query * factor))[0].map for factor in (1, 2))
    entry = EXPLAINERS[name]
    if entry.unit == "units of the score":
        assert torch.allclose(two, 2 * one, rtol=1e-6, atol=1e-9)
        negative = drawn(name, replace(asked, query=-asked.query))[0].map
        assert torch.allclose(negative, -one, rtol=1e-6, atol=1e-9)
    elif name in ("corr_rise", "attention_rollout", "random", "centre"):
        assert torch.allclose(two, one, rtol=0, atol=1e-9)


def test_additive_maps_sum_to_the_score_up_to_what_is_known():
    asked = question(network(backbone=nn.Sequential(nn.Conv2d(3, 6, 8, 8), nn.Tanh())))  # smooth, for the integral
    other = asked.network.decompose(view(TALL, 5).pixels)
    asked = replace(asked, query=other.embedding.clone(), query_bias=other.bias.clone())
    own = asked.network.decompose(asked.view.pixels)
    blank = float(asked.scores(torch.zeros(1, 3, *WIDE, dtype=torch.float64))[0])
    remainders = {
        "decomposition": own.bias @ other.embedding + own.cells.sum((0, 1)) @ other.bias,
        "decomposition_bias": own.bias @ other.embedding,
        "integrated_gradients": blank,
        "path_at_depth_1": (smooth := float(asked.scores(filled(asked.view.pixels, "blur", drawings.SMALL)[None])[0])),
        "path_at_depth_2": smooth,
        "path_at_depth_3": smooth,
        "shares_by_depth": own.bias @ other.embedding,
    }
    sizes = [drawn("path_at_depth_1", asked, depth=depth, steps=50)[0].map.abs().sum() for depth in range(3)]
    weights = [1 / size / sum(1 / one for one in sizes) for size in sizes]
    remainders["mean_of_depths"] = weights[0] * remainders["decomposition_bias"] + (weights[1] + weights[2]) * smooth
    assert set(remainders) == {name for name, entry in EXPLAINERS.items() if entry.additive}
    for name, remainder in remainders.items():
        found = drawn(name, asked, **({"steps": 50} if "steps" in EXPLAINERS[name].parameters else {}))[0]
        assert abs(float(found.map.sum() + remainder) - asked.score) < 1e-9


def test_the_decomposition_with_and_without_the_others_bias():
    asked = question(network())
    other = asked.network.decompose(view(TALL, 5).pixels)
    asked = replace(asked, query=other.embedding.clone(), query_bias=other.bias.clone())
    own = asked.network.decompose(asked.view.pixels)
    assert torch.allclose(drawn("decomposition_bias", asked)[0].map, own.similarity_map(other.embedding), atol=1e-12)
    cells = own.similarity_map(other.cells.sum((0, 1)))
    assert torch.allclose(drawn("decomposition", asked)[0].map, cells, rtol=0, atol=1e-12)
    assert not torch.allclose(cells, own.similarity_map(other.embedding), atol=1e-3)
    without = replace(asked, query_bias=None)  # a query that is no picture's embedding has nothing to leave out
    assert torch.equal(drawn("decomposition", without)[0].map, drawn("decomposition_bias", asked)[0].map)


def test_draw_map_asks_the_same_and_tells_how_far_it_is():
    asked = question(network())
    steps = []
    found = draw_map(
        *("rise", asked.network, asked.view, asked.query),
        reference=view(TALL, 3),
        setting="pair",
        seed=4,
        progress=lambda *at: steps.append(at),
        masks=9,
    )
    same, _ = drawn("rise", replace(asked, reference=view(TALL, 3)), "pair", 4, masks=9)
    assert torch.equal(found.map, same.map)
    assert (found.setting, found.seed, found.passes) == ("pair", 4, 18)
    assert found.parameters == {"masks": 9, "cells": 8, "chance": 0.5, "coverage": 1}
    assert steps[-1] == (18, 18)
    bias = torch.ones(5, dtype=torch.float64)
    with_bias = draw_map("decomposition", asked.network, asked.view, asked.query, query_bias=bias)
    assert torch.equal(with_bias.map, drawn("decomposition", replace(asked, query_bias=bias))[0].map)


def test_normalised_grad_cam_is_another_map():
    asked = question(network())
    plain, normalised = (drawn(name, asked)[0].map for name in ("grad_cam", "grad_cam_normalised"))
    own = drawn("grad_cam", replace(asked, query=asked.embedding))[0].map
    assert torch.allclose(normalised, plain - asked.score * own, rtol=0, atol=1e-9)
    assert not torch.allclose(normalised, plain, atol=1e-3)


# Edges


@every
@pytest.mark.parametrize("size", [(8, 8), (8, 32)], ids=str)
def test_a_view_of_one_row_of_cells_or_one_alone(name, size):
    if name in ("mean_of_depths", "path_at_depth_1") and size == (8, 8):
        with pytest.raises(SimvisError, match="has no grid of cells"):
            drawn(name, question(network(), view(size)))
        return
    found, _ = drawn(name, question(network(), view(size)))
    assert found.map.isfinite().all()
    assert found.map.shape[1] * size[0] == found.map.shape[0] * size[1]


@every
def test_a_picture_equal_to_the_fill(name):
    if EXPLAINERS[name].needs == "layers":
        with pytest.raises(SimvisError, match="equal to the picture"):
            drawn(name, question(network(), plain_view()))
        return
    found, _ = drawn(name, question(network(), plain_view()))
    assert found.map.isfinite().all()
    if EXPLAINERS[name].needs in ("scores", "gradients"):
        assert float(found.map.abs().max()) < 1e-9  # nothing can be taken away


@every
def test_a_black_box_head(name):
    made = EmbeddingNetwork(
        network().backbone, "avg", make_head("softmax", 6, table=BLACK_BOXES), drawings.SMALL, name="softmax"
    )
    asked = question(made)
    if name.startswith("decomposition"):
        match = (
            r"Got softmax under 'avg', which cannot be split over cells; wanted an explainer that works on any network"
            r": choose one of sliding_window, rise, lime, corr_rise, sbsm, random, centre\."
        )
        with pytest.raises(SimvisError, match=match):
            drawn(name, asked)
    else:
        assert drawn(name, asked)[0].map.isfinite().all()


@black_boxed
def test_a_network_of_nothing_but_vectors(name):
    """No cells, no gradients: the grid of the baselines follows the stride."""

    class Vectors(nn.Module):
        def forward(self, pixels):
            return torch.from_numpy(nn.functional.avg_pool2d(pixels, 4).flatten(1).detach().numpy() + 2)

    made = EmbeddingNetwork(Vectors(), "own", None, drawings.SMALL)
    made.engine = "onnx"
    found, _ = drawn(name, question(made))
    assert found.map.shape == GRIDS[name]
    assert found.map.isfinite().all()


@every
def test_numbers_that_are_none_are_refused(name):
    class Broken(drawings.Attending):
        def forward(self, pixels):
            return super().forward(pixels) * float("nan")

        def attentions(self, pixels):
            return super().attentions(pixels) * float("nan")

    asked = replace(question(network()), network=network(backbone=Broken()))
    with pytest.raises(SimvisError, match=r"NaN"):
        drawn(name, asked)


@every
def test_numbers_that_are_none_in_masked_pictures_alone_are_refused(name):
    """The whole picture is fine; one with a hidden part is not (an overflow, a root of something below zero)."""

    class Brittle(drawings.Attending):
        def forward(self, pixels):
            hidden = (pixels - asked.view.pixels).abs().amax((1, 2, 3)) > 0
            return super().forward(pixels) * torch.where(hidden, torch.nan, 1.0)[:, None, None, None]

    asked = question(network())
    asked = replace(asked, network=network(backbone=Brittle()))
    entry = EXPLAINERS[name]
    if entry.needs == "layers":
        return  # no picture is masked, and layers are tried out on noise of another size
    if entry.needs in ("scores", "gradients") and name != "input_x_gradient":
        with pytest.raises(SimvisError, match=r"NaN"):
            drawn(name, asked)
    else:
        assert drawn(name, asked)[0].map.isfinite().all()


@pytest.mark.parametrize("name", ["input_x_gradient", "integrated_gradients", "mask"])
def test_gradients_that_are_no_numbers_are_refused(name):
    class Kink(nn.Module):
        def forward(self, pixels):
            return nn.functional.avg_pool2d((pixels * 0).sqrt() + pixels, 8)

    asked = question(EmbeddingNetwork(Kink(), "avg", None, drawings.SMALL))
    with pytest.raises(SimvisError, match=rf"Got NaN or infinity in the map by '{name}'; wanted numbers: check the"):
        drawn(name, asked)


@every
def test_an_embedding_without_a_direction_is_refused_or_told(name):
    """A bias-free network of a picture of nothing but the mean colour: length 0. A mask finds nothing to take away."""
    backbone = nn.Conv2d(3, 6, 8, 8, bias=False)
    asked = replace(question(network()), network=network(backbone=backbone, head="free"), view=plain_view())
    if EXPLAINERS[name].needs in ("nothing", "attention"):
        return
    if name == "mask":
        assert float(drawn(name, asked)[0].map.abs().max()) == 0
        return
    with pytest.raises(SimvisError, match=r"length 0|NaN"):
        drawn(name, asked)


def test_finite_lets_numbers_through():
    map = torch.tensor([[1.0, -2.0]])
    assert finite(map, "x") is map
    for broken in (torch.nan, torch.inf, -torch.inf):
        with pytest.raises(SimvisError, match=r"Got NaN or infinity in the map by 'x'; wanted numbers: check the wei"):
            finite(torch.tensor([[1.0, broken]]), "x")


# What is not there


def test_unknown_names_are_refused():
    names = ", ".join(EXPLAINERS)
    with pytest.raises(SimvisError, match=rf"Got explainer 'shap'; wanted one of {names}: choose one of these\."):
        drawn("shap", question(network()))


@every
def test_unknown_parameters_are_refused(name):
    known = ", ".join(EXPLAINERS[name].parameters) or "none"
    with pytest.raises(SimvisError, match=rf"Got parameter 'speed' for '{name}'; wanted of these: {known}: leave it"):
        drawn(name, question(network()), speed=3)
    for inner in ("normalised", "with_bias"):
        with pytest.raises(SimvisError, match=rf"Got parameter '{inner}'"):
            drawn(name, question(network()), **{inner: True})


@pytest.mark.parametrize(
    ("name", "parameter"), [(name, parameter) for name, entry in EXPLAINERS.items() for parameter in entry.parameters]
)
def test_parameters_out_of_range_are_refused(name, parameter):
    least, most = RANGES[parameter]
    usual = EXPLAINERS[name].parameters[parameter]
    assert least <= usual <= most
    wrong = [least - 1, most + 1, float("nan"), *([] if isinstance(usual, float) else [least + 0.5])]
    for value in wrong:
        with pytest.raises(SimvisError, match=f"{parameter} .*number from .* to "):
            check_parameters(name, {parameter: value})
    assert check_parameters(name, {parameter: usual}) is EXPLAINERS[name]


@unpaired
def test_the_pair_setting_where_there_is_none_is_refused(name):
    match = rf"Got '{name}' in the setting 'pair'; wanted one of fixed: choose one it has\."
    with pytest.raises(SimvisError, match=match):
        drawn(name, question(network(), reference=view(TALL, 3)), "pair")


@paired
def test_the_pair_setting_without_a_reference_is_refused(name):
    match = rf"Got '{name}' in the pair setting, for a query without a picture; wanted a reference view: give `ref"
    with pytest.raises(SimvisError, match=match):
        drawn(name, question(network()), "pair")


@paired
def test_the_pair_setting_costs_twice_and_draws_another_map(name):
    asked = question(network(), reference=view(TALL, 3))
    asked = replace(asked, query=asked.network.embed(asked.reference.pixels[None])[0].clone())
    fixed, pair = (drawn(name, asked, setting)[0] for setting in ("fixed", "pair"))
    assert pair.passes == 2 * fixed.passes == 24
    assert pair.setting == "pair"
    assert not torch.allclose(pair.map, fixed.map, atol=1e-4)
    assert torch.equal(drawn(name, replace(asked, query=-asked.query), "pair")[0].map, pair.map)  # nobody asks it


# Questions


def test_a_question_runs_the_network_once_and_not_at_all_for_known_activations():
    made, shown = recording(network())
    asked = question(made)
    shown.seen.clear()
    for _ in range(2):
        assert asked.score == pytest.approx(float(asked.scores(asked.view.pixels[None])[0]), abs=1e-12)
    assert asked.split is not None
    assert (asked.grid, asked.size) == (CELLS, WIDE)
    assert asked.embedding.dtype == torch.float64
    assert len(shown.seen) == 3  # its own, and two for `scores`
    known = replace(asked, known=asked.activations)
    shown.seen.clear()
    assert known.score == asked.score
    assert not shown.seen


def test_a_question_about_a_black_box_has_no_split():
    made = network(head=make_head("square", 6, table=BLACK_BOXES))
    assert question(made).split is None


# Left in the middle


@every
@pytest.mark.parametrize("ended", [False, True])
def test_a_drawing_that_is_left_changes_no_mode(name, ended):
    asked = question(network(), reference=view(TALL, 3))
    for grad in (True, False):
        for inference in (True, False):
            with torch.set_grad_enabled(grad), torch.inference_mode(inference):
                before = torch.is_grad_enabled(), torch.is_inference_mode_enabled()
                steps = drawing(name, asked, **QUICK.get(name, {}))
                next(steps)
                assert (torch.is_grad_enabled(), torch.is_inference_mode_enabled()) == before
                if ended:
                    finished(steps)
                else:
                    steps.close()
                assert (torch.is_grad_enabled(), torch.is_inference_mode_enabled()) == before
    with pytest.raises(StopIteration):
        next(steps)


@every
def test_two_drawings_can_take_turns(name):
    """The page draws several at once: none may keep anything in the network."""
    asked = question(network())
    alone = [drawn(name, replace(asked, query=query))[0].map for query in (asked.query, -2 * asked.query)]
    steps = [
        drawing(name, replace(asked, query=query), **QUICK.get(name, {})) for query in (asked.query, -2 * asked.query)
    ]
    found = {}
    while len(found) < 2:
        for at, one in enumerate(steps):
            try:
                next(one)
            except StopIteration as end:
                found.setdefault(at, getattr(end.value, "map", None))
    assert all(torch.equal(found[at], alone[at]) for at in (0, 1))


@every
def test_a_query_and_a_caller_in_inference_mode(name):
    asked = question(network())
    expected = drawn(name, asked)[0].map
    with torch.inference_mode():
        shown = replace(asked.view, pixels=asked.view.pixels.clone())
        found = drawn(name, replace(asked, query=asked.query.clone(), view=shown))[0].map
    assert torch.allclose(found, expected, rtol=0, atol=1e-9)


@every
def test_the_callers_random_numbers_are_left_alone(name):
    asked = question(network())
    torch.manual_seed(1)
    np_state = np.random.get_state()[1].tolist()
    before = torch.get_rng_state()
    drawn(name, asked)
    assert torch.equal(torch.get_rng_state(), before)
    assert np.random.get_state()[1].tolist() == np_state


# Baselines


def test_noise_is_noise_on_the_networks_own_grid():
    asked = question(network(), view((128, 192)))
    map = drawn("random", asked)[0].map
    assert map.shape == (16, 24)
    assert abs(float(map.mean())) < 0.15
    assert abs(float(map.std()) - 1) < 0.1
    assert torch.equal(map, drawn("random", replace(asked, query=-asked.query))[0].map)


def test_small_grids_of_baselines_are_refined_by_whole_numbers():
    for size, grid in (((8, 8), (7, 7)), ((16, 24), (8, 12)), ((8, 32), (7, 28)), ((56, 64), (7, 8))):
        map = drawn("centre", question(network(), view(size)))[0].map
        assert map.shape == grid
        assert min(grid) >= LEAST_BASELINE


def test_the_centre_is_a_bell_over_the_middle():
    map = drawn("centre", question(network(), view((56, 40))))[0].map
    assert map.shape == (14, 10)
    assert torch.allclose(map, map.flip(0, 1), rtol=0, atol=1e-15)
    for row, column in ((0, 0), (6, 4), (3, 9)):
        down, across = (row + 0.5) / 14 - 0.5, (column + 0.5) / 10 - 0.5
        expected = np.exp(-(down**2 + across**2) / (2 * CENTRE_SPREAD**2))
        assert abs(float(map[row, column]) - expected) < 1e-12
    assert float(map.max()) == float(map[6, 4]) <= 1


def test_engines_without_gradients_still_have_cam_maps():
    """Pooling and head are PyTorch's whatever runs the backbone."""
    asked = question(network(), known=True)
    made = copy.copy(asked.network)
    made.engine = "onnx"
    for name in ("grad_cam", "hires_cam"):
        assert torch.equal(drawn(name, replace(asked, network=made))[0].map, drawn(name, asked)[0].map)
