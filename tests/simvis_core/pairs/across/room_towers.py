"""Two small towers over rooms, from inside and from above: made and trained by the trainer's loop."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn.functional import normalize, pad

from simvis_core import EmbeddingNetwork, Preprocess, explain_pair
from simvis_core.hotel_rooms.above import two_views
from simvis_core.hotel_rooms.rooms import OBJECTS
from simvis_core.learning.loop import Learner, Pace, learning, optimiser_for
from simvis_core.learning.losses import metric_loss

SIZE, PLAN = (96, 128), 128
WIDTH = 32  # of the embeddings


def room_views(identity, view, turned=0.0):
    """The room of that number from inside and from above."""
    return two_views(dict.fromkeys(OBJECTS, identity), view, SIZE, PLAN, turned)


def layers(*channels):
    """A convolution of stride 4, then of stride 1, each with a batch norm and a ReLU."""
    found = []
    for at, (into, out) in enumerate(zip((3, *channels), channels, strict=False)):
        size, stride = (4, 4) if at == 0 else (3, 1)
        found += [nn.Conv2d(into, out, size, stride, 0 if at == 0 else 1, bias=False), nn.BatchNorm2d(out), nn.ReLU()]
    return nn.Sequential(*found)


def new_towers(seed=0):
    """A tower for pictures from inside, and one for plans that has fewer channels and a larger view."""
    torch.manual_seed(seed)
    inside = EmbeddingNetwork(
        layers(24, 48), "max", nn.Linear(48, WIDTH), Preprocess(short_side=96, stride=4), name="inside"
    )
    above = EmbeddingNetwork(
        layers(24, 40), "max", nn.Linear(40, WIDTH), Preprocess(short_side=128, stride=4), name="above"
    )
    return inside, above


class BothTowers(nn.Module):
    """Two towers as one module that is trained: each entry of a batch has both pictures of a room beside each other."""

    def __init__(self, inside, above):
        super().__init__()
        self.parts = nn.ModuleList([inside.backbone, inside.head, above.backbone, above.head])
        self.inside, self.above = [inside], [above]  # lists: what is learned stands in `parts`

    def forward(self, pixels):
        inside = self.inside[0].raw_embedding(pixels[..., : SIZE[0], : SIZE[1]])
        above = self.above[0].raw_embedding(pixels[..., SIZE[1] :])
        return normalize(torch.cat([inside, above]), dim=1)


def beside(inside, above, views):
    """Both pictures of a room as its two networks see them, in one tensor."""
    one, other = inside.view(views.inside.image).pixels, above.view(views.above.image).pixels
    return torch.cat([pad(one, (0, 0, 0, PLAN - SIZE[0])), other], -1)


def otherwise(pixels, drawn):
    """The batch as others might have taken it: plans turned by quarters, both pictures mirrored, in other light."""
    inside, above = pixels[..., : SIZE[1]], pixels[..., SIZE[1] :]
    above = torch.rot90(above, int(drawn.integers(4)), (-2, -1))
    if drawn.random() < 0.5:
        inside, above = inside.flip(-1), above.flip(-1)
    lights = torch.from_numpy(drawn.uniform(-0.2, 0.2, (2, len(pixels), 3, 1, 1))).float()
    return torch.cat([inside * (1 + lights[0]), above * (1 + lights[1])], -1)


@dataclass(frozen=True)
class Trained:
    """Both towers, and the losses of their training."""

    inside: EmbeddingNetwork
    above: EmbeddingNetwork
    losses: list


def train_towers(rooms, steps, batch=32, rate=4e-3, seed=0, first=200):
    """Towers for which a room's picture and its plan, turned anyhow, come near each other and other rooms' do not."""
    inside, above = new_towers(seed)
    chance = np.random.default_rng(seed)
    drawn = (room_views(first + room, 9_000_000 + room, chance.uniform(0, 360)) for room in range(rooms))
    pixels = torch.stack([beside(inside, above, views) for views in drawn])

    def at(step):
        chance = np.random.default_rng([seed, step])
        chosen = chance.choice(rooms, batch, replace=False)
        return otherwise(pixels[chosen], chance), torch.from_numpy(chosen).repeat(2)

    module, loss = BothTowers(inside, above), metric_loss("multi_similarity", rooms, WIDTH, 0)
    learner = Learner(module, loss, optimiser_for([(list(module.parameters()), rate)]))
    losses = [done.loss for done in learning(learner, at, Pace(steps=steps, warm_up=10, clip=5.0))]
    module.eval()
    return Trained(inside, above, losses)


def explained(trained, views):
    """The room's picture and its plan under both towers."""
    return explain_pair(trained.inside, views.inside.image, views.above.image, network_b=trained.above)
