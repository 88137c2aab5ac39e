"""What the owner of a deployment decides about findings: waivers with a reason, and a baseline of those that are known.

    waivers:
      - rule: HST002                     # or fingerprint: the finding's own
        resource: Deployment/vllm        # optional, as reports name it; `*` stands for anything
        path: deploy/gpu/*               # optional
        reason: tensor parallelism needs the host's shared memory
        expires: 2027-03-31              # optional; from the day after, the finding is back

A waiver without a reason is refused. One that is unused or expired is told in every report.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from llmscan.collect.yaml_tree import Unreadable, documents
from llmscan.findings import Finding, Report, Waived
from llmscan.records import Record, replace

KEYS = frozenset({"rule", "fingerprint", "resource", "path", "reason", "expires"})
DEFAULT_FILE = ".llmscan.yaml"


class BadPolicy(Exception):
    """A policy or baseline that cannot be used; the text says where and why."""


class Waiver(Record, frozen=True):
    """One waiver; empty fields match everything."""

    reason: str
    rule: str = ""
    fingerprint: str = ""
    resource: str = ""
    path: str = ""
    expires: datetime.date | None = None
    line: int = 0

    def covers(self, finding: Finding) -> bool:
        """Whether a finding is what this waiver is about."""
        where = finding.place.path if finding.place else ""
        return (
            self.rule in ("", finding.rule)
            and self.fingerprint in ("", finding.fingerprint)
            and (not self.resource or fnmatchcase(f"{finding.resource.kind}/{finding.resource.name}", self.resource))
            and (not self.path or fnmatchcase(where, self.path))
        )


class Policy(Record, frozen=True):
    """What is decided. `known`: fingerprints of the baseline. `today`: the day that expiry is judged by."""

    waivers: tuple[Waiver, ...] = ()
    known: frozenset[str] = frozenset()
    today: datetime.date | None = None

    def apply(self, report: Report) -> Report:
        """The report with waived and known findings set aside, and with notes on waivers that do nothing."""
        used: set[Waiver] = set()
        kept: list[Finding] = []
        waived: list[Waived] = list(report.waived)
        for finding in report.findings:
            waiver = next((w for w in self.waivers if w.covers(finding) and not self._expired(w)), None)
            if waiver is not None:
                used.add(waiver)
                waived.append(Waived(finding, waiver.reason, str(waiver.expires or "")))
            elif finding.fingerprint in self.known:
                waived.append(Waived(finding, "known: it stands in the baseline"))
            else:
                kept.append(finding)
        return replace(report, findings=tuple(kept), waived=tuple(waived), policy_notes=tuple(self._notes(used)))

    def _expired(self, waiver: Waiver) -> bool:
        return waiver.expires is not None and (self.today or datetime.date.today()) > waiver.expires

    def _notes(self, used: set[Waiver]) -> Sequence[str]:
        notes = []
        for waiver in self.waivers:
            what = waiver.rule or waiver.fingerprint
            if self._expired(waiver):
                notes.append(f"the waiver of {what} in line {waiver.line} expired on {waiver.expires}")
            elif waiver not in used:
                notes.append(f"the waiver of {what} in line {waiver.line} matches nothing")
        return notes


def read_policy(path: str) -> tuple[Waiver, ...]:
    """The waivers of a policy file. Raises `BadPolicy` with a sentence."""
    try:
        text = Path(path).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadPolicy(f"{path} cannot be read: {getattr(error, 'strerror', None) or 'it is not UTF-8'}") from None
    tree: Any = next(iter(documents(text, path, legacy_booleans=False)), {})
    if isinstance(tree, Unreadable):
        raise BadPolicy(f"{path}:{tree.place.line}: {tree.reason}")
    if not isinstance(tree, dict) or set(tree) - {"waivers"}:
        raise BadPolicy(f"{path} is not a policy: it may hold `waivers`, and nothing else")
    entries = tree.get("waivers") or []
    if not isinstance(entries, list):
        raise BadPolicy(f"{path}: waivers is not a list")
    return tuple(_waiver(path, entry, entries.places[i].line) for i, entry in enumerate(entries))  # type: ignore[attr-defined]


def _waiver(path: str, entry: Any, line: int) -> Waiver:
    if not isinstance(entry, Mapping) or set(entry) - KEYS:
        raise BadPolicy(f"{path}:{line}: a waiver may hold {', '.join(sorted(KEYS))}")
    texts = {key: str(value) for key, value in entry.items() if value is not None}
    if not texts.get("reason", "").strip():
        raise BadPolicy(f"{path}:{line}: a waiver needs a reason")
    if not texts.get("rule") and not texts.get("fingerprint"):
        raise BadPolicy(f"{path}:{line}: a waiver names a rule or a fingerprint")
    try:
        expires = datetime.date.fromisoformat(texts["expires"]) if "expires" in texts else None
    except ValueError:
        raise BadPolicy(f"{path}:{line}: expires is not a date such as 2027-03-31") from None
    rest = {key: texts.get(key, "") for key in ("rule", "fingerprint", "resource", "path")}
    return Waiver(texts["reason"], **rest, expires=expires, line=line)


def read_baseline(path: str) -> frozenset[str]:
    """The fingerprints of an earlier JSON report. Raises `BadPolicy` with a sentence."""
    try:
        report = json.loads(Path(path).read_text("utf-8"))
        findings = [*report["findings"], *report.get("waived", ())]
        return frozenset(str((item.get("finding") or item)["fingerprint"]) for item in findings)
    except OSError as error:
        raise BadPolicy(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise BadPolicy(f"{path} is not a JSON report of llmscan") from None
