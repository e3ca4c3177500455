"""The computing behind SimVis: why an embedding network finds two pictures similar."""

from simvis_core.decomposition import Decomposition, feature_contributions, only_features, top_features
from simvis_core.errors import SimvisError
from simvis_core.explain import explain_pair
from simvis_core.images import Preprocess, View, enlarge, weights_at, weights_in
from simvis_core.network import Activations, EmbeddingNetwork
from simvis_core.pairs import PairExplanation, explain_features, half_share
from simvis_core.pictures import open_picture, upright_rgb
from simvis_core.poolings import POOLINGS, Pooling
from simvis_core.targets import EmbeddingModule, SimilarityTarget

__all__ = [
    "POOLINGS",
    "Activations",
    "Decomposition",
    "EmbeddingModule",
    "EmbeddingNetwork",
    "PairExplanation",
    "Pooling",
    "Preprocess",
    "SimilarityTarget",
    "SimvisError",
    "View",
    "enlarge",
    "explain_features",
    "explain_pair",
    "feature_contributions",
    "half_share",
    "only_features",
    "open_picture",
    "top_features",
    "upright_rgb",
    "weights_at",
    "weights_in",
]
