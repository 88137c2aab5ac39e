"""Connections that end at a deadline, however slowly the other side drips: a timeout alone counts only the wait for the next byte."""

from __future__ import annotations

import io
import socket
from functools import partial
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

from llmscan.probe.asking import Deadline


class _TimedReader(io.RawIOBase):
    """What a socket receives, until the deadline."""

    def __init__(self, sock: socket.socket, deadline: Deadline) -> None:
        self._sock, self._deadline = sock, deadline
        self._raw = sock.makefile("rb", buffering=0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        """Raises TimeoutError at the deadline, or when nothing came for the socket's own timeout."""
        left, usual = self._deadline.left, self._sock.gettimeout()
        if not left:
            raise TimeoutError("timed out")
        self._sock.settimeout(left if usual is None else min(left, usual))
        try:
            return self._raw.readinto(buffer)
        finally:
            self._sock.settimeout(usual)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _TimedSocket:
    """A connected socket whose reader is a timed one; in all else the socket itself."""

    def __init__(self, sock: Any, deadline: Deadline) -> None:
        self._sock, self._deadline = sock, deadline

    def makefile(self, mode: str = "rb", buffering: int | None = None) -> io.BufferedReader:
        return io.BufferedReader(_TimedReader(self._sock, self._deadline))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


class _Timed:
    """Beside a connection class of urllib3: its socket becomes a timed one."""

    def __init__(self, *args: Any, deadline: Deadline, **more: Any) -> None:
        self._deadline = deadline
        super().__init__(*args, **more)

    def connect(self) -> None:
        super().connect()  # type: ignore[misc]
        self.sock: Any = _TimedSocket(self.sock, self._deadline)


class _TimedHttp(_Timed, HTTPConnection):
    pass


class _TimedHttps(_Timed, HTTPSConnection):
    pass


class TimedAdapter(HTTPAdapter):
    """Sends requests over connections that end at a deadline; one at a time, without retries."""

    def __init__(self, deadline: Deadline) -> None:
        self._deadline = deadline
        super().__init__(pool_connections=1, pool_maxsize=1, max_retries=0)

    def init_poolmanager(self, *args: Any, **more: Any) -> None:
        """Make pools whose connections know the deadline."""
        super().init_poolmanager(*args, **more)
        self.poolmanager.pool_classes_by_scheme = self._pools()

    def proxy_manager_for(self, *args: Any, **more: Any) -> Any:
        """Make such pools for a proxy too."""
        manager = super().proxy_manager_for(*args, **more)
        manager.pool_classes_by_scheme = self._pools()
        return manager

    def _pools(self) -> dict[str, Any]:
        return {
            "http": partial(_pool, HTTPConnectionPool, _TimedHttp, self._deadline),
            "https": partial(_pool, HTTPSConnectionPool, _TimedHttps, self._deadline),
        }


def _pool(kind: Any, connection: Any, deadline: Deadline, *args: Any, **more: Any) -> Any:
    pool = kind(*args, **more)
    pool.ConnectionCls = partial(connection, deadline=deadline)
    return pool
