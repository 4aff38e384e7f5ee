"""What `quorate mcp` offers to agents (Model Context Protocol): ask a pipeline, compare several, read what they did.

Each tool asks the server's own application in this process, as its HTTP clients do, so that keys, limits, budgets and
words about errors are the same. Of a question that is asked with a token for progress, the votes are told as they come.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.types import ASGIApp, Message

from quorate import __version__
from quorate.aggregators.equivalence import default_equivalence
from quorate.orchestrator.frozen import UNKNOWN, first_fault

__all__ = ["AskedPipeline", "ComparedPipelines", "make_mcp_server"]

INSTRUCTIONS = (
    "Many samples of language models in, one better answer out. Use `ask` for a question that is worth more than one "
    "try, `compare` to see whether pipelines agree, `list_models` for their names, `read_trace` for why an answer won."
)
SHOWN = 500
"""Characters of each text in a trace, where nobody asks for more."""
OPTIONS = 5
"""Answers with most votes that are told."""
Question = Annotated[str, Field(min_length=1, description="What is asked, with everything needed to answer it.")]
Pipeline = Annotated[
    str | None,
    Field(
        description="A model, PIPELINE@N/MODEL, or a configured pipeline, see list_models; the server's own choice "
        "if not given."
    ),
]
Tokens = Annotated[int | None, Field(ge=1, description="Most tokens of the whole question, prompts included.")]
Seconds = Annotated[float | None, Field(gt=0, description="After so long the best answer so far.")]


class AskedPipeline(BaseModel):
    """One pipeline's answer."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    model: str
    answer: str | None = None
    """The value that was voted on, where there is one."""
    text: str = ""
    """The whole answer."""
    votes: dict[str, int] = {}
    """Of the leading answers."""
    stopped: str = ""
    """Why sampling ended."""
    degraded: list[str] = []
    """What did not go as configured."""
    tokens: int = 0
    requests: int = 0
    cost: float | None = None
    seconds: float = 0.0
    trace: str = ""
    """For read_trace."""
    error: str | None = None
    """Why there is no answer."""


