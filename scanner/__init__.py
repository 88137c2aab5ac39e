"""Find what is misconfigured in self-hosted language model deployments.

This is what a plugin author imports; everything else may change.
"""

from __future__ import annotations

from llmscan.decisions import Decision, decide
from llmscan.findings import Evidence, Related, Resource, Severity, Status, Verdict
from llmscan.formats import Format, RenderOptions
from llmscan.hookspecs import hookimpl
from llmscan.model import Container, Gap, Image, Origin, Reach, Setting, Stack, Value, Volume, Workload
from llmscan.places import Place
from llmscan.products import Running
from llmscan.reach import Endpoint, Way
from llmscan.rules import Option, Rule, fail, passed, rule, unknown
from llmscan.scan import Scan
from llmscan.settings import Found, Reading

__all__ = [
    "Container",
    "Decision",
    "Endpoint",
    "Evidence",
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
    "rule",
    "unknown",
]
