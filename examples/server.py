"""Serving pipelines inside a program, and asking them through the official openai client."""

from __future__ import annotations

import asyncio

from openai import AsyncOpenAI

from quorate import Embedded, MajorityVote, sample
from quorate.config.catalog import Catalog
from quorate.server import run_server


async def main() -> None:
    tiny = Embedded("quorate-tiny-base")
    vote = (sample(tiny, n=8) | MajorityVote()).with_name("careful")
    catalog = Catalog({"tiny": tiny}, {"careful": vote})
    async with run_server(catalog) as url, AsyncOpenAI(base_url=f"{url}/v1", api_key="any") as client:
        print([model.id async for model in client.models.list()])
        reply = await client.chat.completions.create(
            model="careful",
            messages=[{"role": "user", "content": "What is 17 * 24?"}],
            seed=1,
            extra_body={"quorate": {"n": 4, "budget": {"seconds": 60}}},
        )
        print(reply.choices[0].message.content)
        print(reply.usage.total_tokens if reply.usage else 0, "tokens")
        stream = await client.chat.completions.create(
            model="careful", messages=[{"role": "user", "content": "What is 17 * 24?"}], seed=1, stream=True
        )
        async for chunk in stream:
            print(chunk.choices[0].delta.content or "", end="")
        print()
        response = await client.responses.create(
            model="majority@4/tiny",  # a pipeline by its name alone
            input="What is 17 * 24?",
            extra_body={"seed": 1, "quorate": {"stop": {"rule": "esc", "window": 2}, "trace": True}},
        )
        own = (response.model_extra or {})["quorate"]
        print(response.output_text, own["stopped"], len(own["candidates"]), "candidates")
    await catalog.aclose()


if __name__ == "__main__":
    asyncio.run(main())
