"""A network of two layers and eight classes of small pictures, to train in a moment."""

import numpy as np
import torch
from PIL import Image
from torch import nn

from simvis_core import EmbeddingNetwork, Preprocess


def begin(name, pooling, seed, side):
    """In the place of `model_zoo.training.running.beginning`; with dropout, whose random numbers must go on too."""
    torch.manual_seed(5)
    first = [nn.Conv2d(3, 6, 4, 4), nn.BatchNorm2d(6), nn.ReLU(), nn.Dropout(0.1)]
    trunk = nn.Sequential(*first, nn.Conv2d(6, 8, 2, 2))
    return EmbeddingNetwork(trunk, pooling or "avg", None, Preprocess(short_side=16, stride=8), name=name)


def draw_pictures(folder):
    """Four pictures of each class, whose colours tell them apart a little."""
    chance = np.random.default_rng(0)
    for number in range(8):
        colour = chance.integers(90, 160, 3)
        for picture in range(4):
            path = folder / f"class{number}" / f"{picture}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            noise = np.clip(colour + chance.normal(0, 60, (18, 22, 3)), 0, 255)
            Image.fromarray(noise.astype(np.uint8)).save(path)
    return folder
