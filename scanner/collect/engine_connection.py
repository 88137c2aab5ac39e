"""Asks an engine questions over its HTTP API: only GET, bounded in time and size, every refusal in one sentence.

The `docker` package brings the transports (socket, named pipe, TLS, SSH). Its own methods read replies of any length and wait as long as
bytes trickle in, so that the requests are made here.
"""

from __future__ import annotations

import errno
import json
import re
import socket
import threading
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from llmscan.collect.engine_address import EngineAddress
from llmscan.collect.engine_json import Json, as_map, as_text, plain
from llmscan.collect.errors import TargetUnreachable
from llmscan.version import __version__

if TYPE_CHECKING:
    import requests
    from docker import APIClient

CONNECT_SECONDS = 5
READ_SECONDS = 30
REPLY_SECONDS = 60
MAX_REPLY = 64_000_000
OLDEST_API = (1, 24)
NEWEST_API = (1, 47)
"""The newest API version whose replies are understood; an engine that offers more is asked for this one."""


class EngineRefusal(Exception):
    """One question that the engine did not answer. `status` is the HTTP status, 0 where there was none; `hung`: it kept silent."""

    def __init__(self, why: str, status: int = 0, *, hung: bool = False) -> None:
        super().__init__(why)
        self.why, self.status, self.hung = why, status, hung


class EngineConnection:
    """An engine that answered. `version` is what it says of itself."""

    def __init__(self, address: EngineAddress, client: APIClient, read_seconds: float = READ_SECONDS) -> None:
        self.address = address
        self._client = client
        self._read_seconds = read_seconds
        self._prefix = ""
        self.version: Json = {}

    def close(self) -> None:
        """Let go of the sockets."""
        self._client.close()

    def agree_on_version(self) -> None:
        """Learn the engine's API version and settle on one. Raises EngineRefusal, and TargetUnreachable for one too old."""
        self.version = as_map(self.get("/version"))
        newest = _version(self.version.get("ApiVersion"))
        oldest = _version(self.version.get("MinAPIVersion")) or (1, 0)
        if newest is None:
            raise TargetUnreachable(f"What answers at {self.address} is not a container engine.")
        if newest < OLDEST_API:
            need = ".".join(map(str, OLDEST_API))
            raise TargetUnreachable(f"The engine speaks API version {_dotted(newest)}; llmscan needs {need} or newer.")
        self._prefix = f"/v{_dotted(max(min(newest, NEWEST_API), oldest))}"

    def get(self, *path: str, **query: str) -> Any:
        """The JSON reply to a GET of the path, each part of it quoted. Raises EngineRefusal.

        Timeouts of a socket start anew with every byte, so that the whole of it runs beside, and is left behind when its time is over.
        """
        head, *rest = path
        url = f"{self._client.base_url}{self._prefix}{head}{''.join('/' + quote(part, safe='') for part in rest)}"
        outcome: list[Any] = []
        asking = threading.Thread(target=self._ask, args=(url, query, outcome), daemon=True)
        asking.start()
        asking.join(min(REPLY_SECONDS, 4 * self._read_seconds))
        if not outcome:
            raise EngineRefusal("answers too slowly", hung=True)
        if isinstance(outcome[0], EngineRefusal):
            raise outcome[0]
        return outcome[0]

    def _ask(self, url: str, query: dict[str, str], outcome: list[Any]) -> None:
        """Put the reply, or the refusal, into `outcome`."""
        import requests

        timeout = (CONNECT_SECONDS, self._read_seconds)
        try:
            with self._client.get(url, params=query, timeout=timeout, stream=True, allow_redirects=False) as reply:
                outcome.append(self._parse(reply, self._body(reply)))
        except EngineRefusal as refusal:
            outcome.append(refusal)
        except requests.RequestException as error:
            outcome.append(_refusal(error))
        except (OSError, ValueError) as error:
            outcome.append(EngineRefusal(_reason(error)))

    def _body(self, reply: requests.Response) -> bytes:
        """The whole reply, or EngineRefusal where it is too long."""
        parts: list[bytes] = []
        size = 0
        for part in reply.iter_content(65_536):
            size += len(part)
            if size > MAX_REPLY:
                raise EngineRefusal(f"answered with more than {MAX_REPLY // 1_000_000} MB")
            parts.append(part)
        return b"".join(parts)

    @staticmethod
    def _parse(reply: requests.Response, body: bytes) -> Any:
        if reply.status_code != 200:
            raise EngineRefusal(_status_reason(reply.status_code), reply.status_code)
        try:
            return json.loads(body)
        except (ValueError, RecursionError):
            raise EngineRefusal("answered with something that is not JSON") from None


