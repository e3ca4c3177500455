"""Sentences about hits and an attribute, for the page and the contact sheet."""

from simvis_app.service.attributes.hits import LOOKED_AT, RERANKED, AttributeTold, AttributeWish
from simvis_core.stores.contract import Row


def by_attribute(told: AttributeTold) -> str:
    """How many of the hits that were looked at show an attribute, what became of the others, and what it is told by."""
    name, showing, looked = told.wish.name, told.showing, told.looked
    of = f"the {looked} nearest" if looked == LOOKED_AT[told.wish.use] else f"{looked}"
    if told.wish.use == "rerank":
        said = f"Of {of} the surest of '{name}' come first; {showing} of {looked} show it."
    elif not showing:
        said = f"None of {of} shown: no picture shows '{name}'."
    elif showing < looked:
        said = f"{showing} of {of} shown: the others do not show '{name}'."
    else:
        said = f"{showing} of {of} shown: all show '{name}'."
    return (
        f"{said} Showing it means a confidence above {told.shown_from:+.1f}: the network gives its classes more "
        f"than {_percent(told.share)} together ({_percent(told.usual_share)} is the mean of the reference pictures). "
        f"Confidences are estimates at the usual length of embeddings ({told.length:.1f}), as galleries keep unit ones."
    )


def wish_line(wish: AttributeWish) -> str:
    """What an attribute does to ranked hits, in a few words."""
    if wish.use == "filter":
        return f"only those that show '{wish.name}'"
    return f"of the nearest {RERANKED} the surest of '{wish.name}' first"


def sure_note(told: AttributeTold, row: Row) -> str:
    """How sure the network is of the attribute in a hit."""
    sure = told.of(row)
    if sure is None:
        return f"{told.wish.name}: not known"
    return f"{told.wish.name} {sure:+.1f}" + ("" if told.shows(row) else ", not shown")


def _percent(share: float) -> str:
    """Two digits: shares of small groups lie far below one in a hundred."""
    return f"{100 * share:.2g} %"
