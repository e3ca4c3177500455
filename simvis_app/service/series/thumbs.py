"""Thumbnails of a series' gallery, to choose a query from."""

from collections.abc import Sequence

from model_zoo.training.gallery import gallery_name
from simvis_app.service.files import kept
from simvis_app.service.series.galleries import SeriesGallery
from simvis_app.service.series.studies import Studies
from simvis_core import SimvisError
from simvis_core.pictures.thumbnails import thumbnail

OFFERED = 12  # pictures that a list offers
Thumb = tuple[str, str]  # a file that the browser may fetch, and its caption


def first_of_each(gallery: SeriesGallery, most: int = OFFERED) -> tuple[str, ...]:
    """The first picture of each class, or of so many of them evenly; of a gallery without classes the first pictures.

    A class of one picture has nothing to be found, so it comes only where there is no other.
    """
    firsts: dict[str, str] = {}
    count: dict[str, int] = {}
    for picture, label in zip(gallery.pictures, gallery.labels, strict=True):
        firsts.setdefault(label, picture)
        count[label] = count.get(label, 0) + 1
    likely = [picture for label, picture in firsts.items() if label and count[label] > 1] or list(gallery.pictures)
    stride = max(1, len(likely) // most)
    return tuple(likely[::stride][:most])


class Thumbs:
    """Makes them; what is gone or cannot be read is left out."""

    def __init__(self, studies: Studies) -> None:
        self.studies = studies

    def of(self, series: str, pictures: Sequence[str]) -> tuple[tuple[str, ...], list[Thumb]]:
        """The names of those that there are, and their thumbnails. Raises SimvisError for a series that is not."""
        names: list[str] = []
        thumbs: list[Thumb] = []
        for picture in pictures:
            try:
                image = self.studies.session.image(self.studies.file(series, picture))
            except SimvisError:
                continue
            names.append(picture)
            thumbs.append((kept(thumbnail(image), "thumbnail.jpg"), gallery_name(picture)))
        return tuple(names), thumbs
