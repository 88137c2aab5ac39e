"""Ties what runs on an engine to the compose file that started it: each value that still stands there gets its line.

A file may have been edited since. So a line is given only where the file says what the engine has, or leaves it to a variable.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any, TypeVar

from llmscan.collect.engine_compose_file import INTERPOLATED, WORKING_DIR, ComposeFiles, ComposeService, Entry
from llmscan.collect.engine_container import PROJECT, SERVICE
from llmscan.model import (
    Container,
    Image,
    Logging,
    Network,
    Origin,
    Published,
    Resources,
    Security,
    Setting,
    Stack,
    Value,
    Volume,
    Word,
    Workload,
)
from llmscan.places import Place, PlacedList, PlacedMap, place_of
from llmscan.records import replace

T = TypeVar("T")
SPAN = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?\Z")


def tie_to_files(stack: Stack) -> Stack:
    """The same stack, with places for what its compose files say."""
    files = ComposeFiles()
    workloads = tuple(_tie_workload(workload, files) for workload in stack.workloads)
    return replace(stack, workloads=workloads, networks=_tie_networks(stack, files))


def _tie_workload(workload: Workload, files: ComposeFiles) -> Workload:
    labels = workload.labels
    service = files.service(labels, labels.get(SERVICE, ""))
    if service is None:
        return workload
    return replace(
        workload,
        containers=tuple(_tie_container(item, service, labels.get(WORKING_DIR, "")) for item in workload.containers),
        host_network=_host_mode(workload.host_network, service.entry("network_mode")),
        host_pid=_host_mode(workload.host_pid, service.entry("pid")),
        host_ipc=_host_mode(workload.host_ipc, service.entry("ipc")),
        host_users=_host_mode(workload.host_users, service.entry("userns_mode")),
        place=service.place,
    )


def _tie_container(container: Container, service: ComposeService, folder: str) -> Container:
    return replace(
        container,
        image=_tie_image(container.image, service.entry("image")),
        command=_tie_words(container.command, service.entry("entrypoint")),
        args=_tie_words(container.args, service.entry("command")),
        env={name: _tie_setting(setting, service.pair("environment", name)) for name, setting in container.env.items()},
        published=tuple(_tie_port(port, service) for port in container.published),
        mounts=tuple(_tie_mount(mount, service, folder) for mount in container.mounts),
        security=_tie_security(container.security, service),
        resources=_tie_resources(container.resources, service),
        logging=_tie_logging(container.logging, service),
        place=service.place,
    )


def _host_mode(value: Value[bool], entry: Entry | None) -> Value[bool]:
    return replace(value, place=entry.place) if value.value and entry and entry.says("host") else value


def _tie_image(image: Image | None, entry: Entry | None) -> Image | None:
    return replace(image, place=entry.place) if image and entry and entry.says(image.reference) else image


def _tie_setting(setting: Setting, entry: Entry | None) -> Setting:
    """A variable that the file sets is the deployment's own, even to the value that the image has."""
    if entry is None or not entry.says(setting.value):
        return setting
    return replace(setting, place=entry.place, origin=Origin.LITERAL)


def _tie_words(words: tuple[Word, ...] | None, entry: Entry | None) -> tuple[Word, ...] | None:
    """The words of a list stand each on its own line; those of one string stand where the string does."""
    if words is None or entry is None:
        return words
    if not isinstance(entry.value, PlacedList):
        return tuple(replace(word, place=entry.place) for word in words) if isinstance(entry.value, str) else words
    items = [Entry(item, place_of(entry.value, index)) for index, item in enumerate(entry.value)]
    if len(items) != len(words) or not all(item.says(word.text) for item, word in zip(items, words, strict=True)):
        return words
    return tuple(replace(word, place=item.place) for item, word in zip(items, words, strict=True))


def _tie_port(port: Published, service: ComposeService) -> Published:
    place = next((item.place for item in service.items("ports") if _publishes(item.value, port)), None)
    return replace(port, place=place) if place else port


def _publishes(entry: Any, port: Published) -> bool:
    """Whether an entry of `ports`, in short or long syntax, asks for this binding."""
    if isinstance(entry, dict):
        target, published = str(entry.get("target", "")), str(entry.get("published") or "")
        address, protocol = str(entry.get("host_ip") or ""), str(entry.get("protocol") or "tcp")
    else:
        text, _, protocol = INTERPOLATED.sub("$", str(entry)).partition("/")
        rest, _, target = text.rpartition(":")
        address, _, published = rest.rpartition(":")
    asked = (
        _covers(target, port.container_port),
        _covers(published, port.host_port),
        _is_address(address, port.address),
    )
    return all(asked) and protocol.lower() in (port.protocol, "", "$")


def _covers(written: str, number: int | None) -> bool:
    """Whether a port or a range of ports holds `number`. A variable, or nothing (the engine chooses), may be any."""
    if not written or "$" in written:
        return True
    match = SPAN.match(written)
    return bool(match and number is not None and int(match[1]) <= number <= int(match[2] or match[1]))


def _is_address(written: str, address: str) -> bool:
    bare = written.strip("[]")
    return "$" in bare or (bare or "0.0.0.0") == address or (bare in ("", "0.0.0.0", "::") and not address)  # noqa: S104


