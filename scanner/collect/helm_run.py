"""Render a staged chart with `helm` on PATH, or with the engine of helm-python-sdk, and say in safe words what went wrong."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from llmscan.collect.tool_runs import ToolRun, run_tool, tool, workspace
from llmscan.records import Record

SOURCE = re.compile(r"^---[ \t]*\n# Source: ([^\n]+)\n", re.MULTILINE)
DOCUMENT = re.compile(r"^---(?=[ \t\n]|$)", re.MULTILINE)
LOCATION = re.compile(r"\(?([\w.+-]+/(?:charts/[\w.+-]+/)*templates/[^\s:\"']+?\.\w+)(?::(\d+))?")
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]+")
HELP = "put `helm` on PATH, or run `pip install 'llmscan-suite[helm]'`"
LACKING = ('no template "', "nil pointer evaluating")
LONGEST = 400
SHORTEST_SECRET = 4


class Job(Record, frozen=True):
    """How a chart is rendered: the values files that were given (texts), `--set` words, names and versions."""

    release: str
    values: tuple[str, ...] = ()
    sets: tuple[str, ...] = ()
    kube_version: str = ""


class Rendering(Record, frozen=True):
    """What came out: (path as helm names it, text) of each document, or the sentence of what went wrong.

    line: the template and line that the sentence is about, as helm names them.
    """

    documents: tuple[tuple[str, str], ...] = ()
    problem: str = ""
    line: tuple[str, int] | None = None
    lacks: bool = False
    """A named template or a value is asked for that no chart at hand has."""


def engine() -> str:
    """What can render here: `helm`, `helm-python-sdk`, or ""."""
    if tool("helm"):
        return "helm"
    return "helm-python-sdk" if find_spec("helm_python") else ""


def render(chart: Path, job: Job, secrets: Iterable[Any] = ()) -> Rendering:
    """Render the chart in the folder `chart`. `secrets`: values of it, which no message may show."""
    helm = tool("helm")
    with workspace() as folder:
        run = _by_helm(helm, chart, job, folder) if helm else _by_sdk(chart, job, folder)
    if run.stopped:
        return Rendering(problem=f"it was stopped: {run.stopped}")
    if helm:
        return Rendering(tuple(split(run.output))) if run.worked else _problem(run.errors, chart, secrets)
    return _from_sdk(run, chart, secrets)


def _by_helm(helm: str, chart: Path, job: Job, folder: Path) -> ToolRun:
    command = [helm, "template", job.release, str(chart), "--skip-tests"]
    for index, text in enumerate(job.values):
        file = folder / f"values-{index}.yaml"
        file.write_text(text, "utf-8")
        command.append(f"--values={file}")
    command += [f"--set={word}" for word in job.sets]
    if job.kube_version:
        command.append(f"--kube-version={job.kube_version}")
    return run_tool(command, folder)


def _by_sdk(chart: Path, job: Job, folder: Path) -> ToolRun:
    words = {"chart": str(chart), "name": job.release, "values": job.values, "sets": job.sets}
    return run_tool([sys.executable, "-P", "-m", "llmscan.collect.helm_engine"], folder, json.dumps(words))


def split(output: str) -> Iterator[tuple[str, str]]:
    """The documents that `helm template` prints, each with the template that it says it is from."""
    marks = list(SOURCE.finditer(output))
    ends = [mark.start() for mark in marks[1:]] + [len(output)]
    for mark, end in zip(marks, ends, strict=False):
        yield mark[1].strip(), output[mark.end() : end]


def _from_sdk(run: ToolRun, chart: Path, secrets: Iterable[Any]) -> Rendering:
    try:
        answer = json.loads(run.output)
    except ValueError:
        return _problem(run.errors.strip().rpartition("\n")[2] or "the engine ended without an answer", chart, secrets)
    if "error" in answer:
        return _problem(answer["error"], chart, secrets)
    return Rendering(tuple(_sdk_documents(answer["templates"])))


def _sdk_documents(templates: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for path, text in sorted(templates.items()):
        if not path.endswith(".txt"):
            for part in DOCUMENT.split(text):
                if part.strip():
                    yield path, part.lstrip("\n")


def _problem(errors: str, chart: Path, secrets: Iterable[Any]) -> Rendering:
    """helm's own sentence: without control characters, folders of this machine, or anything that the values hold."""
    text = errors.partition("Error: ")[2] or errors
    text = " ".join(CONTROL.sub(" ", text.replace(f"{chart}/", "").replace(str(chart), "the chart")).split())
    match = LOCATION.search(text)
    at = (match[1], int(match[2] or 1)) if match else None
    text = _masked(text.removesuffix("Use --debug flag to render out invalid YAML").strip(), secrets)
    shown = text if len(text) <= LONGEST else text[:LONGEST] + "…"
    problem = f"helm says: {shown}" if shown else "helm failed without a word"
    return Rendering(problem=problem, line=at, lacks=any(sign in text for sign in LACKING))


def _masked(text: str, secrets: Iterable[Any]) -> str:
    """`text` without the values; a word that stands in a path stays, since it names a file."""
    for secret in sorted(
        {str(s) for s in secrets if isinstance(s, str) and len(s) >= SHORTEST_SECRET}, key=len, reverse=True
    ):
        text = re.sub(rf"(?<![\w./-]){re.escape(secret)}(?![\w/-])", "***", text)
    return text


def scalars(tree: Any) -> Iterator[Any]:
    """Every scalar of a tree."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            waiting += node.values()
        elif isinstance(node, Sequence) and not isinstance(node, str):
            waiting += node
        else:
            yield node
