"""Events out of files: one CloudEvent or a list of them in each, as JSON or YAML."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from dispatcher.errors import EventInvalid, Problem
from dispatcher.files.recipient_store import RecipientStore
from dispatcher.files.source import parse
from dispatcher.flow.check import Submission
from dispatcher.flow.foresight.outlook import Period
from dispatcher.flow.foresight.rules import Happening
from dispatcher.web.cloudevents import BATCH, parse_events
from dispatcher.web.payload import submissions
from dispatcher.web.problems import Refusal

MAX_BYTES = 16 * 1024 * 1024
MOST = 100_000


def happenings_of(files: Sequence[Path], period: Period, recipients: RecipientStore) -> list[Happening]:
    """The events of files; each happens at its `time`, or where the period begins.

    Raises:
        EventInvalid: A file cannot be read, or what it holds is no CloudEvent; with every problem of it.
    """
    found: list[Happening] = []
    for file in files:
        found += happenings(submissions_of(events_in(file), file.name), period, recipients)
    return found


def happenings(
    asked: Sequence[Submission], period: Period, recipients: RecipientStore
) -> Iterator[Happening]:
    """The events, each at its `time`, or where the period begins."""
    for one in asked:
        if one.time is not None:
            yield Happening(one.time.astimezone(UTC), one)
        else:
            yield Happening(_beginning(one, period, recipients), one, undated=True)


def _beginning(one: Submission, period: Period, recipients: RecipientStore) -> datetime:
    """Where the period begins for the first instance that an event names."""
    names = one.selection.values if one.selection and one.selection.kind == "instances" else ()
    instance = recipients.get(names[0]) if names else None
    return period.beginning(instance.time_zone if instance else "UTC")


def earliest(files: Sequence[Path]) -> datetime | None:
    """The first time that the events of files name; None if none does.

    Raises:
        EventInvalid: As `happenings_of` does.
    """
    asked = [one for file in files for one in submissions_of(events_in(file), file.name)]
    return min((one.time for one in asked if one.time is not None), default=None)


def events_in(file: Path) -> list[Any]:
    """What a file holds, as a list.

    Raises:
        EventInvalid: It cannot be read, or is neither JSON nor YAML.
    """
    try:
        with file.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
    except OSError as error:
        what = f"the file cannot be read: {(error.strerror or str(error)).lower()}"
        raise EventInvalid(Problem(str(file), what, "name a file with one CloudEvent or a list")) from None
    if len(raw) > MAX_BYTES:
        raise EventInvalid(Problem(str(file), f"is over {MAX_BYTES} bytes", "split it"))
    value = _parsed(raw, str(file))
    return value if isinstance(value, list) else [value]


def submissions_of(events: Sequence[Any], name: str) -> list[Submission]:
    """What CloudEvents ask for, by the rules of the HTTP interface.

    Raises:
        EventInvalid: One of them is none; with every problem, each with its place in the list.
    """
    try:
        return submissions(parse_events(BATCH, (), orjson.dumps(list(events)), most=MOST))
    except Refusal as error:
        found = error.problems or (Problem("events", error.detail),)
        raise EventInvalid(
            [Problem(f"{name}: {one.where}", one.what, one.fix, one.key) for one in found]
        ) from None
    except TypeError:
        what = "holds what JSON has no form for"
        raise EventInvalid(Problem(name, what, "write dates and moments in quotes")) from None


def _parsed(raw: bytes, name: str) -> Any:
    if raw.lstrip()[:1] in {b"{", b"["}:
        try:
            return orjson.loads(raw)
        except orjson.JSONDecodeError as error:
            raise EventInvalid(Problem(name, f"is no JSON: {error}", "mend it, or write YAML")) from None
    document = parse(raw, name)
    if document.problems:
        raise EventInvalid(document.problems)
    return document.data
