"""All that the routes of one server share."""

from __future__ import annotations

from starlette.requests import Request

from quorate.config.catalog import Catalog

from .access.door import Door
from .access.visitor import Visitor
from .names import Names
from .observe.observer import Observer
from .settings import ServerSettings
from .wire import CALLER

__all__ = ["House"]


class House:
    """What is served, to whom, and how.

    Raises:
        BadInput: settings that cannot be used.
    """

    def __init__(self, catalog: Catalog, settings: ServerSettings) -> None:
        self.settings = settings
        self.names = Names(catalog)
        self.door = Door(settings)
        self.observer = Observer(catalog, settings)
        if self.observer.metrics is not None:
            self.observer.metrics.watch_queue(lambda: self.door.queue.waiting)

    def visitor(self, request: Request, *, counted: bool = False) -> Visitor:
        """Who asks.

        Args:
            counted: this is a request that counts for the key's rate.

        Raises:
            Unauthorized: nobody that we know.
            TooFast: it is over the key's rate.
        """
        key = self.door.recognise(request.headers.get("authorization", ""))
        request.scope[CALLER] = key.name
        if counted:
            self.door.count(key)
        return Visitor(key, self.door, self.names)
