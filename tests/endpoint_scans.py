"""Scans of endpoints through the command."""

from __future__ import annotations

import json
from typing import Any

from click.testing import CliRunner, Result

from llmscan.commands import group

Json = dict[str, Any]


def endpoint(*arguments: str, **more: Any) -> Result:
    """`llmscan endpoint`, as the command line runs it."""
    return CliRunner().invoke(group, ["endpoint", *arguments], **more)


def report(*arguments: str, **more: Any) -> Json:
    """The JSON report of a scan."""
    result = endpoint(*arguments, "--format", "json", **more)
    assert result.exit_code in (0, 1, 3), result.output
    document: Json = json.loads(result.stdout)
    return document


def observed(url: str, *arguments: str) -> Json:
    """What was seen of one endpoint."""
    (item,) = report(url, *arguments)["inventory"]
    (seen,) = item["observed"]
    return dict(seen)


def verdict(url: str, *arguments: str) -> tuple[str, str, str, str]:
    """Product (or, in words, why none), version, open or closed, CORS."""
    seen = observed(url, *arguments)
    return seen["product"] or seen["outcome"], seen["version"], seen["authentication"], seen["cors"]
