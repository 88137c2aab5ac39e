"""Kustomizations: walked before any tool runs, built from files of the tree alone, and placed in the files they came from."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from rendering_tools import FIXTURES, collect, only, write

from llmscan.collection import Collection
from llmscan.model import Container, Stack, Workload
from llmscan.places import Place

DEPLOYMENT = """apiVersion: apps/v1
kind: Deployment
metadata:
  name: ollama
spec:
  template:
    spec:
      containers:
        - name: ollama
          image: ollama/ollama:0.12.3
"""
PATCH = """apiVersion: apps/v1
kind: Deployment
metadata:
  name: ollama
spec:
  template:
    spec:
      hostNetwork: true
"""


@pytest.fixture
def kubectl(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`kubectl` alone on PATH."""
    only(monkeypatch, tmp_path / "bin", "kubectl")


def fixture(tmp_path: Path) -> Path:
    """A copy of the kustomizations of fixtures/."""
    return Path(shutil.copytree(FIXTURES / "kustomize", tmp_path / "repository"))


def repository(tmp_path: Path, kustomization: str, **files: str) -> Path:
    """A folder `app` with a kustomization and a Deployment; `files` by path, with `__` for `/`."""
    own = {name.replace("__", "/") + ".yaml": text for name, text in files.items()}
    return write(
        tmp_path / "repository", {"app/kustomization.yaml": kustomization, "app/ollama.yaml": DEPLOYMENT} | own
    )


def unit(found: Collection, name: str) -> Stack:
    return next(stack for stack in found.stacks if stack.unit == name)


def the_workload(stack: Stack) -> Workload:
    (workload,) = stack.workloads
    return workload


def the_container(stack: Stack) -> Container:
    (container,) = the_workload(stack).containers
    return container


def spot(place: Place | None) -> tuple[str, int, str, int]:
    """Where something stands, and where the value was set that decided it."""
    assert place is not None
    by = place.decided_by
    return (place.path, place.line, by.path if by else "", by.line if by else 0)


