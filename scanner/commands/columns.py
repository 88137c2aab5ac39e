"""Tables on a terminal: columns as wide as what is in them, the last one wrapped into the room that is left."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence

from llmscan.records import Record
from llmscan.reports.printable import printable
from llmscan.reports.terminal_text import DIM, Pen

GAP = "  "
NARROWEST_TEXT = 20


class Row(Record, frozen=True):
    """A row: a text for each column, and a style for each (see `Pen.styled`)."""

    cells: tuple[str, ...]
    styles: tuple[str, ...] = ()


def table(pen: Pen, heads: Sequence[str], rows: Iterable[Row]) -> list[str]:
    """The lines of a table."""
    every = [Row(tuple(heads), (DIM,) * len(heads)), *rows]
    widths = [max(len(row.cells[index]) for row in every) for index in range(len(heads) - 1)]
    room = max(pen.width - sum(widths) - len(GAP) * len(widths), NARROWEST_TEXT)
    return [line for row in every for line in _lines(pen, row, widths, room)]


def _lines(pen: Pen, row: Row, widths: Sequence[int], room: int) -> Iterator[str]:
    styles = row.styles or ("",) * len(row.cells)
    front = [
        pen.styled(printable(text), style) + " " * (width - len(text))
        for text, width, style in zip(row.cells, widths, styles, strict=False)
    ]
    blank = [" " * width for width in widths]
    texts = textwrap.wrap(printable(row.cells[-1]), room, break_on_hyphens=False) or [""]
    for index, text in enumerate(texts):
        yield GAP.join([*(blank if index else front), pen.styled(text, styles[-1])]).rstrip()
