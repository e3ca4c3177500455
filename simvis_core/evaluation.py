"""Many pairs, explainers and networks measured: which cases there are, one record for each, and where records lie."""

import json
import os
import random
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import accumulate
from math import comb, isqrt
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool
from PIL import Image
from torch import Tensor

from simvis_core.errors import SimvisError
from simvis_core.explainers import EXPLAINERS
from simvis_core.export import write_whole
from simvis_core.faithfulness import retrieval_query
from simvis_core.images import Framing, View
from simvis_core.kept import fields
from simvis_core.listing import listed
from simvis_core.localisation import localisation
from simvis_core.network import EmbeddingNetwork
from simvis_core.perturbation import finished
from simvis_core.pictures import OWNERS, Limits, open_picture
from simvis_core.question import Question
from simvis_core.rooms import OBJECTS, PlantedPair, different_pair, planted_pair, same_pair
from simvis_core.sanity import OFTEN, randomisation, stability
from simvis_core.trust import Asked, Measured, measuring

ROOMS = "rooms"
RECORDS = "measured.jsonl"
BEFORE = {"resizing": "reference"}  # what was the only way, so that older settings do not name it
SETTINGS = "evaluation.json"

Picture = Callable[[], Image.Image]
Record = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """One score to explain: a picture, the others it is compared with, and what is known of them.

    The query is the mean of the others' embeddings: one other is a pair, several are a search's hits. ``same`` says
    whether they are of one class; ``mask`` gives the pixels of the picture that make them alike, where that is known.
    """

    name: str
    kind: str
    picture: Picture
    others: tuple[Picture, ...]
    same: bool
    mask: Callable[[], Bool[np.ndarray, "h w"]] | None = None


def room_cases(count: int, seed: int = 0) -> list[Case]:
    """Drawn rooms: ``count`` pairs with one object in common, as many of one identity, as many with nothing in common.

    The objects take turns. Their pixels are known, so that a map can be located.
    """
    kinds: dict[str, Callable[[int], PlantedPair]] = {
        "planted": lambda at: planted_pair(OBJECTS[at % len(OBJECTS)], seed + at),
        "same": lambda at: same_pair(seed + at, seed + at),
        "different": lambda at: different_pair(seed + at),
    }
    return [_room_case(kind, at, partial(draw, at)) for kind, draw in kinds.items() for at in range(count)]


def _room_case(kind: str, at: int, draw: Callable[[], PlantedPair]) -> Case:
    pair = lru_cache(maxsize=1)(draw)

    def picture() -> Image.Image:
        return pair().a.image

    def mask() -> Bool[np.ndarray, "h w"]:
        found = pair().a.mask(*pair().shared)
        pair.cache_clear()  # asked for last: a long run must not keep every room
        return found

    return Case(
        f"{kind} {at}",
        kind,
        picture,
        (lambda: pair().b.image,),
        kind != "different",
        None if kind == "different" else mask,
    )


def folder_cases(source: str | Path, count: int, seed: int = 0, limits: Limits = OWNERS) -> list[Case]:
    """``count`` random pairs of one class and as many of two, from class folders or a CSV; fewer where there are fewer.

    Raises SimvisError as `listed` does, and for pictures among which no two have one label.
    """
    pictures = {file: label for file, label in listed(source).pictures.items() if label}
    same, different = _pairs(pictures, count, random.Random(seed))  # noqa: S311  (a draw of pairs keeps no secret)
    if not same:
        raise SimvisError(
            f"'{source}' without two pictures of one class", "class folders or a CSV with labels", "label some pictures"
        )
    root = os.path.commonpath(list(pictures))
    return [
        Case(
            f"{os.path.relpath(a, root)} | {os.path.relpath(b, root)}",
            kind,
            partial(_opened, a, limits),
            (partial(_opened, b, limits),),
            kind == "same",
        )
        for kind, pairs in (("same", same), ("different", different))
        for a, b in pairs
    ]


