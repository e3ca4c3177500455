"""What stands between strangers and the page: the names it is called by, who may frame it, how much they may send."""

import ipaddress
import os
import shutil
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from gradio.utils import get_upload_folder
from starlette.datastructures import Headers, MutableHeaders
from starlette.formparsers import MultiPartException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from simvis_core import SimvisError

MEBIBYTE = 2**20
LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
OPEN = ("*",)
SPACE_NAMES = ("*", "*.hf.space")
SPACE_FRAMES = ("'self'", "https://huggingface.co", "https://*.hf.space")
DAY = 24 * 3600  # seconds, after which uploaded files are deleted
VISITORS = 10_000  # whose uploads are counted
MOST_FILES = 20  # in one request: the page sends two at most
MOST_TEXT = 16 * MEBIBYTE  # of a request that sends no files
LEAST_FREE = 1024 * MEBIBYTE  # of the disk that uploads lie on


def names(host: str, on_space: bool, shared: bool) -> tuple[str, ...]:
    """The names that a server is called by, where its operator names none.

    A server that only its own machine reaches is not called by another name but from a foreign page (DNS rebinding).
    """
    if on_space:
        return SPACE_NAMES
    return LOOPBACK if host in ("127.0.0.1", "localhost", "::1") and not shared else OPEN


@dataclass(frozen=True)
class Doors:
    """The operator's rules: names, which may begin with ``*.``; origins that may frame the page; bytes a day.

    ``proxied``: a proxy in front tells who asks, in the last part of X-Forwarded-For.
    """

    names: Sequence[str] = OPEN
    frames: Sequence[str] = ("'self'",)
    uploads: int = 1024 * MEBIBYTE
    proxied: bool = False

    def middleware(self) -> list[Middleware]:
        """For `app_kwargs` of `launch`, the outermost first."""
        return [
            Middleware(Told, frames=self.frames, names=self.names),
            Middleware(TrustedHostMiddleware, allowed_hosts=list(self.names), www_redirect=False),
            Middleware(Uploads, ledger=Ledger(self.uploads), proxied=self.proxied),
        ]


