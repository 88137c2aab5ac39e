"""Helm charts of a tree: each rendered with its values, and what came out placed in the templates that it came from."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from llmscan.collect.helm_chart import Chart, ChartTooLarge, Dependency, Staged, chart_folders, read_chart, stage
from llmscan.collect.helm_lines import template_lines
from llmscan.collect.helm_run import HELP, Job, Rendering, engine, render, scalars
from llmscan.collect.helm_values import Deciding, Layer, LineReferences, decided_by, defines_in, produces, references
from llmscan.collect.relocation import drop_differences, relocate
from llmscan.collect.rendered import Rendered
from llmscan.collect.resources import resources_in
from llmscan.collect.tool_runs import workspace
from llmscan.collect.tree import MAX_BYTES, FileTree
from llmscan.collect.yaml_tree import Unreadable, documents
from llmscan.findings import Failure
from llmscan.model import Gap
from llmscan.places import Place
from llmscan.records import Record

GENERATED = re.compile(
    r"\b(?:rand(?:Alpha|Num|AlphaNum|Ascii|Bytes|Int)|gen(?:CA|PrivateKey|Signed|SelfSigned)\w*|uuidv4|htpasswd|bcrypt|now|shuffle)\b"
)
RELEASE_LENGTH = 53
MOST_LEFT_OUT = 12
SKIPPED = re.compile(r"^kind:[ \t]*[\"']?CustomResourceDefinition", re.MULTILINE)
HOOK = "helm.sh/hook"


class ChartOptions(Record, frozen=True):
    """What the command line says of charts: values files, `key=value` words, the release's name, the version of Kubernetes."""

    values: tuple[str, ...] = ()
    sets: tuple[str, ...] = ()
    release_name: str = ""
    kube_version: str = ""


NO_OPTIONS = ChartOptions()


def load_charts(tree: FileTree, options: ChartOptions = NO_OPTIONS) -> Rendered:
    """Render every chart of the tree, those first that take in others; what was taken in is not rendered once more by itself."""
    result = Rendered()
    charts: list[Chart] = []
    for folder in chart_folders(tree):
        chart = read_chart(tree, folder)
        if isinstance(chart, Chart):
            charts.append(chart)
            result.claimed |= chart.owned(tree)
        elif chart is not None:
            result.failures.append(
                Failure("input", chart.place.path, f"a chart was not read: {chart.reason}", chart.place)
            )
            unread = Chart(folder, tree.absolute(chart.place.path).parent, "", library=True)
            result.claimed |= unread.owned(tree)
    given = _given(options, result) if charts else ()
    taken: set[str] = set()
    for chart in sorted(charts, key=lambda one: -len(one.dependencies)):
        if chart.library:
            result.notes.append(f"{chart.folder or '.'}: a library chart, which makes no objects of its own")
        elif chart.folder in taken:
            result.notes.append(f"{chart.folder}: a chart, rendered as a part of another")
        else:
            taken |= _Loader(tree, options, given, result).load(chart)
    return result


def _given(options: ChartOptions, result: Rendered) -> tuple[tuple[str, str], ...]:
    """The values files of the command line as (path, text); a missing one is a failure."""
    found: list[tuple[str, str]] = []
    for name in options.values:
        file = Path(name)
        try:
            if file.stat().st_size > MAX_BYTES:
                raise OSError(None, "too large")
            found.append((_shown(file), file.read_text("utf-8-sig")))
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            result.failures.append(Failure("input", name, f"the values file cannot be read: {reason}"))
    return tuple(found)


def _shown(file: Path) -> str:
    here, there = Path.cwd().resolve(), file.resolve()
    return there.relative_to(here).as_posix() if there.is_relative_to(here) else file.name


class Template(NamedTuple):
    """A template of the tree: its path there, its lines, and what each takes from the values."""

    path: str
    lines: list[str]
    references: list[LineReferences]
    deciding: Deciding


