"""What the extractors find in texts as models write them, and that no text can stall them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate.aggregators.extraction import (
    AnswerExtractor,
    Boxed,
    Choices,
    FirstOf,
    Hashes,
    LastNumber,
    LoneLetter,
    Phrase,
    read_answer,
)
from quorate.aggregators.markup import visible
from quorate.orchestrator.errors import BadInput

TABLE = [
    # boxes
    (r"So \boxed{18}.", "18"),
    (r"So $\boxed{18}$ apples, since 2+16=18", "18"),
    (r"\boxed {18}", "18"),
    (r"\boxed{ 18 }", "18"),
    ("\\boxed\n{18}", "18"),
    (r"\fbox{18}", "18"),
    (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"),
    (r"\boxed{\frac{\sqrt{3}}{2^{n}}} and 7", r"\frac{\sqrt{3}}{2^{n}}"),
    (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
    (r"\boxed{\left\{1, 2\right.} 9", r"\left\{1, 2\right."),
    (r"\[ x = \boxed{5} \]", "5"),
    (r"$$\boxed{5}$$", "5"),
    (r"\boxed{\text{B}}", "B"),
    (r"\boxed{\mathrm{(B)}}", "B"),
    (r"\boxed{\textbf{(C)}}", "C"),
    (r"\boxed{B.}", "B"),
    (r"\boxed{$18$}", "18"),
    (r"\boxed{\$18}", r"\$18"),
    (r"\boxed{18\,}", r"18\,"),
    (r"First \boxed{1}, then \boxed{2}", "2"),
    (r"\boxed{x = \boxed{5}}", "5"),
    (r"\boxed{unclosed, but \boxed{6} is not", "6"),
    (r"The answer is \boxed{7", "7"),
    (r"The answer is \boxed{}", None),
    (r"\boxed{4} Put your answer into \boxed{}.", "4"),
    (r"\boxed 12", "12"),
    (r"} } \boxed{3} {", "3"),
    (r"\boxed{Paris}", "Paris"),
    (r"\boxed{1,\!000}", r"1,\!000"),
    # thinking
    ("<think>\\boxed{1}</think> It is \\boxed{2}.", "2"),
    ("no opening tag \\boxed{1} </think>The answer is 3", "3"),
    ("<think>a</think>\\boxed{1}<think>b</think>\\boxed{2}", "2"),
    ("<think>\\boxed{1} and so on without end", None),
    ("<think>first</think>The answer is 3.<think>hm, \\boxed{4}", "3"),
    ("<THINKING>1</THINKING>2", "2"),
    # GSM8K
    ("5 + 5 = 10\n#### 10", "10"),
    ("#### 1,234", "1,234"),
    ("#### $18", "$18"),
    ("#### -3.5", "-3.5"),
    ("so 5 + 5 = 10 #### 10", "10"),
    ("#### 18 dollars\n", "18 dollars"),
    ("#### Step 1: add\n2 + 2\n#### Step 2: done\nThe answer is 4.", "4"),
    ("#### yes", "yes"),
    ("#### 3\nor rather\n#### 4\n", "4"),
    # phrases
    ("Answer: 18", "18"),
    ("**Answer:** 18", "18"),
    ("**Answer**: 18", "18"),
    ("ANSWER: 18.", "18"),
    ("The answer is 18.", "18"),
    ("the final answer is 18", "18"),
    ("The final answer is: **18**.", "18"),
    ("The answer is: $18$.", "18"),
    ("The answer is \\(18\\).", "18"),
    ("The answer is 3.5. That took 2 steps.", "3.5"),
    ("The answer is 5 because 2 + 3 = 5", "5"),
    ("Final Answer: The final answer is $4$. I hope it is correct.", "4"),
    ("The answer is 3.\nWait.\nThe answer is 4.", "4"),
    ("The answer is 42. Let me check that the answer is correct.", "42"),
    ("The answer is therefore 7.", "7"),
    ("The answer to the whole question is 42.", "42"),
    ("The answer is that she has 18 apples left.", "18"),
    ("### Final Answer\n\n42\n", "42"),
    ("**Final Answer**\n$42$", "42"),
    ("**Answer:**\n\\[\n\\frac{1}{2}\n\\]\n", r"\frac{1}{2}"),
    ("The answer is Paris.", "Paris"),
    ("Answer: 1,000", "1,000"),
    ("The correct answer is (B).", "B"),
    ("The correct option is (c)", "c"),
    ("Answer: 3 hours 20 minutes", "3 hours 20 minutes"),
    ("The answers are 3 and 5.", "3 and 5"),
    ("Answer:", None),
    # a letter alone
    ("I think so.\n(B)", "B"),
    ("2 + 2\n**C.**", "C"),
    # last numbers
    ("She has 3 and then 18 left", "18"),
    ("That makes $1,234.50 in all", "1234.50"),
    ("It is -7", "-7"),
    ("It is −7 degrees", "-7"),
    ("5-3", "3"),
    ("It fell by 50%.", "50%"),
    (r"It fell by 12.5\%", "12.5%"),
    ("about 3/4 of them", "3/4"),
    (r"leaves \frac{3}{4} of it", r"\frac{3}{4}"),
    (r"3.2 \times 10^{5} people", r"3.2\times10^{5}"),
    ("1.8e1", "1.8e1"),
    ("an area of 5 cm^2", "5"),
    ("H2O and x2", None),
    ("costs €9", "9"),
    ("it is 3:45 now", "3:45"),
    (".5", ".5"),
    ("1,2 and 3,4", "3"),
    ("version 1.2.3", "1.2"),
    # nothing
    ("", None),
    ("   \n ", None),
    ("I cannot tell.", None),
    (r"\boxed{}", None),
    (r"\boxed{ }", None),
]


@pytest.mark.parametrize(("text", "answer"), TABLE)
def test_default_extractor(text: str, answer: str | None) -> None:
    """Each way of stating an answer is read as a person would read it."""
    assert AnswerExtractor().extract(text) == answer


CASES = [
    json.loads(line) for line in Path(__file__).with_name("extraction_cases.jsonl").read_text("utf-8").splitlines()
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['kind']}: {case['text'][:40]!r}")
def test_texts_as_models_write_them(case: dict[str, str | None]) -> None:
    """What upstreams, templates and people have sent: thinking marks, letters, asides, refusals, other languages."""
    extractor = Choices("ABCD") if case["extractor"] == "choices" else AnswerExtractor()
    assert extractor.extract(case["text"] or "") == case["answer"]


@pytest.mark.parametrize(
    ("text", "reasoning", "finish", "answer"),
    [
        ("First 12+5=17, then 17", None, "length", None),
        ("The answer is 1", None, "length", None),
        ("The answer is 12 because 3 times", None, "length", "12"),
        ("\\boxed{18}", None, "length", "18"),
        ("\\boxed{18} Let me check: 3 + 15 = 1", None, "length", "18"),
        ("B", None, "length", None),
        ("First 12+5=17, then 17", None, "stop", "17"),
        ("First 12+5=17, then 17", None, None, "17"),
        ("The answer is 5", None, "content_filter", None),
        ("", "The answer is 42.", "stop", "42"),
        (" \n", "The answer is 42.", "stop", "42"),
        ("", "so 42 and", "length", None),
        ("<think>It is \\boxed{42}</think>", None, "stop", "42"),
        ("<think>It is \\boxed{42}</think>", None, "length", None),
        ("<think>It is \\boxed{42}", None, "stop", None),
        ("The answer is 3.", "Maybe 4.", "stop", "3"),
        ("", None, "stop", None),
        ("I'm sorry, I can't help with that.", "The answer is 42.", "stop", None),
    ],
)
def test_who_votes_with_what(text: str, reasoning: str | None, finish: str | None, answer: str | None) -> None:
    """Cut texts vote with marked answers alone; the reasoning speaks where nothing else does, if it ended."""
    assert read_answer(AnswerExtractor(), text, reasoning, finish) == answer


def test_a_cut_text_and_other_extractors() -> None:
    """Choices take no letter from the middle; an extractor of one's own gets all but the last word."""

    class LastWord:
        def extract(self, text: str) -> str | None:
            return text.rsplit(maxsplit=1)[-1]

    assert read_answer(Choices("AB"), "(A) is right, and now", None, "length") is None
    assert read_answer(Choices("AB"), "The answer is (A). Now we", None, "length") == "A"
    assert read_answer(FirstOf(LastNumber()), "1 2 3", None, "length") is None
    assert read_answer(LastWord(), "one two thr", None, "length") == "two"


