"""The last number of a text: what is left to go by where a model marks no answer."""

from __future__ import annotations

import re

from .base import Finder

__all__ = ["NUMBER", "LastNumber", "plain"]

NUMBER = re.compile(
    r"""(?<![A-Za-z0-9_^.]) (?<!\^\{) (?<![0-9],)          # not inside a word, an exponent or a number
        (?: (?<![\w)\]}]) [-−] \s? )?+ [$€£¥]?+ (?: (?<=[$€£¥]) [-−] )?+
        (?: -?+ \\[dt]?frac \s?+ \{ -?+[0-9]++ \} \{ [0-9]++ \}
          | [0-9]{1,3} (?: ,[0-9]{3}(?![0-9]) )++ (?: \.[0-9]++ )?+
          | [0-9]++ (?: \.[0-9]++ | (?: :[0-9]++ )++ | \s?+/\s?+[0-9]++ )?+
          | \.[0-9]++
        )
        (?: [eE][-+]?+[0-9]++
          | \s?+ (?: \\times | × | \* ) \s?+ 10 \s?+ \^ (?: \{[-+−]?+[0-9]++\} | [-+−]?+[0-9]++ )
        )?+
        (?: \s?+\\?+% )?+
    """,
    re.VERBOSE,
)
"""A number as people write it: signs, thousands, decimals, fractions, powers of ten, per cent, clock times."""


def plain(number: str) -> str:
    """The number without thousands separators, currency and spaces."""
    return re.sub(r"(?<=[0-9]),(?=[0-9])|[$€£¥\s]", "", number).replace("−", "-").replace("\\%", "%")


class LastNumber(Finder):
    """The last number, without thousands separators and currency; a fraction or a percentage is one number."""

    def find(self, text: str) -> str | None:
        last = None
        for match in NUMBER.finditer(text):
            last = match
        return plain(last[0]) if last else None
