"""Sentences about how far a map can be trusted, for the page."""

import html
from collections.abc import Mapping, Sequence

from simvis_app.service.words import duration, number, signed, three
from simvis_core.explainers.table import EXPLAINERS, depth_drawn
from simvis_core.pairs.sides import Side
from simvis_core.trust.depths import closest_depth
from simvis_core.trust.faithfulness import RemovalCurve
from simvis_core.trust.measuring import Better, Compared, Measured, alike, chance_limits
from simvis_core.trust.sanity import Randomised

DOING = {"drawing": "drawing the map", "insertion": "putting pixels back", "deletion": "taking pixels away"}
VERDICTS: dict[Better, str] = {
    "better than chance": "The score follows this map: better than chance and than the centre.",
    "no better than the centre": "Better than random maps, but no better than the centre.",
    "no better than chance": "Not clearly better than chance: random maps come as close.",
    "worse than chance": "Worse than chance: the score follows other places.",
}
UNCOMPARED = "not compared: the baselines are not measured"
UNKNOWN = "Cannot be said: the score hardly moves, whatever pixels are replaced."
REFUSED = "None of the chosen explainers could be drawn; each card says why."
GLANCED = (
    "<p>Measured at a glance: the quick explainers of those chosen, in 11 steps. Draw and measure takes all of them, "
    "in 51.</p>"
)
STOPPED = "Stopped. What is measured stays; Draw and measure goes on with the rest."


def verdict(better: Better | None) -> str:
    """Whether a map is better than chance, in words."""
    return UNKNOWN if better is None else VERDICTS[better]


def facts(measured: Measured, strongest: float) -> tuple[str, ...]:
    """Time and passes, the strongest value, what an additive map leaves out, and both areas, a line each."""
    drawn, entry = measured.drawn, EXPLAINERS[measured.drawn.explainer]
    total = float(drawn.map.sum())
    return (
        passes(drawn.passes, drawn.seconds),
        f"strongest {number(strongest)} ({entry.unit})" if not entry.baseline else "",
        f"adds up to {three(total)} of {three(measured.deletion.full)}" if entry.additive else "",
        "" if drawn.left is None else f"its points miss {signed(drawn.left)} of the way from the mean colour",
        f"deletion {area(measured.deletion)} (low is good)",
        f"insertion {area(measured.insertion)} (high is good)",
    )


def passes(count: int, seconds: float) -> str:
    """``2000 forward passes, 14 s``."""
    if not count:
        return "no forward pass"
    return (
        f"{count} forward {'pass' if count == 1 else 'passes'}, {seconds:.2g} s"
        if seconds < 10
        else (f"{count} forward passes, {duration(seconds)}")
    )


def area(curve: RemovalCurve) -> str:
    """The raw area, and the rescaled one where there is one."""
    rescaled = curve.rescaled_auc
    return three(curve.auc) + ("" if rescaled is None else f", rescaled {three(rescaled)}")


def summary(found: Compared, measured: Mapping[str, Measured], randoms: Sequence[float]) -> str:
    """Which of the maps the score follows best, beside random and centre; ``found`` is in the order asked."""
    if not found:
        return f"<p>{REFUSED}</p>"
    if None in found.values():
        return f"<p>{UNKNOWN}</p>"
    gaps = {name: one.gap for name, one in measured.items()}
    best = max(found, key=lambda name: gaps[name])
    good = [title(name) for name in found if found[name] == "better than chance"]
    said = (
        f"For this picture and this score, <b>{listed(good)}</b> {'does' if len(good) == 1 else 'do'} better than "
        "chance and than the centre."
        if good
        else "For this picture and this score, <b>none of these maps</b> does better than both chance and the centre."
    )
    lead = (
        f"The score follows <b>{html.escape(title(best))}</b> most closely"
        if good
        else (f"The nearest is <b>{html.escape(title(best))}</b>")
    )
    return (
        f"<p>{said} {lead}: it is {three(gaps[best])} "
        f"higher, on average, when that map's strongest pixels come back first than when they go first; "
        f"{spread(randoms)} for {len(randoms)} random maps (above {three(chance_limits(randoms)[1])} counts as clearly "
        f"better than those, which about one random map in fourteen comes to, and as many to clearly worse), "
        f"{three(gaps['centre'])} for the centre. "
        f"{_alike(found, measured)}{_rises(measured[best])}{_depths(measured)}"
        "One pair is a hint, no proof: <code>app.py evaluate</code> measures many.</p>"
    )


def _alike(found: Compared, measured: Mapping[str, Measured]) -> str:
    """Which maps are one here, so that nobody counts them twice."""
    groups = alike({name: measured[name] for name in found})
    return "".join(f"{listed([title(name) for name in names])} order the places alike here. " for names in groups)


def _depths(measured: Mapping[str, Measured]) -> str:
    """Which depth the score follows most closely, where several are measured."""
    best = closest_depth(measured)
    if best is None:
        return ""
    cells = {name: measured[name].drawn.map.shape for name in measured if depth_drawn(name) is not None}
    told = [
        f"{three(measured[name].gap)} at depth {depth_drawn(name)} ({rows} x {columns} cells)"
        for name, (rows, columns) in cells.items()
    ]
    return f"Of the depths, <b>depth {depth_drawn(best)}</b> is followed most closely: {', '.join(told)}. "


def shows_depth(name: str) -> str:
    """What stands on the button that shows an explainer's depth in Compare."""
    return f"Show depth {depth_drawn(name)} in Compare"


