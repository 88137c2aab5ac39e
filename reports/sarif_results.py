"""The results of a SARIF run: one for each failure. Passes and unknowns stay out, since code scanning makes alerts of them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from llmscan.findings import Finding, Related, Target
from llmscan.reports.finding_facts import deciding_value, elsewhere, line_of, related_name
from llmscan.reports.printable import printable, printable_lines
from llmscan.reports.sarif_places import logical_location, physical_location, related_location
from llmscan.reports.sarif_rules import LEVELS, sentence

RELATED_KEPT = 50


def result_document(finding: Finding, target: Target, rule_indexes: Mapping[str, int]) -> dict[str, Any]:
    """`result` of a failure."""
    links = _links(finding)
    document: dict[str, Any] = {
        "ruleId": finding.rule,
        "ruleIndex": rule_indexes[finding.rule],
        "level": LEVELS[finding.severity],
        "message": {"text": _message(finding, links)},
        "locations": [
            {"physicalLocation": physical_location(finding, target), "logicalLocations": [logical_location(finding)]}
        ],
        "partialFingerprints": _fingerprints(finding),
        "properties": _properties(finding),
    }
    related = [
        related_location(one, target, number, sentence(one.text or _name(one)))
        for number, (_, one) in enumerate(links, start=1)
    ]
    return document | ({"relatedLocations": related} if related else {})


def escaped(text: str) -> str:
    """Text of a target for a message: on one line, its brackets no link, its backticks (which GitHub swallows) quotes."""
    return re.sub(r"([\\\[\]])", r"\\\1", printable(text)).replace("`", "'")


def _links(finding: Finding) -> list[tuple[str, Related]]:
    """What the message links to, each under what is said of it."""
    deciding = deciding_value(finding)
    links = [("decided", deciding)] if deciding else []
    links += [("way", finding.via)] if finding.via else []
    return links + [("same", one) for one in elsewhere(finding)[:RELATED_KEPT]]


def _message(finding: Finding, links: list[tuple[str, Related]]) -> str:
    """What is wrong, how it is reached, where else, and how to mend it. GitHub shows the first sentence as the title."""
    linked: dict[str, list[str]] = {"decided": [], "way": [], "same": []}
    for number, (sort, one) in enumerate(links, start=1):
        text = line_of(one.place) if sort == "decided" else _name(one)
        linked[sort].append(f"[{escaped(text)}]({number})")
    parts = [sentence(escaped(finding.message) or finding.title)]
    parts += [f"Decided by {one}." for one in linked["decided"]]
    if finding.reach is not None or linked["way"]:
        parts.append(f"Reach: {' '.join([_reach(finding), *(f'through {one}' for one in linked['way'])]).strip()}.")
    parts += [f"The same in {', '.join(linked['same'])}."] if linked["same"] else []
    fix = "\n".join(escaped(line) for line in printable_lines(finding.fix))
    return " ".join(parts) + (f"\nFix: {fix}" if fix else "")


def _reach(finding: Finding) -> str:
    return str(finding.reach) if finding.reach is not None else ""


def _name(related: Related) -> str:
    return printable(related_name(related)) or "another object"


def _fingerprints(finding: Finding) -> dict[str, str]:
    """llmscan's own, and where no file is there from which GitHub can make its own, that one too."""
    ours = {"llmscanFinding/v1": finding.fingerprint}
    if finding.place:
        return ours
    digest = hashlib.sha256(finding.fingerprint.encode()).hexdigest()
    return {"primaryLocationLineHash": f"{digest[:16]}:1"} | ours


def _properties(finding: Finding) -> dict[str, Any]:
    product = finding.product
    properties = {
        "category": finding.category,
        "severity": str(finding.severity),
        "evidence": str(finding.evidence),
        "reach": _reach(finding),
        "product": printable(f"{product.name} {product.version}") if product else "",
        "unit": printable(finding.unit),
        "renderedBy": finding.rendered_by,
        "quote": "\n".join(printable_lines(finding.quote)),
        "live": finding.live,
    }
    return {key: value for key, value in properties.items() if value}
