"""The layers beside a trunk put in their places, in front of and behind the pooling, with what stands between them."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from model_zoo.checkpoints.choices import END, POOLING, STEPS, Choices
from model_zoo.checkpoints.doubts import Doubt
from model_zoo.checkpoints.files.reading import CheckpointFile
from model_zoo.checkpoints.heads.deciding import Deciding, Known, front_layers, unknown_layers
from model_zoo.checkpoints.heads.layers import Groups, Layer, layer_words, read_layer, steps
from model_zoo.checkpoints.heads.losses import with_matrices, without_classifier, without_losses, without_predictor
from model_zoo.checkpoints.heads.norms import settled_norm
from model_zoo.checkpoints.heads.order import Start, Walk, walk


@dataclass
class Head:
    """What stands in front of and behind the pooling, in words too, and how wide the vectors behind it are taken.

    ``cells`` is the number of cells laid flat, 0 where they are pooled. ``left_out`` has reasons by module path.
    """

    front: list[nn.Module]
    behind: list[nn.Module]
    takes: int | None
    words: str
    cells: int
    left_out: dict[str, str]
    doubts: list[Doubt]
    paths: list[str]


def read_head(
    groups: Groups, matrices: Mapping[str, Tensor], file: CheckpointFile, start: Start, choices: Choices, known: Known
) -> Head:
    """The chain of Linear, BatchNorm, LayerNorm and PReLU that ``groups`` (tensors by their module's path) hold.

    The order is that of the file; one that sorts its tensors must leave a single order in which the widths fit.
    ``matrices`` belong to no layer: a loss's class weights, or a projection. What is open is said by ``choices``, or
    comes back as a doubt.

    Raises SimvisError for tensors that are no known layer, and widths or an order that do not fit.
    """
    deciding = Deciding(choices, known)
    layers = _layers(groups, deciding)
    _check_known(layers, groups, matrices, file, start, deciding)
    chain = without_losses([layer for layer in layers.values() if layer is not None], file, start, deciding)
    chain = without_predictor(chain, deciding)
    chain = without_classifier(chain, deciding)
    chain = with_matrices(chain, matrices, start, deciding)
    found = walk(chain, start)
    front = front_layers(chain, found, deciding)
    _repeat_said(chain, deciding)
    return _assembled(chain, front, found, deciding)


def _layers(groups: Groups, deciding: Deciding) -> dict[str, Layer | None]:
    """The layers by their path, None for those of no known kind; without those said to be out."""
    layers = {path: read_layer(path, tensors) for path, tensors in groups.items()}
    for path in [path for path in layers if deciding.choices.place(path) == "out"]:
        deciding.place(path, f"{path} ({layer_words(path, groups[path])})", ("behind", "out"), None)
        deciding.left_out[path] = "as asked"
        del layers[path]
    return {path: settled_norm(layer, path, groups[path], deciding) for path, layer in layers.items()}


def _check_known(
    layers: Mapping[str, Layer | None],
    groups: Groups,
    matrices: Mapping[str, Tensor],
    file: CheckpointFile,
    start: Start,
    deciding: Deciding,
) -> None:
    """Raises SimvisError for tensors of no known layer, and matrices that fit on nothing."""
    widths = {*start.widths, *(layer.gives for layer in layers.values() if layer is not None)}
    stray = [path for path, one in matrices.items() if not widths & set(one.shape) and not deciding.choices.place(path)]
    owners = {path.rpartition(".")[0] or path: {path.rpartition(".")[2]: matrices[path]} for path in stray}
    unknown = [*owners, *(path for path, layer in layers.items() if layer is None)]
    if unknown:
        raise unknown_layers(file, {**groups, **owners}, unknown)


def _repeat_said(chain: list[Layer], deciding: Deciding) -> None:
    """An answer stays a doubt of the report, so that it can be seen and changed."""
    keys = {doubt.key for doubt in deciding.doubts}
    for layer in chain:
        if deciding.choices.place(layer.path) and f"layers.{layer.path}" not in keys:
            deciding.place(layer.path, f"where {layer} stands", ("behind", "front", "out"), None)


# What stands between


def _assembled(chain: list[Layer], front: int, found: Walk, deciding: Deciding) -> Head:
    maps, words_front = _filled(chain[:front], [], deciding, on_maps=True)
    if front or deciding.known.unseen or POOLING in deciding.choices.steps:
        _add(maps, words_front, _before_pooling(chain[:front], deciding))
    behind, words = _filled(chain[front:], chain[:front], deciding, on_maps=False)
    if chain:
        _add(behind, words, _at_end(deciding))
    takes = next((layer.takes for layer in chain[front:] if layer.takes is not None), None)
    told = ", ".join(words) or "none"
    if words_front:
        told += f", in front of the pooling {', '.join(words_front)}"
    sources = f" (from {', '.join(layer.path for layer in chain)})" if chain else ""
    paths = [layer.path for layer in chain]
    return Head(maps, behind, takes, told + sources, found.cells, deciding.left_out, deciding.doubts, paths)


def _filled(
    chain: list[Layer], before: list[Layer], deciding: Deciding, on_maps: bool
) -> tuple[list[nn.Module], list[str]]:
    """The modules with what stands in the gaps, and their names."""
    modules: list[nn.Module] = []
    words: list[str] = []
    biased = _last_biased(chain)
    for place, layer in enumerate(chain):
        _add(modules, words, _step(layer, [*before, *chain[:place]] if place else [], biased, deciding))
        modules.append(layer.maps if on_maps and layer.maps is not None else layer.module)
        words.append(layer.words)
    return modules, words


def _add(modules: list[nn.Module], words: list[str], taken: str | None) -> None:
    for name, module in steps(taken or "none"):
        modules.append(module)
        words.append(name)


def _step(layer: Layer, before: list[Layer], biased: Layer | None, deciding: Deciding) -> str | None:
    known = deciding.known.steps.get(layer.path)
    if known is not None and layer.path not in deciding.choices.steps:
        return known
    if before and _gap(before, layer):
        words = f"a head with a gap between {before[-1]} and {layer}: what has no weights leaves no trace in a file"
        return deciding.step(layer.path, words, tuple(STEPS), deciding.choices.between, gap=True)
    if layer is biased or layer.path in deciding.choices.steps:
        words = f"a step to unit length in front of {layer}, which no file shows"
        return deciding.step(layer.path, words, ("none", "unit"), "none")
    return None


def _last_biased(chain: list[Layer]) -> Layer | None:
    """The last linear layer with an offset of its own or in a norm behind it: there a step to unit length matters."""
    linears = [place for place, layer in enumerate(chain) if isinstance(layer.module, nn.Linear)]
    if not linears:
        return None
    behind = [layer.module for layer in chain[linears[-1] :]]
    offsets = any(isinstance(module, (nn.BatchNorm1d, nn.LayerNorm)) for module in behind)
    linear = chain[linears[-1]].module
    return chain[linears[-1]] if offsets or (isinstance(linear, nn.Linear) and linear.bias is not None) else None


def _before_pooling(front: list[Layer], deciding: Deciding) -> str | None:
    if POOLING in deciding.known.steps and POOLING not in deciding.choices.steps:
        return deciding.known.steps[POOLING]
    convolves = any(layer.convolution for layer in front)
    likeliest = deciding.choices.between if convolves else "none"
    before = str(front[-1]) if front else f"the features and the pooling{deciding.known.unseen}"
    words = f"what stands between {before}" + (" and the pooling" if front else "")
    options = ("none", "relu", "gelu", "silu", "unit")
    return deciding.step(POOLING, words, options, likeliest, gap=convolves)


def _at_end(deciding: Deciding) -> str | None:
    if deciding.known.cut:
        words = f"whether the {deciding.known.cut} that the library has behind the last layer was kept"
        return deciding.step(END, words, ("none", deciding.known.cut), None)
    if END in deciding.choices.steps:
        return deciding.step(END, "what stands behind the last layer", ("none", "relu"), "none")
    return None


def _gap(before: list[Layer], layer: Layer) -> bool:
    """Whether something without weights may stand in front of a layer.

    Among the numbered children of one Sequential it is a number that is left out. Where the code alone says how the
    layers follow on each other, it is a second Linear: two in a row would be one.
    """
    parent, _, name = layer.path.rpartition(".")
    last_parent, _, last_name = before[-1].path.rpartition(".")
    if parent == last_parent and name.isdigit() and last_name.isdigit():
        return int(name) - int(last_name) > 1
    linears = [one for one in (*before, layer) if isinstance(one.module, nn.Linear)]
    return isinstance(layer.module, nn.Linear) and len(linears) > 1 and not isinstance(before[-1].module, nn.PReLU)
