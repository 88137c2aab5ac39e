"""The README says what is: its excerpt is what the demonstration prints, its commands exist, its links lead somewhere, its workflow is read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from llmscan.commands import group
from llmscan.policy import read_policy
from llmscan.version import __version__

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    """The fenced blocks of a language."""
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_excerpt_is_what_the_demonstration_prints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Line by line, at the width of a hundred columns."""
    monkeypatch.chdir(tmp_path)
    shown = CliRunner(env={"COLUMNS": "100"}).invoke(group, ["demo"]).stdout
    (excerpt,) = blocks("text")
    assert excerpt in shown


def test_every_command_is_there() -> None:
    """The README shows each command of the command line, and no other."""
    shown = set(re.findall(r"^    llmscan (\w+)", README, re.MULTILINE))
    assert shown == set(group.list_commands(group.make_context("llmscan", [], resilient_parsing=True)))


def test_every_link_leads_somewhere() -> None:
    """To a file of the tree."""
    links = re.findall(r"\]\(([^)#]+)\)", README + (ROOT / "docs" / "plugins.md").read_text().replace("](", "](docs/"))
    for link in links:
        if "://" not in link:
            assert (ROOT / link).exists(), link


def test_the_yaml_is_read(tmp_path: Path) -> None:
    """The workflow parses and lets the upload write; the policy is one."""
    workflow, policy = blocks("yaml")
    assert yaml.safe_load(workflow)["permissions"]["security-events"] == "write"
    (tmp_path / "policy.yaml").write_text(policy)
    assert len(read_policy(str(tmp_path / "policy.yaml"))) == 1


def test_the_changelog_has_this_version() -> None:
    """What is released is written down."""
    assert f"## [{__version__}]" in (ROOT / "CHANGELOG.md").read_text()
