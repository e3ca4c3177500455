"""What the Training tab gives away: a link to what is chosen, and a file of what is shown."""

import gradio as gr

from simvis_app.page.address.address import Address
from simvis_app.page.training.asking import Asking, Ready
from simvis_app.page.training.inputs import TrainingInputs, read
from simvis_app.page.training.widgets import Widgets
from simvis_app.page.updates import Values
from simvis_app.service import words
from simvis_app.service.files import kept
from simvis_app.service.links import LinkedPictures
from simvis_app.service.series.answers import training_files
from simvis_app.service.series.studies import Studies
from simvis_core import SimvisError
from simvis_core.files.writing import zipped

NAME = "Training"  # the tab's, in addresses too
COPIED = "Link copied. It keeps your picture on this server and opens this tab at the same step."


class TrainingSharing:
    """What the share row's buttons do. Both raise gr.Error, a sentence that the row shows."""

    def __init__(self, studies: Studies, pictures: LinkedPictures, widgets: Widgets) -> None:
        self.studies, self.pictures, self.widgets = studies, pictures, widgets
        self.asking = Asking(studies)

    def link(self, values: Values) -> str:
        """The query of a link to what is chosen, at the step where the slider stands; the picture is kept for it."""
        inputs = read(values, self.widgets)
        try:
            ready = self._ready(inputs)
            other = ready.names[1] if len(ready.names) > 1 else None
            subject = self.pictures.keep(ready.file) if ready.file else None
            return Address(tab=NAME, series=ready.names[0], other=other, subject=subject, step=inputs.step).query()
        except SimvisError as error:
            raise gr.Error(words.toast(error), print_exception=False) from error

    def export(self, values: Values) -> str:
        """The path of a zip of what is on the page: numbers, figures by step, and maps. It computes nothing anew."""
        try:
            ready = self._ready(read(values, self.widgets))
            studies = [self.studies.known(name, ready.file) for name in ready.names]
            found = [study for study in studies if study is not None]
            if len(found) != len(ready.names):
                raise SimvisError("a question without an answer", "one on the page", "wait until it is there")
            series = [study for study in found if not study.watch]
            compared = self.studies.compared(*ready.names) if len(series) == 2 else None
            return kept(zipped(training_files(found, compared)), "simvis-training.zip")
        except SimvisError as error:
            raise gr.Error(words.toast(error), print_exception=False) from error

    def _ready(self, inputs: TrainingInputs) -> Ready:
        found = self.asking.ready(inputs)
        if not isinstance(found, Ready):
            raise SimvisError(found.reason or "no series", "one to look at", "choose one first")
        return found
