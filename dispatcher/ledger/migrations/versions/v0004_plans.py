"""What lies ahead: plans, their steps and moves; notices, incidents, obligations, messages to upstream."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_OPEN = "state NOT IN ('succeeded', 'cancelled')"
_NEW = (
    "webhooks",
    "obligations",
    "incident_instances",
    "incident_statements",
    "incidents",
    "notices",
    "unplanned",
    "plan_moves",
    "plan_steps",
    "plans",
)


def upgrade() -> None:
    """Add the tables and the columns; nothing that was there changes."""
    op.add_column("events", sa.Column("channels", sa.Text(), nullable=True))
    op.add_column("events", sa.Column("roles", sa.Text(), nullable=True))
    _index("ix_events_cancelled", "events", ["id"], "cancelled_at IS NOT NULL")
    _plans()
    _steps()
    _moves()
    _notices()
    _incidents()
    _obligations()
    _webhooks()


def downgrade() -> None:
    """Drop them."""
    for table in _NEW:
        op.drop_table(table)
    op.drop_index("ix_events_cancelled", "events")
    op.drop_column("events", "roles")
    op.drop_column("events", "channels")


def _plans() -> None:
    _table(
        "plans",
        _text("id", type_=_KEY),
        *(_text(name) for name in ("cadence", "subject", "instance", "state")),
        _moment("anchor"),
        _moment("alternate_at", nullable=True),
        _count("revision"),
        _count("version"),
        *(_text(name) for name in ("facts", "cadence_digest", "warnings")),
        *(_moment(name) for name in ("said_at", "made_at", "updated_at")),
        _one_of("plans", "state", "scheduled", "approved", "in-progress", "succeeded", "cancelled"),
        _unique("plans", "subject", "instance", "cadence"),
        key=("id",),
    )
    _index("ix_plans_instance", "plans", ["instance", "id"])
    _index("ix_plans_open", "plans", ["cadence", "cadence_digest", "id"], _OPEN)
    _index("ix_plans_warned", "plans", ["id"], f"{_OPEN} AND warnings != '[]'")


def _steps() -> None:
    settled = "(status = 'pending') = (settled_at IS NULL)"
    _table(
        "plan_steps",
        _text("plan", type_=_KEY),
        _count("revision"),
        _text("key"),
        _text("type"),
        _moment("due_at"),
        _text("status"),
        _text("reason"),
        _text("event", type_=_KEY, nullable=True),
        _moment("settled_at", nullable=True),
        _one_of("plan_steps", "status", "pending", "sent", "skipped", "superseded", "cancelled"),
        sa.CheckConstraint(settled, name=op.f("ck_plan_steps_settled")),
        _reference("plan_steps", "event", "events.id"),
        _reference("plan_steps", "plan", "plans.id"),
        key=("plan", "revision", "key"),
    )
    _index("ix_plan_steps_due", "plan_steps", ["due_at", "plan"], "status = 'pending'")


def _moves() -> None:
    _table(
        "plan_moves",
        _count("id", _SERIAL),
        _text("plan", type_=_KEY),
        _text("turn"),
        _text("event", type_=_KEY),
        _moment("at"),
        _moment("before", nullable=True),
        _moment("after"),
        _count("revision"),
        _text("facts"),
        _text("decided_by", nullable=True),
        _text("delivery", nullable=True),
        _reference("plan_moves", "event", "events.id"),
        _reference("plan_moves", "plan", "plans.id"),
        _unique("plan_moves", "event", "plan"),
        key=("id",),
    )
    _index("ix_plan_moves_plan", "plan_moves", ["plan", "id"])
    _table(
        "unplanned",
        *(_text(name) for name in ("subject", "instance", "cadence")),
        _text("event", type_=_KEY),
        _reference("unplanned", "event", "events.id"),
        key=("subject", "instance", "cadence", "event"),
    )


def _notices() -> None:
    _table(
        "notices",
        _count("id", _SERIAL),
        _text("event", type_=_KEY),
        _text("instance"),
        _text("type"),
        _text("subject", nullable=True),
        sa.Column("admin_centre", sa.Boolean(), nullable=False),
        sa.Column("in_product", sa.Boolean(), nullable=False),
        sa.Column("ends_alerts", sa.Boolean(), nullable=False),
        _text("facts"),
        _moment("shown_at"),
        _moment("until", nullable=True),
        _reference("notices", "event", "events.id"),
        _unique("notices", "event", "instance"),
        key=("id",),
    )
    _index("ix_notices_instance", "notices", ["instance", "id"])
    _index("ix_notices_subject", "notices", ["subject", "instance"], "subject IS NOT NULL")


def _incidents() -> None:
    _table(
        "incidents",
        _text("key"),
        _text("type"),
        _text("event", type_=_KEY),
        _moment("said_at"),
        _moment("opened_at", nullable=True),
        _moment("resolved_at", nullable=True),
        _reference("incidents", "event", "events.id"),
        key=("key",),
    )
    _index("ix_incidents_open", "incidents", ["key"], "opened_at IS NOT NULL AND resolved_at IS NULL")
    _table(
        "incident_statements",
        _text("incident"),
        _text("event", type_=_KEY),
        _text("type"),
        _text("says"),
        _moment("said_at"),
        _moment("resolved_at", nullable=True),
        _moment("next_update_at", nullable=True),
        _text("instances"),
        _one_of("incident_statements", "says", "open", "resolved", "told"),
        _reference("incident_statements", "event", "events.id"),
        _reference("incident_statements", "incident", "incidents.key"),
        key=("incident", "event"),
    )
    _index("ix_incident_statements_event", "incident_statements", ["event"])
    _table(
        "incident_instances",
        _text("incident"),
        _text("instance"),
        _moment("restored_at", nullable=True),
        _reference("incident_instances", "incident", "incidents.key"),
        key=("incident", "instance"),
    )
    affected = ["instance", "incident"]
    _index("ix_incident_instances_affected", "incident_instances", affected, "restored_at IS NULL")


def _obligations() -> None:
    _table(
        "obligations",
        _text("id", type_=_KEY),
        *(_text(name) for name in ("cadence", "step", "owes", "incident")),
        _text("made_by", type_=_KEY),
        _moment("made_at"),
        _moment("due_at"),
        _moment("met_at", nullable=True),
        _text("met_by", type_=_KEY, nullable=True),
        _text("ended", nullable=True),
        _moment("reminded_at", nullable=True),
        _count("reminders"),
        _reference("obligations", "incident", "incidents.key"),
        _reference("obligations", "made_by", "events.id"),
        _reference("obligations", "met_by", "events.id"),
        _unique("obligations", "incident", "cadence", "step", "made_by"),
        key=("id",),
    )
    _index("ix_obligations_owed", "obligations", ["due_at"], "met_at IS NULL AND ended IS NULL")


def _webhooks() -> None:
    due = "(status = 'pending') = (next_try_at IS NOT NULL)"
    _table(
        "webhooks",
        _text("id", type_=_KEY),
        _text("type"),
        _text("body"),
        _moment("made_at"),
        _text("status"),
        _count("tries"),
        _moment("next_try_at", nullable=True),
        _moment("lease_until", nullable=True),
        _text("reply"),
        _moment("updated_at"),
        _one_of("webhooks", "status", "pending", "sent", "failed"),
        sa.CheckConstraint(due, name=op.f("ck_webhooks_due")),
        key=("id",),
    )
    _index("ix_webhooks_due", "webhooks", ["next_try_at"], "status = 'pending'")
    _index("ix_webhooks_failed", "webhooks", ["id"], "status = 'failed'")


def _table(name: str, *parts: Any, key: tuple[str, ...]) -> None:
    op.create_table(name, *parts, sa.PrimaryKeyConstraint(*key, name=op.f(f"pk_{name}")))


def _text(name: str, *, type_: Any = None, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, type_ or sa.Text(), nullable=nullable)


def _moment(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=nullable)


def _count(name: str, type_: Any = None) -> sa.Column[int]:
    return sa.Column(name, type_ or sa.Integer(), nullable=False)


def _one_of(table: str, column: str, *values: str) -> sa.CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    return sa.CheckConstraint(f"{column} IN ({listed})", name=op.f(f"ck_{table}_{column}"))


def _unique(table: str, *columns: str) -> sa.UniqueConstraint:
    return sa.UniqueConstraint(*columns, name=op.f(f"uq_{table}_{'_'.join(columns)}"))


def _reference(table: str, column: str, target: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [target], name=op.f(f"fk_{table}_{column}"))


def _index(name: str, table: str, columns: list[str], only: str = "") -> None:
    condition: Any = {"sqlite_where": sa.text(only), "postgresql_where": sa.text(only)} if only else {}
    op.create_index(name, table, columns, **condition)
