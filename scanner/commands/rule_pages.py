"""Rules on a terminal: all of them as a table, and one of them in full."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from llmscan.commands.columns import Row, table
from llmscan.examples import Example, examples
from llmscan.reports.references import known_reference
from llmscan.reports.terminal_text import BOLD, DIM, GREEN, RED, SEVERITY_STYLES, Pen, counted
from llmscan.rules import Option, Rule

INDENT = 2
STYLES = {"-": RED, "+": GREEN, ".": DIM}


def rules_table(rules: Iterable[Rule], pen: Pen) -> str:
    """Every rule: id, severity, category, title."""
    rows = [
        Row((rule.id, str(rule.severity), rule.category, rule.title), (BOLD, SEVERITY_STYLES[rule.severity], "", ""))
        for rule in sorted(rules, key=lambda rule: rule.id)
    ]
    end = f"{counted(len(rows), 'rule')}. `llmscan rules ID` explains one."
    return "\n".join([*table(pen, ("ID", "SEVERITY", "CATEGORY", "TITLE"), rows), "", end])


def rule_page(rule: Rule, pen: Pen) -> str:
    """One rule in full."""
    return "\n".join(
        [*_head(rule, pen), *_options(rule.options, pen), *_references(rule.refs, pen), *_examples(rule, pen)]
    )


def _head(rule: Rule, pen: Pen) -> Iterator[str]:
    yield from pen.wrapped(f"{rule.id}  {rule.title}", style=BOLD)
    severity = pen.styled(str(rule.severity), SEVERITY_STYLES[rule.severity])
    yield f"{severity}, {rule.category}, judges each {rule.target.__name__.lower()}"
    for heading, text in (("Why", rule.why), ("Fix", rule.fix)):
        yield from ("", pen.heading(heading), *pen.wrapped(text, INDENT))


def _options(options: Iterable[Option], pen: Pen) -> Iterator[str]:
    for option in options:
        flag = f"--{option.name.replace('_', '-')} {option.type.__name__.upper()}"
        yield from (
            "",
            pen.heading(f"Option {flag}"),
            *pen.wrapped(f"{option.help} Default: {option.default}.", INDENT),
        )


def _references(refs: tuple[str, ...], pen: Pen) -> Iterator[str]:
    if not refs:
        return
    yield from ("", pen.heading("References"))
    width = max(len(ref) for ref in refs) + 2
    for ref in refs:
        known = known_reference(ref)
        yield from pen.labelled(ref, [f"{known.title} ({known.standard.title})" if known else "-"], INDENT, width)


def _examples(rule: Rule, pen: Pen) -> Iterator[str]:
    for example in examples().get(rule.id, ()):
        yield from ("", pen.heading(f"Example: {example.kind}"), *_example(example, pen))


def _example(example: Example, pen: Pen) -> Iterator[str]:
    """Never wrapped: it is a file."""
    for line in example.lines:
        yield " " * INDENT + pen.styled(line, STYLES.get(line[:1], ""))
