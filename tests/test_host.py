"""The plugin host: what is wrong with a plugin is named in every format and costs exit code 3, and nothing else is lost by it."""

from __future__ import annotations

import ast
import html
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from installed import HEALTHY, MANIFEST, Run, install, llmscan

import llmscan as public
from llmscan.collection import Collection
from llmscan.collectors import FileCollector
from llmscan.findings import Target
from llmscan.formats import Format, RenderOptions
from llmscan.host import BUILTINS, Host, start
from llmscan.model import Stack, Workload
from llmscan.products import Catalogue
from llmscan.rule_view import Scan
from llmscan.rules import Rule, rule
from llmscan.scan import run

ROOT = Path(__file__).parent.parent
IMPORTS = "from llmscan import *\nfrom llmscan import hookimpl, rule\n"
RULE = '''
@rule("{id}", "Something", Severity.LOW, category="pod-hardening")
def {name}(workload: Workload, scan: Scan):
    """Why.

    How.
    """
    {body}

'''
HOOK = "@hookimpl\ndef llmscan_{hook}():\n    return {value}\n"


class Bad(NamedTuple):
    """A plugin with one mistake: its source, a word or two of what is said of it, and the name under which that is said.

    In all three, `BAD000` and `bad-0` stand for an id and a name that no other has.
    """

    source: str
    said: str
    name: str = "bad-0"

    def numbered(self, number: int) -> Bad:
        """With an id and a name of its own."""
        new = (text.replace("BAD000", f"BAD{number:03}").replace("bad-0", f"bad-{number}") for text in self)
        return Bad(*new)


def with_rule(body: str, id: str = "BAD000") -> str:
    """A plugin with one rule."""
    return IMPORTS + RULE.format(id=id, name="judged", body=body) + HOOK.format(hook="rules", value="[judged]")


def with_hook(hook: str, value: str) -> str:
    """A plugin with one hook."""
    return IMPORTS + HOOK.format(hook=hook, value=value)


