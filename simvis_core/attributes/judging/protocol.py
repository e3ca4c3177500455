"""Every pair of a test judged: what each way of choosing names, whether that is true, and what it does to the score."""

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from PIL import Image
from torch import Tensor

from simvis_core.attributes.calibrating import Prior, calibrate, priors_of, score_derivatives
from simvis_core.attributes.judging.choices import OURS, THE_PAPERS, chosen_attributes
from simvis_core.attributes.judging.figures import by_class
from simvis_core.attributes.judging.looks import Looks
from simvis_core.attributes.judging.swaps import swap
from simvis_core.attributes.ranker import Calibration
from simvis_core.explainers.question import Question
from simvis_core.networks.network import EmbeddingNetwork
from simvis_core.trust.faithfulness import CURVE_KINDS, Interval, removal_curve

CURVE_POINTS = 11  # of an insertion or a deletion: tenths of the pixels
JUDGED = ("true", "removed", "inserted", "with_less_without")
Judgement = dict[str, Any]


class LearntTerms(NamedTuple):
    """What the ranker needs of a data set: each attribute's prior, and a calibration for each preset."""

    priors: tuple[float, ...]
    calibrations: Mapping[str, Calibration]


def learnt_terms(looks: Looks, pairs: Iterable[tuple[int, int]]) -> LearntTerms:
    """Priors, bounds, weights and thresholds from pairs of pictures that are not tested on.

    Needs the pictures' directions. Raises SimvisError as `calibrate` does.

    >>> import torch
    >>> from simvis_core.attributes.datasets.labels import AttributeLabels
    >>> from simvis_core.attributes.judging.looks import Looks
    >>> from simvis_core.attributes.judging.protocol import learnt_terms
    >>> from simvis_core.attributes.ranker import ShownAttributes
    >>> from simvis_core.decomposition import Decomposition
    >>> split = Decomposition(torch.tensor([[[0.6, 0.8]]]), torch.zeros(2))
    >>> shown = ShownAttributes(torch.tensor([1.0, -1.0]), torch.ones(2, 1, 1))
    >>> values = torch.tensor([[1.0, 0], [1, 0], [0, 1]])
    >>> labels = AttributeLabels(("a", "b", "c"), ("x", "x", "y"), ("fur", "dome"), values)
    >>> looks = Looks(labels, ("",) * 3, [shown] * 3, [split] * 3, [torch.eye(2)] * 3)
    >>> learnt_terms(looks, [(0, 1), (0, 2)]).priors
    (0.5, 0.5)
    """
    pairs = list(pairs)
    ways = [way for a, b in pairs for way in ((a, b), (b, a))]
    rows = [score_derivatives(looks.directions[a].double().cpu(), *looks.embeddings[[a, b]]) for a, b in ways]
    found: Sequence[Prior] = priors_of(torch.stack(rows), [looks.labels.classes[a] for a, _ in ways])
    priors = tuple(prior.used for prior in found)
    shared = [looks.labels.shared(a, b) for a, b in pairs]
    both, known = (torch.stack(of) for of in zip(*shared, strict=True))
    calibrations = {}
    for preset in ("simvis", "sane"):
        terms = torch.stack([looks.terms(a, b, priors, preset, both=preset == "simvis") for a, b in pairs])
        calibrations[preset] = calibrate(terms, both, preset, known)
    return LearntTerms(priors, calibrations)


def judge_steps(
    looks: Looks, pairs: Sequence[tuple[int, int]], learnt: LearntTerms, seed: int = 0
) -> Generator[tuple[int, int], None, list[Judgement]]:
    """One record for each pair and way of choosing; yields (done, all) behind each pair.

    Only attributes of which can be told whether both pictures show them stand for choice. Pairs that are known to share
    none are judged too, but of these nothing that is named is true, for any way of choosing.

    >>> import torch
    >>> from simvis_core.attributes.datasets.labels import AttributeLabels
    >>> from simvis_core.attributes.judging.looks import Looks
    >>> from simvis_core.attributes.judging.protocol import LearntTerms, judge_steps, judgement_table
    >>> from simvis_core.attributes.ranker import Bound, Calibration, Phi, ShownAttributes
    >>> from simvis_core.decomposition import Decomposition
    >>> from simvis_core.steps import run
    >>> split = Decomposition(torch.tensor([[[0.6, 0.8]]]), torch.zeros(2))
    >>> shown = ShownAttributes(torch.tensor([1.0, -1.0]), torch.ones(2, 1, 1))
    >>> values = torch.tensor([[1.0, 0], [1, 0], [0, 1]])
    >>> labels = AttributeLabels(("a", "b", "c"), ("x", "x", "y"), ("fur", "dome"), values)
    >>> looks = Looks(labels, ("",) * 3, [shown] * 3, [split] * 3)
    >>> known = Calibration("sane", (Bound(-1, 1),) * 3, Phi(1, 1, 1), 0.5)
    >>> learnt = LearntTerms((0.5, 0.5), {"sane": known, "simvis": known})
    >>> found = run(judge_steps(looks, [(0, 1)], learnt))
    >>> found[0]["by"], found[0]["attribute"], found[0]["true"]
    ('ours (simvis)', 'fur', True)
    >>> judgement_table(found)[0]["true"].mean
    1.0
    """
    records: list[Judgement] = []
    for done, pair in enumerate(pairs, 1):
        both, known = looks.labels.shared(*pair)
        if bool(known.any()):
            named = chosen_attributes(looks, pair, learnt.priors, learnt.calibrations, known, seed)
            records += [_record(looks, pair, way, at, bool(both[at])) for way, at in named.items()]
        yield done, len(pairs)
    return records


