"""Requests to a Kubernetes API server: raw paths in, parsed JSON out, with bounded patience."""

from __future__ import annotations

import json
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from threading import Event, Lock, Thread
from time import monotonic, time
from typing import Any
from urllib.parse import urlencode, urlsplit

from llmscan.collect.kubeconfig import Login, TargetUnreachable
from llmscan.records import Record
from llmscan.version import __version__

Json = dict[str, Any]

CONNECT_TIMEOUT = 5.0
READ_TIMEOUT = 30.0
REACH_TIMEOUT = 9.0
PATIENCE = 30.0
SHARED_PATIENCE = 60.0
WORKERS = 6
_PASSING = frozenset({429, 500, 502, 503, 504})
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class ApiFailure(Exception):
    """A request that got no usable answer; `why` goes on from "the API server".

    `status` is None when there was no whole answer at all; `retry_after` is in seconds.
    """

    def __init__(self, why: str, status: int | None = None, retry_after: float | None = None) -> None:
        super().__init__(why)
        self.why = why
        self.status = status
        self.retry_after = retry_after


class Reply(Record, frozen=True):
    """A raw answer, its body cut at the limit that was asked."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class ApiClient:
    """One cluster's connection pool, with its credentials. Safe to share between threads."""

    def __init__(self, login: Login) -> None:
        from kubernetes.client.rest import RESTClientObject
        from urllib3 import HTTPHeaderDict, disable_warnings
        from urllib3.exceptions import InsecureRequestWarning

        configuration = login.configuration
        # Each worker may have the next page of its list on the way.
        configuration.connection_pool_maxsize = 2 * WORKERS
        self.context = login.context
        self.host: str = configuration.host.rstrip("/")
        self._pool = RESTClientObject(configuration).pool_manager
        if not configuration.verify_ssl:
            # The kubeconfig says so itself; once for each request would be noise.
            disable_warnings(InsecureRequestWarning)
        self._headers = HTTPHeaderDict(login.headers)
        self._headers.extend({"Accept": "application/json", "User-Agent": f"llmscan/{__version__}"})
        # Releases of the client differ in the name of the key; there is never more than one.
        credential = next(iter(configuration.api_key.values()), "").strip()
        if credential:
            self._headers["Authorization"] = credential
        self._lock = Lock()
        self._waited = 0.0
        self._stopped = Event()

    @property
    def place(self) -> str:
        """The server's address without path and credentials, for messages."""
        parts = urlsplit(self.host)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"

    def stop(self) -> None:
        """Give up waiting for a busy server, in all threads."""
        self._stopped.set()

    def reach(self) -> None:
        """Raises TargetUnreachable, within ten seconds, unless the server answers and accepts the credentials."""
        found: list[Exception | None] = []
        # Name resolution knows no timeout: the thread is left behind when it hangs.
        attempt = Thread(target=lambda: found.append(self._attempt_to_reach()), daemon=True)
        attempt.start()
        attempt.join(REACH_TIMEOUT)
        failure = found[0] if found else ApiFailure("did not answer in time")
        if isinstance(failure, ApiFailure) and failure.status is None:
            raise TargetUnreachable(f"The API server at {self.place} cannot be reached: it {failure.why}.")
        if isinstance(failure, ApiFailure) and failure.status == 401:
            raise TargetUnreachable(f"The API server at {self.place} refuses the credentials of {self.context} (401).")

    def _attempt_to_reach(self) -> Exception | None:
        try:
            self._once("GET", "/version", None, (CONNECT_TIMEOUT, CONNECT_TIMEOUT))
        except ApiFailure as failure:
            return failure
        return None

    def get(self, path: str, query: Mapping[str, str | int] | None = None) -> Json:
        """The JSON document at a path. Raises ApiFailure, after patience with a busy server or a bad connection."""
        return self._patiently("GET", f"{path}?{urlencode(query)}" if query else path, None)

    def review(self, path: str, document: Json) -> Json:
        """POST of an access review, which stores nothing. Raises ApiFailure."""
        return self._patiently("POST", path, document)

    def raw(self, method: str, path: str, headers: Mapping[str, str], timeout: float, limit: int) -> Reply:
        """One reading request as it is, without retries or redirects, with at most `limit` bytes of its body."""
        if method not in _SAFE_METHODS:
            raise ValueError(f"{method} could change the target")
        response = self._send(method, path, None, (min(CONNECT_TIMEOUT, timeout), timeout), dict(headers))
        try:
            body = _reading(lambda: response.read(limit, decode_content=True))
            return Reply(response.status, dict(response.headers), body)
        finally:
            response.close()

    def _patiently(self, method: str, path: str, document: Json | None) -> Json:
        """Tries again for half a minute; all threads together wait no longer than a whole one, however many lists fail."""
        start, pause = monotonic(), 0.5
        while True:
            try:
                return self._once(method, path, document, (CONNECT_TIMEOUT, READ_TIMEOUT))
            except ApiFailure as failure:
                wait = max(pause, failure.retry_after or 0.0)
                passing = failure.status is None or failure.status in _PASSING
                if not passing or monotonic() + wait - start > PATIENCE or not self._may_wait(wait):
                    raise
            if self._stopped.wait(wait):
                raise ApiFailure("was not waited for")
            pause = min(pause * 2, 8.0)

    def _may_wait(self, seconds: float) -> bool:
        with self._lock:
            self._waited += seconds
            return self._waited <= SHARED_PATIENCE

    def _once(self, method: str, path: str, document: Json | None, timeouts: tuple[float, float]) -> Json:
        body = None if document is None else json.dumps(document).encode()
        headers = {} if body is None else {"Content-Type": "application/json"}
        response = self._send(method, path, body, timeouts, headers)
        try:
            content = _reading(lambda: response.read(decode_content=True))
        finally:
            response.release_conn()
        if response.status >= 300:
            raise ApiFailure(
                f"answered {response.status}", response.status, _retry_after(response.headers.get("Retry-After"))
            )
        return _parsed(content)

    def _with(self, headers: Mapping[str, str]) -> Any:
        """The usual headers with others in their place: a merge would send both."""
        merged = self._headers.copy()
        for name, value in headers.items():
            merged[name] = value
        return merged

    def _send(
        self, method: str, path: str, body: bytes | None, timeouts: tuple[float, float], headers: Mapping[str, str]
    ) -> Any:
        from urllib3 import Timeout

        return _reading(
            lambda: self._pool.request(
                method,
                self.host + path,
                body=body,
                headers=self._with(headers),
                timeout=Timeout(connect=timeouts[0], read=timeouts[1]),
                retries=False,
                redirect=False,
                preload_content=False,
            )
        )


