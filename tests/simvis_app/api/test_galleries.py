"""The galleries' API twins, as functions and as a program calls them: strict JSON, and sentences for mistakes."""

import asyncio
import html
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import gradio as gr
import httpx
import pytest
import torch
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from model_zoo.attributes import fitted
from simvis_app.api.galleries import add_gallery_api
from simvis_app.service.attributes.hits import AttributeWish
from simvis_app.service.galleries.answers import class_sheet, search_json, search_sheet
from simvis_app.service.galleries.asking import regions_on
from simvis_app.service.galleries.galleries import SAMPLES, Asked, Galleries
from simvis_app.service.marks import MOST_REGIONS
from simvis_app.service.sessions.budget import Budget
from simvis_app.service.sessions.depths import DepthAsked
from simvis_core.galleries.regions import box_on, point_on, region_weights
from simvis_core.stores.edge import EdgeIndex
from tests.simvis_app.attribute_cases import SETTINGS, known
from tests.simvis_app.conftest import BLACK_BOX, CLASSES, NETWORK, PLAIN, TinySession, indexed
from tests.twins import TWINS

ROOT = Path(__file__).parents[3]
PIXELS = [{"box": [4, 3, 18, 12]}, {"point": [30, 20], "sign": -1}]


def registered(galleries, budget=Budget()):  # noqa: B008 - it never changes
    with gr.Blocks(analytics_enabled=False) as app:
        add_gallery_api(galleries, budget)
    return {function.api_name: function.fn for function in app.fns.values()}


async def served_by(galleries):
    return registered(galleries)


@pytest.fixture(scope="session")
def endpoints(library):
    return asyncio.run(served_by(library))


@pytest.fixture(scope="session")
def query(photos):
    return str(photos / "bee" / "bee_0.png")


def search(endpoints, query, **changes):
    asked = {"gallery": "animals", "network": NETWORK, "pooling": "", "regions": None, "labels": None, "k": 20.0}
    rest = {"skip": 0.0, "exact": False, "attribute": "", "use": "filter", "layer": "", "rule": "", "reference": ""}
    return endpoints["search"](query, *({**asked, **rest} | changes).values())


def strict(answer):
    """The answer after a trip through JSON that knows no NaN."""
    return json.loads(json.dumps(answer, allow_nan=False))


def test_every_endpoint_says_what_it_does(endpoints):
    assert set(endpoints) == {"search", "classes", "curves"}
    assert all(function.__doc__ for function in endpoints.values())


# Searching


def test_a_search_is_what_the_galleries_find(endpoints, library, space, query):
    answer = strict(search(endpoints, query))
    found = library.search(Asked(query, "animals", space.name), 20)
    assert answer == strict(search_json(found, paths=False))
    assert str(Path(query).parent) not in str(answer)  # strangers learn no folders
    assert [hit["id"] for hit in answer["hits"]] == [one.row.id for one in found.found]
    assert [hit["rank"] for hit in answer["hits"]] == list(range(1, 12))
    assert (answer["total"], answer["query"]["region_weights"], answer["query"]["grid"]) == (11, None, [4, 6])
    assert answer["space"]["fingerprint"] == space.fingerprint
    for hit in answer["hits"]:
        assert len(hit["query_map"]) == 4
        assert len(hit["query_map"][0]) == 6
        assert hit["stale"] is None


def test_regions_in_pixels_share_out_the_score(endpoints, library, space, query):
    answer = strict(search(endpoints, query, regions=PIXELS))
    view = library.picture(query, space).view
    regions = (box_on(view, 4, 3, 18, 12), point_on(view, 30, 20, -1))
    weights = torch.tensor(answer["query"]["region_weights"], dtype=torch.float64)
    assert torch.allclose(weights, region_weights(regions, view.size, (4, 6)))
    for hit in answer["hits"]:
        map = torch.tensor(hit["query_map"], dtype=torch.float64)
        assert hit["score"] == pytest.approx(float(map.sum()), abs=1e-6)
        assert not map[weights == 0].any()
    assert [hit["score"] for hit in answer["hits"]] == sorted((hit["score"] for hit in answer["hits"]), reverse=True)


