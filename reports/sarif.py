"""SARIF 2.1.0, made for code scanning on GitHub and valid for every other reader."""

from __future__ import annotations

from typing import Any

from llmscan.findings import Failure, Report, Target
from llmscan.formats import Format, RenderOptions
from llmscan.hookspecs import hookimpl
from llmscan.model import Gap
from llmscan.places import Place
from llmscan.reports.layered_json import layered
from llmscan.reports.printable import printable
from llmscan.reports.sarif_places import file_location, file_uri
from llmscan.reports.sarif_results import result_document
from llmscan.reports.sarif_rules import Taxonomies, rule_document, rules_of, sentence
from llmscan.reports.workload_groups import failures_of, finding_order

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
INFORMATION = "https://pypi.org/project/llmscan-suite/"
RESULTS_KEPT = 25_000
"""GitHub rejects a run with more."""


@hookimpl
def llmscan_formats() -> list[Format]:
    """The format `sarif`."""
    return [Format("sarif", (".sarif",), render, "SARIF 2.1.0, for code scanning")]


def render(report: Report, options: RenderOptions) -> str:
    """The report as SARIF, ASCII only. It holds no time: the same scan gives the same text."""
    return layered({"$schema": SCHEMA, "version": "2.1.0", "runs": [_run(report)]}, 4) + "\n"


def _run(report: Report) -> dict[str, Any]:
    found = sorted(failures_of(report), key=finding_order)
    kept = found[:RESULTS_KEPT]
    rules = rules_of(report, kept)
    taxonomies = Taxonomies(rules)
    indexes = {rule.id: index for index, rule in enumerate(rules)}
    driver: dict[str, Any] = {
        "name": "llmscan",
        "version": report.version,
        "semanticVersion": report.version,
        "informationUri": INFORMATION,
        "shortDescription": {"text": "Finds what is misconfigured in self-hosted language model deployments."},
        "rules": [rule_document(rule, taxonomies) for rule in rules],
        "supportedTaxonomies": taxonomies.supported(),
    }
    return {
        "tool": {"driver": driver},
        "automationDetails": {"id": _category(report.target)},
        "columnKind": "unicodeCodePoints",
        "invocations": [_invocation(report, len(found) - len(kept))],
        "taxonomies": taxonomies.components(),
        "results": [result_document(finding, report.target, indexes) for finding in kept],
    }


def _category(target: Target) -> str:
    """What an upload replaces: all files of a repository, or one live target. GitHub takes all before the last `/`."""
    return "llmscan/manifests/" if target.kind == "files" else f"llmscan/live/{file_uri(target.name)}/"


def _invocation(report: Report, left_out: int) -> dict[str, Any]:
    """How the run went: failures are errors and make it unsuccessful, what was not seen is noted."""
    execution = [_failure(failure) for failure in report.failures] + [_gap(gap) for gap in report.coverage.gaps]
    if left_out:
        execution.append(
            _notification("warning", f"{left_out} results were left out: GitHub takes {RESULTS_KEPT} a run")
        )
    configuration = [_notification("warning", note) for note in report.policy_notes]
    documents = {"toolExecutionNotifications": execution, "toolConfigurationNotifications": configuration}
    shown = {key: value for key, value in documents.items() if value}
    return {"executionSuccessful": not report.failures, **shown}


def _failure(failure: Failure) -> dict[str, Any]:
    return _notification("error", f"{failure.kind} {failure.name}: {failure.reason}", failure.place)


def _gap(gap: Gap) -> dict[str, Any]:
    would = f" (would tell: {gap.would})" if gap.would else ""
    return _notification("note", f"Not seen: {gap}{would}", gap.place)


def _notification(level: str, text: str, place: Place | None = None) -> dict[str, Any]:
    document: dict[str, Any] = {"level": level, "message": {"text": sentence(printable(text))}}
    return document | ({"locations": [file_location(place)]} if place else {})
