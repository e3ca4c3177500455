"""The shim that lets torchvision be imported beside a PyTorch its compiled operators do not fit."""

import ast
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from model_zoo.operators import declare_missing_operators

HOUSE = Path(__file__).parents[2]


def test_a_machine_without_torchvision_is_told_so(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match="torchvision") as caught:
        declare_missing_operators()
    assert caught.value.name == "torchvision"


def test_where_the_extension_loads_nothing_is_declared(monkeypatch):
    monkeypatch.setattr(torch.ops, "load_library", lambda path: None)
    assert declare_missing_operators() is None


@pytest.mark.slow
def test_torchvision_and_timm_can_be_imported_after_the_zoo():
    """In a Python of its own, where nothing else has imported them; the zoo itself imports neither."""
    program = (
        "import sys, model_zoo\n"
        "assert not {'torchvision', 'timm'} & set(sys.modules)\n"
        "import torchvision, timm, torch\n"
        "print(hasattr(torch.ops.torchvision, 'nms'), torchvision.models.resnet18(num_classes=3).fc.out_features)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=HOUSE, capture_output=True, text=True, timeout=200, check=True
    )
    assert done.stdout == "True 3\n"


def test_the_shim_is_imported_in_one_place():
    """In front of everything else in the zoo: whoever imports any of its rooms has it."""
    told = [path for path in (HOUSE / "model_zoo").rglob("*.py") if "import model_zoo.operators" in path.read_text()]
    assert told == [HOUSE / "model_zoo" / "__init__.py"]
    first = next(node for node in ast.parse(told[0].read_text()).body if isinstance(node, (ast.Import, ast.ImportFrom)))
    assert [name.name for name in first.names] == ["model_zoo.operators"]