def _parsed(content: bytes) -> Json:
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        raise ApiFailure("answered with a body that is no JSON") from None
    if not isinstance(document, dict):
        raise ApiFailure("answered with a body that is no object")
    return document


def _reading(exchange: Any) -> Any:
    """Calls into urllib3 and says in the user's words what went wrong there. Raises ApiFailure."""
    from urllib3 import exceptions as trouble

    try:
        return exchange()
    except trouble.NameResolutionError:
        why = "has a name that cannot be resolved"
    except trouble.NewConnectionError:
        why = "refuses connections"
    except (trouble.ConnectTimeoutError, trouble.ReadTimeoutError):
        why = "did not answer in time"
    except trouble.ProxyError:
        why = "is behind a proxy that does not answer"
    except trouble.SSLError as error:
        why = f"cannot be trusted: {_certificate_trouble(error)}"
    except trouble.HTTPError:
        why = "cut the connection off"
    except OSError as error:
        why = f"cannot be used with these certificates: {error.strerror or type(error).__name__}"
    raise ApiFailure(why)


def _certificate_trouble(error: Exception) -> str:
    cause = error.args[0] if error.args else error
    return str(getattr(cause, "verify_message", "") or getattr(cause, "reason", "") or "TLS failed")


def _retry_after(header: str | None) -> float | None:
    """Seconds, from either form of the header."""
    if not header:
        return None
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - time())
    except (ValueError, TypeError):
        return None
