"""What a Dockerfile says of the image that it builds: base, user, entrypoint, ports and variables of the stage that is built."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from llmscan.collect.compose_interpolation import Interpolated, gap_of, interpolate, is_known
from llmscan.model import Image, Origin, Port, Setting, Value, Word, parse_image
from llmscan.places import Place
from llmscan.records import Record, replace

INSTRUCTION = re.compile(r"[ \t]*(?P<word>[A-Za-z]+)[ \t]+(?P<rest>.*)", re.DOTALL)
FLAG = re.compile(r"--\w[\w-]*=\S+[ \t]+")
HEREDOC = re.compile(r"<<-?[\"']?(\w+)[\"']?")
ESCAPE = re.compile(r"#[ \t]*escape[ \t]*=[ \t]*(\S)", re.IGNORECASE)
NUMBER = re.compile(r"[0-9]{1,5}\Z")
MAX_STAGES = 100


class Instruction(NamedTuple):
    """One instruction with its continuation lines joined."""

    word: str
    rest: str
    place: Place


class Built(Record, frozen=True):
    """What the stage that is built leaves in its image. None and empty where it says nothing."""

    base: Image | None = None
    user: Value[str] | None = None
    entrypoint: tuple[Word, ...] | None = None
    command: tuple[Word, ...] | None = None
    ports: tuple[Port, ...] = ()
    env: Mapping[str, Setting] | None = None


def read_dockerfile(
    text: str, path: str, arguments: Mapping[str, str], target: str = "", lines_before: int = 0
) -> Built:
    """What the stage `target`, or the last, leaves in its image; `arguments` are the build's `args`.

    lines_before: where the text stands within the file `path`.
    """
    stages = _Stages(arguments)
    for one in _instructions(text, path, lines_before):
        if one.word == "FROM" and ((target and target.lower() in stages.named) or stages.count > MAX_STAGES):
            break
        stages.take(one)
    return stages.named.get(target.lower(), stages.current)


class _Stages:
    """The stages of a Dockerfile, read one instruction after the other."""

    def __init__(self, arguments: Mapping[str, str]) -> None:
        self.arguments = arguments
        self.named: dict[str, Built] = {}
        """What each stage has come to, by name and by number."""
        self.current = Built()
        self.count = 0
        self._names: tuple[str, ...] = ()
        self._defaults: dict[str, str] = {}
        self._known: dict[str, str] = self._defaults

    def take(self, one: Instruction) -> None:
        if one.word == "ARG":
            self._known.update(_argument(one.rest, self.arguments, self._known))
            return
        if one.word == "FROM":
            self._known = dict(self._defaults)
            self.current, name = _from(one, self.named, self._defaults)
            self._names = (name.lower(), str(self.count)) if name else (str(self.count),)
            self.count += 1
        elif self.count:
            self.current = _applied(self.current, one, self._known)
        self.named.update(dict.fromkeys(self._names, self.current))


def _instructions(text: str, path: str, lines_before: int) -> Iterator[Instruction]:
    escape = "`" if (found := ESCAPE.match(text)) and found[1] == "`" else "\\"
    lines = text.splitlines()
    at = 0
    while at < len(lines):
        first = at
        body: list[str] = []
        while at < len(lines):
            line = lines[at].rstrip()
            at += 1
            if line.lstrip().startswith("#") or (body and not line):
                continue
            body.append(line.removesuffix(escape))
            if not line.endswith(escape):
                break
        joined = " ".join(body)
        if found := HEREDOC.search(joined):
            at = _after_heredoc(lines, at, found[1])
        if found := INSTRUCTION.match(joined):
            yield Instruction(
                found["word"].upper(),
                found["rest"].strip(),
                Place(path, lines_before + first + 1, 1, lines_before + at),
            )


def _after_heredoc(lines: list[str], at: int, word: str) -> int:
    for index in range(at, len(lines)):
        if lines[index].strip() == word:
            return index + 1
    return at


def _argument(rest: str, arguments: Mapping[str, str], known: Mapping[str, str]) -> dict[str, str]:
    """The arguments that an ARG declares and that have a value."""
    found = {}
    for word in _split(rest):
        name, sign, default = word.partition("=")
        if name in arguments:
            found[name] = arguments[name]
        elif sign:
            found[name] = interpolate(default, known.get)
    return found


def _split(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()


def _from(one: Instruction, stages: Mapping[str, Built], defaults: Mapping[str, str]) -> tuple[Built, str]:
    words = interpolate(FLAG.sub("", one.rest), defaults.get)
    reference, *rest = words.split() or [""]
    name = rest[1] if len(rest) > 1 and rest[0].lower() == "as" else ""
    if reference.lower() in stages:
        return stages[reference.lower()], name
    gap = gap_of(words, one.place, "image") if "${" in reference else None
    image = parse_image(reference, one.place, gap=gap)
    return Built(base=replace(image, tag=None) if gap and image.tag and "${" in image.tag else image), name


def _applied(built: Built, one: Instruction, known: Mapping[str, str]) -> Built:
    if one.word == "USER":
        user = interpolate(one.rest, lambda name: _variable(name, built, known))
        known_user = None if isinstance(user, Interpolated) and not user.complete else str(user)
        return replace(built, user=Value(known_user, one.place, "image", gap_of(user, one.place)))
    if one.word == "ENTRYPOINT":
        return replace(built, entrypoint=_words(one), command=None)
    if one.word == "CMD":
        return replace(built, command=_words(one))
    if one.word == "EXPOSE":
        return replace(built, ports=(*built.ports, *_exposed(one)))
    if one.word == "ENV":
        return replace(built, env={**(built.env or {}), **_set(one, built, known)})
    return built


def _variable(name: str, built: Built, known: Mapping[str, str]) -> str | None:
    setting = (built.env or {}).get(name)
    return setting.value if setting is not None else known.get(name)


def _words(one: Instruction) -> tuple[Word, ...]:
    if one.rest.startswith("["):
        try:
            words = json.loads(one.rest)
        except ValueError:
            words = None
        if isinstance(words, list):
            return tuple(Word(str(word), one.place) for word in words)
    return tuple(Word(word, one.place) for word in ("/bin/sh", "-c", one.rest))


def _exposed(one: Instruction) -> Iterator[Port]:
    for word in one.rest.split():
        number, _, protocol = word.partition("/")
        if NUMBER.match(number):
            yield Port(int(number), protocol.lower() or "tcp", "", one.place)


def _set(one: Instruction, built: Built, known: Mapping[str, str]) -> dict[str, Setting]:
    """The variables that an ENV sets, in both its syntaxes."""
    words = _split(one.rest)
    old = bool(words) and "=" not in words[0]
    pairs = (
        [(words[0], one.rest.partition(" ")[2].strip())]
        if old
        else [(name, value) for name, sign, value in (word.partition("=") for word in words) if sign]
    )
    found = {}
    for name, written in pairs:
        value = interpolate(written, lambda key: _variable(key, built, known))
        seen = is_known(value)
        origin = Origin.IMAGE if seen else Origin.UNRESOLVED
        found[name] = Setting(name, str(value) if seen else None, one.place, origin, gap_of(value, one.place))
    return found
