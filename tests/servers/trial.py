"""Start some of the recipes and print what llmscan says of each: `trial.py NAME...`."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from launch import DidNotStart, NotInstalled, Server
from recipes import CASES


def main(names: list[str]) -> None:
    for name in names or list(CASES):
        case = CASES[name]
        with tempfile.TemporaryDirectory() as home:
            start = time.monotonic()
            try:
                server = Server(case.recipe, Path(home))
                server.wait()
            except (NotInstalled, DidNotStart) as reason:
                print(f"{name}: {type(reason).__name__} {reason}")
                continue
            up = time.monotonic() - start
            done = subprocess.run(
                ["llmscan", "endpoint", server.url, "--format", "json"], capture_output=True, text=True
            )
            server.stop()
        report = json.loads(done.stdout)
        seen = report["inventory"][0].get("observed", report["inventory"][0])
        print(
            f"{name} (up after {up:.1f} s, exit {done.returncode}) wanted {case.product} {case.version} {case.authentication} {case.cors}"
        )
        print("   ", json.dumps(seen), [f["rule"] for f in report["findings"]], report["failures"], done.stderr[-300:])


if __name__ == "__main__":
    main(sys.argv[1:])
