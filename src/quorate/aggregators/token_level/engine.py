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

from quorate.orchestrator.errors import BadInput, QuorateError
from quorate.orchestrator.tokens import Distribution, Draft, DraftAsk, Draw, ScoreAsk, Scores, TokenModel

from .conditions import Conditions, Vote
from .follower import Follower, Reading, Spot, shared
from .lexicon import END, Lexicon
from .mixture import Merge, Mixture, Sharpen, View
from .writing import Choice, Settings, Step, Why, Writing

__all__ = ["Decides", "Engine", "Rule", "Writes"]

ALONE = 16
"""Tokens of a draft that nobody verifies."""
KNOWN = 1 << 20
"""All that a back end tells of a distribution."""


class Writes(Protocol):
    """Several opened models that write together; see `Engine`."""

    def writing(self, prompts: Sequence[Sequence[int]], settings: Settings) -> Writing: ...

    def lose(self, writing: Writing, model: int, reason: str) -> None:
        """The answer goes on without this model, by its place among all."""
        ...

    async def cycle(self, writings: Sequence[Writing]) -> None: ...

    def release(self, writings: Sequence[Writing]) -> None: ...


class Decides(Protocol):
    """A way to write together."""

    def engine(self, models: Sequence[TokenModel], weights: Sequence[float]) -> Writes:
        """What writes so.

        Args:
            models: opened; the first one drafts, where one does.
            weights: one a model, any positive numbers.
        """
        ...


@dataclass(frozen=True)
class Rule:
    """One model drafts, the others judge, and all decide by a base ensemble."""

    conditions: Conditions
    merge: Merge
    sharpen: Sharpen | None = None

    def engine(self, models: Sequence[TokenModel], weights: Sequence[float]) -> Engine:
        """See `Decides`."""
        return Engine(models[0], models[1:], weights, self)


@dataclass(slots=True)
class _Turn:
    """One answer in one cycle."""

    writing: Writing
    draft: Draft
    keys: list[bytes | None]
    readings: dict[int, Reading]
    """By verifier."""
    places: dict[int, list[int]]
    """By verifier, the tokens of the draft that it judges."""
    scores: dict[int, Scores]
    """By verifier, one distribution for each of its places."""

    def judges(self, number: int) -> list[int]:
        """Verifiers that have judged this token of the draft."""
        return [verifier for verifier in self.scores if number in self.places[verifier]]


