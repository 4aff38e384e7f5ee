"""`quorate key`: what it prints fits into a configuration and opens its server."""

from __future__ import annotations

import json
import subprocess
import sys

import yaml

from quorate.config.server_settings import ApiKey
from quorate.server.access.keys import KeyRing


def ran(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from quorate.cli import main; main()", "key", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_the_line_goes_into_the_file_and_the_key_to_its_owner() -> None:
    """The printed entry is YAML for `server.keys`, and the printed key is the one it knows."""
    lines = ran("ann").stdout.splitlines()
    key = lines[1].strip()
    entry = ApiKey.model_validate(yaml.safe_load(lines[3])[0])
    assert KeyRing([entry]).find(f"Bearer {key}") == entry
    assert key not in lines[3]


def test_scripts_get_json() -> None:
    """Key, name and hash; every time another key."""
    first, second = (json.loads(ran("ann", "--json").stdout) for _ in range(2))
    assert first["name"] == "ann"
    assert first["key"] != second["key"]


def test_a_name_that_logs_could_not_carry_is_refused() -> None:
    """One line that says what a name may hold."""
    done = ran("ann smith")
    assert (done.returncode, done.stdout) == (2, "")
    assert "'ann smith' cannot name a key" in done.stderr
