"""A pair's concepts as files: the ledger, the maps of the strongest, and the places that fire each."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw
from torch import Tensor

from simvis_core.attributes.concepts import ConceptPair
from simvis_core.attributes.dictionaries.dictionary import Dictionary, Firing
from simvis_core.errors import SimvisError
from simvis_core.files.numbers import UNITS, number, of_score
from simvis_core.files.writing import array, manifest_json, npz, png
from simvis_core.galleries.contact_sheet import Entry, contact_sheet
from simvis_core.networks.network import EmbeddingNetwork
from simvis_core.pairs.explanation import PairExplanation
from simvis_core.pairs.share_picture import Panel, PanelRow, caption, row_figure
from simvis_core.pairs.sides import SIDES, Side
from simvis_core.pictures.opening import OWNERS, Limits, open_picture
from simvis_core.pictures.overlays import common_scale
from simvis_core.pictures.views import Framing

MARK, THICK = (255, 64, 32), 80  # of the frame around a cell: its colour, and how many times it goes into the picture


def concept_ledger(split: ConceptPair, count: int) -> dict[str, Any]:
    """What the ``count`` strongest concepts, all others, the mean and the residual carry, as plain JSON; they sum.

    Each concept has its number, name, total, its totals on each picture's map, and each picture's code, below zero for
    a picture that has less of it than the mean: two that both lack something are similar by it, too.

    >>> import torch
    >>> from simvis_core import Decomposition
    >>> from simvis_core.attributes.concept_files import concept_ledger
    >>> from simvis_core.attributes.concepts import ConceptPair
    >>> from simvis_core.attributes.dictionaries.dictionary import dictionary_of
    >>> one = Decomposition(torch.tensor([[[0.0, 1.0]]]), torch.zeros(2))
    >>> told = concept_ledger(ConceptPair(one, one, dictionary_of(torch.eye(2), names=("red", "blue"))), 1)
    >>> told["concepts"]
    [{'concept': 1, 'name': 'blue', 'total': 1.0, 'total_a': 1.0, 'total_b': 1.0, 'code_a': 1.0, 'code_b': 1.0}]
    >>> told["other_concepts"], told["mean"], told["residual"], told["score"]
    (0.0, 0.0, 0.0, 1.0)
    """
    both, by_side = split.mean_totals, {side: split.totals(side).concepts for side in SIDES}
    codes: dict[Side, Tensor] = {"a": split.split_a.codes, "b": split.split_b.codes}
    rows = [
        {
            "concept": concept,
            "name": split.dictionary.name(concept),
            "total": float(both.concepts[concept]),
            **{f"total_{side}": float(by_side[side][concept]) for side in SIDES},
            **{f"code_{side}": float(codes[side][concept]) for side in SIDES},
        }
        for concept in split.strongest(count).tolist()
    ]
    others = float(both.concepts.sum()) - sum(row["total"] for row in rows)
    return {
        "score": both.score,
        "concepts": rows,
        "other_concepts": others,
        "mean": both.mean,
        "residual": both.residual,
    }


def concept_files(
    pair: PairExplanation, split: ConceptPair, count: int, names: Mapping[Side, str] | None = None
) -> dict[str, bytes]:
    """The pair's concepts by file name: concepts.json, a picture of the maps of each of the strongest, maps.npz.

    The pictures share one scale. maps.npz also holds all totals on each side, in the mean, and the concept-by-concept
    matrix. ``names`` are the pictures' files.

    >>> import torch
    >>> from PIL import Image
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork, Preprocess, explain_pair
    >>> from simvis_core.attributes.concept_files import concept_files
    >>> from simvis_core.attributes.concepts import ConceptPair
    >>> from simvis_core.attributes.dictionaries.dictionary import dictionary_of
    >>> net = EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8), preprocess=Preprocess(short_side=32, stride=8))
    >>> pair = explain_pair(net, Image.new("RGB", (60, 40), "orange"), Image.new("RGB", (40, 40), "red"))
    >>> sorted(concept_files(pair, ConceptPair(pair.a, pair.b, dictionary_of(torch.ones(1, 4))), count=1))
    ['concept_000.png', 'concepts.json', 'maps.npz']
    """
    strongest = split.strongest(count).tolist()
    maps = {(concept, side): split.concept_map(side, concept) for concept in strongest for side in SIDES}
    rests = {
        f"{name}_{side}": array(of(side))
        for name, of in (("mean", split.mean_map), ("residual", split.residual_map))
        for side in SIDES
    }
    totals = {"totals": split.mean_totals.concepts, "totals_a": split.totals("a").concepts}
    totals |= {"totals_b": split.totals("b").concepts, "matrix": split.matrix}
    files = {"concepts.json": manifest_json(concept_ledger(split, count))}
    scale = common_scale(*maps.values()) if maps else 0.0
    for concept in strongest:
        panels = [
            Panel(pair.side(side)[0], maps[concept, side], caption(side, (names or {}).get(side, ""))) for side in SIDES
        ]
        carried = of_score(float(split.mean_totals.concepts[concept]), split.mean_totals.score)
        row = PanelRow(f"{_title(split.dictionary, concept)}: {carried}", panels, scale, UNITS[pair.method])
        files[f"concept_{concept:03d}.png"] = png(row_figure(row))
    named = {f"concept_{concept:03d}_{side}": array(map) for (concept, side), map in maps.items()}
    return files | {"maps.npz": npz(named | rests | {name: array(total) for name, total in totals.items()})}


def places_page(
    dictionary: Dictionary,
    concepts: Sequence[int],
    network: EmbeddingNetwork,
    short_side: int | None = None,
    framing: Framing = "whole",
    limits: Limits = OWNERS,
) -> bytes:
    """An HTML page of the places that fire each of these concepts most, each place framed in its picture.

    A picture that is gone, or cannot be opened, is said to be.

    >>> import torch
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork
    >>> from simvis_core.attributes.concept_files import places_page
    >>> from simvis_core.attributes.dictionaries.dictionary import Firing, dictionary_of
    >>> from dataclasses import replace
    >>> made = replace(dictionary_of(torch.eye(4)), firings=((Firing("gone.jpg", (0, 1), (4, 6), 0.5),), (), (), ()))
    >>> page = places_page(made, [0], EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8)))
    >>> b"This picture is gone" in page, b"gone.jpg" in page
    (True, True)
    """
    entries = [
        Entry(framed_place(place, network, short_side, framing, limits), _title(dictionary, concept), _said(place))
        for concept in concepts
        for place in (dictionary.firings[concept] if dictionary.firings else ())
    ]
    told = ["Where each concept fires most, its strongest place first, one of a picture."]
    return contact_sheet("What the concepts are", told, entries)


def _title(dictionary: Dictionary, concept: int) -> str:
    return f"concept {concept}, {dictionary.name(concept)}"


def _said(place: Firing) -> list[str]:
    return [Path(place.picture).name, f"code {number(place.value)}"]


def framed_place(
    place: Firing,
    network: EmbeddingNetwork,
    short_side: int | None = None,
    framing: Framing = "whole",
    limits: Limits = OWNERS,
) -> Image.Image | None:
    """The view of a place's picture, RGB, with a frame around its cell; None for a picture that is gone.

    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork
    >>> from simvis_core.attributes.concept_files import framed_place
    >>> from simvis_core.attributes.dictionaries.dictionary import Firing
    >>> framed_place(Firing("gone.jpg", (0, 1), (4, 6), 0.5), EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8))) is None
    True
    """
    try:
        view = network.view(open_picture(place.picture, limits=limits), short_side, framing)
    except SimvisError:
        return None
    picture = view.image.copy()
    box = view.cell_box(place.grid, *place.cell)
    ImageDraw.Draw(picture).rectangle(box, outline=MARK, width=max(2, max(picture.size) // THICK))
    return picture
