"""What rules say and what a report holds: `Verdict` from a rule, `Finding` in a report, and the `Report` itself."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum, StrEnum

from msgspec import field

from llmscan.model import Gap, Reach
from llmscan.places import Place
from llmscan.records import Record


class Severity(IntEnum):
    """How bad it is, ordered; `str()` is its name in lower case."""

    INFO = 0
    LOW = 1
    MEDIUM = 2
    HIGH = 3
    CRITICAL = 4

    def __str__(self) -> str:
        return self.name.lower()


class Status(StrEnum):
    """What a rule concluded. `UNKNOWN` says what was missing; it never counts as clean."""

    FAIL = "fail"
    PASS = "pass"  # noqa: S105
    UNKNOWN = "unknown"


class Evidence(StrEnum):
    """How it is known: a probe saw it, a setting says so, or the product does so unless told otherwise."""

    OBSERVED = "observed"
    DECLARED = "declared"
    DEFAULT = "default"


class Resource(Record, frozen=True):
    """What a finding is about. `container` is empty where it is about the whole object."""

    kind: str
    name: str
    namespace: str = ""
    container: str = ""

    def __str__(self) -> str:
        inside = f" ({self.container})" if self.container and self.container != self.name else ""
        return f"{self.kind}/{self.name}{inside}"


class Related(Record, frozen=True):
    """Another object with the same mistake, or the way by which an endpoint is reached."""

    name: str
    kind: str = ""
    namespace: str = ""
    place: Place | None = None
    text: str = ""


class Verdict(Record, frozen=True):
    """One conclusion of a rule on the object that it was given.

    message: one or two sentences, specific to the object. fix: what to change here; empty: the rule's own. place: the line that
    decides; None: the object's. setting: a stable name of what is wrong (`QDRANT__SERVICE__API_KEY`, `port 11434`), part of the
    fingerprint. resource: where the finding belongs to another object than the one given (the Service that exposes it). missing:
    for UNKNOWN, what was not seen. quote: an observed request and its answer.
    """

    status: Status
    message: str = ""
    fix: str = ""
    place: Place | None = None
    evidence: Evidence = Evidence.DECLARED
    setting: str = ""
    resource: Resource | None = None
    via: Related | None = None
    reach: Reach | None = None
    missing: tuple[Gap, ...] = ()
    product: ProductNote | None = None
    quote: str = ""


class ProductNote(Record, frozen=True):
    """Which product a finding speaks of, at which version, and why that is believed."""

    id: str
    name: str
    version: str = ""
    because: str = ""


class Finding(Record, frozen=True):
    """One mistake, or one thing that could not be known, as every format shows it. Redacted."""

    rule: str
    title: str
    category: str
    status: Status
    severity: Severity
    evidence: Evidence
    message: str
    fix: str
    resource: Resource
    place: Place | None
    unit: str
    refs: tuple[str, ...] = ()
    setting: str = ""
    product: ProductNote | None = None
    reach: Reach | None = None
    via: Related | None = None
    related: tuple[Related, ...] = ()
    missing: tuple[Gap, ...] = ()
    quote: str = ""
    fingerprint: str = ""
    live: bool = False
    """About a live object; `place` is then None unless a file was found for it."""
    rendered_by: str = ""
    """The tool that made the object out of `place`, the best line that can be known; `place.decided_by` is where the value was set."""


class Failure(Record, frozen=True):
    """Something that did not work: a plugin, a rule call, an input. `kind`: `plugin`, `rule`, `input`, `target`, `format`."""

    kind: str
    name: str
    reason: str
    place: Place | None = None

    def __str__(self) -> str:
        where = f"{self.place.path}:{self.place.line}: " if self.place else ""
        return f"{where}{self.kind} {self.name}: {self.reason}"


class ObservedNote(Record, frozen=True):
    """What a probe saw of one endpoint, in words.

    authentication: `open`, `closed`, `first-visitor`, `application` or `unknown`. cors: as in the catalogue, or `unknown`. because: what was
    recognised, or why nothing was.
    """

    url: str
    outcome: str
    product: str = ""
    version: str = ""
    authentication: str = "unknown"
    cors: str = "unknown"
    because: str = ""


class InventoryItem(Record, frozen=True):
    """One container that was looked at: where it is, what it runs, and from where its endpoints can be reached."""

    resource: Resource
    image: str
    products: tuple[ProductNote, ...] = ()
    endpoints: tuple[str, ...] = ()
    place: Place | None = None
    unit: str = ""
    observed: tuple[ObservedNote, ...] = ()


class Coverage(Record, frozen=True):
    """What was read and what was not. `gaps` make verdicts unknown; `units` says which stacks were made of what."""

    units: tuple[str, ...] = ()
    workloads: int = 0
    containers: int = 0
    objects: int = 0
    files: int = 0
    gaps: tuple[Gap, ...] = ()
    notes: tuple[str, ...] = ()
    """What was taken for what (`--verbose`)."""


class Target(Record, frozen=True):
    """What was scanned. kind: `files`, `kubernetes`, `docker`, `endpoints`. name: made safe for paths; paths for files."""

    kind: str
    name: str
    details: Mapping[str, str] = field(default_factory=dict)


class RuleNote(Record, frozen=True):
    """What a report says of a rule that took part, so that formats need no rules."""

    id: str
    title: str
    category: str
    severity: Severity
    why: str
    fix: str
    refs: tuple[str, ...] = ()
    name: str = ""


class Waived(Record, frozen=True):
    """A finding that a waiver took out, and the reason given."""

    finding: Finding
    reason: str
    expires: str = ""


class Report(Record, frozen=True):
    """All that a format renders. `findings` holds `fail` and `unknown`, the worst first; `passed` counts passes by rule id."""

    version: str
    target: Target
    findings: tuple[Finding, ...] = ()
    passed: Mapping[str, int] = field(default_factory=dict)
    failures: tuple[Failure, ...] = ()
    coverage: Coverage = Coverage()
    inventory: tuple[InventoryItem, ...] = ()
    rules: tuple[RuleNote, ...] = ()
    waived: tuple[Waived, ...] = ()
    policy_notes: tuple[str, ...] = ()
    """What is wrong with the policy itself: unused and expired waivers."""
