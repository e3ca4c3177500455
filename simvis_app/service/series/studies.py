"""The server's checkpoint series, asked about pictures; what was found is kept."""

from dataclasses import dataclass

from simvis_app.service.files import still_kept
from simvis_app.service.series.folders import SeriesFolders, WholeSeries
from simvis_app.service.series.galleries import SeriesGallery, gallery_of
from simvis_app.service.series.looking import Studying, StudyUnderWay
from simvis_app.service.series.networks import Embedded, StepNetworks
from simvis_app.service.series.watching import watch_study
from simvis_app.service.sessions.cache import BoundedCache
from simvis_app.service.sessions.session import Session, content_hash
from simvis_core import SimvisError
from simvis_core.progress.queries.hits import RightQueries, Study, right_queries

MOST_KEPT = 64  # studies, each some hundred kilobytes


@dataclass(frozen=True)
class _Key:
    """What a study depends on: the folder as it was, and the picture."""

    stamp: str
    sha256: str


class Studies:
    """The server's series, asked about pictures."""

    def __init__(self, session: Session, folders: SeriesFolders | None = None) -> None:
        self.session, self.folders = session, folders or SeriesFolders()
        self.networks = StepNetworks(session)
        self._kept: BoundedCache[Study] = BoundedCache(MOST_KEPT, lambda _: 1)

    def names(self) -> list[str]:
        """The series there are."""
        return self.folders.names()

    def open(self, name: str) -> WholeSeries:
        """A series. Raises SimvisError as `SeriesFolders.open` does."""
        return self.folders.open(name)

    def gallery(self, name: str) -> SeriesGallery:
        """The gallery of a series. Raises SimvisError as `SeriesFolders.open` does."""
        return gallery_of(self.folders.open(name))

    def file(self, name: str, picture: str) -> str:
        """The file of a picture of a series' gallery. Raises SimvisError where it is gone."""
        return self.networks.files.file(self.folders.open(name), picture)

    def known(self, name: str, file: str) -> Study | None:
        """What was found before of a picture, where nothing has changed since. Raises SimvisError as `studying`."""
        held = self._kept.held(self._key(name, file))
        if held is None or not all(map(still_kept, (image for image, _ in held.images.values()))):
            return None
        return held

    def studying(self, name: str, file: str) -> Studying:
        """A picture at every whole step of a series, or a watch's own pairs: yields how far it is, ends with the study.

        Raises SimvisError for a series that there is not or of which nothing is whole, and for a picture that cannot
        be read.
        """
        held = self.known(name, file)
        if held is not None:
            return held
        watch, key = self.folders.watch(name), self._key(name, file)
        if watch is not None:
            return self._kept.put(key, (yield from watch_study(name, watch)))
        whole = self.folders.open(name)
        self.session.image(file)  # said of the picture, before any step is blamed
        return self._kept.put(key, (yield from StudyUnderWay(self.networks, whole, file).made()))

    def watched(self, name: str) -> bool:
        """Whether the name is a watch's, which has fixed pairs in the place of a query and a gallery."""
        return self.folders.watch(name) is not None

    def stamp(self, name: str) -> str:
        """Another text once a series has other steps."""
        return self.folders.stamp(name)

    def _key(self, name: str, file: str) -> _Key:
        watched = self.watched(name)
        return _Key(
            self.stamp(name) if watched else self.folders.open(name).stamp, "" if watched else content_hash(file)
        )

    def compared(self, first: str, second: str) -> RightQueries:
        """The pictures that both galleries hold, by which network finds their class first, each at its last step.

        Embeddings that nobody has asked for yet are not computed here. Raises SimvisError as `SeriesFolders.open`.
        """
        one, other = (self._last(self.folders.open(name)) for name in (first, second))
        if one is None or other is None:
            return RightQueries()
        return right_queries(one[1:], other[1:], one[0].label)

    def _last(self, whole: WholeSeries) -> tuple[SeriesGallery, tuple[str, ...], Embedded] | None:
        """The series' gallery, its pictures, and their embeddings at the last step that has some."""
        gallery = gallery_of(whole)
        for step in reversed(whole.steps):
            try:
                rows = self.networks.held(whole, step, gallery)
            except SimvisError:
                continue  # said where that step is shown
            if rows is not None:
                return gallery, gallery.pictures, rows
        return None
