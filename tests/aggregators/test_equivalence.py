"""Which answers count as one, without asking the worker; see test_algebra for the rest."""

from __future__ import annotations

import random
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate.aggregators.equivalence.keys import key_of
from quorate.aggregators.equivalence.rationals import agrees, parse_rational

from .helpers import Exact

SAME = [
    ["18", "18.0", "18.00", "1.8e1", "+18", "$18", "\\$18", "18 dollars", "18.", "$18$", "\\(18\\)", "{18}", "(18)"],
    ["1,000", "1000", "1{,}000", "1,\\!000", "1 000", "1000.00", "10^3", "1\\times 10^{3}", "1 thousand"],
    ["1/2", "\\frac{1}{2}", "\\dfrac12", "\\tfrac{1}2", "0.5", ".5", "\\left(\\frac12\\right)", "½", "50%"],
    ["-3/4", "-\\frac{3}{4}", "\\frac{-3}{4}", "-0.75", "−0.75"],
    ["1 1/2", "1\\frac12", "1.5", "\\frac{3}{2}", "3/2"],
    ["50%", "50\\%", "50 percent", "50", "50.0 %"],
    ["B", "(B)", "b", "\\text{B}", "\\textbf{(B)}", "B.", "\\mathrm{B}"],
    ["Paris", "paris", "\\text{Paris}", " Paris. ", "**Paris**"],
    ["New York", "new  york", "New\\ York", "\\text{New York}"],
    ["90^\\circ", "90°", "90 degrees", "90^{\\circ}", "90"],
    ["5 cm", "5\\text{ cm}", "5\\,\\mathrm{cm}", "5 centimeters", "5"],
    ["5 cm^2", "5 square centimeters", "5\\text{ cm}^2", "5\\text{ cm}^{2}"],
    ["18 apples", "18", "18 red apples"],
    ["x = 5", "5", "x=5.0"],
    ["f(x) = 2x + 3", "y=2x+3", "2x+3"],
    ["1, 2, 3", "3,2,1", "1, 2 and 3", "\\{1, 2, 3\\}", "$1$, $2$, $3$", "1, 2,3"],
    ["\\pm 3", "3, -3", "x = 3 or x = -3", "-3 and 3"],
    ["(1, 2)", "(1,2)", "\\left( 1, 2.0 \\right)", "(1;2)"],
    ["[1/2, \\infty)", "[0.5,+\\infty)", "x \\in [0.5, \\infty)", "[0.5, ∞)"],
    ["(-1,0)\\cup(1,2)", "(1,2) \\cup (-1,0)"],
    ["\\begin{pmatrix} 1 & 1/2 \\\\ 3 & 4 \\end{pmatrix}", "\\begin{bmatrix}1&0.5\\\\3&4\\end{bmatrix}"],
    ["4210_7", "4210_{7}", "4210₇"],
    ["1/3", "0.333333", "0.33333333"],
    ["2/3", "0.666667", "0.6666666"],
    ["3 million", "3,000,000", "$3 million"],
    ["about 5", "5", "\\approx 5"],
    ["x^2", "x^{2}", "x²"],
    ["5 m", "500 cm", "0.005 km"],
    ["90 min", "1.5 hours", "1 hour 30 minutes"],
    ["5 lb", "5 pounds"],
    ["£5", "5 pounds"],
    ["3 pm", "3:00 PM", "15:00"],
]
DIFFERENT = [
    ["18", "19", "-18", "1.8", "180", "18/2", "18x"],
    ["50", "0.5"],
    ["50%", "5%"],
    ["5 cm", "5 m", "5 cm^2"],
    ["2 hours", "2 minutes"],
    ["$18", "18 cents"],
    ["x=5", "y=5"],
    ["x=1, y=2", "x=2, y=1"],
    ["[-3,2]", "(-3,2)", "[-3,2)"],
    ["(1, 2)", "(2, 1)", "1, 2"],
    ["[1, 2, 3]", "(1, 3, 2)"],
    ["(1,000)", "(1,0)", "1000"],
    ["(100,200)", "100200"],
    ["100, 200", "100200"],
    ["1/3", "0.33", "0.3333"],
    ["A", "B", "AB"],
    ["Paris", "London", ""],
    ["4210_7", "4210_8"],
    ["3 hours 20 minutes", "3 hours 30 minutes", "3"],
    ["5m", "5"],
    ["1e999999999", "1"],
    ["18 million", "18"],
    ["5 kW", "5 MW", "5 W"],
    ["20°C", "20°F"],
    ["3 May", "3 June"],
    ["5 km east", "5 km west"],
    ["5 boys", "5 girls"],
    ["$5 gain", "$5 loss"],
    ["2 3", "23", "6"],
]
POOL = sorted({answer for group in (*SAME, *DIFFERENT) for answer in group if key_of(answer).kind != "maths"})
ANY = st.one_of(st.sampled_from(POOL), st.integers(-30, 30).map(str), st.decimals(-9, 9, places=2).map(str))


