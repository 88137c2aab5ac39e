"""What is read and judged in two processes is what one process says of it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import llmscan as public
from llmscan.collect.files import FilesOptions, collect_files
from llmscan.findings import Report
from llmscan.formats import RenderOptions
from llmscan.host import start
from llmscan.model import Container
from llmscan.products import Catalogue
from llmscan.redact import Secrets, redact
from llmscan.reports import json_report
from llmscan.rules import fail, rule
from llmscan.scan import option_defaults, run

POD = """\
apiVersion: v1
kind: Pod
metadata: {{name: server-{n}}}
spec:
  containers:
    - name: main
      image: ollama/ollama:0.5.0
      envFrom: [{{configMapRef: {{name: shared}}}}]
      env: [{{name: KEY, value: secret-{n}-value}}]
---
apiVersion: v1
kind: Service
metadata: {{name: server-{n}}}
spec: {{type: LoadBalancer, selector: {{app: server-{n}}}, ports: [{{port: 80, targetPort: 11434}}]}}
"""
SHARED = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: shared}\ndata: {OLLAMA_ORIGINS: '*'}\n"
COMPOSE = """\
services:
  server:
    image: vllm/vllm-openai:v0.6.0
    command: ["--api-key", "key-{n}-of-project"]
    ports: ["{port}:8000"]
    environment: ["HF_TOKEN=${{HF_TOKEN}}"]
"""


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working directory with 400 files in folders, some within others."""
    monkeypatch.chdir(tmp_path)
    for n in range(200):
        team = tmp_path / f"team-{n // 10:02}" / ("deep" if n % 10 > 4 else "")
        team.mkdir(parents=True, exist_ok=True)
        (team / f"pod-{n}.yaml").write_text(POD.format(n=n))
        (tmp_path / f"team-{n // 10:02}" / "shared.yaml").write_text(SHARED)
        project = tmp_path / f"stack-{n:03}"
        project.mkdir()
        (project / "compose.yaml").write_text(COMPOSE.format(n=n, port=9000 + n))
        (project / ".env").write_text(f"HF_TOKEN=hf-token-{n}\n")
    (tmp_path / "team-19" / "broken.yaml").write_text("apiVersion: v1\nkind: [\n")
    yield tmp_path


def report(parts: bool, plugin: Any = None) -> Report:
    """The redacted report of the working directory, read as parts where that can be."""
    host = start([("more", plugin)] if plugin else [], third_parties=False)
    secrets = Secrets(host.rules.values())
    collection = collect_files(["."], FilesOptions(), host, parts=parts)
    assert len(collection.unread) == (2 if parts else 0)
    made = run(collection, host, Catalogue(host.products.values()), option_defaults(host.rules.values()), None, secrets)
    return redact(made, secrets)


def rendered(made: Report) -> dict[str, Any]:
    """A report as JSON, and its lists as bags: parts come one after the other."""
    shown: dict[str, Any] = json.loads(json_report.render(made, RenderOptions()))
    coverage = shown["coverage"]
    for holder, name in ((shown, "inventory"), (shown, "failures"), (coverage, "units"), (coverage, "notes")):
        holder[name] = sorted(holder[name], key=str)
    return shown


def test_parts_say_what_the_whole_says(tree: Path) -> None:
    """Findings, passes, failures, coverage and inventory are the same, and no secret of either part is shown."""
    parted = report(parts=True)
    assert rendered(parted) == rendered(report(parts=False))
    assert parted.coverage.files == 421
    assert len([failure for failure in parted.failures if failure.place]) == 1
    text = json_report.render(parted, RenderOptions())
    assert "OLLAMA_ORIGINS" in text
    assert not [n for n in range(200) if f"secret-{n}-value" in text or f"key-{n}-of-project" in text]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("stack-000/compose.yaml", "include: [stack-199/compose.yaml]\n" + COMPOSE.format(n=0, port=1)),
        ("stack-000/more.yaml", "services: {server: {extends: {file: other.yaml, service: server}}}\n"),
        ("stack-000/more.yaml", "services: {server: {image: nginx, env_file: ../stack-199/.env}}\n"),
        ("stack-000/more.yaml", "services: {server: {image: nginx, env_file: /stacks/stack-199/x.env}}\n"),
        ("stack-000/.env", "COMPOSE_FILE=compose.yaml:extra.yaml\n"),
        ("pod.yaml", POD.format(n=1000)),
    ],
)
def test_what_leads_elsewhere_is_not_parted(tree: Path, path: str, text: str) -> None:
    """Nor are folders within a folder that has files itself."""
    (tree / path).write_text(text)
    assert not collect_files(["."], FilesOptions(), parts=True).unread


def test_a_small_tree_is_not_parted(tree: Path) -> None:
    """A second process costs more than it saves there."""
    assert not collect_files(["team-00", "team-01"], FilesOptions(), parts=True).unread


class Deadly:
    """A plugin whose rule ends every process but the one that it was made in, and counts what it judges there."""

    def __init__(self, end: Callable[[], None]) -> None:
        self.home, self.end = os.getpid(), end

    @public.hookimpl
    def llmscan_rules(self) -> list[Any]:
        """One rule."""

        @rule("DIE001", "Judges at home alone", public.Severity.INFO, category="somewhere")
        def judge(container: Container, scan: public.Scan) -> Iterator[public.Verdict]:
            """A process may end.

            Judge again.
            """
            if os.getpid() != self.home:
                self.end()
            yield fail(f"{container.name} was judged.")

        return [judge]


@pytest.mark.parametrize("parts", [True, False])
def test_what_a_process_leaves_undone_is_done_by_the_other(tree: Path, parts: bool) -> None:
    """A child that ends at once costs time, and not one finding."""
    made = report(parts, Deadly(lambda: os._exit(7)))
    judged = [finding for finding in made.findings if finding.rule == "DIE001"]
    assert sum(1 + len(finding.related) for finding in judged) >= 400
    assert not [failure for failure in made.failures if failure.kind == "rule"]
