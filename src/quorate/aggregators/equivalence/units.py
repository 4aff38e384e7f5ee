r"""What stands around a number: units of measurement with dimension and factor, and words.

A unit is written as its factor to the units of the International System and its dimension, so equal
quantities have equal products: `5 cm` is 5 of `1/100 m`. Words that are no unit are either known to
make another quantity of the same number (`east`, `pm`, `loss`): its sense; or they name what is
counted (`red apples`): its label.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from fractions import Fraction
from functools import cache

__all__ = ["CURRENCY", "POUND_WEIGHT", "SCALES", "Description", "describe", "factor_and_dimension", "leading_sense"]

POUND_WEIGHT = "45359237/100000000 kg"
"""What `pound` means among other weights; elsewhere it is the currency."""
CURRENCY = {"$": "dollar", "€": "euro", "£": "gbp", "¥": "yen", "₹": "rupee"}
SCALES = {"dozen": 12, "hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}

# A line: symbols (their case counts) | names (it does not) | factor | dimension. A * takes the metric prefixes.
_TABLE = """
m*                | meter* metre*                         | 1              | m
                  | in inch inche                         | 0.0254         | m
                  | ft foot feet                          | 0.3048         | m
                  | yd yard                               | 0.9144         | m
                  | mi mile                               | 1609.344       | m
nmi               |                                       | 1852           | m
ly                | light-year lightyear                  | 9460730472580800 | m
pc                | parsec                                | 30856775814913673 | m
Å                 | angstrom                              | 1/10000000000  | m
ha                | hectare                               | 10000          | m^2
                  | acre                                  | 4046.8564224   | m^2
L* l* ℓ           | liter* litre*                         | 1/1000         | m^3
cc                |                                       | 1/1000000      | m^3
                  | gal gallon                            | 0.003785411784 | m^3
                  | quart qt                              | 0.000946352946 | m^3
pt                | pint                                  | 0.000473176473 | m^3
                  | cup                                   | 0.0002365882365 | m^3
                  | tablespoon tbsp                       | 0.00001478676478125 | m^3
                  | teaspoon tsp                          | 0.00000492892159375 | m^3
g*                | gram* gramme*                         | 1/1000         | kg
t                 | tonne                                 | 1000           | kg
                  | ton                                   | 1              | ton
                  | lb lbs                                | 0.45359237     | kg
                  | oz ounce                              | 0.028349523125 | kg
u Da              | dalton amu                            | 1              | dalton
s*                | sec second*                           | 1              | s
                  | min minute                            | 60             | s
h                 | hr hour                               | 3600           | s
                  | day                                   | 86400          | s
                  | week wk                               | 604800         | s
                  | fortnight                             | 1209600        | s
                  | month                                 | 1              | month
                  | yr year                               | 12             | month
                  | decade                                | 120            | month
                  | century centurie                      | 1200           | month
                  | kph kmh kmph                          | 5/18           | m s^-1
                  | mph                                   | 0.44704        | m s^-1
                  | knot kn                               | 463/900        | m s^-1
A*                | ampere* amp*                          | 1              | A
K*                | kelvin*                               | 1              | K
mol*              | mole*                                 | 1              | mol
cd                | candela                               | 1              | cd
lm                | lumen                                 | 1              | lm
lx                | lux                                   | 1              | lm m^-2
lbf               |                                       | 4.4482216152605 | kg m s^-2
N*                | newton*                               | 1              | kg m s^-2
Pa*               | pascal*                               | 1              | kg m^-1 s^-2
bar*              | bar*                                  | 100000         | kg m^-1 s^-2
atm               | atmosphere                            | 101325         | kg m^-1 s^-2
mmHg              |                                       | 133.322387415  | kg m^-1 s^-2
torr              | torr                                  | 133.32236842   | kg m^-1 s^-2
                  | psi                                   | 6894.757293168 | kg m^-1 s^-2
J*                | joule*                                | 1              | kg m^2 s^-2
eV*               | electronvolt*                         | 1.602176634e-19 | kg m^2 s^-2
cal*              | calorie*                              | 4.184          | kg m^2 s^-2
                  | btu                                   | 1055.05585262  | kg m^2 s^-2
