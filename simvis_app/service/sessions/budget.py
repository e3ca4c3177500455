"""How many forward passes an answer of the API takes, about, and how many it may take: told before any work."""

from collections.abc import Sequence
from dataclasses import dataclass

from simvis_app.service import defaults
from simvis_app.service.sessions.depths import MOST_SHOWN_POINTS, DepthAsked
from simvis_app.service.sessions.session import Settings
from simvis_core import SimvisError
from simvis_core.explainers.masks import MASKED
from simvis_core.explainers.table import EXPLAINERS
from simvis_core.networks.depth.path import FIRST_STEPS
from simvis_core.trust.faithfulness import CURVE_KINDS, CURVE_STEPS
from simvis_core.trust.measuring import RANDOMS

_PASSES: dict[str, int] = {name: method.passes for name, method in MASKED.items()}  # of a picture, about
USUAL_METHOD = next(iter(_PASSES))


@dataclass(frozen=True)
class Budget:
    """What one answer may take. Larger views count by their pixels."""

    most: int = defaults.MOST_PASSES

    def check(self, passes: int, settings: Settings, what: str) -> None:
        """Raises SimvisError for more forward passes than one answer may take."""
        usual, side = defaults.SHORT_SIDE, max(one.short_side for one in settings.sides.values())
        counted = round(passes * max(1.0, (side / usual) ** 2))
        if counted > self.most:
            raise SimvisError(
                f"{what} at {side} pixels, about {counted} forward passes of {usual}",
                f"at most {self.most} in an answer of this server",
                "ask for less or a smaller view_size, or run SimVis on your own machine",
            )

    def check_masks(self, settings: Settings, method: str | None) -> None:
        """Raises SimvisError for a pair whose maps take a masking method more passes than one answer may."""
        if method is not None:
            self.check(2 + 2 * _PASSES.get(method, _PASSES[USUAL_METHOD]), settings, f"a pair by {method}")

    def check_depth(self, settings: Settings, rule: str) -> None:
        """Raises SimvisError for a pair at a layer that takes more passes than one answer may: two for a gradient."""
        points = 2 * MOST_SHOWN_POINTS if rule == "path" else 1  # 64 points after 32, 16 and 8
        self.check(2 * (2 + 3 * points), settings, f"a pair at a layer by the rule {rule}")

    def check_maps(self, count: int, settings: Settings, depth: DepthAsked) -> None:
        """Raises SimvisError for so many maps of one picture at a depth that take more passes than one answer may."""
        if depth.layer:
            points = FIRST_STEPS if depth.rule == "path" else 1
            self.check(4 + 3 * points * (count + 1), settings, f"{count} maps at a layer by the rule {depth.rule}")

    def check_trust(self, settings: Settings, explainers: Sequence[str], setting: str) -> None:
        """Raises SimvisError for measurements of more passes than one answer may take, and for an unknown explainer."""
        unknown = [name for name in explainers if name not in EXPLAINERS]
        if unknown:
            raise SimvisError(f"explainer '{unknown[0]}'", f"one of {', '.join(EXPLAINERS)}", "choose one of these")
        self.check(_trust_passes(explainers, setting), settings, f"{', '.join(explainers)}, measured")


def _trust_passes(explainers: Sequence[str], setting: str) -> int:
    """For maps of one picture and their curves, beside those of the centre and of random maps."""
    both = [name for name in explainers if setting == "pair" and "pair" in EXPLAINERS[name].settings]
    drawn = sum(EXPLAINERS[name].passes for name in (*explainers, *both))
    return 2 + drawn + (len(explainers) + 1 + RANDOMS) * len(CURVE_KINDS) * CURVE_STEPS
