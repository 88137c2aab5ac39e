"""The JSON report, format version 1: all that llmscan concluded, for programs. Its schema is docs/report.schema.json.

Keys never change their meaning within a version; new ones may come. Lists have a fixed order and nothing depends on the time,
so that two reports of the same thing are the same text. Each finding stands on a line of its own, for diffs and grep.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from json.encoder import encode_basestring_ascii as quoted
from typing import Any, TypeVar

from llmscan.findings import (
    Evidence,
    Failure,
    Finding,
    InventoryItem,
    ObservedNote,
    ProductNote,
    Related,
    Report,
    Resource,
    Severity,
    Status,
    Waived,
)
from llmscan.formats import Format, RenderOptions
from llmscan.hookspecs import hookimpl
from llmscan.model import Gap
from llmscan.places import Place
from llmscan.reports.finding_facts import deciding_value
from llmscan.reports.layered_json import Encoded, layered
from llmscan.reports.workload_groups import finding_order

FORMAT_VERSION = 1
T = TypeVar("T")


@hookimpl
def llmscan_formats() -> list[Format]:
    """The format `json`."""
    return [Format("json", (".json",), render, "everything, for programs")]


def render(report: Report, options: RenderOptions) -> str:
    """The report as JSON, ASCII only, so that no text of a target can steer a terminal that shows it."""
    return layered(document(report), 2) + "\n"


def document(report: Report) -> dict[str, Any]:
    """The report as dicts and lists, its findings encoded. `waived` and `policy_notes` are there where there are any."""
    known = Known()
    shown: dict[str, Any] = {
        "llmscan": report.version,
        "schema": FORMAT_VERSION,
        "target": {
            "kind": report.target.kind,
            "name": report.target.name,
            "details": dict(sorted(report.target.details.items())),
        },
        "findings": [_finding(finding, known) for finding in sorted(report.findings, key=finding_order)],
        "passed": dict(sorted(report.passed.items())),
        "failures": [_failure(failure) for failure in report.failures],
        "coverage": _coverage(report),
        "inventory": [_item(item) for item in report.inventory],
    }
    if report.waived:
        shown["waived"] = [_waived(waived, known) for waived in report.waived]
    if report.policy_notes:
        shown["policy_notes"] = list(report.policy_notes)
    return shown


class Known:
    """Documents of records as JSON, each made once: most of what a finding says, others say as well."""

    def __init__(self) -> None:
        self._texts: dict[Any, str] = {}

    def __call__(self, document_of: Callable[[T], Any], record: T) -> str:
        """The JSON of `document_of(record)`."""
        found = self._texts.get((document_of, record))
        if found is None:
            found = self._texts[document_of, record] = json.dumps(document_of(record))
        return found


def _finding(finding: Finding, known: Known) -> Encoded:
    """One finding. `setting`, `quote`, `missing`, `live` and `rendered_by` are there where they say something."""
    related = _all_related(finding)
    extra = {
        "setting": known(str, finding.setting) if finding.setting else "",
        "quote": quoted(finding.quote) if finding.quote else "",
        "missing": json.dumps([_gap(gap) for gap in finding.missing]) if finding.missing else "",
        "live": "true" if finding.live else "",
        "rendered_by": known(str, finding.rendered_by) if finding.rendered_by else "",
    }
    parts = [
        known(
            _verdict,
            (finding.rule, finding.title, finding.category, finding.status, finding.severity, finding.evidence),
        )[1:-1],
        f'"message": {quoted(finding.message)}',
        f'"fix": {known(str, finding.fix)}',
        f'"resource": {known(_resource, finding.resource)}',
        f'"location": {_placed(finding.place, known)}',
        f'"product": {known(_product, finding.product) if finding.product else "null"}',
        f'"reach": {known(str, finding.reach) if finding.reach is not None else "null"}',
        f'"related": {json.dumps([_related(one) for one in related]) if related else "[]"}',
        f'"via": {json.dumps(_related(finding.via)) if finding.via else "null"}',
        f'"unit": {known(str, finding.unit)}',
        f'"refs": {known(list, finding.refs)}',
        f'"fingerprint": {quoted(finding.fingerprint)}',
        *[f'"{key}": {text}' for key, text in extra.items() if text],
    ]
    return Encoded(f"{{{', '.join(parts)}}}")


def _verdict(of: tuple[str, str, str, Status, Severity, Evidence]) -> dict[str, str]:
    rule, title, category, status, severity, evidence = of
    return {
        "rule": rule,
        "title": title,
        "category": category,
        "status": str(status),
        "severity": str(severity),
        "evidence": str(evidence),
    }


def _resource(resource: Resource) -> dict[str, str]:
    return {
        "kind": resource.kind,
        "name": resource.name,
        "namespace": resource.namespace,
        "container": resource.container,
    }


def _placed(place: Place | None, known: Known) -> str:
    """What `_location` gives, as JSON."""
    if place is None:
        return "null"
    path = known(str, place.path)
    return f'{{"path": {path}, "line": {place.line}, "column": {place.column}, "end_line": {place.end_line}}}'


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
        "resource": _resource(item.resource),
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


def _waived(waived: Waived, known: Known) -> Encoded:
    about = json.dumps({"reason": waived.reason, "expires": waived.expires or None})
    return Encoded(f'{{"finding": {_finding(waived.finding, known)}, {about[1:]}')
