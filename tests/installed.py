"""Small distributions with an `llmscan` entry point, laid out in a folder as pip would, and the command run with that folder on its path."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HEALTHY = '''
from collections.abc import Iterator

from llmscan import Scan, Severity, Verdict, Workload, fail, hookimpl, rule


@rule("ZZZ001", "A workload is there", Severity.LOW, category="pod-hardening")
def is_there(workload: Workload, scan: Scan) -> Iterator[Verdict]:
    """Every workload is one too many.

    Remove it.
    """
    yield fail(f"{workload.name} is there")


@hookimpl
def llmscan_rules():
    return [is_there]
'''
MANIFEST = """\
apiVersion: v1
kind: Pod
metadata: {name: lonely}
spec:
  containers:
    - {name: main, image: example.com/lonely:1.0}
"""


def install(folder: Path, name: str, source: str, entry: str = "") -> None:
    """A distribution `name` with one module and one entry point, which names `entry` (by default the module)."""
    module = f"installed_{name}"
    (folder / f"{module}.py").write_text(source)
    information = folder / f"{name}-1.0.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text(f"[llmscan]\n{entry or name} = {module}\n")


@dataclass(frozen=True)
class Run:
    """What a run of the command left: its exit code, what it printed, and the reports."""

    code: int
    table: str
    errors: str
    reports: dict[str, str]

    @property
    def json(self) -> Any:
        """The JSON report, parsed."""
        return json.loads(self.reports["json"])

    @property
    def rules(self) -> set[str]:
        """The rules that have findings."""
        return {finding["rule"] for finding in self.json["findings"]}


def llmscan(folder: Path, *words: str, path: Path | None = None, formats: str = "json sarif html") -> Run:
    """Run the command in `folder` with what is installed in `path`, and write a report in each format."""
    outputs = {name: folder / f"report.{name}" for name in formats.split()}
    asked = [word for file in outputs.values() for word in ("-o", str(file))]
    environment = os.environ | ({"PYTHONPATH": str(path)} if path else {}) | {"COLUMNS": "200"}
    done = subprocess.run(
        [sys.executable, "-m", "llmscan.cli", *words, *asked],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    reports = {name: file.read_text() for name, file in outputs.items() if file.exists()}
    return Run(done.returncode, done.stdout, done.stderr, reports)
