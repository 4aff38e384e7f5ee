"""Plain chat completions through the official client."""

from __future__ import annotations

import asyncio

import pytest
from openai import AsyncOpenAI, OpenAI
from openai.types.chat import ChatCompletion

from quorate.orchestrator.context import RunContext, derive_seed
from quorate.orchestrator.pipeline import cascade, sample
from quorate.orchestrator.types import Answer, Candidate, Failure, Question, Sampled, TokenLogprob

from ..conftest import Start, asked
from ..scripted import Echo, Merged, Plurality

ANSWERS = ["42", "41", "42", "40"]


def vote(say: list[str] | None = None) -> Echo:
    """A model whose samples are these texts, by index."""
    texts = say or ANSWERS
    return Echo(say=lambda _, index: texts[index])


async def test_answers_of_a_single_model_have_openais_form(start: Start) -> None:
    """A bare model passes through: text, finish reason, usage, and the asked model's name."""
    async with start(Echo()) as served:
        reply = await served.openai.chat.completions.create(**asked("héllo 🙂 wörld"))
    assert reply.object == "chat.completion"
    assert reply.id.startswith("chatcmpl-")
    assert reply.model == "echo"
    assert reply.choices[0].message.content == "héllo 🙂 wörld"
    assert reply.choices[0].finish_reason == "stop"
    assert reply.choices[0].logprobs is None
    assert reply.usage is not None
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens, reply.usage.total_tokens) == (3, 3, 6)


async def test_the_synchronous_client_works_too(start: Start) -> None:
    """The same from the client that most scripts use."""
    async with start(Echo()) as served:

        def ask() -> str | None:
            with OpenAI(base_url=f"{served.url}/v1", api_key="any") as client:
                reply: ChatCompletion = client.chat.completions.create(**asked("hi"))
                return reply.choices[0].message.content

        assert await asyncio.to_thread(ask) == "hi"


async def test_a_vote_tells_how_it_came_about(start: Start) -> None:
    """The `quorate` object holds answer, tally, why it stopped and usage by stage; with trace the candidates."""
    model = vote()
    async with start(model, pipelines={"vote": sample(model, n=4) | Plurality()}) as served:
        plain = await served.post(model="vote")
        traced = await served.post(model="vote", quorate={"trace": True})
    told = plain.json()["quorate"]
    assert plain.json()["choices"][0]["message"]["content"] == "42"
    assert told["answer"] == "42"
    first = {"answer": "42", "votes": 2, "weight": 2.0, "voters": [0, 2], "certain": True, "undecided": False}
    assert told["tally"][0] == first
    assert told["agreement"]["share"] == 0.5
    assert told["stopped"] == "complete"
    assert told["degraded"] == []
    assert told["usage"]["nodes"][0]["node"] == "sample"
    assert told["usage"]["nodes"][0]["completion_tokens"] == 4
    assert "candidates" not in told
    assert [c["text"] for c in traced.json()["quorate"]["candidates"]] == ANSWERS


async def test_usage_counts_every_stage(start: Start) -> None:
    """The reply's usage is the sum over samples and the aggregator's own calls."""
    model = vote()
    async with start(model, pipelines={"fused": sample(model, n=4) | Merged()}) as served:
        body = (await served.post(model="fused")).json()
    assert body["choices"][0]["message"]["content"] == "42+41+42+40"
    assert body["choices"][0]["message"]["reasoning_content"] == "hm"
    assert body["usage"]["prompt_tokens"] == 13
    assert body["usage"]["completion_tokens"] == 8
    stages = body["quorate"]["usage"]["nodes"]
    assert [(s["node"], s["model"], s["completion_tokens"]) for s in stages] == [
        ("sample", "echo", 4),
        ("aggregate", "merger", 4),
    ]


async def test_settings_reach_the_model(start: Start) -> None:
    """Every sampling setting arrives; unknown fields travel on; what is about the caller or null does not."""
    model = Echo()
    given = {
        "temperature": 0.3,
        "top_p": 0.9,
        "top_k": 7,
        "seed": 11,
        "stop": ["\n", "END"],
        "max_tokens": 10,
        "max_completion_tokens": 20,
        "logprobs": True,
        "top_logprobs": 2,
        "presence_penalty": 0.5,
        "logit_bias": {"5": -100},
        "min_p": 0.1,
        "frequency_penalty": None,
        "user": "me",
        "tools": [{"type": "function", "function": {"name": "f"}}],
        "tool_choice": "auto",
        "response_format": {"type": "json_object"},
    }
    async with start(model) as served:
        reply = await served.post(**given)
    assert reply.status_code == 200
    question = model.questions[0]
    settings = question.sampling.model_dump(exclude={"extra"})
    assert settings == {
        "temperature": 0.3,
        "top_p": 0.9,
        "top_k": 7,
        "seed": 11,
        "stop": ("\n", "END"),
        "max_tokens": 20,
        "top_logprobs": 2,
    }
    assert question.sampling.extra == {"presence_penalty": 0.5, "logit_bias": {"5": -100}, "min_p": 0.1}
    assert question.tools == ({"type": "function", "function": {"name": "f"}},)
    assert question.tool_choice == "auto"
    assert question.response_format == {"type": "json_object"}
    assert model.runs[0].seed == 11
    assert not model.runs[0].live


