"""Mixture sampling: one model speaks at a time, and which one is next_speaker by the weights.

A token that a model next_speaker by weight draws from its own distribution is distributed as the weighted mean
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
from quorate.orchestrator.tokens import Draft, DraftAsk, Draw, TokenModel, common_prefix_length

from .alignment import VerifierContext
from .conditions import Fixed
from .decode_state import CommittedToken, DecodeParams, DecodeState, FirstChoice, Why
from .mixture import GaC, NextTokenView
from .token_bytes import TokenBytes


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

    def make_engine(self, models: Sequence[TokenModel], weights: Sequence[float]) -> MixtureSamplingEngine:
        return MixtureSamplingEngine(models, weights, self.most)


@dataclass(eq=False, kw_only=True)
class _SpokenState(DecodeState):
    """An answer that several models speak in turn; `ids` are each in their speaker's tokens."""

    prompts: Sequence[Sequence[int]]
    """By model."""
    readers: dict[str, VerifierContext]
    """By tokenizer, what reads the answer with it."""
    dropped: set[int]
    """Models that take no part any more."""
    speaker: int | None = None
    tokenizer: str | None = None
    """The tokenizer of the model that spoke last."""
    tokens_said: list[int] = field(default_factory=list)
    """The whole answer in tokens of that tokenizer."""
    redrawn: bool = False
    """Whether the next token's place has been drafted for by another model."""
    contexts: dict[int, list[int]] = field(default_factory=dict)
    """By model, the context that it has read."""


@dataclass(slots=True)
class _SpeakerTurn:
    """What one model is asked to say of one answer."""

    state: _SpokenState
    speaker: int
    ask: DraftAsk
    own: int
    """Tokens that it says; one more only shows whether the next model may take over."""
    uniforms: list[float]


