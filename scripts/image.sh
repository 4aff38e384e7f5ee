#!/usr/bin/env bash
# Builds the image where podman, buildah or docker can (BUILD_FLAGS are theirs), else takes its steps in a folder that is
# thrown away: the locked packages with their hashes, the package itself, a server that tells of its health.
#
# scripts/image.sh [NAME]
set -euo pipefail
cd "$(dirname "$0")/.."
name=${1:-quorate}

if [ -z "${REHEARSE:-}" ]; then
    for builder in podman buildah docker; do
        if command -v "$builder" >/dev/null && "$builder" info >/dev/null 2>&1; then
            # Health checks are a part of docker's format only.
            format=$([ "$builder" = docker ] || echo "--format docker")
            # shellcheck disable=SC2086
            exec "$builder" build $format ${BUILD_FLAGS:-} -f deploy/Containerfile -t "$name" .
        fi
    done
    echo "no podman, buildah or docker that works here: the same steps, in a folder" >&2
fi

work=$(mktemp -d)
trap 'kill "${server:-}" 2>/dev/null; rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/quorate"
pip="$work/quorate/bin/pip --quiet --disable-pip-version-check"
$pip install --require-hashes --only-binary :all: -r deploy/requirements-build.txt -r deploy/requirements.txt
cp -r pyproject.toml README.md LICENSE src "$work"
$pip install --no-deps --no-build-isolation "$work"
$pip check
$pip uninstall --yes setuptools pip
cd "$work"
echo 'models: {m: {base_url: "http://127.0.0.1:9/v1", model: m}}' >quorate.yaml
quorate/bin/quorate serve --config quorate.yaml --port 0 --log-format json 2>log &
server=$!
python=$work/quorate/bin/python
for _ in $(seq 60); do
    url=$(sed -n 's/.*"url":"\([^"]*\)".*/\1/p' log)
    [ -z "$url" ] || break
    sleep 1
done
[ -n "$url" ] || { cat log; echo "the server did not tell where it listens" >&2; exit 1; }
"$python" -c "import sys, urllib.request as r; print(r.urlopen(sys.argv[1] + '/health', timeout=5).read().decode())" "$url"
