"""A scan of files in one call, for the tests of plugins."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llmscan.collect.files import collect_files
from llmscan.findings import Report
from llmscan.host import start
from llmscan.products import Catalogue
from llmscan.redact import Secrets, redact
from llmscan.scan import option_defaults, run


def scan_files(
    *paths: str | Path, plugins: Mapping[str, Any] | None = None, options: Mapping[str, Any] | None = None
) -> Report:
    """What `llmscan files` reports of `paths` with the built-in plugins and `plugins`, and without those that are installed.

    plugins: modules or objects by name. options: values of options that rules declare, by name. What is wrong with a plugin is in the
    report's `failures`.
    """
    host = start((plugins or {}).items(), third_parties=False)
    rules = host.rules.values()
    secrets = Secrets(rules)
    collection = collect_files([str(path) for path in paths], host=host)
    chosen = option_defaults(rules) | dict(options or {})
    report = run(collection, host, Catalogue(host.products.values()), chosen, None, secrets)
    return redact(report, secrets)
