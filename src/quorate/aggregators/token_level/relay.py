"""Mixture sampling: one model speaks at a time, and which one is drawn by the weights.

A token that a model drawn by weight draws from its own distribution is distributed as the weighted mean
of all distributions (arXiv 2605.00419, "mixture-model-like sampling"), so sampling needs one model a token
where the ensembles ask all. Greedily the speaker says what it likes best, which is no longer the mean's choice.

What differs from the paper: tokenizers may differ. Another model takes over only in front of a token that
begins at a boundary of its own tokens too (SAFE's condition, arXiv 2510.15346), for which the speaker before
writes one token more; where it does not, that token stands. Text is bytes: a model goes on from its own
tokens as it said them, and reads what others said by its own tokenizer. Each model reads what it missed
when its turn comes.
"""

from __future__ import annotations

import asyncio
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from quorate.orchestrator.errors import BadInput, QuorateError
from quorate.orchestrator.tokens import Draft, DraftAsk, Draw, TokenModel

from .follower import Follower, shared
from .lexicon import Lexicon
from .lookahead import Fixed
from .mixture import GaC, View
from .writing import Choice, Settings, Step, Why, Writing

__all__ = ["Mix", "Relay"]


@dataclass(frozen=True)
class Mix:
    """Mixture sampling, as a way to write together (`SAFE(models, rule=Mix())`).

    Raises:
        BadInput: turns have less than one token.
    """

    most: int = 16
    """Tokens of one turn of one model, before others are looked at again."""

    def __post_init__(self) -> None:
        if self.most < 1:
            raise BadInput(f"Mix(most={self.most}): a turn has at least 1 token")

    def engine(self, models: Sequence[TokenModel], weights: Sequence[float]) -> Relay:
        """See `engine.Decides`."""
        return Relay(models, weights, self.most)


@dataclass(eq=False, kw_only=True)
class _Relayed(Writing):
    """An answer that several models speak in turn; `ids` are each in their speaker's tokens."""

    prompts: Sequence[Sequence[int]]
    """By model."""
    readers: dict[str, Follower]
    """By tokenizer, what reads the answer with it."""
    gone: set[int]
    """Models that take no part any more."""
    speaker: int | None = None
    tongue: str | None = None
    """The tokenizer of the model that spoke last."""
    said: list[int] = field(default_factory=list)
    """The whole answer in tokens of that tokenizer."""
    anew: bool = False
    """Whether the next token's place has been drafted for by another model."""
    heard: dict[int, list[int]] = field(default_factory=dict)
    """By model, the context that it has read."""


@dataclass(slots=True)
class _Turn:
    """What one model is asked to say of one answer."""

    writing: _Relayed
    speaker: int
    ask: DraftAsk
    own: int
    """Tokens that it says; one more only shows whether the next model may take over."""
    uniforms: list[float]


