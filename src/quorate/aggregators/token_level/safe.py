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
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast

from quorate.orchestrator.context import RunContext
from quorate.orchestrator.ensembling import Ensembling, Member, TokenChoice, TokenStep
from quorate.orchestrator.errors import BadInput, MissingExtra, QuorateError
from quorate.orchestrator.identity import Identity
from quorate.orchestrator.model import Agent
from quorate.orchestrator.partial import PartialCandidate
from quorate.orchestrator.protocols import Model
from quorate.orchestrator.tokens import Tokenized, TokenModel
from quorate.orchestrator.types import Degradation, Question, SamplingParams
from quorate.orchestrator.usage import Usage

from .conditions import Adaptive, Safe
from .decode_state import CommittedToken, DecodeParams, DecodeState, name_loss
from .engine import DecodeEngine, EnsembleRule, EnsembleStrategy
from .executor import BatchThread, DecodeExecutor, InThread, TaskPerAnswer, TextDelta
from .json_monitor import JsonMonitor
from .mixture import PrefixMass, UniTE
from .monitor import Monitor

RETRY = 30.0
"""Seconds until a verifier that could not be opened is tried again."""
NO_LIMIT = 1 << 30
"""Tokens of an answer where nobody says how many; the context ends it."""


def make_safe_rule() -> EnsembleRule:
    """SAFE over UniTE, with the heuristic sharpening and a lookahead that adapts."""
    return EnsembleRule(Safe(Adaptive()), UniTE(), PrefixMass())


@dataclass
class _OpenedEnsemble:
    """The models that could be opened, the engine of them and where it writes."""

    models: Sequence[TokenModel]
    """The drafter first."""
    names: Sequence[str]
    """Of their agents."""
    engine: DecodeEngine
    executor: DecodeExecutor
    missing: Mapping[int, str]
    """Verifiers that could not be opened, by their place among all models, and why."""
    retry_at: float
    """When they are tried again, on the monotonic clock."""


