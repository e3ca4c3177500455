"""What is said of a room is what its styles chose."""

from simvis_core.hotel_rooms.objects import LOOKS, OBJECTS, PAINTS, bedspread, choice, second_paint
from simvis_core.hotel_rooms.truths import ROOM_ATTRIBUTES, room_attributes


def test_each_choice_that_is_seen_is_an_attribute_of_its_object():
    for style in range(60):
        found = room_attributes(dict.fromkeys(OBJECTS, style))
        assert found == {name: ROOM_ATTRIBUTES[name][0] for name in found}
        for name in OBJECTS:
            said = " ".join(attribute for attribute, object in found.items() if object == name)
            picks = choice(name, style).picks
            unseen = {"plain", "own", "0", "1", "2", "3", "4"}
            assert all(pick in said for pick in picks if pick not in unseen), (said, picks)


def test_what_is_not_seen_is_no_attribute():
    plain = next(style for style in range(100) if choice("headboard", style).picks[1] == "plain")
    found = room_attributes(dict.fromkeys(OBJECTS, plain))
    assert not any("with plain" in name or "own headboard" in name for name in found)
    assert not any("plain" in name for name in ROOM_ATTRIBUTES)


def test_the_second_colour_of_a_bedspread_is_the_one_that_is_drawn():
    for style in range(8):
        look = choice("bedspread", style)
        drawn = {shape.colour for shape in bedspread(style).top}
        assert look.toned(PAINTS[second_paint(style)]) in drawn or look.picks[0] == "border"
        assert second_paint(style) != look.picks[1]


def test_there_is_one_for_each_entry_of_the_lists():
    """But for three that are not seen, and for the ranks of a second colour, which are the twelve paints."""
    entries = sum(len(options) for lists in LOOKS.values() for options in lists)
    assert len(ROOM_ATTRIBUTES) == entries - 3 - 5 + len(PAINTS)
    every = set()
    for style in range(1080):
        every |= set(room_attributes(dict.fromkeys(OBJECTS, style)))
    assert every == set(ROOM_ATTRIBUTES)
