"""What dictionaries of concepts are worth on the sample photographs: what they tell, and how steady they are."""

import random
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations, islice

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

import model_zoo
from benchmarks.pictures import FOLDER
from benchmarks.tables import Table, percent
from simvis_core import Decomposition, EmbeddingNetwork, open_picture
from simvis_core.attributes.concepts import ConceptPair
from simvis_core.attributes.dictionaries.dictionary import Dictionary
from simvis_core.attributes.dictionaries.held_out import HELD_OUT, held_out, shares_of_score
from simvis_core.attributes.dictionaries.learning import CONCEPTS, LEARNERS, learn_dictionary
from simvis_core.attributes.dictionaries.places import MOST_PLACES, Gathered, gathering
from simvis_core.explainers.question import Question
from simvis_core.galleries.curves import MOST_PAIRS, same_class_pairs
from simvis_core.pictures.listing import listed
from simvis_core.pictures.views import View
from simvis_core.steps import run
from simvis_core.trust.faithfulness import Interval, interval, removed

NETWORK, SIDE = "efficientnet_lite0", 224
SEEDS, PAIRS_OF_A_CLASS = 5, 10
HIDDEN = 0.1  # of a picture's pixels
FEW_PICTURES, FEW_CONCEPTS, FEW_SEEDS = 24, 4, 2


def tables(quick: bool) -> list[Table]:
    """Shares of held-out scores, agreement of seeds, and the fall of a score as a concept's cells are hidden."""
    network = model_zoo.load(NETWORK)
    pictures = _pictures(quick)
    size, seeds = (FEW_CONCEPTS, FEW_SEEDS) if quick else (CONCEPTS, SEEDS)
    everything = run(gathering(network, pictures, held_out(pictures), SIDE, most=sys.maxsize))
    return [
        _shares(network, pictures, everything, size),
        _steadiness(everything, size, seeds),
        _hiding(network, pictures, everything, size),
    ]


def _pictures(quick: bool) -> Mapping[str, str]:
    found = listed(FOLDER / "pictures").pictures
    if not quick:
        return found
    labels = list(found.values())
    return dict(islice(((file, label) for file, label in found.items() if labels.count(label) > 2), FEW_PICTURES))


def _drawn(everything: Gathered, seed: int) -> Tensor:
    """So many places as are learnt on, drawn by the seed."""
    order = torch.randperm(len(everything.places), generator=torch.Generator().manual_seed(seed))
    return everything.places[order[:MOST_PLACES]]


def _shares(network: EmbeddingNetwork, pictures: Mapping[str, str], everything: Gathered, size: int) -> Table:
    rows = []
    for what in HELD_OUT:
        out = held_out(pictures, what)
        gathered = everything if what == HELD_OUT[0] else run(gathering(network, pictures, out, SIDE, most=sys.maxsize))
        kept = [at for at, file in enumerate(gathered.files) if file in out]
        for kind in LEARNERS:
            made = learn_dictionary(_drawn(gathered, 0), kind, size)
            found = shares_of_score(made, gathered.embeddings[kept], [gathered.labels[at] for at in kept])
            parts = [_shown(part) for part in (found.concepts, found.mean, found.residual)]
            rows.append([f"{kind}, {what}", *parts, f"{found.pairs} of {found.classes}"])
    columns = ["kind, what is held out", "concepts", "mean", "residual", "pairs of classes"]
    notes = [
        f"{size} concepts, {NETWORK}, views of {SIDE}. Shares of scores of same-class pairs that were not learnt on, "
        "means over classes with 95 % intervals over them. Of held-out pictures the class is learnt on, of held-out "
        "classes it is not. nmf has no mean: its concepts carry what the others leave to theirs."
    ]
    return Table("What concepts tell of a score", columns, rows, notes)


def _shown(part: Interval) -> str:
    ends = "" if part.low is None or part.high is None else f" ({percent(part.low)} to {percent(part.high)})"
    return f"{percent(part.mean)}{ends}"


