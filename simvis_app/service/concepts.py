"""A pair over the concepts that come with its network: parts of the score, and places that show what a concept is."""

import base64
import io
from dataclasses import replace
from functools import lru_cache
from typing import Any

from PIL import Image

from model_zoo.attributes.dictionaries.bundled import concepts_of
from simvis_app.service import samples
from simvis_core import EmbeddingNetwork, PairExplanation
from simvis_core.attributes.concept_files import framed_place
from simvis_core.attributes.concepts import ConceptPair
from simvis_core.attributes.dictionaries.dictionary import Dictionary
from simvis_core.attributes.dictionaries.learning import CONCEPTS
from simvis_core.pictures.overlays import common_scale

MEAN, RESIDUAL = -1, -2  # stand where a concept's number does
NETWORKS = 4  # whose places are kept, some 30 kB a concept
TALL, WIDE = 100, 180  # pixels of a place's picture


def split_over_concepts(pair: PairExplanation) -> ConceptPair:
    """The pair over the dictionary that comes with its network.

    Raises SimvisError for a network that has none, one of other weights, and another pooling than was learnt on.
    """
    return ConceptPair(pair.a, pair.b, concepts_of(pair.network.name, pair.network))


def concept_maps(split: ConceptPair, of: int) -> tuple[Any, Any]:
    """Both pictures' maps of a concept, of the mean, or of the residual."""
    if of == MEAN:
        return split.mean_map("a"), split.mean_map("b")
    if of == RESIDUAL:
        return split.residual_map("a"), split.residual_map("b")
    return split.concept_map("a", of), split.concept_map("b", of)


def concepts_scale(split: ConceptPair, shown: list[int]) -> float:
    """One scale for all of these maps."""
    return common_scale(*(map for of in shown for map in concept_maps(split, of)))


def firing_places(network: EmbeddingNetwork, concept: int) -> tuple[str, ...]:
    """Where a concept fires most in the sample photographs, as pictures for a page, each with that cell framed."""
    return _framed(concepts_of(network.name, network), network, concept)


@lru_cache(maxsize=NETWORKS * CONCEPTS)
def _framed(made: Dictionary, network: EmbeddingNetwork, concept: int) -> tuple[str, ...]:
    found = []
    for place in made.firings[concept]:
        here = replace(place, picture=str(samples.PICTURES / place.picture))
        picture = framed_place(here, network, made.source.short_side if made.source else None)
        if picture is not None:
            picture.thumbnail((WIDE, TALL))
            found.append(jpeg_uri(picture))
    return tuple(found)


def jpeg_uri(picture: Image.Image) -> str:
    """A picture as the address of an image element."""
    held = io.BytesIO()
    picture.save(held, "JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(held.getvalue()).decode()}"