class _Loader:
    """Loads one chart."""

    def __init__(
        self, tree: FileTree, options: ChartOptions, given: Sequence[tuple[str, str]], result: Rendered
    ) -> None:
        self.tree, self.options, self.given, self.result = tree, options, given, result
        self.templates: dict[str, Template | None] = {}

    def load(self, chart: Chart) -> set[str]:
        """Render a chart into the result; which other charts it took in."""
        unit = chart.folder or "."
        if not engine():
            self._fail(
                unit, f"a chart, which was not read: nothing here renders charts; {HELP}", chart.called("Chart.yaml")
            )
            return set()
        with workspace() as folder:
            try:
                staged = stage(chart, self.tree, folder / "chart")
            except (ChartTooLarge, OSError) as error:
                why = "it holds more than 64 MB" if isinstance(error, ChartTooLarge) else "its files cannot be copied"
                self._fail(unit, f"a chart, which was not read: {why}", chart.called("Chart.yaml"))
                return set()
            values = self._values(chart, staged)
            rendering, again = self._render(chart, staged, values)
        if rendering.problem:
            self._rendering_failed(chart, staged, rendering)
            return set()
        self._take(chart, staged, values, rendering, again)
        return _parts(staged, rendering)

    def _fail(self, unit: str, reason: str, place: Place) -> None:
        self.result.failures.append(Failure("input", unit, reason, place))

    def _job(self, chart: Chart) -> Job:
        options = self.options
        release = options.release_name or chart.name[:RELEASE_LENGTH].lower().replace("_", "-").rstrip("-.")
        return Job(release, tuple(text for _, text in self.given), options.sets, options.kube_version)

    def _render(self, chart: Chart, staged: Staged, values: Mapping[str, Any]) -> tuple[Rendering, Rendering | None]:
        """Render, and once more where templates make values up: only what comes out twice alike is a fact."""
        job = self._job(chart)
        secrets = [word.partition("=")[2] for word in job.sets]
        for node in values.values():
            secrets += [s for s in scalars(node) if isinstance(s, str) and s not in staged.folders]
        rendering = _as_far_as_possible(staged, lambda: render(staged.path, job, secrets))
        makes_up = not rendering.problem and any(
            GENERATED.search(file.read_text("utf-8", errors="replace"))
            for file in staged.path.rglob("*")
            if file.suffix in (".yaml", ".yml", ".tpl", ".tgz") and file.is_file()
        )
        return rendering, render(staged.path, job, secrets) if makes_up else None

    def _values(self, chart: Chart, staged: Staged) -> dict[str, Any]:
        """The trees of all values files, by path; those of the command line first, the last of them strongest."""
        trees: dict[str, Any] = {}
        for path, text in reversed(self.given):
            trees[path] = _first(text, path)
        for folder in staged.folders.values():
            own = f"{folder}/values.yaml" if folder else "values.yaml"
            if own in self.tree and (found := self.tree.read(own)):
                trees[own] = _first(found, own)
        return trees

    def _rendering_failed(self, chart: Chart, staged: Staged, rendering: Rendering) -> None:
        place = chart.called("Chart.yaml")
        if rendering.line and (path := _in_tree(rendering.line[0], staged, self.tree)):
            last = len((self.tree.read(path) or "").splitlines()) or 1
            line = min(max(rendering.line[1], 1), last)
            place = Place(path, line, 1, line)
        left_out = f" (left out, since they are not in charts/: {_names(staged.missing)})" if staged.missing else ""
        self._fail(chart.folder or ".", f"the chart does not render: {rendering.problem}{left_out}", place)

    def _take(
        self, chart: Chart, staged: Staged, values: Mapping[str, Any], rendering: Rendering, again: Rendering | None
    ) -> None:
        places = _Templates(self.tree, staged, chart, values, self.given, self.options.sets)
        others = again.documents if again is not None and len(again.documents) == len(rendering.documents) else ()
        resources: list[Any] = []
        for index, (source, text) in enumerate(rendering.documents):
            if SKIPPED.search(text):
                continue
            for document in documents(text, source):
                if isinstance(document, Unreadable):
                    self._fail(
                        chart.folder or ".",
                        f"a rendered document does not parse: {document.reason}",
                        places.start(source),
                    )
                    continue
                if others:
                    drop_differences(document, next(iter(documents(others[index][1], source)), None))
                if not _is_test(document):
                    relocate(document, places.locator(source, text))
                    resources += resources_in(document)
        self._finish(chart, staged, resources, values, rendering)

    def _left_out(self, staged: Staged) -> Iterator[Gap]:
        for source in staged.left_out:
            if path := _in_tree(source, staged, self.tree):
                why = "was not rendered, since it takes templates or values of a chart that is not in charts/"
                yield Gap("file", path, why, "`helm dependency build`", Place(path, 1, 1, 1))

    def _finish(
        self, chart: Chart, staged: Staged, resources: Sequence[Any], values: Mapping[str, Any], rendering: Rendering
    ) -> None:
        unit = chart.folder or "."
        gaps = (*_missing_gaps(staged.missing, values, chart), *self._left_out(staged))
        if self.options.kube_version and engine() != "helm":
            why = "was not applied: helm-python-sdk renders for a version of its own"
            gaps += (Gap("version", f"--kube-version {self.options.kube_version}", why, "`helm` on PATH"),)
        self.result.take(unit, resources, chart.called("Chart.yaml"), "helm", gaps)
        self.result.files += len({source for source, _ in rendering.documents}) + len(values)
        release = self._job(chart).release
        self.result.notes.append(
            f"{unit}: a chart, rendered by {engine()} as release {release}: {len(resources)} Kubernetes objects"
        )


