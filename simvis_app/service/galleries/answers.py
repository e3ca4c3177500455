"""What searches, classes and curves answer, as JSON and as a contact sheet: for the API and the command line."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from simvis_app.service import words
from simvis_app.service.attributes.hits import AttributeTold
from simvis_app.service.attributes.hits_in_words import by_attribute, sure_note
from simvis_app.service.galleries.galleries import Answer, Asked, Galleries
from simvis_app.service.sessions.depths import DepthAsked
from simvis_app.service.sessions.session import Pictured
from simvis_core.galleries.classes import class_map
from simvis_core.galleries.contact_sheet import Entry, contact_sheet
from simvis_core.galleries.curves import MeanCurve
from simvis_core.galleries.search import Found, query_map
from simvis_core.pictures.overlays import common_scale, overlay
from simvis_core.pictures.view_warnings import view_warning
from simvis_core.stores.contract import Space

MATRIX = 500  # members whose scores with each other are told
MAPPED = 60  # pictures of a sheet that are run for their maps


def search_json(answer: Answer, maps: bool = True, paths: bool = True) -> dict[str, Any]:
    """A search's hits, best first; without ``paths`` strangers learn a file's name only, not where it lies.

    ``score`` ranks: the whole picture's cosine, or the region's signed share of it. ``query_map`` is over the cells of
    the query's view, in shares of the score; with regions each cell has its weight, and the map sums to the score.
    With an attribute each hit has its ``confidence``, in log-odds above the reference pictures'. ``depth`` is null for
    maps of the network's last features.
    """
    own = answer.picture.decomposition
    drawn = maps and own.method != "none"
    return {
        "space": space_json(answer.space),
        "query": {
            "sha256": answer.picture.sha256,
            "view_size": list(answer.picture.view.size),
            "warnings": _warnings(answer.picture),
            "grid": list(own.grid),
            "verdict": own.verdict,
            "method": own.method,
            "depth": depth_facts(answer.asked.depth, answer.picture),
            "region_weights": None if answer.weights is None else answer.weights.tolist(),
        },
        "total": answer.total,
        "every_row_compared": not answer.near,
        "attribute": None if answer.attribute is None else attribute_facts(answer.attribute),
        "hits": [
            hit_json(one, answer.skip + rank, paths)
            | ({} if answer.attribute is None else {"confidence": answer.attribute.of(one.row)})
            | ({"query_map": query_map(own, one, answer.weights).tolist()} if drawn else {})
            for rank, one in enumerate(answer.found, start=1)
        ],
    }


def depth_facts(depth: DepthAsked, picture: Pictured) -> dict[str, Any] | None:
    """At which layer a picture's maps are, by which rule, and what of its score with itself each part carries."""
    if not depth.layer:
        return None
    own = picture.decomposition
    parts = {name: float(part @ own.embedding) for name, part in own.bias_parts.items()}
    reference = depth.reference if depth.rule == "path" else None
    facts = {"layer": depth.layer, "rule": depth.rule, "reference": reference}
    return facts | {"carried": 1 - sum(parts.values()), "bias_parts": parts}


def hit_json(one: Found, rank: int, paths: bool = True) -> dict[str, Any]:
    """One hit. ``file`` is where the picture was when it was indexed."""
    return {
        "rank": rank,
        "id": one.row.id,
        "sha256": one.row.sha256,
        "file": one.row.file if paths else words.file_name(one.row.file),
        "label": one.row.label,
        "score": one.score,
        "cosine": one.cosine,
        "stale": one.stale or None,
    }


def attribute_facts(told: AttributeTold) -> dict[str, Any]:
    """What hits were held to or ordered by, and how that was told: an estimate, as embeddings are stored unit long."""
    return {
        "name": told.wish.name,
        "use": told.wish.use,
        "shown_above": told.shown_from,
        "share_shown_above": told.share,
        "usual_share": told.usual_share,
        "usual_length": told.length,
        "looked_at": told.looked,
        "showing": told.showing,
    }


def space_json(space: Space) -> dict[str, Any]:
    """What a gallery was indexed with."""
    return {
        "gallery": space.gallery,
        "network": space.network,
        "pooling": space.pooling,
        "view": space.view,
        "width": space.width,
        "fingerprint": space.fingerprint,
    }


def classes_json(galleries: Galleries, space: Space) -> dict[str, Any]:
    """Every class with its number of pictures, and the mean score of every two; null for one picture with itself."""
    means = galleries.means(space)
    scores = [[None if math.isnan(value) else value for value in line] for line in means.scores.tolist()]
    classes = [{"label": label, "pictures": count} for label, count in zip(means.labels, means.counts, strict=True)]
    return {"space": space_json(space), "classes": classes, "scores": scores}


def class_json(galleries: Galleries, space: Space, label: str, paths: bool = True) -> dict[str, Any]:
    """A class: its members, the most typical first, and the score of every two; of the first 500 of a larger one."""
    members = galleries.members(space, label)
    listed = [
        {"id": row.id, "file": row.file if paths else words.file_name(row.file), "typicality": float(typicality)}
        for row, typicality in zip(members.rows, members.typicality, strict=True)
    ]
    scores = members.scores[:MATRIX, :MATRIX].tolist()
    return {"space": space_json(space), "label": label, "members": listed, "scores": scores}


