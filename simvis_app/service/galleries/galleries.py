"""The server's galleries: which there are, what they were indexed with, searching and indexing them."""

import difflib
import threading
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from simvis_app.service import samples
from simvis_app.service.attributes.hits import LOOKED_AT, AttributeTold, AttributeWish, HitAttributes
from simvis_app.service.galleries.thumbnails import Thumbnails
from simvis_app.service.sessions.cache import BoundedCache
from simvis_app.service.sessions.depths import DepthAsked, Depths
from simvis_app.service.sessions.session import MEBIBYTE, Pictured, Session, Settings
from simvis_app.service.words import file_name
from simvis_core import SimvisError
from simvis_core.files.installed import COMMAND
from simvis_core.galleries.classes import ClassMeans, ClassMembers, class_means, class_members
from simvis_core.galleries.curves import MeanCurve, pair_curves
from simvis_core.galleries.gallery import Gallery, check_name, gallery_names, gallery_troubles, open_gallery
from simvis_core.galleries.indexing import Progress, index_pictures
from simvis_core.galleries.regions import Region, region_weights, regions_query
from simvis_core.galleries.search import (
    Found,
    best_of_classes,
    checked_against,
    embedding_of,
    find,
    found_hits,
    found_rows,
    nearest_hits,
)
from simvis_core.pictures.listing import Listing, listed
from simvis_core.stores.contract import Hit, Row, Space, SpoiltError, VectorIndex, check_hit_count
from simvis_core.stores.opening import open_index

SAMPLES = "samples"
HOME = Path.home() / ".local" / "share" / "simvis" / "galleries"
TOGETHER = 8  # pictures of a batch while others use the page


@dataclass(frozen=True)
class Asked:
    """A search: what for, where and how. Without regions it is for the whole picture; ``labels`` None means any.

    With an ``attribute`` hits are held to it, or the nearest ordered by it. ``depth`` is where regions are cut out of
    the picture, and where maps are drawn; what is stored stays as it is, and so does a whole picture's score.
    """

    file: str
    gallery: str
    space: str
    regions: tuple[Region, ...] = ()
    labels: tuple[str, ...] | None = None
    exact: bool = False  # whether every picture is compared where a graph could be searched
    attribute: AttributeWish | None = None
    depth: DepthAsked = DepthAsked()  # noqa: RUF009 - it never changes


@dataclass(frozen=True, eq=False)
class Answer:
    """Hits ``found`` of a search from rank ``skip`` on, of ``total`` that could be had.

    Where there is an ``attribute``, it left those of the ``ranked`` pictures of the search.
    """

    asked: Asked
    space: Space
    picture: Pictured
    query: Any  # a vector; this module does no arithmetic on it
    weights: Any  # of cells, or None for the whole picture
    found: list[Found]
    skip: int
    total: int
    left_out: bool = False  # whether the query's own file is in the gallery, and not among the hits
    near: bool = False  # whether a graph was searched, which may have missed some
    attribute: AttributeTold | None = None  # how sure one is of the attribute that was asked for
    ranked: int = 0

    @property
    def more(self) -> bool:
        """Whether there are hits beyond these."""
        return self.skip + len(self.found) < self.total


