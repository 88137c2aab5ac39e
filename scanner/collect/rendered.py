"""What a tool made of a chart or a kustomization, as a stack, and what all of them bring to a scan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from llmscan.collect.delivery import take_delivered
from llmscan.collect.manifests import build_stack
from llmscan.collect.resources import DEFAULT_NAMESPACE, collect
from llmscan.findings import Failure
from llmscan.model import Gap, Stack
from llmscan.places import Place


@dataclass(slots=True)
class Rendered:
    """What the charts or the kustomizations of a tree brought.

    claimed: files that are judged through what was made of them, or that are no manifests of their own. files: how many were read.
    """

    stacks: list[Stack] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    claimed: set[str] = field(default_factory=set)
    objects: int = 0
    files: int = 0

    def take(self, unit: str, resources: Sequence[Any], place: Place, tool: str, gaps: Sequence[Gap] = ()) -> None:
        """Add the stack that rendered resources make up."""
        rest = list(resources)
        installed = take_delivered(rest)
        part = collect(rest, DEFAULT_NAMESPACE)
        stack = build_stack(unit, "files", part, place=place, gaps=tuple(gaps), rendered_by=tool)
        self.stacks.append(installed.added_to(stack))
        self.objects += len(resources)
