"""Asks the core of the tree it runs in: pairs, exports, explainers and a gallery's answers, each value as text.

A script of its own: ``python -P in_python.py TREE WORK`` with the tree's code on the path. It imports only what the
README publishes, so that it runs on commits whose modules stand elsewhere.
"""

import hashlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

import model_zoo
import simvis_core
from simvis_core import (
    POOLINGS,
    EmbeddingNetwork,
    PairExplanation,
    Preprocess,
    SimvisError,
    explain_pair,
    half_share,
    open_picture,
    top_features,
)
from simvis_core.edge_index import EdgeIndex
from simvis_core.explainers import EXPLAINERS, draw_map
from simvis_core.faithfulness import removal_curve
from simvis_core.gallery import open_gallery
from simvis_core.indexing import index_pictures
from simvis_core.listing import listed
from simvis_core.question import Question
from simvis_core.regions import box_on, point_on, region_weights
from simvis_core.search import find, query_map

Values = Iterator[tuple[str, str]]
Pair = tuple[str, str]


def main(tree: Path, work: Path) -> None:
    """Writes ``answer.json``: a text for each value. Raises ImportError where other code than the tree's is found."""
    for package in (simvis_core, model_zoo):
        if tree not in Path(str(package.__file__)).resolve().parents:
            raise ImportError(f"{package.__name__} comes from {package.__file__}, not from {tree}")
    values = dict(_all(work))
    (work / "answer.json").write_text(json.dumps(values))


def _all(work: Path) -> Values:
    for (name, pooling), framing in NETWORKS.items():
        network = model_zoo.load(name, pooling)
        yield from pairs_of(network, PAIRS, work, framing)
        yield from explainers_of(network, PAIRS[:1], work)
    for label, made in MADE.items():
        torch.manual_seed(0)
        network = made()
        yield from within(label, pairs_of(network, PAIRS[:2], work))
        yield from within(label, explainers_of(network, PAIRS[:1], work))
    yield from methods(PAIRS[:2], work)
    yield from gallery(work)


def pairs_of(network: EmbeddingNetwork, pairs: Sequence[Pair], work: Path, framing: Any = "whole") -> Values:
    """Each pair's numbers, maps and exports under a network."""
    for at, (a, b) in enumerate(pairs):
        pair = explain_pair(network, _opened(work, a), _opened(work, b), framing=framing)
        place = f"pairs/{network.name} {network.pooling} {framing}/{a} {b}"
        yield from within(place, (value for part in (_numbers, _maps, _pooled) for value in part(pair)))
        yield from within(place, _exported(pair, work / "export", GROUNDS[at % len(GROUNDS)]))


def _numbers(pair: PairExplanation) -> Values:
    yield "score", text(pair.score)
    yield "verdict", f"{pair.verdict}, {pair.method}, {pair.additive}"
    yield "warnings", repr(pair.warnings)
    for name, part in pair.ledger.items():
        yield f"ledger {name}", text(part)
    yield "bias parts", f"{text(pair.bias_part('a'))} {text(pair.bias_part('b'))}"
    yield "half share", repr(half_share(pair.map_a, pair.score))
    yield "point share", text(pair.point_share("a", *_point(pair)))


def _maps(pair: PairExplanation) -> Values:
    best = int(top_features(pair.contributions, 1)[0])
    asked: dict[str, Callable[[], Any]] = {
        "map a": lambda: pair.map_a,
        "map b": lambda: pair.map_b,
        "joint map": lambda: pair.joint_map,
        "patch cosines": lambda: pair.patch_cosines,
        "embedding a": lambda: pair.a.embedding,
        "embedding b": lambda: pair.b.embedding,
        "contributions": lambda: pair.contributions,
        "curve": pair.contribution_curve,
        "point map of a": lambda: pair.point_map("a", *_point(pair)),
        "point map of b": lambda: pair.point_map("b", 20.25, 30.5),
        "region map": lambda: pair.region_map("a", _region(pair)),
        "top map": lambda: pair.top_map("b", 10),
        "feature map": lambda: pair.feature_map("a", best),
    }
    for name, ask in asked.items():
        yield name, _or_refusal(ask)


def _pooled(pair: PairExplanation) -> Values:
    """The pair under every pooling."""
    for name in POOLINGS:
        try:
            other = pair.with_pooling(name)
            yield f"under {name}", f"{text(other.score)} {text(other.map_a)} {text(other.map_b)}"
        except SimvisError as error:
            yield f"under {name}", f"refused: {error}"


