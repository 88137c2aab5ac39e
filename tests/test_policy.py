"""Waivers and baselines: what an owner decided is set aside with its reason, and never in silence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from llmscan.commands import group

DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: server, namespace: ai}
spec:
  template:
    metadata: {labels: {app: server}}
    spec:
      hostIPC: true
      containers:
        - {name: server, image: "example.org/server:1.2.3", securityContext: {privileged: true}}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one deployment, as the working directory."""
    (tmp_path / "deploy.yaml").write_text(DEPLOYMENT)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def scan(*arguments: str) -> tuple[int, Any]:
    """The exit code and the JSON report of `llmscan files`."""
    done = CliRunner().invoke(group, ["files", "deploy.yaml", "--format", "json", *arguments])
    return done.exit_code, json.loads(done.stdout) if done.stdout.startswith("{") else done.output


def rules(report: Any) -> set[str]:
    """The rules of the findings that are left."""
    return {finding["rule"] for finding in report["findings"]}


def test_a_waiver_sets_its_finding_aside_with_the_reason(folder: Path) -> None:
    """A waived finding is no longer counted, and stands in the report with the reason and the expiry."""
    (folder / ".llmscan.yaml").write_text(
        "waivers:\n"
        "  - {rule: HST002, resource: Deployment/server, reason: shared memory, expires: 2999-01-01}\n"
        "  - {rule: HST001, path: 'deploy*', reason: drivers}\n"
    )
    code, report = scan()
    assert code == 0
    assert not {"HST001", "HST002"} & rules(report)
    told = {entry["finding"]["rule"]: (entry["reason"], entry["expires"]) for entry in report["waived"]}
    assert told == {"HST002": ("shared memory", "2999-01-01"), "HST001": ("drivers", None)}


def test_an_expired_or_unused_waiver_is_told(folder: Path) -> None:
    """An expired waiver no longer holds, one that matches nothing does no harm, and the report says both."""
    (folder / "p.yaml").write_text(
        "waivers:\n  - {rule: HST001, reason: drivers, expires: 2020-01-01}\n  - {rule: COR001, reason: none here}\n"
    )
    code, report = scan("--policy", "p.yaml")
    assert code == 1
    assert "HST001" in rules(report)
    assert report["policy_notes"] == [
        "the waiver of HST001 in line 2 expired on 2020-01-01",
        "the waiver of COR001 in line 3 matches nothing",
    ]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("waivers: [{rule: HST001}]", "a waiver needs a reason"),
        ("waivers: [{reason: because}]", "names a rule or a fingerprint"),
        ("waivers: [{rule: HST001, reason: x, expires: soon}]", "expires is not a date"),
        ("ignore: [HST001]", "is not a policy"),
        ("waivers: [", "did not find"),
    ],
)
def test_a_policy_that_is_wrong_is_refused(folder: Path, text: str, sentence: str) -> None:
    """A policy that cannot be used is wrong usage, told in a sentence."""
    (folder / "p.yaml").write_text(text)
    code, output = scan("--policy", "p.yaml")
    assert code == 2
    assert sentence in output


def test_a_baseline_sets_known_findings_aside(folder: Path) -> None:
    """What an earlier report holds is known; a new finding still counts."""
    _, first = scan()
    (folder / "before.json").write_text(json.dumps(first))
    code, report = scan("--baseline", "before.json")
    assert (code, report["findings"]) == (0, [])
    assert len(report["waived"]) == len(first["findings"])
    (folder / "deploy.yaml").write_text(DEPLOYMENT.replace("hostIPC: true", "hostIPC: true\n      hostPID: true"))
    code, report = scan("--baseline", "before.json")
    assert (code, rules(report)) == (1, {"HST002"})
