"""Translates the security settings of a container of an engine: its user, privileges and confinement."""

from __future__ import annotations

from collections.abc import Iterable

from llmscan.collect.engine_facts import EngineFacts
from llmscan.collect.engine_json import Json, as_list, as_map, as_text, texts
from llmscan.model import Security, Value

CONTAINER, IMAGE, ENGINE = "container", "image", "engine"


def security_of(container: Json, image: Json, facts: EngineFacts) -> Security:
    """The security settings that hold, from inspect of the container and of its image."""
    config, host = as_map(container.get("Config")), as_map(container.get("HostConfig"))
    options = _options(texts(host.get("SecurityOpt")))
    user, group = _own_user(config, as_map(image.get("Config")))
    privileged = host.get("Privileged") is True
    return Security(
        run_as_user=_number(user),
        run_as_group=_number(group),
        user_name=Value(user, said_by=CONTAINER) if user and not user.isdecimal() else Value(),
        privileged=Value(privileged, said_by=CONTAINER),
        allow_privilege_escalation=_escalation(options),
        capabilities_added=_capabilities(host.get("CapAdd")),
        capabilities_dropped=_capabilities(host.get("CapDrop")),
        seccomp=_seccomp(options, facts),
        app_armor=_app_armor(options, as_text(container.get("AppArmorProfile"))),
        se_linux=_se_linux(options, host, facts) if facts.se_linux else (),
        proc_mount=_proc_mount(host, privileged),
        read_only_root=Value(host.get("ReadonlyRootfs") is True, said_by=CONTAINER),
    )


def image_user(container: Json, image: Json | None) -> Value[str] | None:
    """The user that the image declares; "" means root. A container without any user proves that its image has none either."""
    if image is not None:
        return Value(as_text(as_map(image.get("Config")).get("User")), said_by=IMAGE)
    declares_none = as_map(container.get("Config")).get("User") == ""
    return Value("", said_by=ENGINE) if declares_none else None


def _options(given: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Name and value of each security option; the engine accepts `name=value` and the older `name:value`."""
    pairs = []
    for option in given:
        separator = "=" if "=" in option else ":"
        name, _, value = option.partition(separator)
        pairs.append((name.strip().lower(), value.strip()))
    return tuple(pairs)


def _last(options: tuple[tuple[str, str], ...], name: str) -> str | None:
    return next((value for key, value in reversed(options) if key == name), None)


def _own_user(config: Json, of_image: Json) -> tuple[str, str]:
    """User and group that the container was given; what it has from its image stands in `Image.user`."""
    user = as_text(config.get("User"))
    if user == as_text(of_image.get("User")):
        return "", ""
    name, _, group = user.strip().partition(":")
    return name, group


def _number(text: str) -> Value[int]:
    return Value(int(text), said_by=CONTAINER) if text.isdecimal() and len(text) < 12 else Value()


def _escalation(options: tuple[tuple[str, str], ...]) -> Value[bool]:
    """Whether a process may gain privileges; nothing where the container does not say."""
    said = _last(options, "no-new-privileges")
    if said is None:
        return Value()
    return Value(said.lower() in ("false", "0"), said_by=CONTAINER)


def _capabilities(given: object) -> tuple[Value[str], ...]:
    """Capabilities without their prefix, as deployments write them."""
    return tuple(Value(name.upper().removeprefix("CAP_"), said_by=CONTAINER) for name in texts(given))


def _seccomp(options: tuple[tuple[str, str], ...], facts: EngineFacts) -> Value[str]:
    said = _last(options, "seccomp")
    if said is None:
        return Value(facts.seccomp, said_by=ENGINE)
    kind = {"unconfined": "Unconfined", "builtin": "RuntimeDefault", "": "RuntimeDefault"}.get(
        said.lower(), "Localhost"
    )
    return Value(kind, said_by=CONTAINER)


def _app_armor(options: tuple[tuple[str, str], ...], profile: str) -> Value[str]:
    """The AppArmor profile; nothing where the host has no AppArmor."""
    said = _last(options, "apparmor")
    name = profile or said or ""
    if not name:
        return Value()
    known = {"unconfined": "Unconfined", "docker-default": "RuntimeDefault"}
    kind = known.get(name, "RuntimeDefault" if name.startswith("containers-default-") else "Localhost")
    return Value(kind, said_by=CONTAINER if said else ENGINE)


def _se_linux(options: tuple[tuple[str, str], ...], host: Json, facts: EngineFacts) -> tuple[Value[str], ...]:
    """SELinux options. The engine itself disables labels for what shares the host's processes, which is another finding."""
    implied = host.get("Privileged") is True or "host" in (host.get("PidMode"), host.get("IpcMode"))
    labels = [value.replace(":", "=", 1) for key, value in options if key == "label"]
    return tuple(Value(label, said_by=CONTAINER) for label in labels if not (label == "disable" and implied))


def _proc_mount(host: Json, privileged: bool) -> Value[str]:
    """`Unmasked` where systempaths=unconfined left nothing of /proc masked; a privileged container always is."""
    masked = host.get("MaskedPaths")
    if privileged or not isinstance(masked, list):
        return Value()
    return Value("Default", said_by=ENGINE) if as_list(masked) else Value("Unmasked", said_by=CONTAINER)
