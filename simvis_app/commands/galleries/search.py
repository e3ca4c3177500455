"""`search`: a gallery by a picture, or by a part of it."""

import argparse
from contextlib import closing

from simvis_app.commands.galleries.answering import Answered, depth_asked, space_of, tell, warn, written
from simvis_app.commands.opening import galleries_of, session_of
from simvis_app.commands.options import asking_options, maps_options
from simvis_app.service import defaults
from simvis_app.service.attributes.hits import RERANKED, AttributeWish
from simvis_app.service.attributes.hits_in_words import by_attribute
from simvis_app.service.galleries.answers import search_json, search_sheet
from simvis_app.service.galleries.asking import attribute_wish, regions_on
from simvis_app.service.galleries.galleries import Asked, Galleries
from simvis_app.service.sessions.session import Session
from simvis_core.errors import SimvisError
from simvis_core.galleries.regions import Region
from simvis_core.stores.contract import Space, check_hit_count


def add(found: argparse.ArgumentParser) -> None:
    """Adds the command's flags."""
    found.add_argument("image", metavar="IMAGE", help="a picture file")
    for name, count, words in (("box", 4, ("X", "Y", "WIDTH", "HEIGHT")), ("point", 2, ("X", "Y"))):
        for sign, kind in (("", "like this"), ("not-", "not like this")):
            found.add_argument(
                f"--{sign}{name}",
                nargs=count,
                type=float,
                action="append",
                metavar=words,
                help=f"a {name} in pixels of the picture: {kind}; may be given several times",
            )
    found.add_argument("-k", type=int, default=defaults.HITS, help=f"how many hits (default: {defaults.HITS})")
    found.add_argument("--exact", action="store_true", help="compare every picture, also where a graph is searched")
    found.add_argument("--label", action="append", help="only this label; may be given several times")
    found.add_argument(
        "--attribute", metavar="NAME", help="only hits that show it, such as arch, by the network's classes"
    )
    found.add_argument(
        "--use",
        default=AttributeWish.use,
        help=f"of --attribute: filter, or rerank, the {RERANKED} nearest, surest of it first (default: %(default)s)",
    )
    maps_options(found)
    asking_options(found)


def run(options: argparse.Namespace) -> None:
    """Searches a gallery, and prints the hits as JSON."""
    tell(search(options, session_of(options)[0]))


def search(options: argparse.Namespace, session: Session) -> Answered:
    """Searches a gallery by a picture or by regions of it."""
    check_hit_count(options.k)
    wish = _wish(options)
    with closing(galleries_of(options, session)) as galleries:
        space = space_of(galleries, options, session)
        marked = _regions(galleries, options, space)
        labels = tuple(options.label) if options.label else None
        place = options.image, options.gallery, space.name
        asked = Asked(*place, marked, labels, options.exact, wish, depth_asked(options))
        answer = galleries.search(asked, options.k)
        told = search_json(answer, maps=options.out is not None)
        warn(told["query"]["warnings"] + ([] if answer.attribute is None else [by_attribute(answer.attribute)]))
        return written(options, told, "search", lambda: {"search.html": search_sheet(galleries, answer)})


def _wish(options: argparse.Namespace) -> AttributeWish | None:
    wish = attribute_wish(options.attribute or "", options.use)
    if wish is None and options.use != AttributeWish.use:
        raise SimvisError("--use without --attribute", "an attribute with it", "name one, such as --attribute arch")
    return wish


def _regions(galleries: Galleries, options: argparse.Namespace, space: Space) -> tuple[Region, ...]:
    marked = [
        {name: list(numbers), "sign": sign}
        for name, sign, given in (
            ("box", 1, options.box),
            ("point", 1, options.point),
            ("box", -1, options.not_box),
            ("point", -1, options.not_point),
        )
        for numbers in given or []
    ]
    return regions_on(galleries, options.image, space, marked)
