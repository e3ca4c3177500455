"""Which attribute each way of choosing names for a pair: the ranker's, the paper's, and what they are to beat."""

import random
from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Bool
from torch import Tensor

from simvis_core.attributes.judging.looks import Looks
from simvis_core.attributes.ranker import Calibration, Phi, explanation_scores

OURS, THE_PAPERS = "ours (simvis)", "the paper's (sane)"


def chosen_attributes(
    looks: Looks,
    pair: tuple[int, int],
    priors: Sequence[float],
    calibrations: Mapping[str, Calibration],
    asked: Bool[Tensor, " K"],
    seed: int = 0,
) -> dict[str, int]:
    """The number of the attribute that each way of choosing names for a pair, among those that are ``asked``.

    "ours" and "the paper's" are the ranker's two presets; "map only" is ours by the map alone; "most confident" is the
    surest attribute of the first picture; "confidence product" has the highest product of both pictures' confidences,
    taken as probabilities; "random" is drawn by ``seed`` and the pair. Source: Plummer 2020, section 4.

    >>> import torch
    >>> from simvis_core.attributes.datasets.labels import AttributeLabels
    >>> from simvis_core.attributes.judging.choices import chosen_attributes
    >>> from simvis_core.attributes.judging.looks import Looks
    >>> from simvis_core.attributes.ranker import Bound, Calibration, Phi, ShownAttributes
    >>> from simvis_core.decomposition import Decomposition
    >>> left, right = torch.tensor([[[1.0, 0.0]], [[0.0, 1.0]]])
    >>> split = Decomposition(torch.tensor([[[1.0, 0.0], [0.0, 0.0]]]), torch.zeros(2))
    >>> shown = ShownAttributes(torch.tensor([0.0, 3.0]), torch.stack([left, right]))
    >>> labels = AttributeLabels(("a", "b"), ("x", "x"), ("left", "right"), torch.ones(2, 2))
    >>> looks = Looks(labels, ("", ""), [shown, shown], [split, split])
    >>> learnt = {
    ...     name: Calibration(name, (Bound(-4, 4), Bound(0, 1), Bound(0, 1)), Phi(0.1, 0.9, 0), 0.5)
    ...     for name in ("simvis", "sane")
    ... }
    >>> found = chosen_attributes(looks, (0, 1), [0.5, 0.5], learnt, torch.tensor([True, True]))
    >>> found["ours (simvis)"], found["map only"], found["most confident"], found["confidence product"]
    (0, 0, 1, 1)
    """
    a, b = pair
    simvis, sane = (looks.terms(a, b, priors, name, both=name == "simvis") for name in ("simvis", "sane"))
    sure = looks.confidences[[a, b]]
    scores = {
        OURS: _scores(simvis, calibrations["simvis"]),
        THE_PAPERS: _scores(sane, calibrations["sane"]),
        "map only": _scores(simvis, calibrations["simvis"], Phi(0, 1, 0)),
        "most confident": sure[0],
        "confidence product": torch.nn.functional.logsigmoid(sure).sum(0),
    }
    best = {name: int(of.masked_fill(~asked, -torch.inf).argmax()) for name, of in scores.items()}
    chance = random.Random(f"{seed} {a} {b}")  # noqa: S311  (a draw that keeps no secret)
    return best | {"random": chance.choice(asked.nonzero()[:, 0].tolist())}


def _scores(terms: Tensor, known: Calibration, weights: Phi | None = None) -> Tensor:
    return explanation_scores(terms, known.bounds, weights or known.weights)[0]
