"""What the Trust tab gives away: a link to what is chosen, and a file of what is measured."""

import gradio as gr

from simvis_app.page import choices
from simvis_app.page.pair.link import pair_link
from simvis_app.page.trust.inputs import TrustQuestion, read
from simvis_app.page.trust.layout import Widgets
from simvis_app.page.trust.measurements import Measurements
from simvis_app.page.trust.rows import GLANCE
from simvis_app.page.updates import Values
from simvis_app.service import words
from simvis_app.service.files import kept
from simvis_app.service.links import LinkedPictures
from simvis_app.service.sessions.session import Session
from simvis_core import SimvisError
from simvis_core.files.writing import zipped
from simvis_core.trust.faithfulness import CURVE_STEPS
from simvis_core.trust.files import measured_files
from simvis_core.trust.measuring import Measured, asked_of, baselines

NAME = "Trust"  # the tab's, in addresses too


class TrustSharing:
    """What the share row's buttons do. Both raise gr.Error, a sentence that the row shows."""

    def __init__(self, session: Session, pictures: LinkedPictures, widgets: Widgets) -> None:
        self.session, self.pictures, self.widgets = session, pictures, widgets
        self.measurements = Measurements(session)

    def link(self, values: Values) -> str:
        """The query of a link to the pair and what is chosen on this tab; what was measured is not kept."""
        inputs = read(values, self.widgets)
        asked = inputs.question
        try:
            seed = asked_of("random", asked.setting, asked.seed, asked.fill).seed
        except SimvisError as error:
            raise _refusal(error) from error
        chosen = {"side": asked.side, "fill": asked.fill, "setting": asked.setting, "seed": seed}
        chosen["explainers"] = list(inputs.explainers)
        return pair_link(self.session, self.pictures, asked.pair, inputs.look, tab=NAME, **chosen)

    def export(self, values: Values) -> str:
        """The path of a zip of what is measured of the question on the page: maps, numbers, curves and pictures.

        It never measures. Maps are in it as far as they are measured: all of them in full, or at a glance where more
        are measured so.
        """
        inputs = read(values, self.widgets)
        asked, look = inputs.question, inputs.look
        try:
            if inputs.measured_for != asked:
                raise SimvisError("no measurement of this question", "one or more", "draw and measure first")
            pair = self.measurements.explained(asked)
            measured = max((self._held(asked, count) for count in (CURVE_STEPS, GLANCE)), key=len)
            files = measured_files(pair, asked.side, measured, look.colours, look.opacity)
        except SimvisError as error:
            raise _refusal(error) from error
        return kept(zipped(files), "simvis-trust.zip")

    def _held(self, asked: TrustQuestion, steps: int) -> list[Measured]:
        """What is still kept of the measurements; beside them the baselines, if all of them are."""
        wanted = [asked_of(name, asked.setting, asked.seed, asked.fill, steps) for name in choices.DRAWN_BY.names]
        held = self.measurements.held(asked, [*wanted, *baselines(wanted[0])])
        found = [one for one in held[: len(wanted)] if one is not None]
        chance = held[len(wanted) :]
        return [*found, *(one for one in chance if one is not None)] if found and None not in chance else found


def _refusal(error: SimvisError) -> gr.Error:
    return gr.Error(words.toast(error), print_exception=False)
