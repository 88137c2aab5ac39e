"""Answers from the catalogue's decision lists, in three values: what is not known stays open, and is named.

A decision list is a sequence of clauses (`when`, `since`, `before`, `then`, `say`). The first clause that holds decides. A clause
that may or may not hold leaves every later answer possible too; the answer is certain only where all that remain are equal.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence, Set
from functools import lru_cache
from typing import Any, Generic, NamedTuple, TypeVar

from msgspec import field
from packaging.version import Version

from llmscan.findings import Evidence
from llmscan.model import Gap, Origin
from llmscan.products import Product
from llmscan.records import Record, replace
from llmscan.settings import Found, Reading

Clause = Mapping[str, Any]
Truth = bool | None
Q = TypeVar("Q")
T = TypeVar("T")


class Held(NamedTuple):
    """Whether a condition holds (None: cannot be known), what decided it, and what was missing."""

    truth: Truth
    found: tuple[Found, ...] = ()
    gaps: tuple[Gap, ...] = ()


class Possible(Record, frozen=True):
    """An answer that remains possible, the clause that gives it, and what decided the clause."""

    answer: str
    clause: Clause
    found: tuple[Found, ...] = ()


class Decision(Record, frozen=True):
    """The outcome: `answer` where it is certain, else None, with all that is `possible` and what is `missing`."""

    possible: tuple[Possible, ...] = ()
    missing: tuple[Gap, ...] = ()
    answers: frozenset[str] = field(default=frozenset())
    quote: str = ""
    """What a probe saw, where that decided or confirmed it."""

    @property
    def evidence(self) -> Evidence:
        """How the answer is known."""
        if self.quote:
            return Evidence.OBSERVED
        return Evidence.DECLARED if self.deciding is not None and self.deciding.declared else Evidence.DEFAULT

    @property
    def answer(self) -> str | None:
        """The one answer that remains, or None."""
        return self.possible[0].answer if len(self.answers) == 1 else None

    @property
    def first(self) -> Possible:
        """The possibility that comes first in the list."""
        return self.possible[0]

    @property
    def say(self) -> str:
        """What the deciding clause says, or the first possible one."""
        return str(self.possible[0].clause.get("say", "")) if self.possible else ""

    @property
    def deciding(self) -> Found | None:
        """The present setting that decided, or None where a default did."""
        return next((found for found in self.possible[0].found if found.present), None) if self.possible else None


YES, NO = Held(True), Held(False)
_version = lru_cache(maxsize=None)(Version)


class Answer(Record, Generic[T], frozen=True):
    """What holds for containers that say nothing of what is asked for, and the settings that were looked at."""

    given: T
    looked_at: Mapping[str, Found]


def decide(clauses: Sequence[Clause], reading: Reading) -> Decision:
    """Evaluate a decision list. An empty `possible` means that no clause holds: the catalogue does not know."""
    return _answered(_decide, clauses, reading)


def holds(clause: Clause, reading: Reading) -> Held:
    """Whether a clause's version range and condition hold."""
    return _answered(_holds, clause, reading) if "when" in clause else in_range(clause, reading)


def _answered(answer: Callable[[Q, Reading], T], question: Q, reading: Reading) -> T:
    """The answer to a question; of the product's own facts, once for all containers that say nothing of it."""
    said = reading.said
    if said is None:
        return answer(question, reading)
    asked = reading.running.product.once(_asked).get(id(question))
    if asked is None or not asked.isdisjoint(said):
        return answer(question, reading)
    answers = reading.silent.answers
    key = (answer, id(question))
    if key not in answers:
        silent = replace(reading.silent, cache={})
        answers[key] = Answer(answer(question, silent), silent.cache)
    found: Answer[T] = answers[key]
    reading.cache.update(found.looked_at)
    return found.given


def _asked(product: Product) -> Mapping[int, Set[str]]:
    """The settings that each list and mapping of a product's facts asks for, by its id: the product keeps them all."""
    found: dict[int, Set[str]] = {}
    _note_asked(product.facts, found)
    return found


def _note_asked(node: Any, found: dict[int, Set[str]]) -> Set[str]:
    asked: set[str] = set()
    if isinstance(node, Mapping):
        for key, value in node.items():
            asked |= _note_asked(value, found)
            asked.add(key)
    elif isinstance(node, list):
        for item in node:
            asked |= _note_asked(item, found)
    else:
        return asked
    found[id(node)] = asked
    return asked


def _decide(clauses: Sequence[Clause], reading: Reading) -> Decision:
    possible: list[Possible] = []
    missing: list[Gap] = []
    for clause in clauses:
        held = _holds(clause, reading)
        if held.truth is False:
            continue
        possible.append(Possible(str(clause.get("then", "")), clause, held.found))
        if held.truth:
            break
        missing += [gap for gap in held.gaps if gap not in missing]
    answers = frozenset(item.answer for item in possible)
    return Decision(tuple(possible), tuple(missing) if len(answers) > 1 else (), answers)


