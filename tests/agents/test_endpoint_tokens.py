"""A model behind HTTP asked token by token: like the model itself, and clear where that cannot be."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quorate.agents import Embedded, Endpoint, Price, RetryPolicy
from quorate.agents.endpoint.token_model import EndpointTokens
from quorate.aggregators.token_level import SAFE, EnsembleRule, EveryToken, GaC
from quorate.aggregators.token_level.decode_state import MemberUsage
from quorate.config.file import load_config
from quorate.orchestrator.errors import BadInput, BadReply, NoAnswer, Rejected, UpstreamError
from quorate.orchestrator.tokens import DraftAsk, Draw, ScoreAsk, TokenModel
from quorate.orchestrator.types import Answer, Message, Question
from quorate.orchestrator.usage import Usage
from quorate.testing import Fault, Raw, Received, ScriptedUpstream
from quorate.testing.script import Step

from .asking import Drawing
from .speaking import Speaking
from .tiny import CONTEXT, build
from .watching import Notes

ASKED = Question.of("Tom has 3 apples and buys 14 more.").with_params(max_tokens=24, temperature=0)
ONCE = RetryPolicy(attempts=1)

Folders = tuple[Path, Path]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    """Two models that disagree."""
    one, two = (build(tmp_path_factory.mktemp("tiny"), seed=seed) for seed in (1, 2))
    return one, two


@asynccontextmanager
async def serve(
    folder: Path,
    change: Callable[[Received, Callable[[Received], Step]], Step] | None = None,
    *,
    about: dict[str, Any] | None = None,
    endpoint: dict[str, Any] | None = None,
    **settings: Any,
) -> AsyncGenerator[tuple[Endpoint, Speaking, ScriptedUpstream], None]:
    """A server of the model and an agent of it; `change` may answer in the server's place."""
    speaking = await Speaking(folder, **settings).open()
    script = speaking if change is None else lambda received: change(received, speaking)
    async with (
        ScriptedUpstream(script, models=["tiny"], about=speaking.about if about is None else about) as up,
        Endpoint("tiny", base_url=up.url, **{"retries": ONCE, **(endpoint or {})}) as agent,
    ):
        yield agent, speaking, up


async def open_tokens(agent: Endpoint) -> EndpointTokens:
    model = agent.token_model()
    await model.open()
    return model


async def write_together(
    *models: Any, question: Question = ASKED, rule: EnsembleRule | None = None, seed: int = 3
) -> Answer:
    return await SAFE(models, rule=rule).answer(question, seed=seed)


def prompt_of(model: TokenModel) -> list[int]:
    return model.prompt(ASKED)


async def test_drafts_and_scores_are_the_model_s(folders: Folders) -> None:
    """Tokens, whole distributions, prompt and context are those of the model itself."""
    ours = Embedded(folders[0]).token_model()
    await ours.open()
    async with serve(folders[0]) as (agent, _, up):
        theirs = await open_tokens(agent)
        assert theirs.context == ours.context == CONTEXT
        assert theirs.vocabulary.fingerprint == ours.vocabulary.fingerprint
        assert theirs.vocabulary.ends == ours.vocabulary.ends
        prompt = prompt_of(theirs)
        assert prompt == prompt_of(ours)
        ask = DraftAsk("a", prompt, 9)
        [mine], [other] = await ours.draft([ask]), await theirs.draft([ask])
        assert mine.tokens == other.tokens
        places = [3, 7, len(prompt)]
        before = len(up.requests)
        scored = ScoreAsk("a", prompt, places)
        [mine_scores], [other_scores] = await ours.score([scored]), await theirs.score([scored])
        assert len(up.requests) == before + 1, "all prefixes travel in one request"
        pairs = zip(
            [*mine.distributions, *mine_scores.distributions],
            [*other.distributions, *other_scores.distributions],
            strict=True,
        )
        for one, two in pairs:
            assert two.exact
            assert one.best == two.best
            assert np.allclose(one.row(), two.row(), atol=1e-5)
            assert [token for token, _ in one.top(5)] == [token for token, _ in two.top(5)]


