"""Generated families: right answers, seeded streams, and splits that share no problem."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from random import Random

import pytest

from quorate.evals.registry import find_task
from quorate.evals.task import Selection
from quorate.evals.tasks.base import GeneratedProblem, GeneratedTask
from quorate.orchestrator.errors import BadInput, UnknownName

FAMILIES = ("dates", "last-letters", "modular", "relations")
TIERS = ("easy", "medium", "hard")


def family(name: str) -> GeneratedTask:
    task = find_task(name)
    assert isinstance(task, GeneratedTask)
    return task


def drafts(name: str, tier: str, count: int = 300) -> list[GeneratedProblem]:
    rng = Random(7)
    return [family(name).draw(tier, rng) for _ in range(count)]


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("name", FAMILIES)
def test_streams_are_seeded_and_a_larger_limit_extends_them(name: str, tier: str) -> None:
    """With distinct ids and questions, and a cluster for each template."""
    task = family(name)
    items = task.items(Selection(60, seed=3, tier=tier))
    assert items[:25] == task.items(Selection(25, seed=3, tier=tier))
    assert items != task.items(Selection(60, seed=4, tier=tier))
    assert len({item.id for item in items}) == 60
    assert all(item.cluster.startswith(f"{name}.") and item.gold for item in items)
    assert all("Answer: X" in item.question.text for item in items)


@pytest.mark.parametrize("name", FAMILIES)
def test_splits_share_no_problem_whatever_tier_and_seed(name: str) -> None:
    """By canonical form: names and wording do not make a problem another one."""
    task = family(name)
    forms: dict[str, set[tuple[object, ...]]] = {"test": set(), "train": set()}
    for split, tier, seed in [(s, t, n) for s in forms for t in TIERS for n in (0, 1)]:
        stream = task._stream(tier, split, seed)
        forms[split] |= {next(stream).about for _ in range(80)}
    assert len(forms["test"]) > 100
    assert not forms["test"] & forms["train"]


@pytest.mark.parametrize("name", FAMILIES)
def test_the_revision_is_the_generators(name: str) -> None:
    """It does not depend on limit and seed, the hash of what was asked does."""
    task = family(name)
    first, second = (task.source(Selection(limit, seed=seed)) for limit, seed in ((5, 1), (9, 2)))
    assert first.name == second.name == name
    assert first.revision == second.revision
    assert first.hash != second.hash


def test_families_refuse_what_they_do_not_have() -> None:
    """Files, revisions, unknown splits, and more problems than there are."""
    from pathlib import Path

    task = family("relations")
    with pytest.raises(BadInput, match="makes its own problems: leave out --data and --revision"):
        task.items(Selection(1, data=Path("x.jsonl")))
    with pytest.raises(UnknownName, match="no split named 'validation'; there is: test, train"):
        task.items(Selection(1, split="validation"))
    with pytest.raises(BadInput, match=r"--limit 100000: 'relations' has about \d+ different problems in tier 'easy'"):
        task.items(Selection(100_000, tier="easy"))


@pytest.mark.parametrize("tier", TIERS)
def test_dates_are_right(tier: str) -> None:
    """Read back from the question and counted on the calendar."""
    for draft in drafts("dates", tier):
        days = [datetime.strptime(d, "%B %d, %Y").date() for d in re.findall(r"[A-Z][a-z]+ \d+, \d{4}", draft.question)]
        counted = [int(n) for n in re.findall(r"(\d+) days", draft.question)]
        match draft.kind:
            case "between":
                assert str((days[1] - days[0]).days) == draft.answer
            case "weekday":
                assert f"{days[0]:%A}" in draft.question
                assert f"{days[0] + timedelta(counted[0]):%A}" == draft.answer
            case kind:
                assert date.fromisoformat(draft.answer) == days[0] + timedelta(counted[0]) * (
                    1 if kind == "after" else -1
                )


@pytest.mark.parametrize("tier", TIERS)
def test_remainders_are_right(tier: str) -> None:
    """Read back from the question and computed, or tried out."""
    for draft in drafts("modular", tier):
        if draft.kind == "solve":
            a, b, m = (int(n) for n in re.findall(r"(?:makes |as |by )(\d+)", draft.question))
            assert [x for x in range(m) if (a * x - b) % m == 0] == [int(draft.answer)]
            continue
        sum_, modulus = re.findall(r"when (.*) is divided by (\d+)", draft.question)[0]
        assert str(eval(sum_.replace("^", "**")) % int(modulus)) == draft.answer


def test_last_letters_are_right() -> None:
    """Read back from the question."""
    for draft in drafts("last-letters", "hard"):
        words = re.findall(r'"(.*)"', draft.question)[0].split()
        assert draft.answer == "".join(word[-1] for word in words)


class Person:
    """Somebody with a sex and parents, so that relations can be counted instead of computed."""

    def __init__(self, woman: bool, *parents: Person) -> None:
        self.woman, self.parents = woman, parents
        self.children: list[Person] = []
        for parent in parents:
            parent.children.append(self)

    def siblings(self) -> set[Person]:
        return {child for parent in self.parents for child in parent.children} - {self}

    def nephews_and_nieces(self) -> set[Person]:
        return {child for sibling in self.siblings() for child in sibling.children}

    def cousins(self) -> set[Person]:
        return {cousin for parent in self.parents for cousin in parent.nephews_and_nieces()} - self.siblings() - {self}


def sized(parents: tuple[Person, ...], women: int, men: int) -> list[Person]:
    return [Person(n < women, *parents) for n in range(women + men)]


def couple() -> tuple[Person, Person]:
    return Person(True), Person(False)


def number(pattern: str, text: str) -> int:
    found = re.search(pattern, text)
    return int(found[1]) if found else 0


def counted(draft: GeneratedProblem) -> int:
    """The answer, by making the people and counting them."""
    text = draft.question
    woman = "she also" in text or draft.kind in ("nieces", "cousins")
    match draft.kind:
        case "siblings":
            parents = couple()
            person = Person(woman, *parents)
            sized(parents, number(r"(\d+) sisters?\b", text), number(r"(\d+) brothers?\b", text))
            asked, of = re.findall(r"How many (\w+)s does \w+'s (\w+) have", text)[0]
            somebody = next(s for s in person.siblings() if s.woman == (of == "sister"))
            return sum(s.woman == (asked == "sister") for s in somebody.siblings())
        case "friends":
            circle = sized((), number(r"(\d+) female", text), number(r"\b(\d+) male", text))
            asked, of = re.findall(r"How many (\w+) friends does a (\w+) friend", text)[0]
            somebody = next(p for p in circle if p.woman == (of == "female"))
            return sum(p.woman == (asked == "female") for p in {*circle, Person(woman)} - {somebody})
        case "nieces":
            parents = couple()
            person = Person(True, *parents)
            sized(parents, number(r"(\d+) sisters", text), number(r"(\d+) brothers", text))
            for sibling in person.siblings():
                kids = number(r"(\d+) sons?\b", text) if sibling.woman else number(r"(\d+) daughters?\b", text)
                sized((sibling,), 0 if sibling.woman else kids, kids if sibling.woman else 0)
            asked, of = re.findall(r"How many (\w+) does one of \w+'s (\w+)s have", text)[0]
            somebody = next(s for s in person.siblings() if s.woman == (of == "sister"))
            return sum(n.woman == (asked == "nieces") for n in somebody.nephews_and_nieces())
        case "meeting":
            shape = number(r"(\d+) girls", text), number(r"(\d+) boys?\b", text)
            groups = [sized(couple(), *shape) for _ in range(number(r"^(\d+) families", text))]
            girl = next(p for p in groups[0] if p.woman)
            others = {p for group in groups for p in group} - {girl} - girl.siblings()
            return sum(p.woman == ("of the girls" in text.split("How many")[1]) for p in others)
    assert draft.kind == "cousins"
    mothers_side, fathers_side = couple(), couple()
    mother, aunt, uncle_there = (Person(w, *mothers_side) for w in (True, True, False))
    father, uncle, aunt_there = (Person(w, *fathers_side) for w in (False, False, True))
    person = Person(True, mother, father)
    name = text.partition(" ")[0]
    sized((mother, father), number(rf"{name} has (\d+) sister", text), number(r"and (\d+) brothers?, all", text))
    own = len(person.siblings()) + 1
    sized((uncle_there,), number(r"and (\d+) nephews and nieces in total\. Her father", text) - own, 0)
    sized((aunt_there,), number(r"who has (\d+) nephews and nieces in total and", text) - own, 0)
    sized((uncle,), number(r"in total and (\d+) child", text), 0)
    assert len(aunt.nephews_and_nieces()) == number(r"herself and (\d+) nephews", text)
    assert len(uncle.nephews_and_nieces()) == number(r"who has (\d+) nephews", text)
    return len(next(s for s in person.siblings() if s.woman).cousins())


@pytest.mark.parametrize("tier", TIERS)
def test_relations_are_right(tier: str) -> None:
    """The people are made and counted, which is how a reader would check."""
    for draft in drafts("relations", tier):
        assert str(counted(draft)) == draft.answer, draft.question


@pytest.mark.parametrize(
    ("name", "reply", "gold", "right"),
    [
        ("dates", "Counting on.\nAnswer: 2021-05-13", "2021-05-13", True),
        ("dates", "It is 2021-05-13.", "2021-05-13", True),
        ("dates", "Answer: 2003-05-13", "2021-05-13", False),
        ("dates", "Answer: friday", "Friday", True),
        ("last-letters", "Answer: A-B-C", "abc", True),
        ("last-letters", "Answer: abd", "abc", False),
        ("modular", "Answer: 7", "7", True),
        ("relations", "So she has 7 of them.\nAnswer: 7 sisters", "7", True),
    ],
)
async def test_answers_are_read(name: str, reply: str, gold: str, right: bool) -> None:
    """In the form asked for, and a little beside it; a date is no subtraction."""
    task = find_task(name)
    assert await task.correct(task.extractor.extract(reply), gold) is right
