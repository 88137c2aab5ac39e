"""What the scanning commands have in common: options, the run, the output, the exit code."""

from __future__ import annotations

import functools
import importlib
import os
import shutil
import sys
from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import click

from llmscan.collection import Collection
from llmscan.findings import Failure, Report, Severity, Status
from llmscan.formats import RenderOptions
from llmscan.host import Host, start
from llmscan.policy import DEFAULT_FILE, BadPolicy, Policy, read_baseline, read_policy
from llmscan.products import Catalogue, assumed_versions
from llmscan.records import Record, replace
from llmscan.redact import Secrets, redact
from llmscan.rule_view import Scan
from llmscan.rules import Option
from llmscan.scan import option_defaults, run

SEVERITIES = [str(severity) for severity in sorted(Severity, reverse=True)]
INCOMPLETE_GAPS = ("api", "remote", "environment", "config")


class LazyGroup(click.Group):
    """A group that imports the module of a command when that command is used."""

    def __init__(self, *args: Any, commands_in: Mapping[str, str], **more: Any) -> None:
        super().__init__(*args, **more)
        self.commands_in = commands_in

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of all commands."""
        return list(self.commands_in)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a name, imported now."""
        if cmd_name not in self.commands_in:
            return None
        module, _, name = self.commands_in[cmd_name].partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command


@functools.cache
def host() -> Host:
    """The plugins, loaded once for this run. What they print is no part of a report."""
    with redirect_stdout(sys.stderr):
        return start()


def scan_options(function: Callable[..., None]) -> Callable[..., None]:
    """The options of every scanning command, those that rules declare among them."""
    for option in reversed(_common()):
        function = option(function)
    taken = {parameter.name for parameter in getattr(function, "__click_params__", ())}
    for option in _declared(taken):
        function = option(function)
    return function


def _common() -> list[Callable[..., Any]]:
    return [
        click.option(
            "-o",
            "--output",
            "outputs",
            multiple=True,
            metavar="FILE",
            help="Write a report; its suffix chooses the format. May be repeated.",
        ),
        click.option(
            "--format",
            "format_name",
            metavar="NAME",
            help="Write this format to standard output, and nothing else: table, json, sarif, html.",
        ),
        click.option(
            "--fail-on",
            type=click.Choice([*SEVERITIES, "never"]),
            default="high",
            show_default=True,
            help="Exit 1 on a finding of this severity or above.",
        ),
        click.option("--strict", is_flag=True, help="Count what is unknown and what was not seen as well."),
        click.option(
            "--assume-version",
            multiple=True,
            metavar="PRODUCT=VERSION",
            help="Take this version where the image does not tell it.",
        ),
        click.option(
            "--policy", metavar="FILE", help=f"Waivers, each with its reason; by default {DEFAULT_FILE} here."
        ),
        click.option("--baseline", metavar="FILE", help="Set aside what an earlier JSON report holds."),
        click.option("-v", "--verbose", is_flag=True, help="Show every finding, and what was taken for what."),
        click.option("-q", "--quiet", is_flag=True, help="Print no report on the terminal."),
    ]


def _declared(taken: Container[str]) -> Iterator[Callable[..., Any]]:
    """The options of rules; one whose name a command has taken already cannot be given, and keeps its default."""
    options: dict[str, Option] = {o.name: o for rule in host().rules.values() for o in rule.options}
    for option in options.values():
        if option.name in taken:
            host().refuse(option.name, "a rule's option has the name of an option of llmscan; it keeps its default")
        else:
            yield click.option(
                "--" + option.name.replace("_", "-"),
                option.name,
                type=option.type,
                default=option.default,
                show_default=True,
                help=option.help,
            )


def finish(
    collect: Callable[[], Collection], given: dict[str, Any], probe: Callable[[Scan], Any] | None = None
) -> None:
    """Collect, scan, write the reports, and exit with the code that the design gives."""
    report = emit(make_report(collect, given, probe), given)
    sys.exit(exit_code(report, given))


def make_report(
    collect: Callable[[], Collection], given: dict[str, Any], probe: Callable[[Scan], Any] | None = None
) -> Report:
    """The redacted report of a scan."""
    plugins = host()
    try:
        assumed = assumed_versions(given.get("assume_version", ()))
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    _check_outputs(given)
    policy = _policy(given)
    catalogue = Catalogue(plugins.products.values(), assumed)
    options = option_defaults(plugins.rules.values())
    options |= {name: given[name] for name in options if given.get(name) is not None}
    secrets = Secrets(plugins.rules.values())
    with redirect_stdout(sys.stderr):
        collection = collect()
        report = run(collection, plugins, catalogue, options, probe, secrets)
    return policy.apply(redact(report, secrets))