@pytest.mark.parametrize("served", [(True, False), (False, True), (True, True)])
@pytest.mark.parametrize("every", [False, True])
async def test_any_mix_writes_the_same(folders: Folders, served: tuple[bool, bool], every: bool) -> None:
    """Whichever of two models is behind HTTP, the ensemble writes what it writes in this process."""
    rule = EnsembleRule(EveryToken(), GaC()) if every else None
    alone = await write_together(*map(Embedded, folders), rule=rule)
    async with serve(folders[0]) as (one, _, _), serve(folders[1]) as (two, _, _):
        models = [http if over else Embedded(f) for http, f, over in zip((one, two), folders, served, strict=True)]
        answer = await write_together(*models, rule=rule)
    assert answer.text == alone.text
    assert answer.candidates[0].ensembling is not None
    assert alone.candidates[0].ensembling is not None
    assert answer.candidates[0].ensembling.counts == alone.candidates[0].ensembling.counts
    assert answer.degraded == ()


async def test_calls_are_told_like_any_other_of_a_model(folders: Folders) -> None:
    """With their place, their tries and what they used, so that all of them are the ledger."""
    busy: list[bool] = []

    def change(received: Received, speaking: Callable[[Received], Step]) -> Step:
        return Fault.status(503) if busy and busy.pop() else speaking(received)

    notes = Notes()
    again = {"retries": RetryPolicy(attempts=2, backoff=0.01), "name": "box"}
    async with serve(folders[0]) as (one, _, up), serve(folders[1], change, endpoint=again) as (two, _, _):
        pair = SAFE([one, two])
        await pair.answer(ASKED)
        before = len(up.requests)
        busy.append(True)
        answer = await pair.answer(ASKED, notes.run(seed=3))
        assert all("traceparent" in received.headers for received in up.requests[before:])
    starts = [noted.start for noted in notes.calls]
    assert {(start.agent, start.model, start.node, start.indices) for start in starts} == {
        ("tiny", "tiny", "answer", (0,)),
        ("box", "tiny", "answer", (0,)),
    }
    logs = [noted.log for noted in notes.calls]
    assert [log for log in logs if log != ["ok"]] == [["upstream_bad_reply 503", "ok"]]
    assert Usage.total(noted.end.usage for noted in notes.calls if noted.end is not None) == answer.usage


async def test_as_a_name_over_configured_models(folders: Folders, tmp_path: Path) -> None:
    """`safe/A+B` takes models as `quorate.yaml` has them, with a tokenizer of one's own choice."""
    async with serve(folders[0], about={}) as (_, _, up):
        file = tmp_path / "quorate.yaml"
        served = f"{{base_url: {up.url}, model: tiny, tokenizer: {folders[0]}, hedge: {{}}}}"
        file.write_text(f"models:\n  there: {served}\n  here: {{type: embedded, model: {folders[1]}}}\n")
        catalog = load_config(file).catalog()
        ensemble = catalog.resolve("safe/there+here")
        assert isinstance(ensemble, SAFE)
        answer = await ensemble.answer(ASKED, seed=3)
    assert answer.text == (await write_together(*map(Embedded, folders))).text


async def test_samples_repeat(folders: Folders) -> None:
    """With a temperature the server draws the drafts, by seeds that follow from the run's."""
    hot = ASKED.with_params(temperature=1.5, max_tokens=10)
    async with serve(folders[0]) as (one, _, up), serve(folders[1]) as (two, _, _):
        first, again, other = [await write_together(one, two, question=hot, seed=seed) for seed in (1, 1, 2)]
        seeds = {r.body["seed"] for r in up.requests if r.body.get("seed") is not None}
    assert first.text == again.text != other.text
    assert len(seeds) > 2


async def test_usage_is_the_server_s(folders: Folders) -> None:
    """The ledger holds what the servers counted, tries and money included."""
    price = {"price": Price(prompt=1e6, completion=2e6)}
    async with serve(folders[0], endpoint=price) as (one, here, up), serve(folders[1]) as (two, there, _):
        await open_tokens(one), await open_tokens(two)
        probes = len(up.requests)
        here.counts.clear()
        there.counts.clear()
        pair = SAFE([one, Embedded(folders[1])])
        answer = await pair.answer(ASKED, seed=3)
        [drafted] = [stage.usage for stage in answer.nodes if stage.model == one.name]
        both = await SAFE([Embedded(folders[0]), two]).answer(ASKED, seed=3)
        [judged] = [stage.usage for stage in both.nodes if stage.model == two.name]
    for usage, counts in ((drafted, here.counts), (judged, there.counts)):
        assert usage.prompt_tokens == sum(count["prompt_tokens"] for count in counts)
        assert usage.completion_tokens == sum(count["completion_tokens"] for count in counts)
        assert usage.requests == len(counts)
        assert not usage.estimated
    assert drafted.requests == len(up.requests) - probes
    assert drafted.cost == drafted.prompt_tokens + 2 * drafted.completion_tokens


