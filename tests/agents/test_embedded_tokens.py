"""The transformers back end: caches cut at any depth, batches of rows, refusals."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any

import pytest

from quorate.agents import Embedded
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.tokens import DraftAsk, Draw, ScoreAsk
from quorate.orchestrator.types import Question

from .tiny import build

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

SMALL = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 256,
    "initializer_range": 0.3,
    "bos_token_id": None,
    "pad_token_id": 0,
    "eos_token_id": 1,
    "tie_word_embeddings": True,
}
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("LlamaConfig", {}),
    "qwen3": ("Qwen3Config", {}),
    "mistral, sliding": ("MistralConfig", {"sliding_window": 6}),
    "gemma3, both": (
        "Gemma3TextConfig",
        {"sliding_window": 6, "layer_types": ["sliding_attention", "full_attention"], "query_pre_attn_scalar": 16},
    ),
}


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the tiny Llama and its tokenizer."""
    return build(tmp_path_factory.mktemp("stepping") / "tiny")


def folder_of(tokens: Path, folder: Path, config: str, changes: dict[str, Any]) -> Path:
    """A random model of another architecture with the same tokenizer."""
    torch.manual_seed(0)
    size = transformers.AutoConfig.from_pretrained(tokens).vocab_size
    made = getattr(transformers, config)(**{"vocab_size": size, **SMALL, **changes})
    transformers.AutoModelForCausalLM.from_config(made).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        if (tokens / name).exists():
            (folder / name).write_bytes((tokens / name).read_bytes())
    return folder


@pytest.mark.parametrize("family", FAMILIES)
def test_cut_caches_say_what_fresh_ones_do(family: str, tokens: Path, tmp_path: Path) -> None:
    """After random roll-backs and extensions of three rows at once, every distribution is that of a whole forward."""
    folder = folder_of(tokens, tmp_path / "model", *FAMILIES[family])
    agent = Embedded(folder)
    stepper, loaded = agent.token_model(), agent._load()
    choose = random.Random(1)

    async def run() -> None:
        await stepper.open()
        rows: list[list[int]] = [[5, 6, 7], [8, 9], [10]]
        for _ in range(12):
            asks = []
            for number, row in enumerate(rows):
                kept = row[: choose.randint(1, len(row))]
                grown = kept + [choose.randrange(5, 200) for _ in range(choose.randint(1, 6))]
                rows[number] = grown
                places = sorted({choose.randint(1, len(grown)), len(grown)})
                asks.append(ScoreAsk(number, grown, places))
            chosen = choose.sample(asks, choose.randint(1, 3))
            for ask, scores in zip(chosen, await stepper.score(chosen), strict=True):
                for place, told in zip(ask.places, scores.distributions, strict=True):
                    with torch.inference_mode():
                        logits = loaded.model(torch.tensor([list(ask.tokens[:place])]), use_cache=False).logits[0, -1]
                    expected = torch.log_softmax(logits[: stepper.vocabulary.size].float(), -1)
                    assert torch.allclose(torch.tensor(told.row()), expected, atol=2e-4)
                    assert told.best == int(expected.argmax())

    asyncio.run(run())


def test_drafts_are_the_models_greedy_tokens(tokens: Path) -> None:
    """Drafts of two rows at once are what `generate` gives, cut where they are to end, in whatever portions."""
    agent = Embedded(tokens)
    stepper, loaded = agent.token_model(), agent._load()
    prompts = [[5, 9, 14], [30]]
    with torch.inference_mode():
        whole = [
            loaded.model.generate(torch.tensor([p]), max_new_tokens=12, do_sample=False)[0, len(p) :].tolist()
            for p in prompts
        ]

    async def run() -> None:
        await stepper.open()
        for limit in (1, 3, 12):
            rows = [list(prompt) for prompt in prompts]
            while min(len(row) - len(prompt) for row, prompt in zip(rows, prompts, strict=True)) < 12:
                drafts = await stepper.draft([DraftAsk(n, row, limit) for n, row in enumerate(rows)])
                for written, draft in zip(rows, drafts, strict=True):
                    written.extend(draft.tokens)
            for row, prompt, expected in zip(rows, prompts, whole, strict=True):
                said = row[len(prompt) :]
                assert said[: len(expected)] == expected[: len(said)]

    asyncio.run(run())


def test_a_draft_ends_behind_an_unsure_token(tokens: Path) -> None:
    """`until` ends a draft early; every token before the last is at least as likely."""
    stepper = Embedded(tokens).token_model()

    async def run() -> None:
        await stepper.open()
        draft = (await stepper.draft([DraftAsk("a", [5, 9, 14], 20, until=0.999)]))[0]
        chances = [d.logprob(t) for d, t in zip(draft.distributions, draft.tokens, strict=True)]
        assert len(draft.tokens) < 20
        assert min([*chances[:-1], 0.0]) >= -0.0011
        sampled = [await stepper.draft([DraftAsk("b", [5], 3, draw=Draw(1.0, [u] * 3))]) for u in (0.0, 0.5, 0.999)]
        assert len({tuple(s[0].tokens) for s in sampled}) > 1

    asyncio.run(run())


def test_rows_leave_nothing_behind(tokens: Path) -> None:
    """Released rows make room: the next one takes the first slot again."""
    stepper = Embedded(tokens).token_model()

    async def run() -> None:
        await stepper.open()
        await stepper.draft([DraftAsk(n, [5, 6], 2) for n in range(3)])
        stepper.release([0, 2, "unknown"])
        await stepper.draft([DraftAsk("new", [7], 1)])
        assert {key: row.slot for key, row in stepper._rows.items()} == {1: 1, "new": 0}
        await stepper.aclose()
        assert not stepper._rows

    asyncio.run(run())


@pytest.mark.parametrize("config", ["MambaConfig", "RecurrentGemmaConfig"])
def test_recurrent_models_are_refused(config: str, tokens: Path, tmp_path: Path) -> None:
    """A state cannot be cut: the error says so, and names the model."""
    changes: dict[str, Any] = {"num_hidden_layers": 2}
    if config == "RecurrentGemmaConfig":
        changes |= {"num_hidden_layers": 3, "lru_width": 32, "attention_window_size": 8}
    folder = folder_of(tokens, tmp_path / "recurrent", config, changes)
    with pytest.raises(BadInput, match=r"recurrent .*(rolled back|rolled)"):
        asyncio.run(Embedded(folder).token_model().open())


def test_models_without_a_fast_tokenizer_are_refused(tokens: Path) -> None:
    """Only fast tokenizers say what their tokens stand for."""
    from quorate.agents.vocabulary import make_vocabulary

    with pytest.raises(BadInput, match="tom has no fast tokenizer"):
        make_vocabulary(object(), [1], "tom")


def test_models_without_a_template_are_refused(tokens: Path, tmp_path: Path) -> None:
    """Each model speaks by its own chat template, so it must have one."""
    folder = folder_of(tokens, tmp_path / "mute", "LlamaConfig", {})
    (folder / "chat_template.jinja").unlink(missing_ok=True)
    stepper = Embedded(folder).token_model()
    asyncio.run(stepper.open())
    with pytest.raises(BadInput, match="mute has no chat template"):
        stepper.prompt(Question.of("Hello"))
