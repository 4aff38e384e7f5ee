"""The package as a user meets it: public names, a light import, rooms that keep their limits."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import quorate
from quorate.orchestrator import errors

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "quorate"
ROOMS = ("orchestrator", "agents", "aggregators", "prompts", "evals", "server")

CONTRACT = {
    f"quorate.orchestrator.{module}"
    for module in (
        "types",
        "events",
        "errors",
        "run",
        "watch",
        "protocols",
        "tokens",
        "agent",
        "model",
        "merging",
        "proposers",
        "sampling",
        "pipeline",
    )
}
MAY_IMPORT = {
    "orchestrator": {"prompts"},
    "agents": {"prompts", *CONTRACT},
    "aggregators": {"prompts", *CONTRACT},
    "prompts": set(),
    "evals": {"orchestrator", "agents", "aggregators", "prompts"},
    "server": {"orchestrator", "agents", "aggregators", "prompts"},
    "testing": {"agents", *CONTRACT},
}
EDGE = {"catalog.py", "config.py", "config_models.py", "recipes", "cli"}
"""Parts of orchestrator/ that may import everything."""


@pytest.mark.parametrize("name", quorate.__all__)
def test_every_public_name_loads(name: str) -> None:
    """What `__all__` promises is there."""
    assert getattr(quorate, name) is not None


def test_an_unknown_name_is_an_attribute_error() -> None:
    """As for any module."""
    with pytest.raises(AttributeError, match="nonsense"):
        quorate.nonsense  # noqa: B018
    assert dir(quorate) == sorted(quorate.__all__)


def test_importing_quorate_is_light() -> None:
    """None of the heavy libraries come along; those that a user needs load at first use."""
    heavy = "{'torch', 'transformers', 'openai', 'langgraph', 'httpx', 'aiohttp', 'fastapi', 'scipy', 'sympy'}"
    code = f"import sys, quorate; print(sorted({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize("module", ["agents", "aggregators", "server", "cli", "prompts"])
def test_rooms_import_without_torch_or_sympy(module: str) -> None:
    """Serving, voting and the command line start without the libraries that only some models need."""
    code = f"import sys, quorate.{module}; print(sorted({{'torch', 'transformers', 'sympy'}} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize("room", ROOMS)
def test_the_rooms_are_reachable_at_the_top_level(room: str) -> None:
    """A link a room, in every checkout that has links at all; nothing depends on them."""
    link = ROOT / room
    if link.is_symlink():
        assert link.resolve() == SOURCE / room
    else:
        assert not link.is_dir(), f"{room} at the top level must be a link to src/quorate/{room}"


def test_every_error_is_in_the_tree_and_drawn() -> None:
    """One root, and a drawing in the module's docstring that forgets none."""
    assert errors.__doc__ is not None
    for name in errors.__all__:
        assert issubclass(getattr(errors, name), errors.QuorateError)
        assert name in errors.__doc__


def imports(path: Path) -> Iterator[str]:
    """Absolute names of what a file imports from quorate."""
    package = ("quorate", *path.relative_to(SOURCE).parts[:-1])
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("quorate."))
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            name = ".".join((*base, *(node.module or "").split("."))).strip(".")
            if name.startswith("quorate"):
                yield from (f"{name}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_rooms_import_only_what_the_design_allows(room: str) -> None:
    """agents and aggregators know the contract alone; only the edges know everybody."""
    allowed = {f"quorate.{name}" if not name.startswith("quorate.") else name for name in MAY_IMPORT[room]}
    for path in (SOURCE / room).rglob("*.py"):
        if room == "orchestrator" and path.relative_to(SOURCE / room).parts[0] in EDGE:
            continue
        for name in imports(path):
            inside = name.startswith(f"quorate.{room}") or name == "quorate.__version__"
            assert inside or any(name == a or name.startswith(f"{a}.") for a in allowed), f"{path}: imports {name}"


def test_every_module_imports() -> None:
    """No module is broken by itself, optional ones included where their libraries are installed."""
    skipped = {"vllm", "__main__", "worker"}
    for path in SOURCE.rglob("*.py"):
        parts = path.relative_to(SOURCE.parent).with_suffix("").parts
        if not skipped & set(parts):
            importlib.import_module(".".join(parts).removesuffix(".__init__"))
