"""An outage of Redis, told once when it begins and once when it ends."""

from __future__ import annotations

import logging

from dispatcher.errors import DispatcherError, SettingsInvalid
from dispatcher.queue.connection import REDIS_ERRORS, RedisAddress, explain

logger = logging.getLogger(__name__)


class Outage:
    """Which of the parts that need Redis do without it at present.

    Attributes:
        text: What is wrong, fit for a user; empty while all is well.
    """

    def __init__(self, address: RedisAddress) -> None:
        self.text = ""
        self._address = address
        self._parts: set[str] = set()

    def begins(self, part: str, error: Exception) -> bool:
        """Note that a part failed; True if it had been well until now."""
        news = part not in self._parts
        text = self._explain(error)
        # A server that came back with the wrong policy has to be mended: that must not go under.
        graver = isinstance(error, SettingsInvalid) and text != self.text
        if not self._parts or graver:
            self.text = text
            logger.warning("%s Workers find what is due in the ledger meanwhile; trying again.", self.text)
        self._parts.add(part)
        return news

    def ends(self, part: str) -> None:
        """Note that a part works."""
        if not self._parts:
            return
        self._parts.discard(part)
        if not self._parts:
            self.text = ""
            logger.warning("Redis at %s works again.", self._address)

    def _explain(self, error: Exception) -> str:
        if isinstance(error, DispatcherError):
            return str(error)
        if isinstance(error, REDIS_ERRORS):
            return explain(self._address, error)
        # Not Redis' fault: somebody wrote into the queue what arq cannot read, or there is a bug.
        return f"The queue in Redis at {self._address} broke with {type(error).__name__}."
