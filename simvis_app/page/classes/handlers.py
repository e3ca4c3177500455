"""What the Classes tab's events do: values by component in, what changes by component out."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from simvis_app.page.classes.belonging import Belonging, belonging
from simvis_app.page.classes.inputs import ClassInputs, read
from simvis_app.page.classes.members import MemberPages, MembersShown
from simvis_app.page.classes.widgets import Widgets
from simvis_app.page.galleries.fineness import depth_of
from simvis_app.page.galleries.pairs import OpenedPair, PairOpening, public
from simvis_app.page.parts.hit_grid import Page
from simvis_app.page.updates import Updates, Values, unchanged
from simvis_app.service import words
from simvis_app.service.galleries.galleries import Galleries
from simvis_core import SimvisError
from simvis_core.galleries.classes import ClassMembers
from simvis_core.galleries.figures import mean_curve_figure, score_figure
from simvis_core.stores.contract import Row, Space

MATRIX = 60  # members in a matrix
CLASSES = 100  # in the matrix of class means
NOT_ASKED = "<p>Drop a picture to see which classes it is nearest to, and where that shows.</p>"


@dataclass(frozen=True)
class ShownClass:
    """A class: what it is in words, its members, a figure of their scores (None for one alone), and of all classes'."""

    status: str
    page: Page
    matrix: Any
    means: Any


@dataclass(frozen=True)
class Curves:
    """A figure of mean contribution curves, and the numbers as an HTML table."""

    figure: Any
    table: str


