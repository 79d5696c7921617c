"""The first tables."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Create them."""
    _events()
    _variants()
    _deliveries()
    _attempts()
    _tokens()
    _workers()


def downgrade() -> None:
    """Drop them."""
    for table in ("workers", "tokens", "attempts", "deliveries", "variants", "events"):
        op.drop_table(table)


def _text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=nullable)


def _moment(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=nullable)


def _only(condition: str) -> dict[str, Any]:
    """A partial index holds only the rows that fulfil `condition`."""
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}


def _events() -> None:
    op.create_table(
        "events",
        sa.Column("id", _KEY, nullable=False),
        _text("source"),
        _text("external_id"),
        _text("type"),
        _text("effective_type"),
        _text("lane"),
        _text("selection"),
        _text("thread", nullable=True),
        _text("fields"),
        _text("fingerprint"),
        _moment("time", nullable=True),
        _moment("accepted_at"),
        _text("status"),
        _text("reason"),
        _text("warnings"),
        sa.Column("expansion", sa.Integer(), nullable=False),
        _moment("expanding_until", nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_events")),
        sa.UniqueConstraint("external_id", "source", name=op.f("uq_events_external_id_source")),
        sa.CheckConstraint("lane IN ('urgent', 'normal', 'bulk')", name=op.f("ck_events_lane")),
        sa.CheckConstraint(
            "status IN ('accepted', 'expanded', 'recorded', 'failed')", name=op.f("ck_events_status")
        ),
    )
    op.create_index("ix_events_accepted", "events", ["id"], **_only("status = 'accepted'"))
    op.create_index("ix_events_thread", "events", ["thread"], **_only("thread IS NOT NULL"))


def _variants() -> None:
    op.create_table(
        "variants",
        sa.Column("id", _SERIAL, nullable=False),
        sa.Column("event", _KEY, nullable=False),
        _text("key"),
        _text("subject"),
        _text("template"),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_variants")),
        sa.UniqueConstraint("event", "key", name=op.f("uq_variants_event_key")),
        sa.ForeignKeyConstraint(["event"], ["events.id"], name=op.f("fk_variants_event")),
    )


def _deliveries() -> None:
    op.create_table(
        "deliveries",
        sa.Column("id", _KEY, nullable=False),
        sa.Column("event", _KEY, nullable=False),
        _text("type"),
        _text("lane"),
        _text("instance"),
        _text("instances"),
        _text("address"),
        _text("folded"),
        _text("name", nullable=True),
        _text("language"),
        _text("time_zone"),
        _text("reasons"),
        _text("sender"),
        sa.Column("variant", _SERIAL, nullable=False),
        _text("message_id"),
        _text("on_uncertain"),
        _text("status"),
        _text("reason"),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("fence", sa.Integer(), nullable=False),
        _moment("next_try_at", nullable=True),
        _moment("lease_until", nullable=True),
        _text("worker", nullable=True),
        sa.Column("uncertain", sa.Boolean(), nullable=False),
        _moment("created_at"),
        _moment("updated_at"),
        *_delivery_rules(),
    )
    for name, columns, condition in (
        ("due", ["lane", "next_try_at", "id"], "next_try_at IS NOT NULL"),
        ("lease", ["lease_until"], "status = 'sending'"),
        ("event", ["event", "id", "status"], None),
        ("folded", ["folded", "id"], None),
        (
            "trouble",
            ["status", "id"],
            "status IN ('deferred', 'failed', 'uncertain', 'suppressed', 'cancelled', 'expired', 'held')",
        ),
    ):
        options = {} if condition is None else _only(condition)
        op.create_index(f"ix_deliveries_{name}", "deliveries", columns, **options)


def _delivery_rules() -> list[sa.Constraint]:
    return [
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deliveries")),
        sa.UniqueConstraint("event", "instance", "folded", name=op.f("uq_deliveries_event_instance_folded")),
        sa.UniqueConstraint("message_id", name=op.f("uq_deliveries_message_id")),
        sa.CheckConstraint("lane IN ('urgent', 'normal', 'bulk')", name=op.f("ck_deliveries_lane")),
        sa.CheckConstraint(
            "status IN ('queued', 'sending', 'sent', 'deferred', 'failed', 'uncertain',"
            " 'suppressed', 'cancelled', 'expired', 'held')",
            name=op.f("ck_deliveries_status"),
        ),
        sa.CheckConstraint("on_uncertain IN ('resend', 'hold')", name=op.f("ck_deliveries_on_uncertain")),
        sa.CheckConstraint(
            "status = 'queued' OR"
            " (next_try_at IS NOT NULL AND status IN ('deferred', 'uncertain')) OR"
            " (next_try_at IS NULL AND status NOT IN ('deferred', 'uncertain'))",
            name=op.f("ck_deliveries_due"),
        ),
        sa.CheckConstraint(
            "status <> 'sending' OR lease_until IS NOT NULL", name=op.f("ck_deliveries_lease")
        ),
        sa.ForeignKeyConstraint(["event"], ["events.id"], name=op.f("fk_deliveries_event")),
        sa.ForeignKeyConstraint(["variant"], ["variants.id"], name=op.f("fk_deliveries_variant")),
    ]


def _attempts() -> None:
    op.create_table(
        "attempts",
        sa.Column("id", _SERIAL, nullable=False),
        sa.Column("delivery", _KEY, nullable=False),
        _moment("at"),
        _text("status"),
        _text("reason"),
        sa.Column("code", sa.Integer()),
        _text("enhanced_code", nullable=True),
        _text("reply"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attempts")),
        sa.CheckConstraint(
            "status IN ('sent', 'deferred', 'failed', 'uncertain')", name=op.f("ck_attempts_status")
        ),
        sa.CheckConstraint(
            "reason IN ('accepted', 'lease_expired', 'lost_after_data', 'refused_permanently',"
            " 'refused_temporarily', 'relay_unreachable', 'unsendable')",
            name=op.f("ck_attempts_reason"),
        ),
        sa.ForeignKeyConstraint(["delivery"], ["deliveries.id"], name=op.f("fk_attempts_delivery")),
    )
    op.create_index("ix_attempts_delivery", "attempts", ["delivery", "id"])


def _tokens() -> None:
    op.create_table(
        "tokens",
        sa.Column("id", _SERIAL, nullable=False),
        _text("name"),
        _text("sha256"),
        _text("scopes"),
        _moment("created_at"),
        _moment("revoked_at", nullable=True),
        _moment("last_used_at", nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tokens")),
        sa.UniqueConstraint("sha256", name=op.f("uq_tokens_sha256")),
    )
    op.create_index("ix_tokens_name", "tokens", ["name"], unique=True, **_only("revoked_at IS NULL"))


def _workers() -> None:
    op.create_table(
        "workers",
        _text("id"),
        _text("host"),
        sa.Column("pid", sa.Integer(), nullable=False),
        _text("version"),
        _moment("started_at"),
        _moment("seen_at"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_workers")),
    )
