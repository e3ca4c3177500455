"""Every message meant for a user: what was got, what is wanted, what to do.

The messages of broken pictures are in test_pictures.py, of broken networks in test_network.py.
"""

import pytest
import torch
from PIL import Image
from torch import nn

from simvis_core import POOLINGS, EmbeddingNetwork, Pooling, Preprocess, SimvisError, explain_pair, weights_at
from simvis_core.networks.poolings import INNER
from simvis_core.pairs.export import Export
from tests.simvis_core import cases
from tests.simvis_core.cases import make_pair

PICTURE = Image.new("RGB", (64, 48))
PAIR = make_pair("avg", "fc")
ZERO = cases.explain(cases.make_network("avg"), torch.eye(6)[:, :1, None], torch.eye(6)[:, 1:2, None])
FLAT = cases.make_network("flatten")


def test_a_message_is_one_sentence_of_three_parts():
    error = SimvisError("a cat", "a dog", "bring the other one")
    assert str(error) == "Got a cat; wanted a dog: bring the other one."
    assert (error.got, error.wanted, error.cure) == ("a cat", "a dog", "bring the other one")


def test_a_simvis_error_is_a_value_error():
    assert issubclass(SimvisError, ValueError)


CASES = {
    "pooling": (
        lambda: Pooling("mean"),
        "Got pooling 'mean'; wanted one of avg, max, gem, avgmax, catavgmax, flatten, token, own: choose one of these "
        "names.",
    ),
    "exponent": (
        lambda: Pooling("gem", 0.5),
        "Got the GeM exponent 0.5; wanted a number from 1 to 1000: choose one in that range.",
    ),
    "parsed pooling": (lambda: Pooling.parse("mean:3"), "Got pooling 'mean'; wanted one of avg"),
    "parsed exponent": (
        lambda: Pooling.parse("gem:much"),
        "Got pooling 'gem:much'; wanted a number after the colon: write it like gem:4.5.",
    ),
    "parsed range": (lambda: Pooling.parse("gem:1e9"), "Got the GeM exponent 1000000000.0; wanted a number from 1"),
    "room": (
        lambda: Pooling("flatten").parts(torch.zeros(100, 60, 60)),
        "Got a 60 x 60 grid whose split has 360000 features, 4944 MiB; wanted at most 256 MiB: choose a smaller view",
    ),
    "short side": (
        lambda: Preprocess().view(PICTURE, 100),
        "Got a short side of 100 pixels; wanted a multiple of 32 from 32 to 1280: choose 96.",
    ),
    "zero side": (lambda: Preprocess().view(PICTURE, 0), "Got a short side of 0 pixels; wanted a multiple of 32"),
    "negative side": (lambda: Preprocess().view(PICTURE, -32), "Got a short side of -32 pixels; wanted .*: choose 32."),
    "large side": (
        lambda: Preprocess().view(PICTURE, 1312),
        "Got a short side of 1312 pixels; wanted .*: choose 1280.",
    ),
    "point": (
        lambda: weights_at(64.0, -3.25, (48, 64), (2, 3)),
        "Got the point (64, -3.25); wanted 0 <= x <= 63 and 0 <= y <= 47: choose a point inside.",
    ),
    "point nowhere": (lambda: weights_at(float("nan"), 1.0, (48, 64), (2, 3)), "Got the point (nan, 1); wanted 0 <= x"),
    "pair point": (
        lambda: PAIR.point_map("b", 14.0, 0.0),
        "Got the point (14, 0); wanted 0 <= x <= 13 and 0 <= y <= 5",
    ),
    "mask": (
        lambda: PAIR.region_map("a", torch.ones(6, 14, dtype=torch.bool)),
        "Got a mask of (6, 14); wanted the view's size (8, 10): draw it over the view.",
    ),
    "no share": (
        ZERO.contribution_curve,
        "Got a score of 0; wanted a score that parts can be a share of: read `contributions` instead.",
    ),
    "feature": (
        lambda: PAIR.feature_map("a", 7),
        "Got feature 7; wanted 0 to 6: choose one in that range.",
    ),
    "feature below": (lambda: PAIR.feature_map("a", -1), "Got feature -1; wanted 0 to 6"),
    "grids": (
        lambda: cases.explain(FLAT, cases.features((4, 5), 1), cases.features((3, 7), 2)),
        "Got grids of (4, 5) and (3, 7) cells under 'flatten', which compares position by position; wanted two grids "
        "alike: choose the square view, or another pooling.",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_the_message(case):
    act, message = CASES[case]
    with pytest.raises(SimvisError) as raised:
        act()
    start, _, end = message.partition(".*")
    assert str(raised.value).startswith(start)
    assert str(raised.value).endswith(end)


def test_the_names_offered_are_the_tables():
    with pytest.raises(SimvisError) as raised:
        Pooling("mean")
    assert raised.value.wanted == f"one of {', '.join((*POOLINGS, *INNER))}"


def test_words_outside_their_choice_are_refused_without_the_shape_checker(unchecked):
    pre = Preprocess(short_side=8, stride=8)
    pictures = [Image.new("RGB", (8, 8), colour) for colour in ("red", "tan")]
    pair = explain_pair(EmbeddingNetwork(nn.AvgPool2d(8), preprocess=pre), *pictures)
    framed = "Got framing 'diagonal'; wanted one of whole, square, crop: choose one of these."
    for view in (pre.view, Preprocess(fixed_size=(8, 8)).view):
        assert message(lambda view=view: view(pictures[0], framing="diagonal")) == framed
    acts = {
        pair.side: ("c",),
        pair.point_map: ("c", 1, 1),
        pair.bias_part: ("left",),
        pair.top_map: ("c", 3),
        pair.feature_map: ("c", 0),
        Export(pair, point=("c", 1, 1)).files: (),
    }
    for act, values in acts.items():
        side = values[0] if values else "c"
        sentence = f"Got side '{side}'; wanted 'a' or 'b': name one of the two pictures."
        assert message(lambda act=act, values=values: act(*values)) == sentence


def message(act):
    """What a refusal says."""
    with pytest.raises(SimvisError) as raised:
        act()
    return str(raised.value)
