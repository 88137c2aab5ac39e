"""What the engine's reader says when an engine refuses, vanishes, hangs or lies: one sentence each, and nothing else lost."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmscan.collect.engine import EngineListing, EngineOptions, read_engine
from llmscan.collect.errors import TargetUnreachable
from llmscan.testing.fake_engine import VERSION, FakeEngine, refuses, replies, silent, trickles

NOBODY = 65534


def inspected(name: str, **parts: Any) -> dict[str, Any]:
    """What inspect says of a plain container."""
    return {
        "Id": name,
        "Name": f"/{name}",
        "State": {"Running": True},
        "Image": "sha256:abc",
        "Config": {"Image": "ollama/ollama:0.5.1", "Env": ["TOKEN=hunter2"], "User": "", **parts.pop("Config", {})},
        "HostConfig": {"NetworkMode": "bridge", **parts.pop("HostConfig", {})},
        **parts,
    }


def scan(engine: FakeEngine, **options: Any) -> EngineListing:
    return read_engine(EngineOptions(host=engine.url, read_seconds=0.5, **options))


def refusal(engine: FakeEngine) -> str:
    with pytest.raises(TargetUnreachable) as raised:
        scan(engine)
    return str(raised.value)


def workloads(listing: EngineListing) -> list[str]:
    return [workload.name for stack in listing.stacks for workload in stack.workloads]


def test_no_engine(tmp_path: Path) -> None:
    """A socket that is not there, one at which nobody listens, and a port that is closed."""
    with pytest.raises(TargetUnreachable, match=r"is not there: no engine runs, or it listens elsewhere \(DOCKER_HOST"):
        read_engine(EngineOptions(host=f"unix://{tmp_path}/docker.sock"))
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.bind(f"{tmp_path}/deaf.sock")
        with pytest.raises(TargetUnreachable, match="refuses the connection: no engine is listening"):
            read_engine(EngineOptions(host=f"unix://{tmp_path}/deaf.sock"))
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        with pytest.raises(TargetUnreachable, match="refuses the connection: no engine is listening"):
            read_engine(EngineOptions(host=f"tcp://127.0.0.1:{closed.getsockname()[1]}"))


@contextmanager
def unprivileged() -> Iterator[None]:
    """Act as a user whom file permissions bind."""
    was = os.geteuid()
    if was == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(was)


def test_no_permission_on_the_socket(tmp_path: Path) -> None:
    """A socket that the user may not use is told from one that is not there."""
    with socket.socket(socket.AF_UNIX) as line:
        line.bind(f"{tmp_path}/docker.sock")
        line.listen()
        Path(tmp_path, "docker.sock").chmod(0)
        with (
            unprivileged(),
            pytest.raises(TargetUnreachable, match="refuses this user: it takes membership of the docker"),
        ):
            read_engine(EngineOptions(host=f"unix://{tmp_path}/docker.sock"))


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (replies({**VERSION, "ApiVersion": "1.12"}), "speaks API version 1.12; llmscan needs 1.24 or newer"),
        (replies({"hello": "world"}), "is not a container engine"),
        (replies(["1.41"]), "is not a container engine"),
        (replies(b"<html>welcome</html>"), "answered with something that is not JSON"),
        (replies(b"[" * 200_000), "answered with something that is not JSON"),
        (refuses(403), "refuses access (403)"),
        (refuses(500), "fails (500)"),
        (replies({}, 302, {"Location": "http://127.0.0.1:1/"}), "does not accept the question (302)"),
        (silent(3), "does not answer in time"),
        (trickles(3), "answers too slowly"),
    ],
)
def test_what_is_no_engine_to_talk_to(answer: Any, sentence: str) -> None:
    """One sentence that names the engine, in bounded time, without a word of what it answered."""
    began = time.monotonic()
    with FakeEngine({"/version": answer}) as engine:
        said = refusal(engine)
    assert sentence in said
    assert said.endswith(".") and "\n" not in said and "hunter2" not in said
    assert time.monotonic() - began < 4


def test_an_answer_without_end_is_cut_off() -> None:
    """An answer of more than 64 MB is not kept in memory."""
    with FakeEngine() as engine:
        engine.holds("one", inspected("one"))
        engine.holds("vast", replies(b"x" * 65_000_000))
        listing = read_engine(EngineOptions(host=engine.url))
    assert workloads(listing) == ["one"]
    assert [failure.reason for failure in listing.failures] == [
        "was not read: the engine answered with more than 64 MB"
    ]


def test_a_list_that_is_refused_ends_the_scan() -> None:
    """Without the list of containers there is nothing to scan."""
    with FakeEngine({"/containers/json": refuses(403)}) as engine:
        assert refusal(engine) == "The engine does not list its containers: it refuses access."
    with FakeEngine({"/containers/json": replies({"a": 1})}) as engine:
        assert refusal(engine) == "The engine does not list its containers: its answer is no list."


def test_a_container_that_vanishes_takes_no_other_with_it() -> None:
    """What is gone when it is asked for is named as a gap; what is there is read."""
    with FakeEngine() as engine:
        engine.holds("first", inspected("first"))
        engine.holds("brief", refuses(404))
        engine.holds("last", inspected("last"))
        listing = scan(engine)
    assert workloads(listing) == ["first", "last"]
    assert "container brief was gone before it could be read" in map(str, listing.gaps)
    assert listing.failures == ()


def test_what_fails_is_a_failure_and_what_is_forbidden_a_gap() -> None:
    """An error of the engine makes the scan incomplete; a list that it forbids is coverage. Secrets stand in neither."""
    forbidden = {path: refuses(403) for path in ("/info", "/volumes", "/networks")}
    with FakeEngine(forbidden) as engine:
        engine.holds("fine", inspected("fine"))
        engine.holds("broken", refuses(500))
        listing = scan(engine)
    assert workloads(listing) == ["fine"]
    assert [str(failure) for failure in listing.failures] == ["target container broken: was not read: the engine fails"]
    refused = [gap.what for gap in listing.gaps if "refuses access" in gap.why]
    assert refused == ["the engine's own settings", "the list of volumes", "the list of networks"]
    assert "hunter2" not in str((listing.gaps, listing.failures))


def test_a_container_that_hangs_takes_no_other_with_it() -> None:
    """One silent container is a failure; the others are read."""
    with FakeEngine() as engine:
        engine.holds("a", inspected("a"))
        engine.holds("b", silent(2))
        engine.holds("c", inspected("c"))
        listing = scan(engine)
    assert workloads(listing) == ["a", "c"]
    assert [failure.name for failure in listing.failures] == ["container b"]
    assert "does not answer in time" in listing.failures[0].reason


def test_an_engine_that_falls_silent_is_left_alone() -> None:
    """After three silences in a row no more is asked, and every container that was not read is named."""
    with FakeEngine() as engine:
        engine.holds("a", inspected("a"))
        for number in range(9):
            engine.holds(f"mute{number}", silent(3))
        began = time.monotonic()
        listing = scan(engine)
    assert time.monotonic() - began < 6
    assert workloads(listing) == ["a"]
    assert [failure.name for failure in listing.failures] == [f"container mute{number}" for number in range(9)]
    assert listing.failures[-1].reason == "was not asked for: the engine stopped answering"


def test_names_cannot_forge_lines() -> None:
    """Control characters and direction marks of names are replaced, and names are bounded."""
    hostile = "evil\n\x1b[2J\u202e\ud800" + "x" * 5000
    with FakeEngine() as engine:
        engine.holds("one", inspected("one", Name=f"/{hostile}"))
        engine.holds("two", refuses(500), {"Names": [f"/{hostile}"]})
        listing = scan(engine)
    for text in (*workloads(listing), listing.failures[0].name):
        assert text.isprintable() and len(text) < 300
        text.encode()


def test_labels_may_be_huge() -> None:
    """A label of megabytes is carried, and nothing is slow about it."""
    with FakeEngine() as engine:
        engine.holds("one", inspected("one", Config={"Labels": {"note": "x" * 4_000_000}}))
        began = time.monotonic()
        listing = scan(engine)
    assert workloads(listing) == ["one"]
    assert time.monotonic() - began < 3


def test_ids_cannot_leave_their_path() -> None:
    """An id from the list is quoted: it asks for nothing else."""
    with FakeEngine() as engine:
        engine.holds("../../exec/start?x=", refuses(404))
        scan(engine)
    assert [path for path in engine.asked if "exec" in path] == ["/v1.45/containers/..%2F..%2Fexec%2Fstart%3Fx%3D/json"]


def test_an_api_without_tls_is_known_from_the_connection() -> None:
    """TCP without TLS in use is told once, of the engine itself, whatever runs on it."""
    project = {"Labels": {"com.docker.compose.project": "p"}}
    with FakeEngine() as engine:
        assert [stack.unit for stack in scan(engine).stacks] == ["engine"]
        engine.holds("one", inspected("one", Config=project), project)
        stacks = {stack.unit: stack for stack in scan(engine).stacks}
    assert stacks["engine"].engine.tcp_without_tls.value == engine.url.removeprefix("tcp://")
    assert (stacks["engine"].workloads, stacks["p"].engine.tcp_without_tls.value) == ((), None)


@pytest.mark.parametrize(
    "warning", ["http://0.0.0.0:2375 without encryption", "https://0.0.0.0:2375 without TLS client verification"]
)
def test_an_api_without_tls_is_known_from_the_engine(tmp_path: Path, warning: str) -> None:
    """An engine that is asked through its socket warns of the addresses at which it is open."""
    text = f"WARNING: API is accessible on {warning}.\n         Access to the remote API is..."
    with FakeEngine({"/info": replies({"Warnings": [text]})}, socket_path=tmp_path / "docker.sock") as engine:
        (stack,) = scan(engine).stacks
    assert stack.engine.tcp_without_tls.value == "0.0.0.0:2375"


def test_a_swarm_publishes_ports_that_stand_in_no_container() -> None:
    """Ports of a swarm's routing mesh are the service's; ones in host mode the container has itself."""
    ports = [
        {"Protocol": "tcp", "TargetPort": 11434, "PublishedPort": 30000, "PublishMode": "ingress"},
        {"Protocol": "tcp", "TargetPort": 9, "PublishedPort": 9, "PublishMode": "host"},
    ]
    with FakeEngine({"/services/s1": replies({"Endpoint": {"Ports": ports}})}) as engine:
        engine.holds("one", inspected("one", Config={"Labels": {"com.docker.swarm.service.id": "s1"}}))
        (container,) = scan(engine).stacks[0].workloads[0].containers
    assert [(port.container_port, port.host_port, port.address) for port in container.published] == [(11434, 30000, "")]


def test_rootless_and_remapped_engines_are_known() -> None:
    """Neither's containers have the users of the host; a container may opt out of remapping."""
    options = {"SecurityOptions": ["name=seccomp,profile=unconfined", "name=rootless"], "LoggingDriver": "journald"}
    with FakeEngine({"/info": replies(options)}) as engine:
        engine.holds("one", inspected("one"))
        engine.holds("two", inspected("two", HostConfig={"UsernsMode": "host"}))
        (stack,) = scan(engine).stacks
    assert (stack.engine.rootless.value, stack.engine.log_driver.value) == (True, "journald")
    one, two = stack.workloads
    assert (one.host_users.value, two.host_users.value) == (False, True)
    assert one.containers[0].security.seccomp.value == "Unconfined"
    assert one.containers[0].logging is not None
    assert one.containers[0].logging.driver.value == "journald"


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["a=b", "11434/tcp", "host"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "Config",
                    "HostConfig",
                    "Mounts",
                    "Ports",
                    "Env",
                    "Labels",
                    "User",
                    "Networks",
                    "Type",
                    "HostIp",
                    "11434/tcp",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
PARTS = ("Id", "Name", "Image", "Config", "HostConfig", "Mounts", "NetworkSettings", "State", "AppArmorProfile")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    container=st.dictionaries(st.sampled_from(PARTS), JSON),
    host=st.dictionaries(
        st.sampled_from(
            [
                "PortBindings",
                "CapAdd",
                "SecurityOpt",
                "LogConfig",
                "Devices",
                "DeviceRequests",
                "Memory",
                "NanoCpus",
                "Tmpfs",
            ]
        ),
        JSON,
    ),
    rest=JSON,
)
def test_no_shape_of_json_stops_the_scan(container: dict[str, Any], host: dict[str, Any], rest: Any) -> None:
    """Whatever types an engine's answers have, the scan ends with a listing."""
    answers = {"/info": replies(rest), "/volumes": replies({"Volumes": rest}), "/networks": replies([rest])}
    with FakeEngine(answers) as engine:
        engine.holds("odd", {"Id": "odd", **container})
        engine.holds(
            "host", inspected("host", HostConfig=host, Mounts=rest, NetworkSettings={"Ports": rest, "Networks": rest})
        )
        listing = scan(engine)
    assert len(workloads(listing)) == 2
