"""A hub on this machine: the part of its API that downloads need."""

from __future__ import annotations

import hashlib
import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["serve_hub"]

COMMIT = "0123456789" * 4


@contextmanager
def serve_hub(id: str, folder: Path) -> Iterator[str]:  # noqa: A002
    """The folder as the hub's model of this id; the hub's address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self._answer(body=False)

        def do_GET(self) -> None:
            self._answer(body=True)

        def _answer(self, *, body: bool) -> None:
            path = self.path.partition("?")[0]
            if path == f"/api/models/{id}/revision/main":
                files = [{"rfilename": file.name} for file in folder.iterdir()]
                self._send(json.dumps({"id": id, "sha": COMMIT, "siblings": files}).encode(), body)
            elif path.startswith(f"/api/models/{id}/tree/"):
                tree = [
                    {"type": "file", "path": file.name, "size": file.stat().st_size, "oid": _hash(file)}
                    for file in folder.iterdir()
                ]
                self._send(json.dumps(tree).encode(), body)
            elif path.startswith(f"/{id}/resolve/") and (file := folder / path.rpartition("/")[2]).is_file():
                self._send(file.read_bytes(), body, _hash(file))
            else:
                self.send_response(404)
                self.send_header("Content-Length", "0")
                self.send_header("X-Error-Code", "RepoNotFound")
                self.end_headers()

        def _send(self, content: bytes, body: bool, tag: str = "x") -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Content-Type", "application/json")
            self.send_header("ETag", f'"{tag}"')
            self.send_header("X-Repo-Commit", COMMIT)
            self.end_headers()
            if body:
                self.wfile.write(content)

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _hash(file: Path) -> str:
    return hashlib.sha1(file.read_bytes(), usedforsecurity=False).hexdigest()
