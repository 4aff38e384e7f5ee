"""Prompts are data: complete or refused, versioned, replaceable, harmless."""

from __future__ import annotations

from pathlib import Path

import pytest

from quorate.prompts import Prompt, PromptError, load, names


@pytest.mark.parametrize("name", names())
def test_every_prompt_loads(name: str) -> None:
    """Each file is a valid template under its own name, and its version is of its content."""
    prompt = load(name)
    assert prompt.name == name
    assert prompt.version.startswith(f"{name}@")
    assert len(prompt.version) == len(name) + 9


def test_self_moa_renders() -> None:
    """Candidates are numbered, nothing is escaped, and the system message comes first where there is one."""
    text = load("self-moa").render(responses=["a < b & c", "{{ not a template }}"], system="Be brief.")
    assert text.startswith("Be brief.\n")
    assert "Attempt 1:\na < b & c" in text
    assert "Attempt 2:\n{{ not a template }}" in text
    assert load("self-moa").render(responses=[], system="").startswith("Several")


def test_an_unknown_name_lists_those_that_exist() -> None:
    """For the prompt asked for and for a replacement alike."""
    with pytest.raises(PromptError, match=r"no prompt named 'nope'; there is: .*self-moa"):
        load("nope")
    with pytest.raises(PromptError, match="no prompt named 'nope'"):
        load("self-moa", {"nope": "text"})


def test_a_missing_variable_names_prompt_and_variable() -> None:
    """Nothing is rendered as an empty string in silence."""
    with pytest.raises(PromptError, match=r"prompt 'self-moa': 'responses' is undefined; variables given: system"):
        load("self-moa").render(system="")


def test_replacements(tmp_path: Path) -> None:
    """Text or a file; the version follows the content."""
    file = tmp_path / "mine.jinja"
    file.write_text("Mine: {{ responses | join(', ') }}", encoding="utf-8")
    from_file, from_text = load("self-moa", {"self-moa": file}), load("self-moa", {"self-moa": file.read_text()})
    assert from_file.render(responses=["a", "b"]) == "Mine: a, b"
    assert from_file.version == from_text.version != load("self-moa").version


def test_unreadable_replacements(tmp_path: Path) -> None:
    """A file that is not there and a template that is broken are told with their place."""
    with pytest.raises(PromptError, match=r"cannot be read from .*missing.*: No such file or directory$"):
        load("self-moa", {"self-moa": tmp_path / "missing.jinja"})
    with pytest.raises(PromptError, match="prompt 'self-moa', line 2"):
        load("self-moa", {"self-moa": "fine\n{% for %}"})


@pytest.mark.parametrize(
    "source", ["{{ x.__class__.__mro__ }}", "{{ ''.__class__ }}", "{% set _ = x.append(1) %}", "{{ range(10**9) }}"]
)
def test_templates_are_sandboxed(source: str) -> None:
    """A template of a configuration file reaches neither Python's insides nor the caller's values."""
    with pytest.raises(PromptError, match="prompt 'p'"):
        Prompt("p", source).render(x=[])


def test_any_failure_of_a_template_names_its_prompt() -> None:
    """Arithmetic and types inside a template included."""
    with pytest.raises(PromptError, match=r"prompt 'p': .*; variables given: none"):
        Prompt("p", "{{ 1 / 0 }}").render()