@pytest.mark.parametrize("answers", SAME, ids=lambda answers: answers[0])
async def test_one_answer_in_many_spellings(answers: list[str]) -> None:
    """All spellings are one class, and so is each pair with the first, with no algebra asked."""
    assert len(set(await Exact().classes(answers))) == 1
    for answer in answers:
        assert await Exact().same(answers[0], answer) or "%" in answers[0] + answer


@pytest.mark.parametrize("answers", DIFFERENT, ids=lambda answers: answers[0])
async def test_answers_that_differ(answers: list[str]) -> None:
    """Each is a class of its own; those that only algebra could tell apart are told apart by it."""
    exact = [answer for answer in answers if key_of(answer).kind != "maths"]
    assert len(set(await Exact().classes(exact))) == len(exact)
    assert len({replace(key_of(a), latex="") for a in answers}) == len(answers)


async def test_per_cent() -> None:
    """`50%` goes with 50 where somebody said that, else with 0.5; 50 and 0.5 never meet."""
    assert await Exact().classes(["50%", "0.5"]) == [0, 0]
    assert await Exact().classes(["50%", "50", "0.5"]) == [0, 0, 1]
    assert await Exact().classes(["0.5", "50%", "25%", "0.25"]) == [0, 0, 1, 1]


async def test_units_that_disagree() -> None:
    """A bare number joins the only unit there is; between two units it belongs to neither."""
    assert await Exact().classes(["18", "18 cm"]) == [0, 0]
    assert await Exact().classes(["18", "18 cm", "18 m", "18 metres"]) == [0, 1, 2, 2]


async def test_a_bare_number_that_two_spellings_claim() -> None:
    """500 cm is 5 m, but 5 is not 500: each belongs to it when it is alone, and neither where both are there."""
    assert await Exact().classes(["5", "5 m", "500 cm"]) == [0, 0, 0]
    assert await Exact().classes(["500", "5 m", "500 cm"]) == [0, 0, 0]
    assert await Exact().classes(["5", "500", "5 m", "500 cm"]) == [0, 1, 2, 2]


async def test_labels_are_decoration_where_a_number_is_asked() -> None:
    """Boys are no girls, but where somebody answers with the number alone, the words are decoration."""
    assert await Exact().classes(["5 boys", "5 girls", "5 tall boys"]) == [0, 1, 0]
    assert await Exact().classes(["5 boys", "5 girls", "5"]) == [0, 0, 0]
    assert await Exact().classes(["5 east", "5 west", "5"]) == [0, 1, 2]


async def test_names_that_disagree() -> None:
    """Likewise for the variable that a value is given to."""
    assert await Exact().classes(["5", "x=5"]) == [0, 0]
    assert await Exact().classes(["5", "x=5", "y=5"]) == [0, 1, 2]


