"""What lies beside an embedding, told by structure: class weights of a loss, a classifier, a predictor."""

import itertools
from collections.abc import Mapping

from torch import Tensor, nn

from model_zoo.checkpoints.doubts import Doubt
from model_zoo.checkpoints.files.reading import CheckpointFile
from model_zoo.checkpoints.heads.deciding import IN_PYTHON, Deciding
from model_zoo.checkpoints.heads.layers import Layer, layer_size, read_matrix
from model_zoo.checkpoints.heads.order import Start, Walk, ordered, orders, walk
from simvis_core.errors import SimvisError

MOST_LONE = 4  # plain matrices of which every selection is tried


# Class weights of a loss


def without_losses(layers: list[Layer], file: CheckpointFile, start: Start, deciding: Deciding) -> list[Layer]:
    """The chain that fits with as few plain matrices as possible: each of the others may be a loss's class weights.

    A matrix that some layer must follow, that stands in a numbered row, or in a place that is run, is a layer.
    """
    lone = [layer for layer in layers if _may_be_a_loss(layer, deciding)][:MOST_LONE]
    fits: list[tuple[set[str], list[Layer]]] = []
    for count in range(len(lone) + 1):
        for left in itertools.combinations(lone, len(lone) - count):
            gone = {layer.path for layer in left}
            fits += [
                (gone, order)
                for order in _sound([one for one in layers if one.path not in gone], start, file, deciding)
            ]
    if not fits:
        raise _misfit(layers, file, start, deciding)
    gone, chain = fits[0]
    found = walk(chain, start)
    for layer in lone:
        if layer.path in gone:
            chain = _lone(layer, chain, found, start, fits, deciding)
    _check_order([order for other, order in fits if other == gone], file, deciding)
    return chain


def _may_be_a_loss(layer: Layer, deciding: Deciding) -> bool:
    numbered = layer.path.rpartition(".")[2].isdigit()
    return (
        layer.lone and not numbered and not deciding.known.runs(layer.path) and not deciding.choices.place(layer.path)
    )


def _sound(layers: list[Layer], start: Start, file: CheckpointFile, deciding: Deciding) -> list[list[Layer]]:
    return [order for order in _tried(layers, file, deciding) if walk(order, start).fault is None]


def _tried(layers: list[Layer], file: CheckpointFile, deciding: Deciding) -> list[list[Layer]]:
    if deciding.choices.order:
        return [ordered(layers, deciding.choices.order)]
    return [layers] if file.ordered else list(orders(layers))


def _lone(
    layer: Layer,
    chain: list[Layer],
    found: Walk,
    start: Start,
    fits: list[tuple[set[str], list[Layer]]],
    deciding: Deciding,
) -> list[Layer]:
    """The chain with or without a matrix that nothing needs."""
    ends = {found.end} if found.end else set(start.widths)
    follows = any(layer.path not in gone for gone, _ in fits)
    if not follows and layer.gives not in ends:
        raise SimvisError(
            f"{layer}, a matrix that fits neither behind the trunk nor beside the embedding",
            "layers that follow on each other from the pooling on",
            f"say layers.{layer.path}=out to leave it out, or {IN_PYTHON}",
        )
    widens = (layer.gives or 0) > (layer.takes or 0)
    apart = any("." in one.path for one in chain) and "." not in layer.path.removeprefix(_shared(chain, layer))
    likeliest = "out" if not follows or widens or (apart and _projects(chain)) else None
    words = f"{layer}, a matrix without a bias at the end: a layer of the embedding, or the class weights of a loss"
    options = ("out", "behind") if follows else ("out",)
    taken = deciding.place(layer.path, words, options, likeliest)
    if taken == "out" or taken is None:
        deciding.left_out[layer.path] = "taken for the class weights of a loss"
        return chain
    return [*chain, layer]


def _shared(chain: list[Layer], layer: Layer) -> str:
    """What every name begins with, up to its last dot: a wrapper's name."""
    start = ""
    for part in layer.path.split(".")[:-1]:
        if not all(one.path.startswith(f"{start}{part}.") for one in chain):
            break
        start += f"{part}."
    return start


def _projects(chain: list[Layer]) -> bool:
    """Whether a chain has a linear layer inside a module of its own: an embedding's end."""
    return any(isinstance(one.module, nn.Linear) and one.path.rpartition(".")[2].isdigit() for one in chain)


def _check_order(sound: list[list[Layer]], file: CheckpointFile, deciding: Deciding) -> None:
    if len(sound) > 1:
        names = {",".join(layer.path for layer in order): " then ".join(map(str, order)) for order in sound[:4]}
        listed = ", ".join(map(str, sorted(sound[0], key=lambda layer: layer.path)))
        words = f"sorted tensors, the layers {listed}, which fit in more than one order"
        deciding.doubts.insert(0, Doubt("order", words, names))
    elif deciding.choices.order:
        words = f"the order of {', '.join(map(str, sound[0]))}"
        name = ",".join(deciding.choices.order)
        deciding.doubts.append(Doubt("order", words, {name: "in this order"}, name, said=True))


