"""The measures that the page shows beside those of Quantus (Hedstroem 2023), under the field's names.

Equal where both define the same. What differs is stated by a test of the difference: Quantus' pixel flipping leaves
out the score of the untouched picture; its mass accuracy takes the map as it is, ours its positive part; its rank
accuracy r is told here as an overlap, r / (2 - r); its sparseness (Gini) is another measure than the share of cells
that carries half, and orders maps of one family alike.
"""

import warnings

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from simvis_core import EmbeddingNetwork, Preprocess, half_share
from simvis_core.explainers.question import Question
from simvis_core.trust.faithfulness import removal_curve
from simvis_core.trust.localisation import localisation
from simvis_core.trust.sanity import rank_correlation

pytestmark = pytest.mark.slow
H, W, STEP = 16, 24, 8


@pytest.fixture(scope="module")
def quantus():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of its own dependencies as it is imported
        return pytest.importorskip("quantus")


def usual(quantus, name, **options):
    """A metric of theirs that takes maps as they are."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        quiet = {"disable_warnings": True, "display_progressbar": False, "abs": False, "normalise": False}
        return getattr(quantus, name)(**quiet, **options)


class Scores(nn.Module):
    """A question as the classifier that Quantus asks: one class, whose logit is the score."""

    def __init__(self, question):
        super().__init__()
        self.question = question

    def forward(self, pixels):
        return self.question.scores(pixels)[:, None].float()


@pytest.fixture
def question():
    torch.manual_seed(0)
    trunk = nn.Sequential(nn.Conv2d(3, 6, 4, 4), nn.ReLU(), nn.Conv2d(6, 5, 2, 2)).eval()
    grey = Preprocess((0.5,) * 3, (0.25,) * 3, short_side=H, stride=8)  # whose grey is 0 in every channel
    net = EmbeddingNetwork(trunk, preprocess=grey)
    noise = np.random.default_rng(3).integers(0, 256, (H, W, 3), dtype=np.uint8)
    return Question(net, net.view(Image.fromarray(noise)), nn.functional.normalize(torch.randn(5), dim=0))


@pytest.fixture
def maps():
    """Signed maps without ties, and a region that none of them is made for."""
    chance = np.random.default_rng(4)
    mask = np.zeros((H, W), dtype=bool)
    mask[3:11, 5:19] = True
    return chance.normal(size=(6, H, W)), mask


def test_pixel_flipping_is_the_deletion_curve_without_the_untouched_picture(quantus, question, maps):
    signed = maps[0][0]
    pixels = question.view.pixels[None].numpy()
    metric = usual(quantus, "PixelFlipping", features_in_step=3 * STEP, perturb_baseline=0.0)
    theirs = metric(
        model=Scores(question).eval(),
        x_batch=pixels,
        y_batch=np.array([0]),
        a_batch=signed[None, None],
        softmax=False,
        device="cpu",
    )[0]
    ours = removal_curve(question, torch.from_numpy(signed), "deletion", "grey", steps=H * W // STEP + 1)
    assert len(theirs) == len(ours.scores) - 1
    assert ours.scores[1:].numpy() == pytest.approx(np.array(theirs), abs=1e-6)
    assert float(ours.scores[0]) == pytest.approx(question.score, abs=1e-6)
    assert ours.scores.std() > 0.05  # the curve goes somewhere


@pytest.mark.parametrize("number", range(6))
def test_the_pointing_game(quantus, maps, number):
    signed, mask = maps[0][number].copy(), maps[1]
    row, column = ((6, 9), (0, 0))[number % 2]  # in the region, outside
    signed[row, column] = 9.0
    metric = usual(quantus, "PointingGame")
    theirs = metric(**asked(signed, mask))[0]
    assert localisation(torch.from_numpy(signed), torch.from_numpy(mask)).pointing == float(theirs) == 1 - number % 2


@pytest.mark.parametrize("number", range(6))
def test_relevance_mass_accuracy_of_the_positive_part(quantus, maps, number):
    signed, mask = maps[0][number], maps[1]
    ours = localisation(torch.from_numpy(signed), torch.from_numpy(mask)).inside
    metric = usual(quantus, "RelevanceMassAccuracy")
    assert ours == pytest.approx(float(metric(**asked(signed.clip(min=0), mask))[0]), abs=1e-6)
    assert ours != pytest.approx(float(metric(**asked(signed, mask))[0]), abs=1e-3)  # theirs nets what speaks against


@pytest.mark.parametrize("number", range(6))
def test_relevance_rank_accuracy_is_the_overlap_told_otherwise(quantus, maps, number):
    signed, mask = maps[0][number], maps[1]
    found = localisation(torch.from_numpy(signed), torch.from_numpy(mask))
    rank = float(usual(quantus, "RelevanceRankAccuracy")(**asked(signed, mask))[0])
    assert 0 < rank < 1
    assert found.iou == pytest.approx(rank / (2 - rank), abs=1e-6)


def test_rank_correlation_is_the_similarity_of_their_randomisation_test(quantus, maps):
    """Of MPRT (Adebayo 2018): which layers are made random at a time is another choice, how maps compare is one."""
    from quantus.functions.similarity_func import correlation_spearman

    for one, other in zip(maps[0][:-1], maps[0][1:], strict=True):
        tied = np.round(other, 1)  # ties have their mean rank in both
        for second in (other, tied, one * 3 + 1):
            ours = rank_correlation(torch.from_numpy(one), torch.from_numpy(second))
            assert ours == pytest.approx(float(correlation_spearman(one.flatten(), second.flatten())), abs=1e-6)


def test_concentration_orders_maps_as_their_sparseness_does(quantus):
    """A share of cells is no Gini index; of maps that grow ever more pointed both say so."""
    base = np.random.default_rng(5).uniform(0.1, 1, (H, W))
    family = [base**power for power in (0.5, 1, 2, 4, 8)]
    metric = usual(quantus, "Sparseness")
    theirs = [float(metric(**asked(map, np.ones((H, W), dtype=bool)))[0]) for map in family]
    ours = [half_share(torch.from_numpy(map), float(map.sum())) for map in family]
    assert theirs == sorted(theirs)
    assert ours == sorted(ours, reverse=True)


def asked(map, mask):
    """One map over one picture, as Quantus takes it."""
    pixels = np.zeros((1, 3, H, W), dtype=np.float32)
    return {
        "model": None,
        "x_batch": pixels,
        "y_batch": np.array([0]),
        "a_batch": map[None, None].astype(np.float64),
        "s_batch": mask[None, None],
    }