def _parts(staged: Staged, rendering: Rendering) -> set[str]:
    """The folders of other charts that objects were rendered from; what is switched off here may be deployed by itself."""
    used = {source.split("/templates/")[0] for source, _ in rendering.documents}
    return {folder for called, folder in staged.folders.items() if called in used and folder in staged.taken_in}


def _as_far_as_possible(staged: Staged, attempt: Callable[[], Rendering]) -> Rendering:
    """Render without the templates that call into a chart that is missing; with what helm said first where nothing is left."""
    first = rendering = attempt()
    while rendering.problem and staged.missing and len(staged.left_out) < MOST_LEFT_OUT:
        if not rendering.lacks or rendering.line is None or not staged.leave_out(rendering.line[0]):
            break
        rendering = attempt()
    if rendering.problem or not rendering.documents:
        return first
    return rendering


def _first(text: str, path: str) -> Any:
    found = next(iter(documents(text, path)), None)
    return None if isinstance(found, Unreadable) else found


def _names(missing: Sequence[Dependency]) -> str:
    return ", ".join(dict.fromkeys(one.shown for one in missing))


def _missing_gaps(missing: Sequence[Dependency], values: Mapping[str, Any], chart: Chart) -> Iterator[Gap]:
    """A gap for each dependency that is not there, unless the values switch it off."""
    trees = list(values.values())
    for one in {one.shown: one for one in missing}.values():
        if not _switched_off(one, trees):
            why = "is a dependency that is not in charts/ and was not fetched"
            yield Gap("remote", f"chart {one.shown}", why, f"`helm dependency build {chart.folder or '.'}`", one.place)


def _switched_off(one: Dependency, trees: Sequence[Any]) -> bool:
    for condition in one.condition.split(","):
        for tree in trees:
            node = tree
            for step in condition.strip().split("."):
                node = node.get(step) if isinstance(node, dict) else None
            if isinstance(node, bool):
                return not node
    return False


def _is_test(document: Any) -> bool:
    """A pod that only `helm test` starts."""
    metadata = document.get("metadata") if isinstance(document, dict) else None
    annotations = metadata.get("annotations") if isinstance(metadata, dict) else None
    hooks = str(annotations.get(HOOK, "")) if isinstance(annotations, dict) else ""
    return "test" in {hook.strip().removesuffix("-success") for hook in hooks.split(",")}


def _in_tree(source: str, staged: Staged, tree: FileTree) -> str | None:
    """The path in the tree of a template as helm names it (`chart/charts/sub/templates/x.yaml`)."""
    for called in sorted(staged.folders, key=len, reverse=True):
        if source.startswith(called + "/"):
            folder = staged.folders[called]
            path = f"{folder}/{source[len(called) + 1 :]}" if folder else source[len(called) + 1 :]
            return path if path in tree else None
    return None


