"""The page of a run, served on this machine only.

In: a `Record`.  Out: an address on the loopback interface.  Requests that name another host are
refused: a page from elsewhere whose name was made to point here must not read the run.  Level 12.
"""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from rushlight.viz.page import escaped_json, escaped_text
from rushlight.watch.record import Record

__all__ = ["Server", "page_text"]

LOOPBACK = "127.0.0.1"
TEMPLATE = Path(__file__).with_name("page.html")
POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "img-src data:; connect-src 'self'"
)


def page_text(record: Record, *, live: bool) -> str:
    """The page: with its data in it, or (`live`) one that asks for it each second."""
    data = "null" if live else escaped_json(record.as_dict())
    text = TEMPLATE.read_text(encoding="utf-8")
    return text.replace("@TITLE@", escaped_text(record.title)).replace("@DATA@", data)


class Server:
    """Serves from the moment it is made until `close`.

    port: 0 takes any that is free.  Raises: OSError where the port is taken.
    """

    def __init__(self, record: Record, port: int = 0) -> None:
        handler = type("Handler", (_Handler,), {"record": record})
        self._server = ThreadingHTTPServer((LOOPBACK, port), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.2}, daemon=True
        )
        self._thread.start()

    @property
    def address(self) -> str:
        """Where the page is."""
        return f"http://{LOOPBACK}:{self._server.server_address[1]}/"

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    record: Record
    server_version = "rushlight"
    sys_version = ""

    def do_GET(self) -> None:
        host = (self.headers.get("Host") or "").rpartition(":")[0]
        if host not in (LOOPBACK, "localhost"):
            self._answer(403, "text/plain", b"this page is for this machine")
        elif self.path == "/":
            self._answer(200, "text/html", page_text(self.record, live=True).encode())
        elif self.path == "/data":
            text = json.dumps(self.record.as_dict(), allow_nan=False, separators=(",", ":"))
            self._answer(200, "application/json", text.encode())
        else:
            self._answer(404, "text/plain", b"there is nothing here")

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy", POLICY)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are not told: the terminal is the program's."""
