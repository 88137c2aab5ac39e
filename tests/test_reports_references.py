"""The table of references: all of it belongs to a standard, and all that built-in rules refer to is in it."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

from llmscan.host import BUILTIN_RULES
from llmscan.reports.references import known_reference, titles


def test_every_reference_of_the_table_belongs_to_a_standard() -> None:
    """Each id matches the pattern of a standard and has a title and a page."""
    for id in titles():
        known = known_reference(id)
        assert known and known.title and known.url.startswith("https://"), id


@pytest.mark.parametrize("name", BUILTIN_RULES)
def test_what_built_in_rules_refer_to_has_a_title(name: str) -> None:
    """A reader of a report learns what each reference of a rule stands for; a new one needs a line in reports/references.tsv."""
    plugin: Any = importlib.import_module(f"llmscan.plugins.{name}")
    unknown = [f"{rule.id}: {ref}" for rule in plugin.llmscan_rules() for ref in rule.refs if not known_reference(ref)]
    assert unknown == []
