"""What a probe found out of one endpoint: records alone, so that a scan that never probes loads nothing else of this package."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import field

from llmscan.findings import ObservedNote
from llmscan.model import Gap, Reach
from llmscan.records import Record

PRODUCT = "product"
NOTHING_KNOWN = "no known product"
REFUSED = "refuses everything"
SILENT = "no answer"


class Seen(Record, frozen=True):
    """One answer to one question, in the words of the catalogue's decisions (`open`, `required`, `reflected`, ...), and the requests that gave it."""

    answer: str
    quote: str = ""
    """Request lines with what decided in their answers, one a line; never a body as it came."""


class Observation(Record, frozen=True):
    """One endpoint as its answers show it.

    port: the container's, whatever port `url` has. outcome: `PRODUCT`, `NOTHING_KNOWN` (it answers, and is no product of the catalogue), `REFUSED`
    (every request is refused, so what is behind stays unknown) or `SILENT` (no usable answer; `because` says why). product: the catalogue's
    id. version: as it was told, "" where nothing told it.
    decisions: what was seen, by decision block (`authentication`, `cors`, `registration`).
    """

    url: str
    port: int
    reach: Reach
    outcome: str
    product: str = ""
    version: str = ""
    because: str = ""
    decisions: Mapping[str, Seen] = field(default_factory=dict)
    unsettled: Mapping[str, str] = field(default_factory=dict)
    """Why a decision block was not settled."""
    requests: int = 0

    @property
    def answered(self) -> bool:
        """Whether anything answered at all."""
        return self.outcome != SILENT

    def note(self) -> ObservedNote:
        """What a report says of it."""
        said = self.answer("authentication")
        return ObservedNote(
            self.url,
            self.outcome,
            self.product,
            self.version,
            "closed" if said == "required" or self.outcome == REFUSED else said,
            self.answer("cors"),
            self.because,
        )

    def answer(self, block: str) -> str:
        """What was seen for a decision block; `unknown` where nothing settled it."""
        seen = self.decisions.get(block)
        return seen.answer if seen is not None else "unknown"


class Observations(Record, frozen=True):
    """All that probes saw of one stack: by container (its identity) and port of the container; and what could not be asked."""

    seen: Mapping[tuple[int, int], Observation] = field(default_factory=dict)
    gaps: tuple[Gap, ...] = ()

    def of(self, container: Any) -> tuple[Observation, ...]:
        """The observed endpoints of a container."""
        return tuple(seen for (owner, _), seen in self.seen.items() if owner == id(container))


NOT_PROBED = Observations()
