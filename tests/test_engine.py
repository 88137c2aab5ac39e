"""What a real container engine runs, as the model has it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from llmscan.collect.engine import EngineListing, EngineOptions, read_engine
from llmscan.model import Container, Origin, Workload
from llmscan.testing.engine import EngineLab, NoEngine

pytestmark = pytest.mark.engine

OLLAMA = "ollama/ollama:0.5.1"


@pytest.fixture
def lab() -> Iterator[EngineLab]:
    try:
        made = EngineLab()
    except NoEngine as reason:
        pytest.skip(str(reason))
    try:
        made.image(OLLAMA, "USER 1000:100", "ENV OLLAMA_HOST=0.0.0.0:11434", "EXPOSE 11434", 'CMD ["serve"]')
        yield made
    finally:
        made.close()


def scan(lab: EngineLab, **options: Any) -> EngineListing:
    return read_engine(EngineOptions(**{"labels": (lab.label,), **options}))


def only(listing: EngineListing) -> tuple[Workload, Container]:
    (stack,) = listing.stacks
    (workload,) = stack.workloads
    (container,) = workload.containers
    return workload, container


def test_a_container_is_read_with_its_effective_values(lab: EngineLab) -> None:
    """Image, command, environment and user come from the container and its image taken together."""
    made = lab.run(OLLAMA, "llm", environment={"TOKEN": "hunter2"})
    workload, container = only(scan(lab))
    assert (workload.kind, workload.name, workload.orchestrated, workload.runs) == ("container", made.name, False, True)
    assert workload.conditional == ""
    assert container.image is not None
    assert (container.image.name, container.image.tag) == ("ollama/ollama", "0.5.1")
    assert container.image.user is not None
    assert container.image.user.value == "1000:100"
    assert [word.text for word in (*(container.command or ()), *(container.args or ()))] == ["/bin/sleep", "1000"]
    assert container.env["OLLAMA_HOST"].origin is Origin.IMAGE
    assert (container.env["TOKEN"].value, container.env["TOKEN"].origin) == ("hunter2", Origin.LITERAL)
    assert container.security.run_as_user.value is None
    assert [(port.number, port.protocol) for port in container.ports] == [(11434, "tcp")]


@pytest.mark.parametrize(
    ("given", "number", "group", "name"),
    [("0", 0, None, None), ("app", None, None, "app"), ("7:8", 7, 8, None), ("app:5", None, 5, "app")],
)
def test_users_are_known_by_number_or_name(
    lab: EngineLab, given: str, number: int | None, group: int | None, name: str | None
) -> None:
    """A user of the container overrides the image's, whether it is a number or a name."""
    lab.run(OLLAMA, user=given)
    security = only(scan(lab))[1].security
    assert (security.run_as_user.value, security.run_as_group.value, security.user_name.value) == (number, group, name)


def test_an_image_without_user_runs_as_root(lab: EngineLab) -> None:
    """Nobody sets a user: the image says so, with an empty one."""
    lab.image("vllm/vllm-openai:v0.6.0")
    lab.run("vllm/vllm-openai:v0.6.0")
    _, container = only(scan(lab))
    assert container.image is not None
    assert container.image.user is not None
    assert container.image.user.value == ""
    assert container.security.run_as_user.value is None


def test_powers_over_the_host_are_seen(lab: EngineLab) -> None:
    """Privileges, capabilities, shared namespaces, the host's paths, devices and the engine's socket in any spelling."""
    lab.run(
        OLLAMA,
        privileged=True,
        cap_add=["SYS_ADMIN"],
        cap_drop=["CAP_CHOWN"],
        pid_mode="host",
        ipc_mode="host",
        network_mode="host",
        devices=["/dev/null:/dev/gpu:r"],
        volumes=["/run/../var/run:/engine:ro", "/etc:/host-etc"],
    )
    workload, container = only(scan(lab))
    security = container.security
    assert security.privileged.value is True
    assert [value.value for value in security.capabilities_added] == ["SYS_ADMIN"]
    assert [value.value for value in security.capabilities_dropped] == ["CHOWN"]
    assert workload.host_pid.value and workload.host_ipc.value and workload.host_network.value
    assert workload.networks == ()
    mounts = {mount.mounted_at: mount for mount in container.mounts}
    assert (mounts["/engine"].source, mounts["/engine"].read_only) == ("/var/run", True)
    assert (mounts["/host-etc"].kind, mounts["/host-etc"].source) == ("host-path", "/etc")
    assert (mounts["/dev/gpu"].source, mounts["/dev/gpu"].read_only) == ("/dev/null", True)


