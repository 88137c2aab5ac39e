"""Text from a target, made fit to be shown: it may hold escape sequences, line breaks or marks that turn its direction."""

from __future__ import annotations

import unicodedata


def printable(text: str) -> str:
    """`text` on one line, without control, format and bidirectional characters; a lone surrogate becomes U+FFFD."""
    if text.isprintable():
        return text
    return " ".join("".join(map(_shown, text)).split())


def printable_lines(text: str) -> list[str]:
    """The lines of `text`, each as `printable` gives it but with its indentation, without empty lines at both ends."""
    lines = [
        (line if line.isprintable() else "".join(map(_shown, line))).rstrip()
        for line in text.replace("\r\n", "\n").split("\n")
    ]
    while lines and not lines[0]:
        lines.pop(0)
    while lines and not lines[-1]:
        lines.pop()
    return lines


def _shown(character: str) -> str:
    if character.isprintable():
        return character
    if character.isspace():
        return " "
    return "\ufffd" if unicodedata.category(character) == "Cs" else ""
