"""Reads a live container engine: what runs on it, as one stack for each compose project and one for the rest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing

from llmscan.collect.engine_address import find_engine
from llmscan.collect.engine_compose import tie_to_files
from llmscan.collect.engine_connection import READ_SECONDS, connect
from llmscan.collect.engine_container import PROJECT, SERVICE, Inspected, workload_of
from llmscan.collect.engine_facts import EngineFacts
from llmscan.collect.engine_json import plain
from llmscan.collect.engine_reader import EngineReader, Summary
from llmscan.findings import Failure
from llmscan.model import Container, Engine, Gap, Network, Stack, Surroundings, Value, Workload
from llmscan.records import Record, replace

NO_PROJECT = "engine"
"""The unit of the containers that no compose project started."""


class EngineOptions(Record, frozen=True):
    """Which engine (`context` or `host`, else as the docker command would choose) and which of its containers.

    containers: names or beginnings of ids, running or not. labels: `key` or `key=value`, all of them. all: stopped ones too.
    """

    containers: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    compose_project: str | None = None
    all: bool = False
    context: str | None = None
    host: str | None = None
    read_seconds: float = READ_SECONDS


class EngineListing(Record, frozen=True):
    """What was read. `name`: the engine's name, safe for a path. gaps: what it refused; failures: what it did not answer."""

    stacks: tuple[Stack, ...]
    name: str
    gaps: tuple[Gap, ...] = ()
    failures: tuple[Failure, ...] = ()


def read_engine(options: EngineOptions) -> EngineListing:
    """The chosen containers of the engine. Raises TargetUnreachable with one sentence where the engine does not answer at all."""
    address = find_engine(options.context, options.host)
    with closing(connect(address, options.read_seconds)) as connection:
        reader = EngineReader(connection)
        summaries = reader.summaries()
        facts = reader.facts()
        networks = reader.networks()
        seen = list(reader.inspect((item for item in summaries if _is_chosen(item, options)), facts))
    stacks = _stacks(seen, summaries, networks, facts)
    if address.local:
        stacks = [tie_to_files(stack) for stack in stacks]
    missing = (name for name in options.containers if not any(_is_named(item, name) for item in summaries))
    failures = (*map(_not_found, missing), *reader.failures)
    return EngineListing(tuple(stacks), address.name, tuple(reader.gaps), failures)


def _is_chosen(item: Summary, options: EngineOptions) -> bool:
    """Whether the options ask for this container. One that is named is looked at in whatever state it is."""
    if options.containers and not any(_is_named(item, name) for name in options.containers):
        return False
    if options.compose_project is not None and item.labels.get(PROJECT) != options.compose_project:
        return False
    if not all(_has_label(item.labels, label) for label in options.labels):
        return False
    return item.running or options.all or bool(options.containers)


def _is_named(item: Summary, name: str) -> bool:
    return item.name == name.removeprefix("/") or (len(name) >= 4 and item.id.startswith(name))


def _has_label(labels: Mapping[str, str], wanted: str) -> bool:
    key, separator, value = wanted.partition("=")
    return key in labels and (not separator or labels[key] == value)


def _not_found(name: str) -> Failure:
    return Failure("target", f"container {plain(name)}", "was not found on this engine")


def _unit(labels: Mapping[str, str]) -> str:
    return plain(labels.get(PROJECT, "")) or NO_PROJECT


def _stacks(
    seen: Sequence[Inspected], summaries: Iterable[Summary], networks: Mapping[str, Network], facts: EngineFacts
) -> list[Stack]:
    """One stack for each project, by name, and one for what belongs to none; an engine that is itself open has that one always."""
    names = {item.id: item.workload_name for item in seen}
    names |= {item.id: item.labels.get(SERVICE) or item.name for item in summaries if item.id not in names}
    running = [item for item in summaries if item.running]
    units: dict[str, list[Workload]] = {NO_PROJECT: []} if facts.engine.tcp_without_tls else {}
    for item in seen:
        units.setdefault(_unit(item.labels), []).append(workload_of(item, names))
    return [_stack(unit, units[unit], running, networks, facts.engine) for unit in sorted(units)]


def _stack(
    unit: str, workloads: list[Workload], running: Iterable[Summary], networks: Mapping[str, Network], engine: Engine
) -> Stack:
    """One unit. That the engine is open is a fault of the engine: no project repeats it."""
    merged = _merge_replicas(workloads)
    joined = sorted({name for workload in merged for name in workload.networks})
    return Stack(
        unit=unit,
        source="docker",
        workloads=merged,
        networks=tuple(networks.get(name, Network(name)) for name in joined),
        engine=engine if unit == NO_PROJECT else replace(engine, tcp_without_tls=Value()),
        surroundings=Surroundings(seen=True, images=_neighbours(unit, running)),
    )


def _neighbours(unit: str, running: Iterable[Summary]) -> tuple[tuple[str, str], ...]:
    """What runs beside this unit on the same engine."""
    others = (item for item in running if _unit(item.labels) != unit)
    return tuple((item.image, f"{_unit(item.labels)}/container/{item.name}") for item in others)


def _merge_replicas(workloads: Iterable[Workload]) -> tuple[Workload, ...]:
    """Replicas of one service that differ in nothing but their published ports become one workload."""
    merged: list[Workload] = []
    for workload in workloads:
        at = next((index for index, known in enumerate(merged) if _are_replicas(known, workload)), None)
        if at is None:
            merged.append(workload)
        else:
            merged[at] = _with_replica(merged[at], workload)
    return tuple(merged)


def _are_replicas(one: Workload, other: Workload) -> bool:
    if one.kind != "service" or (one.kind, one.name, one.conditional) != (other.kind, other.name, other.conditional):
        return False
    return _alike(one) == _alike(other)


def _alike(workload: Workload) -> tuple[object, ...]:
    """What two replicas have in common. Labels differ (each has its number), and so do published ports."""
    containers = tuple(replace(container, published=()) for container in workload.containers)
    return containers, workload.networks, workload.host_network, workload.host_pid, workload.host_ipc


def _with_replica(workload: Workload, replica: Workload) -> Workload:
    containers = tuple(map(_with_ports, workload.containers, replica.containers))
    return replace(workload, containers=containers, replicas=Value((workload.replicas.value or 1) + 1))


def _with_ports(container: Container, replica: Container) -> Container:
    return replace(container, published=tuple(dict.fromkeys((*container.published, *replica.published))))