def test_confinement_is_seen(lab: EngineLab) -> None:
    """Security options in both spellings, an unmasked /proc, and what the engine does by default."""
    options = ["seccomp=unconfined", "no-new-privileges:true"]
    lab.run_raw(
        OLLAMA, "loose", {"SecurityOpt": options, "MaskedPaths": [], "ReadonlyPaths": [], "ReadonlyRootfs": True}
    )
    lab.run(OLLAMA, "plain")
    (stack,) = scan(lab).stacks
    loose, plain = (workload.containers[0].security for workload in stack.workloads)
    assert (loose.seccomp.value, loose.proc_mount.value) == ("Unconfined", "Unmasked")
    assert (loose.allow_privilege_escalation.value, loose.read_only_root.value) == (False, True)
    assert (plain.seccomp.value, plain.seccomp.said_by, plain.proc_mount.value) == (
        "RuntimeDefault",
        "engine",
        "Default",
    )
    assert (plain.allow_privilege_escalation.value, plain.read_only_root.value) == (None, False)


def test_published_ports_have_the_addresses_of_the_host(lab: EngineLab) -> None:
    """An address is kept, every interface is one binding for both families, and the port that the engine chose is known."""
    lab.run(OLLAMA, ports={"11434/tcp": ("127.0.0.1", None), "9000/udp": None})
    _, container = only(scan(lab))
    ports = {port.container_port: port for port in container.published}
    assert set(ports) == {11434, 9000}
    assert (ports[11434].address, ports[9000].address, ports[9000].protocol) == ("127.0.0.1", "", "udp")
    assert ports[11434].host_port
    assert len(container.published) == 2


def test_a_published_port_leads_to_the_container(lab: EngineLab) -> None:
    """The address and port in the model are those at which the container answers."""
    lab.run(
        OLLAMA,
        entrypoint=["/bin/httpd"],
        command=("-f", "-p", "11434"),
        user="0",
        ports={"11434/tcp": ("127.0.0.2", None)},
    )
    _, container = only(scan(lab))
    (port,) = container.published
    assert port.host_port is not None
    with socket.create_connection((port.address, port.host_port), timeout=5) as line:
        line.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert line.recv(8) == b"HTTP/1.1"


def test_a_stopped_container_is_only_listed_on_demand(lab: EngineLab) -> None:
    """Running ones by default; all of them, or the named one, in any state. A stopped one keeps the ports that it will have."""
    stopped = lab.run(OLLAMA, "idle", start=False, ports={"11434/tcp": 11999})
    assert scan(lab).stacks == ()
    for options in ({"all": True}, {"containers": (stopped.name,)}, {"containers": (str(stopped.id)[:12],)}):
        workload, container = only(scan(lab, **options))
        assert workload.conditional == "stopped"
        assert [(port.host_port, port.address) for port in container.published] == [(11999, "")]


def test_containers_are_chosen_by_name_and_label(lab: EngineLab) -> None:
    """Each option narrows; a name that is not there is a failure, and takes nothing else with it."""
    one = lab.run(OLLAMA, "one", labels={"tier": "gpu"})
    lab.run(OLLAMA, "two", labels={"tier": "web"})
    assert only(scan(lab, labels=(lab.label, "tier=gpu")))[0].name == one.name
    assert len(scan(lab, labels=(lab.label, "tier")).stacks[0].workloads) == 2
    listing = scan(lab, containers=(one.name, "no-such-container"))
    assert only(listing)[0].name == one.name
    assert [str(failure) for failure in listing.failures] == [
        "target container no-such-container: was not found on this engine"
    ]