def connect(address: EngineAddress, read_seconds: float = READ_SECONDS) -> EngineConnection:
    """A connection to an engine that answers and speaks a known API version. Raises TargetUnreachable."""
    _knock(address)
    connection = EngineConnection(address, _client(address), read_seconds)
    try:
        connection.agree_on_version()
    except EngineRefusal as refusal:
        connection.close()
        raise TargetUnreachable(_sentence(address, refusal)) from None
    except TargetUnreachable:
        connection.close()
        raise
    return connection


def _knock(address: EngineAddress) -> None:
    """Try the socket itself first: its error says most, and the docker package leaves a socket open that it cannot connect."""
    scheme, _, path = address.url.partition("://")
    if scheme != "unix":
        return
    try:
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(CONNECT_SECONDS)
            line.connect(path)
    except (OSError, ValueError) as error:
        raise TargetUnreachable(f"The engine at {address} {_reason(error)}.") from None


def _client(address: EngineAddress) -> APIClient:
    """The docker package's transport to the address; the version is settled later. Raises TargetUnreachable."""
    import docker
    import docker.errors
    import requests

    url = address.url
    if address.tls and url.startswith(("tcp://", "http://")):
        url = f"https://{url.partition('://')[2]}"
    try:
        client = docker.APIClient(
            base_url=url, version=_dotted(OLDEST_API), timeout=CONNECT_SECONDS, tls=_tls_config(address)
        )
    except (docker.errors.DockerException, requests.RequestException, OSError, ValueError) as error:
        raise TargetUnreachable(f"The engine at {address} cannot be reached: {_first_line(error)}.") from None
    client.trust_env = False
    client.headers["User-Agent"] = f"llmscan/{__version__}"
    return client


def _tls_config(address: EngineAddress) -> Any:
    """The docker package's TLS settings. Without a CA file the system's authorities count."""
    import docker.tls

    if address.tls is None:
        return False
    tls = address.tls
    pair = (str(tls.cert), str(tls.key)) if tls.cert and tls.key else None
    return docker.tls.TLSConfig(client_cert=pair, ca_cert=str(tls.ca) if tls.ca else None, verify=tls.verify)


def _sentence(address: EngineAddress, refusal: EngineRefusal) -> str:
    if refusal.status:
        return f"The engine at {address} {refusal.why} ({refusal.status})."
    return f"The engine at {address} {refusal.why}."


def _refusal(error: requests.RequestException) -> EngineRefusal:
    """What went wrong on the way, in words of our own: the messages of the transports quote addresses and memory."""
    import requests

    if isinstance(error, requests.exceptions.SSLError):
        return EngineRefusal("presents a certificate that cannot be verified, or asks for one of the client")
    if isinstance(error, requests.exceptions.ConnectTimeout | requests.exceptions.ReadTimeout) or _caused_by(
        error, TimeoutError
    ):
        return EngineRefusal("does not answer in time", hung=True)
    cause = _caused_by(error, OSError)
    return EngineRefusal(_reason(cause) if cause else "breaks the connection off")


def _caused_by(error: BaseException, kind: type[BaseException]) -> BaseException | None:
    """The first of the errors behind `error` that is of `kind` and no wrapper of requests itself."""
    import requests

    seen: set[int] = set()
    queue: list[BaseException] = [error]
    while queue:
        current = queue.pop(0)
        if id(current) in seen:
            continue
        seen.add(id(current))
        if isinstance(current, kind) and not isinstance(current, requests.RequestException):
            return current
        linked = (current.__cause__, current.__context__, getattr(current, "reason", None), *current.args)
        queue += [item for item in linked if isinstance(item, BaseException)]
    return None


def _reason(error: BaseException) -> str:
    number = getattr(error, "errno", None)
    if number == errno.ENOENT:
        return "is not there: no engine runs, or it listens elsewhere (DOCKER_HOST, --context)"
    if number in (errno.EACCES, errno.EPERM):
        return "refuses this user: it takes membership of the docker group, or root, to use its socket"
    if number == errno.ECONNREFUSED:
        return "refuses the connection: no engine is listening"
    return "cannot be reached, or breaks the connection off"


def _status_reason(status: int) -> str:
    if status in (401, 403):
        return "refuses access"
    if status == 404:
        return "does not know it"
    return "fails" if status >= 500 else "does not accept the question"


def _first_line(error: BaseException) -> str:
    """The docker package's own words, without the user and password of an address that it quotes."""
    line = str(error).strip().partition("\n")[0].rstrip(".")
    return plain(re.sub(r"//[^/@\s]*@", "//", line)) or type(error).__name__


def _version(text: Any) -> tuple[int, int] | None:
    """(1, 41) of "1.41"; None where it is no version."""
    major, _, minor = as_text(text).partition(".")
    if not (major.isdecimal() and minor.isdecimal()) or len(major + minor) > 8:
        return None
    return int(major), int(minor)


def _dotted(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"
