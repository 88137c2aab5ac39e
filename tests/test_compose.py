"""What a compose file becomes: services with effective values, each with the line that decides, and names for what was not seen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from file_scans import failing, scan_files

from llmscan.collect.compose import ComposeOptions, env_file_values, is_compose, load_projects
from llmscan.collect.yaml_tree import documents
from llmscan.model import Container, Origin, Stack, Workload

FIXTURES = Path(__file__).parent.parent / "fixtures" / "compose"
Load = Callable[..., Stack]


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Write files, the first of them a compose file, and load that one project."""
    monkeypatch.chdir(tmp_path)

    def write_and_load(text: str, options: ComposeOptions | None = None, **others: str) -> Stack:
        write({"compose.yaml": text, **{name.replace("__", "/"): content for name, content in others.items()}})
        return only(load_projects(["compose.yaml"], Path(), options))

    return write_and_load


def write(files: dict[str, str]) -> None:
    for name, content in files.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(content, encoding="utf-8")


def only(found: Iterator[object]) -> Stack:
    (one,) = found
    assert isinstance(one, Stack), one
    return one


def fixture(case: str, monkeypatch: pytest.MonkeyPatch, *files: str) -> Stack:
    monkeypatch.chdir(FIXTURES / case)
    return only(load_projects(files or ["compose.yaml"], Path()))


def workload(stack: Stack, name: str = "") -> Workload:
    return next(one for one in stack.workloads if not name or one.name == name)


def container(stack: Stack, name: str = "") -> Container:
    return workload(stack, name).containers[0]


def service(*lines: str) -> str:
    """A compose file with one service, whose image is on line 3 and whose `lines` begin on line 4."""
    return "\n".join(["services:", "  app:", "    image: example/app:1.0", *(f"    {line}" for line in lines), ""])


def gaps(one: Container) -> list[str]:
    return [str(gap) for gap in one.gaps]


def test_every_value_has_the_line_that_decides(load: Load) -> None:
    """A service spans its lines; each port, variable, mount and option stands on its own line, in CRLF files too."""
    text = service("ports:", '  - "8080:80"', "environment:", "  KEY: value", "volumes:", "  - ./data:/data")
    for written in (text, text.replace("\n", "\r\n")):
        stack = load(written)
        one = container(stack)
        assert (workload(stack).place or None, one.place) == (one.place, one.place)
        assert one.place is not None and (one.place.line, one.place.end_line) == (2, 9)
        lines = [one.published[0].place, one.env["KEY"].place, one.mounts[0].place, one.image and one.image.place]
        assert [place.line for place in lines if place] == [5, 7, 9, 3]


def test_a_value_from_an_anchor_stands_where_it_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """What merge keys and aliases bring keeps its place in the anchor; the service keeps its own key's place."""
    stack = fixture("anchors", monkeypatch)
    one = container(stack, "second")
    assert one.place is not None and one.place.line == 15
    assert [
        (name, setting.value, setting.place and setting.place.line) for name, setting in sorted(one.env.items())
    ] == [
        ("OVERRIDDEN", "above", 20),
        ("SHARED", "shared", 6),
    ]
    assert one.published[0].place is not None and one.published[0].place.line == 9
    assert one.logging is not None and one.logging.driver.value == "local"


def test_an_override_file_decides_where_it_says_something(monkeypatch: pytest.MonkeyPatch) -> None:
    """Values point into the file that gave them; `!reset` and `!override` take away what the base said."""
    stack = fixture("override", monkeypatch, "compose.yaml", "compose.override.yaml")
    assert stack.unit == "compose.yaml + compose.override.yaml"
    web = container(stack, "web")
    assert {(port.address, port.host_port, port.place and port.place.path) for port in web.published} == {
        ("", 8080, "compose.yaml"),
        ("", 8443, "compose.override.yaml"),
        ("127.0.0.1", 8080, "compose.override.yaml"),
    }
    worker, replaced = container(stack, "worker"), container(stack, "replaced")
    assert (worker.published, worker.security.privileged.value, sorted(worker.env)) == ((), None, ["KEPT", "NEW"])
    assert [port.host_port for port in replaced.published] == [9300]


