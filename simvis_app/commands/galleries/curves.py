"""`curves`: how few features carry a score, over random pairs of a gallery."""

import argparse
from contextlib import closing

from simvis_app.commands.galleries.answering import Answered, page, space_of, tell, written
from simvis_app.commands.opening import galleries_of, session_of
from simvis_app.commands.options import asking_options
from simvis_app.service import words
from simvis_app.service.galleries.answers import curves_json
from simvis_app.service.sessions.session import Session
from simvis_core.galleries.curves import MeanCurve
from simvis_core.galleries.figures import mean_curve_figure


def add(curves: argparse.ArgumentParser) -> None:
    """Adds the command's flags."""
    curves.add_argument("--pairs", type=int, default=1000, help="pairs of each kind (default: 1000)")
    curves.add_argument("--seed", type=int, default=0, help="the same seed draws the same pairs")
    asking_options(curves)


def run(options: argparse.Namespace) -> None:
    """Draws the pairs, and prints their mean curves as JSON."""
    tell(curves(options, session_of(options)[0]))


def curves(options: argparse.Namespace, session: Session) -> Answered:
    """Mean contribution curves of everything the gallery was indexed with, or of what is named."""
    with closing(galleries_of(options, session)) as galleries:
        first = space_of(galleries, options, session)
        named = options.network or options.pooling
        spaces = [space for space in galleries.spaces(options.gallery) if not named or space == first]
        labels = words.space_labels(spaces)
        drawn: dict[str, MeanCurve] = {
            f"{labels[space.name]}: {kind}": curve
            for space in spaces
            for kind, curve in galleries.curves(space, options.pairs, options.seed).items()
        }
        return written(options, curves_json(drawn), "curves", lambda: {"curves.html": page(mean_curve_figure(drawn))})
