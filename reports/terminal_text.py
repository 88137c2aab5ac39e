"""Lines for a terminal: wrapped to its width, with or without colour."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from llmscan.findings import Severity
from llmscan.records import Record
from llmscan.reports.printable import printable

NARROWEST, WIDEST = 40, 120
"""Below, wrapping helps nobody; above, a line is hard to read."""

BOLD, DIM, RED, GREEN, YELLOW, CYAN = "1", "2", "31", "32", "33", "36"
SEVERITY_STYLES = {
    Severity.CRITICAL: f"{BOLD};{RED}",
    Severity.HIGH: RED,
    Severity.MEDIUM: YELLOW,
    Severity.LOW: CYAN,
    Severity.INFO: DIM,
}


class Pen(Record, frozen=True):
    """Writes lines of at most `width` columns; styles are SGR numbers, and dropped without `colour`."""

    width: int
    colour: bool

    def styled(self, text: str, style: str) -> str:
        """`text` in a style; an empty style leaves it as it is."""
        return f"\x1b[{style}m{text}\x1b[0m" if self.colour and style and text else text

    def wrapped(self, text: str, indent: int = 0, style: str = "") -> list[str]:
        """A text from anywhere, made printable, as indented lines."""
        return [" " * indent + self.styled(line, style) for line in self._lines(printable(text), indent)]

    def labelled(self, label: str, texts: Iterable[str], indent: int, gap: int, style: str = "") -> list[str]:
        """`label` in a column `gap` wide, and beside it each of `texts`, wrapped."""
        lines = [line for text in texts for line in self._lines(printable(text), indent + gap)]
        return [
            " " * indent + (self.styled(head, DIM) + " " * (gap - len(head))) + self.styled(line, style)
            for head, line in zip([label, *[""] * len(lines)], lines, strict=False)
        ]

    def heading(self, text: str) -> str:
        """The heading of a section."""
        return self.styled(text, BOLD)

    def _lines(self, text: str, indent: int) -> list[str]:
        """Paths and addresses stay in one piece, for they are copied: a long one reaches over the edge."""
        room = max(self.width - indent, 20)
        if 0 < len(text) <= room:
            return [text]
        return textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False)


def pen(width: int, colour: bool) -> Pen:
    """A pen for a terminal of that width, within what can be read."""
    return Pen(min(max(width, NARROWEST), WIDEST), colour)


def counted(number: int, one: str, many: str = "") -> str:
    """`1 file`, `2 files`; `many` where that is no plain plural."""
    return f"{number} {one if number == 1 else many or one + 's'}"
