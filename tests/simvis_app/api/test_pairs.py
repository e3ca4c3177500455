"""The page's twins as functions: JSON that adds up."""

import asyncio
import copy
import functools
import json

import gradio as gr
import pytest
import torch
from torch import nn

import model_zoo
from model_zoo.architectures.library import LIBRARIES
from simvis_app.api import pairs
from simvis_app.service import lanes
from simvis_app.service.sessions.budget import Budget
from simvis_app.service.sessions.depths import DepthAsked
from simvis_app.service.sessions.session import Session
from simvis_core import POOLINGS, EmbeddingNetwork, Preprocess, SimvisError
from simvis_core.explainers.masks import MASKED
from simvis_core.networks.poolings import INNER
from simvis_core.pictures.views import FRAMINGS


def test_a_pair_as_json_adds_up(pair):
    answer = json.loads(json.dumps(pairs.pair_json(pair), allow_nan=False))
    for side in "ab":
        total = sum(sum(row) for row in answer[f"map_{side}"]) + answer["bias_part"][side]
        assert abs(total - answer["score"]) < 1e-6
        assert answer["grids"][side] == [len(answer[f"map_{side}"]), len(answer[f"map_{side}"][0])]
        assert answer["view_sizes"][side] == [8 * cells for cells in answer["grids"][side]]
    assert abs(sum(answer["ledger"].values()) - answer["score"]) < 1e-6
    assert (answer["backbone"], answer["pooling"], answer["verdict"]) == ("tiny", "avg", "exact")


def test_points_at_cell_centres_share_out_the_score(pair):
    """All cells of a, each asked for as a click would, carry the score less the bias part."""
    rows, columns = pair.a.grid
    answers = [
        pairs.point_json(pair, "a", 8 * column + 3.5, 8 * row + 3.5) for row in range(rows) for column in range(columns)
    ]
    assert [answer["cell"] for answer in answers] == [[r, c] for r in range(rows) for c in range(columns)]
    assert abs(sum(answer["share"] for answer in answers) + pair.bias_part("a") - pair.score) < 1e-6
    for answer in answers:
        json.dumps(answer, allow_nan=False)
        assert [len(answer["map"]), len(answer["map"][0])] == list(pair.b.grid)


def registered(session):
    """The API's functions by name, as the app registers them; each gives the list of its answers."""
    with gr.Blocks(analytics_enabled=False) as app:
        pairs.add_api(session)
    return {function.api_name: answers(function.fn) for function in app.fns.values()}


def sent(file):
    """An upload as it comes."""
    return {"path": str(file)}


def answers(function):
    async def collected(values):
        return [answer async for answer in function(*values)]

    @functools.wraps(function)
    def asked(*values):
        return asyncio.run(collected(values))

    return asked


@pytest.fixture
def endpoints(session, built):
    return built(lambda: registered(session))


def test_only_the_two_twins_are_registered(endpoints):
    assert set(endpoints) == {"explain_pair", "explain_point"}
    assert all(function.__doc__ for function in endpoints.values())


def test_the_endpoints_explain_files(endpoints, files, pair):
    names = [sent(file) for file in files]
    answer = endpoints["explain_pair"](*names, "tiny", "avg", 16.0, "whole")
    assert answer == [pairs.pair_json(pair)]
    point = endpoints["explain_point"](*names, "tiny", "avg", "b", 3.5, 11.5, 16.0, "whole")
    assert point == [pairs.point_json(pair, "b", 3.5, 11.5)]


def test_masks_tell_how_far_they_are_and_are_drawn_once(endpoints, files, monkeypatch):
    monkeypatch.setattr(lanes, "PACE", 0)
    asked = (*map(sent, files), "tiny", "avg", 16.0, "whole", "sliding window")
    *steps, answer = endpoints["explain_pair"](*asked)
    assert steps[0] == {"done": 0, "of": steps[-1]["of"]}
    assert steps[-1]["done"] == steps[-1]["of"] > 1
    assert answer["method"] == "sliding window"
    assert endpoints["explain_pair"](*asked) == [answer]


def test_whoever_stops_listening_stops_the_masks_and_leaves_the_turn_to_others(session, files, small, backbone_calls):
    explaining = pairs.Explaining(session, lanes.Lanes())
    settings = small(method="sliding window", insist=True)

    async def left():
        steps = explaining.steps(*map(str, files), settings)
        assert (await anext(steps))["done"] == 0
        await steps.aclose()
        ran = len(backbone_calls)
        assert (await anext(explaining.steps(*map(str, files), settings)))["done"] == 0
        return ran

    assert asyncio.run(left()) == len(backbone_calls) == 2  # the pictures themselves, and no mask


def test_a_known_point_is_told_while_an_unknown_pair_waits_for_its_pass(session, files, pair, small):
    explaining = pairs.Explaining(session, lanes.Lanes())

    async def answer(settings):
        return [found async for found in explaining.steps(*map(str, files), settings)]

    async def both():
        waiting = [asyncio.create_task(answer(small(framing=framing))) for framing in ("square", "crop")]
        await asyncio.sleep(0.1)
        known = await asyncio.wait_for(answer(small()), 20)
        assert not any(task.done() for task in waiting)
        session._turn.release()
        await asyncio.gather(*waiting)
        return known[0].score

    session._turn.acquire()
    assert asyncio.run(both()) == pair.score