def test_an_extended_service_points_into_the_file_it_came_from(monkeypatch: pytest.MonkeyPatch) -> None:
    """Through a chain of files, the line that mounts the engine's socket is the one in the last file, paths counted from there."""
    one = container(fixture("extends", monkeypatch), "other")
    assert {(m.kind, m.source, m.mounted_at, m.place and m.place.path) for m in one.mounts} == {
        ("project-path", "common/models", "/models", "common/services.yaml"),
        ("project-path", "common/deeper/cache", "/cache", "common/deeper/root.yaml"),
        ("host-path", "/var/run/docker.sock", "/var/run/docker.sock", "common/deeper/root.yaml"),
    }
    assert one.security.run_as_user.value == 0
    place = one.env["ENGINE"].place
    assert place and place.path == "common/services.yaml"
    assert place.decided_by and place.decided_by.path == "common/engine.env"


def test_an_included_project_has_its_own_folder_and_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths count from the included project, the including project's variables win over the included one's."""
    stack = fixture("include", monkeypatch)
    images = {one.name: one.containers[0].image for one in stack.workloads}
    assert {name: image and image.reference for name, image in images.items()} == {
        "app": "example/app:9.0",
        "store": "example/store:9.0",
        "third": "example/third:3.0",
        "second": "example/second:2.5",
    }
    store, second = container(stack, "store"), container(stack, "second")
    assert (store.mounts[0].source, store.env["INNER"].value, store.env["DOLLAR"].value) == (
        "base/data",
        "from base",
        "$HOME",
    )
    assert (second.mounts[0].source, second.security.run_as_user.value) == ("data", 2000)
    assert workload(stack, "third").host_network.value is True


def test_a_variable_without_value_is_unknown_and_named(load: Load) -> None:
    """`${X}` is a gap, `${X:?}` is set and unseen, `${X:-v}` is v, `$$` is a dollar."""
    env = container(
        load(
            service(
                "environment:",
                "  UNSET: ${NOWHERE}",
                "  PARTLY: http://${HOST_OF_IT}:80",
                "  DEMANDED: ${SECRET_KEY:?set it}",
                "  DEFAULT: ${NOWHERE:-v}",
                "  NESTED: ${NOWHERE:-${NOR_HERE:-deep}}",
                "  EMPTY: ${NOWHERE:-}",
                "  ALTERNATIVE: ${NOWHERE:+x}",
                "  DOLLAR: $$NOT",
            )
        )
    ).env
    unknown = {name: (one.value, str(one.gap)) for name, one in env.items() if one.origin is Origin.UNRESOLVED}
    assert unknown == {
        "UNSET": (None, "${NOWHERE} has no default, and no .env gives a value"),
        "PARTLY": (None, "${HOST_OF_IT} has no default, and no .env gives a value"),
        "ALTERNATIVE": (None, "${NOWHERE} has no default, and no .env gives a value"),
    }
    demanded = {name: (one.value, str(one.gap)) for name, one in env.items() if one.origin is Origin.SECRET}
    assert demanded == {
        "DEMANDED": (None, "${SECRET_KEY} must be set by whoever starts it, to a value that is not here to see"),
    }
    known = {name: one.value for name, one in env.items() if one.origin is Origin.LITERAL}
    assert known == {"DEFAULT": "v", "NESTED": "deep", "EMPTY": "", "DOLLAR": "$NOT"}


def test_a_dotenv_gives_values_and_they_are_told_from_literals(load: Load) -> None:
    """A value out of `.env` has the origin CONFIG, and its line in `.env` is a loose value of the stack."""
    stack = load(
        service("environment:", "  KEY: ${KEY}", "  PASSED:", "  OWN: own"), **{".env": "# keys\nKEY=abc\nPASSED=xyz\n"}
    )
    env = container(stack).env
    assert [(env[name].value, env[name].origin) for name in ("KEY", "PASSED", "OWN")] == [
        ("abc", Origin.CONFIG),
        ("xyz", Origin.CONFIG),
        ("own", Origin.LITERAL),
    ]
    loose = [(one.kind, one.name, one.setting.name, one.setting.value, one.setting.place) for one in stack.loose_values]
    assert [
        (kind, name, key, value, place and (place.path, place.line)) for kind, name, key, value, place in loose
    ] == [
        ("env file", "(env file)", "KEY", "abc", (".env", 2)),
        ("env file", "(env file)", "PASSED", "xyz", (".env", 3)),
    ]


def test_a_line_that_a_dotenv_decides_names_its_line(load: Load) -> None:
    """What a variable of `.env` decides stands on the compose file's line, which names the line of `.env`."""
    lines = (
        "user: ${WHO}",
        "ports: ['${BIND}:80:80']",
        "volumes: ['${DIR}:/d']",
        "environment: ['A=${A}']",
        "privileged: ${P}",
    )
    stack = load(service(*lines), **{".env": "WHO=0\nBIND=0.0.0.0\nDIR=/\nA=x\nP=true\n"})
    one = container(stack)
    places = [one.security.run_as_user.place, one.published[0].place, one.mounts[0].place, one.env["A"].place]
    places.append(one.security.privileged.place)
    found = [(place.path, place.line, place.decided_by) for place in places if place]
    assert [(path, line, by and (by.path, by.line)) for path, line, by in found] == [
        ("compose.yaml", 4 + number, (".env", 1 + number)) for number in range(5)
    ]


