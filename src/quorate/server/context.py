"""All that the routes of one server share."""

from __future__ import annotations

from starlette.types import Scope

from quorate.config.catalog import Catalog
from quorate.config.server_settings import ServerSettings

from .access.caller import Caller
from .access.control import AccessControl
from .catalog import RefreshingCatalog
from .http.routing import read_header
from .telemetry.middleware import Telemetry
from .telemetry.record import RECORD, RequestRecord

__all__ = ["ServerContext"]


class ServerContext:
    """What is served, to whom, and how.

    Raises:
        BadInput: settings that cannot be used.
    """

    def __init__(self, catalog: Catalog, settings: ServerSettings) -> None:
        self.settings = settings
        self.names = RefreshingCatalog(catalog)
        self.access = AccessControl(settings)
        self.telemetry = Telemetry(catalog, settings)
        if self.telemetry.metrics is not None:
            self.telemetry.metrics.watch_queue(lambda: self.access.queue.waiting)

    def identify(self, scope: Scope, *, counted: bool = False) -> Caller:
        """Who asks.

        Args:
            scope: of the request.
            counted: this is a request that counts for the key's rate.

        Raises:
            Unauthorized: nobody that we know.
            RateExceeded: it is over the key's rate.
        """
        key = self.access.identify(read_header(scope, b"authorization"))
        record: RequestRecord = scope[RECORD]
        record.key = key.name
        if counted:
            self.access.count(key)
        return Caller(key, record, self.access, self.names)
