"""The tests that a plugin brings: its rules on small inputs, through the scan that its users run."""

from __future__ import annotations

from pathlib import Path

import acme_owner
import acme_platform

from llmscan.testing import scan_files

POD = """\
apiVersion: v1
kind: Pod
metadata: {name: gateway, labels: {acme.example/owner: LABEL}}
spec:
  containers:
    - {name: main, image: "acme/gateway:2.0", env: [{name: ACME_QUOTA, value: "500"}]}
"""
APP = '{"app": "chat", "image": "acme/gateway:2.0", "env": {"ACME_QUOTA": "50"}}'
PLUGINS = {"acme-owner": acme_owner, "acme-platform": acme_platform}


def test_a_workload_needs_an_owner(tmp_path: Path) -> None:
    """With the label there is nothing to say; without it, one finding."""
    (tmp_path / "pod.yaml").write_text(POD)
    assert "ACME001" not in {finding.rule for finding in scan_files(tmp_path, plugins=PLUGINS).findings}
    (tmp_path / "pod.yaml").write_text(POD.replace("acme.example/owner: LABEL", ""))
    assert "ACME001" in {finding.rule for finding in scan_files(tmp_path, plugins=PLUGINS).findings}


def test_the_quota_has_a_limit(tmp_path: Path) -> None:
    """500 is over the limit of 100, and under one of 1000; the built-in rules know the product as well."""
    (tmp_path / "pod.yaml").write_text(POD)
    report = scan_files(tmp_path, plugins=PLUGINS)
    (finding,) = [finding for finding in report.findings if finding.rule == "ACME002"]
    assert (finding.setting, finding.place and finding.place.line) == ("ACME_QUOTA", 6)
    assert any(finding.rule.startswith("AUT") for finding in report.findings)
    assert "ACME002" in scan_files(tmp_path, plugins=PLUGINS, options={"acme_quota": 1000}).passed


def test_apps_are_read(tmp_path: Path) -> None:
    """A file of our own kind becomes a workload like any other."""
    (tmp_path / "chat.acme.json").write_text(APP)
    report = scan_files(tmp_path, plugins=PLUGINS)
    assert [item.resource.name for item in report.inventory] == ["chat"]
    assert report.failures == ()
