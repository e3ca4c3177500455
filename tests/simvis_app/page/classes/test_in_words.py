"""A class in words: the mean confidence of its members' attributes, as the attribute model gives it."""

import re

import pytest

from model_zoo.attributes import fitted
from simvis_app.page.classes import in_words
from simvis_app.service.attributes.asking import AttributeAnswers
from simvis_core import SimvisError
from tests.simvis_app.attribute_cases import NETWORK, known

TOLD = re.compile(r"<b>([\w ]+)</b> \(([+-]\d+\.\d), in (\d) of (\d)\)")


@pytest.fixture
def answers(monkeypatch, library):
    monkeypatch.setattr(fitted, "attributes_of", lambda name, network: known())
    monkeypatch.setattr(fitted, "fitted_names", lambda: (NETWORK, "mobilenet_v2"))  # the gallery's network
    return AttributeAnswers(library.session)


@pytest.fixture
def say(answers, library, driven, space):
    tab = driven.class_words(library, answers)
    return lambda label, name=space.name: tab.say(gallery="animals", space=name, label=label, order="")["in_words"]


def test_the_surest_attributes_are_told_with_their_mean(say, answers, library, space):
    files = [row.file for row in library.members(space, "cat").rows]
    settings = answers.settings("mobilenet_v2", "whole")
    seen = [library.session.explain(file, file, settings).activations_a for file in files]
    sure = [known().model.confidences(one).tolist() for one in seen]
    means = {name: sum(row[at] for row in sure) / 3 for at, name in enumerate(known().model.names)}
    found = answers.typical(files, "mobilenet_v2", "whole")
    assert {one.name: one.confidence for one in found} == pytest.approx(means)
    assert [one.confidence for one in found] == sorted(means.values(), reverse=True)
    for at, name in enumerate(known().model.names):
        above = next(one.above for one in found if one.name == name)
        assert above == sum(row[at] > 0 for row in sure)
    told = TOLD.findall(say("cat"))
    positive = [one for one in found if one.confidence > 0]
    assert told == [(one.name, f"{one.confidence:+.1f}", str(one.above), "3") for one in positive]
    assert positive


def test_of_a_large_class_the_most_typical_are_opened_and_it_is_said(say, monkeypatch):
    monkeypatch.setattr(in_words, "MOST", 2)
    assert "the 2 most typical of 3 pictures" in say("dog")


def test_what_cannot_be_told_is_a_sentence(say, answers, black, monkeypatch):
    assert "resnet18 has no attributes" in say("cat", black.name)
    assert "notice" in say("gone")
    with pytest.raises(SimvisError, match="no pictures"):
        answers.typical([], "mobilenet_v2", "whole")
    monkeypatch.setattr(AttributeAnswers, "typical", lambda *_: [])
    assert "No attribute stands out in these 3 pictures" in say("cat")
