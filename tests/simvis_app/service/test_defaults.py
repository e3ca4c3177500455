"""Defaults stand once: what the app offers unasked is what the core and the zoo mean by it."""

import ast
import re
from pathlib import Path
from typing import get_args

import pytest

import model_zoo
from model_zoo.architectures.library import FORMS
from simvis_app.commands import COMMANDS, parsed
from simvis_app.service import defaults
from simvis_app.service.sessions.budget import Budget
from simvis_app.service.sessions.session import Settings
from simvis_core import POOLINGS, Pooling, Preprocess
from simvis_core.networks.poolings import INNER
from simvis_core.pictures.views import Framing
from simvis_core.trust.faithfulness import CURVE_STEPS

HOUSE = Path(__file__).parents[3]


def test_they_are_the_cores_and_the_zoos_own():
    assert model_zoo.names()[0] == defaults.BACKBONE
    assert model_zoo.card(defaults.BACKBONE).pooling == defaults.POOLING
    assert Preprocess().short_side == defaults.SHORT_SIDE
    assert get_args(Framing)[0] == defaults.FRAMING
    assert CURVE_STEPS == defaults.CURVE_STEPS
    assert Settings() == Settings(defaults.BACKBONE, defaults.POOLING, defaults.SHORT_SIDE, defaults.FRAMING)
    assert Budget().most == defaults.MOST_PASSES


def test_what_is_said_of_names_names_all_of_them():
    said = re.split(", | or ", defaults.POOLINGS_SAID)
    assert {Pooling.parse(name).name for name in said} == {*POOLINGS, *INNER}
    assert tuple(re.split(", | or ", defaults.FRAMINGS_SAID)) == get_args(Framing)
    assert defaults.ARCHITECTURES_SAID == FORMS


@pytest.mark.parametrize(
    ("arguments", "name", "value"),
    [
        (("search", "--gallery", "samples", "picture.png"), "k", defaults.HITS),
        (("evaluate", "rooms"), "pairs", defaults.PAIRS),
        (("evaluate", "rooms"), "steps", defaults.CURVE_STEPS),
        (("evaluate", "rooms"), "framing", defaults.FRAMING),
        ((), "most_passes", defaults.MOST_PASSES),
    ],
)
def test_a_command_begins_with_them(arguments, name, value):
    assert getattr(parsed(arguments), name) == value


@pytest.mark.parametrize("name", COMMANDS)
def test_a_helps_default_is_the_default(name, capsys):
    with pytest.raises(SystemExit):
        parsed((name, "--help"))
    told = " ".join(capsys.readouterr().out.split())
    if "--backbone" in told:
        assert f"(default: {defaults.BACKBONE})" in told
    if "--view-size" in told:
        begins = "the trained one" if name == "series" else f"about {defaults.SHORT_SIDE}"
        assert f"(default: {begins})" in told


def test_the_default_network_is_named_in_one_place_of_the_app():
    """Its other mentions are the card itself."""
    told = [
        path.relative_to(HOUSE).as_posix()
        for path in (HOUSE / "simvis_app").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and node.value == defaults.BACKBONE
    ]
    assert told == ["simvis_app/service/defaults.py"]
