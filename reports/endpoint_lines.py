"""What probes saw, a line for each endpoint: the address, the product, whom it lets in, and which web pages may call it."""

from __future__ import annotations

from collections.abc import Iterator

from llmscan.findings import ObservedNote, Report
from llmscan.reports.printable import printable
from llmscan.reports.terminal_text import DIM, Pen

NO_PRODUCT = "no known product"
WORDS = {
    "open": "open",
    "closed": "closed",
    "first-visitor": "open to its first visitor",
    "application": "its program decides",
}
PAGES = {
    "any": "any page may call it",
    "any-with-credentials": "any page may call it, credentials allowed",
    "reflected": "any page may call it",
    "reflected-with-credentials": "any page may call it with the visitor's credentials",
    "null": "sandboxed pages may call it",
    "listed": "listed pages may call it",
    "none": "no other page may call it",
}


def endpoint_lines(report: Report, writer: Pen) -> list[str]:
    """The section of observed endpoints; empty where none was asked."""
    notes = [note for item in report.inventory for note in item.observed]
    lines = [writer.heading("Endpoints")] if notes else []
    for note in notes:
        lines += writer.wrapped(printable(f"{note.url}  {'; '.join(_said(note, report))}"), 2)
        lines += writer.wrapped(printable(note.because), 4, DIM) if note.because else []
    return lines


def _said(note: ObservedNote, report: Report) -> Iterator[str]:
    if not note.product:
        yield f"unknown: {note.outcome}" if note.outcome != NO_PRODUCT else NO_PRODUCT
        return
    names = {product.id: product.name for item in report.inventory for product in item.products}
    name = names.get(note.product, note.product)
    yield f"{name} {note.version}" if note.version else f"{name}, version not told"
    yield WORDS.get(note.authentication, "open or closed: not told")
    yield PAGES.get(note.cors, "CORS: not told")
