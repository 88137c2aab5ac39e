"""The direct way in: HTTP to an address, bounded in time and size, with nothing taken from the environment unless asked."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import requests
from requests import exceptions as failed
from urllib3 import disable_warnings
from urllib3 import exceptions as trouble

from llmscan.probe.asking import (
    BODY_LIMIT,
    CUT_OFF,
    METHODS,
    NOT_HTTP,
    UNTRUSTED,
    USER_AGENT,
    Answer,
    Deadline,
    Patience,
    Trouble,
)
from llmscan.probe.timed_connection import TimedAdapter

RAW_LIMIT = 2 * BODY_LIMIT
"""How much of a body, compressed or not, is taken from the wire."""
ACCEPT = {
    "User-Agent": USER_AGENT,
    "Accept": "application/json, text/html;q=0.9, */*;q=0.8",
    "Accept-Encoding": "identity",
}


class Direct:
    """Requests to one base URL (`http://host:port/prefix`), one at a time, all of them within one deadline.

    verify: whether to verify certificates, or the path of a file of authorities. use_env: take proxies and authorities from the
    environment; credentials are never taken from there.
    """

    cross_origin = True

    def __init__(self, base: str, patience: Patience, *, verify: bool | str = True, use_env: bool = False) -> None:
        self.base = base.rstrip("/")
        self.deadline = Deadline(patience.total)
        self._patience, self._alive = patience, False
        self._adapter = TimedAdapter(self.deadline)
        self._settings = _settings(self.base, verify, use_env)
        if verify is False:
            disable_warnings(trouble.InsecureRequestWarning)  # the user said so; once for each request would be noise

    def ask(self, method: str, path: str, headers: Mapping[str, str]) -> Answer:
        """One request, no redirect followed. Raises Trouble, and ValueError for a method that could change something."""
        if method not in METHODS:
            raise ValueError(f"{method} could change the target")
        if not self.deadline.left:
            raise Trouble("took too long over all requests together")
        return _telling(lambda: self._answer(method, path, ACCEPT | dict(headers)))

    def _answer(self, method: str, path: str, headers: dict[str, str]) -> Answer:
        left = self.deadline.left
        read = self._patience.read if self._alive else self._patience.first
        request = requests.Request(method, self.base + path, headers).prepare()
        waits = (min(self._patience.connect, left), min(read, left))
        response = self._adapter.send(request, stream=True, timeout=waits, **self._settings)
        with response:
            self._alive = True
            raw = b"".join(_pieces(response.raw))
        shown = {name.lower(): value for name, value in response.headers.items()}
        return Answer(method, path, response.status_code, shown, decoded(raw, shown.get("content-encoding", "")))

    def close(self) -> None:
        """Close every connection."""
        self._adapter.close()


def _settings(url: str, verify: bool | str, use_env: bool) -> dict[str, Any]:
    """Authorities and proxies. The adapter is used by itself: a session would add credentials and cookies, and read the bodies of redirects."""
    if not use_env:
        return {"verify": verify, "proxies": {}}
    found = requests.Session().merge_environment_settings(url, {}, True, verify, None)
    return {"verify": found["verify"], "proxies": found["proxies"]}


def _pieces(body: Any) -> Iterator[bytes]:
    """The body as it comes, up to the limit. What came before a silence counts: the head of the answer is there."""
    size = 0
    while size < RAW_LIMIT:
        try:
            piece = body.read(min(16384, RAW_LIMIT - size), decode_content=False)
        except (trouble.HTTPError, OSError):
            return
        if not piece:
            return
        size += len(piece)
        yield piece


def decoded(raw: bytes, encoding: str) -> bytes:
    """A body without its compression, cut at the limit while it is unpacked; empty where it cannot be read."""
    encoding = encoding.strip().lower()
    if encoding in ("", "identity"):
        return raw[:BODY_LIMIT]
    if encoding not in ("gzip", "x-gzip", "deflate"):
        return b""
    try:
        return zlib.decompressobj(wbits=zlib.MAX_WBITS | 32).decompress(raw, BODY_LIMIT)
    except zlib.error:
        return b""


def _telling(exchange: Callable[[], Answer]) -> Answer:
    """Make a request, and say in words what went wrong. Raises Trouble."""
    try:
        return exchange()
    except failed.SSLError as error:
        raise Trouble(_tls_trouble(error)) from None
    except failed.ConnectTimeout:
        raise Trouble("did not take the connection in time") from None
    except failed.ReadTimeout:
        raise Trouble("did not answer in time", final=False) from None
    except failed.ProxyError:
        raise Trouble("is behind a proxy that does not answer") from None
    except failed.ConnectionError as error:
        raise Trouble(_connection_trouble(error)) from None
    except (failed.RequestException, trouble.HTTPError, OSError, ValueError):
        raise Trouble(NOT_HTTP) from None


def _tls_trouble(error: Exception) -> str:
    cause = _innermost(error)
    said = str(getattr(cause, "verify_message", "") or "")
    if said:
        return f"{UNTRUSTED} ({said}); --insecure goes on without that"
    reason = str(getattr(cause, "reason", "") or "").replace("_", " ").lower()
    return f"does not speak TLS as it should ({reason})" if reason else "does not speak TLS as it should"


def _connection_trouble(error: Exception) -> str:
    cause = _innermost(error)
    if isinstance(cause, trouble.NameResolutionError):
        return "has a name that cannot be resolved"
    if isinstance(cause, trouble.NewConnectionError):
        return "refuses connections"
    if isinstance(cause, trouble.ReadTimeoutError | TimeoutError):
        return "did not answer in time"
    if isinstance(cause, ConnectionError):
        return CUT_OFF
    return NOT_HTTP


def _innermost(error: BaseException) -> BaseException:
    """The exception that others were wrapped around."""
    for _ in range(8):
        inner = getattr(error, "reason", None)
        if not isinstance(inner, BaseException):
            inner = next((arg for arg in reversed(error.args) if isinstance(arg, BaseException)), None)
        if inner is None:
            return error
        error = inner
    return error
