"""What the mail itself needs: opt-outs, keys that sign links, windows of calendars, roots of threads."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_STANDING = "lifted_at IS NULL"


def upgrade() -> None:
    """Add the tables and the column; nothing that was there changes."""
    op.add_column("deliveries", sa.Column("thread_root", sa.Text(), nullable=True))
    op.create_table(
        "suppressions",
        sa.Column("id", _SERIAL, nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("folded", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        _moment("created_at", nullable=False),
        _moment("lifted_at", nullable=True),
        sa.CheckConstraint(
            "origin IN ('one-click', 'page', 'operator')", name=op.f("ck_suppressions_origin")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_suppressions")),
    )
    condition = sa.text(_STANDING)
    op.create_index(
        "ix_suppressions_standing",
        "suppressions",
        ["folded", "type"],
        unique=True,
        sqlite_where=condition,
        postgresql_where=condition,
    )
    op.create_table(
        "link_keys",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("secret", sa.Text(), nullable=False),
        _moment("created_at", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_link_keys")),
    )
    op.create_table(
        "windows",
        sa.Column("uid", sa.Text(), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("event", _KEY, nullable=False),
        _moment("starts_at", nullable=False),
        _moment("ends_at", nullable=False),
        sa.Column("cancelled", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["event"], ["events.id"], name=op.f("fk_windows_event")),
        sa.PrimaryKeyConstraint("uid", "sequence", name=op.f("pk_windows")),
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_table("windows")
    op.drop_table("link_keys")
    op.drop_index("ix_suppressions_standing", "suppressions")
    op.drop_table("suppressions")
    op.drop_column("deliveries", "thread_root")


def _moment(name: str, *, nullable: bool) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=nullable)
