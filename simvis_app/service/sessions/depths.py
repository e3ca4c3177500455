"""Maps of a pair at other layers of its network: which are offered, drawn in steps, and where a point counts there."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from simvis_app.service.sessions.cache import BoundedCache
from simvis_app.service.sessions.session import Pictured, Session, Settings, content_hash
from simvis_app.service.sessions.turned import TurnedDecomposition
from simvis_core import EmbeddingNetwork, PairExplanation, SimvisError
from simvis_core.networks.depth.cuts import Cut, dial, grids_at
from simvis_core.networks.depth.decomposed import DeepDecomposition
from simvis_core.networks.depth.depth import RULE_NAMES, checked_rule
from simvis_core.pairs.explain import DrawingAt, drawing_at
from simvis_core.pairs.sides import SIDES, Side
from simvis_core.pictures.fills import FILLS
from simvis_core.pictures.views import cell_at
from simvis_core.steps import run

KEPT_AT_LAYERS = 8  # pairs drawn at a layer, and networks with one
KEPT_PICTURES = 64  # single pictures at a layer: the hits of a page or two
MOST_SHOWN_POINTS = 64  # points of a path: each doubling holds up everybody else's passes for as long as all before it
LITTLE = 0.2  # of the score: what cells that carry less are marked for


@dataclass(frozen=True)
class DepthAsked:
    """The layer that maps are drawn at, empty for the network's own last features, by which rule, from which fill.

    ``layer_b`` is picture B's, where that is another.
    """

    layer: str = ""
    rule: str = RULE_NAMES[0]
    reference: str = next(iter(FILLS))
    layer_b: str = ""


@dataclass(frozen=True)
class Offered:
    """A layer that a pair's maps can be drawn at, and the grids that they have there."""

    layer: str
    grid_a: tuple[int, int]
    grid_b: tuple[int, int]


@dataclass(frozen=True)
class FinePoint:
    """A point's map on the other picture (rows of cells), its share of the score, and the cell that it lies in."""

    map: Any  # a torch tensor
    share: float
    cell: tuple[int, int]


