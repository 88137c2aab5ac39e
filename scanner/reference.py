"""Write what is generated from rules and fixtures: `docs/rules.md` and `plugins/examples.json`.

`python -m llmscan.reference`, from the project's folder. A test says when they are out of date.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from pathlib import Path

from llmscan.examples import Example, cut
from llmscan.host import start
from llmscan.reports.references import known_reference
from llmscan.rules import Rule

INTRODUCTION = """# Rules

Every rule of llmscan, by category. This page is generated from the rules themselves and from their fixtures by `python -m llmscan.reference`.
In the examples, lines with `-` make the mistake, and lines with `+` mend it.
"""


def main() -> None:
    """Write the files into the working directory."""
    for path, text in generated(Path()).items():
        path.write_text(text, encoding="utf-8")
        print(f"wrote {path}")


def generated(root: Path) -> dict[Path, str]:
    """The text of each generated file of the project in `root`."""
    rules = sorted(start(third_parties=False).rules.values(), key=lambda rule: rule.id)
    shown = {rule.id: tuple(cut(root / "fixtures" / rule.id)) for rule in rules}
    return {
        root / "docs" / "rules.md": page(rules, shown),
        root / "plugins" / "examples.json": packed(shown),
    }


def packed(examples: Mapping[str, Iterable[Example]]) -> str:
    """The examples as they are shipped."""
    plain = {rule: {example.kind: example.lines for example in shown} for rule, shown in examples.items() if shown}
    return json.dumps(plain, indent=1, ensure_ascii=False) + "\n"


def page(rules: Iterable[Rule], examples: Mapping[str, Iterable[Example]]) -> str:
    """The reference of rules, in Markdown."""
    by_category = sorted(rules, key=lambda rule: (rule.category, rule.id))
    parts = [INTRODUCTION, *contents(by_category)]
    for category, group in groupby(by_category, key=lambda rule: rule.category):
        parts.append(f"\n## {category}\n")
        parts += [section(rule, examples.get(rule.id, ())) for rule in group]
    return "\n".join(parts)


def contents(rules: Iterable[Rule]) -> Iterator[str]:
    """A table of all rules."""
    yield "| rule | severity | category | title |"
    yield "| --- | --- | --- | --- |"
    for rule in rules:
        yield f"| [{rule.id}](#{anchor(rule)}) | {rule.severity} | {rule.category} | {rule.title} |"


def anchor(rule: Rule) -> str:
    """The fragment that GitHub gives to the heading of a rule."""
    heading = f"{rule.id} {rule.title}".lower()
    return "".join("-" if letter == " " else letter for letter in heading if letter.isalnum() or letter in " -_")


def section(rule: Rule, examples: Iterable[Example]) -> str:
    """What there is to say of one rule."""
    lines = [
        f"### {rule.id} {rule.title}",
        "",
        f"Severity {rule.severity}, category {rule.category}.",
        "",
        rule.why,
        "",
        f"**Fix.** {rule.fix}",
        "",
    ]
    for option in rule.options:
        lines += [f"`--{option.name.replace('_', '-')}` (default {option.default}): {option.help}", ""]
    lines += [f"References: {', '.join(reference(ref) for ref in rule.refs)}.", ""]
    for example in examples:
        lines += [f"{example.kind}:", "", "```diff", *example.lines, "```", ""]
    return "\n".join(lines)


def reference(text: str) -> str:
    """A reference as a link with its title."""
    known = known_reference(text)
    return f"[{text}]({known.url}) {known.title}" if known else text


if __name__ == "__main__":
    main()
