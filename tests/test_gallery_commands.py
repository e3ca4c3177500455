"""The gallery's commands: what they print and write, how they refuse, and that every way in says the same numbers."""

import asyncio
import csv
import json
import shutil
from pathlib import Path

import gradio as gr
import pytest
import torch
from PIL import Image

import app
import model_zoo
from model_zoo.attributes import fitted
from simvis_app.api.galleries import add_gallery_api
from simvis_app.commands.galleries import store_check
from simvis_app.service import samples
from simvis_app.service.galleries.answers import search_json
from simvis_app.service.galleries.asking import find_space, regions_on
from simvis_app.service.galleries.galleries import Asked, Galleries
from simvis_app.service.sessions.session import Session
from simvis_core.stores.edge import EdgeIndex
from tests.simvis_app.attribute_cases import SETTINGS, known
from tests.simvis_app.conftest import BLACK_BOX, CLASSES, NETWORK, photographs, tiny

NET = ("--backbone", NETWORK)
SIZE = ("--view-size", "32")


@pytest.fixture
def tiny_networks(monkeypatch):
    """Cards have tiny weights here."""
    load = Session._load
    monkeypatch.setattr(
        Session, "_load", lambda self, name: tiny(name) if name in model_zoo.names() else load(self, name)
    )


@pytest.fixture
def photos(tmp_path):
    return photographs(tmp_path / "photos")


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


@pytest.fixture
def told(capsys, home, tiny_networks):
    """Runs a command in this process: exit code, its JSON (None without), standard error."""

    def run(command, *arguments):
        code = app.main([command, *map(str, arguments), "--galleries", str(home)])
        out, err = capsys.readouterr()
        return code, json.loads(out, parse_constant=pytest.fail) if out else None, err

    return run


@pytest.fixture
def refused(told):
    """The sentence of a refused command."""

    def run(*arguments):
        code, out, err = told(*arguments)
        assert (code, out) == (2, None)
        assert err.count("\n") == 1
        assert err.startswith("simvis: Got ")
        return err

    return run


@pytest.fixture
def animals(told, photos):
    """Gallery 'animals', indexed."""
    code, out, _ = told("index", photos, "--name", "animals", *NET, *SIZE)
    assert code == 0
    return out


QUERY = ("--gallery", "animals")


# Indexing


def test_a_folder_is_indexed_and_indexed_again_for_nothing(told, photos, animals):
    assert animals["added"] == animals["total"] == 12
    assert (animals["network"], animals["poolings"], animals["view"]) == (NETWORK, ["avg"], "32 whole")
    code, out, err = told("index", photos, "--name", "animals", *NET, *SIZE)
    assert (code, out["added"], out["known"]) == (0, 0, 12)
    assert err.splitlines()[-1].startswith("12 pictures: 12 there already")


def test_several_poolings_at_once(told, photos, home):
    poolings = ("--pooling", "avg", "--pooling", "gem", "--pooling", "gem:4")
    code, out, _ = told("index", photos, "--name", "animals", *NET, *SIZE, *poolings)
    assert (code, out["added"]) == (0, 12)
    galleries = Galleries(Session(), home)
    assert {space.pooling for space in galleries.spaces("animals")} == {"avg", "gem:3", "gem:4"}
    galleries.close()
    image = photos / "bee" / "bee_0.png"
    for pooling, wanted in (("gem", "gem:3"), ("gem:3", "gem:3"), ("gem:4", "gem:4"), ("avg", "avg")):
        assert told("search", image, *QUERY, "--pooling", pooling)[1]["space"]["pooling"] == wanted


def test_a_csv_names_files_and_labels(told, photos, tmp_path):
    table = tmp_path / "list.csv"
    with open(table, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "label"])
        writer.writerows([["photos/ape/ape_0.png", "monkey"], ["photos/bee/bee_0.png", 'say "buzz", <b>']])
        writer.writerow(["photos/nosuchfile.png", "x"])
    code, out, _ = told("index", table, "--name", "listed", *NET, *SIZE)
    assert (code, out["added"], len(out["skipped"])) == (0, 2, 1)
    classes = told("classes", "--gallery", "listed")[1]["classes"]
    assert [one["label"] for one in classes] == ["monkey", 'say "buzz", <b>']


