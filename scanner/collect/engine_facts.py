"""What an engine says of itself, as far as it decides about its containers."""

from __future__ import annotations

import re
from collections.abc import Mapping

from msgspec import field

from llmscan.collect.engine_json import Json, as_list, as_map, as_text, plain, texts
from llmscan.model import Engine, Value
from llmscan.records import Record

OPEN_API = re.compile(r"API is accessible on (?:https?://)?([^\s]{1,200}?)\.? without (?:encryption|TLS)")


class EngineFacts(Record, frozen=True):
    """The engine's own defaults. `binds` maps a named volume to the path of the host that it really is."""

    engine: Engine = field(default_factory=Engine)
    seccomp: str = "RuntimeDefault"
    se_linux: bool = False
    remaps_users: bool = False
    binds: Mapping[str, str] = field(default_factory=dict)


def engine_facts(info: Json, version: Json, volumes: Json, plain_tcp: str) -> EngineFacts:
    """The facts in the replies to /info, /version and /volumes. `plain_tcp`: the address in use, where it is TCP without TLS."""
    options = _security_options(info)
    open_api = plain_tcp or _open_api(info)
    driver = as_text(info.get("LoggingDriver"))
    engine = Engine(
        name="Podman" if _is_podman(version) else "Docker",
        version=plain(as_text(version.get("Version"))),
        tcp_without_tls=Value(plain(open_api), said_by="engine") if open_api else Value(),
        log_driver=Value(plain(driver), said_by="engine") if driver else Value(),
        rootless=Value("rootless" in options, said_by="engine"),
    )
    return EngineFacts(
        engine,
        _seccomp(options),
        "selinux" in options,
        bool({"userns", "rootless"} & options.keys()),
        _bind_volumes(volumes),
    )


def _security_options(info: Json) -> dict[str, str]:
    """Name and profile of each of the engine's security options (`name=seccomp,profile=default`)."""
    found = {}
    for option in texts(info.get("SecurityOptions")):
        fields = dict(part.partition("=")[::2] for part in option.split(","))
        found[fields.get("name", option)] = fields.get("profile", "")
    return found


def _seccomp(options: Mapping[str, str]) -> str:
    profile = options.get("seccomp")
    if profile is None or profile == "unconfined":
        return "Unconfined"
    return "RuntimeDefault"


def _open_api(info: Json) -> str:
    for warning in texts(info.get("Warnings")):
        if match := OPEN_API.search(warning):
            return match.group(1)
    return ""


def _is_podman(version: Json) -> bool:
    return any("podman" in as_text(as_map(part).get("Name")).lower() for part in as_list(version.get("Components")))


def _bind_volumes(volumes: Json) -> dict[str, str]:
    """Volumes of the local driver that are a path of the host under another name (`o: bind`)."""
    binds = {}
    for volume in map(as_map, as_list(volumes.get("Volumes"))):
        options = as_map(volume.get("Options"))
        flags = as_text(options.get("o")).split(",")
        device = as_text(options.get("device"))
        if device.startswith("/") and {"bind", "rbind"} & set(flags):
            binds[as_text(volume.get("Name"))] = device
    return binds
