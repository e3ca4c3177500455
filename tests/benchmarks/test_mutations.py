"""The list of mistakes fits the code as it is, and the command tells a caught one from one that survives."""

import subprocess

import pytest

from benchmarks.mutations.listed import Mutation, files_by_test, lines_of, mutations, named, place, planted
from benchmarks.mutations.planting import TREE, main

LISTED, LINES, TESTS = mutations(), lines_of(TREE), files_by_test(TREE)


def test_the_list_has_no_name_and_no_mistake_twice():
    assert len(LISTED) >= 40
    assert len({one.name for one in LISTED}) == len({(one.old, one.new) for one in LISTED}) == len(LISTED)


@pytest.mark.parametrize("mutation", LISTED, ids=lambda one: one.name)
def test_a_mistake_stands_once_and_changes_a_file_that_still_compiles(mutation):
    path, number = place(mutation, LINES)
    text = (TREE / path).read_text()
    changed = planted(text, number, mutation)
    differing = [new for old, new in zip(text.splitlines(), changed.splitlines(), strict=True) if old != new]
    assert [line.strip() for line in differing] == [mutation.new]
    compile(changed, str(path), "exec")
    assert named(mutation, TESTS)


def planted_in(tree, known, *arguments):
    return main([*arguments], tree, known, ahead=())


HALF, DOUBLED = "return x / 2", "return x * 2"
HALVED = Mutation("not halved", HALF, "return x", ("test_half",))


@pytest.mark.parametrize(
    ("old", "test", "words"),
    [
        ("return x / 3", "test_half", "stands once; it stands nowhere"),
        (DOUBLED, "test_half", r"stands simvis_core/deep/two\.py:2, model_zoo/one\.py:6"),
        (HALF, "test_third", "needs test_third in one file; files with it: none"),
        (HALF, "test_both", r"files with it: tests/a/test_a\.py, tests/test_b\.py"),
    ],
)
def test_a_line_or_a_test_that_is_not_there_once_is_an_error(tree, old, test, words):
    with pytest.raises(LookupError, match=words):
        planted_in(tree, [Mutation("wrong", old, "return 0", (test,))])


@pytest.fixture
def tree(tmp_path):
    """A house of two functions under git, with tests for one of them."""
    files = {
        "model_zoo/one.py": "def half(x):\n    return x / 2\n\n\ndef twice(x):\n    return x * 2\n",
        "simvis_core/deep/two.py": "def twice(x):\n    return x * 2\n    return 3 * x\n",
        "tests/a/test_a.py": "from model_zoo.one import half, twice\n\n\n"
        "def test_half():\n    assert half(4) == 2\n\n\ndef test_twice():\n    assert twice(0) == 0\n\n\n"
        "def test_both():\n    assert half(twice(2)) == 2\n",
        "tests/test_b.py": "def test_both():\n    pass\n",
        "pyproject.toml": "[tool.pytest.ini_options]\naddopts = '--no-such-option'\n",
        "pictures/white.png": "a picture",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    for command in (["init", "-q"], ["add", "."]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    (tmp_path / "tests/a/test_untracked.py").write_text("import nothing_of_the_kind\n")
    return tmp_path


@pytest.mark.slow
def test_a_caught_mistake_a_survivor_and_one_that_does_not_run(tree, capsys):
    """Each is planted alone: the second would fail for the first, were that still there. The tree stays as it was."""
    known = [
        HALVED,
        Mutation("twice as much", HALF, "return x / 2 * 1.0", ("test_half", "test_twice")),
        Mutation("no code", HALF, "return x /", ("test_half",)),
    ]
    assert planted_in(tree, known, "--workers", "1") == 1
    told = capsys.readouterr().out
    assert "| not halved | model_zoo/one.py | caught | test_half |" in told
    assert "| twice as much | model_zoo/one.py | SURVIVED |  |" in told
    assert "| no code | model_zoo/one.py | DOES NOT RUN |  |" in told
    assert "SyntaxError" in told
    assert "1 of 3 caught" in told
    assert HALF in (tree / "model_zoo/one.py").read_text()
    assert planted_in(tree, known, "not halved") == 0
    assert "1 of 1 caught" in capsys.readouterr().out


def test_tests_that_fail_without_a_mistake_and_names_that_there_are_not(tree, capsys):
    (tree / "model_zoo/one.py").write_text("def half(x):\n    return x / 2 + 1\n    return x / 2\n")
    with pytest.raises(RuntimeError, match=r"(?s)fail without any mutation.*ImportError"):
        planted_in(tree, [HALVED])
    with pytest.raises(SystemExit):
        planted_in(tree, [HALVED], "doubled")
    assert "no such mutation: doubled" in capsys.readouterr().err
