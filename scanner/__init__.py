"""Find what is misconfigured in self-hosted language model deployments.

This is what a plugin author imports; everything else may change. Names are imported when they are first used, so that
`llmscan --version` reads nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llmscan.collectors import FileCollector
    from llmscan.decisions import Decision, decide
    from llmscan.findings import Evidence, Related, Report, Resource, Severity, Status, Verdict
    from llmscan.formats import Format, RenderOptions
    from llmscan.hookspecs import hookimpl
    from llmscan.model import Container, Gap, Image, Origin, Reach, Setting, Stack, Value, Volume, Workload
    from llmscan.places import Place
    from llmscan.products import Running
    from llmscan.reach import Endpoint, Way
    from llmscan.records import replace
    from llmscan.rule_view import Scan
    from llmscan.rules import Option, Rule, fail, passed, rule, unknown
    from llmscan.settings import Found, Reading

__all__ = [
    "Container",
    "Decision",
    "Endpoint",
    "Evidence",
    "FileCollector",
    "Format",
    "Found",
    "Gap",
    "Image",
    "Option",
    "Origin",
    "Place",
    "Reach",
    "Reading",
    "Related",
    "RenderOptions",
    "Report",
    "Resource",
    "Rule",
    "Running",
    "Scan",
    "Setting",
    "Severity",
    "Stack",
    "Status",
    "Value",
    "Verdict",
    "Volume",
    "Way",
    "Workload",
    "decide",
    "fail",
    "hookimpl",
    "passed",
    "replace",
    "rule",
    "unknown",
]

_HOMES = {
    "llmscan.collectors": ("FileCollector",),
    "llmscan.decisions": ("Decision", "decide"),
    "llmscan.findings": ("Evidence", "Related", "Report", "Resource", "Severity", "Status", "Verdict"),
    "llmscan.formats": ("Format", "RenderOptions"),
    "llmscan.hookspecs": ("hookimpl",),
    "llmscan.model": (
        "Container",
        "Gap",
        "Image",
        "Origin",
        "Reach",
        "Setting",
        "Stack",
        "Value",
        "Volume",
        "Workload",
    ),
    "llmscan.places": ("Place",),
    "llmscan.products": ("Running",),
    "llmscan.reach": ("Endpoint", "Way"),
    "llmscan.records": ("replace",),
    "llmscan.rules": ("Option", "Rule", "fail", "passed", "rule", "unknown"),
    "llmscan.rule_view": ("Scan",),
    "llmscan.settings": ("Found", "Reading"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'llmscan' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