async def test_usage_without_counts(folders: Folders) -> None:
    """Where a server does not count, ours is marked as such."""
    async with serve(folders[0], counted=False) as (agent, _, _):
        model = await open_tokens(agent)
        [draft] = await model.draft([DraftAsk("a", prompt_of(model), 4)])
    assert draft.usage is not None
    assert draft.usage.estimated
    assert draft.usage.prompt_tokens == len(prompt_of(model))
    assert draft.usage.completion_tokens == len(draft.tokens)


@pytest.mark.parametrize(("most", "k"), [(20, 20), (5, 5), (7, 5)])
async def test_a_server_that_tells_the_best_few(folders: Folders, most: int, k: int) -> None:
    """As many as it allows are asked for; others are bounded by the last, and the answer says so."""
    async with serve(folders[0], most=most) as (agent, _, _):
        model = await open_tokens(agent)
        [scores] = await model.score([ScoreAsk("a", prompt_of(model), [5])])
        [distribution] = scores.distributions
        answer = await write_together(Embedded(folders[1]), agent, rule=EnsembleRule(EveryToken(), GaC()))
    listed = dict(distribution.top(400))
    assert len(listed) == k
    assert not distribution.exact
    unlisted = next(token for token in range(model.vocabulary.size) if token not in listed)
    assert distribution.logprob(unlisted) == min(listed.values())
    assert [note.code for note in answer.degraded] == ["probabilities_bounded"]


REFUSALS: dict[str, tuple[dict[str, Any], str]] = {
    "no log-probabilities": ({"silent": True}, "log-probabilities by token id .*return_tokens_as_token_ids"),
    "no ids": ({"words": True}, "by token id"),
    "none allowed": ({"most": 0}, "greater than max allowed"),
    "no tokenizer told": ({"about": {"max_model_len": 9}}, "set `tokenizer`"),
    "no tokenizer there": ({"about": {"root": "/nowhere/to/be/found"}}, "set `tokenizer`"),
}


@pytest.mark.parametrize("case", REFUSALS)
async def test_what_a_server_lacks(folders: Folders, case: str) -> None:
    """A server that cannot do this is refused before anything is written, in words that say what to do."""
    settings, words = REFUSALS[case]
    async with serve(folders[0], **settings) as (agent, _, _):
        with pytest.raises(BadInput, match=words):
            await open_tokens(agent)
        with pytest.raises(NoAnswer, match=words) as raised:
            await write_together(Embedded(folders[1]), agent)
    assert raised.value.status == 400


async def test_another_tokenizer(folders: Folders, tmp_path: Path) -> None:
    """A tokenizer that reads a text otherwise than the server is refused; the right one is taken from its folder."""
    async with serve(folders[0], endpoint={"tokenizer": "quorate-tiny-base"}) as (agent, _, _):
        with pytest.raises(BadInput, match="not the server's"):
            await open_tokens(agent)
    async with serve(folders[0], about={}, endpoint={"tokenizer": folders[0]}) as (agent, _, _):
        assert (await open_tokens(agent)).context == CONTEXT
    async with serve(folders[0], endpoint={"tokenizer": tmp_path}) as (agent, _, _):
        with pytest.raises(BadInput, match="no tokenizer in"):
            await open_tokens(agent)


async def test_a_server_without_tokenize(folders: Folders) -> None:
    """The tokenizer is then taken on trust."""

    def change(received: Received, speaking: Callable[[Received], Step]) -> Step:
        return Fault.status(404, "Not Found") if received.path == "/tokenize" else speaking(received)

    async with serve(folders[0], change) as (agent, _, _):
        model = await open_tokens(agent)
        assert prompt_of(model) == await asyncio.to_thread(prompt_of, model)
        assert (await write_together(agent, Embedded(folders[1]))).text


