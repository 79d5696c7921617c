"""How it stands with what upstream is told over HTTP, for ``status``."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, Final

from dispatcher.domain.webhook import Webhook
from dispatcher.flow.present import moment_json
from dispatcher.flow.spans import number, since
from dispatcher.ledger.webhooks import Waiting

#: A receiver that restarts is back by then.
PATIENCE: Final = timedelta(minutes=10)


def told_problems(waiting: Waiting, now: datetime) -> Iterator[str]:
    """What needs attention, a sentence each, without its full stop."""
    if waiting.failed:
        gave_up = number(waiting.failed, "message to upstream was", "messages to upstream were")
        yield f"{gave_up} given up. `dispatcher webhooks` says why, `dispatcher webhooks retry` tries again"
    if waiting.oldest and now - waiting.oldest > PATIENCE:
        waits = number(waiting.pending, "message to upstream waits", "messages to upstream wait")
        yield f"{waits} since {since(waiting.oldest, now)}. `dispatcher webhooks` says why"


def told_json(waiting: Waiting) -> dict[str, Any]:
    """The same as JSON values."""
    return {
        "webhooks": {
            "waiting": waiting.pending,
            "oldest_at": moment_json(waiting.oldest),
            "failed": waiting.failed,
        }
    }


def webhook_json(webhook: Webhook) -> dict[str, Any]:
    """A message to upstream as JSON values."""
    return {
        "id": webhook.id,
        "type": webhook.type,
        "status": webhook.status.value,
        "made_at": moment_json(webhook.made_at),
        "tries": webhook.tries,
        "next_try_at": moment_json(webhook.next_try_at),
        "reply": webhook.reply,
        "updated_at": moment_json(webhook.updated_at),
        "body": webhook.body,
    }
