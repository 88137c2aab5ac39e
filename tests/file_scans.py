"""Scans of files for tests: what `llmscan files` collects, judges and redacts, without its output."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from llmscan.collect.files import FilesOptions, collect_files
from llmscan.commands.shared import make_report
from llmscan.findings import Finding, Report, Status


def scan_files(*paths: Path) -> Report:
    """The report of `llmscan files PATH...`."""
    return make_report(lambda: collect_files([str(path) for path in paths], FilesOptions()), {})


def failing(report: Report, rules: Iterable[str]) -> list[Finding]:
    """The findings of some rules that say that something is wrong."""
    wanted = set(rules)
    return [finding for finding in report.findings if finding.rule in wanted and finding.status is Status.FAIL]
