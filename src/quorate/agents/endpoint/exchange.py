"""One plain exchange with a server: an object in JSON there, an object in JSON back."""

from __future__ import annotations

import random
from collections.abc import Mapping
from functools import partial
from typing import Any

from quorate.orchestrator.errors import UpstreamError
from quorate.orchestrator.watch import CallWatch

from .http import Http
from .reply import Malformed, parsed
from .request import encoded

__all__ = ["Exchange", "exchange"]


class Exchange:
    """A POST, or a GET where there is no body; itself the request that `http.Http` asks for its parts."""

    def __init__(
        self, http: Http, path: str, body: Mapping[str, Any] | None = None, watch: CallWatch | None = None
    ) -> None:
        self._http, self._path = http, path
        self._watch = watch or CallWatch()
        self._content = None if body is None else encoded(body)
        self.tries = 0
        """Requests sent so far."""

    async def reply(self) -> dict[str, Any]:
        """The object in the reply.

        Raises:
            UpstreamError: the server failed or refused, or its reply is no object.
        """
        http, method = self._http, "GET" if self._content is None else "POST"
        async with http.slot() as deadline:
            rng = partial(random.Random, self._path)
            response = await http.open(method, self._path, self, rng, deadline=deadline)
            self._watch.answered()
            try:
                reply = parsed(await http.whole(response, deadline))
            except Malformed as error:
                raise http.faults.bad_reply(f"{self._path.removeprefix('/..')}: {error}") from None
            finally:
                response.release()
            if reply.get("error"):
                raise http.faults.reported(reply["error"])
            return reply

    # What http.Request asks for.

    def content(self) -> bytes | None:
        return self._content

    def headers(self) -> Mapping[str, str]:
        return self._watch.headers()

    def sent(self) -> None:
        self.tries += 1
        self._watch.sent()

    def refused(self, error: UpstreamError) -> bool:
        self._watch.failed(error.code, error.status)
        return False  # there is nothing to adapt


async def exchange(http: Http, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The reply to one request; raises as `Exchange.reply` does."""
    return await Exchange(http, path, body).reply()
