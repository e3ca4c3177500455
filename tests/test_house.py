"""What import-linter cannot see: `app.py` stands on top, and files stay one room each."""

import ast
import re
import subprocess
import sys
from collections import Counter
from importlib import import_module
from pathlib import Path

import pytest

import simvis_core

HOUSE = Path(__file__).parent.parent
ROOMS = ("simvis_app", "model_zoo", "simvis_core")
FILES = sorted(path for room in ROOMS for path in (HOUSE / room).rglob("*.py"))


def imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            yield node.module


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(HOUSE)))
def test_nobody_imports_the_app(path):
    assert "app" not in set(imported(path))


# Packages that need not be installed, or that take seconds to import.
LATE = {"transformers", "open_clip"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(HOUSE)))
def test_nobody_imports_an_optional_library_with_the_file(path):
    top = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.Import | ast.ImportFrom)]
    words = {
        name
        for node in top
        for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [one.name for one in node.names])
    }
    assert not {word.partition(".")[0] for word in words} & LATE


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(HOUSE)))
def test_a_file_opens_with_one_sentence(path):
    sentence = ast.get_docstring(ast.parse(path.read_text())).split("\n\n")[0]
    assert sentence.count(".") <= sentence.count(".py") + 1
    assert sentence.endswith(".")


def documented(tree):
    """Public functions and classes of a module, and public methods of these classes."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from documented(node)


# What a docstring says that can be understood beside its neighbour only.
LEANS = re.compile(r"the same|the other one|likewise|as above|see `[^`]*`\.?$", re.IGNORECASE)


OFF_THE_PAGE = [path for path in FILES if HOUSE / "simvis_app" / "page" not in path.parents]


@pytest.mark.parametrize("path", OFF_THE_PAGE, ids=lambda path: str(path.relative_to(HOUSE)))
def test_a_public_docstring_stands_alone(path):
    leaning = [
        node.name for node in documented(ast.parse(path.read_text())) if LEANS.match(ast.get_docstring(node) or "")
    ]
    assert leaning == []


TABLE = "the functions that a table of modules calls: one of each in every module of it"
# Public names that several modules off the page define, each with the reason; a new name finds another word.
ALIKE = {
    **dict.fromkeys(("add", "run"), TABLE),
    **dict.fromkeys(("anatomy", "create", "described", "knows", "names", "variants"), TABLE),
    **dict.fromkeys(("number", "of_score", "percent", "three"), "the core's, handed on by the words of the service"),
    **dict.fromkeys(
        ("open_checkpoint", "open_series", "untrained"), "the zoo's front door calls the module's by its name"
    ),
    **dict.fromkeys(("AUTO", "COUNTS", "MEBIBYTE", "SECONDS"), "one value, in modules that do not import each other"),
    "CURVE_STEPS": "the service knows the core's without importing PyTorch; tests/simvis_app/service holds them equal",
    "Asked": "what a gallery is asked, and how a map is measured: the page's own question classes are named so too",
    "KINDS": "kinds of head, and kinds of marks",
    "POOLING": "the step in front of the pooling, and the page's default",
    "VERDICTS": "the verdicts, and the words for them",
    "VISITORS": "how many are remembered, for two things",
}


def defined(tree):
    """Public names of a module: functions, classes and constants, not what it imports."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        for target in getattr(node, "targets", [getattr(node, "target", None)]) if hasattr(node, "value") else ():
            yield from (one.id for one in ast.walk(target) if isinstance(one, ast.Name)) if target else ()


def test_no_two_public_names_off_the_page_are_alike_without_a_reason():
    off = [path for path in OFF_THE_PAGE if HOUSE / "simvis_app" / "api" not in path.parents]
    count = Counter(name for path in off for name in set(defined(ast.parse(path.read_text()))) if name[0] != "_")
    assert {name for name, times in count.items() if times > 1} == set(ALIKE)


@pytest.mark.parametrize("name", ["utils", "common", "helpers", "manager", "managers", "base"])
def test_there_is_no_such_module(name):
    assert not [path for path in FILES if name in path.stem.split("_")]


OLD_NAMES = {
    "edge_index": ("stores.edge", "EdgeIndex"),
    "faithfulness": ("trust.faithfulness", "removal_curve"),
    "gallery": ("galleries.gallery", "open_gallery"),
    "indexing": ("galleries.indexing", "index_pictures"),
    "listing": ("pictures.listing", "listed"),
    "question": ("explainers.question", "Question"),
    "regions": ("galleries.regions", "box_on"),
    "search": ("galleries.search", "find"),
}


def test_no_folder_has_more_than_ten_modules():
    folders = {path.parent for path in FILES}
    counts = {
        folder: len([path for path in folder.glob("*.py") if path.stem not in ("__init__", *OLD_NAMES)])
        for folder in folders
    }
    assert len(counts) > 20
    assert {str(folder): count for folder, count in counts.items() if count > 10} == {}


@pytest.mark.parametrize("name", OLD_NAMES)
def test_a_module_path_of_the_last_release_still_works(name):
    place, what = OLD_NAMES[name]
    old, new = import_module(f"simvis_core.{name}"), import_module(f"simvis_core.{place}")
    assert getattr(old, what) is getattr(new, what)
    public = {word for word in vars(new) if not word.startswith("_")}
    assert public <= set(vars(old))


def test_the_cores_names_are_there_at_once_and_when_they_are_asked_for():
    assert sorted(simvis_core.__all__) == sorted(simvis_core._MODULES)
    for name in simvis_core.__all__:
        assert getattr(simvis_core, name) is getattr(import_module(f"simvis_core.{simvis_core._MODULES[name]}"), name)
        assert name in dir(simvis_core)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = simvis_core.nothing


ALONE = """
import sys
class Refused:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {refused}:
            raise ImportError(name + " is not to be imported")
sys.meta_path.insert(0, Refused())
from importlib import import_module
{work}
"""


def alone(refused, work):
    """The work in a Python of its own that cannot import some packages."""
    program = ALONE.format(refused=refused, work=work)
    return subprocess.run(
        [sys.executable, "-c", program], cwd=HOUSE, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.mark.slow
def test_no_command_but_serving_needs_gradio():
    """Every module that a command can reach is imported; `tests/test_app.py` runs the commands themselves."""
    done = alone(
        ("gradio", "gradio_client"),
        "from simvis_app.commands import COMMANDS, SERVE, main\n"
        "import pkgutil, simvis_app.service, simvis_app.commands\n"
        "for package in (simvis_app.service, simvis_app.commands):\n"
        "    for found in pkgutil.walk_packages(package.__path__, package.__name__ + '.'):\n"
        "        import_module(found.name)\n"
        "assert main(['models']) == 0\n"
        "print(len(COMMANDS))",
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.splitlines()[-1]) >= 8


def test_help_waits_for_no_network_library():
    done = alone(
        ("torch", "timm", "torchvision", "plotly", "gradio"), "from app import main; main(['explain', '--help'])"
    )
    assert done.returncode == 0, done.stderr
    assert "--ground" in done.stdout
