"""The other names that a trunk's tensors go by: wrappers' words, children's numbers, other libraries' names."""

import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from model_zoo.checkpoints.files.reading import CheckpointFile
from model_zoo.checkpoints.trunks.children import by_children, ends
from model_zoo.checkpoints.trunks.loaded_names import in_memory, is_loaded, texts_told
from model_zoo.checkpoints.trunks.transformers_names import from_transformers

# What timm's filters raise at names that they do not know.
_UNKNOWN = (LookupError, AttributeError, RuntimeError, TypeError, ValueError, AssertionError)
_TABLES = re.compile(r"(^|[._])(pos_embed|position|rel_pos|relative_position)")


@dataclass(frozen=True)
class Reading:
    """A file under the names that the library gives its tensors, and how that was done, in words ("": as it stands).

    ``bare`` says that the network may end before its last norm, as one made for its features alone does; ``older`` that
    timm's filter found the names, which reads published classifiers.
    """

    file: CheckpointFile
    words: str = ""
    bare: bool = False
    older: bool = False
    resampled: tuple[str, ...] = ()


def readings(file: CheckpointFile, source: nn.Module) -> Iterator[Reading]:
    """The file as it stands, then under the other names that are known, the most direct first.

    Each is complete in itself: whoever takes one proves that every tensor of ``source`` is found in it.
    """
    plain = Reading(replace(file, **texts_told(file, source)))
    yield plain
    bare = _without_wrappers(plain, source)
    if bare is not None:
        yield bare
    first = bare or plain
    yield from _through_loader(first, source) if is_loaded(source) else _through_rules(first, source)


def _through_rules(first: Reading, source: nn.Module) -> Iterator[Reading]:
    for change in (_flattened, _through_timm, _of_transformers):
        changed = change(first, source)
        if changed is not None:
            yield changed
    for before in (_of_transformers(first, source), _flattened(first, source)):
        changed = None if before is None else _through_timm(before, source)
        if changed is not None:
            yield changed
    yield from _numbered(first, source)


def _renamed(reading: Reading, names: dict[str, str], words: str, bare: bool = False) -> Reading | None:
    """The reading with some of its keys under new names; None where that changes nothing or two would share one."""
    file = reading.file
    new = [names.get(key, key) for key in file.tensors]
    if not names or len(set(new)) < len(new):
        return None
    return replace(
        reading,
        file=replace(
            file,
            tensors=dict(zip(new, file.tensors.values(), strict=True)),
            nesting={one: file.nesting[key] for one, key in zip(new, file.tensors, strict=True)},
        ),
        words="; ".join(word for word in (reading.words, words) if word),
        bare=reading.bare or bare,
    )


def _without_wrappers(reading: Reading, source: nn.Module) -> Reading | None:
    """Words in the middle of a key that no key of the source has, which wrappers of single blocks put there."""
    slots = set(source.state_dict())
    known = {part for key in slots for part in key.split(".")}
    names, words = {}, set()
    for key in reading.file.tensors:
        parts = key.split(".")
        for cut in range(len(parts)):
            kept = [part for part in parts[cut:] if part in known]
            if parts[cut] in known and len(kept) < len(parts) - cut and ".".join(kept) in slots:
                names[key] = ".".join((*parts[:cut], *kept))
                words |= set(parts[cut:]) - known
                break
    return _renamed(reading, names, f"without the wrapper's name {', '.join(sorted(words))} inside the keys")


def _flattened(reading: Reading, source: nn.Module) -> Reading | None:
    """Timm's features_only writes ``stages_0`` for ``stages.0``."""
    flat = {
        f"{path}_{name}": f"{path}.{name}" for path, row in source.named_children() for name, _ in row.named_children()
    }
    names = {}
    for key in reading.file.tensors:
        found = next((part for part in key.split(".") if part in flat), None)
        if found is not None:
            names[key] = ".".join(flat.get(part, part) for part in key.split("."))
    return _renamed(reading, names, "in the names of features_only", bare=True)


def _places(tensors: dict[str, Tensor], wanted: int) -> list[str]:
    """What stands before the names of at least half as many tensors as are wanted, the innermost first."""
    counts: dict[str, int] = {}
    for key in tensors:
        parts = key.split(".")
        for cut in range(len(parts)):
            start = "".join(f"{part}." for part in parts[:cut])
            counts[start] = counts.get(start, 0) + 1
    return sorted(
        (start for start, count in counts.items() if count >= wanted / 2), key=lambda start: -start.count(".")
    )


def _through_loader(reading: Reading, source: nn.Module) -> Iterator[Reading]:
    """The names that the library's own loader gives the tensors, at each place where they may lie."""
    for start in _places(reading.file.tensors, len(source.state_dict())):
        inner = {key.removeprefix(start): one for key, one in reading.file.tensors.items() if key.startswith(start)}
        changed = in_memory(inner, source)
        if changed is None:
            continue
        rest = {key: one for key, one in reading.file.tensors.items() if not key.startswith(start)}
        tensors = {**{start + key: one for key, one in changed.items()}, **rest}
        nest = next(reading.file.nesting[key] for key in reading.file.tensors if key.startswith(start))
        words = "; ".join(word for word in (reading.words, "names as transformers' loader reads them") if word)
        nesting = {key: reading.file.nesting.get(key, nest) for key in tensors}
        yield replace(reading, file=replace(reading.file, tensors=tensors, nesting=nesting), words=words)


