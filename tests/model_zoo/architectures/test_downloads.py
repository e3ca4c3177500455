"""Downloads that fail: why and what helps, never a library's own words."""

import errno
import socket
import ssl
from email.message import Message
from http.client import IncompleteRead, RemoteDisconnected
from types import SimpleNamespace
from urllib.error import HTTPError, URLError

import httpx
import pytest
import torch
from huggingface_hub import errors

import model_zoo
from model_zoo.architectures import arranging, timm_networks
from simvis_core import SimvisError

ELSEWHERE = "or put the file 'resnet18-f37072fd.pth' from elsewhere into PyTorch's cache (hub/checkpoints in TORCH_HOME"
FAILURES = [
    (URLError(socket.gaierror(-2, "Name or service not known")), "its address is not found", ELSEWHERE),
    (URLError(socket.gaierror(-3, "Temporary failure")), "as without a connection to the internet", ELSEWHERE),
    (URLError(TimeoutError("timed out")), "does not answer in time", ELSEWHERE),
    (TimeoutError("timed out"), "does not answer in time", ELSEWHERE),
    (URLError(ConnectionRefusedError(111, "Connection refused")), "refuses the connection", ELSEWHERE),
    (URLError(OSError(errno.ENETUNREACH, "Network is unreachable")), "nobody answers", ELSEWHERE),
    (URLError(ssl.SSLCertVerificationError("bad")), "certificate is not trusted", ELSEWHERE),
    (URLError("unknown url type: x"), "nobody answers", ELSEWHERE),
    (ConnectionResetError(104, "reset"), "the connection broke off", ELSEWHERE),
    (RemoteDisconnected("closed"), "the connection broke off", ELSEWHERE),
    (IncompleteRead(b"half"), "the connection broke off", ELSEWHERE),
    (RuntimeError('invalid hash value (expected "f3", got "00")'), "not the published file", "try again, " + ELSEWHERE),
    (HTTPError("http://x", 503, "Busy", Message(), None), "the server answers 503 Busy", ELSEWHERE),
    (OSError(errno.ENOSPC, "No space left on device"), "no room left", "free 47 MB there, or set TORCH_HOME"),
    (PermissionError(errno.EACCES, "denied"), "cannot be written", "set TORCH_HOME to a folder that can be written"),
    (OSError(errno.EROFS, "read-only"), "cannot be written", "set TORCH_HOME to a folder that can be written"),
]


@pytest.mark.parametrize(("error", "reason", "cure"), FAILURES, ids=lambda value: str(value)[:30])
def test_a_download_that_fails_says_why_and_what_helps(monkeypatch, tmp_path, error, reason, cure):
    def fails(*_, **__):
        raise error

    monkeypatch.setattr(torch.hub, "download_url_to_file", fails)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(SimvisError) as caught:
        model_zoo.load("resnet18")
    sentence = str(caught.value)
    assert reason in sentence
    assert cure in sentence
    assert "efficientnet_lite0" in sentence  # what works now
    assert not any(word in sentence for word in ("urlopen", "Errno", "<", "expected", str(tmp_path)))


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (URLError(socket.gaierror(-2, "Name or service not known")), "its address is not found"),
        (httpx.ConnectError("[Errno -2] Name or service not known"), "nobody answers, and this machine has no copy"),
        (httpx.ReadTimeout("timed out"), "nobody answers"),
        (IncompleteRead(b"half"), "the connection broke off"),
        (OSError(errno.ENOSPC, "No space left on device"), "there is no room left for it"),
        (RuntimeError("no weights are published"), "no weights are published"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_librarys_weights_that_cannot_be_had_say_why(monkeypatch, error, reason):
    def fails(*_, **__):
        raise error

    monkeypatch.setattr(timm_networks, "create", fails)
    with pytest.raises(SimvisError) as caught:
        arranging.build("timm/resnet18", pretrained=True)
    assert f"'timm/resnet18', whose weights cannot be had ({reason}" in str(caught.value)
    assert "or load your own checkpoint of it" in str(caught.value)
    assert not any(word in str(caught.value) for word in ("urlopen", "Errno", "<"))


ANSWER = SimpleNamespace(headers={}, request=None)
OF_HUB = [
    (errors.GatedRepoError, "accepted its owner's terms", "accept them on huggingface.co and sign in"),
    (errors.RepositoryNotFoundError, "has nothing of that name for everyone", "look its name up on huggingface.co"),
    (errors.RevisionNotFoundError, "has no such revision", "look its name up on huggingface.co"),
    (errors.RemoteEntryNotFoundError, "no network of this library", "by the library that its page"),
]


@pytest.mark.parametrize(("kind", "reason", "cure"), OF_HUB, ids=[kind.__name__ for kind, *_ in OF_HUB])
@pytest.mark.parametrize("wrapped", [False, True])
def test_what_the_hub_answers_is_told_apart(monkeypatch, kind, reason, cure, wrapped):
    """An answer is no lost connection; and the library may have told it by an error of its own."""

    def fails(*_, **__):
        answer = kind("404 Client Error. (Request ID: x) for url: https://hub/x", response=ANSWER)
        if wrapped:
            raise OSError("x is not a local folder") from answer
        raise answer

    monkeypatch.setattr(timm_networks, "create", fails)
    with pytest.raises(SimvisError) as caught:
        arranging.build("timm/resnet18", pretrained=True)
    assert reason in caught.value.got
    assert cure in caught.value.cure
    assert not any(word in str(caught.value) for word in ("nobody answers", "404", "https", "local folder"))


def test_an_error_of_the_hubs_own_client_is_told_too(monkeypatch):
    """Which need not be httpx: the hub's errors say what it is."""
    lost = type("TransportError", (errors.HfHubHTTPError.__mro__[1],), {})

    def fails(*_, **__):
        raise lost("[Errno -2] Name or service not known")

    monkeypatch.setattr(timm_networks, "create", fails)
    with pytest.raises(SimvisError, match=r"whose weights cannot be had .nobody answers") as caught:
        arranging.build("timm/resnet18", pretrained=True)
    assert "Errno" not in str(caught.value)
