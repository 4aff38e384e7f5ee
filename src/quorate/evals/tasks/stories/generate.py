"""Problems in seeded tiers, split into training and test by a hash of the canonical problem."""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from .calculation import KINDS, draw_calculation, tell_calculation
from .chain import ChainOfEvents, Groups
from .compare import Compare
from .money import Money
from .plan import Plan, Story, Structure, Tier, canonical_key, pick, tier_named
from .themes import THEMES, Theme

SPLITS = ("train", "test")
STRUCTURES: tuple[Structure, ...] = (ChainOfEvents(), Compare(), Groups(), Money())
_STORIES = {f"{theme.name}.{structure.name}": (theme, structure) for theme in THEMES for structure in STRUCTURES}
_CALCULATIONS = {f"calculation.{kind}": kind for kind in KINDS}
TEMPLATES = (*_STORIES, *_CALCULATIONS)
_TEST_ONE_IN = 10
_PATIENCE = 2000


@dataclass(frozen=True, slots=True)
class Problem:
    """One question, the working that solves it, and what it was made from."""

    id: str
    """Unique within one call of `generate`, and readable: tier, split, seed and position."""
    question: str
    """What the model is asked."""
    solution: str
    """One step a line (`hint: a op b = c`), then `Answer: n`."""
    parts: tuple[str, ...]
    """The steps before anything is computed, with the results of others as `#n`: `7 * 12`, `#1 + 40`."""
    answer: str
    """A non-negative integer in decimal digits."""
    tier: str
    """`easy`, `medium`, `hard` or `long`."""
    template: str
    """The family, `theme.structure`: errors cluster by it."""
    key: str
    """Hash of template, structure and numbers: equal for two wordings of one problem."""


def split_of(key: str) -> str:
    """Which split the problem of that key belongs to, whatever the seed or wording."""
    return "test" if int(key, 16) % _TEST_ONE_IN == 0 else "train"


def generate(tier: str, seed: int, count: int, split: str = "test") -> list[Problem]:
    """That many problems of a tier, distinct by key; the same seed gives the same problems everywhere.

    A longer list begins with the shorter one. ValueError for an unknown tier or split and for a
    count below one.
    """
    if count <= 0:
        raise ValueError(f"count must be at least 1, not {count} (tiers: easy, medium, hard, long)")
    problems = stream(tier, seed, split)
    return [next(problems) for _ in range(count)]


def stream(tier: str, seed: int, split: str = "test") -> Iterator[Problem]:
    """The same problems without end; ValueError once no new one turns up."""
    chosen = tier_named(tier)
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}: choose one of {', '.join(SPLITS)}")
    return _stream(chosen, split, seed)


def _stream(tier: Tier, split: str, seed: int) -> Iterator[Problem]:
    rng = Random(f"stories/{tier.name}/{split}/{seed}")
    seen: set[str] = set()
    misses = 0
    while misses < _PATIENCE:
        template, plan = _draw(tier, rng)
        key = canonical_key(template, plan)
        if key in seen or split_of(key) != split:
            misses += 1
            continue
        misses = 0
        seen.add(key)
        identity = f"stories-{tier.name}-{split}-{seed}-{len(seen)}"
        yield _problem(identity, tier, template, key, _tell(template, plan, tier, rng))
    raise ValueError(f"no more distinct problems in tier {tier.name!r}, split {split!r}")


def _draw(tier: Tier, rng: Random) -> tuple[str, Plan]:
    if rng.random() < tier.calculation:
        template = pick(tuple(_CALCULATIONS), rng)
        return template, draw_calculation(_CALCULATIONS[template], tier, rng)
    structure = rng.choices(STRUCTURES, tier.mix)[0]
    plan = None
    while plan is None:
        plan = structure.plan(tier, rng)
    return f"{pick(THEMES, rng).name}.{structure.name}", plan


def _tell(template: str, plan: Plan, tier: Tier, rng: Random) -> Story:
    if template in _CALCULATIONS:
        return tell_calculation(plan, rng)
    theme, structure = _STORIES[template]
    story = structure.tell(theme, plan, rng)
    return Story(_distract(story.sentences, theme, tier, rng), story.working, story.answer)


def _distract(sentences: list[str], theme: Theme, tier: Tier, rng: Random) -> list[str]:
    """Slip sentences that nothing depends on between the others."""
    mixed = list(sentences)
    for line in rng.sample(theme.distractors, rng.randint(*tier.distractors)):
        number = rng.randint(*tier.size)
        mixed.insert(rng.randint(1, max(1, len(mixed) - 1)), line.format(n=number, who="The owner"))
    return mixed


def _problem(identity: str, tier: Tier, template: str, key: str, story: Story) -> Problem:
    return Problem(
        id=identity,
        question=" ".join(story.sentences),
        solution=story.working.text(story.answer),
        parts=tuple(story.working.parts),
        answer=str(story.answer),
        tier=tier.name,
        template=template,
        key=key,
    )
