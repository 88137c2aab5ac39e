"""Which compose files of a repository make up which project; and that hostile files end in names, never in a crash."""

from __future__ import annotations

from pathlib import Path
from time import process_time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmscan.collect.compose import ComposeOptions, load_projects
from llmscan.collect.yaml_tree import Unreadable
from llmscan.model import Stack

APP = "services:\n  app:\n    image: example/app:1.0\n"


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def load(files: dict[str, str], options: ComposeOptions | None = None) -> list[Stack | Unreadable]:
    """Write `files` and load all of them that are YAML."""
    for name, content in files.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(content, encoding="utf-8")
    paths = sorted(name for name in files if name.endswith(("yaml", "yml")))
    return list(load_projects(paths, Path(), options))


def units(found: list[Stack | Unreadable]) -> dict[str, tuple[str, ...]]:
    """Each unit and the files that it alone judges."""
    return {one.unit: one.overlay for one in found if isinstance(one, Stack)}


def all_gaps(found: list[Stack | Unreadable]) -> list[str]:
    stacks = [one for one in found if isinstance(one, Stack)]
    own = [str(gap) for one in stacks for gap in one.gaps]
    return own + [str(gap) for one in stacks for load in one.workloads for gap in load.containers[0].gaps]


def test_a_folder_has_a_default_project_with_its_override() -> None:
    """The first of Compose's names, with its override; the others beside it are projects of their own."""
    found = load(
        {
            "compose.yaml": APP,
            "docker-compose.override.yml": "services: {app: {ports: ['80:80']}}",
            "docker-compose.yml": APP,
            "sub/docker-compose.yaml": APP,
            "sub/other.yaml": APP,
        }
    )
    assert units(found) == {
        "compose.yaml + docker-compose.override.yml": (),
        "docker-compose.yml": (),
        "sub/docker-compose.yaml": (),
        "sub/other.yaml": (),
    }


def test_compose_file_names_the_project() -> None:
    """What COMPOSE_FILE in `.env` says is the folder's project, whatever the files are called."""
    found = load(
        {
            ".env": "COMPOSE_FILE=base.yml:parts/gpu.yml\nCOMPOSE_PROFILES=gpu\n",
            "base.yml": APP,
            "parts/gpu.yml": "services: {app: {profiles: [gpu], privileged: true}}",
            "compose.yaml": APP,
        }
    )
    assert units(found) == {"base.yml + parts/gpu.yml": (), "compose.yaml": ()}
    first = found[0]
    assert isinstance(first, Stack)
    assert first.workloads[0].conditional == ""
    assert first.workloads[0].containers[0].security.privileged.value is True


def test_a_part_is_laid_upon_the_file_that_gives_its_image() -> None:
    """A file without images is a variant of the default project, or of the one file beside it; only it is judged there."""
    part = "services: {app: {ports: ['80:80']}}"
    found = load({"compose.yaml": APP, "compose.gpu.yaml": part, "lone/a.yaml": APP, "lone/b.yaml": part})
    assert units(found) == {
        "compose.yaml": (),
        "compose.yaml + compose.gpu.yaml": ("compose.gpu.yaml",),
        "lone/a.yaml": (),
        "lone/a.yaml + lone/b.yaml": ("lone/b.yaml",),
    }
    variant = found[1]
    assert isinstance(variant, Stack)
    image = variant.workloads[0].containers[0].image
    assert image and image.reference == "example/app:1.0"


def test_a_part_goes_upon_the_file_that_says_most() -> None:
    """Where several files give a service its image, the fullest one is the base; where none is, the part stands alone."""
    full, part = APP + "    ports: ['80:80']\n    user: '1'\n", "services: {app: {privileged: true}}"
    found = load(
        {
            "one/a.yaml": full,
            "one/b.yaml": APP,
            "one/part.yaml": part,
            "two/a.yaml": APP,
            "two/b.yaml": APP,
            "two/part.yaml": part,
        }
    )
    assert {unit for unit in units(found) if "part" in unit} == {"one/a.yaml + one/part.yaml", "two/part.yaml"}


def test_a_part_that_nothing_gives_an_image_says_so() -> None:
    """It is a project of its own, whose service has no image and a gap that tells why."""
    found = load({"part.yaml": "services: {app: {ports: ['80:80']}}"})
    assert units(found) == {"part.yaml": ()}
    assert all_gaps(found) == ["service app has neither image nor build in these files"]


