"""One's own checkpoints: where they may come from, and how each is opened again when memory let it go."""

import hashlib
from collections import OrderedDict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import model_zoo
from model_zoo.checkpoint_files import ENDINGS
from simvis_core import EmbeddingNetwork, SimvisError

PREFIX = "yours/"
REMEMBERED = 256


@dataclass(frozen=True)
class Recipe:
    """What was asked for when a checkpoint was opened, and what came of it."""

    file: Path
    architecture: str
    head: Any
    between: Any
    report: str
    public: bool  # offered to every visitor, and never forgotten


class OwnModels:
    """The owner's folder of checkpoints (None: no panel for them), and whether visitors may upload theirs."""

    def __init__(self, folder: Path | None = None, uploads: bool = False) -> None:
        self.folder, self.uploads = folder, uploads
        self._recipes: OrderedDict[str, Recipe] = OrderedDict()

    @property
    def offered(self) -> bool:
        """Whether the page has a panel for them."""
        return self.folder is not None or self.uploads

    def files(self) -> list[str]:
        """The checkpoints in the folder, by their path inside it, sorted."""
        if self.folder is None:
            return []
        found = (path for path in self.folder.rglob("*") if path.suffix in ENDINGS and path.is_file())
        return sorted(str(path.relative_to(self.folder)) for path in found)

    def path(self, name: str) -> Path:
        """The folder's file of that name. Raises SimvisError for a name that `files` does not list."""
        if self.folder is None or name not in self.files():
            raise SimvisError(
                f"the checkpoint '{name}'", "a file of this server's folder", "choose one from the list again"
            )
        return self.folder / name

    def uploaded(self, path: str) -> Path:
        """An uploaded file. Raises SimvisError where the owner does not allow uploads."""
        if not self.uploads:
            raise SimvisError("an uploaded checkpoint", "one of this server's folder", "choose one from the list")
        return Path(path)

    def open(
        self, file: str | Path, architecture: str, head: Any, between: Any, public: bool
    ) -> tuple[str, EmbeddingNetwork, str]:
        """Name, network and report of a checkpoint, remembered for later. Raises SimvisError as `open_checkpoint`."""
        recipe = Recipe(Path(file), architecture, head, between, "", public)
        name, network, report = _opened(recipe)
        self._recipes[name] = replace(recipe, report=report)
        strangers = [known for known, recipe in self._recipes.items() if not recipe.public]
        for forgotten in strangers[: max(0, len(strangers) - REMEMBERED)]:
            del self._recipes[forgotten]
        return name, network, report

    def knows(self, name: str) -> bool:
        """Whether a network's name is one's own."""
        return name.startswith(PREFIX)

    def names(self) -> list[str]:
        """Names of the opened checkpoints that every visitor may see."""
        return [name for name, recipe in self._recipes.items() if recipe.public]

    def label(self, name: str) -> str:
        """How a list shows it: file and architecture. Raises SimvisError as `reopen` does."""
        return f"{name.removeprefix(PREFIX).rpartition('-')[0]} ({self._recipe(name).architecture})"

    def about(self, name: str) -> str:
        """What the checkpoint is and what was loaded of it, as Markdown. Raises SimvisError as `reopen` does."""
        recipe = self._recipe(name)
        return f"**{name}**, your own checkpoint for `{recipe.architecture}`. {recipe.report}"

    def reopen(self, name: str) -> EmbeddingNetwork:
        """The network again.

        Raises SimvisError for one that this server does not remember, and for a file that is gone or has changed.
        """
        found, network, _ = _opened(self._recipe(name))
        if found != name:
            raise SimvisError(f"'{name}', whose file has changed since", "the same weights", "load the file again")
        return network

    def _recipe(self, name: str) -> Recipe:
        if name not in self._recipes:
            raise SimvisError(
                f"'{name}', which this server does not remember", "a checkpoint loaded here", "load the file again"
            )
        return self._recipes[name]


def _opened(recipe: Recipe) -> tuple[str, EmbeddingNetwork, str]:
    """A name that weights, head, pooling and architecture decide, and that nobody guesses."""
    checkpoint = model_zoo.open_checkpoint(recipe.file, recipe.architecture, head=recipe.head, between=recipe.between)
    network = checkpoint.network
    digest = hashlib.sha256(f"{network.fingerprint} {network.trained_pooling}".encode()).hexdigest()
    report = f"{recipe.file.name}: {checkpoint.report.sentence()}"
    network.name = f"{PREFIX}{network.name}-{digest[:16]}"
    return network.name, network, report
