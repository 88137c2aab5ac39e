"""What the HTML page shows, as plain records: so that its template holds no decision beyond how things look."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from llmscan.findings import Failure, Finding, InventoryItem, Related, Report, RuleNote, Severity, Waived
from llmscan.records import Record, replace
from llmscan.reports.finding_facts import elsewhere, known, line_of, product_name, reach, related_name, where
from llmscan.reports.printable import printable, printable_lines
from llmscan.reports.references import known_reference
from llmscan.reports.terminal_text import counted
from llmscan.reports.workload_groups import (
    SEVERITIES,
    Unseen,
    WorkloadGroup,
    control_names,
    failures_of,
    finding_order,
    severity_counts,
    unknowns_of,
    unseen,
    unseen_sorts,
    workload_groups,
)

FINDINGS_SHOWN = 5_000
"""More make a page that a browser opens too slowly; JSON holds them all."""

SOURCES = {
    "files": "Deployment files",
    "kubernetes": "Kubernetes cluster",
    "docker": "Container engine",
    "endpoints": "Endpoints",
}


class Link(Record, frozen=True):
    """A reference of a rule: its text, the title if it is known, and its page, which is https or empty."""

    text: str
    title: str
    url: str


class ShownFinding(Record, frozen=True):
    """A finding as the page shows it. `anchor` is unique on the page; lists hold lines."""

    finding: Finding
    anchor: str
    where: str
    reach: str
    known: list[str]
    why: str
    fix: list[str]
    also: list[tuple[str, str]]
    links: list[Link]


class ShownGroup(Record, frozen=True):
    """A workload of the page; `controls` are what its pods do not ask for, `runs` its images with the products in them."""

    group: WorkloadGroup
    anchor: str
    findings: list[ShownFinding]
    hardening: list[ShownFinding]
    controls: list[str]
    counts: list[tuple[Severity, int]]
    runs: list[tuple[str, str]]


class RuleTally(Record, frozen=True):
    """A rule that took part, and what came of it."""

    rule: RuleNote
    failed: int
    unknown: int
    passed: int


class Page(Record, frozen=True):
    """All that the template needs."""

    report: Report
    source: str
    heading: str
    verdict: str
    failures: list[tuple[str, str, str]]
    counts: list[tuple[Severity, int]]
    bars: list[tuple[Severity, str, str]]
    scanned: list[tuple[str, str]]
    groups: list[ShownGroup]
    left_out: int
    unknowns: list[ShownFinding]
    unseen: list[Unseen]
    unseen_sorts: list[Unseen]
    inventory: list[tuple[InventoryItem, str]]
    waived: list[tuple[Waived, str]]
    categories: list[tuple[str, int]]
    tallies: list[RuleTally]


def page_of(report: Report) -> Page:
    """The page for a report."""
    failed, unknown = failures_of(report), unknowns_of(report)
    kept = sorted(report.findings, key=finding_order)[:FINDINGS_SHOWN]
    maker = _FindingMaker(report.rules)
    counts = list(severity_counts(failed).items())
    return Page(
        report,
        SOURCES.get(report.target.kind, report.target.kind),
        "The working directory" if report.target.name in ("", ".") else report.target.name,
        _verdict(report, failed),
        [_failure(failure) for failure in report.failures],
        counts,
        _bars(counts),
        _scanned(report),
        [
            _group(group, number, maker)
            for number, group in enumerate(workload_groups(replace(report, findings=tuple(kept))))
        ],
        len(report.findings) - len(kept),
        [maker.shown(finding) for finding in unknowns_of(replace(report, findings=tuple(kept)))],
        unseen(report),
        unseen_sorts(unseen(report)),
        [(item, line_of(item.place)) for item in report.inventory],
        [(waived, where(waived.finding)) for waived in report.waived],
        sorted(Counter(finding.category for finding in (*failed, *unknown)).items()),
        _tallies(report, failed, unknown),
    )


class _FindingMaker:
    """Makes findings ready to be shown; remembers which anchors the page already has."""

    def __init__(self, rules: Iterable[RuleNote]) -> None:
        self._why = {rule.id: rule.why for rule in rules}
        self._anchors: Counter[str] = Counter()

    def shown(self, finding: Finding) -> ShownFinding:
        return ShownFinding(
            finding,
            self._anchor(finding),
            where(finding),
            reach(finding),
            known(finding),
            self._why.get(finding.rule, ""),
            printable_lines(finding.fix),
            [_also(related) for related in elsewhere(finding)],
            [_link(text) for text in finding.refs],
        )

    def _anchor(self, finding: Finding) -> str:
        self._anchors[finding.fingerprint] += 1
        number = self._anchors[finding.fingerprint]
        return f"f-{finding.fingerprint}" + (f"-{number}" if number > 1 else "")


def _group(group: WorkloadGroup, number: int, maker: _FindingMaker) -> ShownGroup:
    counts = severity_counts((*group.findings, *group.hardening))
    return ShownGroup(
        group,
        f"w-{number + 1}",
        [maker.shown(finding) for finding in group.findings],
        [maker.shown(finding) for finding in group.hardening],
        control_names(group.hardening),
        [(severity, count) for severity, count in counts.items() if count],
        list(dict.fromkeys((item.image, ", ".join(map(product_name, item.products))) for item in group.items)),
    )


def _also(related: Related) -> tuple[str, str]:
    return related_name(related), line_of(related.place)


def _failure(failure: Failure) -> tuple[str, str, str]:
    """What failed, where, and why; an input is named by its place alone."""
    named = "" if failure.place and failure.place.path == failure.name else f"{failure.kind} {failure.name}"
    return named, line_of(failure.place), failure.reason


def _link(text: str) -> Link:
    known = known_reference(text)
    return Link(text, known.title, known.url) if known and known.url.startswith("https://") else Link(text, "", "")


def _verdict(report: Report, failed: list[Finding]) -> str:
    """One sentence that a reader can repeat."""
    if not report.coverage.workloads and not failed:
        return "Nothing was found that runs."
    bad = [finding for finding in failed if finding.severity >= Severity.HIGH]
    if bad:
        objects = len({(one.unit, one.resource.namespace, one.resource.kind, one.resource.name) for one in bad})
        return f"{counted(len(bad), 'serious finding')} in {counted(objects, 'object')}."
    if failed:
        return "Nothing critical or high."
    return (
        "No findings, but not everything could be told." if unknowns_of(report) or report.failures else "No findings."
    )


def _bars(counts: list[tuple[Severity, int]]) -> list[tuple[Severity, str, str]]:
    """Start and width of each severity's share of a bar, as percentages."""
    total = sum(number for _, number in counts)
    bars, start = [], 0.0
    for severity, number in counts:
        if number:
            share = 100 * number / total
            bars.append((severity, f"{start:.2f}%", f"{share:.2f}%"))
            start += share
    return bars


def _scanned(report: Report) -> list[tuple[str, str]]:
    """What was read, as label and value."""
    coverage = report.coverage
    numbers = [
        ("Files", coverage.files),
        ("Objects", coverage.objects),
        ("Workloads", coverage.workloads),
        ("Containers", coverage.containers),
    ]
    shown = [(label, str(number)) for label, number in numbers if number]
    return shown + [(key.capitalize(), printable(value)) for key, value in sorted(report.target.details.items())]


def _tallies(report: Report, failed: list[Finding], unknown: list[Finding]) -> list[RuleTally]:
    failures, unknowns = (Counter(finding.rule for finding in found) for found in (failed, unknown))
    order = {severity: number for number, severity in enumerate(SEVERITIES)}
    rules = sorted(report.rules, key=lambda rule: (order[rule.severity], rule.id))
    return [RuleTally(rule, failures[rule.id], unknowns[rule.id], report.passed.get(rule.id, 0)) for rule in rules]
