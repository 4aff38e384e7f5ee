"""Models that speak in turn: one writes at a time, and another takes over at a boundary of its own tokens.

Text is bytes: a model goes on from its own tokens as it said them, and reads what others said by its own tokenizer.
Each model reads what it missed when its turn comes. Who speaks when is in the subclasses: `mixture_sampling` draws it
by weight, `glimpse` decides it at every step of the answer.
"""

from __future__ import annotations

import asyncio
import math
from abc import ABC, abstractmethod
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


@dataclass(eq=False, kw_only=True)
class SpokenState(DecodeState):
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
class SpeakerTurn:
    """What one model is asked to say of one answer."""

    state: SpokenState
    speaker: int
    ask: DraftAsk
    own: int
    """Tokens that it says; one more only shows whether the next model may take over."""
    uniforms: list[float]


class SpeakingEngine(ABC):
    """Several opened models that speak in turn; an engine like `engine.DraftAndVerify`.

    A model that fails or whose context is full is lost, and the others go on; the answer fails with the last.

    Args:
        models: in any order.
        most: tokens of one turn.
    """

    def __init__(self, models: Sequence[TokenModel], most: int) -> None:
        self.models, self.most = tuple(models), most
        self.token_bytes = [TokenBytes(model.vocabulary) for model in models]
        self._alone = GaC()

    state_class: type[SpokenState] = SpokenState

    @abstractmethod
    def choose_speaker(self, state: SpokenState) -> int:
        """Who goes on, among the models that are left."""

    @abstractmethod
    def plan_length(self, state: SpokenState, speaker: int, most: int) -> tuple[int, int]:
        """How many tokens the speaker says, of this many at most, and how many it drafts for that."""

    @abstractmethod
    def take(self, turn: SpeakerTurn, draft: Draft) -> None:
        """Commits what the speaker said, as far as it stands."""

    def start(self, prompts: Sequence[Sequence[int]], params: DecodeParams) -> DecodeState:
        """A new answer; `prompts` holds each model's own.

        Raises:
            BadInput: the prompt overflows every model's context.
        """
        readers = {
            token_bytes.vocabulary.fingerprint: VerifierContext(token_bytes, [], same=False)
            for token_bytes in self.token_bytes
        }
        state = self.state_class(
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
        turns: dict[int, list[SpeakerTurn]] = defaultdict(list)
        for state in states:
            assert isinstance(state, SpokenState)
            if not state.done and (turn := self._plan_turn(state)) is not None:
                turns[turn.speaker].append(turn)
        jobs = [self._speak(speaker, turns[speaker]) for speaker in sorted(turns)]
        if all(model.in_process for model in self.models):
            for job in jobs:
                await job
        else:
            await asyncio.gather(*jobs)

    def drop(self, state: DecodeState, model: int, reason: str) -> None:
        assert isinstance(state, SpokenState)
        state.dropped.add(model)
        state.note_loss(self.models[model].name, reason)
        if state.speaker == model:
            # Nobody can show any more where its next token would have begun: another goes on at once.
            state.speaker = None

    def release(self, states: Sequence[DecodeState]) -> None:
        for model in self.models:
            model.release(states)

    def _plan_turn(self, state: SpokenState) -> SpeakerTurn | None:
        """Who goes on and how far; None where nobody has room left, which ends the answer."""
        while len(state.dropped) < len(self.models):
            speaker = self.choose_speaker(state)
            tokens = [*state.prompts[speaker], *state.tokens_said]
            left = min(self.models[speaker].context - len(tokens), state.tokens_left)
            if left < 1:
                self.drop(state, speaker, f"its context of {self.models[speaker].context} tokens is full")
                continue
            return self._make_turn(state, speaker, tokens, left)
        state.finish("length")
        return None

    def _make_turn(self, state: SpokenState, speaker: int, tokens: Sequence[int], left: int) -> SpeakerTurn:
        place, params = len(state.ids), state.params
        filtered = not state.greedy and (params.top_p < 1 or params.top_k > 0)
        singly = filtered or (bool(state.watch) and self.models[speaker].in_process)
        most = min(left, 1 if singly else self.most)
        own, drafted = self.plan_length(state, speaker, most)
        uniforms = [state.draw_uniforms(place + n)[0] for n in range(drafted)]
        if state.redrawn:
            # The token thrown away was drafted with the other number, and decided that this one is drawn.
            uniforms[0] = state.draw_uniforms(place)[2]
        draw = None
        if not state.greedy and not filtered:
            draw = Draw(params.temperature, uniforms, int(uniforms[0] * 2**31))
        spend = state.spent[speaker].add
        ask = DraftAsk(state, tokens, drafted, 0.0, draw, spend, params.run, params.index)
        return SpeakerTurn(state, speaker, ask, own, uniforms)

    async def _speak(self, speaker: int, turns: Sequence[SpeakerTurn]) -> None:
        try:
            drafts = await self.models[speaker].draft([turn.ask for turn in turns])
        except QuorateError as error:
            for turn in turns:
                self.drop(turn.state, speaker, str(error))
                if len(turn.state.dropped) == len(self.models):
                    turn.state.fail(error)
            return
        for turn, draft in zip(turns, drafts, strict=True):
            self._count(turn, draft)
            with turn.state.failing():
                watch, tokens = turn.state.watch, self.token_bytes[speaker]
                self.take(turn, watch.restrict_draft(turn.state.text, tokens, draft, turn.ask.draw))

    def _count(self, turn: SpeakerTurn, draft: Draft) -> None:
        state, tokens = turn.state, turn.ask.tokens
        state.drafted += len(draft.tokens)
        unread = len(tokens) - common_prefix_length(state.contexts.get(turn.speaker, []), tokens)
        state.contexts[turn.speaker] = [*tokens, *draft.tokens]
        state.count(turn.speaker, draft, prompt=unread, completion=len(draft.tokens))

    def choose_token(self, turn: SpeakerTurn, draft: Draft, number: int) -> tuple[int, bytes | None]:
        """The token said: the draft's, or where top-p or top-k cut, drawn from what they leave."""
        token, token_bytes, params = draft.tokens[number], self.token_bytes[turn.speaker], turn.state.params
        if turn.state.greedy or turn.ask.draw is not None:
            return token, token_bytes.key_of(token)
        whole = self._alone.merge([NextTokenView(token_bytes, draft.distributions[number], 1.0)], params.temperature)
        key = whole.truncate(params.top_p, params.top_k).draw(turn.uniforms[number])
        return token_bytes.spell(key)[0], key

    def commit(self, turn: SpeakerTurn, draft: Draft, number: int, token: int, key: bytes | None, why: Why) -> None:
        state = turn.state
        choices: tuple[FirstChoice, ...] = ()
        if state.params.traced:
            probability = math.exp(draft.distributions[number].logprob(token))
            choices = (FirstChoice(turn.speaker, key, probability),)
        step = CommittedToken(b"", "textless", None) if key is None else CommittedToken(key, why, key, None, choices)
        state.commit(step, [token])
        state.tokens_said.append(token)
        state.redrawn = False

    def begins_token(self, state: SpokenState, model: int, token: int, key: bytes | None) -> bool:
        """Whether this token of the speaker begins at a boundary of the model's own tokens, so that it could go on."""
        reader = state.readers[self.tokenizer_of(model)]
        read = reader.align(state.text, state.ids, [token], [key])
        reader.settle(state.text, len(state.text), None)
        return read.tokens[0] is not None

    def hand_over(self, state: SpokenState, speaker: int) -> None:
        tokenizer = self.tokenizer_of(speaker)
        if state.tokenizer != tokenizer:
            state.tokens_said = state.readers[tokenizer].read_all(state.text, ())
        state.speaker, state.tokenizer = speaker, tokenizer

    def tokenizer_of(self, number: int) -> str:
        """Models of one tokenizer take each other's tokens as they are."""
        return self.token_bytes[number].vocabulary.fingerprint
