"""What an explanation costs over the two forward passes that the score alone would need."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from PIL import Image

import model_zoo
from benchmarks.pictures import first_images, large_images
from benchmarks.tables import Table, number, percent, ratio
from benchmarks.timing import FULL, QUICK, Job, Race, race
from simvis_core import EmbeddingNetwork, PairExplanation, explain_features, explain_pair
from simvis_core.pictures.resizing import RESIZINGS, Resizing

TARGET = 1.15
PARTS = ("views", "forward passes", "decompositions", "maps and score")
DETAIL, LARGE = 384, (4000, 3000)
MOVED = 16  # large pictures whose scores are compared both ways, each with each other


@dataclass(frozen=True)
class Case:
    """A network, what is special about the pictures, and the view's short side."""

    network: str
    pictures: str = "sample pair"
    short_side: int | None = None
    resizing: Resizing = "quick"


def tables(quick: bool) -> list[Table]:
    """The whole against two bare forward passes, then part by part."""
    cases = list(_cases())[: 1 if quick else None]
    races = {case: race(_jobs(case), [("explain", "bare")], QUICK if quick else FULL) for case in cases}
    return [_whole(races), _parts(races), _moved(3 if quick else MOVED)]


def _cases() -> Iterator[Case]:
    yield from (Case(name) for name in model_zoo.bundled())
    yield Case("efficientnet_lite0", f"sample pair, short side {DETAIL}", DETAIL)
    yield Case("efficientnet_lite0", "12-megapixel photographs")
    yield Case("efficientnet_lite0", "12-megapixel photographs, reference resizing", resizing="reference")


def _images(case: Case) -> tuple[Image.Image, Image.Image]:
    a, b = first_images()
    return (a.resize(LARGE), b.resize(LARGE)) if case.pictures.startswith("12-") else (a, b)


def _jobs(case: Case) -> dict[str, Job]:
    network, (image_a, image_b) = model_zoo.load(case.network).with_resizing(case.resizing), _images(case)
    pair = explain_pair(network, image_a, image_b, case.short_side)
    pixels = [view.pixels[None] for view in (pair.view_a, pair.view_b)]
    parts = (network, pair.view_a, pair.view_b, pair.features_a, pair.features_b)
    return {
        "bare": lambda: _bare(network, pixels),
        "explain": lambda: _read(explain_pair(network, image_a, image_b, case.short_side)),
        "views": lambda: [network.view(image, case.short_side) for image in (image_a, image_b)],
        "forward passes": lambda: [network.features(batch) for batch in pixels],
        "decompositions": lambda: explain_features(*parts),
        "maps and score": lambda: _read(replace(pair)),
    }


@torch.inference_mode()
def _bare(network: EmbeddingNetwork, pixels: list[torch.Tensor]) -> object:
    return [network.backbone(batch) for batch in pixels]


def _read(pair: PairExplanation) -> object:
    return pair.map_a, pair.map_b, pair.score


def _whole(races: dict[Case, Race]) -> Table:
    rows = [
        [
            case.network,
            case.pictures,
            number(result.milliseconds("bare")),
            number(result.milliseconds("explain")),
            ratio(result, "explain", "bare"),
        ]
        for case, result in races.items()
    ]
    columns = ["network", "pictures", "two forward passes, ms", "explained, ms", "times"]
    note = f"From Pillow images to score and both maps. Target: at most {TARGET} times the two bare forward passes."
    return Table("An explanation beside two bare forward passes", columns, rows, [note])


def _parts(races: dict[Case, Race]) -> Table:
    rows = [
        [f"{case.network}, {case.pictures}", *(_part(result, part) for part in PARTS)] for case, result in races.items()
    ]
    note = "Milliseconds, and the share of the two bare forward passes. `views`: upright, resized, normalised."
    return Table("Where an explanation's time goes", ["network, pictures", *PARTS], rows, [note])


def _moved(count: int) -> Table:
    """Every score of some large pictures with each other, under both ways of shrinking them."""
    networks = {name: model_zoo.load(name) for name in model_zoo.bundled()}
    embedded: dict[tuple[str, Resizing], list[torch.Tensor]] = {
        (name, way): [] for name in networks for way in RESIZINGS
    }
    for image in large_images(count, LARGE):
        for (name, way), vectors in embedded.items():
            pixels = networks[name].with_resizing(way).view(image).pixels
            vectors.append(networks[name].embed(pixels[None])[0].double())
    rows = []
    pairs = torch.triu_indices(count, count, 1).unbind()
    for name in networks:
        quick, reference = (torch.stack(embedded[name, way]) for way in RESIZINGS)
        moved = (quick @ quick.T - reference @ reference.T).abs()[pairs]
        rows.append([name, str(len(moved)), f"{moved.median().item():.1e}", f"{moved.max().item():.1e}"])
    columns = ["network", "pairs", "median", "largest"]
    note = "Sample photographs at 12 megapixels, half of them with noise of 25 grey levels: detail that can be lost."
    return Table("How far the quick resizing moves a score", columns, rows, [note])


def _part(result: Race, part: str) -> str:
    return f"{number(result.milliseconds(part))} ({percent(result.ratio(part, 'bare'))})"