def _misfit(layers: list[Layer], file: CheckpointFile, start: Start, deciding: Deciding) -> SimvisError:
    fault = walk(_tried(layers, file, deciding)[0], start).fault
    return SimvisError(
        f"{file.words} with a head that does not fit: {fault}",
        "layers that follow on each other from the pooling on",
        "name the pooling it was trained with, say of a layer that is no part of the embedding"
        f" layers.{layers[-1].path}=out, give head='none', or {IN_PYTHON}",
    )


# A classifier


def without_classifier(chain: list[Layer], deciding: Deciding) -> list[Layer]:
    """The chain without a last linear layer that a person said, or does not say, to be a classifier.

    One with an offset and nothing behind it is an embedding's end as well as a classifier's. It is asked about where it
    widens, unless layers of its own row stand in front of it.
    """
    last = chain[-1] if chain else None
    if last is None or not _may_classify(last, deciding):
        return chain
    row = any(layer.row == last.row for layer in chain[:-1]) and not deciding.known.classifies(last.path)
    wider = (last.gives or 0) > (last.takes or 0) and not row
    words = f"{last} at the end, a layer of the embedding or a classifier"
    taken = deciding.place(last.path, words, ("behind", "out"), None if wider else "behind")
    if taken != "out":
        return chain
    deciding.left_out[last.path] = "taken for a classifier"
    return chain[:-1]


def _may_classify(last: Layer, deciding: Deciding) -> bool:
    if not isinstance(last.module, nn.Linear) or last.lone or last.convolution or deciding.choices.place(last.path):
        return False
    kept = deciding.choices.head == "keep" and deciding.known.classifies(last.path)
    return not kept and not deciding.known.embeds(last.path)


# A predictor


def without_predictor(chain: list[Layer], deciding: Deciding) -> list[Layer]:
    """The chain without a module at its end that leads from the embedding back to a vector as wide.

    SimSiam's, BYOL's and MoCo v3's training sends one side through such a module; nobody's embedding does.
    """
    for at in range(1, len(chain)):
        tail, before = chain[at:], chain[:at]
        owner = _owner(tail)
        if owner and not before[-1].path.startswith(f"{owner}.") and _leads_back(before, tail):
            words = f"{owner}, layers from the embedding to a vector as wide: training's predictor, or part of the head"
            if deciding.known.runs(owner):
                return chain
            if deciding.place(owner, words, ("out", "behind"), "out") == "out":
                deciding.left_out |= {layer.path: "taken for a predictor, which only training runs" for layer in tail}
                return before
    return chain


def _owner(layers: list[Layer]) -> str:
    """The innermost module that all of them lie in."""
    paths = [layer.path.split(".")[:-1] for layer in layers]
    return ".".join(
        part[0] for part in itertools.takewhile(lambda part: len(set(part)) == 1, zip(*paths, strict=False))
    )


def _leads_back(before: list[Layer], tail: list[Layer]) -> bool:
    linears = [layer for layer in tail if isinstance(layer.module, nn.Linear)]
    given = [layer.gives for layer in before if layer.gives is not None]
    projects = any(isinstance(layer.module, nn.Linear) for layer in before)
    return projects and len(linears) > 1 and given[-1] == linears[0].takes == linears[-1].gives


# Bare matrices


def with_matrices(chain: list[Layer], matrices: Mapping[str, Tensor], start: Start, deciding: Deciding) -> list[Layer]:
    """The chain, and behind it what was said to be a layer of the matrices that belong to no module PyTorch has."""
    end = walk(chain, start).end
    widths = [end] if end else list(start.widths)
    for path, matrix in matrices.items():
        taken = _matrix(path, matrix, widths, deciding)
        if taken in ("behind", "transposed"):
            chain = [*chain, read_matrix(path, matrix, taken == "transposed")]
        else:
            said = deciding.choices.place(path) is not None
            deciding.left_out[path] = "as asked" if said else "taken for the class weights of a loss"
    return chain


def _matrix(path: str, matrix: Tensor, widths: list[int], deciding: Deciding) -> str | None:
    sides = tuple(matrix.shape)
    fits = [name for name, side in (("behind", sides[-1]), ("transposed", sides[0])) if side in widths]
    flat = matrix.ndim == 2
    others = [sides[0] if name == "behind" else sides[-1] for name in fits]
    wider = not flat or all(other > widths[0] for other in others)
    words = (
        f"{path} ({layer_size(matrix)}), a matrix of no layer: the class weights of a loss, or a projection at the end"
    )
    return deciding.place(path, words, ("out", *(fits if flat else ())), "out" if wider else None)
