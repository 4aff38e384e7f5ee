"""What replicas on several machines count together, in Redis: rates, spending, and a key's requests at once.

Each step is a script that Redis runs as one, by its own clock. Rates follow the generic cell rate algorithm, as those
of one process do. Spending is added when a request ends and read before the next one begins, so that a key exceeds its
budget by what its requests under way use, and by no more. A request at once is a lease which its replica renews; those
of a replica that died run out.

Where Redis is away, `state_down` says what becomes of keys with limits: `closed` refuses their requests, `open` lets
this server count alone. What is spent meanwhile is added when Redis is back.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import secrets
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, AuthorizationError, RedisError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeout

from quorate.config.server_settings import ApiKey, ServerSettings
from quorate.orchestrator.context import Budget
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.usage import Usage

from .errors import KeyBudgetExceeded, Overloaded, QueueFull, RateExceeded, StateUnavailable
from .state import SharedState

__all__ = ["RedisState"]

log = logging.getLogger("quorate.server")

VERSION = "1"
"""Of what stands in Redis; servers of different versions do not share it."""
PATIENCE = 1.0
"""Seconds that Redis has to answer."""
AGAIN = 0.5
"""Seconds between looks whether Redis is back."""
BEAT = 1.0
"""Seconds between looks whether it is still there."""
LEASE = 15.0
"""Seconds after which a place comes free whose replica no longer says that it is taken."""
TURN = 0.05
"""Seconds between looks whether a place has come free."""

NOW = "local t = redis.call('TIME') local now = t[1] * 1000000 + t[2] "
COUNT = (
    NOW
    + """
local interval, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local last = math.max(tonumber(redis.call('GET', KEYS[1]) or now), now)
if last > now + burst + 1 then last = now end -- the clock was set back
local tat = last + interval
local wait = tat - now - burst
if wait > 0 then return string.format('%.0f', wait) end
redis.call('SET', KEYS[1], string.format('%.0f', tat), 'PX', math.ceil((tat - now) / 1000) + 1)
return '0'
"""
)
"""KEYS: of the rate. ARGV: microseconds of one request, and of a burst. Gives those to wait, 0 where it was counted."""
SPEND = """
if tonumber(ARGV[5]) > tonumber(redis.call('HGET', KEYS[1], ARGV[4]) or 0) then
    redis.call('HSET', KEYS[1], ARGV[4], ARGV[5])
    redis.call('HINCRBY', KEYS[1], 'tokens', ARGV[1])
    redis.call('HINCRBYFLOAT', KEYS[1], 'money', ARGV[2])
    if redis.call('PTTL', KEYS[1]) < 0 then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
end
return 1
"""
"""KEYS: of the account. ARGV: tokens, money, milliseconds of the period, whose entry it is, and its number.

Numbers grow, so an entry counts once however often it is sent.
"""
LEFT = "local s = redis.call('HMGET', KEYS[1], 'tokens', 'money') s[3] = redis.call('PTTL', KEYS[1]) return s"
"""KEYS: of the account. Gives tokens, money, and the milliseconds that are left of the period."""
ENTER = (
    NOW
    + """
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[2]) then return 0 end
redis.call('ZADD', KEYS[1], string.format('%.0f', now + tonumber(ARGV[3])), ARGV[1])
redis.call('EXPIRE', KEYS[1], 3600)
return 1
"""
)
"""KEYS: of the places. ARGV: the lease, the number of places, microseconds. Gives 1 where there was one."""
RENEW = NOW + "return redis.call('ZADD', KEYS[1], string.format('%.0f', now + tonumber(ARGV[2])), ARGV[1])"
LEAVE = "return redis.call('ZREM', KEYS[1], ARGV[1])"


@dataclass(eq=False)
class _ScriptRun:
    """One script to be run."""

    script: str
    keys: Sequence[str]
    values: Sequence[Any]
    reply: asyncio.Future[Any]


@dataclass
class _Entry:
    """What requests of one key have used, on its way to Redis."""

    key: ApiKey
    tokens: int = 0
    money: float = 0.0
    number: int = 0
    """Of this replica's entries, from 1."""


