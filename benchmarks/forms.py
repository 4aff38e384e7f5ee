"""Forms of one question on recorded answers: `consensus` where the forms of a bank are prompts of one model.

    python -m benchmarks.forms BANK --model gpt-4 --forms greedy_cot1,greedy_cot2,greedy_pot1

BANK is a folder of recorded answers whose lines have a `variant` (docs/aggregators.md, Replay). Each form answers with
the first answer that was recorded of its variant; where they do not all agree, the answers of all others are drawn, and
all vote. The graph that runs is the pipeline's own; classes and grades are those of the bank. Plurality over all
subsets of so many answers stands beside it.
"""

from __future__ import annotations

import argparse
import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean

from quorate import MajorityVote, sample
from quorate.aggregators.equivalence import SameText
from quorate.aggregators.forms import consensus
from quorate.evals.answer_files import answer_files, rows_of
from quorate.evals.records import AnswerRecord, AnswerRow, assemble
from quorate.evals.replay.subsets import expected_plurality
from quorate.evals.statistics import compare_paired, mean_interval
from quorate.orchestrator.context import RunContext
from quorate.orchestrator.model import Agent
from quorate.orchestrator.partial import PartialCandidate
from quorate.orchestrator.types import Question
from quorate.orchestrator.usage import Usage


class Form(Agent):
    """Says what was recorded of one variant, or of several."""

    def __init__(self, name: str, recorded: Mapping[str, Sequence[str | None]], *, many: bool = False) -> None:
        self.name, self._recorded, self.many = name, recorded, many

    async def sample(self, question: Question, slots: Sequence[PartialCandidate], run: RunContext) -> None:
        said = self._recorded[question.text]
        for slot in slots:
            slot.start(self.name, self.name, seed=run.sample_seed(slot.index))
            place = slot.index if self.many else 0
            answer = said[place] if place < len(said) else None
            slot.finish("stop", Usage(requests=1), text=answer or "")


class Whole:
    """The text is the answer."""

    def extract(self, text: str) -> str | None:
        return text or None


def read(bank: Path, model: str) -> dict[str, dict[str, AnswerRow]]:
    """The rows of one model by question and variant."""
    found: dict[str, dict[str, AnswerRow]] = defaultdict(dict)
    for file in answer_files(bank):
        for line, row in rows_of(file):
            if row.model == model:
                found[row.question][str(line.data.get("variant"))] = row
    return found


async def guide(rows: dict[str, dict[str, AnswerRow]], forms: Sequence[str]) -> tuple[list[float], list[int]]:
    """For each question whether the graph is right, and how many answers it took."""
    recorded = {form: {q: by[form].answers[:1] for q, by in rows.items()} for form in forms}
    rest = {q: [a for v, row in by.items() for a in (row.answers if v not in forms else ())] for q, by in rows.items()}
    most = max(map(len, rest.values()))
    agents = [Form(form, answers) for form, answers in recorded.items()]
    vote = MajorityVote(Whole(), SameText())
    graph = consensus(
        sample(agents, n=len(forms)), sample(Form("all others", rest, many=True), n=most), vote, all_vote=True
    )
    right, drawn = [], []
    for number, (question, by) in enumerate(rows.items()):
        answer = await graph.answer(Question.of(question), RunContext(seed=number))
        grades = {a: r for row in by.values() for a, r in zip(row.answers, row.right, strict=True)}
        right.append(float(grades.get(answer.answer, False)))
        drawn.append(len(forms) + (len(rest[question]) if "decide" in [v.node for v in answer.path] else 0))
    return right, drawn


def plurality(records: Sequence[AnswerRecord], k: int) -> list[float]:
    """Over all subsets of k answers, by question."""
    return [expected_plurality(record, min(k, len(record))) for record in records]


async def main() -> None:
    """Prints a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bank", type=Path)
    parser.add_argument("--model", default="gpt-4")
    parser.add_argument("--forms", default="greedy_cot1,greedy_cot2,greedy_pot1")
    given = parser.parse_args()
    rows, forms = read(given.bank, given.model), given.forms.split(",")
    right, drawn = await guide(rows, forms)
    records = list(assemble("bank", [row for by in rows.values() for row in by.values()]).groups[given.model])
    places = {record.id: place for place, record in enumerate(records)}
    print(
        f"| {given.model}, {len(rows)} questions | accuracy | 95 % interval | answers a question |\n|---|---|---|---|"
    )
    systems = {f"consensus of {', '.join(forms)}, else all vote": (right, fmean(drawn))}
    for k in (1, 3, 4, max(map(len, records))):
        scores = plurality(records, k)
        systems[f"plurality@{k}"] = ([scores[places[question]] for question in rows], float(k))
    for name, (scores, samples) in systems.items():
        figure = mean_interval(scores)
        print(f"| {name} | {figure.value:.4f} | {figure.low:.4f} to {figure.high:.4f} | {samples:.2f} |")
    print("\n| consensus less | | 95 % interval | p |\n|---|---|---|---|")
    for name, (scores, _) in list(systems.items())[1:]:
        found = compare_paired(right, scores)
        print(f"| {name} | {found.difference:+.4f} | {found.low:+.4f} to {found.high:+.4f} | {found.p:.2g} |")
    print(f"\n{sum(count > len(forms) for count in drawn)} questions were asked on.")


if __name__ == "__main__":
    asyncio.run(main())
