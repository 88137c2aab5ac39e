"""What `llmscan files .` takes for what in a repository: every kind by itself, nothing twice, nothing that is only a part."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from rendering_tools import FIXTURES, collect, only, write

from llmscan.collect.files import FilesOptions, collect_files
from llmscan.collection import Collection
from llmscan.commands import group
from llmscan.model import Reach, Stack, Workload

DEPLOYMENT = """apiVersion: apps/v1
kind: Deployment
metadata:
  name: NAME
spec:
  template:
    spec:
      containers:
        - name: main
          image: ollama/ollama:0.12.3
"""
CRD = """apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: models.example.com
spec:
  group: example.com
"""
REPOSITORY = {
    ".gitignore": "build/\n*.local.yaml\n",
    ".git/HEAD": "ref: refs/heads/main\n",
    "compose.yaml": "services:\n  web:\n    image: ollama/ollama:0.12.3\n",
    "charts/chat/Chart.yaml": "apiVersion: v2\nname: chat\nversion: 0.1.0\n",
    "charts/chat/values.yaml": "services:\n  - a\nname: chat\n",
    "charts/chat/values-prod.yaml": "services:\n  web:\n    image: x\n",
    "charts/chat/crds/model.yaml": CRD,
    "charts/chat/templates/app.yaml": DEPLOYMENT.replace("NAME", "{{ .Values.name }}"),
    "charts/chat/ci/test-values.yaml": "kind: Deployment\napiVersion: apps/v1\n",
    "k8s/base/kustomization.yaml": "resources: [app.yaml]\n",
    "k8s/base/app.yaml": DEPLOYMENT.replace("NAME", "built"),
    "k8s/prod/kustomization.yaml": "resources: [../base]\npatches: [{path: patch.yaml}]\n",
    "k8s/prod/patch.yaml": "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: built}\nspec: {replicas: 2}\n",
    "plain/app.yaml": DEPLOYMENT.replace("NAME", "plain"),
    "plain/crd.yaml": CRD,
    "plain/fragment.yaml": "containers:\n  - name: a\n    image: b\n",
    "plain/values.yaml": "image: {repository: a}\n",
    "build/app.yaml": DEPLOYMENT.replace("NAME", "ignored"),
    "plain/mine.local.yaml": DEPLOYMENT.replace("NAME", "ignored"),
    "node_modules/app.yaml": DEPLOYMENT.replace("NAME", "ignored"),
}


@pytest.fixture
def tools(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`helm` and `kubectl`."""
    only(monkeypatch, tmp_path / "bin", "helm", "kubectl")


def workloads(found: Collection) -> dict[str, list[str]]:
    """The workloads of each unit."""
    return {stack.unit: [workload.name for workload in stack.workloads] for stack in found.stacks}


