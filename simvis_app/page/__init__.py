"""The web page: a frame for tabs, and the tabs."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import gradio as gr

from simvis_app.api.attributes import add_attributes_api
from simvis_app.api.concepts import add_concepts_api
from simvis_app.api.galleries import add_gallery_api
from simvis_app.api.pairs import add_api
from simvis_app.api.training import add_training_api
from simvis_app.api.trust import add_trust_api
from simvis_app.page import choices
from simvis_app.page.address import bar
from simvis_app.page.address.handlers import COMPARED, PAIR
from simvis_app.page.attributes.events import build as build_attributes
from simvis_app.page.blocks import Page
from simvis_app.page.classes.layout import build as build_classes
from simvis_app.page.compare.events import build as build_compare
from simvis_app.page.house import House
from simvis_app.page.look import CSS, HEAD, THEME, WORDS
from simvis_app.page.pair.places import COMPARE
from simvis_app.page.parts.drops import PictureDrops
from simvis_app.page.search.layout import build as build_search
from simvis_app.page.training.layout import build as build_training
from simvis_app.page.trust.events import build as build_trust
from simvis_app.service import samples
from simvis_app.service.attributes.asking import AttributeAnswers
from simvis_app.service.galleries.galleries import SAMPLES, Galleries
from simvis_app.service.links import LinkedPictures
from simvis_app.service.references import References
from simvis_app.service.series.studies import Studies
from simvis_app.service.sessions.budget import Budget
from simvis_app.service.sessions.session import Session, Settings
from simvis_core.attributes.dictionaries.coding import load_solvers

TITLE = "SimVis: why do these two pictures match?"
INTRO = "<h1>Why do these pictures match?</h1>"

__all__ = ["CSS", "HEAD", "THEME", "WORDS", "build_app", "first_settings", "warm_up"]


def build_app(
    session: Session,
    link_folder: Path,
    galleries: Galleries,
    budget: Budget = Budget(),  # noqa: B008 - it never changes
    studies: Studies | None = None,
) -> gr.Blocks:
    """The whole app, ready to launch with `CSS`. The first sample pair is explained beforehand, so it opens at once.

    ``budget`` is what one answer of the API may take; ``studies`` are the checkpoint series, None the bundled ones.
    """
    with Page(title=TITLE, analytics_enabled=False, delete_cache=(3600, 86400)) as app:
        house = House(
            session,
            LinkedPictures(link_folder),
            galleries,
            PictureDrops(elem_id="drops"),
            References(session),
            studies or Studies(session),
            AttributeAnswers(session),
        )
        house.drops.limits = session.limits
        intro = gr.HTML(INTRO, elem_id="intro")
        # Before the tabs: gradio numbers a name that one of their functions has already.
        add_api(session, house.references, app.lanes, budget)
        add_gallery_api(galleries, budget)
        add_trust_api(session, app.lanes, budget)
        add_training_api(house.studies, app.lanes, budget)
        add_attributes_api(house.attributes)
        add_concepts_api(session)
        hidden = partial(gr.Textbox, visible="hidden")
        house.places = {"tab": hidden(next(iter(TABS))), "gallery": hidden(SAMPLES), "space": hidden("")}
        house.places |= {"at": hidden(""), "by": hidden(choices.RULE.default)}
        house.shows = {name: tab.shows for name, tab in TABS.items()}
        house.again = {name: hidden() for name in TABS}
        with gr.Tabs(overflow_behavior="wrap", elem_id="tabs") as house.tabs:  # a menu would hide tabs on a phone
            for name, row in TABS.items():
                with gr.Tab(name, id=name) as tab:
                    # First: what a tab fills in itself belongs to the address that names the tab.
                    tab.select(None, None, house.places["tab"], js=f"() => '{name}'")
                    row.build(house, tab)
        bar.wire(house)
        with gr.Accordion("Credits of all sample pictures", open=False) as credits_list:
            shown = gr.HTML()
        credits_list.expand(samples.credits_html, None, shown, api_visibility="private")
        app.hush(intro)
    return app


def warm_up(session: Session, backbone: str) -> None:
    """Explains the first sample pair as the page opens it, so that the first visitor waits for nothing."""
    first = samples.pairs()[0]
    settings = first_settings(session, backbone)
    session.explain(samples.PICTURES / first["a"], samples.PICTURES / first["b"], settings)
    AttributeAnswers(session).fits(settings)  # reads what is known of attributes
    load_solvers()


def first_settings(session: Session, backbone: str) -> Settings:
    """What the page opens with, for a network."""
    network = session.network(backbone)
    return Settings(backbone, str(network.trained_pooling), network.preprocess.whole_cells(Settings.short_side))


@dataclass(frozen=True)
class PageTab:
    """How a tab is laid out and wired up, and the fields of the page's address that what it shows depends on."""

    build: Callable[[House, gr.Tab], object]
    shows: tuple[str, ...] = ()


PLACE = ("gallery", "space", *choices.MAPS)
# In the order in which they stand; the first is in front as the page opens.
TABS: dict[str, PageTab] = {
    COMPARE: PageTab(build_compare, COMPARED),
    "Search": PageTab(build_search, (*PLACE, "q", "labels", "marks", "exact", "shows", "use")),
    "Classes": PageTab(build_classes, (*PLACE, "label", "order")),
    "Trust": PageTab(build_trust, (*PAIR, *choices.CHOICES, *choices.TRUST)),
    "Attributes": PageTab(build_attributes, (*PAIR, *choices.CHOICES, "preset", "attribute", "weights")),
    "Training": PageTab(build_training, ("series", "other", "subject", "step")),
}
