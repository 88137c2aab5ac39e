"""The report for a terminal: what is wrong by workload, the worst first; then what was not seen, what failed, and the sums.

It lists what is high or critical and counts the rest, unless it is asked to be verbose; hardening is one line a workload.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from llmscan.findings import Finding, InventoryItem, Related, Report, Severity
from llmscan.formats import Format, RenderOptions
from llmscan.hookspecs import hookimpl
from llmscan.reports.endpoint_lines import endpoint_lines
from llmscan.reports.finding_facts import (
    elsewhere,
    is_same_object,
    known,
    line_of,
    product_name,
    reach,
    related_name,
    where,
)
from llmscan.reports.printable import printable, printable_lines
from llmscan.reports.table_closing import closing
from llmscan.reports.terminal_text import BOLD, DIM, SEVERITY_STYLES, Pen, counted, pen
from llmscan.reports.workload_groups import WorkloadGroup, control_names, unknowns_of, workload_groups

LISTED_FROM = Severity.HIGH
BODY = 12
"""The column in which the text of a finding begins, right of the severity."""
LABEL = 8
RELATED_SHOWN = 5


@hookimpl
def llmscan_formats() -> list[Format]:
    """The format `table`."""
    return [Format("table", (".txt",), render, "for a terminal")]


def render(report: Report, options: RenderOptions) -> str:
    """The report as text of `options.width` columns."""
    writer = pen(options.width, options.colour)
    groups = workload_groups(report)
    sections = [_opening(report, writer), endpoint_lines(report, writer)]
    sections += [_group(group, writer, options.verbose) for group in groups if _is_listed(group, options.verbose)]
    if options.verbose:
        sections.append(_unknowns(report, writer))
    sections += closing(report, writer, options.verbose)
    return "\n\n".join("\n".join(section) for section in sections if section) + "\n"


def _opening(report: Report, writer: Pen) -> list[str]:
    target = report.target
    details = [f"{key} {value}" for key, value in sorted(target.details.items()) if value != target.name]
    words = printable(", ".join([f"{target.kind} {target.name}", *details]))
    return [f"{writer.styled(f'llmscan {printable(report.version)}', BOLD)}  {words}"]


def _is_listed(group: WorkloadGroup, verbose: bool) -> bool:
    return verbose or any(finding.severity >= LISTED_FROM for finding in group.findings)


def _group(group: WorkloadGroup, writer: Pen, verbose: bool) -> list[str]:
    lines = [_group_heading(group, writer), *_runs(group, writer)]
    for finding in group.findings:
        if verbose or finding.severity >= LISTED_FROM:
            lines += ["", *_finding(finding, writer)]
    if group.hardening:
        lines += ["", *_hardening(group, writer)]
    return lines


def _group_heading(group: WorkloadGroup, writer: Pen) -> str:
    name = writer.styled(printable(f"{group.resource.kind}/{group.resource.name}"), BOLD)
    around = [f"namespace {group.resource.namespace}"] if group.resource.namespace else []
    if group.path or group.unit != group.resource.namespace:
        around.append(group.path or f"in {group.unit}")
    return f"{name}  {writer.styled(printable(', '.join(around)), DIM)}".rstrip()


def _runs(group: WorkloadGroup, writer: Pen) -> list[str]:
    """What the object runs: its images, with the products that were recognised in them."""
    texts = [_image_and_products(item) for item in group.items]
    return [line for text in dict.fromkeys(texts) for line in writer.wrapped(text, 2, DIM)]


def _image_and_products(item: InventoryItem) -> str:
    products = ", ".join(product_name(product) for product in item.products)
    return f"{item.image} ({products})" if products else item.image


def _finding(finding: Finding, writer: Pen) -> list[str]:
    severity = writer.styled(str(finding.severity).rjust(BODY - 2), SEVERITY_STYLES[finding.severity])
    first, *rest = writer.wrapped(finding.title, BODY, BOLD)
    lines = [f"{severity}  {first.lstrip()}", *rest]
    lines[-1] += f"  {writer.styled(finding.rule, DIM)}"
    lines += writer.wrapped(finding.message, BODY)
    for label, texts in _facts(finding):
        lines += writer.labelled(label, texts, BODY, LABEL)
    return lines


def _facts(finding: Finding) -> Iterator[tuple[str, list[str]]]:
    """The labelled lines below a finding's message."""
    if place := where(finding):
        yield "where", [place]
    if way := reach(finding):
        yield "reach", [way]
    if evidence := known(finding):
        yield "known", evidence
    if others := _also(finding):
        yield "also", [others]
    if finding.fix:
        yield "fix", printable_lines(finding.fix)


def _also(finding: Finding) -> str:
    """The other objects with the same mistake; of the finding's own object, the other lines."""
    names = dict.fromkeys(_other(finding, related) for related in elsewhere(finding))
    shown = list(names)[:RELATED_SHOWN]
    rest = len(names) - len(shown)
    return ", ".join(shown) + (f" and {rest} more" if rest else "")


def _other(finding: Finding, related: Related) -> str:
    same = is_same_object(finding, related) and related.place
    return line_of(related.place) if same else related_name(related)


def _hardening(group: WorkloadGroup, writer: Pen) -> list[str]:
    """All hardening findings of a workload as one line: which controls its pod does not ask for."""
    worst = max(finding.severity for finding in group.hardening)
    containers = {finding.resource.container for finding in group.hardening if finding.resource.container}
    several = f" ({counted(len(containers), 'container')})" if len(containers) > 1 else ""
    text = f"Hardening not asked for{several}: {', '.join(control_names(group.hardening))}"
    first, *rest = writer.wrapped(text, BODY, DIM)
    severity = writer.styled(str(worst).rjust(BODY - 2), SEVERITY_STYLES[worst])
    return [f"{severity}  {first.lstrip()}", *rest]


def _unknowns(report: Report, writer: Pen) -> list[str]:
    findings = unknowns_of(report)
    lines = [writer.heading("Could not be told")] if findings else []
    for finding in findings:
        lines += writer.wrapped(f"{finding.resource}: {finding.title} ({finding.rule})", 2)
        lines += writer.wrapped(finding.message, 4, DIM)
        lines += _missing(finding, writer)
    return lines


def _missing(finding: Finding, writer: Pen) -> Iterable[str]:
    for gap in finding.missing:
        yield from writer.labelled("missing", [str(gap)], 4, LABEL + 1)