class RedisState:
    """Counts in Redis; the fair queue, and everything while Redis is away and that is allowed, are another state's.

    Args:
        settings: with `state`, the address.
        inner: this server's own.

    Raises:
        BadInput: the address is none.
    """

    def __init__(self, settings: ServerSettings, inner: SharedState) -> None:
        assert settings.state is not None
        url = settings.state.get_secret_value()
        self._inner, self._settings = inner, settings
        self._open_when_down = settings.state_down == "open"
        parts = urlsplit(url)
        try:
            if parts.scheme != "unix" and not parts.path.strip("/").isdecimal() and parts.path.strip("/"):
                raise ValueError(f"the database {parts.path[1:]!r} is no number")
            self._redis = Redis.from_url(
                url,
                decode_responses=True,
                socket_timeout=PATIENCE,
                socket_connect_timeout=PATIENCE,
                retry=Retry(NoBackoff(), 0),
                max_connections=2,
            )
            # Which looks at the options for the first time.
            self._redis.connection_pool.make_connection()  # type: ignore[no-untyped-call]
        except (ValueError, TypeError) as error:
            why = (
                error if isinstance(error, ValueError) else "what follows the ? is no option of redis-py's connections"
            )
            raise BadInput(f"server.state: {why}; give redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE]") from None
        options = self._redis.connection_pool.connection_kwargs
        host = options.get("path") or f"{options.get('host', 'localhost')}:{options.get('port', 6379)}"
        self._name = f"Redis at {host}"
        self._prefix = settings.state_prefix
        self._steps: list[_ScriptRun] = []
        self._unsent: dict[str, _Entry] = {}
        """By key."""
        self._sent: tuple[_Entry, ...] = ()
        """What Redis may have or not: no other entry goes before it is known."""
        self._numbers = itertools.count(1)
        self._replica = f"of {secrets.token_hex(8)}"
        self._leases: dict[str, str] = {}
        """The keys of the places that are taken, by lease."""
        self._some = asyncio.Event()
        self._waiting = 0
        self._checked = self._ending = False
        self._down_since: float | None = None
        self._fault = ""

    @property
    def fault(self) -> str:
        """See `SharedState`."""
        return self._fault or self._inner.fault

    @property
    def waiting(self) -> int:
        """See `SharedState`."""
        return self._inner.waiting + self._waiting

    async def check(self) -> None:
        """See `SharedState`."""
        if self._checked:
            return
        await self._inner.check()
        try:
            await self._greet()
        except (RedisError, OSError) as error:
            refused = self._explain(error)
            if not self._open_when_down or isinstance(error, AuthenticationError | AuthorizationError):
                raise BadInput(f"server.state: {refused}") from None
            self._note_down(refused)
        self._checked = True

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[None, None]:
        """Keeps the connection, and adds what is left to be added at the end."""
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._inner.open())
            stack.push_async_callback(self._redis.aclose)
            await self.check()
            tasks = [asyncio.create_task(each) for each in (self._keep_running(), self._keep_leases())]
            try:
                yield
            finally:
                self._ending = True  # since redis-py may keep a cancellation to itself
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                with suppress(RedisError, OSError):
                    while self._steps or self._sent or self._unsent:
                        steps, self._steps = self._steps, []
                        await self._run(steps)

    async def count(self, key: ApiKey) -> None:
        """See `SharedState`."""
        assert key.rate is not None
        burst = key.rate.seconds * 1e6
        wait = await self._do(COUNT, [self._place(key, "rate")], burst / key.rate.requests, burst)
        if wait is None:
            await self._inner.count(key)
        elif float(wait) > 0:
            rate = f"{key.rate.requests} requests in {key.rate.seconds:g} s"
            raise RateExceeded(f"the key {key.name!r} may send {rate}", float(wait) / 1e6)

    async def left(self, key: ApiKey) -> Budget:
        """See `SharedState`."""
        assert key.budget is not None
        told = await self._do(LEFT, [self._place(key, "spent")])
        if told is None:
            return await self._inner.left(key)
        tokens, money, milliseconds = told
        left_tokens = None if key.budget.tokens is None else key.budget.tokens - int(tokens or 0)
        left_money = None if key.budget.money is None else key.budget.money - float(money or 0)
        if (left_tokens is not None and left_tokens <= 0) or (left_money is not None and left_money <= 1e-12):
            spent = f"the key {key.name!r} has spent its budget for {key.budget.seconds:g} s"
            raise KeyBudgetExceeded(spent, max(1.0, milliseconds / 1000))
        return Budget(tokens=left_tokens, money=left_money)

    def spend(self, key: ApiKey, usage: Usage) -> None:
        """See `SharedState`."""
        if self._open_when_down:
            self._inner.spend(key, usage)
        entry = self._unsent.setdefault(key.name, _Entry(key))
        entry.tokens += usage.total_tokens
        entry.money += usage.cost or 0.0
        self._some.set()

    def place(self, key: ApiKey, cost: float) -> AbstractAsyncContextManager[None]:
        """See `SharedState`."""
        place = self._inner.place(key, cost)
        return place if key.concurrency is None else _LeasedPlace(self, key, place)

    async def enter(self, key: ApiKey, lease: str) -> None:
        """Waits for one of the key's places.

        Raises:
            QueueFull: as many wait as may.
            Overloaded: no place came free in time.
        """
        if self._waiting >= max(1, self._settings.max_queued):
            raise QueueFull(f"{self._waiting} requests wait already", 1.0)
        name, end = self._place(key, "places"), time.monotonic() + self._settings.queue_seconds
        self._waiting += 1
        try:
            while await self._do(ENTER, [name], lease, key.concurrency, LEASE * 1e6) == 0:
                if time.monotonic() > end:
                    raise Overloaded(f"no place came free in {self._settings.queue_seconds:g} s", 1.0)
                await asyncio.sleep(TURN)
            self._leases[lease] = name  # and not before: to renew it would take a place
        except BaseException:
            self._leases[lease] = name  # the reply may be lost, or on its way
            self.leave(lease)
            raise
        finally:
            self._waiting -= 1

    def leave(self, lease: str) -> None:
        """A place is free again."""
        if (name := self._leases.pop(lease, None)) is not None and not self._fault:
            self._add(LEAVE, [name], lease)

    def _place(self, key: ApiKey, what: str) -> str:
        return f"{self._prefix}:{{{key.name}}}:{what}"

    async def _do(self, script: str, keys: Sequence[str], *values: Any) -> Any:
        """What the script says; None where Redis is away and this server may count alone.

        Raises:
            StateUnavailable: it may not.
        """
        reply = None if self._fault else await self._add(script, keys, *values)
        if reply is None and not self._open_when_down:
            raise StateUnavailable("what your key has used is not known at the moment; try again soon", 2 * AGAIN)
        return reply

    def _add(self, script: str, keys: Sequence[str], *values: Any) -> asyncio.Future[Any]:
        step = _ScriptRun(script, keys, values, asyncio.get_running_loop().create_future())
        self._steps.append(step)
        self._some.set()
        return step.reply

    async def _keep_running(self) -> None:
        """Runs all that has come since the last time in one go, so that a busy server sends few packets."""
        while not self._ending:
            await self._some.wait()
            self._some.clear()
            steps, self._steps = self._steps, []
            if self._fault:
                self._refuse(steps)
                await asyncio.sleep(AGAIN)
                await self._look_again()
            else:
                await self._try(steps)

    async def _try(self, steps: Sequence[_ScriptRun]) -> None:
        try:
            replies = await self._run(steps)
        except (RedisError, OSError) as error:
            self._note_down(self._explain(error))
            self._refuse(steps)
            return
        for step, reply in zip(steps, replies, strict=True):
            if not step.reply.done():
                step.reply.set_result(reply)

    async def _run(self, steps: Sequence[_ScriptRun]) -> list[Any]:
        if not self._sent:
            self._sent, self._unsent = tuple(self._unsent.values()), {}
            for entry in self._sent:
                entry.number = next(self._numbers)
        pipe = self._redis.pipeline(transaction=False)
        for entry in self._sent:
            assert entry.key.budget is not None
            milliseconds = int(1000 * entry.key.budget.seconds)
            what = (entry.tokens, repr(entry.money), milliseconds, self._replica, entry.number)
            pipe.eval(SPEND, 1, self._place(entry.key, "spent"), *what)
        for step in steps:
            pipe.eval(step.script, len(step.keys), *step.keys, *step.values)
        replies: list[Any] = await pipe.execute()
        known, self._sent = len(self._sent), ()
        if self._unsent:
            self._some.set()
        return replies[known:]

    def _refuse(self, steps: Sequence[_ScriptRun]) -> None:
        """Redis is away."""
        for step in steps:
            if not step.reply.done():
                step.reply.set_result(None)

    async def _look_again(self) -> None:
        try:
            await self._greet()
            await self._run(())  # what it may have or not
        except (RedisError, OSError) as error:
            self._fault = self._explain(error)
        else:
            assert self._down_since is not None
            log.warning("%s is back after %.1f s", self._name, time.monotonic() - self._down_since)
            self._fault, self._down_since = "", None
        self._some.set()

    async def _greet(self) -> None:
        """Is Redis there, and its content of this version?

        Raises:
            RedisError: no.
        """
        name = f"{self._prefix}:version"
        await self._redis.set(name, VERSION, nx=True)
        if (found := await self._redis.get(name)) != VERSION:
            raise ResponseError(
                f"holds what servers of another version count under {self._prefix!r} ({found!r}, not {VERSION!r}): "
                "use one version of quorate for all, or another state_prefix"
            )

    def _note_down(self, fault: str) -> None:
        if not self._fault:
            self._down_since = time.monotonic()
            so = "counts alone" if self._open_when_down else "refuses the requests of keys with limits"
            log.error("%s; until it is back this server %s", fault, so)
        self._fault = fault
        self._some.set()

    def _explain(self, error: Exception) -> str:
        """What is wrong, without what may be secret."""
        match error:
            case AuthenticationError() | AuthorizationError():
                why = "refuses the user or the password"
            case ResponseError():
                why = str(error)
            case TimeoutError() | RedisTimeout():
                why = f"does not answer in {PATIENCE:g} s"
            case RedisConnectionError() | OSError():
                why = "cannot be reached"
            case _:
                why = f"fails ({type(error).__name__})"
        return f"{self._name} {why}"

    async def _keep_leases(self) -> None:
        """Renews them; asks something now and then, so that a server without requests knows as well that it is away."""
        renewed = time.monotonic()
        while True:
            await asyncio.sleep(min(BEAT, LEASE / 3))
            if self._fault:
                continue
            self._add("return 1", [])
            if time.monotonic() - renewed >= LEASE / 3:
                renewed = time.monotonic()
                for lease, name in self._leases.items():
                    self._add(RENEW, [name], lease, LEASE * 1e6)


class _LeasedPlace(AbstractAsyncContextManager[None]):
    """One of a key's places among all replicas, then one in this server's queue."""

    def __init__(self, state: RedisState, key: ApiKey, place: AbstractAsyncContextManager[None]) -> None:
        self._state, self._key, self._inner = state, key, place
        self._lease = secrets.token_hex(12)

    async def __aenter__(self) -> None:
        await self._state.enter(self._key, self._lease)
        try:
            await self._inner.__aenter__()
        except BaseException:
            self._state.leave(self._lease)
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._state.leave(self._lease)
        await self._inner.__aexit__(kind, error, at)
