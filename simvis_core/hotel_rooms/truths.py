"""What is true of a drawn room in words: an attribute for each choice of a style, and the object that it is of."""

from collections.abc import Mapping

from simvis_core.hotel_rooms.objects import LOOKS, OBJECTS, PAINTS, choice, second_paint


def room_attributes(styles: Mapping[str, int]) -> dict[str, str]:
    """The attributes that are true of a room with objects of these styles, and the object that each is of.

    That object's mask is where the attribute is. Only what is seen counts: a headboard without an edge of its own has
    no attribute for it, nor has a lamp without bands.

    >>> from simvis_core.hotel_rooms.truths import room_attributes
    >>> found = room_attributes({"headboard": 3, "lamp": 7, "painting": 3, "bedspread": 3})
    >>> [name for name, object in found.items() if object == "lamp"]
    ['gourd lamp', 'cone lampshade', 'gold lamp foot', 'sky lampshade', 'banded lampshade']
    """
    return {
        words.format(pick): name
        for name in OBJECTS
        for words, pick in zip(_WORDS[name], _seen(name, styles[name]), strict=True)
        if pick
    }


def _seen(name: str, style: int) -> list[str]:
    """What a style chose, and "" for what is not seen."""
    picks = list(choice(name, style).picks)
    if name == "bedspread":
        picks[2] = second_paint(style)
    return ["" if (name, at, pick) in _UNSEEN else pick for at, pick in enumerate(picks)]


# For each object a phrase for each list of `LOOKS`, in its order.
_WORDS: Mapping[str, tuple[str, ...]] = {
    "headboard": ("{} headboard", "headboard with {}", "{} headboard", "{} headboard edge"),
    "lamp": ("{} lamp", "{} lampshade", "{} lamp foot", "{} lampshade", "{} lampshade"),
    "painting": ("{} painting", "{} frame", "painting of {}", "painting in {} colours"),
    "bedspread": ("bedspread with {}", "{} bedspread", "{} on the bedspread", "{} bedspread"),
}
_UNSEEN = {("headboard", 1, "plain"), ("headboard", 3, "own"), ("lamp", 4, "plain")}
# Every attribute that a room may have, and its object, in the order of the objects and their lists.
ROOM_ATTRIBUTES: Mapping[str, str] = {
    words.format(pick): name
    for name in OBJECTS
    for at, words in enumerate(_WORDS[name])
    for pick in (PAINTS if (name, at) == ("bedspread", 2) else LOOKS[name][at])
    if (name, at, pick) not in _UNSEEN
}
