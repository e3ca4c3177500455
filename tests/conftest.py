"""What every test run needs: shapes checked by beartype, one thread, repeatable examples, tiny networks."""

import contextlib
import os
import shutil
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings
from jaxtyping import config as shapes
from jaxtyping import install_import_hook
from PIL import Image
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests import typechecker

# Before the first import of simvis_core, and in tests only.
install_import_hook("simvis_core", f"{typechecker.__name__}.beartype_like_mypy")

import model_zoo  # noqa: E402, F401  (torchvision and timm cannot be imported before it, in no test)
from simvis_core import EmbeddingNetwork, Preprocess  # noqa: E402

# Galleries make the disk keep every row at once: waiting for it took most of a run. Memory keeps them as well here.
MEMORY = Path("/dev/shm")
if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > 6 << 30:
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))

# absl (of TensorBoard) keeps the stderr it is imported with, pytest's, and closes it as pymilvus sets up logging.
with contextlib.suppress(ImportError):
    from absl import logging as absl_logging

    absl_logging.get_absl_handler().python_handler.stream = sys.__stderr__

settings.register_profile("simvis", deadline=None, derandomize=True, database=None, max_examples=25)
settings.load_profile("simvis")
torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny_preprocess():
    """Views of 16 pixels on the short side, cells of 8."""
    return Preprocess(mean=(0.5, 0.4, 0.3), std=(0.2, 0.25, 0.3), short_side=16, stride=8)


@pytest.fixture(scope="session")
def tiny_backbone():
    """Three layers, 6 channels, stride 8, batch norm with statistics of its own; half of its values are 0."""
    torch.manual_seed(3)
    bn = nn.BatchNorm2d(4)
    nn.init.uniform_(bn.running_mean, -0.2, 0.2)
    nn.init.uniform_(bn.running_var, 0.5, 2)
    return nn.Sequential(nn.Conv2d(3, 4, 4, 4), bn, nn.ReLU(), nn.Conv2d(4, 6, 2, 2), nn.ReLU()).eval()


@pytest.fixture
def tiny_network(tiny_backbone, tiny_preprocess):
    """avg pooling and a head with a bias: exact."""
    torch.manual_seed(4)
    return EmbeddingNetwork(tiny_backbone, "avg", nn.Linear(6, 5), tiny_preprocess, name="tiny")


@pytest.fixture(scope="session")
def two_pictures():
    """A landscape and a portrait photograph's worth of noise, 40 x 25 and 20 x 33 pixels (width x height)."""
    chance = np.random.default_rng(5)  # Pillow's own noise is another in each order of the tests
    grey = (chance.normal(128, 90, size).clip(0, 255).astype(np.uint8) for size in ((25, 40), (33, 20)))
    return tuple(Image.fromarray(pixels).convert("RGB") for pixels in grey)


@pytest.fixture
def unchecked():
    """The core as a user runs it, without the shape checker, which would refuse some words first."""
    before = shapes.jaxtyping_disable
    shapes.update("jaxtyping_disable", True)
    yield
    shapes.update("jaxtyping_disable", before)


@pytest.fixture(scope="session")
def driven(tmp_path_factory):
    """The whole page over networks that are tiny, to drive its handlers: see `tests.driving`."""
    from tests.driving import Page  # only where it is asked for: Gradio takes seconds
    from tests.simvis_app.conftest import TinySession

    return Page(TinySession(), tmp_path_factory.mktemp("page"))


HERE = Path(__file__).parent
# Of the core's tests, those that draw rooms, start processes, index and search, run every explainer or example, or
# measure: the laws and the hand-worked cases are left.
NOT_FAST = (
    *("hotel_rooms", "stores", "evaluation", "progress", "test_indexing.py", "test_damage.py", "test_examples.py"),
    *("test_learned_mask.py", "test_localisation.py", "test_faithfulness.py", "test_measuring.py", "test_masked.py"),
    "test_gradients.py",
    *("test_laws_at_layers.py", "depths", "judging", "learnt", "test_concept_directions.py"),
)
NOT_FAST_TABLE = "explainers/test_table.py"


def is_fast(path):
    """Whether a file holds fast tests: the core's, but for those of `NOT_FAST`."""
    own = path.relative_to(HERE)
    return own.parts[0] == "simvis_core" and not set(own.parts) & set(NOT_FAST) and not own.match(NOT_FAST_TABLE)


def pytest_ignore_collect(collection_path, config):
    """A fast run reads no other files: collecting all would take as long as running it."""
    own = collection_path.suffix == ".py" and collection_path.name.startswith("test_")
    return True if own and config.option.markexpr == "fast" and not is_fast(collection_path) else None


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Of several workers one takes all of the browser's tests; any other file stays on one worker too.

    Not by pytest-xdist's groups: under pytest 9.2 it names them to the workers and not to itself.
    """
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            return "browser" if nodeid.startswith("tests/e2e/") else nodeid.partition("::")[0]

    return ByFile(config, log)


CHECKED = 8  # cases of a test in which the core's calls are held to the shapes in its signatures
SHAPES_CHECKED = pytest.StashKey[bool]()


def pytest_addoption(parser):
    parser.addoption("--every-shape", action="store_true", help="check shapes in every case of every test")


def check_shapes_in_some_cases(items, every):
    """Marks so many cases of each test, spread over all, or every one.

    Further cases show few other shapes, and checking takes half of a law's time.
    """
    name = lambda item: item.nodeid.partition("[")[0]
    counts, seen = Counter(map(name, items)), Counter()
    for item in items:
        count, at = counts[name(item)], seen[name(item)]
        seen[name(item)] += 1
        few = every or count <= CHECKED
        item.stash[SHAPES_CHECKED] = few or at * CHECKED // count != (at - 1) * CHECKED // count


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    """Fixtures of a test, the test, and what takes fixtures down, with shapes checked or not."""
    shapes.update("jaxtyping_disable", not item.stash[SHAPES_CHECKED])
    try:
        return (yield)
    finally:
        shapes.update("jaxtyping_disable", False)


def pytest_collection_modifyitems(config, items):
    """The browser's tests come last: quick failures show first, and playwright's event loop disturbs no other test.

    Of several workers one takes all of them, and first: nothing else is as long.
    """
    for item in items:
        if is_fast(item.path) and not any(item.get_closest_marker(name) for name in ("network", "slow")):
            item.add_marker("fast")
    check_shapes_in_some_cases(items, config.getoption("--every-shape"))
    together = hasattr(config, "workerinput")
    items.sort(key=lambda item: ("e2e" in item.path.parts) != together)
