"""Reading a checkpoint into tensors by their dotted names, without running anything that may be in the file."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from model_zoo.checkpoints.files.contents import contents, damaged
from model_zoo.checkpoints.files.parametrisations import folded
from model_zoo.checkpoints.files.pickles import BROKEN
from model_zoo.checkpoints.files.tree import SAVE_AGAIN, tensors
from simvis_core.errors import SimvisError


@dataclass(frozen=True)
class CheckpointFile:
    """What a checkpoint holds.

    ``tensors`` go by their dotted names, the dicts they lie in being parts of the name; ``nesting`` tells those dicts
    by the tensor's name ("" for none). ``ordered`` says whether the tensors come in the order in which the model
    registered them: a .safetensors file sorts them by name. ``words`` names the file, or the pair of files; ``unread``
    are numbers in the file that are no plain tensors, in words.
    """

    name: str
    words: str
    tensors: dict[str, Tensor]
    nesting: dict[str, str]
    ordered: bool
    unread: tuple[str, ...] = ()


def read_checkpoint(path: Path) -> CheckpointFile:
    """The tensors of a file, or of pytorch-metric-learning's two: ``trunk_<suffix>`` with ``embedder_<suffix>``.

    The pair is found by either of its files, or by a folder that holds one pair only. A pair's tensors are named
    ``trunk.…`` and ``embedder.…``.

    Raises SimvisError for a file that is missing, damaged, of another kind, or that wants to run code.
    """
    _check_name(path)
    trunk = _only_trunk(path) if path.is_dir() else _beside("embedder", "trunk", path) or path
    embedder = _beside("trunk", "embedder", trunk)
    tree, ordered = contents(trunk)
    if embedder is not None:
        beside, also = contents(embedder)
        tree, ordered = {"trunk": tree, "embedder": beside}, ordered and also
    try:
        found, nesting, unread = tensors(tree)
    except BROKEN as error:
        if isinstance(error, SimvisError):
            raise
        raise damaged(trunk, error) from error
    if not found:
        raise SimvisError(f"'{trunk.name}', which holds no tensors", "the weights of a network", SAVE_AGAIN)
    whole = folded(found)
    return CheckpointFile(
        _name(path, trunk, embedder),
        f"'{trunk.name}'" + (f" with '{embedder.name}'" if embedder else ""),
        whole,
        _nestings(whole, nesting),
        ordered,
        unread,
    )


def _nestings(whole: Iterable[str], nesting: dict[str, str]) -> dict[str, str]:
    """The dicts that each tensor lies in; for one that was kept in parts, those of its owner's other tensors."""
    if nesting.keys() >= set(whole):
        return {key: nesting[key] for key in whole}
    owners: dict[str, str] = {}
    for key, nest in nesting.items():
        owner = key.rpartition(".")[0]
        while owner not in owners:
            owners[owner] = nest
            owner = owner.rpartition(".")[0]
    return {key: nesting.get(key, owners.get(key.rpartition(".")[0], "")) for key in whole}


def _check_name(path: Path) -> None:
    """A name longer than any file's is refused by the system each time it is asked about."""
    if len(path.name.encode(errors="surrogateescape")) > 255:
        raise SimvisError(f"'{path.name[:80]}...', which does not exist", "a checkpoint", "check the path")


def _only_trunk(folder: Path) -> Path:
    trunks = sorted(path for path in folder.glob("trunk*") if path.suffix.casefold() in ENDINGS and path.is_file())
    if len(trunks) == 1:
        return trunks[0]
    names = ", ".join(path.name for path in trunks) or "no trunk_<suffix>.pth"
    raise SimvisError(
        f"the folder '{folder.name}' with {names}", "one checkpoint", "give the path of the file instead of the folder"
    )


def _beside(one: str, other: str, path: Path) -> Path | None:
    """``other_<suffix>`` for a path ``one_<suffix>``, where that file exists."""
    start, rest = path.name[: len(one)], path.name[len(one) :]
    partner = path.with_name(other + rest)
    return partner if start == one and rest[:1] in ("_", ".") and partner.is_file() else None


def _name(path: Path, trunk: Path, embedder: Path | None) -> str:
    if path.is_dir():
        return path.resolve().name
    stem = path.name
    while Path(stem).suffix.casefold() in ENDINGS:
        stem = Path(stem).stem
    if embedder is None:
        return stem
    return f"{trunk.resolve().parent.name} {stem.partition('_')[2]}".strip()


# What files of weights are called; what a file is, its content says.
ENDINGS = (".safetensors", ".pt", ".pth", ".bin", ".ckpt", ".tar", ".pkl", ".model", ".weights")
