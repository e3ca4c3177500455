"""Why a download failed, and what helps, in words for whoever asked for the network."""

import errno
import socket
import ssl
import urllib.error
from http.client import HTTPException

CACHE = "PyTorch's cache (hub/checkpoints in TORCH_HOME, or in ~/.cache/torch)"
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
_NOT_WRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.EISDIR)


def why_failed(error: BaseException) -> str:
    """The reason in plain words, whatever library raised it, and never a library's own."""
    cause = _cause(error)
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
    return bool(names & {"URLError", "TransportError", "LocalEntryNotFoundError", "OfflineModeIsEnabled"}) or (
        isinstance(_cause(error), (OSError, HTTPException)) and not isinstance(_cause(error), urllib.error.HTTPError)
    )


def _cause(error: BaseException) -> BaseException:
    """What a library wrapped: urllib says every reason by one class."""
    reason = getattr(error, "reason", None)
    return reason if isinstance(reason, BaseException) else error


def _number(error: BaseException) -> int | None:
    return error.errno if isinstance(error, OSError) else None


_REASONS: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], str], ...] = (
    (socket.gaierror, "its address is not found, as without a connection to the internet"),
    (TimeoutError, "the server does not answer in time"),
    (ConnectionRefusedError, "the server refuses the connection"),
    (ssl.SSLError, "the server's certificate is not trusted here, as behind some proxies"),
    ((ConnectionError, HTTPException), "the connection broke off"),
)
_NUMBERS = ((_NO_ROOM, "there is no room left for it"), (_NOT_WRITABLE, f"{CACHE} cannot be written"))
_ANOTHER = "what came is not the published file, whose hash is another: it broke off, or was changed on the way"
