"""Translates what an engine says of a container (inspect of it and of its image) into the model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from llmscan.collect.engine_facts import EngineFacts
from llmscan.collect.engine_json import Json, as_list, as_map, as_number, as_text, plain, text_map, texts
from llmscan.collect.engine_security import CONTAINER, ENGINE, image_user, security_of
from llmscan.model import (
    Container,
    Image,
    Logging,
    Origin,
    Port,
    Published,
    Resources,
    Setting,
    Value,
    Volume,
    Word,
    Workload,
    parse_image,
)
from llmscan.records import Record

EVERY_INTERFACE = frozenset({"", "0.0.0.0", "::", "[::]"})  # noqa: S104
PROJECT = "com.docker.compose.project"
SERVICE = "com.docker.compose.service"
ONE_OFF = "com.docker.compose.oneoff"


class Inspected(Record, frozen=True):
    """One container as the engine describes it; `image` None where its image is gone. `swarm_ports`: what its swarm service publishes."""

    container: Json
    image: Json | None
    facts: EngineFacts
    swarm_ports: tuple[Json, ...] = ()

    @property
    def id(self) -> str:
        return as_text(self.container.get("Id"))

    @property
    def name(self) -> str:
        """Its own name, without the slash that the engine puts before it."""
        return plain(as_text(self.container.get("Name")).lstrip("/") or self.id[:12])

    @property
    def config(self) -> Json:
        return as_map(self.container.get("Config"))

    @property
    def host(self) -> Json:
        return as_map(self.container.get("HostConfig"))

    @property
    def labels(self) -> dict[str, str]:
        return text_map(self.config.get("Labels"))

    @property
    def running(self) -> bool:
        return as_map(self.container.get("State")).get("Running") is True

    @property
    def service(self) -> str:
        """The compose service that it is a replica of; "" where it stands for itself."""
        labels = self.labels
        one_off = labels.get(ONE_OFF, "").lower() == "true"
        return "" if one_off or PROJECT not in labels else plain(labels.get(SERVICE, ""))

    @property
    def workload_name(self) -> str:
        return self.service or self.name


def workload_of(seen: Inspected, names: Mapping[str, str]) -> Workload:
    """The workload that a container is. `names` maps ids of containers to the names of their workloads."""
    host = seen.host
    mode = as_text(host.get("NetworkMode"))
    neighbour = mode.partition(":")[2] if mode.startswith("container:") else ""
    return Workload(
        kind="service" if seen.service else "container",
        name=seen.workload_name,
        labels=seen.labels,
        containers=(container_of(seen),),
        host_network=Value(mode == "host", said_by=CONTAINER),
        host_pid=Value(host.get("PidMode") == "host", said_by=CONTAINER),
        host_ipc=Value(host.get("IpcMode") == "host", said_by=CONTAINER),
        host_users=_host_users(seen),
        sysctls=tuple(
            Value(f"{key}={value}", said_by=CONTAINER) for key, value in text_map(host.get("Sysctls")).items()
        ),
        networks=_networks(seen, mode),
        shares_network_with=names.get(neighbour, plain(neighbour)),
        conditional="" if seen.running else "stopped",
        orchestrated=False,
    )


def container_of(seen: Inspected) -> Container:
    """The container with its effective values."""
    image = seen.image or {}
    return Container(
        name=seen.workload_name,
        image=image_of(seen),
        command=_words(seen.config.get("Entrypoint")),
        args=_words(seen.config.get("Cmd")),
        env=environment(texts(seen.config.get("Env")), texts(as_map(image.get("Config")).get("Env"))),
        ports=tuple(_exposed(seen.config)),
        published=_published(seen),
        mounts=(*_mounts(seen), *_devices(seen.host)),
        security=security_of(seen.container, image, seen.facts),
        resources=_resources(seen.host),
        logging=_logging(seen),
    )


def image_of(seen: Inspected) -> Image:
    """The image by the name that it was started with, or by a name that it has where that was an id."""
    image = seen.image or {}
    reference = as_text(seen.config.get("Image"))
    identity = as_text(seen.container.get("Image"))
    if not reference or _is_id(reference, identity):
        known = (*texts(image.get("RepoTags")), *texts(image.get("RepoDigests")))
        reference = next((name for name in known if "<none>" not in name), reference or identity)
    built_here = PROJECT in text_map(as_map(image.get("Config")).get("Labels")) and not as_list(
        image.get("RepoDigests")
    )
    return parse_image(plain(reference), local=built_here, user=image_user(seen.container, seen.image))


def _is_id(reference: str, identity: str) -> bool:
    """Whether `reference` is (the beginning of) the id of the image itself."""
    digits = reference.removeprefix("sha256:")
    return len(digits) >= 4 and "/" not in digits and identity.removeprefix("sha256:").startswith(digits)


def environment(env: tuple[str, ...], of_image: tuple[str, ...]) -> dict[str, Setting]:
    """The variables; those that the image brings and nothing changed have that origin."""
    own = frozenset(of_image)
    pairs = ((entry, *entry.partition("=")[::2]) for entry in env if "=" in entry)
    return {
        name: Setting(name, value, origin=Origin.IMAGE if entry in own else Origin.LITERAL)
        for entry, name, value in pairs
    }


def _host_users(seen: Inspected) -> Value[bool]:
    """Whether its users are the host's: only known where the engine maps them, or the container opts out of that."""
    if seen.host.get("UsernsMode") == "host":
        return Value(True, said_by=CONTAINER)
    return Value(False, said_by=ENGINE) if seen.facts.remaps_users else Value()