def _rises(measured: Measured) -> str:
    """A warning where the picture scores no higher than what it is replaced by."""
    curve = measured.deletion
    if curve.rescaled_auc is not None:
        return ""
    return (
        f"<b>Mind:</b> with every pixel replaced the score is {three(curve.background)}, with the whole picture "
        f"{three(curve.full)}: there is next to nothing for a map to explain, and another fill may tell more. "
    )


def spread(values: Sequence[float]) -> str:
    """``-0.021 to 0.013``."""
    return f"{three(min(values))} to {three(max(values))}"


def table(measured: Mapping[str, Measured], found: Compared) -> str:
    """Everything that was measured, a row each."""
    heads = (
        "map",
        "compared",
        "difference",
        "deletion",
        "insertion",
        "deletion, rescaled",
        "insertion, rescaled",
        "passes",
        "seconds",
    )
    rows = "".join(_row(name, one, _said(name, found)) for name, one in measured.items())
    note = (
        "Deletion and insertion: the mean score while pixels go, or come back, strongest first. Difference: insertion "
        "less deletion. Rescaled: 0 is the replaced picture's score, 1 the whole picture's; none where the picture "
        "scores less than 0.05 above its replacement. Seconds: without the picture's own pass, which Compare made."
    )
    head = "".join(f"<th scope='col'>{one}</th>" for one in heads)
    return (
        f"<div class='wide'><table class='measured'><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
        f"<p>{note}</p>"
    )


def _said(name: str, found: Compared) -> str:
    if EXPLAINERS[name].baseline:
        return "one of the random maps" if name == "random" else ""
    return (found[name] or "cannot be said") if name in found else UNCOMPARED


def _row(name: str, one: Measured, said: str) -> str:
    entry = EXPLAINERS[one.drawn.explainer]
    marks = " ".join(
        mark
        for mark, there in (("additive", entry.additive), ("black box", entry.black_box and not entry.baseline))
        if there
    )
    rescaled = [_maybe(curve.rescaled_auc) for curve in (one.deletion, one.insertion)]
    cells = [said, three(one.gap), three(one.deletion.auc), three(one.insertion.auc), *rescaled]
    cells += [str(one.drawn.passes), f"{one.drawn.seconds:.2f}"]
    return (
        f"<tr><th scope='row'>{html.escape(title(name))} <small>{marks}</small></th>"
        + "".join(f"<td>{cell}</td>" for cell in cells)
        + "</tr>"
    )


def _maybe(value: float | None) -> str:
    return "none" if value is None else three(value)


def title(name: str) -> str:
    """An explainer's title; of a random map of another seed, with its number."""
    return EXPLAINERS[name].title if name in EXPLAINERS else name


def listed(names: Sequence[str]) -> str:
    """``A, B and C``, escaped."""
    safe = [html.escape(name) for name in names]
    return " and ".join([", ".join(safe[:-1]), safe[-1]] if len(safe) > 1 else safe)


def pair_line(names: Mapping[Side, str], network: str, pooling: str, score: float, side: Side) -> str:
    """What is explained."""
    return (
        f"<p>Picture {side.upper()}, <b>{html.escape(names[side])}</b>, and its score with "
        f"<b>{html.escape(names['b' if side == 'a' else 'a'])}</b>: <b>{three(score)}</b> under "
        f"{html.escape(network)}, {html.escape(pooling)}.</p>"
    )


def progress(step: str, done: int, count: int, part: float, seconds: float) -> str:
    """How far a row of measurements is: which of how many, what it does, and about how long it still takes."""
    share = (done + part) / count
    left = f", about {duration(seconds / share * (1 - share))} left" if share > 0.03 else ""
    text = f"{html.escape(step)} ({done + 1} of {count}){left}"
    return f'<label class="progress">{text} <progress value="{share:.4f}" max="1">{text}</progress></label>'


def removal_line(share: float, kind: str, score: float, full: float, background: float) -> str:
    """The score at a place of the slider."""
    done = "taken away" if kind == "deletion" else "put back"
    return (
        f'<p><span class="big">{three(score)}</span> with {100 * share:.0f} % of the pixels {done}, strongest first '
        f"(whole picture {three(full)}, all replaced {three(background)})</p>"
    )


def sanity(name: str, stages: Sequence[Randomised], stability: float | None) -> str:
    """Both sanity checks in words and numbers."""
    rows = "".join(
        f'<tr><th scope="row">{100 * stage.share:.0f} %</th><td>{_maybe(stage.correlation)}</td></tr>'
        for stage in stages
    )
    last = stages[-1].correlation if stages else None
    learned = (
        "it cannot be said whether the map depends on what the network learned"
        if last is None
        else f"with all layers random the map's order of places agrees with the true one by {three(last)}; the nearer "
        "to 0, the more the map depends on what the network learned"
    )
    steady = (
        "a constant map has no order that could change"
        if stability is None
        else f"after a shift of 4 % of the short side its order of places agrees by {three(stability)}"
    )
    return (
        f"<p><b>{html.escape(title(name))}.</b> Random weights: {learned} (one draw of weights). Small "
        f"shifts: {steady} (rank correlation, "
        "1 is the same order).</p><table class='measured'><thead><tr><th>layers made random, from the last</th>"
        f"<th>rank correlation with the map</th></tr></thead><tbody>{rows}</tbody></table>"
    )