def test_what_is_included_is_not_a_project_again() -> None:
    """A file that two projects include is judged with the first; the second judges only its own lines."""
    found = load(
        {
            "one/compose.yaml": "include: [../shared.yaml]\n" + APP,
            "shared.yaml": "services: {store: {image: example/store:1.0}}",
            "two/compose.yaml": "include: [../shared.yaml]\n" + APP,
        }
    )
    assert units(found) == {"one/compose.yaml": (), "two/compose.yaml": ("two/compose.yaml",)}
    assert [len(one.workloads) for one in found if isinstance(one, Stack)] == [2, 2]


def test_what_is_extended_is_not_judged_again() -> None:
    """Of a file of templates only a service that is published and extended by nobody stands alone."""
    templates = (
        APP + "  spare:\n    image: example/spare:1.0\n  open:\n    image: example/open:1.0\n    ports: ['80:80']\n"
    )
    found = load(
        {"compose.yaml": "services: {app: {extends: {file: common.yaml, service: app}}}", "common.yaml": templates}
    )
    assert {one.unit: [load.name for load in one.workloads] for one in found if isinstance(one, Stack)} == {
        "compose.yaml": ["app"],
        "common.yaml": ["open"],
    }


def test_paths_of_a_part_count_from_the_project_that_it_belongs_to() -> None:
    """Where nothing that a part names is beside it, and it is beside a default file further up, paths count from there.

    A part that names nothing that is anywhere goes with its neighbours.
    """
    found = load(
        {
            "compose.yaml": "networks: {shared: {}}",
            "services/ollama/own.env": "OLLAMA_ORIGINS=*\n",
            "services/compose.ollama.yaml": APP + "    env_file: ./services/ollama/own.env\n",
            "services/compose.qdrant.yaml": APP
            + "    env_file: ./services/qdrant/own.env\n    volumes: ['./data:/d']\n",
        }
    )
    ollama, qdrant = (one.workloads[0].containers[0] for one in found if isinstance(one, Stack))
    assert ollama.env["OLLAMA_ORIGINS"].value == "*"
    assert [mount.source for mount in qdrant.mounts] == ["data"]
    assert all_gaps(found) == ["env_file ./services/qdrant/own.env is not in the repository"]


def test_defaults_that_a_project_ships_stand_in_for_its_env_file() -> None:
    """A lone `default.env` gives what no `.env` gives, and the gap says so; an example, an empty value, and one of several do not."""
    text = "services: {app: {image: '${IMAGE}:${TAG}', user: '${WHO}'}}"
    files = {
        "compose.yaml": text,
        "profiles/default.env": "IMAGE=example/app\nTAG=latest\nWHO=\n",
        ".env.example": "WHO=0\n",
    }
    (stack,) = load(files)
    assert isinstance(stack, Stack)
    one = stack.workloads[0].containers[0]
    assert one.image and (one.image.name, one.image.tag) == ("example/app", "latest")
    assert (
        one.image.place and one.image.place.decided_by and one.image.place.decided_by[:2] == ("profiles/default.env", 1)
    )
    assert one.security.run_as_user.value is None and one.security.run_as_user.gap
    assert [str(gap) for gap in stack.gaps] == [
        ".env is not in the repository; profiles/default.env, which it ships, stands in for it"
    ]
    for further in ({".env": "OTHER=1\n"}, {"other/default.env": "TAG=2\n"}):
        (stack,) = load({**files, **further})
        assert isinstance(stack, Stack) and stack.workloads[0].containers[0].image
        assert stack.workloads[0].containers[0].image.gap
        for name in further:
            Path(name).unlink()


def test_a_shared_env_file_is_reported_once() -> None:
    """The values of a `.env` that several projects use belong to the first."""
    found = load({".env": "KEY=1\n", "compose.yaml": APP, "other.yaml": APP + "    environment: ['K=${KEY}']\n"})
    assert [len(one.loose_values) for one in found if isinstance(one, Stack)] == [1, 0]