@given(
    st.lists(
        st.sampled_from(["<think>", "</think>", "[THINK]", "[/THINK]", "7", "<|channel|>final<|message|>", " "]),
        max_size=12,
    )
)
def test_what_is_visible_stays_visible(pieces: list[str]) -> None:
    """What stands outside the thinking holds no marks, so that reading it again changes nothing."""
    shown = visible("".join(pieces))
    assert visible(shown) == shown


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        (r"\boxed{B}", "B"),
        (r"\boxed{\text{(B)}}", "B"),
        (r"\boxed{\textbf{(C) } 18}", "C"),
        (r"\boxed{b}", "B"),
        (r"\boxed{B. Paris}", "B"),
        ("The answer is (B).", "B"),
        ("The answer is B) Paris", "B"),
        ("The answer is B because of Paris", "B"),
        ("**Answer:** C", "C"),
        ("Answer: option D", "D"),
        ("So option B it is, not option A? No: option C.", "C"),
        ("I would choose (A) or rather (D) here", "D"),
        ("**B**", "B"),
        ("It must be\nB", "B"),
        ("It must be\nB. Paris", "B"),
        ("A man walks in", None),
        ("The answer is a matter of taste.", None),
        ("The answer is 18", None),
        ("The answer is E", None),
        ("<think>(A)</think>(B)", "B"),
        ("", None),
    ],
)
def test_choices(text: str, letter: str | None) -> None:
    """Letters on offer are found where a text settles on one; the article "a" is none."""
    assert Choices("ABCD").extract(text) == letter


