"""What the Classes tab gives away: a link to the class on screen, and its members as files."""

from simvis_app.page.address.address import Address
from simvis_app.page.classes.inputs import read
from simvis_app.page.classes.widgets import Widgets
from simvis_app.page.galleries.fineness import depth_of
from simvis_app.page.galleries.sharing import refusal, zip_file
from simvis_app.page.updates import Values
from simvis_app.service.galleries.answers import class_json, class_sheet
from simvis_app.service.galleries.galleries import Galleries
from simvis_core import SimvisError
from simvis_core.files.writing import manifest_json

COPIED = "Link copied. It opens this tab with the same class."


class ClassSharing:
    """What the tab's row gives: a query or a file's path."""

    def __init__(self, galleries: Galleries, widgets: Widgets) -> None:
        self.galleries, self.widgets = galleries, widgets

    def link(self, values: Values) -> str:
        """The query of a link to a class."""
        inputs = read(values, self.widgets)
        place = inputs.place
        return Address(
            tab="Classes",
            gallery=place.gallery,
            space=place.space or None,
            label=inputs.label or None,
            order=inputs.order,
            at=place.layer or None,
            by=place.rule if place.layer else None,
        ).query()

    def export(self, values: Values) -> str:
        """The path of a zip with a class: a page of its members' maps, and the numbers as JSON.

        Raises gr.Error for a class that is not there.
        """
        inputs = read(values, self.widgets)
        try:
            where = self.galleries.space(inputs.place.gallery, inputs.place.space)
            if not inputs.label:
                raise SimvisError("no class", "one of the gallery's", "choose one first")
            told = manifest_json(class_json(self.galleries, where, inputs.label, paths=False))
            depth = depth_of(self.galleries, where, inputs.place.layer, inputs.place.rule)
            sheet = class_sheet(self.galleries, where, inputs.label, depth)
            return zip_file("class", {"class.html": sheet, "class.json": told})
        except SimvisError as error:
            raise refusal(error) from error
