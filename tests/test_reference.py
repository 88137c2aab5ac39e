"""The generated reference: up to date, and whole."""

from __future__ import annotations

import re
from pathlib import Path

from llmscan.host import start
from llmscan.reference import generated

ROOT = Path(__file__).parent.parent


def test_what_is_generated_is_up_to_date() -> None:
    """`python -m llmscan.reference` would change nothing."""
    stale = [
        str(path)
        for path, text in generated(ROOT).items()
        if not path.is_file() or path.read_text(encoding="utf-8") != text
    ]
    assert stale == [], "run python -m llmscan.reference"


def test_every_rule_has_its_section_and_links_lead_to_it() -> None:
    """Each rule has a heading, and the table of contents links to the fragment that GitHub makes of it."""
    text = (ROOT / "docs" / "rules.md").read_text(encoding="utf-8")
    headings = re.findall(r"^### (.+)$", text, re.MULTILINE)
    assert sorted(heading.split()[0] for heading in headings) == sorted(start(third_parties=False).rules)
    fragments = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert set(re.findall(r"\]\(#([^)]+)\)", text)) == fragments
