"""What plugins bring, checked before anything rests on it: each check gives the thing back or raises `BadPlugin` with a sentence.

A record is checked against its own annotations, so that a verdict whose message is a number stops at the rule that gave it, and not in a format.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from llmscan import hookspecs
from llmscan.collectors import FileCollector
from llmscan.findings import ProductNote, Related, Resource, Status, Verdict
from llmscan.formats import Format
from llmscan.model import Gap, Stack
from llmscan.places import Place
from llmscan.products import Product, product_from_mapping
from llmscan.rule_view import Case
from llmscan.rules import CATEGORY, RULE_ID, TARGETS, Option, Rule

HOOKS = frozenset(name for name in vars(hookspecs) if name.startswith("llmscan_"))
RECORDS = frozenset({Verdict, Place, Resource, Related, Gap, ProductNote, Rule, Option, Format, FileCollector})
"""The records that plugins make themselves."""
Field = tuple[str, frozenset[type], Any, bool]


class BadPlugin(Exception):
    """Something that a plugin brought does not fit; the text says what and how."""


def hook_problems(plugin: Any, marked: Callable[[str], bool]) -> Iterator[str]:
    """Hooks that would pass in silence: misspelt ones, and those that lack the marker. `marked` says which have it."""
    for name in dir(plugin):
        if not name.startswith("llmscan_") or not callable(getattr(plugin, name, None)):
            continue
        if name not in HOOKS:
            yield f"there is no hook {name!r}; there are {', '.join(sorted(HOOKS))}"
        elif not marked(name):
            yield f"{name} lacks @hookimpl, so that it is never called"


def items(hook: str, given: Any) -> list[Any]:
    """What a hook returned, as a list."""
    if given is None or isinstance(given, str | bytes | Mapping):
        raise BadPlugin(f"{hook} gave {_named(given)}, not a list")
    try:
        return list(given)
    except TypeError:
        raise BadPlugin(f"{hook} gave {_named(given)}, not a list") from None


def checked_rule(given: Any) -> Rule:
    """A rule that can be called and reported."""
    if not isinstance(given, Rule):
        raise BadPlugin(f"llmscan_rules gave {_named(given)}, not a rule (is @rule missing?)")
    _fits(given, f"rule {given.id}")
    if not RULE_ID.match(given.id) or not CATEGORY.match(given.category) or given.target not in TARGETS:
        raise BadPlugin(
            f"rule {given.id}: make it with @rule, which checks its id, its category and on what it is called"
        )
    return given


def checked_product(given: Any) -> Product:
    """A product that fits the catalogue's schema."""
    from llmscan.catalogue_schema import check

    if not isinstance(given, Mapping):
        raise BadPlugin(f"llmscan_products gave {_named(given)}, not a mapping as docs/catalogue.md describes")
    product = product_from_mapping(given)
    check(product)
    return product


def checked_format(given: Any) -> Format:
    """A format that can be chosen."""
    if not isinstance(given, Format):
        raise BadPlugin(f"llmscan_formats gave {_named(given)}, not a Format")
    _fits(given, f"format {given.name}")
    return given


def checked_collector(given: Any) -> FileCollector:
    """A collector that can be asked."""
    if not isinstance(given, FileCollector):
        raise BadPlugin(f"llmscan_collectors gave {_named(given)}, not a FileCollector")
    _fits(given, f"collector {given.name}")
    if not all(given.suffixes):
        raise BadPlugin(f"collector {given.name}: an empty suffix would claim every file")
    return given


def checked_stacks(collector: FileCollector, given: Any) -> list[Stack]:
    """What a collector made of its files."""
    stacks = items(f"collector {collector.name}", given)
    for stack in stacks:
        if not isinstance(stack, Stack):
            raise BadPlugin(f"collector {collector.name} gave {_named(stack)}, not a Stack")
    return stacks


def checked_text(made: Format, given: Any) -> str:
    """What a format rendered."""
    if not isinstance(given, str):
        raise BadPlugin(f"format {made.name} gave {_named(given)}, not a text")
    return given


@dataclass(slots=True)
class Progress:
    """Which object a rule judges next: after one on which it raises, the one behind, so that it is not tried again."""

    next: int = 0


def judge_on(rule: Rule, cases: Sequence[Case], progress: Progress, found: list[tuple[Case, Verdict]]) -> bool:
    """Judge from where `progress` stands, and put what the rule yields into `found`; of a case on which it raises, nothing."""
    call, index = rule.call, progress.next - 1
    try:
        for index in range(progress.next, len(cases)):
            case = cases[index]
            given = call(case.target, case.scan)
            if given is None:
                raise BadPlugin("it returned None; a rule yields verdicts, or nothing at all")
            made = list(given)
            if not made:
                continue
            for one in made:
                if not isinstance(one, Verdict):
                    raise BadPlugin(f"it gave {_named(one)}, not a verdict: use fail(), unknown() or passed()")
                if one.status is not Status.PASS:
                    _fits(one, "a verdict")
            found += [(case, one) for one in made]
    finally:
        progress.next = index + 1
    return True


def _fits(record: Any, what: str) -> None:
    for name, classes, allowed, deep in _fields(record.__class__):
        value = getattr(record, name)
        if type(value) not in classes and not isinstance(value, allowed):
            raise BadPlugin(f"{what}: {name} is {_named(value)}")
        if deep and value:
            for part in value if type(value) is tuple else (value,):
                _part(part, record, name, what)


def _part(part: Any, record: Any, name: str, what: str) -> None:
    wanted = _item_type(record.__class__, name)
    if wanted is not None and not isinstance(part, wanted):
        raise BadPlugin(f"{what}: {name} holds {_named(part)}")
    if type(part) in RECORDS:
        _fits(part, f"{what}: {name}")


@cache
def _fields(record: type) -> tuple[Field, ...]:
    """Each field: its name, the classes it names, what `isinstance` takes for it, whether it has parts to look at."""
    hints = _hints(record)
    return tuple(
        (name, _classes(hint), _plain(hint), _has_parts(hint)) for name, hint in hints.items() if hint is not Any
    )


def _classes(hint: Any) -> frozenset[type]:
    """The classes that an annotation names by themselves."""
    kinds = typing.get_args(hint) if isinstance(hint, types.UnionType) else (_plain(hint),)
    return frozenset(kind for kind in kinds if isinstance(kind, type))


def _hints(record: type) -> Mapping[str, Any]:
    return typing.get_type_hints(record, localns={})  # a field called `type` does not hide the type


def _plain(hint: Any) -> Any:
    return hint if isinstance(hint, types.UnionType) else typing.get_origin(hint) or hint


def _has_parts(hint: Any) -> bool:
    kinds = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    return any(kind in RECORDS or typing.get_origin(kind) is tuple for kind in kinds)


@cache
def _item_type(record: type, name: str) -> Any:
    hint = _hints(record)[name]
    return typing.get_args(hint)[0] if typing.get_origin(hint) is tuple else None


def _named(given: Any) -> str:
    return "None" if given is None else f"a value of type {type(given).__name__}"
