"""The tools that render files, for tests: a PATH that holds the chosen ones and nothing else."""

from __future__ import annotations

import os
import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest

from llmscan.collect.files import FilesOptions, collect_files
from llmscan.collection import Collection

TOOLS = os.pathsep.join(filter(None, (os.environ.get("LLMSCAN_TEST_TOOLS"), os.environ.get("PATH"))))
FIXTURES = Path(__file__).parent.parent / "fixtures" / "stacks"


def only(monkeypatch: pytest.MonkeyPatch, folder: Path, *names: str) -> None:
    """Let PATH lead to these tools alone; skip where one of them is not there."""
    folder.mkdir()
    for name in names:
        found = shutil.which(name, path=TOOLS)
        if found is None:
            pytest.skip(f"{name} is neither on PATH nor in the folder that LLMSCAN_TEST_TOOLS names")
        (folder / name).symlink_to(found)
    monkeypatch.setenv("PATH", str(folder))


def without_sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the extra `[helm]` be as good as not installed."""
    monkeypatch.setattr("llmscan.collect.helm_run.find_spec", lambda name: None)


def needs_sdk() -> None:
    """Skip where the extra `[helm]` is not installed."""
    if find_spec("helm_python") is None:
        pytest.skip("helm-python-sdk is not installed (the extra `helm`)")


def write(root: Path, files: dict[str, str]) -> Path:
    """Write files below a folder."""
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content, encoding="utf-8")
    return root


def collect(root: Path, monkeypatch: pytest.MonkeyPatch, options: FilesOptions | None = None) -> Collection:
    """What `llmscan files .` collects in a folder."""
    monkeypatch.chdir(root)
    return collect_files(["."], options or FilesOptions())
