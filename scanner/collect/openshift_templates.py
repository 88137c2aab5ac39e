"""The objects of an OpenShift Template, with the values that its parameters have unless somebody gives others."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from llmscan.collect.fields import as_text, items

PARAMETER = re.compile(r"\$\{(\w+)\}")
WHOLE = re.compile(r"\$\{\{(\w+)\}\}")


def is_template(tree: Any) -> bool:
    """Whether a document is an OpenShift Template."""
    return (
        isinstance(tree, dict)
        and tree.get("kind") == "Template"
        and isinstance(tree.get("objects"), list)
        and str(tree.get("apiVersion", "")) in ("v1", "template.openshift.io/v1")
    )


def objects_of(template: Mapping[str, Any]) -> Iterator[Any]:
    """Its objects, their parameters put in; one without a value (a generated password) stays as it is written."""
    values = {
        str(parameter.get("name")): as_text(parameter["value"])
        for parameter in items(template, "parameters")
        if isinstance(parameter, dict) and parameter.get("value") is not None
    }
    for item in items(template, "objects"):
        _put_in(item, values)
        yield item


def _put_in(node: Any, values: Mapping[str, str]) -> None:
    """Fill a tree in place, so that every value keeps its line."""
    for key, child in (
        list(node.items()) if isinstance(node, dict) else list(enumerate(node)) if isinstance(node, list) else ()
    ):
        if isinstance(child, dict | list):
            _put_in(child, values)
        elif isinstance(child, str) and "${" in child:
            node[key] = _filled(child, values)


def _filled(text: str, values: Mapping[str, str]) -> Any:
    whole = WHOLE.fullmatch(text)
    if whole is not None and whole[1] in values:
        try:
            return json.loads(values[whole[1]])
        except ValueError:
            return values[whole[1]]
    return PARAMETER.sub(lambda match: values.get(match[1], match[0]), text)
