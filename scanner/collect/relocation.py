"""Move the places of a tree that a tool has made to the files that it was made from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llmscan.places import Place, PlacedList, PlacedMap

Locate = Callable[[Place], Place]


def relocate(tree: Any, locate: Locate) -> None:
    """Replace every place of `tree`; a node that stands in several spots (an alias) is moved once."""
    seen: set[int] = set()
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if not isinstance(node, PlacedMap | PlacedList) or id(node) in seen:
            continue
        seen.add(id(node))
        node.place = locate(node.place)
        if isinstance(node, PlacedMap):
            node.places = {key: locate(place) for key, place in node.places.items()}
            waiting += node.values()
        else:
            node.places = [locate(place) for place in node.places]
            waiting += node


def drop_differences(node: Any, other: Any) -> None:
    """Take the entries out of `node` whose values another rendering has otherwise: what is made up anew each time says nothing."""
    if isinstance(node, dict) and isinstance(other, dict):
        for key in list(node):
            if isinstance(node[key], dict | list):
                drop_differences(node[key], other.get(key))
            elif key in other and other[key] != node[key]:
                del node[key]
    elif isinstance(node, list) and isinstance(other, list):
        for one, two in zip(node, other, strict=False):
            drop_differences(one, two)
