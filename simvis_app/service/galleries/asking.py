"""What is asked of a gallery, checked: the space that is meant, the regions of a picture, the labels."""

import reprlib
from typing import Any

from simvis_app.service.attributes.hits import AttributeWish
from simvis_app.service.galleries.galleries import Galleries
from simvis_app.service.marks import MOST_REGIONS
from simvis_core.attributes.stored import ATTRIBUTE_USES
from simvis_core.errors import SimvisError
from simvis_core.files.installed import COMMAND
from simvis_core.galleries.regions import Region, Sign, box_on, point_on
from simvis_core.networks.poolings import Pooling
from simvis_core.pictures.views import View
from simvis_core.stores.contract import Space

MOST_LABELS = 1000
FARTHEST = 1e9  # pixels: no picture is as large


def find_space(galleries: Galleries, gallery: str, network: str, pooling: str) -> Space:
    """The first space of a gallery with that network and pooling, of those that are named.

    Raises SimvisError, saying what the gallery was indexed with, where there is none.
    """
    galleries.gallery(gallery)
    pooling = str(Pooling.parse(pooling)) if pooling else ""
    spaces = galleries.spaces(gallery)
    for space in spaces:
        if network in ("", space.network) and pooling in ("", space.pooling):
            return space
    there = ", ".join(f"{space.network} ({space.pooling})" for space in spaces) or "nothing"
    raise SimvisError(
        f"gallery '{gallery}', which was indexed with {there}",
        f"{network or 'any network'} ({pooling or 'any pooling'})",
        f"choose one of these, or index it: {COMMAND} index FOLDER --name '{gallery}'",
    )


def regions_on(galleries: Galleries, file: str, space: Space, regions: list[Any] | None) -> tuple[Region, ...]:
    """Regions in pixels of a picture as regions of its view. Raises SimvisError for what is none, and for too many."""
    check_regions(regions)
    if not regions:
        return ()
    view = galleries.picture(file, space).view
    return tuple(_region(view, region) for region in regions)


def check_regions(regions: object) -> None:
    """Raises SimvisError for anything but None and a list of few regions, each a box or a point in pixels."""
    for region in _few(regions, "regions", MOST_REGIONS):
        given = region.get("sign", 1) if isinstance(region, dict) else None
        shaped = type(given) is int and given in (1, -1) and set(region) <= {"box", "point", "sign"}
        if not shaped or bool(_numbers(region.get("box"), 4)) == bool(_numbers(region.get("point"), 2)):
            raise SimvisError(
                f"the region {reprlib.repr(region)}",
                '{"box": [x, y, width, height]} or {"point": [x, y]}',
                "give pixels of the picture",
            )


def check_labels(labels: object) -> None:
    """Raises SimvisError for anything but None and a list of few texts."""
    for label in _few(labels, "labels", MOST_LABELS):
        if not isinstance(label, str):
            raise SimvisError(f"the label {reprlib.repr(label)}", "a text", 'send a list such as ["bird"]')


def attribute_wish(name: str, use: str) -> AttributeWish | None:
    """An attribute that hits are to show or to be ordered by; None for no name. Raises SimvisError for another use.

    Whether there is such an attribute is for the gallery's network to say.
    """
    uses = {str(one): one for one in ATTRIBUTE_USES}
    if use not in uses:
        raise SimvisError(
            f"the use '{use}' of an attribute", " or ".join(uses), "filter leaves out what does not show it"
        )
    return AttributeWish(name, uses[use]) if name else None


def _few(values: object, name: str, most: int) -> list[Any]:
    """A list as it is; none for a field that was left empty."""
    if values is None or values == "":
        return []
    if not isinstance(values, list):
        raise SimvisError(f"the {name} {reprlib.repr(values)}", f"a list of {name}", f"send a list, or no {name}")
    if len(values) > most:
        raise SimvisError(f"{len(values)} {name}", f"at most {most}", "leave some out")
    return values


def _region(view: View, region: dict[str, Any]) -> Region:
    sign: Sign = region.get("sign", 1)
    box, point = _numbers(region.get("box"), 4), _numbers(region.get("point"), 2)
    return box_on(view, box[0], box[1], box[2], box[3], sign) if box else point_on(view, point[0], point[1], sign)


def _numbers(values: object, count: int) -> list[float]:
    """So many numbers, or none. Not-a-number fails the comparison."""
    if not isinstance(values, list) or len(values) != count:
        return []
    fits = all(type(value) in (int, float) and abs(value) <= FARTHEST for value in values)
    return [float(value) for value in values] if fits else []
