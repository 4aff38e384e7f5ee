"""Replies that the caller wants as JSON of a strict schema, checked here: a server may take no notice of one.

An answer that is not such a document is asked for once more, with the schema written into the question, which
such a server passes on to its model. If that is none either, `degraded` says so. It is the last answer that is
checked: candidates of a vote that do not fit only abstain.
"""

from __future__ import annotations

import json
from typing import Any

from quorate.prompts import load

from .context import Ledger, RunContext, derive_seed
from .errors import QuorateError
from .events import AnswerToken, Event, Observer
from .json_schema import Schema
from .protocols import Model
from .types import Answer, Degradation, Message, Question


async def answer_conforming(model: Model, question: Question, run: RunContext) -> Answer:
    """The model's answer, which fits the question's strict schema or says in `degraded` that it does not.

    It is asked for a second time at most, and not at all where the first has been read while it was written, is a
    tool call, was cut, or has used up the budget. The usage is that of both.

    Raises:
        QuorateError: as the model's `answer`; of the second one no error counts.
    """
    schema = Schema.strict(question)
    if schema is None:
        return await model.answer(question, run)
    run = run.replace(ledger=Ledger(run.ledger))
    reader = _ReadAlong(run.emit, live=run.live)
    first = await model.answer(question, run.replace(emit=reader) if run.observed else run)
    if _conforms(first, schema):
        return first
    why = "it was cut" if first.finish_reason == "length" else "it was streamed" if reader.begun else run.exhausted()
    second = None if why else await _ask_again(model, question, run)
    if isinstance(second, Answer):
        answer = second.replace(usage=run.ledger.usage, nodes=run.ledger.nodes)
        if _conforms(answer, schema):
            return answer
        why = "asked twice"
    else:
        answer, why = first, why or f"asked again, which failed: {second}"
    detail = f"the text is no JSON that fits the strict schema of response_format ({why})"
    return answer.replace(
        degraded=(*answer.degraded, Degradation(code="schema_missed", where=model.name, detail=detail))
    )


def _conforms(answer: Answer, schema: Schema) -> bool:
    return bool(answer.tool_calls) or schema.accepts_text(answer.text)


async def _ask_again(model: Model, question: Question, run: RunContext) -> Answer | QuorateError:
    """Beside the first run, whose finished nodes a checkpoint may hold."""
    again = run.replace(
        seed=derive_seed(run.seed, "schema"),
        thread=f"{run.thread}/schema",
        live=False,
        emit=_ReadAlong(run.emit, live=False) if run.observed else run.emit,
    )
    try:
        return await model.answer(_in_words(question), again)
    except QuorateError as error:
        return error


def _in_words(question: Question) -> Question:
    """The question with its schema behind the last message of the user, which prompts of later stages quote."""
    asked: Any = (question.response_format or {})["json_schema"]
    words = load("json-schema").render(schema=json.dumps(asked["schema"], ensure_ascii=False))
    messages = list(question.messages)
    last = max((i for i, message in enumerate(messages) if message.role == "user"), default=None)
    if last is None:
        return question.with_messages(*messages, Message(role="user", content=words))
    content = messages[last].content
    added = (*content, {"type": "text", "text": words}) if isinstance(content, tuple) else f"{content or ''}\n\n{words}"
    messages[last] = messages[last].model_copy(update={"content": added})
    return question.with_messages(*messages)


class _ReadAlong:
    """Tells whether anybody has begun to read the answer; where nobody reads it as it comes, its tokens stay here."""

    def __init__(self, emit: Observer, *, live: bool) -> None:
        self._emit = emit
        self._live = live
        self.begun = False

    def __call__(self, event: Event) -> None:
        if type(event) is not AnswerToken:
            self._emit(event)
        elif self._live:
            self.begun = self.begun or not event.reasoning
            self._emit(event)
