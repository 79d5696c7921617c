"""The tables of what lies ahead: plans, notices, incidents, obligations, messages to upstream.

- ``plan_steps.status = 'pending'`` exactly while the step is still to be told; only then is it in the index.
- ``plans.version`` rises with every change, so that a change based on an older one is refused.
"""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
)

from dispatcher.domain.incident import Says
from dispatcher.domain.plan import PlanState, StepStatus
from dispatcher.ledger.columns import Json, Key, Moment, Serial
from dispatcher.ledger.schema import index, metadata, one_of

plans = Table(
    "plans",
    metadata,
    Column("id", Key, primary_key=True),
    Column("cadence", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("instance", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("anchor", Moment, nullable=False),
    Column("alternate_at", Moment),
    Column("revision", Integer, nullable=False),
    Column("version", Integer, nullable=False),
    Column("facts", Json, nullable=False),
    Column("cadence_digest", Text, nullable=False),
    Column("warnings", Json, nullable=False),
    Column("said_at", Moment, nullable=False),
    Column("made_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
    # One plan per subject and instance, whoever asks.
    UniqueConstraint("subject", "instance", "cadence"),
    CheckConstraint(one_of("state", PlanState), name="state"),
)
# plans.list(instance=…).
index("ix_plans_instance", plans.c.instance, plans.c.id)
# plans.outdated: those whose cadence changed, by the digest of the cadence.
index(
    "ix_plans_open",
    plans.c.cadence,
    plans.c.cadence_digest,
    plans.c.id,
    only="state NOT IN ('succeeded', 'cancelled')",
)

# plans.warned: nearly all plans carry no warning.
index("ix_plans_warned", plans.c.id, only="state NOT IN ('succeeded', 'cancelled') AND warnings != '[]'")

plan_steps = Table(
    "plan_steps",
    metadata,
    Column("plan", Key, ForeignKey("plans.id"), nullable=False),
    Column("revision", Integer, nullable=False),
    Column("key", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("due_at", Moment, nullable=False),
    Column("status", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("event", Key, ForeignKey("events.id")),
    Column("settled_at", Moment),
    PrimaryKeyConstraint("plan", "revision", "key"),
    CheckConstraint(one_of("status", StepStatus), name="status"),
    CheckConstraint("(status = 'pending') = (settled_at IS NULL)", name="settled"),
)
# plans.due, plans.next_due: a million steps that wait cost nothing.
index("ix_plan_steps_due", plan_steps.c.due_at, plan_steps.c.plan, only="status = 'pending'")

plan_moves = Table(
    "plan_moves",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("plan", Key, ForeignKey("plans.id"), nullable=False),
    Column("turn", Text, nullable=False),
    Column("event", Key, ForeignKey("events.id"), nullable=False),
    Column("at", Moment, nullable=False),
    Column("before", Moment),
    Column("after", Moment, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("facts", Json, nullable=False),
    Column("decided_by", Text),
    Column("delivery", Text),
    # plans.of_event: what an event's mail says about each instance; an event moves a plan once.
    UniqueConstraint("event", "plan"),
)
# plans.moves: a plan's life, oldest first.
index("ix_plan_moves_plan", plan_moves.c.plan, plan_moves.c.id)

# Events that were turns of a plan when there was none: they count if one begins later. Without an instance
# (an empty text) it is one that names a region, or all.
unplanned = Table(
    "unplanned",
    metadata,
    Column("subject", Text, nullable=False),
    Column("instance", Text, nullable=False),
    Column("cadence", Text, nullable=False),
    Column("event", Key, ForeignKey("events.id"), nullable=False),
    # plans.heard: of one plan, which begins now.
    PrimaryKeyConstraint("subject", "instance", "cadence", "event"),
)

# What the admin centre, and the application itself, show of an event about one instance.
notices = Table(
    "notices",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("event", Key, ForeignKey("events.id"), nullable=False),
    Column("instance", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("subject", Text),
    Column("admin_centre", Boolean, nullable=False),
    Column("in_product", Boolean, nullable=False),
    Column("ends_alerts", Boolean, nullable=False),
    Column("facts", Json, nullable=False),
    Column("shown_at", Moment, nullable=False),
    Column("until", Moment),
    UniqueConstraint("event", "instance"),
)
# notices.of: an instance's, newest first.
index("ix_notices_instance", notices.c.instance, notices.c.id)
# notices.instances_in: those that a thread is about.
index("ix_notices_subject", notices.c.subject, notices.c.instance, only="subject IS NOT NULL")

# Incidents as what was said of them adds up; also what was heard of one that nobody opened (yet).
incidents = Table(
    "incidents",
    metadata,
    # The thread of its events, else the name of the incident.
    Column("key", Text, primary_key=True),
    # Of the first event that spoke of it.
    Column("type", Text, nullable=False),
    Column("event", Key, ForeignKey("events.id"), nullable=False),
    Column("said_at", Moment, nullable=False),
    Column("opened_at", Moment),
    Column("resolved_at", Moment),
)
# incidents.open.
index("ix_incidents_open", incidents.c.key, only="opened_at IS NOT NULL AND resolved_at IS NULL")

# What each event said of an incident. All else is derived from it, so that the order of arrival is no matter.
incident_statements = Table(
    "incident_statements",
    metadata,
    Column("incident", Text, ForeignKey("incidents.key"), nullable=False),
    Column("event", Key, ForeignKey("events.id"), nullable=False),
    Column("type", Text, nullable=False),
    Column("says", Text, nullable=False),
    Column("said_at", Moment, nullable=False),
    Column("resolved_at", Moment),
    Column("next_update_at", Moment),
    Column("instances", Json, nullable=False),
    PrimaryKeyConstraint("incident", "event"),
    CheckConstraint(one_of("says", Says), name="says"),
)
# incidents.withdrawn: what a cancelled event said.
index("ix_incident_statements_event", incident_statements.c.event)

incident_instances = Table(
    "incident_instances",
    metadata,
    Column("incident", Text, ForeignKey("incidents.key"), nullable=False),
    Column("instance", Text, nullable=False),
    Column("restored_at", Moment),
    PrimaryKeyConstraint("incident", "instance"),
)
# claims.claim: whether an open incident affects an instance; incidents.extent.
index(
    "ix_incident_instances_affected",
    incident_instances.c.instance,
    incident_instances.c.incident,
    only="restored_at IS NULL",
)

# What somebody of the service's own people must send, and until when.
obligations = Table(
    "obligations",
    metadata,
    Column("id", Key, primary_key=True),
    Column("cadence", Text, nullable=False),
    Column("step", Text, nullable=False),
    Column("owes", Text, nullable=False),
    Column("incident", Text, ForeignKey("incidents.key"), nullable=False),
    Column("made_by", Key, ForeignKey("events.id"), nullable=False),
    Column("made_at", Moment, nullable=False),
    Column("due_at", Moment, nullable=False),
    Column("met_at", Moment),
    Column("met_by", Key, ForeignKey("events.id")),
    Column("ended", Text),
    Column("reminded_at", Moment),
    Column("reminders", Integer, nullable=False),
    # One event makes one obligation of a step, however often its incident is added up.
    UniqueConstraint("incident", "cadence", "step", "made_by"),
)
# obligations.owed, obligations.overdue: what is still owed.
index("ix_obligations_owed", obligations.c.due_at, only="met_at IS NULL AND ended IS NULL")

# What upstream is told over HTTP: Standard Webhooks, retried from here.
webhooks = Table(
    "webhooks",
    metadata,
    Column("id", Key, primary_key=True),
    Column("type", Text, nullable=False),
    Column("body", Json, nullable=False),
    Column("made_at", Moment, nullable=False),
    Column("status", Text, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("next_try_at", Moment),
    Column("lease_until", Moment),
    Column("reply", Text, nullable=False),
    Column("updated_at", Moment, nullable=False),
    CheckConstraint(one_of("status", ("pending", "sent", "failed")), name="status"),
    CheckConstraint("(status = 'pending') = (next_try_at IS NOT NULL)", name="due"),
)
# webhooks.claim.
index("ix_webhooks_due", webhooks.c.next_try_at, only="status = 'pending'")
# webhooks.waiting: what upstream was never told.
index("ix_webhooks_failed", webhooks.c.id, only="status = 'failed'")