def test_networks_say_whether_they_are_internal(lab: EngineLab) -> None:
    """The networks that a container joins, and whether they have a way out (then nothing is published); a shared one leads to its owner."""
    inner = lab.network("inner", internal=True)
    owner = lab.run(OLLAMA, "owner", network=inner, ports={"11434/tcp": ("127.0.0.1", None)})
    lab.run(OLLAMA, "rider", network_mode=f"container:{owner.id}")
    (stack,) = scan(lab).stacks
    workloads = {workload.name: workload for workload in stack.workloads}
    assert workloads[str(owner.name)].networks == (inner,)
    assert workloads[str(owner.name)].containers[0].published == ()
    (rider,) = (workload for name, workload in workloads.items() if name.startswith("rider"))
    assert rider.shares_network_with == owner.name
    assert {network.name: network.internal for network in stack.networks}[inner] is True


def test_volumes_are_told_apart(lab: EngineLab) -> None:
    """A named volume, one that is a path of the host under another name, and memory."""
    named, bound = lab.volume("models"), lab.volume("sly", type="none", o="bind", device="/etc")
    lab.run(OLLAMA, volumes=[f"{named}:/models", f"{bound}:/sly"], tmpfs={"/scratch": ""})
    _, container = only(scan(lab))
    mounts = {mount.mounted_at: (mount.kind, mount.source) for mount in container.mounts}
    assert mounts == {"/models": ("named", named), "/sly": ("host-path", "/etc"), "/scratch": ("memory", "tmpfs")}


def test_logging_and_limits_are_effective(lab: EngineLab) -> None:
    """A driver with its bounds, no log at all, the engine's default; memory, processors."""
    lab.run(
        OLLAMA,
        "a",
        log_config={"type": "json-file", "config": {"max-size": "10m"}},
        mem_limit="64m",
        nano_cpus=500_000_000,
    )
    lab.run(OLLAMA, "b", log_config={"type": "none"}, cpu_quota=150_000, cpu_period=100_000)
    lab.run(OLLAMA, "c")
    (stack,) = scan(lab).stacks
    bounded, silent, default = (workload.containers[0] for workload in stack.workloads)
    assert bounded.logging and silent.logging and default.logging
    assert (bounded.logging.driver.value, dict(bounded.logging.options)) == ("json-file", {"max-size": "10m"})
    assert silent.logging.driver.value == "none"
    assert default.logging.driver.value == stack.engine.log_driver.value
    assert dict(bounded.resources.limits) == {"memory": str(64 << 20), "cpu": "0.5"}
    assert dict(silent.resources.limits) == {"cpu": "1.5"}
    assert dict(default.resources.limits) == {}


def test_an_image_that_was_started_by_id_gets_its_name(lab: EngineLab) -> None:
    """A container started by the id of an image is known by the name that the image has."""
    lab.run(lab.image("qdrant/qdrant:v1.9.0"))
    _, container = only(scan(lab))
    assert container.image is not None
    assert container.image.reference == "qdrant/qdrant:v1.9.0"


def test_the_engine_and_its_other_containers_are_known(lab: EngineLab) -> None:
    """A stack knows its engine and what runs beside it in other projects."""
    lab.run(OLLAMA, "llm")
    lab.run(OLLAMA, "other", labels={"com.docker.compose.project": f"p{lab.token}"})
    stacks = {stack.unit: stack for stack in scan(lab).stacks}
    assert set(stacks) == {"engine", f"p{lab.token}"}
    stack = stacks["engine"]
    assert stack.engine.version == lab.client.version()["Version"]
    assert (stack.source, stack.engine.tcp_without_tls.value, stack.surroundings.seen) == ("docker", None, True)
    assert (OLLAMA, f"p{lab.token}/container/other-{lab.token}") in stack.surroundings.images
