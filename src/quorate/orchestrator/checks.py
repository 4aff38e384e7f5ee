"""What those who build graphs in Python may have got wrong, told at once and by name."""

from __future__ import annotations

import math
from inspect import iscoroutinefunction
from pathlib import Path

from .errors import BadInput
from .protocols import Model, StoppingRule


def check_seconds(what: str, seconds: object) -> None:
    """Refuses what is neither None nor a finite number above 0."""
    if seconds is not None and not (is_number(seconds) and 0 < seconds < math.inf):  # type: ignore[operator]
        raise BadInput(f"{what}={seconds!r:.60}: give a number of seconds above 0")


def check_count(what: str, count: object, least: int) -> None:
    """Refuses what is no whole number from `least` on."""
    if not (is_whole(count) and count >= least):  # type: ignore[operator]
        raise BadInput(f"{what}={count!r:.60}: give a whole number, at least {least}")


def check_value(what: str, value: object, kind: type) -> None:
    """Refuses what is neither None nor of this class of values."""
    if not (value is None or isinstance(value, kind)):
        raise BadInput(f"{what}={value!r:.60}: give {'a text' if kind is str else f'{kind.__name__}(...)'}")


def check_model_name(what: str, model: object) -> None:
    """Refuses what names no model and no folder of one."""
    if not isinstance(model, str | Path) or not str(model).strip():
        raise BadInput(f"{what}({model!r:.60}): give the name of a model or the folder that it lies in")


def is_whole(value: object) -> bool:
    """Whether it is a whole number; True and False are none."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: object) -> bool:
    """Whether it is a number; True and False are none."""
    return isinstance(value, float) or is_whole(value)


def check_model(what: str, model: object) -> None:
    """Refuses what is no model."""
    if isinstance(model, type) or not isinstance(model, Model):
        raise BadInput(f"{what}: {model!r:.80} is no model: give Endpoint(...), a pipeline or an instance of your own")


def check_rule(what: str, rule: object) -> None:
    """Refuses what is no stopping rule."""
    if isinstance(rule, type) or not isinstance(rule, StoppingRule):
        raise BadInput(f"{what}: {rule!r:.80} is not a stopping rule: it needs a method `stop`")
    if iscoroutinefunction(rule.stop):
        raise BadInput(
            f"{what}: the method `stop` of {rule!r:.80} is async, and cannot be: it only looks at the progress"
        )


def check_aggregator(what: str, aggregator: object) -> None:
    """Refuses what is no aggregator."""
    wanted = ("name", "aggregate", "counter", "models", "calls", "fallback", "aclose")
    lost = [name for name in wanted if not hasattr(aggregator, name)]
    if isinstance(aggregator, type) or lost:
        why = f"; it has no {lost[0]!r}" if lost and hasattr(aggregator, "aggregate") else ""
        raise BadInput(
            f"{what}: {aggregator!r:.80} is not an aggregator (an instance, such as MajorityVote(); derive a class of "
            f"yours from quorate.Aggregator){why}"
        )
    for model in aggregator.models:  # type: ignore[attr-defined]
        check_model(f"{what}: {type(aggregator).__name__}", model)