def test_labels_k_and_skip(endpoints, query):
    long = search(endpoints, query)["hits"]
    page = search(endpoints, query, k=3.0, skip=4.0)
    assert [hit["rank"] for hit in page["hits"]] == [5, 6, 7]
    assert page["hits"] == long[4:7]
    cats = search(endpoints, query, labels=["cat", "cat"])
    assert (cats["total"], {hit["label"] for hit in cats["hits"]}) == (3, {"cat"})


def test_every_picture_is_compared_where_it_is_asked_for(endpoints, query, library, monkeypatch):
    assert search(endpoints, query)["every_row_compared"] is True
    monkeypatch.setattr(library.index, "exact_below", 12)
    assert search(endpoints, query)["every_row_compared"] is False
    assert search(endpoints, query, exact=True)["every_row_compared"] is True


@pytest.mark.parametrize("empty", [None, [], ""])
def test_fields_left_empty_mean_anything(endpoints, query, empty):
    first = search(endpoints, query)
    assert search(endpoints, query, regions=empty, labels=empty, pooling="") == first
    anything = search(endpoints, query, network=empty or "", pooling=empty or "")
    assert anything["space"]["gallery"] == "animals"


def test_a_black_box_has_no_maps(endpoints, query):
    answer = strict(search(endpoints, query, network=BLACK_BOX))
    assert (answer["query"]["method"], answer["query"]["verdict"]) == ("none", "black box")
    assert all("query_map" not in hit for hit in answer["hits"])


NAN, INF = float("nan"), float("inf")
BAD = [
    ({"k": 0.0}, "k = 0 hits"),
    ({"k": 201.0}, "from 0 to 200"),
    ({"k": 2.5}, "k = 2.5"),
    ({"k": None}, "k = None"),
    ({"k": NAN}, "k = nan"),
    ({"skip": -1.0}, "skip = -1"),
    ({"skip": INF}, "skip = inf"),
    ({"gallery": "nosuchgallery"}, "one that is there"),
    ({"gallery": "../../etc"}, "one that is there"),
    ({"gallery": "a\nb"}, "the gallery name"),
    ({"gallery": SAMPLES}, "which was indexed with nothing"),
    ({"gallery": None}, "gallery 'samples'"),
    ({"network": "nosuchnet"}, rf"indexed with .*{NETWORK} \(avg\).*wanted nosuchnet"),
    ({"pooling": "max"}, r"wanted mobilenet_v2 \(max\)"),
    ({"pooling": "nosuchpooling"}, "nosuchpooling"),
    ({"network": BLACK_BOX, "regions": PIXELS}, "a black box"),
    ({"regions": "everywhere"}, "the regions 'everywhere'"),
    ({"regions": {"box": [0, 0, 9, 9]}}, "the regions {'box': "),
    ({"regions": {}}, "the regions {}"),
    ({"regions": False}, "the regions False"),
    ({"regions": [{"point": [0, 0], "box": [0, 0, 9, 9]}]}, "the region"),
    ({"regions": [{"box": [0, 0, 9, 9], "kind": "brush"}]}, "the region"),
    ({"labels": "cat"}, "the labels 'cat'; wanted a list"),
    ({"labels": {"cat": 1}}, "the labels {'cat': 1}"),
    ({"labels": [1]}, "the label 1; wanted a text"),
    ({"labels": [None]}, "the label None"),
    ({"labels": ["x"] * 1001}, "1001 labels"),
    ({"regions": [{"point": [0, 0]}] * 33}, "33 regions"),
    ({"regions": [None]}, "the region None"),
    ({"regions": [[0, 0, 9, 9]]}, "the region"),
    ({"regions": [{}]}, "the region"),
    ({"regions": [{"box": [0, 0, 9]}]}, "the region"),
    ({"regions": [{"box": [0, 0, 9, "9"]}]}, "the region"),
    ({"regions": [{"box": [0, 0, 9, True]}]}, "the region"),
    ({"regions": [{"box": [0, 0, 9, 9], "sign": 2}]}, "the region"),
    ({"regions": [{"box": [0, 0, 9, 9], "sign": True}]}, "the region"),
    ({"regions": [{"box": [0, 0, 9, 9], "sign": []}]}, "the region"),
    ({"regions": [{"box": [0, 0, NAN, 9]}]}, "the region"),
    ({"regions": [{"box": [0, 0, INF, 9]}]}, "the region"),
    ({"regions": [{"box": [0, 0, 10**400, 9]}]}, "the region"),
    ({"regions": [{"box": [0, 0, 0, 0]}]}, "a box of 0 x 0 pixels"),
    ({"regions": [{"box": [0, 0, -5, 9]}]}, "a box of -5 x 9 pixels"),
    ({"regions": [{"box": [100, 100, 5, 5]}]}, "outside what the network sees"),
    ({"regions": [{"point": [36, 0]}]}, "outside what the network sees"),
    ({"regions": [{"point": [NAN, 0]}]}, "the region"),
    ({"regions": [{"box": [0, 0, 9, 9]}, {"box": [0, 0, 9, 9], "sign": -1}]}, "cancelling out"),
    ({"regions": [{"point": [1, 1]}] * (MOST_REGIONS + 1)}, "33 regions; wanted at most 32"),
]


