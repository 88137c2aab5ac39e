"""Work in two processes where there is much of it and a second processor: rules are plain functions of frozen records.

The child is forked, so that it shares what was read before, and sends back plain records. Whatever goes wrong with it, its share is worked
off here instead: sharing changes how long a scan takes, and nothing else.
"""

from __future__ import annotations

import os
import pickle
import sys
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def in_shares(count: int, judge: Callable[[range], T], *, worthwhile: bool) -> list[T]:
    """`judge` of all indices below `count`: in two halves, in order, or in one share where a second process is not worthwhile or not to be had."""
    if not worthwhile or count < 2 or not _may_fork():
        return [judge(range(count))]
    half = count // 2
    child = _start(lambda: judge(range(half, count)))
    first = judge(range(half))
    second = _answer(*child)
    return [first, judge(range(half, count)) if second is None else second]


def _may_fork() -> bool:
    """Whether a second processor may be used, and forking is safe: no other thread holds a lock."""
    if not hasattr(os, "fork") or sys.platform == "darwin" or threading.active_count() > 1:
        return False
    return len(os.sched_getaffinity(0)) > 1


def _start(work: Callable[[], T]) -> tuple[int, int]:
    """Fork a child that works and writes its pickled answer into a pipe: its process id, and the pipe's end to read."""
    reading, writing = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child:
        os.close(writing)
        return child, reading
    os.close(reading)
    status = 1
    try:
        with os.fdopen(writing, "wb") as pipe:
            pickle.dump(work(), pipe, pickle.HIGHEST_PROTOCOL)
        status = 0
    finally:
        os._exit(status)


def _answer(child: int, reading: int) -> T | None:
    """The child's answer, or None where it gave none."""
    with os.fdopen(reading, "rb") as pipe:
        data = pipe.read()
    _, status = os.waitpid(child, 0)
    return pickle.loads(data) if status == 0 else None  # noqa: S301  (written by our own child)
