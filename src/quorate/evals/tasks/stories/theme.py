"""A theme: the nouns and sentences that dress a plan of numbers as a story.

In a sentence, `[word]` marks the word that the working repeats as its hint.
"""

import re
from dataclasses import dataclass

_HINT = re.compile(r"\[(.+?)\]")


@dataclass(frozen=True, slots=True)
class Phrase:
    """A sentence to be filled, and the hint that its step carries."""

    sentence: str
    hint: str


def phrase(marked: str) -> Phrase:
    """Parse `{who} [picks] {n} {items}.`; a hint may itself be a field, like `[{boxes}]`."""
    found = _HINT.search(marked)
    if found is None:
        raise ValueError(f"no [hint] in {marked!r}")
    return Phrase(_HINT.sub(r"\1", marked), found.group(1))


def phrases(*marked: str) -> tuple[Phrase, ...]:
    """Parse several marked sentences."""
    return tuple(phrase(each) for each in marked)


@dataclass(frozen=True, slots=True, kw_only=True)
class Theme:
    """Everything that a structure needs to tell a story in one setting."""

    name: str
    items: tuple[str, ...]
    """Plural nouns of the things counted."""
    boxes: tuple[str, ...]
    """Plural nouns of what holds them."""
    goods: tuple[str, ...]
    """Plural nouns of what is paid for."""
    start: tuple[str, ...]
    """`{who}` has `{n}` `{items}`."""
    gain: tuple[Phrase, ...]
    """`{n}` more."""
    lose: tuple[Phrase, ...]
    """`{n}` fewer."""
    packs: tuple[Phrase, ...]
    """`{n}` `{boxes}` of `{m}` come in."""
    unpacks: tuple[Phrase, ...]
    """`{n}` `{boxes}` of `{m}` go out."""
    times: tuple[Phrase, ...]
    """The amount grows to `{n}` times what it was."""
    share: tuple[Phrase, ...]
    """Split equally into `{n}` parts; one part stays."""
    did: str
    """The verb of a comparison, in the past."""
    do: str
    """The same verb after `did`."""
    trade: tuple[Phrase, ...]
    """`{n}` `{goods}` at `{m}` dollars each."""
    distractors: tuple[str, ...]
    """A true sentence with a number `{n}` that nothing depends on."""
