"""An embedding network: backbone, pooling, head and preprocessing, seen as one thing that can be decomposed."""

import copy
import hashlib
from functools import cached_property

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor, nn

from simvis_core.decomposition import Decomposition, Verdict
from simvis_core.errors import SimvisError
from simvis_core.heads import split_head
from simvis_core.images import Framing, Preprocess, View
from simvis_core.poolings import POOLINGS, Pooling

# A sum of float32 parts differs from the direct result by rounding only; more than this is another network.
_RELATIVE_ERROR = {torch.float64: 1e-9, torch.float32: 1e-4}


class EmbeddingNetwork:
    """``backbone -> pooling -> head -> unit vector``, with the split of that vector over grid cells.

    ``backbone`` maps pixels (B, 3, h, w) to features (B, C, H, W); ``head`` (or None) maps pooled vectors (B, F) to
    embeddings (B, D). Both are put into eval mode here. ``pooling`` is a `Pooling` or its name; ``trained_pooling``
    is the one the head was trained with: any other is a what-if.
    """

    def __init__(
        self,
        backbone: nn.Module,
        pooling: str | Pooling = "avg",
        head: nn.Module | None = None,
        preprocess: Preprocess | None = None,
        *,
        name: str = "your network",
        trained_pooling: str | Pooling | None = None,
    ) -> None:
        self.backbone = backbone.eval()
        self.pooling = Pooling.parse(pooling)
        self.head = head if head is None else head.eval()
        self.preprocess = preprocess or Preprocess()
        self.name = name
        self.trained_pooling = Pooling.parse(trained_pooling or pooling)
        self._probe: list[Tensor] = []  # the features of a probe picture, shared with every other pooling

    def with_pooling(self, pooling: str | Pooling) -> "EmbeddingNetwork":
        """The same backbone and head under another pooling (``"max"``, ``"gem:4"``, ...); no weights are copied.

        Raises SimvisError for an unknown name or exponent.
        """
        other = copy.copy(self)
        other.pooling = Pooling.parse(pooling)
        return other

    def view(self, image: Image.Image, short_side: int | None = None, framing: Framing = "whole") -> View:
        """What this network sees of a picture; see `Preprocess.view`."""
        return self.preprocess.view(image, short_side, framing)

    @torch.inference_mode()
    def features(self, pixels: Float[Tensor, "B 3 h w"]) -> Float[Tensor, "B C H W"]:
        """The last feature maps, in the backbone's own dtype and on its device.

        Raises SimvisError where the backbone does not give a finite (B, C, H, W) tensor.
        """
        weight = next(self.backbone.parameters(), pixels)
        features = self.backbone(pixels.to(weight))
        if not isinstance(features, Tensor) or features.ndim != 4:
            raise SimvisError(
                f"{_shape(features)} from the backbone of {self.name}",
                "(B, C, H, W)",
                "give a backbone that ends before its pooling",
            )
        if not bool(torch.isfinite(torch.stack(features.aminmax())).all()):  # NaN and infinity show in an extreme
            raise SimvisError(
                f"features with NaN or infinity from {self.name}", "finite numbers", "check the weights and the picture"
            )
        return features

    @torch.inference_mode()
    def embed(self, pixels: Float[Tensor, "B 3 h w"]) -> Float[Tensor, "B D"]:
        """Unit embeddings of a batch of views of one size.

        Raises SimvisError for an embedding of zero or infinite length, whose direction is undefined.
        """
        return self._unit(self._project(self.pooling.pool(self.features(pixels))))

    def decompose(self, pixels: Float[Tensor, "3 h w"]) -> Decomposition:
        """The embedding of one view as a sum over its cells plus a bias; one forward pass."""
        return self.decompose_features(self.features(pixels[None])[0])

    @torch.inference_mode()
    def decompose_features(self, features: Float[Tensor, "C H W"]) -> Decomposition:
        """The same from features already computed: no forward pass, so poolings can be changed freely.

        Raises SimvisError for a zero embedding, a head that does not fit the pooling, or a black-box head.
        """
        decomposition = self._split(features)
        if decomposition is None:
            raise SimvisError(
                f"{self.name}, whose embedding is no sum over cells (a black box)",
                "a pooling and a head that can be split",
                "choose another pooling, or a network whose head is linear, LayerNorm or an activation",
            )
        return decomposition

    def _split(self, features: Tensor) -> Decomposition | None:
        """The decomposition; None for a head that cannot be split, or parts that do not add up to the embedding."""
        pooled = self.pooling.pool(features[None])
        direct = self._project(pooled)
        norm = self._norm(direct)[0]
        split = split_head(self.head, pooled[0])
        if split.verdict == "black box":
            return None
        parts = self.pooling.parts(features)
        cells = split.linear(parts.flatten(0, 1)).unflatten(0, parts.shape[:2])
        decomposition = Decomposition(cells / norm, split.bias / norm, split.verdict)
        return decomposition if _adds_up(decomposition, direct[0] / norm) else None

    @property
    @torch.inference_mode()
    def verdict(self) -> Verdict:
        """How exact the split is: found by splitting a probe picture and comparing the sum with the embedding.

        "exact", "exact at this input" (statistics or masks of the head frozen at the picture), or "black box".
        The probe runs the backbone once in the network's life. An explanation needs none: its own verdict is found at
        its own pictures.
        """
        if not self._probe:
            h, w = self.preprocess.fixed_size or (self.preprocess.short_side,) * 2
            probe = torch.randn(1, 3, h, w, generator=torch.Generator().manual_seed(0))
            self._probe.append(self.features(probe)[0])
        decomposition = self._split(self._probe[0])
        return "black box" if decomposition is None else decomposition.verdict

    @property
    def poolings(self) -> tuple[str, ...]:
        """Names of the poolings whose width the head takes (all of them without a head)."""
        return tuple(name for name in POOLINGS if self._fits(name))

    @cached_property
    def fingerprint(self) -> str:
        """Hash of weights, architecture and preprocessing: equal for networks that give equal features and heads."""
        digest = hashlib.sha256(repr((self.preprocess, self.backbone, self.head)).encode())
        for module in (self.backbone, self.head):
            for key, tensor in module.state_dict().items() if module is not None else ():
                digest.update(key.encode())
                digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()

    def _fits(self, pooling: str) -> bool:
        if not _input_widths(self.head):
            return True
        h, w = self.preprocess.fixed_size or (self.preprocess.short_side,) * 2
        grid = (h // self.preprocess.stride, w // self.preprocess.stride)
        widths = [POOLINGS[name].width(1, *grid) for name in (pooling, self.trained_pooling.name)]
        return widths[0] == widths[1]

    def _project(self, pooled: Tensor) -> Tensor:
        if self.head is None:
            return pooled
        widths = _input_widths(self.head)
        if widths and widths[0] != pooled.shape[1]:
            raise SimvisError(
                f"{pooled.shape[1]} pooled features for the head of {self.name}",
                f"{widths[0]} features",
                f"choose the pooling it was trained with ({self.trained_pooling}) or a view of the trained size",
            )
        return self.head(pooled.clone())  # a first layer with inplace=True would write over the features

    def _norm(self, raw: Tensor) -> Tensor:
        norm = raw.norm(dim=-1, keepdim=True)
        broken = norm[~((norm > 0) & norm.isfinite())]
        if len(broken):
            raise SimvisError(
                f"an embedding of length {broken[0].item():g} from {self.name}",
                "a direction to compare",
                "choose another picture or pooling",
            )
        return norm

    def _unit(self, raw: Tensor) -> Tensor:
        return raw / self._norm(raw)


def _input_widths(head: nn.Module | None) -> list[int]:
    names = ("in_features", "num_features", "normalized_shape")
    modules = [] if head is None else list(head.modules())
    widths = [getattr(module, name) for module in modules for name in names if hasattr(module, name)]
    return [width[-1] if isinstance(width, tuple) else width for width in widths]


def _shape(features: object) -> str:
    return (
        f"features of shape {tuple(features.shape)}" if isinstance(features, Tensor) else f"a {type(features).__name__}"
    )


def _adds_up(decomposition: Decomposition, direct: Tensor) -> bool:
    """Whether the parts give the embedding, up to rounding; parts much larger than their sum round more."""
    tolerance = _RELATIVE_ERROR.get(direct.dtype, 3e-2) * max(1.0, decomposition.bias.norm().item())
    return bool((decomposition.embedding - direct).norm() <= tolerance)
