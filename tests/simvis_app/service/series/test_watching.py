"""A watch's folder as the page shows it: its pairs and worst queries at each step, and what is damaged left out."""

import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from simvis_app.service.series.answers import study_json, training_files
from simvis_app.service.series.folders import SeriesFolders
from simvis_app.service.series.studies import Studies
from simvis_app.service.sessions.session import Session
from simvis_core import EmbeddingNetwork, Preprocess, SimvisError
from simvis_core.progress.queries.hits import RightQueries
from simvis_core.progress.watcher import Watcher
from simvis_core.progress.watching import WatchedPair
from simvis_core.progress.worst import LabelledPicture
from simvis_core.steps import run


def noise(seed, size=(30, 20)):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two pairs and a gallery, watched at two steps between which the weights change."""
    made = tmp_path_factory.mktemp("watches")
    torch.manual_seed(2)
    net = EmbeddingNetwork(torch.nn.Conv2d(3, 5, 8, 8), preprocess=Preprocess(short_side=16, stride=8))
    pairs = [WatchedPair("first pair", noise(1), noise(2)), WatchedPair("second pair", noise(3), noise(4, (24, 24)))]
    gallery = [LabelledPicture(f"g{at}", "owl" if at < 2 else "jay", noise(10 + at)) for at in range(4)]
    watcher = Watcher(net, pairs, folder=made / "watched", gallery=gallery)
    watcher.look(0)
    with torch.no_grad():
        net.backbone.weight += 0.3 * torch.randn_like(net.backbone.weight)
    watcher.look(8)
    return made, watcher.watch


@pytest.fixture
def studies(folder, tmp_path):
    return Studies(Session(), SeriesFolders((folder[0],), bundled=tmp_path))


def test_each_step_shows_the_pairs_with_their_maps_and_then_the_worst_queries(studies, folder):
    watch = folder[1]
    assert studies.names() == ["watched"]
    study = run(studies.studying("watched", ""))
    assert [one.step.step for one in study.steps] == [0, 8]
    for one, seen in zip(study.steps, watch.steps, strict=True):
        pairs, worst = one.hits[:2], one.hits[2:]
        assert [hit.title for hit in pairs] == ["first pair", "second pair"]
        assert [hit.score for hit in pairs] == [figures["score"] for figures in seen.pairs]
        assert torch.equal(pairs[1].query_map, watch.map(seen.step, "second pair", "a"))
        assert torch.equal(pairs[1].hit_map, watch.map(seen.step, "second pair", "b"))
        assert [hit.score for hit in worst] == [query.margin for query in seen.worst[:2]]
        assert worst
        assert torch.equal(worst[0].query_map, watch.worst_map(seen.step, 0, "contrast"))
        assert one.step.figures == seen.figures
    assert study.images["second pair/b"][1] == 1
    assert studies.session.forward_passes == 0
    assert run(studies.studying("watched", "")) is study


def test_its_numbers_are_given_away_and_it_is_compared_with_nothing(studies):
    study = run(studies.studying("watched", ""))
    told = study_json(study)
    assert told["steps"][1]["hits"][0]["picture"] == "first pair"
    assert set(training_files([study])) == {"training.json", "figures.csv", "1-watched.html"}
    assert studies.watched("watched")
    assert RightQueries().asked == ()


def test_a_step_whose_maps_are_torn_is_left_out_and_a_damaged_watch_says_so(folder, tmp_path):
    shutil.copytree(folder[0], tmp_path / "runs")
    file = tmp_path / "runs" / "watched" / folder[1].steps[1].maps.name
    file.write_bytes(file.read_bytes()[:-9])
    studies = Studies(Session(), SeriesFolders((tmp_path / "runs",), bundled=tmp_path))
    study = run(studies.studying("watched", ""))
    assert [one.step.step for one in study.steps] == [0]
    assert study.troubles[0].startswith("Step 8 is left out: ")
    (tmp_path / "runs" / "watched" / "watch.json").write_text("{}")
    with pytest.raises(SimvisError, match=r"watch\.json"):
        run(studies.studying("watched", ""))
