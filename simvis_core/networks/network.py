"""An embedding network: backbone, pooling, head and preprocessing, seen as one thing that can be decomposed."""

import copy
import hashlib
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor, nn

from simvis_core.decomposition import Decomposition, Verdict
from simvis_core.errors import SimvisError
from simvis_core.networks.backbone import Activations, inner_parts, inner_pooling
from simvis_core.networks.depth.behind import FEATURES, Behind
from simvis_core.networks.depth.cuts import Cut, check_cut, cuts, layer_named, no_cut
from simvis_core.networks.depth.depth import Depth, checked_rule
from simvis_core.networks.depth.references import ReferencePictures
from simvis_core.networks.heads import split_head
from simvis_core.networks.poolings import INNER, POOLINGS, Pooling
from simvis_core.networks.states import numbers, pieces
from simvis_core.pictures.resizing import Resizing, check_resizing
from simvis_core.pictures.views import Framing, Preprocess, View

# A sum of float32 parts differs from the direct result by rounding only; more than this is another network.
_HALVES = (torch.float16, torch.bfloat16)
_RELATIVE_ERROR = {torch.float64: 1e-9, torch.float32: 1e-4}


class EmbeddingNetwork:
    """``backbone -> pooling -> head -> unit vector``, with the split of that vector over grid cells.

    ``backbone`` maps pixels (B, 3, h, w) to features (B, C, H, W); ``head`` (or None) maps pooled vectors (B, F) to
    embeddings (B, D). Both are put into eval mode here. ``pooling`` is a `Pooling` or its name; ``trained_pooling``
    is the one the head was trained with: any other is a what-if.

    A backbone that pools by itself (a class token, attention pooling, NetVLAD) is used under the pooling ``token`` or
    ``own``: it gives pooled vectors (B, F), or `Activations` with both. `simvis_core.networks.backbone` has all that
    is asked of a backbone.

    >>> import torch
    >>> from torch import nn
    >>> from simvis_core import EmbeddingNetwork, Preprocess
    >>> net = EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8), "avg", nn.Linear(4, 5), Preprocess(short_side=32, stride=8))
    >>> pixels = torch.rand(3, 32, 48)
    >>> net.features(pixels[None]).shape, net.embed(pixels[None]).shape, net.width()
    (torch.Size([1, 4, 4, 6]), torch.Size([1, 5]), 5)
    >>> picture = net.decompose(pixels)
    >>> picture.grid, net.verdict
    ((4, 6), 'exact')
    >>> torch.allclose(picture.embedding, net.embed(pixels[None])[0], atol=1e-5)
    True
    >>> net.poolings
    ('avg', 'max', 'gem', 'avgmax')
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
        self.architecture = ""  # a library's name for it, where it has one
        self.origin = ""  # architecture and file it came from, for a manifest
        self.engine = "eager"  # what runs the backbone; `model_zoo.running.engines` has others
        self.trained_pooling = Pooling.parse(trained_pooling or pooling)
        self.depth: Depth | None = None  # the layer that maps are drawn at, where it is not the last features
        self._single_heads: dict[nn.Module, nn.Module] = {}
        self._probes: dict[tuple[int, int], Activations] = {}  # of noise, by size; shared with every other pooling
        self._widths: dict[tuple[str, int], int] = {}  # by pooling and short side; shared likewise

    def with_pooling(self, pooling: str | Pooling) -> "EmbeddingNetwork":
        """The backbone and head of this network under another pooling: ``"max"``, ``"gem:4"``, ...

        No weights are copied. Raises SimvisError for an unknown name or exponent.

        >>> from torch import nn
        >>> from simvis_core import EmbeddingNetwork
        >>> str(EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8)).with_pooling("gem:4").pooling)
        'gem:4'
        """
        other = copy.copy(self)
        other.pooling = Pooling.parse(pooling)
        return other

    def with_resizing(self, resizing: Resizing) -> "EmbeddingNetwork":
        """The network with its pictures shrunk another way, ``"quick"`` or ``"reference"``; see `resized`.

        No weights are copied. Raises SimvisError for another name.

        >>> from torch import nn
        >>> from simvis_core import EmbeddingNetwork
        >>> EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8)).with_resizing("reference").preprocess.resizing
        'reference'
        """
        check_resizing(resizing)
        other = copy.copy(self)
        other.preprocess = replace(self.preprocess, resizing=resizing)
        return other

    def with_backbone(self, backbone: nn.Module, *, engine: str | None = None) -> "EmbeddingNetwork":
        """The network on another backbone; pooling, head, preprocessing, name, architecture and origin are shared.

        With an ``engine`` the backbone runs the weights of this network in another way: the fingerprint stays, and
        ``engine`` is the result's. Without one it brings weights of its own, which the fingerprint is then made of.
        Neither network reads what the other remembers of its features.

        >>> import copy
        >>> from torch import nn
        >>> from simvis_core import EmbeddingNetwork
        >>> net = EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8))
        >>> other = net.with_backbone(copy.deepcopy(net.backbone).double(), engine="in double")
        >>> other.engine, other.fingerprint == net.fingerprint
        ('in double', True)
        >>> net.with_backbone(nn.Conv2d(3, 4, 8, 8)).fingerprint == net.fingerprint
        False
        """
        kept = {} if engine is None else {"fingerprint": self.fingerprint, "engine": engine, "_widths": self._widths}
        other = self._without_memory()
        other.backbone = backbone.eval()
        other.__dict__.update(kept)
        if self.depth is not None:
            other.depth = replace(self.depth, behind=Behind(other.backbone, self.depth.layer))
        return other

    def with_head(self, head: nn.Module | None) -> "EmbeddingNetwork":
        """The backbone of this network with another head, or none, in eval mode; the fingerprint is its own.

        >>> from torch import nn
        >>> from simvis_core import EmbeddingNetwork
        >>> EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8)).with_head(nn.Linear(4, 7)).width()
        7
        """
        other = self._without_memory()
        other.head = head if head is None else head.eval()
        other._probes = self._probes  # of the backbone, which stays
        return other

    def at(self, layer: str, rule: str = "frozen", reference: ReferencePictures = "blur") -> "EmbeddingNetwork":
        """The network with its maps drawn at another layer: finer ones further in front, and a class token's too.

        Everything else stays: embeddings, scores, queries. ``layer`` is a cut (`cuts`): ``pixels``, ``features``, or a
        module's path, of which the end is enough where only one module has it. ``rule`` says what a cell's part is:

        - ``frozen``: the network behind the layer made affine at this picture by holding its gates: activations keep
          their secant slopes, norms their statistics, attention its weights. Needs no reference; offsets are the bias.
        - ``path``: gradients along the straight line between the layer's outputs for a ``reference`` and the picture.
          The bias is the reference's embedding and a remainder. A reference is ``blur``, ``mean`` or ``grey``, a
          picture, or several of these, whose maps are averaged.

        Raises SimvisError for a layer that the network does not have, with the nearest names; for one that is no cut
        or has no grid; and for an unknown rule. What only a picture shows (an operator that cannot be frozen, a
        reference that is the picture) is raised as it is explained.

        >>> import torch
        >>> from torch import nn
        >>> from simvis_core import EmbeddingNetwork, Preprocess
        >>> backbone = nn.Sequential(nn.Conv2d(3, 4, 4, 4), nn.ReLU(), nn.Conv2d(4, 5, 2, 2))
        >>> net = EmbeddingNetwork(backbone, preprocess=Preprocess(short_side=16, stride=8))
        >>> net.cuts
        [Cut(layer='pixels', grid=(16, 16)), Cut(layer='0', grid=(4, 4)), Cut(layer='1', grid=(4, 4)), ...]
        >>> picture, pixels = net.at("1"), torch.rand(3, 16, 24)
        >>> fine, query = picture.decompose(pixels), net.embed(pixels[None])[0]
        >>> fine.grid, torch.allclose(fine.embedding, query)
        ((4, 6), True)
        >>> abs(float(fine.similarity_map(query).sum() + fine.bias @ query) - 1) < 1e-5
        True
        """
        name = layer_named(self.backbone, layer)
        if name == FEATURES and self.pooling.inner:
            raise no_cut(name, self.name)
        behind = Behind(self.backbone, name)
        check_cut(behind, self._noise(), self.name)
        other = copy.copy(self)
        other.depth = Depth(behind, checked_rule(rule), reference, self.preprocess)
        other._probes = {}
        return other

    @property
    def cuts(self) -> list[Cut]:
        """The layers that `at` takes, from the pixels on, each with its grid for a square view.

        Found among the blocks and proved by replacing their output: some passes of the network.

        >>> from torch import nn
        >>> from simvis_core import EmbeddingNetwork
        >>> [cut.layer for cut in EmbeddingNetwork(nn.Sequential(nn.Conv2d(3, 4, 8, 8), nn.ReLU())).cuts]
        ['pixels', '0', '1', 'features']
        """
        return cuts(self.backbone, self._noise(), self.pooling.inner)

    def _noise(self) -> Float[Tensor, "2 3 h w"]:
        """Two different pictures of the network's own size."""
        h, w = self.preprocess.fixed_size or (self.preprocess.short_side,) * 2
        return torch.randn(2, 3, h, w, generator=torch.Generator().manual_seed(0))

    def _without_memory(self) -> "EmbeddingNetwork":
        """A copy that remembers nothing of weights or features."""
        other = copy.copy(self)
        other._probes, other._widths, other._single_heads = {}, {}, {}
        other.__dict__.pop("fingerprint", None)
        return other

    def view(self, image: Image.Image, short_side: int | None = None, framing: Framing = "whole") -> View:
        """What this network sees of a picture; see `Preprocess.view`.

        >>> from PIL import Image
        >>> from torch import nn
        >>> from simvis_core import EmbeddingNetwork
        >>> EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8)).view(Image.new("RGB", (300, 200))).size
        (224, 320)
        """
        return self.preprocess.view(image, short_side, framing)

    def features(self, pixels: Float[Tensor, "B 3 h w"]) -> Float[Tensor, "B C H W"]:
        """The last feature maps, in the backbone's own dtype and on its device; see `activations`."""
        return self.activations(pixels).features

    @torch.inference_mode()
    def activations(self, pixels: Float[Tensor, "B 3 h w"]) -> Activations:
        """The last feature maps, and what the backbone pooled by itself; one forward pass.

        A backbone that gives nothing but pooled vectors has a grid of one cell.

        Raises SimvisError where the backbone does not give a finite (B, C, H, W) tensor, or under ``own`` (B, F), and
        for pictures of a size or with channels that it cannot take.

        >>> import torch
        >>> from torch import nn
        >>> from simvis_core import EmbeddingNetwork
        >>> EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8)).activations(torch.rand(1, 3, 16, 24)).features.shape
        torch.Size([1, 4, 2, 3])
        """
        activations = self._run(pixels, None if self.depth is None else self.depth.seen)
        if not bool(torch.isfinite(torch.stack(activations.features.aminmax())).all()):  # NaN shows in an extreme
            raise SimvisError(
                f"features with NaN or infinity from {self.name}", "finite numbers", "check the weights and the picture"
            )
        return activations

    def raw_embedding(self, pixels: Float[Tensor, "B 3 h w"]) -> Float[Tensor, "B D"]:
        """The embeddings before the unit norm, through which gradients flow; raises as `activations` does.

        >>> import torch
        >>> from torch import nn
        >>> from simvis_core import EmbeddingNetwork
        >>> EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8)).raw_embedding(torch.rand(2, 3, 16, 24)).requires_grad
        True
        """
        return self.raw_from(self._run(pixels))

    def raw_from(self, activations: Activations) -> Float[Tensor, "B D"]:
        """The embeddings before the unit norm, from a batch's activations: pooling and head only, with gradients.

        >>> import torch
        >>> from torch import nn
        >>> from simvis_core import Activations, EmbeddingNetwork
        >>> net = EmbeddingNetwork(nn.Conv2d(3, 2, 8, 8))
        >>> net.raw_from(Activations(torch.tensor([[[[1.0, 3.0]], [[0.0, 4.0]]]])))
        tensor([[2., 2.]])
        """
        return self.raw_of(self._pooled(activations))

    def raw_of(self, pooled: Float[Tensor, "B F"]) -> Float[Tensor, "B D"]:
        """The embeddings before the unit norm, from pooled vectors: the head only, with gradients.

        >>> import torch
        >>> from torch import nn
        >>> from simvis_core import EmbeddingNetwork
        >>> EmbeddingNetwork(nn.Conv2d(3, 2, 8, 8)).raw_of(torch.tensor([[2.0, 1.0]]))
        tensor([[2., 1.]])
        """
        return self._project(pooled)

    def lengths(self, raw: Float[Tensor, "B D"]) -> Float[Tensor, "B 1"]:
        """The lengths of embeddings before the unit norm; raises SimvisError for one of zero or infinite length.

        >>> import torch
        >>> from torch import nn
        >>> from simvis_core import EmbeddingNetwork
        >>> EmbeddingNetwork(nn.Conv2d(3, 2, 8, 8)).lengths(torch.tensor([[3.0, 4.0]]))
        tensor([[5.]])
        """
        return self._norm(raw)

    def _run(self, pixels: Tensor, seen: Callable[[Tensor], Activations] | None = None) -> Activations:
        weight = next(self.backbone.parameters(), pixels)
        try:
            output = (seen or self.backbone)(pixels.to(weight))
        except (RuntimeError, AssertionError, ValueError, IndexError) as error:  # as libraries refuse a shape
            if isinstance(error, SimvisError) or _out_of_memory(error):
                raise
            raise self._refused(pixels, error) from error
        return output if isinstance(output, Activations) else self._wrapped(output)

    def _wrapped(self, output: object) -> Activations:
        if isinstance(output, Tensor) and output.ndim == 4:
            return Activations(output)
        if isinstance(output, Tensor) and output.ndim == 2 and self.pooling.name == "own":
            return Activations(output[:, :, None, None], output)
        raise SimvisError(
            f"{_shape(output)} from the backbone of {self.name}",
            "(B, C, H, W)",
            "give a backbone that ends before its pooling, or pooling 'own' for one that gives (B, F)",
        )

    def _refused(self, pixels: Tensor, error: Exception) -> SimvisError:
        reason = " ".join(str(error).split())[:160]
        wanted = self.preprocess.fixed_size or (self.preprocess.short_side,) * 2
        return SimvisError(
            f"pixels of shape {tuple(pixels.shape)}, which {self.name} does not take ({reason})",
            f"(B, 3, h, w), for example (1, 3, {wanted[0]}, {wanted[1]})",
            "choose another view size, or check the backbone's input channels and `Preprocess`",
        )

    @torch.inference_mode()
    def embed(self, pixels: Float[Tensor, "B 3 h w"]) -> Float[Tensor, "B D"]:
        """Unit embeddings of a batch of views of one size.

        Raises SimvisError for an embedding of zero or infinite length, whose direction is undefined.
        """
        return self.embed_activations(self.activations(pixels))

    @torch.inference_mode()
    def embed_activations(self, activations: Activations) -> Float[Tensor, "B D"]:
        """Unit embeddings of a batch's activations; no forward pass, so that one pass serves several poolings.

        Raises SimvisError for an embedding of zero or infinite length, whose direction is undefined.

        >>> import torch
        >>> from torch import nn
        >>> from simvis_core import Activations, EmbeddingNetwork
        >>> net = EmbeddingNetwork(nn.Conv2d(3, 2, 8, 8))
        >>> seen = Activations(torch.tensor([[[[0.0, 6.0]], [[4.0, 4.0]]]]))
        >>> net.embed_activations(seen)
        tensor([[0.6000, 0.8000]])
        >>> net.with_pooling("max").embed_activations(seen)
        tensor([[0.8321, 0.5547]])
        """
        return self._unit(self._project(self._pooled(activations)))

    @torch.inference_mode()
    def width(self, short_side: int | None = None) -> int:
        """Numbers in the embedding of a square view; only under ``flatten`` does that depend on the view.

        The first time it costs a forward pass. Raises SimvisError for a head that does not fit.
        """
        side = self.preprocess.short_side if short_side is None else short_side
        key = str(self.pooling), side
        if key not in self._widths:
            self._widths[key] = len(self._embedded(self._probe(side))[1])
        return self._widths[key]

    def decompose(self, pixels: Float[Tensor, "3 h w"]) -> Decomposition:
        """The embedding of one view as a sum over its cells plus a bias; one forward pass."""
        return self.decompose_features(self.activations(pixels[None]).one())

    @torch.inference_mode()
    def decompose_features(self, features: Float[Tensor, "C H W"] | Activations) -> Decomposition:
        """One picture's features or activations as a decomposition: the embedding as a sum over cells plus a bias.

        No forward pass, so poolings can be changed freely. A class token is decomposed by its last block's values: an
        estimate, whose verdict is "black box".

        Raises SimvisError for a zero embedding, a head that does not fit the pooling, or a black-box head.

        >>> import torch
        >>> from torch import nn
        >>> from simvis_core import EmbeddingNetwork
        >>> net = EmbeddingNetwork(nn.Conv2d(3, 2, 8, 8))
        >>> net.decompose_features(torch.tensor([[[0.0, 6.0]], [[4.0, 4.0]]])).cells
        tensor([[[0.0000, 0.4000],
                 [0.6000, 0.4000]]])
        """
        decomposition = self.split(features)
        if decomposition is None:
            raise SimvisError(
                f"{self.name} under '{self.pooling}', whose embedding is no sum over cells (a black box)",
                "a pooling and a head that can be split",
                "let `explain_pair` draw its map by masks, or choose another pooling or head",
            )
        return decomposition

    @torch.inference_mode()
    def split(self, features: Float[Tensor, "C H W"] | Activations) -> Decomposition | None:
        """The decomposition; None for a head that cannot be split, or parts that do not add up to the embedding.

        >>> import torch
        >>> from torch import nn
        >>> from simvis_core import EmbeddingNetwork
        >>> net = EmbeddingNetwork(nn.Conv2d(3, 2, 8, 8), head=nn.Softmax(1))
        >>> net.split(torch.rand(2, 3, 3)) is None, net.verdict
        (True, 'black box')
        """
        activations = features if isinstance(features, Activations) else Activations(features)
        if self.depth is not None:
            return self.depth.split(self, activations)
        pooled, direct, norm = self._embedded(activations)
        split = split_head(self._head_in(pooled), pooled)
        found = None if split.verdict == "black box" else self._parts(activations)
        if found is None:
            return None
        parts, rest = found
        cells = split.linear(parts.flatten(0, 1)).unflatten(0, parts.shape[:2])
        bias = split.bias if rest is None else split.bias + split.linear(rest[None])[0]
        decomposition = Decomposition(cells / norm, bias / norm, split.verdict)
        if rest is not None:
            decomposition = replace(decomposition, verdict="black box", method="last-block values")
        return decomposition if _adds_up(decomposition, direct / norm) else None

    @torch.inference_mode()
    def unsplit(self, features: Float[Tensor, "C H W"] | Activations, grid: tuple[int, int]) -> Decomposition:
        """A black box before its map is drawn: zeros in every cell of the grid (H, W), the whole embedding as the bias.

        Its method is "none" and its verdict "black box", whatever the network. Raises SimvisError for a zero embedding.

        >>> import torch
        >>> from torch import nn
        >>> from simvis_core import EmbeddingNetwork
        >>> picture = EmbeddingNetwork(nn.Conv2d(3, 2, 8, 8)).unsplit(torch.ones(2, 3, 3), (3, 3))
        >>> picture.cells.abs().sum(), picture.bias
        (tensor(0.), tensor([0.7071, 0.7071]))
        """
        activations = features if isinstance(features, Activations) else Activations(features)
        _, direct, norm = self._embedded(activations)
        return Decomposition(direct.new_zeros(*grid, len(direct)), direct / norm, "black box", "none")

    def _embedded(self, activations: Activations) -> tuple[Tensor, Tensor, Tensor]:
        """Pooled vector, embedding before the unit norm, and that norm, of one picture."""
        pooled = self._pooled(Activations(*(None if t is None else t[None] for t in activations)))  # type: ignore[arg-type]
        direct = self._project(pooled)
        return pooled[0], direct[0], self._norm(direct)[0]

    def _pooled(self, activations: Activations) -> Tensor:
        if not self.pooling.inner:
            return self.pooling.pool(_single(activations.features))
        if activations.pooled is None or self.inner_pooling != self.pooling.name:
            raise SimvisError(
                f"pooling '{self.pooling}' for {self.name}", f"one of {', '.join(self.poolings)}", "choose one of these"
            )
        return _single(activations.pooled)

    def _parts(self, activations: Activations) -> tuple[Tensor, Tensor | None] | None:
        if not self.pooling.inner:
            return self.pooling.parts(_single(activations.features)), None
        found = inner_parts(self.backbone, activations)
        return None if found is None else (_single(found[0]), _single(found[1]))

    @property
    @torch.inference_mode()
    def verdict(self) -> Verdict:
        """How exact the split is: found by splitting a probe picture and comparing the sum with the embedding.

        "exact", "exact at this input" (statistics or masks of the head frozen at the picture), or "black box".
        The probe runs the backbone once in the network's life. An explanation needs none: its own verdict is found at
        its own pictures.
        """
        decomposition = self.split(self._probe(self.preprocess.short_side))
        return "black box" if decomposition is None else decomposition.verdict

    def _probe(self, short_side: int) -> Activations:
        """What a forward pass makes of noise."""
        h, w = self.preprocess.fixed_size or (short_side, short_side)
        if (h, w) not in self._probes:
            noise = torch.randn(1, 3, h, w, generator=torch.Generator().manual_seed(0))
            self._probes[h, w] = self.activations(noise).one()
        return self._probes[h, w]

    @property
    def poolings(self) -> tuple[str, ...]:
        """Names of the poolings whose width the head takes (all of them without a head), the backbone's own first."""
        own = self.inner_pooling
        if own is not None and inner_pooling(self.backbone) is None:
            return (own,)  # the backbone gives nothing but pooled vectors
        return tuple(name for name in ((own,) if own else ()) + tuple(POOLINGS) if self._fits(name))

    @property
    def inner_pooling(self) -> str | None:
        """What the backbone itself pools by, ``token`` or ``own``; None for one that leaves pooling to others.

        >>> from torch import nn
        >>> from simvis_core import EmbeddingNetwork
        >>> EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8)).inner_pooling
        >>> EmbeddingNetwork(nn.Flatten(), "own").inner_pooling
        'own'
        """
        own = self.trained_pooling.name if self.trained_pooling.inner else None
        return inner_pooling(self.backbone) or own

    @cached_property
    def fingerprint(self) -> str:
        """Hash of weights, layers, architecture and preprocessing; networks that differ in any of them differ in it.

        Extra state of any class counts, and sparse, quantised and nested tensors do. How pictures are shrunk
        (`Preprocess.resizing`) is left out: manifests and galleries name it beside.

        Raises SimvisError for state that cannot be saved.

        >>> from torch import nn
        >>> from simvis_core import EmbeddingNetwork
        >>> one, other = (EmbeddingNetwork(nn.Conv2d(3, 4, 8, 8)) for _ in range(2))
        >>> len(one.fingerprint), one.fingerprint == other.fingerprint
        (64, False)
        """
        digest = hashlib.sha256(repr((self.architecture, self.preprocess, self.backbone, self.head)).encode())
        for module in (self.backbone, self.head):
            for key, tensor in module.state_dict().items() if module is not None else ():
                digest.update(key.encode())
                for piece in pieces(tensor):
                    digest.update(piece if isinstance(piece, bytes) else numbers(piece))
        return digest.hexdigest()

    def _fits(self, pooling: str) -> bool:
        if not _input_widths(self.head) or pooling in INNER:
            return True
        h, w = self.preprocess.fixed_size or (self.preprocess.short_side,) * 2
        grid = (h // self.preprocess.stride, w // self.preprocess.stride)
        trained = "avg" if self.trained_pooling.inner else self.trained_pooling.name
        widths = [POOLINGS[name].width(1, *grid) for name in (pooling, trained)]
        return widths[0] == widths[1]

    def _project(self, pooled: Tensor) -> Tensor:
        if self.head is None:
            return pooled
        head = self._head_in(pooled)
        assert head is not None
        try:
            return head(pooled.clone())  # a first layer with inplace=True would write over the features
        except RuntimeError as error:
            widths = _input_widths(self.head)
            if _out_of_memory(error) or not widths or widths[0] == pooled.shape[1]:
                raise
            raise SimvisError(
                f"{pooled.shape[1]} pooled features for the head of {self.name}",
                f"{widths[0]} features",
                f"choose the pooling it was trained with ({self.trained_pooling}) or a view of the trained size",
            ) from error

    def _head_in(self, pooled: Tensor) -> nn.Module | None:
        """The head in the precision of what it is given: after a backbone in half precision, a float32 copy of it."""
        weight = None if self.head is None else next(self.head.parameters(), None)
        if self.head is None or weight is None or weight.dtype not in _HALVES or pooled.dtype in _HALVES:
            return self.head
        if self.head not in self._single_heads:
            self._single_heads[self.head] = copy.deepcopy(self.head).float()
        return self._single_heads[self.head]

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
    names = ("in_features", "in_channels", "num_features", "normalized_shape")
    modules = [] if head is None else list(head.modules())
    widths = [getattr(module, name) for module in modules for name in names if hasattr(module, name)]
    return [width[-1] if isinstance(width, tuple) else width for width in widths]


def _single(tensor: Tensor) -> Tensor:
    """Half precision as float32: sums of halves are off in the third digit, where a score is read."""
    return tensor.float() if tensor.dtype in _HALVES else tensor


def _out_of_memory(error: Exception) -> bool:
    """Whether the failure is one of the machine, not of the picture's shape."""
    return isinstance(error, torch.OutOfMemoryError) or "allocate memory" in str(error)


def _shape(features: object) -> str:
    return (
        f"features of shape {tuple(features.shape)}" if isinstance(features, Tensor) else f"a {type(features).__name__}"
    )


def _adds_up(decomposition: Decomposition, direct: Tensor) -> bool:
    """Whether the parts give the embedding, up to rounding; parts much larger than their sum round more."""
    tolerance = _RELATIVE_ERROR.get(direct.dtype, 3e-2) * max(1.0, decomposition.bias.norm().item())
    return bool((decomposition.embedding - direct).norm() <= tolerance)
