"""`POST /v1/events`: a chat completion that is watched. Every event of its run is told as it happens.

The body is that of `/v1/chat/completions`, for one choice. The reply is a stream of server-sent events, each
`{"type", "at", ...}` with the seconds since the request came:

run                  the request's id, the model's name, its graph, and what it can take: `calls`
node_started, node_ended                `thread` ("" for the outermost graph), `node`; then `seconds` and `outcome`
candidate_started    `node`, `index`, `model`
tokens               `pieces`: of candidates, each with `node`, `index`, `text`, `reasoning` and how many `tokens`
candidate_finished, candidate_failed, candidate_cancelled               `node` and the whole `candidate`
tally                `node`, the `tally`, `left` samples and the `risk` that these change its winner
stopped              `node`, `reason`, `code`
answer               a piece of the answer's `text`, or of its thinking where `reasoning` is true
call_started, call_retried, call_ended  a call to an upstream, as `call`
done                 the `reply`: a chat completion with all candidates in its `quorate` object
error                in OpenAI's envelope

Pieces of a twenty-fifth of a second go out together, so that a page that shows sixty samples has something to draw
each time and is not drowned. `risk` is the bound of the stopping rule look-ahead, one vote a sample, and null where
the classes are not certain.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, Literal

from quorate.aggregators.replies import describe_candidate
from quorate.aggregators.stopping.look_ahead import FAR, look_ahead_risk
from quorate.config.server_settings import ServerSettings
from quorate.orchestrator.events import (
    AnswerToken,
    CandidateCancelled,
    CandidateFailed,
    CandidateFinished,
    CandidateStarted,
    CandidateToken,
    Event,
    NodeEnded,
    NodeStarted,
    StoppedEarly,
    TallyChanged,
    UpstreamEnded,
    UpstreamRetried,
    UpstreamStarted,
)
from quorate.orchestrator.types import Cluster

from ..context import Caller
from ..generation import Generation
from ..graph_view import count_samples, describe_graph
from ..http.sse import encode_event
from .chat import Chat, ChatExchange, ChatRequest
from .fields import Control

__all__ = ["EventsRequest", "RunEvents"]

PACE = 0.04
"""Seconds between two events of tokens."""
NEAR = 64
"""Samples left up to which the risk is summed exactly, which takes a millisecond; with more it is a little too high."""


class EventsRequest(ChatRequest):
    """`POST /v1/events`."""

    stream: Literal[True] = True
    n: Literal[1] | None = None
    """One choice at a time can be watched."""


class RunEvents:
    """A chat completion of which every event is told as it happens."""

    path = "/v1/events"
    form = EventsRequest

    async def prepare(self, request: EventsRequest, caller: Caller, settings: ServerSettings) -> EventsExchange:
        """See `routes.Api`."""
        control = (request.quorate or Control()).model_copy(update={"trace": True})
        request = request.model_copy(update={"quorate": control})
        caller.record.observed, caller.record.watched = True, []
        return EventsExchange(await Chat().prepare(request, caller, settings))


class EventsExchange:
    """See `routes.Exchange`."""

    def __init__(self, chat: ChatExchange) -> None:
        self._chat = chat
        self.generation = chat.generation

    async def reply(self) -> dict[str, Any]:
        """What a chat completion replies."""
        return await self._chat.reply()

    async def stream(self, write: Callable[[bytes], None]) -> None:
        """The events, the last of which has the reply."""
        teller = EventTeller(self.generation, write)
        teller.tell("run", **describe_run(self.generation))
        try:
            answer = await self.generation.watch(teller)
        finally:
            teller.flush()
        teller.tell("done", reply=self._chat.make_reply([answer]))

    def encode_failure(self, envelope: dict[str, Any]) -> bytes:
        """The envelope as the last event."""
        frame = encode_event({"type": "error", **envelope})
        if (told := self.generation.caller.record.watched) is not None:
            told.append(frame)
        return frame


def describe_run(generation: Generation) -> dict[str, Any]:
    """What is known before anything happens."""
    model = generation.model
    return {
        "id": generation.caller.record.id,
        "model": model.name,
        "calls": generation.calls,
        "models": list(dict.fromkeys(single.model for single in model.identity.singles)),
        "priced": any(single.price is not None for single in model.identity.singles),
        "graph": describe_graph(model, generation.budget.samples),
    }


class EventTeller:
    """The observer of a run that tells its events.

    Args:
        generation: that runs.
        write: sends an event.
    """

    def __init__(self, generation: Generation, write: Callable[[bytes], None]) -> None:
        self._write = write
        self._begun = generation.caller.record.begun
        self._told = generation.caller.record.watched
        self._samples = count_samples(generation.model, generation.budget.samples)
        self._lost: dict[str, int] = {}
        """Samples that have ended without a vote, by node."""
        self._pieces: dict[tuple[str, int, bool], list[str]] = {}
        """Of candidates, by node, index and whether it is thinking."""
        self._written: dict[bool, list[str]] = {}
        """Of the answer, by whether it is thinking."""
        self._timer: asyncio.TimerHandle | None = None

    def __call__(self, event: Event) -> None:
        """Tells an event, tokens a little later."""
        if type(event) is CandidateToken:
            self._pieces.setdefault((event.node, event.index, event.reasoning), []).append(event.text)
        elif type(event) is AnswerToken:
            self._written.setdefault(event.reasoning, []).append(event.text)
        else:
            self._tell_other(event)
            return
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(PACE, self.flush)

    def tell(self, kind: str, **fields: Any) -> None:
        """Tells something now."""
        frame = encode_event({"type": kind, "at": round(time.monotonic() - self._begun, 4), **fields})
        if self._told is not None:
            self._told.append(frame)
        self._write(frame)

    def flush(self) -> None:
        """Tells the tokens that wait."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        pieces, self._pieces = self._pieces, {}
        if pieces:
            self.tell("tokens", pieces=[_describe_piece(*place, texts) for place, texts in pieces.items()])
        written, self._written = self._written, {}
        for reasoning, texts in written.items():
            self.tell("answer", text="".join(texts), reasoning=reasoning)

    def _tell_other(self, event: Event) -> None:
        if self._timer is not None:
            self.flush()
        match event:
            case NodeStarted(thread=thread, node=node):
                if thread == "":
                    self._lost.pop(node, None)
                self.tell("node_started", thread=thread, node=node)
            case NodeEnded(thread=thread, node=node, seconds=seconds, outcome=outcome):
                self.tell("node_ended", thread=thread, node=node, seconds=seconds, outcome=outcome)
            case CandidateStarted(node=node, index=index, model=model):
                self.tell("candidate_started", node=node, index=index, model=model)
            case CandidateFinished() | CandidateFailed() | CandidateCancelled():
                if not isinstance(event, CandidateFinished) or event.candidate.answer is None:
                    self._lost[event.node] = self._lost.get(event.node, 0) + 1
                self.tell(event.type, node=event.node, candidate=describe_candidate(event.candidate))
            case TallyChanged(node=node, tally=tally):
                self.tell(
                    "tally", node=node, tally=[each.model_dump(mode="json") for each in tally], **self._risk(event)
                )
            case StoppedEarly(node=node, reason=reason, code=code):
                self.tell("stopped", node=node, reason=reason, code=code)
            case UpstreamStarted(call=call, thread=thread, node=node, agent=agent, model=model, indices=indices):
                told = {"thread": thread, "node": node, "agent": agent, "model": model, "indices": indices}
                self.tell("call_started", call=call, **told)
            case UpstreamRetried(call=call, code=code, status=status):
                self.tell("call_retried", call=call, code=code, status=status)
            case UpstreamEnded(call=call, outcome=outcome, tries=tries, usage=usage):
                self.tell("call_ended", call=call, outcome=outcome, tries=tries, usage=usage.model_dump(mode="json"))

    def _risk(self, event: TallyChanged) -> dict[str, Any]:
        n = self._samples.get(event.node)
        if n is None:
            return {"left": None, "risk": None}
        left = max(0, n - self._lost.get(event.node, 0) - sum(each.votes for each in event.tally))
        return {"left": left, "risk": measure_risk(event.tally, left)}


def measure_risk(tally: tuple[Cluster, ...], left: int) -> float | None:
    """Bound of the probability that `left` more samples change the winner; None where it has no meaning."""
    if not tally or not all(cluster.certain for cluster in tally):
        return None
    if left == 0:
        return 0.0  # also where there is a tie, which the rule takes as open
    votes = sorted((cluster.votes for cluster in tally), reverse=True)
    return look_ahead_risk(votes, left if left <= NEAR else FAR + 1)


def _describe_piece(node: str, index: int, reasoning: bool, texts: list[str]) -> dict[str, Any]:
    return {"node": node, "index": index, "reasoning": reasoning, "text": "".join(texts), "tokens": len(texts)}
