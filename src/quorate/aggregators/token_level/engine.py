"""Cycles of draft, verify and ensemble over any number of answers at once.

What differs from SAFE's released code: any number of verifiers, batches, sampling that is exact
(a refused token is drawn anew from what the mixture has beyond the draft, arXiv 2302.01318, theorem 1),
texts in bytes that are never decoded and encoded again for the drafter, verifiers that may be lost on
the way, and drafts of any length without influence on a greedy answer.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from quorate.orchestrator.errors import BadInput, QuorateError
from quorate.orchestrator.tokens import (
    Distribution,
    Draft,
    DraftAsk,
    Draw,
    ScoreAsk,
    Scores,
    TokenModel,
    common_prefix_length,
)

from .alignment import AlignedDraft, AlignedToken, VerifierContext
from .conditions import Conditions, VerifierVote
from .decode_state import CommittedToken, DecodeParams, DecodeState, FirstChoice, Why
from .mixture import BaseEnsemble, Mixture, NextTokenView, Sharpening, Weighting
from .token_bytes import END, TokenBytes

ALONE = 16
"""Tokens of a draft that nobody verifies."""
EVERYTHING = 1 << 20
"""All that a back end tells of a distribution."""


class DecodeEngine(Protocol):
    """Several opened models that write together; see `DraftAndVerify`."""

    def start(self, prompts: Sequence[Sequence[int]], params: DecodeParams) -> DecodeState:
        """A new answer; `prompts` holds each model's own.

        Raises:
            BadInput: a prompt overflows a context that no answer can do without.
        """
        ...

    def drop(self, state: DecodeState, model: int, reason: str) -> None:
        """The answer goes on without this model, by its place among all."""
        ...

    async def cycle(self, states: Sequence[DecodeState]) -> None:
        """Goes on with every answer that is not done."""
        ...

    def release(self, states: Sequence[DecodeState]) -> None:
        """Lets every back end forget these answers."""
        ...


class EnsembleStrategy(Protocol):
    """A way to write together."""

    def make_engine(self, models: Sequence[TokenModel], weights: Sequence[float]) -> DecodeEngine:
        """What writes so.

        Args:
            models: opened; the first one drafts, where one does.
            weights: one a model, any positive numbers.
        """
        ...


@dataclass(frozen=True)
class EnsembleRule:
    """One model drafts, the others judge, and all decide by a base ensemble."""

    conditions: Conditions
    base: BaseEnsemble
    sharpening: Sharpening | None = None
    weighting: Weighting | None = None
    """How much each model counts at one token; by its weight alone if not given."""

    def make_engine(self, models: Sequence[TokenModel], weights: Sequence[float]) -> DraftAndVerify:
        return DraftAndVerify(models[0], models[1:], weights, self)


@dataclass(slots=True)
class _DraftCycle:
    """One answer in one cycle."""

    state: DecodeState
    draft: Draft
    length: int
    """Tokens that were drafted, those that monitors cut off included."""
    keys: list[bytes | None]
    aligned: dict[int, AlignedDraft]
    """By verifier, the draft as it reads it."""
    places: dict[int, list[int]]
    """By verifier, the tokens of the draft that it judges."""
    scores: dict[int, Scores]
    """By verifier, one distribution for each of its places."""

    def judges_of(self, number: int) -> list[int]:
        """Verifiers that have judged this token of the draft."""
        return [verifier for verifier in self.scores if number in self.places[verifier]]

    def score_ask(self, verifier: int) -> ScoreAsk:
        """What this verifier is asked."""
        draft, state = self.aligned[verifier], self.state
        places = [token.place for n in self.places[verifier] if (token := draft.tokens[n]) is not None]
        spend = state.spent[verifier + 1].add
        return ScoreAsk(state, draft.context[: places[-1]], places, spend, state.params.run, state.params.index)


class DraftAndVerify:
    """Several opened models that write together.

    Args:
        drafter: writes; all others judge.
        verifiers: in any order.
        weights: one a model, the drafter's first; any positive numbers.
        rule: how they decide.
    """

    def __init__(
        self, drafter: TokenModel, verifiers: Sequence[TokenModel], weights: Sequence[float], rule: EnsembleRule
    ) -> None:
        self.drafter, self.verifiers, self.rule = drafter, tuple(verifiers), rule
        self.weights = tuple(weights)
        self.drafter_bytes = TokenBytes(drafter.vocabulary)
        self.verifier_bytes = [TokenBytes(model.vocabulary) for model in verifiers]

    def start(self, prompts: Sequence[Sequence[int]], params: DecodeParams) -> DecodeState:
        """A new answer; `prompts` holds each model's own, the drafter's first.

        A verifier whose context the prompt overflows is lost from the beginning.

        Raises:
            BadInput: the prompt overflows the drafter's context.
        """
        prompt, *others = prompts
        left = self.drafter.context - len(prompt)
        if left < 1:
            raise BadInput(
                f"the prompt has {len(prompt)} tokens and {self.drafter.name} takes {self.drafter.context} with its "
                "answer: shorten it"
            )
        fingerprint = self.drafter.vocabulary.fingerprint
        verifiers: list[VerifierContext | None] = [
            VerifierContext(token_bytes, tokens, same=token_bytes.vocabulary.fingerprint == fingerprint)
            for token_bytes, tokens in zip(self.verifier_bytes, others, strict=True)
        ]
        limited = replace(params, limit=min(params.limit, left))
        return DecodeState(list(prompt), limited, verifiers, self.rule.conditions.lookahead.start(len(verifiers)))

    async def cycle(self, states: Sequence[DecodeState]) -> None:
        """Writes at least one more token of every answer that is not done."""
        going = [state for state in states if not state.done]
        if not going:
            return
        try:
            asks = [self._draft_ask(state) for state in going]
            drafts = await self.drafter.draft(asks)
        except QuorateError as error:
            for state in going:
                state.fail(error)
            return
        cycles: list[_DraftCycle] = []
        for state, ask, draft in zip(going, asks, drafts, strict=True):
            with state.failing():
                cycles.append(self._open_cycle(state, ask, draft))
        await self._verify(cycles)
        for cycle in cycles:
            with cycle.state.failing():
                self._decide(cycle)

    def drop(self, state: DecodeState, model: int, reason: str) -> None:
        """See `DecodeEngine`; a verifier."""
        state.verifiers[model - 1] = None
        state.note_loss(self.verifiers[model - 1].name, reason)

    def release(self, states: Sequence[DecodeState]) -> None:
        for model in (self.drafter, *self.verifiers):
            model.release(states)

    def _draft_ask(self, state: DecodeState) -> DraftAsk:
        alone, params = not state.alive, state.params
        # Here one token at a time costs no more, and monitors cut nothing off.
        longest = 1 if state.watch and self.drafter.in_process else ALONE
        length = min(state.tokens_left, longest if alone else state.draft_length.next_length())
        draw = None
        if not state.greedy:
            place = len(state.ids)
            uniforms = [state.draw_uniforms(place + n)[0] for n in range(length)]
            draw = Draw(params.temperature, uniforms, int(uniforms[0] * 2**31))
        until = 0.0 if alone else state.draft_length.until
        return DraftAsk(state, state.tokens, length, until, draw, state.spent[0].add, params.run, params.index)

    def _open_cycle(self, state: DecodeState, ask: DraftAsk, draft: Draft) -> _DraftCycle:
        """What the verifiers are to judge; those whose context is full are lost."""
        unread = 0 if state.drafted else len(state.prompt)
        state.drafted += len(draft.tokens)
        state.count(0, draft, prompt=unread, completion=len(draft.tokens))
        length = len(draft.tokens)
        draft = state.watch.restrict_draft(state.text, self.drafter_bytes, draft, ask.draw)
        keys = [self.drafter_bytes.key_of(token) for token in draft.tokens]
        aligned: dict[int, AlignedDraft] = {}
        for number in state.alive:
            verifier = state.verifiers[number]
            assert verifier is not None
            read = self.rule.conditions.align(verifier, state.text, state.ids, draft.tokens, keys)
            if len(read.context) >= self.verifiers[number].context:
                self.drop(state, number + 1, f"its context of {self.verifiers[number].context} tokens is full")
            else:
                aligned[number] = read
        reach = min((read.reach for read in aligned.values()), default=len(keys))
        places: dict[int, list[int]] = {number: [] for number in aligned}
        for n in range(reach):
            judges = [number for number, read in aligned.items() if read.tokens[n] is not None]
            if len(judges) == len(aligned) or any(_is_finishing(aligned[number].tokens[n]) for number in judges):
                for number in judges:
                    places[number].append(n)
        return _DraftCycle(state, draft, length, keys[:reach], aligned, places, {})

    async def _verify(self, cycles: Sequence[_DraftCycle]) -> None:
        """Every verifier's distributions, all verifiers at once."""
        judged = [cycle for cycle in cycles if any(cycle.places.values())]
        for cycle in judged:
            cycle.state.verifications += 1
        jobs = [
            self._score(number, [cycle for cycle in judged if cycle.places.get(number)])
            for number in range(len(self.verifiers))
        ]
        if len(jobs) == 1 or self.drafter.in_process:
            # A task needs an event loop, which the batch thread has not.
            for job in jobs:
                await job
        else:
            await asyncio.gather(*jobs)

    async def _score(self, number: int, cycles: Sequence[_DraftCycle]) -> None:
        if not cycles:
            return
        asks = [cycle.score_ask(number) for cycle in cycles]
        try:
            scores = await self.verifiers[number].score(asks)
        except QuorateError as error:
            for cycle in cycles:
                self.drop(cycle.state, number + 1, str(error))
            return
        for cycle, ask, score in zip(cycles, asks, scores, strict=True):
            verifier = cycle.state.verifiers[number]
            assert verifier is not None
            known = common_prefix_length(verifier.last_context, ask.tokens)
            verifier.last_context = list(ask.tokens)
            cycle.state.count(number + 1, score, prompt=len(ask.tokens) - min(known, ask.places[0] - 1))
            cycle.scores[number] = score

    def _decide(self, cycle: _DraftCycle) -> None:
        """Commits the draft up to the first token that the models decide together, and that one."""
        state, kept = cycle.state, 0
        before = len(state.text)
        for number, key in enumerate(cycle.keys):
            views = self._views_of(cycle, number)
            if key is not None:
                self._count_agreement(cycle, number, key, views)
            if key is None:
                step = CommittedToken(b"", "textless", None)
            elif not views:
                step = CommittedToken(key, "boundary" if state.alive else "alone", key)
            elif state.greedy:
                step = self._decide_greedily(cycle, number, key, views)
            else:
                step = self._decide_sampling(cycle, number, key, views)
            overruled = step.key != key and key is not None
            self._commit(cycle, step, cycle.draft.tokens[number], overruled=overruled)
            if overruled or state.done:
                break
            kept += 1
            before = len(state.text)
        state.draft_length.note(cycle.length if state.watch else len(cycle.keys), kept)
        for verifier in state.verifiers:
            if verifier is not None:
                verifier.settle(state.text, before, step.key if overruled else None)

    def _commit(self, cycle: _DraftCycle, step: CommittedToken, token: int, *, overruled: bool) -> None:
        """Writes the token; what the drafter did not say itself it has to read."""
        state, ids = cycle.state, [token]
        if step.key == END and step.why != "textless":
            ids = []
        elif overruled:
            ids = self.drafter_bytes.spell(step.key)
            if cycle.draft.usage is None:
                state.spent[0].prompt += len(ids)
        state.commit(step, ids)

    def _views_of(self, cycle: _DraftCycle, number: int) -> list[NextTokenView]:
        """What all models expect in the place of this token; empty where not all can judge."""
        judges = cycle.judges_of(number)
        if not judges:
            return []
        total = math.fsum([self.weights[0], *(self.weights[judge + 1] for judge in judges)])
        views = [NextTokenView(self.drafter_bytes, cycle.draft.distributions[number], self.weights[0] / total)]
        for judge in judges:
            distribution = cycle.scores[judge].distributions[cycle.places[judge].index(number)]
            try:
                distribution = cycle.state.watch.restrict(cycle.state.text, self.verifier_bytes[judge], distribution)
            except QuorateError as error:
                self.drop(cycle.state, judge + 1, str(error))
                del cycle.scores[judge]
                return self._views_of(cycle, number)
            views.append(NextTokenView(self.verifier_bytes[judge], distribution, self.weights[judge + 1] / total))
        return views if self.rule.weighting is None else self.rule.weighting.weigh(views)

    def _count_agreement(self, cycle: _DraftCycle, number: int, key: bytes, views: Sequence[NextTokenView]) -> None:
        """Counts which verifiers would have said the same: the drafted text, or their own token that begins it."""
        for verifier, view in zip(cycle.judges_of(number), views[1:], strict=True):
            token, best = cycle.aligned[verifier].tokens[number], view.distribution.best
            count = cycle.state.spent[verifier + 1]
            count.judged += 1
            count.agreed += view.token_bytes.key_of(best) == key or (token is not None and best == token.own)

    def _decide_greedily(
        self, cycle: _DraftCycle, number: int, key: bytes, views: Sequence[NextTokenView]
    ) -> CommittedToken:
        drafter, *others = views
        votes = []
        for verifier, view in zip(cycle.judges_of(number), others, strict=True):
            token = cycle.aligned[verifier].tokens[number]
            assert token is not None
            votes.append(VerifierVote(view.token_bytes, view.distribution, token.own, view.weight))
        share = drafter.weight * math.exp(drafter.token_bytes.logprob(key, drafter.distribution) or 0.0)
        why = self.rule.conditions.keep_draft(share, votes)
        if why is not None:
            return CommittedToken(key, why, key, None, self._first_choices(cycle, number, views))
        mixture = self._mix(views, 1.0)
        return self._take_from(mixture, cycle, number, "ensembled", mixture.likeliest(key), views)

    def _decide_sampling(
        self, cycle: _DraftCycle, number: int, key: bytes, views: Sequence[NextTokenView]
    ) -> CommittedToken:
        """Speculative sampling: what is written is distributed as the mixture."""
        params, place = cycle.state.params, len(cycle.state.ids)
        _, accept, anew = cycle.state.draw_uniforms(place)
        mixture = self._mix(views, params.temperature)
        if params.top_p < 1 or params.top_k > 0:
            mixture = mixture.truncate(params.top_p, params.top_k)
        mass = _drafter_mass(views[0], params.temperature)
        if accept * mass(key) < mixture.mass_of(key):
            return self._take_from(mixture, cycle, number, "accepted", key, views)
        proposed = mixture.parts[0] if mixture.whole else [mass(other) for other in mixture.keys]
        rest = (mixture.mass - proposed).clip(min=0)
        left = mixture.with_mass(rest) if rest.sum() > 0 else mixture
        return self._take_from(mixture, cycle, number, "ensembled", left.draw(anew), views)

    def _mix(self, views: Sequence[NextTokenView], temperature: float) -> Mixture:
        mixture = self.rule.base.merge(views, temperature)
        if not self.drafter_bytes.covers_every_byte:
            # What the drafter cannot read it could never go on from.
            mixture = mixture.restrict(self.drafter_bytes.mark_writable(mixture.keys))
        if self.rule.sharpening is None:
            return mixture
        return self.rule.sharpening.sharpen(mixture, self.drafter_bytes)

    def _take_from(
        self,
        mixture: Mixture,
        cycle: _DraftCycle,
        number: int,
        why: Why,
        key: bytes,
        views: Sequence[NextTokenView],
    ) -> CommittedToken:
        """A token that the mixture decided on, in place of this one of the draft."""
        cycle.state.bounded |= not all(view.distribution.exact for view in views)
        choices = self._first_choices(cycle, number, views)
        return CommittedToken(key, why, cycle.keys[number], mixture.mass_of(key), choices)

    def _first_choices(
        self, cycle: _DraftCycle, number: int, views: Sequence[NextTokenView]
    ) -> tuple[FirstChoice, ...]:
        """Every model's first choice, where it is to be kept."""
        if not cycle.state.params.traced:
            return ()
        models = [0, *(verifier + 1 for verifier in cycle.judges_of(number))]
        return tuple(
            _first_choice(model, view.token_bytes, view.distribution) for model, view in zip(models, views, strict=True)
        )


def _drafter_mass(view: NextTokenView, temperature: float) -> Callable[[bytes], float]:
    """The probability with which the drafter proposed a key."""
    row, token_bytes = view.distribution.row(), view.token_bytes
    if row is None:
        logprob = view.distribution.logprob
        total = math.fsum(math.exp(value / temperature) for _, value in view.distribution.top(EVERYTHING))
    else:
        logprob, total = row.item, float(np.exp(row.astype(np.float64) / temperature).sum())

    def mass(key: bytes) -> float:
        return math.fsum(math.exp(logprob(token) / temperature) for token in token_bytes.tokens_of(key)) / total

    return mass


def _first_choice(model: int, token_bytes: TokenBytes, distribution: Distribution) -> FirstChoice:
    best = distribution.best
    return FirstChoice(model, token_bytes.key_of(best), math.exp(distribution.logprob(best)))


def _is_finishing(token: AlignedToken | None) -> bool:
    return token is not None and token.finishing
