"""The tables. Each index says which query it serves.

Rules that the code relies on:

- ``deliveries.next_try_at`` is set exactly while a worker may claim the row once that time has come.
- A ``queued`` row without it was left by a worker of an older version; the event's next expansion removes it.
- ``deliveries.fence`` rises with every claim, ``events.expansion`` with every try to expand.
- ``crashes`` counts the workers in a row that went away over a row; an outcome sets it back to zero.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from dispatcher.domain.delivery import OUTCOME_REASONS, Lane, OnUncertain, Status
from dispatcher.domain.event import EventStatus
from dispatcher.ledger.columns import Json, Key, Moment, Serial

#: The Alembic revision that these tables are at.
REVISION = "0004"

#: Where an operator looks. Few rows: their index costs the common way (queued, sending, sent) nothing.
TROUBLE = (
    Status.DEFERRED,
    Status.FAILED,
    Status.UNCERTAIN,
    Status.SUPPRESSED,
    Status.CANCELLED,
    Status.EXPIRED,
    Status.HELD,
)


#: How an opt-out came about: a mail program's one click, the page behind the link, an operator.
ORIGINS = ("one-click", "page", "operator")

#: From so many workers in a row that went away over a delivery, it is sent alone.
SUSPECT = 2


def one_of(column: str, values: Iterable[str]) -> str:
    """The SQL condition that `column` holds one of `values`; names of ours only, never input."""
    listed = ", ".join(f"'{value}'" for value in values)
    return f"{column} IN ({listed})"


IN_TROUBLE = one_of("status", TROUBLE)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def index(name: str, *columns: Column[Any], only: str = "", unique: bool = False) -> None:
    """An index on columns of one table; with `only`, of the rows alone that fulfil that condition."""
    where: Any = {"sqlite_where": text(only), "postgresql_where": text(only)} if only else {}
    Index(name, *columns, unique=unique, **where)


events = Table(
    "events",
    metadata,
    Column("id", Key, primary_key=True),
    Column("source", Text, nullable=False),
    Column("external_id", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("effective_type", Text, nullable=False),
    Column("lane", Text, nullable=False),
    Column("selection", Json, nullable=False),
    Column("thread", Text),
    Column("fields", Json, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("time", Moment),
    Column("accepted_at", Moment, nullable=False),
    Column("status", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("warnings", Json, nullable=False),
    Column("expansion", Integer, nullable=False),
    Column("expanding_until", Moment),
    Column("cancelled_at", Moment),
    Column("expander", Text),
    Column("crashes", Integer, nullable=False, server_default="0"),
    # Where it is told and who gets the mail, if its plan's step says other than its type.
    Column("channels", Json),
    Column("roles", Json),
    # Idempotency; external_id comes first so that an event can be found by it alone.
    UniqueConstraint("external_id", "source"),
    CheckConstraint(one_of("lane", Lane), name="lane"),
    CheckConstraint(one_of("status", EventStatus), name="status"),
)
# events.unexpanded: the sweep asks every few seconds, mostly to hear that there are none.
index("ix_events_accepted", events.c.id, only="status = 'accepted'")
# events.failed: for those who have them tried again.
index("ix_events_failed", events.c.id, only="status = 'failed'")
# incidents.withdrawn: whether one was cancelled that spoke of an incident.
index("ix_events_cancelled", events.c.id, only="cancelled_at IS NOT NULL")
# deliveries.told: all events of one thread.
index("ix_events_thread", events.c.thread, only="thread IS NOT NULL")

variants = Table(
    "variants",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("event", Key, ForeignKey("events.id"), nullable=False),
    Column("key", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("template", Text, nullable=False),
    Column("content", LargeBinary, nullable=False),
    # Expanding.store: one content of each kind, and its id by its key.
    UniqueConstraint("event", "key"),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", Key, primary_key=True),
    Column("event", Key, ForeignKey("events.id"), nullable=False),
    Column("type", Text, nullable=False),
    Column("lane", Text, nullable=False),
    Column("instance", Text, nullable=False),
    Column("instances", Json, nullable=False),
    Column("address", Text, nullable=False),
    Column("folded", Text, nullable=False),
    Column("name", Text),
    Column("language", Text, nullable=False),
    Column("time_zone", Text, nullable=False),
    Column("reasons", Json, nullable=False),
    Column("sender", Text, nullable=False),
    Column("variant", Serial, ForeignKey("variants.id"), nullable=False),
    Column("message_id", Text, nullable=False),
    Column("on_uncertain", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("fence", Integer, nullable=False),
    Column("next_try_at", Moment),
    Column("lease_until", Moment),
    Column("worker", Text),
    Column("uncertain", Boolean, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
    Column("expires_at", Moment),
    Column("retry_from", Moment),
    Column("crashes", Integer, nullable=False, server_default="0"),
    # The Message-ID that the thread began with for this reader, where this mail is not the first of it.
    Column("thread_root", Text),
    # Nobody gets one event about one instance twice, however often it is expanded.
    UniqueConstraint("event", "instance", "folded"),
    # deliveries.list(message_id=…); RFC 5322, 3.6.4: a Message-ID is unique.
    UniqueConstraint("message_id"),
    CheckConstraint(one_of("lane", Lane), name="lane"),
    CheckConstraint(one_of("status", Status), name="status"),
    CheckConstraint(one_of("on_uncertain", OnUncertain), name="on_uncertain"),
    # Nothing can be stuck: what waits has a time, what does not wait has none.
    CheckConstraint(
        "status = 'queued' OR"
        " (next_try_at IS NOT NULL AND status IN ('deferred', 'uncertain')) OR"
        " (next_try_at IS NULL AND status NOT IN ('deferred', 'uncertain'))",
        name="due",
    ),
    CheckConstraint("status <> 'sending' OR lease_until IS NOT NULL", name="lease"),
)
# claims.claim, due_lanes, next_due: only rows that wait are in it, in the order in which they are taken.
index(
    "ix_deliveries_due",
    deliveries.c.lane,
    deliveries.c.next_try_at,
    deliveries.c.id,
    only="next_try_at IS NOT NULL",
)
# claims.claim: the few that may be what ended their workers; they are taken one at a time.
index(
    "ix_deliveries_suspect",
    deliveries.c.lane,
    deliveries.c.next_try_at,
    only=f"crashes >= {SUSPECT} AND next_try_at IS NOT NULL",
)
# leases.held, leases.recover: the few rows that are being sent.
index("ix_deliveries_lease", deliveries.c.lease_until, only="status = 'sending'")
# deliveries.list(event=…) in the order of the ids, and deliveries.counts without touching a row.
index("ix_deliveries_event", deliveries.c.event, deliveries.c.id, deliveries.c.status)
# deliveries.list(address=…).
index("ix_deliveries_folded", deliveries.c.folded, deliveries.c.id)
# deliveries.list(status=…) for what went wrong or waits for a person.
index("ix_deliveries_trouble", deliveries.c.status, deliveries.c.id, only=IN_TROUBLE)

attempts = Table(
    "attempts",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("delivery", Key, ForeignKey("deliveries.id"), nullable=False),
    Column("at", Moment, nullable=False),
    Column("status", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("code", Integer),
    Column("enhanced_code", Text),
    Column("reply", Text, nullable=False),
    CheckConstraint(
        one_of("status", (Status.SENT, Status.DEFERRED, Status.FAILED, Status.UNCERTAIN)),
        name="status",
    ),
    CheckConstraint(one_of("reason", sorted(OUTCOME_REASONS)), name="reason"),
)
# deliveries.list(with_attempts=True): a delivery's attempts, oldest first.
index("ix_attempts_delivery", attempts.c.delivery, attempts.c.id)

tokens = Table(
    "tokens",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("name", Text, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("scopes", Json, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("revoked_at", Moment),
    Column("last_used_at", Moment),
    UniqueConstraint("sha256"),
)
# tokens.add: a name is free again once its token is revoked.
index("ix_tokens_name", tokens.c.name, unique=True, only="revoked_at IS NULL")

workers = Table(
    "workers",
    metadata,
    Column("id", Text, primary_key=True),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("version", Text, nullable=False),
    Column("started_at", Moment, nullable=False),
    Column("seen_at", Moment, nullable=False),
    Column("relay", Json),
    Column("stale", Integer, nullable=False, server_default="0"),
)

# Who wants no more mail of an optional type. A row is never deleted: lifting one gives it an end.
suppressions = Table(
    "suppressions",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("address", Text, nullable=False),
    Column("folded", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("origin", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("lifted_at", Moment),
    CheckConstraint(one_of("origin", ORIGINS), name="origin"),
)
# claims.claim asks for every row it takes; one standing choice per address and type.
index(
    "ix_suppressions_standing",
    suppressions.c.folded,
    suppressions.c.type,
    only="lifted_at IS NULL",
    unique=True,
)

# What signs the links in mails. A fleet reads the same keys, so a link made by one process is known to all.
link_keys = Table(
    "link_keys",
    metadata,
    Column("id", Text, primary_key=True),
    Column("secret", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
)

# What was sent of a window to calendars: one row a change, so that SEQUENCE rises with every one (RFC 5545).
windows = Table(
    "windows",
    metadata,
    Column("uid", Text, primary_key=True),
    Column("sequence", Integer, primary_key=True),
    Column("event", Key, ForeignKey("events.id"), nullable=False),
    Column("starts_at", Moment, nullable=False),
    Column("ends_at", Moment, nullable=False),
    Column("cancelled", Boolean, nullable=False),
)