def _exported(pair: PairExplanation, folder: Path, ground: Any) -> Values:
    """The hash of each file of an export with a point and a region, and of the picture to share."""
    point: Any = ("a", *_point(pair))
    region: Any = ("b", [float(at % 3 == 0) for at in range(pair.b.grid[0] * pair.b.grid[1])])
    paths = pair.save(folder / "files", point=point, region=region, ground=ground)
    for path in [*paths, *pair.save(folder / "x.png", point=point, ground=ground)]:
        yield f"export {path.name}", hashed(path.read_bytes())
        path.unlink()


def explainers_of(network: EmbeddingNetwork, pairs: Sequence[Pair], work: Path) -> Values:
    """The map of every explainer with few masks, in every setting, and both curves of each map."""
    for a, b in pairs:
        side = None if network.preprocess.fixed_size else SMALL
        views = [network.view(_opened(work, name), side) for name in (a, b)]
        query = network.embed(views[1].pixels[None])[0]
        for name, entry in EXPLAINERS.items():
            for setting in entry.settings:
                place = f"explainers/{network.name} {network.pooling}/{a} {b}/{name} {setting}"
                options = {"reference": views[1], "setting": setting, "seed": 3, **FEW.get(name, {})}
                yield from within(place, _explained(network, views[0], query, name, options))


def _explained(network: EmbeddingNetwork, view: Any, query: Any, name: str, options: dict[str, Any]) -> Values:
    try:
        drawn = draw_map(name, network, view, query, **options)
    except SimvisError as error:
        yield "refused", str(error)
        return
    yield "map", text(drawn.map)
    yield "passes", repr(drawn.passes)
    for kind in ("insertion", "deletion"):
        curve = removal_curve(Question(network, view, query), drawn.map, kind, steps=4, seed=1)
        yield kind, f"{text(curve.scores)} {text(curve.auc)} {curve.rescaled_auc!r}"


def methods(pairs: Sequence[Pair], work: Path) -> Values:
    """A network of one layer under both methods that draw by masks."""
    torch.manual_seed(0)
    network = _own()
    for a, b in pairs:
        for method in ("sliding window", "RISE"):
            pair = explain_pair(network, _opened(work, a), _opened(work, b), SMALL, method=method)
            place = f"methods/{method}/{a} {b}"
            yield from within(place, (value for part in (_numbers, _maps) for value in part(pair)))
            yield from within(place, _exported(pair, work / "export", GROUNDS[0]))


def gallery(work: Path) -> Values:
    """A gallery indexed anew under two networks, and what it answers to pictures and to parts of them."""
    index = EdgeIndex(work / "galleries" / "index")
    try:
        made = open_gallery("photos", work / "galleries", index, create=True)
        for name, pooling, side in (("efficientnet_lite0", "avg", 224), ("mobilenet_v2", "max", 160)):
            network = model_zoo.load(name, pooling)
            for _ in index_pictures(made, listed(work / "pictures"), [network], side):
                pass
            space = made.space(network, side, "whole")
            yield f"gallery/{space.network} {space.pooling}/space", f"{space.name} {space.fingerprint} {space.view}"
            for row in sorted(index.scan(space, embeddings=True), key=lambda row: row.id):
                place = f"gallery/{space.network} {space.pooling}/row {row.label} {row.id}"
                yield place, f"{row.sha256} {_within(row.file, work)} {text(row.embedding)}"
                yield f"{place}/thumbnail", hashed(made.thumbnail(row) or b"")
            for a, _ in PAIRS[:4]:
                yield from _found(index, space, network, a, side, work)
    finally:
        index.close()


def _found(index: Any, space: Any, network: EmbeddingNetwork, a: str, side: int, work: Path) -> Values:
    view = network.view(_opened(work, a), side)
    picture = network.decompose(view.pixels)
    regions: dict[str, list[Any]] = {
        "box": [box_on(view, 130, 40, 150, 90)],
        "point": [point_on(view, 200, 120)],
        "for and against": [box_on(view, 30, 40, 150, 190), box_on(view, 150, 10, 90, 70, -1)],
    }
    for name, marks in {"whole": [], **regions}.items():
        weights = region_weights(marks, view.size, picture.grid) if marks else None
        query = picture.embedding if weights is None else picture.region_query(weights)
        for rank, hit in enumerate(find(index, space, query, picture.embedding, 10, exact=name == "point")):
            place = f"gallery/{space.network} {space.pooling}/{name} of {a}/{rank}"
            facts = f"{hit.row.id} {_within(hit.row.file, work)} {hit.row.label} {hit.stale}"
            yield place, f"{facts} {text(hit.score)} {text(hit.cosine)} {text(query_map(picture, hit, weights))}"


