"""What a network's attributes are judged on, and that senseless models name at chance what the true one names."""

import pytest
import torch
from PIL import Image

from model_zoo.attributes.fitted import FittedAttributes, fitted_from
from model_zoo.attributes.fitting import fit_steps
from model_zoo.attributes.judging import trials
from model_zoo.attributes.judging.trials import Asks, dataset_trial, room_trial, sample_trial
from model_zoo.attributes.judging.verdicts import shuffled_groups, verdict_steps
from simvis_core import EmbeddingNetwork, Preprocess, SimvisError
from simvis_core.attributes.calibrating import Prior
from simvis_core.attributes.class_groups import ClassGroups
from simvis_core.attributes.datasets.dataset import AttributeDataset
from simvis_core.attributes.judging.choices import OURS
from simvis_core.attributes.learnt.layer import AttributeLayer, LearntAttributes
from simvis_core.attributes.ranker import Bound, Calibration, Phi
from simvis_core.hotel_rooms.truths import ROOM_ATTRIBUTES
from simvis_core.steps import run
from tests.model_zoo.attributes.test_fitting import COLOURED, GROUPS, colours


@pytest.fixture(scope="module")
def coloured(tmp_path_factory):
    """Twelve classes of three pictures with one coloured corner on grey, with their table; nobody can tell of one."""
    folder = tmp_path_factory.mktemp("samples")
    lines = ["file,label,red,green,blue"]
    for number in range(12):
        name = list(COLOURED)[number // 2 % 3]
        for place in range(3):
            picture = Image.new("RGB", (16, 16), (90, 90, 90))
            corner = (8 * (place % 2), 8 * (place // 2), 8 * (place % 2) + 8, 8 * (place // 2) + 8)
            picture.paste(COLOURED[name], corner)
            picture.save(folder / f"{number}_{place}.png")
            told = ",".join("1" if one == name else "" if (number, place) == (1, 0) else "0" for one in COLOURED)
            lines.append(f"{number}_{place}.png,class {number:02},{told}")
    (folder / "picture_attributes.csv").write_text("\n".join(lines) + "\n")
    return folder


def labels_of(folder):
    from simvis_core.attributes.datasets.labels import read_labels

    return read_labels(folder / "picture_attributes.csv")


@pytest.fixture(scope="module")
def trial(coloured):
    network, labels = colours(), labels_of(coloured)
    found = run(fit_steps(network, labels, GROUPS, short_side=16))
    weights = network.backbone.network.classifier
    model = ClassGroups(network, weights.weight, weights.bias, GROUPS, found["reference"])
    return run(sample_trial(coloured, fitted_from(model, found), network, Asks(pairs=30)))


def test_sample_pairs_are_of_classes_that_nothing_was_learnt_from(trial):
    classes = trial.looks.labels.classes
    tested = {classes[at] for at in trial.tested}
    assert tested == {f"class {at:02}" for at in range(1, 12, 2)}
    assert {classes[at] for pair in trial.pairs for at in pair} <= tested
    assert len(trial.pairs) == 30
    assert trial.looks.labels.names == tuple(GROUPS)


def test_the_verdict_knows_the_planted_colours_and_senseless_models_do_not(trial):
    told = []
    found = run(verdict_steps(trial, curves=3, checks=True), told.append)
    rows = {row["by"]: row for row in found.table}
    assert rows[OURS]["true"].mean > 0.6
    assert rows[OURS]["over_random"].low > 0
    assert found.precision.mean == 1 > found.chance
    assert found.gaps["similarity map"].mean > found.gaps["random map"].mean
    assert {part.doing for part in told} == {"judging", "curves", "weights drawn anew", "labels shuffled"}
    shuffled = found.agreement["labels shuffled, simvis"]
    assert shuffled.share.mean < 0.8


def test_shuffled_groups_keep_their_sizes_and_what_they_share():
    groups = {"a": (0, 1, 2), "b": (2, 3), "c": (4,)}
    found = shuffled_groups(groups, 40, seed=1)
    for one, group in groups.items():
        assert len(set(found[one])) == len(group)
        for other, another in groups.items():
            assert len(set(found[one]) & set(found[other])) == len(set(group) & set(another))
    assert found != groups


@pytest.fixture
def data(coloured):
    """As a published data set: its first classes to learn weights on, the others to test on."""
    labels = labels_of(coloured).columns(["red", "verdant", "blue", "greasy"])
    labels.values[:, 1] = labels_of(coloured).values[:, 1]
    parts = {"train": (), "valid": tuple(range(18)), "test": tuple(range(18, 36))}
    return AttributeDataset("coloured", labels, ("",) * 36, parts)


def test_a_data_set_is_judged_by_the_groups_that_it_knows(data, monkeypatch):
    monkeypatch.setattr(trials, "class_groups", lambda: GROUPS)
    monkeypatch.setattr(trials, "SAME_THING", {"verdant": "green"})
    trial = run(dataset_trial(data, colours(), 16, Asks(pairs=12, pictures=12)))
    assert trial.model.names == ("red", "verdant", "blue")
    assert len(trial.looks.labels.pictures) == 18  # of each part three classes, all of their pictures
    assert all(at >= 9 for pair in trial.pairs for at in pair)
    same = [trial.looks.labels.classes[a] == trial.looks.labels.classes[b] for a, b in trial.pairs]
    assert same.count(True) == same.count(False) == 6
    assert run(verdict_steps(trial, curves=0, checks=False)).gaps == {}


@pytest.mark.slow
def test_a_seed_fixes_pictures_and_pairs(data, monkeypatch):
    monkeypatch.setattr(trials, "class_groups", lambda: GROUPS)
    one, again, other = (
        run(dataset_trial(data, colours(), 16, Asks(pairs=4, pictures=12, seed=seed))) for seed in (0, 0, 1)
    )
    assert (one.pairs, one.looks.labels.pictures) == (again.pairs, again.looks.labels.pictures)
    assert one.looks.labels.pictures != other.looks.labels.pictures


@pytest.mark.slow
def test_released_labels_add_what_the_model_scores_high(data, monkeypatch):
    monkeypatch.setattr(trials, "class_groups", lambda: GROUPS)
    true, released = (
        run(dataset_trial(data, colours(), 16, Asks(pairs=12, pictures=12, labels=labels))).looks.labels.values
        for labels in ("true", "released")
    )
    assert bool((released >= true.nan_to_num(0)).all())
    assert not bool(released.isnan().any())


def test_a_data_set_without_an_attribute_in_common_is_refused(data, monkeypatch):
    with pytest.raises(SimvisError, match=r"none of whose 4 attributes is a set of ImageNet classes.*--training-csv"):
        run(dataset_trial(data, colours(), 16, Asks()))
    small = AttributeDataset(data.name, data.labels, data.kinds, data.parts | {"test": (1, 4)})
    with pytest.raises(SimvisError, match="part 'test' has not two classes of two pictures"):
        run(dataset_trial(small, colours(), 16, Asks()))


def learnt(names):
    """Attributes of a layer that is drawn, on a network that is."""
    torch.manual_seed(0)
    network = EmbeddingNetwork(torch.nn.Conv2d(3, 5, 16, 16), preprocess=Preprocess(short_side=64, stride=16))
    weight = torch.randn(len(names), 5, 1, 1)
    layer = AttributeLayer(tuple(names), weight, torch.full((len(names),), 1 / len(names)).double())
    known = {
        preset: Calibration(preset, (Bound(-9, 9), Bound(-1, 1), Bound(0, 1)), Phi(0.5, 0.5, 0), 0.5)
        for preset in ("sane", "simvis")
    }
    return network, FittedAttributes(LearntAttributes(network, layer), dict.fromkeys(names, Prior(0.5, 1)), known, 64)


@pytest.mark.slow
def test_of_planted_rooms_only_the_shared_objects_attributes_are_true():
    network, known = learnt(tuple(ROOM_ATTRIBUTES))
    trial = run(room_trial(known, network, Asks(pairs=4)))
    shared = []
    for pair in trial.pairs:
        both, told = trial.looks.labels.shared(*pair)
        assert bool(told.all())
        shared.append({ROOM_ATTRIBUTES[known.model.names[at]][0] for at in both.nonzero()[:, 0].tolist()})
    assert shared == [{"headboard"}, {"lamp"}, {"painting"}, {"bedspread"}]
    found = run(verdict_steps(trial, curves=0, checks=True))
    assert set(found.agreement) == {
        f"{check}, {preset}" for check in ("weights drawn anew", "labels shuffled") for preset in ("sane", "simvis")
    }


def test_learnt_attributes_that_a_data_set_does_not_have_are_refused(data):
    network, known = learnt(("red", "tall"))
    with pytest.raises(SimvisError, match=r"the attribute 'tall', which coloured does not have \(1 of 2\)"):
        run(dataset_trial(data, network, 64, Asks(), known))
