"""Multi-agent debate (Du et al., arXiv 2305.14325, section 2).

Each candidate is an agent's first answer. In every round each agent sees its own last answer and the
other agents' and answers anew; after the last round they vote. The paper: 3 agents, 2 rounds.
Different from it: of the conversation only the last round is repeated, so that the context does not
grow with the rounds; an agent may have a role; thinking is stripped.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from quorate.orchestrator.context import RunContext
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.protocols import Aggregator, Model
from quorate.orchestrator.types import Candidate, Degradation, Message, Question

from .material import Item, item, laid_out
from .members import Ask
from .population import Population
from .wording import system_of

__all__ = ["Debate"]


class Debate(Population):
    """Agents that revise their answers in the light of each other's, then vote.

    Args:
        models: who debates. The author of candidate i is model i modulo their number, as `sample` deals
            them, so that each agent goes on with its own answer.
        rounds: of revision; 0 is the vote.
        roles: system messages, dealt to the agents in turn, such as "You check every calculation.".
        final: how the last answers become one; a vote if not given.
        options: further arguments of `Synthesis`.
    """

    name = "debate"
    prompt_name = "debate"

    def __init__(
        self,
        models: Model | Sequence[Model],
        *,
        rounds: int = 2,
        roles: Sequence[str] = (),
        final: Aggregator | None = None,
        **options: Any,
    ) -> None:
        debaters = tuple(models) if isinstance(models, Sequence) else (models,)
        if not debaters:
            raise BadInput("Debate(models=()): give at least one model")
        if isinstance(roles, str) or not all(role.strip() for role in roles):
            raise BadInput("Debate(roles=...): give a list of texts, none of them empty")
        super().__init__(debaters[0], rounds=rounds, final=final, **options)
        self.debaters = debaters
        self.roles = tuple(roles)

    @property
    def models(self) -> tuple[Model, ...]:
        """See `Synthesis.models`."""
        return self.debaters

    def asks(
        self, question: Question, members: Sequence[Candidate], first: Sequence[Candidate], run: RunContext
    ) -> tuple[list[Ask], list[Degradation]]:
        """One revision for each agent; a single agent has nobody to debate with."""
        asks, notes = list[Ask](), list[Degradation]()
        for place, own in enumerate(members) if len(members) > 1 else ():
            model = self.debaters[first[place].index % len(self.debaters)]
            others = [item(m) for m in members if m is not own]
            run.rng(f"order {place}").shuffle(others)
            asked, cut = self._revision(question, item(own), others, place, model, run)
            asks.append(Ask(model, asked, (place,)))
            notes += cut
        return asks, notes

    def _revision(
        self, question: Question, own: Item, others: Sequence[Item], place: int, model: Model, run: RunContext
    ) -> tuple[Question, tuple[Degradation, ...]]:
        """The conversation, the agent's own answer, and the others' with the request to answer anew."""
        material = laid_out([own, *others], self.room(question, model), f"{run.node}: {model.name} #{place} reading")
        said, heard = (material.texts[:1], material.texts[1:]) if own.text else ((), material.texts)
        words = self.prompt.render(responses=heard, system="", problem=question.text)
        role = self.roles[place % len(self.roles)] if self.roles else ""
        system = "\n\n".join(part for part in (system_of(question), role) if part)
        asked = question.with_messages(
            *([Message(role="system", content=system)] if system else []),
            *(m for m in question.messages if m.role != "system"),
            *(Message(role="assistant", content=text) for text in said),
            Message(role="user", content=words),
        )
        return asked, material.notes
