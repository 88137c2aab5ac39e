"""Whether an answer is one that the catalogue describes, and what in it decided: status, headers, JSON fields, a pattern in the body."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from llmscan.probe.asking import Answer
from llmscan.records import Record

SHOWN = 60
"""How many characters of a value a quote shows."""
KINDS: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "number": (int, float),
    "list": (list,),
    "object": (dict,),
    "bool": (bool,),
}
STEP = re.compile(r"([^.\[\]]+|\[\])")
WITHIN = 50
"""How many elements of a list are looked at."""


class Match(Record, frozen=True):
    """That an answer is as described: `said` has what decided, ready to be shown."""

    answer: Answer
    said: str

    @property
    def quote(self) -> str:
        """The request line, the status, and what decided."""
        return f"{request_line(self.answer)}{f': {self.said}' if self.said else ''}"


def request_line(answer: Answer) -> str:
    """`GET /path -> 200`."""
    return f"{answer.method} {answer.path} -> {answer.status}"


def match(expected: Mapping[str, Any], answer: Answer) -> Match | None:
    """The match of an answer with a description (`status`, `header`, `json`, `body`), or None."""
    statuses = expected.get("status")
    if statuses is not None and str(answer.status) not in _texts(statuses):
        return None
    said: list[str] = []
    for name, pattern in expected.get("header", {}).items():
        value = answer.headers.get(name.lower())
        if value is None or not _pattern(pattern).search(value):
            return None
        said.append(f"{name.lower()}: {shown(value)}")
    for path, wanted in expected.get("json", {}).items():
        found = next((value for value in values(answer.document, path) if fits(value, wanted)), _NOTHING)
        if found is _NOTHING:
            return None
        said.append(f"{path} = {_described(found, wanted)}")
    if "body" in expected:
        found_text = _pattern(expected["body"]).search(answer.text)
        if not found_text:
            return None
        said.append(
            f"'{shown(found_text[0].strip())}'"
            if found_text[0].strip()
            else "no body"
            if not answer.text.strip()
            else ""
        )
    return Match(answer, ", ".join(part for part in said if part))


_NOTHING = object()


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list) else (str(value),)


@lru_cache(maxsize=1024)
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text)


def values(document: Any, path: str) -> Iterator[Any]:
    """What stands at a dotted path: `data[].owned_by` looks into each element, `*` stands for some key. A key may hold dots or spaces itself."""
    if isinstance(document, dict) and path in document:
        yield document[path]
        return
    yield from _walk(document, STEP.findall(path))


def _walk(node: Any, steps: list[str]) -> Iterator[Any]:
    if not steps:
        yield node
    elif steps[0] == "[]":
        for item in node[:WITHIN] if isinstance(node, list) else ():
            yield from _walk(item, steps[1:])
    elif steps[0] == "*":
        for item in list(node.values())[:WITHIN] if isinstance(node, dict) else ():
            yield from _walk(item, steps[1:])
    elif isinstance(node, dict) and steps[0] in node:
        yield from _walk(node[steps[0]], steps[1:])


def fits(value: Any, wanted: str) -> bool:
    """Whether a JSON value is of a kind (`string`), matches a `/pattern/`, or is exactly a text."""
    if wanted == "any":
        return True
    if wanted in KINDS:
        return isinstance(value, KINDS[wanted]) and (wanted != "number" or not isinstance(value, bool))
    if len(wanted) > 1 and wanted.startswith("/") and wanted.endswith("/"):
        return not isinstance(value, dict | list) and _pattern(wanted[1:-1]).search(as_text(value)) is not None
    return not isinstance(value, dict | list) and as_text(value) == wanted


def as_text(value: Any) -> str:
    """A JSON scalar as the catalogue writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return "null" if value is None else str(value)


def _described(value: Any, wanted: str) -> str:
    """A value as a quote shows it: itself where the catalogue expects it, else only of what kind it is."""
    if isinstance(value, list):
        return f"list of {len(value)}"
    if isinstance(value, dict):
        return "object"
    expected = wanted not in KINDS and wanted != "any"
    return shown(as_text(value)) if expected or isinstance(value, bool) or value is None else type_name(value)


def type_name(value: Any) -> str:
    """`string` or `number`."""
    return "number" if isinstance(value, int | float) else "string"


def shown(text: str) -> str:
    """A text of a stranger, bounded and without control characters."""
    cut = text if len(text) <= SHOWN else text[:SHOWN] + "..."
    return "".join(character if character.isprintable() else " " for character in cut)