def belongs_json(
    galleries: Galleries, space: Space, file: str, depth: DepthAsked = Asked.depth, count: int = 5
) -> dict[str, Any]:
    """The classes nearest to a picture, and where it looks like the first, at a depth."""
    picture = galleries.picture(file, space, depth=depth)
    means = galleries.means_for(picture, space)
    nearest = means.nearest(galleries.picture(file, space).decomposition.embedding, count)
    mapped = picture.decomposition.method != "none"
    return {
        "space": space_json(space),
        "nearest": [
            {"label": means.labels[at], "pictures": means.counts[at], "mean_score": score} for at, score in nearest
        ],
        "warnings": _warnings(picture),
        "depth": depth_facts(depth, picture),
        "map": class_map(picture.decomposition, means.means[nearest[0][0]]).tolist() if mapped else None,
    }


def _warnings(picture: Pictured) -> list[str]:
    """What to mind of the picture, if there is anything."""
    said = view_warning(picture.view, words.YOURS)
    return [said] if said else []


def curves_json(curves: Mapping[str, MeanCurve]) -> dict[str, Any]:
    """Mean curves by name, in shares of the score (1 is all of it)."""
    return {
        name: {
            "pairs": curve.pairs,
            "left_out": curve.left_out,
            "mean_score": curve.score,
            "top_10_share": curve.share(10),
            "features": curve.counts.tolist(),
            "mean": curve.mean.tolist(),
            "low": curve.low.tolist(),
            "high": curve.high.tolist(),
        }
        for name, curve in curves.items()
    }


def search_sheet(galleries: Galleries, answer: Answer) -> bytes:
    """The query, then each hit under its own map, on one scale."""
    hits = [galleries.hit(one, answer.space, answer.asked.depth) for one in answer.found[:MAPPED]]
    own = answer.picture
    map, maps = own.decomposition.similarity_map(answer.query), [_map_of(hit, answer.query) for _, hit in hits]
    scale = common_scale(map, *(one for one in maps if one is not None))
    entries = [Entry(overlay(own.view, map, scale), "the query", ["under its own map"])]
    for rank, ((one, hit), on_hit) in enumerate(zip(hits, maps, strict=True), start=1):
        image = None if hit is None or on_hit is None else overlay(hit.view, on_hit, scale)
        number = f"{rank}. {words.number(one.score)}"
        lines = [one.row.label or "no label", words.file_name(one.row.file), *_share(answer, one)]
        entries.append(Entry(image, number, lines, one.stale))
    told = [
        words.space_label(answer.space.network, answer.space.pooling, answer.space.view),
        f"{answer.ranked} pictures of gallery '{answer.space.gallery}', ranked by "
        + ("the score with the whole picture" if answer.weights is None else "the marked region's share of the score"),
        f"Red speaks for the score, blue against it; full colour is {words.number(scale)} a cell.",
    ]
    told += [] if answer.attribute is None else [by_attribute(answer.attribute)]
    told += _depth_lines(answer.asked.depth)
    return contact_sheet("SimVis: search", told, entries)


def _map_of(hit: Pictured | None, query: Any) -> Any:
    return None if hit is None else hit.decomposition.similarity_map(query)


def _depth_lines(depth: DepthAsked) -> list[str]:
    return [f"Maps at layer {depth.layer} by the rule {depth.rule}."] if depth.layer else []


def class_sheet(galleries: Galleries, space: Space, label: str, depth: DepthAsked = Asked.depth) -> bytes:
    """Each member under its map of class similarity, on one scale, the most typical first."""
    members = galleries.members(space, label)
    hits = [galleries.hit(Found(row, 1.0, 1.0), space, depth) for row in members.rows[:MAPPED]]
    others = max(1, len(members.rows) - 1)
    maps = [
        None if hit is None else class_map(hit.decomposition, members.others(at)) / others
        for at, (_, hit) in enumerate(hits)
    ]
    scale = common_scale(*(map for map in maps if map is not None)) if any(map is not None for map in maps) else 0.0
    entries = [
        Entry(
            None if hit is None or map is None else overlay(hit.view, map, scale),
            words.three(float(members.typicality[at])),
            [words.file_name(one.row.file), words.typical(at, len(members.rows))],
            one.stale,
        )
        for at, ((one, hit), map) in enumerate(zip(hits, maps, strict=True))
    ]
    told = [
        words.space_label(space.network, space.pooling, space.view),
        f"Class '{label}' of gallery '{space.gallery}': {len(members.rows)} pictures.",
        f"Full colour is {words.number(scale)} of the mean score a cell.",
        *_depth_lines(depth),
    ]
    return contact_sheet(f"SimVis: class {label}", told, entries)


def _share(answer: Answer, one: Found) -> Sequence[str]:
    share = [] if answer.weights is None else [words.region_note(one.score, one.cosine)]
    return share if answer.attribute is None else [*share, sure_note(answer.attribute, one.row)]
