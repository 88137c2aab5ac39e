"""Whole deployments of several files: everything that is said of them, as JSON, and what must be among it whatever else changes.

`UPDATE_SNAPSHOTS=1` writes `fixtures/stacks/<name>/expected.json` anew, for a review of the diff.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from llmscan.commands import group

STACKS = Path(__file__).parent.parent / "fixtures" / "stacks"
SNAPSHOT = "expected.json"
Said = set[tuple[str, str, str, int]]
"""Findings as rule, `Kind/name`, file and line."""

MUST: Mapping[str, Said] = {
    "rag-compose": {
        ("AUT002", "service/ollama", "compose.yaml", 41),
        ("EXP002", "service/ollama", "compose.yaml", 44),
        ("HST004", "service/ingest", "compose.yaml", 76),
        ("AUT003", "service/vectors", "compose.yaml", 57),
        ("SEC002", "env file/(env file)", ".env", 2),
    },
    "model-serving": {
        ("AUT001", "StatefulSet/chat", "chat.yaml", 8),
        ("AUT002", "Deployment/notebook", "notebooks.yaml", 17),
        ("EXP005", "Deployment/notebook", "notebooks.yaml", 19),
        ("HST003", "Deployment/notebook", "notebooks.yaml", 26),
        ("SEC001", "StatefulSet/chat", "chat.yaml", 33),
    },
    "kserve-ray": {
        ("AUT001", "LeaderWorkerSet/large", "ray.yaml", 61),
        ("AUT001", "RayService/summaries", "ray.yaml", 24),
        ("EXP001", "RayService/summaries", "ray.yaml", 18),
        ("EXP001", "Ingress/batch-dashboard", "dashboard.yaml", 32),
        ("EXP002", "Service/large", "ray.yaml", 83),
        ("HST001", "InferenceService/classifier", "inference.yaml", 30),
        ("MOD001", "InferenceService/chat", "inference.yaml", 12),
        ("MOD004", "RayService/summaries", "ray.yaml", 15),
    },
}
QUIET: Mapping[str, set[str]] = {
    "rag-compose": {"service/gateway EXP002", "service/vectors EXP002", "service/gateway AUT003"},
    "model-serving": {"Deployment/vllm", "Service/ollama", "Deployment/ollama AUT001", "Service/old-notebook EXP003"},
    "kserve-ray": {"LeaderWorkerSet/large HST001"},
}
"""Objects, or rules on objects, of which nothing may be said: what looks like a mistake and is none."""


def scanned(name: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The JSON report of a stack, scanned from its own folder."""
    monkeypatch.chdir(STACKS / name)
    result = CliRunner().invoke(group, ["files", ".", "--exclude", SNAPSHOT, "--format", "json", "--fail-on", "never"])
    assert result.exit_code == 0, result.output
    report: dict[str, Any] = json.loads(result.stdout)
    report["llmscan"] = "(this version)"
    return report


@pytest.mark.parametrize("name", MUST)
def test_all_that_is_said_of_a_stack(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The report is the one that was reviewed, to the last word."""
    report = scanned(name, monkeypatch)
    file = STACKS / name / SNAPSHOT
    if os.environ.get("UPDATE_SNAPSHOTS"):
        file.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    assert report == json.loads(file.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", MUST)
def test_what_matters_in_a_stack_is_said(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mistakes that were built in are found on their lines, and what only looks like one is left alone."""
    failing = [finding for finding in scanned(name, monkeypatch)["findings"] if finding["status"] == "fail"]
    said = {(f["rule"], resource(f), f["location"]["path"], f["location"]["line"]) for f in failing if f["location"]}
    assert MUST[name] - said == set()
    objects = {resource(finding) for finding in failing} | {
        f"{resource(finding)} {finding['rule']}" for finding in failing
    }
    assert objects & QUIET[name] == set()


@pytest.mark.parametrize("name", MUST)
def test_every_finding_of_files_has_its_line(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is wrong in a file is wrong somewhere in it."""
    failing = [finding for finding in scanned(name, monkeypatch)["findings"] if finding["status"] == "fail"]
    assert [f"{f['rule']} {resource(f)}" for f in failing if not f["location"]] == []


def resource(finding: Mapping[str, Any]) -> str:
    """`Kind/name` of what a finding is about."""
    return f"{finding['resource']['kind']}/{finding['resource']['name']}"
