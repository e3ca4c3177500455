"""`attributes study` and `attributes study-results` from the command line."""

import json

import pytest

from app import main
from model_zoo.attributes import fitted
from model_zoo.attributes.fitted import FittedAttributes
from simvis_app.commands import opening
from simvis_app.service import samples
from simvis_core.attributes.calibrating import Prior
from simvis_core.attributes.class_groups import ClassGroups
from simvis_core.attributes.judging import study_design
from simvis_core.attributes.judging.study_answers import ANSWER_COLUMNS
from simvis_core.attributes.ranker import Bound, Calibration, Phi
from tests.model_zoo.attributes.test_fitting import COLOURED, GROUPS, colours
from tests.model_zoo.attributes.test_judging import coloured  # noqa: F401  (a fixture)


class OneNetwork:
    def network(self, name):
        return colours()


def known(name, network):
    classifier = network.backbone.network.classifier
    model = ClassGroups(network, classifier.weight, classifier.bias, GROUPS, dict.fromkeys(GROUPS, 0.1))
    bounds = (Bound(-9, 9), Bound(-1, 1), Bound(0, 1))
    learnt = {preset: Calibration(preset, bounds, Phi(0.5, 0.5, 0), 0.5) for preset in ("sane", "simvis")}
    return FittedAttributes(model, dict.fromkeys(GROUPS, Prior(0.5, 1)), learnt, 16)


def test_a_study_is_written_and_its_answers_are_summed_up(coloured, tmp_path, capsys, monkeypatch):  # noqa: F811
    monkeypatch.setattr(opening, "session_of", lambda options: (OneNetwork(), "colours"))
    monkeypatch.setattr(fitted, "attributes_of", known)
    monkeypatch.setattr(samples, "FOLDER", coloured)
    assert main(["attributes", "study", str(tmp_path / "study"), "--trials", "8"]) == 0
    out = capsys.readouterr().out
    assert str(tmp_path / "study" / "study.html") in out
    assert "8 trials" in out
    key = json.loads((tmp_path / "study" / "key.json").read_text())
    page = (tmp_path / "study" / "study.html").read_text()
    data = json.loads(page.partition('id="study">')[2].partition("</script>")[0])
    assert len(data["trials"]) == len(key["higher"]) == 8
    assert set(data["trials"][0]["words"][3]) <= {*COLOURED, "rest"}
    rows = [
        f"{key['study']},1,0,{trial},{place},{key['forms'][0]['conditions'][trial]},{key['higher'][trial]},2500"
        for place, trial in enumerate(key["forms"][0]["order"])
    ]
    (tmp_path / "answers-1.csv").write_text("\n".join([",".join(ANSWER_COLUMNS), *rows]) + "\n")
    asked = ["attributes", "study-results", str(tmp_path / "answers-1.csv"), "--key", str(tmp_path / "study/key.json")]
    assert main(asked) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "1 reader; means over readers with 95 % intervals; one in two is right by chance"
    assert [line.split("  ")[0] for line in lines[2:]] == list(study_design.CONDITIONS)
    assert all("1.00" in line and "2.50" in line for line in lines[2:])


@pytest.mark.parametrize(("key", "said"), [("nowhere.json", "'nowhere.json'"), ("answers.csv", "'answers.csv'")])
def test_a_key_that_is_none_is_one_line(tmp_path, capsys, key, said):
    (tmp_path / "answers.csv").write_text("no answers\n")
    asked = ["attributes", "study-results", str(tmp_path / "answers.csv"), "--key", str(tmp_path / key)]
    assert main(asked) == 2
    assert said in capsys.readouterr().err
