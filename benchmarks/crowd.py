"""Fifty visitors at once: whether each gets the right answer, how long they wait, and what memory the server needs.

A visitor compares a pair on the page, or asks for its explanation as a program does, mostly of new pictures, or asks
for a point of a pair that all know. Each answer is compared with what one visitor alone gets, which is worked out
before, in this process.
"""

import asyncio
import json
import os
import random
import statistics
import tempfile
import time
import uuid
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from PIL import Image

from benchmarks.drag import running
from benchmarks.pictures import FOLDER, first_pair
from benchmarks.tables import Table, number
from simvis_app.service.sessions.session import Session, Settings

MEBIBYTE = 2**20
CLOSE = 1e-4  # of a score: a mix-up is off by far more, another batch or machine by far less
PAGE, PAIR, POINT = "a pair on the page", "a pair by the API", "a point of a known pair"
SEEN = {"backbone": "efficientnet_lite0", "pooling": "avg", "view_size": 224, "framing": "whole"}
KINDS = {PAGE: 0.3, PAIR: 0.3, POINT: 0.4}  # shares of the requests
SETTLED = 0.25  # of the requests, after which memory must stay
WINDOW = 25  # requests on either side, over which memory is a median
CELL = 32  # pixels of a view
PATIENCE = 600  # seconds until the server has indexed its samples


@dataclass(frozen=True)
class Load:
    """How many visitors ask how often, about how many different pairs."""

    visitors: int
    requests: int
    pairs: int


# Of the 2000 requests three in five are of a pair: each of 280 was asked for by the 500th, and from there on nothing
# that is kept is new.
FULL, QUICK = Load(50, 2000, 280), Load(4, 24, 4)


@dataclass
class Seen:
    """What the crowd met."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    errors: list[str] = field(default_factory=list)
    mixed: list[str] = field(default_factory=list)
    resident: list[float] = field(default_factory=list)  # MiB after each request
    took: float = 0.0


@dataclass(frozen=True)
class Right:
    """The single visitor's answers: the score of each pair, and what each column of the known pair's first row has."""

    scores: Sequence[float]
    shares: Sequence[float]


def tables(quick: bool) -> list[Table]:
    """Who waited how long, and the server's memory along the way."""
    load = QUICK if quick else FULL
    with tempfile.TemporaryDirectory() as folder:
        pairs = list(_pairs(Path(folder), load.pairs))
        right = _right(pairs)
        with _own_folders(Path(folder)), running(Path(folder) / "galleries") as (address, pid):
            seen = asyncio.run(_crowd(address, pid, load, pairs, right))
    return [_waits(seen, load), _memory(seen, load)]


def _waits(seen: Seen, load: Load) -> Table:
    rows = [
        [kind, str(len(times)), *(number(_quantile(times, part) * 1000) for part in (0.5, 0.95, 1))]
        for kind, times in sorted(seen.seconds.items())
    ]
    notes = [
        f"{len(seen.errors)} errors, {len(seen.mixed)} mix-ups; {load.requests / seen.took:.1f} requests a second. "
        "Visitors, server and driver share the cores; efficientnet_lite0, eager, short side 224."
    ]
    notes += [f"For example: {text}" for text in (*seen.errors[:1], *seen.mixed[:1])]
    title = f"{load.visitors} visitors at once, {load.requests} requests"
    return Table(title, ["asked for", "requests", "median, ms", "95 %, ms", "longest, ms"], rows, notes)


def _memory(seen: Seen, load: Load) -> Table:
    first = max(1, round(load.requests * SETTLED))
    steps = [first, *(round(load.requests * part) for part in (0.5, 0.75, 1))]
    at = {step: _around(seen.resident, step) for step in steps}
    later = [_around(seen.resident, step) for step in range(first, load.requests + 1)]
    rows = [[str(step), number(value), f"{value / at[first] - 1:+.1%}"] for step, value in at.items()]
    rows.append(["most from there on", number(max(later)), f"{max(later) / at[first] - 1:+.1%}"])
    note = f"Resident memory of the server, the median over {2 * WINDOW} requests; its cache holds at most 1 GiB."
    return Table("Memory of the server", ["after request", "MiB", "more than at the first"], rows, [note])


def _around(resident: list[float], step: int) -> float:
    return statistics.median(resident[max(0, step - 1 - WINDOW) : step + WINDOW])


def _quantile(times: list[float], part: float) -> float:
    return sorted(times)[min(len(times) - 1, int(part * len(times)))]


