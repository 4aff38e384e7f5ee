"""EleutherAI's lm-evaluation-harness, with our vote as its model and a task from a local file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from .conftest import VOTE

lm_eval = pytest.importorskip("lm_eval")

TASK = """
task: products
dataset_path: json
dataset_kwargs: {{data_files: {{test: {file}}}}}
test_split: test
output_type: generate_until
doc_to_text: "{{{{question}}}}"
doc_to_target: "{{{{answer}}}}"
generation_kwargs: {{until: ["\\n\\n"], max_gen_toks: 60, do_sample: false}}
metric_list: [{{metric: exact_match, aggregation: mean, higher_is_better: true}}]
filter_list:
  - name: number
    filter: [{{function: regex, regex_pattern: "Answer: (\\\\d+)"}}, {{function: take_first}}]
"""


@pytest.mark.parametrize(
    ("kind", "path"), [("local-chat-completions", "chat/completions"), ("local-completions", "completions")]
)
def test_an_evaluation(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, path: str) -> None:
    """Every question is asked and scored, over both of the APIs that it knows."""
    monkeypatch.setenv("OPENAI_API_KEY", "any")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    file = tmp_path / "products.jsonl"
    file.write_text(
        "".join(json.dumps({"question": f"What is 17 * 24? ({i})", "answer": "408"}) + "\n" for i in range(4))
    )
    (tmp_path / "products.yaml").write_text(TASK.format(file=file))
    tasks = pytest.importorskip("lm_eval.tasks")
    results: Any = lm_eval.simple_evaluate(
        model=kind,
        model_args=f"model={VOTE},base_url={url}/{path},num_concurrent=2,max_retries=1,tokenized_requests=False,tokenizer_backend=None",
        tasks=["products"],
        task_manager=tasks.TaskManager(include_path=str(tmp_path), include_defaults=False),
        apply_chat_template=kind == "local-chat-completions",
        bootstrap_iters=0,
    )
    assert results["results"]["products"]["exact_match,number"] == 1.0
