"""Files dragged onto the page with real drag events; the slots are filled, as the page opens."""

import pytest
from playwright.sync_api import expect

from tests.e2e.visitor import PICTURES

pytestmark = [pytest.mark.browser, pytest.mark.network]

CHEETAH, KOALA, JAGUAR = (PICTURES / name / f"{name}_1.jpg" for name in ("cheetah", "koala", "jaguar"))


@pytest.fixture
def notes(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("hello")
    return path


def holds(visitor, **files):
    for slot, file in files.items():
        expect(visitor.at(f"#{slot} .image-frame img[src*='{file.name}']")).to_be_visible()


@pytest.mark.slow
def test_a_drop_on_a_filled_place_replaces_it_and_any_other_leaves_the_page(visitor, notes):
    pages, address = visitor.page.context.pages, visitor.page.url
    visitor.changing_the_score(lambda: visitor.drag("#image_a", CHEETAH))
    holds(visitor, image_a=CHEETAH)
    visitor.changing_the_score(lambda: visitor.drag("#image_b", KOALA, JAGUAR))  # two fill A and B
    holds(visitor, image_a=KOALA, image_b=JAGUAR)
    visitor.changing_the_score(lambda: visitor.drag("#pair_viewer figure:has([data-side=b])", CHEETAH))
    holds(visitor, image_a=KOALA, image_b=CHEETAH)

    score = visitor.text("#score .big")
    visitor.drag("#image_a", notes)
    expect(visitor.at("#notice")).to_contain_text("not a picture as picture A")
    visitor.settle()
    assert visitor.text("#score .big") == score
    holds(visitor, image_a=KOALA, image_b=CHEETAH)
    for elsewhere in ("#intro", "#backbone input", "#examples"):
        visitor.drag(elsewhere, JAGUAR)
    holds(visitor, image_a=KOALA, image_b=CHEETAH)
    with visitor.page.expect_file_chooser() as choosing:
        visitor.at("#image_b [data-testid=source-select] button").first.click()
    holds(visitor, image_b=CHEETAH)  # it stays until another is chosen
    visitor.changing_the_score(lambda: choosing.value.set_files(JAGUAR))
    holds(visitor, image_a=KOALA, image_b=JAGUAR)
    expect(visitor.at("#notice")).to_be_hidden()

    visitor.at("#image_a").get_by_label("Remove Image").click()
    expect(visitor.at("#notice")).to_contain_text("Drop a picture into both places")
    visitor.drag("#image_a", CHEETAH)  # an empty place takes it the same way
    holds(visitor, image_a=CHEETAH, image_b=JAGUAR)
    visitor.wait_ready()
    # The same page, whose address names what it shows: these files are samples by their content.
    expect(visitor.page).to_have_url(f"{address}?a=sample/cheetah/cheetah_1.jpg&b=sample/jaguar/jaguar_1.jpg")
    assert visitor.page.context.pages == pages


@pytest.mark.slow
def test_the_places_of_other_tabs_take_drops_too(visitor, notes):
    visitor.page.get_by_role("tab", name="Search").click()
    expect(visitor.at("#hits .hit").first).to_be_visible(timeout=120_000)
    visitor.drag("#query", CHEETAH)
    holds(visitor, query=CHEETAH)
    visitor.drag("#picker", KOALA)
    holds(visitor, query=KOALA)
    visitor.drag("#query", notes)
    expect(visitor.at("#search_notice")).to_contain_text("not a picture")
    holds(visitor, query=KOALA)
    visitor.page.get_by_role("tab", name="Classes").click()
    expect(visitor.at("#members .hit").first).to_be_visible(timeout=120_000)
    for file in (CHEETAH, KOALA):  # into an empty place, then into a filled one
        visitor.drag("#outside", file)
        holds(visitor, outside=file)
    expect(visitor.at("#belongs strong")).to_have_text("squirrel")  # the only koala is left out
    visitor.drag("#outside", notes)
    expect(visitor.at("#belongs .notice")).to_contain_text("not a picture")
    holds(visitor, outside=KOALA)
