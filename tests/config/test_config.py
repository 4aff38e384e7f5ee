"""quorate.yaml: what it builds, and how it says what is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from quorate import Endpoint, Fallback, Hedged, Pipeline, load_config
from quorate.agents import RoundRobin
from quorate.config.file import schema
from quorate.orchestrator.errors import ConfigError, MissingExtra

EXAMPLE = Path(__file__).parents[2] / "examples" / "quorate.yaml"

GOOD = """
models:
  qwen:
    base_url: http://localhost:8000/v1
    model: Qwen/Qwen3-8B
    rate: {requests: 10, seconds: 1}
    price: {prompt: 0.1, completion: 0.4}
pipelines:
  vote: {pipeline: majority, models: [qwen], n: 8, wave: 2, stop: {rule: adaptive-consistency}}
  fused: {pipeline: self-moa, models: [qwen, vote], n: 4, aggregator_model: qwen}
server: {port: 9000, max_samples: 32}
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "quorate.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_becomes_a_catalogue(tmp_path: Path) -> None:
    """Models, pipelines over models and over earlier pipelines, and the limit on n."""
    config = load_config(written(tmp_path, GOOD))
    catalog = config.catalog()
    assert list(catalog.models) == ["qwen"]
    assert config.server.port == 9000
    vote, fused = catalog.resolve("vote"), catalog.resolve("fused")
    assert isinstance(vote, Pipeline)
    assert isinstance(fused, Pipeline)
    assert (vote.stage.n, vote.stage.wave) == (8, 2)
    assert [m.name for m in fused.stage.models] == ["qwen", "vote"]
    assert catalog.max_samples == 32


def test_the_example_file_loads_and_follows_the_schema() -> None:
    """What the documentation shows is what the schema and the loader accept."""
    catalog = load_config(EXAMPLE).catalog()
    assert {"tiny", "vote", "sure", "panel"} <= set(catalog.names())
    jsonschema.validate(yaml.safe_load(EXAMPLE.read_text(encoding="utf-8")), schema())


