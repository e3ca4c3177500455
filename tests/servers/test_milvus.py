"""The shared store on a real Milvus server (2.3.5, from PyPI), and what is said when there is none."""

import importlib
import os
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack, suppress
from pathlib import Path

import numpy as np
import pytest

import model_zoo
from simvis_core import open_picture
from simvis_core.errors import SimvisError
from simvis_core.galleries.classes import class_map, class_members
from simvis_core.galleries.gallery import open_gallery
from simvis_core.galleries.indexing import index_pictures
from simvis_core.galleries.regions import Box, Point, region_weights
from simvis_core.galleries.search import embedding_of
from simvis_core.pictures.listing import listed
from simvis_core.stores.check import CHECKS, GALLERY
from simvis_core.stores.contract import Row, Space, copied
from simvis_core.stores.edge import EdgeIndex
from simvis_core.stores.milvus import MOST_IN_ANSWER, MilvusIndex
from simvis_core.stores.opening import open_index
from tests.simvis_core.stores.test_contract import SPACE, facts, rows, shares_of_the_cosine

pytestmark = pytest.mark.slow  # it starts a server, and most that it holds is held of every store elsewhere

LOCALHOST = "127.0.0.1"
PICTURES = Path(__file__).parents[2] / "sample_data" / "pictures"
KINDS = {"exact": 10**6, "graph": 1000}  # rows from which a graph is built
STARTED = 120  # seconds that a server may take
# It looks only each second whether a collection is loaded, and each half minute whether a node is gone.
OFTEN = {
    "QUERYCOORD_CHECKSEGMENTINTERVAL": "100",
    "QUERYCOORD_CHECKCHANNELINTERVAL": "100",
    "QUERYCOORD_DISTPULLINTERVAL": "100",
    "QUERYCOORD_CHECKEXECUTEDFLAGINTERVAL": "100",
    "QUERYCOORD_UPDATECOLLECTIONLOADSTATUSINTERVAL": "1",
    "COMMON_SESSION_TTL": "5",
}


def package(name):
    try:
        return importlib.import_module(name)
    except ImportError:
        if os.environ.get("SIMVIS_REQUIRE_BROWSER") == "1":
            pytest.fail(f"SIMVIS_REQUIRE_BROWSER is 1, but the package {name} is missing")
        return pytest.skip(f"no package {name}: pip install -r requirements-dev.txt")


def free_ports(number):
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(number)]
        for each in sockets:
            each.bind((LOCALHOST, 0))
        return [each.getsockname()[1] for each in sockets]


class Server:
    """A standalone Milvus in a folder. Its own launcher cannot start it a second time on the same port."""

    def __init__(self, folder):
        launcher = package("milvus")
        self.folder, self.process = Path(folder), None
        config = launcher.MilvusServerConfig(data_dir=str(folder))
        names = [name for name in config.configurable_items if name.endswith("_port")]
        self.health, *ports = free_ports(len(names) + 1)
        config.update(**dict(zip(names, ports, strict=True)))
        config.resolve()
        launcher._initialize_data_files(str(folder))
        self.url = f"http://{LOCALHOST}:{config.get('proxy_port')}"

    def start(self):
        env = {
            "DEPLOY_MODE": "STANDALONE",
            "METRICS_PORT": str(self.health),
            "MILVUS_RUN_DIR": str(self.folder / "run"),
            "LD_LIBRARY_PATH": str(self.folder / "bin"),
        }
        with (self.folder / "server.log").open("wb") as log:
            self.process = subprocess.Popen(
                [self.folder / "bin" / "milvus", "run", "standalone"],
                cwd=self.folder,
                env=os.environ | env | OFTEN,
                stdout=log,
                stderr=log,
            )
        until = time.monotonic() + STARTED
        while not self.healthy():
            if self.process.poll() is not None or time.monotonic() > until:
                said = (self.folder / "server.log").read_text(errors="replace")[-2000:]
                pytest.fail(f"the Milvus server does not start: {said}")
            time.sleep(0.2)

    def healthy(self):
        try:
            with urllib.request.urlopen(f"http://{LOCALHOST}:{self.health}/healthz", timeout=5) as answer:
                return b"OK" in answer.read()
        except OSError:
            return False

    def stop(self):
        if self.process is not None:
            self.process.kill()  # it takes longer than 5 s to go when asked, and the folder goes with it
            self.process.wait()
            Path(f"/tmp/milvus/server_id_{self.process.pid}").unlink(missing_ok=True)  # all that it leaves elsewhere


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    package("pymilvus")
    server = Server(tmp_path_factory.mktemp("milvus"))
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="module")
def contract(server):
    """Every check, of rows compared one by one and of a graph, in threads while the tests before theirs run.

    The server's waiting is most of their time, and threads are a law too.
    """
    indexes = {kind: MilvusIndex(server.url, exact_below=most, timeout=30) for kind, most in KINDS.items()}
    with ThreadPoolExecutor(8) as threads:
        yield {
            (kind, name): threads.submit(check, index)
            for name, check in CHECKS.items()
            for kind, index in indexes.items()
        }
    left = [space for space in indexes["exact"].spaces() if space.gallery == GALLERY]
    for index in indexes.values():
        index.close()
    assert left == []


