"""What repair needs: expiry, cancelling, a fresh start for retries, and rows that end their workers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_SUSPECT = "crashes >= 2 AND next_try_at IS NOT NULL"
_FAILED = "status = 'failed'"


def upgrade() -> None:
    """Add the columns. Each has a default, so that a process of the version before can still accept events.

    Its workers must be stopped first: they know nothing of cancelling, expiry and the new leases.
    """
    op.add_column("events", _moment("cancelled_at"))
    op.add_column("events", sa.Column("expander", sa.Text(), nullable=True))
    op.add_column("events", _count("crashes"))
    for name in ("expires_at", "retry_from"):
        op.add_column("deliveries", _moment(name))
    op.add_column("deliveries", _count("crashes"))
    _index("ix_deliveries_suspect", "deliveries", ["lane", "next_try_at"], _SUSPECT)
    _index("ix_events_failed", "events", ["id"], _FAILED)
    op.add_column("workers", sa.Column("relay", sa.Text(), nullable=True))
    op.add_column("workers", _count("stale"))


def downgrade() -> None:
    """Drop them."""
    op.drop_index("ix_events_failed", "events")
    op.drop_index("ix_deliveries_suspect", "deliveries")
    for table, names in (
        ("workers", ("stale", "relay")),
        ("deliveries", ("crashes", "retry_from", "expires_at")),
        ("events", ("crashes", "expander", "cancelled_at")),
    ):
        for name in names:
            op.drop_column(table, name)


def _moment(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=True)


def _count(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer(), nullable=False, server_default="0")


def _index(name: str, table: str, columns: list[str], only: str) -> None:
    condition = sa.text(only)
    op.create_index(name, table, columns, sqlite_where=condition, postgresql_where=condition)
