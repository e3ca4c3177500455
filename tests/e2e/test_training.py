"""The Training tab: the slider moves maps and curves without a request, Play runs, and two series stand together."""

import re

import pytest
from playwright.sync_api import expect

from tests.e2e.visitor import pixels

pytestmark = [pytest.mark.browser, pytest.mark.network]
READY = '#step_viewer .steps[data-ready="1"]'
STEP_MILLISECONDS = """async () => {
  const slider = document.querySelector("#step_viewer input[type=range]"), times = [];
  const painted = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  for (let i = 0; i < 21; i++) {
    const start = performance.now();
    slider.value = i % (Number(slider.max) + 1);
    slider.dispatchEvent(new Event("input", { bubbles: true }));
    await painted();
    times.push(performance.now() - start);
  }
  return times.sort((a, b) => a - b)[10];
}"""
MARKED = """() => [...document.querySelectorAll("#training_curves .js-plotly-plot")]
  .map((plot) => plot.layout.shapes[0].x0)"""


@pytest.fixture
def learner(visitor):
    """A visitor on the Training tab, with the first series at its last step."""
    visitor.page.get_by_role("tab", name="Training").click()
    expect(visitor.at(READY)).to_be_visible()
    return visitor


def slider(visitor):
    return visitor.page.get_by_role("slider", name="Step")


def first_map(visitor):
    return pixels(visitor.at("#step_viewer .frame.hit canvas").first)


@pytest.mark.slow
def test_the_slider_changes_hits_maps_sentence_and_curves_without_a_request(learner):
    expect(slider(learner)).to_have_attribute("aria-valuetext", "step 20 of 20")
    expect(learner.at("#training_curves .js-plotly-plot")).to_have_count(5)
    before, sentence = first_map(learner), learner.text("#step_viewer .said")
    learner.collect_garbage()  # pictures that nothing holds would be asked for again
    asked = len(learner.requests)
    slider(learner).focus()
    learner.page.keyboard.press("ArrowLeft")
    expect(slider(learner)).to_have_attribute("aria-valuetext", "step 10 of 20")
    learner.after_frames()
    assert learner.text("#step_viewer .said") != sentence
    assert (first_map(learner) != before).any()
    assert set(learner.page.evaluate(MARKED)) == {10}
    assert [url for url in learner.requests[asked:] if "/queue/" not in url] == []  # the address is asked for later
    learner.page.keyboard.press("End")
    expect(slider(learner)).to_have_attribute("aria-valuetext", "step 20 of 20")
    learner.after_frames()
    assert (first_map(learner) == before).all()
    assert learner.page.evaluate(STEP_MILLISECONDS) < 150


@pytest.mark.slow
def test_a_step_is_in_the_address_and_comes_back(learner):
    slider(learner).focus()
    learner.page.keyboard.press("Home")
    learner.page.wait_for_url(re.compile(r"step=0\b"))
    learner.reload()
    expect(learner.at(READY)).to_be_visible()
    expect(slider(learner)).to_have_attribute("aria-valuetext", "step 0 of 20")


@pytest.mark.slow
def test_play_runs_through_the_steps_and_stands_still_for_those_who_ask(visit, learner):
    button = learner.at("#step_viewer button.play")  # visitors here want no motion
    expect(button).to_have_text("Next step")
    button.click()
    expect(slider(learner)).to_have_attribute("aria-valuetext", "step 0 of 20")
    moving = visit("?tab=Training", reduced_motion="no-preference")
    expect(moving.at(READY)).to_be_visible()
    button = moving.at("#step_viewer button.play")
    expect(button).to_have_text("Play")
    button.click()
    expect(button).to_have_text("Pause")
    expect(slider(moving)).to_have_attribute("aria-valuetext", "step 10 of 20")
    expect(slider(moving)).to_have_attribute("aria-valuetext", "step 20 of 20")
    expect(button).to_have_text("Play")
    learner.page.wait_for_timeout(1500)
    expect(slider(learner)).to_have_attribute("aria-valuetext", "step 0 of 20")


@pytest.mark.slow
def test_two_series_stand_together_and_a_query_only_one_gets_right_shows_both_maps(visit, learner):
    learner.choose("#beside", "second")
    expect(learner.at("#step_viewer .track")).to_have_count(2)
    expect(learner.at("#training_right")).to_contain_text("gallery pictures is searched for")
    lists = learner.page.locator("#only_first .thumbnail-item, #only_second .thumbnail-item")
    asked = learner.text("#step_viewer .asked")
    lists.last.click()
    expect(learner.at("#step_viewer .asked")).not_to_have_text(asked)
    expect(learner.at("#step_viewer .track canvas")).to_have_count(2 * 3 * 2 + 2)
    learner.at("#training_link_button").click()
    expect(learner.at("#training_share_told .told")).to_contain_text("Link copied")
    phone = visit(
        learner.page.evaluate("navigator.clipboard.readText()").partition("/?")[2].join(["?", "&__theme=dark"]),
        viewport={"width": 390, "height": 844},
        has_touch=True,
        is_mobile=True,
    )
    expect(phone.at("#step_viewer .track")).to_have_count(2)
    assert phone.text("#step_viewer .asked") == learner.text("#step_viewer .asked")
    assert phone.page.evaluate("document.documentElement.scrollWidth") == 390


@pytest.mark.slow
def test_a_picture_of_ones_own_and_one_that_is_none(learner):
    learner.at("#subject input[type=file]").set_input_files(
        {"name": "no.jpg", "mimeType": "image/jpeg", "buffer": b"no picture"}
    )
    expect(learner.at("#training_notice")).to_contain_text("not a picture")
    expect(learner.at(READY)).to_be_visible()
