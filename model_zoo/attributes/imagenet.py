"""The thousand classes of ImageNet-1k in the order of every classifier, by WordNet synset, as timm lists them."""

import importlib.util
from functools import cache
from pathlib import Path

CLASSES = 1000


@cache
def synsets() -> tuple[str, ...]:
    """The synset of each class, as in n01440764 (WordNet 3.0's offset of a noun), in a classifier's order.

    Read from timm (Apache-2.0), which is installed with SimVis, without running its code.
    """
    return tuple(_timm_file("imagenet_synsets.txt").split())


@cache
def class_names() -> dict[str, str]:
    """What each class is called, by synset: WordNet's first word for it, as timm lists it."""
    lines = (line.split("\t") for line in _timm_file("imagenet_synset_to_lemma.txt").splitlines())
    known = {synset: words.partition(",")[0] for synset, words in lines}
    return {synset: known[synset] for synset in synsets()}


def _timm_file(name: str) -> str:
    spec = importlib.util.find_spec("timm")
    assert spec is not None  # SimVis depends on it
    assert spec.origin is not None
    return (Path(spec.origin).parent / "data" / "_info" / name).read_text(encoding="utf-8")