def test_files_that_are_no_pictures_are_left_out_and_named(told, photos):
    (photos / "cat" / "text.png").write_bytes(b"text")
    code, out, _ = told("index", photos, "--name", "animals", *NET, *SIZE)
    assert (code, out["added"]) == (0, 12)
    assert [Path(file).name for file in out["skipped"]] == ["text.png"]


def test_prune_takes_out_what_is_gone(told, photos, animals):
    (photos / "cat" / "cat_0.png").unlink()
    again = ("index", photos, "--name", "animals", *NET, *SIZE)
    assert told(*again)[1]["removed"] == 0
    assert told(*again, "--prune")[1]["removed"] == 1
    assert told("classes", *QUERY)[1]["classes"][2] == {"label": "cat", "pictures": 2}


def test_remove_takes_out_the_named_files_however_they_are_named(told, photos, animals, monkeypatch):
    monkeypatch.chdir(photos / "ape")
    code, out, _ = told("index", "--name", "animals", "--remove", "ape_0.png", "../bee/bee_1.png", "nosuchfile.png")
    assert (code, out["rows"]) == (0, 2)
    assert out["not_there"] == [str(photos / "ape" / "nosuchfile.png")]
    assert (photos / "ape" / "ape_0.png").is_file()
    counts = {one["label"]: one["pictures"] for one in told("classes", *QUERY)[1]["classes"]}
    assert counts == {"ape": 2, "bee": 2, "cat": 3, "dog": 3}


def test_delete_takes_the_gallery_and_leaves_the_pictures(told, refused, photos, animals, home):
    code, out, _ = told("index", "--name", "animals", "--delete")
    assert (code, out) == (0, {"gallery": "animals", "deleted": True, "rows": 12})
    assert len(list(photos.rglob("*.png"))) == 12
    assert "one that is there (none yet)" in refused("search", photos / "ape" / "ape_0.png", *QUERY)
    assert list(home.glob("*/gallery.json")) == []
    assert "one that is there" in refused("index", "--name", "animals", "--delete")


def test_what_cannot_be_indexed_is_one_line_and_leaves_no_gallery(refused, photos, tmp_path, home):
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad.csv").write_text("picture_name,label\nx,y\n")
    for arguments, reason in (
        (["--name", "x"], "no folder"),
        ([photos, "--name", "samples"], "the name 'samples'"),
        ([photos, "--name", " "], "the gallery name"),
        ([photos, "--name", "a\nb"], "the gallery name"),
        ([tmp_path / "nosuchfolder", "--name", "x"], "check the name"),
        ([tmp_path / "empty", "--name", "x"], "holds no picture"),
        ([tmp_path / "bad.csv", "--name", "x"], "name the columns"),
        ([photos, "--name", "x", "--backbone", "nosuchnet"], "nosuchnet"),
        ([photos, "--name", "x", *NET, "--pooling", "nosuchpooling"], "nosuchpooling"),
        ([photos, "--name", "x", *NET, "--pooling", "flatten"], "choose a square framing"),
        ([photos, "--name", "x", *NET, "--view-size", "33"], "33"),
        (["--name", "x", "--delete"], "one that is there"),
        (["--name", "x", "--remove", "y.png"], "one that is there"),
    ):
        assert reason in refused("index", *arguments)
    assert list(home.glob("*/gallery.json")) == []


def test_a_folder_for_galleries_that_cannot_be_written_is_one_line(refused, photos, home):
    home.touch()
    assert "cannot be written" in refused("index", photos, "--name", "x", *NET, *SIZE)


def test_a_gallery_that_another_process_holds_is_one_line(refused, photos, animals, home):
    other = EdgeIndex(home / "index")
    [space] = other.spaces()
    other.ensure(space)
    for arguments in (
        ["search", photos / "ape" / "ape_0.png", *QUERY],
        ["classes", *QUERY],
        ["curves", *QUERY],
        ["index", photos, "--name", "animals", *NET, *SIZE],
        ["index", "--name", "animals", "--delete"],
        ["index", "--name", "animals", "--remove", photos / "ape" / "ape_0.png"],
    ):
        assert "share a Milvus server with --index-url" in refused(*arguments)
    other.close()