class Engine:
    """Several opened models that write together.

    Args:
        drafter: writes; all others judge.
        verifiers: in any order.
        weights: one a model, the drafter's first; any positive numbers.
        rule: how they decide.
    """

    def __init__(
        self, drafter: TokenModel, verifiers: Sequence[TokenModel], weights: Sequence[float], rule: Rule
    ) -> None:
        self.drafter, self.verifiers, self.rule = drafter, tuple(verifiers), rule
        self.weights = tuple(weights)
        self.lexicon = Lexicon(drafter.vocabulary)
        self.lexicons = [Lexicon(model.vocabulary) for model in verifiers]

    def writing(self, prompts: Sequence[Sequence[int]], settings: Settings) -> Writing:
        """A new answer; `prompts` holds each model's own, the drafter's first.

        A verifier whose context the prompt overflows is lost from the beginning.

        Raises:
            BadInput: the prompt overflows the drafter's context.
        """
        prompt, *others = prompts
        room = self.drafter.context - len(prompt)
        if room < 1:
            raise BadInput(
                f"the prompt has {len(prompt)} tokens and {self.drafter.name} takes {self.drafter.context} with its "
                "answer: shorten it"
            )
        fingerprint = self.drafter.vocabulary.fingerprint
        followers: list[Follower | None] = [
            Follower(lexicon, tokens, same=lexicon.vocabulary.fingerprint == fingerprint)
            for lexicon, tokens in zip(self.lexicons, others, strict=True)
        ]
        limited = replace(settings, limit=min(settings.limit, room))
        return Writing(list(prompt), limited, followers, self.rule.conditions.lookahead.pace(len(followers)))

    async def cycle(self, writings: Sequence[Writing]) -> None:
        """Writes at least one more token of every answer that is not done."""
        going = [writing for writing in writings if not writing.done]
        if not going:
            return
        try:
            drafts = await self.drafter.draft([self._ask(writing) for writing in going])
        except QuorateError as error:
            for writing in going:
                writing.fail(error)
            return
        turns = [self._turn(writing, draft) for writing, draft in zip(going, drafts, strict=True)]
        await self._verify(turns)
        for turn in turns:
            self._decide(turn)

    def lose(self, writing: Writing, model: int, reason: str) -> None:
        """See `Writes`; a verifier."""
        writing.followers[model - 1] = None
        writing.lose(self.verifiers[model - 1].name, reason)

    def release(self, writings: Sequence[Writing]) -> None:
        """Lets every back end forget these answers."""
        for model in (self.drafter, *self.verifiers):
            model.release(writings)

    def _ask(self, writing: Writing) -> DraftAsk:
        alone = not writing.alive
        length = min(writing.room, ALONE if alone else writing.pace.length())
        draw = None
        if not writing.greedy:
            place = len(writing.ids)
            uniforms = [writing.uniforms(place + n)[0] for n in range(length)]
            draw = Draw(writing.settings.temperature, uniforms, int(uniforms[0] * 2**31))
        until = 0.0 if alone else writing.pace.until
        return DraftAsk(writing, writing.tokens, length, until, draw, writing.spent[0].add, writing.settings.watch)

    def _turn(self, writing: Writing, draft: Draft) -> _Turn:
        """What the verifiers are to judge; those whose context is full are lost."""
        unread = 0 if writing.drafted else len(writing.prompt)
        writing.drafted += len(draft.tokens)
        writing.count(0, draft, prompt=unread, completion=len(draft.tokens))
        keys = [self.lexicon.key(token) for token in draft.tokens]
        readings: dict[int, Reading] = {}
        for number in writing.alive:
            follower = writing.followers[number]
            assert follower is not None
            reading = self.rule.conditions.read(follower, writing.text, writing.ids, draft.tokens, keys)
            if len(reading.tokens) >= self.verifiers[number].context:
                self.lose(writing, number + 1, f"its context of {self.verifiers[number].context} tokens is full")
            else:
                readings[number] = reading
        reach = min((reading.reach for reading in readings.values()), default=len(keys))
        places: dict[int, list[int]] = {number: [] for number in readings}
        for n in range(reach):
            met = [number for number, reading in readings.items() if reading.spots[n] is not None]
            if len(met) == len(readings) or any(_finishes(readings[number].spots[n]) for number in met):
                for number in met:
                    places[number].append(n)
        return _Turn(writing, draft, keys[:reach], readings, places, {})

    async def _verify(self, turns: Sequence[_Turn]) -> None:
        """Every verifier's distributions, all verifiers at once."""
        asked = [turn for turn in turns if any(turn.places.values())]
        for turn in asked:
            turn.writing.verifications += 1
        jobs = [
            self._scored(number, [turn for turn in asked if turn.places.get(number)])
            for number in range(len(self.verifiers))
        ]
        if len(jobs) == 1 or self.drafter.in_process:
            for job in jobs:
                await job
        else:
            await asyncio.gather(*jobs)

    async def _scored(self, number: int, turns: Sequence[_Turn]) -> None:
        if not turns:
            return
        asks = [_score_ask(turn, number) for turn in turns]
        try:
            scores = await self.verifiers[number].score(asks)
        except QuorateError as error:
            for turn in turns:
                self.lose(turn.writing, number + 1, str(error))
            return
        for turn, ask, score in zip(turns, asks, scores, strict=True):
            follower = turn.writing.followers[number]
            assert follower is not None
            fresh = len(ask.tokens) - min(shared(follower.read, ask.tokens), ask.places[0] - 1)
            follower.read = list(ask.tokens)
            turn.writing.count(number + 1, score, prompt=fresh)
            turn.scores[number] = score

    def _decide(self, turn: _Turn) -> None:
        """Commits the draft up to the first token that the models decide together, and that one."""
        writing, kept = turn.writing, 0
        before = len(writing.text)
        for number, key in enumerate(turn.keys):
            views = self._views(turn, number)
            if key is not None:
                self._note(turn, number, key, views)
            if key is None:
                step = Step(b"", "textless", None)
            elif not views:
                step = Step(key, "boundary" if writing.alive else "alone", key)
            elif writing.greedy:
                step = self._greedy(turn, number, key, views)
            else:
                step = self._sampled(turn, number, key, views)
            overruled = step.key != key and key is not None
            self._commit(turn, step, turn.draft.tokens[number], overruled=overruled)
            if overruled or writing.done:
                break
            kept += 1
            before = len(writing.text)
        writing.pace.note(len(turn.keys), kept)
        for follower in writing.followers:
            if follower is not None:
                follower.settle(writing.text, before, step.key if overruled else None)

    def _commit(self, turn: _Turn, step: Step, token: int, *, overruled: bool) -> None:
        """What the drafter did not say itself it has to read."""
        writing, ids = turn.writing, [token]
        if step.key == END and step.why != "textless":
            ids = []
        elif overruled:
            ids = self.lexicon.spelled(step.key)
            if turn.draft.usage is None:
                writing.spent[0].prompt += len(ids)
        writing.commit(step, ids)

    def _views(self, turn: _Turn, number: int) -> list[View]:
        """What all models expect in the place of this token; empty where not all can judge."""
        judges = turn.judges(number)
        if not judges:
            return []
        total = math.fsum([self.weights[0], *(self.weights[judge + 1] for judge in judges)])
        views = [View(self.lexicon, turn.draft.distributions[number], self.weights[0] / total)]
        for judge in judges:
            distribution = turn.scores[judge].distributions[turn.places[judge].index(number)]
            views.append(View(self.lexicons[judge], distribution, self.weights[judge + 1] / total))
        return views

    def _note(self, turn: _Turn, number: int, key: bytes, views: Sequence[View]) -> None:
        """Counts which verifiers would have said the same: the drafted text, or their own token that begins it."""
        for verifier, view in zip(turn.judges(number), views[1:], strict=True):
            spot, best = turn.readings[verifier].spots[number], view.distribution.best
            count = turn.writing.spent[verifier + 1]
            count.judged += 1
            count.agreed += view.lexicon.key(best) == key or (spot is not None and best == spot.own)

    def _greedy(self, turn: _Turn, number: int, key: bytes, views: Sequence[View]) -> Step:
        drafter, *others = views
        votes = [
            Vote(view.lexicon, view.distribution, turn.readings[verifier].spots[number].own, view.weight)  # type: ignore[union-attr]
            for verifier, view in zip(turn.judges(number), others, strict=True)
        ]
        share = drafter.weight * math.exp(drafter.lexicon.logprob(key, drafter.distribution) or 0.0)
        why = self.rule.conditions.stands(share, votes)
        if why is not None:
            return Step(key, why, key, None, self._choices(turn, number, views))
        mixture = self._mixture(views, 1.0)
        chosen = mixture.best(key)
        return self._ensembled(turn, number, "ensembled", chosen, key, mixture, views)

    def _sampled(self, turn: _Turn, number: int, key: bytes, views: Sequence[View]) -> Step:
        """Speculative sampling: what is written is distributed as the mixture."""
        settings, place = turn.writing.settings, len(turn.writing.ids)
        _, accept, anew = turn.writing.uniforms(place)
        mixture = self._mixture(views, settings.temperature)
        if settings.top_p < 1 or settings.top_k > 0:
            mixture = mixture.cut(settings.top_p, settings.top_k)
        drafted = _drafting(views[0], settings.temperature)
        if accept * drafted(key) < mixture.of(key):
            return self._ensembled(turn, number, "accepted", key, key, mixture, views)
        rest = (mixture.mass - [drafted(other) for other in mixture.keys]).clip(min=0)
        left = mixture.with_mass(rest) if rest.sum() > 0 else mixture
        return self._ensembled(turn, number, "ensembled", left.choose(anew), key, mixture, views)

    def _mixture(self, views: Sequence[View], temperature: float) -> Mixture:
        mixture = self.rule.merge.merge(views, temperature)
        if not self.lexicon.fluent:
            # What the drafter cannot read it could never go on from.
            mixture = mixture.only(self.lexicon.speaks)
        if self.rule.sharpen is None:
            return mixture
        return self.rule.sharpen.sharpened(mixture, self.lexicon)

    def _ensembled(
        self, turn: _Turn, number: int, why: Why, chosen: bytes, key: bytes, mixture: Mixture, views: Sequence[View]
    ) -> Step:
        turn.writing.bounded |= not all(view.distribution.exact for view in views)
        return Step(chosen, why, key, mixture.of(chosen), self._choices(turn, number, views))

    def _choices(self, turn: _Turn, number: int, views: Sequence[View]) -> tuple[Choice, ...]:
        """Every model's first choice, where it is to be kept."""
        if not turn.writing.settings.traced:
            return ()
        models = [0, *(verifier + 1 for verifier in turn.judges(number))]
        return tuple(_first(model, view.lexicon, view.distribution) for model, view in zip(models, views, strict=True))