@pytest.mark.parametrize(("changes", "reason"), BAD)
def test_a_mistake_is_a_sentence(endpoints, query, changes, reason):
    with pytest.raises(gr.Error, match=reason) as caught:
        search(endpoints, query, **changes)
    assert caught.value.print_exception is False


def test_a_file_that_is_no_picture_is_a_sentence(endpoints, tmp_path):
    (tmp_path / "x.png").write_bytes(b"text")
    with pytest.raises(gr.Error, match="not a picture"):
        search(endpoints, str(tmp_path / "x.png"))
    with pytest.raises(gr.Error, match="not a picture"):
        endpoints["classes"](str(tmp_path / "x.png"), "animals", NETWORK, "", "")
    for nothing in (None, ""):
        with pytest.raises(gr.Error, match="send image"):
            search(endpoints, nothing)


def test_one_pooling_is_found_by_any_spelling_of_it(shelf, own_photos, built):
    indexed(shelf, "animals", own_photos, replace(PLAIN, pooling="gem"))
    ask = built(lambda: registered(shelf))
    for spelling in ("gem", "gem:3", "gem:3.0"):
        answer = search(ask, str(own_photos / "bee" / "bee_0.png"), pooling=spelling)
        assert answer["space"]["pooling"] == "gem:3"


def test_a_locked_gallery_is_a_sentence(shelf, own_photos, built):
    [space] = shelf.spaces("animals")
    shelf.close()
    other, late = EdgeIndex(shelf.home / "index"), Galleries(TinySession(), shelf.home)
    other.ensure(space)
    with pytest.raises(gr.Error, match="another process holds open"):
        search(built(lambda: registered(late)), str(own_photos / "bee" / "bee_0.png"))
    other.close()
    late.close()


# Classes and curves


def test_classes_as_json(endpoints, library, space):
    answer = strict(endpoints["classes"](None, "animals", NETWORK, "", ""))
    assert answer["classes"] == [{"label": label, "pictures": 3} for label in CLASSES]
    assert torch.allclose(torch.tensor(answer["scores"]), library.means(space).scores, atol=1e-6)


