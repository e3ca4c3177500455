"""The Search and Classes tabs: a folder becomes a gallery, a box ranks it, a hit opens in Compare."""

import json
import re
import shutil

import pytest
from playwright.sync_api import expect

from simvis_app.service.sessions.session import Settings
from tests.e2e.conftest import Server
from tests.e2e.visitor import PICTURES, Visitor, pixels, profile

pytestmark = [pytest.mark.browser, pytest.mark.network, pytest.mark.slow]
HOSTILE = '<img src=x onerror=alert(1)> "é😀"'
FOLDERS = ("taj_mahal", "eiffel_tower", "windmill", "statue_of_liberty")
HITS = "#hits .grid"


@pytest.fixture(scope="module")
def offered(tmp_path_factory):
    """A folder of pictures that visitors may index: four classes, a hostile name, and a file that is no picture."""
    folder = tmp_path_factory.mktemp("pictures")
    for name in FOLDERS:
        shutil.copytree(PICTURES / name, folder / "trips" / name)
    hostile = folder / "trips" / HOSTILE
    hostile.mkdir()
    shutil.copy(PICTURES / "colosseum" / "colosseum_1.jpg", hostile / "a <b>&amp; c.jpg")
    (folder / "trips" / "notes.jpg").write_text("no picture")
    # Kept back: it is searched for, and not in the gallery.
    (folder / "trips" / "taj_mahal" / "taj_mahal_3.jpg").rename(folder / "outside.jpg")
    return folder


@pytest.fixture(scope="module")
def search_server(browser, offered, tmp_path_factory):
    running = Server(tmp_path_factory.mktemp("search"), "--pictures", offered, "--engine", "eager")
    try:
        running.wait()
        yield running
    finally:
        running.stop()


@pytest.fixture
def seeker(search_server, _usual):
    """A visitor on the Search tab, with hits of the sample pictures; meets no error."""
    before = len(search_server.said())
    arrived = Visitor(_usual, search_server.address)
    arrived.page.get_by_role("tab", name="Search").click()
    expect(arrived.at(HITS)).to_have_attribute("data-count", "24")
    yield arrived
    arrived.page.close()
    assert arrived.problems == []
    assert search_server.complained(before) == ""


def key(visitor):
    return visitor.at(HITS).get_attribute("data-key")


def changing_the_hits(visitor, action):
    """Does something and waits until another search is shown."""
    before = key(visitor)
    action()
    expect(visitor.at(HITS)).not_to_have_attribute("data-key", before)


def called(request, names):
    """What a request calls on the server: an event, or the picker's own function; empty for a file."""
    told = json.loads(request.post_data) if request.method == "POST" else {}
    return told.get("fn_name") or names.get(told.get("fn_index"), "")


def drag(visitor, left, top, right, bottom):
    """Drags a box over the query, in fractions of it."""
    stage = visitor.at("#picker .stage")
    stage.scroll_into_view_if_needed()
    box = stage.bounding_box()
    at = lambda x, y: (box["x"] + x * box["width"], box["y"] + y * box["height"])
    visitor.page.mouse.move(*at(left, top))
    visitor.page.mouse.down()
    visitor.page.mouse.move(*at((left + right) / 2, (top + bottom) / 2))
    visitor.page.mouse.move(*at(right, bottom))
    visitor.page.mouse.up()


def hits(visitor):
    """Label and number of each hit."""
    cards = visitor.at(f"{HITS} .hit").all()
    read = lambda card, part: card.locator(part).text_content()
    return [(read(card, ".label"), float(read(card, ".score"))) for card in cards]


def index_the_folder(visitor, name):
    visitor.open("Index with another network, or a folder")
    visitor.choose("#search_folder", "trips")
    visitor.at("#search_new textarea, #search_new input").fill(name)
    visitor.at("#search_index").click()


