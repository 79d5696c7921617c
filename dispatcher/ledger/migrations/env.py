"""What Alembic runs: the migrations, over the connection and in the transaction it was given."""

from __future__ import annotations

from alembic import context

from dispatcher.ledger import plan_tables  # noqa: F401 - its tables belong to the metadata
from dispatcher.ledger.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