class ComparedPipelines(BaseModel):
    """What several pipelines say to one question."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    results: list[AskedPipeline]
    agreeing: list[list[str]]
    """Pipelines by answers of the same value, the largest group first."""


class _PlainServer(MCPServer[Any]):
    """The SDK's server, which says in our words what is wrong with a call's arguments, and refuses unknown ones.

    A budget that is misspelt and ignored costs money.
    """

    async def call_tool(self, name: str, arguments: dict[str, Any], context: Context[Any, Any] | None = None) -> Any:
        for tool in await self.list_tools():
            known = tool.input_schema.get("properties", {})
            if tool.name == name and (unknown := next((each for each in arguments if each not in known), None)):
                raise ToolError(f"{unknown[:80]}: {UNKNOWN}; there is: {', '.join(known)}")
        try:
            return await super().call_tool(name, arguments, context)
        except ToolError as error:
            match error.__cause__:
                case ToolError() as ours:  # without the SDK's words before it
                    raise ours from None
                case ValidationError() as fault:
                    field, words = first_fault(fault)
                    raise ToolError(f"{field}: {words}") from None
            raise


def make_mcp_server(app: ASGIApp, default: str) -> MCPServer[Any]:
    """The tools over the server's application.

    Args:
        app: is asked.
        default: the pipeline that is asked where a call names none.
    """
    server = _PlainServer("quorate", version=__version__, instructions=INSTRUCTIONS, log_level="WARNING")

    _add_asking(server, app, default)
    _add_reading(server, app, default)
    return server


def _add_asking(server: MCPServer[Any], app: ASGIApp, default: str) -> None:
    @server.tool()
    async def ask(
        question: Question,
        ctx: Context[Any, Any],
        pipeline: Pipeline = None,
        budget_tokens: Tokens = None,
        budget_seconds: Seconds = None,
    ) -> AskedPipeline:
        """Ask a pipeline: several samples of one or more models, and the answer that they make together."""
        budget = {"tokens": budget_tokens, "seconds": budget_seconds}
        body = _make_body(question, pipeline or default, budget)
        return await _ask(app, body, ctx, _Progress(ctx, 1).of(0))

    @server.tool()
    async def compare(
        question: Question,
        pipelines: Annotated[list[str], Field(min_length=2, max_length=8, description="Their names.")],
        ctx: Context[Any, Any],
        budget_tokens: Tokens = None,
        budget_seconds: Seconds = None,
    ) -> ComparedPipelines:
        """Ask several pipelines the same question, and see which of them agree, and what each costs.

        The budget is of each.
        """
        progress = _Progress(ctx, len(pipelines))
        budget = {"tokens": budget_tokens, "seconds": budget_seconds}

        async def ask_one(index: int, name: str) -> AskedPipeline:
            try:
                return await _ask(app, _make_body(question, name, budget), ctx, progress.of(index))
            except ToolError as error:
                return AskedPipeline(model=name, error=str(error))

        results = await asyncio.gather(*(ask_one(index, name) for index, name in enumerate(pipelines)))
        return ComparedPipelines(results=results, agreeing=await _group(results))


def _add_reading(server: MCPServer[Any], app: ASGIApp, default: str) -> None:
    @server.tool()
    async def list_models(ctx: Context[Any, Any]) -> dict[str, Any]:
        """The models and pipelines that can be asked, with what each pipeline does."""
        listed = await _get(app, "/v1/models", ctx)
        return {"default": default, "models": [_describe_model(each) for each in listed["data"]]}

    @server.tool()
    async def list_traces(
        ctx: Context[Any, Any], limit: Annotated[int, Field(ge=1, le=100, description="The latest so many.")] = 10
    ) -> dict[str, Any]:
        """What was asked lately: ids for read_trace, models, beginnings of questions, tokens."""
        return {"traces": (await _get(app, "/v1/traces", ctx, f"limit={limit}"))["data"]}

    @server.tool()
    async def read_trace(
        trace: Annotated[str, Field(min_length=1, description="Its id, as `ask` or list_traces gives it.")],
        ctx: Context[Any, Any],
        characters: Annotated[int, Field(ge=20, le=100_000, description="Of each text.")] = SHOWN,
    ) -> dict[str, Any]:
        """One question as it went: every candidate with its vote, every call to a model, and when what happened."""
        found = _shorten(await _get(app, f"/v1/traces/{trace}", ctx), characters)
        assert isinstance(found, dict)
        return found


class _Progress:
    """What the questions of one call tell of their votes, added up.

    Args:
        ctx: whose client is told, where it asked for that.
        parts: questions.
    """

    def __init__(self, ctx: Context[Any, Any], parts: int) -> None:
        self._ctx = ctx
        self._done, self._total = [0] * parts, [0] * parts

    def of(self, index: int) -> Callable[[dict[str, Any]], Awaitable[None]]:
        """Takes in the events of one question."""
        said = ""

        async def note(event: dict[str, Any]) -> None:
            nonlocal said
            if event["type"] == "run":
                self._total[index] = event["calls"]
            elif event["type"] == "tally":
                said = ", ".join(f"{each['answer']} x{each['votes']}" for each in event["tally"][:OPTIONS])
            elif event["type"] in ("candidate_finished", "candidate_failed", "candidate_cancelled"):
                self._done[index] += 1
                done, total = sum(self._done), sum(self._total)
                await self._ctx.report_progress(done, max(done, total), f"{done}/{total} sampled: {said}".rstrip(": "))

        return note


def _make_body(question: str, name: str, budget: Mapping[str, float | None]) -> dict[str, Any]:
    given = {what: most for what, most in budget.items() if most is not None}
    own = {"quorate": {"budget": given}} if given else {}
    return {"model": name, "messages": [{"role": "user", "content": question}], **own}


async def _ask(
    app: ASGIApp, body: dict[str, Any], ctx: Context[Any, Any], note: Callable[[dict[str, Any]], Awaitable[None]]
) -> AskedPipeline:
    """One pipeline's answer.

    Raises:
        ToolError: there is none, with the reason.
    """
    last: dict[str, Any] = {}
    run: dict[str, Any] = {}

    async def read(event: dict[str, Any]) -> None:
        nonlocal last
        last = event
        if event["type"] == "run":
            run.update(event)
        await note(event)

    await _call(app, "POST", "/v1/events", ctx, body=json.dumps(body).encode(), read=read)
    if last.get("type") != "done":
        raise ToolError(last.get("error", {}).get("message", "the question ended without an answer"))
    reply, ours = last["reply"], last["reply"]["quorate"]
    text = reply["choices"][0]["message"]["content"] or ""
    return AskedPipeline(
        model=reply["model"],
        answer=ours["answer"],
        text=text,
        votes={each["answer"]: each["votes"] for each in ours["tally"][:OPTIONS]},
        stopped=ours["stopped"],
        degraded=[f"{each['code']}: {each['detail']}" for each in ours["degraded"]],
        tokens=reply["usage"]["total_tokens"],
        requests=ours["usage"]["requests"],
        cost=ours["usage"]["cost"],
        seconds=round(last["at"], 3),
        trace=run["id"],
    )


async def _group(results: list[AskedPipeline]) -> list[list[str]]:
    answered = [result for result in results if result.error is None]
    classes = await default_equivalence().classes([result.answer or result.text for result in answered])
    groups: dict[Any, list[str]] = {}
    for result, its_class in zip(answered, classes, strict=True):
        groups.setdefault(its_class, []).append(result.model)
    return sorted(groups.values(), key=len, reverse=True)


def _describe_model(listed: dict[str, Any]) -> dict[str, Any]:
    ours = listed.get("quorate", {})
    told = {name: ours[name] for name in ("description", "n", "models", "max_requests") if name in ours}
    return {"name": listed["id"], "kind": listed["kind"], **told}


def _shorten(value: Any, characters: int) -> Any:
    """The same with its texts cut."""
    if isinstance(value, dict):
        return {name: _shorten(each, characters) for name, each in value.items()}
    if isinstance(value, list):
        return [_shorten(each, characters) for each in value]
    return f"{value[:characters]}…" if isinstance(value, str) and len(value) > characters else value


async def _get(app: ASGIApp, path: str, ctx: Context[Any, Any], query: str = "") -> dict[str, Any]:
    return await _call(app, "GET", path, ctx, query=query)


async def _call(
    app: ASGIApp,
    method: str,
    path: str,
    ctx: Context[Any, Any],
    *,
    query: str = "",
    body: bytes = b"",
    read: Callable[[dict[str, Any]], Awaitable[None]] | None = None,
) -> dict[str, Any]:
    """Asks the application as the caller's key does; the reply's JSON, or its events as they come.

    Raises:
        ToolError: it refuses.
    """
    status, parts = 0, b""
    sent = False
    over = asyncio.Event()

    async def receive() -> Message:
        nonlocal sent
        if sent:
            await over.wait()
            return {"type": "http.disconnect"}
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        nonlocal status, parts
        if message["type"] == "http.response.start":
            status = message["status"]
            return
        parts += message.get("body", b"")
        while read is not None and status < 400 and b"\n\n" in parts:
            frame, _, parts = parts.partition(b"\n\n")
            data = next((line[6:] for line in frame.splitlines() if line.startswith(b"data: ")), b"")
            if data.startswith(b"{"):
                await read(json.loads(data))

    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [(b"host", b"localhost"), *_pass_on(ctx)],
    }
    await app(scope, receive, send)
    over.set()
    if status >= 400:
        raise ToolError(json.loads(parts)["error"]["message"])
    return {} if read is not None else dict(json.loads(parts))


def _pass_on(ctx: Context[Any, Any]) -> list[tuple[bytes, bytes]]:
    """The caller's key, where it came over HTTP."""
    request = ctx.request_context.request
    if not isinstance(request, Request):
        return []
    return [(name, value) for name, value in request.headers.raw if name in (b"authorization", b"x-api-key")]