def _steadiness(everything: Gathered, size: int, seeds: int) -> Table:
    rows = []
    for kind in LEARNERS:
        made = [learn_dictionary(_drawn(everything, seed), kind, size, seed) for seed in range(seeds)]
        cosines = torch.cat([_matched(one, other) for one, other in combinations(made, 2)])
        low, middle, high = torch.quantile(cosines, torch.tensor([0.25, 0.5, 0.75]).double()).tolist()
        rows.append([kind, f"{middle:.3f}", f"{low:.3f} to {high:.3f}"])
    notes = [
        f"{seeds} seeds; each draws {min(MOST_PLACES, len(everything.places))} of {len(everything.places)} places, and "
        "begins elsewhere. Of every two, concepts are matched one to one, for the largest sum of absolute cosines."
    ]
    return Table("Concepts of several seeds, matched", ["kind", "median cosine", "middle half"], rows, notes)


def _matched(one: Dictionary, other: Dictionary) -> Tensor:
    cosines = (one.directions @ other.directions.T).abs()
    rows, columns = linear_sum_assignment(-cosines.numpy())
    return cosines[torch.from_numpy(rows), torch.from_numpy(columns)]


def _hiding(network: EmbeddingNetwork, pictures: Mapping[str, str], everything: Gathered, size: int) -> Table:
    out = held_out(pictures)
    seen = {file: _seen(network, file) for file in out}
    rows = []
    for kind in LEARNERS:
        made = learn_dictionary(_drawn(everything, 0), kind, size)
        chance = random.Random(0)
        falls: dict[str, list[tuple[float, float]]] = defaultdict(list)
        for label, a, b in _pairs(pictures, sorted(out)):
            falls[label].append(_falls(network, seen[a], seen[b], made, chance))
        means = [[sum(column) / len(column) for column in zip(*some, strict=True)] for some in falls.values()]
        strongest, other = ([mean[at] for mean in means] for at in (0, 1))
        gap = interval([one - two for one, two in zip(strongest, other, strict=True)])
        ends = "" if gap.low is None or gap.high is None else f" ({gap.low:+.4f} to {gap.high:+.4f})"
        fallen = [f"{interval(some).mean:.4f}" for some in (strongest, other)]
        rows.append([kind, *fallen, f"{gap.mean:+.4f}{ends}", f"{sum(map(len, falls.values()))} of {len(falls)}"])
    columns = ["kind", "strongest concept", "another by chance", "difference", "pairs of classes"]
    notes = [
        f"Fall of the score of held-out pairs as the {HIDDEN:.0%} of a's pixels are blurred where a concept's map is "
        "highest: the concept that carries most of the score, or one of the others; up to "
        f"{PAIRS_OF_A_CLASS} pairs of a class, means over classes with 95 % intervals."
    ]
    return Table("A concept's strongest cells are hidden", columns, rows, notes)


def _seen(network: EmbeddingNetwork, file: str) -> tuple[View, Decomposition]:
    view = network.view(open_picture(file), SIDE)
    return view, network.decompose(view.pixels)


def _pairs(pictures: Mapping[str, str], files: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    by_class: dict[str, int] = defaultdict(int)
    for one, other in same_class_pairs([pictures[file] for file in files], MOST_PAIRS):
        label = pictures[files[one]]
        by_class[label] += 1
        if by_class[label] <= PAIRS_OF_A_CLASS:
            yield label, files[one], files[other]


def _falls(
    network: EmbeddingNetwork,
    a: tuple[View, Decomposition],
    b: tuple[View, Decomposition],
    made: Dictionary,
    chance: random.Random,
) -> tuple[float, float]:
    """How far the score falls as the strongest concept's cells of a are hidden, and as another's are."""
    pair, question = ConceptPair(a[1], b[1], made), Question(network, a[0], b[1].embedding)
    strongest = int(pair.mean_totals.concepts.argmax())
    other = chance.choice([concept for concept in range(made.size) if concept != strongest])
    score = float(a[1].embedding @ b[1].embedding)
    left = [removed(question, pair.concept_map("a", one), "deletion", HIDDEN) for one in (strongest, other)]
    scores = network.embed(torch.stack(left)) @ b[1].embedding
    return score - float(scores[0]), score - float(scores[1])
