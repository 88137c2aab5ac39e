"""Bring a compose service into one form: the long syntax of ports, volumes, env_file and the rest, paths made plain.

Every entry keeps the place of the line that it was written on. Done before files are merged, since Compose merges by what an
entry means (a volume's target), and since a path counts from the file that it was written in.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from llmscan.collect.compose_interpolation import Interpolated, piece
from llmscan.collect.compose_sources import is_remote, join, placed_list, placed_map
from llmscan.places import Place, PlacedList, PlacedMap, place_of

COLON = re.compile(r":(?![^\[]*\])")
"""A colon that separates: not one inside an IPv6 address in brackets."""
PORT_RANGE = re.compile(r"(\d{1,5})-(\d{1,5})\Z")
DRIVE = re.compile(r"[A-Za-z]:[\\/]")
MAX_RANGE = 1024
"""Ports of one range that are told apart; a wider range is kept as one entry."""
PROTOCOL = re.compile(r"/([A-Za-z]+)\Z")
HERE = re.compile(r"\$\{PWD\}(?:/|\Z)")
HOST_PATH = re.compile(r"[/~\\]|\$\{|[A-Za-z]:[\\/]")
PROPAGATIONS = frozenset({"shared", "slave", "private", "rshared", "rslave", "rprivate"})

Form = Callable[[Any, Place, str], Any]


def canonical_service(service: PlacedMap, directory: str) -> PlacedMap:
    """`service` in the long form, its paths counted from `directory`."""
    made = placed_map(service, service.place, service.places)
    made.tags = service.tags
    for key, value in service.items():
        form = FORMS.get(key)
        if form is not None and value is not None:
            made[key] = form(value, service.places.get(key, service.place), directory)
    return made


def scalar_text(value: Any) -> str | None:
    """A scalar as Compose writes it where it wants a string; None for null and for what is no scalar."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.0f}" if value.is_integer() and abs(value) < 1e21 else repr(value)
    return str(value) if isinstance(value, int) else None


def items_of(node: Any, place: Place) -> Sequence[tuple[Any, Place]]:
    """The items of a sequence with their places; a lone scalar counts as a sequence of one."""
    if node is None or isinstance(node, dict):
        return ()
    if isinstance(node, PlacedList) and len(node) == len(node.places):
        return [(item, at or place) for item, at in zip(node, node.places, strict=True)]
    if isinstance(node, list):
        return [(item, place_of(node, index) or place) for index, item in enumerate(node)]
    return ((node, place),)


def _listed(pairs: list[tuple[Any, Place]], place: Place) -> PlacedList:
    return placed_list([item for item, _ in pairs], place, [at for _, at in pairs])


def mapping(node: Any, place: Place, directory: str = "") -> Any:
    """`KEY=value` items or a mapping, as a mapping of texts; None where only the name is given."""
    if isinstance(node, PlacedMap):
        made = placed_map({key: scalar_text(value) for key, value in node.items()}, node.place, node.places)
        made.tags = node.tags
        return made
    entries: dict[Any, Any] = {}
    places: dict[Any, Place] = {}
    for item, at in items_of(node, place):
        text = scalar_text(item)
        if text is not None:
            name, sign, value = text.partition("=")
            entries[name] = piece(value, item) if sign else None
            places[name] = at
    return placed_map(entries, place, places)


def ports(node: Any, place: Place, directory: str = "") -> PlacedList:
    """Published ports: `target`, `published`, `host_ip`, `protocol`; one entry for each port of a range."""
    pairs: list[tuple[Any, Place]] = []
    for item, at in items_of(node, place):
        written = _port_entry(item, at)
        pairs += [(one, at) for one in _expanded(written)]
    return _listed(pairs, place)


def _port_entry(item: Any, at: Place) -> PlacedMap:
    if isinstance(item, PlacedMap):
        return _long_port(item)
    text = scalar_text(item) or ""
    protocol = PROTOCOL.search(text) if "/" in text else None
    address = text[: protocol.start()] if protocol else text
    parts = COLON.split(address) if "]" in address else address.split(":")
    entries: dict[Any, Any] = {"target": piece(parts[-1], item), "protocol": protocol[1].lower() if protocol else "tcp"}
    if len(parts) > 1 and parts[-2]:
        entries["published"] = piece(parts[-2], item)
    if len(parts) > 2 and (address := ":".join(parts[:-2]).strip("[]")):
        entries["host_ip"] = piece(address, item)
    return placed_map(entries, at)


def _long_port(item: PlacedMap) -> PlacedMap:
    entries = {
        key: scalar_text(item[key]) for key in ("target", "published", "host_ip") if item.get(key) not in (None, "")
    }
    entries["protocol"] = str(item.get("protocol") or "tcp").lower()
    return placed_map(entries, item.place, item.places)


def _expanded(entry: PlacedMap) -> list[PlacedMap]:
    """One entry for each container port; a range of host ports for one container port stays a choice."""
    targets = _numbers(entry.get("target"))
    if len(targets) < 2:
        return [entry]
    published = _numbers(entry.get("published"))
    if published and len(published) != len(targets):
        return [entry]
    changes = [
        {"target": target} | ({"published": published[index]} if published else {})
        for index, target in enumerate(targets)
    ]
    return [placed_map({**entry, **changed}, entry.place, entry.places) for changed in changes]


def _numbers(text: Any) -> list[str]:
    """The ports that a text stands for; none where it is no number or range, or the range is too wide."""
    if not isinstance(text, str):
        return []
    if text.isdecimal():
        return [text]
    found = PORT_RANGE.match(text)
    first, last = (int(found[1]), int(found[2])) if found else (0, -1)
    return [str(port) for port in range(first, last + 1)] if 0 <= last - first < MAX_RANGE else []