def test_every_root_is_a_unit_and_a_base_is_judged_through_them(
    kubectl: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two overlays, a base and a component make two units."""
    found = collect(fixture(tmp_path), monkeypatch)
    assert not found.failures
    assert [(stack.unit, stack.rendered_by) for stack in found.stacks] == [
        ("overlays/dev", "kustomize"),
        ("overlays/prod", "kustomize"),
    ]
    names = [the_workload(stack).name for stack in found.stacks]
    assert names == ["ollama-dev", "prod-ollama"]


def test_places_are_in_the_resource_file_with_the_overlay_that_decided(
    kubectl: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Patches of all kinds, images and components each lead to their own line."""
    prod = unit(collect(fixture(tmp_path), monkeypatch), "overlays/prod")
    workload, container = the_workload(prod), the_container(prod)
    base, overlay = "base/ollama.yaml", "overlays/prod/kustomization.yaml"
    assert spot(workload.place) == (base, 1, "", 0)
    assert container.image is not None
    assert (container.image.tag, spot(container.image.place)) == ("latest", (base, 18, overlay, 10))
    assert spot(container.security.run_as_user.place) == (base, 29, "overlays/prod/root.yaml", 14)
    assert spot(container.security.allow_privilege_escalation.place) == (base, 28, "", 0)
    assert spot(container.env["OLLAMA_HOST"].place) == (base, 21, "", 0)
    assert spot(container.env["OLLAMA_ORIGINS"].place)[2:] == ("overlays/prod/root.yaml", 12)
    assert spot(container.env["OLLAMA_KEEP_ALIVE"].place)[:2] == ("base/kustomization.yaml", 7)
    assert spot(workload.host_network.place)[2:] == (overlay, 18)
    (service,) = prod.services
    assert (service.type.value, spot(service.type.place)[2:]) == ("LoadBalancer", ("components/gateway/public.yaml", 6))
    assert workload.namespace == "inference"


def test_without_a_tool_the_resource_files_are_read_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Coverage says so, and patches are still no resources."""
    only(monkeypatch, tmp_path / "bin")
    found = collect(fixture(tmp_path), monkeypatch)
    assert not found.failures
    assert [stack.unit for stack in found.stacks] == ["base"]
    assert [gap.what for gap in found.gaps] == ["kustomization overlays/dev", "kustomization overlays/prod"]
    assert all("neither kustomize nor kubectl" in gap.why for gap in found.gaps)


@pytest.fixture
def server() -> Iterator[tuple[str, list[str]]]:
    """A host that a repository may want to be fetched from, and the paths that it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(DEPLOYMENT.encode())

        def log_message(self, *words: object) -> None:
            """Keep the test's output clean."""

    with HTTPServer(("127.0.0.1", 0), Handler) as host:
        thread = Thread(target=host.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{host.server_port}", asked
        finally:
            host.shutdown()
            thread.join()


@pytest.mark.parametrize(
    "kustomization",
    [
        "resources: [ollama.yaml, 'URL/x.yaml']",
        "Resources: ['URL/x.yaml']\nresources: [ollama.yaml]",
        "bases: ['URL/base']\nresources: [ollama.yaml]",
        "components: ['URL/base']\nresources: [ollama.yaml]",
        "resources: [ollama.yaml]\npatches: [{path: 'URL/patch.yaml'}]",
        "resources: [ollama.yaml]\npatches: [{Path: 'URL/patch.yaml'}]",
        "resources: [ollama.yaml]\npatchesStrategicMerge: ['URL/patch.yaml']",
        "resources: [ollama.yaml]\npatchesJson6902: [{path: 'URL/patch.yaml', target: {kind: Deployment}}]",
        "resources: [ollama.yaml]\nconfigMapGenerator: [{name: a, files: ['key=URL/x']}]",
        "resources: [ollama.yaml]\nconfigMapGenerator: [{name: a, envs: ['URL/x']}]",
        "resources: [ollama.yaml]\nsecretGenerator: [{name: a, env: 'URL/x'}]",
        "resources: [ollama.yaml]\nreplacements: [{path: 'URL/x'}]",
        "resources: [ollama.yaml]\ntransformers: ['URL/x']",
        "resources: [ollama.yaml]\ngenerators: [remote.yaml]",
        "resources: [ollama.yaml]\ncrds: ['URL/x']",
        "resources: [ollama.yaml]\nopenapi: {path: 'URL/x'}",
        "resources: [ollama.yaml]\nhelmCharts: [{name: qdrant, repo: 'URL'}]",
        "resources: [ollama.yaml]\n---\nresources: ['URL/x.yaml']",
    ],
)
def test_nothing_remote_is_ever_fetched(
    kustomization: str, server: tuple[str, list[str]], kubectl: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever a URL stands, no host is asked; it is named, and what is local is judged as it is."""
    url, asked = server
    remote = f"apiVersion: builtin\nkind: ConfigMapGenerator\nmetadata: {{name: a}}\nfiles: ['{url}/x']\n"
    root = repository(tmp_path, kustomization.replace("URL", url), app__remote=remote)
    found = collect(root, monkeypatch)
    assert asked == []
    assert the_workload(unit(found, "app")).name == "ollama"
    assert unit(found, "app").rendered_by == ""
    named = [gap.what for gap in found.gaps if gap.kind == "remote"] + [failure.name for failure in found.failures]
    assert named


@pytest.mark.parametrize(
    "written",
    [
        "github.com/kubernetes-sigs/kustomize//examples?ref=v1",
        "git@127.0.0.1:a/b.git",
        "https://user:hunter2@127.0.0.1:9/a.git",
        "ssh://git@127.0.0.1:9/a",
        "git::https://127.0.0.1:9/a",
    ],
)
def test_repositories_are_remote(written: str, kubectl: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each spelling of a repository is a gap at its line, without the credentials that stand in it."""
    found = collect(repository(tmp_path, f"resources:\n  - ollama.yaml\n  - {written}\n"), monkeypatch)
    gap = next(gap for gap in found.gaps if gap.kind == "remote")
    assert gap.place is not None
    assert (gap.place.path, gap.place.line) == ("app/kustomization.yaml", 3)
    assert "hunter2" not in gap.what
    assert not found.failures


def test_a_file_that_is_not_there_is_a_failure(kubectl: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It stands at the line that names it, and the rest is judged as it is."""
    found = collect(repository(tmp_path, "resources:\n  - ollama.yaml\n  - gone.yaml\n"), monkeypatch)
    (failure,) = found.failures
    assert "gone.yaml, which is not there" in failure.reason
    assert failure.place is not None
    assert failure.place.line == 3
    assert the_workload(unit(found, "app"))


def test_what_lies_outside_of_the_scan_is_not_read(
    kubectl: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither by `..` out of the scanned folder, nor through a link."""
    write(tmp_path, {"base/kustomization.yaml": "resources: [other.yaml]", "base/other.yaml": DEPLOYMENT})
    text = "resources: [ollama.yaml, ../../base, link.yaml]"
    root = repository(tmp_path, text)
    (root / "app" / "link.yaml").symlink_to(tmp_path / "base" / "other.yaml")
    found = collect(root, monkeypatch)
    assert {gap.what for gap in found.gaps if gap.place and gap.place.path == "app/kustomization.yaml"} >= {
        "../../base",
        "link.yaml",
    }
    assert len(found.stacks) == 1
    assert unit(found, "app").rendered_by == ""


def test_kustomize_s_own_refusal_is_told(kubectl: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its load restriction stays: a file of a folder beside is refused, the folder of this machine not named."""
    root = repository(tmp_path, "resources: [ollama.yaml, ../side.yaml]", side=DEPLOYMENT.replace("ollama", "side"))
    found = collect(root, monkeypatch)
    (failure,) = found.failures
    assert "kustomize says" in failure.reason
    assert "llmscan-" not in failure.reason
    assert {stack.unit for stack in found.stacks} == {".", "app"}


def test_plugins_are_never_enabled(kubectl: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A transformer that would run a program of the repository does not."""
    run = tmp_path / "ran"
    script = f"#!/bin/sh\ntouch {run}\ncat\n"
    transformer = (
        "apiVersion: example.com/v1\nkind: Mine\nmetadata:\n  name: mine\n  annotations:\n"
        "    config.kubernetes.io/function: |\n      exec:\n        path: ./run.sh\n"
    )
    root = repository(tmp_path, "resources: [ollama.yaml]\ntransformers: [mine.yaml]", app__mine=transformer)
    (root / "app" / "run.sh").write_text(script)
    (root / "app" / "run.sh").chmod(0o755)
    found = collect(root, monkeypatch)
    assert not run.exists()
    assert the_workload(unit(found, "app")).name == "ollama"


def test_a_circle_ends(kubectl: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kustomizations that take each other in are named, and their files judged as they are."""
    files = {"other/kustomization.yaml": "resources: [../app]"}
    root = write(repository(tmp_path, "resources: [ollama.yaml, ../other]"), files)
    found = collect(root, monkeypatch)
    assert "not built" in found.failures[0].reason
    assert the_workload(unit(found, "app"))


def test_a_patch_by_target_and_by_operation_is_related(
    kubectl: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where it stands in the kustomization itself."""
    inline = "resources: [ollama.yaml]\npatches:\n  - patch: |-\n" + "".join(
        f"      {line}\n" for line in PATCH.splitlines()
    )
    found = unit(collect(repository(tmp_path, inline), monkeypatch), "app")
    assert spot(the_workload(found).host_network.place)[2:] == ("app/kustomization.yaml", 11)


def test_flux_s_kustomization_is_none(kubectl: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of that name that holds an object of Flux is no kustomization to build."""
    flux = "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: a}\nspec: {path: ./app}\n"
    found = collect(repository(tmp_path, flux), monkeypatch)
    assert not found.failures
    assert unit(found, "app").rendered_by == ""


@pytest.mark.parametrize("operation", ["/metadata/annotations", "/spec/versions/0/schema/openAPIV3Schema/description"])
def test_schemas_are_left_out_unless_a_patch_needs_them(
    operation: str, kubectl: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A definition of custom resources is cut to its name for the build, and is whole where that is not enough."""
    definition = (
        "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata:\n  name: a.example.com\n"
        "spec:\n  versions:\n    - name: v1\n      schema:\n        openAPIV3Schema: {description: a}\n"
    )
    value = "{a: b}" if "metadata" in operation else "b"
    patch = f"- op: add\n  path: {operation}\n  value: {value}\n"
    text = "resources: [crd.yaml, ollama.yaml]\npatches: [{path: patch.yaml, target: {kind: CustomResourceDefinition}}]"
    root = repository(
        tmp_path, text, app__crd=f"{definition}---\n{DEPLOYMENT.replace('ollama', 'second')}", app__patch=patch
    )
    found = collect(root, monkeypatch)
    assert not found.failures
    assert {one.name for one in unit(found, "app").workloads} == {"ollama", "second"}