@pytest.fixture(scope="module")
def index(server, contract):
    index = MilvusIndex(server.url)
    yield index
    index.close()


@pytest.fixture
def space(index, request):
    space = Space(request.node.name, "tiny", "avg", 8, "abc")
    yield space
    index.drop(space)


@pytest.fixture(scope="module")
def shared(index):
    """One space for all tests that need not be alone: the server takes seconds to make one."""
    space = Space("shared", "tiny", "avg", 8, "abc")
    index.ensure(space)
    return space


def index_type(index, space):
    return index._client.describe_index(space.name, "embedding", timeout=5)["index_type"]


def test_a_graph_is_built_once_there_are_enough_rows(server, space):
    index = MilvusIndex(server.url, exact_below=1100)
    index.upsert(space, rows(1050, space))
    index.settle(space)
    assert index_type(index, space) == "FLAT"
    index.upsert(space, rows(100, space, start=1050))
    index.settle(space)
    assert index_type(index, space) == "HNSW"
    index.settle(space)
    index.upsert(space, rows(200, space, start=1150, label="few"))
    hits = index.search(space, np.ones(8, np.float32), 100, labels=["few"])  # within a label a graph misses some
    assert len({hit.row.id for hit in hits}) > 90
    assert {hit.row.label for hit in hits} == {"few"}
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    sought = rows(100, space, start=1050)[7]
    assert index.search(space, sought.embedding, 1)[0].row.id == sought.id
    assert index.count(space) == 1350
    index.close()


