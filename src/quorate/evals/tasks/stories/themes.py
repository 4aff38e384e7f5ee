"""Themes: the nouns and sentences that dress a plan of numbers as a story, and the people in it.

The themes stand in `themes.yaml`. In a sentence, `[word]` marks the word that the working repeats as its hint.
"""

import re
from dataclasses import dataclass
from importlib import resources
from typing import Any

import yaml

_HINT = re.compile(r"\[(.+?)\]")


@dataclass(frozen=True, slots=True)
class HintedPhrase:
    """A sentence to be filled, and the hint that its step carries."""

    sentence: str
    hint: str


def parse_phrase(marked: str) -> HintedPhrase:
    """Parse `{who} [picks] {n} {items}.`; a hint may itself be a field, like `[{boxes}]`."""
    found = _HINT.search(marked)
    if found is None:
        raise ValueError(f"no [hint] in {marked!r}")
    return HintedPhrase(_HINT.sub(r"\1", marked), found.group(1))


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
    gain: tuple[HintedPhrase, ...]
    """`{n}` more."""
    lose: tuple[HintedPhrase, ...]
    """`{n}` fewer."""
    packs: tuple[HintedPhrase, ...]
    """`{n}` `{boxes}` of `{m}` come in."""
    unpacks: tuple[HintedPhrase, ...]
    """`{n}` `{boxes}` of `{m}` go out."""
    times: tuple[HintedPhrase, ...]
    """The amount grows to `{n}` times what it was."""
    share: tuple[HintedPhrase, ...]
    """Split equally into `{n}` parts; one part stays."""
    did: str
    """The verb of a comparison, in the past."""
    do: str
    """The same verb after `did`."""
    trade: tuple[HintedPhrase, ...]
    """`{n}` `{goods}` at `{m}` dollars each."""
    distractors: tuple[str, ...]
    """A true sentence with a number `{n}` that nothing depends on."""


PHRASES = ("gain", "lose", "packs", "unpacks", "times", "share", "trade")
"""Fields of a theme whose sentences have a hint."""


def _load_themes() -> tuple[Theme, ...]:
    text = (resources.files(__package__) / "themes.yaml").read_text(encoding="utf-8")
    return tuple(_parse_theme(fields) for fields in yaml.safe_load(text))


def _parse_theme(fields: dict[str, Any]) -> Theme:
    parsed: dict[str, Any] = {
        name: tuple(map(parse_phrase, value)) if name in PHRASES else tuple(value) if isinstance(value, list) else value
        for name, value in fields.items()
    }
    return Theme(**parsed)


THEMES = _load_themes()

# fmt: off
NAMES = (
    "Ada", "Alma", "Amir", "Ana", "Anya", "Asha", "Ben", "Bea", "Boris", "Carl", "Cara", "Chen", "Clara",
    "Cleo", "Cora", "Dana", "Dara", "Dev", "Dina", "Dora", "Eli", "Ella", "Elif", "Emil", "Emma", "Enzo",
    "Eva", "Ezra", "Fay", "Felix", "Finn", "Flora", "Gina", "Goran", "Greta", "Hana", "Hans", "Hugo", "Ida",
    "Igor", "Ines", "Iris", "Ivan", "Ivy", "Jack", "Jada", "Jana", "Jin", "Joel", "Jonas", "Jude", "June",
    "Kai", "Kamal", "Kara", "Karl", "Kim", "Kira", "Kofi", "Lars", "Lea", "Leo", "Lila", "Lina", "Liu",
    "Luca", "Lucy", "Luis", "Mara", "Mark", "Maya", "Mei", "Mia", "Milo", "Mina", "Mona", "Nadia", "Nash",
    "Nico", "Nina", "Noah", "Nora", "Olga", "Omar", "Opal", "Oscar", "Otto", "Pablo", "Paul", "Petra",
    "Pia", "Priya", "Quinn", "Rafa", "Ravi", "Rita", "Rosa", "Ruth", "Sami", "Sana", "Sara", "Sasha",
    "Seth", "Simon", "Sofia", "Sven", "Tara", "Theo", "Tia", "Tom", "Tariq", "Uma", "Vera", "Vic", "Wade",
    "Wanda", "Wen", "Xena", "Yara", "Yuki", "Yusuf", "Zane", "Zara", "Zoe",
)
# fmt: on
"""First names, short enough to cost few tokens."""