def _through_timm(reading: Reading, source: nn.Module) -> Reading | None:
    """The names that timm's own filter of the source's family reads, at the place where it finds the most."""
    found = getattr(sys.modules[type(source).__module__], "checkpoint_filter_fn", None)
    if found is None or not type(source).__module__.startswith("timm."):
        return None
    slots = source.state_dict()
    best: tuple[int, Reading | None] = (0, None)
    for start in _places(reading.file.tensors, len(slots)):
        filtered = _filtered(reading, start, found, source)
        hits = sum(start + key in filtered.file.tensors for key in slots) if filtered else 0
        best = max(best, (hits, filtered), key=lambda one: one[0])
    return best[1]


def _filtered(
    reading: Reading, start: str, change: Callable[[dict[str, Tensor], nn.Module], object], source: nn.Module
) -> Reading | None:
    """The tensors behind ``start`` through timm's filter; what it drops keeps its name.

    None where the filter makes a tensor of other numbers than those given, tables of positions apart: it would resample
    a layer of another size too.
    """
    file = reading.file
    given = {key.removeprefix(start): tensor for key, tensor in file.tensors.items() if key.startswith(start)}
    followed = {key: _follow(tensor) for key, tensor in given.items()}
    try:
        with torch.enable_grad():
            made = change(dict(followed), source)
    except _UNKNOWN:
        return None
    if not isinstance(made, dict) or not all(isinstance(one, Tensor) for one in made.values()):
        return None
    used = _sources(made)
    lengths = {tensor.numel() for tensor in given.values()}
    odd = [key for key, tensor in made.items() if tensor.numel() not in lengths and not _joined(key, tensor, given)]
    if any(not _TABLES.search(key) for key in odd):
        return None
    kept = {key: tensor for key, tensor in file.tensors.items() if not key.startswith(start)}
    dropped = {start + key: tensor for key, tensor in given.items() if id(followed[key]) not in used}
    whole = {**kept, **{start + key: tensor.detach() for key, tensor in made.items()}}
    whole |= {key: tensor for key, tensor in dropped.items() if key not in whole}
    nest = next((file.nesting[start + key] for key in given), "")
    return replace(
        reading,
        file=replace(file, tensors=whole, nesting={key: file.nesting.get(key, nest) for key in whole}),
        words="; ".join(word for word in (reading.words, "names as timm's filter for its family reads them") if word),
        older=True,
        resampled=tuple(_refitted(key, made[key], given) for key in odd),
    )


def _joined(key: str, tensor: Tensor, given: dict[str, Tensor]) -> bool:
    """Whether it holds several of the given tensors, as a layer of queries, keys and values does."""
    return (
        "qkv" in key and tensor.numel() % 3 == 0 and any(one.numel() == tensor.numel() // 3 for one in given.values())
    )


def _follow(tensor: Tensor) -> Tensor:
    """The tensors with gradients on, so that autograd tells which of them a result is made of."""
    alias = tensor.detach().view(tensor.shape)
    return alias.requires_grad_() if alias.is_floating_point() else alias


def _sources(made: dict[str, Tensor]) -> set[int]:
    """By their identity, the tensors that the made ones are, or are made of."""
    used = {id(tensor) for tensor in made.values()}
    nodes, seen = [tensor.grad_fn for tensor in made.values()], set()
    while nodes:
        node = nodes.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        used.add(id(getattr(node, "variable", None)))
        nodes += [one for one, _ in node.next_functions]
    return used


def _refitted(key: str, tensor: Tensor, given: dict[str, Tensor]) -> str:
    before = f" from {tuple(given[key].shape)}" if key in given else ""
    return f"{key}{before} to {tuple(tensor.shape)}"


def _of_transformers(reading: Reading, source: nn.Module) -> Reading | None:
    tensors = from_transformers(reading.file.tensors, set(source.state_dict()))
    if tensors is None:
        return None
    old = reading.file.nesting
    nest = {key: old.get(key, next(iter(old.values()), "")) for key in tensors}
    file = replace(reading.file, tensors=tensors, nesting=nest)
    return replace(reading, file=file, words="in transformers' names")


def _numbered(reading: Reading, source: nn.Module) -> Iterator[Reading]:
    slots = source.state_dict()
    for start in _places(reading.file.tensors, len(slots)):
        names = by_children(reading.file.tensors, start, slots, reading.file.ordered)
        if names is None:
            continue
        pairs = sorted({ends(old.removeprefix(start), new) for old, new in names.items()})
        told = ", ".join(f"{old} = {new}" for old, new in pairs[:4]) + ", ..." * (len(pairs) > 4)
        changed = _renamed(reading, {old: start + new for old, new in names.items()}, f"by order and shape: {told}")
        if changed is not None:
            yield changed
