"""JSON laid out for diffs and grep: the outer levels a line for each entry, everything below on that line."""

from __future__ import annotations

import json
from typing import Any


class Encoded(str):
    """A part that is ASCII JSON on one line already."""

    __slots__ = ()


def layered(value: Any, levels: int, indent: str = "") -> str:
    """`value` as ASCII JSON, its first `levels` levels spread over lines. The rest is the standard library's fast encoder's."""
    if type(value) is Encoded:
        return value
    if levels == 0 or not value or not isinstance(value, dict | list):
        return json.dumps(value)
    inner = indent + "  "
    if isinstance(value, dict):
        entries = [f"{json.dumps(key)}: {layered(item, levels - 1, inner)}" for key, item in value.items()]
    else:
        entries = [item if type(item) is Encoded else layered(item, levels - 1, inner) for item in value]
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    return f"{opening}\n{inner}" + f",\n{inner}".join(entries) + f"\n{indent}{closing}"
