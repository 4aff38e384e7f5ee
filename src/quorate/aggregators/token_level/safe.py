"""Several models that write one answer together, as one model.

    pair = SAFE([Embedded("quorate-tiny-product"), Embedded("quorate-tiny-sum")])
    answer = pair.answer_sync("A bakery bakes 7 trays of 12 rolls each. It sells 30. How many are left?")

The first model drafts, the others judge; see `conditions` for when they decide together.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast

from quorate.orchestrator.context import RunContext
from quorate.orchestrator.errors import BadInput, MissingExtra, QuorateError
from quorate.orchestrator.events import CandidateFailed, CandidateFinished, CandidateStarted, CandidateToken, Event
from quorate.orchestrator.model import Agent
from quorate.orchestrator.protocols import Model, identity
from quorate.orchestrator.sampling import failure_of
from quorate.orchestrator.tokens import Tokenized, TokenModel, Watching
from quorate.orchestrator.types import (
    Candidate,
    Degradation,
    Ensembling,
    Member,
    Question,
    SamplingParams,
    TokenChoice,
    TokenStep,
    Usage,
)
from quorate.orchestrator.watch import CallWatch, UpstreamCall

from .conditions import Safe
from .engine import Decides, Rule, Writes
from .lookahead import Adaptive
from .mixture import PrefixMass, UniTE
from .rooms import Aside, Room, Tasks, Thread
from .writing import Settings, Step, Writing, told_of

__all__ = ["SAFE"]

AGAIN = 30.0
"""Seconds until a verifier that could not be opened is tried again."""
NO_LIMIT = 1 << 30
"""Tokens of an answer where nobody says how many; the context ends it."""


def safe_rule() -> Rule:
    """SAFE over UniTE, with the heuristic sharpening and a lookahead that adapts."""
    return Rule(Safe(Adaptive()), UniTE(), PrefixMass())


@dataclass
class _Opened:
    """The models that could be opened, the engine of them and where it writes."""

    models: Sequence[TokenModel]
    """The drafter first."""
    names: Sequence[str]
    """Of their agents."""
    engine: Writes
    room: Room
    missing: Mapping[int, str]
    """Verifiers that could not be opened, by their place among all models, and why."""
    again: float
    """When they are tried again, on the monotonic clock."""


class SAFE(Agent):
    """Several models that write together (arXiv 2510.15346); with other rules, other token-level ensembles.

    With no temperature given, the first answer is greedy and further ones (of a vote) are sampled at
    temperature 1; as many tokens as the drafter's context holds. Tools and response formats are refused.

    Args:
        models: agents whose models can be asked token by token, or `TokenModel`s; the first one drafts.
        rule: when and how they decide together.
        weights: by model name, 1 where not given; a verifier of weight 0 is left out.
        name: how it is called in answers and pipelines.
        sampling: defaults where the caller sets nothing.
        traced: whether every candidate keeps each token's story.
        max_batch: answers written at once, where all models compute in this process.

    Raises:
        BadInput: there is no model, one cannot be asked token by token, or a weight is impossible.
    """

    kind = "token-level"

    def __init__(
        self,
        models: Sequence[Model | TokenModel],
        *,
        rule: Decides | None = None,
        weights: Mapping[str, float] | None = None,
        name: str | None = None,
        sampling: SamplingParams | None = None,
        traced: bool = False,
        max_batch: int = 64,
    ) -> None:
        names = [_name(model) for model in models]
        shares = _weights(names, weights or {})
        self.models = tuple(model for model, share in zip(models, shares, strict=True) if share > 0)
        self.members = self.models
        self.weights = tuple(share for share in shares if share > 0)
        self.rule: Decides = rule or safe_rule()
        self.name = name or "safe/" + "+".join(names)
        self.model = self.name
        self.sampling = sampling or SamplingParams()
        self.traced, self._max_batch = traced, max_batch
        self._opened: _Opened | None = None
        self._opening: dict[asyncio.AbstractEventLoop, asyncio.Lock] = {}

    def named(self, name: str) -> SAFE:
        """The same ensemble under another name."""
        return self._with(name=name)

    def tracing(self) -> SAFE:
        """The same ensemble, keeping each token's story."""
        return self._with(traced=True)

    @property
    def fingerprint(self) -> str:
        """What determines its samples beside its name: models, weights and rule."""
        models = [(_name(model), identity(model)) for model in self.models]
        return hashlib.sha256(repr((models, self.weights, self.rule)).encode()).hexdigest()[:12]

    async def sample(self, question: Question, indices: Sequence[int], run: RunContext) -> AsyncGenerator[Event, None]:
        """See `protocols.Sampler`.

        Raises:
            MissingExtra: a model's library is not installed.
        """
        start = time.monotonic()
        for index in indices:
            yield CandidateStarted(index=index, model=self.model)
        try:
            opened = await self._open()
            writings = await asyncio.to_thread(self._writings, opened, question, indices, run)
        except MissingExtra:
            raise
        except QuorateError as error:
            failure = failure_of(error)
            for index in indices:
                yield CandidateFailed(candidate=self._blank(index, run).model_copy(update={"error": failure}))
            return
        left = dict(zip(writings, indices, strict=True))
        try:
            async with aclosing(opened.room.write(writings)) as written:
                async for news in written:
                    index = left[news.writing]
                    if news.piece and run.live:
                        yield CandidateToken(index=index, text=news.piece)
                    if news.done:
                        del left[news.writing]
                        yield self._ended(index, news.writing, opened, run, start)
        finally:
            for writing, index in left.items():
                candidate = self._candidate(index, writing, opened, run, start)
                run.cut.append(candidate.model_copy(update={"finish_reason": "cancelled"}))

    async def aclose(self) -> None:
        """Closes all models' back ends; the next question opens them again."""
        opened, self._opened = self._opened, None
        if opened is not None:
            await opened.room.aclose()
            for model in opened.models:
                await model.aclose()

    @asynccontextmanager
    async def asked(self) -> AsyncGenerator[list[TokenModel], None]:
        """The models themselves, opened, to be asked beside it; closed afterwards."""
        models = [_token_model(model) for model in self.models]
        async with AsyncExitStack() as stack:
            for model in models:
                stack.push_async_callback(model.aclose)
                await model.open()
            yield [Aside(model) if model.in_process else model for model in models]

    def _with(self, **changes: Any) -> SAFE:
        weights = {_name(model): share for model, share in zip(self.models, self.weights, strict=True)}
        kept: dict[str, Any] = {
            "rule": self.rule,
            "weights": weights,
            "name": self.name,
            "sampling": self.sampling,
            "traced": self.traced,
            "max_batch": self._max_batch,
        }
        return SAFE(self.models, **{**kept, **changes})

    async def _open(self) -> _Opened:
        loop = asyncio.get_running_loop()
        async with self._opening.setdefault(loop, asyncio.Lock()):
            known = self._opened
            if known is None or (known.missing and time.monotonic() >= known.again):
                there, missing = await self._reached()
                if known is None or missing.keys() != known.missing.keys():
                    known = self._opened = self._together(there, missing)
                known.again = time.monotonic() + AGAIN
            return known

    async def _reached(self) -> tuple[dict[int, TokenModel], dict[int, str]]:
        """The models that can be opened and why others cannot, by place.

        Raises:
            QuorateError: the drafter cannot be opened.
            BadInput: a verifier is none that could ever take part.
        """
        there, missing = {}, {}
        for place, agent in enumerate(self.models):
            model = _token_model(agent)
            try:
                await model.open()
            except QuorateError as error:
                if not _dispensable(place, error):
                    raise
                missing[place] = told_of(_name(agent), str(error))
            else:
                there[place] = model
        return there, missing

    def _together(self, there: Mapping[int, TokenModel], missing: Mapping[int, str]) -> _Opened:
        models, together = list(there.values()), all(model.in_process for model in there.values())
        seen = [Aside(model) if model.in_process and not together else model for model in models]
        engine = self.rule.engine(seen, [self.weights[place] for place in there])
        room = Thread(engine, self._max_batch) if together else Tasks(engine)
        return _Opened(models, [_name(self.models[place]) for place in there], engine, room, missing, 0.0)

    def _writings(self, opened: _Opened, question: Question, indices: Sequence[int], run: RunContext) -> list[Writing]:
        if question.response_format and question.response_format.get("type") != "text":
            raise BadInput(f"{self.name} cannot hold to a response_format: ask for plain text")
        if question.tools:
            raise BadInput(f"{self.name} cannot call tools: models with different formats of calls write together")
        prompts: list[list[int]] = []
        silent: dict[int, str] = {}
        for place, model in enumerate(opened.models):
            try:
                prompts.append(model.prompt(question))
            except QuorateError as error:
                if not _dispensable(place, error):
                    raise
                prompts.append([])
                silent[place] = str(error)
        sampling = question.sampling.over(self.sampling)
        writings = [opened.engine.writing(prompts, self._settings(sampling, index, run)) for index in indices]
        for writing in writings:
            for place, reason in silent.items():
                opened.engine.lose(writing, place, reason)
        return writings

    def _settings(self, sampling: SamplingParams, index: int, run: RunContext) -> Settings:
        temperature = sampling.temperature
        if temperature is None:
            temperature = 0.0 if index == 0 else 1.0
        return Settings(
            limit=sampling.max_tokens or NO_LIMIT,
            temperature=temperature,
            top_p=sampling.top_p or 1.0,
            top_k=max(0, sampling.top_k or 0),
            stop=sampling.stop,
            seed=run.sample_seed(index),
            traced=self.traced,
            watch=_watching(run, index),
        )

    def _blank(self, index: int, run: RunContext) -> Candidate:
        return Candidate(index=index, model=self.model, agent=self.name, seed=run.sample_seed(index))

    def _ended(self, index: int, writing: Writing, opened: _Opened, run: RunContext, start: float) -> Event:
        candidate = self._candidate(index, writing, opened, run, start)
        if writing.error is None:
            return CandidateFinished(candidate=candidate)
        return CandidateFailed(candidate=candidate.model_copy(update={"error": failure_of(writing.error)}))

    def _candidate(self, index: int, writing: Writing, opened: _Opened, run: RunContext, start: float) -> Candidate:
        """The answer as a candidate; what every model spent on it goes to the ledger."""
        told = _ensembling(writing, opened)
        candidate = self._blank(index, run).model_copy(
            update={
                "text": writing.speech.whole,
                "finish_reason": writing.finish_reason,
                "usage": Usage.total(member.usage for member in told.members),
                "ensembling": told,
                "latency": time.monotonic() - start,
                "degraded": _degradations(told, f"answer: {self.name}"),
            }
        )
        for model, usage in candidate.charges:
            run.record(model, usage)
        return candidate