@pytest.mark.parametrize(
    ("text", "gap"),
    [
        (
            "include: ['https://user:secret@git.example/x.git']\n" + APP,
            "include https://git.example/x.git is remote and never fetched",
        ),
        (
            "include: ['oci://registry.example/x:1']\n" + APP,
            "include oci://registry.example/x:1 is remote and never fetched",
        ),
        ("include: [absent.yaml]\n" + APP, "include absent.yaml is not in the repository"),
        ("include: [compose.yaml]\n" + APP, "include compose.yaml goes round in a circle"),
        ("include: ['${WHICH}.yaml']\n" + APP, "${WHICH} has no default, and no .env gives a value"),
        ("include: [../../../etc/hosts]\n" + APP, "include ../../../etc/hosts is not in the repository"),
        (
            "services: {a: {extends: {file: absent.yaml, service: b}, image: x}}",
            "extends absent.yaml is not in the repository",
        ),
        ("services: {a: {extends: b, image: x}}", "service b is extended and not in compose.yaml"),
        ("services: {a: {extends: b, image: x}, b: {extends: a, image: x}}", "extends a goes round in a circle"),
        ("services: {a: {extends: a, image: x}}", "extends a goes round in a circle"),
        (
            "services: {a: {extends: {file: 'git@git.example:x.git', service: b}, image: x}}",
            "extends git@git.example:x.git is remote and never fetched",
        ),
    ],
)
def test_what_cannot_be_had_is_named(text: str, gap: str) -> None:
    """A remote, missing or circular include or extends is a gap; the rest of the file is judged, and credentials are not shown."""
    found = load({"compose.yaml": text})
    assert gap in all_gaps(found)
    assert units(found) == {"compose.yaml": ()}


def test_includes_that_go_round_end() -> None:
    """Two files that include each other are one project, and the circle is named."""
    found = load({"a.yaml": "include: [b.yaml]\n" + APP, "b.yaml": "include: [a.yaml]\nservices: {b: {image: x}}"})
    assert list(units(found)) == ["a.yaml"]
    assert "include a.yaml goes round in a circle" in all_gaps(found)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("services:\n  app: [\n", "did not find expected node content"),
        ("services: {app: {image: x, environment: &a [*a]}}", "an alias has no anchor before it"),
        ("a: " + "[" * 300 + "]" * 300, "it is nested more than 200 levels deep"),
        ("services: [a]", "it is no compose file: its services are not what Compose would run"),
    ],
)
def test_what_does_not_parse_is_a_failure_with_a_reason(text: str, reason: str) -> None:
    """A file that is no compose file, or no YAML, is named with its place and why; its neighbours are loaded, and other YAML is passed over."""
    found = load({"compose.bad.yaml": text, "good.yaml": APP, "values.yaml": "services: [a]"})
    assert [(one.place.path, one.reason) for one in found if isinstance(one, Unreadable)] == [
        ("compose.bad.yaml", reason)
    ]
    assert units(found) == {"good.yaml": ()}


@pytest.mark.parametrize(
    "lines",
    [
        "ports: {a: b}",
        "ports: ['a:b:c:d:e', '', null, 1.5, true, [1], {target: null}, '99999:99999', '1-', '٣:80']",
        "volumes: [null, {}, {type: 5}, {type: bind}, {type: volume, volume: 3}, ':', '::', 7]",
        "environment: [null, {a: b}, '=', 'a', 1]",
        "environment: {1: 2, null: x, true: y, a: {b: c}, d: [e]}",
        "env_file: {path: {a: b}}",
        "env_file: [[a], {}, null, ../../../../etc/passwd, /etc/passwd]",
        "networks: 5",
        "network_mode: 7",
        "logging: x",
        "logging: {driver: {a: b}, options: [x]}",
        "deploy: {replicas: many, resources: {limits: [], reservations: {devices: [1, {capabilities: gpu}]}}}",
        "build: {context: 5, dockerfile: [], args: 7, target: {}}",
        "build: [a]",
        "user: {a: b}",
        "privileged: maybe",
        "cap_add: x",
        "security_opt: [null, 5, '', ':']",
        "command: {a: b}",
        'command: "\'unfinished"',
        "entrypoint: [null, 1, [2]]",
        "configs: [5, {}, {source: absent}]",
        "secrets: {a: b}",
        "profiles: 5",
        "extends: [a]",
        "labels: [a, b=c, {d: e}]",
        "expose: ['1-99999', x, -5, '5-1']",
        "sysctls: x",
        "image: [x]",
        "user: '²'",
        f"user: '{'9' * 5000}'",
        f"user: {'9' * 5000}",
        f"deploy: {{replicas: '{'9' * 5000}'}}",
        "user: 0x_",
        "mem_limit: 1e99999",
        "ports: ['²:²', 80/²]",
        "image: '${'",
        "image: '${A:-${B:-${'",
        "image: '${1} $ ${} ${A!x} ${:-x}'",
    ],
)
def test_nonsense_in_a_service_never_raises(lines: str) -> None:
    """Values of the wrong kind are passed over: the service is still there, with what could be read."""
    found = load({"compose.yaml": f"{APP}    {lines}\n".replace("image: example/app:1.0\n    image", "image")})
    assert [one.name for stack in found if isinstance(stack, Stack) for one in stack.workloads] == ["app"]


