"""Every prompt as a Jinja file, so that words are data: versioned, replaceable, complete or refused.

    prompt = load("self-moa")
    text = prompt.render(responses=["It is 4.", "Four."], system="")
    prompt.version                                    # "self-moa@1f2e3d4c"
    load("self-moa", {"self-moa": Path("mine.jinja")})

A variable that a template names and the caller does not give is an error. Templates run in Jinja's
sandbox, because they can come from a configuration file. This package imports nothing of ours.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Template

__all__ = ["Prompt", "PromptError", "load", "names"]

_SUFFIX = ".jinja"


class PromptError(ValueError):
    """A prompt that does not exist, cannot be read, or lacks a variable."""


@dataclass(frozen=True)
class Prompt:
    """A template under its name."""

    name: str
    source: str = field(repr=False)

    def __post_init__(self) -> None:
        _ = self._template

    @cached_property
    def version(self) -> str:
        """Name and content hash: `self-moa@1f2e3d4c`."""
        return f"{self.name}@{hashlib.sha256(self.source.encode()).hexdigest()[:8]}"

    @cached_property
    def variables(self) -> frozenset[str]:
        """What the template asks its caller for."""
        from jinja2 import meta

        return frozenset(meta.find_undeclared_variables(self._template.environment.parse(self.source)))

    def render(self, **variables: Any) -> str:
        """The text with these variables filled in.

        Raises:
            PromptError: the template needs a variable that is not given, or does what the sandbox forbids.
        """
        from jinja2 import TemplateError

        try:
            return self._template.render(**variables)
        except (TemplateError, TypeError, ArithmeticError, LookupError, ValueError) as error:
            given = ", ".join(sorted(variables)) or "none"
            raise PromptError(f"prompt {self.name!r}: {error}; variables given: {given}") from error

    @cached_property
    def _template(self) -> Template:
        from jinja2 import StrictUndefined, TemplateSyntaxError
        from jinja2.sandbox import ImmutableSandboxedEnvironment

        environment = ImmutableSandboxedEnvironment(
            undefined=StrictUndefined, autoescape=False, trim_blocks=True, lstrip_blocks=True
        )
        try:
            return environment.from_string(self.source)
        except TemplateSyntaxError as error:
            raise PromptError(f"prompt {self.name!r}, line {error.lineno}: {error.message}") from error


def names() -> list[str]:
    """The prompts that there are."""
    return sorted(f.name.removesuffix(_SUFFIX) for f in files(__name__).iterdir() if f.name.endswith(_SUFFIX))


def load(name: str, overrides: Mapping[str, str | Path] | None = None) -> Prompt:
    """The prompt of this name, or what replaces it.

    Args:
        name: a file of this folder without its suffix.
        overrides: by name, a template's text, or the path of a file that holds it.

    Raises:
        PromptError: there is no such prompt (the message lists those that exist), a replacement names
            none, or a template cannot be read.
    """
    overrides = overrides or {}
    for wanted in (name, *overrides):
        if wanted not in names():
            raise PromptError(f"no prompt named {wanted!r}; there is: {', '.join(names())}")
    replacement = overrides.get(name)
    if replacement is None:
        return Prompt(name, files(__name__).joinpath(name + _SUFFIX).read_text(encoding="utf-8"))
    if isinstance(replacement, str):
        return Prompt(name, replacement)
    try:
        return Prompt(name, replacement.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise PromptError(f"prompt {name!r} cannot be read from {replacement}: {reason}") from error