class SAFE(Agent):
    """Several models that write together (arXiv 2510.15346); with other rules, other token-level ensembles.

    With no temperature given, the first answer is greedy and further ones (of a vote) are sampled at
    temperature 1; as many tokens as the drafter's context holds. A monitor holds them to a `response_format`, which
    needs the extra `grammar`; tools are refused.

    Args:
        models: agents whose models can be asked token by token, or `TokenModel`s; the first one drafts.
        rule: when and how they decide together.
        weights: by model name, 1 where not given; a verifier of weight 0 is left out.
        name: how it is called in answers and pipelines.
        sampling: defaults where the caller sets nothing.
        traced: whether every candidate keeps each token's story.
        monitors: rule out tokens of all models.
        max_batch: answers written at once, where all models compute in this process.

    Raises:
        BadInput: there is no model, one cannot be asked token by token, or a weight is impossible.
    """

    def __init__(
        self,
        models: Sequence[Model | TokenModel],
        *,
        rule: EnsembleStrategy | None = None,
        weights: Mapping[str, float] | None = None,
        name: str | None = None,
        sampling: SamplingParams | None = None,
        traced: bool = False,
        monitors: Sequence[Monitor] = (),
        max_batch: int = 64,
    ) -> None:
        names = [_name_of(model) for model in models]
        shares = _check_weights(names, weights or {})
        self.models = tuple(model for model, share in zip(models, shares, strict=True) if share > 0)
        self.weights = tuple(share for share in shares if share > 0)
        self.rule: EnsembleStrategy = rule or make_safe_rule()
        self.name = name or "safe/" + "+".join(names)
        self.sampling = sampling or SamplingParams()
        self.traced, self._max_batch, self.monitors = traced, max_batch, tuple(monitors)
        self._opened: _OpenedEnsemble | None = None
        self._opening: dict[asyncio.AbstractEventLoop, asyncio.Lock] = {}

    @property
    def identity(self) -> Identity:
        """The ensemble's: its members, and in its fingerprint what determines its samples beside its name."""
        members = tuple(_identity_of(model) for model in self.models)
        content: tuple[Any, ...] = (
            [(one.kind, one.model, one.fingerprint, one.dtype, one.prompt_version) for one in members],
            self.weights,
            self.rule,
            *([self.monitors] if self.monitors else ()),
        )
        return Identity(
            kind="token-level",
            model=self.name,
            fingerprint=hashlib.sha256(repr(content).encode()).hexdigest()[:12],
            sampling=self.sampling,
            capabilities=frozenset({"samples"}),
            members=members,
        )

    async def sample(self, question: Question, slots: Sequence[PartialCandidate], run: RunContext) -> None:
        """See `protocols.Sampler`.

        Raises:
            MissingExtra: a model's library is not installed.
        """
        for slot in slots:
            slot.start(self.name, self.name, seed=run.sample_seed(slot.index), prompt_counted=True)
        try:
            opened = await self._open()
            states = await asyncio.to_thread(self._start, opened, question, slots, run)
        except MissingExtra:
            raise
        except QuorateError as error:
            for slot in slots:
                slot.fail(error)
            return
        left = dict(zip(states, slots, strict=True))

        def take(delta: TextDelta) -> None:
            slot = left[delta.state]
            if delta.text and run.live:
                slot.write(delta.text)
            if delta.done:
                del left[delta.state]
                self._end(slot, delta.state, opened)

        try:
            await opened.executor.write(states, take)
        except asyncio.CancelledError:
            for state, slot in left.items():
                fields = self._fields(state, opened)
                slot.leave(fields.pop("usage"), **fields)
            raise

    async def aclose(self) -> None:
        """Closes all models' back ends; the next question opens them again."""
        opened, self._opened = self._opened, None
        if opened is not None:
            for model in opened.models:
                await model.aclose()

    @asynccontextmanager
    async def open_models(self) -> AsyncGenerator[list[TokenModel], None]:
        """The models themselves, opened, to be asked beside it; closed afterwards."""
        models = [_token_model_of(model) for model in self.models]
        async with AsyncExitStack() as stack:
            for model in models:
                stack.push_async_callback(model.aclose)
                await model.open()
            yield [InThread(model) if model.in_process else model for model in models]

    async def _open(self) -> _OpenedEnsemble:
        loop = asyncio.get_running_loop()
        async with self._opening.setdefault(loop, asyncio.Lock()):
            known = self._opened
            if known is None or (known.missing and time.monotonic() >= known.retry_at):
                there, missing = await self._open_members()
                if known is None or missing.keys() != known.missing.keys():
                    known = self._opened = self._assemble(there, missing)
                known.retry_at = time.monotonic() + RETRY
            return known

    async def _open_members(self) -> tuple[dict[int, TokenModel], dict[int, str]]:
        """The models that can be opened and why others cannot, by place.

        Raises:
            QuorateError: the drafter cannot be opened.
            BadInput: a verifier is none that could ever take part.
        """
        there, missing = {}, {}
        for place, agent in enumerate(self.models):
            model = _token_model_of(agent)
            try:
                await model.open()
            except QuorateError as error:
                if not _is_dispensable(place, error):
                    raise
                missing[place] = name_loss(_name_of(agent), str(error))
            else:
                there[place] = model
        return there, missing

    def _assemble(self, there: Mapping[int, TokenModel], missing: Mapping[int, str]) -> _OpenedEnsemble:
        models, together = list(there.values()), all(model.in_process for model in there.values())
        seen = [InThread(model) if model.in_process and not together else model for model in models]
        engine = self.rule.make_engine(seen, [self.weights[place] for place in there])
        executor: DecodeExecutor = BatchThread(engine, self._max_batch) if together else TaskPerAnswer(engine)
        return _OpenedEnsemble(
            models, [_name_of(self.models[place]) for place in there], engine, executor, missing, 0.0
        )

    def _start(
        self, opened: _OpenedEnsemble, question: Question, slots: Sequence[PartialCandidate], run: RunContext
    ) -> list[DecodeState]:
        if question.tools:
            raise BadInput(f"{self.name} cannot call tools: models with different formats of calls write together")
        prompts: list[list[int]] = []
        silent: dict[int, str] = {}
        for place, model in enumerate(opened.models):
            try:
                prompts.append(model.prompt(question))
            except QuorateError as error:
                if not _is_dispensable(place, error):
                    raise
                prompts.append([])
                silent[place] = str(error)
        sampling = question.sampling.over(self.sampling)
        states = [
            opened.engine.start(prompts, self._params(sampling, slot.index, run, JsonMonitor.of(question)))
            for slot in slots
        ]
        for state in states:
            for place, reason in silent.items():
                opened.engine.drop(state, place, reason)
        return states

    def _params(self, sampling: SamplingParams, index: int, run: RunContext, form: JsonMonitor | None) -> DecodeParams:
        temperature = sampling.temperature
        if temperature is None:
            temperature = 0.0 if index == 0 else 1.0
        return DecodeParams(
            limit=sampling.max_tokens or NO_LIMIT,
            temperature=temperature,
            top_p=sampling.top_p or 1.0,
            top_k=max(0, sampling.top_k or 0),
            stop=sampling.stop,
            seed=run.sample_seed(index),
            traced=self.traced or run.token_stories,
            run=run,
            index=index,
            monitors=self.monitors if form is None else (*self.monitors, form),
        )

    def _end(self, slot: PartialCandidate, state: DecodeState, opened: _OpenedEnsemble) -> None:
        fields = self._fields(state, opened)
        if state.error is None:
            slot.finish(state.finish_reason, **fields)
        else:
            slot.fail(state.error, **fields)

    def _fields(self, state: DecodeState, opened: _OpenedEnsemble) -> dict[str, Any]:
        """The answer as it stands, for its candidate."""
        ensembling = _describe(state, opened)
        return {
            "text": state.characters.whole,
            "usage": Usage.total(member.usage for member in ensembling.members),
            "ensembling": ensembling,
            "degraded": _degradations(ensembling, f"answer: {self.name}"),
        }


