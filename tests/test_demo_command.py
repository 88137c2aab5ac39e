"""`llmscan demo` shows the whole scan on a cluster that it brings along."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from signal import SIGINT, SIGTERM

import pytest
from click.testing import CliRunner

from llmscan.commands import group


def test_it_writes_its_reports_and_ends_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table on standard output, HTML and SARIF in the working directory, exit code 0 in spite of the findings."""
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(group, ["demo"])
    assert result.exit_code == 0
    assert "Deployment/ollama" in result.stdout
    run = json.loads(Path("llmscan-report.sarif").read_text(encoding="utf-8"))["runs"][0]
    assert run["automationDetails"]["id"] == "llmscan/live/demo/"
    assert run["invocations"][0]["executionSuccessful"] is True
    assert len(run["results"]) > 30
    assert "<html" in Path("llmscan-report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("signal", [SIGINT, SIGTERM])
def test_it_is_the_scan_of_the_served_cluster(tmp_path: Path, signal: int) -> None:
    """`demo --serve` prints a kubeconfig, and `llmscan k8s` with it finds what the demonstration found."""
    command = [sys.executable, "-m", "llmscan.cli"]
    with subprocess.Popen(
        [*command, "demo", "--serve"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        kubeconfig = server.stdout.readline().strip()
        scan = ["k8s", "--namespace", "ai", "--kubeconfig", kubeconfig, "--target-name", "demo", "-o", "live.sarif"]
        live = subprocess.run([*command, *scan], cwd=tmp_path, capture_output=True, text=True, check=False)
        server.send_signal(signal)
    demo = subprocess.run([*command, "demo"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (live.returncode, demo.returncode, server.returncode) == (1, 0, 0)
    assert live.stdout == demo.stdout
    assert (tmp_path / "live.sarif").read_text() == (tmp_path / "llmscan-report.sarif").read_text()
    assert not Path(kubeconfig).parent.exists()


def test_a_port_that_is_taken_is_said(tmp_path: Path) -> None:
    """Exit 2, and no trace."""
    from llmscan.testing import ApiServer

    with ApiServer([]) as server:
        result = CliRunner().invoke(group, ["demo", "--serve", "--port", server.url.rpartition(":")[2]])
    assert result.exit_code == 2
    assert "cannot listen on port" in result.output
