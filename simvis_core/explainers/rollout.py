"""Attention rollout as an explainer: where all of a transformer's blocks look."""

import torch

from simvis_core.errors import SimvisError
from simvis_core.explainers.question import Interim, Question, Steps
from simvis_core.networks.attention import rollout
from simvis_core.networks.backbone import attentions


def attention_rollout(question: Question, *, seed: int = 0) -> Steps:
    """How much of each cell reaches the embedding through all attention, 0 to 1 (Abnar & Zuidema 2020).

    The query plays no part in it. Raises SimvisError for a network that shows no attention: anything but a plain vision
    transformer on the engine "eager".

    >>> import torch
    >>> from PIL import Image
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork
    >>> from simvis_core.explainers import draw_map
    >>> net = EmbeddingNetwork(nn.Conv2d(3, 5, 8, 8))
    >>> draw_map("attention_rollout", net, net.view(Image.new("RGB", (60, 40))), torch.ones(5))
    Traceback (most recent call last):
        ...
    simvis_core.errors.SimvisError: Got your network on the engine 'eager', which shows no attention; wanted a ...
    """
    del seed
    network = question.network
    with torch.inference_mode():
        found = attentions(network.backbone, question.view.pixels[None])
    if found is None:
        raise SimvisError(
            f"{network.name} on the engine '{network.engine}', which shows no attention",
            "a plain vision transformer on the engine 'eager'",
            "choose another explainer",
        )
    yield Interim(1, 1)
    prefix = found.shape[-1] - question.grid[0] * question.grid[1]
    reader = torch.zeros(found.shape[-1]).to(found)
    if network.pooling.inner and prefix:
        reader[0] = 1
    else:
        reader[prefix:] = 1 / (found.shape[-1] - prefix)
    return rollout(found, reader)[prefix:].unflatten(0, question.grid)