# ---------------------------------------------------------------- values as text


def text(value: Any) -> str:
    """A float in hexadecimal, which loses nothing; an array as kind, shape, sum and the hash of its bytes."""
    if value is None or isinstance(value, float | int):
        return value.hex() if isinstance(value, float) else repr(value)
    found = value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)
    total = float(found.astype(np.float64).sum()).hex()
    return f"{found.dtype} {found.shape} sum {total} {hashed(np.ascontiguousarray(found).tobytes())}"


def hashed(content: bytes) -> str:
    """The SHA-256 of bytes."""
    return f"sha256 {hashlib.sha256(content).hexdigest()}"


def within(place: str, values: Values) -> Values:
    """The values under a place."""
    return ((f"{place}/{name}", value) for name, value in values)


def _or_refusal(ask: Callable[[], Any]) -> str:
    try:
        return text(ask())
    except SimvisError as error:
        return f"refused: {error}"


def _within(file: str, work: Path) -> str:
    return Path(file).relative_to(work).as_posix()


def _opened(work: Path, name: str) -> Any:
    return open_picture(work / "pictures" / name.rpartition("_")[0] / f"{name}.jpg")


def _point(pair: PairExplanation) -> tuple[float, float]:
    height, width = pair.view_a.size
    return 0.62 * width, 0.41 * height


def _region(pair: PairExplanation) -> torch.Tensor:
    height, width = pair.view_a.size
    mask = torch.zeros(height, width, dtype=torch.bool)
    mask[height // 5 : height // 2, width // 3 : width // 2] = True
    return mask


def _own() -> EmbeddingNetwork:
    """A network of one's own, as in the README: one layer, GeM, and a head with batch norm."""
    backbone = nn.Sequential(nn.Conv2d(3, 32, 16, 16), nn.ReLU())
    head = nn.Sequential(nn.Linear(32, 16), nn.BatchNorm1d(16)).eval()
    return EmbeddingNetwork(backbone, "gem", head, Preprocess(short_side=224, stride=16), name="own")


PAIRS: tuple[Pair, ...] = (
    ("taj_mahal_1", "taj_mahal_3"),
    ("eiffel_tower_1", "eiffel_tower_3"),
    ("neuschwanstein_castle_1", "neuschwanstein_castle_2"),
    ("mount_rushmore_1", "mount_rushmore_2"),
    ("statue_of_liberty_1", "statue_of_liberty_2"),
    ("scissors_1", "scissors_4"),
    ("louvre_1", "louvre_2"),
    ("sydney_opera_house_1", "sydney_opera_house_2"),
    ("christ_the_redeemer_1", "christ_the_redeemer_2"),
    ("giraffe_1", "giraffe_2"),
    ("windmill_6", "windmill_14"),
    ("neuschwanstein_castle_2", "schwerin_palace_1"),
    ("pyramid_4", "pyramid_5"),
    ("parthenon_1", "lincoln_memorial_1"),
    ("pliers_1", "tape_measure_1"),
    ("windmill_1", "windmill_2"),
    ("pyramid_1", "parthenon_1"),
    ("taj_mahal_1", "eiffel_tower_1"),
    ("scissors_1", "pliers_2"),
    ("tape_measure_1", "tape_measure_2"),
)
# The four whose weights come along, each under another pooling or framing.
NETWORKS = {
    ("efficientnet_lite0", "avg"): "whole",
    ("efficientnet_lite2", "gem"): "square",
    ("mobilenet_v2", "max"): "whole",
    ("face_resnet29", "avg"): "crop",
}
# What the four do not have: a class token with attention, a layer norm behind the pooling, weights of nobody.
MADE: dict[str, Callable[[], EmbeddingNetwork]] = {
    "untrained ViT": lambda: model_zoo.untrained("timm/vit_tiny_patch16_224"),
    "untrained ConvNeXt": lambda: model_zoo.untrained("timm/convnext_atto"),
    "own": _own,
}
GROUNDS = ("colours", "grey", "outline")
# Enough masks that each explainer's every step is taken.
FEW: dict[str, dict[str, Any]] = {
    "integrated_gradients": {"steps": 4},
    "sliding_window": {"window": 8, "steps_a_side": 4},
    "rise": {"masks": 20},
    "lime": {"samples": 20},
    "mask": {"steps": 5},
    "corr_rise": {"masks": 20},
    "sbsm": {"steps_a_side": 4},
}
SMALL = 96  # short side of views that are run many times

if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
