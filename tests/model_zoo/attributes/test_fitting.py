"""Learning attributes on labelled pictures: which pairs, what comes out, what is refused, and the file there is."""

import csv
import json
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import nn

import model_zoo
from model_zoo.attributes import classifiers, fitted
from model_zoo.attributes.classifiers import classifier_of
from model_zoo.attributes.fitted import FITTED, READ, attributes_of, fitted_names, made_of
from model_zoo.attributes.fitting import fit_steps
from model_zoo.attributes.groups import class_groups
from model_zoo.attributes.matches import Match, drawn_matches, halves
from model_zoo.attributes.stored import MARGINS, stored_steps
from simvis_app.service.samples import FOLDER
from simvis_core import EmbeddingNetwork, Preprocess, SimvisError
from simvis_core.attributes.class_groups import ClassGroups
from simvis_core.attributes.datasets.labels import AttributeLabels, read_labels
from simvis_core.attributes.overlaps import PRESETS
from simvis_core.pictures.opening import open_picture
from simvis_core.pictures.views import FRAMINGS
from simvis_core.steps import run

LABELS = ["a", "a", "b", "c", "c", "d"]
FUR, WHEELS, DOME = [1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0]
SHOWN = torch.tensor([FUR, FUR, WHEELS, FUR, [float("nan"), 0, 0], DOME])  # of the fifth nobody can tell
MAY_SHARE = AttributeLabels(tuple("012345"), tuple(LABELS), ("fur", "wheels", "dome"), SHOWN).may_share


def test_halves_share_no_class():
    one, other = halves(LABELS)
    assert ([LABELS[number] for number in one], [LABELS[number] for number in other]) == (
        ["a", "a", "c", "c"],
        ["b", "d"],
    )


def test_each_query_has_its_class_its_nearest_of_another_and_a_stranger():
    embeddings = torch.nn.functional.normalize(torch.tensor([[1.0, 0], [1, 0.1], [0, 1], [1, 0.3], [0.5, 1], [-1, 0]]))
    found = drawn_matches(range(6), LABELS, embeddings, MAY_SHARE)
    assert Match(0, 1, "same") in found
    assert Match(0, 3, "near") in found
    assert {match.kind for match in found if match.a == 2} == {"near", "stranger"}
    for match in found:
        if match.kind == "stranger":
            assert len({match.a, match.b} & {0, 1, 3, 4}) < 2  # fur, the fifth perhaps
    assert found == drawn_matches(range(6), LABELS, embeddings, MAY_SHARE)
    assert found != drawn_matches(range(6), LABELS, embeddings, MAY_SHARE, seed=5)


def test_a_large_class_does_not_decide():
    labels = ["fish"] * 9 + ["bee"]
    found = drawn_matches(range(10), labels, torch.eye(10), torch.zeros(10, 10, dtype=torch.bool))
    assert len({match.a for match in found if labels[match.a] == "fish"}) == 4


# A network of three colours with a classifier of a thousand classes: it sees red, green and blue


class Whole(nn.Module):
    def __init__(self):
        super().__init__()
        self.classifier = nn.Linear(3, 1000)
        nn.init.zeros_(self.classifier.weight)
        nn.init.zeros_(self.classifier.bias)
        self.classifier.weight.data[:3] = 30 * torch.eye(3)

    def get_classifier(self):
        return self.classifier


class Colours(nn.Module):
    def __init__(self):
        super().__init__()
        self.network = Whole()

    def forward(self, pixels):
        return nn.functional.avg_pool2d(pixels, 8)


def colours(pooling="avg"):
    return EmbeddingNetwork(
        Colours(),
        pooling,
        preprocess=Preprocess(std=(1.0,) * 3, mean=(0.0,) * 3, short_side=16, stride=8),
        name="colours",
    )


COLOURED = {"red": (250, 30, 20), "green": (20, 240, 30), "blue": (30, 20, 250)}
GROUPS = {"red": [0, 10], "green": [1, 11], "blue": [2, 12], "rest": [20, 21]}