class Relay:
    """Several opened models that speak in turn; an engine like `engine.Engine`.

    A model that fails or whose context is full is lost, and the others go on; the answer fails with the last.

    Args:
        models: in any order.
        weights: one a model, any positive numbers.
        most: tokens of one turn.
    """

    def __init__(self, models: Sequence[TokenModel], weights: Sequence[float], most: int = 16) -> None:
        self.models, self.weights, self.most = tuple(models), tuple(weights), most
        self.lexicons = [Lexicon(model.vocabulary) for model in models]
        self._alone = GaC()

    def writing(self, prompts: Sequence[Sequence[int]], settings: Settings) -> Writing:
        """A new answer; `prompts` holds each model's own.

        Raises:
            BadInput: the prompt overflows every model's context.
        """
        readers = {self._tongue(n): Follower(lexicon, [], same=False) for n, lexicon in enumerate(self.lexicons)}
        pace = Fixed(self.most)
        writing = _Relayed(
            list(prompts[0]), settings, [None] * (len(prompts) - 1), pace, prompts=prompts, readers=readers, gone=set()
        )
        for number, prompt in enumerate(prompts):
            if len(prompt) >= self.models[number].context:
                self.lose(writing, number, f"the prompt has {len(prompt)} tokens: shorten it")
        if len(writing.gone) == len(self.models):
            raise BadInput("; ".join(writing.lost))
        return writing

    async def cycle(self, writings: Sequence[Writing]) -> None:
        """One turn of every answer that is not done: a turn writes tokens, or passes on to another model."""
        turns: dict[int, list[_Turn]] = defaultdict(list)
        for writing in writings:
            assert isinstance(writing, _Relayed)
            if not writing.done and (turn := self._turn(writing)) is not None:
                turns[turn.speaker].append(turn)
        jobs = [self._spoken(speaker, turns[speaker]) for speaker in sorted(turns)]
        if all(model.in_process for model in self.models):
            for job in jobs:
                await job
        else:
            await asyncio.gather(*jobs)

    def lose(self, writing: Writing, model: int, reason: str) -> None:
        """See `engine.Writes`."""
        assert isinstance(writing, _Relayed)
        writing.gone.add(model)
        writing.lose(self.models[model].name, reason)
        if writing.speaker == model:
            # Nobody can show any more where its next token would have begun: another goes on at once.
            writing.speaker = None

    def release(self, writings: Sequence[Writing]) -> None:
        """Lets every back end forget these answers."""
        for model in self.models:
            model.release(writings)

    def _turn(self, writing: _Relayed) -> _Turn | None:
        """Who goes on and how far; None where nobody has room left, which ends the answer."""
        while len(writing.gone) < len(self.models):
            place = len(writing.ids)
            drawn = self._drawn(writing, place)
            if writing.speaker is None or writing.tongue == self._tongue(drawn):
                self._hand_over(writing, drawn)
            speaker = writing.speaker
            assert speaker is not None
            tokens = [*writing.prompts[speaker], *writing.said]
            room = min(self.models[speaker].context - len(tokens), writing.room)
            if room < 1:
                self.lose(writing, speaker, f"its context of {self.models[speaker].context} tokens is full")
                continue
            return self._planned(writing, speaker, tokens, room)
        writing.finish("length")
        return None

    def _planned(self, writing: _Relayed, speaker: int, tokens: Sequence[int], room: int) -> _Turn:
        place, settings = len(writing.ids), writing.settings
        filtered = not writing.greedy and (settings.top_p < 1 or settings.top_k > 0)
        most = min(room, 1 if filtered else self.most)
        own = 0
        while own < most and self._drawn(writing, place + own) == speaker:
            own += 1
        follower = self._drawn(writing, place + own)
        judged = own < most and self._tongue(follower) != self._tongue(speaker)
        uniforms = [writing.uniforms(place + n)[0] for n in range(own + judged)]
        if writing.anew:
            # The token thrown away was drafted with the other number, and decided that this one is drawn.
            uniforms[0] = writing.uniforms(place)[2]
        draw = None
        if not writing.greedy and not filtered:
            draw = Draw(settings.temperature, uniforms, int(uniforms[0] * 2**31))
        spend, watch = writing.spent[speaker].add, settings.watch
        return _Turn(writing, speaker, DraftAsk(writing, tokens, own + judged, 0.0, draw, spend, watch), own, uniforms)

    async def _spoken(self, speaker: int, turns: Sequence[_Turn]) -> None:
        try:
            drafts = await self.models[speaker].draft([turn.ask for turn in turns])
        except QuorateError as error:
            for turn in turns:
                self.lose(turn.writing, speaker, str(error))
                if len(turn.writing.gone) == len(self.models):
                    turn.writing.fail(error)
            return
        for turn, draft in zip(turns, drafts, strict=True):
            self._take(turn, draft)

    def _take(self, turn: _Turn, draft: Draft) -> None:
        """Commits what the speaker said, and lets the next one take over where it can."""
        writing, tokens = turn.writing, turn.ask.tokens
        writing.drafted += len(draft.tokens)
        unread = len(tokens) - shared(writing.heard.get(turn.speaker, []), tokens)
        writing.heard[turn.speaker] = [*tokens, *draft.tokens]
        writing.count(turn.speaker, draft, prompt=unread, completion=len(draft.tokens))
        for number in range(len(draft.tokens)):
            if writing.done:
                return
            token, key = self._token(turn, draft, number)
            why: Why = "spoken"
            if number >= turn.own:
                if self._passed_on(writing, token, key):
                    return
                why = "boundary"
            self._commit(turn, draft, number, token, key, why)

    def _token(self, turn: _Turn, draft: Draft, number: int) -> tuple[int, bytes | None]:
        """The token said: the draft's, or where top-p or top-k cut, drawn from what they leave."""
        token, lexicon, settings = draft.tokens[number], self.lexicons[turn.speaker], turn.writing.settings
        if turn.writing.greedy or turn.ask.draw is not None:
            return token, lexicon.key(token)
        whole = self._alone.merge([View(lexicon, draft.distributions[number], 1.0)], settings.temperature)
        key = whole.cut(settings.top_p, settings.top_k).choose(turn.uniforms[number])
        return lexicon.spelled(key)[0], key

    def _commit(self, turn: _Turn, draft: Draft, number: int, token: int, key: bytes | None, why: Why) -> None:
        writing = turn.writing
        choices: tuple[Choice, ...] = ()
        if writing.settings.traced:
            probability = math.exp(draft.distributions[number].logprob(token))
            choices = (Choice(turn.speaker, key, probability),)
        step = Step(b"", "textless", None) if key is None else Step(key, why, key, None, choices)
        writing.commit(step, [token])
        writing.said.append(token)
        writing.anew = False

    def _passed_on(self, writing: _Relayed, token: int, key: bytes | None) -> bool:
        """Whether the model drawn for this place takes over, since this token begins at a boundary of its own."""
        drawn = self._drawn(writing, len(writing.ids))
        reader = writing.readers[self._tongue(drawn)]
        reading = reader.reading(writing.text, writing.ids, [token], [key])
        reader.settle(writing.text, len(writing.text), None)
        if reading.spots[0] is None:
            return False
        self._hand_over(writing, drawn)
        writing.anew = True
        return True

    def _hand_over(self, writing: _Relayed, speaker: int) -> None:
        tongue = self._tongue(speaker)
        if writing.tongue != tongue:
            writing.said = writing.readers[tongue].context(writing.text, ())
        writing.speaker, writing.tongue = speaker, tongue

    def _drawn(self, writing: _Relayed, place: int) -> int:
        """The model whose turn this place is, by weight among those that are left."""
        left = [number for number in range(len(self.models)) if number not in writing.gone]
        reached = writing.uniforms(place)[1] * math.fsum(self.weights[number] for number in left)
        for number in left:
            reached -= self.weights[number]
            if reached < 0:
                return number
        return left[-1]

    def _tongue(self, number: int) -> str:
        """Models of one tokenizer take each other's tokens as they are."""
        return self.lexicons[number].vocabulary.fingerprint