def _watching(run: RunContext, index: int) -> Watching:
    def call(agent: str, model: str, server: str) -> CallWatch:
        told = UpstreamCall(run.thread, run.node, agent=agent, model=model, server=server, indices=(index,))
        return run.watch.call(told)

    return call


def _dispensable(place: int, error: QuorateError) -> bool:
    """Whether the others go on without the model that failed: a verifier, by no fault of the caller's."""
    return place > 0 and not isinstance(error, BadInput)


def _ensembling(writing: Writing, opened: _Opened) -> Ensembling:
    members = [
        Member(model=name, usage=spent.usage, judged=spent.judged, agreed=spent.agreed)
        for name, spent in zip(opened.names, writing.spent, strict=True)
    ]
    return Ensembling(
        counts=dict(writing.counts),
        drafted=writing.drafted,
        verifications=writing.verifications,
        lost=(*opened.missing.values(), *writing.lost),
        members=tuple(members),
        bounded=writing.bounded,
        steps=tuple(_step(step, opened.names) for step in writing.steps),
    )


def _degradations(told: Ensembling, where: str) -> tuple[Degradation, ...]:
    """What did not go as it should in writing this."""
    notes = [Degradation(code="verifier_lost", where=where, detail=why) for why in told.lost]
    if told.bounded:
        detail = "a server tells only its likeliest tokens; the others counted as much as the last of them"
        notes.append(Degradation(code="probabilities_bounded", where=where, detail=detail))
    return tuple(notes)


