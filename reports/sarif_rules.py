"""The rules of a SARIF run, and the taxonomies of the standards that they refer to."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable
from functools import cache
from typing import Any

from llmscan.findings import Finding, Report, RuleNote, Severity
from llmscan.reports.printable import printable
from llmscan.reports.references import STANDARDS, Reference, Standard, known_reference, known_references

LEVELS = {
    Severity.CRITICAL: "error",
    Severity.HIGH: "error",
    Severity.MEDIUM: "warning",
    Severity.LOW: "note",
    Severity.INFO: "note",
}
PROBLEM_SEVERITIES = {"error": "error", "warning": "warning", "note": "recommendation"}
SECURITY_SEVERITIES = {
    Severity.CRITICAL: "9.5",
    Severity.HIGH: "8.0",
    Severity.MEDIUM: "5.5",
    Severity.LOW: "2.5",
    Severity.INFO: "0.5",
}
"""Scores that GitHub shows as critical (above 9.0), high (7.0 on), medium (4.0 on) and low."""

TAGS_KEPT = 10
"""GitHub drops the others."""
GUID_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "llmscan-suite")


class Taxonomies:
    """The standards that the rules of one run refer to, and the index of each in the run."""

    def __init__(self, rules: Iterable[RuleNote]) -> None:
        texts = dict.fromkeys(text for rule in rules for text in rule.refs)
        known = sorted(known_references(texts), key=lambda reference: reference.id)
        self.standards = [one for one in STANDARDS if any(reference.standard is one for reference in known)]
        self.taxa = {one.name: [ref for ref in known if ref.standard is one] for one in self.standards}

    def components(self) -> list[dict[str, Any]]:
        """`run.taxonomies`."""
        return [_taxonomy(standard, self.taxa[standard.name]) for standard in self.standards]

    def supported(self) -> list[dict[str, Any]]:
        """`driver.supportedTaxonomies`."""
        return [self._component(standard) for standard in self.standards]

    def relationships(self, rule: RuleNote) -> list[dict[str, Any]]:
        """`rule.relationships`: each standard's item that is about what the rule looks for."""
        return [{"target": self._target(known), "kinds": ["superset"]} for known in known_references(rule.refs)]

    def _target(self, reference: Reference) -> dict[str, Any]:
        return {
            "id": reference.id,
            "guid": guid(reference.id),
            "index": self.taxa[reference.standard.name].index(reference),
            "toolComponent": self._component(reference.standard),
        }

    def _component(self, standard: Standard) -> dict[str, Any]:
        return {"name": standard.name, "index": self.standards.index(standard), "guid": guid(standard.name)}


def rules_of(report: Report, results: Iterable[Finding]) -> list[RuleNote]:
    """The rules that took part, and any that a result names beside them, by id."""
    notes = {finding.rule: _note_from(finding) for finding in results} | {rule.id: rule for rule in report.rules}
    return [notes[id] for id in sorted(notes)]


def rule_document(rule: RuleNote, taxonomies: Taxonomies) -> dict[str, Any]:
    """`reportingDescriptor` of a rule. Nothing of a target may stand in it: all its results share it."""
    level = LEVELS[rule.severity]
    document: dict[str, Any] = {
        "id": rule.id,
        "name": pascal_name(rule.name or rule.title),
        "shortDescription": {"text": sentence(rule.title)},
        "fullDescription": {"text": shortened(sentence(rule.why or rule.title))},
        "help": {"text": _help_text(rule), "markdown": _help_markdown(rule)},
        "defaultConfiguration": {"level": level},
        "properties": {
            "tags": _tags(rule),
            "precision": "high",
            "problem.severity": PROBLEM_SEVERITIES[level],
            "security-severity": SECURITY_SEVERITIES[rule.severity],
        },
    }
    relationships = taxonomies.relationships(rule)
    return document | ({"relationships": relationships} if relationships else {})


@cache
def guid(name: str) -> str:
    """The same GUID for the same name, in every run."""
    return str(uuid.uuid5(GUID_NAMESPACE, name))


def pascal_name(text: str) -> str:
    """A name as SARIF wants it, such as `AnyOriginWithCredentials`: each word a capital and at least one small letter."""
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+", re.sub(r"[^A-Za-z0-9]+", " ", text))
    name = ""
    for word in words:
        starts_new = len(word) > 1 and word[0].isalpha() and len(name) != 1
        name += word.capitalize() if starts_new or not name else word.lower()
    return name or "Rule"


def sentence(text: str) -> str:
    """`text` on one line, closed by a period."""
    line = printable(text).strip()
    return line if line.endswith((".", "!", "?")) else f"{line}."


def shortened(text: str, most: int = 1000) -> str:
    """`text` within what GitHub takes for a description."""
    return text if len(text) <= most else text[: most - 1] + "…"


def _note_from(finding: Finding) -> RuleNote:
    return RuleNote(
        finding.rule, finding.title, finding.category, finding.severity, finding.title, finding.fix, finding.refs
    )


def _help_text(rule: RuleNote) -> str:
    references = ", ".join(rule.refs)
    parts = [sentence(rule.why or rule.title), f"Fix: {sentence(rule.fix)}" if rule.fix else ""]
    return "\n\n".join(part for part in (*parts, f"References: {references}." if references else "") if part)


def _help_markdown(rule: RuleNote) -> str:
    parts = [sentence(rule.why or rule.title)]
    parts += [f"**Fix.** {sentence(rule.fix)}"] if rule.fix else []
    parts += ["\n".join(f"- {_reference_markdown(text)}" for text in rule.refs)]
    return "\n\n".join(part for part in parts if part)


def _reference_markdown(text: str) -> str:
    known = known_reference(text)
    return f"[{text}: {known.title}]({known.url})" if known else text


def _tags(rule: RuleNote) -> list[str]:
    """`security`, the weaknesses in the form that GitHub shows, the category, and the other references as they are written."""
    weaknesses = [f"external/cwe/{text.lower()}" for text in rule.refs if text.startswith("CWE-")]
    others = [printable(text) for text in rule.refs if not text.startswith("CWE-")]
    return ["security", *weaknesses, rule.category, *others][:TAGS_KEPT]


def _taxonomy(standard: Standard, taxa: Iterable[Reference]) -> dict[str, Any]:
    document: dict[str, Any] = {
        "name": standard.name,
        "guid": guid(standard.name),
        "organization": standard.organization,
        "shortDescription": {"text": sentence(standard.title)},
        "informationUri": standard.home,
        "isComprehensive": False,
        "taxa": [_taxon(reference) for reference in taxa],
    }
    return document | ({"version": standard.version} if standard.version else {})


def _taxon(reference: Reference) -> dict[str, Any]:
    text = {"text": sentence(reference.title)}
    return {
        "id": reference.id,
        "guid": guid(reference.id),
        "name": pascal_name(reference.title),
        "shortDescription": text,
        "fullDescription": text,
        "help": {"text": f"See {reference.url}"},
        "helpUri": reference.url,
    }