class Depths:
    """Pairs and single pictures at other layers than the last. Plain PyTorch runs them, whatever engine serves."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._cuts: BoundedCache[list[Cut]] = BoundedCache(64, lambda _: 1)
        self._grids: BoundedCache[dict[str, tuple[int, int]]] = BoundedCache(256, lambda _: 1)
        self._networks: BoundedCache[EmbeddingNetwork] = BoundedCache(KEPT_AT_LAYERS, lambda _: 1)
        self._drawn: BoundedCache[PairExplanation] = BoundedCache(KEPT_AT_LAYERS, lambda _: 1)
        self._pictured: BoundedCache[Pictured] = BoundedCache(KEPT_PICTURES, lambda _: 1)

    def offered(self, file_a: str | Path, file_b: str | Path, settings: Settings) -> list[Offered]:
        """The layers that a pair's maps can be drawn at beside the last features, from coarse to fine.

        The first time for a network some passes of it prove which they are. Raises SimvisError as `Session.explain`.
        """
        pair, network = self.session.explain(file_a, file_b, settings), self.session.eager(settings)
        inner, layers = network.pooling.inner, [cut.layer for cut in self.cuts(settings)]
        a, b = (
            self._grids.get(
                (network.fingerprint, inner, view.size),
                lambda view=view: self.session.turn(lambda: grids_at(network.backbone, layers, view.pixels)),  # type: ignore[misc]
            )
            for view in (pair.view_a, pair.view_b)
        )
        return [Offered(layer, a[layer], b[layer]) for layer in layers if layer in a and layer in b]

    def cuts(self, settings: Settings) -> list[Cut]:
        """The layers that maps can be drawn at beside the last features, from coarse to fine.

        Each has its grid for a square view. The first time for a network some passes of it prove which they are.
        """
        network = self.session.eager(settings)
        inner = network.pooling.inner
        return self._cuts.get(
            (network.fingerprint, inner), lambda: self.session.turn(lambda: dial(network.cuts, inner))
        )

    def picture(self, file: str | Path, settings: Settings, asked: DepthAsked, name: str = "") -> Pictured:
        """One picture with its embedding split at the layer; at the last features, as the engine has it, for none.

        A path has its fewest points. Raises SimvisError for a picture that cannot be read, and as `drawing` does.
        """
        if not checked_depth(asked).layer:
            return self.session.picture(file, settings, name)
        key = *self._side_key(settings), _told(asked), content_hash(file)
        return self._pictured.get(key, lambda: self._split(file, settings, asked, name))

    def _split(self, file: str | Path, settings: Settings, asked: DepthAsked, name: str) -> Pictured:
        network = self._network(settings, asked)
        seen = self.session.picture(file, settings, name)  # its view, as the network without a depth has it
        deep = self.session.turn(lambda: network.decompose(seen.view.pixels))
        assert isinstance(deep, DeepDecomposition)  # that is what a network with a depth gives
        return replace(seen, network=network, decomposition=TurnedDecomposition(deep, self.session.turn))

    def drawing(self, file_a: str | Path, file_b: str | Path, settings: Settings, asked: DepthAsked) -> DrawingAt:
        """The pair at the layer, each time it is better, as `drawing_at` gives it; at once where it was drawn before.

        Each step takes its turn among all passes. Raises SimvisError for a layer that the network does not have, that
        is no cut or has no grid, for an unknown rule or reference, and for what the rule cannot do with a picture.
        """
        asked = checked_depth(asked)
        key = self._key(file_a, file_b, settings, asked)
        held = self._drawn.held(key)
        if held is not None:
            yield held
            return held
        pair = self.session.explain(file_a, file_b, settings)
        network = self._network(settings, replace(asked, layer_b=""))
        network_b = None
        if settings.other is not None or asked.layer_b:
            network_b = self._network(
                settings.sides["b"], replace(asked, layer=asked.layer_b or asked.layer, layer_b="")
            )
        drawn = yield from self.session.in_turn(drawing_at(pair, network, MOST_SHOWN_POINTS, network_b))
        return self._drawn.get(key, lambda: drawn)

    def explained(
        self, file_a: str | Path, file_b: str | Path, settings: Settings, asked: DepthAsked
    ) -> PairExplanation:
        """The pair at the layer, as good as it gets; at the last features where none is asked for. Raises likewise."""
        if not asked.layer:
            return self.session.explain(file_a, file_b, settings)
        return run(self.drawing(file_a, file_b, settings, asked))

    def held(
        self, file_a: str | Path, file_b: str | Path, settings: Settings, asked: DepthAsked
    ) -> PairExplanation | None:
        """The pair at the layer where it is drawn already."""
        return self._drawn.held(self._key(file_a, file_b, settings, asked))

    def point(
        self, files: tuple[str, str], settings: Settings, layer: str, side: Side, at: tuple[float, float]
    ) -> FinePoint:
        """Where a point counts in the other picture at a layer, by the frozen rule whatever rule draws the maps.

        ``at`` is the point's place, (x, y) as shares of the view's sides. Raises SimvisError as `drawing` does.
        """
        pair = self.explained(*files, settings, DepthAsked(layer))
        view, own, _ = pair.side(side)
        x, y = (share * length - 0.5 for share, length in zip(at, view.size[::-1], strict=True))
        map = self.session.turn(lambda: pair.point_map(side, x, y))
        return FinePoint(map, pair.point_share(side, x, y), cell_at(x, y, view.size, own.grid))

    def _network(self, settings: Settings, asked: DepthAsked) -> EmbeddingNetwork:
        plain = self.session.eager(settings)
        key = (plain.fingerprint, plain.pooling.inner, asked)
        made = self._networks.get(
            key, lambda: self.session.turn(lambda: plain.at(asked.layer, asked.rule, asked.reference))
        )
        return made.with_pooling(plain.pooling)

    def _key(self, file_a: str | Path, file_b: str | Path, settings: Settings, asked: DepthAsked) -> tuple[Any, ...]:
        """What a drawing depends on; nothing but pictures and settings."""
        sides = [self._side_key(one) for one in settings.sides.values()]
        return *sides, _told(asked), content_hash(file_a), content_hash(file_b)

    def _side_key(self, settings: Settings) -> tuple[Any, ...]:
        network = self.session.seeing(settings)
        view = (settings.short_side, settings.framing, network.preprocess.resizing)
        return network.fingerprint, str(network.pooling), *view


def _told(asked: DepthAsked) -> DepthAsked:
    """What is asked for, as far as it counts: the frozen rule has no reference."""
    return asked if asked.rule == "path" else replace(asked, reference=DepthAsked.reference)


def checked_depth(asked: DepthAsked) -> DepthAsked:
    """What is asked for. Raises SimvisError for an unknown rule or reference, and for either without a layer."""
    checked_rule(asked.rule)
    if asked.reference not in FILLS:
        raise SimvisError(f"reference '{asked.reference}'", f"one of {', '.join(FILLS)}", "choose one of these")
    if not asked.layer and asked != DepthAsked():
        raise SimvisError("a rule or a reference without a layer", "a layer with it", "name the layer")
    return asked


def depth_named(layer: str = "", rule: str = "", reference: str = "", layer_b: str = "") -> DepthAsked:
    """What names ask for, an empty one for the usual; ``layer_b`` is that of another network for picture B.

    Raises SimvisError for a rule or a reference that there is not, for either without a layer, and for a reference of
    the frozen rule, which has none.
    """
    asked = checked_depth(DepthAsked(layer, rule or DepthAsked.rule, reference or DepthAsked.reference, layer_b))
    if (rule or reference) and not layer:
        raise SimvisError("a rule or a reference without a layer", "a layer with it", "name the layer")
    if reference and asked.rule != "path":
        raise SimvisError(
            f"reference '{reference}' with the rule {asked.rule}", "the rule path", "give the rule path with it"
        )
    return asked


def carried(pair: PairExplanation) -> dict[Side, float]:
    """What each side's cells together carry of the score, as a share of it; 0 for a score of 0."""
    return {side: float(pair.side(side)[2].sum()) / pair.score if pair.score else 0.0 for side in SIDES}


def is_little(pair: PairExplanation) -> bool:
    """Whether the cells of either picture carry less than a fifth of the score."""
    return min(carried(pair).values()) < LITTLE
