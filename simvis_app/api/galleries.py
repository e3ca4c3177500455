"""API twins of the Search and Classes tabs: the same numbers as JSON."""

from typing import Any

import gradio as gr

from simvis_app.api.told import PictureDrop, told
from simvis_app.service import defaults
from simvis_app.service.attributes.hits import AttributeWish
from simvis_app.service.galleries.answers import belongs_json, class_json, classes_json, curves_json, search_json
from simvis_app.service.galleries.asking import attribute_wish, check_labels, find_space, regions_on
from simvis_app.service.galleries.galleries import SAMPLES, Answer, Asked, Galleries, settings_of
from simvis_app.service.sessions.budget import Budget
from simvis_app.service.sessions.depths import DepthAsked, depth_named
from simvis_core import SimvisError
from simvis_core.galleries.curves import CURVE_PAIRS
from simvis_core.stores.contract import Space

MOST_HITS = 200
Regions = list[dict[str, object]]  # as they came: {"box" or "point", "sign"}


def add_gallery_api(galleries: Galleries, budget: Budget = Budget()) -> None:  # noqa: B008 - it never changes
    """Adds /search, /classes and /curves to the app that is being built."""

    def search(
        image: str,
        gallery: str = SAMPLES,
        network: str = "",
        pooling: str = "",
        regions: Regions | None = None,
        labels: list[str] | None = None,
        k: float = defaults.HITS,
        skip: float = 0,
        exact: bool = False,
        attribute: str = "",
        use: str = AttributeWish.use,
        layer: str = "",
        rule: str = "",
        reference: str = "",
    ) -> dict[str, Any]:
        """A gallery's pictures by their score with a picture, or by the share of it that regions carry.

        image: a picture file. gallery: its name. network, pooling: what it was indexed with; empty, the first. regions:
        a list of {"box": [x, y, width, height]} or {"point": [x, y]} in pixels of the picture, each with "sign": -1 for
        "not like this"; none for the whole picture. labels: a list to filter by, or none. k: how many hits, at most
        200, from rank skip on. exact: compare every picture also where a gallery is so large that a graph is searched.
        attribute: a set of ImageNet classes, such as arch, that the network's classifier tells; use: filter (of the
        10 000 nearest only those that show it) or rerank (the 100 nearest, the surest of it first). Each hit then has
        its confidence, in log-odds above the reference pictures'. layer: where in the network regions are cut out and
        maps drawn, such as blocks.2, finer further in front; empty, at its last features. rule: frozen or path, which
        starts from a reference: blur, mean or grey. The stored pictures stay as they are.
        """
        with told():
            wish = attribute_wish(attribute or "", use or AttributeWish.use)
            depth = depth_named(layer or "", rule or "", reference or "")
            space = _space(galleries, gallery, network, pooling)
            budget.check_maps(_whole("k", k, MOST_HITS), settings_of(space), depth)
            answer = _search(galleries, image, space, regions, labels, k, skip, exact, wish, depth)
            return search_json(answer, paths=False)

    def classes(
        image: str | None = None,
        gallery: str = SAMPLES,
        network: str = "",
        pooling: str = "",
        label: str = "",
        layer: str = "",
        rule: str = "",
        reference: str = "",
    ) -> dict[str, Any]:
        """The classes of a gallery; with label that class's members; with image the classes nearest to it.

        layer, rule, reference: where the image's map is drawn, as /search takes them.
        """
        with told():
            space = _space(galleries, gallery, network, pooling)
            depth = depth_named(layer or "", rule or "", reference or "")
            if image:
                budget.check_maps(1, settings_of(space), depth)
                return belongs_json(galleries, space, image, depth)
            return class_json(galleries, space, label, paths=False) if label else classes_json(galleries, space)

    def curves(
        gallery: str = SAMPLES, network: str = "", pooling: str = "", pairs: float = CURVE_PAIRS, seed: float = 0
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
        k, skip = gr.Number(defaults.HITS, label="k"), gr.Number(0, label="skip")
        exact = gr.Checkbox(label="exact")
        by_attribute = [gr.Textbox("", label="attribute"), gr.Textbox(AttributeWish.use, label="use")]
        at = [gr.Textbox("", label=name) for name in ("layer", "rule", "reference")]
        label = gr.Textbox("", label="label")
        pairs, seed = gr.Number(CURVE_PAIRS, label="pairs"), gr.Number(0, label="seed")
        answer, ask = gr.JSON(), gr.Button()
    asked = {"concurrency_limit": 1, "concurrency_id": "gallery api"}
    sent = [image, gallery, *place, regions, labels, k, skip, exact, *by_attribute, *at]
    ask.click(search, sent, answer, api_name="search", **asked)
    ask.click(classes, [image, gallery, *place, label, *at], answer, api_name="classes", **asked)
    ask.click(curves, [gallery, *place, pairs, seed], answer, api_name="curves", **asked)


def _space(galleries: Galleries, gallery: str | None, network: str | None, pooling: str | None) -> Space:
    """What is asked, of fields that the caller may have left empty."""
    return find_space(galleries, gallery or SAMPLES, network or "", pooling or "")


def _search(
    galleries: Galleries,
    image: str,
    space: Space,
    regions: Regions | None,
    labels: list[str] | None,
    k: float,
    skip: float,
    exact: bool,
    wish: AttributeWish | None,
    depth: DepthAsked,
) -> Answer:
    if not image:
        raise SimvisError("no picture", "one to search for", "send image")
    marked = regions_on(galleries, image, space, regions)
    check_labels(labels)
    wanted = tuple(labels or ()) or None
    asked = Asked(image, space.gallery, space.name, marked, wanted, bool(exact), wish, depth)
    return galleries.search(asked, _whole("k", k, MOST_HITS), _whole("skip", skip, 2**31))


def _whole(name: str, value: float | None, most: int) -> int:
    if value is None or not 0 <= value <= most or not float(value).is_integer():
        raise SimvisError(f"{name} = {value}", f"a whole number from 0 to {most}", f"send another {name}")
    return int(value)
