"""The main job in three minutes: what `make demo` runs.

A story problem answered by sixteen samples of a model that ships inside the package, the same through a server and the
official openai client, an ordinary question answered by a vote of a real model (fetched once, where there is a
network), and a small comparison with intervals.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from openai import OpenAI

from quorate.evals.tasks.stories import generate

QUORATE = str(Path(sys.executable).with_name("quorate"))
MODEL = "quorate-tiny-base"
PIPELINE = f"majority@16/{MODEL}"
REAL = "smollm2-135m"
SEED = "7"


def main() -> None:
    problem = generate("hard", seed=7, count=1)[0]
    title("One question, sixteen samples, one answer")
    run("ask", problem.question, "--pipeline", PIPELINE, "--seed", SEED)
    print(f"(the right answer is {problem.answer})")
    title("The same over HTTP, through the official openai client, streaming")
    with served() as url:
        stream_from(url, problem.question)
    title("An ordinary question, five samples of a real model (SmolLM2-135M-Instruct, 93 MB, fetched once)")
    if run("models", "add", REAL, needed=False):
        run(
            "ask",
            "What is the capital of France?",
            "--model",
            f"majority@5/{REAL}",
            "--max-tokens",
            "64",
            "--seed",
            SEED,
        )
    title("Is it worth its tokens? 100 fresh problems, hard tier, 95 % intervals")
    pipelines = [MODEL, PIPELINE, f"adaptive-consistency@16/{MODEL}"]
    chosen = [word for name in pipelines for word in ("--pipeline", name)]
    run("eval", "run", "--task", "stories", "--tier", "hard", *chosen, "--limit", "100", "--seed", SEED)


def title(text: str) -> None:
    print(f"\n=== {text}\n", flush=True)


def run(*arguments: str, needed: bool = True) -> bool:
    """Whether it ended well; it must, unless it is not needed."""
    print(f"$ quorate {shlex.join(arguments)}\n", flush=True)
    return subprocess.run([QUORATE, *arguments], check=needed).returncode == 0


@contextmanager
def served() -> Iterator[str]:
    """A server of the embedded models on a free port."""
    print("$ quorate serve --port 0", flush=True)
    server = subprocess.Popen(
        [QUORATE, "serve", "--port", "0", "--log-format", "human"], stderr=subprocess.PIPE, text=True
    )
    try:
        assert server.stderr is not None
        line = server.stderr.readline()
        print(line, flush=True)
        found = re.search(r"http://\S+/v1", line)
        assert found, f"the server did not start: {line}{server.stderr.read()}"
        yield found[0]
    finally:
        server.terminate()
        server.communicate(timeout=30)


def stream_from(url: str, question: str) -> None:
    client = OpenAI(base_url=url, api_key="none")
    print(f">>> client.chat.completions.create(model={PIPELINE!r}, stream=True, ...)", flush=True)
    stream = client.chat.completions.create(
        model=PIPELINE,
        messages=[{"role": "user", "content": question}],
        seed=int(SEED),
        stream=True,
        stream_options={"include_usage": True},
    )
    for chunk in stream:
        for choice in chunk.choices:
            progress = getattr(choice.delta, "reasoning_content", None)
            print(f"  {progress}" if progress else choice.delta.content or "", end="", flush=True)
        if chunk.usage is not None:
            print(f"\nusage: {chunk.usage.prompt_tokens} + {chunk.usage.completion_tokens} tokens")


if __name__ == "__main__":
    main()
