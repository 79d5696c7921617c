"""Seeing ahead: events and plans played through the service's own rules; ledger and clock are imagined."""