@pytest.fixture(scope="module")
def coloured(tmp_path_factory):
    """Twelve classes of three pictures, each with one coloured corner on grey: four of each colour."""
    folder, files, classes, shown = tmp_path_factory.mktemp("colours"), [], [], []
    for number in range(12):
        name = list(COLOURED)[number // 2 % 3]
        for place in range(3):
            picture = Image.new("RGB", (16 + 8 * (number % 2), 16), (90, 90, 90))
            picture.paste(
                COLOURED[name], (8 * (place % 2), 8 * (place // 2), 8 * (place % 2) + 8, 8 * (place // 2) + 8)
            )
            picture.save(folder / f"{number}_{place}.png")
            files.append(str(folder / f"{number}_{place}.png"))
            classes.append(f"class {number:02}")
            shown.append([float(name == one) for one in COLOURED])
    return AttributeLabels(tuple(files), tuple(classes), tuple(COLOURED), torch.tensor(shown))


@pytest.fixture(scope="module")
def learnt(coloured):
    told = []
    return run(fit_steps(colours(), coloured, GROUPS, short_side=16), told.append), told


def test_what_is_planted_is_found_in_classes_nothing_was_learnt_from(learnt):
    found, told = learnt
    assert (told[0], told[-1]) == ((1, 36), (36, 36))
    assert set(found["presets"]) == set(PRESETS) == set(READ)
    for preset in found["presets"].values():
        tested = preset["tested"]
        assert (preset["learnt_on"]["classes"], tested["classes"]) == (6, 6)
        assert tested["best_is_true"]["mean"] == 1
        assert tested["best_is_true_at_random"]["mean"] == 0.25
    both = found["presets"]["simvis"]["tested"]  # only who looks at both pictures sees that the other lacks it
    assert both["named_of_pairs_that_share"]["mean"] > both["named_of_pairs_that_do_not"]["mean"]
    json.dumps(found, allow_nan=False)


def test_the_reference_is_each_groups_share_of_an_average_class(learnt):
    found, _ = learnt
    assert found["reference"]["rest"] < found["reference"]["red"]
    assert set(found["reference"]) == set(found["priors"]) == set(GROUPS)


def test_a_network_without_its_classifier_is_refused():
    said = "which has no ImageNet classifier on its embedding; wanted a network that kept the classifier it was trained"
    for network in (
        EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8)),
        colours().with_head(nn.Linear(3, 3)),
        colours().with_pooling("max"),
    ):
        with pytest.raises(SimvisError, match=said):
            classifier_of(network)
    assert classifier_of(colours()).out_features == 1000


# Of galleries, which keep unit embeddings


@pytest.fixture(scope="module")
def stored(learnt, coloured):
    network, classifier = colours(), classifier_of(colours())
    model = ClassGroups(network, classifier.weight, classifier.bias, GROUPS, learnt[0]["reference"])
    told = []
    return run(stored_steps(model, coloured, short_side=16), told.append), told, model


def test_the_usual_length_is_a_mean_over_the_classes_that_are_learnt_on(stored, coloured):
    found, told, model = stored
    assert (told[0], told[-1]) == ((1, 108), (108, 108))
    learning, _ = halves(coloured.classes)
    files = [coloured.pictures[number] for number in learning]  # three of each class: the plain mean is that of classes
    for framing in FRAMINGS:
        views = [model.network.view(open_picture(file), 16, framing).pixels[None] for file in files]
        lengths = [float(model.network.raw_from(model.network.activations(one)).norm()) for one in views]
        assert found["lengths"][framing] == pytest.approx(sum(lengths) / len(lengths), abs=1e-3)


def test_what_is_planted_is_kept_by_a_threshold_learnt_on_other_classes(stored):
    found, *_ = stored
    tested = found["tested"]
    assert found["shown_from"] in MARGINS
    for of in ("exact", "stored"):
        assert [tested[f"{figure}_{of}"] for figure in ("precision", "recall", "average_precision")] == [1, 1, 1]
    assert 0 < tested["least_rank_agreement"] <= tested["rank_agreement"] <= 1
    json.dumps(found, allow_nan=False)


# The file that comes with SimVis


def test_the_truth_has_every_picture_and_only_attributes_that_there_are():
    truth = read_labels(FOLDER / "picture_attributes.csv")
    assert [Path(file) for file in truth.pictures] == sorted((FOLDER / "pictures").rglob("*.jpg"))
    assert [Path(file).parent.name for file in truth.pictures] == list(truth.classes)
    assert set(truth.names) <= set(class_groups())
    assert int(((truth.values == 1).sum(0) >= 2).sum()) >= 20


# A word that says more than another: who shows the first shows the second, or nobody can tell whether
SAYS_MORE = [
    *((animal, "fur") for animal in ("ape", "monkey", "cat", "dog", "bear", "big cat", "marsupial")),
    *((bird, "feathers") for bird in ("wading bird", "waterfowl", "bird of prey", "parrot", "poultry or game bird")),
    *(("rodent or rabbit", "fur"), ("fish", "fins"), ("lizard", "scales"), ("butterfly", "insect")),
    *(
        ("palace or church", "building"),
        ("mountain", "landscape"),
        ("solar panel", "grid or mesh"),
        ("bridge", "water"),
    ),
]
AT_ODDS = [
    *(("fur", "feathers"), ("fur", "scales"), ("feathers", "scales"), ("fish", "fur"), ("fish", "building")),
    *(("insect", "fish"), ("cat", "dog"), ("hand tool", "building"), ("under water", "building"), ("ape", "monkey")),
]


def test_the_truth_keeps_its_own_rules():
    """A dome is never there by its class alone: of the Taj Mahal it is, of one cathedral it is not."""
    truth = read_labels(FOLDER / "picture_attributes.csv")
    shown = {name: truth.values[:, place] for place, name in enumerate(truth.names)}
    for one, other in SAYS_MORE:
        assert not bool(((shown[one] == 1) & (shown[other] == 0)).any()), (one, other)
    for one, other in AT_ODDS:
        assert not bool(((shown[one] == 1) & (shown[other] == 1)).any()), (one, other)
    dome = {Path(file).stem: float(value) for file, value in zip(truth.pictures, shown["dome"], strict=True)}
    assert (dome["taj_mahal_1"], dome["reims_cathedral_1"], dome["notre_dame_de_paris_1"]) == (1, 0, 0)


def test_the_truth_is_written_plainly():
    with (FOLDER / "picture_attributes.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert {value for row in rows[1:] for value in row[2:]} == {"1", "0", ""}


def test_the_file_was_learnt_with_the_weights_and_tables_that_there_are():
    known = json.loads(FITTED.read_text())
    assert tuple(known) == fitted_names() == ("efficientnet_lite0", "efficientnet_lite2")
    for name, one in known.items():
        assert one["made_of"] == made_of(name)
        assert set(one["reference"]) == set(one["priors"]) == set(class_groups())
        assert set(one["stored"]["lengths"]) == set(FRAMINGS)
        assert min(one["stored"]["lengths"].values()) > 1
        tested = one["stored"]["tested"]  # nothing is lost by the usual length, measured by what pictures show
        assert tested["average_precision_stored"] > tested["average_precision_exact"] - 0.02
        for preset in one["presets"].values():
            assert sum(preset["weights"]) == pytest.approx(1)
            assert preset["learnt_on"]["pairs_that_share"] > 50
            assert preset["tested"]["best_is_true"]["low"] > preset["tested"]["best_is_true_at_random"]["high"]


def test_what_was_learnt_with_other_tables_is_refused(monkeypatch):
    monkeypatch.setattr(fitted, "made_of", lambda name: {"weights": "", "tables": ""})
    with pytest.raises(
        SimvisError, match=r"learnt with other weights or tables.*python -m model_zoo.attributes.fitting"
    ):
        attributes_of("efficientnet_lite0", colours())


def test_a_network_of_which_nothing_was_learnt_is_refused():
    with pytest.raises(
        SimvisError, match=r"attributes of mobilenet_v2; wanted .*: choose --backbone efficientnet_lite0 or"
    ):
        attributes_of("mobilenet_v2", colours())


def test_the_readme_has_the_files_figures():
    readme = (FOLDER.parent / "README.md").read_text(encoding="utf-8")
    known = [one["presets"][preset] for one in json.loads(FITTED.read_text()).values() for preset in ("simvis", "sane")]
    row = next(line for line in readme.splitlines() if line.startswith("| the best attribute is true of both pictures"))
    best = [preset["tested"]["best_is_true"] for preset in known]
    assert row.split(" | ")[1:] == [
        *(f"{one['mean']:.2f} ({one['low']:.2f} to {one['high']:.2f})" for one in best[:-1]),
        f"{best[-1]['mean']:.2f} ({best[-1]['low']:.2f} to {best[-1]['high']:.2f}) |",
    ]
    weights = next(line for line in readme.splitlines() if line.startswith("| weights learnt"))
    assert [cell.strip(" |") for cell in weights.split(" | ")[1:]] == [
        ", ".join(f"{weight:.2f}" for weight in preset["weights"]) for preset in known
    ]


def test_the_readme_has_the_figures_of_stored_embeddings():
    readme = " ".join((FOLDER.parent / "README.md").read_text(encoding="utf-8").split())
    for name, one in json.loads(FITTED.read_text()).items():
        tested = one["stored"]["tested"]
        figures = [
            f"{one['stored']['lengths']['whole']:.1f}",
            f"{one['stored']['shown_from']:.2f}",
            f"{tested['rank_agreement']:.2f} (least {tested['least_rank_agreement']:.2f})",
            *(
                f"{tested[f'{figure}_exact']:.2f} / {tested[f'{figure}_stored']:.2f}"
                for figure in ("average_precision", "precision", "recall")
            ),
        ]
        assert f"| {name} | {' | '.join(figures)} |" in readme


@pytest.mark.slow  # the forward passes of 257 photographs
@pytest.mark.network
def test_the_file_is_what_the_command_makes():
    truth = read_labels(FOLDER / "picture_attributes.csv")
    made = run(fit_steps(model_zoo.load("efficientnet_lite0"), truth, class_groups()))
    known = json.loads(FITTED.read_text())["efficientnet_lite0"]
    assert made["reference"] == pytest.approx(known["reference"], rel=1e-3)
    shares = [{name: share for name, (share, _) in one["priors"].items()} for one in (made, known)]
    assert shares[0] == pytest.approx(shares[1], abs=0.02)
    for preset, learnt in known["presets"].items():
        again = made["presets"][preset]
        assert again["threshold"] == pytest.approx(learnt["threshold"], abs=0.01)
        for figure, now in again["tested"].items():
            assert now == pytest.approx(learnt["tested"][figure], abs=0.03), figure


@pytest.mark.slow  # the forward passes of 257 photographs, in each framing
@pytest.mark.network
def test_what_the_file_says_of_stored_embeddings_is_what_the_command_makes():
    model = attributes_of("efficientnet_lite0", model_zoo.load("efficientnet_lite0")).model
    made = run(stored_steps(model, read_labels(FOLDER / "picture_attributes.csv"), 224))
    known = json.loads(FITTED.read_text())["efficientnet_lite0"]["stored"]
    assert made["lengths"] == pytest.approx(known["lengths"], rel=1e-3)
    assert made["tested"] == pytest.approx(known["tested"], abs=0.03)


@pytest.mark.network
def test_the_bundled_networks_classifier_names_what_is_in_a_picture():
    """The weights come in order with the classifier: the groups of what is in a picture are the surest."""
    from simvis_core import open_picture

    net = model_zoo.load("efficientnet_lite0")
    known = attributes_of("efficientnet_lite0", net)
    assert classifiers.classifier_of(net) is net.backbone.network.classifier
    for file, best in {"cat/cat_2": "cat", "taj_mahal/taj_mahal_3": "dome", "fish/fish_18": "fish"}.items():
        view = net.view(open_picture(FOLDER / "pictures" / f"{file}.jpg"))
        sure = known.model.confidences(net.activations(view.pixels[None]).one())
        first = [known.model.names[number] for number in sure.argsort(descending=True)[:3]]
        assert best in first, (file, first)
