"""The JSON report, format version 1: all that llmscan concluded, for programs. Its schema is docs/report.schema.json.

Keys never change their meaning within a version; new ones may come. Lists have a fixed order and nothing depends on the time,
so that two reports of the same thing are the same text. Each finding stands on a line of its own, for diffs and grep.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from llmscan.findings import Failure, Finding, InventoryItem, ObservedNote, ProductNote, Related, Report, Waived
from llmscan.formats import Format, RenderOptions
from llmscan.hookspecs import hookimpl
from llmscan.model import Gap
from llmscan.places import Place
from llmscan.reports.finding_facts import deciding_value
from llmscan.reports.layered_json import Encoded, layered
from llmscan.reports.workload_groups import finding_order
from llmscan.shares import in_shares

FORMAT_VERSION = 1
T = TypeVar("T")
WORTHWHILE = 3000
"""Records below which a second process costs more than it saves (measured: bench/README.md)."""


@hookimpl
def llmscan_formats() -> list[Format]:
    """The format `json`."""
    return [Format("json", (".json",), render, "everything, for programs")]


def render(report: Report, options: RenderOptions) -> str:
    """The report as JSON, ASCII only, so that no text of a target can steer a terminal that shows it."""
    return layered(document(report), 2) + "\n"


def document(report: Report) -> dict[str, Any]:
    """The report as dicts and lists, its longest lists encoded. `waived` and `policy_notes` are there where there are any."""
    shown: dict[str, Any] = {
        "llmscan": report.version,
        "schema": FORMAT_VERSION,
        "target": {
            "kind": report.target.kind,
            "name": report.target.name,
            "details": dict(sorted(report.target.details.items())),
        },
        "findings": _encoded(sorted(report.findings, key=finding_order), finding_document),
        "passed": dict(sorted(report.passed.items())),
        "failures": [_failure(failure) for failure in report.failures],
        "coverage": _coverage(report),
        "inventory": _encoded(report.inventory, _item),
    }
    if report.waived:
        shown["waived"] = [_waived(waived) for waived in report.waived]
    if report.policy_notes:
        shown["policy_notes"] = list(report.policy_notes)
    return shown


def _encoded(records: Sequence[T], document_of: Callable[[T], Any]) -> list[Encoded]:
    """The document of each record, encoded."""

    def encode(share: range) -> list[str]:
        return [json.dumps(document_of(records[index])) for index in share]

    shares = in_shares(len(records), encode, worthwhile=len(records) >= WORTHWHILE)
    return [Encoded(text) for share in shares for text in share]


def finding_document(finding: Finding) -> dict[str, Any]:
    """One finding. `setting`, `quote`, `missing` and `live` are there where they say something."""
    extra = {
        "setting": finding.setting,
        "quote": finding.quote,
        "missing": [_gap(gap) for gap in finding.missing],
        "live": finding.live,
        "rendered_by": finding.rendered_by,
    }
    return {
        "rule": finding.rule,
        "title": finding.title,
        "category": finding.category,
        "status": str(finding.status),
        "severity": str(finding.severity),
        "evidence": str(finding.evidence),
        "message": finding.message,
        "fix": finding.fix,
        "resource": _resource(finding),
        "location": _location(finding.place),
        "product": _product(finding.product) if finding.product else None,
        "reach": str(finding.reach) if finding.reach is not None else None,
        "related": [_related(related) for related in _all_related(finding)],
        "via": _related(finding.via) if finding.via else None,
        "unit": finding.unit,
        "refs": list(finding.refs),
        "fingerprint": finding.fingerprint,
    } | {key: value for key, value in extra.items() if value}


def _resource(shown: Finding | InventoryItem) -> dict[str, str]:
    resource = shown.resource
    return {
        "kind": resource.kind,
        "name": resource.name,
        "namespace": resource.namespace,
        "container": resource.container,
    }


def _location(place: Place | None) -> dict[str, Any] | None:
    if place is None:
        return None
    return {"path": place.path, "line": place.line, "column": place.column, "end_line": place.end_line}


def _product(product: ProductNote) -> dict[str, str]:
    return {"id": product.id, "version": product.version, "because": product.because}


def _all_related(finding: Finding) -> list[Related]:
    deciding = deciding_value(finding)
    return [*finding.related, *([deciding] if deciding else [])]


def _related(related: Related) -> dict[str, Any]:
    """A related object; `kind`, `namespace` and `text` are there where they say something."""
    place = related.place
    shown: dict[str, Any] = {
        "name": related.name,
        "path": place.path if place else None,
        "line": place.line if place else None,
        "end_line": place.end_line if place else None,
    }
    extra = {"kind": related.kind, "namespace": related.namespace, "text": related.text}
    return shown | {key: value for key, value in extra.items() if value}


def _gap(gap: Gap) -> dict[str, Any]:
    return {"kind": gap.kind, "what": gap.what, "why": gap.why, "would": gap.would, "location": _location(gap.place)}


def _failure(failure: Failure) -> dict[str, Any]:
    return {
        "kind": failure.kind,
        "name": failure.name,
        "reason": failure.reason,
        "location": _location(failure.place),
    }


def _coverage(report: Report) -> dict[str, Any]:
    coverage = report.coverage
    return {
        "units": list(coverage.units),
        "workloads": coverage.workloads,
        "containers": coverage.containers,
        "objects": coverage.objects,
        "files": coverage.files,
        "gaps": [_gap(gap) for gap in coverage.gaps],
        "notes": list(coverage.notes),
    }


def _item(item: InventoryItem) -> dict[str, Any]:
    """One container; `observed` is there where a probe asked it."""
    observed = {"observed": [_observed(note) for note in item.observed]} if item.observed else {}
    return {
        "resource": _resource(item),
        "image": item.image,
        "products": _products(item.products),
        "endpoints": list(item.endpoints),
        "location": _location(item.place),
        "unit": item.unit,
    } | observed


def _observed(note: ObservedNote) -> dict[str, str]:
    return {
        "url": note.url,
        "outcome": note.outcome,
        "product": note.product,
        "version": note.version,
        "authentication": note.authentication,
        "cors": note.cors,
        "because": note.because,
    }


def _products(products: Iterable[ProductNote]) -> list[dict[str, str]]:
    return [_product(product) for product in products]


def _waived(waived: Waived) -> dict[str, Any]:
    return {"finding": finding_document(waived.finding), "reason": waived.reason, "expires": waived.expires or None}