class MixtureSamplingEngine:
    """Several opened models that speak in turn; an engine like `engine.DraftAndVerify`.

    A model that fails or whose context is full is lost, and the others go on; the answer fails with the last.

    Args:
        models: in any order.
        weights: one a model, any positive numbers.
        most: tokens of one turn.
    """

    def __init__(self, models: Sequence[TokenModel], weights: Sequence[float], most: int = 16) -> None:
        self.models, self.weights, self.most = tuple(models), tuple(weights), most
        self.token_bytes = [TokenBytes(model.vocabulary) for model in models]
        self._alone = GaC()

    def start(self, prompts: Sequence[Sequence[int]], params: DecodeParams) -> DecodeState:
        """A new answer; `prompts` holds each model's own.

        Raises:
            BadInput: the prompt overflows every model's context.
        """
        readers = {
            token_bytes.vocabulary.fingerprint: VerifierContext(token_bytes, [], same=False)
            for token_bytes in self.token_bytes
        }
        state = _SpokenState(
            list(prompts[0]),
            params,
            [None] * (len(prompts) - 1),
            Fixed(self.most),
            prompts=prompts,
            readers=readers,
            dropped=set(),
        )
        for number, prompt in enumerate(prompts):
            if len(prompt) >= self.models[number].context:
                self.drop(state, number, f"the prompt has {len(prompt)} tokens: shorten it")
        if len(state.dropped) == len(self.models):
            raise BadInput("; ".join(state.lost))
        return state

    async def cycle(self, states: Sequence[DecodeState]) -> None:
        """One turn of every answer that is not done: a turn writes tokens, or passes on to another model."""
        turns: dict[int, list[_SpeakerTurn]] = defaultdict(list)
        for state in states:
            assert isinstance(state, _SpokenState)
            if not state.done and (turn := self._plan_turn(state)) is not None:
                turns[turn.speaker].append(turn)
        jobs = [self._speak(speaker, turns[speaker]) for speaker in sorted(turns)]
        if all(model.in_process for model in self.models):
            for job in jobs:
                await job
        else:
            await asyncio.gather(*jobs)

    def drop(self, state: DecodeState, model: int, reason: str) -> None:
        assert isinstance(state, _SpokenState)
        state.dropped.add(model)
        state.note_loss(self.models[model].name, reason)
        if state.speaker == model:
            # Nobody can show any more where its next token would have begun: another goes on at once.
            state.speaker = None

    def release(self, states: Sequence[DecodeState]) -> None:
        for model in self.models:
            model.release(states)

    def _plan_turn(self, state: _SpokenState) -> _SpeakerTurn | None:
        """Who goes on and how far; None where nobody has room left, which ends the answer."""
        while len(state.dropped) < len(self.models):
            place = len(state.ids)
            next_speaker = self._speaker_at(state, place)
            if state.speaker is None or state.tokenizer == self._tokenizer_of(next_speaker):
                self._hand_over(state, next_speaker)
            speaker = state.speaker
            assert speaker is not None
            tokens = [*state.prompts[speaker], *state.tokens_said]
            left = min(self.models[speaker].context - len(tokens), state.tokens_left)
            if left < 1:
                self.drop(state, speaker, f"its context of {self.models[speaker].context} tokens is full")
                continue
            return self._make_turn(state, speaker, tokens, left)
        state.finish("length")
        return None

    def _make_turn(self, state: _SpokenState, speaker: int, tokens: Sequence[int], left: int) -> _SpeakerTurn:
        place, params = len(state.ids), state.params
        filtered = not state.greedy and (params.top_p < 1 or params.top_k > 0)
        most = min(left, 1 if filtered else self.most)
        own = 0
        while own < most and self._speaker_at(state, place + own) == speaker:
            own += 1
        follower = self._speaker_at(state, place + own)
        judged = own < most and self._tokenizer_of(follower) != self._tokenizer_of(speaker)
        uniforms = [state.draw_uniforms(place + n)[0] for n in range(own + judged)]
        if state.redrawn:
            # The token thrown away was drafted with the other number, and decided that this one is drawn.
            uniforms[0] = state.draw_uniforms(place)[2]
        draw = None
        if not state.greedy and not filtered:
            draw = Draw(params.temperature, uniforms, int(uniforms[0] * 2**31))
        spend = state.spent[speaker].add
        ask = DraftAsk(state, tokens, own + judged, 0.0, draw, spend, params.run, params.index)
        return _SpeakerTurn(state, speaker, ask, own, uniforms)

    async def _speak(self, speaker: int, turns: Sequence[_SpeakerTurn]) -> None:
        try:
            drafts = await self.models[speaker].draft([turn.ask for turn in turns])
        except QuorateError as error:
            for turn in turns:
                self.drop(turn.state, speaker, str(error))
                if len(turn.state.dropped) == len(self.models):
                    turn.state.fail(error)
            return
        for turn, draft in zip(turns, drafts, strict=True):
            self._take(turn, draft)

    def _take(self, turn: _SpeakerTurn, draft: Draft) -> None:
        """Commits what the speaker said, and lets the next one take over where it can."""
        state, tokens = turn.state, turn.ask.tokens
        state.drafted += len(draft.tokens)
        unread = len(tokens) - common_prefix_length(state.contexts.get(turn.speaker, []), tokens)
        state.contexts[turn.speaker] = [*tokens, *draft.tokens]
        state.count(turn.speaker, draft, prompt=unread, completion=len(draft.tokens))
        for number in range(len(draft.tokens)):
            if state.done:
                return
            token, key = self._choose_token(turn, draft, number)
            why: Why = "spoken"
            if number >= turn.own:
                if self._pass_on(state, token, key):
                    return
                why = "boundary"
            self._commit(turn, draft, number, token, key, why)

    def _choose_token(self, turn: _SpeakerTurn, draft: Draft, number: int) -> tuple[int, bytes | None]:
        """The token said: the draft's, or where top-p or top-k cut, drawn from what they leave."""
        token, token_bytes, params = draft.tokens[number], self.token_bytes[turn.speaker], turn.state.params
        if turn.state.greedy or turn.ask.draw is not None:
            return token, token_bytes.key_of(token)
        whole = self._alone.merge([NextTokenView(token_bytes, draft.distributions[number], 1.0)], params.temperature)
        key = whole.truncate(params.top_p, params.top_k).draw(turn.uniforms[number])
        return token_bytes.spell(key)[0], key

    def _commit(self, turn: _SpeakerTurn, draft: Draft, number: int, token: int, key: bytes | None, why: Why) -> None:
        state = turn.state
        choices: tuple[FirstChoice, ...] = ()
        if state.params.traced:
            probability = math.exp(draft.distributions[number].logprob(token))
            choices = (FirstChoice(turn.speaker, key, probability),)
        step = CommittedToken(b"", "textless", None) if key is None else CommittedToken(key, why, key, None, choices)
        state.commit(step, [token])
        state.tokens_said.append(token)
        state.redrawn = False

    def _pass_on(self, state: _SpokenState, token: int, key: bytes | None) -> bool:
        """Whether the model drawn for this place takes over, since this token begins at a boundary of its own."""
        next_speaker = self._speaker_at(state, len(state.ids))
        reader = state.readers[self._tokenizer_of(next_speaker)]
        read = reader.align(state.text, state.ids, [token], [key])
        reader.settle(state.text, len(state.text), None)
        if read.tokens[0] is None:
            return False
        self._hand_over(state, next_speaker)
        state.redrawn = True
        return True

    def _hand_over(self, state: _SpokenState, speaker: int) -> None:
        tokenizer = self._tokenizer_of(speaker)
        if state.tokenizer != tokenizer:
            state.tokens_said = state.readers[tokenizer].read_all(state.text, ())
        state.speaker, state.tokenizer = speaker, tokenizer

    def _speaker_at(self, state: _SpokenState, place: int) -> int:
        """The model whose turn this place is, by weight among those that are left."""
        left = [number for number in range(len(self.models)) if number not in state.dropped]
        reached = state.draw_uniforms(place)[1] * math.fsum(self.weights[number] for number in left)
        for number in left:
            reached -= self.weights[number]
            if reached < 0:
                return number
        return left[-1]

    def _tokenizer_of(self, number: int) -> str:
        """Models of one tokenizer take each other's tokens as they are."""
        return self.token_bytes[number].vocabulary.fingerprint