def test_a_folder_is_indexed_searched_by_a_box_and_a_hit_opens_in_compare(seeker, offered, session):
    name = 'my "trips" <i>'
    changing_the_hits(seeker, lambda: index_the_folder(seeker, name))
    said = seeker.at("#search_indexing")
    expect(said).to_contain_text("added")
    expect(said).to_contain_text("1 left out")
    expect(said).to_contain_text("trips/notes.jpg")
    assert seeker.at("#search_gallery input").input_value() == name

    changing_the_hits(seeker, lambda: upload(seeker, offered / "outside.jpg"))
    whole = hits(seeker)
    assert whole[0][0] == "taj_mahal"
    assert HOSTILE in [label for label, _ in whole]
    scores = [score for _, score in whole]
    assert scores == sorted(scores, reverse=True)

    seeker.page.get_by_role("button", name="Box", exact=True).click()
    changing_the_hits(seeker, lambda: drag(seeker, 0.03, 0.03, 0.97, 0.2))
    expect(seeker.at(f"{HITS} .ranked")).to_contain_text("marked region")
    sky = hits(seeker)
    changing_the_hits(seeker, lambda: drag(seeker, 0.2, 0.15, 0.8, 0.6))
    expect(seeker.at(f"{HITS} .ranked")).to_contain_text("marked region")
    building = hits(seeker)
    assert building[0][0] == "taj_mahal"
    assert len({str(found) for found in (whole, sky, building)}) == 3

    expect(seeker.at(f"{HITS} .hit .note").first).to_contain_text("of the whole score")
    card = seeker.at(f"{HITS} .hit").first
    card.hover()
    expect(card.locator("canvas")).to_have_count(1)  # its own map, once it is there
    assert pixels(card.locator("canvas"))[..., 3].max() > 0
    expect(seeker.at("#picker [data-map]")).to_have_attribute("data-map", "hit")
    share = float(card.locator(".score").text_content())
    card.locator("button.open").click()
    seeker.wait_ready()
    expect(seeker.at("#pair_viewer [role=status]")).to_contain_text("Pinned: the marked region of A carries")
    assert float(re.search(r"carries (\S+) of", seeker.status)[1]) == pytest.approx(share, abs=6e-4)
    taj_mahals = [PICTURES / "taj_mahal" / f"taj_mahal_{number}.jpg" for number in (1, 2)]
    pairs = [session.explain(offered / "outside.jpg", other, Settings()) for other in taj_mahals]
    assert seeker.score == pytest.approx(max(pair.score for pair in pairs), abs=6e-4)


def upload(visitor, file):
    visitor.at("#query input[type=file]").set_input_files(file)


def only(visitor, label):
    """Filters by a label."""
    visitor.at("#search_labels input").click()
    visitor.at("#search_labels input").fill(label)
    visitor.page.get_by_role("option", name=label).click()


def test_while_a_box_is_held_only_its_hits_are_asked_for(seeker):
    """Maps of hits and the page's address wait for the hand to rest: the next movement's hits would wait for them."""
    seeker.settle()
    names = {one["id"]: one["targets"][0][1] for one in seeker.page.evaluate("window.gradio_config.dependencies")}
    event = lambda request: called(request, names)
    asked = []
    seeker.page.on("request", lambda request: asked.append(event(request)))
    stage = seeker.at("#picker .stage")
    stage.scroll_into_view_if_needed()
    box = stage.bounding_box()
    at = lambda eighths: (box["x"] + eighths / 8 * box["width"], box["y"] + eighths / 8 * box["height"])
    seeker.page.mouse.move(*at(1))
    seeker.page.mouse.down()
    for step in range(2, 6):
        changing_the_hits(seeker, lambda step=step: seeker.page.mouse.move(*at(step)))
        if step == 2:
            asked.clear()  # of what was asked for before
        seeker.page.wait_for_timeout(450)  # longer than either waits by itself
    assert set(asked) - {""} == {"hits"}
    scores = lambda: seeker.at(f"{HITS} .score").all_inner_texts()
    moved = scores()
    request = lambda kind: seeker.page.expect_request(lambda request: event(request) == kind)
    with request("settle"), request("mark"):
        seeker.page.mouse.up()
    expect(seeker.page).to_have_url(re.compile("marks="))
    assert scores() == moved  # of the same box, by Gradio's event