@given(st.lists(ANY, min_size=1, max_size=12), st.randoms(use_true_random=False))
async def test_a_partition_that_ignores_the_order(answers: list[str], shuffler: random.Random) -> None:
    """Equal answers share a class, classes are numbered from 0 as they appear, any order gives the same ones."""
    numbers = await Exact().classes(answers)
    assert [n for i, n in enumerate(numbers) if n not in numbers[:i]] == list(range(len(set(numbers))))
    for a, number in zip(answers, numbers, strict=True):
        assert all(n == number for b, n in zip(answers, numbers, strict=True) if a == b)
    order = list(range(len(answers)))
    shuffler.shuffle(order)
    shuffled = await Exact().classes([answers[i] for i in order])
    pairs = set(zip(shuffled, (numbers[i] for i in order), strict=True))
    assert len(pairs) == len(set(shuffled)) == len(set(numbers))


@given(ANY, ANY)
async def test_sameness_is_reflexive_and_symmetric(a: str, b: str) -> None:
    """Of any two answers."""
    assert await Exact().same(a, a)
    assert await Exact().same(a, b) == await Exact().same(b, a)


@given(st.fractions(-1000, 1000, max_denominator=64))
async def test_every_spelling_of_a_number_is_read(value: Fraction) -> None:
    """Fractions in two spellings, mixed numbers, and decimals where they end."""
    top, bottom = value.numerator, value.denominator
    spellings = [f"{top}/{bottom}", f"\\frac{{{top}}}{{{bottom}}}", f"${top}/{bottom}$"]
    whole, rest = divmod(abs(top), bottom)
    if rest:
        spellings.append(f"{'-' if top < 0 else ''}{whole} {rest}/{bottom}")
    if bottom in (1, 2, 4, 5, 8, 16, 25, 32, 64):
        spellings.append(str(top / bottom))
    assert {key_of(s).number for s in spellings} == {value}


@given(st.text(alphabet="(){}[]\\,;$%^_=/.-+0159xyI \n&fractexidqsbup", max_size=320))
def test_any_text_has_a_key(answer: str) -> None:
    """No answer raises, and its key does not depend on outer space."""
    assert key_of(answer) == key_of(answer)
    assert isinstance(key_of(f" {answer} ").value, str)


@pytest.mark.parametrize(
    "answer", ["(" * 149 + "1" + ")" * 149, "(1," * 70 + "1" + ")" * 70, "{" * 300, "1," * 150, "\\text{" * 50]
)
@pytest.mark.timeout(20)
def test_nested_answers_have_a_key(answer: str) -> None:
    """Depth is bounded by length, and nothing blows up."""
    assert key_of(answer).value


@pytest.mark.parametrize("text", ["9" * 101, "1e101", "1e-999999", "1" + ",000" * 40, "1/0", "", "-", "--1", "1.2.3"])
def test_what_is_no_number_for_us(text: str) -> None:
    """Numbers beyond reason, and what only looks like one."""
    assert parse_rational(text) is None


@pytest.mark.parametrize(
    ("exact", "rounded", "same"),
    [("1/3", "0.333333", True), ("1/3", "0.33333", False), ("2/3", "0.666667", True), ("2/3", "0.666668", False)],
)
def test_rounding(exact: str, rounded: str, same: bool) -> None:
    """Six significant digits at least, rounded or cut off; a finite decimal equals only itself."""
    assert agrees(Fraction(exact), Fraction(rounded)) == same
    assert not agrees(Fraction("1/2"), Fraction("0.500001"))
    assert not agrees(Fraction(exact), Fraction(exact))


async def test_long_answers_are_compared_as_text() -> None:
    """Beyond 300 characters neither case nor space counts, and algebra is not asked."""
    long = "x + " * 5000
    assert await Exact().classes([long, long.upper(), long + "1"]) == [0, 0, 1]
