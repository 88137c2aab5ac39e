"""`llmscan rules`, `products` and `plugins`: what they say, in which width, and as JSON."""

from __future__ import annotations

import json
from importlib.metadata import EntryPoint
from typing import Any

import pytest
from click.testing import CliRunner, Result

import llmscan.host
from llmscan.commands import group
from llmscan.commands.catalogue import ranges
from llmscan.commands.shared import host
from llmscan.products import builtin_products

WIDTHS = (80, 120)


def run(*arguments: str, width: int = 80) -> Result:
    """A command, on a terminal of a width."""
    return CliRunner().invoke(group, list(arguments), env={"COLUMNS": str(width)})


def facts(*arguments: str) -> Any:
    """What a command says as JSON."""
    result = run(*arguments, "--format", "json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.mark.parametrize("width", WIDTHS)
def test_the_table_of_rules_fits_its_terminal(width: int) -> None:
    """Every rule has its id, severity, category and title in it, and no line is wider than the terminal."""
    text = run("rules", width=width).stdout
    assert max(map(len, text.splitlines())) <= width
    flat = " ".join(text.split())
    for rule in host().rules.values():
        assert f"{rule.id} {rule.severity} {rule.category} {rule.title.split()[0]}" in flat


@pytest.mark.parametrize("width", WIDTHS)
def test_each_rule_is_explained(width: int) -> None:
    """A rule's page has its title, why, fix and every reference; only examples, which are files, may be wider than the terminal."""
    for rule in host().rules.values():
        text = run("rules", rule.id.lower(), width=width).stdout
        flat = " ".join(text.split())
        assert all(part in flat for part in (rule.title, rule.why, rule.fix, *rule.refs)), rule.id
        prose = text.partition("\nExample:")[0]
        assert max(map(len, prose.splitlines())) <= width, rule.id


def test_a_rule_shows_its_option_and_an_example() -> None:
    """What a user can set is named as on the command line, and the example shows a mistake and its mending."""
    text = run("rules", "LOG004").stdout
    assert "Option --log-retention-days INT" in text and "Default: 180." in text
    assert "-      retention_period: 720h" in text and "+      retention_period: 4416h" in text


@pytest.mark.parametrize("width", WIDTHS)
def test_the_table_of_products_fits_its_terminal(width: int) -> None:
    """Every product of the catalogue is in it."""
    text = run("products", width=width).stdout
    assert max(map(len, text.splitlines())) <= width
    assert {line.split()[0] for line in text.splitlines() if line} >= {product.id for product in builtin_products()}


@pytest.mark.parametrize("product", builtin_products(), ids=lambda product: product.id)
def test_each_product_is_explained(product: Any) -> None:
    """Its page has its name, ports, decisions with their fixes, and sources, whatever shape its facts have."""
    result = run("products", product.id)
    assert result.exit_code == 0, result.output
    flat = " ".join(result.stdout.split())
    assert product.name in flat
    assert all(f"{entry['port']}/" in flat for entry in product.facts.get("ports", ()) if "port" in entry)
    for block in ("registration_fix", "cors_fix"):
        if isinstance(product.facts.get(block), str) and product.facts.get(block.removesuffix("_fix")):
            assert " ".join(product.facts[block].split()) in flat
    assert all(name in flat for name in product.facts["sources"])


def test_a_version_leaves_out_what_does_not_hold_for_it() -> None:
    """`--at` answers for one version: an older vLLM lets every origin call it, a newer one none."""
    old, new = (run("products", "vllm", "--at", version).stdout for version in ("0.20.0", "0.33.0"))
    assert "allows every origin by default" in old and "allows every origin by default" not in new
    assert run("products", "vllm", "--at", "newest").exit_code == 2


def test_products_say_how_to_authenticate_and_what_stays_open() -> None:
    """The page of a product answers what its user has to know before setting a key."""
    text = " ".join(run("products", "vllm").stdout.split())
    for part in (
        "Authentication - when --api-key or VLLM_API_KEY is set: asks for its API key",
        "otherwise: has no API key set, and then serves every caller",
        "What its key leaves open - /invocations gives the same inference",
        "Looks like authentication, and is not - API_KEY or OPENAI_API_KEY",
        "Fix: Set VLLM_NO_USAGE_STATS=1 (exactly 1).",
    ):
        assert part in text


def test_json_holds_what_the_pages_hold() -> None:
    """Lists and single things are JSON with the same facts."""
    assert [rule["id"] for rule in facts("rules")] == sorted(host().rules)
    assert facts("rules", "HST001")["refs"] == list(host().rules["HST001"].refs)
    assert facts("rules", "HST001")["examples"][0]["kind"] == "Kubernetes"
    assert [product["id"] for product in facts("products")] == sorted(host().products)
    assert facts("products", "ollama") == host().products["ollama"].facts


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("rules", "HST01"), "did you mean HST013"),
        (("products", "olama"), "no product is called 'olama'; did you mean ollama"),
        (("rules", "zzz"), "no rule is called 'ZZZ'; `llmscan rules` lists them"),
    ],
)
def test_a_name_that_does_not_exist_is_answered_with_what_does(arguments: tuple[str, ...], sentence: str) -> None:
    """Exit code 2, and a hint."""
    result = run(*arguments)
    assert result.exit_code == 2 and sentence in result.output


def test_plugins_are_listed_with_what_they_bring() -> None:
    """Each built-in plugin with its rules and formats; exit code 0 where nothing went wrong."""
    result = run("plugins")
    assert result.exit_code == 0
    rows = {line.split()[0]: line for line in result.stdout.splitlines() if line}
    assert all(ranges(note.rules) in rows[note.name] and note.origin in rows[note.name] for note in host().plugins)
    assert rows["llmscan.plugins.host_access"].split()[1:] == ["llmscan", "HST001-HST013"]
    assert {plugin["name"] for plugin in facts("plugins")["plugins"]} == set(llmscan.host.BUILTINS)


def test_a_plugin_that_failed_is_listed_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    """What went wrong has its plugin's name and the reason, and exit code 3."""
    broken = EntryPoint("acme", "llmscan_no_such_module", "llmscan")
    monkeypatch.setattr(llmscan.host, "entry_points", lambda group: [broken])
    host.cache_clear()
    try:
        result = run("plugins")
    finally:
        monkeypatch.undo()
        host.cache_clear()
    assert result.exit_code == 3
    assert "1 failure" in result.stdout and "plugin acme: ModuleNotFoundError" in " ".join(result.stdout.split())


def test_ids_that_follow_each_other_are_told_as_one() -> None:
    """`EXP001-EXP003`, and what does not follow stands alone."""
    assert ranges(["EXP003", "EXP001", "EXP002", "HST001", "HST003"]) == "EXP001-EXP003, HST001, HST003"
    assert ranges([]) == ""
