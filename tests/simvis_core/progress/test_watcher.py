"""The watcher: what it sees is what is there, and the training it looks at goes on as if nobody looked."""

import copy
import itertools
import json
import os
import random
import signal

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn.functional import normalize

from simvis_core import EmbeddingModule, EmbeddingNetwork, Preprocess, SimvisError, explain_pair
from simvis_core.progress import watches
from simvis_core.progress.resting import resting
from simvis_core.progress.watcher import Watcher
from simvis_core.progress.watches import WATCH, open_watch
from simvis_core.progress.watching import WatchedPair, watched
from simvis_core.progress.worst import LabelledPicture, worst_queries
from simvis_core.progress.writers import CsvWriter, read_scalars
from tests.damage import DAMAGE, JSON_DAMAGE
from tests.simvis_core.progress.test_series import full_disk

SMALL = Preprocess(short_side=16, stride=8)


class Cached(nn.Module):
    """Keeps what it computed, as layers with tables of positions do: kept under inference mode it breaks training."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.table = None

    def forward(self, x):
        if self.table is None or self.table.shape != x.shape[-2:]:
            self.table = torch.ones(x.shape[-2:])
        return x * self.table * self.scale


def module():
    """Batch norm, dropout, a pooling, a head; part of it frozen and in eval mode."""
    torch.manual_seed(1)
    trunk = nn.Sequential(nn.Conv2d(3, 5, 8, 8), nn.BatchNorm2d(5), nn.ReLU(), Cached(), nn.Conv2d(5, 6, 1))
    whole = nn.Sequential(trunk, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.4), nn.Linear(6, 4)).train()
    trunk[0].requires_grad_(False)
    trunk[0].eval()
    return whole


@pytest.fixture(scope="module")
def pictures():
    chance = np.random.default_rng(2)
    return [Image.fromarray(chance.integers(0, 255, (24, 32, 3), dtype=np.uint8)) for _ in range(5)]


@pytest.fixture(scope="module")
def pairs(pictures):
    return [WatchedPair("one", *pictures[:2]), WatchedPair("two", *pictures[1:3])]


@pytest.fixture(scope="module")
def gallery(pictures):
    return [LabelledPicture(f"{at}.jpg", "ab"[at % 2], picture) for at, picture in enumerate(pictures)]


class Descent:
    """Gradient descent; PyTorch's own optimisers take seconds to import."""

    def __init__(self, parameters):
        self.parameters = [one for one in parameters if one.requires_grad]

    def zero_grad(self):
        for one in self.parameters:
            one.grad = None

    def step(self):
        for one in self.parameters:
            one.data -= 0.1 * one.grad


def trained(model, watcher=None, steps=range(1, 8)):
    """A training whose every number hangs on the random state, weights and statistics before it."""
    optimiser = Descent(model.parameters())
    for step in steps:
        pixels = torch.rand(4, 3, 16, 24) + random.random() + float(np.random.rand())
        optimiser.zero_grad()
        model(pixels).square().mean().backward()
        optimiser.step()
        if watcher is not None:
            watcher(step)


def seeded():
    torch.manual_seed(5)
    random.seed(5)
    np.random.seed(5)


@pytest.mark.parametrize("given", ["module", "network", "embedding module"])
def test_a_training_goes_on_as_if_nobody_looked(tmp_path, pairs, gallery, given):
    """Weights, statistics, gradients, modes and random numbers: equal bit for bit."""
    alone, model = module(), module()
    seeded()
    trained(alone)
    drawn = torch.rand(3), random.random(), np.random.rand(3)
    trunk, head = model[0], nn.Sequential(*model[3:])
    seen, preprocess = model, SMALL
    if given != "module":
        seen, preprocess = EmbeddingNetwork(trunk, "avg", head, SMALL), None
        seen = EmbeddingModule(seen) if given == "embedding module" else seen
        model.train()
        trunk[0].eval()  # as it was: an EmbeddingNetwork puts its parts into eval mode
    modes = [part.training for part in model.modules()]
    watcher = Watcher(seen, pairs, 2, tmp_path, gallery=gallery, preprocess=preprocess)
    seeded()
    trained(model, watcher)
    assert torch.equal(torch.rand(3), drawn[0])
    assert random.random() == drawn[1]
    assert np.array_equal(np.random.rand(3), drawn[2])
    assert [one.step for one in watcher.watch.steps] == [2, 4, 6]
    assert [part.training for part in model.modules()] == modes
    for name, tensor in alone.state_dict().items():
        assert torch.equal(model.state_dict()[name], tensor), name
    for one, other in zip(alone.parameters(), model.parameters(), strict=True):
        assert (one.grad is None) == (other.grad is None)
        assert one.grad is None or torch.equal(one.grad, other.grad)