# Searching


def test_a_search_prints_strict_json_and_writes_whole_files(told, photos, animals, tmp_path):
    image, out = photos / "bee" / "bee_0.png", tmp_path / "new" / "out"
    code, plain, err = told("search", image, *QUERY)
    assert (code, err, len(plain["hits"]), plain["total"]) == (0, "", 11, 11)
    assert all("query_map" not in hit for hit in plain["hits"])
    assert told("search", image, *QUERY, "--exact")[1] == plain | {"every_row_compared": True}
    code, told_maps, err = told("search", image, *QUERY, "--out", out, "-k", 3)
    assert code == 0
    assert [Path(line).name for line in err.splitlines()] == ["search.json", "search.html"]
    assert sorted(path.name for path in out.iterdir()) == ["search.html", "search.json"]
    written = json.loads((out / "search.json").read_text())
    assert written == told_maps
    assert [hit["id"] for hit in written["hits"]] == [hit["id"] for hit in plain["hits"][:3]]
    assert len(written["hits"][0]["query_map"]) == 4
    page = (out / "search.html").read_text()
    assert page.endswith("</html>\n")
    assert page.count("<figure>") == 4


def test_boxes_and_points_for_and_against(told, photos, animals):
    marks = ["--box", 2, 2, 10, 10, "--box", 20, 2, 10, 10, "--point", 30, 20]
    marks += ["--not-box", 5, 5, 3, 3, "--not-point", 1, 1]
    out = told("search", photos / "bee" / "bee_0.png", *QUERY, *marks, "--label", "cat", "--label", "ape")[1]
    assert {hit["label"] for hit in out["hits"]} == {"cat", "ape"}
    weights = torch.tensor(out["query"]["region_weights"])
    assert weights.max() > 0 > weights.min()
    assert [hit["score"] for hit in out["hits"]] == sorted((hit["score"] for hit in out["hits"]), reverse=True)


def test_what_cannot_be_searched_is_one_line(refused, photos, animals, tmp_path):
    (tmp_path / "text.png").write_bytes(b"text")
    image = photos / "bee" / "bee_0.png"
    for arguments, reason in (
        ([image, *QUERY, "-k", "0"], "k = 0 hits"),
        ([image, *QUERY, "-k", "-3"], "k = -3 hits"),
        ([image, "--gallery", "../../etc"], "one that is there ('animals')"),
        ([image, *QUERY, "--network", "nosuchnet"], f"was indexed with {NETWORK} (avg)"),
        ([image, *QUERY, "--pooling", "max"], f"was indexed with {NETWORK} (avg)"),
        ([image, *QUERY, "--pooling", "nosuchpooling"], "nosuchpooling"),
        ([tmp_path / "text.png", *QUERY], "not a picture"),
        ([tmp_path / "missing.png", *QUERY], "cannot be opened"),
        ([image, *QUERY, "--box", "0", "0", "0", "0"], "a box of 0 x 0"),
        ([image, *QUERY, "--box", "900", "0", "5", "5"], "outside what the network sees"),
        ([image, *QUERY, "--box", "nan", "0", "5", "5"], "the region"),
        ([image, *QUERY, "--point", "inf", "0"], "the region"),
        ([image, *QUERY, "--box", "0", "0", "9", "9", "--not-box", "0", "0", "9", "9"], "cancelling out"),
    ):
        assert reason in refused("search", *arguments)
    (tmp_path / "file").touch()
    assert "cannot be written" in refused("search", image, *QUERY, "--out", tmp_path / "file")


def test_a_gallery_of_another_network_is_one_line_that_names_it(refused, photos, animals, monkeypatch):
    monkeypatch.setattr(Session, "_load", lambda self, name: tiny(name, seed=12))
    sentence = refused("search", photos / "bee" / "bee_0.png", *QUERY)
    assert f"indexed with {NETWORK} (avg) but with other weights" in sentence
    assert "python app.py index FOLDER --name animals" in sentence


