"""The table of votes, as people read it at any width."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Sequence

import pytest

from quorate.aggregators import MajorityVote, SelfMoA
from quorate.cli.ask import extract_answers
from quorate.cli.console import SafeConsole
from quorate.cli.show import _remarks, _tally_table, print_answer
from quorate.orchestrator.model import ModelBase
from quorate.orchestrator.pipeline import sample
from quorate.orchestrator.types import Answer, Candidate, Cluster
from quorate.testing import ScriptedModel

LONG = "first we add the apples of both baskets, then we take away those that were eaten, " * 5


def answer_of(votes: Sequence[str | None], text: str = LONG) -> Answer:
    """An answer whose samples voted so."""
    candidates = tuple(
        Candidate(index=i, model="m", text=f"{text} {vote if text else ''}", answer=vote, finish_reason="stop")
        for i, vote in enumerate(votes)
    )
    counted = Counter(vote for vote in votes if vote is not None)
    tally = tuple(
        Cluster(answer=said, votes=n, weight=n, voters=tuple(i for i, vote in enumerate(votes) if vote == said))
        for said, n in counted.most_common()
    )
    return Answer.of(candidates[0], tally=tally, candidates=candidates)


def table(answer: Answer, width: int, *, terminal: bool = False) -> list[str]:
    console = SafeConsole(file=io.StringIO(), width=width, force_terminal=terminal, color_system=None)
    console.print(_tally_table(answer, width))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize("width", [80, 120, 150])
@pytest.mark.parametrize("said", ["42", "the library closes at six on every weekday but Monday, " * 3])
def test_long_samples_push_no_column_out(width: int, said: str) -> None:
    """Votes, shares and answers stay, at the width of a terminal or of a pipe; one line a row."""
    head, first, second, silent = table(answer_of([said] * 12 + ["41"] * 3 + [None]), width)
    assert head.split() == ["votes", "share", "answer", "a", "sample"]
    assert first.split()[:2] == ["12", "75%"]
    assert said[:12] in first
    assert second.split()[:4] == ["3", "19%", "██", "41"]
    assert silent.split()[:5] == ["1", "6%", "█", "(none)", "gave"]
    assert all("first we add" in line for line in (first, second))
    assert max(map(len, (head, first, second, silent))) <= width


def test_bars_are_shares_of_all_samples() -> None:
    """Two of sixteen look like an eighth, also where they lead."""
    rows = table(answer_of(["1", "1", *map(str, range(2, 16))]), 80)[1:]
    assert rows[0].count("█") == 2
    assert {row.count("█") for row in rows[1:]} == {1}
    assert table(answer_of(["1"] * 4), 80)[1].count("█") == 12


@pytest.mark.parametrize(
    ("votes", "text", "says"),
    [
        (["1", "1", "1", "2"], LONG, ""),
        (["1", "1", "2", "3", "4"], LONG, "low agreement: 2 of 5 samples"),
        (["1", "1", "1"], LONG, "all 3 samples are the same text"),
        (["1"], LONG, ""),
    ],
)
def test_what_votes_say_is_put_in_words(votes: list[str], text: str, says: str) -> None:
    """Low agreement, and samples that are all alike."""
    told = list(_remarks(answer_of(votes, text)))
    assert len(told) == bool(says)
    assert says in "".join(told)


def test_samples_that_were_not_waited_for_are_no_disagreement() -> None:
    """Four of four that ended agree, whatever the twelve that a rule stopped would have said."""
    whole = answer_of(["1"] * 4 + [None] * 12)
    cut = {"finish_reason": "cancelled", "text": ""}
    answer = whole.replace(candidates=tuple(c if c.answer else c.model_copy(update=cut) for c in whole.candidates))
    assert [line.split()[:2] for line in table(answer, 80)[1:]] == [["4", "100%"]]
    assert list(_remarks(answer))[-1:] == ["samples that were not waited for, and have no vote: 12"]


def test_samples_that_were_cut_off_are_told_without_a_vote_too() -> None:
    """A greedy model whose samples all end at the limit states no answer, and both is said."""
    voted = answer_of(["1", "1"], "")
    cut = tuple(c.model_copy(update={"finish_reason": "length", "answer": None}) for c in voted.candidates)
    silent = voted.replace(candidates=cut, tally=(), answer=None, text="12 + 30 = 32. This", finish_reason="length")
    same, limit = _remarks(silent)
    assert same.startswith("all 2 samples are the same text")
    assert limit == "cut off before their end: 2 of 2 samples; a larger --max-tokens may help"
    assert extract_answers(silent).answer is None
    assert extract_answers(silent.replace(candidates=cut[:1])).answer is None
    assert extract_answers(silent.replace(candidates=cut[:1], finish_reason="stop")).answer == "32"


@pytest.mark.parametrize(
    ("pipeline", "words"),
    [
        (sample(ScriptedModel(["one two"]), n=3) | MajorityVote(), "in 3 samples"),
        (ScriptedModel(["one two"]), "in 1 sample"),
        (
            sample(ScriptedModel(["one two"]), n=3) | SelfMoA(ScriptedModel(["a b c d"], name="w")),
            "in all, 6 of them in the 3 samples that the answer comes from",
        ),
    ],
)
async def test_what_was_spent_beside_the_samples_is_told(
    pipeline: ModelBase, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A synthesis has tokens of its own."""
    print_answer(await pipeline.answer("?", seed=1))
    assert words in " ".join(capsys.readouterr().out.split())