def _pairs(folder: Path, count: int) -> Iterator[tuple[Path, Path]]:
    """Different pictures: parts of the samples, of many shapes."""
    chance, files = random.Random(0), sorted((FOLDER / "pictures").glob("*/*.jpg"))
    for at in range(count):
        made = []
        for side in "ab":
            with Image.open(chance.choice(files)) as image:
                width, height = (round(length * chance.uniform(0.6, 1)) for length in image.size)
                left, top = (chance.randrange(a - b + 1) for a, b in zip(image.size, (width, height), strict=True))
                made.append(folder / f"{at}_{side}.jpg")
                image.crop((left, top, left + width, top + height)).save(made[-1], quality=90)
        yield made[0], made[1]


def _right(pairs: Sequence[tuple[Path, Path]]) -> Right:
    alone = Session(features_limit=0)
    known = alone.explain(*first_pair(), Settings())
    columns = range(known.a.grid[1])
    shares = [known.point_share("a", CELL * column + CELL / 2 - 0.5, CELL / 2 - 0.5) for column in columns]
    return Right([alone.explain(a, b, Settings()).score for a, b in pairs], shares)


@contextmanager
def _own_folders(folder: Path) -> Iterator[None]:
    """What the server writes is gone afterwards, and it finds nothing of other runs."""
    kept = {name: os.environ.get(name) for name in ("HOME", "GRADIO_TEMP_DIR")}
    os.environ |= {"HOME": str(folder), "GRADIO_TEMP_DIR": str(folder / "gradio")}
    try:
        yield
    finally:
        for name, value in kept.items():
            os.environ.pop(name)
            os.environ |= {name: value} if value is not None else {}


@dataclass(frozen=True)
class Comparing:
    """The page's own comparison: its number there, and what its fields hold as the page opens."""

    number: int
    values: tuple[Any, ...]

    @classmethod
    async def of(cls, http: httpx.AsyncClient) -> "Comparing":
        """As the page describes it."""
        page = (await http.get("/config")).raise_for_status().json()
        opened = {part["id"]: part["props"].get("value") for part in page["components"]}
        event = next(event for event in page["dependencies"] if event["api_name"] == "compare")
        return cls(event["id"], tuple(opened[part] for part in event["inputs"]))


@dataclass(frozen=True)
class Endpoints:
    """What each part of the API takes: its parameters by name, in order, with what stands for those left out."""

    defaults: dict[str, dict[str, Any]]

    @classmethod
    async def of(cls, http: httpx.AsyncClient) -> "Endpoints":
        """As the server describes them."""
        told = (await http.get("/gradio_api/info")).raise_for_status().json()["named_endpoints"]
        return cls(
            {
                name.removeprefix("/"): {one["parameter_name"]: one["parameter_default"] for one in facts["parameters"]}
                for name, facts in told.items()
            }
        )

    def values(self, name: str, given: dict[str, Any]) -> list[Any]:
        """The values in their order. Raises KeyError for a parameter that there is not."""
        known = self.defaults[name]
        unknown = given.keys() - known.keys()
        if unknown:
            raise KeyError(f"/{name} takes no {', '.join(sorted(unknown))}: {', '.join(known)}")
        return list((known | given).values())


class Visitor:
    """One of the crowd: asks as a program or as a browser does, and compares."""

    def __init__(
        self, http: httpx.AsyncClient, uploaded: dict[Path, str], comparing: Comparing, endpoints: Endpoints
    ) -> None:
        self.http, self.uploaded, self.comparing, self.endpoints = http, uploaded, comparing, endpoints
        self.session = uuid.uuid4().hex

    async def ask(self, name: str, **given: Any) -> Any:
        """An answer, the last that comes. Raises RuntimeError for an error."""
        data = self.endpoints.values(name, given)
        joined = await self.http.post(f"/gradio_api/call/{name}", json={"data": data})
        joined.raise_for_status()
        event = ""
        answer: Any = None
        async with self.http.stream("GET", f"/gradio_api/call/{name}/{joined.json()['event_id']}") as lines:
            async for line in lines.aiter_lines():
                event = line.removeprefix("event: ") if line.startswith("event: ") else event
                if line.startswith("data: ") and event in ("complete", "error"):
                    answer = json.loads(line.removeprefix("data: "))
        if event != "complete":
            raise RuntimeError(f"{name}: {event} {answer}")
        return answer[0]

    async def picture(self, file: Path) -> dict[str, Any]:
        """The file as a value; sent the first time that anybody needs it."""
        if file not in self.uploaded:
            sent = await self.http.post("/gradio_api/upload", files={"files": (file.name, file.read_bytes())})
            sent.raise_for_status()
            self.uploaded[file] = sent.json()[0]
        return {"path": self.uploaded[file], "meta": {"_type": "gradio.FileData"}}

    async def pair(self, files: tuple[Path, Path]) -> float:
        """The pair's score."""
        a, b = [await self.picture(file) for file in files]
        return float((await self.ask("explain_pair", image_a=a, image_b=b, **SEEN))["score"])

    async def compare(self, files: tuple[Path, Path]) -> float:
        """The score of the pair that the page shows. Raises RuntimeError for an error."""
        pictures = [await self.picture(file) for file in files]
        body = {"data": [*pictures, *self.comparing.values[2:]], "fn_index": self.comparing.number}
        joined = await self.http.post("/gradio_api/queue/join", json=body | {"session_hash": self.session})
        joined.raise_for_status()
        message: dict[str, Any] = {}
        async with self.http.stream("GET", "/gradio_api/queue/data", params={"session_hash": self.session}) as lines:
            async for line in lines.aiter_lines():
                if line.startswith("data: ") and message.get("msg") != "process_completed":
                    message = json.loads(line.removeprefix("data: "))
        if not message.get("success"):
            raise RuntimeError(f"compare: {message}")
        return float(
            next(part["score"] for part in message["output"]["data"] if isinstance(part, dict) and "score" in part)
        )

    async def point(self, column: int) -> float:
        """What a cell of the known pair's first row carries."""
        a, b = [await self.picture(file) for file in first_pair()]
        place = {"side": "a", "x": CELL * column + CELL / 2 - 0.5, "y": CELL / 2 - 0.5}
        return float((await self.ask("explain_point", image_a=a, image_b=b, **place, **SEEN))["share"])