def test_what_it_sees_is_what_the_network_is_at_that_step(tmp_path, pairs, gallery):
    model = module()
    watcher = Watcher(model, pairs, 1, tmp_path, gallery=gallery, preprocess=SMALL)
    before = None
    for step in (1, 2):
        trained(model, steps=[step])
        found = watcher(step)
        network = EmbeddingNetwork(copy.deepcopy(model[0]), "avg", nn.Sequential(*copy.deepcopy(model[3:])), SMALL)
        wanted = watched(network, pairs[1], before)
        before = wanted.maps
        assert found.pairs[1] == pytest.approx(wanted.figures())
        watch = open_watch(tmp_path)
        assert torch.equal(watch.map(step, "two", "a"), wanted.map_a)
        assert torch.equal(watch.map(step, "two", "b"), wanted.map_b)
    assert "change" in found.pairs[1]
    assert found.figures["score"] == pytest.approx(sum(one["score"] for one in found.pairs) / 2)
    assert 0 <= found.figures["map@r"] <= 1


def test_worst_queries_are_those_of_the_slow_way():
    torch.manual_seed(0)
    unit = normalize(torch.randn(12, 4, dtype=torch.float64))
    labels = [*"aaabbbbccc", "alone", "a"]
    slow = []
    for at in range(12):
        scores = {other: float(unit[at] @ unit[other]) for other in range(12) if other != at}
        own = [other for other in scores if labels[other] == labels[at]]
        rest = [other for other in scores if labels[other] != labels[at]]
        if own:
            wrong, right = max(rest, key=scores.get), max(own, key=scores.get)
            if scores[wrong] > scores[right]:
                slow.append((at, wrong, right, scores[wrong] - scores[right]))
    slow.sort(key=lambda one: -one[3])
    assert len(slow) > 4
    for count in (3, 99):
        found = worst_queries(unit, labels, count)
        assert [one[:3] for one in found] == [one[:3] for one in slow[:count]]
        assert [one.margin for one in found] == pytest.approx([one[3] for one in slow[:count]])
    assert worst_queries(unit, ["a"] * 12, 5) == ()


def test_why_a_query_is_wrong_adds_up_to_its_margin(tmp_path, pairs, gallery):
    torch.manual_seed(2)
    network = EmbeddingNetwork(nn.Conv2d(3, 6, 8, 8), "avg", nn.Linear(6, 4), SMALL)
    step = Watcher(network, pairs, 1, tmp_path, gallery=gallery)(0)
    watch, query = open_watch(tmp_path), step.worst[0]
    by_name = {one.name: one for one in gallery}
    assert by_name[query.query].label == by_name[query.right].label != by_name[query.wrong].label
    asked, wrong, right = (by_name[name].image for name in (query.query, query.wrong, query.right))
    one, other = explain_pair(network, asked, wrong), explain_pair(network, asked, right)
    assert query.margin == pytest.approx(one.score - other.score, abs=1e-6)
    whole = float(watch.worst_map(0, 0, "contrast").sum()) + one.bias_part("a") - other.bias_part("a")
    assert whole == pytest.approx(query.margin, abs=1e-6)
    assert torch.equal(watch.worst_map(0, 0, "wrong"), one.map_b)
    assert torch.equal(watch.worst_map(0, 0, "right"), other.map_b)
    shown = [watch.kept_picture(picture) for picture in query.pictures]
    assert [picture.tobytes() for picture in shown] == [asked.tobytes(), wrong.tobytes(), right.tobytes()]


class Recording:
    """A writer of one's own."""

    def __init__(self):
        self.numbers, self.pictures = {}, {}

    def scalars(self, step, numbers):
        self.numbers[step] = dict(numbers)

    def images(self, step, pictures):
        self.pictures[step] = dict(pictures)

    def close(self):
        pass