BAD = {
    "broken import": Bad("import nothing_of_this_name", "No module named 'nothing_of_this_name'"),
    "syntax error": Bad("def broken(:\n", "SyntaxError"),
    "exit at import": Bad("import sys\nsys.exit('no licence')", "exit: no licence"),
    "wrong hook argument": Bad(
        IMPORTS + "@hookimpl\ndef llmscan_rules(workloads):\n    return []\n", "a hook has arguments that its specification lacks"
    ),
    "misspelt hook": Bad(IMPORTS + "@hookimpl\ndef llmscan_rule():\n    return []\n", "there is no hook 'llmscan_rule'"),
    "hook without its marker": Bad("def llmscan_rules():\n    return []\n", "llmscan_rules lacks @hookimpl"),
    "rule id of a built-in rule": Bad(with_rule("yield passed()", "AUT001"), "rule AUT001 exists already"),
    "rule id that is none": Bad(with_rule("yield passed()", "nonsense-1"), "nonsense-1: a rule id is two to eight capital letters"),
    "rule without a fix": Bad(with_rule("yield passed()").replace("    How.\n", ""), "BAD000: its docstring needs two paragraphs"),
    "rule with a text for a severity": Bad(
        with_rule("yield passed()").replace("Severity.LOW", "'low'"), "rule BAD000: severity is a value of type str"
    ),
    "rule that raises": Bad(with_rule("raise ZeroDivisionError('of nothing')"), "ZeroDivisionError: of nothing", "BAD000"),
    "rule that raises on its way": Bad(with_rule("yield passed()\n    [][1]"), "IndexError: list index out of range", "BAD000"),
    "rule that exits": Bad(with_rule("raise SystemExit(0)"), "exit: 0", "BAD000"),
    "rule whose exception cannot be told": Bad(
        with_rule("raise type('Odd', (Exception,), {'__str__': lambda self: 1 / 0})()"), "ZeroDivisionError", "BAD000"
    ),
    "rule that returns nothing": Bad(with_rule("return None"), "it returned None", "BAD000"),
    "rule that yields a text": Bad(with_rule("yield 'it is wrong'"), "it gave a value of type str, not a verdict", "BAD000"),
    "verdict with a number for a setting": Bad(
        with_rule("yield fail('wrong', setting=11434)"), "a verdict: setting is a value of type int", "BAD000"
    ),
    "verdict that is missing texts": Bad(
        with_rule("yield unknown('unseen', 'the value')"), "a verdict: missing holds a value of type str", "BAD000"
    ),
    "verdict about a nameless resource": Bad(
        with_rule("yield fail('wrong', resource=Resource('Pod', None))"), "a verdict: resource: name is None", "BAD000"
    ),
    "hook that returns nothing": Bad(with_hook("rules", "None"), "llmscan_rules gave None, not a list"),
    "hook that returns a text": Bad(with_hook("rules", "'BAD000'"), "llmscan_rules gave a value of type str, not a list"),
    "hook that returns numbers": Bad(with_hook("rules", "[1, 2]"), "llmscan_rules gave a value of type int, not a rule"),
    "hook that raises": Bad(with_hook("rules", "1 / 0"), "ZeroDivisionError"),
    "rule without its marker": Bad(with_hook("rules", "[print]"), "is @rule missing?"),
    "product that is none": Bad(with_hook("products", "['vllm']"), "llmscan_products gave a value of type str, not a mapping"),
    "product that does not fit": Bad(
        with_hook("products", "[{'id': 'mine', 'name': 'Mine', 'category': 'toy', 'sources': {}}]"), "category is 'toy'"
    ),
    "product with a broken expression": Bad(
        with_hook("products", "[{'id': 'mine', 'name': 'Mine', 'category': 'ui', 'sources': {}, 'identify': {'images': ['(']}}]"),
        "identify.images[0] is no regular expression",
    ),
    "product whose version has no group": Bad(
        with_hook("products", "[{'id': 'mine', 'name': 'M', 'category': 'ui', 'sources': {}, 'identify': {'version': '[0-9]'}}]"),
        "identify.version has no group",
    ),
    "product with a condition that is none": Bad(
        with_hook("products", "[{'id': 'mine', 'name': 'M', 'category': 'ui', 'sources': {}, 'listens': [{'when': 'x', 'then': 'all'}]}]"),
        "listens[0].when is not a mapping",
    ),
    "product that is a built-in one": Bad(
        with_hook("products", "[{'id': 'vllm', 'name': 'Mine', 'category': 'ui', 'sources': {}}]"), "product vllm exists already"
    ),
    "format that is none": Bad(with_hook("formats", "[print]"), "not a Format"),
    "format without suffixes": Bad(with_hook("formats", "[Format('odd', '.odd', print)]"), "format odd: suffixes is a value of type str"),
    "format of a built-in name": Bad(with_hook("formats", "[Format('json', ('.jsn',), print)]"), "format json exists already"),
    "collector that is none": Bad(with_hook("collectors", "[print]"), "not a FileCollector"),
    "collector that raises": Bad(
        with_hook("collectors", "[FileCollector('bad-0', ('.odd',), lambda texts: 1 / 0)]"), "ZeroDivisionError"
    ),
    "collector that gives texts": Bad(
        with_hook("collectors", "[FileCollector('bad-0', ('.odder',), lambda texts: ['a'])]"), "gave a value of type str, not a Stack"
    ),
    "option of a taken name": Bad(
        with_rule("yield passed()").replace('"pod-hardening")', '"pod-hardening", options=[Option("verbose", int, 1, "x")])'),
        "has the name of an option of llmscan",
        "verbose",
    ),
}  # fmt: skip


NUMBERED = {mistake: bad.numbered(number) for number, (mistake, bad) in enumerate(BAD.items(), 1)}