def test_a_black_box_is_searched_whole_and_its_regions_are_one_line(told, refused, photos, tmp_path):
    told("index", photos, "--name", "animals", "--backbone", BLACK_BOX, *SIZE)
    image = photos / "bee" / "bee_0.png"
    code, out, _ = told("search", image, *QUERY, "--out", tmp_path / "out")
    assert (code, out["query"]["method"], len(out["hits"])) == (0, "none", 11)
    assert "a black box" in refused("search", image, *QUERY, "--point", 5, 5)


def test_a_hit_that_is_gone_is_marked_in_the_page(told, photos, animals, tmp_path):
    (photos / "cat" / "cat_0.png").unlink()
    Image.new("RGB", (30, 30), "teal").save(photos / "cat" / "cat_1.png")
    assert told("search", photos / "bee" / "bee_0.png", *QUERY, "--out", tmp_path / "out")[0] == 0
    page = (tmp_path / "out" / "search.html").read_text()
    assert page.count("This picture is gone.") == 1
    assert page.count('class="stale"') == 2


def test_hits_are_held_to_an_attribute_or_ordered_by_it(told, refused, photos, tmp_path, monkeypatch):
    monkeypatch.setattr(fitted, "attributes_of", lambda name, network: known())
    told("index", photos, "--name", "animals", "--backbone", SETTINGS.backbone, "--view-size", SETTINGS.short_side)
    image = photos / "bee" / "bee_0.png"
    arch = ("search", image, *QUERY, "--attribute", "arch")
    code, kept, err = told(*arch, "--out", tmp_path / "out")
    assert (code, kept["attribute"]["use"]) == (0, "filter")
    assert 0 < len(kept["hits"]) == kept["total"] < 11
    assert f"simvis: {kept['total']} of 11 shown: the others do not show 'arch'." in err
    page = (tmp_path / "out" / "search.html").read_text()
    assert all(f"arch {hit['confidence']:+.1f}" in page for hit in kept["hits"])
    assert json.loads((tmp_path / "out" / "search.json").read_text())["attribute"] == kept["attribute"]
    _, ranked, err = told(*arch, "--use", "rerank")
    sure = [hit["confidence"] for hit in ranked["hits"]]
    assert (len(sure), sure) == (11, sorted(sure, reverse=True))
    assert "the surest of 'arch' come first" in err
    assert "the attribute 'acrh'; wanted one of 3 ('arch'" in refused("search", image, *QUERY, "--attribute", "acrh")
    assert "wanted filter or rerank" in refused(*arch, "--use", "sort")
    assert "--use without --attribute" in refused("search", image, *QUERY, "--use", "rerank")


def test_maps_and_regions_at_another_layer(told, refused, photos, animals, tmp_path):
    image, box = photos / "bee" / "bee_0.png", ("--box", "4", "3", "18", "12")
    _, coarse, _ = told("search", image, *QUERY, *box)
    at = ("--at", "1", "--rule", "path", "--reference", "mean")
    code, fine, _ = told("search", image, *QUERY, *box, *at, "--out", tmp_path / "out")
    assert (code, fine["query"]["depth"]["layer"], fine["query"]["depth"]["reference"]) == (0, "1", "mean")
    assert fine["query"]["grid"] == [2 * side for side in coarse["query"]["grid"]]
    assert b"Maps at layer 1 by the rule path." in (tmp_path / "out" / "search.html").read_bytes()
    _, placed, _ = told("classes", "--image", image, *QUERY, "--at", "1", "--out", tmp_path / "placed")
    assert (placed["depth"]["rule"], len(placed["map"])) == ("frozen", fine["query"]["grid"][0])
    code, _, _ = told("classes", "cat", *QUERY, "--at", "1", "--out", tmp_path / "cats")
    assert b"Maps at layer 1 by the rule frozen." in (tmp_path / "cats" / "class.html").read_bytes()
    assert "which the network does not have" in refused("search", image, *QUERY, "--at", "nowhere")
    assert "a rule or a reference without a layer" in refused("search", image, *QUERY, "--rule", "path")
    assert "one of frozen, path" in refused("classes", "cat", *QUERY, "--at", "1", "--rule", "straight")


