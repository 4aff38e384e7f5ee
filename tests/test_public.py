"""The package as a user meets it: public names, a light import, rooms that keep their limits."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

import quorate
from quorate.orchestrator import errors

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "quorate"
LINKED = ("orchestrator", "agents", "aggregators", "prompts", "evals", "server")
"""Rooms with a link at the top level."""

_BELOW_CONFIG = {"prompts", "orchestrator", "agents", "aggregators", "storage"}
MAY_IMPORT = {
    "prompts": set(),
    "web": set(),
    "orchestrator": {"prompts"},
    "agents": {"orchestrator", "prompts"},
    "aggregators": {"orchestrator", "prompts"},
    "storage": {"orchestrator"},
    "config": _BELOW_CONFIG,
    "evals": {"config", "web", *_BELOW_CONFIG},
    "server": {"config", "web", *_BELOW_CONFIG},
    "integrations": {"config", *_BELOW_CONFIG} - {"prompts", "storage"},
    "cli": {"evals", "server", "testing", "config", *_BELOW_CONFIG},
    "testing": {"orchestrator"},
}
"""The rooms, and the other rooms that each of them may import."""

MOST_PARTICIPLES = 0.04
"""Of all functions that may be named by a participle alone, which says neither who does it nor to what."""
IRREGULAR = """
asked begun bent bitten blown born bought bound bred broken brought built caught chosen come cut dealt done drawn
driven eaten fallen fed felt forgotten fought found frozen given gone grown heard held hidden hung kept known laid
led left lent lit lost made meant met paid put read said sent set shaken shown sold sought spent split spoken spread
stolen struck sunk swept taken taught thought thrown told torn understood woken won worn wound written
"""
"""Participles that do not end in `ed`."""


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
    heavy = "{'torch', 'transformers', 'openai', 'langgraph', 'httpx', 'aiohttp', 'starlette', 'scipy', 'sympy'}"
    code = f"import sys, quorate; print(sorted({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize(
    "module", ["agents", "aggregators", "aggregators.registry", "config.file", "server", "cli", "prompts"]
)
def test_rooms_import_without_numpy_torch_or_sympy(module: str) -> None:
    """Serving, voting and the command line start without the libraries that only some models need."""
    code = (
        f"import sys, quorate.{module}; print(sorted({{'numpy', 'torch', 'transformers', 'sympy'}} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize("room", LINKED)
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


def list_modules() -> dict[str, Path]:
    """Every module of the package by its name."""
    return {
        ".".join(("quorate", *path.relative_to(SOURCE).with_suffix("").parts)).removesuffix(".__init__"): path
        for path in sorted(SOURCE.rglob("*.py"))
    }


MODULES = list_modules()


def list_imports(path: Path) -> Iterator[tuple[int, str]]:
    """Lines and absolute names of all that a file imports from quorate: for types and inside functions, too."""
    package = ("quorate", *path.relative_to(SOURCE).parts[:-1])
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names if alias.name.split(".")[0] == "quorate")
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            name = ".".join((*base, *(node.module or "").split("."))).strip(".")
            if name.split(".")[0] == "quorate":
                yield from ((node.lineno, f"{name}.{alias.name}") for alias in node.names)


def find_module(name: str) -> str:
    """The module that has a name."""
    while name not in MODULES:
        name = name.rpartition(".")[0]
    return name


def test_every_folder_is_a_room() -> None:
    """A new one needs its row in the table."""
    assert {path.name for path in SOURCE.iterdir() if (path / "__init__.py").exists()} == set(MAY_IMPORT)


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_rooms_import_only_what_the_design_allows(room: str) -> None:
    """No exceptions; of the package itself only the version, since its other names come from everywhere."""
    wrong = []
    for path in sorted((SOURCE / room).rglob("*.py")):
        for line, name in list_imports(path):
            other = find_module(name).partition(".")[2].partition(".")[0]
            if name != "quorate.__version__" and other not in {room, *MAY_IMPORT[room]}:
                wrong.append(f"{path.relative_to(ROOT)}:{line}: {room} may not import {name}")
    assert not wrong, "\n".join(wrong)


def test_no_modules_import_each_other() -> None:
    """Not in a circle of any length, imports for types and inside functions counted."""
    imported = {
        name: sorted({find_module(other) for _, other in list_imports(path)} - {name}) for name, path in MODULES.items()
    }
    through: set[str] = set()

    def walk(name: str, above: tuple[str, ...]) -> None:
        assert name not in above, f"a circle: {' -> '.join([*above[above.index(name) :], name])}"
        if name not in through:
            for other in imported[name]:
                walk(other, (*above, name))
            through.add(name)

    for name in MODULES:
        walk(name, ())


def test_a_class_name_has_one_meaning() -> None:
    """In the whole package, private classes included, with a leading underscore or without."""
    places: dict[str, list[str]] = {}
    for name, path in MODULES.items():
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef):
                places.setdefault(node.name.lstrip("_"), []).append(name)
    twice = [f"{name}: {', '.join(where)}" for name, where in places.items() if len(where) > 1]
    assert not twice, "\n".join(twice)


def is_lone_participle(name: str) -> bool:
    """Whether a function's name is one word, and that word a participle."""
    word = name.strip("_")
    return "_" not in word and (word in IRREGULAR.split() or re.search(r".(ed|ing)$", word) is not None)


@pytest.mark.parametrize(
    ("name", "lone"),
    [("told", True), ("_drawn", True), ("parsed", True), ("parse", False), ("is_read", False), ("sampled_by", False)],
)
def test_what_counts_as_a_lone_participle(name: str, lone: bool) -> None:
    """One word that says what has been done, but not by whom or to what."""
    assert is_lone_participle(name) == lone


def test_functions_are_verbs() -> None:
    """Few of them are named by a participle alone."""
    named = [
        (f"{path.relative_to(ROOT)}:{node.lineno}", node.name)
        for path in MODULES.values()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("__")
    ]
    lone = [f"{place}: {name}" for place, name in named if is_lone_participle(name)]
    assert len(lone) <= MOST_PARTICIPLES * len(named), "\n".join(lone)


def test_every_module_imports() -> None:
    """No module is broken by itself, optional ones included where their libraries are installed."""
    skipped = {"vllm", "__main__", "worker", "llm_plugin"}
    for name in MODULES:
        if not skipped & set(name.split(".")):
            with suppress(errors.MissingExtra):
                importlib.import_module(name)