def test_an_env_file_of_the_users_choice(load: Load) -> None:
    """With env files given, they are read in place of `.env`, the later winning."""
    options = ComposeOptions(env_files=("a.env", "b.env"))
    files = {".env": "A=dot\nC=dot\n", "a.env": "A=a\nB=a\n", "b.env": "B=b\n"}
    env = container(load(service("environment: ['A=${A}', 'B=${B}', 'C=${C}']"), options, **files)).env
    assert [one.value for one in env.values()] == ["a", "b", None]


def test_the_environment_of_the_scanner_is_not_read(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a variable that the options allow has a value from outside the tree."""
    monkeypatch.setenv("CI_SECRET", "leak")
    text = service("environment:", "  - CI_SECRET", "  - AGAIN=${CI_SECRET}")
    env = container(load(text)).env
    assert [one.value for one in env.values()] == [None, None]
    assert str(env["CI_SECRET"].gap) == "CI_SECRET is passed on from the shell that starts it"
    env = container(load(text, ComposeOptions(env={"CI_SECRET": "allowed"}))).env
    assert [one.value for one in env.values()] == ["allowed", "allowed"]


def test_a_missing_env_file_is_named(load: Load) -> None:
    """It is a gap, required or not, with the line that asks for it; `.env.example` does not stand for `.env`."""
    stack = load(
        service(
            "env_file:",
            "  - .env",
            "  - path: ./more.env",
            "    required: false",
            "  - ${WHICH}.env",
            "environment: [A=1]",
        ),
        **{".env.example": "A=2\n"},
    )
    one = container(stack)
    assert gaps(one) == [
        "env_file .env is not in the repository",
        "env_file ./more.env is not in the repository",
        "${WHICH} has no default, and no .env gives a value",
    ]
    assert [gap.place and gap.place.line for gap in one.gaps] == [5, 6, 8]
    assert (one.env["A"].value, stack.loose_values) == ("1", ())


def test_env_files_lie_below_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Later files win over earlier ones, `environment` over all; a name alone passes on what the project knows, no env file's value."""
    env = container(fixture("env_files", monkeypatch), "several").env
    assert {name: env[name].value for name in ("SHARED", "PASSED", "SECOND", "FIRST", "UNSET_HERE")} == {
        "SHARED": "from environment",
        "PASSED": "from dotenv",
        "SECOND": "2",
        "FIRST": None,
        "UNSET_HERE": None,
    }
    place = env["SECOND"].place
    assert place and place[:2] == ("compose.yaml", 9)
    assert place.decided_by and place.decided_by[:2] == ("conf/second.env", 1)


def test_values_of_an_env_file_alone() -> None:
    """A file that no project uses still gives its values, with their lines, and none for a name alone."""
    values = env_file_values(".env.example", "# keys\nexport A='x y'\nB=${A}-1 # note\nC\nD=${NOWHERE}\n")
    found = [(one.setting.name, one.setting.value, one.setting.place and one.setting.place.line) for one in values]
    assert found == [("A", "x y", 2), ("B", "x y-1", 3), ("D", None, 5)]


def test_kinds_of_mounts(load: Load) -> None:
    """A path of the project, of the host, a volume, one that is bound to a host path, memory, a device; secrets are never read."""
    text = service(
        "volumes:",
        "  - ./data:/data",
        "  - ../up:/up",
        "  - ~/.cache:/cache",
        "  - ${HOME}/models:/models",
        "  - ${PWD}/here:/here:ro",
        "  - ${SOCKET:-/var/run/docker.sock}:/var/run/docker.sock",
        "  - named:/named",
        "  - bound:/bound",
        "  - ${UNKNOWN}:/unknown",
        "  - C:\\data:/windows",
        "tmpfs: /tmp:size=1m",
        "devices: [/dev/kvm:/dev/vm]",
        "secrets: [token]",
    )
    text += "volumes:\n  named:\n  bound:\n    driver_opts: {type: none, o: bind, device: /srv/models}\n"
    text += "secrets:\n  token:\n    file: ./token.txt\n"
    one = container(load(text, **{"token.txt": "hidden"}))
    assert [(m.kind, m.source, m.mounted_at) for m in one.mounts] == [
        ("project-path", "data", "/data"),
        ("project-path", "../up", "/up"),
        ("host-path", "~/.cache", "/cache"),
        ("host-path", "${HOME}/models", "/models"),
        ("project-path", "here", "/here"),
        ("host-path", "/var/run/docker.sock", "/var/run/docker.sock"),
        ("named", "named", "/named"),
        ("host-path", "/srv/models", "/bound"),
        ("host-path", "${UNKNOWN}", "/unknown"),
        ("host-path", "C:\\data", "/windows"),
        ("secret", "token", "/run/secrets/token"),
        ("memory", "", "/tmp"),
        ("device", "/dev/kvm", "/dev/vm"),
    ]
    assert [str(m.gap) for m in one.mounts if m.gap] == ["${UNKNOWN} has no default, and no .env gives a value"]
    assert "hidden" not in repr(one)


def test_configuration_that_comes_along(monkeypatch: pytest.MonkeyPatch) -> None:
    """Text files that are mounted from the repository, and inline configs, are there to read; a missing one is a gap."""
    stack = fixture("configs", monkeypatch)
    one = container(stack)
    assert {(file.path, file.place and file.place[:2], file.text) for file in one.files} == {
        ("/inline", ("compose.yaml", 16), "first: info\nsecond: 2\n"),
        ("/etc/proxy/proxy.yaml", ("proxy.yaml", 1), "key: value\n"),
        ("/etc/proxy.toml", ("proxy.toml", 1), "key = 1\n"),
        ("/etc/conf.d/site.conf", ("conf.d/site.conf", 1), "listen 80\n"),
    }
    assert gaps(one) == ["absent.yaml is not in the repository"]
    assert [(config.name, config.entries["content"].value) for config in stack.configs] == [
        ("inline", "first: info\nsecond: 2\n")
    ]


def test_links_out_of_the_tree_are_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a mounted file, nor an env file, nor a folder on the way may lead outside."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret.yaml").write_text("token: hidden\n", encoding="utf-8")
    (tmp_path / "outside" / "secret.env").write_text("TOKEN=hidden\n", encoding="utf-8")
    (tmp_path / "tree").mkdir()
    monkeypatch.chdir(tmp_path / "tree")
    Path("linked.yaml").symlink_to(tmp_path / "outside" / "secret.yaml")
    Path("folder").symlink_to(tmp_path / "outside")
    Path("inner.yaml").write_text("fine: 1\n", encoding="utf-8")
    Path("alias.yaml").symlink_to("inner.yaml")
    text = service(
        "env_file: [folder/secret.env, ../outside/secret.env]",
        "volumes:",
        *(f"  - ./{path}:/etc/{path}" for path in ("linked.yaml", "folder/secret.yaml", "folder", "alias.yaml")),
    )
    write({"compose.yaml": text})
    one = container(only(load_projects(["compose.yaml"], Path())))
    assert "hidden" not in repr(one)
    assert [(file.path, file.text) for file in one.files] == [("/etc/alias.yaml", "fine: 1\n")]
    assert len(one.gaps) == 4


