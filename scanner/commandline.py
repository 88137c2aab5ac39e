"""The command lines that a container runs: shell scripts cut into commands, variables put in, flags looked up."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence

from llmscan.model import Container, Gap, Origin, Setting, Word
from llmscan.places import Place
from llmscan.records import Record

SHELLS = frozenset({"sh", "bash", "ash", "dash", "zsh"})
SEPARATORS = frozenset({"&&", "||", ";", "|", "&", ";;", "(", ")", "{", "}", "|&", "then", "do", "else"})
WRAPPERS = frozenset(
    {"exec", "nohup", "time", "command", "sudo", "tini", "dumb-init", "--", "-g", "-s", "gosu", "nice"}
)
VARIABLE = re.compile(
    r"\$\((?P<k8s>[A-Za-z_][A-Za-z0-9_.-]*)\)|\$\{(?P<braced>[A-Za-z_][A-Za-z0-9_]*)(?::?-(?P<default>[^{}]*))?\}|\$(?P<bare>[A-Za-z_]\w*)"
)
ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)=(.*)\Z", re.DOTALL)
CONTINUATION = re.compile(r"\\\r?\n")
MAX_SCRIPT = 65_536


class Flag(Record, frozen=True):
    """A flag found on a command line: its value ("true" for a bare switch), None where the value was not seen."""

    value: str | None
    place: Place | None
    origin: Origin = Origin.LITERAL
    gap: Gap | None = None


class Expanded(Record, frozen=True):
    """A word with its variables put in; `value` None where one of them was not seen."""

    raw: str
    value: str | None
    place: Place | None
    origin: Origin
    gap: Gap | None


Line = tuple[Expanded, ...]


class WrittenFlag(Record, frozen=True):
    """A word that begins with a dash, and its parts: `head` (as `alike` has it), `equals` ("" or "=") and `value`."""

    line: Line
    index: int
    text: str
    head: str
    equals: str
    value: str


def command_lines(container: Container, prefix: Sequence[str] = (), extra: Sequence[str] = ()) -> tuple[Line, ...]:
    """Each simple command that the container starts, its variables put in.

    prefix: the image's entrypoint, for a container that sets no command. extra: names of variables whose words the image's start script adds.
    """
    words = list(container.command) if container.command is not None else [Word(text) for text in prefix]
    if container.args is not None:
        words += container.args
    for name in extra:
        if (setting := container.env.get(name)) is not None:
            words += [Word(part, setting.place, setting.gap) for part in _split_words(setting.value or "")]
    if not words:
        return ()
    return tuple(tuple(_expand(word, container.env) for word in line) for line in _scripts(words) if line)


def _scripts(words: list[Word]) -> Iterator[list[Word]]:
    words = _unwrapped(words)
    script = _script_index(words)
    if script is None:
        yield words
        return
    yield from _script_lines(words[script], words[script + 1 :])


def _unwrapped(words: list[Word]) -> list[Word]:
    start = 0
    while start < len(words) - 1 and words[start].text.rpartition("/")[2] in WRAPPERS:
        start += 1
    return words[start:]


def _script_index(words: Sequence[Word]) -> int | None:
    """The index of the script in `sh -c SCRIPT`, or None."""
    if not words or words[0].text.rpartition("/")[2] not in SHELLS:
        return None
    for index, word in enumerate(words[1:], 1):
        if re.fullmatch(r"-[a-z]*c", word.text):
            return index + 1 if index + 1 < len(words) else None
        if not word.text.startswith(("-", "+")) and words[index - 1].text not in ("-o", "+o"):
            return None
    return None


def _script_lines(script: Word, arguments: Sequence[Word]) -> Iterator[list[Word]]:
    text = CONTINUATION.sub(" ", script.text[:MAX_SCRIPT])
    if arguments and re.search(r'"?\$@"?|\$\*', text):
        text += " " + " ".join(shlex.quote(word.text) for word in arguments[1:])
    for line in _logical_lines(text):
        for command in _simple_commands(line):
            words = _unwrapped([Word(part, script.place, script.gap if "$" in part else None) for part in command])
            nested = _script_index(words)
            if nested is not None:
                yield from _script_lines(words[nested], words[nested + 1 :])
            elif words:
                yield words


def _logical_lines(text: str) -> Iterator[str]:
    """Lines of a script, an open quote carrying on to the next line."""
    pending = ""
    for line in text.split("\n"):
        pending = f"{pending}\n{line}" if pending else line
        try:
            shlex.split(pending, comments=True)
        except ValueError:
            continue
        yield pending
        pending = ""
    if pending:
        yield from pending.split("\n")


def _simple_commands(line: str) -> Iterator[list[str]]:
    current: list[str] = []
    for token in _split_words(line, operators=True):
        if token in SEPARATORS:
            if current:
                yield current
            current = []
        elif current or not ASSIGNMENT.match(token):
            current.append(token.removesuffix(";"))
            if token.endswith(";"):
                yield current
                current = []
    if current:
        yield current


def _split_words(text: str, *, operators: bool = False) -> list[str]:
    try:
        lexer = shlex.shlex(text, posix=True, punctuation_chars=";&|()" if operators and "$(" not in text else False)
        lexer.whitespace_split = True
        lexer.commenters = "#"
        lexer.wordchars += "{}"
        return list(lexer)
    except ValueError:
        return text.split()


def expand(text: str, env: Mapping[str, Setting]) -> tuple[str | None, Origin, Gap | None]:
    """Put variables into `text` from the container's environment; the text is None where one was not seen."""
    if "$" not in text:
        return text, Origin.LITERAL, None
    origin, gap, unseen = Origin.LITERAL, None, False

    def put(match: re.Match[str]) -> str:
        nonlocal origin, gap, unseen
        name = match["k8s"] or match["braced"] or match["bare"]
        setting = env.get(name)
        if setting is None:
            return match["default"] if match["default"] is not None else match[0]
        if setting.value is None:
            unseen, origin, gap = True, setting.origin, setting.gap
            return ""
        return setting.value

    value = VARIABLE.sub(put, text)
    return (None if unseen else value), origin, gap


