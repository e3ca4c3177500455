"""API twins of the Search and Classes tabs: the same numbers as JSON."""

import reprlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gradio as gr

from simvis_core import SimvisError
from simvis_core.curves import PAIRS
from simvis_core.index import Space
from simvis_core.poolings import Pooling
from simvis_core.regions import Region, Sign, box_on, point_on
from ui.components import PictureDrop
from ui.galleries import SAMPLES, Asked, Galleries
from ui.gallery_answers import belongs_json, class_json, classes_json, curves_json, search_json
from ui.region_picker import MOST_REGIONS

MOST_HITS = 200
MOST_LABELS = 1000
FARTHEST = 1e9  # pixels: no picture is as large


def add_gallery_api(galleries: Galleries) -> None:
    """Adds /search, /classes and /curves to the app that is being built."""

    def search(
        image: str,
        gallery: str = SAMPLES,
        network: str = "",
        pooling: str = "",
        regions: Any = None,
        labels: Any = None,
        k: float = 20,
        skip: float = 0,
        exact: bool = False,
    ) -> dict[str, Any]:
        """A gallery's pictures by their score with a picture, or by the share of it that regions carry.

        image: a picture file. gallery: its name. network, pooling: what it was indexed with; empty, the first. regions:
        a list of {"box": [x, y, width, height]} or {"point": [x, y]} in pixels of the picture, each with "sign": -1 for
        "not like this"; none for the whole picture. labels: a list to filter by, or none. k: how many hits, at most
        200, from rank skip on. exact: compare every picture also where a gallery is so large that a graph is searched.
        """
        with told():
            answer = _search(galleries, image, gallery, network, pooling, regions, labels, k, skip, exact)
            return search_json(answer, paths=False)

    def classes(
        image: str | None = None, gallery: str = SAMPLES, network: str = "", pooling: str = "", label: str = ""
    ) -> dict[str, Any]:
        """The classes of a gallery; with label that class's members; with image the classes nearest to it."""
        with told():
            space = _space(galleries, gallery, network, pooling)
            if image:
                return belongs_json(galleries, space, image)
            return class_json(galleries, space, label, paths=False) if label else classes_json(galleries, space)

    def curves(
        gallery: str = SAMPLES, network: str = "", pooling: str = "", pairs: float = PAIRS, seed: float = 0
    ) -> dict[str, Any]:
        """Mean contribution curves of random pairs of one class and of two."""
        with told():
            space = _space(galleries, gallery, network, pooling)
            return curves_json(galleries.curves(space, _whole("pairs", pairs, 10_000), _whole("seed", seed, 2**31)))

    with gr.Row(visible=False):
        image = PictureDrop(type="filepath", label="image")
        gallery = gr.Textbox(SAMPLES, label="gallery")
        place = [gr.Textbox("", label="network"), gr.Textbox("", label="pooling")]
        regions, labels = gr.JSON(label="regions"), gr.JSON(label="labels")
        k, skip = gr.Number(20, label="k"), gr.Number(0, label="skip")
        exact = gr.Checkbox(label="exact")
        label = gr.Textbox("", label="label")
        pairs, seed = gr.Number(PAIRS, label="pairs"), gr.Number(0, label="seed")
        answer, ask = gr.JSON(), gr.Button()
    asked = {"concurrency_limit": 1, "concurrency_id": "gallery api"}
    ask.click(search, [image, gallery, *place, regions, labels, k, skip, exact], answer, api_name="search", **asked)
    ask.click(classes, [image, gallery, *place, label], answer, api_name="classes", **asked)
    ask.click(curves, [gallery, *place, pairs, seed], answer, api_name="curves", **asked)


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
        f"choose one of these, or index it: python app.py index FOLDER --name '{gallery}'",
    )


def _space(galleries: Galleries, gallery: str | None, network: str | None, pooling: str | None) -> Space:
    """The same for fields that the caller may have left empty."""
    return find_space(galleries, gallery or SAMPLES, network or "", pooling or "")


def regions_on(galleries: Galleries, file: str, space: Space, regions: Any) -> tuple[Region, ...]:
    """Regions in pixels of a picture as regions of its view. Raises SimvisError for what is none, and for too many."""
    check_regions(regions)
    if not regions:
        return ()
    view = galleries.picture(file, space).view
    return tuple(_region(view, region) for region in regions)


def check_regions(regions: Any) -> None:
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


def check_labels(labels: Any) -> None:
    """Raises SimvisError for anything but None and a list of few texts."""
    for label in _few(labels, "labels", MOST_LABELS):
        if not isinstance(label, str):
            raise SimvisError(f"the label {reprlib.repr(label)}", "a text", 'send a list such as ["bird"]')


def _few(values: Any, name: str, most: int) -> list[Any]:
    """A list as it is; none for a field that was left empty."""
    if values is None or values == "":
        return []
    if not isinstance(values, list):
        raise SimvisError(f"the {name} {reprlib.repr(values)}", f"a list of {name}", f"send a list, or no {name}")
    if len(values) > most:
        raise SimvisError(f"{len(values)} {name}", f"at most {most}", "leave some out")
    return values


def _region(view: Any, region: dict[str, Any]) -> Region:
    sign: Sign = region.get("sign", 1)
    box, point = _numbers(region.get("box"), 4), _numbers(region.get("point"), 2)
    return box_on(view, box[0], box[1], box[2], box[3], sign) if box else point_on(view, point[0], point[1], sign)


def _numbers(values: Any, count: int) -> list[float]:
    """So many numbers, or none. Not-a-number fails the comparison."""
    if not isinstance(values, list) or len(values) != count:
        return []
    fits = all(type(value) in (int, float) and abs(value) <= FARTHEST for value in values)
    return [float(value) for value in values] if fits else []


def _search(
    galleries: Galleries,
    image: str,
    gallery: str,
    network: str,
    pooling: str,
    regions: Any,
    labels: Any,
    k: float,
    skip: float,
    exact: bool,
) -> Any:
    if not image:
        raise SimvisError("no picture", "one to search for", "send image")
    space = _space(galleries, gallery, network, pooling)
    marked = regions_on(galleries, image, space, regions)
    check_labels(labels)
    wanted = tuple(labels or ()) or None
    asked = Asked(image, space.gallery, space.name, marked, wanted, bool(exact))
    return galleries.search(asked, _whole("k", k, MOST_HITS), _whole("skip", skip, 2**31))


def _whole(name: str, value: float | None, most: int) -> int:
    if value is None or not 0 <= value <= most or not float(value).is_integer():
        raise SimvisError(f"{name} = {value}", f"a whole number from 0 to {most}", f"send another {name}")
    return int(value)


@contextmanager
def told() -> Iterator[None]:
    """A user's mistake as Gradio's error."""
    try:
        yield
    except SimvisError as error:
        raise gr.Error(str(error), print_exception=False) from error
