"""Charts: rendered by `helm` or by the extra `[helm]`, within limits, and placed in their templates and values."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from rendering_tools import FIXTURES, collect, needs_sdk, only, without_sdk, write

from llmscan.collect.files import FilesOptions
from llmscan.collect.helm_lines import template_lines
from llmscan.collect.tool_runs import run_tool
from llmscan.collection import Collection
from llmscan.model import Container, Service, Stack
from llmscan.places import Place

CHART = "apiVersion: v2\nname: chat\nversion: 0.1.0\n"
SERVICE = """apiVersion: v1
kind: Service
metadata:
  name: {{ .Release.Name }}
spec:
  type: {{ .Values.type | default "ClusterIP" }}
  ports:
    - port: 80
"""


@pytest.fixture(params=["helm", "helm-python-sdk"])
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """Each of the two engines in turn."""
    if request.param == "helm":
        only(monkeypatch, tmp_path / "bin", "helm")
    else:
        needs_sdk()
        only(monkeypatch, tmp_path / "bin")
    return str(request.param)


@pytest.fixture
def helm(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The command alone."""
    only(monkeypatch, tmp_path / "bin", "helm")


def fixture(tmp_path: Path) -> Path:
    """A copy of the chart of fixtures/, which a test may change."""
    return Path(shutil.copytree(FIXTURES / "chart", tmp_path / "repository"))


def chart(tmp_path: Path, **files: str) -> Path:
    """A chart with one Service; `files` by their path, with `__` for `/`."""
    own = {name.replace("__", "/") + ".yaml": text for name, text in files.items()}
    return write(tmp_path / "repository", {"Chart.yaml": CHART, "templates/service.yaml": SERVICE} | own)


def the_stack(found: Collection) -> Stack:
    assert not found.failures, found.failures
    (stack,) = found.stacks
    return stack


def the_container(found: Collection) -> Container:
    (workload,) = the_stack(found).workloads
    (container,) = workload.containers
    return container


def service(found: Collection, name: str) -> Service:
    return next(one for one in the_stack(found).services if one.name == name)


def spot(place: Place | None) -> tuple[str, int, str, int]:
    """Where something stands, and where the value was set that decided it."""
    assert place is not None
    by = place.decided_by
    return (place.path, place.line, by.path if by else "", by.line if by else 0)


def refusal(found: Collection) -> str:
    (failure,) = found.failures
    assert failure.kind == "input"
    return failure.reason