async def test_the_server_s_own_template(folders: Folders) -> None:
    """Where the server puts conversations otherwise than the tokenizer here, it does so for us too."""

    def template(messages: Any) -> str:
        return "<|system|>brief<|end|>" + "".join(f"<|user|>{message.content}<|end|>" for message in messages)

    async with serve(folders[0], template=template) as (agent, _, _):
        model = await open_tokens(agent)
        prompt = await asyncio.to_thread(prompt_of, model)
        plain = Embedded(folders[0]).token_model()
        await plain.open()
        assert prompt != prompt_of(plain)
        text = template([Message(role="user", content=ASKED.text)])
        assert (
            b"".join(model.vocabulary.bytes_of(token) or b"" for token in prompt)
            == text.replace("<|system|>", "").replace("<|end|>", "").replace("<|user|>", "").encode()
        )


async def test_a_question_beyond_the_context(folders: Folders) -> None:
    """The drafter's is an error of status 400; a verifier's loses the verifier."""
    long = Question.of("apples " * 400).with_params(max_tokens=8, temperature=0)
    async with serve(folders[0]) as (agent, _, up):
        with pytest.raises(NoAnswer, match="shorten") as raised:
            await write_together(agent, Embedded(folders[1]), question=long)
        assert raised.value.status == 400
        assert all(len(r.body.get("prompt", "")) < CONTEXT for r in up.requests)
    roomy = build(folders[0].parent / "roomy", seed=3, context=4 * CONTEXT)
    async with serve(folders[0]) as (agent, _, _):
        answer = await write_together(Embedded(roomy), agent, question=long)
    assert answer.text
    assert [note.code for note in answer.degraded] == ["verifier_lost"]


async def test_a_context_that_nobody_told(folders: Folders) -> None:
    """The server's own refusal, where it has less room than was known."""
    about = {"root": str(folders[0]), "max_model_len": 100 * CONTEXT}
    long = Question.of("apples " * 400).with_params(max_tokens=8, temperature=0)
    async with serve(folders[0], about=about) as (agent, _, _):
        with pytest.raises(NoAnswer, match="maximum context length") as raised:
            await write_together(agent, Embedded(folders[1]), question=long)
    assert raised.value.status == 400


def die_after(after: int, step: Step) -> Callable[[Received, Callable[[Received], Step]], Step]:
    """Completions go wrong after so many of them."""
    left = [after]

    def change(received: Received, speaking: Callable[[Received], Step]) -> Step:
        if received.path == "/v1/completions":
            left[0] -= 1
        return speaking(received) if left[0] >= 0 else step

    return change


GARBAGE = Raw([b'{"choices": []}'], content_type="application/json")


@pytest.mark.parametrize("step", [Fault.close(), Fault.status(500), GARBAGE])
async def test_a_verifier_that_dies_midway(folders: Folders, step: Step) -> None:
    """The rest go on, the answer is whole and says whom it lost; what the verifier had cost stays counted."""
    question = ASKED.with_params(max_tokens=60)
    async with serve(folders[1], die_after(3, step)) as (agent, speaking, _):
        answer = await write_together(Embedded(folders[0]), agent, question=question)
    assert answer.text
    assert [note.code for note in answer.degraded] == ["verifier_lost"]
    assert "tiny" in (answer.degraded[0].detail or "")
    [judged] = [stage.usage for stage in answer.nodes if stage.model == "tiny"]
    counted = sum(count["prompt_tokens"] for count in speaking.counts[1:])
    assert judged.prompt_tokens >= counted if judged.estimated else judged.prompt_tokens == counted
    assert judged.estimated == (step is GARBAGE)


async def test_a_drafter_that_dies_midway(folders: Folders) -> None:
    """Nobody can go on without it: the failure has the server's status."""
    async with serve(folders[0], die_after(3, Fault.status(503, "gone"))) as (agent, _, _):
        with pytest.raises(NoAnswer, match="gone") as raised:
            await write_together(agent, Embedded(folders[1]), question=ASKED.with_params(max_tokens=60))
    assert raised.value.status == 503


@pytest.mark.parametrize("step", [Fault.close(), Fault.status(500), GARBAGE])
async def test_a_call_in_vain_is_told_with_its_error(folders: Folders, step: Step) -> None:
    """And with what is counted for it."""
    notes, counted = Notes(), MemberUsage()
    async with serve(folders[0], die_after(1, step)) as (agent, _, up):
        model = await open_tokens(agent)
        with pytest.raises(UpstreamError) as raised:
            await model.draft([DraftAsk("a", prompt_of(model), 4, spend=counted.add, run=notes.run())])
    [noted] = notes.calls
    assert noted.log[-1] == raised.value.code
    assert noted.start.server == up.url
    assert noted.end is not None
    assert noted.end.usage == counted.usage


