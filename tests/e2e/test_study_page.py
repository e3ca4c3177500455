"""The study's page as a reader has it: by keys and by touch, narrow and dark, with nothing asked of any network."""

import csv

import pytest
from PIL import Image

from simvis_core.attributes.judging.study_answers import read_answers, study_results
from simvis_core.attributes.judging.study_design import CONDITIONS, StudyTrial
from simvis_core.attributes.judging.study_page import TrialPictures, pages_of_study

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    words = dict.fromkeys(CONDITIONS, ("a rather long word for it", "dome"))
    words |= dict.fromkeys(CONDITIONS[:2], ("", ""))
    trials = [StudyTrial(at, at + 1, at + 2, "left", words) for at in range(24)]
    plain, mapped = (Image.new("RGB", (300, 200), colour) for colour in ("orange", "red"))
    for name, content in pages_of_study(trials, [TrialPictures(plain, (plain, mapped), (plain, mapped))] * 24).items():
        (folder / name).write_bytes(content)
    return folder


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_a_reader_answers_by_keys_or_touch_and_saves_a_file_that_is_read(browser, folder, tmp_path, width, scheme):
    context = browser.new_context(
        viewport={"width": width, "height": 844}, color_scheme=scheme, has_touch=width < 600, accept_downloads=True
    )
    page, errors, asked = context.new_page(), [], []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("request", lambda one: asked.append(one.url) if not one.url.startswith(("file:", "data:", "blob:")) else 0)
    page.goto((folder / "study.html").as_uri())
    page.press("#reader", "Enter")
    assert "whole number" in page.text_content("#wrong")
    page.fill("#reader", "7")  # the second form
    page.press("#reader", "Enter")
    shown = []
    for place in range(24):
        page.wait_for_selector(f'#trial[data-ready="{place}"]')
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        mapped = page.is_visible("#legend")
        shown.append((mapped, page.is_visible("#said"), page.get_attribute("#left img", "src")))
        if width < 600:
            page.tap("#left")
        else:
            page.keyboard.press(("1", "ArrowLeft")[place % 2])
    with page.expect_download() as download:
        page.keyboard.press("Enter")  # the link has the focus
    download.value.save_as(tmp_path / "answers-7.csv")
    context.close()
    assert (errors, asked) == ([], [])
    with (tmp_path / "answers-7.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["reader"], row["form"], int(row["place"])) for row in rows] == [("7", "1", at) for at in range(24)]
    for row, (mapped, said, picture) in zip(rows, shown, strict=True):
        assert (mapped, said) == (row["condition"] != "0", row["condition"] in "234")
        assert picture == next(other for is_mapped, _, other in shown if is_mapped == mapped)
    results = study_results(read_answers([tmp_path / "answers-7.csv"], folder / "key.json"))
    assert {one.condition: (one.accuracy.mean, one.answers) for one in results}.keys() == set(CONDITIONS)
    assert {one.accuracy.mean for one in results} == {1.0}
