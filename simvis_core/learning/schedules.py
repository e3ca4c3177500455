"""How the rate changes over the steps of a training: constant or a half cosine, after a warm-up."""

import math
from collections.abc import Callable

from simvis_core.errors import SimvisError


def rate_share(schedule: str, step: int, steps: int, warm_up: int = 0) -> float:
    """What share of the full rate step ``step`` (counted from 0) of ``steps`` learns with, above 0 and up to 1.

    Over the first ``warm_up`` steps it grows evenly from 1 / warm_up to 1; then ``constant`` stays there, and
    ``cosine`` falls to nothing after the last step (Loshchilov and Hutter, SGDR, 2017, equation 5 without restarts).

    Raises SimvisError for another schedule, and for a warm-up below 0 or as long as the training.

    >>> from simvis_core.learning.schedules import rate_share
    >>> [round(rate_share("cosine", step, 8, warm_up=4), 3) for step in range(8)]
    [0.25, 0.5, 0.75, 1.0, 1.0, 0.854, 0.5, 0.146]
    >>> rate_share("constant", 7, 8)
    1.0
    """
    if schedule not in SCHEDULES:
        raise SimvisError(f"the schedule '{schedule}'", f"one of {', '.join(SCHEDULES)}", "choose one of these")
    if not 0 <= warm_up < max(steps, 1):
        raise SimvisError(f"a warm-up of {warm_up} steps", f"0 to {max(steps, 1) - 1}", "warm up for fewer")
    if step < warm_up:
        return (step + 1) / warm_up
    return SCHEDULES[schedule]((step - warm_up) / (steps - warm_up))


SCHEDULES: dict[str, Callable[[float], float]] = {
    "cosine": lambda done: (1 + math.cos(math.pi * done)) / 2,
    "constant": lambda _: 1.0,
}
