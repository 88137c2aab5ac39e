"""Agreement with the Pod Security Standards: every rule that claims one of their controls, on every case of it.

A rule claims a control by a reference such as `PSS-1.37:runAsNonRoot`. Where several rules claim the same, their findings count together: each
looks at its own half of the control, and no mistake is told twice.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest
from file_scans import failing, scan_files

from llmscan.findings import Finding
from llmscan.host import start
from llmscan.rules import Rule

DATA = Path(os.environ.get("LLMSCAN_TEST_DATA", ""))
STANDARDS = DATA / "facts" / "standards.tsv"
CASES = DATA / "conformance" / "pod-security"
CORPUS = DATA / "corpus" / "files"
NO_DATA = "LLMSCAN_TEST_DATA names no folder with the cases"
MUST_CLAIM = {
    "allowPrivilegeEscalation", "appArmorProfile", "capabilities_baseline", "capabilities_restricted", "hostNamespaces", "hostPathVolumes",
    "hostPorts", "hostProbesAndHostLifecycle", "privileged", "procMount", "procMount_restricted", "restrictedVolumes", "runAsNonRoot",
    "runAsUser", "seLinuxOptions", "seccompProfile_baseline", "seccompProfile_restricted", "sysctls", "windowsHostProcess",
}  # fmt: skip
SPELLINGS = {
    "OWASP Top 10 for Agentic Applications": "{id}:{version}",
    "OWASP AISVS": "AISVS-{version}:{id}",
    "CIS Docker Benchmark": "CIS-Docker-{version}:{id}",
    "CIS Kubernetes Benchmark": "CIS-Kubernetes-{version}:{id}",
    "EU AI Act": "EU-AI-Act-{version}:{id}",
    "NIST SP 800-190": "NIST-SP-800-190:{id}",
    "Kubescape NSA framework (control ids for cross reference)": "Kubescape:{id}",
    "NSA/CISA Kubernetes Hardening Guidance": "NSA-CISA-K8s-{version}:{id}",
}
"""How this project writes references to standards whose own ids do not say whose they are; all others are written as they are."""
NSA_SECTIONS = {
    "Kubernetes Pod security": "pods",
    "Network separation and hardening": "network",
    "Authentication and authorization": "authentication",
    "Audit Logging and Threat Detection": "logging",
    "Upgrading and application security practices": "upgrading",
}


@cache
def rules() -> Mapping[str, Rule]:
    """The built-in rules."""
    return start(third_parties=False).rules


def claims() -> dict[str, list[str]]:
    """Each control with the rules that claim it."""
    found: dict[str, list[str]] = {}
    for rule in rules().values():
        for ref in rule.refs:
            if ref.startswith("PSS-1.37:"):
                found.setdefault(ref.partition(":")[2], []).append(rule.id)
    return found


def cases() -> Iterator[tuple[str, Path]]:
    """Each control that is claimed with each file of its cases."""
    by_prefix = {control.lower(): control for control in claims()}
    for path in sorted(CASES.glob("*/v1.37/*/*.yaml")):
        control = by_prefix.get(re.sub(r"\d+$", "", path.stem))
        if control:
            yield control, path


def case_name(value: object) -> str:
    """`restricted/v1.37/fail/runasnonroot0.yaml`, or the control's name."""
    return str(value.relative_to(CASES)) if isinstance(value, Path) else str(value)


def test_every_control_of_the_standards_is_claimed() -> None:
    """There is no control of baseline or restricted that no rule looks at, and no claim of a control that does not exist."""
    assert set(claims()) == MUST_CLAIM


@pytest.mark.skipif(not CASES.is_dir(), reason=NO_DATA)
@pytest.mark.parametrize(("control", "path"), list(cases()), ids=case_name)
def test_a_case_of_a_control_is_judged_as_kubernetes_judges_it(control: str, path: Path) -> None:
    """A `fail` file has a finding of the rules that claim the control; a `pass` file has none."""
    found = failing(scan_files(path), claims()[control])
    assert bool(found) == (path.parent.name == "fail"), [finding.message for finding in found]


@pytest.mark.skipif(not CASES.is_dir(), reason=NO_DATA)
def test_plain_passing_pods_have_no_finding_of_any_control() -> None:
    """The pods that pass a whole level have no finding of a control of that level."""
    restricted = [id for ids in claims().values() for id in ids]
    for name in ("base_linux.yaml", "base_windows.yaml"):
        assert failing(scan_files(CASES / "restricted" / "v1.37" / "pass" / name), restricted) == []


def admission() -> list[tuple[str, dict[str, set[str]]]]:
    """Each file of the corpus with the controls that a real API server named, object by object."""
    files: dict[str, dict[str, set[str]]] = {}
    table = CASES / "admission.tsv"
    for line in table.read_text().splitlines() if table.is_file() else ():
        if not line.startswith("#"):
            name, thing, _, controls = [*line.split("\t"), ""][:4]
            files.setdefault(name, {}).setdefault(thing, set()).update(filter(None, controls.split(",")))
    return sorted(files.items())


def named(finding: Finding) -> set[str]:
    """The objects of a finding, those of the same mistake among them."""
    return {
        f"{finding.resource.kind}/{finding.resource.name}",
        *(f"{other.kind}/{other.name}" for other in finding.related),
    }


@pytest.mark.skipif(not CORPUS.is_dir(), reason=NO_DATA)
@pytest.mark.parametrize(("name", "objects"), admission(), ids=lambda value: value if isinstance(value, str) else "")
def test_real_files_are_judged_as_an_api_server_judged_them(name: str, objects: dict[str, set[str]]) -> None:
    """For each object, the controls of our findings are those that the admission of a real API server warned of."""
    report = scan_files(CORPUS / name)
    ours: dict[str, set[str]] = {thing: set() for thing in objects}
    for control, ids in claims().items():
        for finding in failing(report, ids):
            for thing in named(finding) & ours.keys():
                ours[thing].add(control)
    assert ours == objects


def spelled(standard: str, version: str, id: str) -> str:
    """A row of the table of standards as this project refers to it."""
    version = version.split()[0]
    return SPELLINGS.get(standard, "{id}").format(version=version, id=NSA_SECTIONS.get(id, id.removeprefix("Art. ")))


@pytest.mark.skipif(not STANDARDS.is_file(), reason="LLMSCAN_TEST_DATA names no folder with the table of standards")
def test_every_reference_of_a_rule_exists() -> None:
    """What a rule refers to is in the table of standards, under the version that the reference names."""
    rows = [line.split("\t") for line in STANDARDS.read_text().splitlines()[1:]]
    known = {spelled(row[0], row[1], row[2]) for row in rows}
    assert {rule.id: missing for rule in rules().values() if (missing := set(rule.refs) - known)} == {}


def test_every_rule_has_references() -> None:
    """Each rule says which weakness, standard or technique it is about."""
    assert [rule.id for rule in rules().values() if not rule.refs] == []
