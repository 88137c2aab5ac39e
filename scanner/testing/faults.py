"""What can go wrong between a client and an API server, as values: a test lists the faults that it wants served."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from threading import Lock


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong on every path that `path` matches (a shell pattern whose `*` also crosses `/`).

    times: how many requests it spoils; None is all of them.
    status: answered instead of the resource. retry_after: seconds, sent with it.
    delay: seconds before the answer. cut: the connection ends in the middle of the body.
    garbage: a body that is no JSON.
    on_continue: only requests for a second or later page count.
    """

    path: str
    times: int | None = None
    status: int | None = None
    retry_after: int | None = None
    delay: float = 0.0
    cut: bool = False
    garbage: bool = False
    on_continue: bool = False

    def concerns(self, path: str, continued: bool) -> bool:
        """Whether a request for this path, for a later page or not, is spoilt."""
        return (continued or not self.on_continue) and fnmatchcase(path, self.path)


def forbidden(path: str) -> Fault:
    """The caller lacks the permission, as long as the server runs."""
    return Fault(path, status=403)


def expired(path: str, times: int | None = 1) -> Fault:
    """The `continue` token is too old: 410 on a later page."""
    return Fault(path, times=times, status=410, on_continue=True)


def too_many_requests(path: str, times: int | None = 1, retry_after: int = 1) -> Fault:
    """The server sheds load and says when to come back."""
    return Fault(path, times=times, status=429, retry_after=retry_after)


def failing(path: str, status: int = 500, times: int | None = None, retry_after: int | None = None) -> Fault:
    """The server, or a load balancer before it, answers with an error of its own."""
    return Fault(path, times=times, status=status, retry_after=retry_after)


def slow(path: str, seconds: float, times: int | None = None) -> Fault:
    """The answer comes, but late."""
    return Fault(path, times=times, delay=seconds)


def cut_off(path: str, times: int | None = 1) -> Fault:
    """The connection ends in the middle of the body."""
    return Fault(path, times=times, cut=True)


def garbage(path: str, times: int | None = None) -> Fault:
    """The body is no JSON, though the header says so."""
    return Fault(path, times=times, garbage=True)


class FaultPlan:
    """Counts how often each fault still strikes; shared by the server's threads."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self._lock = Lock()
        self._faults = tuple(faults)
        self._left = [fault.times for fault in self._faults]

    def strike(self, path: str, continued: bool) -> Fault:
        """What this request suffers: delays add up, and of the rest each kind strikes at most once."""
        suffered = Fault(path)
        with self._lock:
            for index, fault in enumerate(self._faults):
                left = self._left[index]
                if left != 0 and fault.concerns(path, continued) and not (suffered.status and fault.status):
                    self._left[index] = left if left is None else left - 1
                    suffered = _both(suffered, fault)
        return suffered

    def forbids(self, path: str) -> bool:
        """Whether a request for this path would be answered with 403; the access reviews rest on it."""
        return any(fault.status == 403 and fault.concerns(path, continued=False) for fault in self._faults)


def _both(one: Fault, other: Fault) -> Fault:
    return replace(
        one,
        status=one.status or other.status,
        retry_after=one.retry_after if one.retry_after is not None else other.retry_after,
        delay=one.delay + other.delay,
        cut=one.cut or other.cut,
        garbage=one.garbage or other.garbage,
    )
