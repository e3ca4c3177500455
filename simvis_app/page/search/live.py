"""Hits while a mark moves over a picture: what the picker is answered, past Gradio's events."""

import uuid
from collections import OrderedDict
from dataclasses import replace
from typing import Any

from simvis_app.page.parts.hit_grid import grid_data
from simvis_app.page.search.hits import PAGE, HitPages
from simvis_app.page.search.inputs import region_of
from simvis_app.service.galleries.galleries import Asked, Galleries
from simvis_app.service.marks import Marked
from simvis_core import SimvisError

TICKETS = 10_000  # of searches that marks may move in


class LiveSearch:
    """The searches that are on screens, each by a ticket that only its visitor has: only the marks change in them."""

    def __init__(self, galleries: Galleries) -> None:
        self.galleries, self.pages = galleries, HitPages(galleries)
        self._asked: OrderedDict[str, Asked] = OrderedDict()

    def ticket(self, asked: Asked) -> str:
        """A ticket for a search; the oldest is forgotten once there are very many."""
        ticket = uuid.uuid4().hex
        self._asked[ticket] = asked
        while len(self._asked) > TICKETS:
            self._asked.popitem(last=False)
        return ticket

    def hits(self, ticket: str, regions: list[Marked]) -> dict[str, Any] | None:
        """The first page of hits for other marks, as a grid takes it.

        None for a ticket that is not known any more, and for marks that cannot be searched for.
        """
        asked = self._asked.get(ticket)
        if asked is None:
            return None
        try:
            answer = self.galleries.search(replace(asked, regions=tuple(map(region_of, regions))), PAGE)
        except SimvisError:
            return None
        found: dict[str, Any] = grid_data(self.pages.page(answer)).model_dump()
        return found
