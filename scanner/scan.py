"""The flow of a scan: what was collected is linked, identified, probed and judged, and made into a report.

Collecting comes before, redaction and policy after: `llmscan.commands.shared`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from llmscan.collection import Collection
from llmscan.findings import Coverage, Failure, Report
from llmscan.host import Host
from llmscan.judging import Judged, Learner, Portion, judge_portions, merge, order, portions_of
from llmscan.model import Gap
from llmscan.products import Catalogue
from llmscan.records import Record
from llmscan.rule_view import Scan
from llmscan.rules import Rule
from llmscan.shares import in_shares
from llmscan.version import __version__

WORTHWHILE = 400
"""Objects below which a second process costs more than it saves (measured: bench/README.md)."""


class Part(Record, frozen=True):
    """What came of a part of a collection: what the rules said of it, what was read, and what failed."""

    judged: Judged
    coverage: Coverage
    failures: tuple[Failure, ...] = ()


def run(
    collection: Collection,
    host: Host,
    catalogue: Catalogue,
    options: Mapping[str, Any],
    probe: Callable[[Scan], Any] | None = None,
    learner: Learner | None = None,
) -> Report:
    """Judge what was collected with every rule, and make the report."""

    def judge(portions: Sequence[Portion]) -> Judged:
        return judge_portions(portions, collection, host, catalogue, options, probe, learner)

    def judge_unread(share: range) -> list[Part]:
        read = [collection.unread[index]() for index in share]
        return [Part(judge(portions_of(part.stacks)), coverage_of(part), part.failures) for part in read]

    portions = portions_of(collection.stacks)
    parts = [
        Part(judged, Coverage())
        for judged in in_shares(
            len(portions),
            lambda share: judge([portions[index] for index in share]),
            worthwhile=probe is None and len(portions) >= WORTHWHILE,
        )
    ]
    for read in in_shares(len(collection.unread), judge_unread, worthwhile=probe is None):
        parts += read
    for part in parts:
        host.failures += part.judged.failures
        if learner is not None:
            learner.join(part.judged.learnt)
    judged = [part.judged for part in parts]
    return Report(
        version=__version__,
        target=collection.target,
        findings=tuple(sorted(merge(f for one in judged for f in one.findings), key=order)),
        passed=dict(sorted(sum((one.passed for one in judged), Counter()).items())),
        failures=(*collection.failures, *(f for part in parts for f in part.failures), *host.told()),
        coverage=joined(
            [coverage_of(collection, [gap for one in judged for gap in one.gaps]), *(part.coverage for part in parts)]
        ),
        inventory=tuple(item for one in judged for item in one.inventory),
        rules=tuple(rule.note() for rule in sorted(host.rules.values(), key=lambda rule: rule.id)),
    )


def joined(parts: Sequence[Coverage]) -> Coverage:
    """What was read of all parts."""
    return Coverage(
        units=tuple(unit for part in parts for unit in part.units),
        workloads=sum(part.workloads for part in parts),
        containers=sum(part.containers for part in parts),
        objects=sum(part.objects for part in parts),
        files=sum(part.files for part in parts),
        gaps=tuple(dict.fromkeys(gap for part in parts for gap in part.gaps)),
        notes=tuple(note for part in parts for note in part.notes),
    )


def coverage_of(collection: Collection, more: Iterable[Gap] = ()) -> Coverage:
    """What was read, and every gap once."""
    gaps = [*collection.gaps, *more, *(gap for stack in collection.stacks for gap in stack.gaps)]
    gaps += [g for s in collection.stacks for w in s.workloads for c in w.containers for g in c.gaps]
    workloads = [workload for stack in collection.stacks for workload in stack.workloads]
    return Coverage(
        units=tuple(stack.unit for stack in collection.stacks),
        workloads=len(workloads),
        containers=sum(len(workload.containers) for workload in workloads),
        objects=collection.objects,
        files=collection.files,
        gaps=tuple(dict.fromkeys(gaps)),
        notes=collection.notes,
    )


def option_defaults(rules: Iterable[Rule]) -> dict[str, Any]:
    """Each option that rules declare, with its default."""
    return {option.name: option.default for rule in rules for option in rule.options}
