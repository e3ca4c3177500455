"""API twin of the Trust tab: how faithful explainers' maps of a pair are, as JSON."""

from collections.abc import AsyncIterator, Generator
from contextlib import aclosing
from functools import partial
from typing import Any

from simvis_app.api.fields import add_pair_twin, whole
from simvis_app.api.told import told
from simvis_app.service import defaults
from simvis_app.service.lanes import Lanes, paced
from simvis_app.service.sessions.budget import Budget
from simvis_app.service.sessions.session import Session, Settings
from simvis_core import SimvisError
from simvis_core.explainers.table import EXPLAINERS
from simvis_core.pairs.sides import Side
from simvis_core.pictures.views import Framing
from simvis_core.steps import Ended, mapped
from simvis_core.trust.measuring import Measured, Part, asked_of, baselines, compared
from simvis_core.trust.sanity import agreement

MOST_EXPLAINERS = 6  # of one answer


def add_trust_api(
    session: Session,
    lanes: Lanes | None = None,
    budget: Budget = Budget(),  # noqa: B008 - it never changes
) -> None:
    """Adds /trust to the app that is being built."""
    lanes = lanes or Lanes()

    async def trust(
        image_a: str,
        image_b: str,
        backbone: str,
        pooling: str,
        view_size: float,
        framing: Framing,
        side: Side,
        explainers: str,
        fill: str,
        setting: str,
        seed: float = 0,
    ) -> AsyncIterator[dict[str, Any]]:
        """Maps of one picture of a pair by several explainers, and how closely the score follows each.

        explainers: names, separated by commas (at most 6). side: a or b. fill: blur, mean or grey. setting: fixed, or
        pair to mask both pictures where an explainer can. Each map comes with its insertion and deletion curve, their
        areas raw and rescaled (null where the picture scores like its fill), and how it compares with random maps and
        the centre, which are measured beside it (null where the score hardly moves, whatever is hidden). Until then
        come answers of {"done", "of", "explainer", "doing"}; whoever stops listening stops the work.
        """
        with told():
            if not image_a or not image_b:
                raise SimvisError("one picture", "two", "send image_a and image_b")
            names = [name.strip() for name in explainers.split(",") if name.strip()]
            if not 1 <= len(names) <= MOST_EXPLAINERS:
                raise SimvisError(f"{len(names)} explainers", f"1 to {MOST_EXPLAINERS}", "name some, with commas")
            settings = Settings(backbone, pooling, whole(view_size, "view_size"), framing)
            budget.check_trust(settings, names, setting)
            work = trust_steps(session, (image_a, image_b), settings, side, names, (fill, setting, seed))
            async with aclosing(paced(lanes.stepped(work))) as steps:
                async for step in steps:
                    yield step.result if isinstance(step, Ended) else step

    usual: dict[str, str | float] = {
        "backbone": defaults.BACKBONE,
        "pooling": defaults.POOLING,
        "view_size": defaults.SHORT_SIDE,
        "framing": defaults.FRAMING,
        "side": "a",
        "explainers": "decomposition",
        "fill": "blur",
        "setting": "fixed",
        "seed": 0,
    }
    add_pair_twin(trust, "trust", usual)


def trust_steps(
    session: Session,
    files: tuple[str, str],
    settings: Settings,
    side: Side,
    names: list[str],
    how: tuple[str, str, float | None],
) -> Generator[dict[str, Any], None, dict[str, Any]]:
    """Everything of a row of measurements that fits JSON, and how far it is on the way there.

    Raises SimvisError as `Session.measuring` does.
    """
    fill, setting, seed = how
    asked = [asked_of(name, setting, seed, fill) for name in dict.fromkeys(names)]
    beside = baselines(asked[0])
    found: list[Measured] = []
    for one in (*asked, *beside):
        where = {"done": len(found), "of": len(asked) + len(beside), "explainer": one.explainer}
        steps = session.measuring(*files, settings, side, one)
        found.append((yield from mapped(steps, partial(_part_json, where))))
    maps = dict(zip((one.explainer for one in asked), found, strict=False))
    centre, *randoms = found[len(asked) :]
    warned = {"warnings": session.explain(*files, settings).warnings}
    return warned | _answer(session.question(*files, settings, side).score, maps, centre, randoms)


def _part_json(where: dict[str, object], part: Part) -> dict[str, Any]:
    return where | {"doing": part.doing}


def _answer(score: float, maps: dict[str, Measured], centre: Measured, randoms: list[Measured]) -> dict[str, Any]:
    found = compared(maps, randoms, centre)
    return {
        "score": score,
        "maps": {
            name: measured_json(one) | ({"compared": found[name]} if name in found else {})
            for name, one in maps.items()
        },
        "centre": measured_json(centre),
        "random": {"gaps": [one.gap for one in randoms]},
        "agreement": agreement({name: one.drawn.map for name, one in maps.items()}),
    }


def measured_json(measured: Measured) -> dict[str, Any]:
    """A map with its numbers; the map in rows, signed, in the unit that is named."""
    entry, drawn = EXPLAINERS[measured.drawn.explainer], measured.drawn
    curves: dict[str, Any] = {
        curve.kind: {
            "shares": curve.shares.tolist(),
            "scores": curve.scores.tolist(),
            "auc": curve.auc,
            "rescaled_auc": curve.rescaled_auc,
        }
        for curve in (measured.insertion, measured.deletion)
    }
    return {
        "map": drawn.map.tolist(),
        "unit": entry.unit,
        "paper": entry.paper,
        "sum": float(drawn.map.sum()),
        "left": drawn.left,
        "additive": entry.additive,
        "black_box": entry.black_box,
        "setting": drawn.setting,
        "parameters": dict(drawn.parameters),
        "passes": drawn.passes,
        "seconds": drawn.seconds,
        "gap": measured.gap,
        **curves,
    }