def test_every_row_is_read_and_counted_above_the_limit_of_one_answer(index, space):
    number = MOST_IN_ANSWER + 4000
    sent = [
        Row(f"{(at * 2654435761) % 2**32:08x}".ljust(64, "0"), f"{at}.jpg", "ab"[at % 2], row.embedding)
        for at, row in enumerate(rows(number, space))
    ]
    index.upsert(space, sent[:9000])
    index._client.flush(space.name, timeout=60)  # so that they lie in more than one segment
    index.upsert(space, sent[8000:])
    assert index.count(space) == number
    assert index.labels(space) == {"a": number // 2, "b": number // 2}
    assert sorted(row.id for row in index.scan(space)) == sorted(row.id for row in sent)
    some = [row.id for row in sent[::13]]
    assert sorted(row.id for row in index.scan(space, some)) == sorted(some)
    read = {row.id: row.embedding for row in index.scan(space, embeddings=True)}
    assert all(np.allclose(read[row.id], row.embedding, atol=1e-6) for row in sent)
    index.delete(space, [row.id for row in sent[:10000]])
    assert index.count(space) == number - 10000


def test_ids_that_begin_alike_are_all_read(index, space, contract, monkeypatch):
    wait(contract.values())  # the checks run beside the tests, and must not meet this limit
    monkeypatch.setattr("simvis_core.stores.milvus.MOST_IN_ANSWER", 16)  # every id begins with 24 zeros
    index.upsert(space, rows(40, space))
    assert len(list(index.scan(space))) == 40


def test_ranks_below_the_limit_are_refused(index):
    with pytest.raises(
        SimvisError, match=f"k \\+ skip = {MOST_IN_ANSWER + 1} hits; wanted at most {MOST_IN_ANSWER}, Milvus' limit"
    ):
        index.search(SPACE, np.ones(8, np.float32), MOST_IN_ANSWER, skip=1)


@pytest.mark.parametrize(
    ("field", "text", "told"),
    [
        ("label", "é" * 600, "a label of 1200 bytes .*; wanted at most 1024 bytes of UTF-8 on a Milvus server"),
        ("file", "f" * 5000, "a file of 5000 bytes .*; wanted at most 4096 bytes"),
        ("file", "caf\udce9.jpg", r"the file 'caf\\udce9.jpg'; wanted a text that UTF-8 can write: rename it"),
    ],
)
def test_texts_that_milvus_cannot_keep_are_told(index, shared, field, text, told):
    row = rows(1, shared)[0]
    before = index.count(shared)
    with pytest.raises(SimvisError, match=told):
        index.upsert(shared, [Row(row.sha256, **({"file": "f", "label": ""} | {field: text}), embedding=row.embedding)])
    assert index.count(shared) == before


def test_a_label_and_a_file_of_full_length_are_kept(index, shared):
    row = rows(1, shared)[0]
    index.upsert(shared, [Row(row.sha256, "/" * 4096, "é" * 512, row.embedding)])
    (kept,) = index.scan(shared, [row.id])
    assert (kept.file, kept.label) == ("/" * 4096, "é" * 512)
    assert [hit.row.id for hit in index.search(shared, row.embedding, 9, labels=["é" * 512])] == [row.id]


def test_another_client_sees_the_spaces_and_what_was_written_just_before(server, index, shared):
    index.upsert(shared, rows(5, shared, start=100, label="just now"))
    other = open_index("unused", server.url)
    assert other.labels(shared)["just now"] == 5
    assert shared in other.spaces()
    other.close()


def test_collections_of_other_programs_are_passed_over(index):
    pymilvus = package("pymilvus")
    for name, description in (("simvis_not_ours", "{}"), ("simvis_nor_this", "text"), ("theirs", "")):
        schema = pymilvus.MilvusClient.create_schema(description=description)
        schema.add_field("id", pymilvus.DataType.INT64, is_primary=True)
        schema.add_field("embedding", pymilvus.DataType.FLOAT_VECTOR, dim=8)
        index._client.create_collection(name, schema=schema, timeout=10)
    assert {space.name for space in index.spaces()}.isdisjoint({"simvis_not_ours", "simvis_nor_this", "theirs"})
    for name in ("simvis_not_ours", "simvis_nor_this", "theirs"):
        index._client.drop_collection(name, timeout=10)


def test_a_space_that_is_dropped_while_the_list_is_made_is_passed_over(index, shared, monkeypatch):
    listed = index._client.list_collections
    monkeypatch.setattr(index._client, "list_collections", lambda **how: [*listed(**how), "simvis_gone"])
    assert shared in index.spaces()


def test_a_space_goes_to_the_server_and_comes_back(index, space, tmp_path):
    here, back = EdgeIndex(tmp_path / "here"), EdgeIndex(tmp_path / "back")
    here.upsert(space, rows(700, space, label='say "meow"\n'))
    assert copied(here, index, space) == 700
    assert copied(index, back, space) == 700
    assert facts(back, space) == facts(here, space) == facts(index, space)
    here.close()
    back.close()


def test_scores_are_shares_of_the_cosine(index, space):
    shares_of_the_cosine(index, space)


@pytest.mark.network
def test_laws_11_and_12_on_photographs_kept_by_the_server(index, tmp_path):
    net = model_zoo.load("efficientnet_lite0")
    gallery = open_gallery("photographs", tmp_path, index, create=True)
    for name in ("taj_mahal", "eiffel_tower"):
        (tmp_path / "photographs" / name).mkdir(parents=True)
        for file in (PICTURES / name).iterdir():
            (tmp_path / "photographs" / name / file.name).symlink_to(file)
    *_, last = index_pictures(gallery, listed(tmp_path / "photographs"), [net], 224)
    assert last.added == 6
    space = gallery.space(net, 224, "whole")
    view = net.view(open_picture(PICTURES / "taj_mahal" / "taj_mahal_1.jpg"))
    picture = net.decompose(view.pixels)
    try:
        marked = [Box(0.3, 0.2, 0.4, 0.4), Box(0.0, 0.8, 1.0, 0.2, -1), Point(0.5, 0.3)]
        weights = region_weights(marked, view.size, picture.grid)
        for hit in index.search(space, picture.region_query(weights).numpy(), 6):
            [row] = index.scan(space, [hit.row.id], embeddings=True)
            map = picture.similarity_map(embedding_of(row))
            assert hit.score == pytest.approx(float((weights * map).sum()), abs=2e-5)
        everywhere = picture.region_query(region_weights([Box(0, 0, 1, 1)], view.size, picture.grid))
        both = [index.search(space, query.numpy(), 6) for query in (everywhere, picture.embedding)]
        assert [hit.row.id for hit in both[0]] == [hit.row.id for hit in both[1]]  # this network has no bias
        members = class_members(index, space, "taj_mahal")
        own = next(at for at, row in enumerate(members.rows) if row.file.endswith("taj_mahal_1.jpg"))
        total = float(class_map(picture, members.others(own)).sum()) + float(picture.bias @ members.others(own))
        assert total == pytest.approx(float(members.scores[own].sum() - 1), abs=2e-5)
    finally:
        gallery.delete()


def test_a_space_that_another_client_dropped_is_told_once(server, index, space):
    index.upsert(space, rows(2, space))
    other = MilvusIndex(server.url)
    other.drop(space)
    other.close()
    with pytest.raises(SimvisError, match="a gallery that is no longer on the Milvus server"):
        index.count(space)
    assert index.count(space) == 0


def test_readers_and_a_writer_share_one_client(index, space):
    index.upsert(space, rows(50, space))
    done, found = threading.Event(), []

    def read():
        while not done.is_set():
            found.append(len(index.search(space, np.ones(8, np.float32), 50)))

    with ThreadPoolExecutor(3) as threads:
        readers = [threads.submit(read) for _ in range(3)]
        try:
            for start in range(50, 550, 50):
                index.upsert(space, rows(50, space, start=start))
        finally:
            done.set()
        for reader in readers:
            reader.result()
    assert set(found) == {50}
    assert index.count(space) == 550


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("auth check failure, please check api key", "lets nobody in without the right token"),
        ("disk quota exceeded", "'disk quota exceeded' from the Milvus server at http://127.0.0.1:"),
    ],
)
def test_a_server_that_refuses_is_told(index, shared, monkeypatch, said, told):
    def refuse(*_, **__):
        raise package("pymilvus").MilvusException(65535, said)

    index.ensure(shared)
    monkeypatch.setattr(index._client, "search", refuse)
    with pytest.raises(SimvisError, match=told):
        index.search(shared, np.ones(8, np.float32), 1)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", CHECKS)
