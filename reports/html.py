"""The HTML report: one file that asks for nothing over the network and runs nothing but its own script.

All text of a target is escaped by the template engine, whatever a template's name, and made printable first. Should either fail, the page's
content security policy allows only the style and the script whose hashes it carries.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from llmscan.findings import Report
from llmscan.formats import Format, RenderOptions
from llmscan.hookspecs import hookimpl
from llmscan.reports.finding_facts import line_of
from llmscan.reports.printable import printable

if TYPE_CHECKING:
    from jinja2 import Environment


@hookimpl
def llmscan_formats() -> list[Format]:
    """The format `html`."""
    return [Format("html", (".html", ".htm"), render, "one page for a browser, readable offline")]


def render(report: Report, options: RenderOptions) -> str:
    """The report as a page. It holds no time: the same scan gives the same page."""
    from markupsafe import Markup

    from llmscan.reports.html_page import page_of

    style, script = _asset("report.css"), _asset("report.js")
    template = _environment().get_template("report.html.j2")
    text = template.render(
        page=page_of(report),
        style=Markup(style),  # noqa: S704 (our own file)
        script=Markup(script),  # noqa: S704 (our own file)
        policy=_policy(style, script),
    )
    return text.rstrip() + "\n"


def _policy(style: str, script: str) -> str:
    """What the page may do: show its own style, run its own script, and nothing else."""
    allowed = {
        "default-src": "'none'",
        "style-src": f"'sha256-{_digest(style)}'",
        "script-src": f"'sha256-{_digest(script)}'",
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    return "; ".join(f"{directive} {source}" for directive, source in allowed.items())


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


@cache
def _asset(name: str) -> str:
    """A file of the templates, with the line ends that a browser hashes."""
    return files("llmscan.reports").joinpath("templates", name).read_text(encoding="utf-8").replace("\r\n", "\n")


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        loader=FunctionLoader(_asset),
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["line_of"] = line_of
    return environment


def _shown(value: Any) -> Any:
    """Everything that is put into the page as printable text; markup of the template itself is left as it is."""
    return value if hasattr(value, "__html__") else printable(str(value))
