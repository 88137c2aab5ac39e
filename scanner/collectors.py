"""What a collector of a plugin is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from llmscan.model import Stack
from llmscan.records import Record


class FileCollector(Record, frozen=True):
    """A kind of deployment file that llmscan does not read itself.

    suffixes: how the names of its files end (`.nomad.hcl`); such a file then belongs to this collector alone. collect: is called once a scan with
    the `(path, text)` of each of them, sorted by path, and gives the stacks that they make. Paths are as reports name them.
    """

    name: str
    suffixes: tuple[str, ...]
    collect: Callable[[Sequence[tuple[str, str]]], Iterable[Stack]]
