"""Packages that need not be there: whether they are, what to type where they are not, what names look like."""

import importlib
import importlib.util
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from model_zoo.architectures.downloads import having
from simvis_core.errors import SimvisError
from simvis_core.files.installed import installing

# A name on the hub, with or without its owner, perhaps of a revision.
_OF_HUB = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?(@[\w./-]+)?")


def installed(package: str) -> bool:
    """Whether a package can be imported; it is not."""
    return importlib.util.find_spec(package) is not None


def package(name: str, registered: str, asked: str) -> Any:
    """The package, imported now, for the network ``asked``. Raises SimvisError where it is not installed.

    ``registered`` is its name in the package registry.
    """
    if not installed(name):
        raise SimvisError(
            f"'{asked}', while the package {registered} is not installed",
            f"{registered}, which is optional",
            f"run {installing('libraries', registered)}",
        )
    return importlib.import_module(name)


def folder_of(name: str) -> Path | None:
    """The folder that a name is the path of; None for a name that is none."""
    path = Path(name).expanduser()
    return path if path.is_dir() else None


def like_a_path(name: str) -> bool:
    """Whether a name can only be a path: names of the hub's begin with neither a point, a slash nor a tilde."""
    return name.startswith((".", "/", "~", "\\")) or Path(name).is_absolute()


def on_hub(name: str) -> bool:
    """Whether a name may be one of the hub's: NAME or OWNER/NAME, with or without @REVISION."""
    return bool(_OF_HUB.fullmatch(name))


@contextmanager
def reading(asked: str, place: Path | None) -> Iterator[None]:
    """Turns what a library raises at a folder's files, or at the hub's, into a sentence. Raises SimvisError."""
    kinds = _DAMAGED if place is None else (*_DAMAGED, OSError, RuntimeError, ValueError)
    try:
        if place is None:
            with having(asked):
                yield
        else:
            yield
    except SimvisError:
        raise
    except kinds as error:
        reason = " ".join(str(error).replace(str(place), "the folder").split())[:120]
        raise SimvisError(
            f"'{asked}', whose files cannot be read ({type(error).__name__}: {reason})",
            "the files as the library writes them",
            "save or download them again, or load your own checkpoint of it",
        ) from error


# What libraries raise at files that are not theirs, or no longer.
_DAMAGED = (TypeError, AttributeError, LookupError, AssertionError, SafetensorError)


def no_folder(asked: str, wanted: str) -> SimvisError:
    """The error for a path that is no folder in the layout of a library; ``wanted`` is the file that tells."""
    return SimvisError(
        f"'{asked}', where no {wanted} is",
        f"a folder that holds {wanted} and the weights, as the library writes it, or a name of the hub's",
        "name the folder that the network was saved to",
    )
