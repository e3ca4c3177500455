"""How high a score is for its network: the committed table, what is measured in the background, and the sentence."""

import time
from dataclasses import replace

import pytest

import model_zoo
from simvis_app.api import pairs
from simvis_app.page.compare.handlers import Handlers
from simvis_app.page.compare.inputs import CompareAsked
from simvis_app.page.pair.asked import PairAsked
from simvis_app.service import references, words
from simvis_app.service.links import LinkedPictures
from simvis_app.service.references import References
from simvis_app.service.sessions.session import Session, Settings
from simvis_core import SimvisError
from simvis_core.pairs.standing import QUANTILES, Reference, reference_steps
from simvis_core.steps import run

LADDER = tuple(at / (QUANTILES - 1) for at in range(QUANTILES))
APART = Reference(tuple(0.5 + value / 2 for value in LADDER), LADDER, 0.9, 20)


@pytest.fixture
def few(monkeypatch):
    """A few reference pictures of three classes."""
    kept = [file for file in references.pictures() if file.parent.name in ("cat", "fish", "taj_mahal")]
    few = {file: file.parent.name for file in kept}
    monkeypatch.setattr(references, "pictures", lambda: few)
    return few


def known(reference, settings, seconds=30):
    end = time.monotonic() + seconds
    while reference.ask(settings) and time.monotonic() < end:
        time.sleep(0.02)
    return reference.held(settings)


def test_the_table_holds_every_bundled_network_as_the_page_opens_it():
    """Made with the weights that the cards name; another view, pooling or network is not in it."""
    told = References(Session())
    for name in model_zoo.bundled():
        card = model_zoo.card(name)
        settings = Settings(name, card.pooling, card.preprocess.whole_cells(Settings.short_side))
        reference = references._written(settings)
        assert reference.pictures == len(references.pictures())
        assert len(reference.same) == len(reference.different) == QUANTILES
        assert 0.5 < reference.separation <= 1
        assert told.held(settings) == reference
        assert references._written(replace(settings, framing="crop")) is None
    assert references._written(Settings("resnet18", "avg")) is None


def test_reference_pictures_are_pairs_of_classes_and_lone_ones():
    files = references.pictures()
    assert all(file.is_file() and label == file.parent.name for file, label in files.items())
    sizes = [list(files.values()).count(label) for label in set(files.values())]
    assert max(sizes) == references.OF_A_CLASS
    assert sizes.count(1) == references.ALONE


def test_what_the_table_lacks_is_measured_in_the_background(session, small, few):
    told, settings = References(session), small()
    assert told.held(settings) is None
    found = known(told, settings)
    direct = run(reference_steps(session.network("x"), few, 16, "whole", ["avg"]))["avg"]
    assert found == direct
    assert found.pictures == len(few) >= 5
    assert not told.ask(settings)


def test_a_reference_that_cannot_be_measured_is_asked_for_once(session, small, few):
    told, settings = References(session), small(pooling="flatten")
    assert known(told, settings) is None  # pictures of several shapes
    assert not told.ask(settings)
    with pytest.raises(SimvisError, match=r"."):
        told.measured(settings)


def test_the_page_says_it_is_being_measured_then_says_it(session, files, tmp_path, few):
    handlers = Handlers(session, LinkedPictures(tmp_path / "links"), References(session))
    asked = CompareAsked(PairAsked(*map(str, files), "tiny", "avg", 3.0, 16))
    first = handlers.compare(asked)
    if first.to_stand:  # it may be there already
        assert first.panels.standing == words.MEASURING
    last = handlers.stand()
    assert 'class="standing"' in last
    assert "reference pictures" in last
    assert words.MEASURING not in last
    again = handlers.compare(asked)
    assert words.score_line(again.panels.pair, again.panels.standing) == last
    assert again.to_stand == ""
    settings = Settings("tiny", "avg", 16)
    told = pairs.pair_json(session.explain(*files, settings), handlers.references.held(settings))
    assert told["standing"]["sentence"] in last.replace("&#x27;", "'")


@pytest.mark.parametrize(
    ("score", "reference", "said"),
    [
        (0.995, APART, "Far more alike than unrelated pictures for this network: higher than over 99 %"),
        (0.95, APART, "More alike than most unrelated pictures for this network: higher than 95 % of the pairs of unr"),
        (0.7, APART, "Only a little more alike"),
        (0.3, APART, "No more alike than unrelated pictures for this network: higher than 30 %"),
        (0.4, APART, "and than 0 % of the pairs of one class."),
        (1.5, APART, "higher than all of the pairs of unrelated reference pictures, and than all of the pairs of one"),
        (0.995, Reference((0.995,) * QUANTILES, (0.995,) * QUANTILES, 0.5, 9), "Mind: this network hardly tells"),
    ],
)
def test_a_score_has_plain_words(score, reference, said):
    assert said in words.stands(score, reference)
