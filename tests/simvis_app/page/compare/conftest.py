"""The Compare tab as it is laid out, asked without a browser."""

from dataclasses import fields, is_dataclass

import gradio as gr
import pytest

from simvis_app.page.compare.answers import Answers, OwnAnswers
from simvis_app.page.compare.events import wire
from simvis_app.page.compare.handlers import Handlers
from simvis_app.page.compare.layout import layout
from simvis_app.page.pair.asked import PairAsked
from simvis_app.service.links import LinkedPictures

VIEWER = {"key": "", "pin": None, "mode": "share", "ground": "colours"}


class Tab:
    """The tab's components by name, and its answers, read by those names. The law of each: it names outputs only."""

    def __init__(self, session, links):
        with gr.Blocks(analytics_enabled=False) as self.app:
            self.widgets = layout(session)
            self.handlers = Handlers(session, links)
            self.ask = wire(self.widgets, self.handlers)
        self.answers = Answers(self.widgets, self.handlers)
        own = self.widgets.own
        self.own = None if own is None else OwnAnswers(own, self.widgets, self.handlers)
        self.named = dict(_named(self.widgets))

    def values(self, pair=None, **more):
        """What the components hold."""
        pair = {} if pair is None else {one.name: getattr(pair, one.name) for one in fields(pair)}
        return {self.named[name]: value for name, value in (pair | more).items()}

    def told(self, updates, event=None):
        """The changes by name."""
        outputs = self.outputs(event) if event else [*self.named.values()]
        assert set(updates) <= set(outputs)
        names = {component: name for name, component in reversed(self.named.items())}  # the first counts
        return {names[component]: value for component, value in updates.items()}

    def outputs(self, event):
        """What the event of that name may change."""
        (found, *_) = (function for function in self.app.fns.values() if function.name == event)
        return found.outputs

    def compare(self, pair, request=None, viewer=VIEWER, k=2, link_pin=None, refused=(), seen=0):
        """The answer to a comparison."""
        values = self.values(pair, viewer=viewer, k=k, link_pin=link_pin, refused=refused, seen=seen)
        return self.told(self.answers.compare(values, request), "compare")

    def draw(self, request=None):
        """The answers to a drawing; {} for one that changes nothing."""
        for updates in self.answers.draw(self.values(viewer=VIEWER, k=2), request):
            yield {} if updates == gr.skip() else self.told(updates, "draw")


def _named(held, prefix=""):
    for one in fields(held):
        value = getattr(held, one.name)
        if is_dataclass(value):
            yield from _named(value, {"network": "network_", "own": "own_", "questions": "asked_"}.get(one.name, ""))
        elif isinstance(value, tuple):
            yield from ((f"slot_{number}", slot) for number, slot in enumerate(value))
        elif isinstance(value, gr.blocks.Block):
            yield prefix + one.name, value


@pytest.fixture
def tab(session, tmp_path, built):
    return built(lambda: Tab(session, LinkedPictures(tmp_path / "links")))


@pytest.fixture
def asked(files):
    """The pair with small views."""
    return PairAsked(*map(str, files), "tiny", "avg", 3.0, 16, "whole", None)