class ClassHandlers:
    """The tab's events; those with an underscore compute, `shown` tells the page."""

    def __init__(self, galleries: Galleries, widgets: Widgets, pairs: PairOpening) -> None:
        self.galleries, self.widgets, self.pairs = galleries, widgets, pairs
        self.pages = MemberPages(galleries)

    def labels(self, values: Values) -> Updates:
        """The classes of a gallery, those with several pictures first; the chosen one stays if it is there."""
        inputs = read(values, self.widgets)
        try:
            counts = self.galleries.labels(self._space(inputs))
        except SimvisError:
            return {self.widgets.label: gr.update(choices=[], value=None)}
        names = sorted((name for name in counts if name), key=lambda name: (counts[name] < 2, name))
        listed = [(f"{name} ({counts[name]})", name) for name in names]
        largest = max(names, key=lambda name: counts[name], default=None)
        chosen = inputs.label if inputs.label in names else largest
        return {self.widgets.label: gr.update(choices=listed, value=chosen)}

    def offer_spaces(self, values: Values) -> Updates:
        """The curves' list: everything the gallery was indexed with, all of it chosen to begin with."""
        try:
            spaces = self.galleries.spaces(read(values, self.widgets).place.gallery)
        except SimvisError:
            spaces = []
        listed = [(label, name) for name, label in words.space_labels(spaces).items()]
        return {self.widgets.curve_spaces: gr.update(choices=listed, value=[name for _, name in listed])}

    def show(self, values: Values) -> Updates:
        """A class, or why there is none to show."""
        try:
            return shown(self._class(read(values, self.widgets)), self.widgets)
        except SimvisError as error:
            return shown(error, self.widgets)

    def more(self, values: Values) -> Updates:
        """The next members; no change where the grid shows another class by now."""
        return self._wanted(read(values, self.widgets), with_maps=False)

    def maps(self, values: Values) -> Updates:
        """The members from rank ``wanted`` on, with their class maps; no change as `more`."""
        return self._wanted(read(values, self.widgets), with_maps=True)

    def belongs(self, values: Values) -> Updates:
        """The nearest classes of a picture from outside, or why there are none, below what was dropped and refused."""
        found = self._belonging(read(values, self.widgets))
        return shown(found, self.widgets) | self.widgets.refusals.shown(values)

    def forget_outside(self) -> Updates:
        """Nothing is asked of a picture from outside."""
        return shown(Belonging(NOT_ASKED), self.widgets)

    def curves(self, values: Values) -> Updates:
        """Mean contribution curves of the chosen spaces, or why there are none."""
        try:
            return {self.widgets.curve_notice: ""} | shown(self._curves(read(values, self.widgets)), self.widgets)
        except SimvisError as error:
            return {self.widgets.curve_notice: words.notice(str(error))} | shown(Curves(None, ""), self.widgets)

    def open_pair(self, values: Values) -> Updates:
        """A member beside the most typical other one on the Compare tab.

        Raises gr.Error where the member is gone or has no other.
        """
        inputs = read(values, self.widgets)
        try:
            where, members = self._members(inputs)
        except SimvisError as error:
            raise gr.Error(words.toast(error), print_exception=False) from error
        rows = _beside(members, inputs.wanted.chosen)
        a, b = (public(row.file, self.galleries.session) for row in rows)
        return self.pairs.shown(OpenedPair(a, b, where), inputs.working)

    def _space(self, inputs: ClassInputs) -> Space:
        return self.galleries.space(inputs.place.gallery, inputs.place.space)

    def _shown(self, space: Space, inputs: ClassInputs) -> MembersShown:
        place = inputs.place
        return MembersShown(space, inputs.label, inputs.order, depth_of(self.galleries, space, place.layer, place.rule))

    def _members(self, inputs: ClassInputs) -> tuple[Space, ClassMembers]:
        where = self._space(inputs)
        return where, self.galleries.members(where, inputs.label)

    def _class(self, inputs: ClassInputs) -> ShownClass:
        if not inputs.label:
            raise SimvisError("a gallery without classes", "class folders or a CSV with labels", "index one")
        where, members = self._members(inputs)
        means = self._means_figure(where, inputs.label)
        names = [Path(row.file).name for row in members.rows[:MATRIX]]
        matrix = score_figure(members.scores[:MATRIX, :MATRIX], names) if len(names) > 1 else None
        page = self.pages.page(self._shown(where, inputs), members)
        return ShownClass(words.class_status(members), page, matrix, means)

    def _means_figure(self, space: Space, label: str) -> Any:
        """The matrix of class means; of very many classes those nearest to the chosen one."""
        means = self.galleries.means(space)
        shown = list(range(len(means.labels)))
        if len(shown) > CLASSES:
            own = means.means[means.labels.index(label)]
            shown = sorted(at for at, _ in means.nearest(own, CLASSES))
        return score_figure(means.scores[shown][:, shown], [means.labels[at] for at in shown])

    def _wanted(self, inputs: ClassInputs, with_maps: bool) -> Updates:
        try:
            where, members = self._members(inputs)
        except SimvisError:
            return unchanged()  # `show` says why
        asked = self._shown(where, inputs)
        if inputs.wanted.key != asked.key:
            return unchanged()
        return {self.widgets.grid: self.pages.page(asked, members, inputs.wanted.wanted, with_maps)}

    def _belonging(self, inputs: ClassInputs) -> Belonging:
        if inputs.outside is None:
            return Belonging(inputs.refused)
        try:
            found = belonging(self.galleries, inputs.outside, inputs.place)
        except SimvisError as error:
            return Belonging(inputs.refused + words.notice(str(error)))
        return Belonging(inputs.refused + found.said, found.page)

    def _curves(self, inputs: ClassInputs) -> Curves:
        spaces = [self.galleries.space(inputs.place.gallery, name) for name in inputs.curve_spaces]
        if not spaces:
            raise SimvisError("no network", "one or more", "choose what the gallery was indexed with")
        drawn = {space: self.galleries.curves(space, inputs.pairs) for space in spaces}
        labels = words.space_labels(list(drawn))
        named = {
            f"{labels[space.name]}: {kind}": curve for space, kinds in drawn.items() for kind, curve in kinds.items()
        }
        return Curves(mean_curve_figure(named), words.curve_table(named))


def shown(found: ShownClass | SimvisError | Belonging | Curves, widgets: Widgets) -> Updates:
    """The part of the tab that shows what was found, or that there is no class and why."""
    if isinstance(found, Belonging):
        return {widgets.belongs: found.said, widgets.belongs_maps: found.page}
    if isinstance(found, Curves):
        return {widgets.curve_plot: found.figure, widgets.curve_table: found.table}
    if isinstance(found, SimvisError):
        empty: Updates = dict.fromkeys((widgets.grid, widgets.matrix, widgets.means))
        return {widgets.notice: words.notice(str(found)), widgets.status: ""} | empty
    return {
        widgets.notice: "",
        widgets.status: found.status,
        widgets.grid: found.page,
        widgets.matrix: found.matrix,
        widgets.means: found.means,
    }


def _beside(members: ClassMembers, chosen: str) -> tuple[Row, Row]:
    """A member by its id, and the most typical other one. Raises gr.Error where either is not there."""
    own = [row for row in members.rows if row.id == chosen]
    others = [row for row in members.rows if row.id != chosen]
    if not own:
        raise gr.Error("This picture is not in the gallery any more; choose again.", print_exception=False)
    if not others:
        raise gr.Error("This class has no second picture to compare with.", print_exception=False)
    return own[0], others[0]
