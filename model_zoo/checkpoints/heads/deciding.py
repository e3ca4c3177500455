"""What a file leaves open about the layers beside its trunk, settled one by one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from model_zoo.checkpoints.choices import KINDS, PLACES, STEPS, Choices
from model_zoo.checkpoints.doubts import Doubt
from model_zoo.checkpoints.files.reading import CheckpointFile
from model_zoo.checkpoints.heads.layers import Groups, Layer, layer_words
from model_zoo.checkpoints.heads.order import Walk
from simvis_core.errors import SimvisError

IN_PYTHON = "build the head in Python with EmbeddingNetwork(...)"


@dataclass(frozen=True)
class Known:
    """What is known of layers by where they are: in the library's own classifier, or in a file of the head alone.

    ``called`` are paths that the library's own code runs, ``alone`` those of a file of the head alone: no loss keeps
    its weights there. ``places`` and ``steps`` are the library's own for layers that it has, in the words of `Choices`;
    ``cut`` says what its next layer would have in front of it, where the file ends before; ``unseen`` names numbers
    without tensors in front of a pooling.
    """

    called: tuple[str, ...] = ()
    alone: tuple[str, ...] = ()
    places: Mapping[str, str] = field(default_factory=dict)
    steps: Mapping[str, str] = field(default_factory=dict)
    cut: str = ""
    unseen: str = ""

    def runs(self, path: str) -> bool:
        """Whether a layer lies in such a place."""
        return _within(path, (*self.called, *self.alone))

    def classifies(self, path: str) -> bool:
        """Whether a layer lies where the library has its classifier."""
        return _within(path, self.called)

    def embeds(self, path: str) -> bool:
        """Whether a layer lies in a file of the head alone."""
        return _within(path, self.alone)


def _within(path: str, owners: Sequence[str]) -> bool:
    return any(path == one or path.startswith(f"{one}.") for one in owners)


class Deciding:
    """The doubts met so far, each settled by what was said, else by what is likeliest, else left open."""

    def __init__(self, choices: Choices, known: Known) -> None:
        self.choices, self.known = choices, known
        self.doubts: list[Doubt] = []
        self.left_out: dict[str, str] = {}

    def place(self, path: str, words: str, options: Sequence[str], likeliest: str | None) -> str | None:
        """Where a layer stands."""
        said = self.choices.place(path)
        taken = said or likeliest
        shown = {name: PLACES[name] for name in dict.fromkeys((*options, *([said] if said else [])))}
        self.doubts.append(Doubt(f"layers.{path}", words, shown, taken, said is not None))
        return taken

    def step(self, at: str, words: str, options: Sequence[str], likeliest: str | None, gap: bool = False) -> str | None:
        """What stands in front of a layer, of the pooling, or at the end; ``between`` is an answer for every gap."""
        said = self.choices.steps.get(at)
        shown = {name: STEPS[name] for name in dict.fromkeys((*options, *([said] if said else [])))}
        taken = said or likeliest
        self.doubts.append(Doubt(f"steps.{at}", words, shown, taken, said is not None or (gap and taken is not None)))
        return taken

    def kind(self, path: str, words: str, options: Sequence[str], likeliest: str | None) -> str | None:
        """What a layer is."""
        said = self.choices.kinds.get(path)
        taken = said or likeliest
        shown = {name: KINDS[name] for name in options} | ({said: said} if said and said not in options else {})
        self.doubts.append(Doubt(f"kinds.{path}", words, shown, taken, said is not None))
        return taken


def unknown_layers(file: CheckpointFile, groups: Groups, unknown: list[str]) -> SimvisError:
    """The refusal of tensors that are no known layer."""
    names = [path or next(iter(groups[path])) for path in unknown]
    first = ", ".join(
        f"{name} ({layer_words(path, groups[path])})" for name, path in zip(names, unknown[:3], strict=False)
    )
    more = f" and {len(unknown) - 3} more" if len(unknown) > 3 else ""
    return SimvisError(
        f"{file.words} with tensors beside the trunk that are no known layer: {first}{more}",
        "Linear, BatchNorm, LayerNorm and PReLU layers behind the pooling",
        f"say layers.{names[0]}=out to leave one out, give head='none' to leave them all out, or {IN_PYTHON}",
    )


def front_layers(chain: list[Layer], found: Walk, deciding: Deciding) -> int:
    """How many layers stand in front of the pooling."""
    last = found.jump or 0
    for place in range(len(chain)):
        if place >= last and _in_front(chain, place, last, deciding):
            last = place + 1
    for layer in chain[:last]:
        if layer.maps is None:
            raise SimvisError(
                f"{layer} in front of the pooling",
                "layers that work on maps there: convolutions, BatchNorm and PReLU",
                f"say layers.{layer.path}=behind, or {IN_PYTHON}",
            )
    return last


def _in_front(chain: list[Layer], place: int, last: int, deciding: Deciding) -> bool:
    layer = chain[place]
    known = deciding.choices.place(layer.path) or deciding.known.places.get(layer.path)
    if known is not None:
        return known == "front"
    if layer.convolution and not deciding.known.runs(layer.path):
        return _asked(layer, f"{layer}, a convolution of 1 x 1 in front of the pooling or behind it", deciding)
    if layer.maps is None or last != place or place == 0 or not chain[place - 1].convolution:
        return False
    if layer.row == chain[place - 1].row:
        return True
    return _asked(layer, f"{layer} behind a convolution in front of the pooling, which may stand there too", deciding)


def _asked(layer: Layer, words: str, deciding: Deciding) -> bool:
    return deciding.place(layer.path, words, ("front", "behind"), None) == "front"