def _is_dispensable(place: int, error: QuorateError) -> bool:
    """Whether the others go on without the model that failed: a verifier, by no fault of the caller's."""
    return place > 0 and not isinstance(error, BadInput)


def _describe(state: DecodeState, opened: _OpenedEnsemble) -> Ensembling:
    members = [
        Member(model=name, usage=spent.usage, judged=spent.judged, agreed=spent.agreed)
        for name, spent in zip(opened.names, state.spent, strict=True)
    ]
    return Ensembling(
        counts=dict(state.counts),
        drafted=state.drafted,
        verifications=state.verifications,
        lost=(*opened.missing.values(), *state.lost),
        members=tuple(members),
        bounded=state.bounded,
        steps=tuple(_describe_step(step, opened.names) for step in state.steps),
    )


def _degradations(ensembling: Ensembling, where: str) -> tuple[Degradation, ...]:
    """What did not go as it should in writing this."""
    notes = [Degradation(code="verifier_lost", where=where, detail=why) for why in ensembling.lost]
    if ensembling.bounded:
        detail = "a server tells only its likeliest tokens; the others counted as much as the last of them"
        notes.append(Degradation(code="probabilities_bounded", where=where, detail=detail))
    return tuple(notes)


def _describe_step(step: CommittedToken, names: Sequence[str]) -> TokenStep:
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


def _token_model_of(model: Model | TokenModel) -> TokenModel:
    return model.token_model() if isinstance(model, Tokenized) else cast(TokenModel, model)


def _identity_of(model: Model | TokenModel) -> Identity:
    return model.identity if isinstance(model, Model) else Identity(kind="tokens", model=model.name)


def _name_of(model: Model | TokenModel) -> str:
    """As its agent is called, or else the model itself.

    Raises:
        BadInput: it cannot be asked token by token.
    """
    # Python 3.11 would look at all of a `TokenModel` to tell that it is one, also at what is known once it is open.
    if not isinstance(model, Tokenized) and not (hasattr(model, "draft") and hasattr(model, "score")):
        raise BadInput(
            f"{model.name!r} cannot be asked token by token: token-level ensembling takes embedded models, vLLM in "
            "process and vLLM-compatible servers"
        )
    return model.name


def _check_weights(names: Sequence[str], given: Mapping[str, float]) -> list[float]:
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
