"""What import-linter cannot see: `app.py` stands on top, and files stay one room each."""

import ast
from pathlib import Path

import pytest

HOUSE = Path(__file__).parent.parent
ROOMS = ("ui", "model_zoo", "simvis_core")
FILES = sorted(path for room in ROOMS for path in (HOUSE / room).glob("*.py"))


def imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            yield node.module


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_nobody_imports_the_app(path):
    assert "app" not in set(imported(path))


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_file_opens_with_one_sentence(path):
    sentence = ast.get_docstring(ast.parse(path.read_text())).split("\n\n")[0]
    assert sentence.count(".") <= sentence.count(".py") + 1
    assert sentence.endswith(".")


@pytest.mark.parametrize("name", ["utils", "common", "helpers", "manager", "base"])
def test_there_is_no_such_room(name):
    assert not [path for path in FILES if name in path.stem]
