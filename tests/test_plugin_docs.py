"""The tutorial for plugin authors: what it shows are the files of an example that installs and has tests, and its reference is the code."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from installed import llmscan

from llmscan import hookspecs
from llmscan.brought import HOOKS

DOCS = Path(__file__).parent.parent / "docs"
PAGE = (DOCS / "plugins.md").read_text()
EXAMPLE = DOCS / "example-plugin"
INCLUDED = re.compile(r"<!-- (\S+) -->\n```(\w+)\n(.*?)```\n", re.DOTALL)


def test_the_page_shows_the_files() -> None:
    """Every block of code on the page is a file of the example, word for word; and every file of the example is shown."""
    shown = {name: text for name, _, text in INCLUDED.findall(PAGE)}
    assert len(shown) == PAGE.count("```") // 2
    for name, text in shown.items():
        assert text == (DOCS / name).read_text(), f"{name} has changed: write it into docs/plugins.md"
    files = {str(file.relative_to(DOCS)) for file in EXAMPLE.rglob("*") if file.suffix in (".py", ".toml")}
    assert files == set(shown)


def test_the_smallest_plugin_has_eleven_lines() -> None:
    """As the page says, blank ones not counted."""
    lines = (EXAMPLE / "acme_owner.py").read_text().splitlines()
    assert len([line for line in lines if line.strip()]) == 11


@pytest.mark.parametrize("hook", sorted(HOOKS))
def test_every_hook_has_its_heading(hook: str) -> None:
    """With the exact signature, and what its specification says."""
    function = getattr(hookspecs, hook)
    assert f"### `{hook}{inspect.signature(function)}`".replace("'", "") in PAGE
    assert " ".join(inspect.cleandoc(function.__doc__).split()) in " ".join(PAGE.split())


def test_the_tests_of_the_example_pass() -> None:
    """As its author would run them."""
    environment = os.environ | {"PYTHONPATH": str(EXAMPLE), "PYTHONDONTWRITEBYTECODE": "1"}
    words = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        str(EXAMPLE),
        str(EXAMPLE / "tests"),
    ]
    done = subprocess.run(words, cwd=EXAMPLE, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout


def test_the_example_installs_and_takes_part(tmp_path: Path) -> None:
    """Installed as a distribution, its rules judge, its files are read and its format is written."""
    site = tmp_path / "site"
    copy = tmp_path / "example"
    subprocess.run(["cp", "-r", str(EXAMPLE), str(copy)], check=True)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(site), str(copy)]
    subprocess.run(pip, check=True, timeout=300)
    (tmp_path / "apps").mkdir()
    (tmp_path / "apps" / "chat.acme.json").write_text(
        '{"app": "chat", "image": "acme/gateway:2.0", "env": {"ACME_QUOTA": 500}}'
    )
    run = llmscan(tmp_path, "files", "apps", "--acme-quota", "400", "-o", "report.chat", path=site)
    assert {"ACME001", "ACME002"} <= run.rules
    assert run.json["failures"] == []
    assert "medium App/chat (app): ACME_QUOTA is too high." in (tmp_path / "report.chat").read_text()
