"""The JSON report: its shape, its order, and that it is safe to show."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from sample_report import CLUSTER_REPORT, EMPTY_REPORT, FILES_REPORT, OPEN_OLLAMA, hostile_report

from llmscan.findings import Report
from llmscan.formats import RenderOptions
from llmscan.records import replace
from llmscan.reports import json_report

SCHEMA = json.loads((Path(__file__).parent.parent / "docs" / "report.schema.json").read_text())
REPORTS = {"files": FILES_REPORT, "cluster": CLUSTER_REPORT, "empty": EMPTY_REPORT, "hostile": hostile_report()}


def rendered(report: Report) -> Any:
    """The report through the format and back."""
    return json.loads(json_report.render(report, RenderOptions()))


def test_the_schema_is_a_schema() -> None:
    """docs/report.schema.json is valid JSON Schema 2020-12."""
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("name", REPORTS)
def test_every_report_matches_the_schema(name: str) -> None:
    """Files, a live cluster, nothing at all and hostile text give documents that the published schema accepts."""
    jsonschema.Draft202012Validator(SCHEMA).validate(rendered(REPORTS[name]))


def test_a_finding_has_the_documented_shape() -> None:
    """One finding, key by key, as the format's documentation promises it."""
    (shown,) = rendered(replace(FILES_REPORT, findings=(OPEN_OLLAMA,)))["findings"]
    assert shown == {
        "rule": "AUT001",
        "title": "Inference API open to the internet",
        "category": "unauthenticated-endpoint",
        "status": "fail",
        "severity": "critical",
        "evidence": "default",
        "message": OPEN_OLLAMA.message,
        "fix": OPEN_OLLAMA.fix,
        "resource": {"kind": "Deployment", "name": "ollama", "namespace": "ai", "container": "ollama"},
        "location": {"path": "deploy/ollama.yaml", "line": 41, "column": 11, "end_line": 43},
        "product": {"id": "ollama", "version": "0.5.1", "because": "image ollama/ollama:0.5.1"},
        "reach": "internet",
        "related": [],
        "via": {
            "name": "ollama",
            "path": "deploy/ollama.yaml",
            "line": 61,
            "end_line": 61,
            "kind": "Service",
            "namespace": "ai",
            "text": "type: LoadBalancer",
        },
        "unit": "deploy",
        "refs": ["CWE-306", "LLM06:2026", "AML.T0040", "AML.T0034"],
        "fingerprint": OPEN_OLLAMA.fingerprint,
        "setting": "port 11434",
    }


def test_the_value_that_decides_a_rendered_line_is_related() -> None:
    """Of a line that a tool wrote, the report names the entry of the values from which it comes."""
    (shown,) = [one for one in rendered(FILES_REPORT)["findings"] if one["rule"] == "ROO001"]
    (related,) = shown["related"]
    assert (related["name"], related["path"], related["line"]) == ("vllm", "deploy/values.yaml", 7)


def test_a_live_finding_has_no_location() -> None:
    """A live object without a file has a null location and says that it is live."""
    for shown in rendered(CLUSTER_REPORT)["findings"]:
        assert shown["location"] is None
        assert shown["live"] is True


def test_an_unknown_says_what_is_missing() -> None:
    """What could not be told names each thing that was not seen, and what would tell."""
    (shown,) = [one for one in rendered(FILES_REPORT)["findings"] if one["status"] == "unknown"]
    assert [gap["what"] for gap in shown["missing"]] == [
        "env_file deploy/.env",
        "tag main of ghcr.io/open-webui/open-webui",
    ]
    assert all(gap["why"] and gap["would"] for gap in shown["missing"])


def test_the_order_of_findings_does_not_depend_on_the_order_they_came_in() -> None:
    """The same findings in another order give the same text, the worst first."""
    turned = replace(FILES_REPORT, findings=FILES_REPORT.findings[::-1])
    text = json_report.render(turned, RenderOptions())
    assert text == json_report.render(FILES_REPORT, RenderOptions(width=40, colour=True))
    severities = [one["severity"] for one in json.loads(text)["findings"]]
    assert severities == sorted(severities, key=["critical", "high", "medium", "low", "info"].index)


def test_the_text_cannot_steer_a_terminal() -> None:
    """Whatever a target says, the text is printable ASCII and line ends: no escape sequence, no mark of direction."""
    text = json_report.render(hostile_report(), RenderOptions())
    assert all(character == "\n" or " " <= character <= "~" for character in text)


def test_each_finding_stands_on_its_own_line() -> None:
    """grep finds a finding whole, and a diff shows one that changed."""
    lines = json_report.render(FILES_REPORT, RenderOptions()).splitlines()
    assert sum(line.lstrip().startswith('{"rule":') for line in lines) == len(FILES_REPORT.findings)
