"""Why a download failed, and what helps, in words for whoever asked for the network."""

import errno
import socket
import ssl
import urllib.error
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException

import httpx
from huggingface_hub import errors as hub

from simvis_core.errors import SimvisError

# What libraries raise for what cannot be had; a RuntimeError says that timm publishes no such weights. The hub's client
# has a base class of errors that another client than httpx may bring.
_FAILURES: tuple[type[Exception], ...] = (
    OSError,
    RuntimeError,
    ValueError,
    HTTPException,
    httpx.HTTPError,
    hub.HfHubHTTPError.__mro__[1],
)
CACHE = "PyTorch's cache (hub/checkpoints in TORCH_HOME, or in ~/.cache/torch)"
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
_NOT_WRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.EISDIR)


@contextmanager
def having(name: str, wanted: bool = True) -> Iterator[None]:
    """Turns what a library raises where a network's description or weights cannot be had into a sentence.

    Where nothing is ``wanted`` from elsewhere, an error is a bug and is let through. Raises SimvisError.
    """
    try:
        yield
    except SimvisError:
        raise
    except _FAILURES as error:
        if not wanted:
            raise
        raise _not_had(name, error) from error


def _not_had(name: str, error: Exception) -> SimvisError:
    reason = why_failed(error) + ", and this machine has no copy" * unreachable(error)
    return SimvisError(
        f"'{name}', whose weights cannot be had ({reason})",
        "an architecture with published weights, and a connection on first use",
        _HUB_CURES.get(_of_hub(error), "connect this machine to the internet, or load your own checkpoint of it"),
    )


def why_failed(error: BaseException) -> str:
    """The reason in plain words, whatever library raised it, and never a library's own."""
    cause = _cause(error)
    if _of_hub(error):
        return _HUB[_of_hub(error)]
    if isinstance(cause, urllib.error.HTTPError):
        return f"the server answers {cause.code} {cause.reason}".strip()
    known = [words for kinds, words in _REASONS if isinstance(cause, kinds)]
    known += [words for numbers, words in _NUMBERS if _number(cause) in numbers]
    known += ["nobody answers"] * unreachable(cause)
    known += [_ANOTHER] * ("hash" in str(cause))
    return known[0] if known else " ".join(str(error).split())[:200]


def cure(error: BaseException, file: str, size: str) -> str:
    """What helps against it."""
    number = _number(_cause(error))
    if number in _NO_ROOM:
        return f"free {size} there, or set TORCH_HOME to a folder with room"
    if number in _NOT_WRITABLE:
        return "set TORCH_HOME to a folder that can be written"
    again = "try again" if "hash" in str(error) else "connect this machine to the internet and try again"
    return f"{again}, or put the file '{file}' from elsewhere into {CACHE}"


def unreachable(error: BaseException) -> bool:
    """Whether it says that nobody answered, as urllib, a socket, and the hub's client (by other classes) do."""
    names = {kind.__name__ for kind in type(_cause(error)).__mro__}
    if _of_hub(error):
        return False
    return bool(names & {"URLError", "TransportError", "LocalEntryNotFoundError", "OfflineModeIsEnabled"}) or (
        isinstance(_cause(error), (OSError, HTTPException)) and not isinstance(_cause(error), urllib.error.HTTPError)
    )


def _cause(error: BaseException) -> BaseException:
    """What a library wrapped: urllib says every reason by one class."""
    reason = getattr(error, "reason", None)
    return reason if isinstance(reason, BaseException) else error


def _of_hub(error: BaseException) -> str:
    """Which of the hub's answers it is, or was raised from; empty for none."""
    names = {kind.__name__ for one in (error, error.__cause__, error.__context__) for kind in type(one).__mro__}
    return next((name for name in _HUB if name in names), "")


def _number(error: BaseException) -> int | None:
    return error.errno if isinstance(error, OSError) else None


_REASONS: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], str], ...] = (
    (socket.gaierror, "its address is not found, as without a connection to the internet"),
    (TimeoutError, "the server does not answer in time"),
    (ConnectionRefusedError, "the server refuses the connection"),
    (ssl.SSLError, "the server's certificate is not trusted here, as behind some proxies"),
    ((ConnectionError, HTTPException), "the connection broke off"),
)
# The hub's answers by their classes in its client, the narrower first: a gated repository is one that is not found.
_HUB = {
    "GatedRepoError": "the hub gives it to those who accepted its owner's terms",
    "RepositoryNotFoundError": "the hub has nothing of that name for everyone",
    "RevisionNotFoundError": "the hub has no such revision of it",
    "RemoteEntryNotFoundError": "what the hub has of that name is no network of this library",
    "HFValidationError": "the hub has no names like this one",
}
_HUB_CURES = {
    "GatedRepoError": "accept them on huggingface.co and sign in by `hf auth login`",
    **dict.fromkeys(
        ("RepositoryNotFoundError", "RevisionNotFoundError", "HFValidationError"), "look its name up on huggingface.co"
    ),
    "RemoteEntryNotFoundError": "ask for it by the library that its page on huggingface.co names",
}
_NUMBERS = ((_NO_ROOM, "there is no room left for it"), (_NOT_WRITABLE, f"{CACHE} cannot be written"))
_ANOTHER = "what came is not the published file, whose hash is another: it broke off, or was changed on the way"