def test_a_class_of_one_has_null_for_its_score_with_itself(shelf, own_photos, built):
    for at in (0, 1):
        (own_photos / "cat" / f"cat_{at}.png").unlink()
    indexed(shelf, "fewer", own_photos)
    answer = strict(built(lambda: registered(shelf))["classes"](None, "fewer", "", "", ""))
    at = [one["label"] for one in answer["classes"]].index("cat")
    assert [line[at] is None for line in answer["scores"]] == [label == "cat" for label in CLASSES]


def test_a_class_as_json(endpoints, library, space):
    answer = strict(endpoints["classes"]("", "animals", NETWORK, "", "cat"))
    members = library.members(space, "cat")
    assert [member["id"] for member in answer["members"]] == [row.id for row in members.rows]
    for at, member in enumerate(answer["members"]):
        others = [score for to, score in enumerate(answer["scores"][at]) if to != at]
        assert member["typicality"] == pytest.approx(sum(others) / 2, abs=1e-6)
    with pytest.raises(gr.Error, match="class 'gone'"):
        endpoints["classes"](None, "animals", NETWORK, "", "gone")


def test_the_nearest_classes_as_json(endpoints, library, space, query):
    answer = strict(endpoints["classes"](query, "animals", NETWORK, "", ""))
    means = library.means_for(library.picture(query, space), space)
    assert len(answer["nearest"]) == 4
    scores = [one["mean_score"] for one in answer["nearest"]]
    assert scores == sorted(scores, reverse=True)
    own = library.picture(query, space).decomposition
    bias = float(own.bias @ means.means[means.labels.index(answer["nearest"][0]["label"])])
    assert sum(map(sum, answer["map"])) + bias == pytest.approx(scores[0], abs=1e-5)
    assert strict(endpoints["classes"](query, "animals", BLACK_BOX, "", ""))["map"] is None


def test_curves_as_json(endpoints):
    answer = strict(endpoints["curves"]("animals", NETWORK, "", 50.0, 0.0))
    assert set(answer) == {"same class", "different classes"}
    assert answer["same class"]["pairs"] + answer["same class"]["left_out"] == 12
    for curve in answer.values():
        assert curve["features"][-1] == 9
        assert curve["mean"][-1] == pytest.approx(1, abs=1e-6)
    assert strict(endpoints["curves"]("animals", NETWORK, "", 50.0, 0.0)) == answer
    for pairs, seed, reason in (
        (0.0, 0.0, "0 pairs"),
        (1e9, 0.0, "pairs = "),
        (NAN, 0.0, "pairs = "),
        (5.0, 0.5, "seed"),
    ):
        with pytest.raises(gr.Error, match=reason):
            endpoints["curves"]("animals", NETWORK, "", pairs, seed)


def test_hits_by_an_attribute_as_json(photos, tmp_path, monkeypatch):
    monkeypatch.setattr(fitted, "attributes_of", lambda name, network: known())
    shelf = Galleries(TinySession(), tmp_path / "home")
    space, image = indexed(shelf, "animals", photos, SETTINGS), str(photos / "bee" / "bee_0.png")
    served = asyncio.run(served_by(shelf))
    place = {"network": SETTINGS.backbone, "attribute": "arch"}
    kept, ranked = (strict(search(served, image, **place, use=use)) for use in ("filter", "rerank"))
    wish = AttributeWish("arch", "rerank")
    assert ranked == strict(
        search_json(shelf.search(Asked(image, "animals", space.name, attribute=wish), 20), paths=False)
    )
    assert 0 < len(kept["hits"]) == kept["total"] == kept["attribute"]["showing"] < ranked["total"] == 11
    assert {hit["id"] for hit in kept["hits"]} == {hit["id"] for hit in ranked["hits"] if hit["confidence"] > 1.5}
    for changes, reason in (
        ({"attribute": "acrh"}, "the attribute 'acrh'; wanted one of 3 \\('arch'"),
        ({"use": "sort"}, "the use 'sort' of an attribute; wanted filter or rerank"),
        ({"use": None, "attribute": None, "k": 0.0}, "k = 0 hits"),
    ):
        with pytest.raises(gr.Error, match=reason):
            search(served, image, **place | changes)
    shelf.close()


