"""Which tensors of a file are which of a network's where only their order and their shapes tell it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from torch import Tensor

COUNTS = "num_batches_tracked"


@dataclass
class _Node:
    """A module by the tensors below it: its children in their order, or the tensor it is."""

    key: str
    tensor: Tensor | None = None
    children: dict[str, "_Node"] = field(default_factory=dict)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shapes of all tensors below, by their names from here on."""
        if self.tensor is not None:
            return {} if self.key.endswith(COUNTS) else {"": tuple(self.tensor.shape)}
        below: dict[str, tuple[int, ...]] = {}
        for name, child in self.children.items():
            below |= {f"{name}.{rest}": shape for rest, shape in child.shapes().items()}
        return below


def by_children(
    tensors: Mapping[str, Tensor], start: str, slots: Mapping[str, Tensor], ordered: bool
) -> dict[str, str] | None:
    """The slot of each of the file's keys behind ``start``; None where not every slot is found.

    The file's modules follow on each other as the slots' do: one whose inner names and shapes are those of the next
    slots' module is taken for it, and a larger one is looked into. Where the file does not keep the order
    (``ordered``), only numbers tell it. A module that goes by another word is never taken for it.
    """
    have = _tree({key.removeprefix(start): tensor for key, tensor in tensors.items() if key.startswith(start)})
    found = _aligned(_children(have, ordered), _children(_tree(slots), True), ordered)
    if found is None:
        return None
    names = {start + have.key: want.key for have, want in found}
    wanted = {key for key in slots if not key.endswith(COUNTS)}
    if not wanted <= set(names.values()) or not all(_renumbered(have.key, want.key) for have, want in found):
        return None
    return names


def _tree(tensors: Mapping[str, Tensor]) -> _Node:
    root = _Node("")
    for key, tensor in tensors.items():
        node = root
        parts = key.split(".")
        for place, part in enumerate(parts, 1):
            node = node.children.setdefault(part, _Node(".".join(parts[:place])))
        node.tensor = tensor
    return root


def _children(node: _Node, ordered: bool) -> list[_Node] | None:
    """In the order of the file, or of their numbers; None for names in a file that sorts them."""
    names = list(node.children)
    if all(name.isdigit() for name in names):
        return [node.children[name] for name in sorted(names, key=int)]
    leaves = all(child.tensor is not None for child in node.children.values())
    return [node.children[name] for name in names] if ordered or leaves else None


def _aligned(have: list[_Node] | None, want: list[_Node] | None, ordered: bool) -> list[tuple[_Node, _Node]] | None:
    """Pairs of tensors, in the order of both."""
    if have is None or want is None:
        return None
    found: list[tuple[_Node, _Node]] = []
    have, want = have[::-1], want[::-1]
    while want:
        if not have:
            return None
        one, other = have.pop(), want.pop()
        mine, theirs = one.shapes(), other.shapes()
        if mine == theirs:
            found += _pairs(one, other)
        elif not _opened(one, other, len(mine), len(theirs), (have, want), ordered):
            return None
    return found


def _opened(
    one: _Node, other: _Node, mine: int, theirs: int, rows: tuple[list[_Node], list[_Node]], ordered: bool
) -> bool:
    """Puts the larger node's children (both's, where they are alike) back in its place; False where it has none."""
    have, want = rows
    first = _children(one, ordered) if one.tensor is None and mine >= theirs else [one]
    second = _children(other, True) if other.tensor is None and theirs >= mine else [other]
    if first is None or second is None or (first == [one] and second == [other]):
        return False
    have.extend(reversed(first))
    want.extend(reversed(second))
    return True


def _pairs(one: _Node, other: _Node) -> list[tuple[_Node, _Node]]:
    if one.tensor is not None:
        return [(one, other)]
    both: Iterable[str] = [name for name in one.children if name in other.children]
    return [pair for name in both for pair in _pairs(one.children[name], other.children[name])]


def _renumbered(old: str, new: str) -> bool:
    """Whether two names are the same but for numbers in the place of names: words are names, and say something."""
    one, other = ends(old, new)
    return one == other or one.rpartition(".")[2].isdigit()


def ends(old: str, new: str) -> tuple[str, str]:
    """Both names without what they share at their ends."""
    one, two = old.split("."), new.split(".")
    while len(one) > 1 and len(two) > 1 and one[-1] == two[-1]:
        one, two = one[:-1], two[:-1]
    return ".".join(one), ".".join(two)
