"""The page's address: what is written is read back, and what cannot be read is said and left open."""

import re
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simvis_app.page.address import address
from simvis_app.page.address.address import Address, pin_of
from simvis_app.service.marks import checked_pin
from simvis_core import POOLINGS
from simvis_core.files.colours import STOPS
from simvis_core.pictures.views import FRAMINGS

SETTINGS = st.fixed_dictionaries(
    {
        "backbone": st.sampled_from(["efficientnet_lite0", "timm/vit_tiny_patch16_224.augreg", "yours/my net-1a2b3c"]),
        "pooling": st.sampled_from(list(POOLINGS)),
        "exponent": st.integers(2, 40).map(lambda steps: steps / 2),
        "short_side": st.sampled_from([224, 384, 512]),
        "framing": st.sampled_from(FRAMINGS),
        "method": st.sampled_from(["auto", "last-block values", "sliding window", "RISE"]),
        "colours": st.sampled_from(list(STOPS)),
        "opacity": st.integers(2, 20).map(lambda steps: steps / 20),
    }
)
PINS = st.none() | st.fixed_dictionaries(
    {"side": st.sampled_from("ab"), "row": st.integers(0, 63), "col": st.integers(0, 63)}
)


PLACE = st.integers(0, 10_000).map(lambda step: step / 10_000)
SIGN = st.sampled_from([1, -1])
BOX = st.tuples(st.integers(0, 5000), st.integers(0, 5000), st.integers(20, 5000), st.integers(20, 5000))
MARKS = st.one_of(
    st.builds(lambda sign, box: {"kind": "box", "sign": sign, "box": [n / 10_000 for n in box]}, SIGN, BOX),
    st.builds(lambda sign, x, y: {"kind": "point", "sign": sign, "at": [x, y]}, SIGN, PLACE, PLACE),
    st.builds(
        lambda sign, points: {"kind": "brush", "sign": sign, "radius": 0.04, "points": [list(one) for one in points]},
        SIGN,
        st.lists(st.tuples(PLACE, PLACE), min_size=1, max_size=30),
    ),
)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=12)


def fixed(**fields):
    return Address(**fields).query()


@given(SETTINGS, PINS, st.lists(MARKS, max_size=4), st.lists(TEXTS, max_size=4), TEXTS)
def test_what_an_address_says_is_read_back(settings, pin, marks, labels, name):
    asked = Address(
        **settings,
        tab="Search",
        a=f"sample/{name}",
        b="",
        pin=pin,
        q=name,
        gallery=name,
        marks=tuple(marks),
        labels=tuple(labels),
        exact=True,
        shows=name,
        use="rerank",
        label=name,
        explainers=("rise", "lime"),
        seed=3,
        attribute=name,
        preset="sane",
        weights="0.5,1,0",
    )
    found, wrong = address.read(asked.query())
    assert (found, wrong) == (asked, [])


def test_what_an_address_leaves_out_stays_open_and_is_taken_from_the_page():
    opening = Address(tab="Compare", pooling="avg", labels=(), gallery="samples")
    found, wrong = address.read("pooling=max&__theme=dark&utm_source=x")
    assert (found, wrong) == (Address(pooling="max"), [])
    assert found.over(opening) == Address(tab="Compare", pooling="max", labels=(), gallery="samples")
    assert found.over(opening).beside(opening) == found
    assert opening.beside(opening).query() == ""


