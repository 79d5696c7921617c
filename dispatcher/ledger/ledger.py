"""The ledger as one object: its stores, over one database."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import datetime
from typing import Self

from dispatcher.ledger.backlog import Backlogs
from dispatcher.ledger.claims import Claims
from dispatcher.ledger.deliveries import Deliveries
from dispatcher.ledger.engine import Database, ping
from dispatcher.ledger.events import Events
from dispatcher.ledger.expansions import Expansions
from dispatcher.ledger.holds import Holds
from dispatcher.ledger.incidents import Incidents
from dispatcher.ledger.leases import Leases
from dispatcher.ledger.link_keys import LinkKeys
from dispatcher.ledger.migrate import bring_up_to_date
from dispatcher.ledger.notices import Notices
from dispatcher.ledger.obligations import Obligations
from dispatcher.ledger.plans import Plans
from dispatcher.ledger.suppressions import Suppressions
from dispatcher.ledger.threads import Threads
from dispatcher.ledger.tokens import Tokens
from dispatcher.ledger.webhooks import Webhooks
from dispatcher.ledger.windows import Windows
from dispatcher.ledger.workers import Workers


class Ledger:
    """The truth of the service, behind one small store per subject.

    Attributes:
        database: The pool beneath; for those who need a statement of their own.
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        self.events = Events(database)
        self.expansions = Expansions(database)
        self.claims = Claims(database)
        self.leases = Leases(database)
        self.backlog = Backlogs(database)
        self.deliveries = Deliveries(database)
        self.threads = Threads(database)
        self.windows = Windows(database)
        self.tokens = Tokens(database)
        self.workers = Workers(database)
        self.suppressions = Suppressions(database)
        self.plans = Plans(database)
        self.incidents = Incidents(database)
        self.notices = Notices(database)
        self.obligations = Obligations(database)
        self.holds = Holds(database)
        self.link_keys = LinkKeys(database)
        self.webhooks = Webhooks(database)

    @classmethod
    async def open(
        cls,
        url: str,
        *,
        clock: Callable[[], datetime],
        token: Callable[[int], str] = secrets.token_hex,
    ) -> Self:
        """Connect, and bring the tables up to date.

        Args:
            url: ``sqlite:////absolute/path.db`` or ``postgresql://user:password@host/name``.
            clock: Gives the time, aware.
            token: Gives n random bytes as 2n hexadecimal digits.

        Raises:
            SettingsInvalid: The URL is none of these.
            ServiceUnreachable: The database cannot be had, or was written by a newer Dispatcher.
        """
        database = Database(url, clock=clock, token=token)
        try:
            await bring_up_to_date(database)
        except BaseException:
            await database.close()
            raise
        return cls(database)

    async def ping(self) -> None:
        """Read one row.

        Raises:
            ServiceUnreachable: The database cannot be had.
        """
        await ping(self.database)

    async def close(self) -> None:
        """Give back every connection."""
        await self.database.close()
