"""A package index on this machine, with its faults."""

from __future__ import annotations

import hashlib
import http.server
import json
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Index", "make_wheel", "serve_index"]


@dataclass
class Index:
    """What it serves and how."""

    files: dict[str, bytes] = field(default_factory=dict)
    """By the name of the wheel."""
    html: bool = False
    break_after: int | None = None
    """Bytes of a file after which the connection is lost, once."""
    ranges: list[str] = field(default_factory=list)
    """What was asked for."""
    url: str = ""


def make_wheel(file: Path, inside: dict[str, Path]) -> tuple[bytes, str]:
    """A wheel with these files, and its sha256."""
    with zipfile.ZipFile(file, "w") as wheel:
        for name, source in inside.items():
            wheel.write(source, name)
    content = file.read_bytes()
    return content, hashlib.sha256(content).hexdigest()


@contextmanager
def serve_index(index: Index) -> Iterator[Index]:
    """The index at `index.url`."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            name = self.path.strip("/").split("/")[-1]
            if name in index.files:
                self._send_file(index.files[name])
            elif any(file.startswith(f"{name.replace('-', '_')}-") for file in index.files):
                self._send_page(name)
            else:
                self.send_response(404)
                self.send_header("Content-Length", "0")
                self.end_headers()

        def _send_page(self, name: str) -> None:
            kind, page = (
                "application/vnd.pypi.simple.v1+json",
                json.dumps({"files": [{"filename": file, "url": f"../../files/{file}"} for file in index.files]}),
            )
            if index.html:
                kind = "text/html"
                page = "".join(f'<a href="../../files/{file}#sha256=0">{file}</a>' for file in index.files)
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            self.wfile.write(page.encode())

        def _send_file(self, content: bytes) -> None:
            asked = self.headers.get("Range", "")
            index.ranges.append(asked)
            start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
            self.send_response(206 if asked else 200)
            self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            if index.break_after is not None:
                self.wfile.write(content[start : start + index.break_after])
                index.break_after = None
                self.connection.close()
                self.close_connection = True
                return
            self.wfile.write(content[start:])

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        index.url = f"http://127.0.0.1:{server.server_address[1]}/simple"
        yield index
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
