"""The API as a program uses it: the same sentences, and nothing it may not read."""

import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from simvis_app.service import samples
from tests.e2e.visitor import PICTURES
from tests.twins import TWINS

pytestmark = [pytest.mark.browser, pytest.mark.network]

A, B = (PICTURES / samples.pairs()[0][side] for side in "ab")


@pytest.fixture(scope="module")
def client(server):
    connected = Client(server.address, verbose=False)
    yield connected
    connected.close()


def test_only_the_twins_can_be_called(client):
    described = client.view_api(return_format="dict", print_info=False)
    assert set(described["named_endpoints"]) == TWINS


def test_points_of_a_whole_row_add_up(client):
    """Cells of one row, plus the rest of the map, plus the bias, are the score."""
    answer = client.predict(handle_file(A), handle_file(B), api_name="/explain_pair")
    share = [
        client.predict(handle_file(A), handle_file(B), x=32 * column + 15.5, y=15.5, api_name="/explain_point")["share"]
        for column in (0, 5, 10)
    ]
    for column, value in zip((0, 5, 10), share, strict=True):
        assert value == pytest.approx(answer["map_a"][0][column], abs=1e-6)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"framing": "round"}, "framing 'round'"),
        ({"pooling": "gem:0"}, "GeM exponent"),
        ({"backbone": "resnet18"}, "cannot be downloaded"),
        ({"view_size": 225}, "choose 224"),
    ],
)
def test_a_mistake_is_told_in_a_sentence(client, changes, reason):
    with pytest.raises(AppError, match=reason):
        client.predict(handle_file(A), handle_file(B), **changes, api_name="/explain_pair")


def test_a_side_that_is_none_is_told_in_a_sentence(client):
    with pytest.raises(AppError, match="'a' or 'b'"):
        client.predict(handle_file(A), handle_file(B), side="c", api_name="/explain_point")


@pytest.mark.parametrize("path", ["/etc/passwd", str(PICTURES.parents[1] / "app.py"), "../../etc/passwd"])
def test_files_of_the_server_cannot_be_named(client, path):
    """A visitor names files that were uploaded, nothing else; the contents do not come back either."""
    with pytest.raises(Exception, match=r".") as caught:
        client.predict({"path": path, "meta": {"_type": "gradio.FileData"}}, handle_file(B), api_name="/explain_pair")
    assert "root:" not in str(caught.value)
    assert "argparse" not in str(caught.value)
