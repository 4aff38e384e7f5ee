"""Starting and stopping: addresses, ports, keys from the environment, signals."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys

import httpx
import pytest

from quorate.config.catalog import Catalog
from quorate.config.server_settings import hash_key
from quorate.orchestrator.errors import BadInput
from quorate.server import ServerSettings, run_server, serve

from .scripted import Echo


async def test_port_0_takes_a_free_one() -> None:
    """The URL that is reported is the one that answers."""
    async with run_server(Catalog({"echo": Echo()})) as url, httpx.AsyncClient() as client:
        assert (await client.get(f"{url}/health")).status_code == 200


async def test_a_port_in_use_is_one_clear_error() -> None:
    """It names the port and what to do."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(BadInput, match=f"port {port} of 127.0.0.1 is in use: .*--port"):
            await serve(Catalog(), ServerSettings(port=port))


async def test_an_impossible_address_is_one_clear_error() -> None:
    """A host that is none of this machine's."""
    with pytest.raises(BadInput, match=r"cannot listen on 192\.0\.2\.1:0"):
        await serve(Catalog(), ServerSettings(host="192.0.2.1", port=0, open=True))


@pytest.mark.parametrize(("host", "shown"), [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1")])
async def test_the_url_leads_to_the_server(host: str, shown: str) -> None:
    """Also where it listens on every address."""
    async with (
        run_server(Catalog(), ServerSettings(host=host, port=0, open=True)) as url,
        httpx.AsyncClient() as client,
    ):
        assert url.startswith(f"http://{shown}:")
        assert (await client.get(f"{url}/health")).status_code == 200


async def test_a_server_inside_a_program_passes_its_errors_on() -> None:
    """What fails in the block reaches the caller, and the port is free again."""
    with pytest.raises(ZeroDivisionError):
        async with run_server(Catalog()) as url:
            1 / 0  # noqa: B018
    port = int(url.rsplit(":", 1)[1])
    async with run_server(Catalog(), ServerSettings(port=port)):
        pass


def test_keys_come_from_the_environment_and_stay_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """QUORATE_API_KEYS holds several; neither repr nor dump shows them."""
    monkeypatch.setenv("QUORATE_API_KEYS", "one-secret, two-secret,")
    settings = ServerSettings()
    assert [key.name for key in settings.keys] == ["env-1", "env-2"]
    assert [key.hash for key in settings.keys] == [hash_key("one-secret"), hash_key("two-secret")]
    assert "secret" not in repr(settings)
    assert "secret" not in settings.model_dump_json()


SCRIPT = """
import asyncio
import signal
from quorate.config.catalog import Catalog
from quorate.server import ServerSettings, serve

class Closing(Catalog):
    async def aclose(self):
        print("closed", flush=True)

signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's background jobs ignore
asyncio.run(serve(Closing(), ServerSettings(port=0), on_ready=lambda url: print(url, flush=True)))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_stop_the_server_cleanly(number: signal.Signals) -> None:
    """The server ends and closes its models, as when a container is stopped or Ctrl-C is pressed."""
    source = os.path.dirname(os.path.dirname(sys.modules["quorate"].__file__ or ""))
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": source},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("http://127.0.0.1:")
        process.send_signal(number)
        assert process.stdout.read() == "closed\n"
        assert (process.wait() == 0) == (number == signal.SIGTERM)


async def test_serve_reports_when_it_is_ready() -> None:
    """`on_ready` is told the URL once requests are answered."""
    told: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(serve(Catalog(), ServerSettings(port=0), on_ready=told.set_result))
    async with httpx.AsyncClient() as client:
        assert (await client.get(f"{await told}/health")).status_code == 200
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)


FILES = """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 100))
from quorate.server.run import allow_files, bound_connections
print(bound_connections(4096), bound_connections(7))
allow_files(16384)
print(resource.getrlimit(resource.RLIMIT_NOFILE), bound_connections(4096))
"""


def test_connections_leave_files_for_calls_to_upstreams() -> None:
    """The server takes as many files as the system lets it, and half of them at most for its clients."""
    source = os.path.dirname(os.path.dirname(sys.modules["quorate"].__file__ or ""))
    environment = {**os.environ, "PYTHONPATH": source}
    done = subprocess.run([sys.executable, "-c", FILES], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout == "32 7\n(100, 100) 50\n"
