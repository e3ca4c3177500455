"""Calls the page's handlers as the page does: values by component in, what changes by component out; both by name."""

import asyncio
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from functools import partial

import gradio as gr

from simvis_app.page import build_app
from simvis_app.page.classes.handlers import ClassHandlers
from simvis_app.page.classes.in_words import ClassWords
from simvis_app.page.galleries.indexing import IndexingHandlers
from simvis_app.page.galleries.offers import OfferHandlers
from simvis_app.page.search.handlers import SearchHandlers
from simvis_app.page.search.live import LiveSearch
from simvis_app.page.training.handlers import TrainingHandlers
from simvis_app.page.training.inputs import Offered
from simvis_app.service.galleries.galleries import Galleries

UNMARKED = {"key": "", "regions": []}
DEFAULTS = {
    **{"query": None, "labels": [], "picker": UNMARKED, "exact": False, "refused": (), "seen": 0, "pending": None},
    **{"attribute": "", "use": "filter"},
    **{"space": None, "label": None, "outside": None, "working": "", "folder": "", "new": None},
    **{"shared_gallery": "samples", "shared_space": "", "layer": "", "rule": "path"},
    **{"shared_layer": "", "shared_rule": "path"},
    **{"series": "", "beside": "", "step": "", "offered": Offered(), "shown_for": None},
}


class Page:
    """The whole page, built once; its tabs may be driven over any galleries."""

    def __init__(self, session, folder):
        async def built():
            galleries = Galleries(session, folder / "galleries")
            return build_app(session, folder / "links", galleries)

        self.app = asyncio.run(built())

    def search(self, galleries):
        """The Search tab."""
        [wired] = self._wired(SearchHandlers)
        return Tab(self.app, wired, SearchHandlers(LiveSearch(galleries), wired.widgets, wired.pairs), wired.widgets)

    def classes(self, galleries):
        """The Classes tab."""
        [wired] = self._wired(ClassHandlers)
        return Tab(self.app, wired, ClassHandlers(galleries, wired.widgets, wired.pairs), wired.widgets)

    def class_words(self, galleries, answers):
        """What the Classes tab says of a class."""
        [wired] = self._wired(ClassWords)
        return Tab(self.app, wired, ClassWords(galleries, answers, wired.widgets), wired.widgets)

    def training(self, studies):
        """The Training tab over any series."""
        [wired] = self._wired(TrainingHandlers)
        return Tab(self.app, wired, TrainingHandlers(studies, wired.widgets), wired.widgets)

    def offers(self, galleries, tab="Search"):
        """The lists of the Search or the Classes tab."""
        wired = dict(zip(("Search", "Classes"), self._wired(OfferHandlers), strict=True))[tab]
        return Tab(self.app, wired, OfferHandlers(galleries, wired.lists), wired.lists)

    def indexing(self, galleries):
        """The Search tab's panel that indexes."""
        wired, _ = self._wired(IndexingHandlers)
        return Tab(self.app, wired, IndexingHandlers(galleries, wired.panel), wired.panel)

    def _wired(self, kind):
        owners = (getattr(function.fn, "__self__", None) for function in self.app.fns.values())
        return list(dict.fromkeys(owner for owner in owners if isinstance(owner, kind)))


class Tab:
    """The handlers of a tab: ``tab.search(query=...)`` runs the event of that name as the page wires it.

    Values that are not named are the page's own as it opens; ``None`` for what it does not hold yet. Gives what
    changed by the components' names, nothing where nothing did; of a generator one after the other.
    """

    def __init__(self, app, wired, handlers, widgets):
        self.app, self.wired, self.handlers = app, wired, handlers
        self.names = dict(named(widgets))

    def __getattr__(self, event):
        return partial(self._run, event)

    def values(self, **changes):
        """The values of these components, as a handler gets them."""
        return {component: changes[name] for component, name in self.names.items() if name in changes}

    def _run(self, event, *more, **changes):
        function = self._event(event, changes)
        handler = getattr(self.handlers, event)
        values = [self._inputs(function, changes)] if function.inputs_as_dict else []
        told = handler(*values, *more)
        if isinstance(told, Iterator):
            return (self._told(function, step) for step in told)
        return self._told(function, told)

    def _event(self, event, changes):
        for function in self.app.fns.values():
            if function.fn == getattr(self.wired, event) and set(changes) <= self._names(function.inputs):
                return function
        raise AssertionError(f"no event '{event}' that takes {', '.join(changes)}")

    def _names(self, components):
        return {self._name(component) for component in components}

    def _name(self, component):
        return self.names.get(component) or component.elem_id or type(component).__name__.lower()

    def _inputs(self, function, changes):
        values = DEFAULTS | changes
        return {component: values[self._name(component)] for component in function.inputs}

    def _told(self, function, updates):
        if updates == gr.skip():
            return {}
        assert updates
        assert set(updates) <= set(function.outputs)
        return {self._name(component): value for component, value in updates.items()}


def merged(steps):
    """What several steps of a handler changed together."""
    return {name: value for step in steps for name, value in step.items()}


def named(widgets):
    """The components of a dataclass of components, each with its field's name."""
    for field in fields(widgets):
        value = getattr(widgets, field.name)
        if is_dataclass(value):
            yield from named(value)
        elif isinstance(value, gr.blocks.Block):
            yield value, field.name
