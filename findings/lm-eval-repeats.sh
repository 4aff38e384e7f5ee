#!/bin/sh
# lm-eval 0.4.13: `repeats` over an OpenAI-compatible server are one sample, and a text without an answer votes.
#
# A guess: a task with `repeats: 8` and a temperature, as gsm8k_cot_self_consistency has 64, draws that many samples. Over
# local-completions and local-chat-completions every repeat is a request with the same seed (1234, or the one of
# model_args), which a server that honours seeds, such as vLLM or llama.cpp, answers with the same text: maj@8 is the
# score of one sample, with no warning. A second guess: the filter majority_vote counts answers. What the filter regex finds
# nothing in becomes "[invalid]", and those agree: below three texts that say nothing outvote two right answers.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check "lm_eval[api]==0.4.13" datasets==5.2.0
cat >"$place/questions.jsonl" <<'END'
{"question": "What is 17 * 24?", "answer": "408"}
{"question": "What is 24 * 17?", "answer": "408"}
END
cat >"$place/votes.yaml" <<END
task: votes
dataset_path: json
dataset_kwargs: {data_files: {test: $place/questions.jsonl}}
test_split: test
output_type: generate_until
doc_to_text: "{{question}}"
doc_to_target: "{{answer}}"
repeats: 5
generation_kwargs: {until: ["\n\n"], max_gen_toks: 60, do_sample: true, temperature: 1.0}
metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]
filter_list:
  - name: vote
    filter: [{function: regex, regex_pattern: "Answer: ([0-9]+)"}, {function: majority_vote}, {function: take_first}]
END
OPENAI_API_KEY=any HF_HUB_OFFLINE=1 HF_DATASETS_CACHE="$place/cache" "$place/env/bin/python" - "$place" <<'END'
import json
import random
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version

import lm_eval
from lm_eval.tasks import TaskManager

assert version("lm_eval") == "0.4.13"
TEXTS = ["I cannot tell.", "Answer: 408", "I do not know.", "Answer: 408", "That is hard."]
asked = []


class Server(BaseHTTPRequestHandler):
    honours_seeds = True

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        asked.append(body)
        drawn = random.Random(body["seed"]).random() if self.honours_seeds else len(asked)
        text = f"A text of its own: {drawn}" if self.honours_seeds else TEXTS[drawn % 5]
        message = {"role": "assistant", "content": text}
        reply = json.dumps({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()


def evaluate():
    return lm_eval.simple_evaluate(
        model="local-chat-completions",
        model_args=f"model=m,base_url=http://127.0.0.1:{server.server_port}/v1/chat/completions,max_retries=1",
        tasks=["votes"],
        task_manager=TaskManager(include_path=sys.argv[1], include_defaults=False),
        apply_chat_template=True,
        bootstrap_iters=0,
        log_samples=True,
    )


samples = evaluate()["samples"]["votes"]
texts = [len(set(sample["resps"][0])) for sample in samples]
sent = {(body["seed"], body["temperature"]) for body in asked}
print("requests:", len(asked), "their seeds and temperatures:", sent)
print("different texts of 5:", texts)
assert len(asked) == 10 and sent == {(1234, 1.0)} and texts == [1, 1], "no longer so"

Server.honours_seeds = False
asked.clear()
result = evaluate()
for sample in result["samples"]["votes"]:
    print(sorted(sample["resps"][0]), "->", sample["filtered_resps"])
    assert sample["filtered_resps"] == ["[invalid]"], "no longer so"
assert result["results"]["votes"]["exact_match,vote"] == 0, "no longer so"
END
