"""The computing behind SimVis: why an embedding network finds two pictures similar."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simvis_core.decomposition import Decomposition, feature_contributions, only_features, top_features
    from simvis_core.errors import SimvisError
    from simvis_core.explainers.grad_cam_targets import EmbeddingModule, SimilarityTarget
    from simvis_core.networks.backbone import Activations
    from simvis_core.networks.network import EmbeddingNetwork
    from simvis_core.networks.poolings import POOLINGS, Pooling
    from simvis_core.pairs.explain import explain_pair
    from simvis_core.pairs.explanation import PairExplanation, explain_features, half_share
    from simvis_core.pictures.opening import open_picture, upright_rgb
    from simvis_core.pictures.views import Preprocess, View, enlarge, weights_at, weights_in

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


def __getattr__(name: str) -> Any:
    """A name of `__all__`, from its module; who asks for the error alone does not wait a second for PyTorch."""
    if name not in _MODULES:
        raise AttributeError(f"module 'simvis_core' has no attribute '{name}'")
    return getattr(import_module(f"simvis_core.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


_MODULES = {
    "Activations": "networks.backbone",
    "Decomposition": "decomposition",
    "EmbeddingModule": "explainers.grad_cam_targets",
    "EmbeddingNetwork": "networks.network",
    "POOLINGS": "networks.poolings",
    "PairExplanation": "pairs.explanation",
    "Pooling": "networks.poolings",
    "Preprocess": "pictures.views",
    "SimilarityTarget": "explainers.grad_cam_targets",
    "SimvisError": "errors",
    "View": "pictures.views",
    "enlarge": "pictures.views",
    "explain_features": "pairs.explanation",
    "explain_pair": "pairs.explain",
    "feature_contributions": "decomposition",
    "half_share": "pairs.explanation",
    "only_features": "decomposition",
    "open_picture": "pictures.opening",
    "top_features": "decomposition",
    "upright_rgb": "pictures.opening",
    "weights_at": "pictures.views",
    "weights_in": "pictures.views",
}
