"""Pairs of labelled pictures, drawn by chance: of one class, and of two."""

import random
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from math import comb, isqrt


def drawn_pairs(
    pictures: Mapping[str, str], count: int, generator: random.Random
) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Pairs of one class, and as many of two, from pictures with their classes: each pair there is has one chance.

    No pair comes twice, and there are fewer where there are fewer.

    >>> import random
    >>> from simvis_core.pictures.pairing import drawn_pairs
    >>> same, different = drawn_pairs({"1.jpg": "owl", "2.jpg": "owl", "3.jpg": "jay"}, 1, random.Random(0))
    >>> sorted(same[0]), len(different)
    (['1.jpg', '2.jpg'], 1)
    """
    files = list(pictures)
    generator.shuffle(files)
    classes: dict[str, list[str]] = {}
    for file in files:
        classes.setdefault(pictures[file], []).append(file)
    groups = list(classes.values())
    in_order = [file for group in groups for file in group]
    later = [len(files) - end for end in accumulate(map(len, groups))]
    same, different = [], []
    for at, place in _drawn([comb(len(group), 2) for group in groups], count, generator):
        second = (1 + isqrt(1 + 8 * place)) // 2  # pairs below it come first: 0, 1, 3, 6, ...
        same.append((groups[at][place - comb(second, 2)], groups[at][second]))
    for at, place in _drawn([len(group) * rest for group, rest in zip(groups, later, strict=True)], count, generator):
        first, second = divmod(place, later[at])
        different.append((groups[at][first], in_order[len(files) - later[at] + second]))
    return same, different


def _drawn(sizes: Sequence[int], count: int, generator: random.Random) -> Iterator[tuple[int, int]]:
    """Draws without repetition from groups of so many: which group, and which of its members."""
    ends = list(accumulate(sizes))
    total = ends[-1] if ends else 0
    for drawn in generator.sample(range(total), min(count, total)):
        group = bisect_right(ends, drawn)
        yield group, drawn - (ends[group] - sizes[group])
