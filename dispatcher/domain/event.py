"""An event: what an upstream system said, and what was made of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal, NamedTuple

from dispatcher.domain.delivery import Lane, Status
from dispatcher.domain.plan import Decision
from dispatcher.domain.words import AudienceRole, Channel


class EventStatus(StrEnum):
    """Where an event stands."""

    ACCEPTED = "accepted"  # committed; its audience is not yet resolved; a reason says what is in the way
    EXPANDED = "expanded"  # its deliveries are in the ledger
    RECORDED = "recorded"  # kept, and nobody is mailed; `Event.reason` says why
    FAILED = "failed"  # it cannot be expanded; `Event.reason` says why


@dataclass(frozen=True, slots=True)
class Selection:
    """Which instances an event is about.

    Attributes:
        kind: ``instances`` (the named ones), ``region``, ``all``, or ``thread`` (those of the thread).
        values: The instances' ids, or the one region; empty for ``all`` and ``thread``.
    """

    kind: Literal["instances", "region", "all", "thread"]
    values: tuple[str, ...] = ()


class StepKey(NamedTuple):
    """Which step of which revision of a plan."""

    plan: str
    revision: int
    key: str


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event that was checked against the catalogue and may be committed.

    Attributes:
        type: The type as upstream named it.
        effective_type: The type it is treated as (``security-update`` with downtime becomes
            ``planned-maintenance``); otherwise the same.
        fields: Plain JSON values, as given, already checked.
        fingerprint: A hash of what the caller said, to tell a repeat from a conflict.
        record_only: Why nobody will be mailed, or an empty string.
        warnings: What its sender should know from the start.
        channels: Where it is told; None for where its type is.
        roles: Who gets the mail; None for who gets its type's.
        step: The step of a plan that it tells. It is added only if that step is still due.
        decision: The admin who decided what it says; None where upstream did.
    """

    source: str
    external_id: str
    type: str
    effective_type: str
    lane: Lane
    selection: Selection
    thread: str | None
    fields: Mapping[str, Any]
    fingerprint: str
    time: datetime | None = None
    record_only: str = ""
    warnings: tuple[str, ...] = ()
    channels: tuple[Channel, ...] | None = None
    roles: tuple[AudienceRole, ...] | None = None
    step: StepKey | None = None
    decision: Decision | None = None


@dataclass(frozen=True, slots=True)
class Heard:
    """An event that was accepted when there was no plan of what it is about.

    Attributes:
        type: The effective type.
    """

    id: str
    type: str
    selection: Selection
    fields: Mapping[str, Any]
    time: datetime | None
    accepted_at: datetime


@dataclass(frozen=True, slots=True)
class Event:
    """An event as the ledger holds it.

    Attributes:
        id: Ours, unique, fit for a URL.
        external_id: The id that upstream gave it, unique within `source`.
        counts: How many deliveries stand where; empty before it is expanded.
        cancelled_at: When it was withdrawn, or None; what had been sent by then stays sent.
        channels: Where it is told; None for where its type is.
        roles: Who gets the mail; None for who gets its type's.
    """

    id: str
    source: str
    external_id: str
    type: str
    effective_type: str
    lane: Lane
    selection: Selection
    thread: str | None
    fields: Mapping[str, Any]
    time: datetime | None
    accepted_at: datetime
    status: EventStatus
    reason: str
    warnings: tuple[str, ...] = ()
    counts: Mapping[Status, int] = field(default_factory=dict)
    cancelled_at: datetime | None = None
    channels: tuple[Channel, ...] | None = None
    roles: tuple[AudienceRole, ...] | None = None