def test_more_than_may_wait_are_told_so(session, files, small, monkeypatch):
    monkeypatch.setattr(lanes, "MOST_WAITING", 1)
    explaining = pairs.Explaining(session, lanes.Lanes())

    async def third():
        first, second = (asyncio.create_task(anext(explaining.steps(*files, small(framing=f)))) for f in FRAMINGS[:2])
        await asyncio.sleep(0.1)
        with pytest.raises(SimvisError, match="ask again in a minute"):
            await anext(explaining.steps(*files, small(framing=FRAMINGS[2])))
        session._turn.release()
        await asyncio.gather(first, second)

    session._turn.acquire()
    asyncio.run(third())


BAD = [
    (("", "", "tiny", "avg", 16.0, "whole"), "send image_a and image_b"),
    (("A", "B", "tiny", "nope", 16.0, "whole"), "pooling 'nope'"),
    (("A", "B", "tiny", "gem:0", 16.0, "whole"), "GeM exponent"),
    (("A", "B", "tiny", "avg", 17.0, "whole"), "17"),
    (("A", "T", "tiny", "avg", 16.0, "whole"), "not a picture as picture B"),
]


@pytest.mark.parametrize(("values", "reason"), BAD)
def test_a_mistake_is_a_sentence_for_the_caller(endpoints, files, tmp_path, values, reason):
    (tmp_path / "text.png").write_text("text")
    places = {"A": sent(files[0]), "B": sent(files[1]), "T": sent(tmp_path / "text.png")}
    with pytest.raises(gr.Error, match=reason) as caught:
        endpoints["explain_pair"](*(places.get(value, value) for value in values))
    assert caught.value.print_exception is False


@pytest.mark.parametrize(
    ("side", "x", "y", "reason"),
    [("a", 1e9, 0, "point"), ("a", float("nan"), 0, "point"), ("a", 0, -1, "point"), ("a", None, 0, "send x")],
)
def test_a_point_outside_is_a_sentence(endpoints, files, side, x, y, reason):
    with pytest.raises(gr.Error, match=reason):
        endpoints["explain_point"](*map(sent, files), "tiny", "avg", side, x, y, 16.0, "whole")


@pytest.mark.parametrize("size", [None, float("nan"), float("inf"), 224.5])
def test_a_view_size_that_is_no_whole_number_is_a_sentence(endpoints, files, size):
    with pytest.raises(gr.Error, match="view_size"):
        endpoints["explain_pair"](*map(sent, files), "tiny", "avg", size, "whole")


def test_an_unknown_network_is_a_sentence(files, built):
    explain = built(lambda: registered(Session()))["explain_pair"]
    with pytest.raises(gr.Error, match="nosuchnet"):
        explain(*map(sent, files), "nosuchnet", "avg", 224.0, "whole")


def test_a_program_is_told_of_every_choice_there_is(session, built):
    """The description is written by hand: each row of the tables must stand in it."""

    def page():
        with gr.Blocks(analytics_enabled=False) as app:
            pairs.add_api(session)
        return app

    app = built(page)
    (told,) = (one.fn.__doc__ for one in app.fns.values() if one.api_name == "explain_pair")
    words = told.replace(",", " ").replace(".", " ").split()
    assert {*POOLINGS, *INNER, *FRAMINGS} <= set(words)
    assert all(f"{name}/NAME" in words for name in LIBRARIES)
    assert all(f'"{name}"' in told for name in MASKED)


def test_a_pair_at_a_layer_adds_up_and_says_what_its_cells_carry(endpoints, files, pair):
    usual = (*map(sent, files), "tiny", "avg", 16.0, "whole", "")
    for rule, reference in (("", ""), ("path", "mean")):
        (answer,) = endpoints["explain_pair"](*usual, "pixels", rule, reference)
        json.dumps(answer, allow_nan=False)
        depth = answer["depth"]
        assert (depth["layer"], depth["rule"], depth.get("reference", "")) == ("pixels", rule or "frozen", reference)
        assert abs(depth["score_off_engine"]) < 1e-6
        for side in "ab":
            cells = sum(sum(row) for row in answer[f"map_{side}"])
            assert abs(cells + sum(answer["bias_parts"][side].values()) - answer["score"]) < 1e-5
            assert depth["cells_share"][side] == pytest.approx(cells / answer["score"], abs=1e-5)
        assert answer["grids"]["a"] == list(pair.view_a.size)
        assert depth["steps"]["a"] == 0 if not rule else depth["steps"]["a"] >= 8
    (point,) = endpoints["explain_point"](*usual[:4], "a", 9.0, 7.0, *usual[4:], "pixels", "", "")
    assert point["cell"] == [7, 9]
    assert (len(point["map"]), len(point["map"][0])) == pair.view_b.size
    (coarse,) = endpoints["explain_pair"](*usual, "", "", "")
    assert coarse["depth"] is None
    assert coarse["map_a"] == pair.map_a.tolist()


