"""One's own networks: where checkpoints and trained steps come from, and how each is opened again after a while."""

import hashlib
from collections import OrderedDict
from dataclasses import dataclass, replace
from pathlib import Path

import model_zoo
from model_zoo.checkpoints.choices import Choices
from model_zoo.checkpoints.doubts import Doubt, write_choices
from model_zoo.checkpoints.files.reading import ENDINGS
from simvis_core import EmbeddingNetwork, SimvisError

PREFIX = "yours/"
REMEMBERED = 256


@dataclass(frozen=True)
class Recipe:
    """What was asked for when a checkpoint was opened, and what came of it: all choices, taken or said.

    With a ``step`` the file is a folder, the series of a training.
    """

    file: Path
    architecture: str
    choices: Choices
    report: str
    public: bool  # offered to every visitor, and never forgotten
    doubts: tuple[Doubt, ...] = ()
    step: int | None = None


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
        found = (path for path in self.folder.rglob("*") if path.suffix.casefold() in ENDINGS and path.is_file())
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
        self, file: str | Path, architecture: str, choices: Choices, public: bool
    ) -> tuple[str, EmbeddingNetwork, str]:
        """Name, network and report of a checkpoint, remembered for later. Raises SimvisError as `open_checkpoint`."""
        return self._remembered(Recipe(Path(file), architecture, choices, "", public))

    def open_step(
        self, folder: str | Path, step: int | None, architecture: str | None, choices: Choices
    ) -> tuple[str, EmbeddingNetwork, str]:
        """Name, network and report of a training's step, its last for None; it is offered to every visitor.

        Raises SimvisError as `open_series` does, and for a step that the series does not hold.
        """
        series = model_zoo.open_series(folder, architecture, choices=choices)
        asked = series.steps[-1].step if step is None else step
        return self._remembered(Recipe(Path(folder), series.series.architecture, choices, "", True, step=asked))

    def _remembered(self, recipe: Recipe) -> tuple[str, EmbeddingNetwork, str]:
        name, network, recipe = _opened(recipe)
        self._recipes[name] = recipe
        strangers = [known for known, recipe in self._recipes.items() if not recipe.public]
        for forgotten in strangers[: max(0, len(strangers) - REMEMBERED)]:
            del self._recipes[forgotten]
        return name, network, recipe.report

    def doubts(self, name: str) -> tuple[Doubt, ...]:
        """What the file left open, with what was taken or said. Raises SimvisError as `reopen` does."""
        return self._recipe(name).doubts

    def write_choices(self, name: str, path: Path) -> None:
        """Writes the choices that give this network again as JSON. Raises SimvisError where that cannot be."""
        recipe = self._recipe(name)
        write_choices(path, recipe.choices, recipe.doubts)

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


def _opened(recipe: Recipe) -> tuple[str, EmbeddingNetwork, Recipe]:
    """A name that weights, head, pooling and architecture decide, and that nobody guesses."""
    if recipe.step is not None:
        return _opened_step(recipe, recipe.step)
    checkpoint = model_zoo.open_checkpoint(recipe.file, recipe.architecture, choices=recipe.choices)
    told = checkpoint.report
    report = f"{recipe.file.name}: {told.sentence()}"
    network = _named(checkpoint.network, checkpoint.network.name)
    return network.name, network, replace(recipe, report=report, choices=told.choices, doubts=told.doubts)


def _opened_step(recipe: Recipe, step: int) -> tuple[str, EmbeddingNetwork, Recipe]:
    opened = model_zoo.open_series(recipe.file, recipe.architecture, choices=recipe.choices)
    network, series = opened.network(step), opened.series
    seen = "" if series.short_side is None else f" on views of {series.short_side} pixels"
    report = f"step {step} of '{series.name}', {series.architecture} trained under {network.trained_pooling}{seen}."
    return _named(network, f"{series.name}@{step}").name, network, replace(recipe, report=report)


def _named(network: EmbeddingNetwork, name: str) -> EmbeddingNetwork:
    digest = hashlib.sha256(f"{network.fingerprint} {network.trained_pooling}".encode()).hexdigest()
    network.name = f"{PREFIX}{name}-{digest[:16]}"
    return network
