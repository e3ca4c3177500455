"""What a person says of a checkpoint: as a dict, as the file that a report writes, one answer at a time."""

import json

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from model_zoo.checkpoints.choices import Choices, parse_choices, read_choices
from model_zoo.checkpoints.doubts import UndecidedError
from model_zoo.checkpoints.opening import open_checkpoint
from simvis_core import SimvisError
from tests.model_zoo.own_files import ARCHITECTURE, POOL, WIDTH, opened, same, shaken, trunk, written


def test_the_reports_file_gives_the_same_network_and_lists_what_else_could_be_said(tmp_path):
    torch.manual_seed(10)
    head = nn.Sequential(nn.Linear(WIDTH, 9), nn.ReLU(), nn.Linear(9, 8))
    parts = {"head": head, "arc.weight": torch.ones(40, 8)}
    found = opened(tmp_path, parts, choices={"steps": {"head.2": "relu"}})
    found.report.write(tmp_path / "choices.json")
    told = json.loads((tmp_path / "choices.json").read_text())
    assert told["layers"] == {"arc": "out", "head.2": "behind"}
    assert {entry["key"] for entry in told["open"]} == {"layers.arc", "layers.head.2", "steps.head.2"}
    again = opened(tmp_path, parts, choices=str(tmp_path / "choices.json"))
    assert again.network.fingerprint == found.network.fingerprint
    assert same(again.network, POOL, head)
    with pytest.raises(SimvisError, match="cannot be written"):
        found.report.write(tmp_path / "no" / "choices.json")


def test_a_sorted_files_order_can_be_said(tmp_path):
    torch.manual_seed(11)
    reduce, norm = nn.Linear(WIDTH, WIDTH), shaken(nn.BatchNorm1d(WIDTH))
    path = written(tmp_path, {"reduce": reduce, "bn": norm}, save_file, "m.safetensors")
    with pytest.raises(UndecidedError, match="order=bn,reduce") as caught:
        open_checkpoint(path, ARCHITECTURE)
    assert list(caught.value.doubts[0].options) == ["bn,reduce", "reduce,bn"]
    for order, modules in (("bn,reduce", (norm, reduce)), ("reduce,bn", (reduce, norm))):
        network = open_checkpoint(path, ARCHITECTURE, choices=Choices().said("order", order)).network
        assert same(network, POOL, *modules)


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        ({"layers": {"arc": "elsewhere"}}, "layers.arc='elsewhere'; wanted one of behind, front"),
        ({"steps": {"fc": "tanh"}}, "steps.fc='tanh'; wanted one of none, relu"),
        ({"steps": ["fc"]}, "a dict by names of layers"),
        ({"order": "fc"}, "a list of layers"),
        ({"pooling": "sum"}, "pooling 'sum'"),
        ({"view": 0}, "a side from 1 to 4096 pixels"),
        ({"colour": 1}, "the choice 'colour'; wanted one of pooling, head"),
        ({"between": "tanh"}, "between='tanh'"),
    ],
)
def test_answers_that_there_are_not_are_refused(tmp_path, choices, words):
    (tmp_path / "c.json").write_text(json.dumps(choices))
    for given in (choices, tmp_path / "c.json"):
        with pytest.raises(SimvisError) as caught:
            read_choices(given)
        assert words in str(caught.value)


def test_files_of_choices_that_cannot_be_read_are_told(tmp_path):
    for content, words in (("{", "which is no JSON"), ("[1]", "which holds a list"), ("\x00", "which is no JSON")):
        (tmp_path / "c.json").write_text(content)
        with pytest.raises(SimvisError, match=words):
            read_choices(tmp_path / "c.json")
        with pytest.raises(SimvisError, match=words):
            parse_choices(content)
    with pytest.raises(SimvisError, match="which cannot be read"):
        read_choices(tmp_path / "none.json")
    assert parse_choices(" ") == Choices()


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        ({"layers": {"arc": "out"}}, "the choice layers.arc, .* wanted one such as layers.fc"),
        ({"steps": {"fc2": "unit"}}, "the choice steps.fc2, .* wanted one such as steps.fc"),
        ({"order": ["fc", "bn"]}, "the choice order=fc,bn, which this checkpoint has no place for"),
        ({"view": 112}, "the choice view=112, which this checkpoint has no place for"),
    ],
)
def test_an_answer_to_no_question_is_never_passed_over(tmp_path, choices, words):
    with pytest.raises(SimvisError, match=words):
        opened(tmp_path, {"fc": nn.Linear(WIDTH, 8)}, choices=choices)


@pytest.mark.parametrize(
    ("change", "cure"),
    [
        (lambda state: state.pop("bn1.weight"), r"save the whole network's state_dict\(\), these tensors with it"),
        (lambda state: state["bn1.weight"].fill_(torch.nan), "take the weights from before they were broken"),
        (lambda state: state.update({"bn1.weight": state["bn1.weight"].int()}), "as floating-point numbers"),
        (lambda state: state.update({"bn1.weight": torch.ones(33)}), "a relative of timm/test_resnet"),
        (lambda state: state.update({"bn1.gain": state.pop("bn1.weight")}), "which has bn1.gain"),
    ],
)
def test_the_cure_fits_what_is_wrong_with_a_trunk(tmp_path, change, cure):
    """Another architecture is named where the file has something that this one has not, and nowhere else."""
    state = {key: tensor.clone() for key, tensor in trunk().state_dict().items()}
    change(state)
    torch.save(state, tmp_path / "m.pth")
    with pytest.raises(SimvisError, match=cure) as caught:
        open_checkpoint(tmp_path / "m.pth", ARCHITECTURE)
    assert ("architecture" in str(caught.value)) == ("relative" in cure or "gain" in cure)
