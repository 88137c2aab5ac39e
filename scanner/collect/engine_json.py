"""Reads the engine's JSON without trusting its shape: a value of another type than expected counts as absent."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Any

Json = Mapping[str, Any]

MAX_NAME = 200


def as_map(node: Any) -> Json:
    """`node` where it is an object, else an empty one."""
    return node if isinstance(node, dict) else {}


def as_list(node: Any) -> list[Any]:
    """`node` where it is an array, else an empty one."""
    return node if isinstance(node, list) else []


def as_text(node: Any) -> str:
    """`node` where it is a string, else ""; half characters, which no output can encode, are replaced."""
    if not isinstance(node, str):
        return ""
    return node if node.isascii() else node.encode("utf-8", "replace").decode()


def as_number(node: Any) -> int:
    """`node` where it is a whole number, else 0."""
    return node if isinstance(node, int) and not isinstance(node, bool) else 0


def texts(node: Any) -> tuple[str, ...]:
    """The strings of an array; one string counts as an array of one, as the engine reads it."""
    if isinstance(node, str):
        return (as_text(node),)
    return tuple(as_text(item) for item in as_list(node) if isinstance(item, str))


def text_map(node: Any) -> dict[str, str]:
    """The entries of an object whose values are strings."""
    return {as_text(key): as_text(value) for key, value in as_map(node).items() if isinstance(value, str)}


def plain(name: str) -> str:
    """A name that can be printed: no control or formatting characters, and of bounded length."""
    kept = "".join(
        "\N{REPLACEMENT CHARACTER}" if unicodedata.category(char)[0] == "C" else char for char in name[:MAX_NAME]
    )
    return kept if len(name) <= MAX_NAME else f"{kept}…"