def test_published_ports(load: Load) -> None:
    """Every syntax of ports, with unknown addresses named, and numbers that a variable gives left open."""
    one = container(
        load(
            service(
                "ports:",
                "  - 3000",
                '  - "8000-8001:9000-9001/udp"',
                '  - "127.0.0.1:8080:80"',
                '  - "[::1]:6001:6001"',
                "  - ${HOST_PORT}:81",
                "  - ${WHERE}:82",
                "  - ${ADDRESS}:83:83",
                "  - 84:${INSIDE}",
                '  - "1-65535:1-65535"',
                "  - {target: 85, published: 8085, host_ip: 127.0.0.1, protocol: udp}",
                "expose: [7000, '7001-7002/udp']",
            )
        )
    )
    found = [
        (port.container_port, port.host_port, port.address, port.protocol, bool(port.gap)) for port in one.published
    ]
    assert found == [
        (3000, None, "", "tcp", False),
        (9000, 8000, "", "udp", False),
        (9001, 8001, "", "udp", False),
        (80, 8080, "127.0.0.1", "tcp", False),
        (6001, 6001, "::1", "tcp", False),
        (81, None, "", "tcp", False),
        (82, None, "", "tcp", True),
        (83, 83, "", "tcp", True),
        (None, 84, "", "tcp", False),
        (None, None, "", "tcp", True),
        (85, 8085, "127.0.0.1", "udp", False),
    ]
    assert [(port.number, port.protocol) for port in one.ports] == [(7000, "tcp"), (7001, "udp"), (7002, "udp")]


