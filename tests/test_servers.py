"""`llmscan endpoint` on real servers from PyPI, open and as their documentation secures them: product, version, whom they let in, CORS."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from endpoint_scans import report

sys.path.insert(0, str(Path(__file__).parent / "servers"))

from launch import INSTALLED, Server
from recipes import CASES, LATE

pytestmark = pytest.mark.servers
HERE = Path(__file__).parent


@pytest.fixture(scope="session", autouse=True)
def installed() -> None:
    """Install what is missing of the servers that install quickly."""
    subprocess.run([str(HERE / "servers" / "install.sh")], check=False, timeout=540)


def is_wanted(name: str) -> bool:
    """Whether a case belongs to the lane: the quick ones always, the others where somebody installed them."""
    package = CASES[name].recipe.package
    return package not in LATE or (INSTALLED / package / ".installed").exists()


@pytest.mark.parametrize("name", [name for name in CASES if is_wanted(name)])
def test_a_real_server_is_told_for_what_it_is(name: str, tmp_path: Path) -> None:
    """Product, version, open or closed, and CORS are those of the recipe; an open one is a finding with what was seen."""
    case = CASES[name]
    server = Server(case.recipe, tmp_path)
    try:
        server.wait()
        document = report(server.url)
    finally:
        server.stop()
    (seen,) = document["inventory"][0]["observed"]
    assert (seen["product"], seen["authentication"], seen["cors"]) == (case.product, case.authentication, case.cors), (
        seen
    )
    assert seen["version"] == case.version
    found = {f["rule"] for f in document["findings"] if f["evidence"] == "observed" and f["quote"]}
    assert ("AUT011" in found) == (case.authentication == "open")
    assert bool({"COR001", "COR002", "COR003"} & found) == (case.cors not in ("none", "listed", "unknown"))
