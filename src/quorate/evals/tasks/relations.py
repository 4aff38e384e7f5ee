"""`relations`: who is how many people's sister, brother, friend, niece or cousin.

The problems of Alice in Wonderland (Nezhurina et al. 2024, arXiv 2406.02061) with numbers and names drawn
afresh. What models get wrong is whether the person herself counts.
"""

from __future__ import annotations

from random import Random

from .base import GeneratedProblem, GeneratedTask

__all__ = ["Relations"]

_WOMEN = ("Alice", "Bea", "Carmen", "Daria", "Elif", "Fatima", "Grace", "Hilde", "Ingrid", "Joana")
_MEN = ("Adam", "Boris", "Chen", "David", "Enzo", "Farid", "Georg", "Hiro", "Ismail", "Jonas")


class Relations(GeneratedTask):
    """Tiers: siblings and friends with small numbers; larger ones and nieces; two families at once."""

    name = "relations"
    cite = "after Nezhurina et al. 2024, arXiv 2406.02061"

    def draw(self, tier: str, rng: Random) -> GeneratedProblem:
        """See `GeneratedTask.draw`."""
        kinds = {"easy": (_siblings, _friends), "medium": (_nieces, _reunion), "hard": (_cousins,)}
        return rng.choice(kinds[tier])(rng)


def _siblings(rng: Random) -> GeneratedProblem:
    """How many sisters a brother has, or brothers a sister; one more where the person is of that sex."""
    woman = rng.random() < 0.5
    name, she = (rng.choice(_WOMEN), "she") if woman else (rng.choice(_MEN), "he")
    brothers, sisters = rng.randint(1, 20), rng.randint(1, 20)
    asked, of = rng.choice((("sisters", "brother"), ("brothers", "sister")))
    count = sisters + woman if asked == "sisters" else brothers + (not woman)
    if of == asked.removesuffix("s"):
        count -= 1
    told = _both(f"{name} has", brothers, "brother", f"{she} also has", sisters, "sister", rng)
    question = f"{told} They all have the same parents. How many {asked} does {name}'s {of} have?"
    own, other = (sisters, brothers) if woman else (brothers, sisters)
    return GeneratedProblem(question, str(count), "siblings", ("siblings", own, other, woman == (asked == "sisters")))


def _friends(rng: Random) -> GeneratedProblem:
    """In a circle of friends nobody is a friend of her own."""
    woman = rng.random() < 0.5
    name, she = (rng.choice(_WOMEN), "she") if woman else (rng.choice(_MEN), "he")
    women, men = rng.randint(1, 20), rng.randint(1, 20)
    sex, of = rng.choice(("female", "male")), rng.choice(("female", "male"))
    count = women + woman if sex == "female" else men + (not woman)
    count -= sex == of
    told = _both(f"{name} has", women, "female friend", f"{she} also has", men, "male friend", rng)
    question = (
        f"{told} They all are friends with each other and have no other friends. "
        f"How many {sex} friends does a {of} friend of {name} have?"
    )
    own, other, same = (women, men, "female") if woman else (men, women, "male")
    return GeneratedProblem(question, str(count), "friends", ("friends", own, other, sex == same, of == same))


def _nieces(rng: Random) -> GeneratedProblem:
    """The children of one's brothers and sisters are the nieces and nephews of each of the others."""
    name = rng.choice(_WOMEN)
    brothers, sisters = rng.randint(2, 9), rng.randint(2, 9)
    daughters, sons = rng.randint(1, 6), rng.randint(1, 6)
    kind, whose = rng.choice((("nieces", "sisters"), ("nephews", "brothers")))
    question = (
        f"{name} has {brothers} brothers and {sisters} sisters, all of the same parents, and no children. Each of her "
        f"brothers has {daughters} {_s('daughter', daughters)} and no sons, each of her sisters has {sons} "
        f"{_s('son', sons)} and no daughters. How many {kind} does one of {name}'s {whose} have?"
    )
    count = brothers * daughters if kind == "nieces" else sisters * sons
    return GeneratedProblem(question, str(count), "nieces", ("nieces", brothers, sisters, daughters, sons, kind))


def _reunion(rng: Random) -> GeneratedProblem:
    """Several families of one shape meet, and one child is asked about girls that are not her sisters."""
    families, girls, boys = rng.randint(2, 12), rng.randint(2, 9), rng.randint(1, 9)
    name = rng.choice(_WOMEN)
    sex, count = rng.choice((("girls", girls * (families - 1)), ("boys", boys * (families - 1))))
    question = (
        f"{families} families meet. Each has {girls} girls and {boys} {_s('boy', boys)}, and {name} is one of the "
        f"girls. How many of the {sex} at the meeting are neither {name} nor her brothers and sisters?"
    )
    return GeneratedProblem(question, str(count), "meeting", ("meeting", families, girls, boys, sex))


def _cousins(rng: Random) -> GeneratedProblem:
    """AIW+: cousins on both sides, from what aunts and uncles have of nephews and nieces."""
    name = rng.choice(_WOMEN)
    sisters, brothers = rng.randint(1, 6), rng.randint(0, 5)
    own = sisters + brothers + 1
    mothers, fathers, uncle = rng.randint(1, 8), rng.randint(1, 8), rng.randint(1, 5)
    told = f"{sisters} {_s('sister', sisters)}" + (f" and {brothers} {_s('brother', brothers)}" if brothers else "")
    question = (
        f"{name} has {told}, all of the same parents. Her mother has brothers and one sister, who has no children "
        f"herself and {own + mothers} nephews and nieces in total. Her father has sisters and one brother, who has "
        f"{own + fathers} nephews and nieces in total and {uncle} {_s('child', uncle)} of his own. Nephews and nieces "
        f"by marriage are not counted, and nobody is related to {name} on both sides. "
        f"How many cousins does {name}'s sister have?"
    )
    return GeneratedProblem(
        question, str(mothers + fathers + uncle), "cousins", ("cousins", sisters, brothers, mothers, fathers, uncle)
    )


def _both(first: str, n: int, one: str, second: str, m: int, other: str, rng: Random) -> str:
    """Two numbers in either order."""
    told = [f"{n} {_s(one, n)}", f"{m} {_s(other, m)}"]
    if rng.random() < 0.5:
        told.reverse()
    return f"{first} {told[0]} and {second} {told[1]}."


def _s(word: str, count: int) -> str:
    if count == 1:
        return word
    return "children" if word == "child" else f"{word}s"
