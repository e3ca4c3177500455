"""What the Attributes tab gives away: a link to what is chosen, and a file of every term and map."""

import html

import gradio as gr

from simvis_app.page.attributes.handlers import AttributesHandlers, InWordsShown, NothingShown
from simvis_app.page.attributes.inputs import AttributesInputs, read
from simvis_app.page.attributes.layout import Widgets
from simvis_app.page.pair.link import pair_link
from simvis_app.page.updates import Values
from simvis_app.service.attributes.telling import in_words_files, picture_files
from simvis_app.service.files import kept
from simvis_app.service.links import LinkedPictures
from simvis_core.files.writing import zipped

NAME = "Attributes"  # the tab's, in addresses too


class AttributesSharing:
    """What the share row's buttons do. Both raise gr.Error, a sentence that the row shows."""

    def __init__(self, handlers: AttributesHandlers, pictures: LinkedPictures, widgets: Widgets) -> None:
        self.handlers, self.pictures, self.widgets = handlers, pictures, widgets

    def link(self, values: Values) -> str:
        """The query of a link to the pair and what is chosen on this tab."""
        inputs = read(values, self.widgets)
        chosen = {"preset": inputs.preset, "attribute": inputs.attribute or None, "weights": inputs.weights or None}
        session = self.handlers.answers.session
        return pair_link(session, self.pictures, inputs.pair, inputs.look, tab=NAME, **chosen)

    def export(self, values: Values) -> str:
        """The path of a zip: all terms as JSON and as a table, all maps, and pictures of the chosen attribute's."""
        inputs = read(values, self.widgets)
        shown, look = self._shown(inputs), inputs.look
        files = in_words_files(shown.found) | picture_files(shown.found, shown.name, look.colours, look.opacity)
        return kept(zipped(files), "simvis-attributes.zip")

    def _shown(self, inputs: AttributesInputs) -> InWordsShown:
        shown = self.handlers.told(inputs)
        if isinstance(shown, NothingShown):
            raise gr.Error(html.escape(shown.reason, quote=False), print_exception=False)
        return shown
