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
        for (_, words), pick in zip(_WORDS[name], _seen(name, styles[name]), strict=True)
        if pick
    }


def _seen(name: str, style: int) -> list[str]:
    """What a style chose, and "" for what is not seen."""
    picks = list(choice(name, style).picks)
    if name == "bedspread":
        picks[2] = second_paint(style)
    told = [told for told, _ in _WORDS[name]]
    return ["" if (name, *one) in _UNSEEN else one[1] for one in zip(told, picks, strict=True)]


# For each object what each list of `LOOKS` is about, in its order, and a phrase for its entries.
_WORDS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "headboard": (
        ("shape", "{} headboard"),
        ("filling", "headboard with {}"),
        ("colour", "{} headboard"),
        ("edge", "{} headboard edge"),
    ),
    "lamp": (
        ("shape", "{} lamp"),
        ("shade", "{} lampshade"),
        ("foot's colour", "{} lamp foot"),
        ("shade's colour", "{} lampshade"),
        ("bands", "{} lampshade"),
    ),
    "painting": (
        ("format", "{} painting"),
        ("frame", "{} frame"),
        ("motif", "painting of {}"),
        ("colours", "painting in {} colours"),
    ),
    "bedspread": (
        ("pattern", "bedspread with {}"),
        ("colour", "{} bedspread"),
        ("second colour", "{} on the bedspread"),
        ("scale", "{} bedspread"),
    ),
}
_UNSEEN = {("headboard", "filling", "plain"), ("headboard", "edge", "own"), ("lamp", "bands", "plain")}
# Every attribute that a room may have, by its object and what of it is told, in the order of the objects and lists.
ROOM_ATTRIBUTES: Mapping[str, tuple[str, str]] = {
    words.format(pick): (name, told)
    for name in OBJECTS
    for (told, words), options in zip(_WORDS[name], LOOKS[name], strict=True)
    for pick in (PAINTS if told == "second colour" else options)
    if (name, told, pick) not in _UNSEEN
}
