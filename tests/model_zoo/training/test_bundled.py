"""The series in git: whole, small, what their manifests say, and the networks that the README's lines gave."""

from pathlib import Path

import pytest
import torch

import model_zoo
from model_zoo.training.data import numbered_labels
from model_zoo.training.gallery import ROOM
from model_zoo.training.states import begun
from simvis_core.learning.metrics import retrieval_figures

FOLDER = Path(model_zoo.__file__).parent / "series"
SERIES = sorted(path for path in FOLDER.iterdir() if path.is_dir())
SAMPLES = Path(model_zoo.__file__).parents[1] / "sample_data"
MOST = 45 * 2**20  # bytes, of all together


def test_those_that_the_readme_measures_are_there():
    assert {path.name for path in SERIES} == {
        "photos_head",
        "photos_last",
        "rooms_avg",
        "rooms_max",
        "scratch_avg",
        "scratch_max",
    }


def test_together_they_are_small_and_nothing_lies_beside_them():
    told = {
        stored.name
        for path in SERIES
        for step in model_zoo.open_series(path).steps
        for stored in (step.weights, step.gallery)
        if stored is not None
    }
    files = [file for path in SERIES for file in path.iterdir()]
    assert {file.name for file in files} == told | {"series.json", "scalars.csv"}
    assert sum(file.stat().st_size for file in files) <= MOST


@pytest.mark.parametrize("path", SERIES, ids=lambda path: path.name)
def test_each_step_has_the_figures_of_its_gallery(path):
    """Embeddings are kept in half precision: a close pair of places may change."""
    series = model_zoo.open_series(path).series
    labels = series.about["labels"]
    numbers = torch.from_numpy(numbered_labels(labels))
    for step in series.steps:
        pictures, embeddings = series.embeddings(step.step)
        assert len(pictures) == len(labels)
        assert all(ROOM.fullmatch(name) or (SAMPLES / name).is_file() for name in pictures)
        assert retrieval_figures(embeddings, numbers).map_at_r == pytest.approx(step.figures["map@r"], abs=0.005)


@pytest.mark.network
@pytest.mark.parametrize("path", SERIES, ids=lambda path: path.name)
def test_it_begins_with_its_base_and_rooms_end_better(path):
    opened = model_zoo.open_series(path)
    first, last = (opened.network(step.step) for step in (opened.steps[0], opened.steps[-1]))
    pixels = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    if not path.name.startswith("photos_head"):  # which begins with a drawn head
        base = begun(opened.series.base, opened.series.pooling)
        assert torch.equal(first.embed(pixels), base.embed(pixels))
    assert not torch.allclose(last.embed(pixels), first.embed(pixels), atol=0.01)
    assert last.verdict == "exact"
    if not path.name.startswith("photos"):  # the README says why these do not
        assert opened.steps[-1].figures["map@r"] > opened.steps[0].figures["map@r"] + 0.15