def _record(looks: Looks, pair: tuple[int, int], way: str, attribute: int, true: bool) -> Judgement:
    labels = looks.labels
    return {
        "a": labels.pictures[pair[0]],
        "b": labels.pictures[pair[1]],
        "class": labels.classes[pair[0]],
        "by": way,
        "attribute": labels.names[attribute],
        "true": true,
        **swap(looks, pair, attribute)._asdict(),
    }


def judgement_table(records: Sequence[Judgement], seed: int = 0) -> list[dict[str, Any]]:
    """For each way of choosing the mean of every figure over classes, with intervals, and its lead over "random".

    >>> from simvis_core.attributes.judging.protocol import judgement_table
    >>> facts = {"a": "1", "b": "2", "class": "cat", "removed": 0.1, "inserted": None, "with_less_without": 0.2}
    >>> table = judgement_table([facts | {"by": "random", "true": False}, facts | {"by": "map only", "true": True}])
    >>> [(row["by"], row["true"].mean, row["over_random"].mean) for row in table]
    [('random', 0.0, 0.0), ('map only', 1.0, 1.0)]
    """
    randoms = {(one["a"], one["b"]): float(one["true"]) for one in records if one["by"] == "random"}
    rows = []
    for way in dict.fromkeys(one["by"] for one in records):
        own = [one for one in records if one["by"] == way]
        classes = [one["class"] for one in own]
        row: dict[str, Any] = {"by": way, "pairs": len(own)}
        for figure in JUDGED:
            values = [None if one[figure] is None else float(one[figure]) for one in own]
            row[figure] = by_class(values, classes, seed)
        row["over_random"] = by_class([one["true"] - randoms[one["a"], one["b"]] for one in own], classes, seed)
        rows.append(row)
    return rows


def gap_steps(
    network: EmbeddingNetwork,
    looks: Looks,
    opened: Callable[[int], Image.Image],
    pairs: Sequence[tuple[int, int]],
    learnt: LearntTerms,
    short_side: int,
    seed: int = 0,
) -> Generator[tuple[int, int], None, dict[str, Interval | None]]:
    """Whether the score follows what is shown: insertion AUC less deletion AUC of maps in the first picture.

    Of the similarity map, of the activation maps of the attributes that each ranker and chance name, and of a random
    map; the larger, the better the score follows (Petsiuk 2018). 22 passes of the network a map. ``opened`` gives a
    picture by its number. Yields (done, all).

    >>> import torch
    >>> from PIL import Image
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork, Preprocess
    >>> from simvis_core.attributes.class_groups import ClassGroups
    >>> from simvis_core.attributes.datasets.labels import AttributeLabels
    >>> from simvis_core.attributes.judging.looks import look_steps
    >>> from simvis_core.attributes.judging.protocol import LearntTerms, gap_steps
    >>> from simvis_core.attributes.ranker import Bound, Calibration, Phi
    >>> from simvis_core.steps import run
    >>> net = EmbeddingNetwork(nn.Conv2d(3, 2, 8, 8), preprocess=Preprocess(short_side=16, stride=8))
    >>> model = ClassGroups(net, torch.eye(2), torch.zeros(2), {"fur": [0]}, {"fur": 0.5})
    >>> known = Calibration("sane", (Bound(-1, 1),) * 3, Phi(1, 1, 1), 0.5)
    >>> images = [Image.new("RGB", (24, 16), colour) for colour in ("orange", "red")]
    >>> labels = AttributeLabels(("a", "b"), ("x", "x"), ("fur",), torch.ones(2, 1))
    >>> looks = run(look_steps(net, model, images, labels, ["", ""], 16))
    >>> learnt = LearntTerms((0.5,), {"sane": known, "simvis": known})
    >>> list(run(gap_steps(net, looks, images.__getitem__, [(0, 1)], learnt, 16)))
    ['similarity map', 'ours (simvis)', "the paper's (sane)", 'random attribute', 'random map']
    """
    gaps: dict[str, list[float]] = {}
    pairs = [pair for pair in pairs if bool(looks.labels.shared(*pair).known.any())]
    for done, (a, b) in enumerate(pairs, 1):
        known = looks.labels.shared(a, b).known
        named = chosen_attributes(looks, (a, b), learnt.priors, learnt.calibrations, known, seed)
        view = network.view(opened(a), short_side)
        question = Question(network, view, looks.embeddings[b].float())
        for name, map in _maps(looks, a, b, named, seed).items():
            curves = (removal_curve(question, map.float(), kind, steps=CURVE_POINTS, seed=seed) for kind in CURVE_KINDS)
            insertion, deletion = curves
            gaps.setdefault(name, []).append(insertion.auc - deletion.auc)
        yield done, len(pairs)
    classes = [looks.labels.classes[a] for a, _ in pairs]
    return {name: by_class(values, classes, seed) for name, values in gaps.items()}


def _maps(looks: Looks, a: int, b: int, named: Mapping[str, int], seed: int) -> dict[str, Tensor]:
    saliency, maps = looks.saliency(a, b), looks.shown[a].maps
    return {
        "similarity map": saliency,
        OURS: maps[named[OURS]],
        THE_PAPERS: maps[named[THE_PAPERS]],
        "random attribute": maps[named["random"]],
        "random map": torch.rand(saliency.shape, generator=torch.Generator().manual_seed(seed + a)),
    }
