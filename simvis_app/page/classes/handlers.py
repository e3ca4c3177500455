"""What the Classes tab's events do: component values in, component values out."""

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from simvis_app.page.choices import ORDERS
from simvis_app.page.compare.handlers import Handlers
from simvis_app.page.parts.files import picture_file
from simvis_app.page.parts.hit_grid import HitCard, Page
from simvis_app.page.search.handlers import GONE, SCALES, public
from simvis_app.service import words
from simvis_app.service.galleries.galleries import Galleries, settings_of
from simvis_app.service.sessions.session import Pictured
from simvis_core import SimvisError
from simvis_core.galleries.classes import ClassMeans, ClassMembers, class_map
from simvis_core.galleries.figures import mean_curve_figure, score_figure
from simvis_core.galleries.search import Found
from simvis_core.pictures.overlays import common_scale
from simvis_core.pictures.view_warnings import view_warning
from simvis_core.stores.contract import Row, Space

PAGE = 12  # members that are shown at a time
MATRIX = 60  # members in a matrix
CLASSES = 100  # in the matrix of class means
NEAREST = 5  # classes of a picture that are named
UNIT = "share of the mean score, per cell"


class ClassHandlers:
    """What the tab's events do: each takes component values and gives component values."""

    def __init__(self, galleries: Galleries, compare: Handlers) -> None:
        self.galleries, self.compare = galleries, compare
        self._scales: OrderedDict[str, float] = OrderedDict()

    def labels(self, gallery: str, space: str | None, label: str | None) -> Any:
        """The classes of a gallery, those with several pictures first; the chosen one stays if it is there."""
        try:
            counts = self.galleries.labels(self.galleries.space(gallery, space or ""))
        except SimvisError:
            return gr.update(choices=[], value=None)
        names = sorted((name for name in counts if name), key=lambda name: (counts[name] < 2, name))
        listed = [(f"{name} ({counts[name]})", name) for name in names]
        largest = max(names, key=lambda name: counts[name], default=None)
        return gr.update(choices=listed, value=label if label in names else largest)

    def show(self, gallery: str, space: str, label: str | None, order: str) -> list[Any]:
        """A class: notice, what it is, members, their matrix, the matrix of class means."""
        try:
            if not label:
                raise SimvisError("a gallery without classes", "class folders or a CSV with labels", "index one")
            where = self.galleries.space(gallery, space)
            members = self.galleries.members(where, label)
            means = self._means_figure(where, label)
        except SimvisError as error:
            return [words.notice(str(error)), "", None, None, None]
        names = [Path(row.file).name for row in members.rows[:MATRIX]]
        matrix = score_figure(members.scores[:MATRIX, :MATRIX], names) if len(names) > 1 else None
        return ["", words.class_status(members), self._page(where, members, order, 0), matrix, means]

    def more(self, gallery: str, space: str, label: str, order: str, grid: dict[str, Any]) -> Any:
        """The next members; no change where the grid shows another class by now."""
        return self._again(gallery, space, label, order, grid, with_maps=False)

    def maps(self, gallery: str, space: str, label: str, order: str, grid: dict[str, Any]) -> Any:
        """The members from rank ``wanted`` on, with their class maps."""
        return self._again(gallery, space, label, order, grid, with_maps=True)

    def belongs(self, file: str | None, gallery: str, space: str, said: str = "") -> list[Any]:
        """The nearest classes of a picture from outside, in words, and where that shows.

        ``said`` is a notice about a file that was dropped and not taken; it stands above them.
        """
        if file is None:
            return [said, None]
        try:
            where = self.galleries.space(gallery, space)
            picture = self.galleries.picture(file, where)
            means = self.galleries.means_for(picture, where)
        except SimvisError as error:
            return [said + words.notice(str(error)), None]
        embedding = picture.decomposition.embedding
        nearest = [(means.labels[at], means.counts[at], score) for at, score in means.nearest(embedding, NEAREST)]
        warned = words.warning(view_warning(picture.view, words.YOURS))
        return [
            said + warned + words.nearest_classes(nearest, self.galleries.holds(picture, where)),
            self._belongs_page(picture, where, means, nearest),
        ]

    def curves(self, gallery: str, names: Sequence[str] | None, count: float | None) -> list[Any]:
        """Mean contribution curves of the chosen spaces: notice, plot, table."""
        try:
            spaces = [self.galleries.space(gallery, name) for name in names or []]
            if not spaces:
                raise SimvisError("no network", "one or more", "choose what the gallery was indexed with")
            drawn = {space: self.galleries.curves(space, int(count or 0)) for space in spaces}
        except SimvisError as error:
            return [words.notice(str(error)), None, ""]
        labels = words.space_labels(list(drawn))
        named = {
            f"{labels[space.name]}: {kind}": curve for space, kinds in drawn.items() for kind, curve in kinds.items()
        }
        return ["", mean_curve_figure(named), words.curve_table(named)]

    def open_pair(self, gallery: str, space: str, label: str, grid: dict[str, Any], working: str) -> list[Any]:
        """A member beside the most typical other one, for the Compare tab; see `Widgets.opens`."""
        try:
            where = self.galleries.space(gallery, space)
            members = self.galleries.members(where, label)
        except SimvisError as error:
            raise gr.Error(words.toast(error), print_exception=False) from error
        chosen = [row for row in members.rows if row.id == grid["chosen"]]
        others = [row for row in members.rows if row.id != grid["chosen"]]
        if not chosen:
            raise gr.Error("This picture is not in the gallery any more; choose again.", print_exception=False)
        if not others:
            raise gr.Error("This class has no second picture to compare with.", print_exception=False)
        files = [public(row.file, self.galleries.session) for row in (chosen[0], others[0])]
        return [gr.update(selected="Compare"), *files, *self.compare.opened(settings_of(where), working), None]

    def _again(self, gallery: str, space: str, label: str, order: str, grid: dict[str, Any], with_maps: bool) -> Any:
        try:
            where = self.galleries.space(gallery, space)
            members = self.galleries.members(where, label)
        except SimvisError:
            return gr.skip()  # `show` says why
        if grid["key"] != _key(where, label, order):
            return gr.skip()
        return self._page(where, members, order, grid["wanted"], with_maps)

    def _page(self, space: Space, members: ClassMembers, order: str, skip: int, with_maps: bool = False) -> Page:
        key, count = _key(space, members.label, order), len(members.rows)
        ranks = list(range(count))[:: -1 if ORDERS[order] else 1][skip : skip + PAGE]
        seen = {rank: self._class_map(members, rank, space) if with_maps else (None, None, "") for rank in ranks}
        if with_maps and key not in self._scales:
            maps = [map for _, map, _ in seen.values() if map is not None]
            self._scales[key] = common_scale(*maps) if maps else 0.0
            while len(self._scales) > SCALES:
                self._scales.popitem(last=False)
        cards = [self._card(members, rank, space, *seen[rank]) for rank in ranks]
        scale = self._scales.get(key, 0.0)
        return Page(
            key, skip, count, skip + len(ranks) < count, scale, scale, UNIT, True, cards, late=with_maps or skip > 0
        )

    def _class_map(self, members: ClassMembers, rank: int, space: Space) -> tuple[Pictured | None, Any, str]:
        """A member's picture, its map of class similarity as shares of its mean score, and what is stale."""
        row = members.rows[rank]
        found, picture = self.galleries.hit(Found(row, 1.0, 1.0), space)
        if picture is None or picture.decomposition.method == "none" or len(members.rows) < 2:
            return picture, None, found.stale
        return picture, class_map(picture.decomposition, members.others(rank)) / (len(members.rows) - 1), found.stale

    def _card(
        self, members: ClassMembers, rank: int, space: Space, picture: Pictured | None, map: Any, stale: str
    ) -> HitCard:
        row = members.rows[rank]
        thumbnail = self.galleries.thumbnail(row, space)
        return HitCard(
            id=row.id,
            title=words.file_name(row.file),
            label="",
            score=words.three(float(members.typicality[rank])) if len(members.rows) > 1 else "",
            note=words.typical(rank, len(members.rows)),
            image=None if thumbnail is None else thumbnail[0],
            aspect=1.0 if thumbnail is None else thumbnail[1],
            hit_grid=(0, 0) if picture is None else picture.decomposition.grid,
            hit_map=None if map is None else map.flatten().tolist(),
            stale=stale or ("" if thumbnail is not None else GONE),
        )

    def _means_figure(self, space: Space, label: str) -> Any:
        """The matrix of class means; of very many classes those nearest to the chosen one."""
        means = self.galleries.means(space)
        shown = list(range(len(means.labels)))
        if len(shown) > CLASSES:
            own = means.means[means.labels.index(label)]
            shown = sorted(at for at, _ in means.nearest(own, CLASSES))
        return score_figure(means.scores[shown][:, shown], [means.labels[at] for at in shown])

    def _belongs_page(
        self, picture: Pictured, space: Space, means: ClassMeans, nearest: list[tuple[str, int, float]]
    ) -> Page | None:
        """Where the picture looks like the nearest class, and where more like it than like the second."""
        own = picture.decomposition
        if own.method == "none":
            return None
        by_label = dict(zip(means.labels, means.means, strict=True))
        shown = [(f"like {nearest[0][0]}", class_map(own, by_label[nearest[0][0]]), words.three(nearest[0][2]))]
        if len(nearest) > 1:
            (first, _, score), (second, _, other) = nearest[:2]
            difference = class_map(own, by_label[first] - by_label[second])
            shown.append((f"{first} rather than {second}", difference, words.signed(score - other)))
        scale = common_scale(*(map for _, map, _ in shown))
        image = picture_file(picture.view).path
        cards = [
            HitCard(
                id=Row(hashlib.sha256(f"{title}{number}".encode()).hexdigest(), "").id,
                title=title,
                label="",
                score=score,
                note="",
                image=image,
                aspect=picture.view.aspect,
                hit_grid=own.grid,
                hit_map=map.flatten().tolist(),
            )
            for number, (title, map, score) in enumerate(shown)
        ]
        key = f"belongs:{space.name}:{picture.sha256}"
        return Page(key, 0, len(cards), False, scale, scale, UNIT, True, cards)


def _key(space: Space, label: str, order: str) -> str:
    return hashlib.sha256(repr((space.name, label, order)).encode()).hexdigest()[:24]
