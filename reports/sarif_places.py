"""Where a SARIF result is: the file, or for a live object a path of its own that code scanning takes for a file.

Code scanning rejects a whole upload for a single location that has a scheme, a host, or no path at all, and holds an alert by its path.
So a live object gets a relative path made of names alone: nothing in it changes from run to run.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from llmscan.findings import Finding, Related, Target
from llmscan.places import Place
from llmscan.reports.printable import printable

LIVE_ROOT = "llmscan-live"
SEGMENT_SAFE = "!$&'()*+,;=@-._~"
"""What RFC 3986 allows in a segment, but for `:`, which would make a scheme of what is before it."""


def file_uri(path: str) -> str:
    """A path as a relative URI: no scheme, no empty, `.` or `..` segments."""
    segments = [segment for segment in path.replace("\\", "/").split("/") if segment not in ("", ".", "..")]
    return "/".join(_segment(segment) for segment in segments) or "unnamed"


def live_uri(target: Target, *names: str) -> str:
    """The path that stands for a live object: `llmscan-live/kubernetes/<target>/<namespace>/<kind>/<name>`."""
    return "/".join([LIVE_ROOT, *(_segment(name) for name in (target.kind, target.name, *names) if name.strip("."))])


def physical_location(finding: Finding, target: Target) -> dict[str, Any]:
    """The place of a finding."""
    resource = finding.resource
    return _physical(finding.place, target, resource.namespace, resource.kind, resource.name, unit=finding.unit)


def related_location(related: Related, target: Target, number: int, text: str) -> dict[str, Any]:
    """The place of something that a message links to by `number`."""
    physical = _physical(related.place, target, related.namespace, related.kind, related.name)
    return {"id": number, "physicalLocation": physical, "message": {"text": text}}


def file_location(place: Place) -> dict[str, Any]:
    """A span of lines."""
    return {"physicalLocation": {"artifactLocation": {"uri": file_uri(place.path)}, "region": _region(place)}}


def logical_location(finding: Finding) -> dict[str, Any]:
    """The object that a finding is about, as its owner calls it."""
    resource = finding.resource
    names = [resource.namespace, resource.kind, resource.name, resource.container]
    return {
        "name": printable(resource.container or resource.name),
        "fullyQualifiedName": "/".join(printable(name) for name in names if name),
        "kind": "resource",
    }


def _physical(place: Place | None, target: Target, *names: str, unit: str = "") -> dict[str, Any]:
    if place:
        return {"artifactLocation": {"uri": file_uri(place.path)}, "region": _region(place)}
    uri = file_uri("/".join((unit, *names))) if target.kind == "files" else live_uri(target, *names)
    region = {"startLine": 1, "startColumn": 1, "endLine": 1, "endColumn": 2}
    return {"artifactLocation": {"uri": uri}, "region": region}


def _region(place: Place) -> dict[str, int]:
    """The whole lines from the place's column on; llmscan keeps no column of an end."""
    line = max(place.line, 1)
    region = {"startLine": line, "startColumn": max(place.column, 1)}
    return region | ({"endLine": place.end_line} if place.end_line > line else {})


def _segment(text: str) -> str:
    return quote(printable(text), safe=SEGMENT_SAFE, errors="replace") or "unnamed"
