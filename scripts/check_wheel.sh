#!/usr/bin/env bash
# Builds the sdist, the wheel from it and a wheel from a checkout without symbolic links; installs
# the wheel into a fresh environment beside openai-agents (whose package is also named `agents`),
# uses both, and prints how large the core install is.
#
# Usage: scripts/check_wheel.sh PYTHON_WITH_BUILD
set -euo pipefail
cd "$(dirname "$0")/.."
python=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
pip="-m pip install --quiet --disable-pip-version-check"

echo "building sdist and wheel"
"$python" -m build --outdir "$work/dist" . >"$work/build.log" 2>&1 || { cat "$work/build.log"; exit 1; }

echo "building from a checkout without symbolic links"
mkdir "$work/plain"
git ls-files -z --cached --others --exclude-standard | while IFS= read -r -d '' file; do
    [ -L "$file" ] && continue
    mkdir -p "$work/plain/$(dirname "$file")"
    cp "$file" "$work/plain/$file"
done
"$python" -m build --wheel --outdir "$work/plain-dist" "$work/plain" >"$work/build.log" 2>&1 || { cat "$work/build.log"; exit 1; }
names() { "$python" -c 'import sys, zipfile; print(*sorted(zipfile.ZipFile(sys.argv[1]).namelist()), sep="\n")' "$1"; }
diff <(names "$work"/dist/*.whl) <(names "$work"/plain-dist/*.whl)

echo "installing the wheel fresh"
"$python" -m venv "$work/fresh"
fresh="$work/fresh/bin/python"
size() { du -sm "$work/fresh/lib" | cut -f1; }
before=$(size)
"$fresh" $pip "$work"/dist/*.whl
echo "core install: $(($(size) - before)) MB in $("$fresh" -m pip list 2>/dev/null | tail -n +3 | wc -l) packages; the wheel: $(du -k "$work"/dist/*.whl | cut -f1) kB"
cd "$work"
"$fresh" -W error -X importtime -c 'import quorate' 2>"$work/import.log"
echo "import quorate: $(tail -n 1 "$work/import.log" | awk -F'|' '{print int($2 / 1000)}') ms"
"$fresh" -c 'import sys, quorate; assert not {"torch", "openai", "langgraph", "httpx"} & set(sys.modules), "import quorate is not light"'
"$work/fresh/bin/quorate" models --json | "$fresh" -c 'import json, sys; print("embedded:", *[m["id"] for m in json.load(sys.stdin)["models"]])'
"$work/fresh/bin/quorate" ask "What is 2 + 2?" 2>"$work/missing.log" && { echo "torch should be missing here"; exit 1; }
grep -q "quorate\[local\]" "$work/missing.log" || { cat "$work/missing.log"; exit 1; }

echo "beside openai-agents"
"$fresh" $pip openai-agents
"$fresh" -c 'import agents, quorate.agents, sys; assert hasattr(agents, "Runner") and agents is not quorate.agents; from quorate.agents import Endpoint'
echo "wheel ok"