def test_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which networks a service joins, and whose it shares; `host` and `none` join none."""
    stack = fixture("syntax", monkeypatch)
    joined = {one.name: (one.networks, one.shares_network_with, one.host_network.value) for one in stack.workloads}
    assert joined["networks"] == (("front", "back"), "", None)
    assert joined["host"] == ((), "", True)
    assert joined["none"] == ((), "", False)
    assert joined["shares"] == ((), "networks", False)
    assert joined["joins"] == ((), "elsewhere", False)
    assert joined["words"] == (("default",), "", None)
    assert {(one.name, one.internal) for one in stack.networks} == {
        ("front", False),
        ("back", True),
        ("default", False),
    }


def test_command_lines_word_by_word(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command is split as a shell splits it, and each word has its line, also in a folded text."""
    one = container(fixture("syntax", monkeypatch), "words")
    assert one.command is not None and [word.text for word in one.command] == ["/bin/tool", "--flag", "two words"]
    assert one.args is not None
    assert [(word.text, word.place and word.place.line) for word in one.args] == [
        ("serve", 72), ("--host", 72), ("0.0.0.0", 72), ("--port", 73), ("8000", 73), ("--name", 74), ("a b", 74),
    ]  # fmt: skip


def test_security_as_the_engine_will_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a file says holds; what it leaves out is what an engine does: it confines system calls."""
    stack = fixture("security", monkeypatch)
    of = container(stack, "everything").security
    assert (of.run_as_user.value, of.run_as_group.value, of.privileged.value) == (1000, 1001, True)
    assert (of.allow_privilege_escalation.value, of.read_only_root.value) == (False, True)
    assert [one.value for one in of.capabilities_added] == ["SYS_ADMIN", "NET_RAW"]
    assert [one.value for one in of.capabilities_dropped] == ["ALL"]
    assert (of.seccomp.value, of.app_armor.value, of.se_linux[0].value) == ("Unconfined", "unconfined", "type=spc_t")
    whole = workload(stack, "everything")
    assert (whole.host_pid.value, whole.host_ipc.value, whole.host_users.value) == (True, True, True)
    assert [one.value for one in whole.sysctls] == ["net.ipv4.ip_forward=1"]
    named, root, nothing = (container(stack, name).security for name in ("named", "root", "nothing"))
    assert (named.user_name.value, named.run_as_user.value, root.run_as_user.value) == ("www-data", None, 0)
    assert (nothing.seccomp.value, nothing.seccomp.said_by, nothing.privileged.value) == (
        "RuntimeDefault",
        "engine",
        None,
    )


def test_an_unknown_user_is_not_guessed(load: Load) -> None:
    """`${UID}` alone leaves the user unknown and named; a known user with an unknown group is known."""
    unknown = container(load(service("user: ${UID}:${GID}"))).security.run_as_user
    assert (unknown.value, unknown.gap and unknown.gap.what) == (None, "${UID}, ${GID}")
    assert container(load(service("user: 1000:${GID}"))).security.run_as_user.value == 1000


def test_logging_and_resources(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    """The log driver and its options, or none with the service's place; limits by either spelling."""
    one = container(
        load(service("logging: {driver: json-file, options: {max-size: 10m, max-file: 3}}", "mem_limit: 1g"))
    )
    assert one.logging is not None
    assert (one.logging.driver.value, one.logging.options) == ("json-file", {"max-size": "10m", "max-file": "3"})
    assert one.resources.limits == {"memory": "1g"}
    silent = container(load(service("user: '1'")))
    assert silent.logging is not None and silent.logging.driver.value is None and silent.logging.place == silent.place
    gpu = container(fixture("syntax", monkeypatch), "gpu")
    assert (gpu.resources.limits, gpu.resources.requests) == ({"cpu": "2.5", "memory": "4g"}, {"nvidia.com/gpu": "1"})


