#!/usr/bin/env bash
# Locks what the image installs: every package with the hashes of its files, for each platform and Python from 3.11 on.
# Versions stay as they are where they will do; with --upgrade they are the latest.
#
# scripts/lock.sh [--upgrade]
set -euo pipefail
cd "$(dirname "$0")/.."

lock() {
    local out=$1
    shift
    uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
        --custom-compile-command scripts/lock.sh --output-file "$out" "$@"
    # The index that this machine happens to ask is nobody else's business.
    if grep -n '://\|--index\|--find-links' "$out"; then
        echo "$out names an address" >&2
        exit 1
    fi
}

build=$(mktemp)
trap 'rm -f "$build"' EXIT
python3 -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")' >"$build"
lock deploy/requirements.txt pyproject.toml --extra mcp --extra otel --extra redis "$@"
lock deploy/requirements-build.txt --no-annotate "$build" "$@"
