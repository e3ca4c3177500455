"""`concepts direction`: a concept's direction from pictures that show it and pictures that do not (TCAV)."""

import argparse
import json
import sys
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from simvis_app.commands.concepts.telling import ConceptTeller
from simvis_app.commands.opening import session_of
from simvis_app.service import defaults, samples
from simvis_app.service.sessions.session import Session
from simvis_core.attributes.concept_directions import (
    ConceptDirection,
    RandomTest,
    concept_direction,
    corrected,
    raised_share,
    random_test,
    separation,
)
from simvis_core.attributes.dictionaries.places import Gathered, gathering
from simvis_core.errors import SimvisError
from simvis_core.files.writing import array, manifest_json, npy, png, write_folder
from simvis_core.galleries.curves import same_class_pairs
from simvis_core.networks.network import EmbeddingNetwork
from simvis_core.pictures.listing import listed
from simvis_core.pictures.opening import open_picture
from simvis_core.pictures.overlays import common_scale, overlay
from simvis_core.steps import run

if TYPE_CHECKING:
    from torch import Tensor

PAIRS_ASKED = 200  # of one class, at most


class _Seen(NamedTuple):
    """A network, and how pictures are seen by it."""

    network: EmbeddingNetwork
    side: int
    options: argparse.Namespace
    session: Session

    def embeddings(self, source: str | Path, what: str, besides: Collection[str] = ()) -> Gathered:
        """Every picture's embedding but those of some; those that cannot be opened are said to be left out."""
        pictures = {file: label for file, label in listed(source).pictures.items() if file not in besides}
        steps = gathering(
            self.network,
            pictures,
            short_side=self.side,
            framing=self.options.framing,
            most=1,
            limits=self.session.limits,
        )
        found = run(self.session.in_turn(steps), ConceptTeller(what))
        for file, why in found.left_out.items():
            print(f"simvis: left out: {Path(file).name}: {why}", file=sys.stderr)
        return found


def direction(options: argparse.Namespace) -> None:
    """Prints how well the concept is told and how often more of it raises a score; writes the direction and maps."""
    session, backbone = session_of(options)
    network = session.network(backbone)
    network = network if options.pooling is None else network.with_pooling(options.pooling)
    side = options.view_size or network.preprocess.whole_cells(defaults.SHORT_SIDE)
    network.preprocess.check(side, options.framing)
    seen = _Seen(network, side, options, session)
    having = seen.embeddings(options.shown, "pictures with it")
    lacking = seen.embeddings(options.other, "pictures without it", having.files)
    shown, other = having.embeddings, lacking.embeddings
    found, told = concept_direction(shown, other), separation(shown, other, options.seed)
    print(
        f"{len(shown)} pictures with it, {len(other)} without: told apart in {100 * told:.0f} % where held out (50 by "
        "chance)"
    )
    pairs = _pairs(seen.embeddings(options.pairs or samples.PICTURES, "pictures of pairs"))
    share, tested = raised_share(found.direction, *pairs), random_test(shown, other, pairs, options.draws, options.seed)
    p = corrected({options.name: tested})[options.name]
    print(_of_pairs(share, tested, p, len(pairs[0])))
    facts = {
        "name": options.name,
        "network": network.name,
        "fingerprint": network.fingerprint,
        "pooling": str(network.pooling),
        "short_side": side,
        "framing": options.framing,
        "offset": found.offset,
        "pictures_with": len(shown),
        "pictures_without": len(other),
        "told_apart": told,
        "pairs": len(pairs[0]),
        "raised_share": share,
        "shares_of_draws": list(tested.shares),
        "shares_of_random_sets": list(tested.random),
        "p": p,
    }
    files = {"direction.npy": npy(array(found.direction[None])), "direction.json": manifest_json(facts)}
    for path in write_folder(options.out, files | _maps(seen, found)):
        print(path)


def _pairs(gathered: Gathered) -> "tuple[Tensor, Tensor]":
    """Embeddings of pairs of one class."""
    places = same_class_pairs(gathered.labels, PAIRS_ASKED)
    if not places:
        raise SimvisError("pictures of which no two are of one class", "pairs to test on", "name class folders")
    own, others = ([pair[at] for pair in places] for at in (0, 1))
    return gathered.embeddings[own], gathered.embeddings[others]


def _of_pairs(share: float, tested: RandomTest, p: float, pairs: int) -> str:
    random = sum(tested.random) / len(tested.random)
    draws = sum(tested.shares) / len(tested.shares)
    return (
        f"more of it raises {100 * share:.0f} % of {pairs} scores of one class; over {len(tested.shares)} draws "
        f"{100 * draws:.0f} %, random sets {100 * random:.0f} % (p {p:.2g})"
    )


def _maps(seen: _Seen, found: ConceptDirection) -> dict[str, bytes]:
    """The direction's exact map over each picture that is to be shown, with its log-odds printed."""
    files = {}
    for file in seen.options.show:
        view = seen.network.view(open_picture(file, limits=seen.session.limits), seen.side, seen.options.framing)
        split = seen.network.decompose(view.pixels)
        way = found.direction.to(split.cells)
        map, whole = split.similarity_map(way), float(split.embedding @ way) + found.offset
        print(f"{Path(file).name}: log-odds {whole:+.2f}, of which the cells {float(map.sum()):+.2f}")
        said = json.dumps({"log_odds": whole, "offset": found.offset, "cells": map.tolist()})
        files[f"{Path(file).stem}_map.png"] = png(overlay(view, map, common_scale(map)), {"manifest": said})
    return files
