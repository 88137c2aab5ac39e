"""The hooks that a plugin may implement. A plugin is a module or object named by an entry point of the group `llmscan`.

Every hook returns values and changes nothing; llmscan loads each plugin by itself, checks what it returns when it registers, and reports
what is wrong with it as a named failure. Implement a hook with the marker:

    from llmscan import Severity, hookimpl, rule

    @hookimpl
    def llmscan_rules():
        return [my_rule]
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from llmscan.collectors import FileCollector
    from llmscan.formats import Format
    from llmscan.rules import Rule

hookspec = pluggy.HookspecMarker("llmscan")
hookimpl = pluggy.HookimplMarker("llmscan")


@hookspec
def llmscan_rules() -> Iterable[Rule]:  # type: ignore[empty-body]
    """The rules that this plugin brings: functions decorated with `llmscan.rule`. Ids must be new; a family shares one prefix."""


@hookspec
def llmscan_products() -> Iterable[Mapping[str, Any]]:  # type: ignore[empty-body]
    """Products for the catalogue, each a mapping as `docs/catalogue.md` describes (every scalar a text). Ids must be new."""


@hookspec
def llmscan_formats() -> Iterable[Format]:  # type: ignore[empty-body]
    """Formats for reports: `llmscan.Format` records, with a name, the file suffixes that stand for it, and a render function."""


@hookspec
def llmscan_collectors() -> Iterable[FileCollector]:  # type: ignore[empty-body]
    """File collectors: `llmscan.FileCollector` records, which claim files by their suffix and turn them into stacks."""
