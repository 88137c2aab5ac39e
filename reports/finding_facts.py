"""What a reader is told about a finding beside its message: where it is, how it is reached, how it is known."""

from __future__ import annotations

from llmscan.findings import Evidence, Finding, ProductNote, Related
from llmscan.places import Place
from llmscan.reports.printable import printable_lines


def line_of(place: Place | None) -> str:
    """`path:line`, which terminals and editors can follow, or nothing."""
    return f"{place.path}:{place.line}" if place else ""


def where(finding: Finding) -> str:
    """The line that decides, and the container where that is not clear from the object's name."""
    container = finding.resource.container
    named = f"container {container}" if container and container != finding.resource.name else ""
    deciding = line_of(finding.place.decided_by) if finding.place else ""
    decided = f"decided by {deciding}" if deciding else ""
    rendered = f"rendered by {finding.rendered_by}" if finding.rendered_by else ""
    return ", ".join(part for part in (line_of(finding.place), rendered, decided, named) if part)


def reach(finding: Finding) -> str:
    """From where it can be reached, and through what; nothing where reach plays no part."""
    if finding.reach is None:
        return ""
    if finding.via is None:
        return str(finding.reach)
    way = "" if is_same_object(finding, finding.via) else f" through {related_name(finding.via)}"
    line = f" ({line_of(finding.via.place)})" if finding.via.place not in (None, finding.place) else ""
    return f"{finding.reach}{way}{line}"


def known(finding: Finding) -> list[str]:
    """How it is known, in lines; nothing where a setting says so, which is the common case."""
    if finding.evidence is Evidence.OBSERVED:
        return ["observed", *printable_lines(finding.quote)]
    if finding.evidence is Evidence.DEFAULT and finding.product:
        return [f"default of {product_name(finding.product)}, from {finding.product.because}"]
    return ["default"] if finding.evidence is Evidence.DEFAULT else []


def product_name(product: ProductNote) -> str:
    """Name and version, if that is known."""
    return f"{product.name} {product.version}".strip()


def is_same_object(finding: Finding, related: Related) -> bool:
    """Whether `related` is the finding's own object: another container or line of it."""
    resource = finding.resource
    return (related.kind, related.namespace, related.name) == (resource.kind, resource.namespace, resource.name)


def deciding_value(finding: Finding) -> Related | None:
    """The value that decided what a tool wrote on the finding's line, such as an entry of a chart's values."""
    if finding.place is None or finding.place.decided_by is None:
        return None
    resource = finding.resource
    return Related(resource.name, resource.kind, resource.namespace, finding.place.decided_by, "the value that decides")


def elsewhere(finding: Finding) -> list[Related]:
    """Where else the same mistake is, but for other containers of the same object that one line decides for."""
    here = line_of(finding.place)
    return [one for one in finding.related if not (is_same_object(finding, one) and line_of(one.place) == here)]


def related_name(related: Related) -> str:
    """`Kind/name`, or the name alone."""
    return f"{related.kind}/{related.name}" if related.kind else related.name
