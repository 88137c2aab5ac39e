"""The security of a compose service: what the file says, and what an engine does unless told otherwise."""

from __future__ import annotations

import re
from typing import Any

from llmscan.collect.compose_forms import scalar_text, truth
from llmscan.collect.compose_interpolation import decided, gap_of, is_known
from llmscan.collect.fields import UNSAID
from llmscan.model import Security, Value
from llmscan.places import Place, PlacedMap, place_of

USER = re.compile(r"(?P<user>[^:]*)(?::(?P<group>.*))?\Z")
NUMBER = re.compile(r"[0-9]{1,10}\Z")
OPTION = re.compile(r"(?P<name>[A-Za-z-]+)[:=]?(?P<value>.*)\Z")
SAID_BY = "container"
FILTERED = Value("RuntimeDefault", said_by="engine")
"""The filter of system calls that an engine puts on what says nothing of it."""


def security_of(service: PlacedMap) -> Security:
    """The effective security of a service's container."""
    options = _options(service)
    return Security(
        **_user(service),
        privileged=flag(service, "privileged"),
        allow_privilege_escalation=_escalation(options),
        capabilities_added=_capabilities(service, "cap_add"),
        capabilities_dropped=_capabilities(service, "cap_drop"),
        seccomp=_seccomp(options),
        app_armor=options.get("apparmor", UNSAID),
        se_linux=_labels(service),
        proc_mount=_proc_mount(options),
        read_only_root=flag(service, "read_only"),
    )


def flag(service: PlacedMap, key: str) -> Value[bool]:
    """A boolean of a service; no value where it says nothing or cannot be known."""
    written = service.get(key)
    if written is None:
        return UNSAID
    place = place_of(service, key)
    if not is_known(written):
        return Value(None, place, SAID_BY, gap_of(written, place))
    return Value(truth(written), place and decided(place, written), SAID_BY)


def _user(service: PlacedMap) -> dict[str, Any]:
    written = scalar_text(service.get("user"))
    if not written:
        return {}
    place = place_of(service, "user")
    if not is_known(written) and "${" in written.partition(":")[0]:
        return {"run_as_user": Value(None, place, SAID_BY, gap_of(written, place))}
    return user_values(str(written), place and decided(place, written), SAID_BY)


def user_values(written: str, place: Place | None, said_by: str) -> dict[str, Any]:
    """`1000:1000`, `www-data` or `root` as fields of a `Security`."""
    found = USER.match(written.strip())
    user, group = (found["user"], found["group"] or "") if found else (written, "")
    fields: dict[str, Any] = {}
    if NUMBER.match(user) or user == "root":
        fields["run_as_user"] = Value(0 if user == "root" else int(user), place, said_by)
    if user and not NUMBER.match(user) and user != "root":
        fields["user_name"] = Value(user, place, said_by)
    if NUMBER.match(group) or group == "root":
        fields["run_as_group"] = Value(0 if group == "root" else int(group), place, said_by)
    return fields


def _capabilities(service: PlacedMap, key: str) -> tuple[Value[str], ...]:
    node = service.get(key)
    if not isinstance(node, list):
        return ()
    return tuple(
        Value(str(item).upper().removeprefix("CAP_"), place_of(node, index), SAID_BY) for index, item in enumerate(node)
    )


def _options(service: PlacedMap) -> dict[str, Value[str]]:
    """`security_opt` by name, in both spellings (`seccomp:x`, `seccomp=x`); the last one holds."""
    node = service.get("security_opt")
    found: dict[str, Value[str]] = {}
    for index, item in enumerate(node if isinstance(node, list) else ()):
        if option := OPTION.match(str(item)):
            found[option["name"].lower()] = Value(option["value"], place_of(node, index), SAID_BY)
    return found


def _escalation(options: dict[str, Value[str]]) -> Value[bool]:
    option = options.get("no-new-privileges")
    if option is None:
        return UNSAID
    return Value((option.value or "true").lower() == "false", option.place, SAID_BY)


def _seccomp(options: dict[str, Value[str]]) -> Value[str]:
    option = options.get("seccomp")
    if option is None:
        return FILTERED
    return Value("Unconfined" if option.value == "unconfined" else "Localhost", option.place, SAID_BY)


def _proc_mount(options: dict[str, Value[str]]) -> Value[str]:
    option = options.get("systempaths")
    return Value("Unmasked", option.place, SAID_BY) if option and option.value == "unconfined" else UNSAID


def _labels(service: PlacedMap) -> tuple[Value[str], ...]:
    node = service.get("security_opt")
    if not isinstance(node, list):
        return ()
    options = ((OPTION.match(str(item)), place_of(node, index)) for index, item in enumerate(node))
    return tuple(
        Value(option["value"].replace(":", "=", 1), place, SAID_BY)
        for option, place in options
        if option and option["name"].lower() == "label"
    )