def test_the_schema_refuses_what_the_loader_refuses() -> None:
    """An editor marks a misspelt field."""
    jsonschema.Draft202012Validator.check_schema(schema())
    bad: dict[str, Any] = {"models": {"m": {"base_url": "http://x", "modle": "y"}}}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(bad, schema())


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("", None, "is empty"),
        ("models: [", 1, "not YAML"),
        ("models: {m: {base_url: http://x}}\nmodles: {}", 2, "modles"),
        ("models:\n  m:\n    base_url: http://x\n    modle: y\n", 4, "models.m.modle"),
        ("models:\n  m:\n    concurrency: 2\n", 2, "models.m.base_url"),
        ("models:\n  m: {type: magic}\n", 2, "magic"),
        ("models:\n  m:\n    base_url: http://x\n    sampling:\n      temperature: -1\n", 5, "sampling.temperature"),
        (
            "models: {m: {base_url: http://x}}\npipelines:\n  p:\n    pipeline: majorty\n    models: [m]\n",
            4,
            "pipelines.p.pipeline",
        ),
        (
            "models: {m: {base_url: http://x}}\npipelines:\n  p:\n    pipeline: majority\n    models: [nope]\n",
            5,
            "'nope'",
        ),
        (
            "models: {m: {base_url: http://x}}\npipelines:\n  p:\n    pipeline: majority\n    models: [m]\n    n: 0\n",
            6,
            "pipelines.p.n",
        ),
        (
            "models: {m: {base_url: http://x}}\npipelines:\n  m: {pipeline: majority, models: [m]}\n",
            3,
            "has this name already",
        ),
        ("models:\n  m: {base_url: http://x}\n  m: {base_url: http://y}\n", 3, "stands twice"),
        ("models:\n  m: {base_url: http://x, key_env: QUORATE_NO_SUCH_KEY}\n", 2, "QUORATE_NO_SUCH_KEY is not set"),
        ("- a\n- b\n", 1, "should be a mapping"),
        ("models: {}\n", 1, "models"),
        ("models: {m: \x00}\n", None, "not YAML"),
        ("models:\n  ? {a: b}\n  : 3\n", 2, "unhashable key"),
        ("models: !!python/object:os.system x\n", 1, "not YAML"),
        ("models: {x: 2026-99-99}\n", None, "not YAML"),
        ("models: &a\n  m: *a\n", None, "contains itself"),
        ("models:\n  m: {base_url: ftp://x}\n", 2, "models.m: base_url 'ftp://x'"),
        ("models:\n  m: {type: recorded, file: /no/such/file}\n", 2, "/no/such/file"),
        ("models:\n  m: {base_url: http://x}\n  p: {type: prompted, model: m}\n", 3, "prompted(m) has no words"),
        ("models:\n  m: {type: prompted, model: n, template: '{q}'}\n  n: {base_url: http://x}\n", 2, "asks nothing"),
    ],
)
def test_mistakes_name_file_line_and_field(tmp_path: Path, text: str, line: int | None, says: str) -> None:
    """One line that names what, where and, by its words, the fix."""
    path = written(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load_config(path).catalog()
    message = str(caught.value)
    assert message.startswith(f"{path}:{line}:" if line else f"{path}:")
    assert says in message
    assert "\n" not in message


def test_a_file_that_grows_without_end_is_refused(tmp_path: Path) -> None:
    """Ten lines whose aliases stand for ten billion values; and one that is long as it is."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 10)]
    with pytest.raises(ConfigError, match=r":5: has more than 100000 values, with all that its aliases repeat"):
        load_config(written(tmp_path, "\n".join(lines)))
    with pytest.raises(ConfigError, match=r"is longer than the 1048576 characters"):
        load_config(written(tmp_path, f"# {'x' * 2**20}\n"))


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    """Named, without a traceback's worth of words."""
    with pytest.raises(ConfigError, match=r"none\.yaml: cannot be read: No such file or directory$"):
        load_config(tmp_path / "none.yaml")


def test_keys_come_from_the_environment_and_stay_out_of_sight(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file names a variable; neither the configuration nor the model shows its value."""
    monkeypatch.setenv("QUORATE_TEST_KEY", "sk-secret")
    config = load_config(written(tmp_path, "models: {m: {base_url: http://x, key_env: QUORATE_TEST_KEY}}"))
    assert "sk-secret" not in repr(config) + repr(config.catalog().models)


def test_unknown_embedded_models_and_missing_extras_say_so(tmp_path: Path) -> None:
    """Built lazily or not, the message names the fix, and the line."""
    with pytest.raises((ConfigError, MissingExtra), match=r"yaml:1: models.m: no embedded model named 'no-such'|extra"):
        load_config(written(tmp_path, "models: {m: {type: embedded, model: no-such}}")).catalog()


def test_a_key_can_come_from_a_file(tmp_path: Path) -> None:
    """Stripped of its line end; a file that is not there, or two sources at once, are told with file and line."""
    secret = tmp_path / "key"
    secret.write_text("s3cret\n")
    text = GOOD.replace("model: Qwen/Qwen3-8B", f"model: Qwen/Qwen3-8B\n    key_file: {secret}")
    config = load_config(written(tmp_path, text))
    endpoint = config.catalog().models["qwen"]
    assert isinstance(endpoint, Endpoint)
    assert endpoint.http.headers["authorization"] == "Bearer s3cret"
    secret.unlink()
    with pytest.raises(ConfigError, match=r"quorate.yaml:6: models.qwen.key_file: .*key cannot be read"):
        config.catalog()
    text = text.replace("key_file:", "key_env: HOME\n    key_file:")
    with pytest.raises(ConfigError, match="not both"):
        load_config(written(tmp_path, text)).catalog()


FAULTS = """
models:
  one: {base_url: http://one:8000/v1, model: m, timeout: {first_byte: 5}, retries: {attempts: 2, share: 0.5}}
  two: {base_url: http://two:8000/v1, model: m, timeout: 30, retries: 0, breaker: {failures: 3, pause: 1}}
  small: {base_url: http://small:8000/v1, hedge: {after: 2}}
  m: {type: pool, models: [one, two], balance: round-robin, hedge: {percentile: 0.9, share: 0.2}, fallback: [small]}
pipelines:
  vote: {pipeline: majority, models: [m], n: 5, quorum: 0.8, grace: 0.1, min_candidates: 2, sample_seconds: 9,
    aggregate_seconds: 3}
"""


def test_faults_are_configured(tmp_path: Path) -> None:
    """Pools of models, hedges over pools, fallbacks over both, in the order of the file; limits of the stages."""
    catalog = load_config(written(tmp_path, FAULTS)).catalog()
    jsonschema.validate(yaml.safe_load(FAULTS), schema())
    assert list(catalog.models) == ["one", "two", "small", "m"]
    one, two, small, m = catalog.models.values()
    assert isinstance(one, Endpoint)
    assert isinstance(two, Endpoint)
    assert (one.http.timeouts.first_byte, one.http.timeouts.total) == (5, 600)
    assert two.http.timeouts.total == 30
    assert isinstance(small, Hedged)
    assert isinstance(m, Fallback)
    hedged, stand_in = m.models
    assert stand_in is small
    assert isinstance(hedged, Hedged)
    assert isinstance(hedged.model, RoundRobin)
    assert hedged.model.models == (one, two)
    vote = catalog.resolve("vote")
    assert isinstance(vote, Pipeline)
    stage = vote.stage
    assert (stage.quorum, stage.grace, stage.min_candidates, stage.seconds) == (0.8, 0.1, 2, 9)
    assert vote.nodes["aggregate"].seconds == 3


@pytest.mark.parametrize(
    ("change", "field", "says"),
    [
        (("fallback: [small]", "fallback: [m]"), "models.m.fallback", "for itself"),
        (("fallback: [small]", "fallback: [huge]"), "models.m.fallback", "'huge'"),
        (("[one, two]", "[one, vote]"), "models.m.models", "'vote'"),
        (("[one, two]", "[one]"), "models.m.models", "2"),
        (("[one, two]", "[one, one]"), "models.m", "once"),
        (("timeout: 30", "timeout: -1"), "models.two.timeout", "greater than 0"),
        (("first_byte: 5", "first_byte: 0"), "models.one.timeout.first_byte", "greater than 0"),
        (("first_byte: 5", "first: 5"), "models.one.timeout.first", "there is: connect, first_byte"),
        (("quorum: 0.8", "quorum: 1.5"), "pipelines.vote.quorum", ""),
        (("quorum: 0.8", "quorum: 9"), "pipelines.vote", "quorum"),
        (("min_candidates: 2", "min_candidates: 6"), "pipelines.vote", "min_candidates"),
    ],
)
def test_impossible_faults_are_refused(tmp_path: Path, change: tuple[str, str], field: str, says: str) -> None:
    """With the field, and what is wrong with it."""
    assert change[0] in FAULTS
    with pytest.raises(ConfigError) as caught:
        load_config(written(tmp_path, FAULTS.replace(*change))).catalog()
    assert caught.value.field == field
    assert says in str(caught.value)
