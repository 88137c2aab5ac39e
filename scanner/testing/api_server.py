"""A Kubernetes API server inside the process, over real HTTP on 127.0.0.1, for tests and for the demonstration.

It serves what it is given, read-only, in the shapes of a real server: discovery, lists in pages, single objects, Status
bodies for errors, access reviews. Faults make it fail in the ways real ones do. It keeps a record of every request.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socket import SHUT_RDWR, socket
from socketserver import BaseRequestHandler, TCPServer, ThreadingMixIn
from ssl import SSLContext
from sys import exc_info
from threading import Lock, Thread
from time import sleep
from types import TracebackType
from urllib.parse import parse_qs, urlsplit

from llmscan.testing.faults import Fault, FaultPlan
from llmscan.testing.object_store import ForeignToken, ObjectStore
from llmscan.testing.resource_types import (
    Json,
    ResourceType,
    group_document,
    groups_document,
    plural_of,
    resources_document,
)

VERSION = {"major": "1", "minor": "37", "gitVersion": "v1.37.2", "platform": "linux/amd64"}
_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubject"
_REASONS = {400: "BadRequest", 401: "Unauthorized", 403: "Forbidden", 404: "NotFound", 405: "MethodNotAllowed"}
_REASONS |= {410: "Expired", 429: "TooManyRequests", 500: "InternalError", 503: "ServiceUnavailable", 504: "Timeout"}


@dataclass(frozen=True, slots=True)
class Request:
    """One request that the server got. `path` has no query; `query` holds the first value of each parameter.

    `headers` (looked up in any case; get_all gives repeated ones) do not count when requests are compared.
    """

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Message = field(default_factory=Message, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Target:
    """What a resource path names: /apis/apps/v1/namespaces/ai/deployments/web."""

    root: str
    plural: str
    namespace: str | None
    name: str | None


class ApiServer:
    """Serves Kubernetes objects over HTTP while the `with` block runs.

    objects: with apiVersion, kind and metadata.name, as a manifest has them; of any kind.
    page_size_cap: the most objects in one page, even where the client asks for more or for all at once.
    token: asked of every request as `Authorization: Bearer`; without it nobody is asked.
    faults: what goes wrong, see llmscan.testing.faults.
    plurals: the plural of a custom kind where it is irregular.
    tls: speak HTTPS as this context says, which may also ask for client certificates.
    """

    def __init__(
        self,
        objects: Iterable[Json],
        *,
        page_size_cap: int = 0,
        token: str | None = None,
        faults: Iterable[Fault] = (),
        plurals: Mapping[str, str] | None = None,
        port: int = 0,
        tls: SSLContext | None = None,
    ) -> None:
        self._store = ObjectStore(objects, plurals or {})
        self._page_size_cap = page_size_cap
        self._token = token
        self._faults = FaultPlan(faults)
        self._requests: list[Request] = []
        self._listener = _Listener(("127.0.0.1", port), _handler_of(self))
        self._scheme = "https" if tls else "http"
        if tls:
            # The handshake is left to the thread of each connection: a client that is slow at it holds up nobody else.
            self._listener.socket = tls.wrap_socket(
                self._listener.socket, server_side=True, do_handshake_on_connect=False
            )
        self._thread = Thread(target=self._listener.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def __enter__(self) -> ApiServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown()
        self._listener.server_close()
        self._listener.hang_up()
        self._thread.join()

    @property
    def url(self) -> str:
        """http://127.0.0.1:PORT, or https."""
        return f"{self._scheme}://127.0.0.1:{self._listener.server_address[1]}"

    @property
    def requests(self) -> tuple[Request, ...]:
        """Every request so far, in the order of arrival."""
        return tuple(self._requests)

    def kubeconfig(self, context: str = "demo") -> Json:
        """A kubeconfig with one context that leads here."""
        user = {"token": self._token} if self._token else {}
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": context,
            "clusters": [{"name": context, "cluster": {"server": self.url}}],
            "users": [{"name": context, "user": user}],
            "contexts": [{"name": context, "context": {"cluster": context, "user": context}}],
        }

    def write_kubeconfig(self, path: str | Path, context: str = "demo") -> Path:
        """Writes that kubeconfig (JSON is YAML too) and returns its path."""
        written = Path(path)
        written.write_text(json.dumps(self.kubeconfig(context), indent=2), encoding="utf-8")
        return written

    def answer(self, request: Request, body: bytes) -> tuple[_Answer, Fault]:
        """What a request gets, and what happens to it on the way."""
        self._requests.append(request)
        fault = self._faults.strike(request.path, "continue" in request.query)
        if self._token is not None and request.headers["Authorization"] != f"Bearer {self._token}":
            return _status(401, "Unauthorized"), fault
        if fault.status:
            return self._spoilt(request, fault), fault
        if request.method == "POST" and request.path.startswith(_REVIEWS):
            return self._review(request.path, body), fault
        if request.method != "GET":
            return _status(405, "this server only reads"), fault
        return self._discovery(request.path) or self._resource(request), fault

    def _spoilt(self, request: Request, fault: Fault) -> _Answer:
        target = _target(request.path)
        what = (
            f"{target.plural} is forbidden" if target and fault.status == 403 else _REASONS.get(fault.status or 0, "")
        )
        headers = {"Retry-After": str(fault.retry_after)} if fault.retry_after is not None else {}
        return _status(fault.status or 500, what or "failed", headers)

    def _discovery(self, path: str) -> _Answer | None:
        types = list(self._store.types.values())
        served = [offered for offered in types if offered.root == path]
        group = path.removeprefix("/apis/")
        versions = list(dict.fromkeys(offered.api_version for offered in types if offered.group == group))
        if path == "/version":
            return _json(VERSION)
        if path == "/api":
            return _json({"kind": "APIVersions", "versions": ["v1"]})
        if path == "/apis":
            return _json(groups_document(types))
        if served:
            return _json(resources_document(served[0].api_version, served))
        return _json(group_document(group, versions)) if path.startswith("/apis/") and versions else None

    def _resource(self, request: Request) -> _Answer:
        target = _target(request.path)
        offered = self._store.type_at(target.root, target.plural) if target else None
        if target is None or offered is None:
            return _Answer(404, b"404 page not found\n", {"Content-Type": "text/plain; charset=utf-8"})
        if target.name is None:
            return self._list(offered, target.namespace, request.query)
        found = self._store.get(offered, target.namespace or "", target.name)
        if found is None:
            return _status(404, f'{offered.qualified} "{target.name}" not found')
        return _Answer(200, found)

    def _list(self, offered: ResourceType, namespace: str | None, query: Mapping[str, str]) -> _Answer:
        refused = {"labelSelector", "fieldSelector", "watch"} & query.keys()
        if refused:
            return _status(400, f"{', '.join(sorted(refused))}: not offered by this server")
        limits = [limit for limit in (int(query.get("limit") or 0), self._page_size_cap) if limit]
        try:
            page = self._store.page(offered, namespace, min(limits, default=0), query.get("continue", ""))
        except ForeignToken:
            return _status(400, "invalid continue token")
        return _Answer(200, page.body)

    def _review(self, path: str, body: bytes) -> _Answer:
        asked = json.loads(body or b"{}")
        if path.endswith("rulesreviews"):
            rule = {"verbs": ["get", "list", "watch"], "apiGroups": ["*"], "resources": ["*"]}
            return _json(
                asked | {"status": {"resourceRules": [rule], "nonResourceRules": [], "incomplete": False}}, 201
            )
        attributes = asked.get("spec", {}).get("resourceAttributes", {})
        allowed = attributes.get("verb") in ("get", "list", "watch") and not self._faults.forbids(
            self._path(attributes)
        )
        return _json(asked | {"status": {"allowed": allowed}}, 201)

    def _path(self, attributes: Json) -> str:
        """The path that an access review is about; the group's version is looked up, as the review may leave it out."""
        group, plural = attributes.get("group", ""), attributes.get("resource", "")
        roots = [found.root for found in self._store.types.values() if (found.group, found.plural) == (group, plural)]
        root = roots[0] if roots else f"/apis/{group}/v1"
        namespace = f"/namespaces/{attributes['namespace']}" if attributes.get("namespace") else ""
        return f"{root}{namespace}/{plural}"


