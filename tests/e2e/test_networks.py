"""Networks of one's own and black boxes: what the page says of them, and what it does while their maps are drawn."""

import re

import pytest
import timm
import torch
from playwright.sync_api import expect
from safetensors.torch import save_file
from torch import nn

from tests.e2e.conftest import Server
from tests.e2e.visitor import Visitor, profile
from tests.model_zoo.own_files import WIDTH, written

pytestmark = [pytest.mark.browser, pytest.mark.network, pytest.mark.slow]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Checkpoints with random weights, and files that are none."""
    folder = tmp_path_factory.mktemp("models")
    torch.manual_seed(31)
    save_file(timm.create_model("vit_tiny_patch16_224", depth=2).state_dict(), folder / "vit.safetensors")
    vit = timm.create_model("vit_tiny_patch16_224")
    save_file(vit.state_dict(), folder / "vit.safetensors")
    torch.save({"state_dict": timm.create_model("resnet18").state_dict()}, folder / "resnet.pth")
    written(folder, {"proj": nn.Linear(WIDTH, 8, bias=False)}, name="asks.pth")
    whole = (folder / "resnet.pth").read_bytes()
    (folder / "cut.pth").write_bytes(whole[: len(whole) // 2])
    return folder


@pytest.fixture(scope="module")
def own_server(browser, folder, tmp_path_factory):
    """A server that opens with a vision transformer and offers a folder; choosing engines took a fifth of the time."""
    options = ("--checkpoint", folder / "vit.safetensors", "--architecture", "timm/vit_tiny_patch16_224")
    running = Server(
        tmp_path_factory.mktemp("own"), *options, "--models", folder, "--model-uploads", "--engine", "eager"
    )
    try:
        running.wait()
        yield running
    finally:
        running.stop()


@pytest.fixture
def owner(own_server, _usual):
    """One who opens that server's page, and meets no error."""
    before = len(own_server.said())
    arrived = Visitor(_usual, own_server.address)
    yield arrived
    arrived.page.close()
    assert arrived.problems == []
    assert own_server.complained(before) == ""


def load(owner, file, architecture):
    """Fills the panel in and presses the button."""
    if not owner.at("#load_own").is_visible():
        owner.open("Your model")
    owner.choose("#own .wrap:has(input[aria-label='Checkpoint in this server\\'s folder'])", file)
    owner.at("#architecture textarea, #architecture input").fill(architecture)
    owner.at("#load_own").click()


def test_a_class_token_has_a_map_at_once_that_says_what_it_leaves_out(owner):
    assert owner.at("#backbone input").input_value() == "vit (timm/vit_tiny_patch16_224)"
    line = owner.text("#ledger")
    found = re.match(r"(-?\d\.\d+) in the map ([+-]) (\d\.\d+) that it leaves out = (-?\d\.\d+) ", line)
    assert found, line
    inside, sign, outside, score = found.groups()
    assert float(inside) + float(sign + outside) == pytest.approx(float(score), abs=1e-6)
    assert "black box" in line
    assert "Map by last-block values, an estimate" in line
    assert owner.at("#method").is_visible()
    owner.click_cell("a", 3, 4, (14, 21))
    assert owner.status.startswith("Pinned: cell 3,4 of A carries ")


def test_a_sliding_window_is_drawn_step_by_step_and_replaces_the_map(owner):
    owner.at("#method").get_by_text("sliding window").click()
    expect(owner.at("#progress")).to_contain_text(re.compile(r"\d+ of \d+ masked pictures"))
    expect(owner.at("#ledger")).to_contain_text("Map by a sliding window")
    expect(owner.at("#progress progress")).to_have_count(0)
    expect(owner.at("#stop")).to_have_count(0)
    owner.wait_ready()
    assert "leaves out" not in owner.text("#ledger")
    assert "fall of the score while hidden" in owner.text("#pair_viewer .bar")
    owner.click_cell("b", 1, 2, (14, 17))
    assert "hiding cell 1,2 of B lowers the score of " in owner.status
    assert owner.canvas("a").any()


def test_a_drawing_is_stopped_by_its_button_and_by_another_choice(owner):
    owner.at("#method").get_by_text("RISE").click()
    expect(owner.at("#progress")).to_contain_text("masked pictures")
    owner.at("#stop").click()
    expect(owner.page.get_by_text("Stopped. The score stands")).to_be_visible()
    expect(owner.at("#stop")).to_have_count(0)
    owner.at("#method").get_by_text("sliding window").click()
    expect(owner.at("#ledger")).to_contain_text("Map by a sliding window")
    owner.at("#method").get_by_text("RISE").click()
    expect(owner.at("#progress")).to_contain_text("masked pictures")
    owner.changing_the_score(lambda: owner.choose("#pooling", "avg"))
    expect(owner.at("#progress progress")).to_have_count(0)
    expect(owner.at("#ledger")).to_contain_text("exact: the cells add up")
    expect(owner.at("#method")).to_have_count(0)
    owner.page.wait_for_timeout(1500)
    assert "exact: the cells add up" in owner.text("#ledger")


def test_others_are_served_while_a_map_is_drawn(owner, own_server, browser):
    owner.at("#method").get_by_text("RISE").click()
    expect(owner.at("#progress")).to_contain_text("masked pictures")
    other = Visitor(profile(browser), own_server.address)
    other.changing_the_score(lambda: other.choose("#pooling", "max"))
    expect(owner.at("#progress progress")).to_have_count(1)
    other.page.close()
    assert other.problems == []
    owner.at("#stop").click()
    expect(owner.page.get_by_text("Stopped. The score stands")).to_be_visible()


