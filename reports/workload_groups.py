"""Findings gathered by what they are about, the worst first: the order of every format that people read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from llmscan.findings import Finding, InventoryItem, Report, Resource, Severity, Status
from llmscan.model import Gap
from llmscan.places import Place
from llmscan.records import Record

HARDENING = "pod-hardening"
"""The category of what is merely not demanded of a pod: one line a workload."""

SEVERITIES = tuple(sorted(Severity, reverse=True))

Key = tuple[str, str, str, str, str]


class WorkloadGroup(Record, frozen=True):
    """What was found about one object. `findings` are failures, the worst first, without the `hardening` ones; `items`: its containers."""

    resource: Resource
    unit: str
    path: str
    findings: tuple[Finding, ...]
    hardening: tuple[Finding, ...]
    items: tuple[InventoryItem, ...]

    @property
    def worst(self) -> Severity:
        """The worst severity in it."""
        return max(finding.severity for finding in (*self.findings, *self.hardening))


class Unseen(Record, frozen=True):
    """A gap, and how many findings are unknown because of it (none: nothing that was judged rests on it).

    `more`: how many other gaps of its sort it stands for.
    """

    gap: Gap
    unknown: int
    more: int = 0

    def __str__(self) -> str:
        like_it = f", and {self.more} more of this sort" if self.more else ""
        return f"{self.gap}{like_it}"


def workload_groups(report: Report) -> list[WorkloadGroup]:
    """The failures of a report by object: the worst object first, then the one with the most of that severity, then by name."""
    items = _items_by_object(report.inventory)
    gathered: dict[Key, list[Finding]] = {}
    for finding in failures_of(report):
        gathered.setdefault(_key(finding, items), []).append(finding)
    groups = [_group(key, found, items.get(key[:4], {})) for key, found in gathered.items()]
    return sorted(groups, key=_by_weight)


def failures_of(report: Report) -> list[Finding]:
    """The findings that say that something is wrong."""
    return [finding for finding in report.findings if finding.status is Status.FAIL]


def unknowns_of(report: Report) -> list[Finding]:
    """The findings that say that something could not be told."""
    return [finding for finding in report.findings if finding.status is Status.UNKNOWN]


def severity_counts(findings: Iterable[Finding]) -> dict[Severity, int]:
    """How many of each severity, the worst first; every severity is there."""
    counted = Counter(finding.severity for finding in findings)
    return {severity: counted[severity] for severity in SEVERITIES}


def unseen(report: Report) -> list[Unseen]:
    """Every gap of a report once, the one that leaves the most unknown first."""
    hanging: Counter[Gap] = Counter(dict.fromkeys(report.coverage.gaps, 0))
    for finding in unknowns_of(report):
        hanging.update(set(finding.missing))
    return sorted((Unseen(gap, number) for gap, number in hanging.items()), key=_by_what_rests_on_it)


def unseen_sorts(gaps: Iterable[Unseen]) -> list[Unseen]:
    """One gap for each sort, with the sum of what rests on all: what a hundred images have in common is told once."""
    sorts: dict[tuple[str, str, str], list[Unseen]] = {}
    for one in gaps:
        sorts.setdefault((one.gap.kind, one.gap.why, one.gap.would), []).append(one)
    told = [Unseen(alike[0].gap, sum(one.unknown for one in alike), len(alike) - 1) for alike in sorts.values()]
    return sorted(told, key=_by_what_rests_on_it)


def _by_what_rests_on_it(one: Unseen) -> tuple[object, ...]:
    return (-one.unknown, one.gap.kind, one.gap.what, one.gap.why, place_order(one.gap.place))


def control_names(hardening: Iterable[Finding]) -> list[str]:
    """What each hardening finding asks for, in a word: the name of the Pod Security control, or else the rule's title."""
    return list(dict.fromkeys(_control(finding) for finding in hardening))


def _control(finding: Finding) -> str:
    for reference in finding.refs:
        if reference.startswith("PSS-"):
            return reference.partition(":")[2].partition("_")[0]
    return finding.title


def _items_by_object(inventory: Iterable[InventoryItem]) -> dict[tuple[str, ...], dict[str, list[InventoryItem]]]:
    """Inventory items by object and file: a folder may hold several variants of one object, a file each."""
    items: dict[tuple[str, ...], dict[str, list[InventoryItem]]] = {}
    for item in inventory:
        path = item.place.path if item.place else ""
        items.setdefault(_object(item.unit, item.resource), {}).setdefault(path, []).append(item)
    return items


def _object(unit: str, resource: Resource) -> tuple[str, str, str, str]:
    return unit, resource.namespace, resource.kind, resource.name


def _key(finding: Finding, items: Mapping[tuple[str, ...], Mapping[str, object]]) -> Key:
    base = _object(finding.unit, finding.resource)
    paths = items.get(base, {})
    if len(paths) > 1 and finding.place and finding.place.path in paths:
        return (*base, finding.place.path)
    return (*base, next(iter(paths), ""))


def _group(key: Key, found: list[Finding], items: Mapping[str, list[InventoryItem]]) -> WorkloadGroup:
    ordered = sorted(found, key=finding_order)
    return WorkloadGroup(
        Resource(kind=key[2], name=key[3], namespace=key[1]),
        key[0],
        key[4],
        tuple(finding for finding in ordered if finding.category != HARDENING),
        tuple(finding for finding in ordered if finding.category == HARDENING),
        tuple(items.get(key[4], ())),
    )


def finding_order(finding: Finding) -> tuple[object, ...]:
    """Sorts findings: the worst first, failures before unknowns, then by rule, object, place and fingerprint, so that two runs never differ."""
    resource = finding.resource
    where = (resource.namespace, resource.kind, resource.name, resource.container, place_order(finding.place))
    return (
        -finding.severity,
        finding.status is not Status.FAIL,
        finding.rule,
        finding.unit,
        *where,
        finding.setting,
        finding.fingerprint,
    )


def place_order(place: Place | None) -> tuple[str, int, int, int]:
    """Sorts places; no place comes first."""
    return (place.path, place.line, place.column, place.end_line) if place else ("", 0, 0, 0)


def _by_weight(group: WorkloadGroup) -> tuple[object, ...]:
    counts = severity_counts((*group.findings, *group.hardening))
    resource = group.resource
    order = (group.unit, resource.namespace, resource.kind, resource.name, group.path)
    return (tuple(-counts[severity] for severity in SEVERITIES), order)