def test_the_writer_gets_the_numbers_and_pictures(tmp_path, pairs, gallery):
    writer = Recording()
    found = Watcher(module(), pairs, 1, tmp_path, writer, gallery=gallery, preprocess=SMALL)(3)
    assert writer.numbers[3]["pairs/two/score"] == found.pairs[1]["score"]
    assert writer.numbers[3]["watch/map@r"] == found.figures["map@r"]
    names = {"pairs/one", "pairs/two", *(f"worst/{place}" for place in range(len(found.worst)))}
    assert writer.pictures[3].keys() == names
    assert {picture.width for picture in writer.pictures[3].values()} == {720}
    table = CsvWriter(tmp_path / "table")
    Watcher(module(), pairs, 1, tmp_path / "again", table, preprocess=SMALL)(3)
    assert (3, "pairs/two/score", found.pairs[1]["score"]) in read_scalars(tmp_path / "table" / "scalars.csv")


def test_a_resumed_watch_is_that_of_an_undisturbed_run(tmp_path, pairs):
    """Killed behind step 4, of which the training kept step 2 only."""

    def run(folder, model, steps, **options):
        watcher = Watcher(model, pairs, 1, folder, preprocess=SMALL, **options)
        for step in steps:
            with torch.no_grad():
                model[-1].weight += torch.full_like(model[-1].weight, 0.1 * step)
            watcher(step)

    run(tmp_path / "whole", module(), range(1, 7))
    model = module()
    run(tmp_path / "cut", model, range(1, 3))
    kept = copy.deepcopy(model)
    run(tmp_path / "cut", model, range(3, 5), resumed=True)
    run(tmp_path / "cut", kept, [3], resumed=True)
    assert [one.step for one in open_watch(tmp_path / "cut").steps] == [1, 2, 3]
    run(tmp_path / "cut", kept, range(4, 7), resumed=True)
    whole, cut = ((tmp_path / name).iterdir() for name in ("whole", "cut"))
    assert {path.name: path.read_bytes() for path in whole} == {path.name: path.read_bytes() for path in cut}


@pytest.mark.filterwarnings("ignore")  # of the library's own loop
def test_pytorch_metric_learnings_trainer_calls_it(tmp_path, pairs):
    from pytorch_metric_learning import losses, trainers

    torch.manual_seed(0)
    model = module()
    trunk, embedder = nn.Sequential(*model[:3]), nn.Sequential(*model[3:])
    watcher = Watcher(nn.Sequential(trunk, embedder), pairs, 2, tmp_path, preprocess=SMALL)
    data = torch.utils.data.TensorDataset(torch.rand(12, 3, 16, 16), torch.arange(12) % 3)
    optimisers = {"embedder_optimizer": Descent(embedder.parameters())}
    trainers.MetricLossOnly(
        {"trunk": trunk, "embedder": embedder},
        optimisers,
        4,
        {"metric_loss": losses.ContrastiveLoss()},
        data,
        data_device="cpu",
        dataloader_num_workers=0,
        end_of_iteration_hook=watcher.end_of_iteration,
    ).train(num_epochs=2)
    assert [one.step for one in open_watch(tmp_path).steps] == [2, 4, 6]  # three iterations an epoch


@pytest.mark.parametrize("pooled", [nn.AdaptiveAvgPool2d(1), nn.AdaptiveMaxPool2d((1, 1))])
def test_a_row_of_layers_is_split_where_it_pools(pooled):
    torch.manual_seed(3)
    trunk = nn.Sequential(nn.Conv2d(3, 5, 8, 8), nn.BatchNorm2d(5))
    model = nn.Sequential(nn.Sequential(trunk, pooled), nn.Sequential(nn.Flatten(), nn.Linear(5, 4))).train()
    network, pixels = resting(model, SMALL), torch.rand(2, 3, 16, 24)
    assert network.verdict == "exact"
    with torch.no_grad():
        assert torch.allclose(network.embed(pixels), normalize(copy.deepcopy(model).eval()(pixels)), atol=1e-6)


@pytest.mark.parametrize(
    "model",
    [
        nn.Sequential(nn.Conv2d(3, 5, 8, 8), nn.AdaptiveAvgPool2d(2), nn.Flatten()),
        nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        nn.Sequential(nn.Sequential(nn.Conv2d(3, 5, 8, 8), nn.Flatten(2), nn.AdaptiveAvgPool1d(1)), nn.Flatten()),
    ],
)
def test_any_other_module_is_a_black_box_and_still_watched(tmp_path, model, pairs):
    network, pixels = resting(model, SMALL), torch.rand(2, 3, 16, 24)
    assert str(network.pooling) == "own"
    with torch.no_grad():
        assert torch.allclose(network.embed(pixels), normalize(model(pixels)), atol=1e-6)
    found = Watcher(model, pairs[:1], 1, tmp_path, preprocess=SMALL)(0)
    assert found.figures["score"] == explain_pair(network, pairs[0].a, pairs[0].b).score
    assert bool(open_watch(tmp_path).map(0, "one", "a").any())