@pytest.mark.parametrize(
    ("method", "layer", "rule", "reference", "said"),
    [
        ("", "nowhere", "", "", "which the network does not have"),
        ("", "pixels", "straight", "", "one of frozen, path"),
        ("", "pixels", "path", "black", "one of blur, mean, grey"),
        ("", "pixels", "frozen", "mean", "give the rule path with it"),
        ("", "", "path", "", "name the layer"),
        ("RISE", "pixels", "", "", "one way to draw the maps"),
    ],
)
def test_a_wrong_depth_is_a_sentence(endpoints, files, method, layer, rule, reference, said):
    usual = (*map(sent, files), "tiny", "avg", 16.0, "whole", method)
    with pytest.raises(gr.Error, match=said):
        endpoints["explain_pair"](*usual, layer, rule, reference)


def test_a_path_beyond_the_budget_is_refused_before_any_work(session, files, small):
    explaining = pairs.Explaining(session, lanes.Lanes(), Budget(100))

    async def answer():
        return [pair async for pair in explaining.steps(*map(str, files), small(), DepthAsked("pixels", "path"))]

    with pytest.raises(SimvisError, match="at most 100"):
        asyncio.run(answer())
    assert session.forward_passes == 0


@pytest.fixture
def above(session, monkeypatch, tiny_network):
    """A second network, "above", whose embeddings are as wide as the tiny one's."""
    torch.manual_seed(21)
    preprocess = Preprocess(short_side=24, stride=12)
    other = EmbeddingNetwork(nn.Conv2d(3, 7, 12, 12), "max", nn.Linear(7, 5), preprocess, name="above")
    monkeypatch.setattr(model_zoo, "load", lambda name: copy.copy(other if name == "above" else tiny_network))
    return other


def test_two_towers_add_up_and_say_what_encoded_the_second_picture(endpoints, files, above, session, small):
    usual = (*map(sent, files), "tiny", "avg", 16.0, "whole", "", "", "", "")
    (answer,) = endpoints["explain_pair"](*usual, "above", "", 0, "")
    json.dumps(answer, allow_nan=False)
    pair = session.explain(*files, session.with_second(small(), "above", "", 0))
    assert answer == pairs.pair_json(pair)
    assert answer["tower_b"] == {"backbone": "above", "pooling": "max", "engine": "eager"}
    assert answer["standing"] is None
    assert (answer["backbone"], answer["pooling"]) == ("tiny", "avg")
    for side in "ab":
        total = sum(sum(row) for row in answer[f"map_{side}"]) + answer["bias_part"][side]
        assert abs(total - answer["score"]) < 1e-6
        cell = {"a": 8, "b": 12}[side]
        assert answer["view_sizes"][side] == [cell * cells for cells in answer["grids"][side]]
    (point,) = endpoints["explain_point"](*usual[:4], "b", 17.5, 5.5, *usual[4:], "above", "", 0, "")
    assert point == pairs.point_json(pair, "b", 17.5, 5.5)
    assert point["cell"] == [0, 1]
    (plain,) = endpoints["explain_pair"](*usual, "", "", 0, "")
    assert plain["tower_b"] is None


def test_two_towers_have_layers_of_their_own(endpoints, files, above):
    usual = (*map(sent, files), "tiny", "avg", 16.0, "whole", "", "1", "", "")
    with pytest.raises(gr.Error, match="which the network does not have"):
        endpoints["explain_pair"](*usual, "above", "", 0, "nowhere")
    (answer,) = endpoints["explain_pair"](*usual, "above", "", 0, "pixels")
    assert (answer["depth"]["layer"], answer["depth"]["layer_b"]) == ("1", "pixels")
    assert answer["grids"]["b"] == answer["view_sizes"]["b"]
    for side in "ab":
        cells = sum(sum(row) for row in answer[f"map_{side}"])
        assert abs(cells + sum(answer["bias_parts"][side].values()) - answer["score"]) < 1e-5


@pytest.mark.parametrize(
    ("second", "said"),
    [
        (("above", "nope", 0, ""), "pooling 'nope'"),
        (("above", "", 13, ""), "a short side of 13 pixels"),
        (("above", "", 24.5, ""), "view_size_b 24.5"),
        (("", "", 0, "pixels"), "name the layer"),
    ],
)
def test_a_mistake_about_the_second_network_is_a_sentence(endpoints, files, above, second, said):
    with pytest.raises(gr.Error, match=said):
        endpoints["explain_pair"](*map(sent, files), "tiny", "avg", 16.0, "whole", "", "", "", "", *second)


def test_two_widths_are_a_sentence(endpoints, files, above, monkeypatch, tiny_network):
    wide = above.with_head(nn.Linear(7, 6))
    monkeypatch.setattr(model_zoo, "load", lambda name: copy.copy(wide if name == "wide" else tiny_network))
    with pytest.raises(gr.Error, match=r"embeddings of 5 numbers from tiny .* and of 6 from above .* trained together"):
        endpoints["explain_pair"](*map(sent, files), "tiny", "avg", 16.0, "whole", "", "", "", "", "wide", "", 0, "")