def test_a_network_without_attributes_is_told(endpoints, query):
    with pytest.raises(gr.Error, match=f"attributes of {NETWORK}; wanted a network that kept its ImageNet classifier"):
        search(endpoints, query, attribute="arch")


# Contact sheets


def test_a_search_as_a_sheet_names_everything_as_text(shelf, own_photos, tmp_path):
    hostile = own_photos / "<b>cat"
    (own_photos / "cat").rename(hostile)
    (hostile / "cat_0.png").rename(hostile / "<img src=x onerror=alert(1)>.png")
    space = indexed(shelf, "<i>mine", own_photos)
    query = str(own_photos / "ape" / "ape_0.png")
    (own_photos / "bee" / "bee_0.png").unlink()
    regions = regions_on(shelf, query, space, PIXELS)
    page = search_sheet(shelf, shelf.search(Asked(query, "<i>mine", space.name, regions), 20)).decode()
    assert page.count("<figure>") == 12
    assert page.count("data:image/jpeg") == 11
    assert "This picture is gone." in page
    assert "cannot be opened" in page
    for markup in ("<img src=x", "<b>cat", "<i>mine"):
        assert markup not in page
        assert html.escape(markup) in page
    sheet = class_sheet(shelf, space, "<b>cat").decode()
    assert sheet.count("<figure>") == 3
    assert "<b>cat" not in sheet


def test_a_black_box_has_sheets_without_colours(library, black, query):
    page = search_sheet(library, library.search(Asked(query, "animals", black.name), 5)).decode()
    assert page.count("<figure>") == 6
    assert class_sheet(library, black, "cat").decode().count("<figure>") == 3


# As a program calls it


SERVER = """
import sys, time
from pathlib import Path
from tests.simvis_app.conftest import TinySession, indexed
from simvis_app.page import build_app
from simvis_app.service.galleries.galleries import Galleries
home, photos = map(Path, sys.argv[1:])
galleries = Galleries(TinySession(), home / "galleries")
indexed(galleries, "animals", photos)
app = build_app(galleries.session, home / "links", galleries)
_, address, _ = app.queue().launch(prevent_thread_lock=True, quiet=True, ssr_mode=False)
print(address, flush=True)
time.sleep(300)
"""


@pytest.fixture(scope="module")
def client(photos, tmp_path_factory):
    """A client of the whole app, in a process of its own: in this one gradio leaves event loops open."""
    home = tmp_path_factory.mktemp("served")
    environment = os.environ | {"GRADIO_TEMP_DIR": str(home / "gradio"), "GRADIO_ANALYTICS_ENABLED": "False"}
    command = [sys.executable, "-c", SERVER, str(home), str(photos)]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as server:
        try:
            connected = Client(server.stdout.readline().strip(), verbose=False)
            yield connected
            connected.close()
        finally:
            server.terminate()


@pytest.mark.slow
def test_a_program_gets_the_same_numbers(client, library, space, query):
    described = client.view_api(return_format="dict", print_info=False)
    assert set(described["named_endpoints"]) == TWINS
    asked = {"gallery": "animals", "network": NETWORK, "pooling": "avg"}
    answer = client.predict(handle_file(query), **asked, regions=PIXELS, k=5, api_name="/search")
    regions = regions_on(library, query, space, PIXELS)
    assert answer == strict(search_json(library.search(Asked(query, "animals", space.name, regions), 5), paths=False))
    assert client.predict(handle_file(query), **asked, k=5, exact=True, api_name="/search")["every_row_compared"]
    classes = client.predict(handle_file(query), **asked, api_name="/classes")
    assert len(classes["nearest"]) == 4
    assert client.predict(**asked, label="cat", api_name="/classes")["label"] == "cat"
    curves = client.predict(**asked, pairs=20, api_name="/curves")
    assert set(curves) == {"same class", "different classes"}