def _drafting(view: View, temperature: float) -> Callable[[bytes], float]:
    """The probability with which the drafter proposed a key."""
    row, lexicon = view.distribution.row(), view.lexicon
    if row is None:
        logprob = view.distribution.logprob
        total = math.fsum(math.exp(value / temperature) for _, value in view.distribution.top(KNOWN))
    else:
        values = (row.astype(float) / temperature).tolist()
        logprob, total = values.__getitem__, math.fsum(map(math.exp, values))
        temperature = 1.0
    return lambda key: math.fsum(math.exp(logprob(token) / temperature) for token in lexicon.tokens(key)) / total


def _first(model: int, lexicon: Lexicon, distribution: Distribution) -> Choice:
    best = distribution.best
    return Choice(model, lexicon.key(best), math.exp(distribution.logprob(best)))


def _finishes(spot: Spot | None) -> bool:
    return spot is not None and spot.finishing


def _score_ask(turn: _Turn, number: int) -> ScoreAsk:
    spots = turn.readings[number].spots
    places = [spot.place for n in turn.places[number] if (spot := spots[n]) is not None]
    writing, context = turn.writing, turn.readings[number].tokens[: places[-1]]
    return ScoreAsk(writing, context, places, writing.spent[number + 1].add, writing.settings.watch)