async def test_a_try_in_vain_is_counted(folders: Folders) -> None:
    """A server that is busy for a moment is asked again, and both requests count."""
    busy = [False]

    def change(received: Received, speaking: Callable[[Received], Step]) -> Step:
        if busy and busy.pop():
            return Fault.status(429, "busy", retry_after=0)
        return speaking(received)

    async with serve(folders[0], change, endpoint={"retries": RetryPolicy(backoff=0.01)}) as (agent, _, _):
        model = await open_tokens(agent)
        busy.append(True)
        [draft] = await model.draft([DraftAsk("a", prompt_of(model), 4)])
    assert draft.usage is not None
    assert draft.usage.requests == 2


async def test_a_cancelled_answer_ends_upstream(folders: Folders) -> None:
    """Whoever stops listening leaves no request behind; what it may have cost is in the ledger, marked as a guess."""
    async with serve(folders[0], die_after(3, Fault.hang())) as (agent, speaking, up):
        drawing = Drawing.of([0], live=True, seed=3, notes=(notes := Notes()))
        pair = SAFE([agent, Embedded(folders[1])])
        task = asyncio.create_task(drawing.draw(pair, ASKED.with_params(max_tokens=60)))
        await up.wait_until(lambda up: up.in_flight == 1 and completions(up) == 4)
        await drawing.let_go(task)
        assert task.cancelled()
        await up.wait_until(lambda up: up.in_flight == 0)
        assert up.requests[-1].disconnected
    [usage] = [stage.usage for stage in drawing.run.ledger.nodes if stage.model == "tiny"]
    assert usage.requests == 3
    assert usage.estimated
    cut = len(up.requests[-1].body["prompt"])
    assert usage.prompt_tokens == cut + sum(count["prompt_tokens"] for count in speaking.counts[1:])
    assert drawing.one.finish_reason == "cancelled"
    assert notes.calls[-1].log == ["cancelled"]


def completions(up: ScriptedUpstream) -> int:
    return sum(received.path == "/v1/completions" for received in up.requests)


def reply_of(tokens: list[Any], likeliest: list[Any]) -> dict[str, Any]:
    return {"choices": [{"index": 0, "logprobs": {"tokens": tokens, "top_logprobs": likeliest}}]}


BROKEN: dict[str, dict[str, Any]] = {
    "choices": {"choices": []},
    "index": {"choices": [{"index": 4}]},
    "lengths": reply_of(["token_id:3"], []),
    "entries": reply_of(["token_id:3"], [None]),
    "ids": reply_of(["a"], [{"a": -1}]),
    "numbers": reply_of(["token_id:3"], [{"token_id:3": float("nan")}]),
    "padding": reply_of(["token_id:9999"], [{"token_id:9999": -1}]),
    "none": reply_of([], []),
}


@pytest.mark.parametrize("reply", BROKEN)
async def test_replies_that_are_no_replies(folders: Folders, reply: str) -> None:
    """Whatever a server sends, it is one error that names the server."""
    raw = Raw([json.dumps(BROKEN[reply]).encode()], content_type="application/json")
    async with serve(folders[0], die_after(1, raw)) as (agent, _, up):
        model = await open_tokens(agent)
        for call in (model.draft([DraftAsk("a", [5], 4)]), model.score([ScoreAsk("a", [5], [1])])):
            with pytest.raises(BadReply, match=up.url.removesuffix("/v1")):
                await call


async def test_an_error_in_place_of_a_reply(folders: Folders) -> None:
    """An error under a status of 200 keeps its own status."""
    raw = Raw([b'{"error": {"message": "no such model", "code": 404}}'], content_type="application/json")
    async with serve(folders[0], die_after(1, raw)) as (agent, _, _):
        model = await open_tokens(agent)
        with pytest.raises(Rejected, match="no such model"):
            await model.draft([DraftAsk("a", [5], 4, draw=Draw(1.0, [0.5] * 4, 1))])


async def test_an_unknown_model(folders: Folders) -> None:
    """The server's 404 survives."""

    def change(received: Received, speaking: Callable[[Received], Step]) -> Step:
        return Fault.status(404, "no model tiny") if received.path == "/v1/completions" else speaking(received)

    async with serve(folders[0], change) as (agent, _, _):
        with pytest.raises(UpstreamError, match="no model tiny") as raised:
            await open_tokens(agent)
    assert raised.value.status == 404
