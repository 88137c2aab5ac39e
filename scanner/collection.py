"""What the collectors bring to a scan."""

from __future__ import annotations

from collections.abc import Callable

from llmscan.findings import Failure, Target
from llmscan.model import Gap, Stack
from llmscan.records import Record


class Collection(Record, frozen=True):
    """What the collectors brought: stacks, and what did not work or was not seen."""

    target: Target
    stacks: tuple[Stack, ...] = ()
    failures: tuple[Failure, ...] = ()
    gaps: tuple[Gap, ...] = ()
    notes: tuple[str, ...] = ()
    files: int = 0
    objects: int = 0
    live: bool = False
    unread: tuple[Callable[[], Collection], ...] = ()
    """Parts that nothing of the others leads into: each is read where it is judged, in a process of its own if there is one to spare."""

    @property
    def origin(self) -> str:
        """What a live finding is known by where one of a file has its path: the target, whose name outlives that of a context."""
        return f"{self.target.kind}/{self.target.name}" if self.live else ""
