"""Render a chart with the engine of helm-python-sdk: run as a process of its own, which reads a job and prints the templates.

The job is JSON: `chart` (a folder), `name`, `values` (texts of values files, the later ones win), `sets` (`key=value` words).
The answer is `{"templates": {path: text}}` or `{"error": sentence}`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any


def main() -> None:
    """Read a job from the standard input, print its answer."""
    job = json.load(sys.stdin)
    json.dump(render(job["chart"], job["name"], job["values"], job["sets"]), sys.stdout)


def render(chart: str, name: str, values: Sequence[str], sets: Sequence[str]) -> Mapping[str, Any]:
    """The rendered templates of a chart, or the engine's own sentence."""
    import helm_python as engine

    try:
        chosen: dict[str, Any] = {}
        for text in values:
            lay_upon(chosen, engine.values_from_yaml(text))
        for word in sets:
            lay_upon(chosen, engine.parse_set_string(word))
        with engine.Chart.load(chart) as loaded:
            return {"templates": loaded.render(chosen, name=name, namespace="default")}
    except engine.HelmError as error:
        return {"error": str(error)}


def lay_upon(below: dict[str, Any], above: Mapping[str, Any]) -> None:
    """Merge values as helm does: mappings entry by entry, anything else as a whole."""
    for key, value in above.items():
        known = below.get(key)
        if isinstance(known, dict) and isinstance(value, dict):
            lay_upon(known, value)
        else:
            below[key] = value


if __name__ == "__main__":
    main()