def test_who_holds_a_box_still_is_shown_its_maps_and_they_stay(seeker):
    """Python is asked for maps though it has heard of no mark yet; the mark that follows takes none away."""
    seeker.settle()
    seeker.at("#picker .stage").scroll_into_view_if_needed()
    box = seeker.at("#picker .stage").bounding_box()
    card = seeker.at(f"{HITS} .hit").first
    seeker.page.mouse.move(box["x"] + 30, box["y"] + 30)
    seeker.page.mouse.down()
    changing_the_hits(seeker, lambda: seeker.page.mouse.move(box["x"] + 120, box["y"] + 120))
    names = {one["id"]: one["targets"][0][1] for one in seeker.page.evaluate("window.gradio_config.dependencies")}
    with seeker.page.expect_request(lambda request: called(request, names) == "settle"):
        pass  # the hand rests
    seeker.settle()
    seeker.page.mouse.up()
    seeker.settle()
    card.hover()
    expect(card.locator("canvas")).to_have_count(1)


def test_without_the_way_past_gradio_a_moving_box_is_told_like_one_that_is_made(seeker):
    """A server that has forgotten the search, as after a start anew, answers nothing there."""
    seeker.settle()
    seeker.page.route("**/component_server**", lambda route: route.fulfill(json=None))
    seeker.at("#picker .stage").scroll_into_view_if_needed()
    box = seeker.at("#picker .stage").bounding_box()
    seeker.page.mouse.move(box["x"] + 30, box["y"] + 30)
    seeker.page.mouse.down()
    changing_the_hits(seeker, lambda: seeker.page.mouse.move(box["x"] + 150, box["y"] + 90))
    seeker.page.mouse.up()


def test_why_classes_and_labels(seeker):
    cards = seeker.at(f"{HITS} .hit")
    for number in (0, 2):
        cards.nth(number).get_by_role("button", name="Why this?").click()
    expect(seeker.at("#why_said")).to_contain_text("more with")
    expect(seeker.at("#why_grid .grid")).to_have_attribute("data-count", "3")
    for grid in ("#nearest_region", "#nearest_whole"):
        expect(seeker.at(f"{grid} .grid")).to_have_attribute("data-count", "3")
    changing_the_hits(seeker, lambda: only(seeker, "windmill (15)"))
    expect(seeker.at(HITS)).to_have_attribute("data-count", "15")
    assert {label for label, _ in hits(seeker)} == {"windmill"}


def test_an_attribute_leaves_few_hits_orders_them_and_stays_in_the_address(seeker):
    seeker.open("Filter or re-rank hits by an attribute")
    seeker.at("#search_attribute input").fill("dome")
    changing_the_hits(seeker, lambda: seeker.page.get_by_role("option", name="dome", exact=True).click())
    expect(seeker.at("#search_status")).to_contain_text("of 256 shown: the others do not show 'dome'")
    notes = seeker.at(f"{HITS} .hit .note")
    assert all(re.fullmatch(r"dome \+\d+\.\d", one) for one in notes.all_text_contents())
    changing_the_hits(seeker, lambda: seeker.page.get_by_label("order the 100 nearest").check())
    expect(seeker.at("#search_status")).to_contain_text("Of the 100 nearest the surest of 'dome' come first")
    sure = [float(one.split()[1].rstrip(",")) for one in notes.all_text_contents()]
    assert sure == sorted(sure, reverse=True)
    expect(seeker.page).to_have_url(re.compile("shows=dome&use=rerank"))
    seeker.reload()
    expect(seeker.at("#search_status")).to_contain_text("the surest of 'dome' come first")
    assert seeker.at("#search_attribute input").input_value() == "dome"


