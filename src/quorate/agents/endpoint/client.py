"""A model asked through a client of the user's own: `openai.AsyncOpenAI` or `AsyncAzureOpenAI`.

Whatever the client is set up with (authentication, Azure's paths and versions, an httpx transport, proxies,
certificates) is its own business; tries again, limits, errors, usage and all that is read of a reply are those of
`Endpoint`. The client never tries again by itself, so that every try is counted.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from quorate.orchestrator.errors import BadInput, ConnectionDropped, Unreachable, UpstreamError
from quorate.orchestrator.identity import Price
from quorate.orchestrator.types import SamplingParams

from ..settings import BreakerPolicy, Rate, RetryPolicy, Timeouts
from .agent import ChatAgent
from .chat_call import ServedModel
from .dialect import Dialect
from .errors import ErrorFactory
from .request import HttpReply, UpstreamRequest, encode_body
from .transport import Transport

if TYPE_CHECKING:
    from openai import AsyncOpenAI

__all__ = ["ClientEndpoint"]

_SECRET = ("key", "auth", "token", "secret", "cookie")
"""Parts of the names of headers and query parameters whose values are not shown."""


class ClientEndpoint(ChatAgent):
    """A model behind a client of the openai package.

        client = AsyncAzureOpenAI(azure_endpoint=..., azure_ad_token_provider=..., api_version="2024-10-21")
        gpt = ClientEndpoint(client, "my-deployment")

    The client stays its owner's: it is not closed here, and belongs to the event loop that it is used in.

    Args:
        client: `openai.AsyncOpenAI`, `openai.AsyncAzureOpenAI` or one derived from them.
        model: as the server names it; the deployment, on Azure.
        name: how answers call this agent; the model's name if not given.
        sampling: settings where the question has none.
        concurrency: most requests at once, see `Endpoint`.
        rate: how many requests may start in a time; further ones wait.
        timeouts: how long to wait; the client's own, and ten minutes in all, if not given.
        retries: when to try again; as often as the client would, if not given.
        breaker: when to leave the server alone for a while.
        price: makes usage carry its cost.
        n_supported: whether the server answers several samples in one request; None finds out.

    Raises:
        BadInput: it is no such client, or a setting is impossible.
    """

    def __init__(
        self,
        client: AsyncOpenAI,
        model: str,
        *,
        name: str | None = None,
        sampling: SamplingParams | None = None,
        concurrency: int | None = None,
        rate: Rate | None = None,
        timeouts: Timeouts | None = None,
        retries: RetryPolicy | None = None,
        breaker: BreakerPolicy | None = None,
        price: Price | None = None,
        n_supported: bool | None = None,
    ) -> None:
        if not isinstance(model, str) or not model.strip():
            raise BadInput("ClientEndpoint(model) is empty: give the model's name, or the deployment's on Azure")
        self.client = client
        transport = ClientTransport(
            client,
            name=name or model,
            concurrency=concurrency,
            rate=rate,
            timeouts=timeouts,
            retries=retries,
            breaker=breaker,
        )
        super().__init__(ServedModel(transport, model, name or model, price, Dialect(n=n_supported)), sampling)


class _ClientErrors(ErrorFactory):
    """Hides the client's secrets, which may change: keys are renewed."""

    def __init__(self, where: str, client: AsyncOpenAI) -> None:
        super().__init__(where, ())
        self._client = client

    def secrets(self) -> Iterable[str]:
        """See `ErrorFactory`."""
        client = self._client
        fields = [*client.default_headers.items(), *client.default_query.items(), *client.base_url.params.items()]
        named = [str(value) for name, value in fields if any(part in name.lower() for part in _SECRET)]
        words = [word for value in named for word in (value, *value.split()[1:])]
        return [client.api_key, *words] if isinstance(client.api_key, str) else words


