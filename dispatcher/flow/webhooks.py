"""Messages to upstream leave: each is sent, and sent again, until it is taken or given up."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

import orjson

from dispatcher.domain.webhook import Webhook, WebhookStatus, next_try
from dispatcher.ledger.ledger import Ledger

if TYPE_CHECKING:  # to load an HTTP client takes time, and few have anybody to tell
    from dispatcher.upstream import Upstream

#: Three times what one try may take.
LEASE: Final = timedelta(seconds=60)

_log = logging.getLogger(__name__)


class Webhooks:
    """Sends what is due, one after the other.

    Attributes:
        gone: Whether the receiver said that it wants nothing more (410); then nothing is sent until the
            worker is started again.
    """

    def __init__(
        self, ledger: Ledger, upstream: Upstream | None, clock: Callable[[], datetime], rng: random.Random
    ) -> None:
        self._ledger = ledger
        self._upstream = upstream
        self._clock = clock
        self._rng = rng
        self.gone = False

    async def __call__(self) -> int:
        """Send what is due; how many tries were made.

        Raises:
            ServiceUnreachable: The ledger does not answer.
        """
        tries = 0
        while self._upstream is not None and not self.gone:
            message = await self._ledger.webhooks.claim(LEASE)
            if message is None:
                break
            await self._try(self._upstream, message)
            tries += 1
        return tries

    async def close(self) -> None:
        """Close connections."""
        if self._upstream is not None:
            await self._upstream.close()

    async def _try(self, upstream: Upstream, message: Webhook) -> None:
        reply = await upstream.send(message.id, orjson.dumps(message.body), self._clock())
        if reply.ok:
            await self._ledger.webhooks.settle(message, WebhookStatus.SENT, reply.text)
            return
        tries = message.tries + 1
        again = next_try(tries, self._clock(), self._rng, reply.wait)
        status = WebhookStatus.PENDING if again else WebhookStatus.FAILED
        await self._ledger.webhooks.settle(message, status, reply.text, again)
        if reply.gone:
            self.gone = True
            _log.error(
                "%s answered 410, so this worker sends it nothing more until it is started again. "
                "Correct DISPATCHER_WEBHOOK_URL; `dispatcher webhooks` shows what waits.",
                upstream.host,
            )
        elif again is None:
            _log.error(
                "message %s to %s was given up after %d tries: %s. "
                "`dispatcher webhooks retry %s` tries it again.",
                message.id,
                upstream.host,
                tries,
                reply.text,
                message.id,
            )
        else:
            _log.warning("message %s to %s is tried again: %s", message.id, upstream.host, reply.text)
