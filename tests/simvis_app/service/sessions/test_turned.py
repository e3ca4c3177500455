"""Single pictures split at a layer: the laws of their maps, whose passes take turns."""

import threading

import pytest
import torch

from simvis_app.service.sessions.depths import DepthAsked, Depths, depth_named
from simvis_core import Decomposition, SimvisError

RULES = ("frozen", "path")


@pytest.fixture
def depths(session):
    return Depths(session)


@pytest.fixture(params=RULES)
def asked(request):
    return DepthAsked("pixels", request.param)


@pytest.fixture
def picture(depths, files, small, asked):
    return depths.picture(files[0], small(), asked)


@pytest.fixture
def queries():
    return torch.nn.functional.normalize(torch.randn(7, 5, generator=torch.Generator().manual_seed(1)), dim=1)


def test_it_is_the_embedding_of_the_picture_itself(depths, files, small, picture):
    plain = depths.picture(files[0], small(), DepthAsked())
    assert torch.allclose(picture.decomposition.embedding, plain.decomposition.embedding, atol=1e-6)
    assert (picture.sha256, picture.view.size) == (plain.sha256, plain.view.size)
    assert picture.decomposition.grid == picture.view.size != plain.decomposition.grid


def test_maps_and_bias_add_up_and_several_are_each_alone(picture, queries):
    own = picture.decomposition
    maps = own.similarity_maps(queries)
    assert maps.shape == (7, *own.grid)
    for query, map in zip(queries, maps, strict=True):
        assert torch.allclose(map.sum() + own.bias @ query, own.embedding @ query, atol=1e-5)
        assert torch.allclose(own.similarity_map(query), map, atol=1e-6)
    assert torch.allclose(sum(own.bias_parts.values()), own.bias, atol=1e-6)
    assert torch.allclose(own.cells_sum + own.bias, own.embedding, atol=1e-6)
    assert own.similarity_maps(queries[:0]).shape == (0, *own.grid)


def test_a_regions_query_is_the_transpose_of_the_map(picture, queries):
    own = picture.decomposition
    weights = torch.rand(own.grid, generator=torch.Generator().manual_seed(2)) - 0.3
    by_map = (weights * own.similarity_maps(queries)).sum((1, 2))
    assert torch.allclose(queries @ own.region_query(weights), by_map, atol=1e-5)


def test_every_pass_takes_its_turn(session, picture, queries, backbone_calls):
    """Who holds the turn is waited for: nothing of the network runs beside it."""
    own, held, done = picture.decomposition, threading.Event(), []
    weights = torch.ones(own.grid)
    works = (lambda: own.similarity_map(queries[0]), lambda: own.region_query(weights), lambda: own.bias)
    released = threading.Event()
    holder = threading.Thread(target=lambda: session.turn(lambda: (held.set(), released.wait(5))))
    holder.start()
    held.wait(5)
    others = [threading.Thread(target=lambda work=work: done.append(work())) for work in works]
    for other in others:
        other.start()
    for other in others:
        other.join(0.05)
    assert done == []
    released.set()
    for thread in (holder, *others):
        thread.join(5)
    assert len(done) == len(works)


def test_it_is_made_once_for_a_picture_and_a_frozen_one_has_no_reference(depths, files, small):
    first = depths.picture(files[0], small(), DepthAsked("pixels"))
    assert depths.picture(files[0], small(), DepthAsked("pixels", "frozen", "mean")) is first
    others = [DepthAsked("pixels", "path"), DepthAsked("pixels", "path", "mean"), DepthAsked("0")]
    assert len({id(depths.picture(files[0], small(), one)) for one in others} | {id(first)}) == 4
    assert depths.picture(files[1], small(), DepthAsked("pixels")) is not first


def test_its_cells_are_built_where_they_are_asked_for(depths, files, small):
    own = depths.picture(files[0], small(), DepthAsked("0")).decomposition
    assert isinstance(own, Decomposition)
    assert not own.built
    assert torch.allclose(own.cells.sum((0, 1)), own.cells_sum, atol=1e-5)
    assert own.built


def test_what_is_left_over_is_said(picture, asked):
    own = picture.decomposition
    assert own.notes(own.embedding) == own.deep.notes(own.embedding)
    assert bool(own.bias_parts["reference"].any()) == (asked.rule == "path")


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("", "path", ""), "a rule or a reference without a layer"),
        (("", "", "mean"), "a rule or a reference without a layer"),
        (("pixels", "straight", ""), "rule 'straight'"),
        (("pixels", "path", "black"), "reference 'black'"),
        (("pixels", "", "mean"), "reference 'mean' with the rule frozen"),
    ],
)
def test_names_that_do_not_go_together_are_a_sentence(names, said):
    with pytest.raises(SimvisError, match=said):
        depth_named(*names)


def test_empty_names_are_the_usual():
    assert depth_named() == DepthAsked()
    assert depth_named("pixels") == DepthAsked("pixels", "frozen", "blur")
    assert depth_named("pixels", "path", "mean") == DepthAsked("pixels", "path", "mean")
