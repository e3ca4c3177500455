"""Attributes of the tiny network: of its first features, by a classifier that is drawn."""

import torch

from model_zoo.attributes.fitted import FittedAttributes, StoredUsual
from simvis_app.service.sessions.session import Settings
from simvis_core.attributes.calibrating import Prior
from simvis_core.attributes.class_groups import ClassGroups
from simvis_core.attributes.ranker import Bound, Calibration, Phi
from tests.simvis_app.conftest import TinySession

GROUPS = {"dome": [0, 1], "arch": [2, 3], "old fur": [4]}
BOUNDS = (Bound(-4.0, 4.0), Bound(-1.0, 1.0), Bound(0.0, 1.0))
NETWORK = "efficientnet_lite0"


SETTINGS = Settings(NETWORK, "avg", 64)  # of a gallery that can be asked for them


def known(threshold=0.0, groups=GROUPS):
    """Three attributes that explain from a threshold on."""
    network = TinySession().network(NETWORK)
    chance = torch.Generator().manual_seed(2)
    weight = torch.randn(6, network.width(), generator=chance)
    model = ClassGroups(network, weight, torch.zeros(6), groups, dict.fromkeys(groups, 0.3))
    priors = dict(zip(groups, (Prior(0.9, 0.001), Prior(0.6, 0.001), Prior(0.8, 0.9)), strict=True))
    learnt = {preset: Calibration(preset, BOUNDS, Phi(0.5, 0.3, 0.2), threshold) for preset in ("sane", "simvis")}
    usual = StoredUsual({"whole": 2.0, "square": 3.0, "crop": 3.0}, shown_from=1.5)
    return FittedAttributes(model, priors, learnt, 64, stored=usual)
