"""What is shipped: wheel and sdist built from a clean copy of the tree, installed into an empty environment, and run from elsewhere."""

from __future__ import annotations

import configparser
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from llmscan.version import __version__

ROOT = Path(__file__).parent.parent
PACKAGES = {"scanner": "llmscan", "plugins": "llmscan.plugins", "reports": "llmscan.reports"}
"""Folders of the tree and the packages that they are installed as."""


def called(*words: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """A program run in `folder`; what it said is shown where it fails."""
    done = subprocess.run([str(word) for word in words], cwd=folder, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done


def tracked() -> Sequence[str]:
    """The files of the tree, without what was built or left lying about."""
    listed = called("git", "ls-files", "-z", folder=ROOT).stdout.split("\0")
    return [name for name in listed if name and (ROOT / name).is_file()]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The sdist, and the wheel that is built from it."""
    folder = tmp_path_factory.mktemp("build")
    for name in tracked():
        (folder / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / "tree" / name)
    called(sys.executable, "-m", "build", "--outdir", folder / "dist", folder / "tree", folder=folder)
    (sdist,), (wheel,) = (folder / "dist").glob("*.tar.gz"), (folder / "dist").glob("*.whl")
    return sdist, wheel


@pytest.fixture(scope="module")
def installed(built: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment that holds the wheel and what it needs, and nothing else."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=True)
    called(folder / "bin" / "pip", "install", "--quiet", built[1], folder=folder)
    return folder / "bin"


def modules() -> set[str]:
    """Every file that must be in the packages, as it is called there."""
    expected = set()
    for name in tracked():
        top, _, rest = name.partition("/")
        if top in PACKAGES and rest:
            expected.add(f"{PACKAGES[top].replace('.', '/')}/{rest}")
    return expected


def test_the_wheel_holds_the_packages_and_nothing_else(built: tuple[Path, Path]) -> None:
    """Every module, product, template and table is in, under `llmscan` alone, with the licence."""
    names = set(zipfile.ZipFile(built[1]).namelist())
    information = f"llmscan_suite-{__version__}.dist-info/"
    assert {name for name in names if not name.startswith(information)} == modules()
    assert f"{information}licenses/LICENSE" in names
    assert any(name.endswith("/products/vllm.yaml") for name in names)


def test_the_sdist_is_enough(built: tuple[Path, Path]) -> None:
    """The wheel was made from it, so that it holds all that a build needs."""
    with tarfile.open(built[0]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"setup.cfg", "pyproject.toml", "README.md", "LICENSE", "scanner/host.py", "plugins/cors.py"} <= names


def test_the_packages_of_setup_cfg() -> None:
    """setup.cfg lists by hand the packages that the tree has, and nothing shadows those that are mapped."""
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg")
    listed = settings["options"]["packages"].split()
    found = set()
    for name in tracked():
        top, _, rest = name.partition("/")
        if top in PACKAGES and rest.endswith(".py"):
            inner = rest.split("/")[:-1]
            found.add(".".join([PACKAGES[top], *inner]))
    assert sorted(listed) == sorted(found)
    assert not [name for name in tracked() if name.startswith(("scanner/plugins", "scanner/reports"))]
    assert all(
        not name.endswith(("/docker.py", "/kubernetes.py")) for name in tracked() if name.split("/")[0] in PACKAGES
    )


def test_only_llmscan_lands_in_site_packages(installed: Path) -> None:
    """The distribution brings one import name."""
    called(installed / "python", "-c", "import llmscan.host", folder=installed)
    listed = called(installed / "pip", "show", "--files", "llmscan-suite", folder=installed).stdout
    files = [line.strip() for line in listed.partition("Files:")[2].splitlines() if line.strip()]
    tops = {name.split("/")[0] for name in files if not name.startswith("..")}
    assert tops == {"llmscan", f"llmscan_suite-{__version__}.dist-info"}
    assert called(installed / "pip", "check", folder=installed).stdout.startswith("No broken requirements")


def test_the_installed_command(installed: Path, tmp_path: Path) -> None:
    """From another folder: the version, the rules, and the demonstration with its two reports."""
    assert called(installed / "llmscan", "--version", folder=tmp_path).stdout == f"llmscan {__version__}\n"
    assert "AUT001" in called(installed / "llmscan", "rules", folder=tmp_path).stdout
    assert "ollama" in called(installed / "llmscan", "products", folder=tmp_path).stdout
    shown = called(installed / "llmscan", "demo", folder=tmp_path).stdout
    assert "Deployment/" in shown
    assert {"llmscan-report.html", "llmscan-report.sarif"} == {file.name for file in tmp_path.iterdir()}
