"""The examples of the core's docstrings: each runs by itself, and who has none says why."""

import ast
import doctest
import re
from pathlib import Path

import pytest

import simvis_core
from simvis_core.stores.contract import VectorIndex

CORE = Path(simvis_core.__file__).parent
FILES = sorted(path for path in CORE.rglob("*.py") if path.stem != "__init__")
STORE = [name for name in vars(VectorIndex) if not name.startswith("_")]
# What is public and has no example, with the reason.
WITHOUT = {
    "pictures/formats/decoder.py decode": "a program of its own, which reads its standard input",
    **dict.fromkeys(
        (f"progress/writers.py WandbWriter.{name}" for name in ("scalars", "images", "close")),
        "W&B takes seconds to start; a slow test reads what it writes",
    ),
    **dict.fromkeys(
        ("attributes/datasets/awa2.py read_awa2", "attributes/datasets/polyvore.py read_polyvore"),
        "a published data set is needed; the tests write a small one in its layout",
    ),
    **dict.fromkeys((f"stores/milvus.py MilvusIndex.{name}" for name in STORE), "a Milvus server is needed"),
}


def documented(tree, name=""):
    """The qualified name and node of a module's public functions and classes, and of these classes' public methods."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield f"{name}{node.name}", node
            if isinstance(node, ast.ClassDef):
                yield from documented(node, f"{node.name}.")


def examples(node):
    return doctest.DocTestParser().get_examples(ast.get_docstring(node) or "")


def is_interface(node):
    """Whether it is a protocol, which nobody calls: the classes that have its methods show them."""
    return isinstance(node, ast.ClassDef) and any(
        isinstance(base, ast.Name) and base.id == "Protocol" for base in node.bases
    )


def without_example(path):
    """Functions without an example, and methods without one that their class's example does not use either."""
    found = dict(documented(ast.parse(path.read_text())))
    for name, node in found.items():
        owner = found[name.split(".")[0]]
        if isinstance(node, ast.ClassDef) or examples(node) or is_interface(owner):
            continue
        shown = "".join(one.source for one in examples(owner)) if "." in name else ""
        if not re.search(rf"\.{node.name}\b", shown):
            yield name


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(CORE)))
def test_examples_give_what_they_say(path):
    """Each with nothing but what it imports itself, so that it can be copied out of the page of documentation."""
    said: list[str] = []
    for name, node in documented(ast.parse(path.read_text())):
        test = doctest.DocTest(examples(node), {"__name__": "__main__"}, name, str(path), node.lineno, None)
        doctest.DocTestRunner(verbose=False, optionflags=doctest.ELLIPSIS).run(test, out=said.append)
    assert not said, "".join(said)


def test_each_public_function_of_the_core_has_an_example():
    missing = {f"{path.relative_to(CORE)} {name}" for path in FILES for name in without_example(path)}
    assert missing == set(WITHOUT)


WRONG = '''
def told(a):
    """Sum.

    >>> 1 + 1
    3
    """


def bare():
    """Nothing."""


class Kind:
    """Something.

    >>> Kind().shown
    """

    def shown(self): ...
    def left(self): ...
'''


def test_an_example_that_is_wrong_or_missing_is_found(tmp_path):
    file = tmp_path / "wrong.py"
    file.write_text(WRONG)
    assert list(without_example(file)) == ["bare", "Kind.left"]
    with pytest.raises(AssertionError, match=r"Expected:\s+3\s+Got:\s+2"):
        test_examples_give_what_they_say(file)
