"""The variables that a project ships as its defaults, for the `.env` that is not in its repository.

A `default.env` is what a project's own tool makes `.env` from when nobody says otherwise, so what it sets is what runs. A
`.env.example` is not: it is there to be edited. Empty values are blanks to be filled in, and stay unknown.
"""

from __future__ import annotations

from llmscan.collect.compose_env import EnvEntry, parse_env
from llmscan.collect.compose_sources import Sources, join

NAMES = ("default.env", "defaults.env", ".env.default", ".env.defaults")
MAX_FOLDERS = 64
"""Folders below the project's own that are looked into."""


def shipped_defaults(directory: str, sources: Sources) -> tuple[str, tuple[EnvEntry, ...]] | None:
    """The one file of defaults in `directory` or a folder of it, and its entries; None where there is none, or several."""
    inner = [join(directory, name) for name in sources.folders(directory) if not name.startswith(".")]
    folders = (directory, *inner[:MAX_FOLDERS])
    found = [path for folder in folders for path in sources.those_inside(folder, NAMES)]
    text = sources.text(found[0]) if len(found) == 1 else None
    if text is None:
        return None
    entries = parse_env(text, found[0], lambda name: None)
    return found[0], tuple(entry for entry in entries if entry.value)