def test_findings_stand_in_the_template_and_know_the_value_that_decides(
    engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A literal line, a helper, a `toYaml`, a `with`, a loop and a switch each lead to the line that a reader would look for."""
    found = collect(fixture(tmp_path), monkeypatch)
    stack, container = the_stack(found), the_container(found)
    (workload,) = stack.workloads
    template, values = "templates/deployment.yaml", "values.yaml"
    assert (stack.unit, stack.rendered_by) == (".", "helm")
    assert spot(workload.host_network.place) == (template, 18, values, 22)
    assert container.image is not None
    assert spot(container.image.place) == (template, 26, values, 2)
    assert spot(container.security.run_as_user.place) == (template, 28, values, 13)
    assert spot(container.security.allow_privilege_escalation.place) == (template, 28, values, 14)
    assert spot(container.env["VLLM_LOGGING_LEVEL"].place) == (template, 41, values, 25)
    assert [(port.number, port.place and port.place.line) for port in container.ports] == [(8000, 31), (9000, 31)]
    assert spot(service(found, "chat-server").type.place) == ("templates/service.yaml", 6, values, 7)


def test_a_dependency_is_part_of_its_chart_and_its_parent_s_values_win(
    engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The chart in charts/ is no unit of its own; what the parent sets for it is found in the parent's values."""
    found = collect(fixture(tmp_path), monkeypatch)
    cache = service(found, "chat-cache")
    assert cache.type.value == "NodePort"
    assert spot(cache.type.place) == ("charts/cache/templates/service.yaml", 6, "values.yaml", 30)
    assert spot(cache.ports[0].place)[2:] == ("charts/cache/values.yaml", 3)
    off = collect(tmp_path / "repository", monkeypatch, FilesOptions(set_values=("cache.enabled=false",)))
    assert [one.name for one in the_stack(off).services] == ["chat-server"]


def test_a_dependency_that_is_missing_is_named_and_the_rest_rendered(
    engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is a gap at its line of Chart.yaml; switched off by its condition it is none."""
    root = fixture(tmp_path)
    (gap,) = the_stack(collect(root, monkeypatch)).gaps
    assert (gap.kind, gap.what, gap.place and gap.place.line) == ("remote", "chart gateway", 9)
    text = (root / "Chart.yaml").read_text() + "    condition: gateway.enabled\n"
    (root / "Chart.yaml").write_text(text)
    (root / "values.yaml").write_text((root / "values.yaml").read_text() + "gateway:\n  enabled: false\n")
    assert the_stack(collect(root, monkeypatch)).gaps == ()


@pytest.mark.parametrize("body", ['{{ include "gateway.port" . }}', "{{ .Values.gateway.service.port }}"])
def test_a_template_that_needs_a_missing_chart_is_left_out(
    body: str, engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others are rendered, and it is named; where no dependency is missing it is a failure."""
    dependency = "dependencies: [{name: gateway, version: 1.x.x, repository: 'https://charts.example.com'}]\n"
    root = chart(tmp_path, Chart=CHART + dependency, templates__needs=f"a: {body}\n")
    stack = the_stack(collect(root, monkeypatch))
    assert [one.name for one in stack.services] == ["chat"]
    assert [gap.what for gap in stack.gaps] == ["chart gateway", "templates/needs.yaml"]
    (root / "Chart.yaml").write_text(CHART)
    assert "does not render" in refusal(collect(root, monkeypatch))


def test_generated_secrets_and_test_pods_are_no_facts(
    engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A random key differs in every rendering and is never in the repository; a pod of `helm test` does not run."""
    stack = the_stack(collect(fixture(tmp_path), monkeypatch))
    assert stack.loose_values == ()
    assert [workload.name for workload in stack.workloads] == ["chat-server"]


def test_a_loop_over_values_leads_to_each_of_them(engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys and values that a template takes from a mapping stand at its own line, each with its own line of the values."""
    body = (
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\ndata:\n"
        "  {{- range $key, $value := .Values.env }}\n  {{ $key }}: {{ $value | quote }}\n  {{- end }}\n"
        "  {{- $name := .Values.name }}\n  named: {{ $name }}\n"
    )
    root = chart(tmp_path, templates__config=body, values="name: n\nenv:\n  A: '1'\n  B: '2'\n")
    (config,) = the_stack(collect(root, monkeypatch)).configs
    found = {name: spot(entry.place) for name, entry in config.entries.items()}
    template, values = "templates/config.yaml", "values.yaml"
    assert found == {"A": (template, 7, values, 3), "B": (template, 7, values, 4), "named": (template, 10, values, 1)}


def test_the_command_line_says_values_names_and_sets(
    engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--values` wins over values.yaml, and `--set` over both, which then stands in no file."""
    root = chart(tmp_path, values="type: NodePort\n")
    (tmp_path / "prod.yaml").write_text("other: 1\ntype: LoadBalancer\n")
    options = FilesOptions(values=(str(tmp_path / "prod.yaml"),), release_name="prod")
    found = service(collect(root, monkeypatch, options), "prod")
    assert (found.type.value, spot(found.type.place)[2:]) == ("LoadBalancer", ("prod.yaml", 2))
    options = FilesOptions(values=options.values, set_values=("type=ExternalName",))
    found = service(collect(root, monkeypatch, options), "chat")
    assert (found.type.value, spot(found.type.place)[2:]) == ("ExternalName", ("", 0))


def test_a_missing_values_file_is_a_failure(helm: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """helm would fetch a URL; here a values file is a file."""
    found = collect(chart(tmp_path), monkeypatch, FilesOptions(values=("https://127.0.0.1:9/values.yaml",)))
    assert "values file cannot be read" in refusal(found)


def test_the_version_of_kubernetes_is_given_to_helm(
    helm: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Templates ask for it."""
    versioned = SERVICE.replace(".Release.Name", '.Capabilities.KubeVersion.Minor | printf "minor-%s"')
    root = chart(tmp_path, templates__service=versioned)
    assert service(collect(root, monkeypatch, FilesOptions(kube_version="1.27.3")), "minor-27")


def test_the_sdk_says_that_it_has_no_version_of_kubernetes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was asked for and not done is a gap."""
    needs_sdk()
    only(monkeypatch, tmp_path / "bin")
    found = collect(chart(tmp_path), monkeypatch, FilesOptions(kube_version="1.27.3"))
    (gap,) = the_stack(found).gaps
    assert gap.what == "--kube-version 1.27.3"


def test_without_an_engine_the_chart_is_named_with_what_would_help(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is a failure of the input, and none of its files are guessed."""
    only(monkeypatch, tmp_path / "bin")
    without_sdk(monkeypatch)
    found = collect(chart(tmp_path, templates__plain="apiVersion: v1\nkind: Service\n"), monkeypatch)
    assert "pip install 'llmscan-suite[helm]'" in refusal(found)
    assert found.stacks == ()


def test_helm_s_sentence_is_told_without_values(engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A required value is a failure at the template's line; what the values hold does not come out with it."""
    said = '{{ required (printf "a password beside %s is required" .Values.token) .Values.password }}\n'
    root = chart(tmp_path, templates__x=f"a: 1\nb: {said}", values="token: hunter2-hunter2\n")
    found = collect(root, monkeypatch)
    reason = refusal(found)
    assert "is required" in reason
    assert "hunter2" not in reason
    assert str(tmp_path) not in reason
    place = found.failures[0].place
    assert place is not None
    assert (place.path, place.line) == ("templates/x.yaml", 2)


@pytest.mark.parametrize(
    ("body", "limit"),
    [
        (
            "{{- range $i := until 100000 }}{{ range until 100000 }}{{ $x := 1 }}{{ end }}{{ end }}",
            "seconds|GB of memory",
        ),
        ('{{- define "x" }}{{ include "x" . }}{{ end }}{{ include "x" . }}', "helm says"),
        ('{{- $s := repeat 1000000 "a: b " }}{{ range until 20000 }}{{ $s }}{{ end }}', "GB of memory|seconds|MB"),
        ('a: {{ repeat 20000000 "a" }}', "more than 16 MB|seconds"),
    ],
    ids=["loop", "recursion", "memory", "output"],
)
def test_a_hostile_chart_is_stopped(
    engine: str, body: str, limit: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Time, memory and output are bounded, and the chart is named."""
    monkeypatch.setattr("llmscan.collect.tool_runs.SECONDS", 2)
    started = monotonic()
    reason = refusal(collect(chart(tmp_path, templates__x=body), monkeypatch))
    assert any(word in reason for word in limit.split("|")), reason
    assert monotonic() - started < 20


def test_templates_cannot_read_out_of_their_chart(engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither by a path, nor by a link, which the copy that is rendered does not hold."""
    write(tmp_path, {"secret.yaml": "outside"})
    read = '{{ .Files.Get "../secret.yaml" }}{{ .Files.Get "link.yaml" }}{{ .Files.Get "../../../etc/hostname" }}'
    named = SERVICE.replace("{{ .Release.Name }}", f'"x{read}"')
    root = chart(tmp_path, templates__service=named)
    (root / "link.yaml").symlink_to(tmp_path / "secret.yaml")
    (root / "templates" / "linked.yaml").symlink_to(tmp_path / "secret.yaml")
    assert service(collect(root, monkeypatch), "x")


@pytest.mark.parametrize("name", ["../../evil", "..", "-f", "a/b", "x y"])
def test_a_chart_s_name_is_no_path_and_no_option(
    name: str, helm: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such a chart is named as not read."""
    root = chart(tmp_path)
    (root / "Chart.yaml").write_text(CHART.replace("chat", f"'{name}'"))
    assert "no usable name" in refusal(collect(root, monkeypatch))


def test_a_local_dependency_must_lie_in_the_tree(helm: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`file://` is followed within the scan and rendered once; what leads out of it is missing."""
    depends = "dependencies:\n  - {name: part, version: 0.1.0, repository: 'file://../part'}\n"
    outside = "  - {name: outer, version: 0.1.0, repository: 'file://../../outer'}\n"
    part = {
        "Chart.yaml": CHART.replace("chat", "part"),
        "templates/service.yaml": SERVICE.replace("Name }}", "Name }}-part"),
    }
    whole = {"Chart.yaml": CHART + depends + outside, "templates/service.yaml": SERVICE}
    root = tmp_path / "repository"
    for folder, files in (("repository/whole", whole), ("repository/part", part), ("outer", part)):
        write(tmp_path / folder, files)
    stack = the_stack(collect(root, monkeypatch))
    places = {one.name: one.place and one.place.path for one in stack.services}
    assert places == {"chat": "whole/templates/service.yaml", "chat-part": "part/templates/service.yaml"}
    assert [gap.what for gap in stack.gaps] == ["chart outer"]


def test_a_local_dependency_that_is_switched_off_is_a_unit_of_its_own(
    helm: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its objects were not rendered with the other chart, and it may well be installed by itself."""
    depends = "dependencies:\n  - {name: part, version: 0.1.0, repository: 'file://../part', condition: part.enabled}\n"
    files = {
        "whole/Chart.yaml": CHART + depends,
        "whole/values.yaml": "part:\n  enabled: false\n",
        "whole/templates/service.yaml": SERVICE,
        "part/Chart.yaml": CHART.replace("chat", "part"),
        "part/templates/service.yaml": SERVICE,
    }
    found = collect(write(tmp_path / "repository", files), monkeypatch)
    assert sorted(stack.unit for stack in found.stacks) == ["part", "whole"]


def test_files_that_templates_take_in_are_no_manifests(
    helm: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever lies in a chart's folder is the chart's, but for examples and compose files."""
    own = {
        "app/Chart.yaml": CHART,
        "app/files/broken.yaml": "apiVersion: v1\nkind: Service\n{{- range }}",
        "app/tests/unit.yaml": SERVICE,
        "app/examples/service.yaml": SERVICE.replace("{{ .Release.Name }}", "example").replace("{{", "#"),
        "app/docker-compose.yml": "services: {web: {image: a}}\n",
    }
    found = collect(write(tmp_path / "repository", own), monkeypatch)
    assert not found.failures
    assert {stack.unit for stack in found.stacks} == {"app", "app/examples", "app/docker-compose.yml"}


def test_a_library_chart_is_not_rendered(helm: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It makes nothing by itself, and says so only in the notes."""
    found = collect(chart(tmp_path, Chart=CHART + "type: library\n"), monkeypatch)
    assert (found.stacks, found.failures) == ((), ())
    assert any("library chart" in note for note in found.notes)


def test_helm_sees_nothing_of_its_user(helm: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plugin folder or a repository configuration of the user does not reach the child, nor does the environment reach a template."""
    for name in ("HELM_PLUGINS", "HELM_REPOSITORY_CONFIG", "HELM_NAMESPACE", "KUBECONFIG"):
        monkeypatch.setenv(name, str(tmp_path / "nowhere"))
    named = SERVICE.replace("{{ .Release.Name }}", "{{ .Release.Namespace }}")
    assert service(collect(chart(tmp_path, templates__service=named), monkeypatch), "default")


@pytest.mark.parametrize(
    ("template", "rendered", "expected"),
    [
        ("a: 1\nb: {{ .Values.b }}\nc: 3", "a: 1\nb: 2\nc: 3", [0, 1, 2]),
        ("{{- if .x }}\na: 1\n{{- end }}\nb: 2", "b: 2", [3]),
        ("x:\n  {{- toYaml .Values.x | nindent 2 }}\ny: 1", "x:\n  k: 1\n  l: 2\ny: 1", [0, 1, 1, 2]),
        (
            "p:\n{{- range .p }}\n  - n: {{ .n }}\n    m: {{ .m }}\n{{- end }}",
            "p:\n  - n: 1\n    m: 2\n  - n: 3\n    m: 4",
            [0, 2, 3, 2, 3],
        ),
        ("", "a: 1", [0]),
    ],
    ids=["keys", "left out", "block", "loop", "empty"],
)
def test_lines_are_aligned(template: str, rendered: str, expected: list[int]) -> None:
    """Each rendered line has the line of the template that made it."""
    assert template_lines(template.splitlines(), rendered.splitlines()) == expected


def test_lines_of_any_texts_stay_within_the_template() -> None:
    """Whatever a template says of itself, no line lies outside of it."""
    texts: list[Any] = ["{{", "}}", "a: {{ b", "- - -", "{{ end }}", "a: 1", "", ":"]
    for start in range(len(texts)):
        lines = texts[start:] + texts[:start]
        assert all(0 <= line < len(lines) for line in template_lines(lines, [*lines, *lines]))


def test_what_a_tool_prints_is_cut_off(tmp_path: Path) -> None:
    """More than the cap ends the tool at once, with the whole of its group."""
    printed = run_tool([sys.executable, "-c", "while True: print('a' * 100000)"], tmp_path)
    assert (printed.worked, printed.stopped) == (False, "it printed more than 16 MB")