def test_more_hits_come_while_scrolling(seeker):
    seeker.at("#hits .scroller").evaluate("(list) => list.scrollTo(0, list.scrollHeight)")
    expect(seeker.at(HITS)).to_have_attribute("data-count", "48")
    scores = [score for _, score in hits(seeker)]
    assert scores == sorted(scores, reverse=True)


def test_what_cannot_be_searched_for_is_said_and_the_page_works(seeker, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture at all")
    upload(seeker, broken)
    expect(seeker.at("#search_notice")).to_contain_text("wanted a JPEG, PNG or WebP picture")
    changing_the_hits(seeker, lambda: upload(seeker, PICTURES / "koala" / "koala_1.jpg"))
    expect(seeker.at("#search_notice")).to_have_text("")
    index_the_folder(seeker, "samples")
    expect(seeker.at("#search_indexing")).to_contain_text("choose another name")


def test_classes_members_a_picture_from_outside_and_curves(seeker, offered):
    seeker.page.get_by_role("tab", name="Classes").click()
    members = seeker.at("#members .grid")
    expect(members).to_have_attribute("data-count", re.compile("12|24|28"))  # further pages come as the end nears
    expect(seeker.at("#class_status")).to_contain_text("28 pictures with a mean score of")
    expect(seeker.at("#members .hit canvas").first).to_be_attached()
    seeker.choose("#class_label", "taj_mahal (3)")
    expect(members).to_have_attribute("data-count", "3")
    expect(seeker.at("#class_status")).to_contain_text("3 pictures with a mean score of 0.716")
    expect(seeker.at("#member_matrix .js-plotly-plot")).to_be_visible()
    expect(seeker.at("#class_matrix .js-plotly-plot")).to_be_visible()
    seeker.at("#outside input[type=file]").set_input_files(offered / "outside.jpg")
    expect(seeker.at("#belongs")).to_contain_text("Nearest class: taj_mahal")
    expect(seeker.at("#belongs_maps .grid")).to_have_attribute("data-count", "2")
    seeker.open("How few features carry a score?")  # which draws them
    expect(seeker.at("#curve_table")).to_contain_text("32.1 %")
    expect(seeker.at("#curve_plot .js-plotly-plot")).to_be_visible()


def test_on_a_phone_nothing_scrolls_sideways(search_server, browser):
    phone = profile(browser, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    visitor = Visitor(phone, search_server.address, "?__theme=dark")
    for name, part in (("Search", "#hits .hit"), ("Classes", "#members .hit"), ("Trust", "#measure")):
        visitor.page.get_by_role("tab", name=name).tap()
        expect(visitor.at(part).first).to_be_visible()
        width, room = visitor.page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
        assert width <= room == 390, name
    phone.close()
    assert visitor.problems == []


def test_finer_maps_come_hit_by_hit_on_both_tabs_and_stay_in_the_address(seeker):
    coarse = key(seeker)
    seeker.open("How fine the maps are")
    seeker.choose("#search_layer", "28 x 28 · blocks.2")
    expect(seeker.at(HITS)).not_to_have_attribute("data-key", coarse)
    expect(seeker.at("#search_status")).to_contain_text("28 x 44 cells")
    seeker.page.locator("#search_rule").get_by_text("gates held (frozen)").click()  # the quicker one
    expect(seeker.at("#search_status")).to_contain_text("That leaves the cells less than 20 %")
    sixth = seeker.page.locator("#hits .hit").nth(5)  # of the second few
    expect(sixth.locator(".note")).to_contain_text("its cells carry")
    sixth.hover()
    expect(sixth.locator("canvas")).to_be_visible()
    expect(seeker.page).to_have_url(re.compile("at=.*blocks.2&by=frozen"))
    seeker.page.get_by_role("tab", name="Classes").click()
    expect(seeker.at("#classes_layer input")).to_have_value("28 x 28 · blocks.2")
    expect(seeker.page.locator("#members canvas").first).to_be_visible()
    expect(seeker.page.locator("#members canvas").nth(5)).to_be_visible()
    expect(seeker.page).to_have_url(re.compile("tab=Classes.*at=.*blocks.2&by=frozen"))