W*                | watt*                                 | 1              | kg m^2 s^-3
Wh*               | watt-hour* watthour*                  | 3600           | kg m^2 s^-2
hp                | horsepower                            | 745.69987158227022 | kg m^2 s^-3
V*                | volt*                                 | 1              | kg m^2 s^-3 A^-1
Ω* ohm*           | ohm*                                  | 1              | kg m^2 s^-3 A^-2
C*                | coulomb*                              | 1              | A s
F*                | farad*                                | 1              | kg^-1 m^-2 s^4 A^2
H*                | henry* henrie*                        | 1              | kg m^2 s^-2 A^-2
T*                | tesla*                                | 1              | kg s^-2 A^-1
G                 | gauss                                 | 1/10000        | kg s^-2 A^-1
Wb*               | weber*                                | 1              | kg m^2 s^-2 A^-1
Hz*               | hertz*                                | 1              | hertz
rpm               | rpm                                   | 1              | rpm
Bq*               | becquerel*                            | 1              | becquerel
Ci*               | curie*                                | 37000000000    | becquerel
Gy*               | gray*                                 | 1              | gray
Sv*               | sievert*                              | 1              | sievert
M*                | molar*                                | 1000           | mol m^-3
dB                | decibel                               | 1              | decibel
pH                |                                       | 1              | pH
bit* b*           | bit*                                  | 1              | bit
bps*              |                                       | 1              | bit s^-1
Bps*              |                                       | 8              | bit s^-1
B* byte*          | byte*                                 | 8              | bit
KB                |                                       | 8000           | bit
KiB               | kibibyte                              | 8192           | bit
MiB               | mebibyte                              | 8388608        | bit
GiB               | gibibyte                              | 8589934592     | bit
TiB               | tebibyte                              | 8796093022208  | bit
                  | pixel px                              | 1              | pixel
°C                | celsius centigrade degc               | 1              | celsius
°F                | fahrenheit degf                       | 1              | fahrenheit
°                 | degree deg                            | 1              | degree
                  | arcminute arcmin                      | 1/60           | degree
                  | arcsecond arcsec                      | 1/3600         | degree
rad               | radian                                | 1              | radian
%                 | percent pct                           | 1              | %
                  | percentage-point                      | 1              | point
$                 | dollar usd buck                       | 1              | dollar
¢                 | cent                                  | 1/100          | dollar
€                 | euro eur                              | 1              | euro
£                 | gbp                                   | 1              | gbp
                  | pound                                 | 1              | pound
                  | pence penny                           | 1/100          | gbp
¥                 | yen jpy                               | 1              | yen
₹                 | rupee inr                             | 1              | rupee
                  | yuan rmb cny                          | 1              | yuan
                  | franc chf                             | 1              | franc
                  | peso                                  | 1              | peso
