"""Configuration made of directives and blocks in braces, as nginx and Caddy have it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from llmscan.model import ConfigFile

MAX_DEPTH = 40
"""Blocks deeper than this are left out: no configuration has them."""
NGINX_TOKEN = re.compile(
    r"""(?P<skip>[^\S\n]+|\n|\#[^\n]*)|(?P<quoted>"(?:[^"\\]|\\.)*+"?|'(?:[^'\\]|\\.)*+'?)|(?P<sign>[{};])"""
    r"""|(?P<word>(?:\$\{\w{1,64}\}|\\.|[^\s{};\\])+|.)""",
    re.DOTALL,
)
CADDY_TOKEN = re.compile(
    r"""(?P<skip>[^\S\n]+|\#[^\n]*)|(?P<end>\n)|(?P<quoted>"(?:[^"\\]|\\.)*+"?|`[^`]*+`?)|(?P<word>\S+)""", re.DOTALL
)


@dataclass(frozen=True)
class Block:
    """A directive: its words, where it stands, and what is in its braces (None: it has none)."""

    words: tuple[str, ...]
    file: ConfigFile
    line: int
    inner: list[Block] | None = None

    @property
    def name(self) -> str:
        return self.words[0] if self.words else ""


@dataclass
class _Growing:
    """A tree while it is read."""

    file: ConfigFile
    top: list[Block] = field(default_factory=list)
    open: list[list[Block]] = field(default_factory=list)
    depth: int = 0
    words: list[str] = field(default_factory=list)
    line: int = 1

    def word(self, text: str, line: int) -> None:
        if not self.words:
            self.line = line
        self.words.append(text)

    def end(self, inner: list[Block] | None = None, line: int = 0) -> None:
        if (self.words or inner is not None) and self.depth <= MAX_DEPTH:
            block = Block(tuple(self.words), self.file, self.line if self.words else line, inner)
            (self.open[-1] if self.open else self.top).append(block)
        self.words = []

    def enter(self, line: int) -> None:
        inner: list[Block] = []
        self.end(inner, line)
        self.depth += 1
        if self.depth <= MAX_DEPTH:
            self.open.append(inner)

    def leave(self) -> None:
        self.end()
        if self.depth and self.depth <= MAX_DEPTH:
            self.open.pop()
        self.depth = max(self.depth - 1, 0)


def nginx_blocks(file: ConfigFile, text: str) -> list[Block]:
    """The directives of a file of nginx."""
    tree, line = _Growing(file), 1
    for token in NGINX_TOKEN.finditer(text):
        kind, part = token.lastgroup, token[0]
        if kind == "quoted":
            tree.word(part[1:].removesuffix(part[0]), line)
        elif kind == "word":
            tree.word(part, line)
        elif part == ";":
            tree.end()
        elif part == "{":
            tree.enter(line)
        elif part == "}":
            tree.leave()
        line += part.count("\n")
    tree.end()
    return tree.top


def caddy_blocks(file: ConfigFile, text: str) -> list[Block]:
    """The directives of a Caddyfile: a line each; a brace opens a block at the end of a line and closes it on its own."""
    tree, line = _Growing(file), 1
    for token in CADDY_TOKEN.finditer(text):
        kind, part = token.lastgroup, token[0]
        if kind == "end":
            if not (tree.words and tree.words[-1].endswith(",")):
                tree.end()
        elif kind == "quoted":
            tree.word(part[1:].removesuffix(part[0]), line)
        elif part == "{":
            tree.enter(line)
        elif part == "}":
            tree.leave()
        elif kind == "word":
            tree.word(part, line)
        line += part.count("\n")
    tree.end()
    return tree.top


def within(blocks: Iterable[Block]) -> Iterator[Block]:
    """Every directive, at any depth."""
    for block in blocks:
        yield block
        if block.inner:
            yield from within(block.inner)