@pytest.mark.slow
def test_a_program_s_mistakes_are_told(client, query):
    asked = {"gallery": "animals", "network": NETWORK, "api_name": "/search"}
    for changes, reason in (
        ({"k": 0}, "k = 0 hits"),
        ({"regions": [{"box": [0, 0, 0, 0]}]}, "a box of 0 x 0"),
        ({"gallery": "../.."}, "one that is there"),
    ):
        with pytest.raises(AppError, match=reason):
            client.predict(handle_file(query), **asked | changes)


@pytest.mark.slow
def test_files_of_the_server_cannot_be_named(client, query, photos):
    """As a hand-made request names them: the client itself would upload a file of this machine."""
    name = handle_file(query) | {"path": str(photos / "cat" / "cat_0.png")}
    for function, data in (
        ("search", [name, "animals", NETWORK, "", None, None, 20, 0]),
        ("classes", [name, "animals", NETWORK, "", ""]),
    ):
        address = f"{client.src.rstrip('/')}/gradio_api/call/{function}"
        event = httpx.post(address, json={"data": data}).json()["event_id"]
        said = httpx.get(f"{address}/{event}").text
        assert said.startswith("event: error")
        assert "sha256" not in said


# At a depth


def test_a_search_at_a_layer_ranks_by_what_its_fine_cells_carry(endpoints, query, library, space):
    plain = search(endpoints, query, regions=PIXELS)
    fine = search(endpoints, query, regions=PIXELS, layer="1", rule="path", reference="mean")
    asked = Asked(query, "animals", space.name, regions_on(library, query, space, PIXELS))
    answer = library.search(replace(asked, depth=DepthAsked("1", "path", "mean")), 20)
    assert fine == search_json(answer, paths=False)
    assert fine["query"]["grid"] == [2 * side for side in plain["query"]["grid"]]
    assert fine["query"]["depth"]["reference"] == "mean"
    assert plain["query"]["depth"] is None
    assert [hit["cosine"] for hit in sorted(fine["hits"], key=lambda hit: hit["id"])] == [
        hit["cosine"] for hit in sorted(plain["hits"], key=lambda hit: hit["id"])
    ]
    for hit in fine["hits"]:
        assert sum(map(sum, hit["query_map"])) == pytest.approx(hit["score"], abs=1e-5)


def test_the_classes_of_a_picture_are_mapped_at_a_layer(endpoints, query):
    plain = endpoints["classes"](query, "animals", NETWORK)
    fine = endpoints["classes"](query, "animals", NETWORK, layer="1")
    assert fine["nearest"] == plain["nearest"]
    assert len(fine["map"]) == 2 * len(plain["map"])
    assert (fine["depth"]["layer"], fine["depth"]["rule"], plain["depth"]) == ("1", "frozen", None)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"layer": "nowhere"}, "which the network does not have"),
        ({"rule": "path"}, "name the layer"),
        ({"layer": "1", "rule": "straight"}, "one of frozen, path"),
        ({"layer": "1", "reference": "mean"}, "give the rule path with it"),
    ],
)
def test_a_depth_that_cannot_be_is_a_sentence(endpoints, query, wrong, said):
    with pytest.raises(gr.Error, match=said):
        search(endpoints, query, **wrong)
    with pytest.raises(gr.Error, match=said):
        endpoints["classes"](query, "animals", NETWORK, **wrong)


def test_maps_of_more_passes_than_one_answer_may_take_are_refused_before_any_work(library, query, monkeypatch):
    async def few():
        return registered(library, Budget(100))

    asked = asyncio.run(few())
    assert len(search(asked, query, layer="1", k=20.0)["hits"]) == 11
    monkeypatch.setattr(library, "search", None)
    with pytest.raises(gr.Error, match="20 maps at a layer by the rule path"):
        search(asked, query, layer="1", rule="path", k=20.0)