async def test_message_parts_pass_through(start: Start) -> None:
    """Content in parts, images among them, reaches the model as it was sent."""
    parts = [{"type": "text", "text": "what is it?"}, {"type": "image_url", "image_url": {"url": "data:,x"}}]
    model = Echo()
    async with start(model) as served:
        reply = await served.post(messages=[{"role": "user", "content": parts, "name": "ann"}])
    assert reply.json()["choices"][0]["message"]["content"] == "what is it?"
    message = model.questions[0].messages[0]
    assert message.content == tuple(parts)
    assert message.model_dump()["name"] == "ann"


async def test_n_gives_independent_choices(start: Start) -> None:
    """Every choice has a seed of its own derived from the request's, the first the request's itself."""
    model = Echo(say=lambda question, index: f"seed {question.sampling.seed}")
    async with start(model) as served:
        reply = (await served.post(n=3, seed=5)).json()
        again = (await served.post(n=3, seed=5)).json()
    seeds = [5, derive_seed(5, "choice", 1), derive_seed(5, "choice", 2)]
    assert [c["message"]["content"] for c in reply["choices"]] == [f"seed {seed}" for seed in seeds]
    assert [c["index"] for c in reply["choices"]] == [0, 1, 2]
    assert reply["usage"]["prompt_tokens"] == 9
    assert reply["quorate"]["usage"]["prompt_tokens"] == 9
    assert [c["quorate"]["usage"]["prompt_tokens"] for c in reply["choices"]] == [3, 3, 3]
    assert [c["message"] for c in again["choices"]] == [c["message"] for c in reply["choices"]]


async def test_a_failed_choice_leaves_the_others(start: Start) -> None:
    """One of three choices fails: two are returned, and `degraded` tells of the third."""
    failing = derive_seed(5, "choice", 1)
    model = Echo(
        say=lambda q, _: (
            Failure(code="upstream_timeout", message="too slow", status=504) if q.sampling.seed == failing else "fine"
        )
    )
    async with start(model) as served:
        reply = (await served.post(n=3, seed=5)).json()
    assert [c["index"] for c in reply["choices"]] == [0, 2]
    assert reply["quorate"]["degraded"] == [{"code": "choice_failed", "where": "choice 1", "detail": "too slow"}]


async def test_pipelines_are_chosen_per_request(start: Start) -> None:
    """`quorate.pipeline` names a configured pipeline and `quorate.n` its samples."""
    model = vote()
    async with start(model, pipelines={"vote": sample(model, n=2) | Plurality()}) as served:
        two = (await served.post(quorate={"pipeline": "vote", "trace": True})).json()
        four = (await served.post(quorate={"pipeline": "vote", "n": 4, "trace": True})).json()
        named = (await served.post(quorate={"pipeline": "vote@3", "trace": True})).json()
    assert [len(r["quorate"]["candidates"]) for r in (two, four, named)] == [2, 4, 3]


async def test_a_budget_ends_a_vote_early(start: Start) -> None:
    """`quorate.budget` gives the best answer so far, marked as such."""
    model = vote()
    async with start(model, pipelines={"vote": sample(model, n=4) | Plurality()}) as served:
        told = (await served.post(model="vote", quorate={"budget": {"samples": 1}})).json()["quorate"]
    assert told["stopped"] == "budget: 1 samples"
    assert [d["code"] for d in told["degraded"]] == ["budget_exhausted"]
    assert told["tally"][0]["votes"] == 1


async def test_tool_calls_are_kept(start: Start) -> None:
    """A model that calls a tool: content is null, the calls are there."""
    call = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": "{}"}}
    model = Echo(say=lambda *_: Candidate(index=0, model="echo", tool_calls=(call,), finish_reason="tool_calls"))
    async with start(model) as served:
        reply = await served.openai.chat.completions.create(**asked())
    message = reply.choices[0].message
    assert message.content is None
    assert message.tool_calls is not None
    assert message.tool_calls[0].model_dump() == call
    assert reply.choices[0].finish_reason == "tool_calls"


