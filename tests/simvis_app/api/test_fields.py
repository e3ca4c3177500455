"""What programs send wrongly, to every endpoint: a sentence of got, wanted and cure; no null, path or traceback."""

import asyncio
import json
from pathlib import Path

import gradio as gr
import pytest
from gradio.routes import App
from starlette.testclient import TestClient

from simvis_app.api.attributes import add_attributes_api
from simvis_app.api.concepts import add_concepts_api
from simvis_app.api.galleries import add_gallery_api
from simvis_app.api.pairs import add_api
from simvis_app.api.told import PictureDrop
from simvis_app.api.training import add_training_api
from simvis_app.api.trust import add_trust_api
from simvis_app.page.blocks import Page
from simvis_app.service.attributes.asking import AttributeAnswers
from simvis_app.service.series.studies import Studies
from tests.twins import TWINS

FILE = {"meta": {"_type": "gradio.FileData"}}
DEEP = {"a": [FILE | {"path": "/etc/passwd"}]}
EVERY = {"image", "gallery", "regions", "k", "exact"}  # one field of each kind meets every value, the others two
PATHS = ("/etc/passwd", "a.png", "../a", 1, None, [], "x" * 5000, "\0", "http://127.0.0.1/a.png")
# What no field of that kind takes, each with a word of the sentence.
WRONG = {
    "Textbox": [*((value, "a text") for value in (1, True, ["avg"], DEEP)), ("x" * 1001, "at most 1000")],
    "Number": [(value, "a number") for value in ("x", "1", True, [1], DEEP, float("nan"), float("inf"), 10**40, -1e16)],
    "Checkbox": [(value, "true or false") for value in (1, "true", [], DEEP)],
    "JSON": [
        *((value, "a list") for value in ("x", 1, True, {}, DEEP)),
        *(([value], "wanted") for value in (1, None, [], DEEP, {"box": DEEP}, {"sign": 1})),
        ([{"point": [0, 0]}] * 100_000, "at most"),
    ],
    "PictureDrop": [
        *((value, "no uploaded file") for value in ("x", 1, [], {}, True, DEEP, {"path": "a.png"})),
        *((FILE | {"path": path}, "no uploaded file") for path in PATHS),
    ],
}


@pytest.fixture(scope="module")
def uploads(tmp_path_factory):
    return tmp_path_factory.mktemp("uploads")


@pytest.fixture(autouse=True)
def _own_cache_folder(uploads, monkeypatch):
    """In place of another for each test: the server stays."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(uploads))


@pytest.fixture(scope="module")
def page(library):
    """Every endpoint, over tiny networks, and a function of the page's own."""

    async def built():
        with Page(analytics_enabled=False) as made:
            add_api(library.session)
            add_gallery_api(library)
            add_trust_api(library.session)
            add_training_api(Studies(library.session))
            add_attributes_api(AttributeAnswers(library.session))
            add_concepts_api(library.session)
            one, number = PictureDrop(label="one"), gr.Number()
            one.upload(lambda *values: None, [one, number], None, api_visibility="private", api_name="own")
        made.queue(api_open=True)
        made.has_launched = True  # else Gradio looks at no path
        return made, App.create_app(made)

    return asyncio.run(built())


@pytest.fixture(scope="module")
def call(page):
    """What an endpoint answers to values, by the way past the queue."""
    http = TestClient(page[1])

    def answered(name, values):
        headers = {"content-type": "application/json"}
        return http.post(f"/gradio_api/run/{name}", content=json.dumps({"data": values}), headers=headers).json()

    return answered


def told(answer):
    """A sentence of the three parts; neither null nor a traceback nor a folder of this machine."""
    sentence = answer["error"]
    assert sentence is not None
    got, wanted = sentence.split("; wanted ")
    assert got.startswith("Got ")
    assert ": " in wanted
    assert len(sentence) < 400
    assert not any(word in sentence for word in ("Traceback", "Error", str(Path.cwd())))
    return sentence


@pytest.fixture
def picture(uploads, photos):
    copy = uploads / "bee.png"
    copy.write_bytes((photos / "bee" / "bee_0.png").read_bytes())
    return FILE | {"path": str(copy)}


@pytest.fixture
def usual(page, picture):
    """The fields of an endpoint, and values that it takes as far as their kind goes."""
    functions = {function.api_name: function for function in page[0].fns.values()}

    def fields(name):
        inputs = functions[name].inputs
        return inputs, [picture if type(one) is PictureDrop else one.value for one in inputs]

    return fields


@pytest.mark.parametrize("name", sorted(name[1:] for name in TWINS))
def test_every_wrong_kind_in_every_field_is_told_before_any_work(call, usual, library, name):
    fields, values = usual(name)
    passes = library.session.forward_passes
    for at, field in enumerate(fields):
        wrong = WRONG[type(field).__name__]
        for value, word in wrong if name == "search" and field.label in EVERY else wrong[:2]:
            sentence = told(call(name, [*values[:at], value, *values[at + 1 :]]))
            assert word in sentence, (field.label, value)
            assert type(field) is not PictureDrop or "passwd" not in sentence
    for count in (0, len(values) - 1, len(values) + 1):
        sentence = told(call(name, [*values, None][:count]))
        assert f"Got {count} value" in sentence
        assert fields[-1].label in sentence
    assert library.session.forward_passes == passes


def test_a_folder_as_a_picture_does_not_tell_its_path(call, usual, uploads):
    (uploads / "inside").mkdir(exist_ok=True)
    for folder in (uploads, uploads / "inside", uploads / "gone.png"):
        _, values = usual("search")
        assert str(uploads) not in told(call("search", [FILE | {"path": str(folder)}, *values[1:]]))


@pytest.mark.parametrize(
    ("name", "at"), [("explain_pair", 0), ("explain_pair", 3), ("explain_point", 4), ("trust", 2), ("trust", 7)]
)
def test_null_is_told_where_a_value_is_needed(call, usual, name, at):
    fields, values = usual(name)
    assert f"no {fields[at].label}" in told(call(name, [*values[:at], None, *values[at + 1 :]]))


@pytest.mark.parametrize("values", [[], [FILE | {"path": "/etc/passwd"}, 1], ["x", 1], [DEEP, 1]])
def test_the_page_s_own_functions_tell_too(call, values):
    assert "reload the page" in told(call("own", values))
