"""One's own checkpoints: where they may come from, and how each is opened again when memory let it go."""

from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import model_zoo
from simvis_core import EmbeddingNetwork, SimvisError

PREFIX = "yours/"
SUFFIXES = (".safetensors", ".pt", ".pth", ".bin", ".ckpt")
REMEMBERED = 256


@dataclass(frozen=True)
class Recipe:
    """What was asked for when a checkpoint was opened, and what came of it."""

    file: Path
    architecture: str
    head: Any
    between: Any
    report: str


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
        found = (path for path in self.folder.rglob("*") if path.suffix in SUFFIXES and path.is_file())
        return sorted(str(path.relative_to(self.folder)) for path in found)

    def path(self, name: str) -> Path:
        """The folder's file of that name. Raises SimvisError for a name that `files` does not list."""
        if self.folder is None or name not in self.files():
            raise SimvisError(
                f"the checkpoint '{name}'", "a file of this server's folder", "choose one from the list again"
            )
        return self.folder / name

    def open(self, file: str | Path, architecture: str, head: Any, between: Any) -> tuple[str, EmbeddingNetwork, str]:
        """Name, network and report of a checkpoint, remembered for later. Raises SimvisError as `open_checkpoint`."""
        checkpoint = model_zoo.open_checkpoint(file, architecture, head=head, between=between)
        network, report = checkpoint.network, checkpoint.report.sentence()
        name = f"{PREFIX}{network.name}-{network.fingerprint[:6]}"
        network.name = name
        self._recipes[name] = Recipe(Path(file), architecture, head, between, report)
        while len(self._recipes) > REMEMBERED:
            self._recipes.popitem(last=False)
        return name, network, report

    def knows(self, name: str) -> bool:
        """Whether a network's name is one's own."""
        return name.startswith(PREFIX)

    def names(self) -> list[str]:
        """Names of the checkpoints that were opened."""
        return list(self._recipes)

    def about(self, name: str) -> str:
        """What the checkpoint is and what was loaded of it, as Markdown. Raises SimvisError as `reopen` does."""
        recipe = self._recipe(name)
        return f"**{name}**, your own checkpoint for `{recipe.architecture}`. {recipe.report}"

    def reopen(self, name: str) -> EmbeddingNetwork:
        """The network again. Raises SimvisError for one that this server does not remember, or whose file is gone."""
        recipe = self._recipe(name)
        return self.open(recipe.file, recipe.architecture, recipe.head, recipe.between)[1]

    def _recipe(self, name: str) -> Recipe:
        if name not in self._recipes:
            raise SimvisError(
                f"'{name}', which this server does not remember", "a checkpoint loaded here", "load the file again"
            )
        return self._recipes[name]