def test_a_link_made_before_still_opens():
    found, wrong = address.read(
        "a=sample/x.jpg&b=c.png&tab=Trust&backbone=resnet50&pooling=gem&exponent=4.0&short_side=384&framing=crop"
        "&method=auto&colours=teal-brown&opacity=0.4&side=b&explainers=rise,lime&fill=mean&setting=pair&seed=7&pin=b.1.2"
    )
    assert wrong == []
    assert found == Address(
        tab="Trust",
        a="sample/x.jpg",
        b="c.png",
        backbone="resnet50",
        pooling="gem",
        exponent=4.0,
        short_side=384,
        framing="crop",
        method="auto",
        colours="teal-brown",
        opacity=0.4,
        pin={"side": "b", "row": 1, "col": 2},
        side="b",
        explainers=("rise", "lime"),
        fill="mean",
        setting="pair",
        seed=7,
    )


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("pooling", "gem:4"),
        ("exponent", "0.5"),
        ("exponent", "nan"),
        ("exponent", "x"),
        ("short_side", "99999999999"),
        ("framing", "<script>"),
        ("method", "decomposition"),
        ("colours", ""),
        ("opacity", "1e9"),
        ("side", "c"),
        ("explainers", "rise,x"),
        ("fill", "Blur"),
        ("setting", ""),
        ("seed", "1.5"),
        ("seed", "9" * 5000),
        ("exact", "2"),
        ("order", "x"),
        ("marks", "b1.2.3"),
        ("marks", "b0.0.1.1"),
        ("marks", "x1.2"),
        ("marks", "r400"),
        ("marks", "r400_AAAA_"),
        ("gallery", "x" * 301),
        ("pin", "c.1.1"),
        ("preset", "lime"),
        ("weights", "1,1"),
        ("weights", "2,0,0"),
        ("attribute", "x" * 301),
        ("shows", "x" * 301),
        ("use", "sort"),
    ],
)
def test_what_the_page_does_not_offer_is_said_and_the_rest_is_taken(name, text):
    found, wrong = address.read(f"q=x&{name}={text}")
    assert found == Address(q="x")
    (error,) = wrong
    assert re.match(f"a link whose {name} is ", error.got)
    assert len(error.got) < 150


def test_a_query_that_is_too_long_is_not_read():
    found, (error,) = address.read("q=" + "x" * address.LONGEST)
    assert found == Address()
    assert "characters" in error.got


def test_strokes_are_thinned_until_an_address_can_be_sent():
    points = [[n / 1000, n / 2000] for n in range(500)]
    marks = tuple({"kind": "brush", "sign": 1, "radius": 0.04, "points": points} for _ in range(32))
    text = fixed(marks=marks)
    assert len(text) < address.MARKS + 100
    found = address.read(text)[0].marks
    assert len(found) == 32
    assert all(1 <= len(mark["points"]) < 500 for mark in found)


@pytest.mark.parametrize("text", ["c.1.1", "a.1", "a.-1.2", "a.1.2.3", "a.1.2\n", "a.99999.1", "a.1e1.2", "a.٣.1"])
def test_a_pin_that_cannot_be_read_is_refused(text):
    with pytest.raises(ValueError, match=re.escape(text)):
        pin_of(text)


WEIGHTS = st.lists(st.floats(-1, 1), min_size=1, max_size=200)


@given(st.sampled_from("ab"), WEIGHTS)
def test_a_region_comes_back_to_one_step_of_127(side, weights):
    asked = fixed(pin={"side": side, "weights": weights})
    pin = address.read(asked)[0].pin
    assert pin["side"] == side
    assert pin["weights"] == pytest.approx(weights, abs=0.5 / 127 + 1e-9)
    assert fixed(pin=pin) == asked


def test_steps_of_a_region_are_exact_and_heavier_cells_keep_their_weight():
    weights = [step / 127 for step in range(-127, 128)]
    text = fixed(pin={"side": "a", "weights": weights})
    assert address.read(text)[0].pin["weights"] == weights
    text = fixed(pin={"side": "a", "weights": [3.0, -2.5, 0.0]})
    assert address.read(text)[0].pin["weights"] == pytest.approx([3.0, -2.5, 0.0], abs=3 / 254)
    assert "%" not in text


@pytest.mark.parametrize(
    "text", ["a.w", "c.w.AAAA", "a.w.A", "a.w.AAAAA", "a.w.AA==", "a.w.A+/A", "a.w.AAAA\n", "a.x.AAAA", "a.w.ÄÄÄÄ"]
)
def test_a_region_that_cannot_be_read_is_refused(text):
    with pytest.raises(ValueError, match=re.escape(text)):
        pin_of(text)


@given(st.text(st.sampled_from("abw.AZ09_-=+/"), max_size=30))
def test_no_text_of_a_link_breaks_the_page(text):
    try:
        pin = pin_of(text)
    except ValueError:
        return
    assert checked_pin(pin, {"a": (2, 3), "b": (1, 1)}) in (None, pin)


def test_the_address_is_plain():
    """No character of a usual address needs an escape in a mail or a chat."""
    marks = ({"kind": "box", "sign": -1, "box": [0.1, 0.2, 0.3, 0.4]}, {"kind": "point", "sign": 1, "at": [0.5, 0.5]})
    text = fixed(
        a="sample/cat/cat_1.jpg", q=f"own/{'a' * 32}", pooling="avg", marks=marks, pin={"side": "a", "row": 1, "col": 2}
    )
    assert urlsplit(f"http://host/?{text}").query == text
    assert "%" not in text