def test_images(load: Load) -> None:
    """Name, tag and digest; a variable in it is a gap; what is built here is local, unless a registry has it."""
    stack = load(
        "services:\n"
        "  tagged: {image: 'registry.example:5000/a/b:1.2@sha256:0f'}\n"
        "  unknown: {image: 'example/${NAME}:${TAG}'}\n"
        "  default: {image: 'example/c:${TAG:-3.1}'}\n"
        "  built: {image: mine, build: ./absent}\n"
        "  none: {command: x}\n"
        "  pulled: {image: 'registry.example/mine:main', build: ./absent}\n"
        "  never: {image: 'registry.example/mine:main', build: ./absent, pull_policy: build}\n"
    )
    pulled, never = (container(stack, name).image for name in ("pulled", "never"))
    assert pulled and never and (pulled.local, never.local) == (False, True)
    tagged, unknown, default, built = (
        container(stack, name).image for name in ("tagged", "unknown", "default", "built")
    )
    assert tagged and (tagged.name, tagged.tag, tagged.digest) == ("registry.example:5000/a/b", "1.2", "sha256:0f")
    assert unknown and (unknown.tag, unknown.gap and unknown.gap.what) == (None, "${NAME}, ${TAG}")
    assert default and (default.tag, default.gap) == ("3.1", None)
    assert built and (built.name, built.local) == ("mine", True)
    assert gaps(container(stack, "built")) == ["absent/Dockerfile is not in the repository"]
    assert container(stack, "none").image is None
    assert gaps(container(stack, "none")) == ["service none has neither image nor build in these files"]


def test_a_build_is_read_from_its_dockerfile(monkeypatch: pytest.MonkeyPatch) -> None:
    """Base image, user, entrypoint, ports and variables of the stage that is built, with the Dockerfile's lines."""
    stack = fixture("build", monkeypatch)
    plain, tagged, inline, remote = (container(stack, name) for name in ("context", "tagged", "inline", "remote"))
    assert plain.image and plain.image.base and plain.image.base.reference == "vllm/vllm-openai:v0.6.0"
    assert plain.command and [word.text for word in plain.command] == ["vllm", "serve"]
    assert plain.args and [word.text for word in plain.args] == ["model", "--host", "0.0.0.0"]
    assert [(port.number, port.protocol) for port in plain.ports] == [(8000, "tcp"), (9000, "udp")]
    assert (plain.env["VLLM_API_KEY"].value, plain.env["VLLM_API_KEY"].origin) == ("built in", Origin.IMAGE)
    assert tagged.image and tagged.image.base and tagged.image.base.tag == "3.12-slim"
    user = tagged.image.user
    assert user and (user.value, user.place and user.place[:2]) == ("app", ("app/Containerfile", 4))
    assert inline.image
    user = inline.image.user
    assert user and (user.value, user.place and user.place[:2]) == ("65534", ("compose.yaml", 17))
    assert remote.image and remote.image.local
    assert gaps(remote) == ["build https://git.example/project.git is remote and never fetched"]


