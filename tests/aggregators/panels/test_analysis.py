"""An analyst's reply: read whatever is around it, or refused with a reason."""

from __future__ import annotations

import json
import time

import pytest

from quorate.aggregators.panels.analysis import UnreadableAnalysis, make_fence, number_analysis, parse_analysis
from quorate.orchestrator.analysis import Analysis, Contradiction, PartialCoverage, Stance, UniqueInsight
from quorate.orchestrator.context import RunContext

from ..helpers import candidate

SHOWN = [candidate(4, "four"), candidate(2, "two")]
WRITTEN = {
    "consensus": ["both count"],
    "contradictions": [
        {"topic": "which", "stances": [{"response": 1, "stance": "4"}, {"model": "Response 2", "stance": "2"}]}
    ],
    "partial_coverage": [{"models": ["1"], "point": "units"}],
    "unique_insights": [{"response": 2, "insight": "it is even"}],
    "blind_spots": None,
    "remarks": "ignored",
}
READ = Analysis(
    consensus=("both count",),
    contradictions=(
        Contradiction(
            topic="which", stances=(Stance(index=4, model="m", stance="4"), Stance(index=2, model="m", stance="2"))
        ),
    ),
    partial_coverage=(PartialCoverage(indices=(4,), models=("m",), point="units"),),
    unique_insights=(UniqueInsight(index=2, model="m", insight="it is even"),),
)


@pytest.mark.parametrize("form", ["{}", "```json\n{}\n```", "Sure {{here}}:\n{}\nHope that helps {{}}", "\n\n{}"])
def test_it_is_read_whatever_is_around_it(form: str) -> None:
    """Fences, talk and braces before and after; numbers become the candidates that were shown."""
    assert parse_analysis(form.replace("{{", "<").replace("}}", ">").replace("{}", json.dumps(WRITTEN)), SHOWN) == READ


def test_braces_of_others_before_it_are_passed_over() -> None:
    """A set in the text before is no JSON."""
    assert parse_analysis("The set {4, 2}: " + json.dumps(WRITTEN), SHOWN) == READ


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("  ", "judge_empty_completion"),
        ("They agree.", "judge_not_valid_json"),
        ('{"consensus": ["cut o', "judge_not_valid_json"),
        ('["consensus"]', "judge_not_valid_json"),
        ('{"answer": "42"}', "judge_schema_mismatch"),
        ('{"consensus": "all"}', "judge_schema_mismatch"),
        ('{"unique_insights": [{"response": 3, "insight": "x"}]}', "judge_schema_mismatch"),
        ('{"unique_insights": [{"response": "1 and 2", "insight": "x"}]}', "judge_schema_mismatch"),
        ('{"contradictions": [{"topic": "x"}]}', "judge_schema_mismatch"),
    ],
)
def test_what_is_none_says_why(reply: str, reason: str) -> None:
    """In OpenRouter's words; a response that does not exist is no small mistake."""
    with pytest.raises(UnreadableAnalysis) as caught:
        parse_analysis(reply, SHOWN)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    "reply", ["{" * 10**6, '{"a":' * 10**5, "[" * 10**6, '{"consensus": [' + "[" * 10**5, "x" * 10**7]
)
def test_hostile_replies_take_little_time(reply: str) -> None:
    """Nested or long without end."""
    began = time.process_time()
    with pytest.raises(UnreadableAnalysis):
        parse_analysis(reply, SHOWN)
    assert time.process_time() - began < 2


def test_a_fence_is_in_no_text() -> None:
    """One that a text has is not taken, and the same run takes the same one."""
    run = RunContext(seed=1, node="analyse")
    first = make_fence(["a"], run)
    second = make_fence([f"before {first} after"], run)
    assert first == make_fence(["b"], run)
    assert second != first


def test_the_writer_reads_numbers_of_its_own_order() -> None:
    """Whatever the order in which the analyst read; what concerns a text that is not shown is left out."""
    shown = json.loads(number_analysis(READ, [2, 4]))
    assert [s["response"] for s in shown["contradictions"][0]["stances"]] == [2, 1]
    assert json.loads(number_analysis(READ, [4]))["unique_insights"] == []
