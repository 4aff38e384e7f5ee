"""Looks up the image's locked packages among known vulnerabilities, by pip-audit.

python scripts/audit.py     fails where one is known; says so where no database answers, as without a network
"""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

LOCK = Path(__file__).parents[1] / "deploy" / "requirements.txt"
SERVICES = ("pypi", "osv")
PATIENCE = 120


def look_up(service: str) -> list[dict[str, Any]] | None:
    """What a database says of each package; None where it says nothing of any."""
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(LOCK), "--require-hashes", "--disable-pip"]
    options = ["--vulnerability-service", service, "--format", "json", "--progress-spinner", "off", "--timeout", "10"]
    try:
        done = subprocess.run([*command, *options], capture_output=True, text=True, check=False, timeout=PATIENCE)
        found = [each for each in json.loads(done.stdout)["dependencies"] if "vulns" in each]
    except (subprocess.TimeoutExpired, ValueError):
        return None
    return found or None


def main() -> int:
    if find_spec("pip_audit") is None:
        print("audit needs pip-audit: `make audit` installs it")
        return 2
    for service in SERVICES:
        found = look_up(service)
        if found is not None:
            break
    else:
        print(f"audit skipped: no database of vulnerabilities answers ({', '.join(SERVICES)}); is there a network?")
        return 0
    bad = [(each["name"], each["version"], vuln) for each in found for vuln in each["vulns"]]
    for name, version, vuln in bad:
        fixed = ", ".join(vuln["fix_versions"]) or "no version yet"
        print(f"{name} {version}: {vuln['id']}, fixed in {fixed}")
    print(f"{len(found)} packages looked up in {service}: {len(bad)} vulnerabilities")
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
