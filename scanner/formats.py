"""What a report format is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import field

from llmscan.findings import Report
from llmscan.records import Record


class RenderOptions(Record, frozen=True):
    """What the caller of a format knows of the output: its width in columns, whether it may have colour, and how much to say."""

    width: int = 100
    colour: bool = False
    verbose: bool = False
    extra: dict[str, Any] = field(default_factory=dict)


class Format(Record, frozen=True):
    """A way to write a report. `suffixes` (`.sarif`, `.html`) choose it for `-o FILE`; `render` returns the whole text."""

    name: str
    suffixes: tuple[str, ...]
    render: Callable[[Report, RenderOptions], str]
    help: str = ""