def test_a_network_without_attributes_is_one_line(refused, photos, animals):
    said = refused("search", photos / "bee" / "bee_0.png", *QUERY, "--attribute", "arch")
    assert f"attributes of {NETWORK}; wanted a network that kept its ImageNet classifier" in said


# Classes and curves


def test_classes_members_and_the_nearest_class(told, refused, photos, animals, tmp_path):
    code, out, _ = told("classes", *QUERY, "--out", tmp_path / "all")
    assert (code, [one["label"] for one in out["classes"]]) == (0, list(CLASSES))
    assert sorted(path.name for path in (tmp_path / "all").iterdir()) == ["classes.html", "classes.json"]
    code, out, _ = told("classes", "cat", *QUERY, "--out", tmp_path / "cat")
    assert (code, len(out["members"])) == (0, 3)
    assert sorted(path.name for path in (tmp_path / "cat").iterdir()) == ["class.html", "class.json"]
    code, out, _ = told("classes", "--image", photos / "cat" / "cat_0.png", *QUERY, "--out", tmp_path / "near")
    assert (code, len(out["nearest"])) == (0, 4)
    assert [path.name for path in (tmp_path / "near").iterdir()] == ["classes.json"]
    assert "class 'unicorn'" in refused("classes", "unicorn", *QUERY)
    assert "cannot be opened" in refused("classes", "--image", tmp_path / "missing.png", *QUERY)


def test_curves_are_the_same_for_the_same_seed(told, refused, animals, tmp_path):
    code, first, _ = told("curves", *QUERY, "--pairs", 20, "--seed", 3, "--out", tmp_path / "out")
    assert code == 0
    assert {name.split(": ")[-1] for name in first} == {"same class", "different classes"}
    assert told("curves", *QUERY, "--pairs", 20, "--seed", 3)[1] == first
    assert told("curves", *QUERY, "--pairs", 20, "--seed", 4)[1] != first
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["curves.html", "curves.json"]
    assert "0 pairs" in refused("curves", *QUERY, "--pairs", 0)


# The samples, the store, the flags


def test_the_samples_are_indexed_when_they_are_first_asked_for(told, photos, monkeypatch):
    monkeypatch.setattr(samples, "PICTURES", photos)
    monkeypatch.setattr(samples, "credits_list", lambda: [{}] * 12)
    image = photos / "ape" / "ape_0.png"
    code, out, err = told("search", image, "--network", NETWORK)
    assert (code, out["space"]["gallery"], out["total"]) == (0, "samples", 11)
    assert "of 12 pictures" in err
    tiny = "simvis: Your picture is 36 x 24 and was enlarged to 336 x 224: it holds few details; choose a larger one.\n"
    assert told("search", image, "--network", NETWORK)[2] == tiny  # and nothing of indexing
    assert told("search", image, "--pooling", "avg")[2] == tiny


