"""The schema of the catalogue (docs/catalogue.md), checked for every product that a plugin brings and, in a test, for every built-in one."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from packaging.version import InvalidVersion, Version

from llmscan.products import BadProduct, Product

Check = Callable[[Any, str], Iterable[str]]
CATEGORIES = frozenset(
    {
        "inference-server", "gateway", "ui", "agent-platform", "vector-store", "data-store", "ml-platform", "serving-platform", "notebook",
        "observability", "log-collector", "log-store", "auth-proxy", "proxy", "management-tool", "base-image", "operator", "tool-server",
    }
)  # fmt: skip
ROLES = frozenset(
    {
        "serves-models", "stores-vectors", "stores-data", "runs-code", "collects-logs", "stores-logs", "authenticates-callers", "proxies",
        "manages-infrastructure",
    }
)  # fmt: skip
PORT_ROLES = frozenset({"inference", "management", "debug", "data", "web", "metrics", "cluster"})
ANSWERS: Mapping[str, frozenset[str]] = {
    "authentication": frozenset({"open", "required", "application", "first-visitor"}),
    "registration": frozenset({"open", "closed"}),
    "cors": frozenset(
        {"any", "any-with-credentials", "reflected", "reflected-with-credentials", "null", "listed", "none"}
    ),
    "access_log": frozenset({"on", "off"}),
    "audit_log": frozenset({"on", "off"}),
    "request_content_logged": frozenset({"on", "off"}),
    "listens": frozenset({"all", "loopback"}),
}
TESTS = frozenset({"matches", "contains", "lacks"})
CLAUSE = frozenset({"when", "since", "before", "then", "say", "fix", "source"})


def check(product: Product) -> None:
    """Raise `BadProduct` with every way in which a product does not fit the schema."""
    problems = list(_product(product))
    if problems:
        raise BadProduct(f"{product.id}: " + "; ".join(problems))


def _product(product: Product) -> Iterable[str]:
    facts = product.facts
    yield from _keys(
        facts, HEAD.keys() | {f"{block}_fix" for block in ANSWERS}, {"id", "name", "category", "sources"}, ""
    )
    if facts.get("id") != product.id:
        yield f"id {facts.get('id')!r} is not the file's name"
    for key, inspect in HEAD.items():
        if key in facts:
            yield from inspect(facts[key], key)
    for block in ANSWERS:
        if f"{block}_fix" in facts:
            yield from _text_or_texts(facts[f"{block}_fix"], f"{block}_fix")
    yield from _references(facts)


def _keys(node: Any, allowed: Iterable[str], needed: Iterable[str], where: str) -> Iterable[str]:
    if not isinstance(node, Mapping):
        yield f"{where or 'the file'} is not a mapping"
        return
    prefix = f"{where}: " if where else ""
    yield from (f"{prefix}unknown key {key!r}" for key in node if key not in set(allowed))
    yield from (f"{prefix}{key} is missing" for key in needed if key not in node)


def _text(node: Any, where: str) -> Iterable[str]:
    if not isinstance(node, str):
        yield f"{where} is not a text"


def _texts(node: Any, where: str) -> Iterable[str]:
    if not isinstance(node, list) or not all(isinstance(item, str) for item in node):
        yield f"{where} is not a list of texts"


def _text_or_texts(node: Any, where: str) -> Iterable[str]:
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield from _text(value, f"{where}.{key}")
    else:
        yield from _text(node, where)


def _text_map(node: Any, where: str) -> Iterable[str]:
    if not isinstance(node, Mapping) or not all(isinstance(value, str) for value in node.values()):
        yield f"{where} is not a mapping of texts"


def _one_of(words: Iterable[str]) -> Check:
    def inspect(node: Any, where: str) -> Iterable[str]:
        if node not in set(words):
            yield f"{where} is {node!r}, none of {', '.join(sorted(words))}"

    return inspect


def _list_of(each: Check) -> Check:
    def inspect(node: Any, where: str) -> Iterable[str]:
        if not isinstance(node, list):
            yield f"{where} is not a list"
            return
        for index, item in enumerate(node):
            yield from each(item, f"{where}[{index}]")

    return inspect


def _mapping_of(each: Check) -> Check:
    def inspect(node: Any, where: str) -> Iterable[str]:
        if not isinstance(node, Mapping):
            yield f"{where} is not a mapping"
            return
        for key, item in node.items():
            yield from each(item, f"{where}.{key}")

    return inspect


def _record(fields: Mapping[str, Check], needed: Iterable[str] = ()) -> Check:
    def inspect(node: Any, where: str) -> Iterable[str]:
        yield from _keys(node, fields, needed, where)
        if isinstance(node, Mapping):
            for key, value in node.items():
                if key in fields:
                    yield from fields[key](value, f"{where}.{key}")

    return inspect


def _pattern(node: Any, where: str) -> Iterable[str]:
    try:
        re.compile(node)
    except (re.error, TypeError):
        yield f"{where} is no regular expression"


def _version_pattern(node: Any, where: str) -> Iterable[str]:
    problems = list(_pattern(node, where))
    if not problems and not re.compile(node).groups:
        problems = [f"{where} has no group for the version"]
    return problems


def _index(node: Any, where: str) -> Iterable[str]:
    if not isinstance(node, str) or not node.isdigit():
        yield f"{where} is no number"


def _version(node: Any, where: str) -> Iterable[str]:
    try:
        Version(node)
    except (InvalidVersion, TypeError):
        yield f"{where} is no version"


def _anything(node: Any, where: str) -> Iterable[str]:
    return ()


def _image_version(node: Any, where: str) -> Iterable[str]:
    return () if node == "none" else _version_pattern(node, where)


def _image(node: Any, where: str) -> Iterable[str]:
    if isinstance(node, str):
        yield from _pattern(node, where)
    else:
        fields = {
            "pattern": _pattern,
            "version": _image_version,
            "identifies": _one_of({"weak"}),
            "tags": _pattern,
            "source": _text,
        }
        yield from _record(fields, ["pattern"])(node, where)


def _command(node: Any, where: str) -> Iterable[str]:
    if isinstance(node, str):
        yield from _pattern(node, where)
    else:
        yield from _record({"pattern": _pattern, "identifies": _one_of({"weak"}), "source": _text}, ["pattern"])(
            node, where
        )


def _source(node: Any, where: str) -> Iterable[str]:
    fields: Mapping[str, Check] = {
        "env": _text, "flag": _text, "config": _text, "field": _text, "argument": _index, "aliases": _texts, "switch": _one_of({"true"}),
        "negative": _text, "files": _pattern, "after": _text,
    }  # fmt: skip
    yield from _record(fields)(node, where)
    if isinstance(node, Mapping) and len({"env", "flag", "config", "field", "argument"} & node.keys()) != 1:
        yield f"{where} names not exactly one of env, flag, config, field, argument"


def _condition(node: Any, where: str) -> Iterable[str]:
    """A condition is a mapping of settings to tests, of `any`, `all` and `not` to conditions, or a list of conditions."""
    if isinstance(node, list):
        yield from _list_of(_condition)(node, where)
    elif not isinstance(node, Mapping):
        yield f"{where} is not a mapping"
    else:
        for key, test in node.items():
            if key in ("any", "all"):
                yield from _list_of(_condition)(test, f"{where}.{key}")
            elif key == "not":
                yield from _condition(test, f"{where}.{key}")
            elif isinstance(test, Mapping) and "matches" in test:
                yield from _pattern(test["matches"], f"{where}.{key}.matches")


def _clauses(block: str) -> Check:
    def one(node: Any, where: str) -> Iterable[str]:
        yield from _keys(node, CLAUSE, ["then"], where)
        if isinstance(node, Mapping):
            yield from _range(node, where)
            yield from _condition(node.get("when", {}), f"{where}.when")
            yield from _one_of(ANSWERS.get(block, {"on", "off"}))(node.get("then"), f"{where}.then")

    def inspect(node: Any, where: str) -> Iterable[str]:
        if isinstance(node, Mapping):
            for role, clauses in node.items():
                yield from _one_of(PORT_ROLES)(role, where)
                yield from _list_of(one)(clauses, f"{where}.{role}")
        else:
            yield from _list_of(one)(node, where)

    return inspect


def _range(node: Mapping[str, Any], where: str) -> Iterable[str]:
    for key in ("since", "before"):
        if key in node:
            yield from _version(node[key], f"{where}.{key}")


RANGED: Mapping[str, Check] = {
    "when": _condition,
    "since": _version,
    "before": _version,
    "source": _text,
    "say": _text,
    "fix": _text,
}
SETTING = _record(
    {"title": _text, "from": _list_of(_source), "public": _one_of({"true"}), "fold": _one_of({"true"}), "default": _text,
     "blank": _one_of({"unset"}), "source": _text, "note": _text},
    ["from"],
)  # fmt: skip
USER = _record(
    {"uid": _text, "name": _text, "drops_to": _text, "images": _pattern, "tags": _pattern, "since": _version, "before": _version, "source": _text}
)  # fmt: skip
PORT = _record(
    {
        "port": _text,
        "protocol": _text,
        "role": _one_of(PORT_ROLES),
        "from": _list_of(_source),
        "source": _text,
        "since": _version,
        "before": _version,
        "when": _condition,
    },
    ["port"],
)
EGRESS = _record(
    {"id": _text, "what": _text, "to": _text, "kind": _one_of({"telemetry", "update-check", "cloud-relay", "download", "callback"}),
     "decision": _clauses("egress"), "misspelt": _list_of(_record({"setting": _text, "not": _texts, **RANGED}, ["setting"])), "fix": _text,
     "source": _text, "say": _text},
    ["id", "what", "kind", "decision"],
)  # fmt: skip
JSON_MATCH = _record(
    {"path": _text, "status": _anything, "body": _pattern, "json": _text_map, "header": _text_map, "weight": _one_of({"strong", "weak", "hint"}),
     "version": _text, "port": _text, "source": _text, "since": _version, "before": _version, "method": _text, "content_type": _text},
    [],
)  # fmt: skip
PROBE = _record(
    {"path": _text, "open": JSON_MATCH, "closed": JSON_MATCH, "role": _text, "port": _text, "since": _version, "before": _version,
     "source": _text, "method": _text, "first_visitor": JSON_MATCH, "application": JSON_MATCH},
    ["path"],
)  # fmt: skip
HEAD: Mapping[str, Check] = {
    "id": _text,
    "name": _text,
    "category": _one_of(CATEGORIES),
    "roles": _list_of(_one_of(ROLES)),
    "verified": _record({"at": _text, "date": _text, "by": _one_of({"source", "documentation", "observation"}), "note": _text}),
    "sources": _text_map,
    "identify": _record(
        {"images": _list_of(_image), "commands": _list_of(_command), "clients": _list_of(_pattern), "kinds": _texts, "env": _texts, "unless": _texts,
         "version_fields": _texts, "version": _version_pattern,
         "first_version": _version, "source": _text}
    ),
    "image": _record({"user": _list_of(USER), "command": _texts, "env": _text_map, "source": _text}),
    "arguments_from": _texts,
    "fetches": _list_of(_pattern),
    "ports": _list_of(PORT),
    "settings": _mapping_of(SETTING),
    "uncovered": _list_of(_record({"routes": _texts, "role": _one_of(PORT_ROLES), **RANGED}, ["routes", "say"])),
    "misleading": _list_of(_record({"setting": _text, **RANGED}, ["setting", "say"])),
    "default_credentials": _list_of(_record({"setting": _text, "values": _texts, "sha256": _texts, **RANGED})),
    "egress": _list_of(EGRESS),
    "models": _list_of(_record({"id": _text, "model": _text, "revision": _text, **RANGED}, ["id", "say"])),
    "switches": _list_of(_record({"id": _text, "severity": _one_of({"high", "medium", "low"}), **RANGED}, ["id", "severity", "say"])),
    "retention": _record(
        {"settings": _list_of(_record({"setting": _text, "unit": _one_of({"days", "hours", "months", "go-duration", "ms"}), "when": _condition},
                                      ["setting"])), "default": _text, "say": _text, "source": _text, "when": _condition}
    ),
    "probes": _record(
        {"fingerprints": _list_of(JSON_MATCH), "version": _anything, "authentication": _list_of(PROBE), "registration": _list_of(PROBE),
         "cors": _record({"path": _text, "source": _text, "port": _text, "method": _text}),
         "never": _list_of(_pattern), "safe": _list_of(_pattern), "source": _text, "instead_of": _texts}
    ),
    **{block: _clauses(block) for block in ANSWERS},
}  # fmt: skip


def _references(facts: Mapping[str, Any]) -> Iterable[str]:
    """Settings that are named somewhere and defined nowhere, and tests that do not exist."""
    known = set(facts.get("settings", {})) if isinstance(facts.get("settings", {}), Mapping) else set()
    for where, name, test in _conditions(facts, ""):
        if name not in known:
            yield f"{where}: setting {name!r} is not defined"
        if isinstance(test, Mapping) and not set(test) <= TESTS:
            yield f"{where}: {name} has a test that is none of {', '.join(sorted(TESTS))}"


def _conditions(node: Any, where: str) -> Iterable[tuple[str, str, Any]]:
    if isinstance(node, list):
        for index, item in enumerate(node):
            yield from _conditions(item, f"{where}[{index}]")
    elif isinstance(node, Mapping):
        for key, value in node.items():
            here = f"{where}.{key}" if where else str(key)
            if key == "when":
                yield from _tests(value, here)
            elif key == "setting" or (key in ("model", "revision") and where.startswith("models")):
                yield here, value, "set"
            elif where != "settings":
                yield from _conditions(value, here)


def _tests(node: Any, where: str) -> Iterable[tuple[str, str, Any]]:
    if isinstance(node, list):
        for item in node:
            yield from _tests(item, where)
    elif isinstance(node, Mapping):
        for key, value in node.items():
            if key in ("any", "all", "not"):
                yield from _tests(value, where)
            else:
                yield where, key, value
