"""What a server refuses is found by trying, whatever its words are, remembered, and changes no sample."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from quorate import Endpoint, Question
from quorate.agents import RetryPolicy
from quorate.agents.endpoint.dialect import named_limit
from quorate.orchestrator.context import RunContext
from quorate.orchestrator.types import Message, SamplingParams
from quorate.testing import Fault, Raw, Reply, ScriptedUpstream, Step
from quorate.testing.upstream import Received

from .asking import Drawing, draw

QUICK = RetryPolicy(backoff=0.001)
BAD = "Bad Request"
Body = dict[str, Any]


def refusing(wrong: Callable[[Body], bool], words: str = BAD, status: int = 400) -> Callable[[Received], Step]:
    """A server that refuses some requests, and else answers with what makes its samples what they are."""

    def answer(received: Received) -> Step:
        body = received.body
        if wrong(body):
            return Fault.status(status, words)
        n = body.get("n", 1)
        return Reply([f"seed {body.get('seed')} choice {i} of {n}" for i in range(n)])

    return answer


def several(most: int = 1) -> Callable[[Body], bool]:
    return lambda body: body.get("n", 1) > most


def holds(*names: str) -> Callable[[Body], bool]:
    return lambda body: any(name in body for name in names)


async def ask_thrice(
    answer: Callable[[Received], Step], n: int, *, live: bool = False, question: Question | None = None
) -> tuple[list[Drawing], list[list[Body]]]:
    """Three times the same question with the same seed: what came, and what was sent each time."""
    async with ScriptedUpstream(answer) as up, Endpoint("m", base_url=up.url, retries=QUICK) as agent:
        results, sent = [], []
        for _ in range(3):
            before = len(up.requests)
            results.append(await draw(agent, n, live=live, seed=7, question=question or Question.of("?")))
            sent.append([r.body for r in up.requests[before:]])
    return results, sent


REFUSALS_OF_N = [
    (400, "Multiple candidates is not enabled for this model"),
    (400, "Only one completion choice is allowed"),
    (400, "n > 1 is not supported"),
    (400, BAD),
    (422, "Unprocessable Entity"),
    (405, ""),
    (501, "not implemented"),
    (500, "Internal Server Error"),
]


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize(("status", "words"), REFUSALS_OF_N)
async def test_a_server_without_n_is_found_out_once(status: int, words: str, live: bool) -> None:
    """Whatever it says; from then on there is one request a sample, and the samples are those of the first time."""
    results, sent = await ask_thrice(refusing(several(), words, status), 4, live=live)
    assert all(c.ok for result in results for c in result.candidates)
    assert [r.texts for r in results] == [results[0].texts] * 3
    assert len(set(results[0].texts)) == 4
    assert [len(bodies) for bodies in sent[1:]] == [4, 4]
    assert not any("n" in body for bodies in sent[1:] for body in bodies)


@pytest.mark.parametrize(
    "words",
    [
        "n must be <= 8",
        "`n` must be at most 8, got 20",
        "n must be between 1 and 8",
        "Input should be less than or equal to 8",
        "n must be less than 9",
        "The maximum number of completions is 8.",
    ],
)
async def test_a_refusal_that_names_a_maximum_caps_n(words: str) -> None:
    """The samples come in as few requests as it bears, the same ones each time."""
    results, sent = await ask_thrice(refusing(several(8), words), 20)
    assert [r.texts for r in results] == [results[0].texts] * 3
    assert [body.get("n") for body in sent[0]] == [20, 8, 8, 4]
    assert [sorted(body["n"] for body in bodies) for bodies in sent[1:]] == [[4, 8, 8]] * 2


async def test_a_number_that_is_no_maximum_does_no_harm() -> None:
    """It is tried, and then there is one sample a request."""
    results, sent = await ask_thrice(refusing(several(), "see section 3 of the manual"), 4)
    assert [r.texts for r in results] == [results[0].texts] * 3
    assert [body.get("n") for body in sent[0]] == [4, 3, None, None, None, None]
    assert len(sent[1]) == 4


@pytest.mark.parametrize(
    ("words", "n", "limit"),
    [
        ("n must be <= 8", 16, 8),
        ("n must be < 8", 16, 7),
        ("fewer than 8", 16, 7),
        ("less than or equal to 8", 16, 8),
        ("HTTP 400: got 16, at most 4", 16, 4),
        ("n must be 1", 16, None),
        ("gpt-4.5 does not support n", 16, None),
        ("n=3 is too many", 3, None),
    ],
)
def test_maxima_are_read_from_words(words: str, n: int, limit: int | None) -> None:
    """Several, and fewer than were asked for."""
    assert named_limit(words, n) == limit


async def test_a_server_that_ignores_n_gives_the_same_samples_each_time() -> None:
    """The first sample was drawn by the seed of all, and is so from then on."""

    def answer(received: Received) -> Step:
        return Reply(f"seed {received.body.get('seed')}")

    async with ScriptedUpstream(answer, ignores=("n",)) as up, Endpoint("m", base_url=up.url) as agent:
        texts = [(await draw(agent, 4, seed=7)).texts for _ in range(3)]
    assert texts == [texts[0]] * 3
    assert len(set(texts[0])) == 4
    assert [r.body.get("n") for r in up.requests] == [4, *[None] * 11]


async def test_choices_that_are_left_out_are_asked_for_again() -> None:
    """A server that gives two of what is asked for is not one that ignores it."""

    def answer(received: Received) -> Step:
        n = min(received.body.get("n", 1), 2)
        choices = [{"index": i, "message": {"content": f"{received.body['seed']} {i}"}} for i in range(n)]
        return Fault.bad_body(str({"choices": choices}).replace("'", '"').encode())

    async with ScriptedUpstream(answer) as up, Endpoint("m", base_url=up.url) as agent:
        texts = [(await draw(agent, 5, seed=7)).texts for _ in range(3)]
    assert texts == [texts[0]] * 3
    assert len(set(texts[0])) == 5
    assert [r.body.get("n") for r in up.requests] == [5, 3, None] * 3


@pytest.mark.parametrize("words", [BAD, "Unrecognized request argument: {}"])
@pytest.mark.parametrize(
    ("name", "sampling"),
    [
        ("seed", SamplingParams(max_tokens=9, temperature=0.5)),
        ("logprobs", SamplingParams(max_tokens=9, top_logprobs=3)),
        ("stream_options", SamplingParams(max_tokens=9)),
        ("max_tokens", SamplingParams(max_tokens=9, temperature=0.5)),
        ("top_k", SamplingParams(top_k=20, temperature=0.5)),
        ("temperature", SamplingParams(max_tokens=9, temperature=0.5)),
    ],
)
async def test_a_setting_that_is_refused_is_left_out(name: str, sampling: SamplingParams, words: str) -> None:
    """Found once; the rest of the request stays as it is."""
    question = Question.of("?").model_copy(update={"sampling": sampling})
    results, sent = await ask_thrice(refusing(holds(name), words.format(name)), 1, live=True, question=question)
    assert all(r.one.ok for r in results)
    assert [len(bodies) for bodies in sent[1:]] == [1, 1]
    [last] = sent[2]
    assert name not in last
    wanted = {"stream", "stream_options", "max_tokens", "max_completion_tokens", "temperature", "top_k", "seed"}
    assert wanted & set(sent[0][0]) - {name} <= set(last)
    told = [note.code for note in results[2].one.degraded]
    expected = {"temperature": ["setting_refused"], "top_k": ["setting_refused"], "logprobs": ["logprobs_missing"]}
    assert told == expected.get(name, [])
    assert (results[2].one.seed is None) is (name == "seed")


async def test_settings_without_which_samples_are_others_are_told() -> None:
    """With their value, since another value may be taken."""
    question = Question.of("?").with_params(temperature=0.7)
    answer = refusing(lambda body: body.get("temperature", 1) != 1, "Only the default (1) value is supported")
    async with ScriptedUpstream(answer) as up, Endpoint("m", base_url=up.url) as agent:
        notes = [(await draw(agent, question=question)).one.degraded for _ in range(2)]
        await draw(agent, question=Question.of("?").with_params(temperature=1.0))
    assert [note.detail.split(" was")[0] for each in notes for note in each] == ["temperature=0.7"] * 2
    assert [body.body.get("temperature") for body in up.requests] == [0.7, None, None, 1.0]


@pytest.mark.parametrize("words", ["System role not supported", BAD])
@pytest.mark.parametrize("role", ["system", "developer"])
async def test_a_system_is_said_by_the_user_where_there_is_none(words: str, role: str) -> None:
    """Before what the user says first."""
    messages = (
        Message(role=role, content="Be brief."),
        Message(role="user", content="Hi"),
        Message(role="assistant", content="Yes?"),
        Message(role="user", content="Go on"),
    )
    answer = refusing(lambda body: body["messages"][0]["role"] != "user", words)
    results, sent = await ask_thrice(answer, 2, question=Question(messages=messages))
    assert all(c.ok for r in results for c in r.candidates)
    assert [len(bodies) for bodies in sent[1:]] == [1, 1]
    assert [(m["role"], m["content"]) for m in sent[2][0]["messages"]] == [
        ("user", "Be brief.\n\nHi"),
        ("assistant", "Yes?"),
        ("user", "Go on"),
    ]


async def test_a_system_beside_an_image_stays_a_part() -> None:
    """Parts are kept as they are."""
    image = {"type": "image_url", "image_url": {"url": "data:,"}}
    messages = (Message(role="system", content="Be brief."), Message(role="user", content=(image,)))
    answer = refusing(lambda body: body["messages"][0]["role"] == "system", "no system, please")
    _, sent = await ask_thrice(answer, 1, question=Question(messages=messages))
    assert sent[2][0]["messages"] == [{"role": "user", "content": [{"type": "text", "text": "Be brief."}, image]}]


async def test_several_refused_settings_are_found_one_after_the_other() -> None:
    """With `n` among them, in words that say nothing."""
    question = Question.of("?").with_params(max_tokens=9, top_logprobs=1)
    wrong = holds("seed", "logprobs", "n")
    results, sent = await ask_thrice(refusing(wrong), 3, question=question)
    assert all(c.ok for r in results for c in r.candidates)
    assert [len(bodies) for bodies in sent[2:]] == [3]
    assert results[1].texts == results[2].texts


async def test_a_request_that_is_bad_in_every_form_fails_with_the_servers_words() -> None:
    """After some tries at first, and at once where the server has been served before."""
    question = Question.of("?").with_params(temperature=0.5, max_tokens=5)

    def answer(received: Received) -> Step:
        broken = "broken" in str(received.body["messages"])
        return Fault.status(400, "cannot render the template") if broken else Reply("x")

    async with ScriptedUpstream(answer) as up, Endpoint("m", base_url=up.url) as agent:
        await draw(agent, question=question, seed=1)
        bad = question.model_copy(update={"messages": (Message(role="user", content="broken"),)})
        candidate = (await draw(agent, question=bad, seed=1)).one
        again = (await draw(agent, question=question, seed=1)).one
    assert candidate.error is not None
    assert "cannot render the template" in candidate.error.message
    assert (len(up.requests), again.degraded) == (3, ())
    assert up.requests[-1].body["temperature"] == 0.5


async def test_a_prompt_that_is_too_long_is_no_matter_of_settings() -> None:
    """Nor is a wrong key or a missing model."""
    for status, words in ((400, "maximum context length is 600 tokens"), (401, "key"), (404, "no such model")):
        async with ScriptedUpstream(Fault.status(status, words)) as up, Endpoint("m", base_url=up.url) as agent:
            question = Question.of("?").with_params(temperature=0.5, max_tokens=5)
            candidate = (await draw(agent, question=question, live=True)).one
        assert candidate.error is not None
        assert (candidate.error.status, len(up.requests)) == (status, 1)


async def test_the_callers_own_fields_are_never_left_out() -> None:
    """They are sent whatever the server says."""
    question = Question.of("?").with_params(extra={"top_k": 3, "seed": 4})
    async with ScriptedUpstream(refusing(holds("top_k", "seed"))) as up, Endpoint("m", base_url=up.url) as agent:
        assert not (await draw(agent, question=question)).one.ok
    assert [(r.body["top_k"], r.body["seed"]) for r in up.requests] == [(3, 4)]


async def test_a_refusal_under_a_good_status_is_one() -> None:
    """A gateway's way of saying no."""

    def answer(received: Received) -> Step:
        if received.body.get("n", 1) > 1:
            return Raw([b'{"error": {"message": "n > 1 is not supported"}}'], content_type="application/json")
        return Reply("x")

    results, sent = await ask_thrice(answer, 3)
    assert all(c.ok for r in results for c in r.candidates)
    assert len(sent[1]) == 3


async def test_every_refused_try_is_on_the_account() -> None:
    """Of the first sample."""
    async with ScriptedUpstream(refusing(holds("seed", "n"))) as up, Endpoint("m", base_url=up.url) as agent:
        result = await draw(agent, 3, seed=1)
    assert result.spent.requests == len(up.requests)
    assert [c.usage.requests for c in result.candidates][1:] == [1, 1]


async def test_a_server_that_is_down_is_not_asked_for_each_sample() -> None:
    """One more by itself, since several at once may have been too much, and then no more."""
    async with (
        ScriptedUpstream(Fault.status(500)) as up,
        Endpoint("m", base_url=up.url, retries=RetryPolicy(attempts=1)) as agent,
    ):
        result = await draw(agent, 8)
    assert [c.error.status for c in result.candidates if c.error] == [500] * 8
    assert len(up.requests) == 2


def test_one_seed_makes_different_seeds_for_one_and_for_several() -> None:
    """So the plan by which samples are drawn has to stay the same."""
    run = RunContext(seed=7)
    assert run.request_seed([0, 1]) != run.sample_seed(0)