def _holds(clause: Clause, reading: Reading) -> Held:
    version = in_range(clause, reading)
    if version.truth is False or "when" not in clause:
        return version
    held = condition(clause["when"], reading)
    return held if version.truth else _both((version, held))


def version_gap(reading: Reading) -> Gap:
    """That the version is not known, and what would tell."""
    running = reading.running
    return Gap(
        "version",
        f"the version of {running.name}",
        f"is not known: {running.unknown_because or 'nothing tells it'}",
        f"--assume-version {running.id}=VERSION",
    )


def in_range(clause: Clause, reading: Reading) -> Held:
    """Whether the version is one of those that a clause is about, whatever its condition says."""
    since, before = clause.get("since"), clause.get("before")
    if since is None and before is None:
        return YES
    version = reading.running.version
    if version is None:
        return _unknown_version(since, before, reading)
    low = since is None or version >= _version(since)
    high = before is None or version < _version(before)
    return YES if low and high else NO


def _unknown_version(since: str | None, before: str | None, reading: Reading) -> Held:
    first = reading.running.product.identify.get("first_version")
    if first and before and _version(before) <= _version(first):
        return Held(False)
    if first and since and not before and _version(since) <= _version(first):
        return Held(True)
    return Held(None, gaps=(version_gap(reading),))


def condition(when: Any, reading: Reading) -> Held:
    """Whether a condition holds: a mapping (all must hold), or a list (all of them)."""
    if isinstance(when, list):
        return _both([condition(item, reading) for item in when])
    parts = []
    for key, test in when.items():
        held = _part(key, test, reading)
        if held.truth is False:
            return held
        parts.append(held)
    return _both(parts)


def _part(key: str, test: Any, reading: Reading) -> Held:
    if key == "any":
        return _either([condition(item, reading) for item in test])
    if key == "all":
        return _both([condition(item, reading) for item in test])
    if key == "not":
        return _negated(condition(test, reading))
    return _test(reading.setting(key), test, _folds(reading, key))


def _folds(reading: Reading, key: str) -> bool:
    return bool(reading.running.product.facts["settings"][key].get("fold") == "true")


def _both(parts: Sequence[Held]) -> Held:
    if len(parts) == 1:
        return parts[0]
    for part in parts:
        if part.truth is False:
            return part
    found = tuple(item for part in parts for item in part.found)
    gaps = tuple(gap for part in parts for gap in part.gaps)
    return Held(None if any(part.truth is None for part in parts) else True, found, gaps)


def _either(parts: Sequence[Held]) -> Held:
    for part in parts:
        if part.truth:
            return part
    found = tuple(item for part in parts for item in part.found)
    gaps = tuple(gap for part in parts for gap in part.gaps)
    return Held(None if any(part.truth is None for part in parts) else False, found, gaps)


def _negated(part: Held) -> Held:
    return Held(None if part.truth is None else not part.truth, part.found, part.gaps)


def _test(found: Found, test: Any, fold: bool) -> Held:
    if found.present is None:
        return Held(None, (found,), (found.gap,) if found.gap else ())
    if test == "present":
        return Held(bool(found.present), (found,))
    if test == "absent":
        return Held(not found.present, (found,))
    if found.value is None and found.present:
        return _test_unseen(found, test)
    value = found.value or ""
    if test == "set":
        return Held(value != "", (found,))
    if test == "unset":
        return Held(value == "", (found,))
    if found.value is None:
        return Held(False, (found,))
    return Held(_compare(value, test, fold), (found,))


def _test_unseen(found: Found, test: Any) -> Held:
    """A value that is set and was not seen: a secret counts as set; what a variable leaves open is not known."""
    if test in ("set", "unset") and (found.origin == Origin.SECRET or found.gap is None):
        return Held(test == "set", (found,))
    gap = found.gap or Gap("secret", f"the value of {found.name}", "was not read")
    return Held(None, (found,), (gap,))


def _compare(value: str, test: Any, fold: bool) -> bool:
    if isinstance(test, Mapping):
        return all(_compare_kind(value, kind, str(argument)) for kind, argument in test.items())
    wanted = test if isinstance(test, list) else [test]
    if fold:
        return value.strip().lower() in [str(item).lower() for item in wanted]
    return value in [str(item) for item in wanted]


def _compare_kind(value: str, kind: str, argument: str) -> bool:
    if kind == "matches":
        return re.search(argument, value) is not None
    if kind == "contains":
        return argument in value
    if kind == "lacks":
        return argument not in value
    raise KeyError(kind)