class ClientTransport(Transport):
    """Sends requests through a client.

    Args:
        client: of the openai package.
        name: of the model, for errors.
        timeouts: the client's own where not given.
        retries: as many as the client's own where not given.
        settings: see `Transport`.
    """

    def __init__(
        self,
        client: AsyncOpenAI,
        *,
        name: str,
        timeouts: Timeouts | None,
        retries: RetryPolicy | None,
        **settings: Any,
    ) -> None:
        import openai

        if not isinstance(client, openai.AsyncOpenAI):
            raise BadInput(f"ClientEndpoint({type(client).__name__}): give an openai.AsyncOpenAI or AsyncAzureOpenAI")
        server = str(client.base_url.copy_with(query=None, username=None, password=None)).rstrip("/")
        super().__init__(
            server,
            _ClientErrors(f"{name} at {server}", client),
            timeouts=timeouts,
            retries=retries or RetryPolicy(attempts=client.max_retries + 1),
            **settings,
        )
        self._openai = openai
        self._client = client.with_options(max_retries=0)
        self._waits = timeouts

    async def aclose(self) -> None:
        """Nothing: the client is its owner's to close."""

    async def _send(self, request: UpstreamRequest, deadline: float, *, live: bool) -> HttpReply:
        options: dict[str, Any] = {"extra_headers": dict(request.headers())}
        if (waits := self._waits) is not None:
            silence = waits.first_byte if live else waits.total
            options["timeout"] = self._openai.Timeout(silence, connect=waits.connect)
        body = request.body()
        if body is not None:
            encode_body(body)  # or it is said what in it cannot be sent
        request.note_sent()
        try:
            async with asyncio.timeout_at(deadline):
                return _ClientReply(self, await self._open(request.path, body, options), deadline)
        except self._openai.APIStatusError as error:
            return _ReadReply(self, error)
        except TimeoutError:
            raise self.errors.timed_out(f"no reply within {self.timeouts.total:g} s") from None
        except BadInput:
            raise
        except Exception as error:  # whatever those who give out tokens, or a transport of the user's own, may raise
            raise self._not_sent(error) from None

    async def _open(self, path: str, body: Mapping[str, Any] | None, options: Mapping[str, Any]) -> Any:
        """The reply of one call, unread."""
        client = self._client
        if path == "/models":
            return await client.models.with_streaming_response.list(**options).__aenter__()
        if path != "/chat/completions" or body is None:
            raise BadInput(f"{self.errors.where}: a client is asked for chats alone, not for {path}")
        # What the client would check and turn into objects of its own goes past it, the reply as well.
        rest = {name: value for name, value in body.items() if name not in ("model", "messages")}
        return await client.chat.completions.with_streaming_response.create(
            model=body["model"], messages=body["messages"], extra_body=rest, **options
        ).__aenter__()

    def _not_sent(self, error: Exception) -> UpstreamError:
        cause = error.__cause__ or error
        kinds = _kinds(cause)
        if kinds & {"ConnectTimeout", "PoolTimeout"}:
            return Unreachable(self.errors.line("no connection in time"))
        if kinds & {"TimeoutException", "APITimeoutError"}:
            return self.errors.timed_out("no reply in time")
        if kinds & {"ConnectError", "ProxyError"}:
            return Unreachable(self.errors.line(f"no connection ({cause})"))
        if kinds & {"NetworkError", "RemoteProtocolError"}:
            return ConnectionDropped(self.errors.line("the connection was closed before a reply"))
        if isinstance(error, self._openai.APIConnectionError):
            return self.errors.bad_reply(f"not an HTTP reply ({type(cause).__name__})")
        return Unreachable(self.errors.line(f"the client could not send it ({type(error).__name__}: {error})"))


class _ClientReply(HttpReply):
    """A reply that the client has opened and not read."""

    def __init__(self, transport: ClientTransport, response: Any, deadline: float) -> None:
        self._response = response.http_response
        self._deadline, self._seconds = deadline, transport.timeouts.total
        super().__init__(transport.errors, self._response.status_code, self._response.headers)
        self._pieces: AsyncIterator[bytes] = self._response.aiter_bytes()

    async def _receive(self) -> bytes:
        try:
            async with asyncio.timeout_at(self._deadline):
                return await anext(self._pieces, b"")
        except TimeoutError:
            raise self._errors.timed_out(f"no complete reply within {self._seconds:g} s") from None
        except Exception as error:
            if (broken := self._broken_off(error)) is None:
                raise
            raise broken from None

    def _broken_off(self, error: Exception) -> UpstreamError | None:
        kinds = _kinds(error)
        if "TimeoutException" in kinds:
            return self._errors.timed_out("the reply stopped coming")
        if "DecodingError" in kinds:
            return self._errors.bad_reply("the reply's compression is broken")
        if kinds & {"TransportError", "StreamError"}:
            return self._errors.bad_reply("the connection broke off in the middle of the reply")
        return None

    async def release(self) -> None:
        await self._response.aclose()


class _ReadReply(HttpReply):
    """A refusal, which the client has read to its end."""

    def __init__(self, transport: ClientTransport, error: Any) -> None:
        super().__init__(transport.errors, error.status_code, error.response.headers)
        self._rest: bytes = error.response.content

    async def _receive(self) -> bytes:
        rest, self._rest = self._rest, b""
        return rest

    async def release(self) -> None:
        """There is nothing to release."""


def _kinds(error: BaseException) -> set[str]:
    """Names of an error's classes: the client's come from httpx or its successor, whichever it was made with."""
    return {kind.__name__ for kind in type(error).__mro__}
