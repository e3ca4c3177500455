"""One case measured by one explainer after another: a record for each."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Bool
from PIL import Image

from simvis_core.errors import SimvisError
from simvis_core.evaluation.cases import Case, ViewAsked
from simvis_core.evaluation.joint import joint_numbers
from simvis_core.evaluation.records import Record
from simvis_core.explainers.question import Question
from simvis_core.explainers.table import EXPLAINERS
from simvis_core.networks.network import EmbeddingNetwork
from simvis_core.pictures.views import View
from simvis_core.steps import run
from simvis_core.trust.faithfulness import retrieval_query
from simvis_core.trust.localisation import localisation
from simvis_core.trust.measuring import Asked, Measured, measuring
from simvis_core.trust.sanity import OFTEN, randomisation, stability
from simvis_core.trust.two_sided import Hidden, hidden_scores


def question_for(case: Case, network: EmbeddingNetwork, seen: ViewAsked) -> Question:
    """What the case asks of a network.

    >>> from PIL import Image
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork
    >>> from simvis_core.evaluation.cases import Case, ViewAsked
    >>> from simvis_core.evaluation.measuring import question_for
    >>> orange, red = (lambda colour=colour: Image.new("RGB", (60, 40), colour) for colour in ("orange", "red"))
    >>> case = Case("orange | red", "same", orange, (red,), same=True)
    >>> question_for(case, EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8)), ViewAsked(short_side=64)).query.shape
    torch.Size([4])
    """
    view = network.view(case.picture(), seen.short_side, seen.framing)
    others = [network.view(other(), seen.short_side, seen.framing) for other in case.others]
    if len(others) > 1:
        return Question(
            network, view, retrieval_query(torch.stack([network.embed(one.pixels[None])[0] for one in others]))
        )
    activations = network.activations(others[0].pixels[None]).one()
    split = network.split(activations)
    embedding = (split or network.unsplit(activations, (1, 1))).embedding
    bias = split.bias if split is not None and split.method == "decomposition" else None
    return Question(network, view, embedding, bias, others[0])


def records(
    case: Case,
    question: Question,
    explainers: Sequence[Asked],
    drawer: Question | None = None,
    checks: bool = False,
    both_sides: bool = False,
) -> Iterator[Record]:
    """One record for each explainer: plain numbers, ready for JSON; an explainer that cannot be used says why.

    ``drawer`` is the question on a network through which gradients flow. ``checks`` adds random weights and shifts for
    explainers of at most ``OFTEN`` passes. ``both_sides`` adds what each predicts with parts of both pictures hidden
    (`joint_numbers`), for pairs; every explainer draws the other picture's map for it, too.

    >>> from PIL import Image
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork
    >>> from simvis_core.evaluation.cases import Case, ViewAsked
    >>> from simvis_core.evaluation.measuring import question_for, records
    >>> from simvis_core.trust.measuring import Asked
    >>> orange, red = (lambda colour=colour: Image.new("RGB", (60, 40), colour) for colour in ("orange", "red"))
    >>> case = Case("orange | red", "same", orange, (red,), same=True)
    >>> question = question_for(case, EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8)), ViewAsked(short_side=64))
    >>> [record] = records(case, question, [Asked("decomposition", steps=3)])
    >>> record["explainer"], record["passes"], record["shares"]
    ('decomposition', 1, [0.0, 0.5, 1.0])
    """
    hidden = _hidden(question, explainers[0].fill) if both_sides else None
    for asked in explainers:
        record: Record = {"case": case.name, "kind": case.kind, "same": case.same, "explainer": asked.explainer}
        record |= {"seed": asked.seed, "score": question.score}
        try:
            measured = run(measuring(question, asked, drawer))
            record |= _numbers(measured) | _located(measured, case, question.view)
            record |= {} if hidden is None else joint_numbers(measured, question, hidden, drawer)
        except SimvisError as error:
            record["refused"] = str(error)
        if checks and "refused" not in record:
            record |= _checked(asked, drawer or question)
        yield record


def refused(case: Case, explainers: Sequence[Asked], error: SimvisError) -> Iterator[Record]:
    """A record for each explainer of a case that cannot be asked about, a picture that cannot be read for one.

    >>> from simvis_core import SimvisError
    >>> from simvis_core.evaluation.cases import Case
    >>> from simvis_core.evaluation.measuring import refused
    >>> from simvis_core.trust.measuring import Asked
    >>> case = Case("a | b", "same", picture=lambda: None, others=(), same=True)
    >>> [record] = refused(case, [Asked("rise")], SimvisError("a damaged picture", "a whole file", "save it again"))
    >>> record["explainer"], record["refused"]
    ('rise', 'Got a damaged picture; wanted a whole file: save it again.')
    """
    for asked in explainers:
        about = {"case": case.name, "kind": case.kind, "same": case.same, "explainer": asked.explainer}
        yield about | {"seed": asked.seed, "refused": str(error)}


def _numbers(measured: Measured) -> Record:
    return {
        "insertion": measured.insertion.auc,
        "insertion_rescaled": measured.insertion.rescaled_auc,
        "deletion": measured.deletion.auc,
        "deletion_rescaled": measured.deletion.rescaled_auc,
        "gap": measured.gap,
        "insertion_curve": [round(score, 6) for score in measured.insertion.scores.tolist()],
        "deletion_curve": [round(score, 6) for score in measured.deletion.scores.tolist()],
        "shares": [round(share, 6) for share in measured.deletion.shares.tolist()],
        "passes": measured.drawn.passes,
        "seconds": round(measured.drawn.seconds, 4),
    }


def _hidden(question: Question, fill: str) -> Hidden | None:
    """Scores with parts of both pictures hidden; None for a search, whose query is no picture's."""
    if question.reference is None:
        return None
    return hidden_scores(question.network, question.view, question.reference, fill)


def _located(measured: Measured, case: Case, view: View) -> Record:
    """Where the map falls on the known pixels; nothing where none are, or the view shows none or nothing else."""
    if case.mask is None:
        return {}
    mask: Bool[np.ndarray, "h w"] = case.mask()
    seen = np.asarray(Image.fromarray(mask).resize(view.size[::-1], Image.Resampling.NEAREST, box=view.box))
    if not seen.any() or seen.all():
        return {}
    return dict(localisation(measured.drawn.map, torch.from_numpy(seen.copy()), measured.asked.seed)._asdict())


def _checked(asked: Asked, question: Question) -> Record:
    entry = EXPLAINERS[asked.explainer]
    if entry.passes > OFTEN or entry.baseline or question.reference is None:
        return {}
    try:
        stages = randomisation(
            asked.explainer, question.network, question.view, question.reference, asked.seed, stages=1
        )
        return {"randomised": stages[-1].correlation, "stability": stability(question, asked.explainer, asked.seed)}
    except SimvisError as error:  # what was measured stays: not every engine or network has weights to draw anew
        return {"unchecked": str(error)}


# ---------------------------------------------------------------- records on disk
