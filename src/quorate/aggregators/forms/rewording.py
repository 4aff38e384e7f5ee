"""The same question in other words: options or sentences in another order, or other names; answers mapped back.

Self-supervised label augmentation (arXiv 1910.05872) aggregates predictions over transformed inputs; SADE (arXiv
2107.09249) weighs experts, without labels, by how stable their predictions stay under them. Here a rewording is an
exact change of the question that leaves its answer as it was, or changes it in a known way: what a model says in favour
of a place is told apart from what it says in favour of an answer. Models weigh by the share of pairs of their own
answers that agree, so with one model the vote is a plurality.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from random import Random
from typing import Literal

from pydantic import Field

from quorate.orchestrator.context import RunContext
from quorate.orchestrator.errors import NoAnswer
from quorate.orchestrator.events import AnswerToken
from quorate.orchestrator.model import Wrapper
from quorate.orchestrator.pipeline import Pipeline, Sampling
from quorate.orchestrator.prompted import with_text
from quorate.orchestrator.protocols import Model
from quorate.orchestrator.types import Answer, Question

from ..extraction import Choices
from ..specs import BuildContext, Options, PipelineSpec
from ..votes.ballot import Ballot, Weights, sum_by_class
from ..votes.rule_vote import RuleVote

Kind = Literal["options", "sentences", "names"]

_NAMES = (
    "Alice Anna Clara Diana Ella Emma Eva Hanna Helen Julia Laura Lena Lisa Lucy Maria Mary Maya Mia Nina Nora Olivia "
    "Sara Sarah Sofia Susan Zoe",
    "Adam Ben Carl Daniel David Felix George Henry Hugo Ivan James John Jonas Leo Luis Oliver Oscar Paul Peter Robert "
    "Simon Thomas Tim Tom Victor",
)
"""First names, those of one line in each other's places, so that what is said of her or him still fits."""

_OPTION = re.compile(r"^([ \t]*\(?)([A-Z])([.):][ \t]+)(\S[^\n]*)$", re.MULTILINE)
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z0-9\"'(])")


@dataclass(frozen=True)
class Rewording:
    """A question in other words, and what its letters are in the first ones."""

    text: str
    letters: Mapping[str, str] = field(default_factory=dict)
    """By a letter of the reworded options, the one that the same option had."""
    names: Mapping[str, str] = field(default_factory=dict)
    """By a name that it has, the one that stood there; both are empty where answers stay as they are."""


def reorder_options(text: str, rng: Random) -> Rewording | None:
    """The lettered options, a line each, in another order; None where there are no two of them."""
    lines = list(_OPTION.finditer(text))
    letters = [line[2] for line in lines]
    if len(lines) < 2 or letters != [chr(ord("A") + n) for n in range(len(lines))]:
        return None
    order = _shuffled(len(lines), rng)
    pieces, end = [], 0
    for place, line in enumerate(lines):
        pieces += [text[end : line.start()], line[1], line[2], line[3], lines[order[place]][4]]
        end = line.end()
    return Rewording("".join([*pieces, text[end:]]), {letters[n]: letters[order[n]] for n in range(len(lines))})


def reorder_sentences(text: str, rng: Random) -> Rewording | None:
    """All sentences but the last, which asks, in another order; None where there are no two before it.

    The answer stays only where each sentence stands by itself: not where they tell what happens one after another.
    """
    *told, last = _SENTENCE.split(text.strip())
    if len(told) < 2:
        return None
    return Rewording(" ".join([*(told[n] for n in _shuffled(len(told), rng)), last]))


def change_names(text: str, rng: Random) -> Rewording | None:
    """Other first names; None where there is none that may be changed.

    A name before another capital letter is somebody's whose name matters, and stays.
    """
    names: dict[str, str] = {}
    for line in map(str.split, _NAMES):
        there = [name for name in line if re.search(rf"\b{name}\b", text)]
        mine = [name for name in there if not re.search(rf"\b{name}\s+[A-Z]", text)]
        free = [name for name in line if name not in there]
        names |= dict(zip(mine, rng.sample(free, min(len(mine), len(free))), strict=False))
    return Rewording(_rename(text, names), {}, {new: old for old, new in names.items()}) if names else None


def _rename(text: str, names: Mapping[str, str]) -> str:
    """All names at once, so that none is changed twice."""
    return re.sub(rf"\b(?:{'|'.join(names)})\b", lambda found: names[found[0]], text)


