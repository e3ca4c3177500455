"""Learns the dictionaries that come along: run as a module with the folder of the sample data."""

import sys
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

import model_zoo
from model_zoo.attributes.dictionaries.bundled import DICTIONARIES, ENDING
from model_zoo.attributes.fitted import attributes_of, fitted_names
from simvis_core.attributes.concept_names import naming
from simvis_core.attributes.dictionaries.dictionary import Dictionary, LearntFrom
from simvis_core.attributes.dictionaries.dictionary_files import save_dictionary
from simvis_core.attributes.dictionaries.held_out import held_out
from simvis_core.attributes.dictionaries.learning import CONCEPTS, KIND, learn_dictionary
from simvis_core.attributes.dictionaries.places import firing, gathering
from simvis_core.pictures.listing import listed
from simvis_core.steps import run


def building(
    name: str, pictures: Path, size: int = CONCEPTS, seed: int = 0
) -> Generator[tuple[int, int], None, Dictionary]:
    """Learns a card's dictionary as `concepts learn` does, half of each class held out; names it by its attributes.

    Yields how many pictures of how many are seen, three times over. Places are of pictures named from the folder.

    Raises SimvisError for a network without attributes, and as `gathering` does.
    """
    network = model_zoo.load(name)
    attributes = attributes_of(name, network)
    found, side = listed(pictures).pictures, attributes.short_side
    gathered = yield from gathering(network, found, held_out(found, "pictures", seed), side, seed=seed)
    told = network.name, network.fingerprint, str(network.pooling), side
    source = LearntFrom(KIND, *told, "whole", sum(gathered.learnt), len(gathered.places), seed)
    made = learn_dictionary(gathered.places, KIND, size, seed, source)
    made = yield from firing(made, network, gathered.files, side)
    names = yield from naming(made, network, attributes.model, gathered.files, side, seed=seed)
    return replace(made.named(names.words), firings=_from(pictures, made))


def _from(folder: Path, made: Dictionary) -> tuple[tuple, ...]:
    """The places, their pictures named from the folder."""
    home = folder.resolve()
    return tuple(
        tuple(replace(place, picture=Path(place.picture).relative_to(home).as_posix()) for place in places)
        for places in made.firings
    )


def write_dictionaries(samples: str) -> None:
    """Writes the dictionary of each network that has attributes."""
    for name in fitted_names():
        made = run(building(name, Path(samples) / "pictures"))
        file = save_dictionary(DICTIONARIES / f"{name}{ENDING}", made)
        sys.stdout.write(f"{file.name}: {sum(map(bool, made.names))} of {made.size} concepts named\n")


if __name__ == "__main__":
    write_dictionaries(*sys.argv[1:])
