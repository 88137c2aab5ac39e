"""Fields of resources, read without trust: what has the wrong shape counts as absent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llmscan.model import Value
from llmscan.places import place_of

UNSAID: Value[Any] = Value()
"""What holds where nothing says anything."""


def mapping(node: Any, key: str) -> Mapping[str, Any]:
    """The mapping under `key`, or an empty one where there is none."""
    value = node.get(key) if isinstance(node, dict) else None
    return value if isinstance(value, dict) else {}


def items(node: Any, key: str) -> Sequence[Any]:
    """The list under `key`, or an empty one where there is none."""
    value = node.get(key) if isinstance(node, dict) else None
    return value if isinstance(value, list) else ()


def as_text(value: Any) -> str:
    """A scalar as a manifest writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def texts(node: Mapping[str, Any]) -> dict[str, str]:
    """A mapping of scalars as texts."""
    return {str(key): as_text(value) for key, value in node.items()}


def typed(node: Any, key: str, kind: type, by: str) -> Value[Any]:
    """The value under `key` with its place, said by `by`; no value where it is not of that kind."""
    value = node.get(key) if isinstance(node, dict) else None
    if value is None:
        return UNSAID
    fits = isinstance(value, kind) and not (kind is int and isinstance(value, bool))
    return Value(value, place_of(node, key), by) if fits else UNSAID


def flag(node: Any, key: str) -> Value[bool]:
    """A boolean of a pod spec."""
    return typed(node, key, bool, "pod")
