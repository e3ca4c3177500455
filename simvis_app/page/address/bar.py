"""What keeps the browser's address and the page together: writes the one and restores the other."""

from pathlib import Path

import gradio as gr
from gradio.data_classes import GradioModel

from simvis_app.page.address.address import FIELDS, QUIET
from simvis_app.page.address.handlers import AddressHandlers, BarTold
from simvis_app.page.address.shown import AddressAnswers, AddressFields
from simvis_app.page.house import House
from simvis_app.page.pair.places import PairPlaces
from simvis_app.page.parts.drawing import HAND, filled
from simvis_app.page.updates import Listener
from simvis_app.service.pictures import Pictures

HERE = Path(__file__).parent
KEY_JS = (HERE / "visitor_key.js").read_text()
# The page as it is opened, in the form in which the bar tells of it: an address over the page's own.
OPEN_JS = f"""(bar, ...rest) => {{ {KEY_JS}
  const query = location.search.slice(1);
  return [{{ query, before: "", key: visitorKey(), turn: 0, answered: false }}, ...rest]; }}"""
CHANGED_JS = """() => { document.dispatchEvent(new CustomEvent("simvis-changed")); }"""


class BarData(GradioModel):  # type: ignore[misc]
    """What the bar tells and is told: the query of an address, and which question it answers."""

    query: str = ""
    before: str | None = ""  # the address of what is on screen; None where that is not known
    key: str = ""  # the visitor's, which opens that visitor's own pictures
    turn: int = 0
    answered: bool = False


class AddressBar(gr.HTML):  # type: ignore[misc]
    """The browser's address as a component that shows nothing.

    The event ``follow`` asks for the address of what is on screen, a moment after the visitor has changed it; the
    answer becomes the browser's: as a new entry of its history, or in the place of the last one where only what is in
    `QUIET` differs. The event ``restore`` tells of an address that the visitor went back or forward to.
    """

    data_model = BarData

    def __init__(self, value: object = None, **options: object) -> None:
        script = filled((HERE / "bar.js").read_text(), OURS=list(FIELDS), QUIET=sorted(QUIET))
        super().__init__(
            value=value,
            html_template="<span></span>",
            js_on_load=KEY_JS + HAND + script,
            apply_default_css=False,
            **options,
        )

    def preprocess(self, payload: BarData | None) -> BarTold:
        """What the browser tells; the texts are not checked yet."""
        bar = payload or BarData()
        return BarTold(bar.query, bar.before, bar.key, bar.turn)

    def postprocess(self, value: tuple[str, int] | None) -> BarData:
        """The answer to a ``follow``: the query, and the turn it belongs to."""
        return BarData() if value is None else BarData(query=value[0], turn=value[1], answered=True)


def wire(house: House) -> None:
    """Binds the address to what the tabs have put into `House.places` and `House.again`."""
    assert house.compare is not None
    pair, bar = house.compare, AddressBar(elem_id="address", visible="hidden")
    series = next(iter(house.studies.names()), None)
    handlers = AddressHandlers(house.session, house.shows, house.galleries, Pictures(house.pictures), series)
    places = {name: house.places[name] for name in FIELDS}
    fields = AddressFields(bar, pair.look.viewer, house.picker, places, pair.chosen, house.tabs, house.again)
    answers = AddressAnswers(fields, handlers)
    _wire_follow(fields, answers)
    restored: Listener = {
        "fn": answers.restore,
        "inputs": [bar, pair.chosen.working],  # by place: `OPEN_JS` puts the first in place of what the bar holds
        "outputs": [*places.values(), *_network_told(pair), house.tabs, *house.again.values()],
        "show_progress": "hidden",
        "show_progress_on": bar,  # see `House.tabs`
        "trigger_mode": "multiple",  # one after the other, as the visitor went back
        "concurrency_limit": 1,
        "api_visibility": "private",
    }
    bar.restore(**restored)
    opened = gr.context.Context.root_block.load(js=OPEN_JS, **restored)
    opened.then(**pair.ask)  # also after a failure: the page never stays empty
    changes = [place.change for place in places.values() if not isinstance(place, gr.State)]
    gr.on(changes, None, None, None, js=CHANGED_JS)
    for event in (fields.viewer.pin, house.picker.mark):
        event(None, None, None, js=CHANGED_JS)


def _wire_follow(fields: AddressFields, answers: AddressAnswers) -> None:
    """Binds the event that asks for the address of what is on screen, which all that is on screen goes into."""
    gr.context.Context.root_block.carry(
        fields.bar,
        fields.bar.follow,
        answers.follow,
        {fields.viewer, fields.picker, *fields.places.values()},
        show_progress="hidden",
        trigger_mode="multiple",  # each carries its own turn; a repeated last one would carry the answer before
        api_visibility="private",
    )


def _network_told(pair: PairPlaces) -> list[gr.blocks.Block]:
    """What a network sets beside the fields of the address."""
    return [pair.chosen.notice, pair.chosen.card, pair.chosen.working]
