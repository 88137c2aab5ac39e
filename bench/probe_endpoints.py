"""How long 1,000 loopback endpoints take, of which 5 % take connections and never answer. Budget: twice the timeout.

bench/probe_endpoints.py [NUMBER]
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from subprocess import run

BUDGET = 2
DEAD = 0.05
DEFAULT_TIMEOUT = 30.0
PAGES = {b"/": b"Ollama is running", b"/api/version": b'{"version":"0.12.3"}', b"/api/tags": b'{"models":[]}'}


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            path = (await reader.readuntil(b"\r\n\r\n")).split(b" ", 2)[1]
            body = PAGES.get(path)
            status = b"200 OK" if body is not None else b"404 Not Found"
            writer.write(b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body or b""), body or b""))
            await writer.drain()
    except (asyncio.IncompleteReadError, OSError):
        writer.close()


async def _keep_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    await asyncio.sleep(3600)


async def _serve(number: int, told: Connection) -> None:
    every = round(1 / DEAD)
    servers = [
        await asyncio.start_server(_keep_silent if n % every == 0 else _answer, "127.0.0.1", 0) for n in range(number)
    ]
    told.send([server.sockets[0].getsockname()[1] for server in servers])
    await asyncio.sleep(3600)


def _serving(number: int, told: Connection) -> None:
    asyncio.run(_serve(number, told))


def main(number: int) -> int:
    """Print what it took; 0 within the budget."""
    mine, theirs = multiprocessing.Pipe()
    server = multiprocessing.Process(target=_serving, args=(number, theirs), daemon=True)
    server.start()
    ports = mine.recv()
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as urls, tempfile.TemporaryDirectory() as folder:
        urls.write("".join(f"http://127.0.0.1:{port}\n" for port in ports))
        urls.flush()
        out = os.path.join(folder, "report.json")  # noqa: PTH118
        start = time.monotonic()
        run([sys.executable, "-m", "llmscan.cli", "endpoint", "--from-file", urls.name, "-q", "-o", out], check=False)
        took = time.monotonic() - start
        with open(out, encoding="utf-8") as written:  # noqa: PTH123
            report = json.load(written)
    server.terminate()
    seen = [one["outcome"] for item in report["inventory"] for one in item["observed"]]
    counts = {outcome: seen.count(outcome) for outcome in sorted(set(seen))}
    limit = BUDGET * DEFAULT_TIMEOUT
    print(f"{number} endpoints: {took:.1f} s (budget {limit:.0f} s), {counts}")
    return 0 if took <= limit and counts.get("no answer") == number * DEAD else 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000))