_Connection = socket | tuple[bytes, socket]


class _Listener(ThreadingMixIn, TCPServer):
    """Threads that end with the process, and connections that can be ended with the server."""

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], handler: type[BaseRequestHandler]) -> None:
        super().__init__(address, handler)
        self._lock = Lock()
        self._open: set[socket] = set()

    def process_request(self, request: _Connection, client_address: object) -> None:
        if isinstance(request, socket):
            with self._lock:
                self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: _Connection) -> None:
        if isinstance(request, socket):
            with self._lock:
                self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: _Connection, client_address: object) -> None:
        """A client that went away is no event of this server; everything else is shown."""
        if not isinstance(exc_info()[1], OSError):
            super().handle_error(request, client_address)

    def hang_up(self) -> None:
        """End the connections that clients keep alive, so that nothing answers after the `with` block."""
        with self._lock:
            for connection in self._open:
                with suppress(OSError):
                    connection.shutdown(SHUT_RDWR)


def _handler_of(server: ApiServer) -> type[BaseRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            self._serve()

        do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_GET

        def _serve(self) -> None:
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            request = Request(self.command, parts.path, query, self.headers)
            answer, fault = server.answer(request, body)
            sleep(fault.delay)
            self._send(answer, fault)

        def _send(self, answer: _Answer, fault: Fault) -> None:
            body = b"<html>a gateway's page</html>" if fault.garbage else answer.body
            self.send_response(answer.status)
            for name, value in ({"Content-Type": "application/json"} | dict(answer.headers)).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body[: len(body) // 2] if fault.cut else body)
            self.close_connection = self.close_connection or fault.cut

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing: the requests are kept in `ApiServer.requests`."""

    return Handler


def _target(path: str) -> _Target | None:
    parts = path.strip("/").split("/")
    depth = 2 if parts[0] == "api" else 3
    root, rest = "/" + "/".join(parts[:depth]), parts[depth:]
    if not rest or parts[0] not in ("api", "apis"):
        return None
    namespace = rest[1] if rest[0] == "namespaces" and len(rest) > 2 else None
    plural, *names = rest[2:] if namespace is not None else rest
    return _Target(root, plural, namespace, names[0] if names else None) if len(names) < 2 else None


def _json(document: Json, status: int = 200) -> _Answer:
    return _Answer(status, json.dumps(document).encode())


def _status(code: int, message: str, headers: Mapping[str, str] | None = None) -> _Answer:
    """The Status object that a real server sends with every refusal."""
    document = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": _REASONS.get(code, "Unknown"),
        "code": code,
    }
    return _Answer(code, json.dumps(document).encode(), headers or {})


__all__ = ["VERSION", "ApiServer", "Request", "plural_of"]