async def test_empty_text_is_not_null(start: Start) -> None:
    """A model that says nothing gives an empty string, which clients can concatenate."""
    async with start(Echo(say=lambda *_: "")) as served:
        assert (await served.post()).json()["choices"][0]["message"]["content"] == ""


async def test_logprobs_are_those_of_the_answer(start: Start) -> None:
    """With `logprobs`, the winning candidate's tokens are reported in OpenAI's form."""
    async with start(Echo()) as served:
        reply = await served.openai.chat.completions.create(**asked("a é"), logprobs=True)
    logprobs = reply.choices[0].logprobs
    assert logprobs is not None
    assert logprobs.content is not None
    assert [(t.token, t.logprob, t.bytes) for t in logprobs.content] == [("a", -0.5, [97]), ("é", -0.5, [195, 169])]


async def test_half_a_surrogate_pair_is_replaced(start: Start) -> None:
    """Text that UTF-8 cannot hold, as some models write, does not fail the reply."""
    async with start(Echo(say=lambda *_: "a\ud800b")) as served:
        assert (await served.post()).json()["choices"][0]["message"]["content"] == "a?b"


async def test_requests_at_the_same_time_do_not_mix(start: Start) -> None:
    """Forty concurrent requests with different questions and settings each get their own answer back."""

    def say(question: Question, index: int) -> str:
        return f"{question.text} {question.sampling.temperature}"

    model = Echo(say=say)
    async with start(model, pipelines={"vote": sample(model, n=3) | Plurality()}) as served:

        async def ask(client: AsyncOpenAI, i: int) -> str | None:
            body = asked(f"question {i}") | {"model": ("echo", "vote")[i % 2], "temperature": i / 40}
            reply: ChatCompletion = await client.chat.completions.create(**body)
            return reply.choices[0].message.content

        answers = await asyncio.gather(*(ask(served.openai, i) for i in range(40)))
    assert answers == [f"question {i} {i / 40}" for i in range(40)]


async def test_models_are_closed_with_the_server(start: Start) -> None:
    """The server closes what it serves, so that no connection or worker stays behind."""
    model = Echo()
    async with start(model):
        assert model.closed == 0
    assert model.closed == 1


@pytest.mark.parametrize("given", ["abc-1.2_3", None, "with space", "x" * 200])
async def test_every_reply_has_a_request_id(start: Start, given: str | None) -> None:
    """The client's id where it is a plain one, else one of our own."""
    async with start(Echo()) as served:
        reply = await served.http.get("/health", headers={"x-request-id": given} if given else {})
    identity = reply.headers["x-request-id"]
    assert identity == given if given == "abc-1.2_3" else len(identity) == 32


class Last(Plurality):
    """The last candidate is the answer, whatever the others said."""

    async def aggregate(self, question: Question, sampled: Sampled, run: RunContext) -> Answer:
        return Answer.of(sampled.candidates[-1], model=self.name)


async def test_log_probabilities_are_those_of_the_candidate_that_was_selected(start: Start) -> None:
    """Not those of another one that said the same."""

    def say(logprob: float) -> Candidate:
        tokens = (TokenLogprob(token="4", logprob=logprob),)
        return Candidate(index=0, model="m", text="4", finish_reason="stop", logprobs=tokens)

    one, other = Echo("one", lambda *_: say(-0.5)), Echo("other", lambda *_: say(-0.125))
    async with start(pipelines={"last": sample([one, other], n=2) | Last()}) as served:
        reply = await served.post(model="last", logprobs=True)
    assert [token["logprob"] for token in reply.json()["choices"][0]["logprobs"]["content"]] == [-0.125]


async def test_a_reply_tells_the_way_through_the_graph(start: Start) -> None:
    """Of a pipeline the nodes with their seconds and outcomes, of a cascade which answer was taken; else nothing."""
    model = vote()
    small, large = sample(model, n=2) | Plurality(), sample(model, n=4) | Plurality()
    both = cascade(small.with_name("small"), large.with_name("large"), accept=0.5)
    async with start(model, pipelines={"vote": large, "both": both}) as served:
        bare = (await served.post()).json()["quorate"]
        voted = (await served.post(model="vote")).json()["quorate"]
        chosen = (await served.post(model="both")).json()["quorate"]
    assert "path" not in bare
    assert [(visit["node"], visit["outcome"]) for visit in voted["path"]] == [
        ("sample", "4 of 4 candidates; complete"),
        ("aggregate", "42"),
    ]
    assert all(visit["seconds"] >= 0 for visit in voted["path"])
    assert [visit["node"] for visit in chosen["path"]] == ["small"]
    assert chosen["route"] == "small: agreement 0.5, 0.5 needed"
    assert [each["node"] for each in chosen["usage"]["nodes"]] == ["small"]
