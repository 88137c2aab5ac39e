"""Merge compose trees: an override file onto its base, a service onto the one that it extends.

Mappings merge entry by entry, sequences append, and of entries that mean the same thing (a mount's target, a published port)
the later one holds. What an entry came from stays in its place. Nothing is changed in place: trees are shared.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Hashable
from typing import Any

from llmscan.collect.compose_sources import placed_list, placed_map
from llmscan.places import PlacedList, PlacedMap, place_of, tag_of

RESET, OVERRIDE = "!reset", "!override"
REPLACED = frozenset({"command", "entrypoint", "test"})

Identity = Callable[[Any], Hashable]


def merge_project(base: PlacedMap, over: PlacedMap) -> PlacedMap:
    """`over` laid upon `base`, both whole files in the long form."""
    return merge_maps(base, over)


def merge_maps(base: PlacedMap, over: PlacedMap) -> PlacedMap:
    """`over` laid upon `base`, obeying `!reset` and `!override`."""
    made = placed_map(base, base.place, dict(base.places))
    made.tags = base.tags
    for key, value in over.items():
        tag = tag_of(over, key)
        if tag == RESET:
            made.pop(key, None)
            made.places.pop(key, None)
            continue
        fresh = key not in base or tag == OVERRIDE or (isinstance(key, str) and key.startswith("x-"))
        made[key] = value if fresh else _merged(key, base[key], value)
        _settle(made, key, base, over)
    return made


def _settle(made: PlacedMap, key: Any, base: PlacedMap, over: PlacedMap) -> None:
    """Give the entry its place: where it was first declared if it grew, else where it was last said."""
    grew = key in base and isinstance(made[key], PlacedMap | PlacedList) and made[key] is not over[key]
    place = place_of(base if grew else over, key)
    if place is not None:
        made.places[key] = place


def _merged(key: Any, base: Any, over: Any) -> Any:
    if key in REPLACED:
        return over
    if over is None:
        return base
    if isinstance(base, PlacedMap) and isinstance(over, PlacedMap):
        return over if key == "logging" and _other_driver(base, over) else merge_maps(base, over)
    if isinstance(base, PlacedList) and isinstance(over, PlacedList):
        return _appended(base, over, IDENTITIES.get(key, _itself))
    return over


def _other_driver(base: PlacedMap, over: PlacedMap) -> bool:
    return "driver" in base and "driver" in over and base["driver"] != over["driver"]


def _appended(base: PlacedList, over: PlacedList, identity: Identity) -> PlacedList:
    kept: dict[Hashable, tuple[Any, Any]] = {}
    for node in (base, over):
        for index, item in enumerate(node):
            kept[identity(item)] = (item, place_of(node, index))
    return placed_list([item for item, _ in kept.values()], base.place, [place for _, place in kept.values()])


def _itself(item: Any) -> Hashable:
    return item if isinstance(item, Hashable) else id(item)


def _port(item: Any) -> Hashable:
    if not isinstance(item, dict):
        return _itself(item)
    return (item.get("host_ip"), item.get("published"), item.get("target"), item.get("protocol"))


def _mounted(item: Any) -> Hashable:
    return posixpath.normpath(str(item.get("target"))) if isinstance(item, dict) else _itself(item)


def _granted(item: Any) -> Hashable:
    return str(item.get("target") or item.get("source")) if isinstance(item, dict) else _itself(item)


def _env_file(item: Any) -> Hashable:
    return str(item.get("path")) if isinstance(item, dict) else _itself(item)


IDENTITIES: dict[Any, Identity] = {
    "configs": _granted,
    "env_file": _env_file,
    "ports": _port,
    "secrets": _granted,
    "volumes": _mounted,
}


def without_resets(node: Any) -> Any:
    """`node` without the entries that are tagged `!reset`."""
    if isinstance(node, PlacedMap):
        kept = {key: without_resets(value) for key, value in node.items() if tag_of(node, key) != RESET}
        return placed_map(kept, node.place, node.places)
    if isinstance(node, PlacedList):
        pairs = [
            (without_resets(item), node.places[index])
            for index, item in enumerate(node)
            if tag_of(node, index) != RESET
        ]
        return placed_list([item for item, _ in pairs], node.place, [place for _, place in pairs])
    return node
