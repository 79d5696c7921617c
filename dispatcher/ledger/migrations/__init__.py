"""Alembic's scripts; `dispatcher.ledger.migrate` runs them."""
