"""What the Search tab gives away: a link to the search on screen, and its best hits as files."""

from simvis_app.page.address.address import Address
from simvis_app.page.galleries.sharing import refusal, zip_file
from simvis_app.page.search.hits import PAGE
from simvis_app.page.search.inputs import SearchInputs, read, search_of
from simvis_app.page.search.widgets import Widgets
from simvis_app.page.updates import Values
from simvis_app.service.galleries.answers import search_json, search_sheet
from simvis_app.service.galleries.galleries import Asked, Galleries
from simvis_app.service.links import LinkedPictures
from simvis_core import SimvisError
from simvis_core.files.writing import manifest_json

COPIED = "Link copied. It keeps your picture on this server for whoever has it, and opens this search."


class SearchSharing:
    """What the tab's row gives: a query or a file's path. Both raise gr.Error for what cannot be shared."""

    def __init__(self, galleries: Galleries, pictures: LinkedPictures, widgets: Widgets) -> None:
        self.galleries, self.pictures, self.widgets = galleries, pictures, widgets

    def link(self, values: Values) -> str:
        """The query of a link to a search, with its marks; the picture is kept for it."""
        inputs = read(values, self.widgets)
        try:
            asked = self._asked(inputs)
            return Address(
                tab="Search",
                q=self.pictures.keep(asked.file),
                gallery=asked.gallery,
                space=asked.space,
                at=asked.depth.layer or None,
                by=asked.depth.rule if asked.depth.layer else None,
                labels=asked.labels,
                marks=inputs.marks.regions if asked.regions else None,
                exact=asked.exact or None,
                shows=None if asked.attribute is None else asked.attribute.name,
                use=None if asked.attribute is None else asked.attribute.use,
            ).query()
        except SimvisError as error:
            raise refusal(error) from error

    def export(self, values: Values) -> str:
        """The path of a zip with the best hits: a page of their maps, and the numbers as JSON."""
        try:
            answer = self.galleries.search(self._asked(read(values, self.widgets)), PAGE)
            told = manifest_json(search_json(answer, paths=False))
            return zip_file("search", {"search.html": search_sheet(self.galleries, answer), "search.json": told})
        except SimvisError as error:
            raise refusal(error) from error

    def _asked(self, inputs: SearchInputs) -> Asked:
        if inputs.query is None:
            raise SimvisError("no picture", "one to search for", "drop one first")
        # Also without marks: a link to a search that has no answer helps nobody.
        self.galleries.space(inputs.place.gallery, inputs.place.space)
        return search_of(inputs, self.galleries)
