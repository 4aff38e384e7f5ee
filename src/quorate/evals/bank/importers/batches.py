"""The output of a batch: OpenAI's `/v1/batches`, vLLM's `run-batch` and whoever else writes such lines.

A line has the reply to one request, or its error, and of the request nothing but its `custom_id`. So the file that
was sent (lines with `custom_id`, `url` and `body`) should stand in the same folder: without it the questions are
unknown, and their samples can be counted, not asked again. Several choices of a request are samples of one question.
Nothing is graded. vLLM nests an error twice (`error.error.message`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from quorate.evals.answer_files import JsonLine, lines_of
from quorate.orchestrator.context import derive_seed
from quorate.orchestrator.errors import DataError
from quorate.orchestrator.types import Candidate, Message, Question, SamplingParams
from quorate.orchestrator.usage import Usage

from ..ingest import Found, Incoming, LeftOut, Remark
from ..values import BankedItem
from .source import ImportOptions, RepeatWatch, banked_agent, finish_reason_of

__all__ = ["batch_samples"]

_SETTINGS = ("temperature", "top_p", "top_k", "max_tokens", "seed")


def batch_samples(path: Path, options: ImportOptions) -> Iterator[Found]:
    """Every choice of every reply.

    Raises:
        DataError: a line is broken.
    """
    requests = _requests(path)
    task, seed, repeats, unknown = options.task_of(path), derive_seed(0, "batch", path.name), RepeatWatch(), 0
    for line in lines_of(path):
        name = line.text("custom_id")
        body = _body(line)
        if body is None:
            yield LeftOut(f"failed: {_failure(line)}")
            continue
        texts = _choices(body)
        if not texts:
            yield LeftOut("hold no answer of a model")
            continue
        request = requests.get(name)
        unknown += request is None
        try:
            question, sampling = (Question(messages=()), None) if request is None else _asked(request)
        except (ValidationError, TypeError, ValueError) as error:
            raise line.fault(f"the request of {name} holds no question: {error}") from error
        model = str(body.get("model") or "batch")
        repeats.note([candidate.text for candidate in texts], sampling.temperature if sampling else None)
        for candidate in texts:
            yield Incoming(
                agent=banked_agent(model, "batch"),
                candidate=candidate.model_copy(update={"model": model, "agent": model}),
                item=BankedItem(task=task, item=name, question=question),
                sampling=sampling,
                seed=seed if sampling is None or sampling.seed is None else sampling.seed,
            )
    if unknown:
        yield Remark(
            f"{path.name}: the questions of {unknown:,} replies are unknown: put the batch's input file beside it"
        )
    yield from repeats.remark(path, "the server gave the same text for every choice")


def _requests(path: Path) -> dict[str, Mapping[str, Any]]:
    """The bodies of the requests by their `custom_id`, from the files beside it that hold some."""
    found: dict[str, Mapping[str, Any]] = {}
    for file in sorted(path.parent.glob("*.jsonl")):
        try:
            first = next(lines_of(file), None)
            if file == path or first is None or not {"custom_id", "url", "body"} <= first.data.keys():
                continue
            for line in lines_of(file):
                if isinstance(body := line.data.get("body"), Mapping):
                    found.setdefault(line.text("custom_id"), body)
        except DataError:
            continue  # another file's faults are not this one's
    return found


def _body(line: JsonLine) -> Mapping[str, Any] | None:
    """The reply; None where the request failed."""
    response = line.data.get("response")
    if not isinstance(response, Mapping) or line.data.get("error"):
        return None
    body, status = response.get("body"), response.get("status_code", 200)
    return body if isinstance(body, Mapping) and status == 200 and not body.get("error") else None


def _failure(line: JsonLine) -> str:
    """Why, in a word that is the same for all that failed alike."""
    response = line.data.get("response")
    status = response.get("status_code") if isinstance(response, Mapping) else None
    error: Any = line.data.get("error")
    if not error and isinstance(response, Mapping) and isinstance(body := response.get("body"), Mapping):
        error = body.get("error")
    while isinstance(error, Mapping) and isinstance(error.get("error"), Mapping):
        error = error["error"]
    kind = (error.get("type") or error.get("code") or "") if isinstance(error, Mapping) else ""
    return " ".join(str(part) for part in (f"HTTP {status}" if status else "", kind) if part) or "no reply"


def _choices(body: Mapping[str, Any]) -> list[Candidate]:
    """Of `/v1/chat/completions`, `/v1/completions` or `/v1/responses`."""
    given = body.get("choices")
    if isinstance(given, list):
        found = [_choice(place, choice) for place, choice in enumerate(given) if isinstance(choice, Mapping)]
    elif isinstance(output := body.get("output"), list):
        parts = [part for item in output if isinstance(item, Mapping) for part in item.get("content") or ()]
        text = "".join(str(part.get("text") or "") for part in parts if isinstance(part, Mapping))
        reason = "stop" if body.get("status") == "completed" else "length"
        found = [Candidate(index=0, model="", text=text, finish_reason=finish_reason_of(reason))]
    else:
        return []
    return _share_usage(found, body.get("usage") or {})


def _choice(place: int, choice: Mapping[str, Any]) -> Candidate:
    message: Any = choice.get("message")
    message = message if isinstance(message, Mapping) else {"content": choice.get("text")}
    content = message.get("content")
    parts = content if isinstance(content, list) else ()
    text = content if isinstance(content, str) else "".join(str(part.get("text") or "") for part in parts)
    reasoning = message.get("reasoning_content") or message.get("reasoning")
    index = choice.get("index")
    return Candidate(
        index=index if isinstance(index, int) else place,
        model="",
        text=text,
        reasoning=reasoning if isinstance(reasoning, str) else None,
        tool_calls=tuple(message.get("tool_calls") or ()),
        finish_reason=finish_reason_of(choice.get("finish_reason")),
    )


def _share_usage(found: Sequence[Candidate], used: Mapping[str, Any]) -> list[Candidate]:
    """The tokens of a request, shared among its choices by the length of their texts, which is an estimate."""
    read = used.get("prompt_tokens") or used.get("input_tokens") or 0
    written = used.get("completion_tokens") or used.get("output_tokens") or 0
    whole, left, shared = sum(len(c.text) for c in found), int(written), []
    for place, candidate in enumerate(found):
        share = left if place == len(found) - 1 else min(left, round(written * len(candidate.text) / max(1, whole)))
        left -= share
        usage = Usage(
            prompt_tokens=0 if place else int(read),
            completion_tokens=share,
            requests=0 if place else 1,
            estimated=len(found) > 1,
        )
        shared.append(candidate.model_copy(update={"usage": usage, "prompt_counted": place > 0}))
    return shared


def _asked(body: Mapping[str, Any]) -> tuple[Question, SamplingParams]:
    """What a request asks, and how."""
    given: Any = body.get("messages") or body.get("prompt") or body.get("input")
    most = body.get("max_completion_tokens") or body.get("max_output_tokens")
    settings = {name: body[name] for name in _SETTINGS if body.get(name) is not None}
    if most is not None:
        settings["max_tokens"] = most
    stop = body.get("stop") or ()
    sampling = SamplingParams(**settings, stop=(stop,) if isinstance(stop, str) else tuple(stop))
    if isinstance(given, str):
        return Question.of(given), sampling
    question = Question.of([Message.model_validate(message) for message in given or ()])
    tools, form = tuple(body.get("tools") or ()), body.get("response_format")
    return question.model_copy(update={"tools": tools, "response_format": form}), sampling