class Told:
    """Tells browsers to guess no types and who may frame the page; drops names that a proxy of ours did not set.

    Gradio makes addresses of X-Forwarded-Host, so it passes only where it is one of the names.
    """

    def __init__(self, app: ASGIApp, frames: Sequence[str], names: Sequence[str]) -> None:
        self.app, self.policy = app, f"frame-ancestors {' '.join(frames)}"
        self.names = [name for name in names if name != "*"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                message.setdefault("headers", [])
                headers = MutableHeaders(scope=message)
                headers["X-Content-Type-Options"] = "nosniff"
                headers["Content-Security-Policy"] = self.policy
            await send(message)

        headers = [header for header in scope["headers"] if self._passes(*header)]
        await self.app({**scope, "headers": headers}, receive, told)

    def _passes(self, name: bytes, value: bytes) -> bool:
        if name == b"x-gradio-server":
            return False
        if name != b"x-forwarded-host":
            return True
        host = value.decode("latin-1").split(",")[0].strip().rsplit(":", 1)[0].lower()
        return any(host == name or (name.startswith("*.") and host.endswith(name[1:])) for name in self.names)


class Ledger:
    """How many bytes each visitor has sent in the last day, which is how long they are kept."""

    def __init__(self, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.most, self._clock = most, clock
        self._sent: OrderedDict[str, deque[Sent]] = OrderedDict()

    def left(self, visitor: str) -> int:
        """Bytes that the visitor may still send, those under way counted; below 0 where it is too much."""
        sent = self._sent.get(visitor, deque())
        while sent and self._clock() - sent[0].since >= DAY:
            sent.popleft()
        return self.most - sum(one.size for one in sent)

    def begin(self, visitor: str) -> "Sent":
        """A request of the visitor, whose size is to be told as it grows."""
        sent = Sent(self._clock())
        self._sent.setdefault(visitor, deque()).append(sent)
        self._sent.move_to_end(visitor)
        while len(self._sent) > VISITORS:
            self._sent.popitem(last=False)
        return sent


@dataclass
class Sent:
    """What one request sends."""

    since: float
    size: int = 0


class Uploads:
    """Holds each request to what its visitor may still send, and to what the disk has room for.

    A refusal that can be told before anything is read is; any other breaks off where the limit is met, and nothing of
    the request is kept.
    """

    def __init__(self, app: ASGIApp, ledger: Ledger, proxied: bool) -> None:
        self.app, self.ledger, self.proxied = app, ledger, proxied

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http" or scope["method"] not in ("POST", "PUT", "PATCH"):
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        files = headers.get("content-type", "").lower().startswith("multipart/")
        check = self._files(_visitor(scope, headers, self.proxied)) if files else _text
        length = headers.get("content-length", "")
        try:
            check(int(length) if length.isdecimal() else 0)
        except SimvisError as error:
            check(0)
            await PlainTextResponse(str(error), 413)(scope, receive, send)
            return
        body = _Body(check, _boundary(headers) if files else b"")

        async def read() -> Message:
            message = await receive()
            body.take(message)
            return message

        await self.app(scope, read, send)

    def _files(self, visitor: str) -> Callable[[int], None]:
        """What takes a request's size as it grows. It raises SimvisError where that is too much."""
        room, sent = _free() - LEAST_FREE, self.ledger.begin(visitor)

        def check(size: int) -> None:
            sent.size = size
            if size and self.ledger.left(visitor) < 0:
                raise SimvisError(
                    "more than this server takes of a visitor in a day",
                    f"at most {self.ledger.most // MEBIBYTE} MiB",
                    "use pictures that you have sent already, or run SimVis on your own machine",
                )
            if size > max(room, 0):
                raise SimvisError("an upload for a disk that is nearly full", "room for it", "try again tomorrow")

        return check


def _text(size: int) -> None:
    if size > MOST_TEXT:
        wanted = f"at most {MOST_TEXT // MEBIBYTE} MiB where no files are sent"
        raise SimvisError("a larger request", wanted, "ask for less at once")


class _Body:
    """What comes of a request, and how many parts; ``boundary`` stands before each file."""

    def __init__(self, check: Callable[[int], None], boundary: bytes) -> None:
        self._check, self._boundary = check, boundary
        self._size, self._parts, self._tail = 0, 0, b""

    def take(self, message: Message) -> None:
        """Counts a message. Raises MultiPartException, on which Gradio deletes what it has written of the request."""
        if message["type"] == "http.disconnect" and self._boundary:
            raise MultiPartException("The sender has left.")
        data = message.get("body", b"")
        self._size += len(data)
        try:
            self._check(self._size)
            self._count(data)
        except SimvisError as error:
            self._check(0)  # nothing of it is kept
            raise MultiPartException(str(error)) from error

    def _count(self, data: bytes) -> None:
        if not self._boundary:
            return
        seen = self._tail + data
        self._parts += seen.count(self._boundary)
        self._tail = seen[len(seen) - len(self._boundary) + 1 :]
        if self._parts > MOST_FILES + 1:  # one ends the last part
            raise SimvisError("more files in one request", f"at most {MOST_FILES}", "send them a few at a time")


def _boundary(headers: Headers) -> bytes:
    """What stands before each part of a request; two hyphens where it is not named, which Gradio refuses."""
    named = headers.get("content-type", "").partition("boundary=")[2].partition(";")[0].strip().strip('"')
    return b"--" + named.encode("latin-1")


def _visitor(scope: Scope, headers: Headers, proxied: bool) -> str:
    """Who asks: an address, of IPv6 the part that one customer has to itself."""
    told = headers.get("x-forwarded-for", "").rpartition(",")[2].strip() if proxied else ""
    client = scope.get("client") or ("",)
    try:
        address = ipaddress.ip_address(told or client[0])
    except ValueError:
        return str(told or client[0])
    return str(address) if address.version == 4 else address.exploded[:19]


def _free() -> int:
    """Bytes that the disk of the uploads has left; their folder is made on the first upload."""
    folder = Path(get_upload_folder())
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def on_space() -> bool:
    """Whether this server is a Hugging Face Space, whose page stands in a frame and behind a proxy."""
    return "SPACE_ID" in os.environ