class Galleries:
    """Everything the Search and Classes tabs ask of galleries. One indexing run at a time.

    ``pictures`` is a folder that visitors may index, with the folders in it; None lets nobody index but the samples.
    """

    def __init__(
        self, session: Session, home: Path = HOME, url: str | None = None, pictures: Path | None = None
    ) -> None:
        self.session, self.home, self.url, self.pictures = session, Path(home), url, pictures
        self.running: Progress | None = None
        self.preparing = False  # whether the samples are being indexed before anybody asked
        self.failed = ""  # why the samples could not be indexed
        self._indexing, self._opening = threading.Lock(), threading.Lock()
        self._index: VectorIndex | None = None
        self._preparing: threading.Thread | None = None
        self._closing = False
        self._galleries: dict[str, Gallery] = {}
        self._spaces: dict[str, Space] = {}
        self._runs = 0  # indexing runs that have ended
        self._thumbnails = Thumbnails()
        self.attributes, self.depths = HitAttributes(session), Depths(session)
        self._means: BoundedCache[ClassMeans] = BoundedCache(128 * MEBIBYTE, lambda means: means.means.nbytes)

    @property
    def index(self) -> VectorIndex:
        """The store, opened when first asked for. Raises SimvisError for a server that does not answer."""
        with self._opening:  # two stores over one folder would lock each other out
            if self._index is None:
                self._index = open_index(self.home / "index", self.url)
            return self._index

    def names(self) -> list[str]:
        """The galleries there are, the samples first."""
        names = gallery_names(self.home, self.index)
        return [SAMPLES, *(name for name in names if name != SAMPLES)]

    def spaces(self, gallery: str) -> list[Space]:
        """What a gallery was indexed with; the spaces that hold something, without those that cannot be opened.

        Raises SimvisError, saying how to mend it, where none can be.
        """
        usable, troubles = self._opened(gallery)
        if troubles and not usable:
            raise troubles[0]
        return usable

    def usable(self, gallery: str) -> list[Space]:
        """What a gallery was indexed with, without damaged spaces; none where all are, for whoever is to remove them.

        Raises SimvisError for one that cannot be opened for another reason, such as another process that holds it.
        """
        usable, troubles = self._opened(gallery)
        for trouble in troubles:
            if not isinstance(trouble, SpoiltError):
                raise trouble
        return usable

    def troubles(self, gallery: str | None = None) -> list[SimvisError]:
        """What is damaged, and what mends it: of the folder of galleries, and of one gallery's spaces.

        Raises SimvisError where nothing can be opened at all.
        """
        return gallery_troubles(self.home, self.index) + ([] if gallery is None else self._opened(gallery)[1])

    def _opened(self, gallery: str) -> tuple[list[Space], list[SimvisError]]:
        usable, troubles = [], []
        for space in self.index.spaces():
            if space.gallery != gallery:
                continue
            try:
                usable += [space] if self.index.count(space) else []
            except SimvisError as error:
                troubles.append(error)
        return usable, troubles

    def space(self, gallery: str, name: str) -> Space:
        """The space of that name. Raises SimvisError for a gallery that is not indexed so."""
        if name not in self._spaces:  # asking a server each time would cost more than the search
            self._spaces = {space.name: space for space in self.index.spaces()}
        if name not in self._spaces or self._spaces[name].gallery != gallery:
            self.spaces(gallery)  # where they cannot be opened, that is the reason
            raise SimvisError(
                f"gallery '{gallery}', which is not indexed with that network",
                "one that it was indexed with",
                "choose another under 'Indexed with', or index it first",
            )
        return self._spaces[name]

    def labels(self, space: Space) -> dict[str, int]:
        """How many pictures each label has, by name."""
        return dict(sorted(self.index.labels(space).items()))

    def picture(self, file: str, space: Space, name: str = "", depth: DepthAsked = Asked.depth) -> Pictured:
        """A picture under the network of a space, split at a depth.

        Raises SimvisError where this server's network of that name is another than the space was made with, and as
        `Depths.picture` does.
        """
        plain = self.session.picture(file, settings_of(space), name)
        self._require(space, plain)
        return self.depths.picture(file, settings_of(space), depth, name) if depth.layer else plain

    def _require(self, space: Space, pictured: Pictured) -> None:
        """Raises SimvisError where a picture was seen by another network than a space was made with."""
        settings, gallery = settings_of(space), self.gallery(space.gallery)
        now = gallery.space(pictured.network, settings.short_side, settings.framing)
        if now != space:
            gallery.require(now)
            raise SimvisError(  # the gallery has both; numbers of one under the other would mean nothing
                f"{space.network} ({space.pooling}) of other weights, preprocessing or precision than this server's",
                "what the gallery was indexed with since",
                "choose the other one under 'Indexed with'",
            )

    def gallery(self, name: str) -> Gallery:
        """The gallery of that name. Raises SimvisError for one that is not there."""
        if name not in self._galleries:
            self._galleries[name] = open_gallery(name, self.home, self.index, create=name == SAMPLES)
        return self._galleries[name]

    def thumbnail(self, row: Row, space: Space) -> tuple[str, float] | None:
        """What the network saw of a row's picture: a small JPEG that the browser may fetch, and its width over height.

        None for a picture that is gone.
        """
        return self._thumbnails.shown(self.gallery(space.gallery), row, settings_of(space).framing)

    def search(self, asked: Asked, k: int, skip: int = 0) -> Answer:
        """The hits of a search; the query's picture itself is left out.

        Raises SimvisError for a picture that cannot be read, a region without a pixel, a region of a black box, and
        as `VectorIndex.search` and, with an attribute, `HitAttributes.check` do.
        """
        space = self.space(asked.gallery, asked.space)
        picture, query, weights = self.asked_vector(asked, space)
        own = [Row(picture.sha256, "").id]
        whole = self._whole(asked, space, picture)
        self._check_labels(asked, space)
        there = list(self.index.scan(space, own))
        count = self.index.count(space)
        total, near = self._total(space, asked, there, count), self._by_graph(count) and not asked.exact
        if asked.attribute is None:
            found = find(self.index, space, query, whole, k, asked.labels, skip, own, asked.exact)
            return Answer(asked, space, picture, query, weights, found, skip, total, bool(there), near, ranked=total)
        check_hit_count(k)  # before the many that an attribute looks at
        hits, told = self._by_attribute(asked, asked.attribute, space, query, own)
        found = found_hits(self.index, space, hits[skip : skip + k], query, whole)
        return Answer(asked, space, picture, query, weights, found, skip, len(hits), bool(there), near, told, total)

    def _by_attribute(
        self, asked: Asked, wish: AttributeWish, space: Space, query: Any, own: Sequence[str]
    ) -> tuple[list[Hit], AttributeTold]:
        """All hits that an attribute leaves, of the nearest that its use looks at."""
        self.attributes.check(space, wish)
        hits = nearest_hits(self.index, space, query, LOOKED_AT[wish.use], asked.labels, 0, own, asked.exact)
        return self.attributes.chosen(self.index, space, hits, wish, self._runs)

    def by_graph(self, space: Space) -> bool:
        """Whether a space has so many pictures that a graph is searched."""
        return self._by_graph(self.index.count(space))

    def _by_graph(self, count: int) -> bool:
        return count >= self.index.exact_below

    def best_of_classes(self, asked: Asked, whole: bool) -> Answer:
        """The best hit of each of the three nearest classes, by the region or by the whole picture."""
        space = self.space(asked.gallery, asked.space)
        asked = replace(asked, regions=() if whole else asked.regions, labels=None)
        picture, query, weights = self.asked_vector(asked, space)
        own = [Row(picture.sha256, "").id]
        embedding = self._whole(asked, space, picture)
        found = best_of_classes(self.index, space, query, embedding, without=own, exact=asked.exact)
        told = self._told(asked, space, found)
        return Answer(asked, space, picture, query, weights, found, 0, len(found), attribute=told)

    def hits(self, asked: Asked, ids: Sequence[str]) -> Answer:
        """What a search would say of some pictures of the gallery, in that order."""
        space = self.space(asked.gallery, asked.space)
        picture, query, weights = self.asked_vector(asked, space)
        whole = self._whole(asked, space, picture)
        found = found_rows(self.index, space, ids, query, whole)
        told = self._told(asked, space, found)
        return Answer(asked, space, picture, query, weights, found, 0, len(found), attribute=told)

    def prepare_attributes(self, space: Space) -> None:
        """Makes the first question about an attribute as quick as the next. Raises SimvisError where there are none."""
        self.attributes.prepare(self.index, space, self._runs)

    def _told(self, asked: Asked, space: Space, found: Sequence[Found]) -> AttributeTold | None:
        """How sure the network is of the attribute that is asked for in hits that it has not chosen."""
        if asked.attribute is None:
            return None
        return self.attributes.told(self.index, space, [one.row for one in found], asked.attribute, self._runs)

    def asked_vector(self, asked: Asked, space: Space) -> tuple[Pictured, Any, Any]:
        """The query's picture, the vector to search by, and the cell weights of its regions (None without)."""
        picture = self.picture(asked.file, space, depth=asked.depth)
        decomposition, regions = picture.decomposition, asked.regions
        if not regions:
            return picture, self._whole(asked, space, picture), None
        if decomposition.method == "none":
            raise SimvisError(
                f"a region for {space.network} under {space.pooling}, a black box",
                "a network whose score can be split into places",
                "search by the whole picture, or choose another network",
            )
        weights = region_weights(regions, picture.view.size, decomposition.grid)
        return picture, regions_query(decomposition, regions, picture.view.size), weights

    def _whole(self, asked: Asked, space: Space, picture: Pictured) -> Any:
        """The whole picture's embedding: at any depth the engine's, so that scores stay what they are without one."""
        seen = self.picture(asked.file, space) if asked.depth.layer else picture
        return seen.decomposition.embedding

    def hit(self, found: Found, space: Space, depth: DepthAsked = Asked.depth) -> tuple[Found, Pictured | None]:
        """The hit, and its own picture under the network, split at a depth.

        It is marked stale where it was indexed otherwise. There is no picture, and the reason at the hit, for a file
        that is gone and for one that cannot be split there.
        """
        try:
            self.session.admit(found.row.file)
            pictured = self.picture(found.row.file, space)
        except SimvisError as error:
            return _without_picture(found, f"{_unplaced(error, found)}: index again")
        checked = checked_against(found, pictured.decomposition, pictured.sha256)
        if not depth.layer:
            return checked, pictured
        try:
            return checked, self.picture(found.row.file, space, depth=depth)
        except SimvisError as error:
            return _without_picture(checked, f"no map at this depth: {_unplaced(error, found)}")

    def members(self, space: Space, label: str) -> ClassMembers:
        """A class, most typical members first."""
        return class_members(self.index, space, label)

    def means(self, space: Space) -> ClassMeans:
        """Every class's mean embedding; computed again after each indexing run, and when the labels are others."""
        key = (space.name, self._runs, tuple(self.labels(space).items()))
        return self._means.get(key, lambda: class_means(self.index, space))

    def means_for(self, picture: Pictured, space: Space) -> ClassMeans:
        """Every class's mean for asking which one a picture belongs to: without the picture itself, if it is a member.

        Raises SimvisError where there is no other labelled picture.
        """
        means = self.means(space)
        for row in self.index.scan(space, [Row(picture.sha256, "").id], embeddings=True):
            if row.label in means.labels:
                means = means.without(row.label, embedding_of(row))
        if not means.labels:
            raise SimvisError(
                f"gallery '{space.gallery}' without other pictures that have labels", "some", "index class folders"
            )
        return means

    def holds(self, picture: Pictured, space: Space) -> bool:
        """Whether the gallery has this very file."""
        return any(True for _ in self.index.scan(space, [Row(picture.sha256, "").id]))

    def curves(self, space: Space, count: int, seed: int = 0) -> dict[str, MeanCurve]:
        """Contribution curves of random pairs."""
        return pair_curves(self.index, space, count, seed)

    def folders(self) -> list[str]:
        """What visitors may index: the owner's folder and the folders in it."""
        if self.pictures is None:
            return []
        try:
            inside = sorted(path.name for path in self.pictures.iterdir() if path.is_dir() and path.name[0] != ".")
        except OSError:  # it is gone or closed, which `listed` says to whoever chooses it
            return ["."]
        return [".", *inside]

    def may_index(self, gallery: str) -> bool:
        """Whether visitors may index a gallery: the samples always, others where the owner lets them."""
        return gallery == SAMPLES or self.pictures is not None

    def listing(self, gallery: str, folder: str | None) -> Listing:
        """What is to be indexed: an offered folder's pictures, or without one those that the gallery has already.

        Raises SimvisError for a folder or a gallery that visitors may not index, and an empty one.
        """
        check_name(gallery)
        if not self.may_index(gallery) or (folder and folder not in self.folders()):
            raise SimvisError(
                f"gallery '{gallery}'" + (f" from folder '{folder}'" if folder else ""),
                "one that this server's owner lets visitors index",
                f"index it on the command line: {COMMAND} index FOLDER --name NAME",
            )
        if folder and self.pictures is not None:
            if gallery == SAMPLES:
                raise SimvisError("the name 'samples' for a folder", "a name of its own", "choose another name")
            return listed(self.pictures / folder)
        if gallery == SAMPLES:
            return listed(samples.PICTURES)
        rows = {row.file: row.label for space in self.spaces(gallery) for row in self.index.scan(space)}
        if not rows:
            raise SimvisError(f"gallery '{gallery}', which is empty", "a folder of pictures", "choose a folder")
        return Listing(rows)

    def target(self, gallery: str, settings: Settings) -> Space:
        """Where an indexing run with these settings puts its rows. Raises SimvisError as `Gallery.space` does."""
        network = self.session.seeing(settings)
        made = Gallery(gallery, self.home, self.index)
        view = settings.short_side, settings.framing
        return made.space(made.as_indexed(network, *view), *view)

    def indexing(
        self, gallery: str, listing: Listing, settings: Settings, together: int = TOGETHER
    ) -> Generator[Progress, None, Space]:
        """Indexes pictures, batch by batch in turn with the page's other passes; gives the space.

        It can be left at any step. Raises SimvisError while another run is under way, and as `index_pictures` does.
        """
        if not self._indexing.acquire(blocking=False):
            raise SimvisError("a second indexing run", "one at a time", "wait until the other one has ended")
        try:
            # Before the gallery is made: a view or pooling that is refused leaves no empty one behind.
            space = self.target(gallery, settings)
            network = self.session.seeing(settings)
            opened = open_gallery(gallery, self.home, self.index, create=True)
            steps = index_pictures(opened, listing, [network], settings.short_side, settings.framing, together=together)
            for progress in self.session.in_turn(steps):
                self.running = progress
                yield progress
            return space
        finally:
            self.running = None
            self._runs += 1
            self._indexing.release()

    def index_samples(self, settings: Settings, begin: threading.Event | None = None) -> threading.Thread:
        """Indexes the sample photographs in a thread of its own, unless they are; `failed` says why it cannot.

        It waits for ``begin``.
        """
        self.running, self.preparing = Progress(len(samples.credits_list())), True
        self._preparing = threading.Thread(target=self._index_samples, args=(settings, begin), daemon=True)
        self._preparing.start()
        return self._preparing

    def _index_samples(self, settings: Settings, begin: threading.Event | None) -> None:
        try:
            while begin is not None and not begin.wait(0.1):
                if self._closing:
                    self.running = None
                    return
            for _ in self.indexing(SAMPLES, listed(samples.PICTURES), settings):
                if self._closing:
                    break
        except SimvisError as error:
            self.failed = str(error)
            self.running = None
        finally:
            self.preparing = False

    def close(self) -> None:
        """Ends the samples' indexing after its batch, and lets go of the store."""
        self._closing = True
        if self._preparing is not None:
            self._preparing.join()
        with self._opening:
            if self._index is not None:
                self._index.close()

    def _check_labels(self, asked: Asked, space: Space) -> None:
        known = self.index.labels(space) if asked.labels is not None else {}
        unknown = [label for label in asked.labels or () if label not in known]
        if unknown:
            near = difflib.get_close_matches(unknown[0], known, 3) or sorted(known)[:3]
            raise SimvisError(
                f"the label '{unknown[0]}', which no picture of gallery '{space.gallery}' has",
                f"one of its labels ({', '.join(repr(name) for name in near) or 'it has none'}, ...)",
                "choose one of these",
            )

    def _total(self, space: Space, asked: Asked, there: Sequence[Row], count: int) -> int:
        if asked.labels is None:
            return count - len(there)
        counts = self.index.labels(space)
        labels = set(asked.labels)
        return sum(counts.get(label, 0) for label in labels) - sum(row.label in labels for row in there)


def settings_of(space: Space) -> Settings:
    """The settings under which a space was indexed."""
    short_side, framing, resizing = space.seen
    return Settings(space.network, space.pooling, short_side, framing, resizing=resizing)


def _unplaced(error: SimvisError, found: Found) -> str:
    """What a hit's error got; strangers need not know where its file lies."""
    return error.got.replace(found.row.file, file_name(found.row.file))


def _without_picture(found: Found, why: str) -> tuple[Found, None]:
    return Found(found.row, found.score, found.cosine, found.stale or why), None