def test_a_full_check_of_the_store(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(store_check, "check_store", lambda store: iter([("one", 0.5), ("two", 0.25)]))
    assert app.main(["store-check", "--galleries", str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out) == {"store": str(tmp_path / "index"), "passed": {"one": 0.5, "two": 0.25}}
    assert err.splitlines() == ["one: passed in 0.50 s", "two: passed in 0.25 s"]


@pytest.mark.parametrize("options", [["--index-url", "nonsense"], ["--index-url", "http://127.0.0.1:9"]])
def test_a_server_that_does_not_answer_is_one_line(capsys, tmp_path, options):
    pytest.importorskip("pymilvus")
    assert app.main(["store-check", "--galleries", str(tmp_path), *options]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n"), err[:12]) == ("", 1, "simvis: Got ")


def test_a_folder_to_offer_that_is_not_there_is_one_line(capsys, tmp_path, monkeypatch):
    from simvis_app import page

    monkeypatch.setattr(page, "warm_up", lambda *_: None)
    assert app.main(["--pictures", str(tmp_path / "nosuchfolder"), "--galleries", str(tmp_path)]) == 2
    assert "--pictures" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["index", "search", "classes", "curves", "store-check"])
def test_help_has_a_word_about_every_flag(capsys, command):
    with pytest.raises(SystemExit) as caught:
        app.main([command, "--help"])
    assert caught.value.code == 0
    out = capsys.readouterr().out
    for word in {
        "index": ["--name", "--prune", "--remove", "--delete", "--pooling", "FOLDER"],
        "search": [
            "--box",
            "--not-point",
            "--label",
            "--attribute",
            "--use",
            "--at",
            "--rule",
            "--reference",
            "--out",
            "-k",
            "IMAGE",
        ],
        "classes": ["--image", "LABEL", "--network"],
        "curves": ["--pairs", "--seed"],
        "store-check": ["--index-url"],
    }[command]:
        assert word in out
    assert "--galleries" in out


# Every way in


async def registered(galleries):
    """The API's functions by name."""
    with gr.Blocks(analytics_enabled=False) as blocks:
        add_gallery_api(galleries)
    return {function.api_name: function.fn for function in blocks.fns.values()}


@pytest.fixture
def real_photos(tmp_path):
    """12 photographs: four classes and one without a label."""
    for label, count in {"eiffel_tower": 3, "pyramid": 3, "taj_mahal": 3, "cat": 2}.items():
        (tmp_path / "photos" / label).mkdir(parents=True)
        for number in range(1, count + 1):
            shutil.copy(samples.PICTURES / label / f"{label}_{number}.jpg", tmp_path / "photos" / label)
    shutil.copy(samples.PICTURES / "dog" / "dog_1.jpg", tmp_path / "photos")
    return tmp_path / "photos"


@pytest.mark.network
def test_command_line_api_and_page_say_the_same_numbers(driven, capsys, tmp_path, real_photos):
    """With a real network."""
    home = ("--galleries", str(tmp_path / "home"))
    assert app.main(["index", str(real_photos), "--name", "few", "--view-size", "128", *home]) == 0
    image = str(real_photos / "taj_mahal" / "taj_mahal_1.jpg")
    capsys.readouterr()
    marks = ["--box", "20", "30", "120", "90", "--not-point", "8", "9"]
    assert app.main(["search", image, "--gallery", "few", *marks, *home, "--out", str(tmp_path / "out")]) == 0
    line = json.loads(capsys.readouterr().out)
    assert len(line["hits"]) == 11
    assert line["query"]["verdict"] == "exact"
    assert line["hits"][0]["label"] == "taj_mahal"

    galleries = Galleries(Session(), tmp_path / "home")
    regions = [{"box": [20, 30, 120, 90]}, {"point": [8, 9], "sign": -1}]

    api = asyncio.run(registered(galleries))["search"](image, "few", "", "", regions, None, 20.0, 0.0)
    space = find_space(galleries, "few", "", "")
    marked = regions_on(galleries, image, space, regions)
    direct = search_json(galleries.search(Asked(image, "few", space.name, marked), 20))
    tab, asked = driven.search(galleries), {"query": image, "gallery": "few", "space": space.name}
    picked = tab.fill(**asked)["picker"]
    box, point = marked
    drawn = [
        {"kind": "box", "sign": 1, "box": [box.x, box.y, box.width, box.height]},
        {"kind": "point", "sign": -1, "at": [point.x, point.y]},
    ]
    page = tab.fill(**asked, picker={"key": picked[1], "regions": drawn})["grid"]
    galleries.close()
    assert [card.id for card in page.hits] == [hit["id"] for hit in line["hits"]]
    weights = torch.tensor(line["query"]["region_weights"])
    for other in (api, direct):
        assert [hit["id"] for hit in other["hits"]] == [hit["id"] for hit in line["hits"]]
        for one, hit in zip(other["hits"], line["hits"], strict=True):
            assert (one["score"], one["cosine"]) == pytest.approx((hit["score"], hit["cosine"]), abs=1e-6)
            assert torch.allclose(torch.tensor(one["query_map"]), torch.tensor(hit["query_map"]), atol=1e-6)
    for card, hit in zip(page.hits, line["hits"], strict=True):
        assert card.query_map == pytest.approx(torch.tensor(hit["query_map"]).flatten().tolist(), abs=1e-6)
        assert hit["score"] == pytest.approx(float(torch.tensor(hit["query_map"]).sum()), abs=1e-6)
        assert not torch.tensor(hit["query_map"])[weights == 0].any()