def _step(step: Step, names: Sequence[str]) -> TokenStep:
    return TokenStep(
        text=step.key.decode(errors="replace"),
        why=step.why,
        drafted=None if step.drafted is None else step.drafted.decode(errors="replace"),
        probability=step.mass,
        choices=tuple(
            TokenChoice(
                model=names[choice.model],
                text=None if choice.key is None else choice.key.decode(errors="replace"),
                probability=choice.probability,
            )
            for choice in step.choices
        ),
    )


def _token_model(model: Model | TokenModel) -> TokenModel:
    return model.token_model() if isinstance(model, Tokenized) else cast(TokenModel, model)


def _name(model: Model | TokenModel) -> str:
    """As its agent is called, or else the model itself.

    Raises:
        BadInput: it cannot be asked token by token.
    """
    if not hasattr(model, "token_model") and not (hasattr(model, "draft") and hasattr(model, "score")):
        raise BadInput(
            f"{getattr(model, 'name', model)!r} cannot be asked token by token: token-level ensembling takes embedded "
            "models, vLLM in process and vLLM-compatible servers"
        )
    return str(getattr(model, "name", "?"))


def _weights(names: Sequence[str], given: Mapping[str, float]) -> list[float]:
    if not names:
        raise BadInput("token-level ensembling needs a model, and better two: SAFE([drafter, verifier])")
    if strange := sorted(set(given) - set(names)):
        raise BadInput(f"weights for {', '.join(strange)}, but the models are {', '.join(names)}")
    shares = [float(given.get(name, 1.0)) for name in names]
    if not all(math.isfinite(share) and share >= 0 for share in shares) or shares[0] == 0:
        raise BadInput(
            f"weights {dict(given)}: each is a number of at least 0, and the drafter's ({names[0]}) is above 0"
        )
    return shares