async def _crowd(address: str, pid: int, load: Load, pairs: Sequence[tuple[Path, Path]], right: Right) -> Seen:
    seen, left = Seen(), iter(_requests(load, len(right.shares)))
    async with httpx.AsyncClient(base_url=address, timeout=600, limits=httpx.Limits(max_connections=None)) as http:
        uploaded: dict[Path, str] = {}
        known = await Comparing.of(http), await Endpoints.of(http)
        await _indexed(Visitor(http, uploaded, *known))
        started = time.perf_counter()
        visitors = (Visitor(http, uploaded, *known) for _ in range(load.visitors))
        await asyncio.gather(*(_stay(visitor, left, pairs, right, seen, pid) for visitor in visitors))
        seen.took = time.perf_counter() - started
    return seen


def _requests(load: Load, columns: int) -> list[tuple[str, int]]:
    """Every pair once as soon as may be, then pairs by chance; points in between."""
    chance, fresh = random.Random(1), iter(range(load.pairs))
    kinds = chance.choices(list(KINDS), list(KINDS.values()), k=load.requests)
    pair = lambda: next(fresh, chance.randrange(load.pairs))
    return [(kind, chance.randrange(columns) if kind == POINT else pair()) for kind in kinds]


async def _indexed(visitor: Visitor) -> None:
    """Waits until the samples are indexed: that is the server's own work. Raises TimeoutError where it never is."""
    picture, total, reason = await visitor.picture(first_pair()[0]), 0, "it has fewer pictures than the samples"
    patience = time.monotonic() + PATIENCE
    while total < 256:  # the picture itself is left out
        if time.monotonic() > patience:
            raise TimeoutError(f"the samples are not indexed: {reason}")
        await asyncio.sleep(1)
        try:
            total = (await visitor.ask("search", image=picture, gallery="samples", k=1))["total"]
        except (RuntimeError, httpx.RemoteProtocolError) as error:  # no such gallery yet, or a busy server hung up
            reason = repr(error)
    for column in (0, 1):
        await visitor.point(column)


async def _stay(
    visitor: Visitor,
    left: Iterator[tuple[str, int]],
    pairs: Sequence[tuple[Path, Path]],
    right: Right,
    seen: Seen,
    pid: int,
) -> None:
    """Asks on for as long as requests are left."""
    for kind, at in left:
        started = time.perf_counter()
        try:
            got = await (visitor.point(at) if kind == POINT else ASK[kind](visitor, pairs[at]))
        except (RuntimeError, httpx.HTTPError) as error:
            seen.errors.append(f"{kind} {at}: {error!r}")
        else:
            wanted = (right.shares if kind == POINT else right.scores)[at]
            if abs(got - wanted) > CLOSE:
                seen.mixed.append(f"{kind} {at}: {got}, not {wanted}")
        seen.seconds[kind].append(time.perf_counter() - started)
        seen.resident.append(resident(pid))


ASK: dict[str, Callable[[Visitor, tuple[Path, Path]], Awaitable[float]]] = {
    PAGE: Visitor.compare,
    PAIR: Visitor.pair,
}


def resident(pid: int) -> float:
    """Memory of a process that is in use, in MiB; needs Linux."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024
