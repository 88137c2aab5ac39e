"""Type check the whole project: mypy follows neither the mapping of packages nor import hooks, so it is given a folder of links.

python tests/typecheck.py        makes .typecheck/llmscan/ and runs `mypy --strict -p llmscan` on it, then on the tests
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
FARM = ROOT / ".typecheck"


def link_farm() -> None:
    """Links for the tree as it is installed; those of modules that are gone are taken away."""
    package = FARM / "llmscan"
    package.mkdir(parents=True, exist_ok=True)
    wanted = {one.name: one for one in (ROOT / "scanner").iterdir() if one.name != "__pycache__"}
    wanted |= {name: ROOT / name for name in ("plugins", "reports")}
    for link in package.iterdir():
        if link.name not in wanted or link.readlink() != wanted[link.name]:
            link.unlink()
    for name, target in wanted.items():
        if not (package / name).is_symlink():
            (package / name).symlink_to(target)


def main(tests: bool) -> int:
    """mypy's exit code."""
    link_farm()
    environment = os.environ | {"MYPYPATH": f"{FARM}:{ROOT / 'tests'}"}
    what = [str(file) for file in sorted((ROOT / "tests").glob("*.py"))] if tests else ["-p", "llmscan"]
    settings = ["--strict", "--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(FARM / "cache")]
    return subprocess.run(
        [sys.executable, "-m", "mypy", *settings, *what], cwd=FARM, env=environment, check=False
    ).returncode


if __name__ == "__main__":
    sys.exit(main("--tests" in sys.argv[1:]))
