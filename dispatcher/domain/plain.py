"""What a Python program says of an event, as the JSON that goes over the wire."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from dispatcher.errors import EventInvalid, Problem


def event_data(
    instances: Sequence[str] | None, region: str | None, thread: str | None, fields: Mapping[str, Any]
) -> dict[str, Any]:
    """An event's ``data``; what is None is left out.

    Args:
        instances: Ids, or ``"all"``.
        region: In place of `instances`: all of a region.
        thread: Joins the events of one incident.
        fields: Values by field.

    Raises:
        EventInvalid: One of them cannot be sent: a datetime without offset, for instance.
    """
    data = {
        "instances": _instances(instances, region),
        "thread": thread,
        "fields": {str(key): _plain(value, f"fields.{key}") for key, value in fields.items()},
    }
    return {key: value for key, value in data.items() if value is not None}


def _instances(instances: Sequence[str] | None, region: str | None) -> Any:
    if instances is not None and region is not None:
        raise EventInvalid(Problem("region", "is given beside instances", "give one of the two"))
    if region is not None:
        return {"region": region}
    if isinstance(instances, str) and instances != "all":
        raise EventInvalid(Problem("instances", f"{instances[:60]!r} is no list", 'give a list, or "all"'))
    return instances if instances is None or isinstance(instances, str) else list(instances)


def _plain(value: Any, where: str) -> Any:
    """A value as JSON has it.

    Raises:
        EventInvalid: It cannot be sent.
    """
    if value is None or isinstance(value, bool | str | int):
        return value
    if isinstance(value, datetime):
        if value.utcoffset() is None:
            fix = "give an aware one, like datetime(2027, 3, 6, 21, tzinfo=UTC)"
            raise EventInvalid(Problem(where, "is a datetime without an offset from UTC", fix))
        return value.isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, timedelta):
        return _duration(value, where)
    if isinstance(value, Mapping):
        return {str(key): _plain(one, f"{where}.{key}") for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one, f"{where}[{number}]") for number, one in enumerate(value)]
    fix = (
        "give text, a whole number, a boolean, a datetime, date or timedelta, or lists and mappings of these"
    )
    raise EventInvalid(Problem(where, f"is of type {type(value).__name__}, which cannot be sent", fix))


def _duration(span: timedelta, where: str) -> str:
    """A span as ISO 8601 writes it: ``P1DT3600S``."""
    if span <= timedelta(0) or span.microseconds:
        raise EventInvalid(
            Problem(where, f"{span} cannot be sent", "give a positive timedelta of whole seconds")
        )
    return f"P{span.days}DT{span.seconds}S"
