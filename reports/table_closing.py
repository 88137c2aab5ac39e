"""The end of the terminal report: what was not seen, what is waived, what failed, and the sums that a reader looks for last."""

from __future__ import annotations

from collections.abc import Iterable

from llmscan.findings import Failure, Report, Severity
from llmscan.reports.finding_facts import line_of
from llmscan.reports.terminal_text import BOLD, DIM, GREEN, RED, SEVERITY_STYLES, YELLOW, Pen, counted
from llmscan.reports.workload_groups import (
    HARDENING,
    Unseen,
    failures_of,
    severity_counts,
    unknowns_of,
    unseen,
    unseen_sorts,
)

LISTED = 10
"""How many gaps and failures a first run lists: of the gaps, the ones on which the most rests."""


def closing(report: Report, writer: Pen, verbose: bool) -> list[list[str]]:
    """The sections after the findings; an empty one has nothing to say."""
    return [
        _not_seen(unseen(report), writer, verbose),
        _waived(report, writer) if verbose else [],
        _notes("Policy", report.policy_notes, writer),
        _notes("Taken as", report.coverage.notes, writer) if verbose else [],
        _failed(report, writer, verbose),
        [*_read(report, writer), *_sums(report, writer, verbose)],
    ]


def _not_seen(gaps: list[Unseen], writer: Pen, verbose: bool) -> list[str]:
    if not gaps:
        return []
    told = gaps if verbose else unseen_sorts(gaps)
    shown = told if verbose else told[:LISTED]
    lines = [line for one in shown for line in _gap(one, writer)]
    return [writer.heading("Not seen"), *lines, *_rest(sum(1 + one.more for one in told[len(shown) :]))]


def _gap(one: Unseen, writer: Pen) -> list[str]:
    place = f" ({line_of(one.gap.place)})" if one.gap.place and not one.more else ""
    rests = f"; {counted(one.unknown, 'verdict')} unknown" if one.unknown else ""
    lines = writer.wrapped(f"{one}{place}{rests}", 2)
    return lines + (writer.wrapped(f"would tell: {one.gap.would}", 4, DIM) if one.gap.would else [])


def _waived(report: Report, writer: Pen) -> list[str]:
    lines = [writer.heading("Waived")] if report.waived else []
    for waived in report.waived:
        until = f" (until {waived.expires})" if waived.expires else ""
        lines += writer.wrapped(f"{waived.finding.resource}: {waived.finding.title} ({waived.finding.rule})", 2)
        lines += writer.wrapped(f"{waived.reason}{until}", 4, DIM)
    return lines


def _notes(heading: str, notes: Iterable[str], writer: Pen) -> list[str]:
    lines = [line for note in notes for line in writer.wrapped(note, 2)]
    return [writer.heading(heading), *lines] if lines else []


def _failed(report: Report, writer: Pen, verbose: bool) -> list[str]:
    shown = report.failures if verbose else report.failures[:LISTED]
    lines = [line for failure in shown for line in writer.wrapped(_failure(failure), 2)]
    lines += _rest(len(report.failures) - len(shown))
    return [writer.styled("Failed", f"{BOLD};{RED}"), *lines] if lines else []


def _rest(number: int) -> list[str]:
    return [f"  and {number} more (--verbose lists them)"] if number else []


def _failure(failure: Failure) -> str:
    """A failure in a line; an input that failed is named by its place alone."""
    if failure.place and failure.place.path == failure.name:
        return f"{failure.place.path}:{failure.place.line}: {failure.reason}"
    return str(failure)


def _read(report: Report, writer: Pen) -> list[str]:
    coverage = report.coverage
    read = [counted(coverage.files, "file")] if coverage.files else []
    read += [counted(coverage.objects, "object")] if coverage.objects else []
    runs = f"{counted(coverage.workloads, 'workload')} with {counted(coverage.containers, 'container')}"
    if not coverage.workloads:
        runs = "nothing was found that runs"
    units = f" in {counted(len(coverage.units), 'unit')}" if len(coverage.units) > 1 else ""
    return writer.wrapped(f"Read {', '.join(read)}: {runs}{units}." if read else f"Seen: {runs}{units}.")


def _sums(report: Report, writer: Pen, verbose: bool) -> list[str]:
    failed = failures_of(report)
    line = _found(report, writer)
    lesser = [finding for finding in failed if finding.severity < Severity.HIGH]
    if verbose or not lesser:
        return [line]
    hardening = sum(finding.category == HARDENING for finding in lesser)
    parts = f"{len(lesser) - hardening} lesser, {hardening} hardening" if hardening else f"{len(lesser)} lesser"
    return [line, writer.styled(f"Not listed in full: {parts}. --verbose lists them all.", DIM)]


def _found(report: Report, writer: Pen) -> str:
    failed = failures_of(report)
    parts = [
        writer.styled(f"{number} {severity}", SEVERITY_STYLES[severity])
        for severity, number in severity_counts(failed).items()
        if number
    ]
    text = f"{counted(len(failed), 'finding')}: {', '.join(parts)}" if parts else _none_found(report, writer)
    beside = _beside(report, writer)
    return f"{text}; {', '.join(beside)}." if beside else f"{text}."


def _none_found(report: Report, writer: Pen) -> str:
    clean = report.coverage.workloads and not report.failures and not unknowns_of(report)
    return writer.styled("No findings", GREEN if clean else "")


def _beside(report: Report, writer: Pen) -> list[str]:
    unknown = len(unknowns_of(report))
    parts = [writer.styled(f"{unknown} unknown", YELLOW)] if unknown else []
    parts += [f"{len(report.waived)} waived"] if report.waived else []
    if report.failures:
        parts.append(writer.styled(counted(len(report.failures), "failure"), f"{BOLD};{RED}"))
    return parts
