"""In-memory models and a small vote, with everything a server's test wants to steer or to see."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence

from quorate.orchestrator.context import RunContext
from quorate.orchestrator.events import AnswerToken
from quorate.orchestrator.model import Agent
from quorate.orchestrator.partial import PartialCandidate
from quorate.orchestrator.protocols import Aggregator
from quorate.orchestrator.types import Answer, Candidate, Cluster, Failure, Question, Sampled, TokenLogprob
from quorate.orchestrator.usage import Usage

__all__ = ["Echo", "Merged", "Plurality", "Stuck"]

Said = str | Failure | Candidate


class Echo(Agent):
    """Says for each sample what `say(question, index)` gives: a text (streamed by words), a failure or a candidate."""

    def __init__(self, name: str = "echo", say: Callable[[Question, int], Said] | None = None) -> None:
        self.name = name
        self.say = say or (lambda question, index: question.text)
        self.questions: list[Question] = []
        self.runs: list[RunContext] = []
        self.closed = 0
        self.hold: asyncio.Event | None = None
        """Where set, every sample waits for it after its first word."""

    async def sample(self, question: Question, slots: Sequence[PartialCandidate], run: RunContext) -> None:
        self.questions.append(question)
        self.runs.append(run)
        for slot in slots:
            slot.start(self.name, "", seed=run.sample_seed(slot.index))
            said = self.say(question, slot.index)
            if isinstance(said, Failure):
                slot.fail(said)
            elif isinstance(said, Candidate):
                await self._write(said.text, slot, run)
                given = {name: getattr(said, name) for name in said.model_fields_set - {"index", "model", "usage"}}
                slot.finish(**{"reason": given.pop("finish_reason", None), "usage": said.usage, **given})
            else:
                await self._write(said, slot, run)
                usage = Usage(
                    prompt_tokens=3 if slot.index == 0 else 0, completion_tokens=len(said.split()), requests=1
                )
                logprobs = tuple(TokenLogprob(token=word, logprob=-0.5) for word in said.split())
                slot.finish("stop", usage, text=said, logprobs=logprobs)
            await asyncio.sleep(0)

    async def _write(self, text: str, slot: PartialCandidate, run: RunContext) -> None:
        for position, word in enumerate(text.split(" ") if run.live and text else ()):
            slot.write(word if position == 0 else f" {word}")
            if self.hold is not None:
                await self.hold.wait()

    async def aclose(self) -> None:
        self.closed += 1


class Stuck(Agent):
    """Never finishes; remembers how often it was asked and how often its work was cancelled."""

    def __init__(self, name: str = "stuck", *, first: str = "") -> None:
        self.name = name
        self.first = first
        self.asked = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.running = 0

    async def sample(self, question: Question, slots: Sequence[PartialCandidate], run: RunContext) -> None:
        self.running += 1
        try:
            slots[0].start(self.name, "")
            if self.first:
                slots[0].write(self.first)
            self.asked.set()
            await asyncio.Event().wait()
        finally:
            self.running -= 1
            if not self.running:
                self.cancelled.set()


class Plurality(Aggregator):
    """The most frequent text wins; among equals the first."""

    name = "plurality"

    def counter(self, question: Question, run: RunContext) -> Plurality:
        return self

    def extract(self, candidate: Candidate) -> str | None:
        return candidate.text or "nothing"

    async def tally(self, candidates: Sequence[Candidate]) -> tuple[Cluster, ...]:
        votes = Counter(c.answer for c in candidates if c.ok and c.answer)
        return tuple(
            Cluster(answer=a, votes=n, weight=n, voters=tuple(c.index for c in candidates if c.answer == a))
            for a, n in votes.most_common()
        )

    async def aggregate(self, question: Question, sampled: Sampled, run: RunContext) -> Answer:
        tally = sampled.tally or await self.tally(sampled.candidates)
        winner = next(c for c in sampled.candidates if c.answer == tally[0].answer)
        return Answer.of(winner, model=self.name, tally=tally)


class Merged(Aggregator):
    """Writes a new answer, token by token: all texts, joined."""

    name = "merged"

    async def aggregate(self, question: Question, sampled: Sampled, run: RunContext) -> Answer:
        texts = [c.text for c in sampled.good]
        run.emit(AnswerToken(text="hm", reasoning=True))
        for position, text in enumerate(texts):
            run.emit(AnswerToken(text=text if position == 0 else f"+{text}"))
        run.record("merger", Usage(prompt_tokens=10, completion_tokens=len(texts), requests=1))
        return Answer(text="+".join(texts), reasoning="hm", model=self.name)