def scanned(tmp_path: Path, *words: str) -> Run:
    """One pod scanned with the plugins that are installed under `tmp_path`."""
    (tmp_path / "pod.yaml").write_text(MANIFEST)
    (tmp_path / "file.odd").write_text("odd")
    (tmp_path / "file.odder").write_text("odder")
    return llmscan(tmp_path, "files", ".", *words, path=tmp_path / "site")


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder of installed distributions, with a healthy plugin in it."""
    folder = tmp_path / "site"
    folder.mkdir()
    install(folder, "healthy", HEALTHY)
    return folder


@pytest.fixture(scope="module")
def all_at_once(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """One scan with every bad plugin installed, and a healthy one that comes after them."""
    folder = tmp_path_factory.mktemp("all")
    (folder / "site").mkdir()
    install(folder / "site", "healthy", HEALTHY)
    for number, bad in enumerate(NUMBERED.values(), 1):
        install(folder / "site", f"bad_{number}", bad.source, entry=f"bad-{number}")
    return scanned(folder, "--fail-on", "never", "--verbose")


def assert_told(run: Run, name: str, said: str) -> None:
    """The failure stands under its name in the table and in every report."""
    reasons = [one["reason"] for one in run.json["failures"] if one["name"] == name]
    assert len(reasons) == 1 and said in reasons[0]
    for text in (run.table, html.unescape(run.reports["html"]), run.reports["sarif"]):
        plain = " ".join(text.replace('\\"', '"').split())
        assert name in plain and said in plain


@pytest.mark.parametrize("mistake", BAD)
def test_a_bad_plugin_is_a_named_failure(mistake: str, all_at_once: Run) -> None:
    """Each is named in every format, with what is wrong, whatever else is wrong beside it."""
    assert_told(all_at_once, NUMBERED[mistake].name, NUMBERED[mistake].said)


def test_bad_plugins_take_nothing_down(all_at_once: Run) -> None:
    """With all of them installed the built-in rules and the healthy plugin judge as ever, nothing is a traceback, and the exit code is 3."""
    assert "ZZZ001" in all_at_once.rules
    assert any(rule.startswith("HRD") for rule in all_at_once.rules), "the built-in rules have judged"
    assert "Traceback" not in all_at_once.errors
    assert len(all_at_once.json["failures"]) == len(BAD)
    assert all_at_once.code == 3


def test_findings_win_over_a_bad_plugin(tmp_path: Path, site: Path) -> None:
    """One bad plugin makes the exit code 3; with a finding at the threshold it is 1, and the failure is told all the same."""
    install(site, "bad", BAD["rule that raises"].source)
    assert scanned(tmp_path, "--fail-on", "never").code == 3
    run = scanned(tmp_path, "--fail-on", "low")
    assert run.code == 1
    assert_told(run, "BAD000", "ZeroDivisionError")


def test_two_plugins_of_one_name(tmp_path: Path, site: Path) -> None:
    """The second is left out, and where it came from is said."""
    install(site, "twin", IMPORTS, entry="healthy")
    run = scanned(tmp_path, "--fail-on", "never")
    assert_told(run, "healthy", "another plugin has this name already; the one from twin 1.0 is left out")
    assert (run.code, "ZZZ001" in run.rules) == (3, True)


def test_a_rule_that_raises_on_every_object_is_one_failure(tmp_path: Path, site: Path) -> None:
    """With the first object's place, and the number of the others."""
    install(site, "bad", BAD["rule that raises"].source)
    (tmp_path / "more.yaml").write_text("---\n".join(MANIFEST.replace("lonely", f"pod-{n}") for n in range(5)))
    run = scanned(tmp_path)
    (failure,) = run.json["failures"]
    assert failure["reason"].endswith("and the same on 5 more")
    assert failure["location"]["path"] == "more.yaml"


FAILING_FORMAT = with_hook("formats", "[Format('odd', ('.odd',), {render})]")


@pytest.mark.parametrize(
    ("render", "said"),
    [
        ("lambda report, options: 1 / 0", "ZeroDivisionError"),
        ("lambda report, options: None", "format odd gave None, not a text"),
    ],
)
def test_a_format_that_fails_takes_no_other_down(render: str, said: str, tmp_path: Path, site: Path) -> None:
    """Its file is not written, standard error says why, and every other report tells it, wherever in the order it stands."""
    install(site, "bad", FAILING_FORMAT.format(render=render))
    run = scanned(tmp_path, "--fail-on", "never", "-o", "report.odd")
    assert_told(run, "odd", said)
    assert run.code == 3
    assert said in run.errors and "Traceback" not in run.errors
    assert not (tmp_path / "report.odd").exists()


def test_a_format_that_fails_alone(tmp_path: Path, site: Path) -> None:
    """Asked for on standard output, it leaves nothing there, a sentence on standard error, and exit code 3."""
    install(site, "bad", FAILING_FORMAT.format(render="lambda report, options: 1 / 0"))
    (tmp_path / "pod.yaml").write_text(MANIFEST)
    run = llmscan(tmp_path, "files", "pod.yaml", "--format", "odd", "--fail-on", "never", path=site, formats="")
    assert (run.code, run.table) == (3, "")
    assert "no report was made as odd: ZeroDivisionError" in run.errors


def test_what_plugins_print_is_no_part_of_a_report(tmp_path: Path, site: Path) -> None:
    """A plugin that prints at import and while it judges leaves standard output to the report."""
    install(site, "loud", "print('hello')\n" + with_rule("print('judging')\n    yield passed()"))
    (tmp_path / "pod.yaml").write_text(MANIFEST)
    run = llmscan(tmp_path, "files", "pod.yaml", "--format", "json", path=site, formats="")
    assert run.table.startswith("{")
    assert "hello" in run.errors and "judging" in run.errors


def test_no_hook_changes_another_rule(site: Path, tmp_path: Path) -> None:
    """A plugin that takes the id of a built-in rule replaces nothing: that rule still judges."""
    install(site, "thief", with_rule("yield passed()", "HRD001"))
    before = start(third_parties=False).rules["HRD001"]
    assert "HRD001" in scanned(tmp_path).json["failures"][0]["reason"]
    assert start([("thief", object())], third_parties=False).rules["HRD001"] is before


