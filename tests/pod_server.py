"""What answers for pods in tests of the API server's proxy: an open Ollama on 11434, and vLLM with a key on 8000."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

OPEN = {"/": "Ollama is running", "/api/version": {"version": "0.12.3"}, "/api/tags": {"models": []}}
SECURED = {"/version": {"version": "0.31.0"}, "/load": {"server_load": 0}}


def handler(pages: dict[str, Any], guarded: str) -> type[BaseHTTPRequestHandler]:
    """A server of some pages, with one prefix that asks for a key."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            print(
                self.command, self.path, self.headers.get("User-Agent"), self.headers.get("Authorization"), flush=True
            )
            refused = bool(guarded) and self.path.startswith(guarded)
            page = {"error": "Unauthorized"} if refused else pages.get(self.path)
            raw = (page if isinstance(page, str) else json.dumps(page)).encode()
            self.send_response(401 if refused else 200 if page is not None else 404)
            self.send_header("Access-Control-Allow-Origin", "*")
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *args: Any) -> None:
            pass

    return Handler


if __name__ == "__main__":
    for port, made in ((11434, handler(OPEN, "")), (8000, handler(SECURED, "/v1"))):
        threading.Thread(target=ThreadingHTTPServer(("0.0.0.0", port), made).serve_forever).start()