class _Templates:
    """Finds the places of rendered lines in the templates of one chart and its dependencies."""

    def __init__(
        self,
        tree: FileTree,
        staged: Staged,
        chart: Chart,
        values: Mapping[str, Any],
        given: Sequence[tuple[str, str]],
        sets: Sequence[str],
    ) -> None:
        self.tree, self.staged, self.chart, self.values = tree, staged, chart, values
        self.given = [path for path, _ in reversed(given)]
        self.sets = [tuple(re.split(r"\.", word.partition("=")[0])) for words in sets for word in words.split(",")]
        self.defines = defines_in([tree.read(p) or "" for f in staged.folders.values() for p in self._texts(f)])
        self.found: dict[str, Template | None] = {}

    def _texts(self, folder: str) -> Iterator[str]:
        start = f"{folder}/templates/" if folder else "templates/"
        return (path for path in self.tree.paths if path.startswith(start) and path.endswith((".tpl", ".yaml", ".yml")))

    def start(self, source: str) -> Place:
        """The first line of a template, or the chart itself where it is not a file of the tree."""
        path = _in_tree(source, self.staged, self.tree)
        return Place(path, 1, 1, 1) if path else self._dependency(source)

    def locator(self, source: str, text: str) -> Callable[[Place], Place]:
        """What turns a place in a rendered document into the best place in its template."""
        template = self._template(source)
        if template is None:
            fixed = self._dependency(source)
            return lambda place: fixed
        rendered = text.splitlines() or [""]

        def makes(line: int, key: str) -> bool:
            return produces(template.references, template.deciding, line, key)

        lines = template_lines(template.lines, rendered, makes)
        return _Locator(template, rendered, lines)

    def _dependency(self, source: str) -> Place:
        """Where the chart names the dependency that a template without a file in the tree belongs to."""
        steps = source.split("/")
        name = steps[2] if len(steps) > 2 and steps[1] == "charts" else ""
        return next(
            (one.place for one in self.chart.dependencies if one.shown == name and one.place),
            self.chart.called("Chart.yaml"),
        )

    def _template(self, source: str) -> Template | None:
        if source not in self.found:
            path = _in_tree(source, self.staged, self.tree)
            text = self.tree.read(path) if path else None
            lines = text.splitlines() if text else []
            deciding = self._deciding(source)
            self.found[source] = (
                Template(path, lines, references(lines, deciding), deciding) if path and lines else None
            )
        return self.found[source]

    def _deciding(self, source: str) -> Deciding:
        """The layers of values that a template sees: the command line's, each parent's, its own chart's."""
        chain = source.split("/templates/")[0].split("/charts/")
        layers = [Layer(self.values.get(path), tuple(chain[1:])) for path in self.given]
        for depth in range(len(chain)):
            folder = self.staged.folders.get("/charts/".join(chain[: depth + 1]))
            if folder is not None:
                path = f"{folder}/values.yaml" if folder else "values.yaml"
                layers.append(Layer(self.values.get(path), tuple(chain[depth + 1 :])))
        inner = tuple(chain[1:])
        sets = [one[len(inner) :] for one in self.sets if one[: len(inner)] == inner and len(one) > len(inner)]
        return Deciding(tuple(layers), tuple(sets), self.defines)


class _Locator:
    """Translates the places of one rendered document."""

    def __init__(self, template: Template, rendered: Sequence[str], lines: Sequence[int]) -> None:
        self.template, self.rendered, self.lines = template, rendered, lines
        self.known: dict[tuple[int, int], Place] = {}

    def __call__(self, place: Place) -> Place:
        key = (place.line, place.end_line)
        if key not in self.known:
            self.known[key] = self._translate(place)
        return self.known[key]

    def _translate(self, place: Place) -> Place:
        first = min(max(place.line, 1), len(self.lines)) - 1
        last = min(max(place.end_line, place.line), len(self.lines))
        line = self.lines[first]
        end = max(self.lines[first:last], default=line)
        text = self.template.lines[line]
        column = len(text) - len(text.lstrip()) + 1
        by = decided_by(self.template.references[line], self.template.deciding, self.rendered[first])
        return Place(self.template.path, line + 1, column, max(end, line) + 1, by)
