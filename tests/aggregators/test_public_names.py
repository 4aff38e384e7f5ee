"""The list of public aggregators is what type checkers see of it, and every name is there."""

from __future__ import annotations

import ast
from importlib import import_module
from pathlib import Path

import pytest

from quorate import aggregators


def test_type_checkers_see_the_same_names() -> None:
    """The names are loaded when they are used, so they are listed twice; the lists agree, their modules too."""
    assert aggregators.__file__ is not None
    tree = ast.parse(Path(aggregators.__file__).read_text(encoding="utf-8"))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level == 1]
    typed = {str(alias.asname): node.module for node in imports for alias in node.names}
    assert dir(aggregators) == aggregators.__all__ == sorted(typed)
    for name, module in typed.items():
        assert getattr(aggregators, name) is getattr(import_module(f"quorate.aggregators.{module}"), name)


@pytest.mark.parametrize("name", aggregators.__all__)
def test_every_public_name_is_there(name: str) -> None:
    """And has a docstring."""
    assert getattr(aggregators, name).__doc__


def test_other_names_are_refused() -> None:
    """As by any module."""
    with pytest.raises(AttributeError, match="Nothing"):
        aggregators.Nothing  # noqa: B018
