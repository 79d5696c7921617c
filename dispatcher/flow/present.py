"""Events and deliveries as plain JSON: one shape for the HTTP interface and for ``--json``."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from dispatcher.domain.delivery import Attempt, Delivery
from dispatcher.domain.event import Event, Selection


def event_json(event: Event) -> dict[str, Any]:
    """The event as JSON values; moments are ISO 8601 in UTC.

    ``instances`` is what the event's data said: a list of ids, ``{"region": …}``, ``"all"``, or None where
    the thread tells.
    """
    return {
        "id": event.id,
        "source": event.source,
        "external_id": event.external_id,
        "type": event.type,
        "effective_type": event.effective_type,
        "lane": event.lane.value,
        "status": event.status.value,
        "reason": event.reason,
        "warnings": list(event.warnings),
        "counts": {status.value: number for status, number in event.counts.items()},
        "instances": _instances(event.selection),
        "thread": event.thread,
        "fields": dict(event.fields),
        "time": moment_json(event.time),
        "accepted_at": moment_json(event.accepted_at),
        "cancelled_at": moment_json(event.cancelled_at),
    }


def delivery_json(delivery: Delivery) -> dict[str, Any]:
    """The delivery as JSON values; ``attempts``, oldest first, is empty where they were not read."""
    return {
        "id": delivery.id,
        "event": delivery.event,
        "type": delivery.type,
        "instance": delivery.instance,
        "instances": list(delivery.instances),
        "address": delivery.address,
        "name": delivery.name,
        "language": delivery.language,
        "time_zone": delivery.time_zone,
        "reasons": [{"role": reason.role, "at": reason.at} for reason in delivery.reasons],
        "sender": delivery.sender,
        "lane": delivery.lane.value,
        "status": delivery.status.value,
        "reason": delivery.reason,
        "message_id": delivery.message_id,
        "subject": delivery.subject,
        "template": delivery.template,
        "tries": delivery.tries,
        "attempts": [_attempt(attempt) for attempt in delivery.attempts],
        "next_try_at": moment_json(delivery.next_try_at),
        "expires_at": moment_json(delivery.expires_at),
        "uncertain": delivery.uncertain,
        "created_at": moment_json(delivery.created_at),
        "updated_at": moment_json(delivery.updated_at),
    }


def _attempt(attempt: Attempt) -> dict[str, Any]:
    return {
        "at": moment_json(attempt.at),
        "status": attempt.status.value,
        "reason": attempt.reason,
        "code": attempt.code,
        "enhanced_code": attempt.enhanced_code,
        "reply": attempt.reply,
    }


def _instances(selection: Selection) -> list[str] | dict[str, str] | str | None:
    if selection.kind == "instances":
        return list(selection.values)
    if selection.kind == "region":
        return {"region": selection.values[0]}
    return "all" if selection.kind == "all" else None


def moment_json(moment: datetime | None) -> str | None:
    """``2027-03-06T21:00:00Z``, with a fraction where there is one."""
    return None if moment is None else moment.astimezone(UTC).isoformat().removesuffix("+00:00") + "Z"