def test_a_milvus_server_passes_every_check(kind, name, contract):
    contract[kind, name].result()


def test_a_server_that_went_is_told_at_once_and_found_again_when_it_is_back(server, space, contract):
    wait(contract.values())
    index = MilvusIndex(server.url, timeout=3)
    index.upsert(space, rows(20, space))
    server.stop()
    start = time.monotonic()
    for _ in range(3):
        with pytest.raises(SimvisError, match=r"no connection to a Milvus server at .*; wanted a running server"):
            index.count(space)
    assert time.monotonic() - start < 2 * 3
    server.start()
    until = time.monotonic() + STARTED
    count = None
    while count is None and time.monotonic() < until:
        with suppress(SimvisError):  # it is healthy before it has loaded its collections
            count = index.count(space)
    assert count == 20
    index.close()


def test_a_closed_port_is_told_within_the_timeout():
    package("pymilvus")
    (port,) = free_ports(1)
    start = time.monotonic()
    told = f"no connection to a Milvus server at http://{LOCALHOST}:{port} within 2 seconds (Connection refused)"
    with pytest.raises(SimvisError, match=re.escape(told)) as error:
        MilvusIndex(f"http://somebody:secret@{LOCALHOST}:{port}/db", timeout=2)
    assert time.monotonic() - start < 4
    assert "secret" not in str(error.value)


def test_a_server_that_never_answers_is_told_within_the_timeout():
    package("pymilvus")
    with socket.socket() as silent:
        silent.bind((LOCALHOST, 0))
        silent.listen()
        start = time.monotonic()
        with pytest.raises(SimvisError, match=r"no connection to a Milvus server at .* within 1 seconds"):
            MilvusIndex(f"http://{LOCALHOST}:{silent.getsockname()[1]}", timeout=1)
        assert time.monotonic() - start < 3


@pytest.mark.parametrize("url", ["localhost:19530", "galleries.db", "http://", "http://host:99999", "ftp://host:1"])
def test_an_address_that_is_none_is_told(url):
    with pytest.raises(SimvisError, match=f"Got '{url}' as the address of a Milvus server; wanted http://host:port"):
        MilvusIndex(url)


def test_a_missing_package_is_told_with_the_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "pymilvus", None)
    with pytest.raises(SimvisError, match=r"no package pymilvus; .*: pip install -r requirements-milvus.txt"):
        MilvusIndex("http://localhost:19530")