def test_profiles_are_conditions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Services of every profile are there; those of inactive ones say under which condition they run."""
    stack = fixture("chosen", monkeypatch, "first.yml", "second.yml")
    assert {one.name: one.conditional for one in stack.workloads} == {
        "always": "",
        "active": "",
        "dormant": "profile off-side or spare",
    }
    assert container(stack, "always").published[0].host_port == 8080


def test_the_empty_profile_is_active_where_none_is_chosen(load: Load) -> None:
    """`profiles: ["", x]` is a service that runs unless profiles are named."""
    text = "services:\n  default: {image: a, profiles: ['', x]}\n  chosen: {image: a, profiles: [x]}\n"
    stack = load(text)
    assert {one.name: one.conditional for one in stack.workloads} == {"default": "", "chosen": "profile x"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("services: {web: {image: x}}", True),
        ("services: {web: {deploy: {replicas: 2}}}", True),
        ("version: '3'\nservices: {web: {build: .}}\nx-common: {a: 1}", True),
        ("include: [other/compose.yaml]", True),
        ("include:\n  - path: [a.yaml, b.yaml]", True),
        ("services: {web: {type: ClusterIP, port: 80}}", False),
        ("services: {web: {image: x}}\nreplicaCount: 1", False),
        ("apiVersion: v1\nkind: Service\nmetadata: {name: x}", False),
        ("include: {local: /ci.yml}\nstages: [a]", False),
        ("services: [postgres]", False),
        ("services: {}", False),
        ("networks: {a: {}}", False),
        ("- services", False),
        ("image: x", False),
    ],
)
def test_what_is_a_compose_file(text: str, expected: bool) -> None:
    """Compose files and parts of them are; values files, CI pipelines and Kubernetes objects are not."""
    assert is_compose(next(documents(text, "x.yaml"))) is expected


def test_a_borrowed_network_is_reached_by_the_ports_of_its_owner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a VPN container publishes leads to the server that uses its network, over any number of steps; a loop ends."""
    monkeypatch.chdir(tmp_path)
    Path("compose.yaml").write_text(
        "services:\n"
        "  vpn: {image: 'vpn:1', ports: ['11434:11434']}\n"
        "  between: {image: 'proxy:1', network_mode: 'service:vpn'}\n"
        "  llm: {image: 'ollama/ollama:0.12.3', network_mode: 'service:between'}\n"
        "  here: {image: 'ollama/ollama:0.12.3', network_mode: 'service:there'}\n"
        "  there: {image: 'ollama/ollama:0.12.3', network_mode: 'service:here'}\n"
    )
    found = failing(scan_files(Path("compose.yaml")), ["AUT002", "EXP002"])
    assert [(finding.rule, finding.resource.name, finding.place and finding.place.line) for finding in found] == [
        ("EXP002", "llm", 2),
        ("AUT002", "llm", 4),
    ]
    assert "published on every interface of the host by 'vpn', whose network it uses" in found[1].message


def test_a_server_on_its_own_loopback_is_not_reached_by_a_published_port(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine forwards to the container's address; on the host's network loopback is the host's."""
    monkeypatch.chdir(tmp_path)
    Path("compose.yaml").write_text(
        "services:\n  llm: {image: 'ollama/ollama:0.12.3', ports: ['11434:11434'], environment: {OLLAMA_HOST: ADDRESS}}\n"
    )
    text = Path("compose.yaml").read_text()
    told = {}
    for address in ("127.0.0.1", "0.0.0.0"):
        Path("compose.yaml").write_text(text.replace("ADDRESS", address))
        told[address] = {f.rule for f in failing(scan_files(Path("compose.yaml")), ["AUT002", "AUT003", "EXP002"])}
    assert told == {"127.0.0.1": set(), "0.0.0.0": {"AUT002", "EXP002"}}