def test_a_module_that_cannot_be_copied_is_refused(pairs, tmp_path):
    model = module()
    model.history = model[-1].weight * 2
    with pytest.raises(SimvisError, match=r"a module that cannot be copied .*; wanted one that can"):
        Watcher(model, pairs, folder=tmp_path)


def test_mistakes_are_told(tmp_path, pairs, gallery, tiny_network):
    for said, options in {
        "no pair to watch": {"pairs": []},
        "two pairs called 'one'": {"pairs": [pairs[0], pairs[0]]},
        "a look every 0 steps": {"pairs": pairs, "every": 0},
        "a gallery without two pictures of one class": {"pairs": pairs, "gallery": gallery[:2]},
        "a preprocessing beside a network": {"pairs": pairs, "preprocess": SMALL},
    }.items():
        with pytest.raises(SimvisError, match=said):
            Watcher(tiny_network, folder=tmp_path, **options)


@pytest.fixture
def written(tmp_path, pairs, gallery):
    Watcher(module(), pairs, 1, tmp_path / "watched", gallery=gallery, preprocess=SMALL)(7)
    return tmp_path / "watched"


def test_another_watch_is_refused(written, pairs):
    with pytest.raises(SimvisError, match="'watched', which holds a watch of your network"):
        Watcher(module(), pairs, folder=written, preprocess=SMALL)
    with pytest.raises(SimvisError, match=r"a watch of other pairs \(one, two\) or another pooling"):
        Watcher(module(), pairs[:1], folder=written, preprocess=SMALL, resumed=True)


@pytest.mark.parametrize("damage", [name for name in JSON_DAMAGE if name not in ("another's", "gone", "unreadable")])
def test_a_damaged_watch_is_refused(written, damage):
    JSON_DAMAGE[damage](written / WATCH)
    with pytest.raises(SimvisError, match=rf"'{WATCH}' of 'watched', which (is damaged|cannot be read)|of format 5"):
        open_watch(written)


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_maps_and_pictures_are_refused_when_they_are_read(written, damage):
    watch = open_watch(written)
    DAMAGE[damage](next(written.glob("maps-*")))
    DAMAGE[damage](written / watch.pair("one").a.name)
    with pytest.raises(SimvisError, match=r"maps-.*(cannot be read|torn or changed)"):
        watch.map(7, "one", "a")
    with pytest.raises(SimvisError, match=r"picture-.*(cannot be read|torn or changed)"):
        watch.picture("one", "a")
    assert watch.picture("two", "b").size == (32, 24)


def test_a_watch_reads_nothing_outside_its_folder(written):
    read = json.loads((written / WATCH).read_text())
    read["steps"][0]["maps"]["name"] = "../elsewhere.npz"
    (written / WATCH).write_text(json.dumps(read))
    with pytest.raises(SimvisError, match="which is damaged"):
        open_watch(written)


def test_what_is_not_there_is_named_with_what_is(written):
    watch = open_watch(written)
    with pytest.raises(SimvisError, match="step 8 of 'watched'; wanted one of 7"):
        watch.at(8)
    with pytest.raises(SimvisError, match="the pair 'three' of 'watched'; wanted one of one, two"):
        watch.picture("three", "a")


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # the child only writes, and dies
@pytest.mark.parametrize("moment", [1, 2])
def test_a_kill_leaves_the_former_watch(written, pairs, gallery, moment):
    """Before the maps are written, and between them and the list of steps."""
    watcher = Watcher(module(), pairs, 1, written, gallery=gallery, preprocess=SMALL, resumed=True)
    before = open_watch(written).map(7, "one", "a")
    child = os.fork()
    if child == 0:
        whole, calls = watches.write_folder, itertools.count(1)

        def killed(folder, files):
            if next(calls) == moment:
                os.kill(os.getpid(), signal.SIGKILL)
            return whole(folder, files)

        watches.write_folder = killed
        watcher.look(7)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert torch.equal(open_watch(written).map(7, "one", "a"), before)


def test_a_full_disk_leaves_the_former_watch(written, pairs):
    watcher = Watcher(module(), pairs, 1, written, preprocess=SMALL, resumed=True)
    with full_disk(300), pytest.raises(SimvisError, match=r"cannot be written.*free some room"):
        watcher(8)
    assert [one.step for one in open_watch(written).steps] == [7]
    watcher(8)
    assert [one.step for one in open_watch(written).steps] == [7, 8]