def test_aliases_that_nest_ever_deeper_are_a_failure() -> None:
    """A tree that is deeper than it is written is refused with a reason, not with the end of the stack."""
    levels = ["x-0: &a0 " + "[" * 150 + "1" + "]" * 150]
    levels += [f"x-{level}: &a{level} " + "[" * 150 + f"*a{level - 1}" + "]" * 150 for level in range(1, 40)]
    found = load({"compose.yaml": "\n".join([*levels, APP])})
    assert [one.reason for one in found if isinstance(one, Unreadable)] in ([], ["its aliases nest too deeply"])
    assert len(found) == 1


def test_an_alias_bomb_is_a_failure() -> None:
    """A file that expands to millions of values is refused before it is expanded."""
    rows = ["x-0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    rows += [f"x-{row}: &a{row} [{', '.join([f'*a{row - 1}'] * 10)}]" for row in range(1, 9)]
    (found,) = load({"compose.yaml": "\n".join([*rows, APP])})
    assert isinstance(found, Unreadable) and "expands to more than" in found.reason


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.text(alphabet="${}:-?+ABab_\"'\\ \n#=.", max_size=60),
    st.text(alphabet="${}:-?+ABab_\"'\\ \n#=.exportEXPORT", max_size=80),
)
def test_any_reference_and_any_env_file_are_read_without_a_crash(reference: str, env: str) -> None:
    """Whatever stands in a value and in a `.env`, the project is loaded."""
    quoted = reference.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    found = load({".env": env, "compose.yaml": f'{APP}    environment: ["KEY={quoted}"]\n    command: "{quoted}"\n'})
    assert [one.name for stack in found if isinstance(stack, Stack) for one in stack.workloads] == ["app"]


@pytest.mark.parametrize(
    ("value", "env"),
    [
        ("${" * 50_000, ""),
        ("$(" * 50_000, ""),
        ("${A:-" * 5_000 + "}" * 5_000, ""),
        ("$V40$V40", "V0=xxxxxxxxxx\n" + "".join(f"V{n}=$V{n - 1}$V{n - 1}\n" for n in range(1, 41))),
        ("x" * 200_000, "A=" + "y" * 1_000_000 + "\n" + "".join(f"B{n}=$A$A$A\n" for n in range(2_000))),
    ],
)
def test_a_text_that_grows_or_nests_without_end_takes_no_time(value: str, env: str) -> None:
    """Interpolation and splitting stay linear, and the size of what variables bring is bounded."""
    began = process_time()
    found = load({".env": env, "compose.yaml": f"{APP}    command: '{value}'\n    environment: ['A={value}']\n"})
    assert [one.name for stack in found if isinstance(stack, Stack) for one in stack.workloads] == ["app"]
    assert process_time() - began < 5


def test_two_thousand_services_load_in_seconds() -> None:
    """A generous bound that a quadratic loader would miss by far; the figure itself is measured by the benchmarks."""
    text = "".join(
        f"  s{number}:\n    image: example/s:{number}.0\n    env_file: .env\n    environment: ['A=${{KEY}}']\n"
        f"    ports: ['127.0.0.1:{10_000 + number}:80']\n    volumes: ['./d{number}:/d']\n    extends: base\n"
        for number in range(2000)
    )
    began = process_time()
    (stack,) = load({".env": "KEY=1\n", "compose.yaml": f"services:\n  base: {{image: x, user: '1'}}\n{text}"})
    assert isinstance(stack, Stack) and len(stack.workloads) == 2001
    assert process_time() - began < 10
