"""`llmscan rules`, `llmscan products`, `llmscan plugins`: what llmscan knows, and where it has it from."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, TypeVar

import click
from packaging.version import InvalidVersion, Version

from llmscan.commands.columns import Row, table
from llmscan.commands.shared import host, terminal_colour, terminal_width, write
from llmscan.examples import examples
from llmscan.host import Host, PluginNote
from llmscan.products import Product
from llmscan.reports.terminal_text import BOLD, RED, Pen, counted, pen
from llmscan.rules import Rule

T = TypeVar("T")
RULE_NUMBER = 3
format_option = click.option(
    "--format",
    "format_name",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="How to write it.",
)


@click.command("rules")
@click.argument("id", required=False)
@format_option
def rules(id: str | None, format_name: str) -> None:
    """List the rules, or explain the one called ID."""
    from llmscan.commands.rule_pages import rule_page, rules_table

    known = host().rules
    if id is None:
        _show(format_name, [_rule_facts(rule) for rule in _by_id(known)], lambda: rules_table(known.values(), _pen()))
    else:
        rule = _named(known, id.upper(), "rule")
        _show(format_name, _rule_facts(rule) | {"examples": _examples(rule)}, lambda: rule_page(rule, _pen()))


@click.command("products")
@click.argument("id", required=False)
@click.option("--at", "version", metavar="VERSION", help="Show only what holds for this version.")
@format_option
def products(id: str | None, version: str | None, format_name: str) -> None:
    """List the products of the catalogue, or explain the one called ID."""
    from llmscan.commands.product_pages import product_page, products_table

    known = host().products
    if id is None:
        _show(
            format_name,
            [_product_facts(product) for product in _by_id(known)],
            lambda: products_table(known.values(), _pen()),
        )
    else:
        product = _named(known, id.lower(), "product")
        chosen = _version(version)
        _show(format_name, product.facts, lambda: product_page(product, _pen(), chosen))


@click.command("plugins")
@format_option
def plugins(format_name: str) -> None:
    """List the plugins that were loaded, what each brings, and what went wrong. Exit code 3 if something did."""
    loaded = host()
    _show(format_name, _plugins_facts(loaded), lambda: _plugins_table(loaded, _pen()))
    sys.exit(3 if loaded.failures else 0)


def _pen() -> Pen:
    return pen(terminal_width(), terminal_colour())


def _show(format_name: str, facts: Any, text: Any) -> None:
    write(json.dumps(facts, indent=2, ensure_ascii=False) if format_name == "json" else text())


def _named(known: Mapping[str, T], id: str, what: str) -> T:
    if id in known:
        return known[id]
    near = get_close_matches(id, known, 3, 0.5)
    hint = f"; did you mean {' or '.join(near)}?" if near else f"; `llmscan {what}s` lists them"
    raise click.UsageError(f"no {what} is called {id!r}{hint}")


def _version(text: str | None) -> Version | None:
    try:
        return Version(text) if text else None
    except InvalidVersion:
        raise click.UsageError(f"{text!r} is no version") from None


def _by_id(known: Mapping[str, T]) -> list[T]:
    return [known[id] for id in sorted(known)]


def _rule_facts(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.id,
        "title": rule.title,
        "severity": str(rule.severity),
        "category": rule.category,
        "judges": rule.target.__name__.lower(),
        "why": rule.why,
        "fix": rule.fix,
        "refs": list(rule.refs),
        "options": [
            {"name": o.name, "type": o.type.__name__, "default": o.default, "help": o.help} for o in rule.options
        ],
    }


def _examples(rule: Rule) -> list[dict[str, Any]]:
    return [{"kind": example.kind, "lines": list(example.lines)} for example in examples().get(rule.id, ())]


def _product_facts(product: Product) -> dict[str, Any]:
    return {"id": product.id, "name": product.name, "category": product.category, "roles": list(product.roles)}


def _plugins_facts(loaded: Host) -> dict[str, Any]:
    return {
        "plugins": [
            {
                "name": note.name,
                "origin": note.origin,
                "rules": note.rules,
                "products": note.products,
                "formats": note.formats,
            }
            | {"collectors": note.collectors}
            for note in loaded.plugins
        ],
        "failures": [
            {"kind": failure.kind, "name": failure.name, "reason": failure.reason} for failure in loaded.failures
        ],
    }


def _plugins_table(loaded: Host, pen: Pen) -> str:
    rows = [Row((note.name, note.origin, _brings(note)), (BOLD, "", "")) for note in loaded.plugins]
    lines = table(pen, ("NAME", "FROM", "BRINGS"), rows)
    own = len(loaded.products) - sum(len(note.products) for note in loaded.plugins)
    lines += ["", f"{counted(len(rows), 'plugin')}; {counted(own, 'product')} of the catalogue come with llmscan."]
    if loaded.failures:
        lines += ["", pen.styled(counted(len(loaded.failures), "failure"), RED)]
    for failure in loaded.failures:
        lines += pen.wrapped(str(failure), 2)
    return "\n".join(lines)


def _brings(note: PluginNote) -> str:
    parts = [ranges(note.rules), *(_kind(kind, names) for kind, names in (
        ("format", note.formats), ("product", note.products), ("collector", note.collectors),
    ))]  # fmt: skip
    return "; ".join(part for part in parts if part) or "nothing"


def _kind(kind: str, names: Sequence[str]) -> str:
    return f"{kind}{'s' if len(names) > 1 else ''} {', '.join(names)}" if names else ""


def ranges(ids: Iterable[str]) -> str:
    """Rule ids, those that follow each other as one: `EXP001-EXP005, HST001`."""
    runs: list[list[str]] = []
    for id in sorted(ids):
        last = runs[-1][-1] if runs else ""
        if last[:-RULE_NUMBER] == id[:-RULE_NUMBER] and int(last[-RULE_NUMBER:]) + 1 == int(id[-RULE_NUMBER:]):
            runs[-1].append(id)
        else:
            runs.append([id])
    return ", ".join(run[0] if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)
