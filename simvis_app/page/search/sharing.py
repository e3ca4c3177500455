"""What the Search and Classes tabs give away: a link to what is on screen, and its hits or members as files."""

from typing import Any

import gradio as gr

from simvis_app.page.address.address import Address
from simvis_app.page.parts.share_row import ShareRow
from simvis_app.page.search.handlers import PAGE, SearchHandlers
from simvis_app.service import words
from simvis_app.service.files import kept
from simvis_app.service.galleries.answers import class_json, class_sheet, search_json, search_sheet
from simvis_app.service.galleries.galleries import Asked, Galleries
from simvis_app.service.links import LinkedPictures
from simvis_core import SimvisError
from simvis_core.files.writing import manifest_json, zipped

SEARCH = "Link copied. It keeps your picture on this server for whoever has it, and opens this search."
CLASS = "Link copied. It opens this tab with the same class."


class GallerySharing:
    """What the tabs' rows do: each takes component values, and gives a query or a file's path.

    All raise gr.Error for what cannot be shared, in a sentence.
    """

    def __init__(self, galleries: Galleries, pictures: LinkedPictures, search: SearchHandlers) -> None:
        self.galleries, self.pictures, self.search = galleries, pictures, search

    def search_link(self, *values: Any) -> str:
        """The query of a link to a search, with its marks; the picture is kept for it."""
        try:
            asked = self._asked(values)
            return Address(
                tab="Search",
                q=self.pictures.keep(asked.file),
                gallery=asked.gallery,
                space=asked.space,
                labels=asked.labels,
                marks=tuple(values[4]["regions"]) if asked.regions else None,
                exact=asked.exact or None,
            ).query()
        except SimvisError as error:
            raise gr.Error(words.toast(error), print_exception=False) from error

    def search_export(self, *values: Any) -> str:
        """The path of a zip with the best hits: a page of their maps, and the numbers as JSON."""
        try:
            answer = self.galleries.search(self._asked(values), PAGE)
            told = manifest_json(search_json(answer, paths=False))
            return _zip("search", {"search.html": search_sheet(self.galleries, answer), "search.json": told})
        except SimvisError as error:
            raise gr.Error(words.toast(error), print_exception=False) from error

    def class_link(self, gallery: str, space: str, label: str | None, order: str) -> str:
        """The query of a link to a class."""
        return Address(tab="Classes", gallery=gallery, space=space or None, label=label or None, order=order).query()

    def class_export(self, gallery: str, space: str, label: str | None, _: str) -> str:
        """The path of a zip with a class: a page of its members' maps, and the numbers as JSON."""
        try:
            where = self.galleries.space(gallery, space)
            if not label:
                raise SimvisError("no class", "one of the gallery's", "choose one first")
            told = manifest_json(class_json(self.galleries, where, label, paths=False))
            return _zip("class", {"class.html": class_sheet(self.galleries, where, label), "class.json": told})
        except SimvisError as error:
            raise gr.Error(words.toast(error), print_exception=False) from error

    def _asked(self, values: tuple[Any, ...]) -> Asked:
        file, gallery, space, *_ = values
        if file is None:
            raise SimvisError("no picture", "one to search for", "drop one first")
        self.galleries.space(gallery, space)  # also without marks: a link to a search that has no answer helps nobody
        return self.search.asked(*values)


def forget(row: ShareRow, changes: list[Any]) -> None:
    """What was said of a link or a file is not to stay when something else is on screen."""
    for change in changes:
        change(None, None, row.told, js="() => null")


def _zip(name: str, files: dict[str, bytes]) -> str:
    return kept(zipped(files), f"simvis-{name}.zip")