def _tie_mount(mount: Volume, service: ComposeService, folder: str) -> Volume:
    """The entry that mounts at the same path. A relative source is a path of the project, as it is in the file."""
    for key in ("volumes", "devices", "tmpfs"):
        for item in service.items(key):
            source, target = _mount_ends(item.value)
            if _same_path(target, mount.mounted_at):
                inside = mount.kind == "host-path" and source.startswith(".") and _is_below(mount.source, folder)
                return replace(mount, place=item.place, kind="project-path" if inside else mount.kind)
    return mount


def _mount_ends(entry: Any) -> tuple[str, str]:
    """Source and target of an entry of `volumes`, `devices` or `tmpfs`."""
    if isinstance(entry, dict):
        return str(entry.get("source") or ""), str(entry.get("target") or "")
    first, separator, rest = INTERPOLATED.sub("$", str(entry)).partition(":")
    return (first, rest.partition(":")[0]) if separator else ("", first)


def _same_path(written: str, path: str) -> bool:
    return bool(written) and "$" not in written and PurePosixPath(written) == PurePosixPath(path)


def _is_below(path: str, folder: str) -> bool:
    return bool(folder) and PurePosixPath(path).is_relative_to(folder) and ".." not in PurePosixPath(path).parts


def _tie_security(security: Security, service: ComposeService) -> Security:
    user = service.entry("user")
    return replace(
        security,
        run_as_user=_tie_user(security.run_as_user, user, 0),
        run_as_group=_tie_user(security.run_as_group, user, 1),
        user_name=_tie_user(security.user_name, user, 0),
        privileged=_tie_value(security.privileged, service.entry("privileged"), _lower),
        read_only_root=_tie_value(security.read_only_root, service.entry("read_only"), _lower),
        capabilities_added=_tie_capabilities(security.capabilities_added, service.items("cap_add")),
        capabilities_dropped=_tie_capabilities(security.capabilities_dropped, service.items("cap_drop")),
        allow_privilege_escalation=_tie_option(security.allow_privilege_escalation, service, "no-new-privileges"),
        seccomp=_tie_option(security.seccomp, service, "seccomp"),
        app_armor=_tie_option(security.app_armor, service, "apparmor"),
        proc_mount=_tie_option(security.proc_mount, service, "systempaths"),
        se_linux=tuple(_tie_option(value, service, "label") for value in security.se_linux),
    )


def _lower(value: object) -> str:
    return str(value).lower()


def _tie_value(value: Value[T], entry: Entry | None, write: Callable[[T], str] = str) -> Value[T]:
    if value.value is None or entry is None or not entry.says(write(value.value)):
        return value
    return replace(value, place=entry.place)


def _tie_user(value: Value[T], entry: Entry | None, part: int) -> Value[T]:
    """`user` holds a user and perhaps a group."""
    if entry is None:
        return value
    parts = str(entry.value).split(":") if "$" not in str(entry.value) else [entry.value] * 2
    return _tie_value(value, Entry(parts[part], entry.place)) if part < len(parts) else value


def _tie_capabilities(values: tuple[Value[str], ...], items: Iterable[Entry]) -> tuple[Value[str], ...]:
    places = {str(item.value).upper().removeprefix("CAP_"): item.place for item in items}
    return tuple(replace(value, place=places.get(value.value or "")) for value in values)


def _tie_option(value: Value[T], service: ComposeService, name: str) -> Value[T]:
    """The entry of `security_opt` with this name, for a value that the container has from there."""
    if value.value is None or value.said_by != "container":
        return value
    for item in service.items("security_opt"):
        if str(item.value).replace(":", "=", 1).partition("=")[0].strip().lower() == name:
            return replace(value, place=item.place)
    return value


def _tie_resources(resources: Resources, service: ComposeService) -> Resources:
    keys = (("deploy", "resources", "limits"), ("mem_limit",), ("cpus",), ("pids_limit",))
    found = (service.entry(*key) for key in keys)
    entry = next((item for item in found if item), None)
    return replace(resources, place=entry.place) if entry and resources.limits else resources


def _tie_logging(logging: Logging | None, service: ComposeService) -> Logging | None:
    entry = service.entry("logging")
    if logging is None or entry is None:
        return logging
    driver = service.entry("logging", "driver")
    return replace(logging, driver=_tie_value(logging.driver, driver), place=entry.place)


def _tie_networks(stack: Stack, files: ComposeFiles) -> tuple[Network, ...]:
    """Networks with the place where a file declares them; the engine knows them as `project_name` unless they have a name."""
    places: dict[str, Place] = {}
    for project, tree in _declaring(stack, files):
        declared = tree.get("networks")
        for key, body in declared.items() if isinstance(declared, PlacedMap) else ():
            name = body.get("name") if isinstance(body, dict) else None
            place = place_of(declared, key)
            if place:
                places[str(name or f"{project}_{key}")] = place
    return tuple(replace(network, place=places.get(network.name)) for network in stack.networks)


def _declaring(stack: Stack, files: ComposeFiles) -> Iterator[tuple[str, Mapping[Any, Any]]]:
    for labels in (workload.labels for workload in stack.workloads):
        tree: PlacedMap
        for tree in files.trees(labels):
            yield labels.get(PROJECT, ""), tree
