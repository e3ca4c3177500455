"""The gallery that a series carries: its pictures' classes, and where the pictures themselves are."""

import re
from collections.abc import Sequence
from pathlib import Path, PurePath

from model_zoo.training.data import ROOM_VIEWS
from simvis_core.errors import SimvisError
from simvis_core.hotel_rooms.rooms import Room, room
from simvis_core.progress.series import Series

ROOM = re.compile(r"room (\d{1,6}), view (\d{1,6})", re.ASCII)
DRAWN_SIDE = 224  # pixels of a drawn room where a series does not tell


def gallery_labels(series: Series, pictures: Sequence[str]) -> tuple[str, ...]:
    """The class of each of a gallery's pictures: as the series tells, else its folder or its room; "" for none."""
    told = series.about.get("labels")
    if isinstance(told, list) and len(told) == len(pictures) and all(isinstance(one, str) for one in told):
        return tuple(told)
    return tuple(map(_label, pictures))


def gallery_name(picture: str) -> str:
    """A gallery's picture as it is shown: a room by its number and view, a file by its folder and name.

    Where the file lies on the machine that trained is not told.
    """
    return picture if ROOM.fullmatch(picture) else "/".join(_parts(picture)[-2:])


def portable_names(pictures: Sequence[str], home: Path | None) -> tuple[str, ...]:
    """The names under which a series keeps its gallery: pictures below ``home`` are told from there, others as given.

    So a series of pictures that everybody has, SimVis's samples, finds them on any machine.
    """
    if home is None:
        return tuple(pictures)
    whole = home.resolve()
    paths = [Path(picture) for picture in pictures]
    return tuple(
        path.resolve().relative_to(whole).as_posix()
        if path.is_absolute() and path.resolve().is_relative_to(whole)
        else picture
        for picture, path in zip(pictures, paths, strict=True)
    )


def gallery_room(series: Series, picture: str) -> Room | None:
    """The drawn room of that name, as the series' networks saw it, with its masks; None for a picture that is a file.

    Raises SimvisError for a room that cannot be drawn.
    """
    found = ROOM.fullmatch(picture)
    if found is None:
        return None
    side = series.short_side or DRAWN_SIDE
    identity, view = int(found[1]), int(found[2])
    return room(identity, identity * ROOM_VIEWS + view, (side, side))


def gallery_file(series: Series, picture: str, folders: Sequence[Path] = ()) -> Path:
    """The file of a gallery's picture: where the training read it, in the series' ``pictures``, or in ``folders``.

    There it is sought by its class and its name. Raises SimvisError where it is gone.
    """
    places = [Path(picture)] if Path(picture).is_absolute() else []
    for root in (series.folder / "pictures", *folders):
        places += [root.joinpath(*_parts(picture)[-depth:]) for depth in (2, 1)]
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        raise SimvisError(
            f"'{gallery_name(picture)}' of the gallery of '{series.name}', which is gone",
            "the picture where the training read it",
            f"put it into a folder 'pictures' of '{series.name}'",
        )
    return found


def shared_objects(one: Room, other: Room) -> tuple[str, ...]:
    """The names of the objects that look the same in both rooms."""
    return tuple(name for name, style in one.styles.items() if other.styles.get(name) == style)


def _label(picture: str) -> str:
    if found := ROOM.fullmatch(picture):
        return f"room {found[1]}"
    parts = _parts(picture)
    return parts[-2] if len(parts) > 1 else ""


def _parts(picture: str) -> tuple[str, ...]:
    """The names in a path, wherever it was written, without a way up or a root."""
    return tuple(part for part in PurePath(picture.replace("\\", "/")).parts if part not in ("..", "/", "."))
