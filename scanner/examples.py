"""Examples of rules: what a small deployment with one mistake looks like, and what mends it.

They are cut from `fixtures/` into `plugins/examples.json` by `python -m llmscan.reference`, so that an installed llmscan can show them.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path

from llmscan.records import Record

KINDS = {"yaml": "Kubernetes", "compose.yaml": "Compose", "cluster.yaml": "a live cluster", "env": "env file"}
"""The kinds of fixtures that are shown, in this order, and what a reader calls them."""
MARK = re.compile(r"\s*# <- [A-Z]+\d+$", re.MULTILINE)
CONTEXT = 3
"""Lines around a change: enough to see where it stands."""


class Example(Record, frozen=True):
    """One example. `lines` begin with `-` (the mistake), `+` (the mending), a space (both), or are `...` where lines are left out."""

    kind: str
    lines: tuple[str, ...]


@cache
def examples() -> Mapping[str, tuple[Example, ...]]:
    """The examples of the built-in rules, by rule."""
    text = files("llmscan.plugins").joinpath("examples.json").read_text(encoding="utf-8")
    return {
        rule: tuple(Example(kind, tuple(lines)) for kind, lines in kinds.items())
        for rule, kinds in json.loads(text).items()
    }


def cut(folder: Path) -> Iterator[Example]:
    """The examples in the folder of a rule."""
    for kind, title in KINDS.items():
        bad, good = (folder / f"{state}.{kind}" for state in ("bad", "good"))
        said_by_env = kind == "compose.yaml" and (folder / "bad.env").is_file()
        if bad.is_file() and good.is_file() and not said_by_env:
            yield Example(title, tuple(_difference(_plain(bad), _plain(good))))


def _plain(path: Path) -> list[str]:
    return MARK.sub("", path.read_text(encoding="utf-8")).splitlines()


def _difference(bad: list[str], good: list[str]) -> Iterator[str]:
    for index, line in enumerate(difflib.unified_diff(bad, good, n=CONTEXT, lineterm="")):
        if index < 2:
            continue
        if not line.startswith("@@"):
            yield line
        elif index > 2 or not line.startswith("@@ -1,"):
            yield "..."