def _expand(word: Word, env: Mapping[str, Setting]) -> Expanded:
    if word.gap is not None:
        return Expanded(word.text, None, word.place, Origin.UNRESOLVED, word.gap)
    if "$" not in word.text:
        return Expanded(word.text, word.text, word.place, Origin.LITERAL, None)
    value, origin, gap = expand(word.text, env)
    return Expanded(word.text, value, word.place, origin, gap)


def line_text(line: Line) -> str:
    """The words of a command line joined by single spaces, unseen ones as written."""
    return " ".join(word.raw if word.value is None else word.value for word in line)


def written_flags(lines: Sequence[Line]) -> tuple[WrittenFlag, ...]:
    """The flags of some command lines, in order."""
    found: list[WrittenFlag] = []
    for line in lines:
        for index, word in enumerate(line):
            text = word.raw if word.value is None else word.value
            if text[:1] == "-":
                head, equals, value = text.partition("=")
                found.append(WrittenFlag(line, index, text, alike(head), equals, value))
    return tuple(found)


def find_flag(
    written: Sequence[WrittenFlag], names: Sequence[str], *, switch: bool = False, negative: str = ""
) -> Flag | None:
    """The last occurrence of a flag by any of its `names`, as `--name value`, `--name=value` or a bare switch."""
    if not written:
        return None
    found: Flag | None = None
    wanted = {alike(name) for name in names}
    unwanted = alike(negative)
    short = [name for name in names if len(name) == 2]
    for one in written:
        if negative and one.head == unwanted:
            found = Flag("false", one.line[one.index].place)
        elif one.head in wanted:
            found = _flag_value(one, switch)
        elif short:
            found = _attached(one, short) or found
    return found


def alike(flag: str) -> str:
    """A flag as it is compared: long flags are the same with `_` for `-`."""
    return flag.replace("_", "-") if flag.startswith("--") else flag


def _attached(written: WrittenFlag, names: Sequence[str]) -> Flag | None:
    """`-p8000`: a short flag of two letters with its value attached. Only for a digit, else too much would match."""
    for name in names:
        if written.text.startswith(name) and written.text[2:].isdigit():
            return Flag(written.text[2:], written.line[written.index].place)
    return None


def _flag_value(written: WrittenFlag, switch: bool) -> Flag:
    line, word = written.line, written.line[written.index]
    if written.equals:
        return Flag(None if word.value is None else _unquoted(written.value), word.place, word.origin, word.gap)
    following = line[written.index + 1] if written.index + 1 < len(line) else None
    if switch or following is None or re.match(r"--?[A-Za-z]", following.raw):
        return Flag("true", word.place)
    return Flag(_unquoted(following.value), following.place or word.place, following.origin, following.gap)


def _unquoted(value: str | None) -> str | None:
    """An empty value that was quoted once too often is still meant to be empty."""
    return "" if value in ("''", '""') else value


def arguments(line: Line, after: str = "") -> list[Expanded]:
    """The words of a line that are no flags, after the program or after the word `after`; a flag's value is not told apart."""
    words = list(line[1:]) if not after else []
    if after:
        for index, word in enumerate(line):
            if word.raw == after:
                words = list(line[index + 1 :])
                break
    result: list[Expanded] = []
    for word in words:
        if word.raw.startswith("-"):
            break
        result.append(word)
    return result