def _policy(given: dict[str, Any]) -> Policy:
    """The policy that was named, or the one of the working directory; and the baseline."""
    path = given.get("policy") or (DEFAULT_FILE if Path(DEFAULT_FILE).is_file() else None)
    try:
        known = read_baseline(given["baseline"]) if given.get("baseline") else frozenset()
        return Policy(read_policy(path) if path else (), known)
    except BadPolicy as error:
        raise click.UsageError(str(error)) from None


def _check_outputs(given: dict[str, Any]) -> None:
    """Refuse an unknown format before the work, not after it."""
    if given.get("format_name") and given["format_name"] not in host().formats:
        raise click.UsageError(
            f"no format is called {given['format_name']!r}; there are {', '.join(sorted(host().formats))}"
        )
    for name in given.get("outputs", ()):
        _format_of(name)


def _format_of(name: str) -> str:
    for made in host().formats.values():
        if any(name.endswith(suffix) for suffix in made.suffixes):
            return made.name
    suffixes = ", ".join(suffix for made in host().formats.values() for suffix in made.suffixes)
    raise click.UsageError(f"the suffix of {name!r} stands for no format; there are {suffixes}")


class Output(Record, frozen=True):
    """A report that was asked for: in which format, how, and to which file ("": standard output)."""

    format: str
    options: RenderOptions
    file: str = ""


def emit(report: Report, given: dict[str, Any]) -> Report:
    """Write every report that was asked for. A format that fails is a failure in all the others; the report is returned with it."""
    wanted = list(_wanted(given))
    texts, report = _render(wanted, report)
    for output in wanted:
        text = texts.get(output.file)
        if text is None:
            print(f"no report was made as {output.format}: {_why(report, output.format)}", file=sys.stderr)
        elif output.file:
            _write(output.file, text)
        else:
            write(text)
    if not given.get("format_name") and not given.get("quiet"):
        for output in wanted:
            if texts.get(output.file) is not None and output.file:
                print(f"wrote {output.file}", file=sys.stderr)
    return report


def _wanted(given: dict[str, Any]) -> Iterator[Output]:
    verbose = bool(given.get("verbose"))
    for name in given.get("outputs", ()):
        yield Output(_format_of(name), RenderOptions(verbose=verbose), name)
    if given.get("format_name"):
        yield Output(given["format_name"], RenderOptions(width=terminal_width(), verbose=verbose))
    elif not given.get("quiet"):
        yield Output("table", RenderOptions(terminal_width(), terminal_colour(), verbose))


def _render(wanted: list[Output], report: Report) -> tuple[dict[str, str | None], Report]:
    """The texts by file, made again where a format failed, so that each of the others tells it."""
    plugins = host()
    before = len(plugins.failures)
    with redirect_stdout(sys.stderr):
        texts = {output.file: plugins.render(output.format, report, output.options) for output in wanted}
        failures = tuple(dict.fromkeys(plugins.failures[before:]))
        if failures:
            report = replace(report, failures=(*report.failures, *failures))
            sound = [output for output in wanted if texts[output.file] is not None]
            texts |= {output.file: plugins.render(output.format, report, output.options) for output in sound}
    return texts, report


def _why(report: Report, name: str) -> str:
    return next((f.reason for f in report.failures if f.kind == "format" and f.name == name), "it failed")


def _write(name: str, text: str) -> None:
    try:
        Path(name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise click.ClickException(f"cannot write {name}: {error.strerror}") from None


def write(text: str) -> None:
    """Write a whole text to standard output; a reader that has gone away, as `head` does, is no error."""
    try:
        sys.stdout.write(text if text.endswith("\n") else text + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def terminal_width() -> int:
    """The columns of the terminal, or 100 where there is none."""
    return min(shutil.get_terminal_size((100, 24)).columns, 160)


def terminal_colour() -> bool:
    """Whether standard output shows colour."""
    return sys.stdout.isatty() and "NO_COLOR" not in os.environ


def exit_code(report: Report, given: dict[str, Any]) -> int:
    """0, 1 or 3, as the design says; 1 wins over 3."""
    threshold = given.get("fail_on", "high")
    strict = bool(given.get("strict"))
    if threshold != "never":
        least = Severity[threshold.upper()]
        counted = [f for f in report.findings if f.status is Status.FAIL or strict]
        if any(finding.severity >= least for finding in counted):
            return 1
    if report.failures or nothing_scanned(report):
        return 3
    return 3 if strict and any(gap.kind in INCOMPLETE_GAPS for gap in report.coverage.gaps) else 0


def nothing_scanned(report: Report) -> bool:
    """Whether there was nothing to judge at all."""
    return report.coverage.workloads == 0 and report.coverage.objects == 0


def progress(text: str) -> None:
    """A line on standard error, on a terminal alone."""
    if sys.stderr.isatty():
        print(text, file=sys.stderr)


def empty(target: Any, failure: Failure) -> Collection:
    """A collection of nothing but a failure."""
    return Collection(target, failures=(failure,))
