"""Which networks have a dictionary of concepts of their own, and its file, opened."""

from functools import cache
from pathlib import Path

from simvis_core.attributes.dictionaries.dictionary import Dictionary
from simvis_core.attributes.dictionaries.dictionary_files import open_dictionary
from simvis_core.errors import SimvisError
from simvis_core.networks.network import EmbeddingNetwork

DICTIONARIES = Path(__file__).parent
ENDING = ".safetensors"


def with_concepts() -> tuple[str, ...]:
    """The cards' names whose networks have one."""
    return tuple(sorted(path.stem for path in DICTIONARIES.glob(f"*{ENDING}")))


def concepts_of(name: str, network: EmbeddingNetwork) -> Dictionary:
    """The dictionary that was learnt on a card's network; its pictures are named from the folder of the samples.

    Raises SimvisError for a network that has none, and for one of other weights or under another pooling.
    """
    if name not in with_concepts():
        raise SimvisError(
            f"concepts of {name}",
            f"a network that has some: {' or '.join(with_concepts())}",
            "choose one of these, or learn some: app.py concepts learn",
        )
    made = _opened(name)
    if made.source is not None:
        made.source.check(network)
    return made


@cache
def _opened(name: str) -> Dictionary:
    return open_dictionary(DICTIONARIES / f"{name}{ENDING}")
