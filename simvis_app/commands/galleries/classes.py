"""`classes`: a gallery's classes, the members of one, or the classes nearest to a picture."""

import argparse
from contextlib import closing

from simvis_app.commands.galleries.answering import Answered, depth_asked, page, space_of, tell, warn, written
from simvis_app.commands.opening import galleries_of, session_of
from simvis_app.commands.options import asking_options, maps_options
from simvis_app.service.galleries.answers import belongs_json, class_json, class_sheet, classes_json
from simvis_app.service.galleries.galleries import Galleries
from simvis_app.service.sessions.session import Session
from simvis_core.galleries.figures import score_figure
from simvis_core.stores.contract import Space


def add(classes: argparse.ArgumentParser) -> None:
    """Adds the command's flags."""
    classes.add_argument("class_label", nargs="?", metavar="LABEL", help="the members of this class")
    classes.add_argument("--image", help="the classes nearest to this picture")
    maps_options(classes)
    asking_options(classes)


def run(options: argparse.Namespace) -> None:
    """Asks for the classes, and prints the answer as JSON."""
    tell(classes(options, session_of(options)[0]))


def classes(options: argparse.Namespace, session: Session) -> Answered:
    """A gallery's classes, one class's members, or the classes nearest to a picture."""
    with closing(galleries_of(options, session)) as galleries:
        space, depth = space_of(galleries, options, session), depth_asked(options)
        if options.image is not None:
            told = belongs_json(galleries, space, options.image, depth)
            warn(told["warnings"])
            return written(options, told, "classes", dict)
        if options.class_label is not None:
            told = class_json(galleries, space, options.class_label)
            sheet = lambda: {"class.html": class_sheet(galleries, space, options.class_label, depth)}
            return written(options, told, "class", sheet)
        told = classes_json(galleries, space)
        return written(options, told, "classes", lambda: {"classes.html": _matrix(galleries, space)})


def _matrix(galleries: Galleries, space: Space) -> bytes:
    means = galleries.means(space)
    return page(score_figure(means.scores, means.labels))