def test_choices_of_other_letters() -> None:
    """Any letters can be on offer, and the case is that of the configuration."""
    assert Choices("xy").extract("The answer is (Y)") == "y"
    assert Choices("12").extract("The answer is 2.") == "2"


@pytest.mark.parametrize("letters", ["", ["AB"], ["-"], [" "]])
def test_choices_refuse_nonsense(letters: str) -> None:
    """What cannot be a letter on offer is refused when configured."""
    with pytest.raises(BadInput, match="Choices"):
        Choices(letters)


def test_parts_compose() -> None:
    """The order of a chain decides, not that of the text; each part also works alone."""
    text = "#### 3\nThe answer is 4, \\boxed{5}, says 6"
    assert FirstOf(LastNumber(), Boxed()).extract(text) == "6"
    assert FirstOf(Choices("ABCD"), Hashes()).extract(text) == "3"
    assert Phrase().extract("none") is None
    assert LoneLetter().extract("no\nX") == "X"
    with pytest.raises(BadInput, match="at least one"):
        FirstOf()


def test_reprs_name_the_parts() -> None:
    """A chain prints as it was written."""
    assert repr(FirstOf(Boxed(), Choices("AB"))) == "FirstOf(Boxed(), Choices('AB'))"
    assert repr(AnswerExtractor()) == "AnswerExtractor()"


PIECES = [
    "\\boxed{",
    "\\boxed ",
    "\\boxed{}",
    "{",
    "}",
    "{}",
    "\\",
    "9",
    "9,999",
    "9.",
    "1/",
    "-",
    "$",
    "$ ",
    "(",
    "**",
    "#### ",
    "####1 ",
    "#",
    "answer ",
    "answer is ",
    "the answer is\n",
    "answer to ",
    "option ",
    "(A",
    "\\frac{",
    "\\frac{1}{",
    "\\text{",
    "<think>",
    "</think>",
    " ",
    "\n",
    "\\times 10",
    "e1",
    "a",
    "\0",
    "1:1",
    "<answer>",
    '{"answer": ',
    "(A) is wrong. ",
    "A is ",
    "not 1 ",
    "(since ",
    "1'000 ",
    "1.000,",
    "40 inches \\boxed{inches}",
    "\\boxed{1} or ",
    "<|channel|>final<|message|>",
    "[1]",
]


@pytest.mark.parametrize("piece", PIECES)
@pytest.mark.timeout(20)
def test_hostile_text_takes_linear_time(piece: str) -> None:
    """A hundred kilobytes of anything, alone or between other things, are read in a moment."""
    long = piece * (100_000 // len(piece))
    for text in (long, f"The answer is {long}", f"\\boxed{{{long}", f"\\boxed{{{long}}}", f"{long} answer: {long}!"):
        for extractor in (AnswerExtractor(), Choices("ABCD"), LastNumber(), Hashes(), Phrase(), LoneLetter()):
            extractor.extract(text)


@given(st.lists(st.sampled_from([*PIECES, "18", " is ", "B", "\\boxed{5}"]), max_size=30))
def test_extraction_is_stable(pieces: list[str]) -> None:
    """Any text gives None or a tidy, non-empty answer, and boxing that answer gives it again."""
    answer = AnswerExtractor().extract("".join(pieces))
    assert answer is None or (answer == answer.strip() and answer)