def _networks(seen: Inspected, mode: str) -> tuple[str, ...]:
    """The networks that it joins, `none` and `host` left out: those are no networks."""
    joined = as_map(as_map(seen.container.get("NetworkSettings")).get("Networks"))
    return tuple(sorted(plain(as_text(name)) for name in joined if name not in ("none", "host")))


def _words(given: object) -> tuple[Word, ...] | None:
    return tuple(Word(word) for word in texts(given)) or None


def _exposed(config: Json) -> Iterator[Port]:
    for key in as_map(config.get("ExposedPorts")):
        number, protocol = _port(as_text(key))
        if number is not None:
            yield Port(number, protocol)


def _port(text: str) -> tuple[int | None, str]:
    """Number and protocol of `11434/tcp`."""
    number, _, protocol = text.partition("/")
    valid = number.isdecimal() and len(number) <= 5
    return (int(number) if valid else None), plain(protocol) or "tcp"


def _published(seen: Inspected) -> tuple[Published, ...]:
    """The bindings that hold, or of a stopped container those that will; both families of every interface are one.

    What was asked for need not hold: on an internal network, or on the host's own, nothing is published.
    """
    live = as_map(as_map(seen.container.get("NetworkSettings")).get("Ports"))
    asked = as_map(seen.host.get("PortBindings"))
    source = live if seen.running else asked
    found: dict[Published, None] = {}
    for key, bindings in source.items():
        number, protocol = _port(as_text(key))
        for binding in map(as_map, as_list(bindings)):
            found[_binding(number, protocol, binding)] = None
    return (*found, *map(_swarm_port, seen.swarm_ports))


def _swarm_port(port: Json) -> Published:
    """A port that the swarm publishes, on every interface of every node."""
    protocol = plain(as_text(port.get("Protocol"))) or "tcp"
    return Published(
        as_number(port.get("TargetPort")) or None, as_number(port.get("PublishedPort")) or None, protocol=protocol
    )


def _binding(number: int | None, protocol: str, binding: Json) -> Published:
    address = as_text(binding.get("HostIp"))
    host_port, _ = _port(as_text(binding.get("HostPort")))
    return Published(number, host_port or None, "" if address in EVERY_INTERFACE else plain(address), protocol)


def _mounts(seen: Inspected) -> Iterator[Volume]:
    mounts = map(as_map, as_list(seen.container.get("Mounts")))
    for mount in sorted(
        mounts, key=lambda item: as_text(item.get("Destination"))
    ):  # the engine has no order of its own
        kind, source = _source(mount, seen.facts)
        yield Volume(
            kind,
            source,
            as_text(mount.get("Destination")),
            read_only=mount.get("RW") is False,
            propagation=as_text(mount.get("Propagation")),
        )
    for target in text_map(seen.host.get("Tmpfs")):
        yield Volume("memory", "tmpfs", target)


def _source(mount: Json, facts: EngineFacts) -> tuple[str, str]:
    """Kind and source of a mount. A named volume that is bound to a path of the host is that path."""
    kind, source = as_text(mount.get("Type")), as_text(mount.get("Source"))
    if kind == "bind":
        return "host-path", source
    if kind == "volume":
        name = as_text(mount.get("Name"))
        return ("host-path", facts.binds[name]) if name in facts.binds else ("named", name)
    known = {"tmpfs": "memory", "npipe": "host-path", "image": "image"}
    return known.get(kind, "other"), source or kind


def _devices(host: Json) -> Iterator[Volume]:
    """Devices of the host: paths below /dev that the container may open."""
    for device in map(as_map, as_list(host.get("Devices"))):
        path = as_text(device.get("PathOnHost"))
        if path:
            read_only = "w" not in (as_text(device.get("CgroupPermissions")) or "rwm")
            yield Volume("host-path", path, as_text(device.get("PathInContainer")) or path, read_only=read_only)


def _resources(host: Json) -> Resources:
    limits = {"memory": as_number(host.get("Memory")), "pids": max(as_number(host.get("PidsLimit")), 0)}
    written = {name: str(number) for name, number in limits.items() if number > 0}
    if cpus := _cpus(host):
        written["cpu"] = cpus
    for request in map(as_map, as_list(host.get("DeviceRequests"))):
        if any("gpu" in texts(group) for group in as_list(request.get("Capabilities"))):
            count = as_number(request.get("Count"))
            written["nvidia.com/gpu"] = "all" if count < 0 else str(count or len(as_list(request.get("DeviceIDs"))))
    reserved = as_number(host.get("MemoryReservation"))
    return Resources(written, {"memory": str(reserved)} if reserved > 0 else {})


def _cpus(host: Json) -> str:
    """The limit in processors, given as such or as a quota of a period."""
    if (nano := as_number(host.get("NanoCpus"))) > 0:
        return f"{nano / 1e9:g}"
    quota, period = as_number(host.get("CpuQuota")), as_number(host.get("CpuPeriod")) or 100_000
    return f"{quota / period:g}" if quota > 0 and period > 0 else ""


def _logging(seen: Inspected) -> Logging:
    """The driver that the container really has: when it was created the engine's defaults were written into it."""
    config = as_map(seen.host.get("LogConfig"))
    default = seen.facts.engine.log_driver
    driver, options = plain(as_text(config.get("Type"))), text_map(config.get("Config"))
    if not driver:
        return Logging(default, options)
    by = ENGINE if driver == default.value and not options else CONTAINER
    return Logging(Value(driver, said_by=by), options)
