"""Facts of the catalogue as sentences: conditions, version ranges, sources of settings, clauses of a decision."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from packaging.version import Version

Facts = Mapping[str, Any]
LONGEST_LIST = 6
MOST_SOURCES = 3
WORDS = {"set": "is set", "unset": "is not set", "present": "is given", "absent": "is not given"}
ANSWERS = {
    "open": "asks its callers for nothing",
    "required": "asks its callers for a credential",
    "application": "leaves it to the program inside",
    "first-visitor": "makes the first visitor its administrator",
    "closed": "lets nobody make an account",
    "any": "every web page may call it",
    "any-with-credentials": "every web page may call it with the visitor's cookies",
    "reflected": "it allows whatever origin asks",
    "reflected-with-credentials": "it allows whatever origin asks, cookies included",
    "null": "the null origin may call it",
    "listed": "only the origins that are listed",
    "none": "no origin",
    "on": "on",
    "off": "off",
    "all": "on every address",
    "loopback": "on loopback alone",
}
REGISTRATION = {"open": "lets every visitor make an account"}


def source_text(source: Facts) -> str:
    """Where a setting is given: `--api-key`, `VLLM_API_KEY`, `auth.enabled in its configuration`."""
    if "env" in source:
        return str(source["env"])
    if "flag" in source:
        return str(source["flag"])
    if "config" in source:
        return f"{source['config']} in its configuration"
    if "field" in source:
        return f"{source['field']} of the resource"
    return f"argument {int(source['argument']) + 1}"


def setting_text(name: str, settings: Facts) -> str:
    """A setting by what a deployment writes."""
    sources = list(dict.fromkeys(source_text(source) for source in settings.get(name, {}).get("from", ())))
    shown = sources[:MOST_SOURCES] + (["..."] if len(sources) > MOST_SOURCES else [])
    return " or ".join(shown) if shown else name


def is_switch(name: str, settings: Facts) -> bool:
    """Whether a setting is a flag without a value, and nothing else."""
    sources = settings.get(name, {}).get("from", ())
    return bool(sources) and all("switch" in source for source in sources)


def condition_text(when: Any, settings: Facts) -> str:
    """A condition as a clause: `--api-key or VLLM_API_KEY is set`."""
    if isinstance(when, list):
        return " and ".join(condition_text(item, settings) for item in when)
    parts = []
    for key, test in when.items():
        if key == "any":
            parts.append(" or ".join(condition_text(item, settings) for item in test))
        elif key == "all":
            parts.append(condition_text(list(test), settings))
        elif key == "not":
            parts.append(f"not ({condition_text(test, settings)})")
        else:
            verb = "is given" if test == "true" and is_switch(key, settings) else test_text(test)
            parts.append(f"{setting_text(key, settings)} {verb}")
    return " and ".join(parts)


def test_text(test: Any) -> str:
    """A test of a setting's value, as a verb."""
    if isinstance(test, Mapping):
        verbs = {"matches": "matches", "contains": "contains", "lacks": "does not contain"}
        return " and ".join(f"{verbs.get(kind, kind)} {argument}" for kind, argument in test.items())
    if isinstance(test, list):
        return f"is {choice_text([str(item) or 'empty' for item in test])}"
    return WORDS.get(test, f"is {test or 'empty'}")


def choice_text(words: Sequence[str]) -> str:
    """`a`, `a or b`, `a, b or c`; of many the first ones."""
    if len(words) > LONGEST_LIST:
        return ", ".join([*words[:LONGEST_LIST], "..."])
    return " or ".join(part for part in (", ".join(words[:-1]), words[-1]) if part)


def span_text(entry: Facts) -> str:
    """The versions for which an entry holds; empty: all."""
    since, before = entry.get("since"), entry.get("before")
    return " ".join(part for part in (f"from {since}" if since else "", f"before {before}" if before else "") if part)


def holds_at(entry: Facts, version: Version | None) -> bool:
    """Whether an entry holds for a version; for none in particular, all do."""
    if version is None:
        return True
    return not ("since" in entry and version < Version(entry["since"])) and not (
        "before" in entry and version >= Version(entry["before"])
    )


def at(entries: Iterable[Facts], version: Version | None) -> list[Facts]:
    """The entries that hold for a version."""
    return [entry for entry in entries if holds_at(entry, version)]


def circumstances(entry: Facts, settings: Facts) -> str:
    """When an entry holds: its versions and its condition; empty: always."""
    span = span_text(entry)
    when = condition_text(entry["when"], settings) if "when" in entry else ""
    return ", ".join(part for part in (span, f"when {when}" if when else "") if part)


def clause_text(clause: Facts, settings: Facts, *, last: bool, block: str) -> str:
    """A clause of a decision: when it holds, and the answer."""
    answer = str(clause.get("then", ""))
    known = ANSWERS | REGISTRATION if block == "registration" else ANSWERS
    said = str(clause.get("say") or known.get(answer, answer)).rstrip(".")
    when = circumstances(clause, settings)
    if not when:
        return f"{'otherwise' if last else 'always'}: {said}"
    return f"{when}: {said}"


def decision_text(clauses: Sequence[Facts], settings: Facts, version: Version | None, block: str = "") -> list[str]:
    """The clauses of a decision in order, the first that holds deciding."""
    held = at(clauses, version)
    return [clause_text(clause, settings, last=index > 0, block=block) for index, clause in enumerate(held)]