_KINDS: Mapping[Kind, Callable[[str, Random], Rewording | None]] = {
    "options": reorder_options,
    "sentences": reorder_sentences,
    "names": change_names,
}


def _shuffled(count: int, rng: Random) -> list[int]:
    """Another order than the first one."""
    order = list(range(count))
    while order == sorted(order):
        rng.shuffle(order)
    return order


class Reworded(Wrapper):
    """A model that is asked in other words, drawn by the run's seed, and answers in those of the question.

    A letter that it settles on is told as the letter that the option had, in a line behind its text; one that settles
    on none has failed. Names in its text are told as those of the question. A question that cannot be reworded is asked
    as it is.

    Args:
        model: who answers.
        kind: what changes: the order of options or sentences, or names.
        name: how it is called; the model's name if not given.
    """

    def __init__(self, model: Model, kind: Kind, *, name: str | None = None) -> None:
        super().__init__(model, name=name)
        self.kind: Kind = kind

    async def _answer(self, question: Question, run: RunContext) -> Answer:
        changed = _KINDS[self.kind](question.text, run.rng(f"reworded {self.kind}"))
        if changed is None:
            return await self.model.answer(question, run)
        mapped = bool(changed.letters or changed.names)
        answer = await self.model.answer(_reword(question, changed.text), run.replace(live=False) if mapped else run)
        if not mapped:
            return answer
        text = _rename(answer.text, changed.names) if changed.names else self._tell_letter(answer.text, changed.letters)
        if run.observed and run.live:
            run.emit(AnswerToken(text=text))
        return answer.replace(text=text, answer=None)

    def _tell_letter(self, text: str, letters: Mapping[str, str]) -> str:
        said = Choices(letters).find(text)
        if said is None:
            # Letters in its text are those of another order, and nobody may take them for the question's.
            raise NoAnswer(f"{self.name}: it settles on no option of the reworded question", code="option_missing")
        return f"{text.rstrip()}\n\nIn the order of the question:\nAnswer: {letters[said]}"


def _reword(question: Question, text: str) -> Question:
    """The question with other words in its last user message."""
    messages = list(question.messages)
    last = max(n for n, message in enumerate(messages) if message.role == "user")
    messages[last] = with_text(messages[last], text)
    return question.with_messages(*messages)


class Stability:
    """A model's votes weigh as much as they agree with each other, over the pairs of them; one vote alone weighs 1."""

    name = "stability"

    def weights(self, ballot: Ballot) -> Weights:
        mine: dict[str, list[int]] = defaultdict(list)
        for place in range(len(ballot.classes)):
            mine[ballot.voter(place)].append(place)
        weight = {voter: _agreement([ballot.classes[n] for n in places]) for voter, places in mine.items()}
        if not any(weight.values()):
            weight = dict.fromkeys(weight, 1.0)
        return sum_by_class((ballot.class_of(n), weight[ballot.voter(n)]) for n in ballot.cast)


def _agreement(classes: Sequence[int | None]) -> float:
    """The share of pairs that are equal; an abstention equals nothing."""
    pairs = list(combinations(classes, 2))
    return sum(a == b is not None for a, b in pairs) / len(pairs) if pairs else 1.0


class RewordingOptions(Options):
    """How the question is reworded."""

    kind: Kind = "options"
    """What changes: the order of lettered options, or of sentences where that leaves the answer as it is, or names."""
    plain: int = Field(default=1, ge=0)
    """Samples of each model that are asked in the question's own words, the first ones."""


def _build_reworded(context: BuildContext) -> Pipeline:
    options, count = context.options, len(context.models)
    asked = [
        model if place // count < options.plain else Reworded(model, options.kind)
        for place, model in ((n, context.models[n % count]) for n in range(context.n))
    ]
    stage = Sampling(tuple(asked), n=context.n, stop=context.stop, wave=context.wave, sampling=context.sampling)
    name = context.name or f"reworded@{context.n}/{'+'.join(model.name for model in context.models)}"
    return (stage | RuleVote(Stability())).with_name(name)


PIPELINES = (
    PipelineSpec(
        "reworded",
        "a vote over N rewordings of the question, answers mapped back, models weighted by how stable they stay",
        "arXiv 1910.05872; 2107.09249",
        8,
        _build_reworded,
        options=RewordingOptions,
    ),
)
