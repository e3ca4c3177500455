"""A small checkpoint series: a network of timm's for tests at a few steps, with a gallery of small photographs."""

import copy

import torch

from model_zoo.training.states import base_of, drawn, state_of
from simvis_core import open_picture
from simvis_core.pictures.listing import listed
from simvis_core.progress.series_files import SeriesFiles

TINY, SIDE = "timm/test_resnet", 64


def changed(base, seed, by=0.4):
    """A copy of the network with other weights; the larger ``by``, the less it has in common with the first."""
    generator = torch.Generator().manual_seed(seed)
    backbone = copy.deepcopy(base.backbone)
    for tensor in backbone.parameters():
        tensor.data += by * tensor.data.abs().mean() * torch.randn(tensor.shape, generator=generator)
    return base.with_backbone(backbone)


def embeddings_of(network, files):
    """The files' embeddings as a training writes them: square views."""
    views = [network.view(open_picture(file), SIDE, "square").pixels for file in files]
    return network.embed(torch.stack(views)).cpu()


def small_series(folder, photos, *, seed=0, steps=(0, 10, 20), pooling="avg", gallery=True, asking=(), **figures):
    """Writes a series of that folder's name; gives the folder. ``figures`` are each step's own, by name.

    With ``asking``, classes by name, the pictures of all others are distractors.
    """
    base = drawn(TINY, 3, pooling)
    about = {"framing": "square", "loss": "triplet", "seed": seed}
    identity = base_of(TINY, base, 3)
    found = listed(photos).pictures
    pictures = sorted(found)
    if asking:
        about["labels"] = [found[name] if found[name] in asking else "" for name in pictures]
    files = SeriesFiles(folder, folder.name, TINY, pooling, base=identity, short_side=SIDE, about=about)
    for at, step in enumerate(steps):
        network = base if step == 0 else changed(base, seed + at)
        rows = (pictures, embeddings_of(network, pictures)) if gallery else None
        measured = {name: value + 0.1 * at for name, value in figures.items()}
        loss = None if step == 0 else 1 / step
        files.add(step, state_of(network), state_of(base), loss=loss, figures=measured, embeddings=rows)
    return folder
