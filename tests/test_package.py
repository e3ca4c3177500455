"""The package: what it asks for, and that the pinned sets, which are tested, lie inside it."""

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

HOUSE = Path(__file__).parents[1]
PROJECT = tomllib.loads((HOUSE / "pyproject.toml").read_text())["project"]
SETS = {
    "requirements.txt": PROJECT["dependencies"],
    "requirements-engines.txt": PROJECT["optional-dependencies"]["engines"],
    "requirements-libraries.txt": PROJECT["optional-dependencies"]["libraries"],
    "requirements-milvus.txt": PROJECT["optional-dependencies"]["milvus"],
    "requirements-train.txt": PROJECT["optional-dependencies"]["train"],
}


def pinned(file):
    """The versions of a requirements file, by name."""
    lines = (line.split("#")[0].strip() for line in (HOUSE / file).read_text().splitlines())
    pins = [Requirement(line) for line in lines if line and not line.startswith("-r ")]
    assert all(str(pin.specifier).startswith("==") for pin in pins)
    return {pin.name: str(pin.specifier).removeprefix("==") for pin in pins}


@pytest.mark.parametrize("file", SETS)
def test_a_pinned_set_is_the_packages_own_and_lies_inside_its_ranges(file):
    ranges = {one.name: one.specifier for one in map(Requirement, SETS[file])}
    pins = pinned(file)
    assert sorted(pins) == sorted(ranges)
    assert [name for name, pin in pins.items() if pin not in ranges[name]] == []


@pytest.mark.parametrize("file", SETS)
def test_a_range_begins_with_what_is_tested_and_ends_somewhere(file):
    pins = pinned(file)
    for one in map(Requirement, SETS[file]):
        signs = {part.operator: part.version for part in one.specifier}
        assert set(signs) in ({">=", "<"}, {"=="}), one
        assert signs.get(">=", signs.get("==")) == pins[one.name]  # nothing older was tried


def test_the_version_is_the_changelogs():
    first = next(line for line in (HOUSE / "CHANGELOG.md").read_text().splitlines() if line.startswith("## "))
    assert first == f"## {PROJECT['version']}"


def test_the_command_is_there():
    module, _, name = PROJECT["scripts"]["simvis"].partition(":")
    assert callable(getattr(__import__(module, fromlist=[name]), name))