def test_a_checkpoint_of_the_folder_is_loaded_and_chosen(owner):
    before = owner.text("#score .big")
    load(owner, "resnet.pth", "timm/resnet18")
    expect(owner.at("#own_report")).to_contain_text("tensors of the trunk loaded")
    owner.wait_score(before)
    assert owner.at("#backbone input").input_value() == "resnet (timm/resnet18)"
    expect(owner.at("#ledger")).to_contain_text("exact: the cells add up")
    # Search and Classes offer it for indexing, as the network in use.
    name = "resnet (timm/resnet18)"
    owner.page.get_by_role("tab", name="Search").click()
    expect(owner.at("#hits .hit").first).to_be_visible(timeout=120_000)  # the samples are indexed one run at a time
    owner.open("Index with another network")
    assert owner.at("#search_backbone input").input_value() == name
    owner.at("#search_index").click()
    expect(owner.at("#search_indexing")).to_contain_text(re.compile(r"[1-9]\d* of \d+ pictures"))
    owner.at("#search_index_stop").click()  # what was indexed until then is enough here
    expect(owner.at("#search_indexing")).to_contain_text("added")
    expect(owner.at("#search_space input")).to_have_value(re.compile("resnet"))
    owner.page.get_by_role("tab", name="Classes").click()
    expect(owner.at("#classes_space input")).to_have_value(re.compile("resnet"))
    owner.open("Index with another network")
    assert owner.at("#classes_backbone input").input_value() == name


def test_what_a_file_does_not_tell_is_asked_for_and_answered_on_the_page(owner):
    network, score = owner.at("#backbone input").input_value(), owner.text("#score .big")
    load(owner, "asks.pth", "timm/test_resnet")
    question = owner.at("#own_question_0")
    expect(question).to_contain_text("a layer of the embedding, or the class weights of a loss")
    expect(owner.at("#own_report [role=alert]")).to_contain_text("to know what the file cannot tell")
    assert (owner.at("#backbone input").input_value(), owner.text("#score .big")) == (network, score)
    owner.choose("#own_question_0", "a layer behind the pooling")
    owner.at("#load_own").click()
    expect(owner.at("#own_report")).to_contain_text("head: Linear 96 -> 8 (from proj)")
    owner.wait_score(score)
    assert owner.at("#backbone input").input_value() == "asks (timm/test_resnet)"
    expect(question.locator("input")).to_have_value("a layer behind the pooling")  # to be changed
    expect(owner.at("#own_question_1")).to_be_hidden()


REFUSED = {  # (file, architecture) and what is said of it
    ("cut.pth", "timm/resnet18"): "cut",
    ("resnet.pth", "timm/vgg11_bn"): "vgg11_bn",
    ("resnet.pth", "timm/resnet19"): "choose timm/resnet18",
    ("resnet.pth", ""): "for example timm/resnet50",
}


def test_checkpoints_that_cannot_be_used_are_told_and_the_network_stays(owner):
    network, score = owner.at("#backbone input").input_value(), owner.text("#score .big")
    for (file, architecture), said in REFUSED.items():
        load(owner, file, architecture)
        expect(owner.at("#own_report")).to_contain_text(said)
        assert "Traceback" not in owner.text("#own_report")
        assert owner.at("#backbone input").input_value() == network
        assert owner.text("#score .big") == score
    owner.changing_the_score(lambda: owner.choose("#pooling", "avg"))


def test_an_upload_may_be_larger_than_a_picture_and_the_last_choice_counts(owner, folder):
    assert (folder / "vit.safetensors").stat().st_size > 20e6
    owner.open("Your model")
    owner.at("#own input[type=file]").set_input_files(folder / "vit.safetensors")
    expect(owner.at("#own")).to_contain_text("vit.safetensors")
    owner.at("#architecture textarea, #architecture input").fill("timm/vit_tiny_patch16_224")
    owner.at("#load_own").click()
    expect(owner.at("#own_report")).to_contain_text("vit.safetensors: 150 tensors of the trunk loaded")
    before = owner.text("#score .big")
    load(owner, "resnet.pth", "timm/resnet18")
    expect(owner.at("#own_report")).to_contain_text("resnet.pth: ")
    owner.wait_score(before)


def test_an_unknown_architecture_offers_the_nearest_and_the_network_stays(owner):
    network, score = owner.at("#backbone input").input_value(), owner.text("#score .big")
    field = owner.at("#backbone input")
    field.fill("timm/resnet19")
    field.press("Enter")
    expect(owner.at("#network_notice")).to_contain_text("choose timm/resnet18")
    owner.settle()
    assert owner.at("#backbone input").input_value() == network
    assert owner.text("#score .big") == score


def test_a_loaded_checkpoint_stays_in_the_list_and_a_stopped_method_can_be_asked_for_again(owner):
    owner.at("#method").get_by_text("RISE").click()
    expect(owner.at("#progress")).to_contain_text("masked pictures")
    owner.at("#stop").click()
    expect(owner.page.get_by_text("Stopped. The score stands")).to_be_visible()
    assert owner.at("#method input:checked").get_attribute("value") == "last-block values"
    owner.at("#method").get_by_text("RISE").click()
    expect(owner.at("#progress progress")).to_have_count(1)
    owner.changing_the_score(lambda: owner.choose("#backbone", "EfficientNet-Lite0"))
    owner.changing_the_score(lambda: owner.choose("#backbone", "resnet (timm/resnet18)"))
    expect(owner.at("#method")).to_have_count(0)
