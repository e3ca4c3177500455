"""Pairs of labelled pictures to learn and to test a ranker on: of one class, of near classes, and strangers."""

import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from jaxtyping import Bool, Float
from torch import Tensor

A_CLASS = 4  # queries of a class, so that large classes do not decide
Likeness = Literal["same", "near", "stranger"]


class Match(NamedTuple):
    """Two pictures by their numbers: ``a`` is the query.

    ``same``: of one class; ``near``: the query's best hit of another class; ``stranger``: one that shares no attribute.
    """

    a: int
    b: int
    kind: Likeness


def halves(labels: Sequence[str]) -> tuple[list[int], list[int]]:
    """The pictures of every other class, by name, and of the classes between: no class is in both."""
    first = set(sorted(set(labels))[::2])
    return (
        [number for number, label in enumerate(labels) if label in first],
        [number for number, label in enumerate(labels) if label not in first],
    )


def drawn_matches(
    of: Sequence[int],
    labels: Sequence[str],
    embeddings: Float[Tensor, "N D"],
    may_share: Bool[Tensor, "N N"],
    seed: int = 0,
) -> list[Match]:
    """For up to four queries of each class, one pair of each kind that there is, from these pictures alone.

    ``may_share`` says of every two pictures whether they share an attribute or may, as far as can be told.
    """
    chance = random.Random(seed)  # noqa: S311  (which pairs are looked at is no secret)
    classes: dict[str, list[int]] = defaultdict(list)
    for number in of:
        classes[labels[number]].append(number)
    scores = embeddings @ embeddings.T
    found: list[Match] = []
    for members in classes.values():
        for query in chance.sample(members, min(A_CLASS, len(members))):
            found += _of_query(query, of, labels, scores[query], may_share[query], chance)
    return found


def labelled_matches(
    of: Sequence[int],
    embeddings: Float[Tensor, "N D"],
    truth: Bool[Tensor, "N K"],
    seed: int = 0,
) -> list[Match]:
    """For each of these pictures, each labelled by itself, one pair of each kind that there is, from them alone.

    ``same`` is here a picture that shares an attribute, ``near`` the one whose embedding is nearest.
    """
    chance = random.Random(seed)  # noqa: S311  (which pairs are looked at is no secret)
    scores, shared = embeddings @ embeddings.T, truth.float() @ truth.float().T > 0
    found: list[Match] = []
    for query in of:
        others = [other for other in of if other != query]
        alike = [other for other in others if bool(shared[query, other])]
        strangers = [other for other in others if not bool(shared[query, other])]
        if alike:
            found.append(Match(query, chance.choice(alike), "same"))
        if others:
            found.append(Match(query, max(others, key=lambda other: float(scores[query, other])), "near"))
        if strangers:
            found.append(Match(query, chance.choice(strangers), "stranger"))
    return found


def _of_query(
    query: int,
    of: Sequence[int],
    labels: Sequence[str],
    scores: Tensor,
    may_share: Tensor,
    chance: random.Random,
) -> Iterator[Match]:
    same = [other for other in of if labels[other] == labels[query] and other != query]
    others = [other for other in of if labels[other] != labels[query]]
    strangers = [other for other in others if not may_share[other]]
    if same:
        yield Match(query, chance.choice(same), "same")
    if others:
        yield Match(query, max(others, key=lambda other: float(scores[other])), "near")
    if strangers:
        yield Match(query, chance.choice(strangers), "stranger")