def volumes(node: Any, place: Place, directory: str) -> PlacedList:
    """Mounts: `type`, `source`, `target`, `read_only`, `propagation`; `scope` of a bind is `project` or `host`."""
    pairs: list[tuple[Any, Place]] = []
    for item, at in items_of(node, place):
        if isinstance(item, PlacedMap):
            pairs.append((_long_volume(item, directory), at))
        elif text := scalar_text(item):
            pairs.append((_short_volume(text, at, directory), at))
    return _listed(pairs, place)


def _volume_parts(text: str) -> list[str]:
    if DRIVE.match(text):
        first, *rest = text[2:].split(":")
        return [text[:2] + first, *rest]
    return text.split(":")


def _short_volume(text: str, at: Place, directory: str) -> PlacedMap:
    parts = _volume_parts(text)
    if len(parts) == 1:
        return placed_map({"type": "volume", "target": piece(parts[0], text)}, at)
    entries: dict[Any, Any] = {"target": piece(parts[1], text)}
    source = piece(parts[0], text)
    entries |= _bound(source, directory) if is_path(source) else {"type": "volume", "source": source}
    if len(parts) > 2:
        options = set(",".join(parts[2:]).split(","))
        if "ro" in options:
            entries["read_only"] = True
        if propagation := next(iter(options & PROPAGATIONS), ""):
            entries["propagation"] = propagation
    return placed_map(entries, at)


def is_path(source: str) -> bool:
    """Whether the source of a short mount is a path and not a volume's name; an unknown variable is taken for a path."""
    return source.startswith(".") or bool(HOST_PATH.match(source))


def _bound(source: str, directory: str) -> dict[Any, Any]:
    """A bind mount of `source`: within the project where the path is relative to it."""
    if here := HERE.match(source):
        return {"type": "bind", "source": join(directory, source[here.end() :] or "."), "scope": "project"}
    if HOST_PATH.match(source):
        return {"type": "bind", "source": source, "scope": "host"}
    path = join(directory, source)
    return {"type": "bind", "source": piece(path, source), "scope": "project"}


def _long_volume(item: PlacedMap, directory: str) -> PlacedMap:
    made: dict[Any, Any] = dict(item)
    source = scalar_text(item.get("source"))
    made.setdefault("type", "volume")
    if item.get("type") == "bind" and source:
        made |= _bound(source, directory)
    bind = item.get("bind")
    if isinstance(bind, dict) and bind.get("propagation"):
        made["propagation"] = str(bind["propagation"])
    return placed_map(made, item.place, item.places)


def env_files(node: Any, place: Place, directory: str) -> PlacedList:
    """Env files: `path` made plain, `written` as it stands there, `required`, `format`."""
    pairs: list[tuple[Any, Place]] = []
    nodes = [(node, place)] if isinstance(node, PlacedMap) else items_of(node, place)
    for item, at in nodes:
        long = item if isinstance(item, PlacedMap) else {"path": item}
        if written := scalar_text(long.get("path")):
            path = piece(join(directory, written), written)
            entries = {"path": path, "written": written, "required": truth(long.get("required"), True)}
            pairs.append((placed_map(entries | {"format": long.get("format") or ""}, at), at))
    return _listed(pairs, place)


def build(node: Any, place: Place, directory: str) -> PlacedMap:
    """A build: `context` made plain unless it is remote, `dockerfile`, `args`, `target`."""
    made = placed_map(dict(node), node.place, node.places) if isinstance(node, PlacedMap) else placed_map({}, place)
    context = scalar_text(made.get("context") if isinstance(node, PlacedMap) else node) or "."
    made["context"] = context if is_remote(context) else piece(join(directory, context), context)
    if made.get("args") is not None:
        made["args"] = mapping(made["args"], made.place)
    return made


def networks(node: Any, place: Place, directory: str = "") -> Any:
    """Networks that a service joins, by name."""
    if isinstance(node, PlacedMap):
        return node
    pairs = [(text, at) for item, at in items_of(node, place) if (text := scalar_text(item))]
    return placed_map({name: None for name, _ in pairs}, place, dict(pairs))


def grants(node: Any, place: Place, directory: str = "") -> PlacedList:
    """Configs or secrets of a service: `source`, `target`."""
    pairs = [
        (item if isinstance(item, PlacedMap) else placed_map({"source": scalar_text(item) or ""}, at), at)
        for item, at in items_of(node, place)
    ]
    return _listed(pairs, place)


def texts(node: Any, place: Place, directory: str = "") -> PlacedList:
    """A scalar or a sequence of them, as a sequence of texts."""
    return _listed([(text, at) for item, at in items_of(node, place) if (text := scalar_text(item)) is not None], place)


def truth(value: Any, default: bool = False) -> bool:
    """A boolean, also where interpolation made it a text; `default` where it is neither."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and not (isinstance(value, Interpolated) and not value.complete):
        word = value.strip().lower()
        return True if word in ("true", "1", "t", "yes", "y", "on") else default if word == "" else False
    return default


FORMS: dict[Any, Form] = {
    "annotations": mapping,
    "build": build,
    "cap_add": texts,
    "cap_drop": texts,
    "configs": grants,
    "devices": texts,
    "env_file": env_files,
    "environment": mapping,
    "expose": texts,
    "labels": mapping,
    "networks": networks,
    "ports": ports,
    "profiles": texts,
    "secrets": grants,
    "security_opt": texts,
    "sysctls": mapping,
    "tmpfs": texts,
    "volumes": volumes,
}