class Everything:
    """A plugin that implements every hook and notes when each of its functions is called."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    @public.hookimpl
    def llmscan_rules(self) -> list[Rule]:
        """One rule."""
        self.calls.append("rules")

        @rule("EVE001", "Everything", public.Severity.LOW, category="everything")
        def everything(workload: Workload, scan: Scan) -> Any:
            """Why.

            How.
            """
            self.calls.append(f"judge {workload.name}")
            yield public.fail(f"{workload.name} runs {scan.options.everything}")

        return [everything]

    @public.hookimpl
    def llmscan_products(self) -> list[dict[str, Any]]:
        """One product."""
        self.calls.append("products")
        return [{"id": "everything", "name": "Everything", "category": "ui", "sources": {}}]

    @public.hookimpl
    def llmscan_formats(self) -> list[Format]:
        """One format."""
        self.calls.append("formats")
        return [Format("everything", (".everything",), self.render)]

    @public.hookimpl
    def llmscan_collectors(self) -> list[FileCollector]:
        """One collector."""
        self.calls.append("collectors")
        return [FileCollector("everything", (".everything",), self.collect)]

    def collect(self, texts: Any) -> list[Stack]:
        """A stack for each file, with a workload of its name."""
        self.calls.append("collect " + " ".join(path for path, _ in texts))
        return [Stack(unit=path, source="files", workloads=(Workload("job", text),)) for path, text in texts]

    def render(self, report: Any, options: RenderOptions) -> str:
        """The messages."""
        self.calls.append("render")
        return "\n".join(finding.message for finding in report.findings)


def test_the_life_of_a_plugin() -> None:
    """Every hook is asked once, in one order, when the plugin registers; then its collector, its rule and its format, in the order of the flow."""
    plugin = Everything()
    host = start([("everything", plugin)], third_parties=False)
    assert host.failures == []
    assert plugin.calls == ["rules", "products", "formats", "collectors"]
    stacks = host.collect(host.collectors["everything"], [("a.everything", "alpha"), ("b.everything", "beta")])
    collection = Collection(Target("files", "."), tuple(stacks))
    host.rules = {"EVE001": host.rules["EVE001"]}
    report = run(collection, host, Catalogue(host.products.values()), {"everything": "alone"})
    assert host.render("everything", report, RenderOptions()) == "alpha runs alone\nbeta runs alone"
    assert plugin.calls[4:] == ["collect a.everything b.everything", "judge alpha", "judge beta", "render"]
    assert host.failures == []


def test_the_hooks_that_there_are() -> None:
    """The life-cycle test implements every hook; a new one belongs into it."""
    from llmscan.brought import HOOKS

    assert {name for name in vars(Everything) if name.startswith("llmscan_")} == set(HOOKS)


def test_built_ins_come_through_the_same_door_and_first() -> None:
    """Every built-in module is loaded as a plugin, in the order of one tuple, without a failure, before what others bring."""
    host: Host = start([("zero", Everything())], third_parties=False)
    assert host.failures == []
    assert [note.name for note in host.plugins] == [*BUILTINS, "zero"]


def test_what_the_package_exports() -> None:
    """`llmscan.__all__` is alphabetical, each name can be imported, and these are the names."""
    assert list(public.__all__) == sorted(public.__all__)
    for name in public.__all__:
        assert getattr(public, name) is not None
    assert set(public.__all__) <= set(dir(public))
    assert " ".join(public.__all__) == (
        "Container Decision Endpoint Evidence FileCollector Format Found Gap Image Option Origin Place Reach Reading Related RenderOptions "
        "Report Resource Rule Running Scan Setting Severity Stack Status Value Verdict Volume Way Workload decide fail hookimpl passed "
        "replace rule unknown"
    )


def _blanket(path: Path) -> list[str]:
    """The functions of a module that catch everything."""
    found = []
    for function in [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)]:
        for handler in [node for node in ast.walk(function) if isinstance(node, ast.ExceptHandler)]:
            caught = (
                {name.id for name in ast.walk(handler.type) if isinstance(name, ast.Name)}
                if handler.type
                else {"BaseException"}
            )
            found += [f"{path.name}:{function.name}"] if caught & {"Exception", "BaseException"} else []
    return found


def test_one_function_catches_everything() -> None:
    """Errors of llmscan itself are not hidden: what catches every exception is the one call of foreign code."""
    modules = [path for folder in ("scanner", "plugins", "reports") for path in (ROOT / folder).rglob("*.py")]
    assert [name for path in modules for name in _blanket(path)] == ["host.py:attempt"]