"""
_PREFIXES = {
    "Y": "yotta",
    "Z": "zetta",
    "E": "exa",
    "P": "peta",
    "T": "tera",
    "G": "giga",
    "M": "mega",
    "k": "kilo",
    "h": "hecto",
    "da": "deca",
    "d": "deci",
    "c": "centi",
    "m": "milli",
    "μ": "micro",
    "n": "nano",
    "p": "pico",
    "f": "femto",
    "a": "atto",
}
_EXPONENTS = dict(zip(_PREFIXES, (24, 21, 18, 15, 12, 9, 6, 3, 2, 1, -1, -2, -3, -6, -9, -12, -15, -18), strict=True))
_OFTEN_SPELLED = """
kg Kg KG, km Km KM, cm Cm CM, mL Ml ML, Hz hz HZ, kW kw KW, kWh kwh KWh KWH, GB gb, TB tb, kB kb,
kbps Kbps, Mbps mbps, Gbps gbps
"""
_SPELLED = {
    other: symbol for symbol, *others in (group.split() for group in _OFTEN_SPELLED.split(",")) for other in others
}
"""Spellings of symbols that mean nothing else."""

_MONTHS = ("january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
           "december")  # fmt: skip
_SENSE_WORDS = """
east west north south northeast northwest southeast southwest am pm bc ad up down above below early late ahead behind
ago hence before after more less fewer left right clockwise counterclockwise forward backward inward outward increase
decrease gain loss win profit surplus deficit credit debit positive negative hot cold odd even minimum maximum upward
downward over under off older younger taller shorter faster slower higher lower larger smaller deposit withdrawal buy
sell income expense rise fall drop heads tails inside outside
"""
_SAME_SENSE = """
bce bc, ce ad, sept september, eastward east, westward west, northward north, southward south, eastern east, western
west, increased increase, decreased decrease, anticlockwise counterclockwise, upwards upward, downwards downward,
losses loss, forwards forward, backwards backward, gained gain, lost loss, later after, earlier before
"""
_SENSES: dict[str, str] = {
    **{word: word for word in (*_MONTHS, *_SENSE_WORDS.split())},
    **{month[:3]: month for month in _MONTHS},
    **dict(pair.split() for pair in _SAME_SENSE.split(",")),
}
"""Words that make another quantity of the same number, each with the one that stands for it."""
_LEADING_WORDS = """
increase decrease gain loss win profit surplus deficit credit debit rise fall drop deposit withdrawal income expense
heads tails north south east west
"""
_LEADING = {*_MONTHS, *_LEADING_WORDS.split()}
_COMPASS = {"N": "north", "S": "south", "E": "east", "W": "west"}
_FILLER_WORDS = """
a an the of in on at to for by with from into per each every total altogether overall all together unit units is are
was were be old whole different possible such way ways about and there that it his her their its our my your exactly
only just approximately roughly remaining
"""
_FILLERS = set(_FILLER_WORDS.split())
_POWERS = {"square": 2, "sq": 2, "cubic": 3, "cu": 3, "squared": 2, "cubed": 3}
_NAMES = str.maketrans({"µ": "μ", "Ω": "Ω", "K": "K", "℃": "°C", "℉": "°F"})  # signs that have a letter's twin
_SPELLING = (
    (re.compile(r"\\frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}"), r"\1/\2"),
    (re.compile(r"\^\\circ\s*"), "°"),
    (re.compile(r"°\s*(?=[CFNSEW](?![A-Za-z]))"), " °"),
    (re.compile(r"(?:°|\bdegrees?)\s+(?=(?:celsius|centigrade|fahrenheit)\b)", re.IGNORECASE), " "),
    (re.compile(r"\bdegrees?\s+(?=[CF]\b)"), " °"),
    (re.compile(r"\b([ap])\.\s?m\b\.?", re.IGNORECASE), r"\1m"),
    (re.compile(r"\bB\.?C\.?E\b\.?|\bB\.C\b\.?"), "BC"),
    (re.compile(r"\bpercentage points?\b", re.IGNORECASE), "percentage-point"),
    (re.compile(r"\\mu\s*|\\micro\s*"), "μ"),
    (re.compile(r"(?<![A-Za-z])(?:u(?=(?:[gmsAVWFHLlMJNCT]|mol|Pa)(?![A-Za-z]))|mc(?=g(?![A-Za-z])))"), "μ"),
    (re.compile(r"\\Omega\s*|\\ohm\s*"), "Ω"),
    (re.compile(r"\\(?:cdot|times)(?![A-Za-z])|[*·{}(),~\\]"), " "),
)
_FACTOR = re.compile(
    r"""\s*(?P<slash>/|per\b)?\s*(?:(?P<ahead>square|sq|cubic|cu)\b\.?\s*)?
        (?P<word>°[CF](?![A-Za-z])|[^\W\d_]+(?:-[^\W\d_]+)*|°(?![NSEW](?![A-Za-z]))|[%¢$€£¥₹])\.?
        (?:\s*(?:\^\s*(?P<power>-?[0-9])|\b(?P<after>squared|cubed)\b))?""",
    re.VERBOSE | re.IGNORECASE,
)
_WORD = re.compile(r"°\s*([NSEW])(?![A-Za-z])|([^\W\d_]+(?:['-][^\W\d_]+)*)")
_ONLY_WORDS = re.compile(r"[\s\w°%¢$€£¥₹/.'-]*(?:\^\s*-?[0-9][\s\w°%¢$€£¥₹/.'-]*)*")


@dataclass(frozen=True)
class Description:
    """What the words around a number say."""

    unit: str = ""
    """Factor and dimension, such as `1/100 m`; "" where no unit is named."""
    sense: str = ""
    """Words that make it another quantity, such as `east`."""
    label: str = ""
    """Words for what is counted."""


def describe(words: str) -> Description | None:
    """Unit, sense and label of the words behind a number; None if they are more than words, such as `+ x`."""
    text = words.translate(_NAMES)
    for pattern, spelling in _SPELLING:
        text = pattern.sub(spelling, text)
    if not _ONLY_WORDS.fullmatch(text) or re.search(r"(?<![\^-])(?<!\^ )[0-9]", text):
        return None
    unit, rest = _leading_unit(text)
    if not unit and rest.lstrip().startswith("°"):
        unit = "1 degree"
    found = [("", _COMPASS[compass]) if compass else (word, _sense_of(word)) for compass, word in _WORD.findall(rest)]
    labels = {_stem(word) for word, sense in found if not sense and word.lower() not in _FILLERS}
    return Description(unit, " ".join(sorted({sense for _, sense in found} - {""})), " ".join(sorted(labels)))


def factor_and_dimension(unit: str) -> tuple[Fraction, str]:
    """The two parts of a unit."""
    factor, _, dimension = unit.partition(" ")
    return Fraction(factor), dimension


def leading_sense(word: str) -> str:
    """The sense that a word before a number gives to it, as in `loss of 5`, `May 3`; "" for others."""
    sense = _sense_of(word)
    return sense if sense in _LEADING else ""


def _sense_of(word: str) -> str:
    plain = word.lower()
    return _SENSES.get(plain) or _SENSES.get(plain.removesuffix("s"), "")


def _leading_unit(text: str) -> tuple[str, str]:
    """The unit that words begin with, and the words behind it."""
    factor, powers, end = Fraction(1), Counter[str](), 0
    while match := _FACTOR.match(text, end):
        found = _unit_named(match["word"])
        if found is None or (match["word"] == "in" and text[match.end() :].strip(" .^23")):
            break
        power = _POWERS.get((match["ahead"] or match["after"] or "").lower(), 1) * int(match["power"] or 1)
        power *= -1 if match["slash"] else 1
        factor *= found[0] ** power
        for name, exponent in found[1]:
            powers[name] += exponent * power
        end = match.end()
    dimension = " ".join(
        name if powers[name] == 1 else f"{name}^{powers[name]}" for name in sorted(powers) if powers[name]
    )
    return (f"{factor} {dimension}" if dimension else "", text[end:])


def _unit_named(word: str) -> tuple[Fraction, tuple[tuple[str, int], ...]] | None:
    symbols, names = _units()
    if found := symbols.get(_SPELLED.get(word, word)):
        return found
    plain = word.lower()
    return names.get(plain) or (names.get(plain.removesuffix("s")) if len(plain) > 2 else None)


_Units = dict[str, tuple[Fraction, tuple[tuple[str, int], ...]]]


@cache
def _units() -> tuple[_Units, _Units]:
    """Symbols and names of all units, those with prefixes included; what is written out wins over what is built."""
    symbols: _Units = {}
    names: _Units = {"foot": (Fraction("0.3048"), (("m", 1),)), "feet": (Fraction("0.3048"), (("m", 1),))}
    built: tuple[_Units, _Units] = ({}, {})
    for line in filter(None, _TABLE.splitlines()):
        short, long, factor, dimension = (part.strip() for part in line.split("|"))
        powers = tuple(
            (name, int(power or 1)) for name, _, power in (part.partition("^") for part in dimension.split())
        )
        for target, extra, spellings, column in ((symbols, built[0], short, 0), (names, built[1], long, 1)):
            for spelling in spellings.split():
                target[spelling.rstrip("*")] = (Fraction(factor), powers)
                if spelling.endswith("*"):
                    for prefix in _PREFIXES.items():
                        scaled = Fraction(factor) * Fraction(10) ** _EXPONENTS[prefix[0]]
                        extra[prefix[column] + spelling.rstrip("*")] = (scaled, powers)
    return built[0] | symbols, built[1] | names


def _stem(word: str) -> str:
    plain = word.lower()
    for ending, stem in (("ies", "y"), ("ves", "f"), ("sses", "ss"), ("xes", "x"), ("ches", "ch"), ("shes", "sh")):
        if plain.endswith(ending):
            return plain.removesuffix(ending) + stem
    return plain if plain.endswith("ss") else plain.removesuffix("s")
