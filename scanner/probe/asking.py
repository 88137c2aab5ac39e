"""One request to one endpoint, and its answer: the words that every way in speaks, whether direct or through an API server's proxy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from time import monotonic
from typing import Any, Protocol

from llmscan.probe import cut_json
from llmscan.records import Record
from llmscan.version import __version__

USER_AGENT = f"llmscan/{__version__} (read-only security probe)"
METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
BODY_LIMIT = 64 * 1024
CUT_OFF = "cuts connections off without an answer"
NOT_HTTP = "does not answer in HTTP"
NOT_PROXIED = "does not answer the API server's proxy"
UNTRUSTED = "has a certificate that cannot be trusted"


class Trouble(Exception):
    """A question that got no usable answer. `why` goes on from the endpoint's name; `final`: no later question will fare better."""

    def __init__(self, why: str, *, final: bool = True) -> None:
        super().__init__(why)
        self.why, self.final = why, final


@dataclass(frozen=True)
class Answer:
    """What came back. `headers` are in lower case; `body` is decompressed and cut at the limit."""

    method: str
    path: str
    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @cached_property
    def text(self) -> str:
        """The body as text, whatever charset it claims."""
        return self.body.decode("utf-8", "replace")

    @cached_property
    def document(self) -> Any:
        """The body as JSON, as far as it was read; None where it is none."""
        return cut_json.read(self.text)


class Asker(Protocol):
    """A way in to one endpoint."""

    cross_origin: bool
    """Whether the headers that browsers ask about come through unchanged."""

    def ask(self, method: str, path: str, headers: Mapping[str, str]) -> Answer:
        """One request. Raises Trouble."""


class Patience(Record, frozen=True):
    """How long to wait, in seconds: to connect, for a first sign of life, for the next byte after that, and for all requests to one endpoint.

    at_once: how many endpoints are asked at the same time.
    """

    connect: float = 3.0
    first: float = 5.0
    read: float = 20.0
    total: float = 30.0
    at_once: int = 32

    @classmethod
    def within(cls, total: float) -> Patience:
        """The default, with no part longer than the whole."""
        usual = cls()
        return cls(min(usual.connect, total), min(usual.first, total), min(usual.read, total), total)


class Deadline:
    """The moment at which everything that concerns one endpoint ends."""

    def __init__(self, seconds: float) -> None:
        self._end = monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds that remain, never below zero."""
        return max(0.0, self._end - monotonic())
