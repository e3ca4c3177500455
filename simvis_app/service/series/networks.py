"""The networks of series by step and their galleries' embeddings: made once, and kept to limits in bytes."""

from collections.abc import Generator
from typing import Any, cast

from model_zoo.running.devices import weight_bytes
from simvis_app.service.series.folders import WholeSeries
from simvis_app.service.series.galleries import PictureFiles, SeriesGallery
from simvis_app.service.sessions.cache import BoundedCache
from simvis_app.service.sessions.session import MEBIBYTE, Pictured, Session, Settings
from simvis_core import EmbeddingNetwork, SimvisError
from simvis_core.pictures.views import FRAMINGS, Framing
from simvis_core.progress.manifests import SeriesStep
from simvis_core.progress.queries.hits import embed_pictures

MOST_EMBEDDED = 2000  # pictures that are embedded at a step that carries no embeddings
Embedded = Any  # float32 (N, D), or None; this module does no arithmetic on it


class StepNetworks:
    """Networks and embeddings by series and step, on the session's device."""

    def __init__(self, session: Session) -> None:
        self.session, self.files = session, PictureFiles(session)
        self._networks: BoundedCache[EmbeddingNetwork] = BoundedCache(512 * MEBIBYTE, weight_bytes)
        self._embedded: BoundedCache[Embedded] = BoundedCache(64 * MEBIBYTE, lambda rows: int(rows.nbytes))

    def network(self, whole: WholeSeries, step: SeriesStep) -> EmbeddingNetwork:
        """The network of a step. Raises SimvisError for a step that is torn, and for one too large to be kept."""
        return self._networks.get(_key(whole, step), lambda: self.session.placed(whole.opened.network(step.step)))

    def seen(self, network: EmbeddingNetwork, file: str, framing: Framing) -> Pictured:
        """A picture as a network sees it. Raises SimvisError for one that cannot be read."""
        side = network.preprocess.short_side
        settings = Settings(network.name, str(network.pooling), side, framing, resizing=None)
        return self.session.pictured(network, file, settings)

    def held(self, whole: WholeSeries, step: SeriesStep, gallery: SeriesGallery) -> Embedded:
        """The gallery's embeddings as the step carries them, or as they were computed before; else None.

        Raises SimvisError for a file that is torn or changed.
        """
        carried = whole.series.embeddings(step.step)
        if carried is not None and carried[0] == gallery.pictures:
            return carried[1]
        return self._embedded.held(_key(whole, step))

    def embeddings(
        self, whole: WholeSeries, step: SeriesStep, gallery: SeriesGallery
    ) -> Generator[tuple[int, int], None, Embedded]:
        """The gallery's embeddings at a step; where it carries none each picture in its turn: yields (done, all).

        A picture that cannot be read has a row of zeros, which is found for nothing. Raises SimvisError as `held` and
        `network` do, and for a gallery that is too large to be embedded.
        """
        rows = self.held(whole, step, gallery)
        if rows is not None:
            return rows
        if len(gallery.pictures) > MOST_EMBEDDED:
            raise SimvisError(
                f"a gallery of {len(gallery.pictures)} pictures without embeddings",
                f"at most {MOST_EMBEDDED}",
                "store embeddings with each step",
            )
        network = self.network(whole, step)
        images = (self._image(whole, picture) for picture in gallery.pictures)
        steps = embed_pictures(network, images, len(gallery.pictures), framing_of(whole))
        return self._embedded.put(_key(whole, step), (yield from self.session.in_turn(steps)))

    def _image(self, whole: WholeSeries, picture: str) -> Any:
        try:
            return self.session.image(self.files.file(whole, picture))
        except SimvisError:
            return None


def framing_of(whole: WholeSeries) -> Framing:
    """How the training framed its pictures; whole ones where the series does not tell."""
    told = whole.series.about.get("framing")
    return cast(Framing, told) if told in FRAMINGS else FRAMINGS[0]


def _key(whole: WholeSeries, step: SeriesStep) -> tuple[str, int]:
    return whole.stamp, step.step
