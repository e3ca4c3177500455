"""Damaged galleries on the page, the command line and the API: each is named, the others go on, and it is mended."""

import json

import pytest

import app
import model_zoo
from simvis_app.page.galleries.choice import troubles_of
from simvis_app.service.galleries.asking import find_space
from simvis_app.service.galleries.galleries import SAMPLES, Asked, Galleries
from simvis_app.service.sessions.session import Session
from simvis_core import SimvisError
from simvis_core.evaluation.records import Records
from tests.damage import DAMAGE, JSON_DAMAGE
from tests.simvis_app.conftest import NETWORK, PLAIN, TinySession, indexed, tiny

MADE_ANEW = "python app.py index FOLDER --name animals"


@pytest.fixture
def damaged(shelf, own_photos):
    """Gallery 'animals' with a damaged collection beside 'others', which is sound; and the server that meets them."""
    indexed(shelf, "others", own_photos)
    shelf.close()
    [collection] = (shelf.home / "index").glob("simvis_animals_*")
    DAMAGE["empty"](collection / "shard" / "edge_config.json")
    galleries = Galleries(TinySession(), shelf.home, pictures=own_photos)
    yield galleries
    galleries.close()


def test_the_page_names_it_and_goes_on_with_the_others(driven, damaged, own_photos):
    tab, offers = driven.search(damaged), driven.offers(damaged)
    told = list(offers.open_tab(gallery="animals", space=None))[-1]
    assert "gallery &#x27;animals&#x27; under" in told["notice"]
    assert "--rebuild" in told["notice"]
    assert (told["gallery"]["choices"], told["gallery"]["value"]) == ([SAMPLES, "animals", "others"], "animals")
    assert (told["space"]["choices"], told["space"]["value"], told["labels"]["choices"]) == ([], None, [])
    file = str(own_photos / "ape" / "ape_0.png")
    refused = tab.fill(query=file, gallery="animals", space=None)
    assert "whose files are damaged" in refused["notice"]
    told = offers.choose_gallery(gallery="others", space=None)
    assert told["notice"] == ""
    assert len(told["labels"]["choices"]) == 4
    answer = tab.fill(query=file, gallery="others", space=told["space"]["value"])
    assert (answer["notice"], len(answer["grid"].hits)) == ("", 11)


def test_the_page_lists_what_is_left_out_without_folders(damaged):
    told = troubles_of(damaged, "animals")
    assert 'role="status"' in told
    assert "whose files are damaged" in told
    assert str(damaged.home) not in told
    assert troubles_of(damaged, "others") == ""
    next(damaged.home.glob("others_*/gallery.json")).write_bytes(b"")
    assert "gallery &#x27;others&#x27;: &#x27;gallery.json&#x27;" in troubles_of(damaged, "others")


def test_the_api_names_it_and_goes_on_with_the_others(damaged):
    with pytest.raises(SimvisError, match=rf"gallery 'animals' under .* damaged.*{MADE_ANEW}"):
        find_space(damaged, "animals", "", "")
    assert find_space(damaged, "others", "", "").gallery == "others"


def test_a_sound_space_of_a_damaged_gallery_goes_on(damaged, own_photos):
    other = indexed(damaged, "animals", own_photos, PLAIN.__class__(NETWORK, "max", PLAIN.short_side))
    assert damaged.spaces("animals") == [other]
    assert len(damaged.troubles("animals")) == 1
    assert damaged.search(Asked(str(own_photos / "ape" / "ape_0.png"), "animals", other.name), 3).found


def test_a_folder_of_pictures_that_is_gone_is_one_sentence(damaged, tmp_path):
    damaged.pictures = tmp_path / "gone"
    assert damaged.folders() == ["."]
    with pytest.raises(SimvisError, match=r"a folder of pictures, or a \.csv file that is there"):
        damaged.listing("mine", ".")


# The command line


@pytest.fixture
def told(capsys, damaged, monkeypatch):
    """Runs a command on the same galleries: exit code, its JSON (None without), standard error."""
    damaged.close()
    load = Session._load
    monkeypatch.setattr(
        Session, "_load", lambda self, name: tiny(name) if name in model_zoo.names() else load(self, name)
    )

    def run(*arguments):
        code = app.main([*map(str, arguments), "--galleries", str(damaged.home)])
        out, err = capsys.readouterr()
        return code, json.loads(out) if out else None, err

    return run


def test_the_commands_name_it_go_on_and_mend_it(told, damaged, own_photos):
    next(damaged.home.glob("others_*/gallery.json")).write_text("{}")
    image = own_photos / "ape" / "ape_0.png"
    code, out, err = told("search", image, "--gallery", "others")
    assert (code, len(out["hits"])) == (0, 11)
    assert "simvis: left out: Got gallery 'others': 'gallery.json'" in err
    code, out, err = told("search", image, "--gallery", "animals")
    assert (code, out) == (2, None)
    assert MADE_ANEW in err
    settings = ("--name", "animals", "--backbone", NETWORK, "--view-size", PLAIN.short_side, "--pooling", "avg")
    code, out, err = told("index", own_photos, *settings)
    assert (code, out) == (2, None)
    assert "--rebuild" in err
    code, out, err = told("index", own_photos, *settings, "--rebuild")
    assert (code, out["added"]) == (0, 12)
    code, out, err = told("search", image, "--gallery", "animals")
    assert (code, len(out["hits"])) == (0, 11)


def test_a_damaged_gallery_is_deleted_by_command(told, damaged):
    code, out, err = told("index", "--name", "animals", "--delete")
    assert (code, out["deleted"], out["rows"]) == (0, True, 0)
    assert "whose files are damaged" in err
    assert Galleries(TinySession(), damaged.home).names() == [SAMPLES, "others"]


def test_the_samples_are_made_anew_by_name_alone(told, monkeypatch, own_photos):
    monkeypatch.setattr("simvis_app.service.samples.PICTURES", own_photos)
    settings = ("--name", SAMPLES, "--backbone", NETWORK, "--view-size", PLAIN.short_side)
    for expected in (12, 12):
        code, out, _ = told("index", *settings, "--rebuild")
        assert (code, out["added"]) == (0, expected)
    code, out, err = told("index", own_photos, *settings, "--rebuild")
    assert (code, out) == (2, None)
    assert "python app.py index --name samples --rebuild" in err


# Records of evaluations


@pytest.mark.parametrize("spoil", [spoil for name, spoil in JSON_DAMAGE.items() if name != "gone"])
def test_damaged_settings_of_an_evaluation_are_one_sentence(tmp_path, spoil):
    Records(tmp_path, {"name": "birds"})
    spoil(tmp_path / "evaluation.json")
    with pytest.raises(SimvisError, match=r"another folder"):
        Records(tmp_path, {"name": "birds"})


@pytest.mark.parametrize("line", ["[]", "5", '"x"', "{}", "[" * 100_000, '{"network": ["a"]}', '{"network": "a"'])
def test_a_damaged_record_is_measured_again(tmp_path, line):
    key = {"network": "n", "case": "c", "explainer": "random", "seed": 0}
    about = {"kind": "same", "same": True}
    kept = Records(tmp_path, {})
    kept.add(key | about | {"refused": "why"})
    file = tmp_path / "measured.jsonl"
    file.write_text("\n".join([line, json.dumps(key | about | {"case": ["list"]}), file.read_text()]))
    assert Records(tmp_path, {}).known == [key | about | {"refused": "why"}]
    assert len(file.read_text().splitlines()) == 1
