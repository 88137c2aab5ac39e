"""An engine that only exists over HTTP, for what a real one seldom does: vanish, refuse, fall silent, lie."""

from __future__ import annotations

import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any

Handler = BaseHTTPRequestHandler
Answer = Callable[[Handler], None]

VERSION = {"Version": "27.0.1", "ApiVersion": "1.45", "MinAPIVersion": "1.24"}


def replies(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    """Answer with JSON, or with bytes as they are."""
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()

    def answer(handler: Handler) -> None:
        handler.send_response(status)
        for name, value in {"Content-Length": str(len(sent)), **(headers or {})}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(sent)

    return answer


def refuses(status: int) -> Answer:
    """Answer with an error of this status, as the engine words it."""
    return replies({"message": "hunter2 is none of your business"}, status)


def silent(seconds: float) -> Answer:
    """Take the question and say nothing for so long."""
    return lambda handler: time.sleep(seconds)


def trickles(seconds: float) -> Answer:
    """Begin to answer, and go on a byte at a time for so long."""

    def answer(handler: Handler) -> None:
        handler.send_response(200)
        handler.end_headers()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            handler.wfile.write(b" ")
            time.sleep(0.05)

    return answer


class _OverTcp(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, handler: type[Handler]) -> None:
        super().__init__(("127.0.0.1", 0), handler)


class _OverSocket(ThreadingHTTPServer):
    """The same over a Unix socket, whose clients have no address."""

    daemon_threads = True
    address_family = socket.AF_UNIX

    def __init__(self, path: Path, handler: type[Handler]) -> None:
        super().__init__(str(path), handler)  # type: ignore[arg-type] # the stubs know TCP alone

    def server_bind(self) -> None:
        self.socket.bind(self.server_address)
        self.server_name, self.server_port = "engine", 0

    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        line, _ = super().get_request()
        return line, ("engine", 0)


@dataclass
class FakeEngine:
    """Answers by path (without the version before it); what it does not know is 404. Use it with `with`; `url` is for --host."""

    answers: dict[str, Answer] = field(default_factory=dict)
    tls: ssl.SSLContext | None = None
    socket_path: Path | None = None
    asked: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        usual = {"/version": VERSION, "/info": {}, "/volumes": {}, "/networks": [], "/containers/json": []}
        self.answers = {path: replies(body) for path, body in usual.items()} | self.answers

    def __enter__(self) -> FakeEngine:
        self._server = _OverSocket(self.socket_path, self._handler()) if self.socket_path else _OverTcp(self._handler())
        if self.tls:
            self._server.socket = self.tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"unix://{self.socket_path}" if self.socket_path else f"tcp://127.0.0.1:{self._server.server_port}"

    def holds(self, identity: str, inspected: Any, summary: Mapping[str, Any] | None = None) -> None:
        """Put a container on it: its line in the list, and what inspect says (an Answer, or JSON)."""
        listed = {"Id": identity, "Names": [f"/{identity}"], "State": "running", "Image": "box", **(summary or {})}
        self._listed = [*getattr(self, "_listed", []), listed]
        self.answers["/containers/json"] = replies(self._listed)
        self.answers[f"/containers/{identity}/json"] = inspected if callable(inspected) else replies(inspected)

    def _handler(self) -> type[Handler]:
        fake = self

        class Handle(Handler):
            def do_GET(self) -> None:
                path = self.path.partition("?")[0]
                if path.startswith("/v1."):
                    path = "/" + path.split("/", 2)[2]
                fake.asked.append(self.path)
                try:
                    fake.answers.get(path, refuses(404))(self)
                except OSError:
                    self.close_connection = True

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing: the tests' output is theirs."""

        return Handle
