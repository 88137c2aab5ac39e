"""Which line of a template made which line of its rendering, as well as the two texts tell.

A rendering has lost where it came from. Most lines keep their key and indentation, so the two are aligned by these; what a
`toYaml` or an `include` made belongs to the line that called it; what a loop made again belongs to the line in the loop.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from difflib import SequenceMatcher
from itertools import chain

ACTION = re.compile(r"\{\{.*?\}\}")
CONTROL = re.compile(r"\{\{-?\s*(?:if|else|end|with|range|define|block|break|continue|/\*|\$[\w]*\s*:?=)")
KEY = re.compile(r"(?P<dash>(?:-\s+)*)(?P<key>\"[^\"]*\"|'[^']*'|[^\s\"'#{}][^:{}]*?)\s*:(?:\s|$)")
MOST_CELLS = 2_000_000
NEAR = 60

Produces = Callable[[int, str], bool]
"""Whether what line N of the template puts in (from 0) holds a key."""


def template_lines(
    template: Sequence[str], rendered: Sequence[str], produces: Produces = lambda line, key: False
) -> list[int]:
    """For each line of `rendered` the line of `template` that made it, both counted from 0."""
    if not template:
        return [0] * len(rendered)
    if len(template) * len(rendered) > MOST_CELLS:
        return [min(index, len(template) - 1) for index in range(len(rendered))]
    return _Alignment(template, rendered, produces).lines()


def key_of(line: str) -> str:
    """The key of a line of YAML, without quotes; "" where it has none."""
    match = KEY.match(line.strip())
    return match["key"].strip("\"'") if match else ""


def puts_in(line: str) -> bool:
    """Whether a line of a template is nothing but actions that print something, a key and its value perhaps."""
    stripped = line.strip()
    return stripped.startswith("{{") and not CONTROL.match(stripped) and not ACTION.sub("", stripped).strip(" :-\"'")


class _Alignment:
    """The alignment of one template with one of its documents."""

    def __init__(self, template: Sequence[str], rendered: Sequence[str], produces: Produces) -> None:
        self.template, self.rendered, self.produces = template, rendered, produces
        self.skeletons = [_skeleton(line) for line in template]

    def lines(self) -> list[int]:
        found = self._anchors()
        following = _following(found, len(self.template))
        result: list[int] = []
        before = -1
        for line, anchor, after in zip(self.rendered, found, following, strict=True):
            if anchor is None:
                anchor = self._between(line, before, max(after, before + 1), result[-1] if result else 0)
            else:
                before = anchor
            result.append(anchor)
        return result

    def _anchors(self) -> list[int | None]:
        whole = {line.strip() for line in self.rendered}
        literal = {line.strip() for line in self.template if "{{" not in line}
        ours = [
            self._token(line, index, "{{" not in line and line.strip() in whole)
            for index, line in enumerate(self.template)
        ]
        theirs = [self._token(line, -1 - index, line.strip() in literal) for index, line in enumerate(self.rendered)]
        found: list[int | None] = [None] * len(self.rendered)
        for block in SequenceMatcher(None, ours, theirs, autojunk=False).get_matching_blocks():
            for step in range(block.size):
                found[block.b + step] = block.a + step
        return found

    @staticmethod
    def _token(line: str, unique: int, whole: bool) -> tuple[object, ...]:
        stripped = line.strip()
        indent = len(line) - len(line.lstrip())
        if not stripped or stripped.startswith(("#", "{{")):
            return (unique,)
        if whole:
            return (indent, stripped)
        key = key_of(line)
        return (indent, stripped.startswith("-"), key) if key else (unique,)

    def _between(self, line: str, before: int, after: int, last: int) -> int:
        """The best line for one that has no anchor, between those of its neighbours."""
        gap = range(max(before, 0), min(after, len(self.template)))
        stripped, key = line.strip(), key_of(line)
        if not stripped:
            return last
        later = [j for j in gap if j >= last] or list(gap)
        for j in later:
            if j != before and self._fits(j, stripped):
                return j
        makers = [j for j in later if puts_in(self.template[j])]
        named = [j for j in makers if key and self.produces(j, key)]
        if named:
            return last if last in named else named[0]
        if (again := self._again(line, last, before)) is not None:
            return again
        if makers:
            return last if last in makers else makers[0]
        return last

    def _fits(self, j: int, stripped: str) -> bool:
        """Whether line `j` could have become `stripped`: its own words are there, in order, from the start to the end."""
        pieces = self.skeletons[j]
        if not pieces or not stripped.startswith(pieces[0]) or not stripped.endswith(pieces[-1]):
            return False
        at = 0
        for piece in pieces:
            at = stripped.find(piece, at)
            if at < 0:
                return False
            at += len(piece)
        return len(pieces) > 1 or at == len(stripped)

    def _again(self, line: str, last: int, before: int) -> int | None:
        """A line with the same indentation that could have made this one: the body of a loop, from `last` on, else before it."""
        indent = len(line) - len(line.lstrip())
        stripped = line.strip()
        for j in chain(range(last + 1, before + 1), range(last, max(last - NEAR, -1), -1)):
            ours = self.template[j]
            if len(ours) - len(ours.lstrip()) == indent and self._fits(j, stripped):
                return j
        return None


def _following(anchors: Sequence[int | None], end: int) -> list[int]:
    """For each line the next anchor after it, or the end."""
    result: list[int] = []
    after = end
    for anchor in reversed(anchors):
        result.append(after)
        after = after if anchor is None else anchor
    return result[::-1]


def _skeleton(line: str) -> list[str]:
    """The words of a line around its actions; empty where it has none by which it would be known."""
    stripped = line.strip()
    pieces = ACTION.split(stripped)
    if stripped.startswith("{{") and not key_of(ACTION.sub("x", stripped)):
        return []
    return pieces if re.search(r"\w", "".join(pieces)) or ("{{" not in line and stripped) else []