def test_each_thing_is_found_once_and_taken_for_what_it_is(
    tools: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A chart, a root kustomization, a compose project and a folder are the units; values, CRDs, patches and fragments are none."""
    found = collect(write(tmp_path / "r", REPOSITORY), monkeypatch)
    assert not found.failures
    assert workloads(found) == {
        "charts/chat": ["chat"],
        "k8s/prod": ["built"],
        "plain": ["plain"],
        "compose.yaml": ["web"],
    }


def test_exclude_leaves_out_in_the_syntax_of_gitignore(
    tools: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Charts and kustomizations too."""
    root = write(tmp_path / "r", REPOSITORY)
    found = collect(root, monkeypatch, FilesOptions(exclude=("/charts/", "k8s/prod", "compose.*")))
    assert workloads(found) == {"k8s/base": ["built"], "plain": ["plain"]}


def test_links_are_not_followed(tools: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a linked file nor a linked folder; one that leads out of the tree is named as not seen."""
    write(tmp_path, {"outside/app.yaml": DEPLOYMENT.replace("NAME", "outside")})
    root = write(tmp_path / "r", REPOSITORY)
    (root / "plain" / "again.yaml").symlink_to("app.yaml")
    (root / "plain" / "out.yaml").symlink_to(tmp_path / "outside" / "app.yaml")
    (root / "more").symlink_to(tmp_path / "outside")
    found = collect(root, monkeypatch)
    assert workloads(found)["plain"] == ["plain"]
    assert "plain/again.yaml: a link, not followed" in found.notes
    assert {gap.what for gap in found.gaps} >= {"plain/out.yaml", "more"}


def test_charts_of_several_places_are_kept_apart(tools: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A chart at the top of one PATH does not take in what lies in the `charts/` of another."""
    service = {"templates/app.yaml": DEPLOYMENT.replace("NAME", "{{ .Release.Name }}")}
    chart = "apiVersion: v2\nname: {}\nversion: 0.1.0\n"
    write(tmp_path / "one", {"Chart.yaml": chart.format("one")} | service)
    write(tmp_path / "two" / "charts" / "two", {"Chart.yaml": chart.format("two")} | service)
    monkeypatch.chdir(tmp_path / "one")
    assert workloads(collect_files([".", "../two"], FilesOptions())) == {".": ["one"], "charts/two": ["two"]}
    monkeypatch.chdir(tmp_path / "bin")
    found = workloads(collect_files(["../one", "../two"], FilesOptions()))
    assert found == {"one": ["one"], "two/charts/two": ["two"]}


def test_what_was_taken_for_what_is_noted(tools: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--verbose` shows it, file by file and unit by unit."""
    monkeypatch.chdir(write(tmp_path / "r", REPOSITORY))
    shown = " ".join(CliRunner().invoke(group, ["files", ".", "--verbose"]).output.split())
    for note in (
        "charts/chat: a chart, rendered by helm as release chat: 1 Kubernetes objects",
        "k8s/prod: a kustomization of 4 files, built: 1 Kubernetes objects",
        "plain/app.yaml: 1 Kubernetes objects",
        "plain/fragment.yaml: neither a manifest nor a compose file",
    ):
        assert note in shown


def test_the_report_names_the_units(tools: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the JSON report's coverage, and with each finding."""
    monkeypatch.chdir(write(tmp_path / "r", REPOSITORY))
    report: Any = json.loads(CliRunner().invoke(group, ["files", ".", "--format", "json"]).output)
    units = {"charts/chat", "k8s/prod", "plain", "compose.yaml"}
    assert set(report["coverage"]["units"]) == units
    assert {finding["unit"] for finding in report["findings"]} <= units


def test_one_mistake_of_a_base_is_told_once(tools: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two overlays of a base share its lines: the mistake is one finding, with the other overlay's object related."""
    monkeypatch.chdir(FIXTURES / "kustomize")
    report: Any = json.loads(CliRunner().invoke(group, ["files", ".", "--format", "json"]).output)
    unlimited = [finding for finding in report["findings"] if finding["rule"] == "RES001"]
    (finding,) = unlimited
    names = {finding["resource"]["name"], *(related["name"] for related in finding["related"])}
    assert names == {"ollama-dev", "prod-ollama"}


def delivery(monkeypatch: pytest.MonkeyPatch) -> Stack:
    (stack,) = collect(FIXTURES / "gitops", monkeypatch).stacks
    return stack


def of(stack: Stack, name: str) -> Workload:
    return next(workload for workload in stack.workloads if workload.name == name)


def test_a_helm_release_is_judged_for_what_its_values_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """Image, variables, security contexts and the service's type, each at its line; the chart is named as not seen."""
    stack = delivery(monkeypatch)
    workload = of(stack, "ollama")
    (container,) = workload.containers
    assert (workload.kind, workload.namespace) == ("HelmRelease", "inference")
    assert container.image is not None
    assert (container.image.reference, container.image.place and container.image.place.line) == (
        "ollama/ollama:latest",
        17,
    )
    privileged = container.security.privileged
    assert (privileged.value, privileged.place and privileged.place.line) == (True, 21)
    assert container.env["OLLAMA_ORIGINS"].value == "*"
    service = next(one for one in stack.services if one.name == "ollama")
    assert (service.type.value, service.type.place and service.type.place.line) == ("LoadBalancer", 26)
    assert {gap.what for gap in stack.gaps} == {"chart ollama", "chart qdrant"}


def test_an_application_is_judged_for_its_values_and_parameters(monkeypatch: pytest.MonkeyPatch) -> None:
    """Values stand in a text, parameters win over them."""
    workload = of(delivery(monkeypatch), "qdrant")
    (container,) = workload.containers
    assert (workload.kind, workload.namespace) == ("Application", "vectors")
    assert container.image is not None
    assert container.image.reference == "docker.io/qdrant/qdrant:v1.15.0"
    assert (workload.host_network.value, workload.host_network.place and workload.host_network.place.line) == (True, 25)


def test_what_an_absent_chart_decides_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """No line of the values says that there is no limit, no policy, no key: none of it is a mistake, all of it is unknown."""
    monkeypatch.chdir(FIXTURES / "gitops")
    report: Any = json.loads(CliRunner().invoke(group, ["files", ".", "--format", "json"]).output)
    verdicts = {(finding["rule"], finding["resource"]["name"]): finding["status"] for finding in report["findings"]}
    said = {("HST001", "ollama"), ("COR001", "ollama"), ("IMG001", "ollama"), ("ROO001", "ollama")}
    assert {key: verdicts[key] for key in said} == dict.fromkeys(said, "fail")
    unsaid = {("RES001", "ollama"), ("NET001", "ollama"), ("NET001", "qdrant"), ("HRD004", "qdrant")}
    assert {key: verdicts[key] for key in unsaid} == dict.fromkeys(unsaid, "unknown")
    assert report["failures"] == []


def test_a_service_type_in_values_reaches_the_internet(monkeypatch: pytest.MonkeyPatch) -> None:
    """The load balancer that the values ask for leads to the server that they describe."""
    monkeypatch.chdir(FIXTURES / "gitops")
    report: Any = json.loads(CliRunner().invoke(group, ["files", ".", "--format", "json"]).output)
    reaches = {
        f["reach"] for f in report["findings"] if f["category"] == "exposed-port" and f["resource"]["name"] == "ollama"
    }
    assert str(Reach.INTERNET) in reaches
