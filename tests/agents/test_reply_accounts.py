"""What replies count, and what comes with their texts; over sockets."""

from __future__ import annotations

import json
from typing import Any

import pytest

from .replies import GOOD, USAGE, delta, message, read, stream


@pytest.mark.parametrize(
    ("usage", "counted", "estimated"),
    [
        (USAGE, (5, 7, 0), False),
        ({"prompt_tokens": 5.0, "completion_tokens": 7.0, "total_tokens": 12.0}, (5, 7, 0), False),
        ({"prompt_tokens": 5, "completion_tokens": 7}, (5, 7, 0), False),
        ({"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 0}, (5, 7, 0), False),
        ({"input_tokens": 5, "output_tokens": 7}, (5, 7, 0), False),
        ({"promptTokens": 5, "completionTokens": 7}, (5, 7, 0), False),
        ({**USAGE, "input_tokens": 0, "output_tokens": 0}, (5, 7, 0), False),
        ({"prompt_tokens": 0, "completion_tokens": 0, "input_tokens": 5, "output_tokens": 7}, (5, 7, 0), False),
        ({"input_tokens": 2, "cache_read_input_tokens": 3, "output_tokens": 7}, (5, 7, 0), False),
        ({"prompt_tokens": 5, "total_tokens": 12}, (5, 7, 0), False),
        ({**USAGE, "completion_tokens_details": {"reasoning_tokens": 4}}, (5, 7, 4), False),
        ({"input_tokens": 5, "output_tokens": 7, "output_tokens_details": {"reasoning_tokens": 4}}, (5, 7, 4), False),
        ({**USAGE, "total_tokens": 329, "completion_tokens_details": {"reasoning_tokens": 317}}, (5, 324, 317), False),
        ({**USAGE, "total_tokens": 15, "completion_tokens_details": {"reasoning_tokens": 3}}, (5, 10, 3), False),
        (
            {
                "prompt_tokens": 21,
                "completion_tokens": 0,
                "total_tokens": 81,
                "completion_tokens_details": {"reasoning_tokens": 60},
            },
            (21, 60, 60),
            False,
        ),
        ({**USAGE, "reasoning_tokens": 4}, (5, 7, 4), False),
        ({**USAGE, "completion_tokens_details": None, "prompt_tokens_details": {"cached_tokens": 2}}, (5, 7, 0), False),
        ({**USAGE, "total_tokens": 112}, (5, 107, 100), True),
        ({**USAGE, "total_tokens": 9}, (5, 7, 0), True),
    ],
)
async def test_accounts_are_whole(usage: Any, counted: tuple[int, int, int], estimated: bool) -> None:
    """Whatever is in the total is booked; what cannot be told apart for certain is marked."""
    for body in (message("4", usage=usage), stream(delta("4", "stop"), {"choices": [], "usage": usage})):
        spent = (await read(body)).usage
        assert (spent.prompt_tokens, spent.completion_tokens, spent.reasoning_tokens) == counted
        assert spent.estimated is estimated


@pytest.mark.parametrize("beside", ["choice", "groq", "event"])
async def test_accounts_are_found_where_they_are(beside: str) -> None:
    """Inside the choice (Moonshot), in Groq's own field, in a last event."""
    end = delta(finish="stop")
    if beside == "choice":
        end["choices"][0]["usage"] = USAGE
    if beside == "groq":
        end["x_groq"] = {"id": "req_1", "usage": USAGE}
    chunks = [delta("4"), end, *([{"choices": [], "usage": USAGE}] if beside == "event" else [])]
    spent = (await read(stream(*chunks))).usage
    assert (spent.prompt_tokens, spent.completion_tokens, spent.estimated) == (5, 7, False)


@pytest.mark.parametrize(
    "usage", [None, 3, {}, [], {"prompt_tokens": 0, "completion_tokens": 0}, {"total_tokens": "many"}]
)
async def test_an_account_that_says_nothing_is_replaced_by_ours(usage: Any) -> None:
    """Marked; the text stands."""
    whole = {**json.loads(message("four by fours")), "usage": usage}
    candidate = await read(json.dumps(whole).encode())
    assert (candidate.text, candidate.usage.completion_tokens, candidate.usage.estimated) == ("four by fours", 4, True)


MINUS_INFINITY = float("-inf")


@pytest.mark.parametrize(
    ("logprobs", "known"),
    [
        ({"content": [{"token": "4", "logprob": -0.1, "top_logprobs": [{"token": "5", "logprob": None}]}]}, [("4", 0)]),
        ({"content": [{"token": "4", "logprob": -0.1, "top_logprobs": [{"token": "5", "logprob": -2.0}]}]}, [("4", 1)]),
        (
            {"content": [{"token": "4", "logprob": -0.1, "top_logprobs": [{"token": "5", "logprob": MINUS_INFINITY}]}]},
            [("4", 0)],
        ),
        ({"content": [{"token": "4", "logprob": -0.1, "top_logprobs": {"4": -0.1, "5": -2}}]}, [("4", 2)]),
        ({"tokens": ["4"], "token_logprobs": [-0.1], "top_logprobs": [{"4": -0.1}]}, [("4", 1)]),
        ({"tokens": ["4"], "token_logprobs": [-0.1]}, [("4", 0)]),
        ({"content": [{"token": "4", "logprob": None}]}, None),
        ({"content": [{"token": "4", "logprob": MINUS_INFINITY}]}, None),
        ({"content": [{"token": None, "logprob": -0.1}]}, None),
        ({"content": [7]}, None),
        ({"content": 7}, None),
        ({"content": None}, None),
        ({}, None),
        (-0.3, None),
        ([], None),
    ],
)
async def test_log_probabilities_never_cost_the_text(logprobs: Any, known: list[tuple[str, int]] | None) -> None:
    """Those that are not known for every token are not known; an alternative without a number is left out."""
    piece = delta("4", "stop")
    piece["choices"][0]["logprobs"] = logprobs
    for body in (message("4", choice={"logprobs": logprobs}), stream(piece)):
        candidate = await read(body)
        assert (candidate.text, candidate.finish_reason) == ("4", "stop")
        found = candidate.logprobs and [(entry.token, len(entry.top)) for entry in candidate.logprobs]
        assert found == known


async def test_one_unknown_log_probability_makes_all_of_a_stream_unknown() -> None:
    """They would be taken for the tokens."""
    pieces = [delta("a"), delta("b"), delta("c", "stop")]
    for piece, value in zip(pieces, (-0.1, None, -0.2), strict=True):
        token = piece["choices"][0]["delta"]["content"]
        piece["choices"][0]["logprobs"] = {"content": [{"token": token, "logprob": value, "top_logprobs": []}]}
    candidate = await read(stream(*pieces))
    assert (candidate.text, candidate.logprobs) == ("abc", None)


async def test_odd_ids_and_further_fields_are_nobodys_business() -> None:
    """Numbers, nulls, and what nobody has heard of."""
    odd: dict[str, Any] = {"id": None, "created": "now", "model": 7, "system_fingerprint": {}, "object": None, "x": [1]}
    assert (await read(json.dumps({**json.loads(message("4")), **odd}).encode())).text == "4"
    assert (await read(stream(*({**chunk, **odd} for chunk in GOOD)))).text == "The answer is 4"
    assert (await read(message("4", tool_calls={}, function_call=None, audio=None, annotations=[]))).text == "4"
