"""The flow of a scan: what was collected is linked, identified, probed and judged, and made into a report.

Collecting comes before, redaction and policy after: `llmscan.commands.shared`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from llmscan.collection import Collection
from llmscan.findings import Coverage, Report
from llmscan.host import Host
from llmscan.judging import Judged, Learner, judge_portions, merge, order, portions_of
from llmscan.model import Gap
from llmscan.products import Catalogue
from llmscan.rule_view import Scan
from llmscan.rules import Rule
from llmscan.shares import in_shares
from llmscan.version import __version__


def run(
    collection: Collection,
    host: Host,
    catalogue: Catalogue,
    options: Mapping[str, Any],
    probe: Callable[[Scan], Any] | None = None,
    learner: Learner | None = None,
) -> Report:
    """Judge what was collected with every rule, and make the report."""
    portions = [portion for stack in collection.stacks for portion in portions_of(stack)]

    def judge_share(share: range) -> Judged:
        return judge_portions(
            [portions[index] for index in share], collection, host, catalogue, options, probe, learner
        )

    parts = in_shares(len(portions), judge_share, alone=probe is not None)
    for part in parts:
        host.failures += part.failures
        if learner is not None:
            learner.join(part.learnt)
    return Report(
        version=__version__,
        target=collection.target,
        findings=tuple(sorted(merge(f for part in parts for f in part.findings), key=order)),
        passed=dict(sorted(sum((part.passed for part in parts), Counter()).items())),
        failures=(*collection.failures, *host.told()),
        coverage=coverage_of(collection, [gap for part in parts for gap in part.gaps]),
        inventory=tuple(item for part in parts for item in part.inventory),
        rules=tuple(rule.note() for rule in sorted(host.rules.values(), key=lambda rule: rule.id)),
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