def _pairs(
    pictures: Mapping[str, str], count: int, generator: random.Random
) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Pairs of one class and of two: each pair there is has the same chance, and comes once at most."""
    files = list(pictures)
    generator.shuffle(files)
    classes: dict[str, list[str]] = {}
    for file in files:
        classes.setdefault(pictures[file], []).append(file)
    groups = list(classes.values())
    in_order = [file for group in groups for file in group]
    later = [len(files) - end for end in accumulate(map(len, groups))]
    same, different = [], []
    for at, place in _drawn([comb(len(group), 2) for group in groups], count, generator):
        second = (1 + isqrt(1 + 8 * place)) // 2  # pairs below it come first: 0, 1, 3, 6, ...
        same.append((groups[at][place - comb(second, 2)], groups[at][second]))
    for at, place in _drawn([len(group) * rest for group, rest in zip(groups, later, strict=True)], count, generator):
        first, second = divmod(place, later[at])
        different.append((groups[at][first], in_order[len(files) - later[at] + second]))
    return same, different


def _drawn(sizes: Sequence[int], count: int, generator: random.Random) -> Iterator[tuple[int, int]]:
    """Draws without repetition from groups of so many: which group, and which of its members."""
    ends = list(accumulate(sizes))
    total = ends[-1] if ends else 0
    for drawn in generator.sample(range(total), min(count, total)):
        group = bisect_right(ends, drawn)
        yield group, drawn - (ends[group] - sizes[group])


def retrieval_cases(
    source: str | Path,
    network: EmbeddingNetwork,
    count: int,
    hits: int,
    view: "Seen",
    seed: int = 0,
    limits: Limits = OWNERS,
) -> list[Case]:
    """``count`` random pictures, each with its ``hits`` nearest others under the network; runs each picture once.

    Raises SimvisError as `listed` does, and for fewer pictures than hits.
    """
    files = list(listed(source).pictures)
    if not 1 <= hits < len(files):
        raise SimvisError(f"{hits} hits among {len(files)} pictures", f"1 to {len(files) - 1}", "choose fewer")
    embeddings = torch.stack([_embedded(network, _opened(file, limits), view) for file in files])
    chosen = random.Random(seed).sample(range(len(files)), min(count, len(files)))  # noqa: S311
    root = os.path.commonpath(files)
    return [
        Case(
            os.path.relpath(files[at], root),
            f"search, {hits} hits",
            partial(_opened, files[at], limits),
            tuple(partial(_opened, files[hit], limits) for hit in _nearest(embeddings, at, hits)),
            True,
        )
        for at in chosen
    ]


def _opened(file: str, limits: Limits) -> Image.Image:
    """The picture; a refusal names the file."""
    try:
        return open_picture(file, limits=limits)
    except SimvisError as error:
        raise SimvisError(f"{error.got} in '{os.path.basename(file)}'", error.wanted, error.cure) from error


def _nearest(embeddings: Tensor, at: int, hits: int) -> list[int]:
    scores = embeddings @ embeddings[at]
    scores[at] = -torch.inf
    return scores.topk(hits).indices.tolist()


class Seen(NamedTuple):
    """How every network sees the pictures: the short side of its views, None for its own, and their framing."""

    short_side: int | None = None
    framing: Framing = "whole"


def _embedded(network: EmbeddingNetwork, image: Image.Image, seen: Seen) -> Tensor:
    return network.embed(network.view(image, seen.short_side, seen.framing).pixels[None])[0].cpu().double()


# ---------------------------------------------------------------- measuring


def question_for(case: Case, network: EmbeddingNetwork, seen: Seen) -> Question:
    """What the case asks of a network."""
    view = network.view(case.picture(), seen.short_side, seen.framing)
    others = [network.view(other(), seen.short_side, seen.framing) for other in case.others]
    if len(others) > 1:
        return Question(
            network, view, retrieval_query(torch.stack([network.embed(one.pixels[None])[0] for one in others]))
        )
    activations = network.activations(others[0].pixels[None]).one()
    split = network.split(activations)
    embedding = (split or network.unsplit(activations, (1, 1))).embedding
    bias = split.bias if split is not None and split.method == "decomposition" else None
    return Question(network, view, embedding, bias, others[0])


def records(
    case: Case,
    question: Question,
    explainers: Sequence[Asked],
    drawer: Question | None = None,
    checks: bool = False,
) -> Iterator[Record]:
    """One record for each explainer: plain numbers, ready for JSON; an explainer that cannot be used says why.

    ``drawer`` is the question on a network through which gradients flow. ``checks`` adds random weights and shifts for
    explainers of at most ``OFTEN`` passes.
    """
    for asked in explainers:
        record: Record = {"case": case.name, "kind": case.kind, "same": case.same, "explainer": asked.explainer}
        record |= {"seed": asked.seed, "score": question.score}
        try:
            measured = finished(measuring(question, asked, drawer))
            record |= _numbers(measured)
            if case.mask is not None:
                record |= _located(measured, case.mask(), question.view)
        except SimvisError as error:
            record["refused"] = str(error)
        if checks and "refused" not in record:
            record |= _checked(asked, drawer or question)
        yield record


def refused(case: Case, explainers: Sequence[Asked], error: SimvisError) -> Iterator[Record]:
    """A record for each explainer of a case that cannot be asked about, a picture that cannot be read for one."""
    for asked in explainers:
        about = {"case": case.name, "kind": case.kind, "same": case.same, "explainer": asked.explainer}
        yield about | {"seed": asked.seed, "refused": str(error)}


def _numbers(measured: Measured) -> Record:
    return {
        "insertion": measured.insertion.auc,
        "insertion_rescaled": measured.insertion.rescaled_auc,
        "deletion": measured.deletion.auc,
        "deletion_rescaled": measured.deletion.rescaled_auc,
        "gap": measured.gap,
        "insertion_curve": [round(score, 6) for score in measured.insertion.scores.tolist()],
        "deletion_curve": [round(score, 6) for score in measured.deletion.scores.tolist()],
        "shares": [round(share, 6) for share in measured.deletion.shares.tolist()],
        "passes": measured.drawn.passes,
        "seconds": round(measured.drawn.seconds, 4),
    }


def _located(measured: Measured, mask: Bool[np.ndarray, "h w"], view: View) -> Record:
    """Where the map falls on the known pixels; nothing where the view shows none of them, or nothing else."""
    seen = np.asarray(Image.fromarray(mask).resize(view.size[::-1], Image.Resampling.NEAREST, box=view.box))
    if not seen.any() or seen.all():
        return {}
    return dict(localisation(measured.drawn.map, torch.from_numpy(seen.copy()), measured.asked.seed)._asdict())


def _checked(asked: Asked, question: Question) -> Record:
    entry = EXPLAINERS[asked.explainer]
    if entry.passes > OFTEN or entry.baseline or question.reference is None:
        return {}
    try:
        stages = randomisation(
            asked.explainer, question.network, question.view, question.reference, asked.seed, stages=1
        )
        return {"randomised": stages[-1].correlation, "stability": stability(question, asked.explainer, asked.seed)}
    except SimvisError as error:  # what was measured stays: not every engine or network has weights to draw anew
        return {"unchecked": str(error)}


# ---------------------------------------------------------------- records on disk


class Records:
    """The records of one evaluation in a folder: appended a line at a time, so that a stopped one goes on.

    Raises SimvisError for a folder that holds an evaluation with other settings, and one that cannot be written.
    """

    def __init__(self, folder: str | Path, settings: Mapping[str, Any]) -> None:
        self.folder = Path(folder)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._check(settings)
            self.known = self._read()
        except OSError as error:
            raise _unwritable(self.folder, error) from error

    def has(self, network: str, case: Case, asked: Asked) -> bool:
        """Whether this was measured before."""
        return (network, case.name, asked.explainer, asked.seed) in self._keys

    def add(self, record: Record) -> None:
        """Writes a record; once this returns, it is kept. Raises SimvisError where it cannot be written."""
        try:
            with open(self.folder / RECORDS, "a", encoding="utf-8") as file:
                file.write(json.dumps(record, allow_nan=False) + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise _unwritable(self.folder, error) from error
        self.known.append(record)
        self._keys.add(_key(record))

    def _check(self, settings: Mapping[str, Any]) -> None:
        """Settings must be those of the records; of tables of settings, entries may join."""
        path, wanted = self.folder / SETTINGS, json.loads(json.dumps(settings))
        known = path.exists() or path.is_symlink()
        unnamed = {key: value for key, value in BEFORE.items() if key in wanted}
        found = unnamed | _settings_in(path) if known else wanted
        differs = sorted(key for key in {*found, *wanted} if not _agree(found.get(key), wanted.get(key)))
        if differs:
            raise SimvisError(
                f"'{self.folder}', which holds an evaluation with another {', '.join(differs)}",
                "the same settings, to go on with it",
                "name another folder, or delete this one",
            )
        joined = {key: found[key] | value if isinstance(value, dict) else value for key, value in wanted.items()}
        if joined != found or not known:
            write_whole(path, (json.dumps(joined, indent=2) + "\n").encode())

    def _read(self) -> list[Record]:
        """What is there, each measurement once; lines that cannot be read are dropped, and measured again."""
        path = self.folder / RECORDS
        text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
        found = {_key(record): record for record in map(_record, text.splitlines()) if record is not None}
        if text and (len(found) < len(text.splitlines()) or not text.endswith("\n")):
            write_whole(path, "".join(json.dumps(record) + "\n" for record in found.values()).encode())
        self._keys = set(found)
        return list(found.values())


def _record(line: str) -> Record | None:
    """A line's record; None for one that was cut off or damaged."""
    try:
        record = json.loads(line)
        hash(_key(record))
        return dict(record)
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _unwritable(folder: Path, error: OSError) -> SimvisError:
    return SimvisError(
        f"'{folder}', which cannot be written ({error.strerror})", "a folder that can", "name another folder"
    )


def _settings_in(path: Path) -> dict[str, Any]:
    """Raises SimvisError for settings that are damaged: what the records belong to is not known then."""
    return fields(path, "name another folder with --out, or delete this one")


def _agree(found: Any, wanted: Any) -> bool:
    if isinstance(found, dict) and isinstance(wanted, dict):
        return all(found[key] == wanted[key] for key in found.keys() & wanted.keys())
    return bool(found == wanted)


def _key(record: Record) -> tuple[str, str, str, int]:
    return record["network"], record["case"], record["explainer"], record["seed"]
