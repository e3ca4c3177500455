"""A dictionary of a tiny network, as one that comes along."""

from dataclasses import replace

import torch

from simvis_app.service import samples
from simvis_core.attributes.dictionaries.dictionary import Dictionary, Firing, LearntFrom, dictionary_of
from tests.simvis_app.conftest import NETWORK, tiny


def tiny_dictionary() -> Dictionary:
    """Three concepts of the tiny network; the first has a place in a sample photograph and one that is gone."""
    network = tiny(NETWORK)
    source = LearntFrom("matrix", NETWORK, network.fingerprint, "avg", 32, "whole")
    drawn = torch.randn(3, network.width(), generator=torch.Generator().manual_seed(2))
    made = dictionary_of(drawn, names=("dome", "", "<b>fur"), source=source)
    first = samples.credits_list()[0]["file"]
    places = Firing(first, (0, 1), (2, 3), 0.9), Firing("gone.jpg", (0, 0), (2, 3), 0.5)
    return replace(made, firings=(places, (), ()))
