"""The gallery that a query is searched in at each step: the series' own, or the sample photographs."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from model_zoo.training.gallery import gallery_file, gallery_labels, gallery_name, gallery_room
from simvis_app.service import samples
from simvis_app.service.files import kept
from simvis_app.service.series.folders import WholeSeries
from simvis_app.service.sessions.session import Session
from simvis_core import SimvisError
from simvis_core.files.writing import png


@dataclass(frozen=True)
class SeriesGallery:
    """A series' gallery: names of pictures, the class of each ("" for none), and whether the series carries it.

    Where the training told the classes (``sure``), a picture without one is of none of them: a distractor.
    """

    pictures: tuple[str, ...]
    labels: tuple[str, ...]
    carried: bool
    sure: bool = False

    @cached_property
    def label(self) -> dict[str, str]:
        """The class of each picture by its name."""
        return dict(zip(self.pictures, self.labels, strict=True))


def gallery_of(whole: WholeSeries) -> SeriesGallery:
    """The pictures that the series' first whole gallery holds; the sample photographs where none is."""
    for step in whole.steps:
        try:
            found = whole.series.embeddings(step.step)
        except SimvisError:
            continue  # said where that step is shown
        if found is not None:
            return SeriesGallery(found[0], gallery_labels(whole.series, found[0]), True, "labels" in whole.series.about)
    pictures = tuple(str(samples.PICTURES / entry["file"]) for entry in samples.credits_list())
    return SeriesGallery(pictures, tuple(Path(picture).parent.name for picture in pictures), False)


class PictureFiles:
    """Where a series' gallery has its pictures, as files; rooms are drawn when they are asked for."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._found: dict[tuple[str, str], str] = {}

    def file(self, whole: WholeSeries, picture: str) -> str:
        """The file of a gallery's picture; an owner's limits hold for it. Raises SimvisError where it is gone."""
        key = (whole.stamp, picture)
        if key not in self._found or not Path(self._found[key]).is_file():
            self._found[key] = self._sought(whole, picture)
        return self._found[key]

    def _sought(self, whole: WholeSeries, picture: str) -> str:
        room = gallery_room(whole.series, picture)
        if room is not None:
            name = gallery_name(picture).replace(", ", "_").replace(" ", "_")
            return kept(png(room.image), f"{name}.png")
        file = str(gallery_file(whole.series, picture, [samples.PICTURES]))
        self.session.admit(file)
        return file
